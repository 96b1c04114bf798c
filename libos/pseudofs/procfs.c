/* SPDX-License-Identifier: MIT */
/*
 * /proc's files about the whole system.  They describe the sandbox: its limits, the processor as CPUID tells every
 * program, and no more of the host than a program needs.
 */
#include "libos/syscalls.h"
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

#define DEFAULT_MEMORY (8ul << 30) /* what meminfo tells where there is no limit */
#define TICK_NS 10000000ul
#define SECOND_NS 1000000000ul

/* ---- cpuinfo ----------------------------------------------------------------------------------------------------- */

struct cpuid { uint32_t a, b, c, d; };

static struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid out;
    __asm__ volatile("cpuid" : "=a"(out.a), "=b"(out.b), "=c"(out.c), "=d"(out.d) : "0"(leaf), "2"(0));
    return out;
}

/* Names of the bits of a feature word, from bit 0; "-" has none. */
static const char leaf1_edx[] =
    "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx "
    "fxsr sse sse2 ss ht tm ia64 pbe";
static const char leaf1_ecx[] =
    "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca "
    "sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor";
static const char leaf7_ebx[] =
    "fsgsbase tsc_adjust - bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq "
    "rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw "
    "avx512vl";
static const char leaf7_ecx[] =
    "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg "
    "tme avx512_vpopcntdq - la57";
static const char extended_edx[] =
    "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext "
    "3dnow";
static const char extended_ecx[] =
    "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit "
    "wdt - lwp fma4";

static void add_flags(struct seq_buffer *text, uint32_t bits, const char *names)
{
    while (*names) {
        int size = 0;
        while (names[size] && names[size] != ' ')
            size++;
        if (bits & 1 && names[0] != '-')
            seq_printf(text, " %.*s", size, names);
        bits >>= 1;
        names += size;
        while (*names == ' ')
            names++;
    }
}

static void processor_text(struct seq_buffer *text, uint64_t n, const struct cpuid *vendor, const struct cpuid *version,
                           const char *model_name)
{
    uint32_t family = version->a >> 8 & 15, model = version->a >> 4 & 15;
    if (family == 6 || family == 15)
        model |= version->a >> 12 & 0xf0;
    if (family == 15)
        family += version->a >> 20 & 255;
    seq_printf(text, "processor\t: %lu\nvendor_id\t: %.4s%.4s%.4s\ncpu family\t: %u\nmodel\t\t: %u\n", n,
               (const char *)&vendor->b, (const char *)&vendor->d, (const char *)&vendor->c, family, model);
    seq_printf(text,
               "model name\t: %s\nstepping\t: %u\nmicrocode\t: 0x1\ncpu MHz\t\t: 2000.000\ncache size\t: 1024 KB\n",
               model_name, version->a & 15);
    seq_printf(text, "physical id\t: 0\nsiblings\t: %lu\ncore id\t\t: %lu\ncpu cores\t: %lu\napicid\t\t: %lu\n",
               boot->cpu_count, n, boot->cpu_count, n);
    seq_printf(text, "initial apicid\t: %lu\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n", n,
               vendor->a);
    seq_printf(text, "flags\t\t:");
}

static void cpuinfo_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    struct cpuid vendor = cpuid(0), version = cpuid(1), extended = cpuid(0x80000000);
    struct cpuid seven = vendor.a >= 7 ? cpuid(7) : (struct cpuid){0};
    struct cpuid more = extended.a >= 0x80000001 ? cpuid(0x80000001) : (struct cpuid){0};
    struct cpuid size = extended.a >= 0x80000008 ? cpuid(0x80000008) : (struct cpuid){.a = 48 << 8 | 40};
    struct cpuid brand[4] = {0};
    for (uint32_t i = 0; i < 3 && extended.a >= 0x80000004; i++)
        brand[i] = cpuid(0x80000002 + i);
    const char *model_name = (const char *)brand;
    while (*model_name == ' ')
        model_name++;
    for (uint64_t n = 0; n < boot->cpu_count; n++) {
        processor_text(text, n, &vendor, &version, *model_name ? model_name : "unknown");
        add_flags(text, version.d, leaf1_edx);
        add_flags(text, more.d, extended_edx);
        add_flags(text, version.c, leaf1_ecx);
        add_flags(text, more.c, extended_ecx);
        add_flags(text, seven.b, leaf7_ebx);
        add_flags(text, seven.c, leaf7_ecx);
        seq_printf(text, "\nbugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: 64\ncache_alignment\t: 64\n"
                       "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
                 size.a & 255, size.a >> 8 & 255);
    }
}

/* ---- Counters ---------------------------------------------------------------------------------------------------- */

struct memory_totals proc_memory_totals(void)
{
    struct mm_facts mm;
    uint64_t total = boot->memory_limit == UINT64_MAX ? DEFAULT_MEMORY : boot->memory_limit;
    mm_facts_get(&mm); /* address space is not memory */
    return (struct memory_totals){total, mm.total_bytes < total / 2 ? total - mm.total_bytes : total / 2};
}

static void meminfo_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct memory_totals memory = proc_memory_totals();
    uint64_t total = memory.total, left = memory.left, used = total - left;
    (void)node;
    const struct { char name[18]; uint64_t bytes; } rows[] = {
        {"MemTotal:", total}, {"MemFree:", left}, {"MemAvailable:", left}, {"Buffers:", 0}, {"Cached:", 0},
        {"SwapCached:", 0}, {"Active:", used}, {"Inactive:", 0}, {"Active(anon):", used}, {"Inactive(anon):", 0},
        {"Active(file):", 0}, {"Inactive(file):", 0}, {"Unevictable:", 0}, {"Mlocked:", 0}, {"SwapTotal:", 0},
        {"SwapFree:", 0}, {"Dirty:", 0}, {"Writeback:", 0}, {"AnonPages:", used}, {"Mapped:", 0}, {"Shmem:", 0},
        {"KReclaimable:", 0}, {"Slab:", 0}, {"SReclaimable:", 0}, {"SUnreclaim:", 0}, {"KernelStack:", 0},
        {"PageTables:", 0}, {"NFS_Unstable:", 0}, {"Bounce:", 0}, {"WritebackTmp:", 0}, {"CommitLimit:", total},
        {"Committed_AS:", used},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        seq_printf(text, "%-16s%8lu kB\n", rows[i].name, rows[i].bytes >> 10);
    seq_printf(text, "VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\n"
                   "Percpu:                0 kB\nAnonHugePages:         0 kB\nHugePages_Total:       0\n"
                   "HugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n"
                   "Hugepagesize:       2048 kB\nHugetlb:               0 kB\n");
}

static void stat_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    uint64_t up = time_now(PAL_CLOCK_BOOT), cpus = boot->cpu_count;
    (void)node;
    seq_printf(text, "cpu  0 0 0 %lu 0 0 0 0 0 0\n", up / TICK_NS * cpus);
    for (uint64_t n = 0; n < cpus; n++)
        seq_printf(text, "cpu%lu 0 0 0 %lu 0 0 0 0 0 0\n", n, up / TICK_NS);
    seq_printf(text, "intr 0\nctxt 0\nbtime %lu\nprocesses %d\nprocs_running 1\nprocs_blocked 0\n",
               (time_now(PAL_CLOCK_REALTIME) - up) / SECOND_NS, (int)process_count());
}

static void uptime_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    uint64_t up = time_now(PAL_CLOCK_BOOT) / TICK_NS, idle = up * boot->cpu_count;
    (void)node;
    seq_printf(text, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100, idle % 100);
}

static void loadavg_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    int count = (int)process_count();
    (void)node;
    seq_printf(text, "0.00 0.00 0.00 1/%d %d\n", count, current_process()->pid);
}

static void version_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "Linux version %s (pal-run) %s\n", KERNEL_RELEASE, KERNEL_VERSION);
}

static const char *const filesystem_types[] = {"sysfs", "tmpfs", "proc", "devtmpfs", "ext4"}; /* the last: on a device */

static void filesystems_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    for (uint32_t i = 0; i < COUNT_OF(filesystem_types); i++)
        seq_printf(text, "%s\t%s\n", i + 1 < COUNT_OF(filesystem_types) ? "nodev" : "", filesystem_types[i]);
}

/* sysfs(2): the types by number and by name. */
int64_t sys_sysfs(int32_t option, uint64_t first, guest_t buffer)
{
    enum { INDEX = 1, NAME = 2, COUNT = 3 };
    char name[64];
    if (option == COUNT)
        return COUNT_OF(filesystem_types);
    if (option == NAME && first < COUNT_OF(filesystem_types))
        return copy_out(buffer, filesystem_types[first], strlen(filesystem_types[first]) + 1);
    if (option != INDEX)
        return -EINVAL;
    int64_t size = copy_in_string(name, first, sizeof name);
    for (uint32_t i = 0; size >= 0 && i < COUNT_OF(filesystem_types); i++)
        if (!strcmp(filesystem_types[i], name))
            return i;
    return size == -EFAULT ? -EFAULT : -EINVAL;
}

/* Of memory, in pages, and of what has been moved: nothing by the sandbox. */
static void vmstat_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const char names[][16] = {"pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill"};
    (void)node;
    seq_printf(text, "nr_free_pages %lu\n", proc_memory_totals().left >> 12);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        seq_printf(text, "%s 0\n", names[i]);
}

/* Devices by the numbers that /dev has. */
static void devices_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
}

/* By processor: no interrupt is the sandbox's. */
static void processors_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const char names[][10] = {"HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER",
                                     "RCU"};
    bool soft = !strcmp(node->entry->name, "softirqs");
    seq_printf(text, soft ? "                    " : "           ");
    for (uint64_t n = 0; n < boot->cpu_count; n++)
        seq_printf(text, "CPU%-8lu", n);
    seq_printf(text, "\n");
    for (size_t i = 0; soft && i < COUNT_OF(names); i++) {
        seq_printf(text, "%12s:", names[i]);
        for (uint64_t n = 0; n < boot->cpu_count; n++)
            seq_printf(text, " %10u", 0);
        seq_printf(text, "\n");
    }
}

/* Of waiting for what others use: nobody tells the sandbox. */
static void pressure_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
}

static const struct pseudo_entry pressure_entries[] = {
    {.name = "cpu", .mode = PSEUDO_TEXT, .text = pressure_text},
    {.name = "io", .mode = PSEUDO_TEXT, .text = pressure_text},
    {.name = "memory", .mode = PSEUDO_TEXT, .text = pressure_text},
    {.name = NULL},
};

/* There are none of these: only what stands above them. */
static void heading_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const struct { char name[12], line[64]; } rows[] = {
        {"diskstats", ""},
        {"misc", ""},
        {"cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"},
        {"cmdline", "\n"},
        {"partitions", "major minor  #blocks  name\n\n"},
        {"swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!strcmp(rows[i].name, node->entry->name))
            seq_printf(text, "%s", rows[i].line);
}

/* ---- Links and tables -------------------------------------------------------------------------------------------- */

static int64_t mounts_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "self/mounts");
}

static int64_t self_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "%d", current_process()->pid);
}

static int64_t thread_self_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "%d/task/%d", current_process()->pid, current()->tid);
}


static int64_t net_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    (void)node;
    return link_text(out, "self/net");
}

const struct pseudo_entry procfs_entries[] = {
    {.name = "cgroups", .mode = PSEUDO_TEXT, .text = heading_text},
    {.name = "cmdline", .mode = PSEUDO_TEXT, .text = heading_text},
    {.name = "cpuinfo", .mode = PSEUDO_TEXT, .text = cpuinfo_text},
    {.name = "devices", .mode = PSEUDO_TEXT, .text = devices_text},
    {.name = "diskstats", .mode = PSEUDO_TEXT, .text = heading_text},
    {.name = "filesystems", .mode = PSEUDO_TEXT, .text = filesystems_text},
    {.name = "interrupts", .mode = PSEUDO_TEXT, .text = processors_text},
    {.name = "loadavg", .mode = PSEUDO_TEXT, .text = loadavg_text},
    {.name = "meminfo", .mode = PSEUDO_TEXT, .text = meminfo_text},
    {.name = "misc", .mode = PSEUDO_TEXT, .text = heading_text},
    {.name = "mounts", .mode = PSEUDO_LINK, .link = mounts_link},
    {.name = "net", .mode = PSEUDO_LINK, .link = net_link},
    {.name = "partitions", .mode = PSEUDO_TEXT, .text = heading_text},
    PSEUDO_SUBTREE("pressure", pressure_entries),
    {.name = "self", .mode = PSEUDO_LINK, .link = self_link},
    {.name = "softirqs", .mode = PSEUDO_TEXT, .text = processors_text},
    {.name = "stat", .mode = PSEUDO_TEXT, .text = stat_text},
    {.name = "swaps", .mode = PSEUDO_TEXT, .text = heading_text},
    PSEUDO_SUBTREE("sys", procsys_entries),
    PSEUDO_SUBTREE("sysvipc", procipc_entries),
    {.name = "thread-self", .mode = PSEUDO_LINK, .link = thread_self_link},
    {.name = "uptime", .mode = PSEUDO_TEXT, .text = uptime_text},
    {.name = "version", .mode = PSEUDO_TEXT, .text = version_text},
    {.name = "vmstat", .mode = PSEUDO_TEXT, .text = vmstat_text},
    {.name = "pal", .mode = PSEUDO_DIRECTORY, .children = procpal_entries, .snapshots = true},
    {.name = NULL},
};
