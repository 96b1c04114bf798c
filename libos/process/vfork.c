/* SPDX-License-Identifier: MIT */
/*
 * vfork (and clone with CLONE_VM | CLONE_VFORK, which is posix_spawn) forks nothing at first.  The calling thread plays
 * the child: it gets another struct process, with its own descriptors, ids and signals, and goes on in the guest's
 * memory, while what the parent needs to go on lies in struct vfork.  When the child exits, the thread takes up the
 * parent again; when it execs, the host is forked at last, for a process that needs none of this memory.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/futex/futex.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"

/* The parent's side of a thread that plays its child.  In the parent's thread list the first member stands for the
 * thread. */
struct vfork {
    struct thread thread; /* tcb = NULL */
    struct frame frame;
    uint64_t fs_base, guest_gs;
    uint32_t has_guest_gs;
};

struct process *process_copy(const struct process *parent, struct shared_process *slot, uint64_t flags)
{
    struct process *child = alloc_copy(parent, sizeof *parent);
    if (!child)
        return NULL;
    child->pid = (int)slot->pid;
    child->references = 1;
    child->shared = slot;
    child->lock.word = 0;
    child->threads = NULL;
    child->thread_ids = (struct hash){0};
    child->timer_count = child->next_timer = 0;
    child->thread_count = 1;
    child->exiting = PROCESS_STAYS;
    child->exec_thread = NULL;
    child->vforks = child->own_thread = child->traces_seen = 0;
    child->files = flags & CLONE_FILES ? files_ref(parent->files) : files_copy(parent->files);
    child->fs = flags & CLONE_FS ? fs_ref(parent->fs) : fs_copy(parent->fs);
    child->signals = signals_copy(parent->signals, child);
    if (groups_copy(child, parent) && child->files && child->fs && child->signals)
        return child;
    groups_free(child);
    if (child->files)
        files_put(child->files);
    if (child->fs)
        fs_put(child->fs);
    if (child->signals)
        signals_free(child->signals);
    release(child);
    return NULL;
}

static void vfork_enter(struct thread *self, struct process *child, struct vfork *state)
{
    struct process *parent = self->process;
    state->frame = *current_frame();
    state->fs_base = fs_base();
    state->guest_gs = tcb()->guest_gs;
    state->has_guest_gs = tcb()->has_guest_gs;
    mutex_lock(&parent->lock);
    state->thread = *self;
    state->thread.tcb = NULL;
    state->thread.has_children = 1;
    threads_remove(parent, self);
    threads_add(parent, &state->thread);
    parent->vforks++;
    self->pending = 0; /* those are the parent's; from here on they gather in state->thread */
    self->signal_queue = NULL;
    self->trace = NULL;
    self->process = child;
    mutex_unlock(&parent->lock);
    self->vfork_thread = &state->thread;
    child->vfork_parent = parent;
    self->tid = child->pid;
    threads_add(child, self);
    process_link(child);
}

int64_t vfork_now(const struct clone_request *request)
{
    struct thread *self = current();
    struct process *parent = self->process;
    struct shared_process *slot =
        shared_new(parent->shared, process_real_pid(), request->exit_signal, request->flags & CLONE_PARENT);
    if (!slot)
        return -EAGAIN;
    slot->flags = (slot->flags & SHARED_NO_TTY) | SHARED_VIRTUAL;
    atomic_set(&slot->host, process_host_id());
    int pid = (int)slot->pid;
    struct vfork *state = alloc(sizeof *state);
    struct process *child = state ? process_copy(parent, slot, request->flags) : NULL;
    int pidfd;
    int64_t error = child ? clone_pidfd(request, pid, &pidfd) : -ENOMEM;
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
    self->sequences.size = 0; /* the host's are its parent's */
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
    threads_remove(child, self);
    mutex_unlock(&child->lock);
    signals_thread_exit(self);
    mutex_lock(&parent->lock);
    threads_remove(parent, &state->thread);
    *self = state->thread; /* with what has become pending since */
    self->tcb = block;
    threads_add(parent, self);
    atomic_set(&parent->vforks, parent->vforks - 1);
    mutex_unlock(&parent->lock);
    if (parent->exiting)
        PAL->wake((uint64_t)(uintptr_t)&parent->vforks, INT32_MAX, 0);
    *current_frame() = state->frame;
    current_frame()->regs.rax = (uint64_t)pid;
    self->deadline_valid = 0;
    fs_set(state->fs_base);
    tcb()->guest_gs = state->guest_gs;
    tcb()->has_guest_gs = state->has_guest_gs;
    release(state);
    process_free(child);
    atomic_set(&tcb()->interrupted, 1u); /* signals, or the process's end, may have come for the parent meanwhile */
}
