/* SPDX-License-Identifier: MIT */
/*
 * Threads.  The libOS owns a thread's block and libOS stack; the PAL adds the alternate signal stack, with struct
 * linux_thread at its top.  Those are kept and used again, so creating a thread is one clone, three calls in the
 * thread.
 *
 * A block is free for use when the kernel has cleared its `tid`, which it does when the thread can run no more.
 */
#include <linux/mman.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

#define HANDLER_STACK 16384u  /* what handlers and the image's classify use, above what the CPU's state needs */
/* The first thread's, in .bss; a CPU whose state is larger makes it unused.  Its last bytes, struct linux_thread, begin
 * a page that host.ld fills with the rest of the PAL's state. */
#define FIRST_BLOCK (32768u + 72)
#define USER_ADDRESS_END 0x7ffffffff000ull

static char first_block[FIRST_BLOCK] __attribute__((aligned(PAL_PAGE_SIZE)));
static uint64_t block_size;
static uint64_t blocks_size; /* what has been mapped at LINUX_BLOCKS, or tried to be */
/* Unused blocks, and some whose thread is about to be gone.  Taken whole, pushed singly: so no ABA problem. */
static struct linux_thread *unused;
/* Timer that passes on the interrupt of a thread that ended: id + 1, 0 = none. */
static int32_t handover;

/* ---- Blocks ---------------------------------------------------------------------------------------------------- */

static struct linux_thread *block_header(uint64_t stack)
{
    struct linux_thread *thread = (struct linux_thread *)(stack + block_size) - 1;
    thread->stack = stack;
    return thread;
}

static void block_push(struct linux_thread *first, struct linux_thread *last)
{
    last->next = __atomic_load_n(&unused, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&unused, &last->next, first, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

/* Takes the list, keeps one block that is free, puts the rest back. */
static struct linux_thread *block_pop(void)
{
    struct linux_thread *list = __atomic_exchange_n(&unused, NULL, __ATOMIC_ACQUIRE);
    struct linux_thread **link = &list, *found;
    while ((found = *link) && __atomic_load_n(&found->tid, __ATOMIC_ACQUIRE))
        link = &found->next;
    if (found)
        *link = found->next;
    if (list) {
        struct linux_thread *last = list;
        while (last->next)
            last = last->next;
        block_push(list, last);
    }
    return found;
}

static struct linux_thread *block_take(void)
{
    struct linux_thread *thread = block_pop();
    if (!thread) {
        uint64_t stack = LINUX_BLOCKS + __atomic_fetch_add(&blocks_size, block_size, __ATOMIC_RELAXED);
        if (host_call(mmap, stack, block_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != (int64_t)stack)
            return NULL;
        thread = block_header(stack);
    }
    thread->timer = 0;
    lock_init(thread);
    return thread;
}

static void block_enter(const struct linux_thread *thread)
{
    struct sigaltstack alternate = {.ss_sp = (void *)thread->stack, .ss_size = (uint64_t)thread - thread->stack};
    host_call(sigaltstack, &alternate, NULL);
    host_call(set_robust_list, &thread->robust, sizeof thread->robust);
}

/* ---- Beginnings ------------------------------------------------------------------------------------------------ */

void thread_start_first(struct pal_tcb *tcb, uint64_t minimum_signal_stack)
{
    block_size = PAGE_UP(minimum_signal_stack + HANDLER_STACK + sizeof(struct linux_thread));
    if (block_size <= FIRST_BLOCK) {
        struct linux_thread *first = block_header((uint64_t)first_block + FIRST_BLOCK - block_size);
        block_push(first, first);
    }
    struct linux_thread *thread = block_take();
    if (!thread)
        die(LINUX_EXIT_BROKEN, "no memory for the first thread", 0, 0);
    thread->tid = (uint32_t)host_call(set_tid_address, &thread->tid);
    tcb->self = (uint64_t)tcb;
    tcb->host[HOST_THREAD] = (uint64_t)thread;
    thread->tcb = tcb;
    __asm__ volatile("wrgsbase %0" : : "r"(tcb));
    block_enter(thread);
}

void thread_begin(void)
{
    block_enter(thread_of(current_tcb()));
    if (linux_dispatch)
        linux_arm_dispatch();
}

int64_t linux_thread_create(struct pal_tcb *tcb, void (*entry)(void *), void *argument, pal_handle_t *out_id)
{
    linux_uses(LINUX_CLASS_THREADS);
    int64_t error = monitor_multiply();
    if (error < 0)
        return error;
    struct linux_thread *thread = block_take();
    if (!thread)
        return -ENOMEM;
    tcb->self = (uint64_t)tcb;
    tcb->fs_base = 0;
    tcb->host[HOST_THREAD] = (uint64_t)thread;
    thread->tcb = tcb;
    tcb->host[HOST_RETURNS_LOST] = current_tcb()->host[HOST_RETURNS_LOST];
    int64_t id = linux_clone_thread(LINUX_CLONE_THREAD, tcb, &thread->tid, entry, argument);
    if (id < 0) {
        block_push(thread, thread);
        return id;
    }
    *out_id = (pal_handle_t)id;
    return 0;
}

/* The kernel gave the child a copy of this thread alone: no timers, no robust list, no address to clear at its end. */
void thread_after_fork(void)
{
    struct linux_thread *thread = thread_of(current_tcb());
    thread->timer = 0;
    handover = 0;
    for (struct linux_thread *other = unused; other; other = other->next)
        if (other->tid) /* else the page need not be copied */
            other->tid = 0;
    lock_init(thread);
    host_call(set_robust_list, &thread->robust, sizeof thread->robust);
    thread->stack = 0;
}

/* ---- Interrupts ------------------------------------------------------------------------------------------------ */

/* A timer of this process that signals thread `tid`, or (0) any thread that will have it.  Made once, kept in
 * *timer. */
static int64_t fire(int32_t *timer, uint32_t tid)
{
    int32_t id = __atomic_load_n(timer, __ATOMIC_ACQUIRE);
    if (!id) {
        struct sigevent event = {
            .sigev_signo = LINUX_INTERRUPT_SIGNAL, .sigev_notify = tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL};
        event._sigev_un._tid = (int)tid;
        int32_t fresh;
        int64_t error = host_call(timer_create, PAL_CLOCK_MONOTONIC, &event, &fresh);
        if (error < 0)
            return error;
        if (__atomic_compare_exchange_n(timer, &id, fresh + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            id = fresh + 1;
        else
            host_call(timer_delete, fresh); /* another thread was first; id is its timer */
    }
    const struct { struct host_timespec interval, value; } soon = {.value = {0, 1}};
    return host_call(timer_settime, id - 1, 0, &soon, NULL);
}

int64_t linux_thread_interrupt(struct pal_tcb *tcb)
{
    __atomic_fetch_or(&tcb->interrupted, PAL_INTERRUPTED, __ATOMIC_SEQ_CST);
    if (tcb == current_tcb())
        return 0;
    struct linux_thread *thread = thread_of(tcb);
    return fire(&thread->timer, __atomic_load_n(&thread->tid, __ATOMIC_RELAXED));
}

/* ---- Ends ------------------------------------------------------------------------------------------------------ */

/*
 * All signals are blocked, so the alternate stack is not used any more and an interrupt meant for the process finds
 * another thread.  One that this thread took, but the libOS did not see, is passed on.
 */
static void leave(uint32_t *word, uint64_t wake)
{
    struct pal_tcb *tcb = current_tcb();
    struct linux_thread *thread = thread_of(tcb);
    if (thread->timer)
        host_call(timer_delete, thread->timer - 1);
    if (tcb->interrupted)
        fire(&handover, 0);
    if (thread->stack)
        block_push(thread, thread);
    linux_thread_tail(word, wake);
}

void linux_thread_exit(uint32_t *word, uint64_t wake)
{
    struct ucontext frame;
    prefetch_exec_leave(0);
    /* `leave` begins as if called, on what is left of this stack below the frame. */
    signal_blocked_frame(&frame, leave, word, wake, ((uint64_t)&frame & ~63ull) - 128 - 8);
    linux_load_frame(&frame);
}

void linux_thread_yield(void)
{
    host_call(sched_yield);
}

static int64_t pointer_set(uint64_t fs_base)
{
    if (fs_base >= USER_ADDRESS_END)
        return -EPERM;
    __asm__ volatile("wrfsbase %0" : : "r"(fs_base));
    current_tcb()->fs_base = fs_base;
    return 0;
}

void sequences_pause(struct linux_thread *thread)
{
    if (thread->sequences.size)
        host_call(rseq, thread->sequences.address, thread->sequences.size, RSEQ_FLAG_UNREGISTER,
                  thread->sequences.signature);
}

void sequences_resume(struct linux_thread *thread)
{
    if (thread->sequences.size)
        host_call(rseq, thread->sequences.address, thread->sequences.size, 0, thread->sequences.signature);
}

static int64_t sequences_set(uint64_t address, uint32_t size, uint32_t signature)
{
    struct linux_thread *thread = thread_of(current_tcb());
    if (size) {
        int64_t error = host_call(rseq, address, size, 0, signature);
        if (error < 0)
            return error;
    } else {
        sequences_pause(thread);
    }
    thread->sequences.address = address;
    thread->sequences.size = size;
    thread->sequences.signature = signature;
    return 0;
}

int64_t linux_thread_set(uint32_t what, uint64_t address, uint32_t size, uint32_t signature)
{
    switch (what) {
    case PAL_THREAD_POINTER: return pointer_set(address);
    case PAL_THREAD_SEQUENCES: return sequences_set(address, size, signature);
    }
    return -EINVAL;
}
