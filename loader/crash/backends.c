/* SPDX-License-Identifier: MIT */
/*
 * libdw knows a score of machines; programs of one run here.  What it would link of the others is 0.2 MB of pal-run, and of each bundle.
 * It is told that they know nothing, and reads their files as far as any machine's can be read.
 */
#include "loader/crash/crash.h"

#define MACHINE(name) void *name##_init(void *elf, uint16_t machine, void *backend) __attribute__((alias("machine_unknown")));
void *machine_unknown(void *elf, uint16_t machine, void *backend);
void *machine_unknown(void *elf, uint16_t machine, void *backend)
{
    (void)elf, (void)machine, (void)backend;
    return NULL;
}
MACHINE(i386) MACHINE(sh) MACHINE(ia64) MACHINE(alpha) MACHINE(arm) MACHINE(aarch64) MACHINE(sparc) MACHINE(ppc) MACHINE(ppc64) MACHINE(s390)
MACHINE(m68k) MACHINE(bpf) MACHINE(riscv) MACHINE(csky)
