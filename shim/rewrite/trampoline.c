/* SPDX-License-Identifier: MIT */
/*
 * A trampoline:
 *
 *         [absorbed instructions that stood before the syscall]
 *         lea   tail(%rip), %r11           where the entry returns to
 *         jmp   *slot_tail(%rip)
 *         .long after - tail
 *   tail: [absorbed instructions that stood after the syscall]
 *         jmp   resume
 *
 * With nothing absorbed after, there is no tail, and another slot: R11 = after.  The entry sets RCX and R11 to what
 * `syscall` leaves there: until then it needs one free register, RCX.  lea and jmp leave the flags alone, and nothing
 * is written to the guest's stack.
 *
 * For cpuid, which leaves RCX and R11 as they were, the middle is
 *         movl  $index, %gs:TCB_CPUID
 *         jmp   *slot_cpuid(%rip)
 * and the libOS goes on by the site's points.
 */
#include "shim/rewrite/trampoline.h"

#include "shim/rewrite/trampoline_pool.h"
#include "shim/shim.h"

static bool fits(int64_t value)
{
    return value == (int32_t)value;
}

static void put32(uint8_t *out, int64_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)((uint64_t)value >> (8 * i));
}

static uint32_t relocate_branch(const struct insn *insn, const uint8_t *bytes, uint64_t target, uint64_t to,
                                uint8_t *out)
{
    uint32_t size = 0;
    if (insn->kind == INSN_JCC) {
        uint8_t opcode = bytes[0] == 0x0f ? bytes[1] : bytes[0];
        out[size++] = 0x0f;
        out[size++] = 0x80 | (opcode & 0x0f);
    } else {
        out[size++] = 0xe9;
    }
    size += 4;
    int64_t relative = (int64_t)(target - (to + size));
    if (!fits(relative))
        return 0;
    put32(out + size - 4, relative);
    return size;
}

uint32_t insn_relocate(const struct insn *insn, const uint8_t *bytes, uint64_t from, uint64_t to, uint8_t *out)
{
    if (!insn->movable)
        return 0;
    if (insn->kind == INSN_JCC || insn->kind == INSN_JUMP)
        return relocate_branch(insn, bytes, from + insn->size + (uint64_t)(int64_t)insn->relative, to, out);
    for (uint32_t i = 0; i < insn->size; i++)
        out[i] = bytes[i];
    if (insn->rip_relative) {
        int64_t relative = insn->relative + (int64_t)(from - to);
        if (!fits(relative))
            return 0;
        put32(out + insn->displacement_at, relative);
    }
    return insn->size;
}

bool jump_encode(uint64_t from, uint64_t to, uint8_t out[JUMP_SIZE])
{
    int64_t relative = (int64_t)(to - (from + JUMP_SIZE));
    out[0] = 0xe9;
    put32(out + 1, relative);
    return fits(relative);
}

uint32_t trampoline_size(const struct plan *plan)
{
    uint32_t size = 7 + 6 + 4 + JUMP_SIZE;
    for (uint32_t i = 0; i < (uint32_t)plan->before + plan->after; i++)
        size += plan->insns[i].size + 4u; /* a short branch grows by four bytes at most */
    return size;
}

struct builder {
    const struct plan *plan;
    const struct text_window *text;
    uint64_t address;
    struct trampoline *trampoline;
};

static void point(struct builder *b, int guest)
{
    b->trampoline->points[b->trampoline->count++] = (struct trampoline_point){(uint8_t)b->trampoline->size, (int8_t)guest};
}

static bool absorb(struct builder *b, uint32_t index)
{
    int offset = b->plan->insns[index].offset;
    const uint8_t *bytes = b->text->bytes + b->text->at + offset;
    struct insn insn;
    point(b, offset);
    if (!insn_decode(bytes, b->plan->insns[index].size, &insn))
        return false;
    uint32_t size = insn_relocate(&insn, bytes, b->text->syscall + (uint64_t)(int64_t)offset,
                                  b->address + b->trampoline->size, b->trampoline->bytes + b->trampoline->size);
    b->trampoline->size += size;
    return size != 0;
}

/* An instruction of `size` bytes whose last four are the distance to target. */
static bool rip_form(struct builder *b, uint32_t opcode, uint32_t opcode_size, uint64_t target)
{
    uint8_t *out = b->trampoline->bytes + b->trampoline->size;
    for (uint32_t i = 0; i < opcode_size; i++)
        out[i] = (uint8_t)(opcode >> (8 * i));
    b->trampoline->size += opcode_size + 4;
    int64_t relative = (int64_t)(target - (b->address + b->trampoline->size));
    put32(out + opcode_size, relative);
    return fits(relative);
}

static bool enter_for_call(struct builder *b, uint64_t slot)
{
    struct trampoline *out = b->trampoline;
    uint64_t after = b->text->syscall + 2, tail = b->address + out->size + 7 + 6 + 4;
    bool ok = rip_form(b, 0x1d8d4c, 3, b->plan->after ? tail : after) &&            /* lea ..., %r11 */
              rip_form(b, 0x25ff, 2, b->plan->after ? slot + SLOT_TAIL : slot);     /* jmp *slot(%rip) */
    if (!ok || b->plan->after == 0)
        return ok;
    put32(out->bytes + out->size, (int64_t)(after - tail));
    out->size += 4;
    return fits((int64_t)(after - tail));
}

static bool enter_for_cpuid(struct builder *b, uint64_t slot, uint32_t index)
{
    static const uint8_t store[8] = {0x65, 0xc7, 0x04, 0x25, TCB_CPUID}; /* movl $index, %gs:TCB_CPUID */
    uint8_t *at = b->trampoline->bytes + b->trampoline->size;
    for (uint32_t i = 0; i < sizeof store; i++)
        at[i] = store[i];
    put32(at + sizeof store, index);
    b->trampoline->size += sizeof store + 4;
    return rip_form(b, 0x25ff, 2, slot + SLOT_CPUID);
}

bool trampoline_build(const struct plan *plan, const struct text_window *text, uint64_t address, uint64_t slot,
                      uint32_t index, struct trampoline *out)
{
    struct builder b = {plan, text, address, out};
    bool ok = true;
    out->size = out->count = 0;
    for (uint32_t i = 0; i < plan->before; i++)
        ok = ok && absorb(&b, i);
    point(&b, 0);
    ok = ok && (plan_is_cpuid(text) ? enter_for_cpuid(&b, slot, index) : enter_for_call(&b, slot));
    if (plan->after == 0)
        return ok;
    for (uint32_t i = 0; i < plan->after; i++)
        ok = ok && absorb(&b, plan->before + i);
    if (plan->resume) {
        point(&b, plan->resume);
        ok = ok && rip_form(&b, 0xe9, 1, text->syscall + (uint64_t)plan->resume);
    }
    return ok;
}
