/* SPDX-License-Identifier: MIT */
/* futex_waitv(2): values, wakes by each of the words, of this process's and of a child, timeouts, signals, errors. */
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 128, U32 = 2, PRIVATE = 128, WAITV = 449 };
struct word { uint64_t value, address; uint32_t flags, reserved; };

static uint32_t own[WORDS], *common;
static struct word words[WORDS + 1];
static volatile sig_atomic_t signals;

static long waitv(unsigned count, unsigned flags, const struct timespec *timeout, int clock)
{
    return syscall(WAITV, words, count, flags, timeout, clock);
}

static long wake(uint32_t *word, int flags)
{
    return syscall(SYS_futex, word, FUTEX_WAKE | flags, 1, NULL, NULL, 0);
}

/* Odd words are of memory that processes share. */
static uint32_t *word_at(unsigned i)
{
    return i % 2 ? &common[i] : &own[i];
}

static void prepare(void)
{
    for (unsigned i = 0; i <= WORDS; i++)
        words[i] = (struct word){0, (uintptr_t)word_at(i % WORDS), U32 | (i % 2 ? 0 : PRIVATE), 0};
}

static void *wakes(void *which)
{
    unsigned i = (unsigned)(long)which;
    uint32_t *word = word_at(i);
    while (!wake(word, i % 2 ? 0 : FUTEX_PRIVATE_FLAG)) /* it does not wait yet */
        usleep(1000);
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void woken_by_each(void)
{
    static const unsigned which[] = {0, 1, 62, 63, 127};
    for (unsigned i = 0; i < sizeof which / sizeof *which; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, wakes, (void *)(long)which[i]) == 0);
        CHECK(waitv(WORDS, 0, NULL, 0) == (long)which[i]);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_FAILS(waitv(WORDS, 0, NULL, 0), EAGAIN);
        *word_at(which[i]) = 0;
    }
}

/* The child sees the words elsewhere. */
static void woken_by_child(void)
{
    int status;
    pid_t child = fork();
    if (!child) {
        uint32_t *moved = mremap(common, 0, 4096, MREMAP_MAYMOVE);
        while (!wake(&moved[7], 0))
            usleep(1000);
        __atomic_store_n(&moved[7], 5, __ATOMIC_SEQ_CST);
        _exit(moved != common ? 0 : 1);
    }
    CHECK(waitv(WORDS, 0, NULL, 0) == 7);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    common[7] = 0;
}

static void note(int signal)
{
    signals += signal == SIGALRM;
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void timeouts_and_signals(void)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    struct timespec at, bad = {0, 1000000000};
    for (int i = 0; i < 2; i++) {
        double start = now(clocks[i]);
        clock_gettime(clocks[i], &at);
        at.tv_nsec += 30000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        CHECK_FAILS(waitv(3, 0, &at, clocks[i]), ETIMEDOUT);
        CHECK(now(clocks[i]) - start >= 0.029);
        CHECK_FAILS(waitv(3, 0, &at, clocks[i]), ETIMEDOUT);
    }
    CHECK_FAILS(waitv(3, 0, &bad, CLOCK_MONOTONIC), EINVAL);
    CHECK_FAILS(waitv(3, 0, &at, CLOCK_BOOTTIME), EINVAL);
    CHECK_FAILS(waitv(3, 0, (void *)16, CLOCK_MONOTONIC), EFAULT);
    struct sigaction action = {.sa_handler = note};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    alarm(1);
    CHECK_FAILS(waitv(3, 0, NULL, 0), EINTR);
    CHECK(signals == 1);
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    alarm(1);
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += 2;
    CHECK_FAILS(waitv(3, 0, &at, CLOCK_MONOTONIC), ETIMEDOUT);
    CHECK(signals == 2);
}

static void errors(void)
{
    CHECK_FAILS(waitv(0, 0, NULL, 0), EINVAL);
    CHECK_FAILS(waitv(WORDS + 1, 0, NULL, 0), EINVAL);
    CHECK_FAILS(waitv(1, 1, NULL, 0), EINVAL);
    CHECK_FAILS(syscall(WAITV, NULL, 1, 0, NULL, 0), EINVAL);
    CHECK_FAILS(syscall(WAITV, 16, 1, 0, NULL, 0), EFAULT);
    words[1].flags = 0;
    CHECK_FAILS(waitv(2, 0, NULL, 0), EINVAL);
    words[1].flags = U32 | 64;
    CHECK_FAILS(waitv(2, 0, NULL, 0), EINVAL);
    prepare();
    words[1].reserved = 1;
    CHECK_FAILS(waitv(2, 0, NULL, 0), EINVAL);
    prepare();
    words[1].address += 2;
    CHECK_FAILS(waitv(2, 0, NULL, 0), EINVAL);
    words[1].address = 16;
    CHECK_FAILS(waitv(2, 0, NULL, 0), EFAULT);
    prepare();
    words[2].value = 3;
    CHECK_FAILS(waitv(3, 0, NULL, 0), EAGAIN);
    prepare();
}

int main(void)
{
    common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prepare();
    CHECK(common != MAP_FAILED);
    errors();
    timeouts_and_signals();
    woken_by_each();
    woken_by_child();
    return 0;
}
