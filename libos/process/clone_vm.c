/* SPDX-License-Identifier: MIT */
/*
 * clone with CLONE_VM, but neither CLONE_VFORK nor CLONE_THREAD: a process that runs beside its parent in the same
 * memory. Like vfork's child it is a virtual one of its parent's picoprocess, but has a thread of its own there.
 *
 * One memory is one picoprocess.  So its parent's exit, and its parent's exec, wait until it has ended or called exec;
 * SIGKILL for its parent takes it along; and it has one thread.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/process/process.h"
#include "libos/signal/remote.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

static struct shared_process *slot_new(const struct clone_request *request)
{
    struct shared_process *slot = shared_new(current_process()->shared, process_real_pid(), request->exit_signal,
                                             request->flags & CLONE_PARENT);
    if (!slot)
        return NULL;
    slot->flags = (slot->flags & SHARED_NO_TTY) | SHARED_VIRTUAL;
    atomic_set(&slot->host, process_host_id());
    return slot;
}

/* Its process is in no list yet. */
static int64_t launch(struct process *child, struct thread *thread)
{
    struct process *parent = child->vfork_parent;
    mutex_lock(&parent->lock);
    bool stays = !parent->exiting;
    if (stays)
        parent->vforks++;
    mutex_unlock(&parent->lock);
    if (!stays)
        return -ERESTARTNOINTR; /* the caller is about to leave */
    process_link(child);
    mutex_lock(&child->lock); /* once the thread can be found it may be interrupted */
    int64_t error = thread_begin(thread);
    if (error == 0)
        threads_add(child, thread);
    mutex_unlock(&child->lock);
    if (error == 0)
        return 0;
    process_unlink(child);
    mutex_lock(&parent->lock);
    parent->vforks--;
    mutex_unlock(&parent->lock);
    return error == -ENOMEM ? -EAGAIN : error;
}

int64_t clone_vm_now(const struct clone_request *request)
{
    struct thread *self = current();
    struct process *parent = self->process;
    if (parent->vfork_parent)
        return -EINVAL; /* it has its parent's memory for a while only, or may have to end with it */
    struct shared_process *slot = slot_new(request);
    if (!slot)
        return -EAGAIN;
    int pid = (int)slot->pid;
    struct thread *thread = thread_new();
    struct process *child = thread ? process_copy(parent, slot, request->flags) : NULL;
    struct trace *traced = NULL;
    int pidfd;
    int64_t error = child ? clone_pidfd(request, pid, &pidfd) : -ENOMEM;
    if (error == 0) {
        child->vfork_parent = parent;
        child->own_thread = 1;
        thread_fill(thread, self, request);
        thread->process = child;
        thread->tid = pid;
        if (request->flags & CLONE_CLEAR_SIGHAND)
            signals_default(child);
        if (request->flags & CLONE_PARENT_SETTID)
            guest_store32(request->parent_tid, (uint32_t)pid);
        if (request->flags & CLONE_CHILD_SETTID)
            guest_store32(request->child_tid, (uint32_t)pid);
        self->has_children = 1;
        traced = trace_birth(request->flags, request->exit_signal, pid, pid);
        trace_begin(thread, traced);
        error = launch(child, thread);
    }
    if (error == 0)
        return pid;
    trace_unborn(traced);
    if (child)
        process_free(child);
    if (thread)
        thread_drop(thread);
    slot_drop(slot);
    return error;
}

/* As vfork's parent it deals with what concerns others only, and leaves signals for later. */
void clone_vm_await(int pid)
{
    struct process *parent = current_process(), *child;
    uint32_t noted = 0;
    for (;;) {
        uint32_t count = atomic_get(&parent->vforks);
        child = process_local_get(pid);
        bool gone = !child || child->vfork_parent != parent;
        process_put(child);
        if (gone)
            break;
        if (PAL->wait((uint64_t)(uintptr_t)&parent->vforks, count, PAL_FOREVER, 0) == -EINTR) {
            noted |= atomic_swap(&tcb()->interrupted, 0u);
            thread_leave_if_exiting();
            process_reap_host();
            signal_receive();
            process_answer();
        }
    }
    if (noted)
        atomic_set(&tcb()->interrupted, noted);
}

/* The slot is taken care of by the caller.  The parent's lists are left before its count goes down: it may exit
 * then. */
void clone_vm_end(struct process *child)
{
    struct thread *self = current();
    struct process *parent = child->vfork_parent;
    guest_t wake = thread_leave_guest(self);
    thread_leaves();
    process_unlink(child);
    mutex_lock(&child->lock);
    threads_remove(child, self);
    mutex_unlock(&child->lock);
    signals_thread_exit(self);
    self->process = parent;
    process_free(child);
    mutex_lock(&parent->lock);
    atomic_set(&parent->vforks, parent->vforks - 1);
    mutex_unlock(&parent->lock);
    PAL->wake((uint64_t)(uintptr_t)&parent->vforks, INT32_MAX, 0);
    thread_gone(self, wake);
}
