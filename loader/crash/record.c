/* SPDX-License-Identifier: MIT */
/* The record: an ELF core, as a hostile process may have written it.  Nothing of it is taken without a look at its bounds. */
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "loader/crash/crash.h"

#define NOTES_MAX (16u << 20)
#define FILES_MAX 65536u

_Static_assert(sizeof(struct elf_prstatus) == 336 && sizeof(elf_gregset_t) == 27 * 8, "what the libOS writes");

static bool read_at(int file, void *to, size_t size, uint64_t offset)
{
    return offset <= INT64_MAX - size && pread(file, to, size, (off_t)offset) == (ssize_t)size;
}

/* ---- Notes ------------------------------------------------------------------------------------------------------- */

static void take_status(struct record *record, const uint8_t *bytes, size_t size)
{
    struct elf_prstatus status;
    if (record->has_registers || size < sizeof status)
        return; /* of another thread */
    memcpy(&status, bytes, sizeof status);
    memcpy(record->registers, status.pr_reg, sizeof record->registers);
    record->thread = status.pr_pid;
    record->has_registers = true;
}

static void take_process(struct record *record, const uint8_t *bytes, size_t size)
{
    struct elf_prpsinfo info;
    if (size < sizeof info)
        return;
    memcpy(&info, bytes, sizeof info);
    record->pid = info.pr_pid;
}

static void take_info(struct record *record, const uint8_t *bytes, size_t size)
{
    int32_t words[5];
    if (size < sizeof words + sizeof record->address)
        return;
    memcpy(words, bytes, sizeof words);
    memcpy(&record->address, bytes + 16, sizeof record->address);
    record->signal = words[0];
    record->code = words[2];
    record->sender = words[4];
    record->has_info = true;
}

static void take_auxv(struct record *record, const uint8_t *bytes, size_t size)
{
    for (; size >= 16; bytes += 16, size -= 16) {
        uint64_t pair[2];
        memcpy(pair, bytes, sizeof pair);
        if (pair[0] == AT_SYSINFO_EHDR)
            record->vdso = pair[1];
    }
}

static void take_files(struct record *record, const uint8_t *bytes, size_t size)
{
    uint64_t head[2];
    if (record->files || size < sizeof head)
        return;
    memcpy(head, bytes, sizeof head);
    if (head[0] > FILES_MAX || head[0] > (size - sizeof head) / 24)
        return;
    record->files = calloc(head[0] + 1, sizeof *record->files);
    const uint8_t *name = bytes + sizeof head + 24 * head[0], *end = bytes + size;
    for (size_t i = 0; record->files && i < head[0] && name < end; i++) {
        const uint8_t *stop = memchr(name, 0, (size_t)(end - name));
        if (!stop)
            return;
        memcpy(&record->files[i], bytes + sizeof head + 24 * i, 24);
        record->files[i].name = (const char *)name;
        record->file_count = i + 1;
        name = stop + 1;
    }
}

static void take_note(struct record *record, uint32_t type, const uint8_t *bytes, size_t size)
{
    switch (type) {
    case NT_PRSTATUS: take_status(record, bytes, size); break;
    case NT_PRPSINFO: take_process(record, bytes, size); break;
    case NT_SIGINFO: take_info(record, bytes, size); break;
    case NT_AUXV: take_auxv(record, bytes, size); break;
    case NT_FILE: take_files(record, bytes, size); break;
    default: break;
    }
}

/* The notes stay where they were read: names of files lie there. */
static void take_notes(struct record *record, const Elf64_Phdr *segment)
{
    uint64_t left = segment->p_filesz;
    uint8_t *at = left && left <= NOTES_MAX ? malloc(left) : NULL;
    if (!at || !read_at(record->file, at, left, segment->p_offset)) {
        free(at);
        return;
    }
    while (left >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, at, sizeof note);
        uint64_t name = sizeof note + (note.n_namesz + 3ull) / 4 * 4, all = name + (note.n_descsz + 3ull) / 4 * 4;
        if (all > left)
            return;
        take_note(record, note.n_type, at + name, note.n_descsz);
        at += all;
        left -= all;
    }
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

bool record_read(struct record *record, int file)
{
    Elf64_Ehdr header;
    *record = (struct record){.file = file};
    if (!read_at(file, &header, sizeof header, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_CORE || header.e_machine != EM_X86_64 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return false;
    Elf64_Phdr *all = record->loads = calloc(header.e_phnum + 1u, sizeof *all);
    if (!all || !read_at(file, all, header.e_phnum * sizeof *all, header.e_phoff))
        return false;
    for (size_t i = 0; i < header.e_phnum; i++) {
        const Elf64_Phdr segment = all[i];
        if (segment.p_type == PT_NOTE)
            take_notes(record, &segment);
        if (segment.p_type == PT_LOAD && segment.p_filesz)
            all[record->load_count++] = segment;
    }
    return record->has_registers;
}

size_t record_memory(const struct record *record, uint64_t address, void *to, size_t size)
{
    for (size_t i = 0; i < record->load_count; i++) {
        const Elf64_Phdr *load = &record->loads[i];
        uint64_t at = address - load->p_vaddr;
        if (address < load->p_vaddr || at >= load->p_filesz)
            continue;
        size_t have = size < load->p_filesz - at ? size : load->p_filesz - at;
        return load->p_offset <= INT64_MAX - at && read_at(record->file, to, have, load->p_offset + at) ? have : 0;
    }
    return 0;
}
