/* SPDX-License-Identifier: MIT */
/*
 * What findings.sh runs as a guest.  It tries by its libOS first, then past it: by the host calls that there are and by
 * forged requests.
 *
 *   get PATH...           reads each as it can; 1: one shows the secret
 *   spoil PATH...         writes, cuts, renames, removes each and what it gives rights; what came of it is seen outside
 *   plant NAME TARGET...  puts a symlink in NAME's place, then get
 *   run PATH              starts it, as it can; 1: it ran
 *   pids PID...           asks the monitor about each process, and tells it to end them; 1: one was found
 *   ptys                  makes pseudoterminals; how many there were
 *   allocate BYTES        has a section's memory allocated, until its end
 *   terminal              asks for all that can be asked of a full pseudoterminal, and then something else
 *   stops                 has pal-run stopped by signals that do not stop; 1: one was taken
 *   slow PATH             asks for it without end, from two processes that take no answer
 *   outgrow PATH          makes files and sections larger than RLIMIT_FSIZE of whoever asks
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "pal/linux/monitor.h"
#include "regression/hostile/raw.h"

#define SECRET "the secret is 4711"
enum { DESCRIPTORS = 24, PLACES = 8 };

static int found;

static long call(long number, long a, long b, long c, long d)
{
    return raw_call(number, a, b, c, d, 0, 0);
}

static void shows(const char *how, const char *path, int fd, long (*take)(int, char *, long))
{
    static char text[65536];
    long size = take(fd, text, sizeof text);
    if (size <= 0 || !memmem(text, (size_t)size, SECRET, strlen(SECRET)))
        return;
    printf("%s: %s shows the secret\n", path, how);
    found = 1;
}

static long by_libos(int fd, char *text, long size) { return pread(fd, text, (size_t)size, 0); }
static long by_host(int fd, char *text, long size) { return call(SYS_pread64, fd, (long)text, size, 0); }

/* ---- Forged requests --------------------------------------------------------------------------------------------- */

struct answered { struct monitor_reply reply; int fd; };

/* request.path_size and other_size bytes follow. */
static struct answered ask_bytes(struct monitor_request request, const char *bytes)
{
    static uint32_t sequence = 0x7ff00000;
    struct { struct monitor_request request; char bytes[8192]; } packet;
    struct { struct monitor_reply reply; char text[4096]; } in;
    union { struct cmsghdr header; char bytes[CMSG_SPACE(8 * sizeof(int))]; } control;
    struct iovec part = {&in, sizeof in};
    struct answered answered = {.reply.result = -EIO, .fd = -1};
    size_t size = request.path_size + request.other_size;
    request.sequence = ++sequence;
    packet.request = request;
    memcpy(packet.bytes, bytes, size);
    call(SYS_write, LINUX_FD_CHANNEL, (long)&packet, (long)(sizeof packet.request + size), 0);
    for (;;) {
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        struct { int fd; short events, revents; } wanted = {LINUX_FD_CHANNEL, 1, 0};
        if (call(SYS_ppoll, (long)&wanted, 1, (long)&(struct timespec){5, 0}, 0) != 1)
            return answered;
        if (call(SYS_recvmsg, LINUX_FD_CHANNEL, (long)&message, MSG_DONTWAIT, 0) < (long)sizeof in.reply)
            continue;
        int fd = message.msg_controllen >= sizeof control.header ? *(int *)CMSG_DATA(&control.header) : -1;
        if (in.reply.sequence == sequence) {
            answered.reply = in.reply;
            answered.fd = fd;
            return answered;
        }
        if (fd >= 0)
            call(SYS_close, fd, 0, 0, 0);
    }
}

static struct answered ask(struct monitor_request request, const char *path, const char *other)
{
    char bytes[8192];
    request.path_size = (uint32_t)strlen(path);
    request.other_size = (uint32_t)strlen(other);
    memcpy(bytes, path, request.path_size);
    memcpy(bytes + request.path_size, other, request.other_size);
    return ask_bytes(request, bytes);
}

static void ask_open(const char *path, uint32_t base, uint32_t op, uint32_t flags)
{
    struct answered answered = ask((struct monitor_request){.op = op, .flags = flags, .from.descriptor = base}, path, "");
    if (answered.fd < 0)
        return;
    shows(op == MONITOR_START ? "a forged start" : "a forged request", path, answered.fd, by_host);
    char inner[4096]; /* a descriptor that can be asked from */
    snprintf(inner, sizeof inner, "../../../../../../../..%s", path);
    long up = call(SYS_openat, answered.fd, (long)inner, O_RDONLY, 0);
    if (up >= 0)
        shows("up from what was opened", path, (int)up, by_host);
    call(SYS_close, answered.fd, 0, 0, 0);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static void get_by_libos(const char *path)
{
    static const int ways[] = {O_RDONLY | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, O_PATH,
                                O_RDWR | O_CREAT | O_APPEND};
    char own[64];
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        int fd = open(path, ways[i], 0600);
        if (fd < 0)
            continue;
        shows("open", path, fd, by_libos);
        snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
        int again = open(own, O_RDONLY | O_NONBLOCK);
        if (again >= 0) {
            shows("open by a descriptor's name", path, again, by_libos);
            close(again);
        }
        close(fd);
    }
    for (int fd = 0; fd < PLACES; fd++) {
        int inner = openat(fd, path[0] == '/' ? path + 1 : path, O_RDONLY | O_NONBLOCK);
        if (inner >= 0)
            shows("open from a descriptor", path, inner, by_libos), close(inner);
    }
    unlink("/tmp/got");
    if (link(path, "/tmp/got") == 0 || rename(path, "/tmp/got") == 0 || symlink(path, "/tmp/got") == 0) {
        int fd = open("/tmp/got", O_RDONLY | O_NONBLOCK);
        if (fd >= 0)
            shows("another name", path, fd, by_libos), close(fd);
    }
}

/* In a child, which without dispatch has no libOS any more. */
static void get_past_it(const char *path)
{
    static const uint32_t flags[] = {PAL_OPEN_READ, PAL_OPEN_READ | PAL_OPEN_NONBLOCK, PAL_OPEN_READ | PAL_OPEN_WRITE,
                                     PAL_OPEN_PATH, PAL_OPEN_READ | PAL_OPEN_NOFOLLOW};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        ask_open(path, 0, MONITOR_OPEN, flags[i]);
        for (uint32_t base = 1; base <= PLACES; base++)
            ask_open(path[0] == '/' ? path + 1 : path, base, MONITOR_OPEN, flags[i]);
    }
    ask_open(path, 0, MONITOR_START, PAL_OPEN_READ | PAL_OPEN_EXECUTE);
}

/* Last: without name calls the filter kills for it. */
static void get_by_view(const char *path)
{
    struct monitor_request view = {.op = MONITOR_VIEW};
    char inner[4096];
    ask(view, "", "");
    snprintf(inner, sizeof inner, "../../../../../../../..%s", path);
    for (long fd = 3; fd < DESCRIPTORS; fd++) {
        const char *names[] = {path, path + 1, inner};
        for (int i = 0; i < 3; i++) {
            long got = call(SYS_openat, fd, (long)names[i], O_RDONLY | O_NONBLOCK, 0);
            if (got >= 0)
                shows("openat", path, (int)got, by_host), call(SYS_close, got, 0, 0, 0);
        }
    }
}

static int in_child(void (*what)(const char *), const char *path)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setvbuf(stdout, NULL, _IONBF, 0);
        dispatch_off();
        what(path);
        static const char line[] = "by a forged request or openat: the secret\n";
        if (found)
            call(SYS_write, 1, (long)line, sizeof line - 1, 0);
        for (;;)
            call(SYS_exit_group, found, 0, 0, 0);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static int get(char **paths)
{
    int got = 0;
    for (; *paths; paths++) {
        get_by_libos(*paths);
        got |= in_child(get_past_it, *paths) | in_child(get_by_view, *paths);
    }
    return got | found;
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

static void spoil_by_libos(const char *path)
{
    char other[4096];
    static const int ways[] = {O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT, O_RDONLY};
    snprintf(other, sizeof other, "%s.new", path);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        int fd = open(path, ways[i] | O_NONBLOCK, 0644);
        if (fd < 0)
            continue;
        char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED && lseek(fd, 0, SEEK_END) > 0)
            map[0] = 'X';
        if (write(fd, "SPOILT\n", 7) != 7)
            errno = 0;
        fchmod(fd, 06777);
        if (ftruncate(fd, 3) < 0 && posix_fallocate(fd, 0, 8192) != 0)
            errno = 0;
        fchown(fd, 0, 0);
        close(fd);
    }
    chmod(path, 06777);
    if (truncate(path, 3) < 0)
        errno = 0;
    link(path, other);
    rename(path, other);
    mkdir(other, 0777);
    unlink(path);
}

static void spoil_past_it(const char *path)
{
    struct monitor_request set = {.op = MONITOR_SET, .mode = PAL_SET_SIZE, .values.size = 3}, change = {.op = MONITOR_CHANGE};
    char other[4096];
    snprintf(other, sizeof other, "%s.new", path);
    ask(set, path, "");
    set.mode = PAL_SET_MODE;
    set.values.mode = 06777;
    ask(set, path, "");
    for (uint64_t fd = 0; fd < PLACES; fd++) {
        struct monitor_request opened = {.op = MONITOR_SET_OPENED, .arguments = {fd, 0}, .mode = PAL_SET_SIZE, .values.size = 3};
        ask(opened, "", "");
        opened.mode = PAL_SET_MODE;
        opened.values.mode = 0777;
        ask(opened, "", "");
        struct monitor_request allocate = {.op = MONITOR_ALLOCATE, .arguments = {fd, 0}, .values.size = 8192};
        ask(allocate, "", "");
    }
    for (change.flags = 0; change.flags < 16; change.flags++)
        ask(change, path, other);
}

static int spoil(char **paths)
{
    for (; *paths; paths++) {
        in_child(spoil_past_it, *paths);
        spoil_by_libos(*paths);
    }
    return 0;
}

/* ---- Others ------------------------------------------------------------------------------------------------------ */

static int run_it(const char *path)
{
    int status = 0;
    char *const command[] = {(char *)(uintptr_t)path, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execv(path, command);
        _exit(77);
    }
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 77;
}

static void ask_about(const char *pid)
{
    struct monitor_request look = {.op = MONITOR_LOOK, .arguments = {strtoul(pid, NULL, 10), 0}};
    struct monitor_request interrupt = {.op = MONITOR_INTERRUPT, .arguments = {strtoul(pid, NULL, 10), 1}};
    long number = strtol(pid, NULL, 10);
    int32_t looked = ask(look, "", "").reply.result, ended = ask(interrupt, "", "").reply.result;
    bool strange = number <= 0 || number > INT32_MAX;
    found |= strange ? looked >= 0 || ended >= 0 : looked != -ESRCH || ended != -ESRCH;
}

static int count_ptys(void)
{
    int count = 0, outer, inner;
    while (count < 5000 && openpty(&outer, &inner, NULL, NULL, NULL) == 0)
        count++;
    return printf("%d\n", count) < 0;
}

static int allocate(long long size)
{
    int section = memfd_create("section", 0);
    if (write(1, "begins\n", 7) != 7)
        return 1;
    return fallocate(section, 0, 0, size) == 0 ? 0 : errno;
}

static void ask_terminal(const char *unused)
{
    struct pal_terminal modes = {.cflag = 0xbf};
    (void)unused;
    for (uint32_t what = 0; what < MONITOR_TERMINAL_OPS; what++)
        for (uint64_t fd = 0; fd < 16 && what != MONITOR_TERMINAL_STOP && what != MONITOR_TERMINAL_FLOW; fd++)
            for (modes.when = 0; modes.when < 3; modes.when++) {
                struct monitor_request request = {.op = MONITOR_TERMINAL, .arguments = {(uint64_t)what << 32 | fd, modes.when}};
                char bytes[sizeof modes + 1];
                memcpy(bytes, &modes, sizeof modes);
                request.other_size = what == MONITOR_TERMINAL_MODES ? sizeof modes : 0;
                ask_bytes(request, bytes);
            }
}

/* Fills the pseudoterminal's side that is the nth terminal here, and sleeps in that.  Its libOS asks for nothing meanwhile, whose answer
 * another might take. */
static pid_t fill(int nth, int *ready)
{
    static char bytes[65536], modes[64];
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    dispatch_off();
    __atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
    for (long fd = 3; fd < DESCRIPTORS; fd++)
        if (call(SYS_ioctl, fd, TCGETS, (long)modes, 0) == 0 && nth-- == 0)
            call(SYS_write, fd, (long)bytes, sizeof bytes, 0);
    for (;;)
        call(SYS_exit_group, 0, 0, 0, 0);
}

/* With writers that sleep in it. */
static int terminal(void)
{
    int outer, inner;
    struct termios raw;
    struct stat status;
    if (openpty(&outer, &inner, NULL, NULL, NULL) < 0 || tcgetattr(inner, &raw) < 0)
        return 2;
    cfmakeraw(&raw);
    tcsetattr(inner, TCSANOW, &raw);
    int *ready = mmap(NULL, sizeof *ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t writers[] = {fill(0, ready), fill(1, ready)};
    while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < 2)
        usleep(1000);
    usleep(20000);
    int bad = in_child(ask_terminal, "") || stat("/usr", &status) < 0;
    kill(writers[0], SIGKILL);
    kill(writers[1], SIGKILL);
    return bad;
}

static void ask_stop(const char *unused)
{
    (void)unused;
    for (uint64_t number = 0; number < 70; number++)
        if (number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU)
            found |= ask((struct monitor_request){.op = MONITOR_TERMINAL,
                                                  .arguments = {(uint64_t)MONITOR_TERMINAL_STOP << 32, number}}, "", "").reply.result == 0;
}

static int slow(const char *path)
{
    struct { struct monitor_request request; char bytes[4096]; } packet = {.request = {.op = MONITOR_STAT, .path_size = (uint32_t)strlen(path)}};
    memcpy(packet.bytes, path, strlen(path));
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            dispatch_off();
            for (;;)
                call(SYS_write, LINUX_FD_CHANNEL, (long)&packet, (long)(sizeof packet.request + strlen(path)), 0);
        }
    return pause();
}

static int outgrow(const char *path)
{
    static char bytes[65536];
    int file = open(path, O_RDWR), section = memfd_create("section", 0), fresh = open("/tmp/fresh", O_RDWR | O_CREAT, 0600);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        int fd = i == 0 ? file : i == 1 ? section : fresh;
        if (ftruncate(fd, 1 << 20) < 0 || pwrite(fd, bytes, sizeof bytes, 1 << 20) < 0 || posix_fallocate(fd, 0, 1 << 20) != 0)
            errno = 0;
    }
    return truncate(path, 1 << 24) < 0 && errno != EFBIG;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IONBF, 0);
    if (ways_begin() < 0)
        return 2;
    if (!strcmp(what, "get"))
        return get(argv + 2);
    if (!strcmp(what, "spoil"))
        return spoil(argv + 2);
    if (!strcmp(what, "plant") && argc > 3) {
        char old[4096];
        snprintf(old, sizeof old, "%s.old", argv[2]);
        rename(argv[2], old);
        unlink(argv[2]);
        if (symlink(argv[3], argv[2]) < 0 && errno != EEXIST)
            perror(argv[2]);
        return get(argv + 4);
    }
    if (!strcmp(what, "run") && argc > 2)
        return run_it(argv[2]);
    if (!strcmp(what, "pids")) {
        int status = 0;
        for (char **pid = argv + 2; *pid; pid++)
            status |= in_child(ask_about, *pid);
        return status;
    }
    if (!strcmp(what, "terminal"))
        return terminal();
    if (!strcmp(what, "stops"))
        return in_child(ask_stop, "");
    if (!strcmp(what, "slow") && argc > 2)
        return slow(argv[2]);
    if (!strcmp(what, "outgrow") && argc > 2)
        return outgrow(argv[2]);
    if (!strcmp(what, "ptys"))
        return count_ptys();
    if (!strcmp(what, "allocate") && argc > 2)
        return allocate(atoll(argv[2]));
    return 2;
}
