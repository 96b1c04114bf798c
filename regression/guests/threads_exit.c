/* SPDX-License-Identifier: MIT */
/* Ends: the main thread leaves first; exit_group while others run, wait, or create threads; detached threads; a robust
 * mutex whose owner is gone. */
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *later(void *argument)
{
    usleep(20000);
    exit((int)(long)argument);
}

static void *forever(void *argument)
{
    for (volatile long i = 0;; i++)
        ;
    return argument;
}

static void *blocked(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *brief(void *argument)
{
    return argument;
}

static void *breeder(void *argument)
{
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, brief, NULL) == 0)
            pthread_detach(thread);
    }
    return argument;
}

static void *leaves_last(void *argument)
{
    usleep(10000);
    syscall(SYS_exit, 3);
    return argument;
}

static int status_of(void (*body)(void))
{
    int status;
    pid_t child = fork();
    if (!child) {
        body();
        _exit(99);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void start(void *(*body)(void *), long argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, (void *)argument) == 0);
}

static void main_leaves_first(void)
{
    start(later, 11);
    pthread_exit(NULL);
}

static void all_leave(void)
{
    start(leaves_last, 0);
    syscall(SYS_exit, 5); /* its process ends with the last one's status */
}

static void exits_amid(void)
{
    start(forever, 0);
    start(blocked, 0);
    start(breeder, 0);
    usleep(10000);
    _exit(12);
}

static void *take(void *mutex)
{
    CHECK(pthread_mutex_lock(mutex) == 0);
    return NULL;
}

static pthread_mutex_t *robust_new(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(mutex != MAP_FAILED);
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    CHECK(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    CHECK(pthread_mutex_init(mutex, &attributes) == 0);
    return mutex;
}

static void robust(void)
{
    pthread_mutex_t *mutex = robust_new();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, take, mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_mutex_lock(mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(mutex) == 0);
    CHECK(pthread_mutex_unlock(mutex) == 0);
    pid_t child = fork();
    if (!child) {
        take(mutex);
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(pthread_mutex_lock(mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(mutex) == 0);
    CHECK(pthread_mutex_unlock(mutex) == 0);
}

int main(void)
{
    int status = status_of(main_leaves_first);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 11);
    status = status_of(all_leave);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    for (int i = 0; i < 10; i++) {
        status = status_of(exits_amid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 12);
    }
    robust();
    return 0;
}
