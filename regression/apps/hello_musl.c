/* SPDX-License-Identifier: MIT */
/* Built with musl-gcc -static: threads, files, signals as that libc does them. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int total;
static volatile sig_atomic_t got;

static void *work(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        total += *(int *)argument;
        pthread_mutex_unlock(&lock);
    }
    return argument;
}

static void handler(int signal)
{
    got = signal;
}

int main(void)
{
    pthread_t threads[4];
    int one = 1;
    struct stat st;
    struct timespec t;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, &one);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(6);
    int status;
    waitpid(pid, &status, 0);
    printf("%d %d %d %d %d\n", total, got == SIGUSR1, WEXITSTATUS(status), stat("/etc/os-release", &st) == 0,
           clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    FILE *pipe = popen("echo through a shell", "r");
    char line[64];
    if (pipe && fgets(line, sizeof line, pipe))
        fputs(line, stdout);
    return pipe ? pclose(pipe) : 1;
}
