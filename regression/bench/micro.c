/* SPDX-License-Identifier: MIT */
/* Times single system calls from inside: prints `name nanoseconds`, medians over batches.  micro [NAME...] */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 21 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int zero, null, file, ring[2], back[2];
static char self[4096], byte;

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
RAW(read_file, SYS_read, file, &byte, 0 * lseek(file, 0, SEEK_SET) + 1)
RAW(pread_file, SYS_pread64, file, &byte, 1, 0)

static void do_stat(void)
{
    struct stat st;
    stat("/usr/bin/env", &st);
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
        execl(self, "micro", "--exit", (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}
static void do_pipe(void)
{
    if (write(ring[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
        abort();
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
static void handler(int signal)
{
    (void)signal;
}
static void do_signal(void)
{
    raise(SIGUSR1);
}

static const struct row {
    const char *name;
    void (*run)(void);
    int count;
} rows[] = {
    {"getpid", do_getpid, 20000}, {"getppid", do_getppid, 20000}, {"gettid", do_gettid, 20000}, {"brk(0)", do_brk, 20000},
    {"sigprocmask", do_sigprocmask, 20000}, {"sigaction", do_sigaction, 20000}, {"umask", do_umask, 20000},
    {"read /dev/zero", do_read_zero, 20000}, {"write /dev/null", do_write_null, 20000}, {"pread file", do_pread_file, 10000},
    {"lseek+read file", do_read_file, 10000}, {"stat", do_stat, 3000}, {"open+close", do_open_close, 1000},
    {"clock_gettime", do_clock_gettime, 20000}, {"mmap+touch+munmap", do_mmap, 1000}, {"fork+exit", do_fork_exit, 20},
    {"fork+exec", do_fork_exec, 10}, {"pipe round trip", do_pipe, 500}, {"thread create+join", do_thread, 100},
    {"signal to self", do_signal, 2000},
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct row *row)
{
    double times[BATCHES];
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
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--exit"))
        return 0;
    snprintf(self, sizeof self, "%s", argv[0]);
    zero = open("/dev/zero", O_RDONLY);
    null = open("/dev/null", O_WRONLY);
    file = open("/etc/os-release", O_RDONLY);
    signal(SIGUSR1, handler);
    if (pipe(ring) || pipe(back))
        return 1;
    pid_t echo = fork();
    if (echo == 0) {
        close(ring[1]);
        close(back[0]);
        while (read(ring[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            continue;
        _exit(0);
    }
    close(ring[0]);
    close(back[1]);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        int wanted = argc == 1;
        for (int a = 1; a < argc; a++)
            wanted |= !strcmp(argv[a], rows[i].name);
        if (wanted)
            measure(&rows[i]);
    }
    close(ring[1]);
    waitpid(echo, NULL, 0);
    return 0;
}
