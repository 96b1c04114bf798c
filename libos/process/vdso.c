/* SPDX-License-Identifier: MIT */
/*
 * The guest's vDSO: clocks cost the guest no system call where the host has a vDSO itself.  The host's is not shown: a
 * guest finds this image, which jumps there.  Slots hold host addresses, so whoever moves a process to another
 * host makes the page anew.
 */
#include "libos/syscalls.h"
#include "libos/mm/mm.h"
#include "libos/process/process.h"

extern const char vdso_image[], vdso_image_end[], vdso_slots[];

struct slots { uint64_t clock_gettime, gettimeofday, time, getcpu; };

/* Its address, or 0: a program does without. */
guest_t vdso_map(void)
{
    const uint64_t size = (uint64_t)(vdso_image_end - vdso_image);
    const struct slots slots = {boot->clock_gettime, boot->gettimeofday, boot->time, boot->getcpu};
    int64_t at = mm_map(0, PAGE_UP(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, "[vdso]");
    if (at < 0)
        return 0;
    guest_t base = (guest_t)at;
    if (copy_out(base, vdso_image, size) < 0 ||
        copy_out(base + (uint64_t)(vdso_slots - vdso_image), &slots, sizeof(slots)) < 0 ||
        sys_mprotect(base, PAGE_UP(size), PROT_READ | PROT_EXEC) < 0) {
        mm_unmap(base, PAGE_UP(size));
        return 0;
    }
    return base;
}
