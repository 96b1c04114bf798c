/* SPDX-License-Identifier: MIT */
/*
 * Finds functions in the host's vDSO (vdso(7)): its dynamic symbols, walked as the ELF specification lays them out.
 * The kernel wrote it, so it is trusted to be well-formed.
 */
#include <linux/elf.h>
#include <linux/mman.h>

#include "pal/linux/linux.h"

#define VDSO_PAGES_MAX 4       /* up to the image: host.ld leaves as much */
#define VDSO_DATA_MAX 0x8000ul
/* From here on nothing of ours is ever mapped, nor anything of the guest's: the segment ends below. */
#define VDSO_MAY_STAY (PAL_SHARED_BASE + (8ull << 30))

uint64_t vdso_start, vdso_end;

struct vdso {
    const Elf64_Sym *symbols;
    const char *strings;
    uint32_t count;
};

/* The number of symbols, from the GNU hash table: one past the last of the longest-reaching chain. */
static uint32_t gnu_hash_symbols(const uint32_t *table)
{
    uint32_t buckets = table[0], first = table[1], last = 0;
    const uint32_t *bucket = table + 4 + 2 * table[2], *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        if (bucket[i] > last)
            last = bucket[i];
    if (last < first)
        return first;
    while (!(chain[last - first] & 1))
        last++;
    return last + 1;
}

static struct vdso tables(void)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)vdso_start;
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(vdso_start + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    uint64_t bias = vdso_start;
    struct vdso v = {0};

    for (uint32_t i = 0; i < header->e_phnum; i++) {
        if (segment[i].p_type == PT_LOAD) {
            bias = vdso_start + segment[i].p_offset - segment[i].p_vaddr;
            vdso_end = vdso_start + PAGE_UP(segment[i].p_memsz);
        } else if (segment[i].p_type == PT_DYNAMIC) {
            dynamic = (const Elf64_Dyn *)(vdso_start + segment[i].p_offset);
        }
    }
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        uint64_t at = bias + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB)
            v.symbols = (const Elf64_Sym *)at;
        else if (dynamic->d_tag == DT_STRTAB)
            v.strings = (const char *)at;
        else if (dynamic->d_tag == DT_HASH)
            v.count = ((const uint32_t *)at)[1];
        else if (dynamic->d_tag == 0x6ffffef5 /* DT_GNU_HASH */ && !v.count)
            v.count = gnu_hash_symbols((const uint32_t *)at);
    }
    return v;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* A mapping of `pages` pages, all of one: the kernel moves these only whole. */
static int move(uint64_t from, uint64_t to, uint64_t pages)
{
    uint64_t size = pages * PAL_PAGE_SIZE;
    return host_call(mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == (int64_t)to;
}

/*
 * The kernel has put the vDSO, and below it mappings with its data, to where the guest may want to map.  How large those
 * are differs between kernels, and nothing tells: they are tried from the vDSO downwards.
 */
void vdso_init(uint64_t base)
{
    uint64_t pages = 1, from = base, to = LINUX_VDSO;
    if (!base)
        return;
    if (base >= VDSO_MAY_STAY) {
        vdso_start = vdso_end = base;
        return;
    }
    while (pages <= VDSO_PAGES_MAX && !move(base, to, pages))
        pages++;
    if (pages > VDSO_PAGES_MAX)
        return; /* it is left to the guest: clocks are host calls */
    for (pages = 1; pages <= VDSO_PAGES_MAX;) {
        uint64_t size = pages * PAL_PAGE_SIZE;
        if (to - size >= LINUX_VDSO - VDSO_DATA_MAX && move(from - size, to - size, pages))
            from -= size, to -= size, pages = 1;
        else
            pages++;
    }
    vdso_start = vdso_end = LINUX_VDSO;
}

uint64_t vdso_symbol(const char *name)
{
    if (!vdso_start)
        return 0;
    struct vdso v = tables();
    if (!v.symbols || !v.strings)
        return 0;
    for (uint32_t i = 0; i < v.count; i++)
        if (v.symbols[i].st_shndx && same(v.strings + v.symbols[i].st_name, name))
            return vdso_start + v.symbols[i].st_value;
    return 0;
}
