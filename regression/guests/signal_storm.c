/* SPDX-License-Identifier: MIT */
/*
 * Signals that meet a read, pread64, write or pwrite64 of one byte at any instruction, 50,000 a second: each handler
 * finds the registers of the loop that calls, at one of the loop's own addresses, and no call loses a register or a flag.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "files.h"

#define SECONDS 0.5 /* of each call */

/*
 * uint64_t storm_NAME(fd, buffer, offset): calls until storm_over; what went wrong first, 0 nothing.  Those that a
 * function keeps count the calls together; the others, but for RAX, RCX and R11, stay as they are.  The addition
 * sets OF and SF, and clears CF, ZF, AF and PF.
 */
volatile uint32_t storm_over;
#define STORM(name, number)                                                                                         \
    uint64_t storm_##name(int fd, void *buffer, int64_t offset);                                                    \
    extern const char storm_##name##_loop[], storm_##name##_end[];                                                  \
    __asm__(".text\n .balign 64\n"                                                                                  \
            "storm_" #name ": push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"                   \
            "  mov %rdx, %r10; mov $1, %edx\n"                                                                      \
            "  xor %ebx, %ebx; xor %ebp, %ebp; xor %r12, %r12; xor %r13, %r13; xor %r14, %r14; xor %r15, %r15\n"    \
            "  mov $0x888, %r8d; mov $0x999, %r9d\n"                                                                \
            "storm_" #name "_loop:\n"                                                                               \
            "  inc %rbx; inc %rbp; inc %r12; inc %r13; inc %r14; inc %r15\n"                                        \
            "  mov $0x7f, %cl; add $0x70, %cl\n"                                                                    \
            "  mov $" #number ", %eax; syscall\n"                                                                   \
            "1: jno 2f; jns 3f; jc 4f; jz 5f\n"                                                                     \
            "  and $0xcd5, %r11d; cmp $0x880, %r11d; jne 7f\n"                                                     \
            "  lea 1b(%rip), %r11; cmp %r11, %rcx; jne 8f\n"                                                       \
            "  cmp %rbx, %rbp; jne 11f; cmp %rbx, %r12; jne 11f; cmp %rbx, %r13; jne 11f\n"                         \
            "  cmp %rbx, %r14; jne 11f; cmp %rbx, %r15; jne 11f\n"                                                  \
            "  cmp $1, %rax; jne 9f\n"                                                                              \
            "  cmpl $0, storm_over(%rip); je storm_" #name "_loop\n"                                                \
            "storm_" #name "_end:\n"                                                                                \
            "  xor %eax, %eax; jmp 10f\n"                                                                           \
            "2: mov $2, %eax; jmp 10f\n3: mov $3, %eax; jmp 10f\n4: mov $4, %eax; jmp 10f\n"                        \
            "5: mov $5, %eax; jmp 10f\n7: mov $7, %eax; jmp 10f\n8: mov $8, %eax; jmp 10f\n"                        \
            "11: mov $11, %eax; jmp 10f\n9: neg %rax\n"                                                            \
            "10: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n  ret\n");
STORM(read, 0)
STORM(write, 1)
STORM(pread64, 17)
STORM(pwrite64, 18)

static uint64_t loop_start, loop_end, fd_in, buffer_in, offset_in;
static volatile int inside, wrong, after_call;
static volatile double end;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    const greg_t *regs = ((const ucontext_t *)context)->uc_mcontext.gregs;
    storm_over = now() > end;
    if ((uint64_t)regs[REG_RIP] < loop_start || (uint64_t)regs[REG_RIP] >= loop_end) {
        wrong += (uint64_t)regs[REG_RIP] >> 32 == 0x7ff0; /* nothing of the program's lies there */
        return;
    }
    inside++;
    wrong += regs[REG_R8] != 0x888 || regs[REG_R9] != 0x999 || regs[REG_RDX] != 1;
    wrong += regs[REG_RDI] != (greg_t)fd_in || regs[REG_RSI] != (greg_t)buffer_in || regs[REG_R10] != (greg_t)offset_in;
    if (regs[REG_RCX] != regs[REG_RIP])
        return;
    after_call++;
    static const int even[] = {REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};
    for (size_t i = 0; i < sizeof even / sizeof *even; i++)
        wrong += regs[even[i]] != regs[REG_RBX];
    wrong += (regs[REG_EFL] & 0xcd5) != (regs[REG_R11] & 0xcd5);
}

#define RUN(name, offset) run(#name, storm_##name, storm_##name##_loop, storm_##name##_end, offset)
static void run(const char *name, uint64_t (*storm)(int, void *, int64_t), const char *start, const char *stop,
                int64_t offset)
{
    static char buffer[16];
    int file = open("storm.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0 && ftruncate(file, 1 << 30) == 0);
    loop_start = (uint64_t)start;
    loop_end = (uint64_t)stop;
    fd_in = (uint64_t)file;
    buffer_in = (uint64_t)buffer;
    offset_in = (uint64_t)offset;
    inside = after_call = 0;
    storm_over = 0;
    end = now() + SECONDS;
    const struct itimerval often = {{0, 20}, {0, 20}}, never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    uint64_t result = storm(file, buffer, offset);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    if (result)
        fprintf(stderr, "%s: check %lu failed\n", name, result);
    CHECK(result == 0);
    CHECK(wrong == 0);
    CHECK(inside > 100 && after_call > 0);
    CHECK(close(file) == 0 && unlink("storm.file") == 0);
}

int main(void)
{
    scratch_enter();
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    RUN(read, 0);
    RUN(pread64, 4097);
    RUN(write, 0);
    RUN(pwrite64, 12345);
    return 0;
}
