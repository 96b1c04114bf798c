/* SPDX-License-Identifier: MIT */
/* Makes an instruction do at one address what it did at another, and writes the trampolines around such instructions.
 * */
#ifndef SHIM_TRAMPOLINE_H
#define SHIM_TRAMPOLINE_H

#include "shim/rewrite/decode.h"
#include "shim/rewrite/plan.h"

#define RELOCATED_SIZE_MAX INSN_SIZE_MAX
#define JUMP_SIZE 5

/* Writes at out, for running at `to`, what stands in `bytes` for running at `from`: returns its size, 0 where that
 * can't be done exactly. */
uint32_t insn_relocate(const struct insn *insn, const uint8_t *bytes, uint64_t from, uint64_t to, uint8_t *out);

/* jmp rel32 at `from`; false if out of reach. */
bool jump_encode(uint64_t from, uint64_t to, uint8_t out[JUMP_SIZE]);

/* Where in a trampoline stands which guest instruction. */
/* Offsets from the trampoline's start, and from the syscall instruction. */
struct trampoline_point { uint8_t trampoline; int8_t guest; };

#define TRAMPOLINE_POINTS 12
#define TRAMPOLINE_SIZE_MAX 160

struct trampoline {
    uint32_t size;
    uint8_t count;
    /* Ascending; a trampoline address belongs to the last point not above it. */
    struct trampoline_point points[TRAMPOLINE_POINTS];
    uint8_t bytes[TRAMPOLINE_SIZE_MAX];
};

/* An upper bound of a trampoline's size. */
uint32_t trampoline_size(const struct plan *plan);
/* The trampoline for `plan` at `address`.  `slot` holds the address of the entry that trampolines jump through, and
 * SLOT_TAIL bytes on, that of those with a tail.  False where a part of it is out of reach. */
bool trampoline_build(const struct plan *plan, const struct text_window *text, uint64_t address, uint64_t slot,
                uint32_t index, struct trampoline *out);

#endif
