/* SPDX-License-Identifier: MIT */
/*
 * Threads under stress: created and joined from several threads at once, detached ones, mutexes and conditions among
 * them, exit of the process and exec in the middle of it all, fork from one while others come and go.
 */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double end;

static void *adds(void *argument)
{
    atomic_fetch_add((atomic_long *)argument, 1);
    return argument;
}

/* ---- Create and join --------------------------------------------------------------------------------------------- */

static void *creates(void *argument)
{
    atomic_long count = 0;
    long made = 0;
    for (; made < 500 && now() < end; made++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, adds, &count) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == &count);
    }
    CHECK(count == made);
    return argument;
}

static void *creates_detached(void *argument)
{
    pthread_attr_t detached;
    atomic_long *count = argument;
    long made = 0;
    CHECK(pthread_attr_init(&detached) == 0 && pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
    for (; made < 300 && now() < end; made++) {
        pthread_t thread;
        while (made - *count > 20)
            usleep(100);
        CHECK(pthread_create(&thread, &detached, adds, count) == 0);
    }
    while (*count < made)
        usleep(100);
    return NULL;
}

static void come_and_go(void)
{
    pthread_t threads[4], other;
    static atomic_long count;
    end = now() + 0.6;
    CHECK(pthread_create(&other, NULL, creates_detached, &count) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, creates, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_join(other, NULL) == 0);
}

/* ---- Mutex and condition ----------------------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, rounds;

static void *takes_turns(void *argument)
{
    int mine = (int)(long)argument;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    while (rounds < 600) {
        if (turn != mine) {
            CHECK(pthread_cond_wait(&changed, &mutex) == 0);
            continue;
        }
        turn = (turn + 1) % 3;
        rounds++;
        CHECK(pthread_cond_broadcast(&changed) == 0);
    }
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    return NULL;
}

static void turns(void)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, takes_turns, (void *)i) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(rounds >= 600);
}

/* ---- The process ends, forks or execs among them ----------------------------------------------------------------- */

static void *for_ever(void *argument)
{
    for (;;) {
        pthread_t thread;
        atomic_long count = 0;
        if (pthread_create(&thread, NULL, adds, &count) == 0)
            pthread_join(thread, NULL);
    }
    return argument;
}

static void crowd(void)
{
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, for_ever, NULL) == 0);
    }
    usleep(1000);
}

static void expect(pid_t child, int code)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void ends_in_a_crowd(void)
{
    double until = now() + 0.5;
    for (int i = 0; i < 15 && now() < until; i++) {
        pid_t child = fork();
        if (!child) {
            crowd();
            _exit(i);
        }
        expect(child, i);
    }
}

static void execs_in_a_crowd(void)
{
    double until = now() + 0.6;
    for (int i = 0; i < 15 && now() < until; i++) {
        pid_t child = fork();
        if (!child) {
            crowd();
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        expect(child, 0);
    }
}

static void forks_in_a_crowd(void)
{
    pid_t outer = fork();
    if (!outer) {
        crowd();
        double until = now() + 0.5;
        for (int i = 0; i < 60 && now() < until; i++) {
            pid_t child = fork();
            if (!child) {
                pthread_t thread;
                atomic_long count = 0;
                CHECK(pthread_create(&thread, NULL, adds, &count) == 0 && pthread_join(thread, NULL) == 0);
                _exit(count == 1 ? 7 : 8);
            }
            expect(child, 7);
        }
        _exit(0);
    }
    expect(outer, 0);
}

int main(void)
{
    alarm(60);
    come_and_go();
    turns();
    ends_in_a_crowd();
    execs_in_a_crowd();
    forks_in_a_crowd();
    return 0;
}
