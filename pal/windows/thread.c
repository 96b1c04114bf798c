/* SPDX-License-Identifier: MIT */
/*
 * Threads, and interrupts: a thread is stopped, looked at and let go on, by another one, which meanwhile takes no lock and no
 * memory.  Where an interrupt may find it:
 *   in_host           inside a call: the flag is enough, and whatever it waits for is ended
 *   the PAL's text    windows_resume: as if it were there already; elsewhere the flag is enough
 *   image             classify says so: the flag is enough, the libOS looks at it on its way to the guest
 *   guest             upcall
 *   the host's text   on its way to a handler of exceptions, or back: a little later it is elsewhere
 */
#include "pal/windows/windows.h"

#define HOST_STACK 0x20000u
#define TRIES 5000u       /* the thread may not be running just now: most of them are a millisecond */
#define QUICK_TRIES 50u
#define FLAG_UPPER 0xe7u /* x87, SSE, AVX, AVX-512: what the host's code may use */

static struct windows_thread *threads;
static SRWLOCK lock = SRWLOCK_INIT;

static uint64_t cpu_mask(uint32_t *size)
{
    uint32_t low, high, eax = 0xd, ebx, ecx = 0, edx;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    *size = ebx;
    return low & FLAG_UPPER;
}

static struct windows_thread *thread_new(void)
{
    uint32_t size;
    uint64_t mask = cpu_mask(&size);
    char *at = VirtualAlloc(NULL, sizeof(struct windows_thread) + size + 64, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (!at)
        return NULL;
    struct windows_thread *thread = (struct windows_thread *)at;
    thread->vectors = ((uint64_t)(thread + 1) + 63) & ~63ull;
    thread->vector_mask = mask;
    thread->vector_size = size;
    thread->event = CreateEventW(NULL, FALSE, FALSE, NULL);
    thread->io = CreateEventW(NULL, TRUE, FALSE, NULL);
    return thread;
}

static void thread_free(struct windows_thread *thread)
{
    if (thread->event)
        CloseHandle(thread->event);
    if (thread->io)
        CloseHandle(thread->io);
    if (thread->handle)
        CloseHandle(thread->handle);
    VirtualFree(thread, 0, MEM_RELEASE);
}

static void list_add(struct windows_thread *thread)
{
    AcquireSRWLockExclusive(&lock);
    thread->next = threads;
    threads = thread;
    ReleaseSRWLockExclusive(&lock);
}

static void list_remove(const struct windows_thread *thread)
{
    AcquireSRWLockExclusive(&lock);
    struct windows_thread **link = &threads;
    while (*link && *link != thread)
        link = &(*link)->next;
    if (*link)
        *link = thread->next;
    ReleaseSRWLockExclusive(&lock);
}

/* The block is where GS has it: what the libOS gave is what it begins with.  An interrupt may have come already. */
static void block_enter(struct windows_thread *thread, struct pal_tcb *from)
{
    struct pal_tcb *block = current_tcb();
    from->host[0] = (uint64_t)thread;
    *block = *from;
    block->self = (uint64_t)block;
    block->fs_base = 0;
    block->in_host = 1;
    thread->id = GetCurrentThreadId();
    AcquireSRWLockExclusive(&lock);
    thread->block = block;
    block->interrupted = from->interrupted;
    ReleaseSRWLockExclusive(&lock);
}

void thread_start_first(struct pal_tcb *from)
{
    struct windows_thread *thread = thread_new();
    if (!thread || !DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &thread->handle, 0, FALSE,
                                    DUPLICATE_SAME_ACCESS))
        die(EXIT_OWN_FAILURE, "no memory for the first thread", GetLastError());
    list_add(thread);
    block_enter(thread, from);
}

static DWORD WINAPI thread_begin(void *argument)
{
    struct windows_thread *thread = argument;
    block_enter(thread, thread->template);
    windows_enter_image(thread->argument, NULL, thread->entry);
}

int64_t windows_thread_create(struct pal_tcb *tcb, void (*entry)(void *), void *argument, pal_handle_t *out_id)
{
    DWORD id;
    struct windows_thread *thread = thread_new();
    if (!thread)
        return -ENOMEM;
    thread->entry = entry;
    thread->argument = argument;
    thread->template = tcb;
    tcb->self = (uint64_t)tcb;
    tcb->host[0] = (uint64_t)thread;
    thread->handle = CreateThread(NULL, HOST_STACK, thread_begin, thread, CREATE_SUSPENDED | STACK_SIZE_PARAM_IS_A_RESERVATION, &id);
    if (!thread->handle) {
        thread_free(thread);
        return -EAGAIN;
    }
    list_add(thread);
    *out_id = (pal_handle_t)id;
    ResumeThread(thread->handle);
    return 0;
}

/* It runs on its Win32 stack by now, which the host frees: the libOS's is no longer used. */
void windows_thread_exit(uint32_t *word, uint64_t wake)
{
    struct windows_thread *thread = thread_of(current_tcb());
    uint32_t interrupted = current_tcb()->interrupted;
    list_remove(thread);
    current_tcb()->host[0] = 0;
    thread_free(thread);
    if (word)
        __atomic_store_n(word, 0, __ATOMIC_RELEASE);
    if (wake)
        windows_wake(wake, UINT32_MAX, PAL_WAIT_SHARED);
    if (interrupted)
        thread_interrupt_any();
    ExitThread(0);
}

void windows_thread_yield(void)
{
    SwitchToThread();
}

/* ---- Interrupts -------------------------------------------------------------------------------------------------- */

/* The thread was about to go on elsewhere: as if it had. */
static void skip_resume(const struct windows_thread *thread, CONTEXT *context)
{
    const uint64_t *slots = (const uint64_t *)((uint64_t)thread->block + BLOCK_RESUME);
    if (context->Rip < (uint64_t)windows_resume || context->Rip >= (uint64_t)windows_resume_end)
        return;
    if (context->Rip > (uint64_t)windows_resume && context->Rip < (uint64_t)windows_resume_live)
        context->Rax = slots[1];
    context->Rip = slots[0];
}

/* True: it must be looked at again.  The thread stands still. */
static int interrupt_stopped(struct windows_thread *thread, CONTEXT *context)
{
    struct pal_tcb *block = thread->block;
    if (block->in_host)
        return 0;
    skip_resume(thread, context);
    int in_image = context->Rip >= PAL_IMAGE_BASE && context->Rip < image->text_end;
    if (!in_image && !memory_is_guest(context->Rip))
        return context->Rip < (uint64_t)windows_stubs || context->Rip >= (uint64_t)windows_stubs_end;
    struct pal_context registers = context_of(context);
    if (windows_classify(&registers, block, 0) != PAL_IN_GUEST)
        return 0;
    block->saved = registers;
    context->Rsp = block->libos_stack;
    context_enter(context, image->interrupt);
    *(uint64_t *)((uint64_t)block + BLOCK_RESUME) = image->interrupt;
    context->Rip = (uint64_t)windows_resume;
    SetThreadContext(thread->handle, context);
    return 0;
}

static int interrupt_once(struct windows_thread *thread)
{
    CONTEXT context = {.ContextFlags = CONTEXT_CONTROL | CONTEXT_INTEGER};
    if (SuspendThread(thread->handle) == (DWORD)-1)
        return 0;
    /* Wine gives up after a while where the thread does not run. */
    int again = !GetThreadContext(thread->handle, &context) || interrupt_stopped(thread, &context);
    ResumeThread(thread->handle);
    return again;
}

static void pause_before(uint32_t try)
{
    if (try < QUICK_TRIES)
        SwitchToThread();
    else
        Sleep(1);
}

/* Caller holds the lock. */
static void interrupt(struct windows_thread *thread)
{
    __atomic_fetch_or(&thread->block->interrupted, PAL_INTERRUPTED, __ATOMIC_SEQ_CST);
    if (thread->id == GetCurrentThreadId())
        return;
    for (uint32_t i = 0; i < TRIES && interrupt_once(thread); i++)
        pause_before(i);
    SetEvent(thread->event); /* whatever waits in the PAL waits for that as well */
}

int64_t windows_thread_interrupt(struct pal_tcb *tcb)
{
    AcquireSRWLockExclusive(&lock);
    struct windows_thread *thread = thread_of(tcb);
    if (thread && thread->block)
        interrupt(thread);
    else
        __atomic_fetch_or(&tcb->interrupted, PAL_INTERRUPTED, __ATOMIC_SEQ_CST);
    ReleaseSRWLockExclusive(&lock);
    return 0;
}

/* From outside, or handed on by a thread that has ended. */
void thread_interrupt_any(void)
{
    AcquireSRWLockExclusive(&lock);
    for (struct windows_thread *thread = threads; thread; thread = thread->next)
        if (thread->block) {
            interrupt(thread);
            break;
        }
    ReleaseSRWLockExclusive(&lock);
}

/* SuspendThread only asks: it stands still once its registers can be had. */
static void stop(const struct windows_thread *thread)
{
    CONTEXT context = {.ContextFlags = CONTEXT_CONTROL};
    SuspendThread(thread->handle);
    for (uint32_t i = 0; i < TRIES && !GetThreadContext(thread->handle, &context); i++)
        pause_before(i);
}

/* All others, for a fork; what holds a lock of the PAL's that the caller needs has been waited for before. */
void threads_stop(void)
{
    AcquireSRWLockExclusive(&lock);
    for (struct windows_thread *thread = threads; thread; thread = thread->next)
        if (thread->id != GetCurrentThreadId())
            stop(thread);
}

void threads_go_on(void)
{
    for (struct windows_thread *thread = threads; thread; thread = thread->next)
        if (thread->id != GetCurrentThreadId())
            ResumeThread(thread->handle);
    ReleaseSRWLockExclusive(&lock);
}

/* For ever, before the process ends: a thread that stands still then would not end, as whoever stopped it has gone. */
void threads_hold(void)
{
    AcquireSRWLockExclusive(&lock);
}

int64_t windows_thread_set(uint32_t what, uint64_t address, uint32_t size, uint32_t signature)
{
    (void)size, (void)signature;
    if (what == PAL_THREAD_SEQUENCES)
        return -ENOSYS;
    if (what != PAL_THREAD_POINTER)
        return -EINVAL;
    if (address >> 47)
        return -EPERM;
    current_tcb()->fs_base = address;
    return 0;
}
