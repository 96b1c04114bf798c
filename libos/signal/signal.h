/* SPDX-License-Identifier: MIT */
/*
 * Signals: sending, queues, masks, dispositions, taking.
 *
 * process.lock guards all queues and dispositions of a process and its threads; the timers' lock is inside it.
 * `pending` and `blocked` are also read without: a sender sets `pending`, then reads `blocked`; a thread sets
 * `blocked`, then reads `pending`; both with locked instructions, so one of them sees.
 */
#ifndef LIBOS_SIGNAL_H
#define LIBOS_SIGNAL_H

#include "libos/abi/signal.h"
#include "libos/task/task.h"

#define BIT(signal) (1ull << ((signal) - 1))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define STOPPING (BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
#define IGNORED_BY_DEFAULT (BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGURG) | BIT(SIGWINCH))
#define SYNCHRONOUS (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGFPE) | BIT(SIGSYS))
#define STOP_SIGNALS 4 /* SIGSTOP to SIGTTOU, in Linux's numbers */
struct queued_signal {
    struct queued_signal *next;
    struct siginfo info;
};

/* A standard signal is pending at most once: its siginfo has a place.  Real-time ones queue. */
struct signal_queue {
    struct siginfo standard[SIGRTMIN - 1];
    struct queued_signal *first, *last;
};

struct signal_state {
    struct process *process;
    struct signal_state *next; /* of the picoprocess's: more than one only during vfork.  state.c's list */
    bool init;                 /* of a pid namespace: what it has no handler for it does not get */
    sigset_t pending;          /* process-directed */
    uint32_t queued;           /* real-time signals in all its queues, against RLIMIT_SIGPENDING */
    uint32_t stopped;          /* 1: threads park on this word until SIGCONT or SIGKILL.  Atomic */
    uint32_t continued;        /* a SIGCONT that the parent has not been told of.  Atomic */
    uint32_t stops;            /* how often it has stopped.  Atomic */
    uint32_t stop_signal;      /* by which signal, the last time */
    uint32_t stop_told;        /* the parent has been told of a stop, and not of its end.  Atomic */
    uint32_t stop_continues[STOP_SIGNALS]; /* the slot's `continues` when the signal was sent: signal_stop_is_over */
    struct sigaction actions[SIGNAL_COUNT];
    struct signal_queue queue;
};

/* A process of this picoprocess, with a reference, or NULL. */
static inline struct process *local_process(int pid)
{
    struct process *self = current_process();
    return pid == self->pid ? process_ref(self) : process_local_get(pid);
}

/* ---- queue.c.  Caller holds process->lock; thread NULL = process-directed ---------------------------------------- */

/* 1 queued, 0 there was one already, -EAGAIN no room for a real-time signal that carries information. */
int64_t queue_add(struct signal_state *signals, struct thread *thread, const struct siginfo *info);
/* Takes the next signal of `wanted`; returns its number or 0. */
int queue_take(struct signal_state *signals, struct thread *thread, sigset_t wanted, struct siginfo *out);
/* The pending signals of a process or a thread, from the `offset`-th on, up to `room`; how many. */
uint32_t queue_copy(const struct signal_state *signals, const struct thread *thread, uint64_t offset, struct siginfo *out, uint32_t room);
void queue_flush(struct signal_state *signals, struct thread *thread, sigset_t which);

/* ---- send.c ------------------------------------------------------------------------------------------------------ */

#define SIGNAL_IGNORED 2
/* To a process of this picoprocess, or one of its threads.  Caller holds process->lock.  1: queued, 0: coalesced,
 * -EAGAIN, or SIGNAL_IGNORED. */
int64_t signal_post(struct process *process, struct thread *thread, const struct siginfo *info);
/* The same for one that has been in the inbox. */
int64_t signal_post_received(struct process *process, struct thread *thread, const struct siginfo *info);
bool signal_is_ignored(const struct sigaction *action, int signal);
void signal_flush(struct process *process, sigset_t which); /* from all queues.  Caller holds process->lock */
void signal_interrupt(struct thread *thread);
/* Interrupts the thread that should take the signal: `thread`, or one that is chosen.  Caller holds process->lock. */
void signal_wake(struct process *process, struct thread *thread, sigset_t bit);
/* What this thread may have been chosen for, but does not take, is another's. */
void signal_pass_on(struct process *process, sigset_t set);
/* To this thread, as by a fault: unblockable. */
#define TRAP_PAGE_FAULT 14
void signal_force(int signal, int code, guest_t address, uint64_t trap, uint64_t error);
int64_t signal_send_thread(struct thread *thread, const struct siginfo *info);
/* To this thread, as if it had sent it to itself: SIGPIPE of write(2). */
void signal_self(int signal);

/* ---- state.c ----------------------------------------------------------------------------------------------------- */

/* Empties the inboxes of this picoprocess's processes. */
void signal_receive(void);
bool signal_inbox_is_empty(const struct signal_state *signals);
/* To a process of another picoprocess: tid 0 = process-directed. */
int64_t signal_send_remote(int pid, int tid, const struct siginfo *info);
/* After -EBUSY: waits until the receiver has taken something; -ETIMEDOUT, -EINTR, -ESRCH. */
int64_t signal_await_room(int pid, uint64_t until);
/* The same in two steps, process-directed and not for SIGKILL: a group's members all have a signal before the
 * first of them acts on it. */
void signal_leave(struct shared_process *slot, const struct siginfo *info); /* caller holds the table's lock */
void signal_leave_remote(int pid, const struct siginfo *info);
void signal_interrupt_remote(int pid);
/* For the timers' helper thread, which an interrupt may hit: a guest thread does the rest. */
void signal_forward_interrupt(void);
int64_t signal_send_process(int pid, const struct siginfo *info); /* any process of the sandbox */
void signal_exec(struct process *process); /* handlers go, ignored ones stay; timers of timer_create go */
/* Dispositions and queues of a process.  new and copy give NULL without memory; copy is for a vfork child: the same
 * dispositions, nothing pending.  fork_child: in a fork child, process is the only one; its threads list is set. */
struct signal_state *signals_new(struct process *process);
void signals_inherit(struct thread *thread); /* the first: what the sandbox was started with */
struct signal_state *signals_copy(const struct signal_state *from, struct process *process);
void signals_free(struct signal_state *signals);
void signals_default(struct process *process); /* handlers go, ignored ones stay: exec, CLONE_CLEAR_SIGHAND */
void signals_fork_child(struct process *process);
/* This thread leaves, no longer in process->threads: what it had not yet taken wakes another. */
void signals_thread_exit(struct thread *thread);
/* Does this process want no zombies (SIGCHLD ignored, or SA_NOCLDWAIT)?  Does it want SIGCHLD when a child stops? */
bool signals_discard_children(struct process *process);
bool signals_want_stops(struct process *process);

/* ---- calls.c ----------------------------------------------------------------------------------------------------- */

/* To a file's owner, by the rules of kill(2); it never waits: -EBUSY, -EAGAIN. */
enum signal_owner { OWNER_THREAD, OWNER_PROCESS, OWNER_GROUP }; /* struct f_owner_ex's types */
int64_t signal_send_owner(int id, uint32_t type, const struct siginfo *info);
void signal_send_group(uint32_t group, const struct siginfo *info); /* the terminal's: nobody is asked for permission */

/* ---- take.c ------------------------------------------------------------------------------------------------------ */

/* The next signal of `wanted` for this thread, its own before the process's; its number or 0.  With `action`, what
 * is to be done with it now: SA_RESETHAND has had its effect. */
int signal_next(sigset_t wanted, struct siginfo *out, struct sigaction *action);
/* Of this thread.  What it no longer takes, another may. */
void signal_set_blocked(sigset_t blocked);
/* Has pal-run got a signal that is the sandbox's? */
static inline bool host_signals_came(void)
{
    struct pal_host_signals *came = (struct pal_host_signals *)(uintptr_t)boot->host_signals;
    return came && atomic_get(&came->set);
}
/* A thread whose tracer has let it go on is not held by its process's stop. */
static inline bool signal_holds(const struct thread *thread)
{
    const struct signal_state *signals = thread->process->signals;
    return atomic_get(&signals->stopped) && !(thread->trace && thread->stop_seen == atomic_get(&signals->stops));
}
void signal_action(int signal, struct sigaction *action); /* what signal_next gives of it */
static inline bool host_joins_came(void)
{
    struct pal_host_signals *came = (struct pal_host_signals *)(uintptr_t)boot->host_signals;
    return came && atomic_get(&came->joins);
}
bool signal_acts(void);    /* is there something pending that this thread would act on now? */
bool signal_waiting(void); /* the same, or something in the inbox, whatever it is */
/* ppoll & co.: a temporary mask until the call ends (address 0: none).  The call returns signal_mask_done(its result),
 * which puts the old mask back unless the call was interrupted: then signal_work does, after the handlers' frames are
 * set up. */
int64_t signal_mask_for_call(guest_t mask, uint64_t size);
int64_t signal_mask_done(int64_t result);
void signal_restore_mask(struct thread *thread);
/* signalfd: takes one pending signal of `set`, blocked or not, off this thread's or this process's queue;
 * -EAGAIN: none. */
int64_t signal_take(sigset_t set, struct siginfo *out);
/* What is pending for this thread and its process, and the dispositions: signalfd's readiness, /proc/self/status. */
struct signal_masks { sigset_t pending, shared_pending, ignored, caught; };
void signal_masks_get(struct signal_masks *out);
/* Has a SIGCONT been sent since this stop signal was? */
bool signal_stop_is_over(const struct process *process, int signal);
/* ---- frame.c ----------------------------------------------------------------------------------------------------- */

/* Makes the frame go on in the handler.  `saved_mask` is what sigreturn brings back.  False: no stack. */
uint32_t vector_state_size(uint64_t *out_features); /* of an XSAVE area with all of them */
/* Of the calling thread, these features of its vector state, as an NT_X86_XSTATE has them; `to` has 64-byte alignment. */
int64_t vector_state_get(void *to, uint64_t size, uint64_t features);
void vector_state_reset(void); /* x87, SSE and what has come since, as Linux starts a program or a handler */
bool frame_push(struct frame *frame, const struct sigaction *action, const struct siginfo *info, sigset_t saved_mask);

/* ---- timers.c ---------------------------------------------------------------------------------------------------- */

/* A siginfo that a timer made carries the timer's generation in words[2] until it is taken. */
/* A timer's signal leaves the queue: fills in the overrun and arms it again.  Caller holds process->lock.  False: the
 * timer has been deleted or set anew since; as on Linux since 6.13 nobody gets that signal. */
bool timer_delivered(struct process *process, struct siginfo *info);
void signal_came_from_outside(void); /* from another picoprocess; caller holds no lock */
void timers_exec(struct process *process); /* those of timer_create go, setitimer's stay */
void timers_free(struct process *process);
void timers_fork_child(void);

/* ---- timer_calls.c ----------------------------------------------------------------------------------------------- */

/* RLIMIT_CPU of this process has changed, or its processor time has begun anew. */
void timers_limit_cpu(void);

#endif
