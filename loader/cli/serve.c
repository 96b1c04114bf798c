/* SPDX-License-Identifier: MIT */
/*
 * `pal-run serve`: keeps clones of a snapshot that are restored and wait, and a new one for each that was taken.
 *
 * The server itself meets no client and reads no image: its members are pal-runs of their own, each with its sandbox, which
 * all wait on one listening socket (monitor/waiting.c).  So a client reaches a clone in one step; while none waits, clients
 * wait in the socket's queue.  Members end with the server.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/pool.h"

#define MEMBERS_MAX 4096u
#define MOST_DEFAULT 256u
#define FAILURES_MAX 3     /* in a row, of members that never waited */
#define PAUSE_MS 200       /* after one */
#define REST_MS 5
#define GRACE_MS 2000      /* for programs that are told to end */
#define START_MS 20000     /* for a member, until it waits */
#define LOOK_MS 1000       /* while one starts */

enum member_state { MEMBER_NONE, MEMBER_STARTS, MEMBER_WAITS, MEMBER_SERVES };
struct member { pid_t pid; enum member_state state; int64_t since; };

static struct server {
    const char *name, *path;
    char **options;           /* of the members' runs, NULL at the end */
    uint64_t pool, most, idle; /* idle: seconds, 0: never */
    int listener, signals, news[2];
    int touched;              /* a file of what clones write, once one has told */
    bool learned;
    ino_t inode;
    struct member *members;   /* `most` */
    unsigned failures;
    int status;               /* of the last that failed */
    int64_t busy, pause;      /* ms: when somebody last took one; until when none is started */
    bool ending;
} server;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static size_t count_of(enum member_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < server.most; i++)
        count += server.members[i].state == state;
    return count;
}

static struct member *member_of(pid_t pid, enum member_state any)
{
    for (size_t i = 0; i < server.most; i++)
        if (any == MEMBER_NONE ? server.members[i].state == MEMBER_NONE : server.members[i].pid == pid && server.members[i].state)
            return &server.members[i];
    return NULL;
}

/* ---- The socket -------------------------------------------------------------------------------------------------- */

static void address_of(const char *path, struct sockaddr_un *address)
{
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path)
        fail(EXIT_OWN_FAILURE, "%s: a socket's name has at most %zu bytes", path, sizeof address->sun_path - 1);
    strcpy(address->sun_path, path);
}

int pool_connect(const char *path)
{
    struct sockaddr_un address = {0};
    address_of(path, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The last server may have left its name; one that lives has it still. */
static void make_way(const char *path)
{
    struct stat status;
    int fd = pool_connect(path);
    if (fd >= 0)
        fail(EXIT_OWN_FAILURE, "%s: another server answers there already", path);
    if (errno == ECONNREFUSED && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_uid == geteuid())
        unlink(path);
}

/* The name appears when the socket already listens: a client that waits for it may connect at once. */
static int listen_then_appear(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *slash = strrchr(path, '/');
    char *folder = slash ? must_print("%.*s/", (int)(slash - path), path) : must_print(".");
    int directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = 0, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/.pal-run-%d", directory, (int)getpid());
    const char *hidden = strrchr(address.sun_path, '/') + 1;
    if (directory < 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        error = errno;
    else if (listen(fd, SOMAXCONN) < 0 || (renameat2(directory, hidden, AT_FDCWD, path, RENAME_NOREPLACE) < 0 &&
                                           (errno != EINVAL || renameat(directory, hidden, AT_FDCWD, path) < 0))) {
        error = errno;
        unlinkat(directory, hidden, 0);
    }
    free(folder);
    close(directory);
    if (!error)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static void open_listener(void)
{
    struct sockaddr_un address = {0};
    struct stat status;
    make_way(server.path);
    address_of(server.path, &address);
    mode_t mask = umask(0177);
    server.listener = listen_then_appear(server.path);
    if (server.listener < 0)
        fail(EXIT_OWN_FAILURE, "%s: can't serve there: %s", server.path, strerror(errno));
    umask(mask);
    server.inode = lstat(server.path, &status) == 0 ? status.st_ino : 0;
}

static void close_listener(void)
{
    struct stat status;
    close(server.listener);
    if (lstat(server.path, &status) == 0 && status.st_ino == server.inode)
        unlink(server.path);
}

/* ---- Members ----------------------------------------------------------------------------------------------------- */

static void become_member(void)
{
    size_t count = 0, used = 0;
    while (server.options[count])
        count++;
    char **words = must_allocate((count + 8) * sizeof *words);
    words[used++] = (char *)"pal-run";
    words[used++] = (char *)"snapshot";
    words[used++] = (char *)"run";
    words[used++] = must_print("--member=%d,%d,%d,%d,%d", server.listener, server.news[1], server.touched, !server.learned, (int)getppid());
    for (size_t i = 0; i < count; i++)
        words[used++] = server.options[i];
    words[used++] = (char *)server.name;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    fcntl(server.listener, F_SETFD, 0);
    fcntl(server.news[1], F_SETFD, 0);
    fcntl(server.touched, F_SETFD, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO && dup2(null, STDOUT_FILENO) == STDOUT_FILENO)
        execv("/proc/self/exe", words);
    _exit(EXIT_OWN_FAILURE);
}

static void start_member(void)
{
    struct member *member = member_of(0, MEMBER_NONE);
    if (!member)
        return;
    pid_t child = fork();
    if (child == 0)
        become_member();
    if (child < 0) {
        server.pause = now_ms() + PAUSE_MS;
        return;
    }
    *member = (struct member){child, MEMBER_STARTS, now_ms()};
}

/* One that does not come up, as of a damaged image, has no client yet, whose time limit would end it. */
static void end_stuck(void)
{
    for (size_t i = 0; i < server.most; i++)
        if (server.members[i].state == MEMBER_STARTS && now_ms() - server.members[i].since >= START_MS)
            kill(server.members[i].pid, SIGKILL); /* a start that failed, once it is collected */
}

/* A clone that was taken just now wants the processors; one that comes up can wait, unless others are few. */
static int64_t rest_left(void)
{
    int64_t left = server.busy + REST_MS - now_ms();
    return server.failures || count_of(MEMBER_STARTS) + count_of(MEMBER_WAITS) <= server.pool / 2 || left < 0 ? 0 : left;
}

static void fill(void)
{
    if (rest_left())
        return;
    while (!server.ending && now_ms() >= server.pause && count_of(MEMBER_STARTS) + count_of(MEMBER_WAITS) < server.pool &&
           member_of(0, MEMBER_NONE)) {
        size_t before = count_of(MEMBER_STARTS);
        start_member();
        if (count_of(MEMBER_STARTS) == before)
            return;
    }
}

static void read_news(void)
{
    struct pool_member_news news;
    while (read(server.news[0], &news, sizeof news) == sizeof news) {
        struct member *member = member_of(news.pid, MEMBER_STARTS);
        if (news.what == POOL_LEARNED)
            server.learned = true;
        if (!member || news.what == POOL_LEARNED)
            continue;
        member->state = news.what == POOL_WAITS ? MEMBER_WAITS : MEMBER_SERVES;
        server.busy = now_ms();
        server.failures = 0;
    }
}

/* One that dies while it waits is replaced as one that was taken. */
static void collect(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct member *member = member_of(pid, MEMBER_STARTS);
        if (!member)
            continue;
        if (member->state == MEMBER_STARTS && !server.ending) {
            server.failures++;
            server.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            server.pause = now_ms() + PAUSE_MS;
        } else {
            server.busy = now_ms();
        }
        member->state = MEMBER_NONE;
    }
}

static void signal_members(enum member_state state, int number)
{
    for (size_t i = 0; i < server.most; i++)
        if (server.members[i].state == state)
            kill(server.members[i].pid, number);
}

/* Those that wait have nothing to lose; the others' programs are told, and given some time. */
static void end_members(void)
{
    int64_t until = now_ms() + GRACE_MS;
    server.ending = true;
    signal_members(MEMBER_STARTS, SIGKILL);
    signal_members(MEMBER_WAITS, SIGKILL);
    signal_members(MEMBER_SERVES, SIGTERM);
    while (count_of(MEMBER_NONE) < server.most) {
        struct pollfd wanted = {server.signals, POLLIN, 0};
        struct signalfd_siginfo info;
        if (now_ms() >= until)
            signal_members(MEMBER_SERVES, SIGKILL);
        poll(&wanted, 1, 50);
        while (read(server.signals, &info, sizeof info) == sizeof info)
            ;
        read_news();
        signal_members(MEMBER_WAITS, SIGKILL);
        collect();
    }
}

/* ---- The server -------------------------------------------------------------------------------------------------- */

static bool told_to_end(void)
{
    struct signalfd_siginfo info;
    bool ends = false;
    while (read(server.signals, &info, sizeof info) == sizeof info)
        ends |= info.ssi_signo != SIGCHLD;
    return ends;
}

/* Until the next thing that comes by itself. */
static int next_timeout(int64_t now)
{
    int64_t until = server.pause > now ? server.pause - now : -1;
    int64_t rest = count_of(MEMBER_STARTS) + count_of(MEMBER_WAITS) < server.pool ? rest_left() : 0;
    if (rest && (until < 0 || rest < until))
        until = rest;
    if (count_of(MEMBER_STARTS) && (until < 0 || until > LOOK_MS))
        until = LOOK_MS;
    if (server.idle) {
        int64_t left = server.busy + (int64_t)server.idle * 1000 - now;
        left = left > 0 ? left : 1000; /* busy */
        until = until < 0 || left < until ? left : until;
    }
    return until > INT32_MAX ? INT32_MAX : (int)until;
}

static bool is_idle(void)
{
    return server.idle && !count_of(MEMBER_SERVES) && now_ms() - server.busy >= (int64_t)server.idle * 1000;
}

static int serve(void)
{
    int status = 0;
    server.busy = now_ms();
    for (;;) {
        fill();
        struct pollfd wanted[2] = {{server.news[0], POLLIN, 0}, {server.signals, POLLIN, 0}};
        poll(wanted, 2, next_timeout(now_ms()));
        bool ends = told_to_end();
        read_news();
        end_stuck();
        collect();
        if (server.failures >= FAILURES_MAX) {
            warn("%s: %d clones in a row ended before they were ready (status %d)", server.name, FAILURES_MAX, server.status);
            status = EXIT_OWN_FAILURE;
        }
        if (ends || status || is_idle())
            break;
    }
    close_listener();
    end_members();
    return status;
}

static void watch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    server.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    server.touched = memfd_create("touched", MFD_CLOEXEC);
    if (server.signals < 0 || server.touched < 0 || pipe2(server.news, O_NONBLOCK | O_CLOEXEC) < 0)
        fail(EXIT_OWN_FAILURE, "can't watch the pool: %s", strerror(errno));
}

/* `--NAME VALUE` or `--NAME=VALUE`: the value, and *at moves on; NULL: another word. */
static const char *value_of(char **words, size_t *at, const char *name)
{
    size_t size = strlen(name);
    if (strncmp(words[*at], name, size) != 0 || (words[*at][size] && words[*at][size] != '='))
        return NULL;
    if (words[*at][size])
        return words[*at] + size + 1;
    if (!words[*at + 1])
        fail(EXIT_OWN_FAILURE, "%s: needs a value", name);
    return words[++*at];
}

static uint64_t number_of(const char *text, const char *name, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || !value || value > most)
        fail(EXIT_OWN_FAILURE, "%s %s: expected a number from 1 to %llu", name, text, (unsigned long long)most);
    return value;
}

static void read_words(char **words)
{
    size_t used = 0;
    for (size_t i = 0; words[i]; i++) {
        const char *value;
        if ((value = value_of(words, &i, "--pool")))
            server.pool = number_of(value, "--pool", MEMBERS_MAX);
        else if ((value = value_of(words, &i, "--most")))
            server.most = number_of(value, "--most", MEMBERS_MAX);
        else if ((value = value_of(words, &i, "--socket")))
            server.path = value;
        else if ((value = value_of(words, &i, "--idle"))) {
            if (!duration_read(value, &server.idle))
                fail(EXIT_OWN_FAILURE, "--idle %s: expected seconds, or a time such as 10s, 5m, 2h", value);
        } else {
            server.options[used++] = words[i];
        }
    }
}

int serve_main(int argc, char **argv)
{
    static const char usage[] = "usage: pal-run serve NAME --socket PATH [--pool N] [--most N] [--idle TIME] [options]";
    if (argc < 2 || argv[1][0] == '-')
        fail(EXIT_OWN_FAILURE, "%s", usage);
    server.name = argv[1];
    server.options = must_allocate((size_t)argc * sizeof *server.options);
    server.pool = 4;
    read_words(argv + 2);
    if (!server.path)
        fail(EXIT_OWN_FAILURE, "%s", usage);
    if (!server.most)
        server.most = server.pool > MOST_DEFAULT ? server.pool : MOST_DEFAULT;
    if (server.pool > server.most)
        fail(EXIT_OWN_FAILURE, "--pool %llu is more than --most %llu", (unsigned long long)server.pool, (unsigned long long)server.most);
    server.members = must_allocate(server.most * sizeof *server.members);
    snapshot_must_hold(server.name);
    watch_signals();
    open_listener();
    return serve();
}
