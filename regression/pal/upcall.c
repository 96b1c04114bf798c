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
    CHECK(tcb()->exception.signal == SIGSEGV && tcb()->exception.address == 0x20dead0);
    CHECK(tcb()->exception.trap == 14 && !(tcb()->exception.error & 2));
    CHECK(tcb()->saved.rip == (uint64_t)guest_load_at && tcb()->saved.rsi == 0x20dead0 && tcb()->saved.rcx == MARK);
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

/* What thread_set was given is in the block, wherever the host's own register has got to meanwhile. */
static int thread_pointer_kept(void)
{
    uint64_t word = 0x5a5a, seen;
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, (uint64_t)&word, 0, 0) == 0 && tcb()->fs_base == (uint64_t)&word);
    for (int i = 0; i < 100; i++) {
        PAL->thread_yield();
        sleep_until(now() + MS / 10);
        __asm__ volatile("mov %%fs:0, %0" : "=r"(seen));
        CHECK(seen == word && tcb()->fs_base == (uint64_t)&word);
    }
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0)
        PAL->process_exit(tcb()->fs_base == (uint64_t)&word ? 0 : 1);
    CHECK(reap(child) == 0);
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 1ull << 63, 0, 0) == -EPERM && tcb()->fs_base == (uint64_t)&word);
    if (boot->capabilities & PAL_KEEPS_POINTER) {
        __asm__ volatile("rdfsbase %0" : "=r"(seen));
        CHECK(seen == (uint64_t)&word);
        __asm__ volatile("wrfsbase %0" : : "r"((uint64_t)&seen));
        PAL->thread_yield();
        __asm__ volatile("rdfsbase %0" : "=r"(word));
        CHECK(word == (uint64_t)&seen);
    }
    CHECK(PAL->thread_set(PAL_THREAD_POINTER, 0, 0, 0) == 0 && tcb()->fs_base == 0);
    return 0;
}

/* ---- Vector state ---- */

struct vectors {
    uint64_t xmm[16][2];
    uint32_t mxcsr;
    uint16_t control, reserved;
};

/* The test's own functions use general registers only. */
#define EACH_XMM(do)                                                                                                   \
    do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14) do(15)
static void vectors_load(const struct vectors *from)
{
#define LOAD(n) __asm__ volatile("movdqu %0, %%xmm" #n : : "m"(from->xmm[n]));
    EACH_XMM(LOAD)
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(from->mxcsr), "m"(from->control));
}

static void vectors_store(struct vectors *to)
{
#define STORE(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(to->xmm[n]));
    EACH_XMM(STORE)
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(to->mxcsr), "=m"(to->control));
}

/* Calls of each sort: of memory, that wait, that move bytes, that make objects, that take time from the host. */
static void calls_of_all_sorts(void)
{
    pal_handle_t ends[2], child;
    uint64_t time;
    char bytes[64];
    struct pal_attributes attributes;
    PAL->memory_commit(SCRATCH, PAL_PAGE_SIZE, PAL_READ | PAL_WRITE, 0);
    PAL->memory_protect(SCRATCH, PAL_PAGE_SIZE, PAL_READ);
    PAL->memory_release(SCRATCH, PAL_PAGE_SIZE);
    if (PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0) {
        put(ends[1], "abc", 3);
        get(ends[0], bytes, 3);
        PAL->attributes_get(ends[0], NULL, &attributes, NULL);
        PAL->handle_close(ends[0]);
        PAL->handle_close(ends[1]);
    }
    PAL->clock_get(PAL_CLOCK_REALTIME, &time);
    PAL->clock_get(PAL_CLOCK_THREAD_CPU, &time);
    PAL->random((uint64_t)bytes, sizeof bytes);
    sleep_until(now() + MS);
    PAL->thread_yield();
    child = (pal_handle_t)PAL->process_fork(0);
    if (child == 0)
        PAL->process_exit(0);
    reap(child);
}

static int vectors_kept(void)
{
    static struct vectors before, after;
    for (size_t i = 0; i < COUNT_OF(before.xmm); i++)
        before.xmm[i][0] = before.xmm[i][1] = MARK * (i + 1);
    before.mxcsr = 0x7f80; /* rounds towards zero */
    before.control = 0x0f7f;
    vectors_load(&before);
    calls_of_all_sorts();
    vectors_store(&after);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    const struct vectors clean = {.mxcsr = 0x1f80, .control = 0x37f};
    vectors_load(&clean);
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
    {"the thread pointer lasts, and the block tells it", thread_pointer_kept},
    {"calls leave vector state as it is", vectors_kept},
    {"clocks", clocks},
    {"random bytes", random_bytes},
    {NULL, NULL},
};
