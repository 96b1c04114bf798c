/* SPDX-License-Identifier: MIT */
/* Locks in shared memory: exclusion between threads and picoprocesses, and the death of the holder. */
#include "regression/pal/suite.h"

#define ROUNDS 20000

struct guarded {
    struct pal_mutex mutex, second, third;
    volatile uint64_t count;
    uint32_t ready;
};

static struct guarded *guarded(void)
{
    return (struct guarded *)SHARED_SCRATCH;
}

static void add_many(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        PAL->lock(&guarded()->mutex);
        guarded()->count = guarded()->count + 1;
        PAL->unlock(&guarded()->mutex);
    }
}

static void add_in_thread(void *argument)
{
    (void)argument;
    add_many();
    worker_leave();
}

static int threads(void)
{
    CHECK(worker_start(0, add_in_thread, NULL) == 0 && worker_start(1, add_in_thread, NULL) == 0);
    add_many();
    CHECK(worker_join(0) == 0 && worker_join(1) == 0);
    CHECK(guarded()->count == 3 * ROUNDS && guarded()->mutex.word == 0);
    return 0;
}

static int processes(void)
{
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    add_many();
    if (child == 0)
        PAL->process_exit(0);
    CHECK(reap(child) == 0);
    CHECK(guarded()->count == 2 * ROUNDS);
    return 0;
}

/* Several at once, let go in any order. */
static int several(void)
{
    struct guarded *g = guarded();
    CHECK(PAL->lock(&g->mutex) == 0 && PAL->lock(&g->second) == 0 && PAL->lock(&g->third) == 0);
    PAL->unlock(&g->second);
    PAL->unlock(&g->third);
    CHECK(PAL->lock(&g->second) == 0);
    PAL->unlock(&g->mutex);
    PAL->unlock(&g->second);
    CHECK(!g->mutex.word && !g->second.word && !g->third.word);
    return 0;
}

/* The holder ends with three locks taken and one let go, while another waits for one of them. */
static int holder_dies(void)
{
    struct guarded *g = guarded();
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        PAL->lock(&g->mutex);
        PAL->lock(&g->second);
        PAL->lock(&g->third);
        PAL->unlock(&g->second);
        __atomic_store_n(&g->ready, 1, __ATOMIC_RELEASE);
        PAL->wake((uint64_t)&g->ready, 1, 1);
        sleep_until(now() + 20 * MS);
        PAL->process_exit(0);
    }
    while (!__atomic_load_n(&g->ready, __ATOMIC_ACQUIRE))
        PAL->wait((uint64_t)&g->ready, 0, PAL_FOREVER, 1);
    CHECK(PAL->lock(&g->mutex) == -EOWNERDEAD);
    CHECK(PAL->lock(&g->second) == 0);
    CHECK(PAL->lock(&g->third) == -EOWNERDEAD);
    PAL->unlock(&g->mutex);
    PAL->unlock(&g->second);
    PAL->unlock(&g->third);
    CHECK(PAL->lock(&g->mutex) == 0); /* told once */
    PAL->unlock(&g->mutex);
    CHECK(reap(child) == 0);
    return 0;
}

static void die_holding(void *argument)
{
    PAL->lock(argument);
    worker_leave();
}

/* A thread alone dies; and one that is killed outright. */
static int thread_dies(void)
{
    CHECK(worker_start(0, die_holding, &guarded()->mutex) == 0 && worker_join(0) == 0);
    CHECK(PAL->lock(&guarded()->mutex) == -EOWNERDEAD);
    PAL->unlock(&guarded()->mutex);
    return 0;
}

static int holder_killed(void)
{
    struct guarded *g = guarded();
    for (int i = 0; i < 20; i++) {
        __atomic_store_n(&g->ready, 0, __ATOMIC_RELEASE);
        int64_t child = PAL->process_fork(0);
        CHECK(child >= 0);
        while (child == 0) { /* taking and letting go, until it is killed at some instruction of it */
            PAL->lock(&g->second);
            __atomic_store_n(&g->ready, 1, __ATOMIC_RELEASE);
            PAL->unlock(&g->second);
        }
        while (!__atomic_load_n(&g->ready, __ATOMIC_ACQUIRE))
            PAL->thread_yield();
        CHECK(PAL->process_interrupt((uint64_t)child, 1) == 0);
        reap(child);
        int64_t result = PAL->lock(&g->second);
        CHECK(result == 0 || result == -EOWNERDEAD);
        PAL->unlock(&g->second);
    }
    return 0;
}

const struct test lock_tests[] = {
    {"locks exclude threads", threads},
    {"locks exclude picoprocesses", processes},
    {"several locks, in any order", several},
    {"the holder's end is told to who waits", holder_dies},
    {"a thread that ends is a holder that died", thread_dies},
    {"a holder killed at any instruction leaves a lock that can be taken", holder_killed},
    {NULL, NULL},
};
