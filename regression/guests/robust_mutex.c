/* SPDX-License-Identifier: MIT */
/* Robust mutexes, shared between processes: the owner exits, is killed, execs; a thread ends. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

struct box { pthread_mutex_t mutex; volatile int held; };

static struct box *box;

static void make(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    CHECK(!pthread_mutexattr_setpshared(&attributes, 1) &&
          !pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
    CHECK(!pthread_mutex_init(&box->mutex, &attributes));
    box->held = 0;
}

static void hold(void)
{
    CHECK(pthread_mutex_lock(&box->mutex) == 0);
    box->held = 1;
}

static void found_dead(void)
{
    CHECK(pthread_mutex_lock(&box->mutex) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&box->mutex) == 0 && pthread_mutex_unlock(&box->mutex) == 0);
    CHECK(pthread_mutex_lock(&box->mutex) == 0 && pthread_mutex_unlock(&box->mutex) == 0);
    box->held = 0;
}

enum way { EXITS, KILLED, ABORTS, EXECS };

static void owner_goes(enum way way, int while_waiting)
{
    pid_t child = fork();
    if (child == 0) {
        hold();
        if (while_waiting)
            usleep(50000);
        if (way == EXECS)
            execl("/bin/true", "true", NULL);
        if (way == ABORTS)
            raise(SIGTERM);
        while (way == KILLED)
            pause();
        _exit(0);
    }
    while (!box->held)
        usleep(100);
    if (way == KILLED) {
        if (while_waiting && fork() == 0) { /* somebody else kills it while we wait */
            usleep(20000);
            kill(child, SIGKILL);
            _exit(0);
        }
        if (!while_waiting)
            kill(child, SIGKILL);
    }
    if (!while_waiting)
        CHECK(waitpid(child, NULL, 0) == child);
    found_dead();
    while (wait(NULL) > 0)
        ;
}

static void *thread(void *unused)
{
    hold();
    return unused;
}

static void thread_goes(void)
{
    pthread_t id;
    CHECK(pthread_create(&id, NULL, thread, NULL) == 0 && pthread_join(id, NULL) == 0);
    found_dead();
}

static void not_recovered(void)
{
    pid_t child = fork();
    if (child == 0) {
        hold();
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(pthread_mutex_lock(&box->mutex) == EOWNERDEAD && pthread_mutex_unlock(&box->mutex) == 0);
    CHECK(pthread_mutex_lock(&box->mutex) == ENOTRECOVERABLE);
}

int main(void)
{
    box = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(box != MAP_FAILED);
    make();
    for (int way = EXITS; way <= EXECS; way++)
        for (int waiting = 0; waiting < 2; waiting++)
            owner_goes((enum way)way, waiting);
    thread_goes();
    not_recovered();
    return 0;
}
