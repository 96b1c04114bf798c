/* SPDX-License-Identifier: MIT */
/*
 * A program that single-steps itself sees each instruction once, at its own addresses, also where a system call's site
 * has been rewritten; the call's result is right.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

enum { STEPS = 64 };
static struct { uint64_t at[STEPS]; int count; } seen[3], *now;

int64_t stepped(uint64_t flags); /* the call, with these flags from the first instruction on */
extern const char stepped_begin[], stepped_end[];
__asm__(".text\n"
        "stepped:\n"
        "  push %rdi\n"
        "  popfq\n"
        "stepped_begin:\n"
        "  nop\n"
        "  mov $110, %eax\n"
        "  syscall\n"
        "  mov %rax, %rdx\n"
        "  mov %rdx, %rax\n"
        "  pushfq\n"
        "  andl $~0x100, (%rsp)\n"
        "  popfq\n"
        "stepped_end:\n"
        "  ret\n");

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    uint64_t rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (info->si_code == TRAP_TRACE && now->count < STEPS)
        now->at[now->count++] = rip;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    now = &seen[0];
    CHECK(stepped(0x302) == getppid()); /* from a site that has not been used */
    for (int i = 0; i < 100; i++)
        CHECK(stepped(0x202) == getppid());
    for (int i = 1; i < 3; i++) {
        now = &seen[i];
        CHECK(stepped(0x302) == getppid());
    }
    for (int i = 0; i < 3; i++) {
        CHECK(seen[i].count > 0);
        for (int n = 0; n < seen[i].count; n++) {
            CHECK(seen[i].at[n] > (uint64_t)stepped_begin && seen[i].at[n] <= (uint64_t)stepped_end);
            CHECK(n == 0 || seen[i].at[n] > seen[i].at[n - 1]);
        }
        if (seen[i].count != seen[0].count)
            fprintf(stderr, "round %d: %d steps, not %d\n", i, seen[i].count, seen[0].count);
        CHECK(memcmp(&seen[i], &seen[0], sizeof seen[0]) == 0);
    }
    return 0;
}
