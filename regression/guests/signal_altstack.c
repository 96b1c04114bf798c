/* SPDX-License-Identifier: MIT */
/* Alternate stacks: use, state, nesting, SS_AUTODISARM, a stack overflow survived, one too small. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define SIZE 65536
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char *stack;
static volatile int on_it, count;
static sigjmp_buf back;

static int is_here(void)
{
    char here;
    return (uintptr_t)&here >= (uintptr_t)stack && (uintptr_t)&here < (uintptr_t)stack + SIZE;
}

static void on_signal(int signal)
{
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0);
    on_it = is_here();
    CHECK(now.ss_flags == (on_it ? SS_ONSTACK : 0));
    count++;
    if (on_it) {
        CHECK_FAILS(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL), EPERM);
        if (signal == SIGUSR1) {
            raise(SIGUSR2); /* stays on it, does not start from its top */
            CHECK(on_it);
        }
    }
}

static void on_disarmed(int signal)
{
    stack_t now;
    (void)signal;
    CHECK(is_here() && sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
    count++;
}

static void on_overflow(int signal)
{
    CHECK(is_here());
    siglongjmp(back, signal);
}

static volatile int endless = 1;

static int overflow(int n)
{
    volatile char page[4096];
    page[0] = (char)n;
    return endless ? overflow(n + 1) + page[0] : 0;
}

static void set(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

int main(void)
{
    stack_t now;
    stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
    stack_t new = {.ss_sp = stack, .ss_size = 100};
    CHECK_FAILS(sigaltstack(&new, NULL), ENOMEM);
    new.ss_flags = 77;
    CHECK_FAILS(sigaltstack(&new, NULL), EINVAL);
    new = (stack_t){.ss_sp = stack, .ss_size = SIZE};
    CHECK(sigaltstack(&new, NULL) == 0);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == stack && now.ss_size == SIZE && now.ss_flags == 0);

    set(SIGUSR1, on_signal, SA_ONSTACK);
    set(SIGUSR2, on_signal, SA_ONSTACK);
    CHECK(raise(SIGUSR1) == 0 && count == 2 && on_it == 1);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0);
    set(SIGUSR2, on_signal, 0);
    CHECK(raise(SIGUSR2) == 0 && count == 3 && on_it == 0);

    new.ss_flags = (int)SS_AUTODISARM;
    CHECK(sigaltstack(&new, NULL) == 0);
    set(SIGUSR1, on_disarmed, SA_ONSTACK);
    CHECK(raise(SIGUSR1) == 0 && count == 4);
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == stack && now.ss_flags == (int)SS_AUTODISARM);
    new.ss_flags = 0;
    CHECK(sigaltstack(&new, NULL) == 0);

    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    set(SIGSEGV, on_overflow, SA_ONSTACK);
    for (int i = 0; i < 2; i++)
        if (sigsetjmp(back, 1) == 0)
            CHECK(overflow(1) < 0);

    /* No stack for the handler: death by SIGSEGV. */
    int status;
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        new.ss_flags = SS_DISABLE;
        sigaltstack(&new, NULL);
        overflow(1);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL);
        set(SIGUSR1, on_signal, 0);
        __asm__ volatile("mov $39, %%eax\n syscall\n mov %%eax, %%edi\n mov $10, %%esi\n mov $62, %%eax\n mov $4096, %%rsp\n"
                         "syscall\n hlt\n" ::: "memory");
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    return 0;
}
