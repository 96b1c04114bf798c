/* SPDX-License-Identifier: MIT */
/* /proc of another process: state, arguments, links, descriptors, memory, threads, times; process 1. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static char text[1 << 20];

/* Its size, or -1. */
static long slurp(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    long size = 0, more;
    while ((more = read(fd, text + size, sizeof text - 1 - (size_t)size)) > 0)
        size += more;
    CHECK(more == 0 || errno == ESRCH);
    text[size] = 0;
    close(fd);
    return size;
}

static char state_of(pid_t pid)
{
    CHECK(slurp(pid, "stat") > 0);
    return strrchr(text, ')')[2];
}

static bool comes_to(pid_t pid, char state)
{
    for (int i = 0; i < 2000 && state_of(pid) != state; i++)
        usleep(1000);
    return state_of(pid) == state;
}

static long status_row(pid_t pid, const char *name)
{
    CHECK(slurp(pid, "status") > 0);
    char *found = strstr(text, name);
    CHECK(found);
    return strtol(found + strlen(name) + 1, NULL, 10);
}

static const char *link_of(pid_t pid, const char *name)
{
    static char target[PATH_MAX];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    ssize_t size = readlink(path, target, sizeof target - 1);
    CHECK(size > 0);
    target[size] = 0;
    return target;
}

static void states(void)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    CHECK(comes_to(child, 'S'));
    CHECK(slurp(child, "status") > 0 && strstr(text, "\nState:\tS (sleeping)\n"));
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child);
    CHECK(comes_to(child, 'T'));
    CHECK(slurp(child, "cmdline") > 0 && slurp(child, "maps") > 0); /* one that is stopped answers, too */
    CHECK(kill(child, SIGCONT) == 0 && waitpid(child, &status, WCONTINUED) == child);
    CHECK(comes_to(child, 'S'));
    CHECK(kill(child, SIGKILL) == 0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(state_of(child) == 'Z' && slurp(child, "cmdline") == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(slurp(child, "stat") == -1);
    child = fork();
    if (child == 0)
        for (;;)
            ;
    CHECK(comes_to(child, 'R'));
    unsigned long long user = 0;
    for (int i = 0; i < 500 && user < 5; i++) {
        usleep(10000);
        CHECK(slurp(child, "stat") > 0);
        CHECK(sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu", &user) == 1);
    }
    CHECK(user >= 5); /* ticks */
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

/* What a program was started with: the child is this program, see main. */
static void program(void)
{
    int pipes[2];
    char byte, expected[] = "\0--wait\0one two\0", *self = realpath("/proc/self/exe", NULL);
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(chdir("/usr") == 0 && dup2(pipes[1], 7) == 7);
        struct rlimit limit = {123, 456};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        execle(self, "the name", "--wait", "one two", NULL, (char *[]){"HOME=/nowhere", "X=Y", NULL});
        _exit(1);
    }
    CHECK(read(pipes[0], &byte, 1) == 1);
    CHECK(slurp(child, "cmdline") == 8 + (long)sizeof expected - 1);
    CHECK(!memcmp(text, "the name", 8) && !memcmp(text + 8, expected, sizeof expected - 1));
    CHECK(slurp(child, "environ") == 18 && !memcmp(text, "HOME=/nowhere\0X=Y", 18));
    CHECK(!strcmp(link_of(child, "exe"), self) && !strcmp(link_of(child, "cwd"), "/usr"));
    CHECK(!strcmp(link_of(child, "root"), "/") && !strncmp(link_of(child, "fd/7"), "pipe:[", 6));
    CHECK(slurp(child, "maps") > 0 && strstr(text, self) && strstr(text, "[stack]"));
    CHECK(slurp(child, "smaps") > 0 && strstr(text, "\nRss:") && slurp(child, "auxv") > 0);
    CHECK(slurp(child, "limits") > 0 && strstr(text, "Max open files            123                  456 "));
    CHECK(slurp(child, "fdinfo/7") > 0 && strstr(text, "flags:\t01"));
    CHECK(slurp(child, "mounts") > 0 && slurp(child, "mountinfo") > 0);
    CHECK(slurp(child, "comm") > 0 && !strcmp(text, "proc_other\n"));
    struct stat ours, theirs;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/7", child);
    CHECK(fstat(pipes[1], &ours) == 0 && stat(path, &theirs) == 0);
    CHECK(ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
    snprintf(path, sizeof path, "/proc/%d/cwd/lib", child);
    CHECK(stat(path, &theirs) == 0 && stat("/usr/lib", &ours) == 0 && ours.st_ino == theirs.st_ino);
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", child);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && write(fd, "321\n", 4) == 4 && close(fd) == 0);
    CHECK(slurp(child, "oom_score_adj") > 0 && !strcmp(text, "321\n"));
    snprintf(path, sizeof path, "/proc/%d/fd", child);
    DIR *directory = opendir(path);
    bool seen = false;
    CHECK(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        seen |= !strcmp(entry->d_name, "7");
    closedir(directory);
    CHECK(seen);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    close(pipes[0]);
    close(pipes[1]);
}

/* What is touched counts, not what is mapped. */
static void memory(void)
{
    int steps[2], told[2];
    char byte = 0;
    CHECK(pipe(steps) == 0 && pipe(told) == 0);
    pid_t child = fork();
    if (child == 0) {
        char *area = mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(area != MAP_FAILED);
        CHECK(write(told[1], &byte, 1) == 1 && read(steps[0], &byte, 1) == 1);
        memset(area, 1, 32 << 20);
        CHECK(write(told[1], &byte, 1) == 1 && read(steps[0], &byte, 1) == 1);
        _exit(0);
    }
    CHECK(read(told[0], &byte, 1) == 1);
    long before = status_row(child, "\nVmRSS:"), size = status_row(child, "\nVmSize:");
    CHECK(before > 0 && before < 200000 && size > 1 << 20);
    CHECK(write(steps[1], &byte, 1) == 1 && read(told[0], &byte, 1) == 1);
    long after = status_row(child, "\nVmRSS:"), pages;
    CHECK(after - before > 30000 && after - before < 60000);
    CHECK(status_row(child, "\nRssAnon:") > 32000 && status_row(child, "\nVmHWM:") >= after);
    CHECK(slurp(child, "statm") > 0 && sscanf(text, "%*d %ld", &pages) == 1 && pages > 8000 && pages < 60000);
    CHECK(slurp(child, "stat") > 0);
    CHECK(write(steps[1], &byte, 1) == 1 && waitpid(child, NULL, 0) == child);
    struct rusage used;
    CHECK(getrusage(RUSAGE_CHILDREN, &used) == 0 && used.ru_maxrss > 32000 && used.ru_maxrss < 300000);
}

static void *thread_named(void *argument)
{
    prctl(PR_SET_NAME, "a thread");
    CHECK(write(*(int *)argument, "", 1) == 1);
    for (;;)
        pause();
}

static void threads(void)
{
    int told[2];
    char byte, path[64];
    CHECK(pipe(told) == 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        for (int i = 0; i < 3; i++)
            CHECK(pthread_create(&thread, NULL, thread_named, &told[1]) == 0);
        pthread_join(thread, NULL);
    }
    for (int i = 0; i < 3; i++)
        CHECK(read(told[0], &byte, 1) == 1);
    CHECK(status_row(child, "\nThreads:") == 4);
    snprintf(path, sizeof path, "/proc/%d/task", child);
    DIR *directory = opendir(path);
    CHECK(directory);
    int count = 0, named = 0, sleeping = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(path, sizeof path, "task/%.16s/comm", entry->d_name);
        CHECK(slurp(child, path) > 0);
        named += !strcmp(text, "a thread\n");
        snprintf(path, sizeof path, "task/%.16s/stat", entry->d_name);
        for (int i = 0; i < 1000; i++) {
            CHECK(slurp(child, path) > 0);
            if (strrchr(text, ')')[2] == 'S')
                break;
            usleep(1000);
        }
        sleeping += strrchr(text, ')')[2] == 'S';
        CHECK(atoi(text) == atoi(entry->d_name));
    }
    closedir(directory);
    CHECK(count == 4 && named == 3 && sleeping == 4);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

static void init(void)
{
    CHECK(getpgid(1) >= 0 && getsid(1) >= 0);
    CHECK(slurp(1, "stat") > 0 && !strncmp(text, "1 (", 3));
    CHECK(slurp(1, "comm") > 1 && slurp(1, "status") > 0);
    CHECK(kill(1, 0) == 0 || errno == EPERM);
    DIR *directory = opendir("/proc");
    bool seen = false;
    CHECK(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        seen |= !strcmp(entry->d_name, "1");
    closedir(directory);
    CHECK(seen);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--wait")) {
        CHECK(write(7, "", 1) == 1);
        for (;;)
            pause();
    }
    states();
    program();
    memory();
    threads();
    init();
    return 0;
}
