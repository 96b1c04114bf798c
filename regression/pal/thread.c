/* SPDX-License-Identifier: MIT */
/* Threads, wait and wake. */
#include "regression/pal/suite.h"

#define STACK 32768u
#define STORM 2000

static struct worker {
    struct pal_tcb tcb;
    uint32_t alive;
    char stack[STACK] __attribute__((aligned(16)));
} workers[WORKERS];

int64_t worker_start(uint32_t index, void (*entry)(void *), void *argument)
{
    struct worker *worker = &workers[index];
    pal_handle_t id;
    memset(&worker->tcb, 0, sizeof worker->tcb);
    worker->tcb.libos_stack = (uint64_t)(worker->stack + STACK);
    worker->tcb.libos[5] = (uint64_t)&worker->alive;
    worker->alive = 1;
    return PAL->thread_create(&worker->tcb, entry, argument, &id);
}

int64_t worker_join(uint32_t index)
{
    uint32_t *alive = &workers[index].alive;
    while (__atomic_load_n(alive, __ATOMIC_ACQUIRE)) {
        int64_t error = PAL->wait((uint64_t)alive, 1, now() + PATIENCE, 1);
        if (error == -ETIMEDOUT)
            return error;
        if (error == -EINTR)
            tcb()->interrupted = 0;
    }
    return 0;
}

struct pal_tcb *worker_tcb(uint32_t index)
{
    return &workers[index].tcb;
}

void worker_leave(void)
{
    PAL->thread_exit((uint32_t *)tcb()->libos[5], tcb()->libos[5]);
}

static uint64_t seen_tcb, seen_fs, seen_field, seen_stack;

static void look_around(void *argument)
{
    uint64_t here = (uint64_t)&here;
    seen_tcb = tcb()->self == (uint64_t)tcb() ? tcb()->self : 0; /* which may be another place than was given */
    seen_stack = here;
    __asm__ volatile("rdfsbase %0" : "=r"(seen_fs));
    seen_field = tcb()->fs_base;
    *(uint64_t *)argument = 77;
    worker_leave();
}

static int beginning(void)
{
    uint64_t argument = 0;
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 0x1000, 0, 0) == 0);
    CHECK(worker_start(0, look_around, &argument) == 0);
    CHECK(worker_join(0) == 0);
    CHECK(argument == 77 && seen_fs == 0 && seen_field == 0 && seen_tcb != (uint64_t)tcb());
    CHECK(seen_stack < workers[0].tcb.libos_stack && seen_stack > workers[0].tcb.libos_stack - 512);
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 0, 0, 0) == 0);
    return 0;
}

static uint32_t sequences[8] __attribute__((aligned(32))); /* struct rseq: the second word is the processor */

static int restartable(void)
{
    const uint64_t area = (uint64_t)sequences;
    if (PAL->thread_set(PAL_THREAD_SEQUENCES, area + 4, sizeof sequences, 1) == -ENOSYS)
        return SKIP;
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, area + 4, sizeof sequences, 1) == -EINVAL);
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, area, sizeof sequences, 1) == 0);
    CHECK(((volatile uint32_t *)sequences)[1] < boot->cpu_count);
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, area, sizeof sequences, 1) == -EBUSY);
    int64_t forked = PAL->process_fork(PAL_FORK_BARE);
    if (forked == 0) /* it has none */
        PAL->process_exit(PAL->thread_set(PAL_THREAD_SEQUENCES, area, sizeof sequences, 1) != 0);
    CHECK(forked > 0 && reap(forked) == 0);
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, area, sizeof sequences, 1) == -EBUSY);
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, 0, 0, 0) == 0 && sequences[1] == UINT32_MAX);
    CHECK(PAL->thread_set(PAL_THREAD_SEQUENCES, 0, 0, 0) == 0);
    CHECK(PAL->thread_set(99, 0, 0, 0) == -EINVAL);
    return 0;
}

static uint64_t guest_result;

static void call_guest(void *argument)
{
    guest_result = guest_call(guest_syscall) + guest_call(guest_load);
    (void)argument;
    worker_leave();
}

/* A new thread's upcalls work from its first guest instruction. */
static int upcalls(void)
{
    if (!(boot->capabilities & PAL_CAN_TRAP))
        return SKIP;
    CHECK(worker_start(0, call_guest, NULL) == 0 && worker_join(0) == 0);
    CHECK(guest_result == 4711 + 2);
    return 0;
}

static void count(void *argument)
{
    __atomic_fetch_add((uint32_t *)argument, 1, __ATOMIC_RELAXED);
    worker_leave();
}

/* Many threads, one after another and in groups: all of them leave, and their memory can be used again at once. */
static int storm(void)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < STORM; i += WORKERS) {
        for (uint32_t w = 0; w < WORKERS; w++)
            CHECK(worker_start(w, count, &total) == 0);
        for (uint32_t w = 0; w < WORKERS; w++)
            CHECK(worker_join(w) == 0);
    }
    CHECK(total == STORM);
    return 0;
}

static void ping(void *argument)
{
    uint32_t *word = argument;
    for (uint32_t turn = 0; turn < 1000; turn++) {
        while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 2 * turn)
            PAL->wait((uint64_t)word, 2 * turn, PAL_FOREVER, 0);
        __atomic_store_n(word, 2 * turn + 2, __ATOMIC_RELEASE);
        PAL->wake((uint64_t)word, 1, 0);
    }
    worker_leave();
}

static int wait_wake(void)
{
    uint32_t word = 0;
    CHECK(worker_start(0, ping, &word) == 0);
    for (uint32_t turn = 0; turn < 1000; turn++) {
        __atomic_store_n(&word, 2 * turn + 1, __ATOMIC_RELEASE);
        PAL->wake((uint64_t)&word, 1, 0);
        while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == 2 * turn + 1)
            PAL->wait((uint64_t)&word, 2 * turn + 1, PAL_FOREVER, 0);
    }
    CHECK(worker_join(0) == 0 && word == 2000);
    return 0;
}

static int wait_errors(void)
{
    uint32_t word = 1;
    uint64_t begin = now();
    CHECK(PAL->wait((uint64_t)&word, 2, PAL_FOREVER, 0) == -EAGAIN);
    CHECK(PAL->wait((uint64_t)&word, 1, begin + 20 * MS, 0) == -ETIMEDOUT);
    CHECK(now() >= begin + 20 * MS && now() < begin + PATIENCE);
    CHECK(PAL->wait((uint64_t)&word, 1, 0, 0) == -ETIMEDOUT); /* a deadline that has passed */
    CHECK(PAL->wait(0x1000, 1, PAL_FOREVER, 0) == -EFAULT);
    CHECK(PAL->wake((uint64_t)&word, 1, 0) >= 0);
    return 0;
}

/* Between picoprocesses, in the shared segment. */
static int wait_shared(void)
{
    uint32_t *word = (uint32_t *)SHARED_SCRATCH;
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        sleep_until(now() + 10 * MS);
        __atomic_store_n(word, 1, __ATOMIC_RELEASE);
        PAL->wake((uint64_t)word, 1, 1);
        PAL->process_exit(0);
    }
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0) {
        CHECK(PAL->wait((uint64_t)word, 0, now() + PATIENCE, 1) != -ETIMEDOUT);
        tcb()->interrupted = 0;
    }
    CHECK(reap(child) == 0);
    return 0;
}

static int yield(void)
{
    PAL->thread_yield();
    return 0;
}

const struct test thread_tests[] = {
    {"a thread begins with its block, its stack and no thread pointer", beginning},
    {"restartable sequences", restartable},
    {"upcalls in a created thread", upcalls},
    {"threads come and go", storm},
    {"wait and wake", wait_wake},
    {"wait: other value, deadline, bad address", wait_errors},
    {"wait and wake between picoprocesses", wait_shared},
    {"yield", yield},
    {NULL, NULL},
};
