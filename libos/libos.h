/* SPDX-License-Identifier: MIT */
/*
 * What every file of the libOS may use, grouped by the file that defines it.
 *
 * Callers' rules
 *  - All mutable state lies in the arena (.data, .bss, alloc): no pointers into host memory, no state in host objects
 *    that the handle table can't find again.
 *  - A guest address is `guest_t`, an integer; only the copy functions below turn it into bytes.  Copy, check, use.
 *  - A system call is `int64_t sys_NAME(...)`: its result or -errno; -ERESTART* (abi_errno.h) when a [blocks] PAL call
 *    gave -EINTR: dispatch then lets signals decide.
 *
 * Lock order (outer first):
 *      process table (shared)  >  process.lock (threads, signal state)  >  files.lock  >  mm.lock  >  file.lock
 *        >  heap.lock
 *      No lock is held across a [blocks] PAL call, nor across a guest-memory copy that may need mm.lock.
 */
#ifndef LIBOS_LIBOS_H
#define LIBOS_LIBOS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libos/abi/errno.h"
#include "pal/pal.h"
#include "shim/shim.h"

typedef uint64_t guest_t;

#define PAGE_SIZE 4096ull
#define PAGE_MASK (PAGE_SIZE - 1)
#define PAGE_UP(x) (((uint64_t)(x) + PAGE_MASK) & ~PAGE_MASK)
#define PAGE_DOWN(x) ((uint64_t)(x) & ~PAGE_MASK)
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

struct thread;
struct process;
struct file;

/* main.c */
extern const struct pal_api *PAL;
extern const struct pal_boot *boot;

static inline struct thread *current(void)
{
    struct thread *thread;
    __asm__("mov %%gs:64, %0" : "=r"(thread)); /* TCB_THREAD; not volatile: constant for a thread */
    return thread;
}

static inline struct pal_tcb *tcb(void)
{
    struct pal_tcb *block;
    __asm__("mov %%gs:0, %0" : "=r"(block));
    return block;
}

/* The guest's registers while this thread is in the libOS. */
static inline struct frame *current_frame(void)
{
    return (struct frame *)(tcb()->libos_stack - FRAME_SIZE);
}

/* dispatch.c: called from shim/entry.S.  The result goes into the frame's RAX; one below 0, to libos_failed. */
int64_t libos_syscall(struct frame *frame);
void libos_failed(struct frame *frame, int64_t result);
void libos_work(struct frame *frame);
void libos_exception(struct frame *frame);
void libos_interrupt(struct frame *frame);
uint32_t libos_classify(struct pal_context *context, uint32_t is_exception);
void frame_set_rip(struct frame *frame, guest_t rip);
/* A call that replaced the frame's registers (sigreturn, execve) returns this; RAX is then left alone. */
#define FRAME_REPLACED (-520ll)
/* The deadline of a call with a relative timeout: stays the same when the call is restarted inside the libOS.
 * timeout_ns UINT64_MAX = PAL_FOREVER. */
uint64_t call_deadline(uint64_t timeout_ns);
/* A --stats / debugging note of something guests ask for that is not there. */
void note_unsupported(const char *what, uint64_t value);

/* rewrite.c */
void rewrite_init(void);
extern bool rewriting; /* sites that trap are rewritten */
void rewrite_trapped(uint64_t after); /* a site trapped: RIP behind it */

/* trace.c */
void trace_call(const struct frame *frame, int64_t result);

/* string.c: C's own, and no more. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t most);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
/* %s %.*s %c %d %u %x %o %ld %lu %lx %lo (l = 64 bits), widths, 0 and - flags.  Returns what was
 * or would be written. */
int format(char *to, size_t size, const char *pattern, ...) __attribute__((format(printf, 3, 4)));
int format_list(char *to, size_t size, const char *pattern, va_list list);
void log_line(const char *pattern, ...) __attribute__((format(printf, 1, 2))); /* to boot->log, with a newline */
void panic(const char *pattern, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* alloc.c: the arena's heap.  NULL when the arena is full: callers return -ENOMEM.  Thread-safe. */
void *alloc(size_t size); /* 16-byte aligned, not cleared */
void *alloc_zero(size_t size);
void *alloc_copy(const void *from, size_t size);
void release(void *block); /* NULL is fine */
void *alloc_pages(size_t size); /* page-aligned, zeroed, size rounded up */
void heap_init(uint64_t arena_end);

/* guest.c: guest memory.  0 or -EFAULT (nothing is promised of a partly written destination). */
int64_t copy_in(void *to, guest_t from, size_t size);
int64_t copy_out(guest_t to, const void *from, size_t size);
size_t copy_in_some(void *to, guest_t from, size_t size);   /* bytes copied */
size_t copy_out_some(guest_t to, const void *from, size_t size);
int64_t zero_out(guest_t to, size_t size);
int64_t copy_in_string(char *to, guest_t from, size_t size); /* length; -ENAMETOOLONG if no NUL within size */
int64_t guest_load32(guest_t at);                            /* value or -EFAULT */
int64_t guest_store32(guest_t at, uint32_t value);
int64_t guest_exchange32(guest_t at, uint32_t expected, uint32_t value); /* old value or -EFAULT */
/* Lies in the guest's space (it may still fault). */
static inline bool guest_range_ok(guest_t at, uint64_t size)
{
    return at <= PAL_GUEST_END && size <= PAL_GUEST_END - at;
}

/* lock.c: in the arena, within one picoprocess.  Zeroed = free. */
struct mutex { uint32_t word; };
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
void mutex_reset(struct mutex *mutex); /* in a fork child: the holder does not exist there */
#define MUTEXES_HELD 15 /* tcb.libos[]: how many mutexes the thread holds */
/* PAL->lock and unlock, for locks in the shared segment: never call those directly. */
int64_t shared_mutex_lock(struct pal_mutex *mutex);
void shared_mutex_unlock(struct pal_mutex *mutex);
extern uint64_t fork_gate; /* see lock.c */
extern uint32_t fork_gate_waiters;

/* Relaxed wrappers, to say what is meant. */
#define atomic_get(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define atomic_add(p, v) __atomic_add_fetch((p), (v), __ATOMIC_ACQ_REL)
#define atomic_or(p, v) __atomic_or_fetch((p), (v), __ATOMIC_ACQ_REL)
#define atomic_and(p, v) __atomic_and_fetch((p), (v), __ATOMIC_ACQ_REL)
#define atomic_swap(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/* A call marked [blocks] that waits for nobody: an interrupt waits for it. */
#define DEFER_INTERRUPT(call)                                                                                          \
    ({                                                                                                                 \
        uint32_t noted_ = 0;                                                                                           \
        int64_t result_;                                                                                               \
        while ((result_ = (call)) == -EINTR)                                                                           \
            noted_ |= atomic_swap(&tcb()->interrupted, 0u);                                                            \
        if (noted_)                                                                                                    \
            atomic_set(&tcb()->interrupted, 1u);                                                                       \
        result_;                                                                                                       \
    })

static inline bool atomic_replace32(uint32_t *at, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(at, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#endif
