/* SPDX-License-Identifier: MIT */
/*
 * ELF files: checked as load_elf_binary does, and mapped as it does: one mapping a segment, the part of the last page
 * that lies past the file's bytes zeroed, anonymous memory after it.
 *
 * A file is hostile input.  Whatever elf_check lets through, elf_map only maps inside [low, high), which lies in the
 * guest's space.
 */
#include "libos/process/elf.h"
#include "libos/fs/vfs.h"

#define SEGMENTS_SIZE_MAX 65536u /* load_elf_phdrs' */

static int64_t read_exactly(struct file *file, void *to, uint64_t size, uint64_t offset, const void *head,
                            uint64_t head_size)
{
    if (offset <= head_size && size <= head_size - offset) {
        memcpy(to, (const char *)head + offset, size);
        return 0;
    }
    if (offset > INT64_MAX)
        return -EINVAL;
    int64_t n = file_read_at(file, to, size, offset);
    return n == (int64_t)size ? 0 : n < 0 ? n : -EIO;
}

static int64_t check_load(const struct elf_segment *s, struct elf *elf)
{
    guest_t start = PAGE_DOWN(s->vaddr), end = PAGE_UP(s->vaddr + s->memsz);
    if (s->filesz > s->memsz || s->memsz > PAL_GUEST_END || s->vaddr > PAL_GUEST_END || end > PAL_GUEST_END)
        return -EINVAL;
    if (s->filesz && ((s->vaddr ^ s->offset) & PAGE_MASK || s->offset > INT64_MAX - PAL_GUEST_END))
        return -EINVAL;
    elf->low = MIN(elf->low, start);
    elf->high = MAX(elf->high, end);
    if (s->align > elf->align && (s->align & (s->align - 1)) == 0 && s->align <= 1ull << 30)
        elf->align = s->align;
    return 0;
}

static int64_t read_interpreter(struct file *file, const struct elf_segment *s, const void *head, uint64_t head_size,
                                char **out)
{
    if (s->filesz < 2 || s->filesz > PAL_PATH_MAX)
        return -ENOEXEC;
    char *name = alloc(s->filesz);
    if (!name)
        return -ENOMEM;
    int64_t error = read_exactly(file, name, s->filesz, s->offset, head, head_size);
    if (error == 0 && name[s->filesz - 1] != '\0')
        error = -ENOEXEC;
    if (error < 0)
        release(name);
    else
        *out = name;
    return error;
}

static int64_t check_segments(struct file *file, const void *head, uint64_t head_size, struct elf *elf,
                              char **interpreter)
{
    elf->low = UINT64_MAX;
    elf->align = PAGE_SIZE;
    for (unsigned i = 0; i < elf->header.phnum; i++) {
        const struct elf_segment *s = &elf->segments[i];
        int64_t error = 0;
        if (s->type == PT_LOAD && s->memsz)
            error = check_load(s, elf);
        else if (s->type == PT_GNU_STACK)
            elf->stack_executable = s->flags & PF_X;
        else if (s->type == PT_INTERP && !*interpreter)
            error = read_interpreter(file, s, head, head_size, interpreter);
        if (error < 0)
            return error;
    }
    return 0;
}

int64_t elf_check_range(const struct elf *elf)
{
    if (elf->high <= elf->low)
        return -EINVAL;
    return elf->header.type == ET_EXEC && elf->low < PAL_GUEST_BASE ? -EINVAL : 0;
}

int64_t elf_check(struct file *file, const void *head, uint64_t head_size, struct elf *out, char **interpreter)
{
    *out = (struct elf){0};
    *interpreter = NULL;
    if (head_size < sizeof out->header)
        return -ENOEXEC;
    memcpy(&out->header, head, sizeof out->header);
    const struct elf_header *header = &out->header;
    uint64_t size = header->phnum * sizeof(struct elf_segment);
    if (memcmp(header->ident, ELF_MAGIC, 4) != 0 || (header->type != ET_EXEC && header->type != ET_DYN) ||
        header->machine != EM_X86_64 || header->phentsize != sizeof(struct elf_segment) || size == 0 ||
        size > SEGMENTS_SIZE_MAX)
        return -ENOEXEC;
    out->segments = alloc(size);
    if (!out->segments)
        return -ENOMEM;
    int64_t error = read_exactly(file, out->segments, size, header->phoff, head, head_size);
    if (error < 0)
        error = -ENOEXEC;
    else
        error = check_segments(file, head, head_size, out, interpreter);
    if (error < 0) {
        release(out->segments);
        release(*interpreter);
        *interpreter = NULL;
        *out = (struct elf){0};
    }
    return error;
}

void elf_drop(struct elf *elf)
{
    release(elf->segments);
    if (elf->file)
        file_put(elf->file);
    *elf = (struct elf){0};
}

static int64_t map_segment(const struct elf *elf, const struct elf_segment *s)
{
    uint32_t protection = (s->flags & PF_R ? PROT_READ : 0) | (s->flags & PF_W ? PROT_WRITE : 0) |
                          (s->flags & PF_X ? PROT_EXEC : 0);
    guest_t start = PAGE_DOWN(s->vaddr) + elf->bias, file_end = s->vaddr + s->filesz + elf->bias;
    guest_t mapped_end = PAGE_UP(file_end), end = PAGE_UP(s->vaddr + s->memsz) + elf->bias;
    if (s->filesz) {
        int64_t at = mm_map(start, mapped_end - start, protection, MAP_PRIVATE | MAP_FIXED, elf->file,
                            PAGE_DOWN(s->offset), NULL);
        if (at < 0)
            return at;
        /* A segment that can't be written keeps the file's bytes there, as on Linux. */
        if (s->memsz > s->filesz && mapped_end > file_end && (protection & PROT_WRITE) &&
            zero_out(file_end, mapped_end - file_end) < 0)
            return -EFAULT;
    } else {
        mapped_end = start;
    }
    if (end <= mapped_end)
        return 0;
    int64_t at =
        mm_map(mapped_end, end - mapped_end, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, NULL);
    return at < 0 ? at : 0;
}

int64_t elf_map(struct elf *elf, guest_t at)
{
    elf->bias = elf->header.type == ET_EXEC ? 0 : at - elf->low;
    elf->code_start = UINT64_MAX;
    for (unsigned i = 0; i < elf->header.phnum; i++) {
        const struct elf_segment *s = &elf->segments[i];
        uint64_t table = elf->header.phoff;
        if (s->type != PT_LOAD || !s->memsz)
            continue;
        int64_t error = map_segment(elf, s);
        if (error < 0)
            return error;
        if (table >= s->offset && table - s->offset < s->filesz)
            elf->segments_at = table - s->offset + s->vaddr + elf->bias;
        if (s->flags & PF_X) {
            elf->code_start = MIN(elf->code_start, s->vaddr + elf->bias);
            elf->code_end = MAX(elf->code_end, s->vaddr + s->filesz + elf->bias);
        }
    }
    elf->entry = elf->header.entry + elf->bias;
    elf->end = elf->high + elf->bias;
    return 0;
}
