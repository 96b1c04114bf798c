/* SPDX-License-Identifier: MIT */
/*
 * A handler may use every register; the interrupted code finds its own again, vector registers and flags too.  What the
 * handler writes into its ucontext is what the code goes on with.
 */
#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static volatile int count;
static volatile uintptr_t handler_sp;

/* Magic numbers of <asm/sigcontext.h>. */
#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u

static void look_at_frame(siginfo_t *info, const ucontext_t *context)
{
    uintptr_t frame = (uintptr_t)context - 8;
    CHECK((uintptr_t)info == (uintptr_t)context + 304);
    CHECK(frame % 16 == 8);
    const uint8_t *state = (const uint8_t *)context->uc_mcontext.fpregs;
    CHECK((uintptr_t)state % 64 == 0 && (uintptr_t)state > frame);
    CHECK(context->uc_flags & 1); /* UC_FP_XSTATE */
    uint32_t magic1, extended, size;
    uint64_t features;
    memcpy(&magic1, state + 464, 4);
    memcpy(&extended, state + 468, 4);
    memcpy(&features, state + 472, 8);
    memcpy(&size, state + 480, 4);
    CHECK(magic1 == MAGIC1 && extended == size + 4 && features & 3);
    uint32_t magic2;
    memcpy(&magic2, state + size, 4);
    CHECK(magic2 == MAGIC2);
    CHECK((uint16_t)context->uc_mcontext.gregs[REG_CSGSFS] == 0x33);
}

__attribute__((noinline)) static void spoil(void)
{
    __asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n vpcmpeqd %%xmm1, %%xmm1, %%xmm1\n"
                     "vpcmpeqd %%xmm7, %%xmm7, %%xmm7\n vpcmpeqd %%xmm15, %%xmm15, %%xmm15\n"
                     "mov $-1, %%r8\n mov $-1, %%r9\n mov $-1, %%r10\n mov $-1, %%r11\n stc\n"
                     ::: "xmm0", "xmm1", "xmm7", "xmm15", "r8", "r9", "r10", "r11", "cc");
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    look_at_frame(info, context);
    handler_sp = (uintptr_t)__builtin_frame_address(0);
    count++;
    spoil();
}

struct registers { uint64_t general[15], flags; uint8_t vector[16][32]; };

/* Loads all registers, lets a signal come (a call that sends it, or a loop until it has come), stores them. */
static void run(struct registers *in, struct registers *out, int by_call, int have_avx)
{
    struct registers *from = in;
    uint64_t values[] = {(uint64_t)out, (uint64_t)by_call, (uint64_t)&count, (uint64_t)have_avx, (uint64_t)getpid()};
    uint64_t *saved = values;
    __asm__ volatile(
        "push %%rbp\n push %%rbx\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n"
        "sub $128, %%rsp\n"
        "mov %%rsi, (%%rsp)\n"
        "cmpq $0, 24(%%rsi)\n je 1f\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovups 128+32*\\n(%%rdi), %%ymm\\n\n .endr\n jmp 2f\n"
        "1:\n.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups 128+32*\\n(%%rdi), %%xmm\\n\n .endr\n"
        "2: mov 0(%%rdi), %%r15\n mov 8(%%rdi), %%r14\n mov 16(%%rdi), %%r13\n mov 24(%%rdi), %%r12\n"
        "mov 32(%%rdi), %%rbp\n mov 40(%%rdi), %%rbx\n mov 64(%%rdi), %%r9\n mov 72(%%rdi), %%r8\n mov 56(%%rdi), %%r10\n"
        "mov 48(%%rdi), %%r11\n"
        "cmpq $0, 8(%%rsi)\n je 4f\n"
        /* kill(pid, SIGUSR1): rcx and r11 are the call's */
        "mov 32(%%rsi), %%rdi\n mov $10, %%esi\n mov $0x7766554433221100, %%rdx\n mov $62, %%eax\n std\n syscall\n"
        "pushfq\n cld\n push %%rsi\n jmp 6f\n"
        /* wait until a timer's signal has come: rdx, rcx, rdi, rsi checked through fixed values */
        "4: mov 16(%%rsi), %%rsi\n mov $0x7766554433221100, %%rdx\n mov $0, %%eax\n"
        "5: cmpl $0, (%%rsi)\n je 5b\n"
        "pushfq\n push %%rsi\n"
        "6: mov 16(%%rsp), %%rsi\n mov (%%rsi), %%rdi\n"
        "mov %%r15, 0(%%rdi)\n mov %%r14, 8(%%rdi)\n mov %%r13, 16(%%rdi)\n mov %%r12, 24(%%rdi)\n"
        "mov %%rbp, 32(%%rdi)\n mov %%rbx, 40(%%rdi)\n mov %%r11, 48(%%rdi)\n mov %%r10, 56(%%rdi)\n"
        "mov %%r9, 64(%%rdi)\n mov %%r8, 72(%%rdi)\n mov %%rax, 80(%%rdi)\n mov %%rdx, 96(%%rdi)\n"
        "pop %%rax\n pop %%rax\n mov %%rax, 120(%%rdi)\n"
        "cmpq $0, 24(%%rsi)\n je 7f\n"
        ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovups %%ymm\\n, 128+32*\\n(%%rdi)\n .endr\n vzeroupper\n jmp 8f\n"
        "7:\n.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups %%xmm\\n, 128+32*\\n(%%rdi)\n .endr\n"
        "8: add $128, %%rsp\n pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbx\n pop %%rbp\n"
        : "+D"(from), "+S"(saved)
        :
        : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void compare(const struct registers *in, const struct registers *out, int by_call, int have_avx)
{
    for (int i = 0; i < 10; i++)
        if (i != 6 || !by_call) /* r11 */
            CHECK(in->general[i] == out->general[i]);
    CHECK(out->general[12] == 0x7766554433221100);
    CHECK(out->general[10] == 0);
    if (by_call)
        CHECK(out->flags & 0x400); /* DF: std, before the call */
    for (int i = 0; i < 16; i++)
        CHECK(memcmp(in->vector[i], out->vector[i], have_avx ? 32 : 16) == 0);
}

/* ---- Editing ------------------------------------------------------------------------------------------------------------- */

extern const char edit_fault[], edit_landing[];
__asm__(".text\nedit_fault: mov (%rax), %rax\n ret\nedit_landing: lea 5(%rbx), %rax\n ret\n");

static void on_fault(int signal, siginfo_t *info, void *raw)
{
    ucontext_t *context = raw;
    greg_t *regs = context->uc_mcontext.gregs;
    CHECK(signal == SIGSEGV && info->si_addr == (void *)64 && info->si_code == SEGV_MAPERR);
    CHECK(regs[REG_RIP] == (greg_t)edit_fault && regs[REG_RAX] == 64);
    CHECK(regs[REG_TRAPNO] == 14 && regs[REG_CR2] == 64 && regs[REG_ERR] == 4);
    regs[REG_RIP] = (greg_t)edit_landing;
    regs[REG_RBX] = 37;
    sigaddset(&context->uc_sigmask, SIGUSR2);
    context->uc_mcontext.fpregs->_xmm[3].element[0] = 0xabcdef01;
    context->uc_mcontext.fpregs->mxcsr = 0x1fa0;
}

static void edit(void)
{
    uint64_t result, vector;
    uint32_t mxcsr;
    sigset_t mask;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    __asm__ volatile("sub $128, %%rsp\n pxor %%xmm3, %%xmm3\n mov $64, %%eax\n call edit_fault\n movq %%xmm3, %1\n"
                     "add $128, %%rsp\n"
                     : "=&a"(result), "=&r"(vector) : : "rbx", "xmm3", "memory", "cc");
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    CHECK(result == 42 && vector == 0xabcdef01 && mxcsr == 0x1fa0);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGSEGV));
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

/* The red zone below RSP is the interrupted code's. */
static void red_zone(void)
{
    uint64_t result;
    count = 0;
    struct itimerval timer = {{0, 0}, {0, 3000}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    __asm__ volatile("movq $0x5a5a, -8(%%rsp)\n movq $0x6b6b, -128(%%rsp)\n"
                     "1: cmpl $0, %1\n je 1b\n mov -8(%%rsp), %0\n add -128(%%rsp), %0"
                     : "=&r"(result) : "m"(count) : "memory", "cc");
    CHECK(result == 0x5a5a + 0x6b6b);
}

int main(void)
{
    struct registers in, out;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    int have_avx = __builtin_cpu_supports("avx");
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    if (!have_avx)
        return 0; /* spoil() needs it, and every machine of the last ten years has it */
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof in; i++)
            ((uint8_t *)&in)[i] = (uint8_t)(i * 7 + (size_t)round * 13 + 1);
        memset(&out, 0, sizeof out);
        count = 0;
        run(&in, &out, 1, have_avx);
        CHECK(count == 1);
        compare(&in, &out, 1, have_avx);

        memset(&out, 0, sizeof out);
        count = 0;
        struct itimerval timer = {{0, 0}, {0, 1000}};
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
        run(&in, &out, 0, have_avx);
        compare(&in, &out, 0, have_avx);
    }
    red_zone();
    edit();
    return 0;
}
