/* SPDX-License-Identifier: MIT */
/* Processes, threads, signals. */
#ifndef LIBOS_PROCESS_H
#define LIBOS_PROCESS_H

#include "libos/abi_process.h"
#include "libos/libos.h"

struct files;
struct fs;
struct shared_process; /* a slot of the sandbox's process table, in the shared segment: libos/shared.h */
struct signal_state;   /* dispositions and what is pending: signal.c */
typedef uint64_t sigset_t; /* bit n-1 = signal n */

/*
 * A guest process.  A picoprocess has one, and for each thread inside vfork a virtual child more, which shares mm with its
 * parent until it execs (then the host forks) or exits.
 */
struct process {
    int pid;
    uint32_t references;
    struct shared_process *shared;
    struct files *files;
    struct fs *fs;
    struct signal_state *signals;
    struct mutex lock;      /* threads, exit */
    struct thread *threads; /* guarded by lock */
    uint32_t thread_count;
    uint32_t exiting;       /* exit_group or exec has begun: other threads leave */
    uint32_t exit_status;   /* wait(2)'s encoding */
    struct process *vfork_parent; /* this is a virtual child */
    uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
    uint32_t group_count, groups[32];
};

/* First fields: hot. */
struct thread {
    struct process *process;
    struct pal_tcb *tcb;
    int tid;
    sigset_t blocked;
    sigset_t pending;         /* thread-directed; atomic */
    uint64_t deadline;        /* call_deadline's */
    uint32_t deadline_valid;
    uint32_t restore_mask;    /* sigsuspend, ppoll: saved_mask comes back when the call ends */
    sigset_t saved_mask;
    guest_t altstack_base;
    uint64_t altstack_size;
    uint32_t altstack_flags;
    uint32_t exit_word;       /* becomes 0 when the host thread has left */
    guest_t clear_tid, robust_list, rseq;
    uint64_t robust_size;
    struct thread *next;
    void *signal_queue;       /* thread-directed siginfo: signal.c */
    char name[16];
    void *stack;              /* libOS stack's lowest address */
    struct thread *vfork_thread; /* see fork.c */
};

/* process.c, thread.c */
void process_init(void); /* the first process and thread; current() works from here on */
static inline struct process *current_process(void) { return current()->process; }
uint64_t process_host_id(void);
void thread_start(void *thread); /* entry given to PAL->thread_create */
/* exec: the other threads of the process leave before this returns; 0 or -EAGAIN when another exec or exit came first. */
int64_t process_make_single(void);
/* Ends the process.  status in wait(2)'s encoding. */
void process_exit_group(uint32_t status) __attribute__((noreturn));

/* signal.c */
/* An interrupt was noted or a call ended in -ERESTART*: clears tcb.interrupted, reaps children, sets up handler frames.
 * `restart` is the call's result or 0.  True: run the call again (inside the libOS). */
bool signal_work(struct frame *frame, int64_t restart);
/* A synchronous fault of the guest: as a forced signal, or the stack grows. */
void signal_exception(const struct pal_exception *exception);
struct siginfo;
/* To this thread, as by a fault: unblockable. */
void signal_force(int signal, int code, guest_t address, uint64_t trap, uint64_t error);
int64_t signal_send_thread(struct thread *thread, const struct siginfo *info);
int64_t signal_send_process(int pid, const struct siginfo *info); /* any process of the sandbox */
bool signal_waiting(void); /* is there something that this thread would act on now? */
/* ppoll & co.: a temporary mask until the call ends. */
int64_t signal_mask_for_call(guest_t mask, uint64_t size);
void signal_exec(struct process *process);

/* time.c */
int64_t time_from_guest(guest_t timespec, uint64_t *out_ns); /* NULL address gives UINT64_MAX; -EINVAL, -EFAULT */
int64_t time_from_guest_timeval(guest_t timeval, uint64_t *out_ns);
uint64_t time_now(uint32_t clock); /* ns */
#endif
