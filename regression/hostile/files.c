/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants files which policy does not show: by plain paths, "..", symlinks it makes or swaps while they are being
 * opened, /proc/self, and by forging requests on the monitor's channel.  SECRET is a path outside; its first bytes are in
 * argv[2].  Exit 0 if it stayed out of reach.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pal/linux/monitor.h"
#include "regression/hostile/instruction.h"

static const char *secret, *contents;
static int bad;

static int reveals(int fd)
{
    char buffer[4096];
    ssize_t n = pread(fd, buffer, sizeof buffer, 0);
    return n > 0 && memmem(buffer, (size_t)n, contents, strlen(contents)) != NULL;
}

static void try_open(const char *path, int flags)
{
    int fd = open(path, flags);
    if (fd < 0)
        return;
    if (reveals(fd)) {
        printf("%s was opened\n", path);
        bad = 1;
    }
    close(fd);
}

static void plain_paths(void)
{
    char path[8192];
    static const char *const prefixes[] = {
        "", "/usr/..", "/usr/share/../../", "/tmp/../", "/proc/self/root", "/proc/self/cwd/../../../../../..", "/proc/1/root",
        "/proc/self/fd/../../../..", "/dev/fd/../../..", "//", "/./", "/usr/bin/../../", "/proc/thread-self/root",
        "/proc/self/task/1/root", "/etc/..", "/lib64/../../..", "/etc/alternatives/../..",
    };
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(path, sizeof path, "%s%s", prefixes[i], secret);
        try_open(path, O_RDONLY);
        try_open(path, O_RDONLY | O_NOFOLLOW);
    }
    for (int fd = 0; fd < 64; fd++) { /* a directory descriptor must not be a way up */
        int inner = openat(fd, secret + 1, O_RDONLY);
        if (inner >= 0 && reveals(inner))
            printf("through descriptor %d\n", fd), bad = 1;
        snprintf(path, sizeof path, "../../../../../../..%s", secret);
        inner = openat(fd, path, O_RDONLY);
        if (inner >= 0 && reveals(inner))
            printf("up from descriptor %d\n", fd), bad = 1;
    }
}

static void symlinks(void)
{
    char target[4096];
    unlink("/tmp/link");
    if (symlink(secret, "/tmp/link") == 0)
        try_open("/tmp/link", O_RDONLY);
    unlink("/tmp/link");
    snprintf(target, sizeof target, "../../../../../../../..%s", secret);
    if (symlink(target, "/tmp/link") == 0)
        try_open("/tmp/link", O_RDONLY);
    unlink("/tmp/link");
    if (symlink("/proc/self/root", "/tmp/link") == 0) {
        snprintf(target, sizeof target, "/tmp/link%s", secret);
        try_open(target, O_RDONLY);
    }
    unlink("/tmp/link");
    if (link(secret, "/tmp/hard") == 0)
        try_open("/tmp/hard", O_RDONLY);
    if (rename(secret, "/tmp/moved") == 0)
        try_open("/tmp/moved", O_RDONLY);
    mkdir("/tmp/dir", 0777);
    chdir("/tmp/dir");
    rename("/tmp/dir", "/tmp/elsewhere"); /* the current directory moves */
    snprintf(target, sizeof target, "../../../../../..%s", secret);
    try_open(target, O_RDONLY);
    chdir("/tmp");
}

static volatile int stop;

static void *flip(void *unused)
{
    (void)unused;
    while (!stop) {
        symlink(secret, "/tmp/flip.new");
        rename("/tmp/flip.new", "/tmp/flip");
        int fd = open("/tmp/flip.new", O_CREAT | O_WRONLY, 0666);
        if (fd >= 0)
            close(fd);
        rename("/tmp/flip.new", "/tmp/flip");
    }
    return NULL;
}

static void swapped(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, flip, NULL);
    for (int i = 0; i < 3000 && !bad; i++)
        try_open("/tmp/flip", O_RDONLY);
    stop = 1;
    pthread_join(thread, NULL);
}

static uint64_t instruction;

static long host_call(long number, long a, const void *b, long c)
{
    return through(instruction, number, a, (long)b, c, 0, 0, 0);
}

/* Requests that no PAL would send. */
static void forged(void)
{
    static const char *const paths[] = {"..", "/..", "/usr/../..", "etc/shadow", "", "/usr\0/x", "/usr/bin/../../etc/shadow"};
    struct { struct monitor_request r; char bytes[8192]; } packet;
    instruction = find_pal_instruction();
    for (uint32_t op = 0; op < MONITOR_OPS + 2; op++) {
        for (unsigned i = 0; i <= sizeof paths / sizeof *paths; i++) {
            const char *path = i < sizeof paths / sizeof *paths ? paths[i] : secret;
            memset(&packet, 0, sizeof packet);
            packet.r.op = op;
            packet.r.sequence = 0x7fff0000 + i;
            packet.r.flags = PAL_OPEN_READ;
            packet.r.path_size = (uint32_t)strlen(path);
            packet.r.arguments[0] = 1; /* pid 1, descriptor 1, token 1 */
            memcpy(packet.bytes, path, strlen(path));
            host_call(SYS_write, LINUX_FD_CHANNEL, &packet, (long)(sizeof packet.r + packet.r.path_size));
            packet.r.path_size = 0xffffffff;
            host_call(SYS_write, LINUX_FD_CHANNEL, &packet, (long)sizeof packet.r);
            host_call(SYS_write, LINUX_FD_CHANNEL, &packet, 7);
        }
    }
    usleep(100000);
    struct stat st; /* stale replies lie on the channel now: the next real request must still get its own */
    if (stat("/usr/bin", &st) != 0 || !S_ISDIR(st.st_mode))
        printf("the monitor does not answer any more: %s\n", strerror(errno)), bad = 1;
    for (long fd = 3; fd < 200; fd++) { /* descriptors that came along with a reply */
        char buffer[4096];
        long n = host_call(SYS_read, fd, buffer, 0) < 0 ? -1 : 0;
        if (n == 0 && fd != LINUX_FD_CHANNEL && fd > LINUX_FD_LOG) {
            host_call(SYS_lseek, fd, NULL, 0);
            n = host_call(SYS_read, fd, buffer, sizeof buffer);
            if (n > 0 && memmem(buffer, (size_t)n, contents, strlen(contents)))
                printf("host descriptor %ld reads the secret\n", fd), bad = 1;
        }
    }
}

/* ---- Names that begin at a descriptor ---------------------------------------------------------------------------- */

struct answered {
    struct monitor_reply reply;
    int fd; /* -1: none came */
};

/* A request by hand, and the monitor's own answer to it. */
static struct answered ask(const struct monitor_request *request, const char *path, const char *other)
{
    static uint32_t sequence = 0x7ffe0000;
    struct { struct monitor_request r; char bytes[8192]; } packet = {.r = *request};
    struct { struct monitor_reply reply; char text[4096]; } in;
    union { struct cmsghdr header; char bytes[CMSG_SPACE(8 * sizeof(int))]; } control;
    struct iovec part = {&in, sizeof in};
    struct answered answered = {.fd = -1};
    packet.r.sequence = ++sequence;
    packet.r.path_size = (uint32_t)strlen(path);
    packet.r.other_size = (uint32_t)strlen(other);
    memcpy(packet.bytes, path, strlen(path));
    memcpy(packet.bytes + strlen(path), other, strlen(other));
    host_call(SYS_write, LINUX_FD_CHANNEL, &packet, (long)(sizeof packet.r + strlen(path) + strlen(other)));
    for (int i = 0; i < 1000; i++) {
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        long size = host_call(SYS_recvmsg, LINUX_FD_CHANNEL, &message, MSG_DONTWAIT);
        if (size < (long)sizeof in.reply) {
            usleep(1000);
            continue;
        }
        int fd = message.msg_controllen >= sizeof control.header ? *(int *)CMSG_DATA(&control.header) : -1;
        if (in.reply.sequence == sequence) {
            answered.reply = in.reply;
            answered.fd = fd;
            return answered;
        }
        if (fd >= 0)
            host_call(SYS_close, fd, NULL, 0);
    }
    answered.reply.result = -EIO;
    return answered;
}

static void check_answer(const char *what, long from, const char *path, struct answered answered, bool must_fail)
{
    static char buffer[4096];
    if (answered.reply.result == 0 && must_fail)
        printf("%s of %s from descriptor %ld is answered\n", what, path, from), bad = 1;
    if (answered.fd < 0)
        return;
    long n = host_call(SYS_read, answered.fd, buffer, sizeof buffer);
    if (n > 0 && memmem(buffer, (size_t)n, contents, strlen(contents)))
        printf("%s of %s from descriptor %ld reads the secret\n", what, path, from), bad = 1;
    host_call(SYS_close, answered.fd, NULL, 0);
}

static bool is_directory(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 || S_ISDIR(status.st_mode);
}

/* Every kind of request with a name, from a descriptor that leads nowhere: 0 is the secret's directory, for pal-run was
 * started so; `outside`: no name may be found there at all. */
static void from_descriptor(long fd, const struct stat *claimed, bool outside)
{
    char climbing[8192];
    snprintf(climbing, sizeof climbing, "../../../../../../..%s", secret);
    const char *paths[] = {"file", "home/x", "..", ".", "./file", "../etc/shadow", climbing, secret + 1, ""};
    struct monitor_request request = {.from = {.descriptor = (uint32_t)fd + 1}};
    if (claimed) {
        request.from.device = claimed->st_dev;
        request.from.inode = claimed->st_ino;
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        static const uint32_t ops[] = {MONITOR_STAT, MONITOR_READLINK, MONITOR_CANONICAL};
        bool climbs = i == 5 || i == 6 || i == 7;
        bool fails = climbs || (outside && (fd == 0 || *paths[i])); /* a section may be opened anew, as itself */
        struct monitor_request open = request, change = request;
        open.op = MONITOR_OPEN;
        open.flags = PAL_OPEN_READ | PAL_OPEN_NONBLOCK;
        check_answer("open", fd, paths[i], ask(&open, paths[i], ""), fails);
        open.flags = PAL_OPEN_PATH;
        check_answer("place", fd, paths[i], ask(&open, paths[i], ""), fails);
        open.flags = PAL_OPEN_READ | PAL_OPEN_WRITE | PAL_OPEN_NONBLOCK;
        check_answer("write", fd, paths[i], ask(&open, paths[i], ""), fails);
        for (size_t j = 0; j < 3; j++) {
            open.op = ops[j];
            open.flags = 0;
            bool own = ops[j] == MONITOR_STAT && !*paths[i] && !is_directory((int)fd); /* what fstat tells anyway */
            check_answer("look", fd, paths[i], ask(&open, paths[i], ""), fails && !own);
        }
        change.op = MONITOR_CHANGE;
        change.flags = PAL_MKDIR;
        change.mode = 0755;
        check_answer("mkdir", fd, "made", ask(&change, "made", ""), outside);
        change.flags = PAL_LINK;
        change.mode = 0;
        check_answer("link", fd, paths[i], ask(&change, paths[i], "/tmp/linked"), fails);
        change.flags = PAL_RENAME;
        change.other_from = request.from;
        change.from = (struct monitor_base){0};
        check_answer("rename", fd, "moved", ask(&change, "/tmp/flip", "moved"), outside);
    }
}

static void descriptors(void)
{
    int ends[2], pair[2], place = open("/tmp", O_PATH | O_DIRECTORY), directory = open("/usr", O_RDONLY | O_DIRECTORY);
    struct stat nothing = {.st_dev = 1, .st_ino = 2}, real;
    if (pipe(ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || fstat(directory, &real))
        printf("no descriptors to try\n"), bad = 1;
    DIR *given = fdopendir(dup(0)); /* as a program would: the directory that pal-run was given */
    if (given && openat(0, "file", O_RDONLY) >= 0)
        printf("names are looked up in what pal-run was started with\n"), bad = 1;
    from_descriptor(0, NULL, true);
    from_descriptor(0, &nothing, true);
    from_descriptor(LINUX_FD_CHANNEL, &nothing, true);
    for (long fd = LINUX_FD_SHARED; fd < 40; fd++) /* the guest's own, whatever their numbers are: nothing leads out */
        from_descriptor(fd, fd % 2 ? &real : NULL, false);
    from_descriptor(INT32_MAX - 1, NULL, true);
    if (place < 0 || directory < 0)
        printf("no places\n"), bad = 1;
    struct monitor_request wild = {.op = MONITOR_STAT, .from = {.descriptor = 0x90000000u}};
    check_answer("stat", -1, "x", ask(&wild, "x", ""), true);
    wild.from = (struct monitor_base){.descriptor = 1, .reserved = 1};
    check_answer("stat", -1, "x", ask(&wild, "x", ""), true);
    wild.from = (struct monitor_base){.descriptor = 1};
    check_answer("stat", -1, "/usr", ask(&wild, "/usr", ""), true);
}

/* Processes outside: what is asked of one by its number finds nobody.  OUTSIDE has the numbers of some that live. */
static void outside(void)
{
    static const uint32_t ops[] = {MONITOR_LOOK, MONITOR_INTERRUPT};
    char *list = getenv("OUTSIDE"), *word;
    while (list && (word = strsep(&list, " ")))
        for (unsigned i = 0; i < sizeof ops / sizeof *ops; i++) {
            struct monitor_request request = {.op = ops[i], .arguments = {strtoul(word, NULL, 10), 0}};
            struct answered answered = ask(&request, "", "");
            if (answered.reply.result != -ESRCH)
                printf("request %u of process %s outside: %d\n", ops[i], word, answered.reply.result), bad = 1;
        }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    secret = argv[1];
    contents = argv[2];
    plain_paths();
    symlinks();
    swapped();
    forged();
    descriptors();
    outside();
    DIR *dir = opendir("/root");
    if (dir && readdir(dir))
        for (struct dirent *e; (e = readdir(dir));)
            if (e->d_name[0] != '.')
                printf("/root shows %s\n", e->d_name), bad = getenv("HOME") && strcmp(getenv("HOME"), "/root") ? 1 : bad;
    printf(bad ? "reached\n" : "out of reach\n");
    return bad;
}
