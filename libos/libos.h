/* SPDX-License-Identifier: MIT */
/*
 * What every file of the libOS may use.  Each room has one header, grouped by the file that defines a function; a room
 * knows those below it only:
 *
 *      entry > snapshot > process > pseudofs, net, ipc > trace > tty, mm, poll > fs > signal, futex > task > lib > abi
 *
 * Callers' rules
 *  - All mutable state lies in the arena (.data, .bss, alloc): no pointers into host memory, no state in host objects
 *    that the handle table can't find again.
 *  - A guest address is `guest_t`, an integer; only the copy functions (lib/lib.h) turn it into bytes.  Copy, check, use.
 *  - A system call is `int64_t sys_NAME(...)`: its result or -errno; -ERESTART* (abi/errno.h) when a [blocks] PAL call
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

/* Behind an instruction whose operand, the last four bytes of it, lies in the per-thread block: as entry.S's gs_site. */
#define GS_SITE "\n.Lgs_site%=: .pushsection .gs_sites, \"a\", @progbits\n.long .Lgs_site%= - 4 - .\n.popsection"

static inline struct thread *current(void)
{
    struct thread *thread;
    __asm__ inline("mov %%gs:64, %0" GS_SITE : "=r"(thread)); /* TCB_THREAD; not volatile: constant for a thread */
    return thread;
}

static inline struct pal_tcb *tcb(void)
{
    struct pal_tcb *block;
    __asm__ inline("mov %%gs:0, %0" GS_SITE : "=r"(block));
    return block;
}

static inline void tcb_init(struct pal_tcb *block, struct thread *thread)
{
    block->libos[0] = (uint64_t)(uintptr_t)thread; /* TCB_THREAD */
    block->libos[3] = GS_MARK;                     /* TCB_MARK */
}

/* The guest's registers while this thread is in the libOS. */
static inline struct frame *current_frame(void)
{
    return (struct frame *)(tcb()->libos_stack - FRAME_SIZE);
}

/* A call that replaced the frame's registers (sigreturn, execve) returns this; RAX is then left alone. */
#define FRAME_REPLACED (-520ll)

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
            atomic_set(&tcb()->interrupted, noted_);                                                                       \
        result_;                                                                                                       \
    })

static inline bool atomic_replace32(uint32_t *at, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(at, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#endif
