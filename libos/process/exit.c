/* SPDX-License-Identifier: MIT */
/* The first process's beginning, and any process's end. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/futex/futex.h"
#include "libos/ipc/ipc.h"
#include "libos/mm/mm.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"
#include "libos/tty/tty.h"

#define IDS_SKIPPED 16384u

static const struct process_hooks hooks = {.settle = signal_settle, .killed = process_killed};

/* What the sandbox gives: a place in its table, ids, the host's block. */
static struct shared_process *begin(struct process *process, struct thread *thread)
{
    struct shared_process *slot = shared_new(NULL, 0, SIGCHLD, false);
    if (!slot)
        panic("pal-run: no memory for the first process");
    slot->flags = 0;
    slot->host = boot->host_process;
    slot->uid = slot->euid = slot->suid = boot->uid;
    slot->gid = boot->gid;
    process->pid = (int)slot->pid;
    process->shared = slot;
    process->uid = process->euid = process->suid = process->fsuid = boot->uid;
    process->gid = process->egid = process->sgid = process->fsgid = boot->gid;
    thread->tcb = tcb(); /* the PAL's; the one in the thread's block stays unused */
    thread->tcb->libos_stack = thread_top(thread);
    tcb_init(thread->tcb, thread);
    return slot;
}

void process_begin_again(struct thread *thread, uint32_t template)
{
    uint64_t bits = 0;
    PAL->random((uint64_t)(uintptr_t)&bits, sizeof bits);
    shared_ids_skip(template + 1 + (uint32_t)bits % IDS_SKIPPED);
    struct process *process = thread->process;
    struct shared_process *slot = begin(process, thread);
    memcpy(slot->name, thread->name, sizeof slot->name);
    thread_renumber(process, thread, process->pid);
    thread->host_id = 0;
    tty_init(slot);
}

void process_init(void)
{
    process_hooks = &hooks;
    struct process *process = alloc_zero(sizeof *process);
    struct thread *thread = thread_new();
    if (!process || !thread)
        panic("pal-run: no memory for the first process");
    struct shared_process *slot = begin(process, thread);
    process->references = 1;
    process->thread_count = 1;
    thread->process = process;
    thread->tid = process->pid;
    threads_add(process, thread);
    process_set_name(thread, boot->program);
    process_link(process);
    process->signals = signals_new(process);
    tty_init(slot);
    process->files = files_new_boot();
    process->fs = fs_new_boot();
    if (!process->signals || !process->files || !process->fs)
        panic("pal-run: no memory for the first process");
    process->signals->init = boot->init;
    groups_set(process, boot->groups, boot->group_count);
    signals_inherit(thread);
    file_sizes_limit();
}

/* A thread inside vfork is needed by its child; when it is back it finds `exiting` set and leaves.  Signals for the
 * children may interrupt this thread. */
void process_await_virtual(struct process *process)
{
    uint32_t count;
    while ((count = atomic_get(&process->vforks)) & ~VFORKS_TRACED)
        if (PAL->wait((uint64_t)(uintptr_t)&process->vforks, count, PAL_FOREVER, 0) == -EINTR) {
            atomic_set(&tcb()->interrupted, 0u);
            process_reap_host();
            signal_receive();
        }
}

/* Nobody else will end it in the table: the host's parent of ours has gone. */
static void end_in_table(struct shared_process *slot, uint32_t status)
{
    struct child_event told = {0};
    shared_lock();
    slot->status = (int32_t)status;
    slot->state = SHARED_EXITING;
    if (!slot->reaper)
        wait_ended(slot, &told);
    shared_unlock();
    wait_tell(&told);
}

void (*process_end_hook)(void);

/* `exiting` has been set by the caller, so only one thread comes here.  Descriptors are closed by the host, before
 * its parent learns of the end; the other threads go on until then. */
void process_end(struct thread *thread, uint32_t status)
{
    struct process *process = thread->process;
    process_await_virtual(process);
    mutex_lock(&process->lock);
    for (struct thread *each = process->threads; each; each = each->next)
        thread_robust(each);
    mutex_unlock(&process->lock);
    tty_close_outer();
    wait_orphans(process->shared, host_child_any());
    ipc_process_undo(process->pid);
    struct process *parent = process->vfork_parent;
    if (UNLIKELY(process_end_hook) && !parent)
        process_end_hook();
    if (!parent) {
        stats_report(current_process()->pid, current()->name);
        if (!WAIT_SIGNALED(status))
            warm_tell();
        end_in_table(process->shared, status);
        PAL->process_exit(WAIT_SIGNALED(status) ? 256 + (status & 0x7f) : status >> 8 & 0xff);
    }
    guest_t word = process->own_thread ? thread_leave_guest(thread) : 0; /* before its parent may free its stack */
    if (word)
        futex_wake_shared(word, 1);
    struct child_event told = {0};
    shared_lock();
    process->shared->status = (int32_t)status;
    wait_ended(process->shared, &told);
    shared_unlock();
    if (process->own_thread) {
        wait_tell(&told);
        clone_vm_end(process);
    }
    vfork_return(process);
    wait_tell(&told);
    frame_enter_guest();
}

/* info: of the signal that ends it; NULL: none does, or none that anybody wants to know of. */
static void __attribute__((noreturn)) exit_group(uint32_t status, const struct siginfo *info)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    trace_exit(status);
    struct core *core = info ? core_begin((int)status, info) : NULL;
    mutex_lock(&process->lock);
    bool first = !process->exiting;
    if (first) {
        process->core = core;
        atomic_set(&process->exiting, PROCESS_EXITS);
    }
    mutex_unlock(&process->lock);
    if (first && core)
        core_write(core);
    if (first)
        process_end(thread, status);
    thread_leave_if_exiting();
    panic("pal-run: process %d ends twice", process->pid);
}

void process_exit_group(uint32_t status)
{
    exit_group(status, NULL);
}

void process_exit_signal(int signal, const struct siginfo *info)
{
    exit_group((uint32_t)signal, info); /* never a core file of the guest's, so never wait's core flag */
}

/* A signal that was sent before comes first, though this thread may not have been interrupted yet: one that kills a
 * whole pipeline must not find some of it ended by themselves because others were quicker to die. */
int64_t sys_exit_group(int32_t status)
{
    if (UNLIKELY(signal_waiting()))
        return -ERESTARTNOINTR;
    process_exit_group((uint32_t)(status & 0xff) << 8);
}
