/* SPDX-License-Identifier: MIT */
/* What the libOS has in place of a C library, and its host. */
#ifndef LIBOS_LIB_H
#define LIBOS_LIB_H

#include "libos/libos.h"

/* ---- host.c ------------------------------------------------------------------------------------------------------ */

extern const struct pal_api *PAL;
extern const struct pal_boot *boot;
/* Calls go through libos_syscall: some of SLOW_*.  Atomic. */
extern uint8_t libos_dispatch_slowly;
#define SLOW_LOGGED 1u /* --trace or --stats */
#define SLOW_TRACED 2u /* some thread of this picoprocess is traced */

/* ---- string.c: C's own, and no more ------------------------------------------------------------------------------ */

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

/* ---- log.c ------------------------------------------------------------------------------------------------------- */

void log_line(const char *pattern, ...) __attribute__((format(printf, 1, 2))); /* to boot->log, with a newline */
void panic(const char *pattern, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* A --stats / debugging note of something guests ask for that is not there. */
void note_unsupported(const char *what, uint64_t value);

/* ---- alloc.c: the arena's heap.  NULL when the arena is full: callers return -ENOMEM.  Thread-safe --------------- */
void *alloc(size_t size); /* 16-byte aligned, not cleared */
void *alloc_zero(size_t size);
void *alloc_copy(const void *from, size_t size);
void release(void *block); /* NULL is fine */
void *alloc_pages(size_t size); /* page-aligned, zeroed, size rounded up */
void heap_init(uint64_t arena_end);
uint64_t heap_end(void); /* first address past what the host has given */

/* ---- usercopy.c: guest memory.  0 or -EFAULT (nothing is promised of a partly written destination) --------------- */

#define LENT 14 /* tcb.libos[]: COPY_BUFFER bytes of the arena that copies reach as if they were the guest's; 0: none */
#define COPY_BUFFER 65536u
int64_t copy_in(void *to, guest_t from, size_t size);
int64_t copy_out(guest_t to, const void *from, size_t size);
size_t copy_in_some(void *to, guest_t from, size_t size);   /* bytes copied */
size_t copy_out_some(guest_t to, const void *from, size_t size);
int64_t zero_out(guest_t to, size_t size);
int64_t copy_in_string(char *to, guest_t from, size_t size); /* length; -ENAMETOOLONG if no NUL within size */
int64_t guest_load32(guest_t at);                            /* value or -EFAULT */
int64_t guest_store32(guest_t at, uint32_t value);
int64_t guest_exchange32(guest_t at, uint32_t expected, uint32_t value); /* old value or -EFAULT */
#define TASK_END 0x7ffffffff000ull /* Linux's TASK_SIZE_MAX: what bases of FS and GS lie below */
/* Lies in the guest's space (it may still fault). */
static inline bool guest_range_ok(guest_t at, uint64_t size)
{
    return at <= PAL_GUEST_END && size <= PAL_GUEST_END - at;
}

/* ---- mutex.c: in the arena, within one picoprocess.  Zeroed = free ----------------------------------------------- */

struct mutex { uint32_t word; };
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
void mutex_reset(struct mutex *mutex); /* in a fork child: the holder does not exist there */
#define MUTEXES_HELD 15 /* tcb.libos[]: how many mutexes the thread holds */
/* PAL->lock and unlock, for locks in the shared segment: never call those directly. */
int64_t shared_mutex_lock(struct pal_mutex *mutex);
void shared_mutex_unlock(struct pal_mutex *mutex);
extern uint64_t fork_gate; /* see mutex.c */
extern uint32_t fork_gate_waiters;

/* ---- stats.c: --stats, what a process asked for, how it arrived, and what that cost the host.  A program's figures begin at exec */

/* The table to use from now on: where --stats was given, one that counts calls and goes on to `api`. */
const struct pal_api *stats_wrap(const struct pal_api *api);
void stats_count(const struct frame *frame);
void stats_begin(void);  /* in a fork's child: its parent's figures are not its own */
void stats_report(int pid, const char *name); /* at exit, and before exec: writes the figures, begins anew.  Does nothing without --stats */

#endif
