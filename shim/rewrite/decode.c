/* SPDX-License-Identifier: MIT */
/*
 * The length decoder.  One letter an opcode says what follows it:
 *
 *   n nothing          m ModRM              b imm8            w imm16        z imm16 or 32, by operand size
 *   v imm16, 32 or 64  B ModRM, imm8        Z ModRM, imm z    e imm16, imm8  o 64-bit address
 *   j rel8             J rel32              F ModRM, and an immediate where reg is 0 or 1 (test)
 *   p prefix           r REX                . unknown, or handled before the table
 */
#include "shim/rewrite/decode.h"

#include <stddef.h>

static const char one_byte[] = "mmmmbz..mmmmbz.."
                               "mmmmbz..mmmmbz.."
                               "mmmmbzp.mmmmbzp."
                               "mmmmbzp.mmmmbzp."
                               "rrrrrrrrrrrrrrrr"
                               "nnnnnnnnnnnnnnnn"
                               "...mppppzZbBnnnn"
                               "jjjjjjjjjjjjjjjj"
                               "BZ.Bmmmmmmmmmmmm"
                               "nnnnnnnnnn.nnnnn"
                               "oooonnnnbznnnnnn"
                               "bbbbbbbbvvvvvvvv"
                               "BBwn..BZenwnnb.n"
                               "mmmm...nmmmmmmmm"
                               "jjjjbbbbJJ.jnnnn"
                               "pnppnnFFnnnnnnmm";

static const char two_byte[] = "mmmm.nnnnn.n.m.."
                               "mmmmmmmmmmmmmmmm"
                               "........mmmmmmmm"
                               "nnnnnn.n........"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "BBBBmmmn....mmmm"
                               "JJJJJJJJJJJJJJJJ"
                               "mmmmmmmmmmmmmmmm"
                               "nnnmBm..nnnmBmmm"
                               "mmmmmmmmm.Bmmmmm"
                               "mmBmBBBmnnnnnnnn"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmmm"
                               "mmmmmmmmmmmmmmm.";

_Static_assert(sizeof(one_byte) == 257 && sizeof(two_byte) == 257, "one letter an opcode");

enum map { MAP_ONE, MAP_0F, MAP_38, MAP_3A, MAP_5 = 5, MAP_6 = 6 };

struct decoder {
    const uint8_t *bytes;
    uint32_t at, limit;
    bool operand16, address32, repeat, repne, lock, wide, rex, rex_b, vector, rounding; /* vector: VEX or EVEX */
    uint8_t map, opcode, modrm;
    bool has_modrm;
};

static bool take(struct decoder *d, uint8_t *out)
{
    if (d->at >= d->limit)
        return false;
    *out = d->bytes[d->at++];
    return true;
}

static bool skip(struct decoder *d, uint32_t count)
{
    d->at += count;
    return d->at <= d->limit;
}

static int32_t signed_at(const struct decoder *d, uint32_t at, uint32_t size)
{
    if (size == 1)
        return (int8_t)d->bytes[at];
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++)
        value |= (uint32_t)d->bytes[at + i] << (8 * i);
    return (int32_t)value;
}

/* Up to the first byte of the opcode.  A REX that isn't last is without effect: nobody writes that, so refuse it. */
static bool take_prefixes(struct decoder *d)
{
    uint8_t byte;
    while (take(d, &byte)) {
        char form = one_byte[byte];
        if (form == 'r' && !d->rex) {
            d->rex = true;
            d->wide = byte & 8;
            d->rex_b = byte & 1;
            continue;
        }
        if (form != 'p') {
            d->opcode = byte;
            return form != 'r';
        }
        if (d->rex)
            return false;
        d->operand16 |= byte == 0x66;
        d->address32 |= byte == 0x67;
        d->repne |= byte == 0xf2;
        d->repeat |= byte == 0xf3;
        d->lock |= byte == 0xf0;
    }
    return false;
}

/* C4, C5 and 62 are always VEX and EVEX in 64-bit mode, and take no REX and no 66, F2, F3, F0 before them. */
static bool take_vector_prefix(struct decoder *d)
{
    uint8_t byte, kind = d->opcode;
    if (d->rex || d->operand16 || d->repeat || d->repne || d->lock || !take(d, &byte))
        return false;
    d->vector = true;
    if (kind == 0xc5) {
        d->map = MAP_0F;
    } else if (kind == 0xc4) {
        d->map = byte & 0x1f;
        if (d->map < MAP_0F || d->map > MAP_3A || !take(d, &byte))
            return false;
    } else {
        d->map = byte & 7;
        if ((byte & 8) || d->map == 0 || d->map == 4 || d->map == 7)
            return false;
        if (!take(d, &byte) || !(byte & 4) || !take(d, &byte))
            return false;
        d->rounding = byte & 0x10;
    }
    return take(d, &d->opcode);
}

static bool take_opcode(struct decoder *d)
{
    if (d->opcode == 0xc4 || d->opcode == 0xc5 || d->opcode == 0x62)
        return take_vector_prefix(d);
    if (d->opcode != 0x0f)
        return true;
    d->map = MAP_0F;
    if (!take(d, &d->opcode))
        return false;
    if (d->opcode != 0x38 && d->opcode != 0x3a)
        return true;
    d->map = d->opcode == 0x38 ? MAP_38 : MAP_3A;
    return take(d, &d->opcode);
}

static char form_of(const struct decoder *d)
{
    if (d->map == MAP_ONE)
        return one_byte[d->opcode];
    if (d->map == MAP_3A)
        return 'B';
    if (d->map != MAP_0F)
        return 'm';
    if (!d->vector)
        return two_byte[d->opcode];
    uint8_t high = d->opcode >> 4;
    if (high == 0 || high == 3 || high == 8 || high == 0xa || high == 0xb)
        return d->opcode == 0xae ? 'm' : '.';
    return d->opcode >= 0xc8 && d->opcode <= 0xcf ? '.' : two_byte[d->opcode];
}

static bool take_modrm(struct decoder *d, struct insn *out)
{
    uint8_t sib = 0;
    if (!take(d, &d->modrm))
        return false;
    d->has_modrm = true;
    uint8_t mod = d->modrm >> 6, rm = d->modrm & 7;
    if (mod == 3)
        return true;
    if (rm == 4 && !take(d, &sib))
        return false;
    if (mod == 0 && rm == 5) {
        out->rip_relative = true;
        out->displacement_at = (uint8_t)d->at;
        if (!skip(d, 4))
            return false;
        out->relative = signed_at(d, out->displacement_at, 4);
        return true;
    }
    return skip(d, mod == 1 ? 1 : mod == 2 || (rm == 4 && (sib & 7) == 5) ? 4 : 0);
}

static bool take_immediate(struct decoder *d, char form, struct insn *out)
{
    uint32_t word = d->operand16 && !d->wide ? 2 : 4;
    switch (form) {
    case 'n': case 'm': return true;
    case 'b': case 'B': return skip(d, 1);
    case 'w': return skip(d, 2);
    case 'e': return skip(d, 3);
    case 'z': case 'Z': return skip(d, word);
    case 'v': return skip(d, d->wide ? 8 : word);
    case 'o': return skip(d, d->address32 ? 4 : 8);
    case 'F': return skip(d, (d->modrm >> 3 & 6) ? 0 : d->opcode == 0xf6 ? 1 : word);
    case 'j': case 'J':
        /* With 66, Intel reads 32 bits and AMD 16. */
        if (form == 'J' && word == 2)
            return false;
        if (!skip(d, form == 'j' ? 1 : 4))
            return false;
        out->relative = signed_at(d, d->at - (form == 'j' ? 1 : 4), form == 'j' ? 1 : 4);
        return true;
    default: return false;
    }
}

static bool takes_word(char form)
{
    return form == 'z' || form == 'Z' || form == 'v' || form == 'F';
}

/* Of the groups that have holes, what exists; and what disassemblers agree on. */
static bool exists(const struct decoder *d)
{
    uint8_t reg = d->modrm >> 3 & 7;
    bool transfer = d->opcode == 0xc2 || d->opcode == 0xc3 || d->opcode == 0xe8 || d->opcode == 0xe9;
    if (d->rounding && d->modrm >= 0xc0)
        return false;
    if (d->map == MAP_ONE && transfer && d->rex && (d->address32 || (d->operand16 && d->opcode < 0xe0)))
        return false;
    if (d->map == MAP_ONE && d->operand16 && (d->repeat || d->repne) && takes_word(one_byte[d->opcode]))
        return false;
    if (d->vector || !d->has_modrm)
        return true;
    if (d->map == MAP_0F)
        return d->opcode == 0xb8 ? d->repeat : true;
    if (d->map != MAP_ONE)
        return true;
    switch (d->opcode) {
    case 0x8d: return d->modrm < 0xc0;
    case 0x8f: return reg == 0; /* else AMD's XOP */
    case 0xc6: case 0xc7: return reg == 0 || d->modrm == 0xf8;
    case 0xfe: return reg < 2;
    case 0xff: return reg != 7 && (d->modrm < 0xc0 || (reg != 3 && reg != 5));
    default: return true;
    }
}

static uint8_t kind_of(const struct decoder *d)
{
    uint8_t opcode = d->opcode, reg = d->modrm >> 3 & 7;
    if (d->vector || d->map == MAP_38 || d->map == MAP_3A)
        return INSN_PLAIN;
    if (d->map == MAP_0F) {
        if ((opcode & 0xf0) == 0x80)
            return INSN_JCC;
        switch (opcode) {
        case 0x05: return INSN_SYSCALL;
        case 0x0b: return INSN_TRAP; /* ud0 and ud1 have a length that nobody agrees on: unknown */
        case 0x1e: return d->repeat && d->modrm == 0xfa ? INSN_ENDBR : INSN_PLAIN;
        case 0x1f: return INSN_NOP;
        default: return INSN_PLAIN;
        }
    }
    if ((opcode & 0xf0) == 0x70)
        return INSN_JCC;
    switch (opcode) {
    case 0x90: return d->repeat || d->rex_b ? INSN_PLAIN : INSN_NOP;
    case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcf: return INSN_RETURN;
    case 0xcc: case 0xf1: case 0xf4: return INSN_TRAP;
    case 0xe0: case 0xe1: case 0xe2: case 0xe3: return INSN_LOOP;
    case 0xe8: return INSN_CALL;
    case 0xe9: case 0xeb: return INSN_JUMP;
    case 0xff:
        return reg == 2 || reg == 3 ? INSN_CALL_INDIRECT : reg == 4 || reg == 5 ? INSN_JUMP_INDIRECT : INSN_PLAIN;
    default: return INSN_PLAIN;
    }
}

/* The general-purpose instructions that mind neither where they are nor what the host makes of them. */
static bool plain_one_byte(uint8_t opcode, uint8_t modrm)
{
    uint8_t reg = modrm >> 3 & 7;
    if (opcode < 0x60)
        return true;
    if (opcode >= 0x80 && opcode <= 0x8d)
        return opcode != 0x8c;
    if ((opcode >= 0xb0 && opcode <= 0xc1) || (opcode >= 0xd0 && opcode <= 0xd3))
        return true;
    switch (opcode) {
    case 0x63: case 0x68: case 0x69: case 0x6a: case 0x6b: case 0x90: case 0x91: case 0x92: case 0x93: case 0x94:
    case 0x95: case 0x96: case 0x97: case 0x98: case 0x99: case 0xa8: case 0xa9: case 0xc9: case 0xf5: case 0xf6:
    case 0xf7: case 0xf8: case 0xf9: case 0xfc: case 0xfd: case 0xfe:
        return true;
    case 0xc6: case 0xc7: return modrm != 0xf8; /* xabort, xbegin */
    case 0xff: return reg == 0 || reg == 1 || reg == 6;
    default: return false;
    }
}

static bool plain_two_byte(uint8_t opcode, uint8_t modrm)
{
    if ((opcode >= 0x10 && opcode <= 0x18) || (opcode >= 0x28 && opcode <= 0x2f) || opcode == 0x1f)
        return true;
    if (opcode >= 0x40 && opcode <= 0x7f)
        return opcode != 0x77; /* emms */
    if ((opcode >= 0x90 && opcode <= 0x9f) || (opcode >= 0xb0 && opcode <= 0xb7 && opcode != 0xb2 && opcode != 0xb4 &&
                                               opcode != 0xb5)) /* lss, lfs, lgs */
        return true;
    if (opcode == 0xa3 || opcode == 0xab || opcode == 0xa4 || opcode == 0xa5 || opcode == 0xac || opcode == 0xad)
        return true;
    if (opcode == 0xae)
        return modrm >= 0xe8; /* the fences, not the state savers */
    if (opcode == 0xc7)
        return (modrm >> 3 & 7) == 1; /* cmpxchg8b, 16b */
    return opcode == 0xaf || opcode >= 0xb8;
}

static bool is_movable(const struct decoder *d, const struct insn *insn)
{
    if (d->address32 && insn->rip_relative)
        return false;
    switch (insn->kind) {
    case INSN_PLAIN: case INSN_NOP: break;
    case INSN_JCC: case INSN_JUMP: return insn->opcode_at == 0;
    case INSN_JUMP_INDIRECT: return (d->modrm >> 3 & 7) == 4 && !d->operand16;
    case INSN_RETURN: return (d->opcode == 0xc3 || d->opcode == 0xc2) && !d->operand16;
    default: return false;
    }
    if (d->vector || d->map == MAP_38 || d->map == MAP_3A)
        return true;
    return d->map == MAP_0F ? plain_two_byte(d->opcode, d->modrm) : plain_one_byte(d->opcode, d->modrm);
}

bool insn_decode(const uint8_t *bytes, uint64_t available, struct insn *out)
{
    struct decoder d = {.bytes = bytes, .limit = available < INSN_SIZE_MAX ? (uint32_t)available : INSN_SIZE_MAX};
    *out = (struct insn){0};
    if (!take_prefixes(&d))
        return false;
    out->opcode_at = (uint8_t)(d.at - 1);
    if (!take_opcode(&d))
        return false;
    char form = form_of(&d);
    bool modrm = form == 'm' || form == 'B' || form == 'Z' || form == 'F';
    if (form == '.' || (modrm && !take_modrm(&d, out)) || !exists(&d) || !take_immediate(&d, form, out))
        return false;
    out->size = (uint8_t)d.at;
    out->kind = kind_of(&d);
    out->movable = is_movable(&d, out);
    return true;
}
