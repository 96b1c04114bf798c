/* SPDX-License-Identifier: MIT */
/* An ELF core's notes on x86-64: core(5), Linux's linux/elfcore.h and fs/binfmt_elf.c. */
#ifndef LIBOS_ABI_CORE_H
#define LIBOS_ABI_CORE_H
#include "libos/abi/ptrace.h"

#define NT_PRPSINFO 3
#define NT_AUXV 6
#define NT_SIGINFO 0x53494749
#define NT_FILE 0x46494c45

struct elf_note { uint32_t name_size, size, type; char name[8]; }; /* "CORE", padded */
_Static_assert(sizeof(struct elf_note) == 20, "ABI");

struct prstatus {
    int32_t signo, code, error;
    int16_t current, pad;
    uint64_t pending, held;
    int32_t pid, ppid, pgrp, sid;
    uint64_t times[8];
    struct user_regs regs;
    int32_t fp_valid, pad2;
};
_Static_assert(sizeof(struct prstatus) == 336 && offsetof(struct prstatus, regs) == 112, "ABI");

struct prpsinfo {
    char state, sname, zombie, nice;
    uint32_t pad;
    uint64_t flags;
    uint32_t uid, gid;
    int32_t pid, ppid, pgrp, sid;
    char fname[16], arguments[80];
};
_Static_assert(sizeof(struct prpsinfo) == 136, "ABI");

/* NT_FILE: count and page size, `count` of these in pages, then their names with a NUL each. */
struct core_file { uint64_t start, end, page; };
#endif
