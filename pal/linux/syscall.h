/* SPDX-License-Identifier: MIT */
/*
 * Raw host calls.  Everything that leaves the picoprocess goes through host_call (never sleeps for long, or must not
 * be interrupted) or linux_blocking (entry.S: the [blocks] calls of pal.h).  Both give a count or -errno, as the
 * kernel does.
 */
#ifndef PAL_LINUX_SYSCALL_H
#define PAL_LINUX_SYSCALL_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <stdint.h>

#ifdef __clang_analyzer__ /* does not see that the kernel writes memory; of a function elsewhere it must assume so */
int64_t host_call6(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
#else
static inline int64_t host_call6(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                 uint64_t f)
{
    int64_t result;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#endif

/* Arguments that a call does not have are zero; the macros below take integers and pointers alike. */
#define HOST_ARG(x) ((uint64_t)(x))
#define HOST_CALL_(nr, a, b, c, d, e, f, ...) \
    host_call6(nr, HOST_ARG(a), HOST_ARG(b), HOST_ARG(c), HOST_ARG(d), HOST_ARG(e), HOST_ARG(f))
#define host_call(name, ...) HOST_CALL_(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

/*
 * The same for calls that wait: -EINTR, without having called, while the thread's `interrupted` is set.  The handler of
 * interrupts makes check and call one step (signal.c).
 */
int64_t linux_blocking(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
#define HOST_BLOCKING_(nr, a, b, c, d, e, f, ...) \
    linux_blocking(nr, HOST_ARG(a), HOST_ARG(b), HOST_ARG(c), HOST_ARG(d), HOST_ARG(e), HOST_ARG(f))
#define host_blocking(name, ...) HOST_BLOCKING_(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

#endif
