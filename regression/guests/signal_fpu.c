/* SPDX-License-Identifier: MIT */
/* A handler begins with x87, SSE and AVX state as a new program has it; what it leaves there is gone behind it. */
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

struct state { uint32_t mxcsr; uint16_t control, tag; uint64_t xmm0, xmm15; };

static struct state found;
static uint64_t saved_xmm0;
static uint32_t saved_mxcsr;

static void look(struct state *out)
{
    struct { uint16_t control, r1, status, r2, tag, r3, rest[8]; } environment;
    __asm__ volatile("movq %%xmm0, %0\n movq %%xmm15, %1\n stmxcsr %2\n fnstenv %3\n fldenv %3"
                     : "=m"(out->xmm0), "=m"(out->xmm15), "=m"(out->mxcsr), "=m"(environment));
    out->control = environment.control;
    out->tag = environment.tag;
}

static void handler(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *c = context;
    (void)signal, (void)info;
    look(&found);
    memcpy(&saved_xmm0, c->uc_mcontext.fpregs->_xmm, sizeof(saved_xmm0));
    saved_mxcsr = c->uc_mcontext.fpregs->mxcsr;
    const uint32_t other = 0x1fa0;
    const uint64_t junk = 5;
    __asm__ volatile("ldmxcsr %0\n movq %1, %%xmm0\n fldpi" : : "m"(other), "m"(junk) : "xmm0");
}

static void by(int way)
{
    const uint32_t mxcsr = 0x7f80, default_mxcsr = 0x1f80;
    const uint16_t control = 0xf7f, default_control = 0x37f;
    const uint64_t value = 0xdeadbeef;
    struct state after;
    long result = way == 0 ? 62 /* kill */ : 0;
    __asm__ volatile("ldmxcsr %1\n fldcw %2\n fld1\n movq %3, %%xmm0\n movq %3, %%xmm15\n"
                     "test %%eax, %%eax\n jz 1f\n syscall\n jmp 2f\n1: mov (%%rax), %%al\n2:"
                     : "+a"(result)
                     : "m"(mxcsr), "m"(control), "m"(value), "D"(getpid()), "S"(SIGUSR1)
                     : "rcx", "r11", "xmm0", "xmm15", "memory", "cc");
    look(&after);
    __asm__ volatile("fstp %%st(0)\n fldcw %0\n ldmxcsr %1" : : "m"(default_control), "m"(default_mxcsr));
    CHECK(found.mxcsr == 0x1f80 && found.control == 0x37f && found.tag == 0xffff);
    CHECK(found.xmm0 == 0 && found.xmm15 == 0);
    CHECK(saved_xmm0 == value && saved_mxcsr == mxcsr);
    CHECK(after.mxcsr == mxcsr && after.control == control && after.xmm0 == value && after.xmm15 == value);
    CHECK(after.tag == 0x3fff);
}

/* Wide registers, by programs that have never touched x87: what is not in use is reset in another way. */
struct wide { uint64_t ymm0[4], ymm15[4], zmm3[8], zmm16[8], zmm31[8], k1, k7; };

static struct wide found_wide;
static bool has_avx, has_avx512;

static void look_wide(struct wide *out)
{
    memset(out, 0, sizeof(*out));
    if (has_avx)
        __asm__ volatile("vmovdqu %%ymm0, %0\n vmovdqu %%ymm15, %1" : "=m"(out->ymm0), "=m"(out->ymm15));
    if (has_avx512)
        __asm__ volatile("vmovdqu64 %%zmm3, %0\n vmovdqu64 %%zmm16, %1\n vmovdqu64 %%zmm31, %2\n"
                         "kmovq %%k1, %3\n kmovq %%k7, %4"
                         : "=m"(out->zmm3), "=m"(out->zmm16), "=m"(out->zmm31), "=m"(out->k1), "=m"(out->k7));
}

static void wide_handler(int signal)
{
    (void)signal;
    look_wide(&found_wide);
    __asm__ volatile("stmxcsr %0" : "=m"(saved_mxcsr));
    if (has_avx)
        __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n vpcmpeqd %%ymm15, %%ymm15, %%ymm15" : : : "xmm0", "xmm15");
}

static void wide(void)
{
    struct wide full, after, none;
    const uint32_t mxcsr = 0x7f80, default_mxcsr = 0x1f80;
    long result = 62 /* kill */;
    memset(&full, has_avx ? 0x5a : 0, offsetof(struct wide, zmm3));
    memset(full.zmm3, has_avx512 ? 0x5a : 0, sizeof(full) - offsetof(struct wide, zmm3));
    memset(&none, 0, sizeof(none));
    if (has_avx)
        __asm__ volatile("ldmxcsr %2\n vmovdqu %0, %%ymm0\n vmovdqu %1, %%ymm15"
                         : : "m"(full.ymm0), "m"(full.ymm15), "m"(mxcsr) : "xmm0", "xmm15");
    if (has_avx512)
        __asm__ volatile("vmovdqu64 %0, %%zmm3\n vmovdqu64 %1, %%zmm16\n vmovdqu64 %2, %%zmm31\n"
                         "kmovq %3, %%k1\n kmovq %4, %%k7"
                         : : "m"(full.zmm3), "m"(full.zmm16), "m"(full.zmm31), "m"(full.k1), "m"(full.k7) : "xmm3");
    __asm__ volatile("syscall" : "+a"(result) : "D"(getpid()), "S"(SIGUSR2) : "rcx", "r11", "memory");
    look_wide(&after);
    __asm__ volatile("ldmxcsr %0" : : "m"(default_mxcsr));
    CHECK(saved_mxcsr == 0x1f80);
    CHECK(!memcmp(&found_wide, &none, sizeof(none)));
    CHECK(!memcmp(&after, &full, sizeof(full)));
}

static void skip(int signal, siginfo_t *info, void *context)
{
    handler(signal, info, context);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    has_avx = __builtin_cpu_supports("avx2");
    has_avx512 = __builtin_cpu_supports("avx512bw");
    signal(SIGUSR2, wide_handler);
    for (int i = 0; i < 50; i++)
        wide();
    sigaction(SIGUSR1, &action, NULL);
    action.sa_sigaction = skip;
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 50; i++) {
        by(0);
        by(1);
    }
    return 0;
}
