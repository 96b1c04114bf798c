/* SPDX-License-Identifier: MIT */
/* An ELF file checked before exec's point of no return, then mapped: for exec only. */
#ifndef LIBOS_ELF_H
#define LIBOS_ELF_H
#include "libos/abi/elf.h"
#include "libos/mm/mm.h"

#define ELF_HEAD_SIZE 1024u /* read at once: most files' program headers and interpreter name lie in it */

struct elf {
    struct file *file; /* a reference, or NULL: no such file */
    struct elf_header header;
    struct elf_segment *segments; /* header.phnum of them, alloc'd */
    uint64_t low, high, align;    /* what the PT_LOADs cover, page-aligned, before the bias */
    bool stack_executable;
    /* After elf_map: */
    guest_t bias, entry, segments_at; /* segments_at: AT_PHDR */
    guest_t code_start, code_end, end;
};

/* Reads and checks headers; `head` holds the file's first head_size bytes.  0, -ENOEXEC, -EINVAL, -ENOMEM or a read's
 * error.  Takes no reference.  *interpreter gets an alloc'd name, or NULL where it has none. */
int64_t elf_check(struct file *file, const void *head, uint64_t head_size, struct elf *out, char **interpreter);
/* That there is something to load, and where it may be: after the interpreter was looked for, as on Linux. */
int64_t elf_check_range(const struct elf *elf);
void elf_drop(struct elf *elf); /* puts the file */
/* Maps it with its lowest address at `at`, or for ET_EXEC where it says; 0 or -errno. */
int64_t elf_map(struct elf *elf, guest_t at);
#endif
