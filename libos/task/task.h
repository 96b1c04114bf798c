/* SPDX-License-Identifier: MIT */
/* Processes and threads: what others ask of them. */
#ifndef LIBOS_TASK_H
#define LIBOS_TASK_H

#include "libos/abi/process.h"
#include "libos/lib/hash.h"
#include "libos/lib/lib.h"

struct files;
struct fs;
struct trace;
struct core;
struct shared_process; /* a slot of the sandbox's process table, in the shared segment: task/table.h */
struct signal_state;   /* dispositions and what is pending: signal/signal.h */
typedef uint64_t sigset_t; /* bit n-1 = signal n */

/*
 * A guest process.  A picoprocess has one, and for each thread inside vfork, and each clone with CLONE_VM, a virtual
 * child more, which shares mm with its parent until it execs (then the host forks) or exits.
 */
enum process_exiting { PROCESS_STAYS, PROCESS_EXITS, PROCESS_EXECS };

/* What programs set and read back; a fork's child has it too.  process/prctl.c.  What other processes may set, too, lies in the
 * shared table: struct shared_settings. */
struct settings {
    uint32_t ready; /* the first use fills in what Linux starts with */
    uint32_t persona, dumpable, no_new_privileges, keep_capabilities, huge_pages_off, barriers;
    uint32_t secure_bits, io_flusher, memory_fault, memory_policy;
    uint64_t timer_slack, timer_slack_default; /* the default: its parent's at the fork */
    /* What it has given up of root's capabilities, and what programs of it are to have: capabilities(7). */
    struct { uint64_t unpermitted, ineffective, unbound, inheritable, ambient; } capabilities;
};

/* Supplementary groups, sorted.  Older lists stay while threads may be reading them. */
struct groups {
    struct groups *older;
    uint32_t count, ids[];
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
    struct process *next;         /* of this picoprocess: task.c's list */
    struct thread *exec_thread;   /* exiting is PROCESS_EXECS: the one that stays */
    uint32_t exiting;             /* exit_group or exec has begun: other threads leave.  Atomic */
    uint32_t own_thread;          /* a virtual child that has a thread of its own: process/clone_vm.c */
    uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
    struct groups *groups; /* supplementary; NULL: none.  Atomic */
    uint64_t user_ns, system_ns;  /* what it was last told to have used: cpu_times */
    struct hash thread_ids;       /* threads, by number; guarded by lock */
    uint32_t timer_count, next_timer; /* of timer_create: timers.h */
    uint32_t clocks_told;         /* counts what threads told of their clocks */
    struct settings settings;
    uint32_t traces_seen;         /* its slot's `traces` */
    struct core *core;            /* it is being written: process/core.c.  Before `exiting` is set, and for good */
};

/* In `vforks`: some thread is traced, so no call may take the entry's short ways. */
#define VFORKS_TRACED 0x80000000u

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
    uint32_t has_children;    /* it has forked, or inherited children */
    guest_t clear_tid, robust_list;
    uint64_t robust_size;
    struct thread *next, **from; /* of its process's, and by number: threads_add */
    struct hash_node by_tid;
    uint64_t host_id;         /* as thread_create named it; 0: the picoprocess's first */
    struct signal_queue *signal_queue; /* thread-directed siginfo: signal/queue.c */
    uint64_t fault_trap, fault_error, fault_address; /* of the last fault: later frames show it too, as Linux's do */
    char name[16];
    void *stack;              /* libOS stack's lowest address */
    guest_t start_fs;         /* FS base that it begins with */
    struct {
        guest_t address;
        uint32_t size, signature; /* size 0 = none */
    } sequences;              /* rseq(2)'s area */
    struct thread *vfork_thread; /* see process/fork.c */
    struct trace *trace;      /* it is traced: trace/trace.h.  Guarded by process->lock for others */
    uint32_t trace_mode;      /* PTRACE_CONT, PTRACE_SYSCALL, ...: how it goes on */
    uint32_t trace_interrupt; /* it is to stop soon.  Atomic */
    uint32_t trace_seized;    /* by PTRACE_SEIZE: SIGCONT makes it stop for its tracer */
    uint32_t stop_seen;       /* the last of its process's stops that its tracer has ended for it: signals->stops */
    uint32_t trace_moved;     /* the tracer has changed registers since the call was interrupted */
    uint32_t stepped;         /* the tracer has set its trap flag */
    uint32_t clock_asked;     /* somebody waits for clock_ns: thread_clock.c */
    uint64_t clock_ns;
};

/* ---- task.c ------------------------------------------------------------------------------------------------------ */

static inline struct process *current_process(void) { return current()->process; }
/* Nobody else runs in this memory.  A virtual child shares descriptions with its parent's process, whose threads run. */
static inline bool alone(void)
{
    const struct process *process = current_process();
    return LIKELY(process->runners == 1 && !process->vfork_parent);
}
uint64_t process_host_id(void);
extern struct process *processes;     /* of this picoprocess, guarded by processes_lock.  Order: before process.lock */
extern struct mutex processes_lock;
void process_link(struct process *process);
void process_unlink(struct process *process);
/* A local process by pid, with a reference, or NULL: it lives in another picoprocess, or not at all. */
struct process *process_local_get(int pid);
struct process *process_ref(struct process *process);
void process_put(struct process *process); /* NULL is fine */
/* A signal for a pid has been put where it finds it: interrupts the picoprocess that it lives in.
 * Caller holds no lock. */
void process_notify(struct shared_process *slot);
struct process *process_real(void);   /* the one that is no virtual child: the host's children are its */
uint32_t process_real_pid(void);
/* Comm, from a path's last name. */
void process_set_name(struct thread *thread, const char *path);
/* What lower rooms have done by process/, which fills this in. */
struct process_hooks {
    void (*settle)(void);    /* signal_settle */
    void (*killed)(int pid); /* process_killed */
};
extern const struct process_hooks *process_hooks;
/* What signals ask of processes and their table. */
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
/* A SIGCONT is being sent: a stop is over from here on, whenever the process itself goes on.  Caller holds the table's
 * lock. */
void process_continued(struct shared_process *slot);
void process_end_stop(struct shared_process *slot); /* likewise: one that was stopped goes on */
#define STATUS_CONTINUED 0xffff
/* The threads of a process.  Caller holds process->lock, or nobody else knows the process. */
struct thread *thread_find(const struct process *process, int tid);
void threads_add(struct process *process, struct thread *thread);
void threads_remove(struct process *process, struct thread *thread);
void thread_renumber(struct process *process, struct thread *thread, int tid);
/* For /proc: the sandbox's process table.  facts: false where there is no such process. */
struct process_facts {
    int pid, parent, group, session;
    uint32_t uid, gid, threads;
    char state; /* R T Z, as /proc has it; R: it is not known here whether it sleeps */
    int nice;
    uint64_t host;  /* as the PAL names it, or 0 */
    char name[16];
    uint64_t start_ns; /* PAL_CLOCK_BOOT */
    struct pal_usage used, children; /* used: once it has ended */
};
int process_after(int pid); /* the next number of a process, or -1 */
uint32_t process_count(void);
bool process_facts(int pid, struct process_facts *out);

/* ---- thread_clock.c ---------------------------------------------------------------------------------------------- */

/* The processor time of another thread of this process, -EINVAL if there is none such; is there one?;
 * what each interrupted thread does. */
int64_t thread_clock_get(int tid, uint64_t *out_ns);
bool thread_clock_is(int tid);
void thread_clock_tell(void);

/* ---- frame.c ----------------------------------------------------------------------------------------------------- */

/* The deadline of a call with a relative timeout: stays the same when the call is restarted inside the libOS.
 * timeout_ns UINT64_MAX = PAL_FOREVER. */
uint64_t call_deadline(uint64_t timeout_ns);
void frame_set_rip(struct frame *frame, guest_t rip);
/* Reads and writes that need nothing of the libOS may go straight to the host. */
extern bool libos_direct;

/* ---- waiters.c --------------------------------------------------------------------------------------------------- */

/* A thread that waits for something of the libOS's own; on its stack. */
struct waiter {
    struct pal_tcb *tcb;
    struct waiter *next;
};
/* Between these, wait_kick and the arrival of one of `signals`, blocked or not, interrupt the thread: begin before
 * looking whether something is ready. */
void wait_begin(struct waiter *waiter, sigset_t signals);
void wait_end(struct waiter *waiter);
void wait_kick(void);
/* The same in the picoprocess of another process: its threads look again. */
void wait_kick_process(int pid);
void wait_kicked(void); /* of an interrupted thread: if that was why, the others are interrupted, too */
void wait_fork_child(void);

/* ---- helper.c ---------------------------------------------------------------------------------------------------- */

/* current() of such a thread is something; its process is the one that started it. */
struct helper {
    struct thread thread;
    struct pal_tcb *block;
    void *stack;
    bool runs;
    struct helper *next;
};
/* Unless it runs.  The caller guards `helper`.  0 or -errno. */
int64_t helper_start(struct helper *helper, void (*entry)(void *), void *argument);
bool helpers_hold(void);       /* does one hold a mutex?  fork waits until none does */
void helpers_fork_child(void); /* none runs here */

/* ---- rlimit.c ---------------------------------------------------------------------------------------------------- */

struct settings *settings(void); /* of current_process() */
void cpu_times(bool thread, uint64_t *user, uint64_t *system); /* of the calling thread, or of its process; ns */
void usage_add(struct pal_usage *to, const struct pal_usage *more);
void usage_subtract(struct pal_usage *from, const struct pal_usage *less);
int64_t usage_out(guest_t at, const struct pal_usage *used); /* as struct rusage */
/* RLIMIT_*: what getrlimit gives this process.  Takes no lock. */
void limit_get(uint32_t resource, uint64_t *soft, uint64_t *hard);
bool limit_processes(void); /* may this process's user have one process or thread more (RLIMIT_NPROC)? */
uint64_t fd_limit(void); /* RLIMIT_NOFILE, soft; at most boot->file_limit */

/* ---- credentials.c ----------------------------------------------------------------------------------------------- */

bool process_in_group(const struct process *process, uint32_t gid); /* supplementary ones only */
bool groups_copy(struct process *to, const struct process *from); /* false: no memory */
void groups_free(struct process *process);
/* In place of what it has; none where there is no memory. */
void groups_set(struct process *process, const uint32_t *ids, uint32_t count);
/* The ids of a program that begins, by its set-id bits (as a guest gave them) and owner.  True: it runs with another's. */
bool credentials_exec(uint32_t bits, uint32_t uid, uint32_t gid);
#define CAP_LAST 40
struct capability_sets { uint64_t effective, permitted, inheritable, bounding, ambient; };
struct capability_sets capabilities_get(const struct process *process);

/* ---- set_id.c ---------------------------------------------------------------------------------------------------- */

uint64_t set_ids_init(uint64_t at, uint64_t end); /* the first process makes room at `at`; returns where it ends */
bool set_ids_any(void); /* has any file such bits?  Cheap */
uint32_t set_id_get(uint64_t device, uint64_t inode); /* S_ISUID and S_ISGID, as a guest gave them */
bool set_id_put(uint64_t device, uint64_t inode, uint32_t bits); /* false: no room */

/* ---- uts.c ------------------------------------------------------------------------------------------------------- */

#define KERNEL_RELEASE "6.1.0"
#define KERNEL_VERSION "#1 SMP PREEMPT_DYNAMIC"
/* uname's, and what sethostname and setdomainname set: at most 64 bytes and a NUL. */
void host_names(char node[65], char domain[65]);

/* ---- clock.c ----------------------------------------------------------------------------------------------------- */

int64_t time_from_guest(guest_t timespec, uint64_t *out_ns); /* NULL address gives UINT64_MAX; -EINVAL, -EFAULT */
int64_t time_from_guest_timeval(guest_t timeval, uint64_t *out_ns);
uint64_t time_now(uint32_t clock); /* ns */
int64_t sleep_until(uint64_t deadline); /* [blocks] -ETIMEDOUT, or -EINTR */
/* A guest's clockid_t as a PAL clock: CPU clocks of this process and thread, too.  -EINVAL. */
int64_t clock_from_guest(int32_t clock, uint32_t *out);

#endif
