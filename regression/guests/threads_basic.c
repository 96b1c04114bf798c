/* SPDX-License-Identifier: MIT */
/* Threads: create, join, thread-local storage, mutexes, conditions, ids. */
#include "check.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static __thread long local;

static void *work(void *argument)
{
    long self = (long)argument;
    CHECK(local == 0);
    CHECK(syscall(SYS_gettid) != getpid());
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        local++;
    }
    CHECK(local == ROUNDS);
    pthread_mutex_lock(&lock);
    while (turn != self)
        pthread_cond_wait(&changed, &lock);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return (void *)(self * 2);
}

static void *nothing(void *argument)
{
    return argument;
}

int main(void)
{
    pthread_t threads[THREADS];
    CHECK(syscall(SYS_gettid) == getpid());
    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0);
        CHECK((long)result == i * 2);
    }
    CHECK(counter == THREADS * ROUNDS && turn == THREADS);
    for (long i = 0; i < 500; i++) {
        void *result;
        CHECK(pthread_create(&threads[0], NULL, nothing, (void *)i) == 0);
        CHECK(pthread_join(threads[0], &result) == 0 && (long)result == i);
    }
    return 0;
}
