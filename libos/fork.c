/* SPDX-License-Identifier: MIT */
/*
 * fork, vfork, clone, clone3.
 *
 * fork is the host's copy-on-write fork: the arena is copied with the rest, and in the child everything of other
 * threads and of other processes of this picoprocess is let go.
 *
 * vfork (and clone with CLONE_VM | CLONE_VFORK, which is posix_spawn) forks nothing at first.  The calling thread plays
 * the child: it gets another struct process, with its own descriptors, ids and signals, and goes on in the guest's
 * memory, while what the parent needs to go on lies in struct vfork.  When the child exits, the thread takes up the
 * parent again; when it execs, the host is forked at last, for a process that needs none of this memory.
 */
#include "libos/calls.h"
#include "libos/files.h"
#include "libos/futex.h"
#include "libos/ipc.h"
#include "libos/memory.h"
#include "libos/process_own.h"
#include "libos/stats.h"
#include "libos/wait.h"
#include "shim/site.h"

#define SIGNAL_BITS 0xffull

/* The parent's side of a thread that plays its child.  In the parent's thread list the first member stands for the
 * thread. */
struct vfork {
    struct thread thread; /* tcb = NULL */
    struct frame frame;
    uint64_t fs_base;
};

/* ---- The gate: see lock.c ---------------------------------------------------------------------------------------- */

/* With all lists' locks held: does any other thread hold a mutex? */
static bool others_hold(void)
{
    if (atomic_get(&threads_leaving))
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

static void process_free(struct process *process)
{
    files_put(process->files);
    fs_put(process->fs);
    signals_free(process->signals);
    process_put(process);
}

/* In the child: `self` is the only thread, its process the only process. */
static void child_alone(struct thread *self)
{
    struct process *process = self->process, *others = NULL;
    atomic_set(&fork_gate, 0ull);
    fork_gate_waiters = threads_leaving = 0;
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
    process->threads = self;
    self->next = NULL;
    self->vfork_thread = NULL; /* released above: it stood in a parent's list */
    process->thread_count = 1;
    process->vforks = 0;
    process->vfork_parent = NULL;
    process->exec_thread = NULL;
    process->exiting = PROCESS_STAYS;
    if (UNLIKELY(boot->stats))
        stats_begin();
    host_child_reset();
    futex_fork_child();
    wait_fork_child();
    mm_fork_child();
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

int64_t fork_host(struct shared_process *slot)
{
    struct thread *self = current();
    int pid = (int)slot->pid;
    int64_t host = host_child_room();
    if (host < 0)
        return host;
    ipc_fork((int)slot->pid);
    gate_shut();
    mm_fork_lock();
    site_lock();
    host = PAL->process_fork();
    site_unlock();
    if (host == 0) {
        self->process->pid = (int)slot->pid; /* what is let go now is let go by the child */
        child_alone(self);
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
    return host;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

static void slot_drop(struct shared_process *slot)
{
    shared_lock();
    shared_free(slot);
    shared_unlock();
}

/* What a new process's first thread has of its own. */
static void thread_renew(struct thread *thread, const struct clone_request *request, int pid)
{
    thread->tid = pid;
    thread->pending = 0;
    thread->robust_list = 0;
    thread->clear_tid = request->flags & CLONE_CHILD_CLEARTID ? request->child_tid : 0;
    if (request->flags & CLONE_CHILD_SETTID)
        guest_store32(request->child_tid, (uint32_t)pid);
    if (request->flags & CLONE_SETTLS)
        PAL->thread_pointer_set(request->tls);
    if (request->stack)
        current_frame()->regs.rsp = request->stack;
    if (request->flags & CLONE_CLEAR_SIGHAND)
        signals_default(thread->process);
}

static int64_t clone_pidfd(const struct clone_request *request, int pid)
{
    if (!(request->flags & CLONE_PIDFD))
        return 0;
    int64_t fd = pidfd_new(pid, 0);
    if (fd >= 0 && guest_store32(request->pidfd, (uint32_t)fd) < 0) {
        sys_close((int)fd);
        return -EFAULT;
    }
    return fd < 0 ? fd : 0;
}

static int64_t fork_now(const struct clone_request *request)
{
    struct thread *self = current();
    struct process *process = self->process;
    struct shared_process *slot =
        shared_new(process->shared, process_real_pid(), request->exit_signal, request->flags & CLONE_PARENT);
    if (!slot)
        return -EAGAIN;
    int pid = (int)slot->pid;
    rewrite_before_fork(process->shared);
    int64_t host = fork_host(slot);
    if (host < 0) {
        slot_drop(slot);
        return host == -ENOMEM ? host : -EAGAIN;
    }
    if (host == 0) {
        process->pid = pid;
        rewrite_fork_child(process->shared);
        process->shared = slot;
        thread_renew(self, request, pid);
        return 0;
    }
    if (request->flags & CLONE_PARENT_SETTID)
        guest_store32(request->parent_tid, (uint32_t)pid);
    int64_t error = clone_pidfd(request, pid);
    if (error < 0)
        sys_kill(pid, SIGKILL); /* Linux takes the descriptor before there is a child */
    return error < 0 ? error : pid;
}

/* ---- vfork ------------------------------------------------------------------------------------------------------- */

static struct process *child_new(const struct process *parent, struct shared_process *slot, uint64_t flags)
{
    struct process *child = alloc_copy(parent, sizeof *parent);
    if (!child)
        return NULL;
    child->pid = (int)slot->pid;
    child->references = 1;
    child->shared = slot;
    child->lock.word = 0;
    child->threads = NULL;
    child->thread_count = 1;
    child->exiting = PROCESS_STAYS;
    child->exec_thread = NULL;
    child->vforks = 0;
    child->files = flags & CLONE_FILES ? files_ref(parent->files) : files_copy(parent->files);
    child->fs = flags & CLONE_FS ? fs_ref(parent->fs) : fs_copy(parent->fs);
    child->signals = signals_copy(parent->signals, child);
    if (child->files && child->fs && child->signals)
        return child;
    if (child->files)
        files_put(child->files);
    if (child->fs)
        fs_put(child->fs);
    if (child->signals)
        signals_free(child->signals);
    release(child);
    return NULL;
}

/* In `process`, who was `from` is now `to`. */
static void thread_replace(struct process *process, struct thread *from, struct thread *to)
{
    for (struct thread **at = &process->threads; *at; at = &(*at)->next)
        if (*at == from) {
            to->next = from->next;
            *at = to;
            return;
        }
}

static void vfork_enter(struct thread *self, struct process *child, struct vfork *state)
{
    struct process *parent = self->process;
    state->frame = *current_frame();
    state->fs_base = fs_base();
    mutex_lock(&parent->lock);
    state->thread = *self;
    state->thread.tcb = NULL;
    thread_replace(parent, self, &state->thread);
    parent->vforks++;
    self->pending = 0; /* those are the parent's; from here on they gather in state->thread */
    self->signal_queue = NULL;
    self->process = child;
    mutex_unlock(&parent->lock);
    self->next = NULL;
    self->vfork_thread = &state->thread;
    child->vfork_parent = parent;
    child->threads = self;
    process_link(child);
}

static int64_t vfork_now(const struct clone_request *request)
{
    struct thread *self = current();
    struct process *parent = self->process;
    struct shared_process *slot =
        shared_new(parent->shared, process_real_pid(), request->exit_signal, request->flags & CLONE_PARENT);
    if (!slot)
        return -EAGAIN;
    slot->flags = SHARED_VIRTUAL;
    atomic_set(&slot->host, process_host_id());
    int pid = (int)slot->pid;
    struct vfork *state = alloc(sizeof *state);
    struct process *child = state ? child_new(parent, slot, request->flags) : NULL;
    int64_t error = child ? clone_pidfd(request, pid) : -ENOMEM;
    if (error < 0) {
        if (child)
            process_free(child);
        release(state);
        slot_drop(slot);
        return error;
    }
    if (request->flags & CLONE_PARENT_SETTID)
        guest_store32(request->parent_tid, (uint32_t)pid);
    vfork_enter(self, child, state);
    thread_renew(self, request, pid);
    return 0;
}

void vfork_return(struct process *child)
{
    struct thread *self = current();
    struct process *parent = child->vfork_parent;
    struct vfork *state = container_of(self->vfork_thread, struct vfork, thread);
    struct pal_tcb *block = self->tcb;
    int pid = child->pid;
    guest_t word = thread_leave_guest(self);
    if (word)
        futex_wake_shared(word, 1);
    process_unlink(child);
    mutex_lock(&child->lock);
    child->threads = NULL;
    mutex_unlock(&child->lock);
    signals_thread_exit(self);
    mutex_lock(&parent->lock);
    struct thread *next = self->next;
    *self = state->thread; /* with what has become pending since */
    self->tcb = block;
    self->next = next;
    thread_replace(parent, &state->thread, self);
    atomic_set(&parent->vforks, parent->vforks - 1);
    mutex_unlock(&parent->lock);
    if (parent->exiting)
        PAL->wake((uint64_t)(uintptr_t)&parent->vforks, INT32_MAX, 0);
    *current_frame() = state->frame;
    current_frame()->regs.rax = (uint64_t)pid;
    self->deadline_valid = 0;
    PAL->thread_pointer_set(state->fs_base);
    release(state);
    process_free(child);
    atomic_set(&tcb()->interrupted, 1u); /* signals, or the process's end, may have come for the parent meanwhile */
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static int64_t clone_check(const struct clone_request *request)
{
    uint64_t flags = request->flags;
    if (request->exit_signal > SIGNAL_COUNT)
        return -EINVAL;
    if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND))
        return -EINVAL;
    if (flags & CLONE_SIGHAND && !(flags & CLONE_VM))
        return -EINVAL;
    if (flags & CLONE_SIGHAND && flags & CLONE_CLEAR_SIGHAND)
        return -EINVAL;
    if (flags & CLONE_SETTLS && request->tls >= PAL_GUEST_END)
        return -EPERM;
    if (flags & (CLONE_NEW_ANY | CLONE_INTO_CGROUP))
        return -EPERM;
    return 0;
}

static int64_t unsupported(uint64_t flags)
{
    note_unsupported("clone flags", flags);
    return -EINVAL;
}

static int64_t clone_run(const struct clone_request *request)
{
    uint64_t flags = request->flags;
    int64_t error = clone_check(request);
    if (error < 0)
        return error;
    if (flags & CLONE_THREAD) {
        if (flags & CLONE_PIDFD)
            return -EINVAL;
        if (!(flags & CLONE_FILES) || !(flags & CLONE_FS)) /* threads share both here */
            return unsupported(flags);
        return thread_clone(request);
    }
    if (flags & CLONE_SIGHAND)
        return unsupported(flags);
    if ((flags & (CLONE_VM | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK))
        return vfork_now(request);
    if (flags & (CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_FS))
        return unsupported(flags);
    return fork_now(request);
}

int64_t sys_fork(void)
{
    const struct clone_request request = {.exit_signal = SIGCHLD};
    return clone_run(&request);
}

int64_t sys_vfork(void)
{
    const struct clone_request request = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    return clone_run(&request);
}

int64_t sys_clone(uint32_t flags, guest_t stack, guest_t parent_tid, guest_t child_tid, guest_t tls)
{
    if (flags & CLONE_PIDFD && flags & (CLONE_PARENT_SETTID | CLONE_DETACHED))
        return -EINVAL;
    const struct clone_request request = {
        .flags = flags & ~SIGNAL_BITS,
        .exit_signal = (uint32_t)(flags & SIGNAL_BITS),
        .stack = stack,
        .parent_tid = parent_tid,
        .child_tid = child_tid,
        .tls = tls,
        .pidfd = parent_tid,
    };
    return clone_run(&request);
}

int64_t sys_clone3(guest_t arguments, uint64_t size)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
        uint64_t set_tid, set_tid_size, cgroup;
    } args = {0};
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < 64)
        return -EINVAL;
    if (copy_in(&args, arguments, MIN(size, sizeof args)) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof args; at < size; at++) {
        char byte;
        if (copy_in(&byte, arguments + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    if (args.exit_signal & ~SIGNAL_BITS || !args.stack != !args.stack_size)
        return -EINVAL;
    if (args.flags & (CLONE_DETACHED | (SIGNAL_BITS & ~CLONE_NEWTIME)))
        return -EINVAL;
    if (args.flags & (CLONE_THREAD | CLONE_PARENT) && args.exit_signal)
        return -EINVAL;
    if (args.set_tid_size)
        return -EPERM;
    const struct clone_request request = {
        .flags = args.flags,
        .exit_signal = (uint32_t)args.exit_signal,
        .stack = args.stack + args.stack_size,
        .parent_tid = args.parent_tid,
        .child_tid = args.child_tid,
        .tls = args.tls,
        .pidfd = args.pidfd,
    };
    return clone_run(&request);
}
