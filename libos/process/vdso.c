/* SPDX-License-Identifier: MIT */
/*
 * The guest's vDSO: clocks cost the guest no system call where the host has a vDSO itself.  The host's is not shown: a
 * guest finds this image, which jumps there.  Slots hold host addresses, so after a move to another
 * host the page is made anew.
 */
#include "libos/syscalls.h"
#include "libos/mm/mm.h"
#include "libos/process/process.h"

extern const char vdso_image[], vdso_image_end[], vdso_slots[];

#define VDSO_NAME "[vdso]"

struct slots { uint64_t clock_gettime, gettimeofday, time, getcpu, entry; };
#define SLOTS {boot->clock_gettime, boot->gettimeofday, boot->time, boot->getcpu, (uint64_t)(uintptr_t)shim_syscall_call}

/* Another host, or another start of it: its functions lie elsewhere. */
void vdso_renew(void)
{
    const struct slots slots = SLOTS;
    struct slots had;
    struct vma vma;
    for (guest_t at = 0; mm_next(at, &vma); at = vma.end) {
        guest_t place = vma.start + (uint64_t)(vdso_slots - vdso_image);
        if (!vma.name || strcmp(vma.name, VDSO_NAME) != 0 || copy_in(&had, place, sizeof had) < 0 ||
            !memcmp(&had, &slots, sizeof slots))
            continue;
        uint64_t size = vma.end - vma.start;
        if (PAL->memory_protect(vma.start, size, PAL_READ | PAL_WRITE) == 0)
            copy_out(place, &slots, sizeof slots);
        PAL->memory_protect(vma.start, size, vma.protection);
    }
}

/* Its address, or 0: a program does without. */
guest_t vdso_map(void)
{
    const uint64_t size = (uint64_t)(vdso_image_end - vdso_image);
    const struct slots slots = SLOTS;
    int64_t at = mm_map(0, PAGE_UP(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, VDSO_NAME);
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
