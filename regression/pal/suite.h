/* SPDX-License-Identifier: MIT */
/*
 * The PAL's conformance suite: what every host must pass.  One freestanding image in the libOS's place; it prints TAP
 * to standard output.  A test is a function that returns 0, or the line of the first check that failed; SKIP for what
 * this host or start-up can't do.  Each starts from a clean state and leaves no threads, children or handles behind.
 */
#ifndef REGRESSION_PAL_SUITE_H
#define REGRESSION_PAL_SUITE_H

#include "pal/pal.h"

#pragma GCC visibility push(hidden) /* all of it is one image: no address needs a table */

#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define ESPIPE 29
#define ENOTTY 25
#define EPIPE 32
#define ENAMETOOLONG 36
#define ENOSYS 38
#define EREMOTE 66
#define ETIMEDOUT 110
#define EOWNERDEAD 130

#define SKIP (-1)
#define CHECK(condition)     \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define MS 1000000ull
#define PATIENCE (30000 * MS) /* what must happen has happened by then, on a loaded machine, too */
#define SCRATCH 0x100000000ull /* guest range that tests may map; each gives it back */
#define SHARED_SCRATCH (PAL_SHARED_BASE + boot->shared_size - 65536) /* zeroed before each test */

extern const struct pal_api *PAL;
extern const struct pal_boot *boot;

struct test {
    const char *name;
    int (*run)(void);
};
/* One table a file; NULL name ends it. */
extern const struct test memory_tests[], upcall_tests[], thread_tests[], lock_tests[], stream_tests[], object_tests[];
extern const struct test process_tests[], interrupt_tests[], name_tests[];

/* main.c */
static inline struct pal_tcb *tcb(void)
{
    struct pal_tcb *block;
    __asm__ volatile("mov %%gs:0, %0\n" /* and a row of pal_image_header.gs_sites */
                     ".pushsection .gs_sites, \"a\"\n.long 770f - 4 - .\n.popsection\n770:" : "=r"(block));
    return block;
}
uint64_t now(void);
void sleep_until(uint64_t deadline);
int64_t put(pal_handle_t handle, const void *bytes, uint64_t size);
int64_t get(pal_handle_t handle, void *bytes, uint64_t size);
/* Waits for one child; its exit status, or -errno. */
int64_t reap(int64_t child);
void *memset(void *to, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
int memcmp(const void *a, const void *b, size_t size);

/* thread.c: threads of the suite, with block and stack in .bss.  join waits until the thread has left. */
#define WORKERS 4
int64_t worker_start(uint32_t index, void (*entry)(void *), void *argument);
int64_t worker_join(uint32_t index);
struct pal_tcb *worker_tcb(uint32_t index);
void worker_leave(void) __attribute__((noreturn));

/* entry.S */
uint64_t guest_call(void (*code)(void));
int64_t copy_byte(uint8_t *to, const uint8_t *from);
void guest_syscall(void);
void guest_int80(void);
void guest_load(void);
void guest_divide(void);
void guest_illegal(void);
void guest_trap(void);
void guest_spin(void);
extern char guest_begin[], guest_end[], guest_syscall_after[], guest_load_at[], guest_trap_after[];
extern char copy_from[], copy_failed[];
extern uint64_t trap_rcx, trap_r11, trap_rax, trap_rsp, trap_flags, trap_xmm7[2], seen_xmm7[2], upcall_rsp;
extern uint64_t guest_flags_after;
extern volatile uint32_t guest_spinning;
void suite_start(const struct pal_api *api, const struct pal_boot *boot) __attribute__((noreturn));
extern struct pal_tcb *classified; /* the last in the guest that suite_classify was asked about */
uint32_t suite_classify(struct pal_context *context, struct pal_tcb *block, uint32_t is_exception);

#pragma GCC visibility pop
#endif
