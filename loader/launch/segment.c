/* SPDX-License-Identifier: MIT */
/*
 * The shared segment's contents: what the first picoprocess is told.  They are built in ordinary memory and written in
 * one call, which costs fewer page faults than mapping them; pointers are addresses at PAL_SHARED_BASE.  The start,
 * which the picoprocess may be reading, is written again with the same bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "loader/launch/launch.h"

#define BOOT_MAX (16u << 20)
#define GROUPS_SHOWN 1024 /* who has more shows none */

struct builder {
    char *bytes;
    size_t used, room;
};

/* Returns the offset of `size` zeroed bytes. */
static size_t reserve(struct builder *builder, size_t size, size_t alignment)
{
    size_t at = (builder->used + alignment - 1) & ~(alignment - 1), end = at + size;
    if (end > builder->room) {
        size_t room = end + end / 2 + 8192;
        char *grown = realloc(builder->bytes, room);
        if (!grown)
            fail(EXIT_OWN_FAILURE, "no memory for the program's arguments");
        builder->bytes = grown;
        builder->room = room;
    }
    memset(builder->bytes + builder->used, 0, end - builder->used);
    builder->used = end;
    return at;
}

static uint64_t address(size_t offset)
{
    return PAL_SHARED_BASE + offset;
}

static uint64_t put_bytes(struct builder *builder, const void *bytes, size_t size, size_t alignment)
{
    size_t at = reserve(builder, size, alignment);
    memcpy(builder->bytes + at, bytes, size);
    return address(at);
}

static const char *put_string(struct builder *builder, const char *text)
{
    return (const char *)put_bytes(builder, text, strlen(text) + 1, 1);
}

/* The table first, then its strings. */
static const char *const *put_strings(struct builder *builder, char *const *strings, size_t count)
{
    size_t array = reserve(builder, (count + 1) * sizeof(char *), sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        const char *text = put_string(builder, strings[i]);
        memcpy(builder->bytes + array + i * sizeof text, &text, sizeof text);
    }
    return (const char *const *)address(array);
}

/* Where more may be granted later, a program that asks whether it may write is not told no before it tries. */
static const struct pal_mount *put_mounts(struct builder *builder, const struct policy *policy)
{
    const struct mount_table *table = &policy->mounts;
    size_t array = reserve(builder, table->count * sizeof(struct pal_mount), sizeof(void *));
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->mounts[i];
        const struct pal_mount told = {.at = put_string(builder, mount->at),
                                       .writable = mount->writable || policy->asks,
                                       .scratch = mount->kind == MOUNT_SCRATCH,
                                       .memory = mount->kind == MOUNT_SCRATCH ? mount->memory : 0};
        memcpy(builder->bytes + array + i * sizeof told, &told, sizeof told);
    }
    return (const struct pal_mount *)address(array);
}

static uint64_t put_prefetched(struct builder *builder, const struct prefetch *prefetch)
{
    size_t array = reserve(builder, prefetch->count * sizeof(struct linux_prefetched), sizeof(void *));
    int32_t next = LINUX_FD_PREFETCHED;
    for (size_t i = 0; i < prefetch->count; i++) {
        const struct prefetch_entry *entry = &prefetch->entries[i];
        struct linux_prefetched told = {.path = (uint64_t)put_string(builder, entry->path),
                                   .path_size = (uint32_t)strlen(entry->path),
                                   .descriptor = entry->result,
                                   .attributes = entry->attributes};
        if (!entry->result)
            told.descriptor = entry->fd < 0 ? -1000 : next++;
        memcpy(builder->bytes + array + i * sizeof told, &told, sizeof told);
    }
    return address(array);
}

static size_t count_strings(char *const *strings)
{
    size_t count = 0;
    while (strings[count])
        count++;
    return count;
}

/* What the host allows, less what the libOS and the PAL need for themselves. */
static uint64_t file_limit(const struct policy *policy)
{
    const uint64_t own = 64; /* caller_limits has seen that there are more */
    struct rlimit limit;
    uint64_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : 1024;
    most -= own;
    return policy->limits.files < most ? policy->limits.files : most;
}

/* As pal-run's caller left them: asked here, while the picoprocess gets ready.  sigaction(3) doesn't tell of libc's own. */
static uint64_t ignored_signals(void)
{
    struct { void (*handler)(int); uint64_t flags; void (*restorer)(void); uint64_t mask; } action;
    uint64_t signals = 0;
    for (int number = 1; number < NSIG; number++)
        if (syscall(SYS_rt_sigaction, number, NULL, &action, sizeof action.mask) == 0 && action.handler == SIG_IGN)
            signals |= 1ull << (number - 1);
    return signals;
}

static uint64_t blocked_signals(void)
{
    sigset_t blocked;
    uint64_t signals = 0;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < NSIG; number++)
        if (number != LINUX_INTERRUPT_SIGNAL && sigismember(&blocked, number) == 1) /* that one launch() has blocked */
            signals |= 1ull << (number - 1);
    return signals;
}

/* For the program; as an exec would leave them. */
static void inherited_limits(struct pal_boot *boot)
{
    for (int i = 0; i < PAL_LIMITS; i++) {
        struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
        getrlimit((enum __rlimit_resource)i, &limit);
        boot->limits[i].soft = i == RLIMIT_NOFILE ? caller_files : limit.rlim_cur;
        boot->limits[i].hard = limit.rlim_max;
    }
}

/* Does the host know a way to addresses of IPv6?  Nothing is sent. */
static bool routes_6(void)
{
    struct sockaddr_in6 anybody = {.sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr.s6_addr = {0x20, 0x01, 0x0d, 0xb8}};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool result = fd >= 0 && connect(fd, (struct sockaddr *)&anybody, sizeof anybody) == 0;
    if (fd >= 0)
        close(fd);
    return result;
}

static uint32_t network_flags(const struct network *network)
{
    bool outside = network->mode == NETWORK_RULES || network->mode == NETWORK_HOST;
    return (network_datagrams(network) ? PAL_NETWORK_DATAGRAMS : 0) | (outside ? PAL_NETWORK_OUTSIDE : 0) |
           (outside && routes_6() ? PAL_NETWORK_6 : 0);
}

/* A container's are what the engine was asked for; a user's say what else that user may, which is no program's business. */
static void put_groups(struct builder *builder, struct pal_boot *boot)
{
    gid_t groups[GROUPS_SHOWN];
    int count = getgroups(GROUPS_SHOWN, groups);
    if (count <= 0)
        return;
    boot->group_count = (uint32_t)count;
    boot->groups = (const uint32_t *)put_bytes(builder, groups, (size_t)count * sizeof *groups, sizeof *groups);
}

static void fill_boot(struct builder *builder, const struct policy *policy, const struct options *options,
                      const struct prefetch *prefetch, mode_t umask_was, struct pal_boot *boot)
{
    struct utsname names;
    uname(&names);
    boot->abi_version = PAL_ABI_VERSION;
    boot->memory_limit = policy->limits.memory;
    boot->process_limit = policy->limits.processes;
    boot->file_limit = file_limit(policy);
    boot->cpu_limit = policy->limits.cpu_seconds;
    boot->uid = policy->uid;
    boot->gid = policy->gid;
    boot->umask = umask_was;
    boot->signals_blocked = blocked_signals();
    boot->signals_ignored = ignored_signals();
    inherited_limits(boot);
    boot->trace = options->trace;
    boot->stats = options->stats;
    boot->fault_nth = options->fault;
    boot->rewrite = policy->rewrite;
    memcpy(boot->taken, options->taken, sizeof boot->taken);
    boot->core = options->core ? PAL_CORE_ALL : options->no_crash_report ? PAL_CORE_NONE : PAL_CORE_STACK;
    boot->network = network_flags(&policy->network);
    boot->listeners = (uint32_t)policy->network.listener_count;
    boot->init = options->init && !options->snapshot.use; /* whose processes have their numbers */
    if (boot->init)
        put_groups(builder, boot);
    boot->program = put_string(builder, policy->program);
    boot->cwd = put_string(builder, policy->cwd);
    boot->home = put_string(builder, policy->home);
    boot->hostname = put_string(builder, names.nodename);
    boot->argc = (uint32_t)count_strings(policy->argv);
    boot->argv = put_strings(builder, policy->argv, boot->argc);
    boot->envc = (uint32_t)policy->environment_count;
    boot->envp = put_strings(builder, policy->environment, boot->envc);
    boot->mount_count = (uint32_t)policy->mounts.count;
    boot->mounts = put_mounts(builder, policy);
    for (int i = 0; i < PAL_STANDARD_STREAMS; i++)
        boot->standard[i] = i;
    boot->passed_count = policy->passed_count;
    for (size_t i = 0; i < policy->passed_count; i++) { /* they come last */
        boot->passed[i].number = (uint32_t)policy->passed[i].number;
        boot->passed[i].handle = LINUX_FD_PREFETCHED + (pal_handle_t)(prefetch->descriptor_count + i);
    }
    if (options->snapshot.use) {
        boot->snapshot = LINUX_FD_PREFETCHED + (pal_handle_t)prefetch->descriptor_count; /* comes behind them */
        boot->snapshot_channel = boot->snapshot + 1;
        boot->snapshot_use = options->snapshot.use;
        boot->snapshot_flags = options->snapshot.flags;
        boot->snapshot_point = options->snapshot.point;
        boot->snapshot_after = options->snapshot.after;
        snapshot_identity(boot->snapshot_identity);
    }
    boot->log = LINUX_FD_LOG;
}

static size_t page_up(size_t at)
{
    return (at + PAL_PAGE_SIZE - 1) & ~(size_t)(PAL_PAGE_SIZE - 1);
}

/* Those that are free are left out: behind what is written there are zeros. */
static uint64_t put_sites(struct builder *builder, const struct pal_sites *sites)
{
    size_t count = 0, at = page_up(builder->used);
    while (count < PAL_SITE_PROGRAMS && sites[count].state != PAL_SITES_FREE)
        count++;
    if (count)
        put_bytes(builder, sites, count * sizeof *sites, PAL_PAGE_SIZE);
    return address(at);
}

static void put_cpuid(struct builder *builder, struct pal_boot *boot)
{
    size_t count;
    const struct pal_cpuid *answers = cpuid_answers(&count);
    if (!count)
        return;
    boot->cpuid = put_bytes(builder, answers, count * sizeof *answers, sizeof(uint64_t));
    boot->cpuid_count = count;
}

static struct linux_filter put_filter(struct builder *builder, const struct options *options, bool view)
{
    size_t count;
    const struct sock_filter *filter = filter_program(options->trap == LINUX_TRAP_SECCOMP, view, &count);
    return (struct linux_filter){put_bytes(builder, filter, count * sizeof *filter, sizeof(uint64_t)), count};
}

void segment_fill(int fd, const struct policy *policy, const struct options *options, const struct prefetch *prefetch,
                  const struct pal_sites *sites, mode_t umask_was)
{
    struct builder builder = {.bytes = NULL};
    struct linux_shared shared = {.magic = PAL_IMAGE_MAGIC,
                                  .version = MONITOR_VERSION,
                                  .trap = options->trap,
                                  .terminals = launched.terminals,
                                  .names = launched.names,
                                  .prefetched_count = prefetch->count};
    reserve(&builder, sizeof shared, sizeof(uint64_t));
    shared.filter = put_filter(&builder, options, false);
    shared.view_filter = put_filter(&builder, options, true);
    size_t refusal_count;
    const struct sock_filter *refusal = filter_refusal(launched.refused, &refusal_count);
    shared.refusal = (struct linux_filter){put_bytes(&builder, refusal, refusal_count * sizeof *refusal, sizeof(uint64_t)), refusal_count};
    shared.prefetched = put_prefetched(&builder, prefetch);
    fill_boot(&builder, policy, options, prefetch, umask_was, &shared.boot);
    shared.boot.shared_size = launched.segment_size;
    if (sites) {
        put_cpuid(&builder, &shared.boot);
        shared.boot.sites = put_sites(&builder, sites);
    }
    size_t starts = page_up(sites ? shared.boot.sites - PAL_SHARED_BASE + PAL_SITE_PROGRAMS * sizeof *sites : builder.used);
    shared.starts = address(starts);
    size_t slots = starts + LINUX_STARTS * sizeof(struct linux_start);
    shared.copy_slots = address(slots);
    for (size_t i = 0; i < policy->mounts.count; i++)
        if (policy->mounts.mounts[i].cow)
            launched.copies = LINUX_COPIES_LINKED + 1;
    shared.copies = launched.copies;
    launched.copy_classes = slots + LINUX_COPY_SLOTS * sizeof(uint64_t);
    shared.copy_classes = address(launched.copy_classes);
    shared.boot.shared_used = launched.copy_classes + LINUX_COPY_CLASSES * sizeof(uint32_t);
    if (shared.boot.shared_used > BOOT_MAX)
        fail(EXIT_OWN_FAILURE, "arguments and environment are too large: %zu bytes", builder.used);
    memcpy(builder.bytes, &shared, sizeof shared);
    if (pwrite(fd, builder.bytes, builder.used, 0) != (ssize_t)builder.used)
        fail(EXIT_OWN_FAILURE, "can't fill the shared segment: %s", strerror(errno));
    free(builder.bytes);
    launched.sites = sites ? shared.boot.sites - PAL_SHARED_BASE : 0;
}

static uint32_t state_of(size_t program)
{
    uint32_t state = PAL_SITES_FREE;
    off_t at = (off_t)(launched.sites + program * sizeof(struct pal_sites) + offsetof(struct pal_sites, state));
    return pread(launched.segment, &state, sizeof state, at) == (ssize_t)sizeof state ? state : PAL_SITES_FREE;
}

bool segment_sites(struct pal_sites out[PAL_SITE_PROGRAMS])
{
    const size_t size = PAL_SITE_PROGRAMS * sizeof *out;
    size_t i = 0;
    uint32_t state = launched.sites ? state_of(0) : PAL_SITES_FREE;
    while (state != PAL_SITES_FREE && state != PAL_SITES_CHANGED && ++i < PAL_SITE_PROGRAMS)
        state = state_of(i);
    return state == PAL_SITES_CHANGED && pread(launched.segment, out, size, (off_t)launched.sites) == (ssize_t)size;
}

uint32_t segment_wanted(bool may)
{
    uint32_t used;
    if (pread(launched.segment, &used, sizeof used, offsetof(struct linux_shared, used_classes)) != sizeof used)
        return 0;
    return (may ? used | used >> LINUX_CLASS_MAY_SHIFT : used) & LINUX_CLASSES;
}
