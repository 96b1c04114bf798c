/* SPDX-License-Identifier: MIT */
/*
 * Code synchronises: paths of decoding that start at any byte come together within a few instructions.  Data does not
 * keep a path alive: in random bytes each fifth instruction is none, or one that no program has.  So a syscall instruction
 * is believed where nearly all living paths meet it, one of those lives since the window's beginning, and the call's number is
 * put into EAX on the way.
 */
#include "shim/rewrite/scan.h"

#define PATHS 48        /* alive at a time */
#define PATHS_ENOUGH 12
#define SETTLING 24     /* no path starts closer than this */
#define STRAIGHT 64     /* bytes from a section's beginning that must all be code */
#define PROOF_REACH 16
#define LEAD_MOST 768
#define PROOF_WINDOW 120 /* bytes before, for a site that somebody has told of */
#define START_WEIGHT 12 /* of the path from the mapping's first byte, where code begins */

typedef uint64_t unaligned64 __attribute__((aligned(1), may_alias));

static bool has_byte(uint64_t word, uint8_t byte)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t zeros = word ^ ones * byte;
    return (zeros - ones) & ~zeros & ones << 7;
}

static uint64_t next(uint64_t from, uint64_t end, uint8_t second)
{
    for (; from + 1 < end; from++) {
        while (from + 9 <= end && !has_byte(*(const unaligned64 *)(from + 1), second))
            from += 8;
        const uint8_t *at = (const uint8_t *)from;
        if (from + 1 < end && at[0] == 0x0f && at[1] == second)
            return from;
    }
    return end;
}

uint64_t scan_next(uint64_t from, uint64_t end)
{
    return next(from, end, 0x05);
}

uint64_t scan_next_cpuid(uint64_t from, uint64_t end)
{
    return next(from, end, 0xa2);
}

/* What data decodes to and programs don't have: input and output, segment registers, far returns, zeros. */
static bool is_usual(const uint8_t *opcode)
{
    switch (opcode[0]) {
    case 0x00: return opcode[1] != 0;
    case 0x6c: case 0x6d: case 0x6e: case 0x6f: case 0x8c: case 0x8e: case 0xc8: case 0xca: case 0xcb: case 0xcf:
    case 0xd7: case 0xe0: case 0xe1: case 0xe4: case 0xe5: case 0xe6: case 0xe7: case 0xec: case 0xed: case 0xee:
    case 0xef: case 0xf1: case 0xfa: case 0xfb:
        return false;
    default: return true;
    }
}

/* mov, lea, pop or xor into EAX or RAX (or R8, R8D: a REX is not looked at). */
static bool sets_number(const uint8_t *opcode)
{
    uint8_t modrm = opcode[1];
    switch (opcode[0]) {
    case 0x58: case 0xb8: return true;
    case 0x31: case 0x33: return modrm == 0xc0;
    case 0x8b: case 0x8d: return (modrm & 0x38) == 0;
    case 0x89: case 0xc7: return (modrm & 0xc7) == 0xc0;
    default: return false;
    }
}

static bool is_elf_header(const uint8_t *bytes)
{
    return bytes[0] == 0x7f && bytes[1] == 'E' && bytes[2] == 'L' && bytes[3] == 'F';
}

/* A section begins: what was before tells nothing of it. */
static bool is_behind_filling(const struct text_window *text, uint32_t i)
{
    uint64_t address = text->syscall - text->at + i;
    return address % 16 == 0 && i >= 8 && *(const unaligned64 *)&text->bytes[i - 8] == 0 && text->at - i >= STRAIGHT;
}

/* What is left at the syscall instruction of the paths that begin before it. */
struct paths {
    uint8_t at[WINDOW_BEFORE + INSN_SIZE_MAX + 1]; /* how many come by there */
    bool old[WINDOW_BEFORE + INSN_SIZE_MAX + 1], set[WINDOW_BEFORE + INSN_SIZE_MAX + 1];
    uint32_t alive;
};

static void follow(const struct text_window *text, uint32_t from, struct paths *paths)
{
    struct insn insn;
    *paths = (struct paths){.alive = 0};
    if (from == 0 && text->syscall - text->at == text->start && text->at >= 4 && !is_elf_header(text->bytes)) {
        paths->at[0] = START_WEIGHT;
        paths->alive = START_WEIGHT;
        paths->old[0] = true;
    }
    for (uint32_t i = from; i < text->at; i++) {
        if (paths->alive < PATHS && i + SETTLING < text->at) {
            paths->at[i]++;
            paths->alive++;
            paths->old[i] |= i < from + PATHS || is_behind_filling(text, i);
        }
        if (paths->at[i] == 0)
            continue;
        const uint8_t *bytes = text->bytes + i;
        if (insn_decode(bytes, text->size - i, &insn) && is_usual(bytes + insn.opcode_at)) {
            paths->at[i + insn.size] += paths->at[i];
            paths->old[i + insn.size] |= paths->old[i];
            paths->set[i + insn.size] |= paths->set[i] || sets_number(bytes + insn.opcode_at);
        } else {
            paths->alive -= paths->at[i];
        }
    }
}

static bool nearly_all(const struct paths *paths, uint32_t come_by)
{
    return paths->at[come_by] * 8u >= paths->alive * 7u;
}

static bool believes(const struct paths *paths, uint32_t at)
{
    return paths->old[at] && paths->set[at] && paths->alive >= PATHS_ENOUGH && nearly_all(paths, at);
}

bool scan_believes(const struct text_window *text)
{
    struct paths paths;
    follow(text, 0, &paths);
    return believes(&paths, text->at);
}

/* cmp $-4095 or $-4096, %rax or %eax: so libcs look for errors. */
static bool is_compared(const uint8_t *next)
{
    next += next[0] == 0x48;
    return next[0] == 0x3d && next[1] <= 1 && next[2] == 0xf0 && next[3] == 0xff && next[4] == 0xff;
}

/* Of all instructions that could lie over that place none leads to the system call but the one that begins there. */
static bool is_only(const struct text_window *text, int patch)
{
    bool leads[PROOF_REACH + INSN_SIZE_MAX + 1] = {true}; /* at [n]: instructions from n bytes before lead there */
    struct insn insn;
    for (int before = 1; before < INSN_SIZE_MAX - patch && before <= (int)text->at; before++) {
        if (!insn_decode(text->bytes + text->at - before, text->size - text->at + (uint32_t)before, &insn))
            continue;
        int end = before - insn.size; /* bytes before the syscall instruction */
        leads[before] = end >= 0 && leads[end];
        if (leads[before] && before > -patch && end < -patch)
            return false;
    }
    return leads[-patch];
}

static bool leads_there(const struct text_window *text, int patch, uint64_t known)
{
    const uint64_t from = text->syscall + (uint64_t)(int64_t)patch;
    struct insn insn;
    if (known < text->start || known > from || from - known > LEAD_MOST)
        return false;
    bool met = false;
    while (known < text->syscall && insn_decode(text->all + (known - text->start), text->end - known, &insn)) {
        met |= known == from;
        known += insn.size;
    }
    return known == text->syscall && (met || patch == 0);
}

bool scan_proves(const struct text_window *text, int patch, uint64_t known)
{
    struct paths paths;
    if (patch > 0 || patch < -PROOF_REACH || -patch > (int)text->at || text->at + 8 > text->size)
        return false;
    if (known && leads_there(text, patch, known))
        return true;
    if (patch && is_compared(text->bytes + text->at + 2) && is_only(text, patch))
        return true;
    follow(text, text->at > PROOF_WINDOW ? text->at - PROOF_WINDOW : 0, &paths);
    return believes(&paths, text->at) && nearly_all(&paths, text->at - (uint32_t)-patch);
}
