/* SPDX-License-Identifier: MIT */
/*
 * ptrace(2) within the sandbox: a tracee stops by itself, in the libOS, and serves its tracer from there.  The host's ptrace
 * has no part in it.
 *
 * What tracer and tracee share is a record in the shared segment, one for each thread that is traced.  A tracee that
 * stops writes its registers there and waits on `word`; the tracer reads and changes them there, asks the waiting thread
 * for what only that can do (its memory, its vector state, its queue), and lets it go on.  The process table's lock guards
 * all fields but those of a request, which are its tracer's while the tracee is stopped.
 *
 * Either may be killed at any instruction: a record of a process that ends is ended or freed by the process that notes the end
 * (trace_ended), the tracees of a tracer that ends are let go (trace_tracer_ends).
 */
#ifndef LIBOS_TRACE_H
#define LIBOS_TRACE_H

#include "libos/abi/ptrace.h"
#include "libos/abi/signal.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

enum trace_state {
    TRACE_RUNS,
    TRACE_STOPPED,
    TRACE_LISTENS, /* PTRACE_LISTEN: a stop in which it is not served */
    TRACE_ENDED,   /* a thread that is no more, until its tracer has waited for it */
};

enum trace_request {
    TRACE_NOTHING,
    TRACE_READ_MEMORY, TRACE_WRITE_MEMORY,
    TRACE_GET_VECTORS, TRACE_SET_VECTORS,
    TRACE_READ_QUEUE,
};

#define TRACE_BYTES 7168u /* of a request: whole pages and the processor's state fit */

struct trace {
    uint32_t tid; /* 0: free.  Set last */
    uint32_t pid;
    uint32_t tracer, tracer_thread; /* process and thread; 0: it has been let go, and the tracee frees this */
    uint32_t options, seized;
    uint32_t unborn;      /* its thread is being made, and nobody else knows of it yet: not to be freed for want of it */
    uint32_t state, news; /* news: wait has not told the stop or the end yet */
    int32_t status;       /* in wait(2)'s encoding */
    uint32_t interrupt;   /* PTRACE_INTERRUPT, or a new tracee that has been seized: it is to stop.  Atomic */
    uint32_t word;        /* the tracee waits on it: moves when there is something for it.  Atomic */
    uint32_t answered;    /* the tracer waits on it: counts answers.  Atomic */
    uint32_t asked;       /* enum trace_request.  Atomic */
    uint32_t resume;      /* how it goes on: PTRACE_CONT, PTRACE_SYSCALL, ... */
    int32_t resume_signal;
    uint32_t has_info, info_changed, regs_changed, mask_changed;
    struct siginfo info;
    uint64_t message;
    struct user_regs regs;
    sigset_t mask;
    uint64_t address, size; /* of the request; its result */
    int64_t result;
    uint8_t bytes[TRACE_BYTES] __attribute__((aligned(64)));
};

/* ---- records.c.  Caller holds the table's lock, but for trace_init and trace_tracer_ends -------------------------- */

uint64_t trace_init(uint64_t at, uint64_t end); /* for entry/segment.c */
/* The record of a thread that is traced, or NULL. */
struct trace *trace_find(int tid);
/* All records, in any order; NULL begins. */
struct trace *trace_next(struct trace *after);
/* NULL: there are too many. */
struct trace *trace_new(int tid, int pid, struct shared_process *tracer, uint32_t tracer_thread);
void trace_free(struct trace *trace);
void trace_waited(struct trace *trace); /* it has ended, and its tracer knows */
void trace_number(struct trace *trace, int tid); /* its thread has another number now */
/* No more its tracer's: the tracee goes on, untraced. */
void trace_release(struct trace *trace);
/* The process has ended.  True: the news of it is for its tracer, who is not its parent and is set here. */
bool trace_ended(const struct shared_process *slot, struct shared_process **out_tracer);
/* Some other thread of it has ended, too, and its tracer has not waited for that yet. */
bool trace_threads_left(const struct shared_process *slot);
/* Its tracees go on, or die with it.  Takes the lock.  A process that has ended, whose parent is now to be told of it: again;
 * or 0. */
int trace_tracer_ends(struct shared_process *slot);
bool trace_is_for(const struct trace *trace, const struct shared_process *tracer);

/* For /proc: the process that traces a thread, or 0, and whether that has stopped for it.  Takes the lock. */
int trace_tracer(int tid, bool *out_stopped);

/* ---- stop.c: in the tracee ---------------------------------------------------------------------------------------- */

/* What an interrupted thread does: threads of this picoprocess that others have begun to trace learn of it. */
void trace_settle(void);
/* Stops until the tracer lets it go on, or it dies.  code: as siginfo's si_status has it, signal and event; info: NULL in a
 * stop that has none.  Gives the signal that the tracer wants delivered, or 0; `given` if there is no tracer to say. */
int trace_stop(uint32_t code, struct siginfo *info, uint64_t message, int given);
/* Its tracer is no more: it isn't traced any longer. */
bool trace_is_over(void);
/* thread->trace becomes this, or nothing. */
void trace_set(struct thread *thread, struct trace *trace);

/* ---- events.c: what the tracee stops for --------------------------------------------------------------------------- */

/* Around a call.  The first is false where it is not to be made; the second gives its result as the tracer left it. */
bool trace_call_begins(struct frame *frame);
int64_t trace_call_ends(struct frame *frame, int64_t result);
/* A signal that it is about to take; 0: it doesn't. */
int trace_signal(int signal, struct siginfo *info);
void trace_group_stop(void);  /* its process has stopped */
void trace_interrupted(void); /* to be called if trace_interrupt is set */
void trace_handler_begins(void); /* single-stepping has come to a handler's first instruction */
/* The trap flag that the tracer has set by single-stepping: it goes, where the guest might see it; it comes. */
static inline void trace_way_in(struct frame *frame)
{
    struct thread *thread = current();
    if (LIKELY(!thread->stepped))
        return;
    frame->regs.rflags &= ~(uint64_t)FLAG_TRAP;
    thread->stepped = 0;
}
void trace_way_out(struct frame *frame);
/* The result that an interrupted call has, which is to be made again: as the registers say after a stop.  0: none. */
int64_t trace_restart(const struct frame *frame);
void trace_event(int event, uint64_t message);
void trace_exec(int former); /* the thread was number `former` until now; the new program is about to run */
void trace_exit(uint32_t status);
/* Of a thread that is not the last of its process: true: its number is not to be given back yet. */
bool trace_thread_ended(struct thread *thread, uint32_t status);

/* ---- birth.c: threads and processes that are traced from their beginning ------------------------------------------- */

/* What the caller's tracer wants of a fork, vfork or clone: the event, or 0. */
int trace_birth_event(uint64_t clone_flags, uint32_t exit_signal);
/* The record for what is about to be made, or NULL; it is not made after all; the new thread, which nobody knows yet or
 * which calls this itself, has this record (NULL: none). */
struct trace *trace_birth(uint64_t clone_flags, uint32_t exit_signal, int tid, int pid);
void trace_unborn(struct trace *trace);
void trace_begin(struct thread *thread, struct trace *trace);
void trace_fork_child(struct trace *trace); /* the thread is the only one of its picoprocess */

/* ---- registers.c --------------------------------------------------------------------------------------------------- */

/* Of the calling thread. */
void trace_registers(struct user_regs *out, const struct frame *frame, bool stepping);
void trace_publish(struct trace *trace, const struct frame *frame, bool stepping);
void trace_load(const struct user_regs *regs, struct frame *frame);
/* As PTRACE_SETREGS takes them: 0, or -EIO. */
int64_t trace_registers_set(struct user_regs *regs, const struct user_regs *wanted);

/* ---- serve.c: requests, by the thread that is stopped ---------------------------------------------------------------- */

void trace_serve(struct trace *trace);

/* ---- requests.c: the tracer's, of a tracee that is stopped ----------------------------------------------------------- */

/* From or to its memory: how much was moved, or -errno. */
int64_t trace_memory(struct trace *trace, guest_t at, void *to, const void *from, uint64_t size);
int64_t trace_request(struct trace *trace, int64_t request, guest_t address, guest_t data);

/* ---- tell.c -------------------------------------------------------------------------------------------------------- */

/* News for a tracer: noted under the lock, told without it. */
struct trace_news { struct shared_process *tracer; int pid; bool left; struct siginfo info; };
void trace_news_note(struct trace_news *news, struct trace *trace, int code, int status);
void trace_news_tell(const struct trace_news *news);

#endif
