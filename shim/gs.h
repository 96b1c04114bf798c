/* SPDX-License-Identifier: MIT */
/*
 * Where a guest has GS elsewhere, entry.S finds a thread's block by its FS base, in a table of the process.  A row is
 * right as long as that thread runs with that FS: it is forgotten when the libOS changes FS, or the thread ends; where
 * threads share an FS base there are no rows at all.  A guest that moves FS by instructions from one thread to another
 * harms itself.
 */
#ifndef SHIM_GS_H
#define SHIM_GS_H

/* Offsets into struct shim_gs. */
#define GS_LOCK 0
#define GS_RAX 8
#define GS_RDX 16
#define GS_FLAGS 24
#define GS_TABLE 64

#define GS_ROWS 256
#define GS_SHIFT1 12
#define GS_SHIFT2 20

#ifndef __ASSEMBLER__
#include "pal/pal.h"

struct shim_gs {
    uint64_t lock, rax, rdx, flags;
    uint64_t off; /* no rows: threads share an FS base */
    uint64_t used;
    uint64_t pad[2];
    struct { uint64_t fs, block; } rows[GS_ROWS];
};
_Static_assert(offsetof(struct shim_gs, rows) == GS_TABLE && offsetof(struct shim_gs, flags) == GS_FLAGS, "assembly");
extern struct shim_gs shim_gs;

void gs_note(const struct pal_tcb *tcb, uint64_t fs); /* in the PAL's handlers */
void gs_forget(const struct pal_tcb *tcb);
void gs_share(void); /* from now on threads may share an FS base */
void gs_reset(void); /* there is one thread: a new program, or a fork's child */
#endif
#endif
