/* SPDX-License-Identifier: MIT */
/*
 * Threads: their memory, beginning and end.
 *
 * A thread's block is one run of pages: a guard page, the libOS stack, and at the top, in the page that is used anyway,
 * struct thread and the PAL's block.  Blocks are never given back: one whose host thread has left (exit_word is 0)
 * serves the next thread, so creating a thread is one host call.
 */
#include "libos/syscalls.h"
#include "libos/futex/futex.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define BLOCK_SIZE (64 * 1024ull)
#define ROBUST_MAX 2048 /* entries: ROBUST_LIST_LIMIT */
#define ROBUST_SIZE 24   /* struct robust_list_head */

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012

struct top {
    struct thread thread;
    struct pal_tcb tcb;
} __attribute__((aligned(64)));

static struct mutex unused_lock;
static struct thread *unused; /* those whose host thread is about to leave, too */
uint32_t threads_leaving;

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static struct top *top_of(struct thread *thread)
{
    return container_of(thread, struct top, thread);
}

uint64_t thread_top(struct thread *thread)
{
    return (uint64_t)(uintptr_t)top_of(thread);
}

static struct thread *block_new(void)
{
    char *block = alloc_pages(BLOCK_SIZE);
    if (!block)
        return NULL;
    PAL->memory_protect((uint64_t)(uintptr_t)block, PAGE_SIZE, 0);
    struct top *top = (struct top *)(block + BLOCK_SIZE) - 1;
    return &top->thread;
}

struct thread *thread_new(void)
{
    mutex_lock(&unused_lock);
    struct thread **at = &unused, *thread;
    while (*at && atomic_get(&(*at)->exit_word))
        at = &(*at)->next;
    thread = *at;
    if (thread)
        *at = thread->next;
    mutex_unlock(&unused_lock);
    if (!thread)
        thread = block_new();
    if (!thread)
        return NULL;
    struct top *top = top_of(thread);
    memset(top, 0, sizeof *top);
    thread->stack = (char *)(top + 1) - BLOCK_SIZE;
    thread->tcb = &top->tcb;
    thread->tcb->libos_stack = thread_top(thread);
    tcb_init(thread->tcb, thread);
    return thread;
}

void thread_drop(struct thread *thread)
{
    mutex_lock(&unused_lock);
    thread->next = unused;
    unused = thread;
    mutex_unlock(&unused_lock);
}

void thread_fork_child(struct thread *thread)
{
    if (thread->tcb) {
        thread->exit_word = 0;
        thread_drop(thread);
    } else {
        release(thread); /* what vfork kept of it */
    }
}

/* ---- Beginning --------------------------------------------------------------------------------------------------- */

/* Entered below the frame: thread_clone lowered libos_stack, so that this function does not run on top of it. */
static void thread_start(void *argument)
{
    struct thread *thread = argument;
    thread->tcb = tcb(); /* a host may have put it elsewhere */
    thread->tcb->libos_stack = thread_top(thread);
    fs_set(thread->start_fs);
    frame_enter_guest();
}

int64_t thread_begin(struct thread *thread)
{
    pal_handle_t id;
    int64_t error = PAL->thread_create(thread->tcb, thread_start, thread, &id);
    if (error >= 0)
        thread->host_id = (uint64_t)id;
    return error;
}

void thread_fill(struct thread *thread, const struct thread *from, const struct clone_request *request)
{
    thread->process = from->process;
    thread->blocked = from->blocked;
    memcpy(thread->name, from->name, sizeof thread->name);
    thread->clear_tid = request->flags & CLONE_CHILD_CLEARTID ? request->child_tid : 0;
    thread->start_fs = request->flags & CLONE_SETTLS ? request->tls : fs_base();
    if (!(request->flags & CLONE_SETTLS))
        gs_share();
    struct frame *frame = (struct frame *)(thread_top(thread) - FRAME_SIZE);
    *frame = *current_frame();
    frame->regs.rax = 0;
    if (request->stack)
        frame->regs.rsp = request->stack;
    thread->tcb->libos_stack = thread_top(thread) - FRAME_SIZE;
    thread->tcb->guest_gs = tcb()->guest_gs;
    thread->tcb->has_guest_gs = tcb()->has_guest_gs;
}

/* The lock is held until the thread is in the list: so a thread that finds it there may interrupt it. */
static int64_t thread_launch(struct thread *thread)
{
    struct process *process = thread->process;
    mutex_lock(&process->lock);
    if (process->exiting) {
        mutex_unlock(&process->lock);
        return -ERESTARTNOINTR; /* the caller is about to leave */
    }
    process->thread_count++; /* before it runs: some code is simpler while there is one thread only */
    int64_t error = thread_begin(thread);
    if (error < 0) {
        process->thread_count--;
    } else {
        threads_add(process, thread);
        process->shared->thread_count = process->thread_count;
    }
    mutex_unlock(&process->lock);
    return error == -ENOMEM ? -EAGAIN : error;
}

int64_t thread_clone(const struct clone_request *request)
{
    struct thread *self = current();
    if (self->process->vfork_parent)
        return -EINVAL; /* a virtual child has its parent's host thread, and that only */
    int tid = shared_id_new(self->process->pid);
    struct thread *thread = tid > 0 ? thread_new() : NULL;
    if (!thread) {
        if (tid > 0)
            shared_id_free(tid);
        return -EAGAIN;
    }
    thread->tid = tid;
    thread_fill(thread, self, request);
    /* As Linux: addresses that fault are the guest's own affair. */
    if (request->flags & CLONE_PARENT_SETTID)
        guest_store32(request->parent_tid, (uint32_t)tid);
    if (request->flags & CLONE_CHILD_SETTID)
        guest_store32(request->child_tid, (uint32_t)tid);
    struct trace *traced = trace_birth(request->flags, request->exit_signal, tid, self->process->pid);
    trace_begin(thread, traced);
    int64_t error = thread_launch(thread);
    if (error < 0) {
        trace_unborn(traced);
        thread_drop(thread);
        shared_id_free(tid);
        return error;
    }
    return tid;
}

/* ---- End --------------------------------------------------------------------------------------------------------- */

/* One futex of a robust list, as handle_futex_death() of Linux's kernel/futex/core.c has it. */
static void robust_release(const struct thread *thread, guest_t word, bool priority_inheriting, bool pending)
{
    if (word & 3)
        return;
    for (;;) {
        int64_t value = guest_load32(word);
        if (value < 0)
            return;
        if (pending && !priority_inheriting && !(value & FUTEX_TID_MASK)) {
            futex_wake_shared(word, 1); /* it died between unlocking and waking */
            return;
        }
        if ((value & FUTEX_TID_MASK) != (uint32_t)thread->tid)
            return;
        uint32_t dead = ((uint32_t)value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        int64_t found = guest_exchange32(word, (uint32_t)value, dead);
        if (found < 0)
            return;
        if (found != value)
            continue;
        if (value & FUTEX_WAITERS)
            futex_wake_shared(word, 1);
        return;
    }
}

void thread_robust(struct thread *thread)
{
    struct { uint64_t first; int64_t offset; uint64_t pending; } head;
    guest_t list = thread->robust_list;
    thread->robust_list = 0;
    if (!list || copy_in(&head, list, sizeof head) < 0)
        return;
    /* Bit 0 of an address marks a priority-inheriting lock. */
    guest_t entry = head.first;
    for (int i = 0; i < ROBUST_MAX && (entry & ~1ull) != list; i++) {
        guest_t next;
        bool more = copy_in(&next, entry & ~1ull, sizeof next) == 0;
        if (entry != head.pending)
            robust_release(thread, (entry & ~1ull) + (uint64_t)head.offset, entry & 1, false);
        if (!more)
            return;
        entry = next;
    }
    if (head.pending & ~1ull)
        robust_release(thread, (head.pending & ~1ull) + (uint64_t)head.offset, head.pending & 1, true);
}

guest_t thread_leave_guest(struct thread *thread)
{
    thread_robust(thread);
    thread_sequences_end(thread); /* a thread that sees the word cleared may unmap the area */
    guest_t word = thread->clear_tid;
    thread->clear_tid = 0;
    return word && guest_store32(word, 0) == 0 ? word : 0;
}

/* Caller holds process->lock. */
static void thread_unlink(struct process *process, struct thread *thread)
{
    threads_remove(process, thread);
    atomic_set(&process->thread_count, process->thread_count - 1);
    process->shared->thread_count = process->thread_count;
}

/* A child's parent is a thread: another one takes its place, the first one if it lives. */
static void thread_leave_children(struct thread *thread)
{
    struct process *process = thread->process;
    struct thread *heir = NULL;
    if (LIKELY(!thread->has_children && thread->tid != process->pid) || !atomic_get(&process->shared->first_child))
        return;
    mutex_lock(&process->lock);
    for (struct thread *each = process->threads; each; each = each->next)
        if (each != thread && (!heir || each->tid == process->pid))
            heir = each;
    int tid = heir ? heir->tid : process->pid;
    if (heir)
        heir->has_children = 1;
    mutex_unlock(&process->lock);
    wait_thread_orphans(process->shared, thread->tid, tid, true);
}

void thread_leaves(void)
{
    tcb()->libos[MUTEXES_HELD]++;
    atomic_add(&threads_leaving, 1);
}

void thread_gone(struct thread *thread, guest_t wake)
{
    uint32_t *exit_word = &thread->exit_word;
    gs_forget(thread->tcb);
    thread->exit_word = 1;
    thread_drop(thread);
    atomic_add(&threads_leaving, -1u);
    PAL->thread_exit(exit_word, wake); /* waking a joiner is the last thing: it need not wait for this processor */
}

/* `status` is the process's if this turns out to be its last thread (since Linux 6.0; before, the first one's counted).
 * */
static void __attribute__((noreturn)) thread_end(uint32_t status)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    mutex_lock(&process->lock);
    guest_t wake = 0;
    bool last = process->thread_count == 1;
    if (UNLIKELY(thread->trace != NULL)) {
        mutex_unlock(&process->lock);
        trace_exit(status);
        mutex_lock(&process->lock);
        last = process->thread_count == 1;
    }
    if (!last) {
        mutex_unlock(&process->lock);
        wake = thread_leave_guest(thread);
        thread_leave_children(thread);
        mutex_lock(&process->lock);
        last = process->thread_count == 1;
    }
    if (last) {
        atomic_set(&process->exiting, PROCESS_EXITS); /* not set before: who calls exit_group stays in the count */
        mutex_unlock(&process->lock);
        process_end(thread, status);
    }
    thread_leaves();
    thread_unlink(process, thread);
    bool awaited = process->exiting == PROCESS_EXECS;
    mutex_unlock(&process->lock);
    signals_thread_exit(thread);
    bool kept = UNLIKELY(thread->trace != NULL) && trace_thread_ended(thread, status);
    if (thread->tid != process->pid && !kept)
        shared_id_free(thread->tid);
    if (awaited)
        PAL->wake((uint64_t)(uintptr_t)&process->thread_count, 1, 0);
    thread_gone(thread, wake);
}

int64_t sys_exit(int32_t status)
{
    thread_end((uint32_t)(status & 0xff) << 8);
}

void thread_leave_if_exiting(void)
{
    struct thread *thread = current();
    struct process *process = thread->process;
    if (LIKELY(!atomic_get(&process->exiting)) || process->exec_thread == thread)
        return;
    if (UNLIKELY(process->core != NULL))
        core_thread_waits(process->core);
    thread_end(0);
}

int64_t process_make_single(void)
{
    struct thread *self = current();
    struct process *process = self->process;
    mutex_lock(&process->lock);
    if (process->exiting) {
        mutex_unlock(&process->lock);
        return -EAGAIN;
    }
    process->exec_thread = self;
    if (process->thread_count > 1)
        atomic_set(&process->exiting, PROCESS_EXECS);
    for (struct thread *thread = process->threads; thread; thread = thread->next)
        if (thread != self && thread->tcb)
            PAL->thread_interrupt(thread->tcb);
    mutex_unlock(&process->lock);
    bool interrupted = false;
    uint32_t count;
    while ((count = atomic_get(&process->thread_count)) > 1)
        if (PAL->wait((uint64_t)(uintptr_t)&process->thread_count, count, PAL_FOREVER, 0) == -EINTR) {
            interrupted = true;
            atomic_set(&tcb()->interrupted, 0u);
        }
    if (interrupted)
        atomic_set(&tcb()->interrupted, 1u);
    atomic_set(&process->exiting, PROCESS_STAYS);
    process->exec_thread = NULL;
    return 0;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t sys_gettid(void)
{
    return current()->tid;
}

int64_t sys_set_tid_address(guest_t address)
{
    current()->clear_tid = address;
    return current()->tid;
}

int64_t sys_set_robust_list(guest_t head, uint64_t size)
{
    if (size != ROBUST_SIZE)
        return -EINVAL;
    current()->robust_list = head;
    return 0;
}

int64_t sys_get_robust_list(int32_t tid, guest_t head, guest_t size)
{
    struct process *process = current_process();
    mutex_lock(&process->lock);
    const struct thread *thread = tid ? thread_find(process, tid) : current();
    guest_t list = thread ? thread->robust_list : 0;
    mutex_unlock(&process->lock);
    uint64_t list_size = ROBUST_SIZE;
    struct process_facts facts;
    if (!thread) /* another process's is for debuggers */
        return tid > 0 && process_facts(shared_id_process(tid), &facts) ? -EPERM : -ESRCH;
    return copy_out(size, &list_size, sizeof list_size) < 0 ? -EFAULT : copy_out(head, &list, sizeof list);
}

int64_t sys_sched_yield(void)
{
    PAL->thread_yield();
    return 0;
}

/* A guest that has not set GS has the thread's block there, and is told what Linux has there. */
int64_t sys_arch_prctl(int32_t option, guest_t address)
{
    uint64_t base;
    switch (option) {
    case ARCH_SET_FS:
        return address >= TASK_END ? -EPERM : fs_set(address);
    case ARCH_GET_FS:
        base = fs_base();
        return copy_out(address, &base, sizeof base);
    case ARCH_GET_GS:
        base = tcb()->has_guest_gs ? tcb()->guest_gs : 0;
        return copy_out(address, &base, sizeof base);
    case ARCH_SET_GS:
        if (address >= TASK_END)
            return -EPERM;
        tcb()->guest_gs = address;
        tcb()->has_guest_gs = 1;
        return 0;
    case ARCH_GET_CPUID: /* the instruction does not fault, and can't be made to */
        return 1;
    case ARCH_SET_CPUID:
        return -ENODEV;
    default:
        return -EINVAL;
    }
}
