/* SPDX-License-Identifier: MIT */
/*
 * /sys, so far as C libraries and runtimes look for it: the processors (one package, a core each, as /proc/cpuinfo has
 * it) and how big a huge page is.
 */
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

static void cpus_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    if (boot->cpu_count > 1)
        seq_printf(text, "0-%lu\n", boot->cpu_count - 1);
    else
        seq_printf(text, "0\n");
}

/* Words of 32 bits, the highest first. */
static void mask_text(struct seq_buffer *text, uint64_t from, uint64_t to)
{
    for (uint64_t word = (boot->cpu_count + 31) / 32; word-- > 0;) {
        uint64_t bits = 0;
        for (uint64_t cpu = MAX(from, word * 32); cpu < MIN(to, word * 32 + 32); cpu++)
            bits |= 1ull << (cpu - word * 32);
        uint64_t width = word == (boot->cpu_count + 31) / 32 - 1 ? (boot->cpu_count - word * 32 + 3) / 4 : 8;
        seq_printf(text, width == 8 ? "%08x%s" : "%x%s", (uint32_t)bits, word ? "," : "\n");
    }
}

static void cpu_all_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    mask_text(text, 0, boot->cpu_count);
}

static void cpu_own_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    mask_text(text, (uint64_t)node->number, (uint64_t)node->number + 1);
}

static void cpu_number_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    seq_printf(text, "%d\n", node->number);
}

static void zero_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "0\n");
}

static void one_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "1\n");
}

static void none_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "\n");
}

static void most_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "8191\n"); /* CONFIG_NR_CPUS - 1 */
}

static void huge_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    bool size = !strcmp(node->entry->name, "hpage_pmd_size");
    seq_printf(text, size ? "2097152\n" : "always [madvise] never\n");
}

#define TEXT(entry_name, function) {.name = entry_name, .mode = PSEUDO_TEXT, .text = function}

static const struct pseudo_entry topology_entries[] = {
    TEXT("core_cpus", cpu_own_text),
    TEXT("core_cpus_list", cpu_number_text),
    TEXT("core_id", cpu_number_text),
    TEXT("core_siblings", cpu_all_text),
    TEXT("core_siblings_list", cpus_text),
    TEXT("die_cpus", cpu_all_text),
    TEXT("die_cpus_list", cpus_text),
    TEXT("die_id", zero_text),
    TEXT("package_cpus", cpu_all_text),
    TEXT("package_cpus_list", cpus_text),
    TEXT("physical_package_id", zero_text),
    TEXT("thread_siblings", cpu_own_text),
    TEXT("thread_siblings_list", cpu_number_text),
    {.name = NULL},
};
static const struct pseudo_entry one_cpu_entries[] = {
    TEXT("online", one_text), PSEUDO_SUBTREE("topology", topology_entries), {.name = NULL},
};
static const struct pseudo_entry one_cpu = {.mode = PSEUDO_DIRECTORY, .children = one_cpu_entries};

static bool cpu_number(struct pseudo_node *node, int n)
{
    node->entry = &one_cpu;
    node->number = n;
    return (uint64_t)n < boot->cpu_count;
}

static int cpu_after(const struct pseudo_node *node, int after)
{
    (void)node;
    return (uint64_t)((int64_t)after + 1) < boot->cpu_count ? after + 1 : -1;
}

static const struct pseudo_entry cpu_entries[] = {
    TEXT("isolated", none_text), TEXT("kernel_max", most_text), TEXT("offline", none_text),
    TEXT("online", cpus_text),   TEXT("possible", cpus_text),   TEXT("present", cpus_text),
    {.name = NULL},
};
static const struct pseudo_entry system_entries[] = {
    {.name = "cpu",
     .mode = PSEUDO_DIRECTORY,
     .children = cpu_entries,
     .prefix = "cpu",
     .number = cpu_number,
     .number_after = cpu_after},
    {.name = NULL},
};
static const struct pseudo_entry devices_entries[] = {PSEUDO_SUBTREE("system", system_entries), {.name = NULL}};
static const struct pseudo_entry huge_entries[] = {
    TEXT("enabled", huge_text), TEXT("hpage_pmd_size", huge_text), {.name = NULL},
};
static const struct pseudo_entry mm_entries[] = {PSEUDO_SUBTREE("transparent_hugepage", huge_entries), {.name = NULL}};
static const struct pseudo_entry kernel_entries[] = {PSEUDO_SUBTREE("mm", mm_entries), {.name = NULL}};
const struct pseudo_entry sysfs_entries[] = {
    PSEUDO_SUBTREE("devices", devices_entries), PSEUDO_SUBTREE("kernel", kernel_entries), {.name = NULL},
};
