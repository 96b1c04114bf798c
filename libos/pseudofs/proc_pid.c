/* SPDX-License-Identifier: MIT */
/*
 * /proc/N: one process as proc(5) shows it.  The process that asks sees everything of itself; of the sandbox's others,
 * what the shared table knows.
 */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/table.h"
#include "libos/task/task.h"
#include "libos/tty/tty.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define TICK_NS 10000000ul /* USER_HZ = 100 */
#define ALL_CAPABILITIES ((1ul << (CAP_LAST + 1)) - 1)
#define PAGES(bytes) ((bytes) >> 12)

/* ---- Facts ------------------------------------------------------------------------------------------------------- */

struct thread_facts {
    char name[16];
    sigset_t blocked, pending;
    uint64_t host_id;
};

bool proc_is_self(const struct pseudo_node *node)
{
    return node->pid == current_process()->pid;
}

/* A thread of the calling process; tid 0 or its pid is the process's first. */
static bool thread_facts(int tid, struct thread_facts *out)
{
    struct process *process = current_process();
    if (!tid)
        tid = process->pid;
    mutex_lock(&process->lock);
    const struct thread *thread = thread_find(process, tid);
    if (thread) {
        memcpy(out->name, thread->name, sizeof out->name);
        out->blocked = thread->blocked;
        out->pending = thread->pending;
        out->host_id = thread->host_id ? thread->host_id : process_host_id();
    }
    mutex_unlock(&process->lock);
    return thread;
}

static int thread_after(const struct pseudo_node *node, int after)
{
    struct process *process = current_process();
    int tid = after < 0 ? 0 : after;
    bool found = false;
    (void)node;
    mutex_lock(&process->lock);
    while (!found && (tid = shared_id_after(tid)) > 0)
        found = thread_find(process, tid);
    mutex_unlock(&process->lock);
    return found ? tid : -1;
}

/* ---- comm, stat, status, statm ----------------------------------------------------------------------------------- */

void proc_name_of(const struct pseudo_node *node, char out[16])
{
    struct thread_facts thread = {.name = ""};
    struct process_facts other;
    if (proc_is_self(node))
        thread_facts(node->tid, &thread);
    else if (process_facts(node->pid, &other))
        memcpy(thread.name, other.name, sizeof thread.name);
    memcpy(out, thread.name, 16);
    out[15] = 0;
}

static void comm_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    char name[16];
    proc_name_of(node, name);
    seq_printf(text, "%s\n", name);
}

static int64_t comm_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    struct process *process = current_process();
    int tid = node->tid ? node->tid : process->pid;
    int64_t result = -ESRCH;
    if (!proc_is_self(node))
        return -EINVAL;
    mutex_lock(&process->lock);
    struct thread *thread = thread_find(process, tid);
    if (thread) {
        memset(thread->name, 0, sizeof thread->name);
        memcpy(thread->name, bytes, MIN(strnlen(bytes, size), sizeof thread->name - 1));
        result = 0;
    }
    mutex_unlock(&process->lock);
    return result;
}

/* What the host says of the process: asked now, or before by the process that asks us. */
struct pal_child proc_look(const struct pseudo_node *node)
{
    struct pal_child look = {.status = 'R'};
    if (node->look)
        look = *node->look;
    else if (proc_is_self(node))
        PAL->process_wait(process_host_id(), PAL_WAIT_LOOK, &look);
    return look;
}

/* Of the thread, where the place is one's; as the host sees it while the process is not looked at by itself. */
static char state_of(const struct pseudo_node *node, const struct process_facts *facts, const struct pal_child *look)
{
    struct thread_facts thread;
    struct pal_child other;
    bool stopped;
    if (facts->state != 'Z' && trace_tracer(node->tid ? node->tid : node->pid, &stopped) && stopped)
        return 't';
    if (facts->state != 'R')
        return facts->state;
    if (!proc_is_self(node))
        return node->look ? (char)look->status : 'S';
    int tid = node->tid ? node->tid : node->pid;
    if (tid == current()->tid || !thread_facts(tid, &thread) || tid == node->pid)
        return node->look ? (char)look->status : tid == current()->tid ? 'R' : 'S';
    return PAL->process_wait(thread.host_id, PAL_WAIT_LOOK, &other) == 1 ? (char)other.status : 'S';
}

static void stat_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct process_facts facts = {0};
    struct mm_facts mm = {0};
    struct memory_facts memory = {0};
    struct signal_masks signals = {0};
    struct thread_facts thread = {0};
    char name[16];
    if (!process_facts(node->pid, &facts))
        return;
    proc_name_of(node, name);
    struct pal_child look = proc_look(node);
    if (facts.state == 'Z')
        look.used = facts.used;
    uint64_t resident = look.memory.anonymous + look.memory.file + look.memory.shared;
    if (proc_is_self(node)) {
        facts.threads = current_process()->thread_count;
        mm_facts_get(&mm);
        memory = proc_memory_facts();
        signal_masks_get(&signals);
        thread_facts(node->tid, &thread);
        if (!node->look)
            cpu_times(false, &look.used.user_ns, &look.used.system_ns);
    }
    const struct shared_terminal *terminal = tty_of_session((uint32_t)facts.session);
    seq_printf(text, "%d (%s) %c %d %d %d %u %d 4194304 %lu %lu %lu %lu %lu %lu %lu %lu %d %d %u 0 %lu %lu %lu "
               "18446744073709551615 ",
               node->tid ? node->tid : node->pid, name, state_of(node, &facts, &look), facts.parent, facts.group,
               facts.session, terminal ? terminal->device : 0, terminal ? (int)terminal->group : -1,
               look.used.minor_faults, facts.children.minor_faults, look.used.major_faults, facts.children.major_faults,
               look.used.user_ns / TICK_NS, look.used.system_ns / TICK_NS, facts.children.user_ns / TICK_NS,
               facts.children.system_ns / TICK_NS, 20 + facts.nice, facts.nice, facts.threads, facts.start_ns / TICK_NS,
               memory.total, PAGES(resident));
    /* Signal sets are cut to 31 bits: this file is older than real-time signals. */
    seq_printf(text, "%lu %lu %lu 0 0 %lu %lu %lu %lu 0 0 0 17 0 0 0 0 0 0 %lu %lu %lu %lu %lu %lu %lu 0\n",
               mm.code_start, mm.code_end, mm.stack_top, (signals.pending | signals.shared_pending) & 0x7fffffff,
               thread.blocked & 0x7fffffff, signals.ignored & 0x7fffffff, signals.caught & 0x7fffffff, mm.code_end,
               mm.brk_start, mm.brk_start, mm.arg_start, mm.arg_end, mm.env_start, mm.env_end);
}

static void status_ids(struct seq_buffer *text, const struct pseudo_node *node, const struct process_facts *facts)
{
    const struct process *self = current_process();
    if (!proc_is_self(node)) {
        seq_printf(text, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", facts->uid, facts->uid, facts->uid, facts->uid,
                   facts->gid, facts->gid, facts->gid, facts->gid);
        return;
    }
    seq_printf(text, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", self->uid, self->euid, self->suid, self->fsuid,
               self->gid, self->egid, self->sgid, self->fsgid);
    seq_printf(text, "FDSize:\t%d\nGroups:\t", MAX(64, files_highest(self->files) + 1));
    const struct groups *groups = atomic_get(&self->groups);
    for (uint32_t i = 0; groups && i < groups->count; i++)
        seq_printf(text, i ? " %u" : "%u", groups->ids[i]);
    seq_printf(text, " \nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", facts->pid,
               node->tid ? node->tid : facts->pid, facts->group, facts->session);
}

static void status_signals(struct seq_buffer *text, const struct thread_facts *thread)
{
    struct signal_masks signals;
    signal_masks_get(&signals);
    seq_printf(text, "SigQ:\t0/16384\nSigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\n", thread->pending,
               signals.shared_pending, thread->blocked);
    seq_printf(text, "SigIgn:\t%016lx\nSigCgt:\t%016lx\n", signals.ignored, signals.caught);
}

/* Those that it may use. */
static void status_processors(struct seq_buffer *text)
{
    struct shared_settings copy;
    const uint64_t *mask = settings_of(current_process()->shared, &copy)->affinity;
    uint32_t words = (uint32_t)MIN((boot->cpu_count + 31) / 32, 2 * AFFINITY_WORDS), cpus = words * 32;
    seq_printf(text, "Cpus_allowed:\t");
    for (uint32_t word = words; word-- > 0;)
        seq_printf(text, words > 1 ? "%08x%s" : "%x%s", (uint32_t)(mask[word / 2] >> word % 2 * 32), word ? "," : "\n");
    seq_printf(text, "Cpus_allowed_list:\t");
    const char *comma = "";
    for (uint32_t cpu = 0, end; cpu < cpus; cpu = end + 1) {
        for (end = cpu; end < cpus && mask[end / 64] >> end % 64 & 1; end++)
            ;
        if (end - cpu > 1)
            seq_printf(text, "%s%u-%u", comma, cpu, end - 1);
        else if (end > cpu)
            seq_printf(text, "%s%u", comma, cpu);
        comma = end > cpu ? "," : comma;
    }
    seq_printf(text, "\n");
}

static void status_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const char states[][20] = {"R (running)", "S (sleeping)", "D (disk sleep)", "T (stopped)", "t (tracing stop)", "Z (zombie)"};
    struct process_facts facts = {0};
    struct thread_facts thread = {0};
    char name[16], state[20] = "S (sleeping)";
    bool stopped;
    if (!process_facts(node->pid, &facts))
        return;
    proc_name_of(node, name);
    struct pal_child look = proc_look(node);
    if (proc_is_self(node)) {
        facts.threads = current_process()->thread_count;
        thread_facts(node->tid, &thread);
    }
    facts.state = state_of(node, &facts, &look);
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (states[i][0] == facts.state)
            memcpy(state, states[i], sizeof state);
    seq_printf(text, "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n",
               name, fs_umask(current_process()->fs), state, facts.pid, node->tid ? node->tid : facts.pid,
               facts.parent, trace_tracer(node->tid ? node->tid : facts.pid, &stopped));
    status_ids(text, node, &facts);
    if (proc_is_self(node))
        proc_status_memory(text, &look);
    seq_printf(text, "Threads:\t%u\n", facts.threads);
    if (proc_is_self(node))
        status_signals(text, &thread);
    struct capability_sets sets = capabilities_get(current_process()); /* of one that does not answer: by its user */
    if (!proc_is_self(node))
        sets = (struct capability_sets){facts.uid ? 0 : ALL_CAPABILITIES, facts.uid ? 0 : ALL_CAPABILITIES, 0,
                                        ALL_CAPABILITIES, 0};
    seq_printf(text, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
               sets.inheritable, sets.permitted, sets.effective, sets.bounding, sets.ambient);
    seq_printf(text, "NoNewPrivs:\t%u\nSeccomp:\t0\nSeccomp_filters:\t0\n",
               proc_is_self(node) ? settings()->no_new_privileges : 0);
    status_processors(text);
    seq_printf(text, "Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%lu\n"
                   "nonvoluntary_ctxt_switches:\t%lu\n",
             look.used.voluntary_switches, look.used.involuntary_switches);
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

static void limits_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const struct { char name[26], unit[12]; } rows[] = {
        {"Max cpu time", "seconds"},        {"Max file size", "bytes"},       {"Max data size", "bytes"},
        {"Max stack size", "bytes"},        {"Max core file size", "bytes"},  {"Max resident set", "bytes"},
        {"Max processes", "processes"},     {"Max open files", "files"},      {"Max locked memory", "bytes"},
        {"Max address space", "bytes"},     {"Max file locks", "locks"},      {"Max pending signals", "signals"},
        {"Max msgqueue size", "bytes"},     {"Max nice priority", ""},        {"Max realtime priority", ""},
        {"Max realtime timeout", "us"},
    };
    (void)node;
    seq_printf(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t limits[2];
        seq_printf(text, "%-25s", rows[i].name);
        limit_get(i, &limits[0], &limits[1]);
        for (int k = 0; k < 2; k++) {
            if (limits[k] == UINT64_MAX)
                seq_printf(text, " %-20s", "unlimited");
            else
                seq_printf(text, " %-20lu", limits[k]);
        }
        seq_printf(text, *rows[i].unit ? " %-10s\n" : " %s\n", rows[i].unit);
    }
}

static int oom_score_adjustment; /* recorded only: there is nobody to obey it */

static void oom_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    bool adjustment = !strcmp(node->entry->name, "oom_score_adj");
    seq_printf(text, "%d\n", adjustment ? atomic_get(&oom_score_adjustment) : 0);
}

static int64_t oom_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    int sign = bytes[0] == '-' ? -1 : 1, n = 0;
    size_t i = bytes[0] == '-' ? 1 : 0;
    (void)node;
    if (i == size || bytes[i] == '\n')
        return -EINVAL;
    for (; i < size && bytes[i] != '\n'; i++) {
        if (bytes[i] < '0' || bytes[i] > '9' || n > 1000)
            return -EINVAL;
        n = n * 10 + (bytes[i] - '0');
    }
    if (n > 1000)
        return -EINVAL;
    if (sign * n < atomic_get(&oom_score_adjustment) && current_process()->euid)
        return -EACCES;
    atomic_set(&oom_score_adjustment, sign * n);
    return 0;
}

static void personality_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "%08x\n", settings()->persona);
}

static void timer_slack_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "%lu\n", settings()->timer_slack);
}

static void fixed_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    static const struct { char name[16], value[40]; } rows[] = {
        {"cgroup", "0::/\n"}, {"cpuset", "/\n"}, {"wchan", "0"},
        {"gid_map", "         0          0 4294967295\n"}, {"loginuid", "4294967295"}, {"oom_adj", "0\n"},
        {"projid_map", "         0          0 4294967295\n"}, {"sessionid", "4294967295"}, {"setgroups", "allow\n"}, {"syscall", "running\n"},
        {"uid_map", "         0          0 4294967295\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!strncmp(rows[i].name, node->entry->name, sizeof rows[i].name))
            seq_printf(text, "%s", rows[i].value);
}

/* A number as the kernel's own parser takes one: decimal, 0x or octal, perhaps a newline behind it. */
static bool parse_unsigned(const char *bytes, size_t size, uint64_t *out)
{
    uint64_t n = 0, base = 10;
    size_t i = 0;
    if (size > 1 && bytes[0] == '0') {
        base = (bytes[1] | 32) == 'x' ? 16 : 8;
        i = base == 16 ? 2 : 1;
    }
    size_t digits = base == 8 ? 1 : 0;
    for (; i < size && bytes[i] != '\n' && bytes[i]; i++, digits++) {
        int c = bytes[i] | 32;
        uint64_t digit = c >= '0' && c <= '9' ? (uint64_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10) : 99;
        if (digit >= base || n > (UINT64_MAX - digit) / base)
            return false;
        n = n * base + digit;
    }
    *out = n;
    return digits;
}

static int64_t timer_slack_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    uint64_t slack;
    (void)node;
    if (!parse_unsigned(bytes, size, &slack))
        return -EINVAL;
    settings()->timer_slack = slack ? slack : settings()->timer_slack_default;
    return 0;
}

static uint32_t coredump_filter = 0x33; /* recorded only: no core is written */

static void coredump_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "%08x\n", atomic_get(&coredump_filter));
}

static int64_t coredump_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    uint64_t filter;
    (void)node;
    if (!parse_unsigned(bytes, size, &filter))
        return -EINVAL;
    atomic_set(&coredump_filter, (uint32_t)filter & 0x1ff);
    return 0;
}

/* For how long it has run, and how often it was let; how long it had to wait is not known. */
static void schedstat_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct pal_child look = proc_look(node);
    if (proc_is_self(node) && !node->look)
        cpu_times(false, &look.used.user_ns, &look.used.system_ns);
    seq_printf(text, "%lu 0 %lu\n", look.used.user_ns + look.used.system_ns,
               look.used.voluntary_switches + look.used.involuntary_switches);
}

/* All children are the first thread's: which one has made them is not kept. */
static void children_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    struct process_facts facts;
    for (int pid = 0; node->tid == node->pid && (pid = process_after(pid)) > 0;)
        if (process_facts(pid, &facts) && facts.parent == node->pid)
            seq_printf(text, "%d ", pid);
}

/* ---- Namespaces -------------------------------------------------------------------------------------------------- */

/* The sandbox's, by the numbers that Linux's first ones have: there are no others. */
static const struct namespace { char name[20]; uint32_t inode, type; } namespaces[] = {
    {"cgroup", 4026531835u, 0x02000000}, {"ipc", 4026531839u, 0x08000000}, {"mnt", 4026531841u, 0x00020000},
    {"net", 4026531840u, 0x40000000}, {"pid", 4026531836u, 0x20000000}, {"pid_for_children", 4026531836u, 0x20000000},
    {"time", 4026531834u, 0x80}, {"time_for_children", 4026531834u, 0x80}, {"user", 4026531837u, 0x10000000},
    {"uts", 4026531838u, 0x04000000},
};
enum { NS_USER = 8 };

static const struct namespace *namespace_of(const struct pseudo_node *node)
{
    for (size_t i = 0; i < COUNT_OF(namespaces); i++)
        if (!strcmp(namespaces[i].name, node->entry->name))
            return &namespaces[i];
    return NULL;
}

/* "pid_for_children" is one of kind "pid". */
static int64_t namespace_text(const struct namespace *of, struct pal_path_buffer *out)
{
    int kind = 0;
    while (of->name[kind] && of->name[kind] != '_')
        kind++;
    return link_text(out, "%.*s:[%lu]", kind, of->name, (uint64_t)of->inode);
}

static int64_t ns_link(const struct pseudo_node *node, struct pal_path_buffer *out)
{
    return namespace_text(namespace_of(node), out);
}

static int64_t ns_attributes(struct file *file, struct pal_attributes *out)
{
    memset(out, 0, sizeof *out);
    out->device = 4;
    out->inode = namespaces[file->private].inode;
    out->mode = 0444;
    out->links = 1;
    out->type = PAL_TYPE_FILE;
    out->block_size = 4096;
    return 0;
}

static int64_t ns_control(struct file *file, uint32_t request, guest_t argument);
static const struct file_ops ns_ops = {
    .kind = "namespace", .attributes = ns_attributes, .seek = anonymous_seek, .control = ns_control,
};

static struct file *ns_file(const struct namespace *of)
{
    struct pal_path_buffer *name = alloc(sizeof *name);
    struct file *file = name && !namespace_text(of, name) ? file_new(&ns_ops, PAL_NO_HANDLE, O_RDONLY) : NULL;
    if (file) {
        file->private = (uint64_t)(of - namespaces);
        file->type = PAL_TYPE_FILE;
        file->path = alloc_copy(name->bytes, name->size + 1u);
    }
    release(name);
    return file;
}

static struct file *ns_target(const struct pseudo_node *node)
{
    return ns_file(namespace_of(node));
}

/* ioctl_ns(2).  What is above the first ones nobody may see. */
static int64_t ns_control(struct file *file, uint32_t request, guest_t argument)
{
    enum { GET_USERNS = 0xb701, GET_PARENT, GET_NSTYPE, GET_OWNER_UID };
    bool user = file->private == NS_USER;
    switch (request) {
    case GET_USERNS: {
        struct file *owner = user ? NULL : ns_file(&namespaces[NS_USER]);
        return user ? -EPERM : owner ? fd_install(owner, O_CLOEXEC, 0) : -ENOMEM;
    }
    case GET_PARENT:
        return user || namespaces[file->private].type == 0x20000000 ? -EPERM : -EINVAL;
    case GET_NSTYPE:
        return namespaces[file->private].type;
    case GET_OWNER_UID:
        return user ? guest_store32(argument, 0) : -EINVAL;
    default:
        return -ENOTTY;
    }
}

int64_t proc_enter(const struct file *file)
{
    bool entered = file->private == NS_USER; /* nobody enters the user namespace that it is in */
    return file->ops != &ns_ops || entered ? -EINVAL : -EPERM;
}

#define NAMESPACE(entry_name) {.name = entry_name, .mode = PSEUDO_LINK, .link = ns_link, .target = ns_target}
static const struct pseudo_entry ns_entries[] = {
    NAMESPACE("cgroup"), NAMESPACE("ipc"), NAMESPACE("mnt"), NAMESPACE("net"), NAMESPACE("pid"),
    NAMESPACE("pid_for_children"), NAMESPACE("time"), NAMESPACE("time_for_children"), NAMESPACE("user"), NAMESPACE("uts"),
    {.name = NULL},
};

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

#define FD_DIRECTORIES                                                                                                 \
    {.name = "fd", .asked = true, .mode = S_IFDIR | 0500, .number = proc_fd_number, .number_after = proc_fd_after},                   \
    {.name = "fdinfo", .asked = true, .mode = PSEUDO_DIRECTORY, .number = proc_fdinfo_number, .number_after = proc_fd_after}
#define COMMON_ENTRIES                                                                                                 \
    {.name = "auxv", .asked = true, .mode = S_IFREG | 0400, .text = proc_auxv_text},                                                  \
    {.name = "cgroup", .mode = PSEUDO_TEXT, .text = fixed_text},                                                          \
    {.name = "cmdline", .asked = true, .known = true, .mode = PSEUDO_TEXT, .text = proc_cmdline_text},                                                  \
    {.name = "comm", .asked = true, .known = true, .mode = S_IFREG | 0644, .text = comm_text, .store = comm_store},                                  \
    {.name = "coredump_filter", .asked = true, .mode = S_IFREG | 0644, .text = coredump_text, .store = coredump_store},                                                 \
    {.name = "cpuset", .mode = PSEUDO_TEXT, .text = fixed_text},                                                          \
    {.name = "cwd", .asked = true, .mode = PSEUDO_LINK, .link = proc_cwd_link, .target = proc_cwd_target},                                                          \
    {.name = "environ", .asked = true, .mode = S_IFREG | 0400, .text = proc_environ_text},                                            \
    {.name = "exe", .asked = true, .mode = PSEUDO_LINK, .link = proc_exe_link, .target = proc_exe_target},                                                          \
    {.name = "gid_map", .mode = PSEUDO_TEXT, .text = fixed_text},                                                         \
    {.name = "limits", .asked = true, .mode = PSEUDO_TEXT, .text = limits_text},                                                         \
    {.name = "loginuid", .mode = PSEUDO_TEXT, .text = fixed_text},                                                        \
    {.name = "maps", .asked = true, .mode = PSEUDO_TEXT, .text = proc_maps_text},                                                        \
    {.name = "mem", .mode = S_IFREG | 0600, .ops = &proc_mem_ops},                                                        \
    {.name = "mountinfo", .mode = PSEUDO_TEXT, .text = proc_mounts_text},                                                 \
    {.name = "mounts", .mode = PSEUDO_TEXT, .text = proc_mounts_text},                                                    \
    {.name = "mountstats", .mode = S_IFREG | 0400, .text = proc_mounts_text},                                             \
    PSEUDO_SUBTREE("net", procnet_entries),                                                                                \
    {.name = "ns", .mode = S_IFDIR | 0511, .children = ns_entries},                                                        \
    {.name = "oom_score", .asked = true, .mode = PSEUDO_TEXT, .text = oom_text},                                                         \
    {.name = "oom_score_adj", .asked = true, .mode = S_IFREG | 0644, .text = oom_text, .store = oom_store},                           \
    {.name = "oom_adj", .mode = PSEUDO_TEXT, .text = fixed_text},                                                         \
    {.name = "personality", .asked = true, .mode = S_IFREG | 0400, .text = personality_text},                                         \
    {.name = "projid_map", .mode = PSEUDO_TEXT, .text = fixed_text},                                                      \
    {.name = "root", .asked = true, .mode = PSEUDO_LINK, .link = proc_root_link},                                                        \
    {.name = "schedstat", .asked = true, .looked = true, .mode = PSEUDO_TEXT, .text = schedstat_text},                    \
    {.name = "sessionid", .mode = PSEUDO_TEXT, .text = fixed_text},                                                       \
    {.name = "setgroups", .mode = PSEUDO_TEXT, .text = fixed_text},                                                       \
    {.name = "smaps", .asked = true, .mode = PSEUDO_TEXT, .text = proc_smaps_text},                                                      \
    {.name = "smaps_rollup", .asked = true, .looked = true, .mode = PSEUDO_TEXT, .text = proc_smaps_rollup_text},                                        \
    {.name = "stat", .asked = true, .known = true, .looked = true, .mode = PSEUDO_TEXT, .text = stat_text},                                                             \
    {.name = "statm", .asked = true, .looked = true, .mode = PSEUDO_TEXT, .text = proc_statm_text},                                                      \
    {.name = "status", .asked = true, .known = true, .looked = true, .mode = PSEUDO_TEXT, .text = status_text},                                                         \
    {.name = "syscall", .mode = S_IFREG | 0400, .text = fixed_text},                                                   \
    {.name = "timerslack_ns", .asked = true, .mode = S_IFREG | 0666, .text = timer_slack_text, .store = timer_slack_store},                                             \
    {.name = "uid_map", .mode = PSEUDO_TEXT, .text = fixed_text},                                                         \
    {.name = "wchan", .mode = PSEUDO_TEXT, .text = fixed_text}

static const struct pseudo_entry task_entries[] = {
    FD_DIRECTORIES, {.name = "children", .mode = PSEUDO_TEXT, .text = children_text}, COMMON_ENTRIES, {.name = NULL},
};
static const struct pseudo_entry task_entry = {.mode = PSEUDO_DIRECTORY, .children = task_entries};

static bool task_number(struct pseudo_node *node, int n)
{
    struct thread_facts facts;
    node->entry = &task_entry;
    node->tid = n;
    return n && thread_facts(n, &facts);
}

static const struct pseudo_entry self_entries[] = {
    FD_DIRECTORIES,
    {.name = "task", .asked = true, .mode = PSEUDO_DIRECTORY, .number = task_number, .number_after = thread_after},
    COMMON_ENTRIES,
    {.name = NULL},
};
static const struct pseudo_entry self_entry = {.mode = PSEUDO_DIRECTORY, .children = self_entries};

/* Threads have a /proc/N too, though it is not listed. */
bool procself_number(struct pseudo_node *node, int n)
{
    struct process_facts facts;
    node->entry = &self_entry;
    node->pid = n > 0 ? shared_id_process(n) : 0;
    node->tid = node->pid == n ? 0 : n;
    return n > 0 && process_facts(node->pid, &facts);
}

int procself_after(const struct pseudo_node *node, int after)
{
    (void)node;
    return process_after(after);
}
