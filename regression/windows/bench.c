/* SPDX-License-Identifier: MIT */
/* What a guest's calls cost, in microseconds: the same program on any host. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int file, ends[2];
static char bytes[64];
static long moved; /* nobody asks */

static void getppid_once(void)
{
    moved += syscall(SYS_getppid);
}

static void read_once(void)
{
    moved += pread(file, bytes, sizeof bytes, 0);
}

static void open_once(void)
{
    close(open("/etc/passwd", O_RDONLY));
}

static void stat_once(void)
{
    struct stat status;
    moved += stat("/etc/passwd", &status);
}

static void pipe_once(void)
{
    moved += write(ends[1], bytes, 1);
    moved += read(ends[0], bytes, 1);
}

static void *nothing(void *argument)
{
    return argument;
}

static void thread_once(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) == 0)
        pthread_join(thread, NULL);
}

static void fork_once(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void measure(const char *name, int count, void (*once)(void))
{
    double begin = now();
    for (int i = 0; i < count; i++)
        once();
    printf("| %s | %.3f |\n", name, (now() - begin) / count);
    fflush(stdout);
}

int main(void)
{
    file = open("/etc/passwd", O_RDONLY);
    if (file < 0 || pipe(ends) < 0)
        return 1;
    measure("getppid", 1000000, getppid_once);
    measure("read of 64 bytes", 2000, read_once);
    measure("open and close", 500, open_once);
    measure("stat", 500, stat_once);
    measure("a byte through a pipe", 1000, pipe_once);
    measure("thread, begun and joined", 200, thread_once);
    measure("fork and wait", 20, fork_once);
    return 0;
}
