/* SPDX-License-Identifier: MIT */
/*
 * How long an x86-64 instruction is, and whether it may run somewhere else.  Knows what a compiler emits and refuses
 * the rest: `false` means "don't touch", never "invalid".  Intel SDM vol. 2, chapter 2 and appendix A.
 */
#ifndef SHIM_DECODE_H
#define SHIM_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#define INSN_SIZE_MAX 15

enum insn_kind {
    INSN_PLAIN,
    INSN_NOP,
    INSN_ENDBR, /* where indirect branches arrive */
    INSN_SYSCALL,
    INSN_JCC,
    INSN_LOOP, /* loop, jrcxz: 8-bit displacement only */
    INSN_JUMP,
    INSN_CALL,
    INSN_JUMP_INDIRECT,
    INSN_CALL_INDIRECT,
    INSN_RETURN,
    INSN_TRAP, /* int3, hlt, ud2: nothing goes on after it */
};

struct insn {
    uint8_t size;
    uint8_t kind;
    uint8_t opcode_at;
    uint8_t displacement_at; /* of a RIP-relative operand */
    bool rip_relative;
    bool movable;     /* does the same at another address, once `relative` is adjusted */
    int32_t relative; /* from the instruction's end: a direct branch's target, or a RIP-relative operand */
};

bool insn_decode(const uint8_t *bytes, uint64_t available, struct insn *out);

/* Whether control may reach the instruction after this one. */
static inline bool insn_falls_through(const struct insn *insn)
{
    return insn->kind != INSN_JUMP && insn->kind != INSN_JUMP_INDIRECT && insn->kind != INSN_RETURN &&
           insn->kind != INSN_TRAP;
}

/* Whether it has a target: insn->relative from its end. */
static inline bool insn_branches(const struct insn *insn)
{
    return insn->kind == INSN_JCC || insn->kind == INSN_LOOP || insn->kind == INSN_JUMP || insn->kind == INSN_CALL;
}

#endif
