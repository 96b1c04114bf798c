/* SPDX-License-Identifier: MIT */
/* futex(2): values, timeouts, requeue, wake-op, priority inheritance, shared across processes, errors. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long futex(void *word, int op, unsigned value, const struct timespec *timeout, void *word2, unsigned value3)
{
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned word, word2, done;

static void *waiter(void *op)
{
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0)
        futex(&word, (int)(long)op, 0, NULL, NULL, FUTEX_BITSET_MATCH_ANY);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void wakes(void)
{
    static const long ops[] = {FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE};
    pthread_t threads[4];
    word = done = 0;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, waiter, (void *)ops[i % 2]) == 0);
    usleep(20000);
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    long woken = 0;
    for (int tries = 0; woken < 4 && tries < 100; tries++) {
        woken += futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        if (__atomic_load_n(&done, __ATOMIC_SEQ_CST) == 4)
            break;
        usleep(1000);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0) == 0);
}

static void *requeued(void *unused)
{
    futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    return unused;
}

static void requeues(void)
{
    pthread_t threads[3];
    word = word2 = done = 0;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, requeued, NULL) == 0);
    usleep(20000);
    CHECK_FAILS(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &word2, 7), EAGAIN);
    long found = 0; /* on a busy machine some come late */
    for (int tries = 0; found < 3 && tries < 1000; tries++) {
        found += futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &word2, 0);
        usleep(1000);
    }
    CHECK(found == 3);
    for (int i = 0; i < 100 && __atomic_load_n(&done, __ATOMIC_SEQ_CST) < 3; i++) {
        futex(&word2, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
        usleep(1000);
    }
    CHECK(done == 3);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void timeouts(void)
{
    struct timespec soon = {0, 20000000}, bad = {0, 1000000000}, at;
    word = 0;
    double start = now();
    CHECK_FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK(now() - start >= 0.019);
    CHECK_FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 1, &soon, NULL, 0), EAGAIN);
    CHECK_FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0), EINVAL);
    for (int realtime = 0; realtime < 2; realtime++) {
        clock_gettime(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, &at);
        at.tv_nsec += 20000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        int op = FUTEX_WAIT_BITSET_PRIVATE | (realtime ? FUTEX_CLOCK_REALTIME : 0);
        start = now();
        CHECK_FAILS(futex(&word, op, 0, &at, NULL, 1), ETIMEDOUT);
        CHECK(now() - start >= 0.018);
        CHECK_FAILS(futex(&word, op, 0, &at, NULL, 1), ETIMEDOUT);
    }
}

static void operations(void)
{
    word = 1;
    word2 = 5;
    unsigned add = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5), andn = FUTEX_OP(FUTEX_OP_ANDN, 8, FUTEX_OP_CMP_GT, 5);
    CHECK(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, add) == 0);
    CHECK(word2 == 8);
    CHECK(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, andn) == 0);
    CHECK(word2 == 0);
    CHECK_FAILS(futex((char *)&word + 1, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(futex(NULL, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
    CHECK_FAILS(futex(&word, 77, 0, NULL, NULL, 0), ENOSYS);
}

static void *locks_pi(void *mutex)
{
    for (int i = 0; i < 200; i++) {
        CHECK(pthread_mutex_lock(mutex) == 0);
        word2++;
        if (i % 20 == 0)
            usleep(100);
        CHECK(pthread_mutex_unlock(mutex) == 0);
    }
    return NULL;
}

static void priority_inheritance(void)
{
    pthread_t threads[3];
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    word2 = 0;
    CHECK(pthread_mutexattr_init(&attributes) == 0);
    CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutex_init(&mutex, &attributes) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, locks_pi, &mutex) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(word2 == 600);
}

static void between_processes(void)
{
    unsigned *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t child = fork();
    if (!child) {
        for (unsigned i = 0; i < 500; i++) {
            while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == 2 * i)
                futex(shared, FUTEX_WAIT, 2 * i, NULL, NULL, 0);
            __atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
            futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
        _exit(0);
    }
    for (unsigned i = 0; i < 500; i++) {
        __atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
        futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
        while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == 2 * i + 1)
            futex(shared, FUTEX_WAIT, 2 * i + 1, NULL, NULL, 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0 && *shared == 1000);
}

int main(void)
{
    wakes();
    requeues();
    timeouts();
    operations();
    priority_inheritance();
    between_processes();
    return 0;
}
