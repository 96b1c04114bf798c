/* SPDX-License-Identifier: MIT */
/* A handler begins with x87, SSE and AVX state as a new program has it; what it leaves there is gone behind it. */
#include <signal.h>
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

static void skip(int signal, siginfo_t *info, void *context)
{
    handler(signal, info, context);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_sigaction = skip;
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 50; i++) {
        by(0);
        by(1);
    }
    return 0;
}
