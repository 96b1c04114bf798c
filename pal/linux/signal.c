/* SPDX-License-Identifier: MIT */
/*
 * Host signals become upcalls.  Handlers run on the alternate stack with all signals blocked, never call libOS code but
 * `classify`, and work by editing the registers that the kernel puts back: what follows then runs as if the guest had
 * called it, with the guest's vector state live.
 *
 * Where an interrupt may find a thread, by RIP and block:
 *   PAL's text        linux_blocking's window: the call is cancelled; elsewhere: the flag is enough
 *   a new thread      before its GS is set: its block is in R12 (entry.S)
 *   host vDSO         tcb.in_host: the flag is enough
 *   libOS             classify says so: the flag is enough, the libOS looks at it on its way to the guest
 *   guest             upcall
 *
 * GS is at the thread's block wherever a signal finds PAL or libOS, but for the shim's first and last instructions.  A
 * guest may have it anywhere; so the handlers find the block by the alternate stack, which only the PAL sets.  What
 * they find in GS, if not the block, is the guest's: it is kept in the block for the way out, or put back at once where
 * the interrupted code just goes on.
 */
#include <linux/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <linux/audit.h>

#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

#define SA_RESTORER_FLAG 0x04000000u
#define FLAG_TRAP 0x100u
#define FLAG_DIRECTION 0x400u
#define FLAG_ALIGNMENT 0x40000u
#define USER_CODE_SEGMENT 0x33u
#define USER_STACK_SEGMENT 0x2bu

struct host_sigaction {
    void (*handler)(int, siginfo_t *, struct ucontext *);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask;
};
struct host_timeval { int64_t seconds, microseconds; };

struct pal_host_signals linux_host_signals;

/* A thread has no alternate stack for its first instructions. */
static struct pal_tcb *block_of(const struct ucontext *frame)
{
    const stack_t *stack = &frame->uc_stack;
    if (stack->ss_flags & SS_DISABLE)
        return current_tcb();
    return ((const struct linux_thread *)((uint64_t)stack->ss_sp + stack->ss_size))->tcb;
}

/* 1: GS was the guest's. */
static int gs_take(struct pal_tcb *tcb)
{
    uint64_t found;
    __asm__ volatile("rdgsbase %0" : "=r"(found));
    if (found == (uint64_t)tcb)
        return 0;
    tcb->guest_gs = found;
    tcb->has_guest_gs = 1;
    __asm__ volatile("wrgsbase %0" : : "r"(tcb) : "memory");
    return 1;
}

static void gs_give(struct pal_tcb *tcb)
{
    __asm__ volatile("wrgsbase %0" : : "r"(tcb->guest_gs) : "memory");
    tcb->has_guest_gs = 0;
}

static int in_host_text(uint64_t rip)
{
    return rip >= (uint64_t)linux_text_start && rip <= (uint64_t)linux_text_end;
}

static int between(uint64_t rip, const char *begin, const char *end)
{
    return rip >= (uint64_t)begin && rip < (uint64_t)end;
}

static struct pal_context context_of(const struct sigcontext *m)
{
    return (struct pal_context){
        .r15 = m->r15, .r14 = m->r14, .r13 = m->r13, .r12 = m->r12, .rbp = m->rbp, .rbx = m->rbx,
        .r11 = m->r11, .r10 = m->r10, .r9 = m->r9, .r8 = m->r8, .rax = m->rax, .rcx = m->rcx,
        .rdx = m->rdx, .rsi = m->rsi, .rdi = m->rdi, .rip = m->rip, .rflags = m->eflags, .rsp = m->rsp,
    };
}

static void context_set(struct sigcontext *m, const struct pal_context *c)
{
    m->r15 = c->r15, m->r14 = c->r14, m->r13 = c->r13, m->r12 = c->r12, m->rbp = c->rbp, m->rbx = c->rbx;
    m->r11 = c->r11, m->r10 = c->r10, m->r9 = c->r9, m->r8 = c->r8, m->rax = c->rax, m->rcx = c->rcx;
    m->rdx = c->rdx, m->rsi = c->rsi, m->rdi = c->rdi, m->rip = c->rip, m->eflags = c->rflags, m->rsp = c->rsp;
}

/* Goes on in the image, with flags that C code needs; CS in case the guest went to 32-bit code. */
static void enter_image(struct sigcontext *m, uint64_t rip)
{
    m->rip = rip;
    m->eflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
    m->cs = USER_CODE_SEGMENT;
}

/* The vDSO falls back on the system call where the clock can't be read from user mode: made here in its place. */
static int64_t vdso_fallback(const struct sigcontext *m)
{
    uint64_t clock = m->rax == __NR_clock_gettime ? m->rdi : PAL_CLOCK_REALTIME;
    struct host_timespec now;
    if ((uint32_t)clock > LINUX_CLOCK_MAX)
        return -EINVAL;
    int64_t error = host_call(clock_gettime, clock, &now);
    if (error < 0)
        return error;
    switch (m->rax) {
    case __NR_clock_gettime:
        *(struct host_timespec *)m->rsi = now;
        return 0;
    case __NR_gettimeofday:
        *(struct host_timeval *)m->rdi = (struct host_timeval){now.seconds, now.nanoseconds / 1000};
        return 0;
    case __NR_time:
        return now.seconds;
    }
    return -ENOSYS;
}

/* A syscall instruction outside the PAL's text, or a host call that the filter refused (--trap=seccomp). */
static void on_trap(const struct pal_tcb *tcb, const siginfo_t *info, struct sigcontext *m)
{
    if (info->si_code <= 0)
        return; /* sent by someone: not an instruction */
    if (in_host_text(m->rip))
        die(LINUX_EXIT_BROKEN, "host call refused by the filter: number, address", (uint64_t)info->si_syscall, m->rip);
    if (tcb->in_host && m->rip > vdso_start && m->rip <= vdso_end) {
        m->rax = (uint64_t)vdso_fallback(m);
        return;
    }
    if (shared->trap == LINUX_TRAP_NONE)
        die(LINUX_EXIT_BROKEN, "a syscall instruction that was not rewritten: number, address behind it",
            (uint64_t)info->si_syscall, m->rip);
    if (info->si_arch != AUDIT_ARCH_X86_64)
        m->rax = UINT64_MAX; /* int $0x80: no number of ours, so that it gives ENOSYS */
    m->rcx = m->rip;
    m->r11 = m->eflags;
    enter_image(m, image->syscall_trap);
}

static void on_exception(struct pal_tcb *tcb, int signal, const siginfo_t *info, struct sigcontext *m)
{
    uint64_t address = (uint64_t)info->si_addr;
    if (info->si_code <= 0)
        return;
    if (in_host_text(m->rip) || tcb->in_host)
        die(128 + (uint32_t)signal, "fault in the PAL: at, address", m->rip, address);
    struct pal_context context = context_of(m);
    switch (image->classify(&context, tcb, 1)) {
    case PAL_FIXED:
        context_set(m, &context);
        return;
    case PAL_IN_GUEST:
        tcb->saved = context;
        tcb->exception = (struct pal_exception){
            .signal = signal, .code = info->si_code, .address = address, .trap = m->trapno, .error = m->err};
        m->rsp = tcb->libos_stack;
        enter_image(m, image->exception);
        return;
    }
    die(128 + (uint32_t)signal, "fault in the libOS: at, address", m->rip, address);
}

static void on_interrupt(struct pal_tcb *tcb, struct sigcontext *m)
{
    tcb->interrupted |= PAL_INTERRUPTED;
    if (in_host_text(m->rip) || tcb->in_host) {
        if (between(m->rip, linux_blocking_begin, linux_blocking_end))
            m->rip = (uint64_t)linux_blocking_cancel;
        return;
    }
    struct pal_context context = context_of(m);
    if (image->classify(&context, tcb, 0) != PAL_IN_GUEST)
        return;
    tcb->saved = context;
    m->rsp = tcb->libos_stack;
    enter_image(m, image->interrupt);
}

/* What the interrupt brings: pal-run queued it with a value.  Others carry none. */
static void on_host_signal(const siginfo_t *info)
{
    uint64_t number = (uint64_t)(uint32_t)info->si_int;
    if (info->si_code != SI_QUEUE || !number || number > LINUX_NUMBER_JOIN)
        return;
    if (number == LINUX_NUMBER_JOIN) {
        __atomic_fetch_add(&linux_host_signals.joins, 1, __ATOMIC_RELAXED);
        return;
    }
    if (number >= LINUX_NUMBER_REAL_TIME)
        __atomic_fetch_add(&linux_host_signals.real_time[number - LINUX_NUMBER_REAL_TIME], 1, __ATOMIC_RELAXED);
    uint64_t bit = number < LINUX_NUMBER_REAL_TIME ? 1ull << (number - 1) : PAL_HOST_COUNTED;
    __atomic_fetch_or(&linux_host_signals.set, bit, __ATOMIC_RELEASE);
}

/* It comes with the result of a write, which may be some bytes: then it is all that tells. */
static void on_broken_pipe(struct pal_tcb *tcb, const struct sigcontext *m)
{
    if (m->rip == (uint64_t)linux_blocking_end)
        tcb->interrupted |= PAL_INTERRUPTED_PIPE;
}

static int is_guest(uint64_t rip)
{
    return !in_host_text(rip) && (rip < PAL_IMAGE_BASE || rip >= image->text_end);
}

static void on_signal(int signal, siginfo_t *info, struct ucontext *frame)
{
    struct sigcontext *m = &frame->uc_mcontext;
    uint64_t rip = m->rip;
    if (signal == LINUX_INTERRUPT_SIGNAL)
        on_host_signal(info);
    if (between(rip, linux_clone_child_begin, linux_clone_child_end) && m->rax == 0) {
        ((struct pal_tcb *)m->r12)->interrupted = 1;
        return;
    }
    struct pal_tcb *tcb = block_of(frame);
    int taken = gs_take(tcb);
    if (signal == SIGSYS)
        on_trap(tcb, info, m);
    else if (signal == SIGCHLD || signal == LINUX_INTERRUPT_SIGNAL)
        on_interrupt(tcb, m);
    else if (signal == SIGPIPE)
        on_broken_pipe(tcb, m);
    else
        on_exception(tcb, signal, info, m);
    if (m->rip == rip ? taken : tcb->has_guest_gs && is_guest(m->rip))
        gs_give(tcb);
}

void signal_init(void)
{
    static const uint8_t handled[] = {SIGSYS, SIGSEGV, SIGBUS,  SIGFPE,
                                      SIGILL, SIGTRAP, SIGCHLD, SIGPIPE, LINUX_INTERRUPT_SIGNAL};
    struct host_sigaction action = {
        .handler = on_signal,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER_FLAG,
        .restorer = linux_restorer,
        .mask = ~0ull,
    };
    for (uint32_t i = 0; i < sizeof handled; i++)
        host_call(rt_sigaction, handled[i], &action, NULL, sizeof action.mask);
}

void signal_blocked_frame(struct ucontext *frame, void (*entry)(uint32_t *, uint64_t), uint32_t *argument,
                          uint64_t argument2, uint64_t stack)
{
    memset(frame, 0, sizeof *frame);
    frame->uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    frame->uc_stack.ss_flags = SS_DISABLE;
    memset(&frame->uc_sigmask, 0xff, sizeof frame->uc_sigmask);
    struct sigcontext *m = &frame->uc_mcontext;
    m->rip = (uint64_t)entry;
    m->rdi = (uint64_t)argument;
    m->rsi = argument2;
    m->rsp = stack;
    m->eflags = 0x202;
    m->cs = USER_CODE_SEGMENT;
    m->ss = USER_STACK_SEGMENT;
}
