/* SPDX-License-Identifier: MIT */
/*
 * site-survey [-v] FILE...: for each system call instruction that a disassembler finds, the rewrite that would be
 * chosen. Checks each plan against the disassembler: the bytes replaced must begin and end at its instruction
 * boundaries.  And each place that is proved to begin an instruction begins one.
 */
#include "regression/fuzz/text.h"
#include "shim/rewrite/decode.h"
#include "shim/rewrite/scan.h"
#include "shim/rewrite/plan.h"
#include "shim/rewrite/trampoline.h"
#include "shim/rewrite/rewrite.h"

#include <capstone/capstone.h>
#include <stdlib.h>

static bool verbose;
static unsigned long wrong;

struct survey {
    unsigned long sites, by_kind[SITE_KINDS], by_refusal[SITE_REFUSALS], hard, missed, no_sites, proved;
};

static void print_around(csh handle, const struct text_window *text)
{
    cs_insn *insns;
    for (int before = 48; before > 0; before--) {
        if ((uint32_t)before > text->at)
            continue;
        size_t count = cs_disasm(handle, text->bytes + text->at - before, (size_t)before + 24,
                                 text->syscall - before, 0, &insns);
        bool meets = false;
        for (size_t i = 0; i < count; i++)
            meets = meets || insns[i].address == text->syscall;
        for (size_t i = 0; meets && i < count; i++)
            printf("      %#lx: %s %s\n", insns[i].address, insns[i].mnemonic, insns[i].op_str);
        cs_free(insns, count);
        if (meets)
            break;
    }
}

/* starts: a bit for each byte of the section, set where the disassembler's sweep begins an instruction. */
static bool starts_at(const uint8_t *starts, const struct code *code, uint64_t address)
{
    uint64_t i = address - code->address;
    return i >= code->size || (starts[i / 8] >> (i % 8) & 1);
}

static void check(const struct plan *plan, uint64_t syscall, const uint8_t *starts, const struct code *code)
{
    int64_t jump = plan->kind == SITE_HOLE ? plan->hole : plan->patch;
    bool good = starts_at(starts, code, syscall + (uint64_t)jump);
    for (uint32_t i = 0; i < (uint32_t)plan->before + plan->after; i++)
        good = good && starts_at(starts, code, syscall + (uint64_t)(int64_t)plan->insns[i].offset) &&
               starts_at(starts, code, syscall + (uint64_t)(int64_t)(plan->insns[i].offset + plan->insns[i].size));
    if (good)
        return;
    printf("  WRONG: %#lx %s patch %d hole %d\n", syscall, site_kind_names[plan->kind], plan->patch, plan->hole);
    wrong++;
}

/* From where its jump goes, a plan is found again as it was. */
static void check_again(const struct plan *plan, const struct text_window *text)
{
    struct planner planner;
    struct plan again;
    if (plan_again(&planner, text, plan->patch, plan->hole, &again) && !memcmp(&again, plan, sizeof again))
        return;
    printf("  WRONG: %#lx %s patch %d hole %d is another plan the second time\n", text->syscall, site_kind_names[plan->kind],
           plan->patch, plan->hole);
    wrong++;
}

static void survey_site(csh handle, const struct elf_file *file, const struct code *code, uint64_t address,
                        const uint8_t *starts, struct survey *survey)
{
    struct code segment = elf_segment(file, address);
    struct text_window text = {.syscall = address, .all = segment.bytes, .start = segment.address,
                               .end = segment.address + segment.size};
    struct planner planner;
    struct plan plans[16];
    uint32_t count = 0;
    window_read(&text);
    plan_begin(&planner, &text);
    while (plan_next(&planner, &plans[count]))
        count++;
    survey->sites++;
    survey->by_kind[count ? plans[0].kind : SITE_TRAP]++;
    if (count == 0)
        survey->by_refusal[planner.refusal]++;
    survey->hard += count && (plans[0].trap_bytes & 0x0c);
    for (uint32_t i = 0; i < count; i++) {
        check(&plans[i], address, starts, code);
        check_again(&plans[i], &text);
    }
    if (verbose || count == 0)
        printf("  %#lx %s trap bytes %x\n", address,
               count ? site_kind_names[plans[0].kind] : site_refusal_names[planner.refusal],
               count ? plans[0].trap_bytes : 0);
    if (count == 0)
        print_around(handle, &text);
}

/* The scan that finds sites ahead of time, against the disassembler. */
static void survey_belief(const struct elf_file *file, uint64_t address, bool is_site, struct survey *survey)
{
    struct code segment = elf_segment(file, address);
    struct text_window text = {.syscall = address, .all = segment.bytes, .start = segment.address,
                               .end = segment.address + segment.size};
    window_read(&text);
    bool believed = scan_believes(&text);
    survey->missed += is_site && !believed;
    survey->no_sites += !is_site;
    if (is_site && !believed && verbose)
        printf("  %#lx not found by the scan\n", address);
    if (is_site || !believed)
        return;
    printf("  FALSE: %#lx is no syscall instruction\n", address);
    wrong++;
}

/* What a stranger may say of this place: anything. */
static void survey_proof(const struct elf_file *file, const struct code *code, uint64_t address, const uint8_t *starts, bool is_site,
                         struct survey *survey)
{
    struct code segment = elf_segment(file, address);
    struct text_window text = {.syscall = address, .all = segment.bytes, .start = segment.address,
                               .end = segment.address + segment.size};
    window_read(&text);
    for (int patch = -64; patch <= 8; patch++) {
        if (!scan_proves(&text, patch, 0))
            continue;
        survey->proved += patch != 0;
        if (is_site && starts_at(starts, code, address + (uint64_t)(int64_t)patch))
            continue;
        printf("  FALSE: %#lx%d is proved to begin an instruction\n", address, patch);
        wrong++;
    }
}

static void survey_section(csh handle, const struct elf_file *file, struct code code, struct survey *survey)
{
    cs_insn *insn = cs_malloc(handle);
    uint8_t *starts = calloc(1, code.size / 8 + 1);
    const uint8_t *at = code.bytes;
    size_t left = code.size;
    uint64_t address = code.address;
    while (left > 0) {
        uint64_t i = address - code.address;
        starts[i / 8] |= (uint8_t)(1 << (i % 8));
        if (!cs_disasm_iter(handle, &at, &left, &address, insn)) {
            at++;
            left--;
            address++;
        }
    }
    for (uint64_t i = 0; i + 2 <= code.size; i++) {
        if (code.bytes[i] != 0x0f || code.bytes[i + 1] != 0x05)
            continue;
        bool is_site = starts_at(starts, &code, code.address + i);
        survey_belief(file, code.address + i, is_site, survey);
        survey_proof(file, &code, code.address + i, starts, is_site, survey);
        if (is_site)
            survey_site(handle, file, &code, code.address + i, starts, survey);
    }
    cs_free(insn, 1);
    free(starts);
}

int main(int argc, char **argv)
{
    csh handle;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return 1;
    for (int i = 1; i < argc; i++) {
        struct elf_file file;
        struct survey survey = {0};
        if (!strcmp(argv[i], "-v")) {
            verbose = true;
            continue;
        }
        if (elf_open(argv[i], &file) < 0)
            return 1;
        for (unsigned s = 0; s < file.header->e_shnum; s++)
            survey_section(handle, &file, elf_section(&file, s), &survey);
        printf("%s: %lu sites, %.1f %% covered:", argv[i], survey.sites,
               survey.sites ? 100.0 - 100.0 * (double)survey.by_kind[SITE_TRAP] / (double)survey.sites : 100.0);
        for (int k = 1; k < SITE_KINDS; k++)
            printf(" %s %lu", site_kind_names[k], survey.by_kind[k]);
        printf(" (hard %lu); refused:", survey.hard);
        for (int r = 1; r < SITE_REFUSALS; r++)
            if (survey.by_refusal[r])
                printf(" %s %lu", site_refusal_names[r], survey.by_refusal[r]);
        printf("; scan: %lu not found, %lu others not believed; %lu places proved\n", survey.missed, survey.no_sites, survey.proved);
        munmap((void *)file.bytes, file.size);
    }
    cs_close(&handle);
    return wrong != 0;
}
