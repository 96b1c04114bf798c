/* SPDX-License-Identifier: MIT */
/*
 * An idle monitor takes little memory: most of pal-run's text serves its start only.  Pages that are dropped stay in
 * the host's page cache, from where those that are wanted again come back at once.
 */
#include <link.h>
#include <sys/mman.h>

#include "loader/monitor/monitor.h"
#include "pal/linux/syscall.h"

extern const ElfW(Ehdr) __ehdr_start; /* the linker's: pal-run is static */

/* Calls nothing: a page of the C library for it would stay. */
void idle_drop_text(struct uv_timer_s *timer)
{
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
    size_t count = __ehdr_start.e_phnum;
    (void)timer;
    for (size_t i = 0; i < count; i++) {
        uintptr_t start = segments[i].p_vaddr & -(uintptr_t)PAL_PAGE_SIZE;
        if (segments[i].p_type == PT_LOAD && !(segments[i].p_flags & PF_W))
            host_call(madvise, start, segments[i].p_vaddr + segments[i].p_memsz - start, MADV_DONTNEED);
    }
}
