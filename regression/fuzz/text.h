/* SPDX-License-Identifier: MIT */
/* The executable parts of an ELF file, for the tools of this folder. */
#ifndef REGRESSION_FUZZ_TEXT_H
#define REGRESSION_FUZZ_TEXT_H

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct elf_file {
    const uint8_t *bytes;
    uint64_t size;
    const Elf64_Ehdr *header;
};

struct code {
    const uint8_t *bytes;
    uint64_t address, size;
};

static inline int elf_open(const char *path, struct elf_file *out)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0 || (uint64_t)info.st_size < sizeof(Elf64_Ehdr)) {
        fprintf(stderr, "%s: can't be read\n", path);
        return -1;
    }
    out->size = (uint64_t)info.st_size;
    out->bytes = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    out->header = (const void *)out->bytes;
    if (out->bytes == MAP_FAILED || memcmp(out->bytes, ELFMAG, SELFMAG) || out->header->e_machine != EM_X86_64) {
        fprintf(stderr, "%s: not an x86-64 ELF file\n", path);
        return -1;
    }
    return 0;
}

/* The executable section `index`; size 0 if it isn't one. */
static inline struct code elf_section(const struct elf_file *file, unsigned index)
{
    const Elf64_Shdr *section = (const void *)(file->bytes + file->header->e_shoff);
    section += index;
    if (section->sh_type != SHT_PROGBITS || !(section->sh_flags & SHF_EXECINSTR))
        return (struct code){0};
    return (struct code){file->bytes + section->sh_offset, section->sh_addr, section->sh_size};
}

/* The executable segment that holds `address`: what a loader maps. */
static inline struct code elf_segment(const struct elf_file *file, uint64_t address)
{
    const Elf64_Phdr *segment = (const void *)(file->bytes + file->header->e_phoff);
    for (unsigned i = 0; i < file->header->e_phnum; i++, segment++)
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) && address - segment->p_vaddr < segment->p_filesz)
            return (struct code){file->bytes + segment->p_offset, segment->p_vaddr, segment->p_filesz};
    return (struct code){0};
}

#endif
