/* SPDX-License-Identifier: MIT */
/* What a tracee stops for: calls, signals, stops of its process, events. */
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define TRAP_BRKPT 1
#define CALL_GOOD 0x80u /* PTRACE_O_TRACESYSGOOD's mark */
#define FIRST_RESTART (-(int64_t)ERESTART_RESTARTBLOCK)
#define LAST_RESTART (-(int64_t)ERESTARTSYS)

/* As ptrace_do_notify() makes it. */
static struct siginfo notice(int signal, uint32_t code)
{
    struct siginfo info = {.signo = signal, .code = (int32_t)code};
    info.user.pid = current()->tid;
    info.user.uid = current_process()->uid;
    return info;
}

/* A stop that is no signal's: what the tracer sends along comes as a signal of its own. */
static void stop_at(int signal, uint32_t code, uint64_t message, bool sends)
{
    struct siginfo info = notice(signal, code);
    int sent = trace_stop(code, &info, message, 0);
    if (sends && sent > 0 && sent <= SIGNAL_COUNT)
        signal_self(sent);
}

/* ---- Calls --------------------------------------------------------------------------------------------------------- */

static void stop_at_call(uint64_t message)
{
    const struct trace *trace = current()->trace;
    stop_at(SIGTRAP, SIGTRAP | (trace->options & PTRACE_O_TRACESYSGOOD ? CALL_GOOD : 0), message, true);
}

static bool is_emulated(uint32_t mode)
{
    return mode == PTRACE_SYSEMU || mode == PTRACE_SYSEMU_SINGLESTEP;
}

bool trace_call_begins(struct frame *frame)
{
    struct thread *thread = current();
    if (trace_is_over())
        return true;
    trace_way_in(frame);
    frame->regs.rax = (uint64_t)-ENOSYS;
    uint32_t mode = thread->trace_mode;
    if (mode == PTRACE_SYSCALL || is_emulated(mode))
        stop_at_call(PTRACE_EVENTMSG_SYSCALL_ENTRY);
    return !is_emulated(mode) && (int32_t)frame->number != -1;
}

int64_t trace_call_ends(struct frame *frame, int64_t result)
{
    struct thread *thread = current();
    if (result != FRAME_REPLACED)
        frame->regs.rax = (uint64_t)result;
    if (!thread->trace || trace_is_over())
        return result;
    if (thread->trace_mode == PTRACE_SINGLESTEP)
        signal_force(SIGTRAP, TRAP_BRKPT, frame->regs.rip, 0, 0);
    else if (thread->trace_mode == PTRACE_SYSCALL)
        stop_at_call(PTRACE_EVENTMSG_SYSCALL_EXIT);
    if (thread->trace_mode == PTRACE_SINGLESTEP)
        atomic_set(&tcb()->interrupted, 1u); /* trace_way_out */
    return result == FRAME_REPLACED ? result : (int64_t)frame->regs.rax;
}

int64_t trace_restart(const struct frame *frame)
{
    int64_t result = (int64_t)frame->regs.rax;
    return (int32_t)frame->number != -1 && result >= FIRST_RESTART && result <= LAST_RESTART ? result : 0;
}

/* ---- Signals and stops --------------------------------------------------------------------------------------------- */

int trace_signal(int signal, struct siginfo *info)
{
    struct thread *thread = current();
    if (signal == SIGKILL)
        return signal;
    int tracer = (int)atomic_get(&thread->trace->tracer);
    int wanted = trace_stop((uint32_t)signal, info, 0, signal);
    if (wanted <= 0 || wanted > SIGNAL_COUNT)
        return 0;
    if (wanted != info->signo)
        *info = (struct siginfo){.signo = wanted, .code = SI_USER, .user = {.pid = tracer, .uid = current_process()->uid}};
    if (!(atomic_get(&thread->blocked) & BIT(wanted)))
        return wanted;
    signal_send_thread(thread, info); /* it waits as any other */
    return 0;
}

void trace_group_stop(void)
{
    struct thread *thread = current();
    struct signal_state *signals = thread->process->signals;
    uint32_t stops = atomic_get(&signals->stops);
    int signal = (int)signals->stop_signal;
    if (trace_is_over())
        return;
    if (thread->trace->seized)
        trace_interrupted();
    else
        trace_stop((uint32_t)signal, NULL, 0, 0);
    thread->stop_seen = stops;
}

void trace_interrupted(void)
{
    struct thread *thread = current();
    const struct signal_state *signals = thread->process->signals;
    thread->trace_interrupt = 0;
    if (trace_is_over())
        return;
    atomic_set(&thread->trace->interrupt, 0u);
    int signal = atomic_get(&signals->stopped) ? (int)signals->stop_signal : SIGTRAP;
    thread->stop_seen = atomic_get(&signals->stops);
    stop_at(signal, (uint32_t)signal | PTRACE_EVENT_STOP << 8, 0, false);
}

void trace_handler_begins(void)
{
    struct thread *thread = current();
    if (thread->trace_mode == PTRACE_SINGLESTEP && !trace_is_over())
        stop_at(SIGTRAP, SIGTRAP, 0, true);
}

void trace_way_out(struct frame *frame)
{
    struct thread *thread = current();
    bool steps = thread->trace && (thread->trace_mode == PTRACE_SINGLESTEP || thread->trace_mode == PTRACE_SYSEMU_SINGLESTEP);
    if (!steps) {
        trace_way_in(frame);
    } else if (!(frame->regs.rflags & FLAG_TRAP)) {
        frame->regs.rflags |= FLAG_TRAP;
        thread->stepped = 1;
    }
}

/* ---- Events -------------------------------------------------------------------------------------------------------- */

void trace_event(int event, uint64_t message)
{
    struct thread *thread = current();
    if (event && thread->trace && !trace_is_over())
        stop_at(SIGTRAP, SIGTRAP | (uint32_t)event << 8, message, false);
}

static void renumber(struct thread *thread)
{
    shared_lock();
    struct trace *first = NULL;
    while ((first = trace_next(first)) && (first->tid != (uint32_t)thread->tid || first == thread->trace))
        ;
    if (first)
        trace_free(first); /* the first thread's, whose place this one takes */
    if (thread->trace)
        trace_number(thread->trace, thread->tid);
    shared_unlock();
}

void trace_exec(int former)
{
    struct thread *thread = current();
    if (former != thread->tid)
        renumber(thread);
    if (!thread->trace || trace_is_over())
        return;
    thread->stepped = 0;
    if (thread->trace->options & PTRACE_O_EVENT(PTRACE_EVENT_EXEC))
        trace_event(PTRACE_EVENT_EXEC, (uint64_t)former);
    else if (!thread->trace->seized)
        signal_self(SIGTRAP);
}

void trace_exit(uint32_t status)
{
    struct thread *thread = current();
    if (thread->trace && !trace_is_over() && thread->trace->options & PTRACE_O_EVENT(PTRACE_EVENT_EXIT))
        trace_event(PTRACE_EVENT_EXIT, status);
}

bool trace_thread_ended(struct thread *thread, uint32_t status)
{
    struct trace *trace = thread->trace;
    struct trace_news news = {0};
    if (!trace)
        return false;
    shared_lock();
    bool traced = trace->tracer;
    thread->trace = NULL;
    if (traced && thread->tid == (int)trace->pid) {
        traced = false; /* a process's first thread ends with the process, or execs */
    } else if (traced) {
        trace->status = (int32_t)status;
        trace->news = 1;
        atomic_set(&trace->state, (uint32_t)TRACE_ENDED);
        trace_news_note(&news, trace, CLD_EXITED, (int)(status >> 8));
    } else {
        trace_free(trace);
    }
    shared_unlock();
    news.info.signo = 0; /* a thread's end sends no signal */
    trace_news_tell(&news);
    return traced;
}
