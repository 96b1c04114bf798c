/* SPDX-License-Identifier: MIT */
/*
 * fuzz-decode FILE...: the decoder and trampoline builder against a disassembler, over all executable sections.
 *
 * For each instruction that the disassembler knows, the length must agree, or ours must refuse.  Each movable one is
 * relocated to several distances and disassembled there: same instruction, same operands, same absolute targets.
 * fuzz-decode -r COUNT SEED: the same over random bytes, where a refusal is expected.
 */
#include "regression/fuzz/text.h"
#include "shim/rewrite/decode.h"
#include "shim/rewrite/trampoline.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <stdlib.h>

struct tally {
    unsigned long insns, refused, wrong, moved, not_reached;
};

static void hex(const uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        printf("%02x ", bytes[i]);
}

static void complain(struct tally *tally, const char *what, const cs_insn *theirs, uint32_t size)
{
    if (tally->wrong++ > 40)
        return;
    printf("  %#" PRIx64 ": %s: ", theirs->address, what);
    hex(theirs->bytes, theirs->size);
    printf("%s %s; ours %u\n", theirs->mnemonic, theirs->op_str, size);
}

/* The same but for the distance of a RIP-relative operand, whose absolute address must be the same. */
static bool same(const cs_insn *a, const cs_insn *b)
{
    const cs_x86 *x = &a->detail->x86, *y = &b->detail->x86;
    if (a->id != b->id || x->op_count != y->op_count || x->avx_cc != y->avx_cc || x->sse_cc != y->sse_cc ||
        memcmp(x->prefix, y->prefix, 4))
        return false;
    for (int i = 0; i < x->op_count; i++) {
        cs_x86_op p = x->operands[i], q = y->operands[i];
        if (p.type == X86_OP_MEM && p.mem.base == X86_REG_RIP) {
            p.mem.disp += (int64_t)(a->address + a->size);
            q.mem.disp += (int64_t)(b->address + b->size);
        }
        bool equal = p.type == q.type && p.size == q.size;
        if (p.type == X86_OP_MEM)
            equal = equal && p.mem.segment == q.mem.segment && p.mem.base == q.mem.base &&
                    p.mem.index == q.mem.index && p.mem.scale == q.mem.scale && p.mem.disp == q.mem.disp;
        else
            equal = equal && p.imm == q.imm; /* a register is the union's start */
        if (!equal)
            return false;
    }
    return true;
}

static void check_moved(csh handle, const struct insn *ours, const cs_insn *theirs, uint64_t distance,
                        struct tally *tally)
{
    uint8_t out[RELOCATED_SIZE_MAX + 1];
    uint64_t to = theirs->address + distance;
    uint32_t size = insn_relocate(ours, theirs->bytes, theirs->address, to, out);
    if (size == 0) {
        tally->not_reached++;
        return;
    }
    cs_insn *moved;
    size_t count = cs_disasm(handle, out, size, to, 1, &moved);
    tally->moved++;
    if (count != 1 || moved->size != size || !same(theirs, moved))
        complain(tally, "moved wrongly", theirs, size);
    if (count)
        cs_free(moved, count);
}

static void check(csh handle, const cs_insn *theirs, uint64_t available, struct tally *tally)
{
    static const uint64_t distances[] = {0x1003, -0x7654321ul, 0x7ff00000, -0x80000000ul};
    struct insn ours;
    tally->insns++;
    if (!insn_decode(theirs->bytes, available < sizeof(theirs->bytes) ? available : sizeof(theirs->bytes), &ours)) {
        tally->refused++;
        if (getenv("REFUSED")) {
            hex(theirs->bytes, theirs->size);
            printf("%s %s\n", theirs->mnemonic, theirs->op_str);
        }
        return;
    }
    if (ours.size != theirs->size) {
        complain(tally, "length", theirs, ours.size);
        return;
    }
    for (unsigned i = 0; ours.movable && i < sizeof(distances) / sizeof(distances[0]); i++)
        check_moved(handle, &ours, theirs, distances[i], tally);
}

static void sweep(csh handle, struct code code, struct tally *tally)
{
    cs_insn *insn = cs_malloc(handle);
    const uint8_t *at = code.bytes;
    size_t left = code.size;
    uint64_t address = code.address;
    while (left > 0) {
        if (cs_disasm_iter(handle, &at, &left, &address, insn)) {
            check(handle, insn, insn->size + left, tally);
        } else {
            at++;
            left--;
            address++;
        }
    }
    cs_free(insn, 1);
}

static void report(const char *name, const struct tally *tally)
{
    printf("%s: %lu instructions, %lu wrong, %.4f %% refused, %lu relocations, %lu out of reach\n", name, tally->insns,
           tally->wrong, 100.0 * (double)tally->refused / (double)(tally->insns ? tally->insns : 1), tally->moved,
           tally->not_reached);
}

static unsigned long sweep_random(csh handle, unsigned long count, unsigned seed)
{
    struct tally tally = {0};
    uint8_t bytes[4096];
    srandom(seed);
    for (unsigned long i = 0; i < count; i++) {
        for (unsigned k = 0; k < sizeof(bytes); k++)
            bytes[k] = (uint8_t)(random() >> 8);
        sweep(handle, (struct code){bytes, 0x400000, sizeof(bytes)}, &tally);
    }
    report("random bytes", &tally);
    return tally.wrong;
}

int main(int argc, char **argv)
{
    csh handle;
    unsigned long wrong = 0;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return 1;
    cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    if (argc == 4 && !strcmp(argv[1], "-r"))
        return sweep_random(handle, strtoul(argv[2], NULL, 0), (unsigned)strtoul(argv[3], NULL, 0)) != 0;
    for (int i = 1; i < argc; i++) {
        struct elf_file file;
        struct tally tally = {0};
        if (elf_open(argv[i], &file) < 0)
            return 1;
        for (unsigned s = 0; s < file.header->e_shnum; s++)
            sweep(handle, elf_section(&file, s), &tally);
        report(argv[i], &tally);
        wrong += tally.wrong;
        munmap((void *)file.bytes, file.size);
    }
    cs_close(&handle);
    return wrong != 0;
}
