/* SPDX-License-Identifier: MIT */
/*
 * Processes under stress, each part for about half a second: forks from several threads that allocate meanwhile,
 * children killed at any moment, waits that race, trees of processes, vfork whose exec fails.  What is checked: that
 * nothing hangs, no status is lost or told twice, and no child is left over.
 */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
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
static atomic_int stop;

static void no_children(void)
{
    CHECK_FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
}

/* ---- Threads fork while others hold the C library's and the libOS's locks ---------------------------------------- */

static void *allocates(void *argument)
{
    while (!stop) {
        char *block = malloc(200000); /* by mmap */
        block[0] = 1;
        free(block);
        int fd = dup(0);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    return argument;
}

static void *forks(void *argument)
{
    int status, n = (int)(long)argument;
    for (int i = 0; i < 200 && now() < end; i++) {
        pid_t child = fork();
        if (!child) {
            char *block = malloc(100000); /* none of the locks that others held is held here */
            block[1] = 1;
            free(block);
            _exit((n * 16 + i) & 0x7f);
        }
        CHECK(child > 0);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == ((n * 16 + i) & 0x7f));
    }
    return NULL;
}

static void from_threads(void)
{
    pthread_t busy, forking[4];
    stop = 0;
    end = now() + 0.6;
    CHECK(pthread_create(&busy, NULL, allocates, NULL) == 0);
    for (long i = 0; i < 4; i++)
        CHECK(pthread_create(&forking[i], NULL, forks, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(forking[i], NULL) == 0);
    stop = 1;
    CHECK(pthread_join(busy, NULL) == 0);
    no_children();
}

/* ---- kill -9, at any moment -------------------------------------------------------------------------------------- */

static void busy_child(void)
{
    for (;;) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        if (child > 0)
            waitpid(child, NULL, 0);
        sched_yield();
    }
}

static void killed(void)
{
    unsigned seed = 12345;
    int status;
    end = now() + 0.8;
    for (int i = 0; i < 60 && now() < end; i++) {
        pid_t child = fork();
        if (!child)
            busy_child();
        CHECK(child > 0);
        seed = seed * 1103515245 + 12345;
        usleep(seed >> 16 & 0xfff);
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        CHECK_FAILS(kill(child, 0), ESRCH);
    }
    no_children();
}

/* ---- Several threads wait for any child: each status goes to exactly one ----------------------------------------- */

static atomic_int reaped, sum;

static void *waits(void *argument)
{
    for (;;) {
        int status;
        pid_t child = wait(&status);
        if (child < 0) {
            CHECK(errno == ECHILD);
            if (stop)
                return argument;
            sched_yield();
            continue;
        }
        CHECK(WIFEXITED(status));
        reaped++;
        sum += WEXITSTATUS(status);
    }
}

static void racing_waits(void)
{
    pthread_t threads[3];
    int made = 0, expected = 0;
    stop = reaped = sum = 0;
    end = now() + 0.5;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, waits, NULL) == 0);
    for (; made < 150 && now() < end; made++) {
        pid_t child = fork();
        if (!child)
            _exit(made % 100);
        CHECK(child > 0);
        expected += made % 100;
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(reaped == made && sum == expected);
    no_children();
}

/* ---- A storm: a tree of processes, whose inner ones wait for theirs -------------------------------------------- */

static int tree(int depth)
{
    int count = 1, status;
    for (int i = 0; depth && i < 3; i++) {
        pid_t child = fork();
        if (!child)
            _exit(tree(depth - 1));
        if (child < 0)
            _exit(127);
    }
    while (wait(&status) > 0)
        count += WIFEXITED(status) ? WEXITSTATUS(status) : 100;
    return count;
}

static void storm(void)
{
    CHECK(tree(4) == 1 + 3 + 9 + 27 + 81);
    no_children();
}

/* ---- vfork, exec that fails, spawn that fails -------------------------------------------------------------------- */

static volatile int seen;

static void failing_exec(void)
{
    char *const arguments[] = {"none", NULL}, *const none[] = {NULL};
    int status;
    pid_t child;
    end = now() + 0.4;
    for (int i = 0; i < 100 && now() < end; i++) {
        child = vfork();
        if (!child) {
            execve("/nonexistent", arguments, none);
            seen = errno;
            _exit(3);
        }
        CHECK(child > 0 && seen == ENOENT); /* the child shared this memory */
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
        CHECK(posix_spawn(&child, "/nonexistent", NULL, NULL, arguments, none) == ENOENT);
        seen = 0;
    }
    no_children();
}

static void *vforks(void *argument)
{
    char *const arguments[] = {"true", NULL}, *const none[] = {NULL};
    int status;
    for (int i = 0; i < 20 && now() < end; i++) {
        pid_t child;
        CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, none) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return argument;
}

static void spawn_from_threads(void)
{
    pthread_t threads[3];
    end = now() + 0.6;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, vforks, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    no_children();
}

int main(void)
{
    alarm(60);
    from_threads();
    killed();
    racing_waits();
    storm();
    failing_exec();
    spawn_from_threads();
    return 0;
}
