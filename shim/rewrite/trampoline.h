/* SPDX-License-Identifier: MIT */
/* Makes an instruction do at one address what it did at another, and writes the stubs around such instructions. */
#ifndef SHIM_RELOCATE_H
#define SHIM_RELOCATE_H

#include "shim/rewrite/decode.h"
#include "shim/rewrite/plan.h"

#define RELOCATED_SIZE_MAX INSN_SIZE_MAX
#define JUMP_SIZE 5

/* Writes at out, for running at `to`, what stands in `bytes` for running at `from`: returns its size, 0 where that
 * can't be done exactly. */
uint32_t insn_relocate(const struct insn *insn, const uint8_t *bytes, uint64_t from, uint64_t to, uint8_t *out);

/* jmp rel32 at `from`; false if out of reach. */
bool jump_encode(uint64_t from, uint64_t to, uint8_t out[JUMP_SIZE]);

/* Where in a stub stands which guest instruction. */
struct stub_point { uint8_t stub; int8_t guest; }; /* offsets from the stub's start; from the syscall instruction */

#define STUB_POINTS 12
#define STUB_SIZE_MAX 160

struct stub {
    uint32_t size;
    uint8_t count;
    struct stub_point points[STUB_POINTS]; /* ascending; a stub address belongs to the last point not above it */
    uint8_t bytes[STUB_SIZE_MAX];
};

/* An upper bound of a stub's size. */
uint32_t stub_size(const struct plan *plan);
/* The stub for `plan` at `address`.  `slot` holds the address of the entry that stubs jump through, and SLOT_TAIL bytes
 * on, that of those with a tail.  False where a part of it is out of reach. */
bool stub_build(const struct plan *plan, const struct text_window *text, uint64_t address, uint64_t slot,
                struct stub *out);

#endif
