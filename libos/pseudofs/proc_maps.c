/* SPDX-License-Identifier: MIT */
/*
 * /proc/N's files about memory, from the tree of mappings.  What of all is in memory the host tells; of a single mapping
 * (smaps) the size is an upper bound: the host is not asked page by page.
 */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

#define KIB(bytes) ((bytes) >> 10)
#define PAGES(bytes) ((bytes) >> 12)

static int64_t count_vma(const struct vma *vma, void *argument)
{
    struct memory_facts *facts = argument;
    uint64_t size = vma->end - vma->start;
    facts->total += size;
    facts->locked += vma->flags & MAP_LOCKED ? size : 0;
    if (vma->file)
        facts->shared += size;
    if (vma->protection & PROT_EXEC)
        facts->code += size;
    else if (vma->name && !strcmp(vma->name, "[stack]"))
        facts->stack += size;
    else if (vma->protection & PROT_WRITE && !(vma->flags & MAP_SHARED))
        facts->data += size;
    return 0;
}

struct memory_facts proc_memory_facts(void)
{
    struct memory_facts facts = {0};
    mm_for_each(count_vma, &facts);
    return facts;
}

void proc_statm_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct memory_facts memory = proc_memory_facts();
    struct pal_child look = proc_look(node);
    uint64_t shared = look.memory.file + look.memory.shared;
    seq_printf(text, "%lu %lu %lu %lu 0 %lu 0\n", PAGES(memory.total), PAGES(look.memory.anonymous + shared),
               PAGES(shared), PAGES(memory.code), PAGES(memory.data + memory.stack));
}

void proc_status_memory(struct seq_buffer *text, const struct pal_child *look)
{
    struct memory_facts memory = proc_memory_facts();
    uint64_t resident = KIB(look->memory.anonymous + look->memory.file + look->memory.shared);
    seq_printf(text, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmPin:\t       0 kB\n",
               KIB(memory.total), KIB(memory.total), KIB(memory.locked));
    seq_printf(text, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n", MAX(look->used.max_rss, resident), resident);
    seq_printf(text, "RssAnon:\t%8lu kB\nRssFile:\t%8lu kB\nRssShmem:\t%8lu kB\n", KIB(look->memory.anonymous),
               KIB(look->memory.file), KIB(look->memory.shared));
    seq_printf(text, "VmData:\t%8lu kB\nVmStk:\t%8lu kB\nVmExe:\t%8lu kB\nVmLib:\t       0 kB\n", KIB(memory.data),
               KIB(memory.stack), KIB(memory.code));
    seq_printf(text, "VmPTE:\t%8lu kB\nVmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\nCoreDumping:\t0\n"
                   "THP_enabled:\t1\n",
             MAX(resident / 512, 4));
}

struct maps_walk {
    struct seq_buffer *text;
    bool details; /* smaps */
    struct file *file; /* of the attributes, to ask once for neighbours */
    struct pal_attributes attributes;
};

static void maps_details(struct seq_buffer *text, const struct vma *vma)
{
    uint64_t size = KIB(vma->end - vma->start), anonymous = vma->file ? 0 : size;
    bool shared = (vma->flags & MAP_TYPE) == MAP_SHARED;
    seq_printf(text, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n", size);
    seq_printf(text, "Rss:            %8lu kB\nPss:            %8lu kB\nPss_Dirty:             0 kB\n", size, size);
    seq_printf(text, "Shared_Clean:   %8lu kB\nShared_Dirty:          0 kB\nPrivate_Clean:  %8lu kB\n",
               shared ? size : 0, shared || anonymous ? 0 : size);
    seq_printf(text, "Private_Dirty:  %8lu kB\nReferenced:     %8lu kB\nAnonymous:      %8lu kB\n",
               shared ? 0 : anonymous, size, anonymous);
    seq_printf(text, "LazyFree:              0 kB\nAnonHugePages:         0 kB\nShmemPmdMapped:        0 kB\n"
                   "FilePmdMapped:         0 kB\nShared_Hugetlb:        0 kB\nPrivate_Hugetlb:       0 kB\n"
                   "Swap:                  0 kB\nSwapPss:               0 kB\nLocked:         %8lu kB\n"
                   "THPeligible:           0\nVmFlags:%s%s%s mr mw me%s%s\n",
             vma->flags & MAP_LOCKED ? size : 0,
             vma->protection & PROT_READ ? " rd" : "", vma->protection & PROT_WRITE ? " wr" : "",
             vma->protection & PROT_EXEC ? " ex" : "", shared ? " sh" : "", vma->flags & MAP_LOCKED ? " lo" : "");
}

static int64_t maps_vma(const struct vma *vma, void *argument)
{
    struct maps_walk *walk = argument;
    size_t begin = walk->text->size;
    if (vma->file && vma->file != walk->file && file_attributes(vma->file, &walk->attributes))
        memset(&walk->attributes, 0, sizeof walk->attributes);
    walk->file = vma->file;
    uint64_t device = vma->file ? walk->attributes.device : 0;
    seq_printf(walk->text, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", vma->start, vma->end,
               vma->protection & PROT_READ ? 'r' : '-', vma->protection & PROT_WRITE ? 'w' : '-',
               vma->protection & PROT_EXEC ? 'x' : '-', (vma->flags & MAP_TYPE) == MAP_SHARED ? 's' : 'p',
               vma->file ? vma->offset : 0, (uint32_t)(device >> 8 & 0xfff), (uint32_t)(device & 0xff),
               vma->file ? walk->attributes.inode : 0);
    const char *name = vma->name ? vma->name : vma->file ? vma->file->path : NULL;
    if (name) {
        while (walk->text->size - begin < 73 && !walk->text->failed)
            seq_printf(walk->text, " ");
        seq_printf(walk->text, "%s", name);
    }
    seq_printf(walk->text, "\n");
    if (walk->details)
        maps_details(walk->text, vma);
    return walk->text->failed;
}

void proc_maps_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    struct maps_walk walk = {.text = text};
    mm_for_each(maps_vma, &walk);
    struct vma host = {.start = PAL_GUEST_END, .end = TASK_END, .flags = MAP_PRIVATE, .name = "[reserved]"};
    maps_vma(&host, &walk); /* where nothing can be mapped */
}

void proc_smaps_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    struct maps_walk walk = {.text = text, .details = true};
    mm_for_each(maps_vma, &walk);
}

/* Sums of smaps. */
struct rollup {
    guest_t start, end;
    uint64_t all, anonymous, shared;
};

static int64_t rollup_vma(const struct vma *vma, void *argument)
{
    struct rollup *sum = argument;
    sum->start = sum->end ? sum->start : vma->start;
    sum->end = vma->end;
    return 0;
}

void proc_smaps_rollup_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct rollup sum = {0};
    struct pal_child look = proc_look(node);
    mm_for_each(rollup_vma, &sum);
    sum.anonymous = KIB(look.memory.anonymous);
    sum.shared = KIB(look.memory.shared);
    sum.all = sum.anonymous + sum.shared + KIB(look.memory.file);
    size_t begin = text->size;
    seq_printf(text, "%08lx-%08lx ---p 00000000 00:00 0 ", sum.start, sum.end);
    while (text->size - begin < 73 && !text->failed)
        seq_printf(text, " ");
    uint64_t files = sum.all - sum.anonymous - sum.shared;
    const struct { char name[18]; uint64_t value; } rows[] = {
        {"Rss:", sum.all},        {"Pss:", sum.all},           {"Pss_Dirty:", sum.anonymous},
        {"Pss_Anon:", sum.anonymous}, {"Pss_File:", files},    {"Pss_Shmem:", sum.shared},
        {"Shared_Clean:", sum.shared}, {"Shared_Dirty:", 0},   {"Private_Clean:", files},
        {"Private_Dirty:", sum.anonymous}, {"Referenced:", sum.all}, {"Anonymous:", sum.anonymous},
        {"LazyFree:", 0},         {"AnonHugePages:", 0},       {"ShmemPmdMapped:", 0},
        {"FilePmdMapped:", 0},    {"Shared_Hugetlb:", 0},      {"Private_Hugetlb:", 0},
        {"Swap:", 0},             {"SwapPss:", 0},             {"Locked:", 0},
    };
    seq_printf(text, "[rollup]\n");
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        seq_printf(text, "%-16s%8lu kB\n", rows[i].name, rows[i].value);
}

static void guest_text(struct seq_buffer *text, guest_t start, guest_t end)
{
    char piece[256];
    while (start < end) {
        size_t size = copy_in_some(piece, start, MIN(sizeof piece, end - start));
        if (!size)
            return;
        seq_write(text, piece, size);
        start += size;
    }
}

void proc_cmdline_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct mm_facts mm;
    struct process_facts facts;
    char name[16];
    if (proc_is_self(node)) {
        mm_facts_get(&mm);
        guest_text(text, mm.arg_start, mm.arg_end);
    } else if (process_facts(node->pid, &facts) && facts.state != 'Z') {
        proc_name_of(node, name);
        seq_write(text, name, strlen(name) + 1);
    }
}

void proc_environ_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct mm_facts mm;
    (void)node;
    mm_facts_get(&mm);
    guest_text(text, mm.env_start, mm.env_end);
}

void proc_auxv_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct mm_facts mm;
    (void)node;
    mm_facts_get(&mm);
    guest_text(text, mm.auxv, mm.auxv + mm.auxv_size);
}

