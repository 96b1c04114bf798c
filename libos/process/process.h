/* SPDX-License-Identifier: MIT */
/* What happens to a process: fork, exec, exit, wait. */
#ifndef LIBOS_PROCESS_H
#define LIBOS_PROCESS_H

#include "libos/abi/process.h"
#include "libos/abi/ptrace.h"
#include "libos/abi/signal.h"
#include "libos/task/table.h"
#include "libos/task/task.h"
#include "shim/gs.h"

#define CLONE_VM 0x100ull
#define CLONE_FS 0x200ull
#define CLONE_FILES 0x400ull
#define CLONE_SIGHAND 0x800ull
#define CLONE_PIDFD 0x1000ull
#define CLONE_PTRACE 0x2000ull
#define CLONE_VFORK 0x4000ull
#define CLONE_PARENT 0x8000ull
#define CLONE_THREAD 0x10000ull
#define CLONE_NEWNS 0x20000ull
#define CLONE_SYSVSEM 0x40000ull
#define CLONE_SETTLS 0x80000ull
#define CLONE_PARENT_SETTID 0x100000ull
#define CLONE_CHILD_CLEARTID 0x200000ull
#define CLONE_DETACHED 0x400000ull
#define CLONE_UNTRACED 0x800000ull
#define CLONE_CHILD_SETTID 0x1000000ull
#define CLONE_NEWCGROUP 0x2000000ull
#define CLONE_NEWUTS 0x4000000ull
#define CLONE_NEWIPC 0x8000000ull
#define CLONE_NEWUSER 0x10000000ull
#define CLONE_NEWPID 0x20000000ull
#define CLONE_NEWNET 0x40000000ull
#define CLONE_IO 0x80000000ull
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define CLONE_INTO_CGROUP 0x200000000ull
#define CLONE_NEWTIME 0x80ull
#define CLONE_NEW_ANY                                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |       \
     CLONE_NEWTIME)

/* What clone, clone3, fork and vfork come down to. */
struct clone_request {
    uint64_t flags; /* without the exit signal */
    uint32_t exit_signal;
    guest_t stack;  /* top; 0 = the caller's */
    guest_t parent_tid, child_tid, tls, pidfd;
};

static inline uint64_t fs_base(void)
{
    uint64_t base;
    if (UNLIKELY(!(boot->capabilities & PAL_KEEPS_POINTER)))
        return tcb()->fs_base;
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

static inline int64_t fs_set(uint64_t base)
{
    gs_forget(tcb());
    return PAL->thread_set(PAL_THREAD_POINTER, base, 0, 0);
}

#define WAIT_SIGNALED(status) (((status) & 0x7f) && ((status) & 0x7f) != 0x7f)

/* ---- exit.c ------------------------------------------------------------------------------------------------------ */

void process_init(void); /* the first process and thread; current() works from here on */
/* The same of a process that was saved elsewhere: it has a number that its template's sandbox has not used, and may be
 * another each time. */
void process_begin_again(struct thread *thread, uint32_t template);
extern void (*process_end_hook)(void); /* a picoprocess's end, with its memory still there */
/* Ends the process.  status in wait(2)'s encoding. */
void process_exit_group(uint32_t status) __attribute__((noreturn));
/* By a signal that it got, which may have a core action. */
void process_exit_signal(int signal, const struct siginfo *info) __attribute__((noreturn));
void process_end(struct thread *thread, uint32_t status) __attribute__((noreturn));
void process_await_virtual(struct process *process); /* till it has no virtual children any more */

/* ---- core.c ------------------------------------------------------------------------------------------------------ */

struct core;
/* Of the calling thread's process, which is about to end by `signal`: NULL where that has no core action, or nobody wants it.
 * `info` is kept. */
struct core *core_begin(int signal, const struct siginfo *info);
/* process->core is this one now, and it is ending: so other threads come to core_thread_waits. */
void core_write(struct core *core);
void core_thread_waits(struct core *core) __attribute__((noreturn));

/* ---- thread.c ---------------------------------------------------------------------------------------------------- */

/* exec: the other threads of the process leave before this returns;
 * 0 or -EAGAIN when another exec or exit came first. */
int64_t process_make_single(void);
void thread_leave_if_exiting(void);        /* another thread called exit_group or exec: does not return then */
struct thread *thread_new(void);           /* with a libOS stack and a block; NULL = no memory */
void thread_drop(struct thread *thread);   /* one that is in no list and has no host thread */
/* As `from` is, but for what the request says; it returns 0 from the call that `from` is in. */
void thread_fill(struct thread *thread, const struct thread *from, const struct clone_request *request);
int64_t thread_begin(struct thread *thread); /* one that is filled: it runs */
/* A thread on its way out of all lists: no fork finds it there now, but waits for it, and lets it take locks. */
void thread_leaves(void);
/* The last thing a thread does.  `wake`: waiters for this word are woken. */
void thread_gone(struct thread *thread, guest_t wake) __attribute__((noreturn));
int64_t thread_clone(const struct clone_request *request);
/* Robust list, clear_tid: as when a thread leaves an mm on Linux.  Returns the word whose waiters are to be woken, or
 * 0. */
guest_t thread_leave_guest(struct thread *thread);
void thread_sequences_end(struct thread *thread); /* rseq.c: rseq(2)'s area is about to go */
void thread_robust(struct thread *thread); /* the robust list alone */
uint64_t thread_top(struct thread *thread); /* of its libOS stack */
extern uint32_t threads_leaving;           /* they are in no list any more, but still run here.  Atomic */
void thread_fork_child(struct thread *thread); /* it does not exist in this picoprocess: its block is free */

/* ---- fork.c ------------------------------------------------------------------------------------------------------ */

/* Once clone.c has read the flags: the child's pid in the parent, 0 in the child. */
int64_t fork_now(const struct clone_request *request);
/* Where a snapshot is made: fork's child, before it returns to the guest.  child_tid: CLONE_CHILD_SETTID's, or 0. */
extern void (*fork_child_hook)(guest_t child_tid);
void slot_drop(struct shared_process *slot);
/* What a new process's first thread has of its own. */
void thread_renew(struct thread *thread, const struct clone_request *request, int pid);
/* CLONE_PIDFD's, in the parent, before there is a child: 0 or -errno.  *out_fd: -1 where none was asked for. */
int64_t clone_pidfd(const struct clone_request *request, int pid, int *out_fd);
void process_free(struct process *process); /* with its files, names and signals: in no list any more */
/* Forks the host for a process of which `slot` is the table's: 0 in the child, where only the calling thread and its
 * process are left.  flags: PAL_FORK_BARE of a child that execs. */
int64_t fork_host(struct shared_process *slot, uint32_t flags);

/* ---- vfork.c ----------------------------------------------------------------------------------------------------- */

int64_t vfork_now(const struct clone_request *request); /* as fork_now */
/* For a virtual child: its own files and names unless CLONE_FILES, CLONE_FS; no thread yet.  NULL = no memory. */
struct process *process_copy(const struct process *parent, struct shared_process *slot, uint64_t flags);
/* The caller's virtual child is no more; the calling thread is its parent's again, and its frame says that the call
 * which made the child returns its pid.  The slot is taken care of by the caller. */
void vfork_return(struct process *child);

/* ---- clone_vm.c -------------------------------------------------------------------------------------------------- */

int64_t clone_vm_now(const struct clone_request *request); /* the child's pid, in the parent only */
void clone_vm_await(int pid); /* a child of this process, till it execs or ends: vfork, of a traced thread */
void clone_vm_end(struct process *child) __attribute__((noreturn));

/* ---- reap.c; wait4.c is built on it ------------------------------------------------------------------------------ */

/* Children that the host says have ended; sends SIGCHLD to their parents. */
void process_reap_host(void);
void process_reap_host_child(int pid); /* the same of one */
/* current_process() has stopped, or goes on: state, the parent's SIGCHLD and waits. */
void process_report_stop(int signal);
void process_report_continue(struct process *process);
struct child_event { /* of a process's end or change, to be told when the table's lock is free */
    struct shared_process *parent;
    int parent_pid;
    bool left; /* the signal lies in the parent's inbox: its picoprocess is to be interrupted */
    struct siginfo info; /* signo 0: nothing is sent */
};
void wait_tell(const struct child_event *told);
/* Caller holds the table's lock.  The process has ended: a zombie, or nothing, where nobody wants to know. */
void wait_ended(struct shared_process *slot, struct child_event *told);
void wait_ended_again(struct shared_process *slot, struct child_event *told); /* its tracer knows: now its parent */
int64_t host_child_room(void);   /* -ENOMEM; to be called before a fork */
void host_child_add(struct shared_process *slot, uint64_t host); /* of a slot without a reaper: nobody minds its end */
void process_named(struct shared_process *slot, uint64_t host); /* its picoprocess is known now */
void host_child_reset(void);     /* in a fork's child */
bool host_child_any(void);
int64_t host_child_wait(void);   /* [blocks] till one ends, of a process that is alone here: 0 look again, or -EINTR */
int wait_code(int status);       /* CLD_* of an end */

/* ---- wait4.c ----------------------------------------------------------------------------------------------------- */

bool process_has_children(void); /* or tracees; ended ones, too, that nobody has waited for */

/* ---- reparent.c: children and host children of a process that ends.  Take the table's lock ----------------------- */

void wait_orphans(struct shared_process *slot, bool has_host_children);
void process_orphans_killed(struct shared_process *slot); /* the same of one that was killed */
/* The children of one of a process's threads are another's from here on.  ends: those that asked for a signal get it. */
void wait_thread_orphans(struct shared_process *slot, int from, int to, bool ends);
/* The host has been told to kill it: if it has no host parent any more to notice, its slot is dealt with here. */
void process_killed(int pid);
void process_find_killed(void); /* those that have no host parent to notice: the host is asked */

/* ---- deliver.c -------------------------------------------------------------------------------------------------- */

/* An interrupt was noted or a call ended in -ERESTART*: clears tcb.interrupted, reaps children, sets up handler frames.
 * `restart` is the call's result or 0.  True: run the call again (inside the libOS). */
bool signal_work(struct frame *frame, int64_t restart);
/* What every interrupted thread does before it looks for signals: clears the flag, leaves if it must, reaps,
 * receives. */
void signal_settle(void);
/* A synchronous fault of the guest: as a forced signal, or the stack grows. */
void signal_exception(const struct pal_exception *exception);

/* ---- pidfd.c ----------------------------------------------------------------------------------------------------- */

int64_t pidfd_new(int pid, uint32_t flags);          /* a descriptor, or -errno */
int64_t pidfd_target(int fd, uint32_t *flags);       /* pid, or -EBADF, -ESRCH; the file's O_* flags */

struct exec_image;

/* ---- join.c ------------------------------------------------------------------------------------------------------ */

void process_join(void); /* those that host_joins_came tells of */

/* ---- execve.c ---------------------------------------------------------------------------------------------------- */

/* No way back: the calling thread, its process's only one, becomes the new program's first.  FRAME_REPLACED. */
int64_t exec_become(struct exec_image *image);

/* ---- exec_prepare.c, exec_commit.c ------------------------------------------------------------------------------- */

/* `path` is absolute; `given` is the name as the guest gave it (AT_EXECFN, a script's $0, comm;
 * execveat: /dev/fd/N or /dev/fd/N/NAME).  Strings are copied by exec_prepare.  Prepare may fail and leaves everything
 * as it was; commit can't (it kills the process if the host refuses).  It sets current()->name and fills the frame for
 * the new program. */
struct name;
int64_t exec_prepare(struct name *name, const char *given, guest_t argv, guest_t envp, struct exec_image **out);
int64_t exec_prepare_strings(const char *program, const char *const *argv, const char *const *envp,
                             struct exec_image **out); /* for a process that has no program yet */
void exec_drop(struct exec_image *image);
/* Caller has made the process single-threaded (execve.c does). */
void exec_commit(struct exec_image *image, struct frame *frame);

/* ---- vdso.c ------------------------------------------------------------------------------------------------------ */

/* Maps the libOS's vDSO; its address, or 0 (the program then makes calls).  Absent,
 * exec_commit.c's own gives 0. */
guest_t vdso_map(void);
void vdso_renew(void); /* a snapshot's: it jumps to this host's functions */

#endif
