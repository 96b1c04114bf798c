/* SPDX-License-Identifier: MIT */
/*
 * Times single calls and pairs of calls from inside: prints `name nanoseconds`, medians over batches.
 * micro [--armed] [NAME...]: just those rows; micro --list: their names.  --armed: under Syscall User Dispatch and a
 * filter, both of which let everything through: what the kernel takes for the wall, whoever builds it.  Each row sets up
 * what it needs, so a process that measures one row has nothing of the others.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 21, MIB = 1 << 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(int good)
{
    if (!good) {
        perror("micro");
        exit(1);
    }
}

static char byte;

/* ---- Calls that never wait --------------------------------------------------------------------------------------- */

static int zero, null, file;

static void set_up_zero(void)
{
    must((zero = open("/dev/zero", O_RDONLY)) >= 0);
}
static void set_up_null(void)
{
    must((null = open("/dev/null", O_WRONLY)) >= 0);
}
static void set_up_read(void)
{
    must((file = open("/etc/os-release", O_RDONLY)) >= 0);
}
/* In the current folder: a host's file, not the guest's private /tmp. */
static void set_up_write(void)
{
    char name[64];
    snprintf(name, sizeof name, "micro.%d", getpid());
    must((file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && unlink(name) == 0);
}

/* Long enough for each byte to be read once. */
static void set_up_read_on(void)
{
    set_up_write();
    must(ftruncate(file, 10000 * (BATCHES + 1)) == 0);
}

/* Answers that pal-run sent ahead of the start hold for a few seconds.  What counts is after those. */
static void set_up_names(void)
{
    static int waited;
    if (!waited++)
        sleep(5);
}

#define RAW(name, ...) static void do_##name(void) { syscall(__VA_ARGS__); }
RAW(getpid, SYS_getpid)
RAW(getppid, SYS_getppid)
RAW(gettid, SYS_gettid)
RAW(brk, SYS_brk, 0)
RAW(sigprocmask, SYS_rt_sigprocmask, SIG_BLOCK, NULL, NULL, 8)
RAW(sigaction, SYS_rt_sigaction, SIGUSR2, NULL, NULL, 8)
RAW(umask, SYS_umask, 022)
RAW(read_zero, SYS_read, zero, &byte, 1)
RAW(write_null, SYS_write, null, &byte, 1)
RAW(read_file, SYS_read, file, &byte, 1)
RAW(seek_read_file, SYS_read, file, &byte, 0 * lseek(file, 0, SEEK_SET) + 1)
RAW(pread_file, SYS_pread64, file, &byte, 1, 0)
RAW(write_file, SYS_write, file, &byte, 1)
RAW(pwrite_file, SYS_pwrite64, file, &byte, 1, 0)

static void do_stat(void)
{
    struct stat st;
    stat("/usr/bin/env", &st);
}
static void do_stat_absent(void)
{
    struct stat st;
    stat("/usr/bin/no-such-program", &st);
}
static void do_readlink(void)
{
    char text[256];
    if (readlink("/etc/os-release", text, sizeof text) < 0)
        return;
}
static void do_access(void)
{
    access("/usr/bin/env", X_OK);
}
static void do_open_absent(void)
{
    open("/etc/no-such-file", O_RDONLY);
}
static void do_open_close(void)
{
    close(open("/etc/os-release", O_RDONLY));
}
static void do_clock_gettime(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
}
static void do_mmap(void)
{
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *p = 1;
    munmap(p, 65536);
}

static void handler(int signal)
{
    (void)signal;
}
static void set_up_signal(void)
{
    signal(SIGUSR1, handler);
}
static void do_signal(void)
{
    raise(SIGUSR1);
}

/* ---- Processes and threads --------------------------------------------------------------------------------------- */

extern char **environ;

static void touch(size_t size, int huge)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(p != MAP_FAILED);
    if (huge)
        madvise(p, size, MADV_HUGEPAGE); /* where the host has such */
    memset(p, 1, size);
}
static void set_up_10_mib(void)
{
    touch(10 * MIB, 0);
}
static void set_up_1_gib(void)
{
    touch(1024ul * MIB, 0);
}
static void set_up_huge(void)
{
    touch(1024ul * MIB, 1);
}
static void do_fork_exit(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}
static void do_fork_exec(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}
static void do_spawn(void)
{
    static char name[] = "true", *arguments[] = {name, NULL};
    pid_t pid;
    must(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) == 0);
    waitpid(pid, NULL, 0);
}

static void *thread(void *argument)
{
    return argument;
}
static void do_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
}

/* ---- Two that take turns ------------------------------------------------------------------------------------------ */

/* The other process ends with this one: at the end of file, or by the signal. */
static pid_t other;
static int there[2], back[2];

static void set_up_pipe(void)
{
    must(pipe(there) == 0 && pipe(back) == 0 && (other = fork()) >= 0);
    if (other == 0) {
        close(there[1]);
        close(back[0]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            continue;
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
}
static void do_pipe(void)
{
    must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
}

/* ---- Network ------------------------------------------------------------------------------------------------------ */

#define REQUEST 64
enum { ECHOES = 'e', TAKES = 't' };

/* What peers do with a connection, which its first byte says. */
static void serve_connection(int fd)
{
    static char bytes[1 << 17];
    ssize_t size;
    if (read(fd, &byte, 1) == 1)
        while ((size = read(fd, bytes, sizeof bytes)) > 0)
            if (byte == ECHOES && write(fd, bytes, (size_t)size) != size)
                break;
    close(fd);
}

static int bound(int type, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && (type == SOCK_DGRAM || listen(fd, 1000) == 0));
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    must(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    return ntohs(at.sin_port);
}

static void serve_datagrams(int fd)
{
    static char bytes[1 << 16];
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (got >= 0)
            sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, size);
    }
}

/* On the host, for guests: both at one port, which is printed. */
static void serve(void)
{
    int fd = bound(SOCK_STREAM, 0), datagrams = bound(SOCK_DGRAM, port_of(fd));
    signal(SIGCHLD, SIG_IGN);
    printf("%d\n", port_of(fd));
    fflush(stdout);
    if (!fork())
        serve_datagrams(datagrams);
    for (;;) {
        int connection = accept(fd, NULL, NULL);
        if (!fork()) {
            close(fd);
            serve_connection(connection);
            _exit(0);
        }
        close(connection);
    }
}

static int peer_port, line;

static int connected(int type, char what)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0), one = 1;
    must(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    if (type == SOCK_STREAM) {
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
        must(write(fd, &what, 1) == 1);
    }
    return fd;
}

/* The peer is a process beside this one; or the host's, at BENCH_PORT. */
static void set_up_peer(int type, char what, int outside)
{
    if (outside) {
        must(getenv("BENCH_PORT") != NULL);
        peer_port = atoi(getenv("BENCH_PORT"));
    } else {
        int fd = bound(type, 0);
        peer_port = port_of(fd);
        must((other = fork()) >= 0);
        if (other == 0 && type == SOCK_DGRAM)
            serve_datagrams(fd);
        while (other == 0)
            serve_connection(accept(fd, NULL, NULL));
        close(fd);
    }
    if (what)
        line = connected(type, what);
}

static void set_up_echo(void) { set_up_peer(SOCK_STREAM, ECHOES, 0); }
static void set_up_sink(void) { set_up_peer(SOCK_STREAM, TAKES, 0); }
static void set_up_udp(void) { set_up_peer(SOCK_DGRAM, ECHOES, 0); }
static void set_up_server(void) { set_up_peer(SOCK_STREAM, 0, 0); }
static void set_up_host_echo(void) { set_up_peer(SOCK_STREAM, ECHOES, 1); }
static void set_up_host_sink(void) { set_up_peer(SOCK_STREAM, TAKES, 1); }
static void set_up_host_udp(void) { set_up_peer(SOCK_DGRAM, ECHOES, 1); }
static void set_up_host_server(void) { set_up_peer(SOCK_STREAM, 0, 1); }

static char bulk[1 << 17];
static void do_request(void)
{
    must(write(line, bulk, REQUEST) == REQUEST && read(line, bulk, sizeof bulk) == REQUEST);
}
static void put(size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t done = write(line, bulk + at, size - at);
        must(done > 0);
        at += (size_t)done;
    }
}
static void do_1k(void) { put(1 << 10); }
static void do_16k(void) { put(1 << 14); }
static void do_128k(void) { put(1 << 17); }
static void do_connect(void)
{
    line = connected(SOCK_STREAM, ECHOES);
    do_request();
    close(line);
}

static atomic_int *turn, own_turn;
static int private_flag;

static void pass_turn(int from, int to)
{
    while (atomic_load(turn) != from)
        syscall(SYS_futex, turn, FUTEX_WAIT | private_flag, to, NULL, NULL, 0);
    atomic_store(turn, to);
    syscall(SYS_futex, turn, FUTEX_WAKE | private_flag, 1, NULL, NULL, 0);
}
static void *pass_back(void *unused)
{
    for (;;)
        pass_turn(1, 0);
    return unused;
}
static void set_up_futex_threads(void)
{
    pthread_t t;
    turn = &own_turn;
    private_flag = FUTEX_PRIVATE_FLAG;
    must(pthread_create(&t, NULL, pass_back, NULL) == 0);
}
static void set_up_futex_processes(void)
{
    turn = mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(turn != MAP_FAILED && (other = fork()) >= 0);
    if (other == 0)
        pass_back(NULL);
}
static void do_futex(void)
{
    pass_turn(0, 1);
    while (atomic_load(turn) != 0)
        syscall(SYS_futex, turn, FUTEX_WAIT | private_flag, 1, NULL, NULL, 0);
}

/* ---- The rows ------------------------------------------------------------------------------------------------------ */

static const struct row {
    const char *name;
    void (*run)(void);
    int count; /* in a batch */
    void (*set_up)(void);
} rows[] = {
    {"getpid", do_getpid, 20000, NULL},
    {"getppid", do_getppid, 20000, NULL},
    {"gettid", do_gettid, 20000, NULL},
    {"brk(0)", do_brk, 20000, NULL},
    {"sigprocmask", do_sigprocmask, 20000, NULL},
    {"sigaction", do_sigaction, 20000, NULL},
    {"umask", do_umask, 20000, NULL},
    {"read /dev/zero", do_read_zero, 20000, set_up_zero},
    {"write /dev/null", do_write_null, 20000, set_up_null},
    {"pread file", do_pread_file, 10000, set_up_read},
    {"read file", do_read_file, 10000, set_up_read_on},
    {"lseek+read file", do_seek_read_file, 10000, set_up_read},
    {"write file", do_write_file, 5000, set_up_write},
    {"pwrite file", do_pwrite_file, 5000, set_up_write},
    {"stat", do_stat, 3000, set_up_names},
    {"stat, absent", do_stat_absent, 3000, set_up_names},
    {"access", do_access, 3000, set_up_names},
    {"readlink", do_readlink, 3000, set_up_names},
    {"open+close", do_open_close, 1000, set_up_names},
    {"open, absent", do_open_absent, 1000, set_up_names},
    {"clock_gettime", do_clock_gettime, 20000, NULL},
    {"mmap+touch+munmap", do_mmap, 1000, NULL},
    {"signal to self", do_signal, 2000, set_up_signal},
    {"fork+exit", do_fork_exit, 20, NULL},
    {"fork+exit, 10 MiB touched", do_fork_exit, 20, set_up_10_mib},
    {"fork+exit, 1 GiB touched", do_fork_exit, 2, set_up_1_gib},
    {"fork+exit, 1 GiB in huge pages", do_fork_exit, 20, set_up_huge},
    {"fork+exec /bin/true", do_fork_exec, 10, NULL},
    {"posix_spawn /bin/true", do_spawn, 10, NULL},
    {"posix_spawn /bin/true, 1 GiB touched", do_spawn, 10, set_up_1_gib},
    {"thread create+join", do_thread, 100, NULL},
    {"futex turns, two threads", do_futex, 500, set_up_futex_threads},
    {"futex turns, two processes", do_futex, 500, set_up_futex_processes},
    {"pipe turns, two processes", do_pipe, 500, set_up_pipe},
    {"TCP turns, own loopback", do_request, 500, set_up_echo},
    {"UDP turns, own loopback", do_request, 500, set_up_udp},
    {"TCP write of 1 KiB, own loopback", do_1k, 5000, set_up_sink},
    {"TCP write of 16 KiB, own loopback", do_16k, 2000, set_up_sink},
    {"TCP write of 128 KiB, own loopback", do_128k, 300, set_up_sink},
    {"TCP connect+request+close, own loopback", do_connect, 200, set_up_server},
    {"TCP turns, host's", do_request, 500, set_up_host_echo},
    {"UDP turns, host's", do_request, 500, set_up_host_udp},
    {"TCP write of 1 KiB, host's", do_1k, 5000, set_up_host_sink},
    {"TCP write of 128 KiB, host's", do_128k, 300, set_up_host_sink},
    {"TCP connect+request+close, host's", do_connect, 200, set_up_host_server},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct row *row)
{
    double times[BATCHES];
    if (row->set_up)
        row->set_up();
    for (int i = 0; i < row->count; i++)
        row->run();
    for (int b = 0; b < BATCHES; b++) {
        double start = now();
        for (int i = 0; i < row->count; i++)
            row->run();
        times[b] = (now() - start) / row->count;
    }
    qsort(times, BATCHES, sizeof *times, compare);
    printf("%s\t%.1f\n", row->name, times[BATCHES / 2]);
    fflush(stdout);
    if (other > 0) {
        kill(other, SIGKILL);
        waitpid(other, NULL, 0);
        other = 0;
    }
}

/* The range from 0 on is let through without a trap.  The filter is constant: the kernel keeps its answers. */
static void arm(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 &&
         prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 1, 0x7fffffffffff, NULL) == 0);
}

int main(int argc, char **argv)
{
    int list = argc == 2 && !strcmp(argv[1], "--list");
    if (argc == 2 && !strcmp(argv[1], "--serve"))
        serve();
    if (argc > 1 && !strcmp(argv[1], "--armed")) {
        arm();
        argv++;
        argc--;
    }
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        int wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            wanted |= !strcmp(argv[a], rows[i].name);
        if (list)
            puts(rows[i].name);
        else if (wanted)
            measure(&rows[i]);
    }
    return 0;
}
