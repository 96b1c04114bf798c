/* SPDX-License-Identifier: MIT */
/*
 * Which bytes around a syscall instruction can become a jump.  Reads text, changes nothing.
 *
 * Nobody can know every address that a program jumps to, so no plan relies on knowing: each is safe wherever control
 * arrives.  Either the bytes replaced hold one instruction, or none; or every instruction boundary inside the jump will
 * hold a byte that traps (trap_bytes: the trampoline's address is chosen so), and the fault handler sends a thread that
 * arrives there to that instruction's copy in the trampoline.  Looking for branches only keeps that from being the
 * common way.
 */
#ifndef SHIM_PLAN_H
#define SHIM_PLAN_H

#include "shim/rewrite/decode.h"

#include <stdbool.h>
#include <stdint.h>

enum site_kind {
    SITE_TRAP,     /* not rewritten */
    SITE_MOV,      /* the jump lies over the `mov $number, %eax` before; the syscall instruction stays */
    SITE_SINGLE,   /* ... over another single instruction before */
    SITE_HOLE,     /* the syscall instruction becomes a short jump to a jump in padding nearby */
    SITE_FORWARD,  /* the jump lies over the syscall instruction and instructions after */
    SITE_BACKWARD, /* ... over several instructions before, and perhaps the syscall instruction and some after */
    SITE_FAULT,    /* the syscall instruction becomes one that faults: where no jump has room, and the host has no trap */
    SITE_KINDS
};

enum site_refusal {
    SITE_REFUSED_NOT,
    SITE_REFUSED_TEXT,      /* not a private, file-backed, read-only mapping; or no syscall instruction */
    SITE_REFUSED_UNKNOWN,   /* instructions around that can't be told or can't be moved */
    SITE_REFUSED_ENTERED,   /* a branch goes to them */
    SITE_REFUSED_ROOM,      /* no place for a trampoline */
    SITE_REFUSED_HOST,      /* the host doesn't let text be changed */
    SITE_REFUSALS
};

#define PLAN_INSNS 8

struct plan {
    uint8_t kind;
    uint8_t trap_bytes;          /* bit i: byte i of the jump's displacement begins an instruction */
    uint8_t before, after;       /* how many instructions are absorbed on either side */
    int8_t patch;                /* where the jump goes; here and below: offsets from the syscall instruction */
    int8_t resume;               /* where the guest goes on after the trampoline; 0: the last absorbed never goes on */
    int16_t hole;                /* SITE_HOLE: the padding that takes the jump, five bytes */
    struct { int8_t offset; uint8_t size; } insns[PLAN_INSNS]; /* those before, then those after */
};

/* A copy of the text around a site as the program's file has it, and the whole mapping as it is. */
#define WINDOW_BEFORE 256
#define WINDOW_AFTER 192
struct text_window {
    uint64_t syscall; /* its address */
    uint32_t at;      /* its index in bytes */
    uint32_t size;
    uint8_t bytes[WINDOW_BEFORE + WINDOW_AFTER];
    const uint8_t *all; /* the mapping's bytes: [start, end) */
    uint64_t start, end;
};

/* Fills the window from `all`, start, end and syscall. */
void window_read(struct text_window *text);

/*
 * `mov $15, %rax; syscall` at a signal frame's return address: unwinders know the frame by these bytes where the C
 * library has no unwind information for it (glibc has, musl has not).  So it stays until a program has shown that it takes
 * signals all the time.
 */
bool plan_is_sigreturn(const struct text_window *text); /* the window is filled */

/* Such an instruction can be rewritten as if it were a system call: it has as many bytes. */
bool plan_is_cpuid(const struct text_window *text);
bool plan_is_site(const uint8_t *bytes); /* a system call, or a cpuid */

/* What plan_next goes on from.  6 KiB: for the stack, once. */
struct planner {
    const struct text_window *text;
    enum site_refusal refusal; /* after plan_next has returned false for the first time: why */
    uint32_t step;
    bool is[WINDOW_BEFORE + WINDOW_AFTER + 1];          /* where an instruction is known to begin */
    struct insn insns[WINDOW_BEFORE + WINDOW_AFTER + 1]; /* ... which one */
};

void plan_begin(struct planner *planner, const struct text_window *text);
/* The next best plan, or false. */
bool plan_next(struct planner *planner, struct plan *out);
/*
 * The plan whose jump begins at `patch`, offset from the syscall instruction, or, where hole isn't 0, lies in padding there.
 * The text is decoded from there on, and must take such a jump: but whether an instruction begins there, and whether
 * a branch enters, was seen when the same text was planned for first.  False: it takes none.
 */
bool plan_again(struct planner *planner, const struct text_window *text, int patch, int hole, struct plan *out);
/* For a host without a trap: none is refused. */
void plan_fault(struct plan *out);
/* Only those that leave the bytes after the syscall instruction, and those before it, alone. */
bool plan_hole(const struct planner *planner, struct plan *out);

#endif
