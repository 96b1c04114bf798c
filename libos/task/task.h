/* SPDX-License-Identifier: MIT */
/* Processes, threads, signals. */
#ifndef LIBOS_PROCESS_H
#define LIBOS_PROCESS_H

#include "libos/abi/process.h"
#include "libos/libos.h"

struct files;
struct fs;
struct shared_process; /* a slot of the sandbox's process table, in the shared segment: libos/task/table.h */
struct signal_state;   /* dispositions and what is pending: signal.c */
typedef uint64_t sigset_t; /* bit n-1 = signal n */

/*
 * A guest process.  A picoprocess has one, and for each thread inside vfork, and each clone with CLONE_VM, a virtual
 * child more, which shares mm with its parent until it execs (then the host forks) or exits.
 */
enum process_exiting { PROCESS_STAYS, PROCESS_EXITS, PROCESS_EXECS };

/* What programs set and read back; a fork's child has it too.  info.c.  What other processes may set, too, lies in the
 * shared table: struct shared_settings. */
struct settings {
    uint32_t ready; /* the first use fills in what Linux starts with */
    uint32_t persona, dumpable, no_new_privileges, keep_capabilities, huge_pages_off, barriers;
    uint64_t timer_slack, dropped_capabilities;
};

struct process {
    int pid;
    uint32_t references;
    struct shared_process *shared;
    struct files *files;
    struct fs *fs;
    struct signal_state *signals;
    struct mutex lock;      /* threads, exit */
    struct thread *threads; /* guarded by lock */
    union {
        struct {
            uint32_t thread_count;
            uint32_t vforks;      /* virtual children at the moment */
        };
        uint64_t runners;         /* both at once: 1 = one thread, and nobody of its own beside it */
    };
    struct process *vfork_parent; /* this is a virtual child */
    struct process *next;         /* of this picoprocess: process.c's list */
    struct thread *exec_thread;   /* exiting is PROCESS_EXECS: the one that stays */
    uint32_t exiting;             /* exit_group or exec has begun: other threads leave.  Atomic */
    uint32_t own_thread;          /* a virtual child that has a thread of its own: clone_vm.c */
    uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
    uint32_t group_count, groups[32];
    uint64_t user_ns, system_ns;  /* what it was last told to have used: cpu_times */
    uint32_t timer_count, next_timer; /* of timer_create: timers.h */
    struct settings settings;
};

/* First fields: hot. */
struct thread {
    struct process *process;
    struct pal_tcb *tcb;      /* NULL: the thread is in vfork, its host thread plays the child; signals stay pending */
    int tid;
    sigset_t blocked;
    sigset_t pending;         /* thread-directed; atomic */
    sigset_t waiting_for;     /* rt_sigtimedwait's set: blocked, yet wanted */
    struct pal_vector buffer; /* of the read or write that it is in */
    uint64_t deadline;        /* call_deadline's */
    uint32_t deadline_valid;
    uint32_t restore_mask;    /* sigsuspend, ppoll: saved_mask comes back when the call ends */
    sigset_t saved_mask;
    guest_t altstack_base;
    uint64_t altstack_size;
    uint32_t altstack_flags;
    uint32_t exit_word;       /* becomes 0 when the host thread has left */
    uint32_t has_children;    /* it has forked, or who did has left its children to it */
    guest_t clear_tid, robust_list;
    uint64_t robust_size;
    struct thread *next;
    struct signal_queue *signal_queue; /* thread-directed siginfo: sigqueue.c */
    uint64_t fault_trap, fault_error, fault_address; /* of the last fault: later frames show it too, as Linux's do */
    char name[16];
    void *stack;              /* libOS stack's lowest address */
    guest_t lent;             /* a buffer of this call's: filecopy.h */
    guest_t start_fs;         /* FS base that it begins with */
    struct {
        guest_t address;
        uint32_t size, signature; /* size 0 = none */
    } sequences;              /* rseq(2)'s area */
    struct thread *vfork_thread; /* see fork.c */
};

/* process.c, thread.c */
void process_init(void); /* the first process and thread; current() works from here on */
static inline struct process *current_process(void) { return current()->process; }
/* Nobody else runs in this memory.  A virtual child shares descriptions with its parent's process, whose threads run. */
static inline bool alone(void)
{
    const struct process *process = current_process();
    return LIKELY(process->runners == 1 && !process->vfork_parent);
}
uint64_t process_host_id(void);
/* exec: the other threads of the process leave before this returns;
 * 0 or -EAGAIN when another exec or exit came first. */
int64_t process_make_single(void);
/* Ends the process.  status in wait(2)'s encoding. */
void process_exit_group(uint32_t status) __attribute__((noreturn));
/* A local process by pid, with a reference, or NULL: it lives in another picoprocess, or not at all. */
struct process *process_local_get(int pid);
struct process *process_ref(struct process *process);
void process_put(struct process *process); /* NULL is fine */
/* A signal for a pid has been put where it finds it: interrupts the picoprocess that it lives in.
 * Caller holds no lock. */
void process_notify(struct shared_process *slot);

/* process.c: what signals ask of processes and their table. */
struct process_target {
    uint64_t host;                /* for PAL->process_interrupt */
    struct shared_process *slot;
    uint32_t uid, suid;
    int session;
    bool zombie;
    bool virtual_child;           /* inside vfork: the host process is its parent's too */
};
/* False: no such process, and not locked.  True: the table is locked, so that the slot stays that process's. */
bool process_target_lock(int pid, struct process_target *out);
void process_target_unlock(void);
/* children.c: children that the host says have ended; sends SIGCHLD to their parents. */
void process_reap_host(void);
/* current_process() has stopped, or goes on: state, the parent's SIGCHLD and waits. */
void process_report_stop(int signal);
void process_report_continue(struct process *process);
/* A SIGCONT is being sent: a stop is over from here on, whenever the process itself goes on.  Caller holds the table's
 * lock. */
void process_continued(struct shared_process *slot);
/* The host has been told to kill it: if it has no host parent any more to notice, its slot is dealt with here. */
void process_killed(int pid);
void process_find_killed(void); /* those that have no host parent to notice: the host is asked */
bool process_group_orphaned(void);         /* of current_process(): terminal stops are then ignored */
struct thread *thread_find(struct process *process, int tid); /* caller holds process->lock */
void thread_leave_if_exiting(void);        /* another thread called exit_group or exec: does not return then */

/* signal.c */
/* An interrupt was noted or a call ended in -ERESTART*: clears tcb.interrupted, reaps children, sets up handler frames.
 * `restart` is the call's result or 0.  True: run the call again (inside the libOS). */
bool signal_work(struct frame *frame, int64_t restart);
/* A synchronous fault of the guest: as a forced signal, or the stack grows. */
void signal_exception(const struct pal_exception *exception);
struct siginfo; /* abi_signal.h */
/* To this thread, as by a fault: unblockable. */
void signal_force(int signal, int code, guest_t address, uint64_t trap, uint64_t error);
int64_t signal_send_thread(struct thread *thread, const struct siginfo *info);
int64_t signal_send_process(int pid, const struct siginfo *info); /* any process of the sandbox */
bool signal_waiting(void); /* is there something that this thread would act on now? */
/* ppoll & co.: a temporary mask until the call ends (address 0: none).  The call returns signal_mask_done(its result),
 * which puts the old mask back unless the call was interrupted: then signal_work does, after the handlers' frames are
 * set up. */
int64_t signal_mask_for_call(guest_t mask, uint64_t size);
int64_t signal_mask_done(int64_t result);
/* To this thread, as if it had sent it to itself: SIGPIPE of write(2). */
void signal_self(int signal);
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
void signal_send_group(uint32_t group, const struct siginfo *info); /* the terminal's: nobody is asked for permission */
/* signalfd: takes one pending signal of `set`, blocked or not, off this thread's or this process's queue;
 * -EAGAIN: none. */
int64_t signal_take(sigset_t set, struct siginfo *out);
/* What is pending for this thread and its process, and the dispositions: signalfd's readiness, /proc/self/status. */
struct signal_masks { sigset_t pending, shared_pending, ignored, caught; };
void signal_masks_get(struct signal_masks *out);

/* For /proc: the sandbox's process table.  list: up to `most` pids in rising order, returns how many.  facts: false
 * where there is no such process. */
struct process_facts {
    int pid, parent, group, session;
    uint32_t uid, gid, threads;
    char state; /* R S T Z, as /proc has it */
    char name[16];
    uint64_t start_ns; /* PAL_CLOCK_BOOT */
    struct pal_usage used, children; /* used: once it has ended */
};
int process_list(int *pids, int most);
bool process_facts(int pid, struct process_facts *out);
/* limits.c */
struct settings *settings(void); /* of current_process() */
void cpu_times(bool thread, uint64_t *user, uint64_t *system); /* of the calling thread, or of its process; ns */
void usage_add(struct pal_usage *to, const struct pal_usage *more);
void usage_subtract(struct pal_usage *from, const struct pal_usage *less);
int64_t usage_out(guest_t at, const struct pal_usage *used); /* as struct rusage */
/* RLIMIT_*: what getrlimit gives this process.  Takes no lock. */
void limit_get(uint32_t resource, uint64_t *soft, uint64_t *hard);
/* timercalls.c: RLIMIT_CPU of this process has changed, or its processor time has begun anew. */
void timers_limit_cpu(void);
bool limit_processes(void); /* may this process's user have one process or thread more (RLIMIT_NPROC)? */
/* uname's, and what sethostname set: at most 64 bytes and a NUL. */
#define KERNEL_RELEASE "6.1.0"
#define KERNEL_VERSION "#1 SMP PREEMPT_DYNAMIC"
const char *host_name(void);

/* time.c */
int64_t time_from_guest(guest_t timespec, uint64_t *out_ns); /* NULL address gives UINT64_MAX; -EINVAL, -EFAULT */
int64_t time_from_guest_timeval(guest_t timeval, uint64_t *out_ns);
uint64_t time_now(uint32_t clock); /* ns */
int64_t sleep_until(uint64_t deadline); /* [blocks] -ETIMEDOUT, or -EINTR */
/* A guest's clockid_t as a PAL clock: CPU clocks of this process and thread, too.  -EINVAL. */
int64_t clock_from_guest(int32_t clock, uint32_t *out);
#endif
