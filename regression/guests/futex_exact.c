/* SPDX-License-Identifier: MIT */
/* futex(2) by mask and by requeue: who is woken, who is moved and what is told, for private and for shared words. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define WAITERS 4

static uint32_t words[3];
static int mode; /* FUTEX_PRIVATE_FLAG or 0 */
static atomic_int asleep, awake[33];

static long futex(uint32_t *word, int op, uint32_t value, unsigned long value2, uint32_t *word2, uint32_t value3)
{
    return syscall(SYS_futex, word, op | mode, value, value2, word2, value3);
}

static void *wait_for_bits(void *argument)
{
    uint32_t bits = (uint32_t)(uintptr_t)argument;
    asleep++;
    CHECK(futex(&words[0], FUTEX_WAIT_BITSET, 0, 0, NULL, bits) == 0);
    awake[__builtin_ctz(bits)]++;
    return NULL;
}

static void start(pthread_t *threads, uint32_t same)
{
    asleep = 0;
    memset(awake, 0, sizeof(awake));
    for (int i = 0; i < WAITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_bits, (void *)(uintptr_t)(same ? same : 1u << i)) == 0);
    while (asleep < WAITERS)
        usleep(1000);
    usleep(50000); /* they sleep by now; where one does not, its mask is not met, or it is not counted */
}

static int count(void)
{
    int sum = 0;
    for (int i = 0; i < 33; i++)
        sum += awake[i];
    return sum;
}

/* Wakes until somebody was there: at most once. */
static void wake_one(uint32_t *word, uint32_t bits)
{
    for (int i = 0; i < 1000 && !futex(word, FUTEX_WAKE_BITSET, 1, 0, NULL, bits); i++)
        usleep(1000);
}

static void by_mask(void)
{
    pthread_t threads[WAITERS];
    CHECK_FAILS(futex(&words[0], FUTEX_WAKE_BITSET, 1, 0, NULL, 0), EINVAL);
    CHECK_FAILS(futex(&words[0], FUTEX_WAIT_BITSET, 0, 0, NULL, 0), EINVAL);
    start(threads, 0);
    CHECK(futex(&words[0], FUTEX_WAKE_BITSET, 10, 0, NULL, 0x80000010) == 0);
    wake_one(&words[0], 4);
    CHECK(pthread_join(threads[2], NULL) == 0);
    usleep(20000);
    CHECK(count() == 1 && awake[2] == 1);
    CHECK(futex(&words[0], FUTEX_WAKE_BITSET, 10, 0, NULL, 3) == 2);
    CHECK(futex(&words[0], FUTEX_WAKE, 10, 0, NULL, 0) == 1);
    for (int i = 0; i < WAITERS; i++)
        if (i != 2)
            pthread_join(threads[i], NULL);
    CHECK(count() == WAITERS);
}

static void by_requeue(void)
{
    pthread_t threads[WAITERS];
    for (int round = 0; round < 3; round++) {
        start(threads, 1);
        CHECK_FAILS(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 1, &words[1], 7), EAGAIN);
        CHECK(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 2, &words[1], 0) == 3); /* one woken, two moved */
        while (count() < 1)
            usleep(1000);
        usleep(20000);
        CHECK(count() == 1);
        CHECK(futex(&words[0], FUTEX_REQUEUE, 0, 10, &words[2], 0) == 1); /* as kernels have it, not as futex(2) */
        CHECK(futex(&words[0], FUTEX_WAKE, 10, 0, NULL, 0) == 0);
        CHECK(futex(&words[2], FUTEX_WAKE, 1, 0, NULL, 0) == 1);
        CHECK(futex(&words[2], FUTEX_WAKE, 1, 0, NULL, 0) == 0);
        CHECK(futex(&words[1], FUTEX_REQUEUE, 1, 1, &words[2], 0) == 2);
        CHECK(futex(&words[1], FUTEX_WAKE, 1, 0, NULL, 0) == 0);
        CHECK(futex(&words[2], FUTEX_WAKE, 1, 0, NULL, 0) == 1);
        for (int i = 0; i < WAITERS; i++)
            pthread_join(threads[i], NULL);
        CHECK(count() == WAITERS);
    }
}

/* A second word that nothing is mapped at. */
static void bad_words(void)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
    uint32_t *none = (uint32_t *)(void *)(pages + 4096), *kernel = (uint32_t *)0xffff800000000000;
    if (mode) {
        CHECK(futex(&words[0], FUTEX_REQUEUE, 1, 1, none, 0) == 0);
        CHECK(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 1, none, 0) == 0);
    } else {
        CHECK_FAILS(futex(&words[0], FUTEX_REQUEUE, 1, 1, none, 0), EFAULT);
        CHECK_FAILS(futex(&words[0], FUTEX_CMP_REQUEUE, 1, 1, none, 0), EFAULT);
    }
    CHECK_FAILS(futex(&words[0], FUTEX_REQUEUE, 1, 1, kernel, 0), EFAULT);
    CHECK_FAILS(futex(&words[0], FUTEX_REQUEUE, 1, 1, (uint32_t *)1, 0), EINVAL);
    CHECK_FAILS(futex(&words[0], FUTEX_REQUEUE, -1u, 1, &words[1], 0), EINVAL);
    CHECK_FAILS(futex(&words[0], FUTEX_REQUEUE, 1, -1u, &words[1], 0), EINVAL);
    CHECK_FAILS(futex(none, FUTEX_CMP_REQUEUE, 1, 1, &words[1], 0), EFAULT);
    CHECK_FAILS(futex(&words[0], FUTEX_WAKE_OP, 1, 1, none, 0), EFAULT);
    CHECK_FAILS(futex(&words[0], FUTEX_WAKE_OP, 1, 1, (uint32_t *)2, 0), EINVAL);
    munmap(pages, 4096);
}

int main(void)
{
    for (int shared = 0; shared < 2; shared++) {
        mode = shared ? 0 : FUTEX_PRIVATE_FLAG;
        by_mask();
        by_requeue();
        bad_words();
    }
    return 0;
}
