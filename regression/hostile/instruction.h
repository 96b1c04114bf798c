/* SPDX-License-Identifier: MIT */
/* For hostile programs: host calls by an instruction of the PAL's own, or any other that is `syscall; ret`. */
#ifndef REGRESSION_HOSTILE_INSTRUCTION_H
#define REGRESSION_HOSTILE_INSTRUCTION_H

#include <stdint.h>

#include "pal/pal.h"

/* 0: there is no PAL. */
static inline uint64_t find_pal_instruction(void)
{
    const unsigned char *text = (const unsigned char *)PAL_HOST_BASE;
    for (int i = 0; i < 1 << 16; i++)
        if (text[i] == 0x0f && text[i + 1] == 0x05 && text[i + 2] == 0xc3)
            return (uint64_t)(text + i);
    return 0;
}

static inline long through(uint64_t at, long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n call *%[at]\n lea 128(%%rsp), %%rsp" /* past the red zone */
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), [at] "r"(at)
                     : "rcx", "r11", "memory");
    return result;
}

#endif
