/* SPDX-License-Identifier: MIT */
/*
 * Signals, inside: what signal.c, sigwork.c, sigstate.c, sigqueue.c, sigframe.c, sigcalls.c and timers.c share.  Others
 * include process.h only.
 *
 * process.lock guards all queues and dispositions of a process and its threads; the timers' lock is inside it.
 * `pending` and `blocked` are also read without: a sender sets `pending`, then reads `blocked`; a thread sets
 * `blocked`, then reads `pending`; both with locked instructions, so one of them sees.
 */
#ifndef LIBOS_SIGNALS_H
#define LIBOS_SIGNALS_H

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
    struct signal_state *next; /* of the picoprocess's: more than one only during vfork.  sigstate.c's list */
    sigset_t pending;          /* process-directed */
    uint32_t queued;           /* real-time signals in all its queues, against RLIMIT_SIGPENDING */
    uint32_t stopped;          /* 1: threads park on this word until SIGCONT or SIGKILL.  Atomic */
    uint32_t continued;        /* a SIGCONT that the parent has not been told of.  Atomic */
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

/* sigqueue.c.  Caller holds process->lock; thread NULL = process-directed. */
/* 1 queued, 0 there was one already, -EAGAIN no room for a real-time signal that carries information. */
int64_t queue_add(struct signal_state *signals, struct thread *thread, const struct siginfo *info);
/* Takes the next signal of `wanted`; returns its number or 0. */
int queue_take(struct signal_state *signals, struct thread *thread, sigset_t wanted, struct siginfo *out);
void queue_flush(struct signal_state *signals, struct thread *thread, sigset_t which);

/* signal.c */
#define SIGNAL_IGNORED 2
/* To a process of this picoprocess, or one of its threads.  Caller holds process->lock.  1: queued, 0: coalesced,
 * -EAGAIN, or SIGNAL_IGNORED. */
int64_t signal_post(struct process *process, struct thread *thread, const struct siginfo *info);
/* The same for one that has been in the inbox. */
int64_t signal_post_received(struct process *process, struct thread *thread, const struct siginfo *info);
bool signal_is_ignored(const struct sigaction *action, int signal);
void signal_flush(struct process *process, sigset_t which); /* from all queues.  Caller holds process->lock */
void signal_interrupt(struct thread *thread);
/* Interrupts who should take the signal: `thread`, or one that is chosen.  Caller holds process->lock. */
void signal_wake(struct process *process, struct thread *thread, sigset_t bit);
/* What this thread may have been chosen for, but does not take, is another's. */
void signal_pass_on(struct process *process, sigset_t set);

/* sigstate.c */
/* Empties the inboxes of this picoprocess's processes. */
void signal_receive(void);
bool signal_inbox_is_empty(const struct signal_state *signals);
/* To a process of another picoprocess: tid 0 = process-directed. */
int64_t signal_send_remote(int pid, int tid, const struct siginfo *info);
/* The same in two steps, process-directed and not for SIGKILL: a group's members all have a signal before the
 * first of them acts on it. */
void signal_leave(struct shared_process *slot, const struct siginfo *info); /* caller holds the table's lock */
void signal_leave_remote(int pid, const struct siginfo *info);
void signal_interrupt_remote(int pid);
/* For the timers' helper thread, which an interrupt may hit: a guest thread does the rest. */
void signal_forward_interrupt(void);

/* sigwork.c */
/* The next signal of `wanted` for this thread, its own before the process's; its number or 0.  With `action`, what
 * is to be done with it now: SA_RESETHAND has had its effect. */
int signal_next(sigset_t wanted, struct siginfo *out, struct sigaction *action);
/* Of this thread.  What it no longer takes, another may. */
void signal_set_blocked(sigset_t blocked);
/* What every interrupted thread does before it looks for signals: clears the flag, leaves if it must, reaps,
 * receives. */
void signal_settle(void);

/* Has a SIGCONT been sent since this stop signal was? */
bool signal_stop_is_over(const struct process *process, int signal);

/* sigframe.c: makes the frame go on in the handler.  `saved_mask` is what sigreturn brings back.  False: no stack. */
bool frame_push(struct frame *frame, const struct sigaction *action, const struct siginfo *info, sigset_t saved_mask);

/* timers.c.  A siginfo that a timer made carries the timer's generation in words[2] until it is taken. */
/* A timer's signal leaves the queue: fills in the overrun and arms it again.  Caller holds process->lock.  False: the
 * timer has been deleted or set anew since; as on Linux since 6.13 nobody gets that signal. */
bool timer_delivered(struct process *process, struct siginfo *info);
void timers_exec(struct process *process); /* those of timer_create go, setitimer's stay */
void timers_free(struct process *process);
void timers_fork_child(void);
#endif
