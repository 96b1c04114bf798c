/* SPDX-License-Identifier: MIT */
/*
 * fork is the host's copy-on-write fork: the arena is copied with the rest, and in the child everything of other
 * threads and of other processes of this picoprocess is let go.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/futex/futex.h"
#include "libos/ipc/ipc.h"
#include "libos/ring/ring.h"
#include "libos/mm/mm.h"
#include "libos/process/process.h"
#include "libos/lib/lib.h"
#include "libos/poll/readiness.h"
#include "shim/rewrite/rewrite.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

/* ---- The gate: see lib/mutex.c ---------------------------------------------------------------------------------------- */

/* With all lists' locks held: does any other thread hold a mutex? */
static bool others_hold(void)
{
    if (atomic_get(&threads_leaving) || helpers_hold())
        return true;
    for (struct process *process = processes; process; process = process->next)
        for (struct thread *thread = process->threads; thread; thread = thread->next)
            if (thread->tcb && thread->tcb != tcb() && atomic_get(&thread->tcb->libos[MUTEXES_HELD]))
                return true;
    return false;
}

static void lists_lock(void)
{
    mutex_lock(&processes_lock);
    for (struct process *process = processes; process; process = process->next)
        mutex_lock(&process->lock);
}

static void lists_unlock(void)
{
    for (struct process *process = processes; process; process = process->next)
        mutex_unlock(&process->lock);
    mutex_unlock(&processes_lock);
}

static void gate_shut(void)
{
    uint64_t none = 0;
    while (!__atomic_compare_exchange_n(&fork_gate, &none, tcb()->self, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)) {
        none = 0;
        PAL->thread_yield();
    }
    for (;;) {
        lists_lock();
        if (!others_hold())
            return;
        lists_unlock(); /* they may want one of these before they let go of theirs */
        PAL->thread_yield();
    }
}

static void gate_open(void)
{
    lists_unlock();
    __atomic_store_n(&fork_gate, 0, __ATOMIC_SEQ_CST);
    if (atomic_get(&fork_gate_waiters))
        PAL->wake((uint64_t)(uintptr_t)&fork_gate, INT32_MAX, 0);
}

/* ---- The host's fork --------------------------------------------------------------------------------------------- */

void process_free(struct process *process)
{
    files_put(process->files);
    fs_put(process->fs);
    signals_free(process->signals);
    process_put(process);
}

/* What only this picoprocess's other threads and processes had: locks, lists and counts begin anew in the child. */
static void (*const begin_anew[])(void) = {
    host_child_reset, helpers_fork_child, futex_fork_child, futex_waitv_fork_child,
    wait_fork_child,  timers_fork_child,  sigio_fork_child, handle_cache_fork_child,
};

/* In the child: `self` is the only thread, its process the only process. */
static void child_alone(struct thread *self, bool bare)
{
    struct process *process = self->process, *others = NULL;
    atomic_set(&fork_gate, 0ull);
    fork_gate_waiters = threads_leaving = 0;
    self->tcb = tcb();
    gs_reset();
    self->tcb->libos[MUTEXES_HELD] = 0;
    mutex_reset(&processes_lock);
    for (struct process *each = processes, *next; each; each = next) {
        next = each->next;
        mutex_reset(&each->lock);
        for (struct thread *thread = each->threads, *after; thread; thread = after) {
            after = thread->next;
            if (thread != self)
                thread_fork_child(thread);
        }
        if (each != process) {
            each->next = others;
            others = each;
        }
    }
    processes = process;
    process->next = NULL;
    process->threads = NULL;
    hash_clear(&process->thread_ids);
    threads_add(process, self);
    self->host_id = 0;
    self->vfork_thread = NULL; /* released above: it stood in a parent's list */
    process->thread_count = 1;
    process->vforks = 0;
    process->vfork_parent = NULL;
    process->own_thread = 0;
    process->user_ns = process->system_ns = 0;
    process->exec_thread = NULL;
    process->exiting = PROCESS_STAYS;
    if (UNLIKELY(boot->stats))
        stats_begin();
    for (size_t i = 0; i < COUNT_OF(begin_anew); i++)
        begin_anew[i]();
    if (!self->sequences.size) /* forked by a virtual child: what the host has is its parent's */
        PAL->thread_set(PAL_THREAD_SEQUENCES, 0, 0, 0);
    mm_fork_child(bare);
    self->tcb->libos[MUTEXES_HELD] = 0;
    files_fork_child(process->files);
    fs_fork_child(process->fs);
    signals_fork_child(process);
    for (struct process *next; others; others = next) {
        next = others->next;
        process_free(others);
    }
}

/* The child has a picoprocess now: parent and child both say so, as either may be the first to end.  False: the parent
 * was killed just before, and the table has the child as dead already. */
static bool child_born(struct shared_process *slot, int pid)
{
    shared_lock();
    bool alive = slot->pid == (uint32_t)pid && slot->state < SHARED_EXITING;
    if (alive)
        slot->flags &= ~(uint32_t)(SHARED_VIRTUAL | SHARED_UNBORN);
    shared_unlock();
    return alive;
}

int64_t fork_host(struct shared_process *slot, uint32_t flags)
{
    struct thread *self = current();
    int pid = (int)slot->pid;
    int64_t host = host_child_room();
    if (host < 0)
        return host;
    ipc_fork((int)slot->pid);
    gate_shut();
    ring_fork((int)slot->pid);
    mm_fork_lock();
    site_lock();
    handle_cache_fork();
    host = PAL->process_fork(flags);
    site_unlock();
    if (host == 0) {
        ring_fork_child((int)slot->pid);
        self->process->pid = (int)slot->pid; /* what is let go now is let go by the child */
        child_alone(self, flags & PAL_FORK_BARE);
        if (!child_born(slot, pid))
            PAL->process_exit(256 + SIGKILL);
        return 0;
    }
    if (host > 0) {
        host_child_add(slot, (uint64_t)host); /* before anybody can reap it: they would need a mutex */
        if (slot == self->process->shared)
            self->process->shared = NULL;     /* a virtual child execs: from here on its inbox is the other side's */
    }
    mm_fork_unlock();
    gate_open();
    if (host > 0)
        child_born(slot, pid);
    else
        ipc_process_ends((int)slot->pid, false);
    if (host < 0)
        ring_process_ends((int)slot->pid);
    return host;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

void slot_drop(struct shared_process *slot)
{
    shared_lock();
    shared_free(slot);
    shared_unlock();
}

/* What a new process's first thread has of its own. */
void thread_renew(struct thread *thread, const struct clone_request *request, int pid)
{
    thread_renumber(thread->process, thread, pid);
    thread->pending = 0;
    thread->robust_list = 0;
    thread->has_children = 0;
    thread->clear_tid = request->flags & CLONE_CHILD_CLEARTID ? request->child_tid : 0;
    if (request->flags & CLONE_CHILD_SETTID)
        guest_store32(request->child_tid, (uint32_t)pid);
    if (request->flags & CLONE_SETTLS)
        fs_set(request->tls);
    if (request->stack)
        current_frame()->regs.rsp = request->stack;
    if (request->flags & CLONE_CLEAR_SIGHAND)
        signals_default(thread->process);
}

int64_t clone_pidfd(const struct clone_request *request, int pid, int *out_fd)
{
    *out_fd = -1;
    if (!(request->flags & CLONE_PIDFD))
        return 0;
    int64_t fd = pidfd_new(pid, 0);
    if (fd >= 0 && guest_store32(request->pidfd, (uint32_t)fd) < 0) {
        sys_close((int)fd);
        return -EFAULT;
    }
    if (fd < 0)
        return fd;
    *out_fd = (int)fd;
    return 0;
}

void (*fork_child_hook)(guest_t child_tid);

int64_t fork_now(const struct clone_request *request)
{
    struct thread *self = current();
    struct process *process = self->process;
    struct shared_process *slot =
        shared_new(process->shared, process_real_pid(), request->exit_signal, request->flags & CLONE_PARENT);
    if (!slot)
        return -EAGAIN;
    int pid = (int)slot->pid, pidfd;
    int64_t error = clone_pidfd(request, pid, &pidfd);
    if (error < 0) {
        slot_drop(slot);
        return error;
    }
    rewrite_before_fork(process->shared);
    struct trace *traced = trace_birth(request->flags, request->exit_signal, pid, pid);
    int64_t host = fork_host(slot, 0);
    if (host <= 0 && pidfd >= 0)
        sys_close(pidfd); /* the child's copy, or of no child */
    if (host < 0) {
        trace_unborn(traced);
        slot_drop(slot);
        return host == -ENOMEM ? host : -EAGAIN;
    }
    if (host == 0) {
        process->pid = pid;
        rewrite_fork_child(process->shared);
        process->shared = slot;
        process->settings.timer_slack_default = process->settings.timer_slack;
        if (UNLIKELY(slot->settings_kept)) {
            timers_limit_cpu();
            file_sizes_limit();
        }
        thread_renew(self, request, pid);
        trace_fork_child(traced);
        if (UNLIKELY(fork_child_hook))
            fork_child_hook(request->flags & CLONE_CHILD_SETTID ? request->child_tid : 0);
        return 0;
    }
    self->has_children = 1;
    if (request->flags & CLONE_PARENT_SETTID)
        guest_store32(request->parent_tid, (uint32_t)pid);
    return pid;
}
