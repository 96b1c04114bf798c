/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys: what Linux starts with, so far as programs ask for it.  Nobody may change it: it is the administrator's.
 */
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

static void uuid_add(struct seq_buffer *text, uint64_t high, uint64_t low)
{
    high = (high & ~0xf000ull) | 0x4000;                 /* version 4 */
    low = (low & ~(3ull << 62)) | 2ull << 62;            /* the usual variant */
    seq_printf(text, "%08x-%04x-%04x-%04x-%04x%08x\n", (uint32_t)(high >> 32), (uint32_t)(high >> 16 & 0xffff),
               (uint32_t)(high & 0xffff), (uint32_t)(low >> 48), (uint32_t)(low >> 32 & 0xffff), (uint32_t)low);
}

static void uuid_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    uint64_t bits[2] = {0};
    (void)node;
    PAL->random((uint64_t)(uintptr_t)bits, sizeof bits);
    uuid_add(text, bits[0], bits[1]);
}

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* The same in every process of the sandbox, since all share the boot facts; another in the next sandbox. */
static void boot_id_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    uint64_t seed = boot->host_process * 0x9e3779b97f4a7c15ull + (uint64_t)boot->standard[0];
    (void)node;
    uuid_add(text, mix(seed), mix(seed + 1));
}

static void hostname_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    char name[65], domain[65];
    (void)node;
    host_names(name, domain);
    seq_printf(text, "%s\n", name);
}

static void domainname_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    char name[65], domain[65];
    (void)node;
    host_names(name, domain);
    seq_printf(text, "%s\n", domain);
}

struct constant { char name[28], value[40]; };
static const struct constant constants[] = {
    /* fs */
    {"aio-max-nr", "65536\n"},
    {"aio-nr", "0\n"},
    {"file-max", "9223372036854775807\n"},
    {"file-nr", "0\t0\t9223372036854775807\n"},
    {"max_queued_events", "16384\n"},
    {"max_user_instances", "128\n"},
    {"max_user_watches", "65536\n"},
    {"lease-break-time", "45\n"},
    {"nr_open", "1048576\n"},
    {"pipe-max-size", "1048576\n"},
    {"pipe-user-pages-hard", "0\n"},
    {"pipe-user-pages-soft", "16384\n"},
    {"protected_fifos", "1\n"},
    {"protected_hardlinks", "1\n"},
    {"protected_regular", "2\n"},
    {"protected_symlinks", "1\n"},
    {"suid_dumpable", "0\n"},
    {"msg_default", "10\n"},
    {"msg_max", "10\n"},
    {"msgsize_default", "8192\n"},
    {"msgsize_max", "8192\n"},
    {"queues_max", "256\n"},
    /* kernel */
    {"arch", "x86_64\n"},
    {"cap_last_cap", "40\n"},
    {"core_pattern", "core\n"},
    {"core_uses_pid", "0\n"},
    {"dmesg_restrict", "1\n"},
    {"kptr_restrict", "1\n"},
    {"msgmax", "8192\n"},
    {"msgmnb", "16384\n"},
    {"msgmni", "32000\n"},
    {"ngroups_max", "65536\n"},
    {"numa_balancing", "0\n"},
    {"osrelease", KERNEL_RELEASE "\n"},
    {"ostype", "Linux\n"},
    {"overflowgid", "65534\n"},
    {"overflowuid", "65534\n"},
    {"panic", "0\n"},
    {"perf_event_paranoid", "3\n"},
    {"pid_max", "4194304\n"},
    {"printk", "4\t4\t1\t7\n"},
    {"randomize_va_space", "2\n"},
    {"sched_rr_timeslice_ms", "100\n"},
    {"sem", "32000\t1024000000\t500\t32000\n"},
    {"shmall", "18446744073692774399\n"},
    {"shmmax", "18446744073692774399\n"},
    {"shmmni", "4096\n"},
    {"tainted", "0\n"},
    {"threads-max", "127000\n"},
    {"unprivileged_bpf_disabled", "2\n"},
    {"unprivileged_userns_clone", "0\n"},
    {"version", KERNEL_VERSION "\n"},
    {"entropy_avail", "256\n"},
    {"poolsize", "256\n"},
    /* vm */
    {"dirty_background_ratio", "10\n"},
    {"dirty_ratio", "20\n"},
    {"legacy_va_layout", "0\n"},
    {"max_map_count", "65530\n"},
    {"min_free_kbytes", "67584\n"},
    {"mmap_min_addr", "65536\n"},
    {"nr_hugepages", "0\n"},
    {"overcommit_kbytes", "0\n"},
    {"overcommit_memory", "0\n"},
    {"overcommit_ratio", "50\n"},
    {"page-cluster", "3\n"},
    {"swappiness", "60\n"},
    {"unprivileged_userfaultfd", "0\n"},
    {"vfs_cache_pressure", "100\n"},
    /* net */
    {"rmem_default", "212992\n"},
    {"rmem_max", "212992\n"},
    {"somaxconn", "4096\n"},
    {"wmem_default", "212992\n"},
    {"wmem_max", "212992\n"},
    {"max_dgram_qlen", "512\n"},
    {"ip_local_port_range", "32768\t60999\n"},
    /* user: none can be made */
    {"max_cgroup_namespaces", "0\n"},
    {"max_ipc_namespaces", "0\n"},
    {"max_mnt_namespaces", "0\n"},
    {"max_net_namespaces", "0\n"},
    {"max_pid_namespaces", "0\n"},
    {"max_time_namespaces", "0\n"},
    {"max_user_namespaces", "0\n"},
    {"max_uts_namespaces", "0\n"},
};

static void constant_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    for (size_t i = 0; i < COUNT_OF(constants); i++)
        if (!strcmp(constants[i].name, node->entry->name))
            seq_printf(text, "%s", constants[i].value);
}

#define CONSTANT(entry_name) {.name = entry_name, .mode = PSEUDO_TEXT, .text = constant_text}

static const struct pseudo_entry mqueue_entries[] = {
    CONSTANT("msg_default"), CONSTANT("msg_max"), CONSTANT("msgsize_default"), CONSTANT("msgsize_max"),
    CONSTANT("queues_max"),  {.name = NULL},
};
static const struct pseudo_entry inotify_entries[] = {
    CONSTANT("max_queued_events"), CONSTANT("max_user_instances"), CONSTANT("max_user_watches"), {.name = NULL},
};
static const struct pseudo_entry epoll_entries[] = {CONSTANT("max_user_watches"), {.name = NULL}};
static const struct pseudo_entry fs_entries[] = {
    CONSTANT("aio-max-nr"),           CONSTANT("aio-nr"),
    PSEUDO_SUBTREE("epoll", epoll_entries),
    CONSTANT("file-max"),             CONSTANT("file-nr"),
    PSEUDO_SUBTREE("inotify", inotify_entries),
    CONSTANT("lease-break-time"),     PSEUDO_SUBTREE("mqueue", mqueue_entries),
    CONSTANT("nr_open"),              CONSTANT("pipe-max-size"),
    CONSTANT("pipe-user-pages-hard"), CONSTANT("pipe-user-pages-soft"),
    CONSTANT("protected_fifos"),      CONSTANT("protected_hardlinks"),
    CONSTANT("protected_regular"),    CONSTANT("protected_symlinks"),
    CONSTANT("suid_dumpable"),        {.name = NULL},
};
static const struct pseudo_entry random_entries[] = {
    {.name = "boot_id", .mode = PSEUDO_TEXT, .text = boot_id_text},
    CONSTANT("entropy_avail"),
    CONSTANT("poolsize"),
    {.name = "uuid", .mode = PSEUDO_TEXT, .text = uuid_text},
    {.name = NULL},
};
static const struct pseudo_entry kernel_entries[] = {
    CONSTANT("arch"),
    CONSTANT("cap_last_cap"),
    CONSTANT("core_pattern"),
    CONSTANT("core_uses_pid"),
    CONSTANT("dmesg_restrict"),
    {.name = "domainname", .mode = PSEUDO_TEXT, .text = domainname_text},
    {.name = "hostname", .mode = PSEUDO_TEXT, .text = hostname_text},
    CONSTANT("kptr_restrict"),
    CONSTANT("msgmax"),
    CONSTANT("msgmnb"),
    CONSTANT("msgmni"),
    CONSTANT("ngroups_max"),
    CONSTANT("numa_balancing"),
    CONSTANT("osrelease"),
    CONSTANT("ostype"),
    CONSTANT("overflowgid"),
    CONSTANT("overflowuid"),
    CONSTANT("panic"),
    CONSTANT("perf_event_paranoid"),
    CONSTANT("pid_max"),
    CONSTANT("printk"),
    PSEUDO_SUBTREE("random", random_entries),
    CONSTANT("randomize_va_space"),
    CONSTANT("sched_rr_timeslice_ms"),
    CONSTANT("sem"),
    CONSTANT("shmall"),
    CONSTANT("shmmax"),
    CONSTANT("shmmni"),
    CONSTANT("tainted"),
    CONSTANT("threads-max"),
    CONSTANT("unprivileged_bpf_disabled"),
    CONSTANT("unprivileged_userns_clone"),
    CONSTANT("version"),
    {.name = NULL},
};
static const struct pseudo_entry vm_entries[] = {
    CONSTANT("dirty_background_ratio"),   CONSTANT("dirty_ratio"),
    CONSTANT("legacy_va_layout"),         CONSTANT("max_map_count"),
    CONSTANT("min_free_kbytes"),          CONSTANT("mmap_min_addr"),
    CONSTANT("nr_hugepages"),             CONSTANT("overcommit_kbytes"),
    CONSTANT("overcommit_memory"),        CONSTANT("overcommit_ratio"),
    CONSTANT("page-cluster"),             CONSTANT("swappiness"),
    CONSTANT("unprivileged_userfaultfd"), CONSTANT("vfs_cache_pressure"),
    {.name = NULL},
};
static const struct pseudo_entry net_core_entries[] = {
    CONSTANT("rmem_default"), CONSTANT("rmem_max"), CONSTANT("somaxconn"),
    CONSTANT("wmem_default"), CONSTANT("wmem_max"), {.name = NULL},
};
static const struct pseudo_entry net_ipv4_entries[] = {CONSTANT("ip_local_port_range"), {.name = NULL}};
static const struct pseudo_entry user_entries[] = {
    CONSTANT("max_cgroup_namespaces"), CONSTANT("max_ipc_namespaces"),  CONSTANT("max_mnt_namespaces"),
    CONSTANT("max_net_namespaces"),    CONSTANT("max_pid_namespaces"),  CONSTANT("max_time_namespaces"),
    CONSTANT("max_user_namespaces"),   CONSTANT("max_uts_namespaces"),  {.name = NULL},
};
static const struct pseudo_entry net_unix_entries[] = {CONSTANT("max_dgram_qlen"), {.name = NULL}};
static const struct pseudo_entry net_entries[] = {
    PSEUDO_SUBTREE("core", net_core_entries), PSEUDO_SUBTREE("ipv4", net_ipv4_entries), PSEUDO_SUBTREE("unix", net_unix_entries), {.name = NULL},
};
const struct pseudo_entry procsys_entries[] = {
    PSEUDO_SUBTREE("fs", fs_entries), PSEUDO_SUBTREE("kernel", kernel_entries), PSEUDO_SUBTREE("net", net_entries),
    PSEUDO_SUBTREE("user", user_entries), PSEUDO_SUBTREE("vm", vm_entries), {.name = NULL},
};
