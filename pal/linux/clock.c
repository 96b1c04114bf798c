/* SPDX-License-Identifier: MIT */
/* Clocks, by the host's vDSO where it serves them, and random bytes. */
#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

/* The vDSO is host code outside the PAL's text: in_host tells the handlers so. */
static int64_t vdso_clock(uint32_t clock, struct host_timespec *now)
{
    struct pal_tcb *tcb = current_tcb();
    int64_t (*clock_gettime)(int64_t, struct host_timespec *) =
        (int64_t(*)(int64_t, struct host_timespec *))shared->boot.clock_gettime;
    __atomic_store_n(&tcb->in_host, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    int32_t error = (int32_t)clock_gettime(clock, now);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&tcb->in_host, 0, __ATOMIC_RELAXED);
    return error;
}

static int64_t own_clock(uint32_t clock, uint64_t *out_ns)
{
    struct host_timespec now;
    int64_t error = host_call(clock_gettime, (int32_t)clock, &now);
    if (error == 0)
        *out_ns = (uint64_t)now.seconds * NS_PER_SECOND + (uint64_t)now.nanoseconds;
    return error;
}

/* whole * a / b for a <= b, but for the last bits of large ones: nothing here divides 128 bits. */
static uint64_t part(uint64_t whole, uint64_t a, uint64_t b)
{
    uint64_t quotient = whole / b, rest = whole % b, all = quotient * a;
    while (b >> 32) {
        rest >>= 1;
        a >>= 1;
        b >>= 1;
    }
    return all + rest * a / b;
}

/* As the kernel splits what it knows exactly by what it has sampled. */
static int64_t user_time(uint32_t clock, uint64_t *out_ns)
{
    uint32_t own = LINUX_OWN_CLOCK | (clock == PAL_CLOCK_THREAD_USER ? LINUX_OWN_THREAD : 0);
    uint64_t both = 0, user = 0, exact; /* the sum is read after its part */
    uint32_t whole = clock == PAL_CLOCK_THREAD_USER ? PAL_CLOCK_THREAD_CPU : PAL_CLOCK_PROCESS_CPU;
    int64_t error = linux_clock_get(whole, &exact);
    if (error == 0)
        error = own_clock(own | LINUX_OWN_USER, &user);
    if (error == 0)
        error = own_clock(own, &both);
    if (error < 0)
        return error;
    *out_ns = both ? part(exact, user, both) : exact;
    return 0;
}

int64_t linux_clock_get(uint32_t clock, uint64_t *out_ns)
{
    struct host_timespec now;
    if (clock == PAL_CLOCK_PROCESS_USER || clock == PAL_CLOCK_THREAD_USER)
        return user_time(clock, out_ns);
    int raw = clock == PAL_CLOCK_PROCESS_CPU || clock == PAL_CLOCK_THREAD_CPU || clock > PAL_CLOCK_TAI ||
              !shared->boot.clock_gettime;
    if (clock > LINUX_CLOCK_MAX)
        return -EINVAL;
    int64_t error = raw ? host_call(clock_gettime, clock, &now) : vdso_clock(clock, &now);
    if (error < 0)
        return error;
    *out_ns = (uint64_t)now.seconds * NS_PER_SECOND + (uint64_t)now.nanoseconds;
    return 0;
}

uint64_t clock_now(void)
{
    uint64_t now = 0;
    linux_clock_get(PAL_CLOCK_MONOTONIC, &now);
    return now;
}

int64_t linux_random(uint64_t buffer, uint64_t size)
{
    while (size) {
        int64_t some = host_call(getrandom, buffer, size, 0);
        if (some == -EINTR)
            continue;
        if (some < 0)
            return some;
        buffer += (uint64_t)some;
        size -= (uint64_t)some;
    }
    return 0;
}
