/* SPDX-License-Identifier: MIT */
/*
 * LD_PRELOADed into Wine, where the Windows host is tested.
 *
 * FS: Wine's own signal handlers are C of Linux and need the FS of its C library, while guests have theirs loaded.  Each handler
 * that Wine installs runs with Wine's FS, which the block tells (pal/windows/windows.h); the guest's comes back where the handler
 * lets the interrupted code go on.  Windows itself has no such FS.
 *
 * The guard: under Wine a syscall instruction of a guest would be a call of Linux's that works, and tests would pass by it.  So in
 * each thread those from below the host's half of the address space end the process (Syscall User Dispatch).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif
#define HOST_HALF 0x6ff000000000ul
#define USER_END 0x7fffffffffffull
#define GUARDED 86
/* pal/windows/windows.h */
#define BLOCK (0x1480 + 12 * 8)
#define BLOCK_HOST (BLOCK + 24)
#define THREAD_HOST_FS 16

#define NO_TLS __attribute__((optimize("no-stack-protector"), target("fsgsbase"), noinline))

static void (*handlers[65])(int, siginfo_t *, void *);

NO_TLS static void on_signal_with_fs(int signal, siginfo_t *info, void *context)
{
    handlers[signal](signal, info, context);
}

NO_TLS static void on_signal(int signal, siginfo_t *info, void *context)
{
    uint64_t teb = __builtin_ia32_rdgsbase64(), fs = __builtin_ia32_rdfsbase64();
    uint64_t block = teb ? *(uint64_t *)(teb + BLOCK) : 0;
    if (!teb || block != teb + BLOCK || !*(uint64_t *)(teb + BLOCK_HOST)) {
        on_signal_with_fs(signal, info, context);
        return;
    }
    uint64_t host = *(uint64_t *)(*(uint64_t *)(teb + BLOCK_HOST) + THREAD_HOST_FS);
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    greg_t rip = registers[REG_RIP];
    if (host)
        __builtin_ia32_wrfsbase64(host);
    on_signal_with_fs(signal, info, context);
    if (registers[REG_RIP] == rip) /* else it goes on in Wine's dispatcher */
        __builtin_ia32_wrfsbase64(fs);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    if (!next)
        next = dlsym(RTLD_NEXT, "sigaction");
    if (!action || !(action->sa_flags & SA_SIGINFO) || signal < 1 || signal > 64)
        return next(signal, action, old);
    struct sigaction changed = *action;
    handlers[signal] = action->sa_sigaction;
    changed.sa_sigaction = on_signal;
    return next(signal, &changed, old);
}

/* ---- The guard --------------------------------------------------------------------------------------------------- */

NO_TLS static void on_raw_call(int signal, siginfo_t *info, void *context)
{
    static const char text[] = "guard: a raw Linux call\n";
    (void)signal, (void)info, (void)context;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(1), "D"(2), "S"(text), "d"(sizeof text - 1) : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : : "a"(231), "D"(GUARDED) : "rcx", "r11", "memory");
}

static void guard(void)
{
    if (!getenv("NO_GUARD"))
        prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, HOST_HALF, USER_END - HOST_HALF, NULL);
}

struct start { void *(*run)(void *); void *argument; };

static void *run_guarded(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    guard();
    return start.run(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next)
        next = dlsym(RTLD_NEXT, "pthread_create");
    struct start *start = malloc(sizeof *start);
    *start = (struct start){run, argument};
    return next(thread, attributes, run_guarded, start);
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {.sa_sigaction = on_raw_call, .sa_flags = SA_SIGINFO};
    int (*next)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
    next(SIGSYS, &action, NULL);
    guard();
}
