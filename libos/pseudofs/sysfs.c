/* SPDX-License-Identifier: MIT */
/*
 * /sys, so far as C libraries, runtimes and tools look for it: the processors (one package, a core each, as /proc/cpuinfo
 * has it) with their caches, the node of memory, network interfaces, how big a huge page is.  There are no disks.
 */
#include "libos/net/inet.h"
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

/* ---- Caches, as CPUID tells of them to every program ------------------------------------------------------------- */

struct cache { uint32_t type, level, threads, line, ways, sets; uint64_t size; };

/* False: there is none of this number. */
static bool cache_get(int n, struct cache *out)
{
    uint32_t a, b, c, d, leaf = 4;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(0), "2"(0));
    uint32_t most = a;
    if (b == 0x68747541 || b == 0x6f677948) /* "Auth"enticAMD, "Hygo"nGenuine */
        leaf = 0x8000001d;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(0x80000000), "2"(0));
    if (n < 0 || leaf > (leaf == 4 ? most : a))
        return false;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(leaf), "2"(n));
    *out = (struct cache){.type = a & 31, .level = a >> 5 & 7, .threads = (a >> 14 & 0xfff) + 1, .line = (b & 0xfff) + 1,
                          .ways = (b >> 22) + 1, .sets = c + 1};
    out->size = (uint64_t)out->ways * ((b >> 12 & 0x3ff) + 1) * out->line * out->sets;
    return out->type > 0 && out->type < 4;
}

static void cache_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const char types[][12] = {"", "Data", "Instruction", "Unified"};
    const char *name = node->entry->name;
    struct cache cache;
    if (!cache_get(node->number, &cache))
        return;
    if (!strcmp(name, "type"))
        seq_printf(text, "%s\n", types[cache.type]);
    else if (!strcmp(name, "size"))
        seq_printf(text, "%luK\n", cache.size >> 10);
    else
        seq_printf(text, "%u\n", !strcmp(name, "level") ? cache.level : !strcmp(name, "number_of_sets") ? cache.sets
                           : !strcmp(name, "ways_of_associativity") ? cache.ways
                           : !strcmp(name, "physical_line_partition") ? 1 : cache.line);
}

/* A cache that more than one thread may have is all processors'; of the processor passed, else: its number is in tid. */
static void cache_shared_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct cache cache;
    struct pseudo_node cpu = *node;
    cpu.number = node->tid;
    bool all = cache_get(node->number, &cache) && cache.level > 2 && cache.threads > 1;
    if (!strcmp(node->entry->name, "shared_cpu_list"))
        (all ? cpus_text : cpu_number_text)(text, &cpu);
    else
        (all ? cpu_all_text : cpu_own_text)(text, &cpu);
}

static const struct pseudo_entry one_cache_entries[] = {
    TEXT("coherency_line_size", cache_text), TEXT("level", cache_text), TEXT("number_of_sets", cache_text),
    TEXT("physical_line_partition", cache_text), TEXT("shared_cpu_list", cache_shared_text),
    TEXT("shared_cpu_map", cache_shared_text), TEXT("size", cache_text), TEXT("type", cache_text),
    TEXT("ways_of_associativity", cache_text), {.name = NULL},
};
static const struct pseudo_entry one_cache = {.mode = PSEUDO_DIRECTORY, .children = one_cache_entries};

static bool cache_number(struct pseudo_node *node, int n)
{
    struct cache cache;
    node->entry = &one_cache;
    node->tid = node->number;
    node->number = n;
    return cache_get(n, &cache);
}

static int cache_after(const struct pseudo_node *node, int after)
{
    struct cache cache;
    (void)node;
    return cache_get(after + 1, &cache) ? after + 1 : -1;
}

/* ---- Memory: one node -------------------------------------------------------------------------------------------- */

static void distance_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "10\n");
}

/* As /proc/meminfo has it. */
static void node_memory_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct memory_totals memory = proc_memory_totals();
    (void)node;
    seq_printf(text, "Node 0 MemTotal:       %8lu kB\nNode 0 MemFree:        %8lu kB\nNode 0 MemUsed:        %8lu kB\n",
               memory.total >> 10, memory.left >> 10, (memory.total - memory.left) >> 10);
    seq_printf(text, "Node 0 HugePages_Total:     0\nNode 0 HugePages_Free:      0\nNode 0 HugePages_Surp:      0\n");
}

static const struct pseudo_entry one_node_entries[] = {
    TEXT("cpulist", cpus_text), TEXT("cpumap", cpu_all_text), TEXT("distance", distance_text),
    TEXT("meminfo", node_memory_text), {.name = NULL},
};
static const struct pseudo_entry node_entries[] = {
    TEXT("has_cpu", zero_text), TEXT("has_memory", zero_text), TEXT("has_normal_memory", zero_text),
    PSEUDO_SUBTREE("node0", one_node_entries), TEXT("online", zero_text), TEXT("possible", zero_text), {.name = NULL},
};

/* ---- Network interfaces ------------------------------------------------------------------------------------------ */

static void interface_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    const struct interface *of = interface_at((uint32_t)node->number);
    const char *name = node->entry->name;
    const uint8_t *at = of->hardware;
    bool loopback = of->index == interface_at(0)->index;
    if (!strcmp(name, "address"))
        seq_printf(text, "%02x:%02x:%02x:%02x:%02x:%02x\n", at[0], at[1], at[2], at[3], at[4], at[5]);
    else if (!strcmp(name, "operstate"))
        seq_printf(text, loopback ? "unknown\n" : "up\n");
    else if (!strcmp(name, "flags"))
        seq_printf(text, "0x%x\n", of->flags & ~0x40u); /* running is no flag here */
    else
        seq_printf(text, "%u\n", !strcmp(name, "mtu") ? of->mtu : !strcmp(name, "type") ? of->type
                           : !strcmp(name, "carrier") ? 1u : !strcmp(name, "tx_queue_len") ? 1000u : of->index);
}

static const struct pseudo_entry one_interface_entries[] = {
    TEXT("address", interface_text), TEXT("carrier", interface_text), TEXT("flags", interface_text),
    TEXT("ifindex", interface_text), TEXT("iflink", interface_text), TEXT("mtu", interface_text),
    TEXT("operstate", interface_text), TEXT("tx_queue_len", interface_text), TEXT("type", interface_text), {.name = NULL},
};
static const struct pseudo_entry one_interface = {.mode = PSEUDO_DIRECTORY, .children = one_interface_entries};

static bool interface_child(struct pseudo_node *node, const char *name, size_t size)
{
    for (uint32_t n = 0; interface_at(n); n++) {
        if (strlen(interface_at(n)->name) == size && !memcmp(interface_at(n)->name, name, size)) {
            node->entry = &one_interface;
            node->number = (int)n;
            return true;
        }
    }
    return false;
}

static const char *interface_child_name(const struct pseudo_node *node, int n)
{
    (void)node;
    return interface_at((uint32_t)n) ? interface_at((uint32_t)n)->name : NULL;
}

static const struct pseudo_entry no_entries[] = {{.name = NULL}};
static const struct pseudo_entry dev_entries[] = {
    PSEUDO_SUBTREE("block", no_entries), PSEUDO_SUBTREE("char", no_entries), {.name = NULL},
};
static const struct pseudo_entry class_entries[] = {
    PSEUDO_SUBTREE("block", no_entries),
    {.name = "net", .mode = PSEUDO_DIRECTORY, .named = interface_child, .name_at = interface_child_name},
    {.name = NULL},
};

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

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
    {.name = "cache", .mode = PSEUDO_DIRECTORY, .prefix = "index", .number = cache_number, .number_after = cache_after},
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
    PSEUDO_SUBTREE("node", node_entries),
    {.name = NULL},
};
static const struct pseudo_entry devices_entries[] = {PSEUDO_SUBTREE("system", system_entries), {.name = NULL}};
static const struct pseudo_entry huge_entries[] = {
    TEXT("enabled", huge_text), TEXT("hpage_pmd_size", huge_text), {.name = NULL},
};
static const struct pseudo_entry mm_entries[] = {PSEUDO_SUBTREE("transparent_hugepage", huge_entries), {.name = NULL}};
static const struct pseudo_entry kernel_entries[] = {PSEUDO_SUBTREE("mm", mm_entries), {.name = NULL}};
const struct pseudo_entry sysfs_entries[] = {
    PSEUDO_SUBTREE("block", no_entries), PSEUDO_SUBTREE("class", class_entries),
    PSEUDO_SUBTREE("dev", dev_entries), PSEUDO_SUBTREE("devices", devices_entries), PSEUDO_SUBTREE("kernel", kernel_entries), {.name = NULL},
};
