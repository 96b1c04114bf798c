/* SPDX-License-Identifier: MIT */
/*
 * The files that the dead process had mapped, for libdwfl.  Each is opened only if some frame lies in it, by its guest path;
 * one that is not what was mapped any more is not used.  Names come from its symbols, or those in a separate file: by
 * build-id, or by the name in .gnu_debuglink.
 */
#include <elfutils/libdwfl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/crash/crash.h"

#define PAGE 4096u
#define VDSO_MAX 65536u
#define DEBUG "/usr/lib/debug"

static const struct record *of;

/* libelf asks; with libc's own that would be a call that takes a path. */
int __wrap_fstat(int file, struct stat *status);
int __wrap_fstat(int file, struct stat *status)
{
    return (int)syscall(SYS_fstat, file, status);
}

/* ---- Is it the same file? ---------------------------------------------------------------------------------------- */

struct build_id {
    size_t size;
    uint8_t bytes[64];
};

static void id_from_notes(const uint8_t *at, size_t left, struct build_id *out)
{
    while (left >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, at, sizeof note);
        uint64_t name = sizeof note + (note.n_namesz + 3ull) / 4 * 4, all = name + (note.n_descsz + 3ull) / 4 * 4;
        if (all > left)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(at + sizeof note, "GNU", 4) &&
            note.n_descsz <= sizeof out->bytes) {
            out->size = note.n_descsz;
            memcpy(out->bytes, at + name, out->size);
            return;
        }
        at += all;
        left -= all;
    }
}

/* By a file's first page, where linkers put it. */
static struct build_id id_from_page(const uint8_t page[PAGE])
{
    struct build_id id = {0};
    Elf64_Ehdr header;
    memcpy(&header, page, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phoff > PAGE)
        return id;
    for (size_t i = 0; i < header.e_phnum && !id.size; i++) {
        uint64_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
        Elf64_Phdr segment;
        if (at > PAGE - sizeof segment)
            break;
        memcpy(&segment, page + at, sizeof segment);
        if (segment.p_type == PT_NOTE && segment.p_offset <= PAGE && segment.p_filesz <= PAGE - segment.p_offset)
            id_from_notes(page + segment.p_offset, segment.p_filesz, &id);
    }
    return id;
}

static bool is_same(uint64_t base, int file)
{
    uint8_t mapped[PAGE], now[PAGE];
    Elf64_Ehdr header;
    if (pread(file, now, PAGE, 0) != PAGE)
        return false;
    memcpy(&header, now, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64)
        return false;
    if (record_memory(of, base, mapped, PAGE) != PAGE)
        return true; /* nobody can tell */
    struct build_id was = id_from_page(mapped), is = id_from_page(now);
    return was.size == is.size && !memcmp(was.bytes, is.bytes, is.size);
}

/* ---- What libdwfl asks for --------------------------------------------------------------------------------------- */

static Elf *vdso_image(Dwarf_Addr base)
{
    char *bytes = malloc(VDSO_MAX);
    size_t size = bytes ? record_memory(of, base, bytes, VDSO_MAX) : 0;
    return size ? elf_memory(bytes, size) : NULL;
}

static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file_name, Elf **elf)
{
    (void)module, (void)data;
    if (name[0] != '/') {
        *elf = vdso_image(base);
        return -1;
    }
    int file = crash_open(name);
    if (file >= 0 && !is_same(base, file)) {
        close(file);
        return -1;
    }
    *file_name = file >= 0 ? strdup(name) : NULL;
    return file;
}

static int try(char path[CRASH_TEXT], int size)
{
    return size > 0 && size < (int)CRASH_TEXT ? crash_open(path) : -1;
}

static int find_by_id(Dwfl_Module *module)
{
    const unsigned char *id;
    GElf_Addr address;
    char path[CRASH_TEXT];
    int count = dwfl_module_build_id(module, &id, &address);
    if (count < 2 || count > 64)
        return -1;
    int size = snprintf(path, sizeof path, DEBUG "/.build-id/%02x/", id[0]);
    for (int i = 1; i < count; i++)
        size += snprintf(path + size, sizeof path - (size_t)size, "%02x", id[i]);
    size += snprintf(path + size, sizeof path - (size_t)size, ".debug");
    return try(path, size);
}

static int find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file_name,
                          const char *link, GElf_Word check, char **found_name)
{
    static const char *const places[] = {"%.*s/%s", "%.*s/.debug/%s", DEBUG "%.*s/%s"};
    char path[CRASH_TEXT];
    (void)data, (void)base, (void)file_name, (void)check, (void)found_name;
    int file = find_by_id(module);
    const char *slash = strrchr(name, '/');
    for (size_t i = 0; i < sizeof places / sizeof *places && file < 0 && link && *link && slash; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        file = try(path, snprintf(path, sizeof path, places[i], (int)(slash - name), name, link));
#pragma GCC diagnostic pop
    }
    return file < 0 ? -1 : file;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

/* A file's mappings, from that of its beginning up to the next such. */
static void report_files(Dwfl *dwfl)
{
    for (size_t i = 0, next; i < of->file_count; i = next) {
        const struct record_file *first = &of->files[i];
        uint64_t end = first->end;
        for (next = i + 1; next < of->file_count && of->files[next].page && !strcmp(of->files[next].name, first->name); next++)
            end = of->files[next].end;
        if (!first->page && first->start < end)
            dwfl_report_module(dwfl, first->name, first->start, end);
    }
}

static void report_vdso(Dwfl *dwfl)
{
    for (size_t i = 0; i < of->load_count; i++)
        if (of->vdso && of->loads[i].p_vaddr == of->vdso)
            dwfl_report_module(dwfl, "[vdso]", of->vdso, of->vdso + of->loads[i].p_filesz);
}

Dwfl *modules_begin(const struct record *record)
{
    static const Dwfl_Callbacks callbacks = {.find_elf = find_elf, .find_debuginfo = find_debuginfo};
    Dwfl *dwfl = dwfl_begin(&callbacks);
    of = record;
    if (!dwfl)
        return NULL;
    dwfl_report_begin(dwfl);
    report_files(dwfl);
    report_vdso(dwfl);
    dwfl_report_end(dwfl, NULL, NULL);
    return dwfl;
}
