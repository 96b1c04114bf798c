/* SPDX-License-Identifier: MIT */
/* execve in a threaded process, from the main thread and from another: the pid stays, the other threads go. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char pid_text[16];

static void *spin(void *argument)
{
    for (volatile long i = 0;; i++)
        ;
    return argument;
}

static void *sleeper(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *execs(void *argument)
{
    usleep(5000);
    execl("/proc/self/exe", "exec_threads", "again", pid_text, (char *)NULL);
    _exit(90);
    return argument;
}

static int run(int from_thread)
{
    pid_t child = fork();
    int status;
    if (!child) {
        pthread_t thread;
        snprintf(pid_text, sizeof pid_text, "%d", (int)getpid());
        signal(SIGUSR1, SIG_IGN);
        for (int i = 0; i < 3; i++) {
            CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
            CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
        }
        if (!from_thread)
            execs(NULL);
        CHECK(pthread_create(&thread, NULL, execs, NULL) == 0);
        sleeper(NULL);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "again")) {
        CHECK(getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid());
        struct sigaction action;
        CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
        return 44;
    }
    for (int i = 0; i < 6; i++) {
        int status = run(i % 2);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 44);
    }
    return 0;
}
