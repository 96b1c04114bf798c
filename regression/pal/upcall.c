/* SPDX-License-Identifier: MIT */
/* What the libOS is told at start, and the upcalls: system calls, exceptions, and faults that classify mends. */
#include "regression/pal/suite.h"

#define MARK 0x1234567887654321ull
#define FLAG_DIRECTION 0x400u
#define SIGILL 4
#define SIGTRAP 5
#define SIGFPE 8
#define SIGSEGV 11

static int start_facts(void)
{
    CHECK(PAL->abi_version == PAL_ABI_VERSION && PAL->count == PAL_CALL_COUNT);
    for (uint64_t call = 1; call <= PAL->count; call++)
        CHECK(((const uint64_t *)PAL)[call] != 0);
    CHECK(boot->abi_version == PAL_ABI_VERSION);
    CHECK(boot->granularity >= PAL_PAGE_SIZE && !(boot->granularity & (boot->granularity - 1)));
    CHECK(boot->shared_size && boot->shared_used <= boot->shared_size);
    CHECK(boot->cpu_count >= 1 && boot->host_process > 0);
    CHECK(tcb()->self == (uint64_t)tcb() && tcb()->libos_stack % 16 == 0);
    uint64_t here = (uint64_t)&here;
    CHECK(here < tcb()->libos_stack && here > tcb()->libos_stack - 65536);
    return 0;
}

/* All registers, flags and vector state arrive as the guest had them; the libOS's own flags are clean. */
static int syscall_trap(void)
{
    if (!(boot->capabilities & PAL_CAN_TRAP))
        return SKIP;
    for (int i = 0; i < 100; i++) {
        CHECK(guest_call(guest_syscall) == 4711);
        CHECK(trap_rcx == (uint64_t)guest_syscall_after);
        CHECK(trap_rax == 39);
        CHECK(trap_r11 & FLAG_DIRECTION);
        CHECK(!(trap_flags & FLAG_DIRECTION));
        CHECK(guest_flags_after & FLAG_DIRECTION);
        CHECK(trap_xmm7[0] == MARK && seen_xmm7[0] == MARK);
        CHECK(trap_rsp < tcb()->libos[1]);
    }
    return 0;
}

/* The 32-bit way in is no way in: it comes as a call that doesn't exist. */
static int syscall_int80(void)
{
    if (!(boot->capabilities & PAL_CAN_TRAP))
        return SKIP;
    CHECK(guest_call(guest_int80) == 4711);
    CHECK(trap_rax == UINT64_MAX);
    return 0;
}

static int exception_load(void)
{
    CHECK(guest_call(guest_load) == 2);
    CHECK(tcb()->exception.signal == SIGSEGV && tcb()->exception.address == 0xdead0);
    CHECK(tcb()->exception.trap == 14 && !(tcb()->exception.error & 2));
    CHECK(tcb()->saved.rip == (uint64_t)guest_load_at && tcb()->saved.rsi == 0xdead0 && tcb()->saved.rcx == MARK);
    CHECK(upcall_rsp == tcb()->libos_stack);
    CHECK(seen_xmm7[0] == MARK);
    return 0;
}

static int exception_kinds(void)
{
    CHECK(guest_call(guest_divide) == 2 && tcb()->exception.signal == SIGFPE && tcb()->exception.trap == 0);
    CHECK(guest_call(guest_illegal) == 2 && tcb()->exception.signal == SIGILL && tcb()->exception.trap == 6);
    CHECK(guest_call(guest_trap) == 2 && tcb()->exception.signal == SIGTRAP);
    CHECK(tcb()->saved.rip == (uint64_t)guest_trap_after);
    return 0;
}

static int exception_fixed(void)
{
    uint8_t byte = 7, other = 0;
    CHECK(copy_byte(&other, &byte) == 0 && other == 7);
    CHECK(copy_byte(&other, (const uint8_t *)0x1000) == -EFAULT);
    return 0;
}

static int thread_pointer(void)
{
    uint64_t word = 0x5a5a, seen;
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, (uint64_t)&word, 0, 0) == 0);
    __asm__ volatile("mov %%fs:0, %0" : "=r"(seen));
    CHECK(seen == word);
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 1ull << 63, 0, 0) == -EPERM);
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 0, 0, 0) == 0);
    return 0;
}

static int clocks(void)
{
    static const uint32_t ids[] = {PAL_CLOCK_REALTIME,        PAL_CLOCK_MONOTONIC,       PAL_CLOCK_PROCESS_CPU,
                                   PAL_CLOCK_THREAD_CPU,      PAL_CLOCK_MONOTONIC_RAW,   PAL_CLOCK_REALTIME_COARSE,
                                   PAL_CLOCK_MONOTONIC_COARSE, PAL_CLOCK_BOOT,           PAL_CLOCK_TAI,
                                   PAL_CLOCK_PROCESS_USER,     PAL_CLOCK_THREAD_USER};
    uint64_t first, second;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        CHECK(PAL->clock_get(ids[i], &first) == 0);
        CHECK(PAL->clock_get(ids[i], &second) == 0 && second >= first);
    }
    CHECK(PAL->clock_get(PAL_CLOCK_REALTIME, &first) == 0 && first > 1600000000ull * 1000 * MS);
    CHECK(PAL->clock_get(1000, &first) == -EINVAL);
    return 0;
}

static int random_bytes(void)
{
    static uint64_t a[512], b[512];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    CHECK(PAL->random((uint64_t)a, sizeof a) >= 0 && PAL->random((uint64_t)b, sizeof b) >= 0);
    CHECK(memcmp(a, b, sizeof a) && a[511] && b[511]);
    CHECK(PAL->random(0x1000, 8) == -EFAULT);
    return 0;
}

const struct test upcall_tests[] = {
    {"facts at start", start_facts},
    {"a system call of the guest becomes an upcall", syscall_trap},
    {"int 0x80 becomes an upcall without a number", syscall_int80},
    {"a bad load becomes an upcall", exception_load},
    {"divide, illegal and breakpoint become upcalls", exception_kinds},
    {"a fault in a copy is mended by classify", exception_fixed},
    {"the thread pointer is the guest's", thread_pointer},
    {"clocks", clocks},
    {"random bytes", random_bytes},
    {NULL, NULL},
};
