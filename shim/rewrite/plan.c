/* SPDX-License-Identifier: MIT */
/*
 * Finding the instruction boundaries around a site, then what can be absorbed.
 *
 * Forward from the syscall instruction, which has just been executed, decoding is certain.  Backward it is not: so
 * paths start at many offsets well before; x86 code synchronises within a few instructions, and a boundary is
 * believed where nearly all paths that still live agree.
 */
#include "shim/rewrite/plan.h"
#include "shim/rewrite/decode.h"
#include "shim/rewrite/trampoline.h"

#include <stddef.h>

#define PATHS 48         /* alive at a time, going backward */
#define PATHS_ENOUGH 12
#define SETTLING 24      /* no path starts closer than this */
#define NEAR_JUMPS 4096  /* how far around a site 32-bit branches are looked for */
#define SYSCALL_SIZE 2
#define SHORT_REACH 127
#define REACH_BEFORE 48  /* a jump begins no further before the syscall instruction */
/* A trampoline's address is free to choose in its low 16 bits; above, pools must be where it takes them. */
#define HARD_BYTES 0x0c

typedef uint64_t unaligned64 __attribute__((aligned(1), may_alias));

/* The order of preference: nothing that could be jumped into; then what faults there; then what is hard to place. */
enum { STEP_SINGLE, STEP_HOLE, STEP_ABSORB, STEP_HARD = STEP_ABSORB + 6, STEPS = STEP_HARD + 6 };

void window_read(struct text_window *text)
{
    uint64_t from = text->syscall - text->start > WINDOW_BEFORE ? text->syscall - WINDOW_BEFORE : text->start;
    uint64_t to = text->end - text->syscall > WINDOW_AFTER ? text->syscall + WINDOW_AFTER : text->end;
    text->at = (uint32_t)(text->syscall - from);
    text->size = (uint32_t)(to - from);
    const uint8_t *bytes = text->all + (from - text->start);
    uint32_t i = 0;
    for (; i + 8 <= text->size; i += 8)
        *(unaligned64 *)(text->bytes + i) = *(const unaligned64 *)(bytes + i);
    for (; i < text->size; i++)
        text->bytes[i] = bytes[i];
}

bool plan_is_sigreturn(const struct text_window *text)
{
    static const uint8_t bytes[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    if (text->at < 7)
        return false;
    const uint8_t *at = text->bytes + text->at - 7;
    for (uint32_t i = 0; i < sizeof(bytes); i++)
        if (at[i] != bytes[i])
            return false;
    return true;
}

static void find_before(struct planner *planner)
{
    const struct text_window *text = planner->text;
    uint8_t paths[WINDOW_BEFORE + INSN_SIZE_MAX + 1] = {0};
    uint32_t alive = 0;
    for (uint32_t i = 0; i <= text->at; i++) {
        if (alive < PATHS && i + SETTLING < text->at) {
            paths[i]++;
            alive++;
        }
        if (paths[i] == 0)
            continue;
        planner->is[i] = alive >= PATHS_ENOUGH && paths[i] * 8u >= alive * 7u;
        if (!insn_decode(text->bytes + i, text->size - i, &planner->insns[i])) {
            alive -= paths[i];
            planner->is[i] = false;
        } else if (i < text->at) {
            paths[i + planner->insns[i].size] += paths[i];
        }
    }
}

static void find_after(struct planner *planner, uint32_t first, uint32_t end)
{
    const struct text_window *text = planner->text;
    for (uint32_t i = first; i < end; i += planner->insns[i].size) {
        if (!insn_decode(text->bytes + i, text->size - i, &planner->insns[i]))
            break;
        planner->is[i] = true;
    }
}

static uint8_t byte_at(const struct text_window *text, int offset)
{
    return text->bytes[(int)text->at + offset];
}

/* The instruction that ends where the one at `offset` begins: its size, 0 if that can't be told. */
static uint32_t size_before(const struct planner *planner, int offset)
{
    int index = (int)planner->text->at + offset;
    for (int size = 1; size <= INSN_SIZE_MAX && size <= index; size++)
        if (planner->is[index - size] && planner->insns[index - size].size == size)
            return (uint32_t)size;
    return 0;
}

static const struct insn *insn_at(const struct planner *planner, int offset)
{
    int index = (int)planner->text->at + offset;
    return index >= 0 && index < (int)planner->text->size && planner->is[index] ? &planner->insns[index] : NULL;
}

/* ---- Branches ---------------------------------------------------------------------------------------------------- */

/* Whether `target` is one of the addresses from `from` on whose bit is set. */
static bool enters(uint8_t mask, int64_t from, int64_t target)
{
    return target >= from && target < from + JUMP_SIZE && (mask >> (target - from) & 1);
}

typedef int32_t unaligned32 __attribute__((aligned(1), may_alias));

/* 32-bit branches in a bounded stretch of the mapping, whether or not they stand at an instruction boundary. */
static bool entered_from_afar(const struct text_window *text, uint8_t mask, int from)
{
    uint64_t site = text->syscall - text->start;
    uint64_t low = site > NEAR_JUMPS ? site - NEAR_JUMPS : 1;
    uint64_t high = text->end - text->syscall > NEAR_JUMPS + 8 ? site + NEAR_JUMPS : text->end - text->start - 8;
    for (uint64_t i = low; i < high; i++) {
        int64_t target = (int64_t)(i + 5 - site) + *(const unaligned32 *)(text->all + i + 1);
        if (!enters(mask, from, target))
            continue;
        uint8_t opcode = text->all[i];
        bool jcc = (opcode & 0xf0) == 0x80 && text->all[i - 1] == 0x0f;
        if (opcode == 0xe8 || opcode == 0xe9 || jcc)
            return true;
    }
    return false;
}

static bool entered(const struct planner *planner, uint8_t mask, int from)
{
    const struct text_window *text = planner->text;
    for (uint32_t i = 0; i < text->size; i++) {
        const struct insn *insn = &planner->insns[i];
        int64_t target = (int)(i - text->at) + insn->size + insn->relative;
        if (planner->is[i] && insn_branches(insn) && enters(mask, from, target))
            return true;
    }
    return entered_from_afar(text, mask, from);
}

/* ---- Padding ----------------------------------------------------------------------------------------------------- */

/* Bytes of nops or int3 from `offset` on. */
static int padding_size(const struct planner *planner, int offset)
{
    int end = offset;
    const struct insn *insn;
    while ((insn = insn_at(planner, end)) && (insn->kind == INSN_NOP || byte_at(planner->text, end) == 0xcc))
        end += insn->size;
    return end - offset;
}

/* Alignment padding that follows an instruction without successor, up to the next 16-byte boundary: five bytes there
 * belong to nobody.  (Past that boundary nops may be a function's patchable entry.) */
static bool is_hole(const struct planner *planner, int offset)
{
    uint64_t address = planner->text->syscall + (uint64_t)(int64_t)offset;
    uint32_t room = (uint32_t)(-address & 15);
    uint32_t size = size_before(planner, offset);
    return size && !insn_falls_through(insn_at(planner, offset - (int)size)) && room >= JUMP_SIZE &&
           padding_size(planner, offset) >= (int)room && !entered(planner, 0x1f, offset);
}

bool plan_hole(const struct planner *planner, struct plan *plan)
{
    for (int distance = SYSCALL_SIZE; distance <= SHORT_REACH + SYSCALL_SIZE; distance++)
        for (int side = 0; side < 2; side++) {
            int offset = side ? -distance : distance;
            if (offset - SYSCALL_SIZE < -SHORT_REACH - 1 || offset - SYSCALL_SIZE > SHORT_REACH)
                continue;
            if (padding_size(planner, offset) && is_hole(planner, offset)) {
                *plan = (struct plan){.kind = SITE_HOLE, .hole = (int16_t)offset, .resume = SYSCALL_SIZE};
                return true;
            }
        }
    return false;
}

/* ---- Absorption -------------------------------------------------------------------------------------------------- */

static bool add(struct plan *plan, int offset, const struct insn *insn)
{
    uint32_t count = plan->before + plan->after;
    if (!insn || !insn->movable || count == PLAN_INSNS)
        return false;
    plan->insns[count].offset = (int8_t)offset;
    plan->insns[count].size = insn->size;
    if (offset < 0)
        plan->before++;
    else
        plan->after++;
    return true;
}

/* Everything from plan->patch until the jump has room.  Sets resume and trap_bytes. */
static bool absorb(const struct planner *planner, struct plan *plan)
{
    int end = plan->patch + JUMP_SIZE, offset = plan->patch;
    bool goes_on = true;
    while (offset < end || offset < SYSCALL_SIZE) {
        const struct insn *insn = insn_at(planner, offset);
        if (!goes_on)
            return end <= offset + padding_size(planner, offset);
        if (offset > plan->patch && offset < end)
            plan->trap_bytes |= (uint8_t)(1 << (offset - plan->patch - 1));
        if (!insn || (offset != 0 && !add(plan, offset, insn)) || (offset < 0 && !insn_falls_through(insn)))
            return false;
        goes_on = insn_falls_through(insn);
        offset += insn->size;
        plan->resume = goes_on ? (int8_t)offset : 0;
    }
    return true;
}

/* The jump begins at `from`, 0 or less. */
static bool plan_from(const struct planner *planner, int from, struct plan *plan)
{
    *plan = (struct plan){.patch = (int8_t)from};
    if (!absorb(planner, plan))
        return false;
    const struct text_window *text = planner->text;
    bool number = byte_at(text, from) == 0xb8 ||
                  (byte_at(text, from) == 0x48 && byte_at(text, from + 1) == 0xc7 && byte_at(text, from + 2) == 0xc0);
    plan->kind = from == 0 ? SITE_FORWARD : plan->trap_bytes ? SITE_BACKWARD : number ? SITE_MOV : SITE_SINGLE;
    return true;
}

/* The jump begins at the syscall instruction, or `count` instructions before. */
static bool plan_absorb(const struct planner *planner, uint32_t count, struct plan *plan)
{
    int from = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = size_before(planner, from);
        if (size == 0 || from - (int)size < -REACH_BEFORE)
            return false;
        from -= (int)size;
    }
    return plan_from(planner, from, plan);
}

void plan_fault(struct plan *out)
{
    *out = (struct plan){.kind = SITE_FAULT, .resume = SYSCALL_SIZE};
}

/* Nothing is known yet of the window from `first` on, up to and with `last`.  False: there is no syscall instruction. */
static bool begin(struct planner *planner, const struct text_window *text, uint32_t first, uint32_t last)
{
    planner->text = text;
    planner->step = STEPS;
    for (uint32_t i = first; i <= last; i++)
        planner->is[i] = false;
    planner->refusal = SITE_REFUSED_TEXT;
    return text->size - text->at >= SYSCALL_SIZE && plan_is_site(text->bytes + text->at);
}

bool plan_is_site(const uint8_t *bytes)
{
    return bytes[0] == 0x0f && (bytes[1] == 0x05 || bytes[1] == 0xa2);
}

bool plan_is_cpuid(const struct text_window *text)
{
    return text->bytes[text->at] == 0x0f && text->bytes[text->at + 1] == 0xa2;
}

void plan_begin(struct planner *planner, const struct text_window *text)
{
    if (!begin(planner, text, 0, text->size))
        return;
    planner->refusal = SITE_REFUSED_UNKNOWN;
    planner->step = STEP_SINGLE;
    find_before(planner);
    find_after(planner, text->at, text->size);
}

bool plan_again(struct planner *planner, const struct text_window *text, int patch, int hole, struct plan *out)
{
    int from = hole ? hole : patch, at = (int)text->at;
    bool in_reach = hole ? (hole >= SYSCALL_SIZE || hole + JUMP_SIZE <= 0) && hole - SYSCALL_SIZE >= -SHORT_REACH - 1 &&
                               hole - SYSCALL_SIZE <= SHORT_REACH
                         : patch <= 0 && patch >= -REACH_BEFORE;
    if (!in_reach || at + from < 0 || at + from + JUMP_SIZE > (int)text->size || at + SYSCALL_SIZE > (int)text->size)
        return false;
    /* No instruction that counts begins further on: what begins before the end of jump and syscall instruction is absorbed,
     * and padding is looked at as far as the jump reaches. */
    uint32_t first = (uint32_t)(at + from), end = first + JUMP_SIZE;
    if (!hole && end < text->at + SYSCALL_SIZE)
        end = text->at + SYSCALL_SIZE;
    uint32_t last = end + INSN_SIZE_MAX;
    if (!begin(planner, text, first, last < text->size ? last : text->size))
        return false;
    find_after(planner, first, end);
    if (!hole)
        return planner->is[at] && plan_from(planner, patch, out);
    *out = (struct plan){.kind = SITE_HOLE, .hole = (int16_t)hole, .resume = SYSCALL_SIZE};
    return padding_size(planner, hole) >= JUMP_SIZE;
}

/* One way of absorbing instructions, if it is what this step wants and nobody is seen to jump into it. */
static bool plan_step(struct planner *planner, uint32_t step, struct plan *out)
{
    if (step == STEP_SINGLE)
        return plan_absorb(planner, 1, out) && out->trap_bytes == 0;
    if (step == STEP_HOLE)
        return plan_hole(planner, out);
    bool hard = step >= STEP_HARD;
    if (!plan_absorb(planner, step - (hard ? STEP_HARD : STEP_ABSORB), out) || out->trap_bytes == 0 ||
        hard != ((out->trap_bytes & HARD_BYTES) != 0))
        return false;
    if (!entered(planner, (uint8_t)(out->trap_bytes << 1), out->patch))
        return true;
    planner->refusal = SITE_REFUSED_ENTERED;
    return false;
}

bool plan_next(struct planner *planner, struct plan *out)
{
    while (planner->step < STEPS)
        if (plan_step(planner, planner->step++, out))
            return true;
    return false;
}
