/* SPDX-License-Identifier: MIT */
/*
 * Is this file a program for this machine?  By its headers only, a few KiB, whatever size the file claims; libelf reads
 * them.
 *
 * What is checked here is what gives a user a clear line instead of a strange death; it guards nothing.
 */
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

#include "loader/launch/launch.h"

#define HEAD_FIRST 4096u   /* holds the headers, the interpreter's path and the build-id of nearly all programs */
#define HEAD_MAX 65536u

struct head {
    int fd;
    uint64_t file_size;
    size_t size;
    char bytes[HEAD_MAX];
};

/* Makes the first `end` bytes available.  false: the file or our patience ends before. */
static bool head_need(struct head *head, uint64_t end)
{
    if (end > head->file_size || end > HEAD_MAX)
        return false;
    while (head->size < end) {
        size_t want = end < HEAD_FIRST ? HEAD_FIRST : HEAD_MAX;
        ssize_t got = pread(head->fd, head->bytes + head->size, want - head->size, (off_t)head->size);
        if (got <= 0)
            return false;
        head->size += (size_t)got;
    }
    return true;
}

static const char *check_identity(const unsigned char *ident, const GElf_Ehdr *header)
{
    if (ident[EI_CLASS] == ELFCLASS32)
        return "is a 32-bit program: only 64-bit x86-64 programs can be run";
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB || ident[EI_VERSION] != EV_CURRENT)
        return "has a damaged ELF header: get the file again";
    if (header->e_machine == EM_AARCH64)
        return "is built for another machine (AArch64): this is x86-64";
    if (header->e_machine != EM_X86_64)
        return "is built for another machine: this is x86-64";
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return "is an ELF file but no program (an object file or a core): link it first";
    if (header->e_phentsize != sizeof(Elf64_Phdr) || !header->e_phnum || header->e_phnum == PN_XNUM)
        return "has damaged ELF program headers: get the file again";
    return NULL;
}

static void read_build_id(const struct head *head, const GElf_Phdr *segment, struct elf_facts *out)
{
    uint64_t at = segment->p_offset, end = at + segment->p_filesz;
    if (end < at || end > head->size)
        return;
    while (end - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, head->bytes + at, sizeof note);
        uint64_t name = at + sizeof note, contents = name + ((note.n_namesz + 3ull) & ~3ull);
        uint64_t next = contents + ((note.n_descsz + 3ull) & ~3ull);
        if (next > end)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(head->bytes + name, "GNU", 4) &&
            note.n_descsz <= sizeof out->build_id) {
            memcpy(out->build_id, head->bytes + contents, note.n_descsz);
            out->build_id_size = note.n_descsz;
            return;
        }
        at = next;
    }
}

static const char *read_interpreter(struct head *head, const GElf_Phdr *segment, struct elf_facts *out)
{
    uint64_t size = segment->p_filesz;
    if (size < 2 || size > sizeof out->interpreter || segment->p_offset + size < size ||
        !head_need(head, segment->p_offset + size))
        return "names no interpreter that can be read: get the file again";
    memcpy(out->interpreter, head->bytes + segment->p_offset, size);
    if (out->interpreter[size - 1] || out->interpreter[0] != '/')
        return "names no interpreter that can be read: get the file again";
    return NULL;
}

static const char *inspect_segments(struct head *head, Elf *elf, const GElf_Ehdr *header, struct elf_facts *out)
{
    bool loads = false;
    const char *problem;
    for (int i = 0; i < header->e_phnum; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, i, &segment))
            return "has damaged ELF program headers: get the file again";
        uint64_t end = segment.p_offset + segment.p_filesz;
        switch (segment.p_type) {
        case PT_LOAD:
            loads = true;
            if (segment.p_vaddr + segment.p_memsz > PAL_GUEST_END && segment.p_vaddr < segment.p_vaddr + segment.p_memsz)
                return "has segments where a sandbox's library OS lies: no sandbox can run it, as none can run pal-run itself";
            if (segment.p_filesz > segment.p_memsz || segment.p_vaddr + segment.p_memsz < segment.p_vaddr)
                return "has damaged ELF program headers: get the file again";
            if (end < segment.p_offset || end > head->file_size)
                return "is truncated: get the file again";
            break;
        case PT_INTERP:
            if ((problem = read_interpreter(head, &segment, out)))
                return problem;
            break;
        case PT_NOTE:
            read_build_id(head, &segment, out);
            break;
        }
    }
    if (!loads)
        return "holds nothing to load: get the file again";
    bool position_independent = header->e_type == ET_DYN;
    if (out->interpreter[0])
        out->kind = position_independent ? ELF_DYNAMIC_PIE : ELF_DYNAMIC;
    else
        out->kind = position_independent ? ELF_STATIC_PIE : ELF_STATIC;
    return NULL;
}

/* Whose it is, by its first bytes. */
static const char *foreign(const unsigned char *bytes, size_t size)
{
    static const unsigned char machs[][4] = {{0xcf, 0xfa, 0xed, 0xfe}, {0xce, 0xfa, 0xed, 0xfe}, {0xca, 0xfe, 0xba, 0xbe}};
    if (size > 1 && bytes[0] == 'M' && bytes[1] == 'Z')
        return "is a program for Windows (PE): get the one for Linux";
    for (size_t i = 0; size > 3 && i < sizeof machs / sizeof *machs; i++)
        if (!memcmp(bytes, machs[i], 4))
            return i < 2 ? "is a program for macOS (Mach-O): get the one for Linux"
                         : "is a program for macOS or a Java class: get the one for Linux, or run it by java";
    return "is neither an ELF program nor a script that names its interpreter (#!)";
}

const char *elf_inspect(int fd, uint64_t file_size, struct elf_facts *out)
{
    static struct head head; /* too large for a stack; pal-run looks at one file at a time */
    head.fd = fd;
    head.file_size = file_size;
    head.size = 0;
    memset(out, 0, sizeof *out);
    if (!file_size)
        return "is empty";
    /* Where the headers end, before libelf sees them. */
    size_t least = file_size < sizeof(Elf64_Ehdr) ? (size_t)file_size : sizeof(Elf64_Ehdr);
    if (!head_need(&head, least))
        return "can't be read";
    if (least < SELFMAG || memcmp(head.bytes, ELFMAG, SELFMAG) != 0)
        return foreign((const unsigned char *)head.bytes, least);
    if (least < sizeof(Elf64_Ehdr))
        return "is truncated: get the file again";
    Elf64_Ehdr raw;
    memcpy(&raw, head.bytes, sizeof raw);
    const char *problem;
    GElf_Ehdr header = {
        .e_type = raw.e_type, .e_machine = raw.e_machine, .e_phentsize = raw.e_phentsize, .e_phnum = raw.e_phnum};
    if ((problem = check_identity(raw.e_ident, &header)))
        return problem;
    uint64_t table_end = raw.e_phoff + (uint64_t)raw.e_phnum * sizeof(Elf64_Phdr);
    if (table_end < raw.e_phoff || !head_need(&head, table_end))
        return "is truncated: get the file again";
    /* libelf would look for the section headers, which lie at the end, and which no program needs to run. */
    memset(head.bytes + offsetof(Elf64_Ehdr, e_shoff), 0, sizeof raw.e_shoff);
    memset(head.bytes + offsetof(Elf64_Ehdr, e_shnum), 0, sizeof raw.e_shnum);
    memset(head.bytes + offsetof(Elf64_Ehdr, e_shstrndx), 0, sizeof raw.e_shstrndx);
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(head.bytes, head.size);
    if (!elf || !gelf_getehdr(elf, &header))
        problem = "has a damaged ELF header: get the file again";
    else
        problem = inspect_segments(&head, elf, &header, out);
    out->machine = raw.e_machine;
    elf_end(elf);
    return problem;
}
