/* SPDX-License-Identifier: MIT */
/*
 * A sandbox from its options to its exit status: policy, the first picoprocess, the monitor.
 *
 * Start-up time is felt by users: the picoprocess is launched before main (launch/picoprocess.c) and gets ready while
 * pal-run finds out what to tell it; whatever only the monitor needs is made after that, beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/ask/ask.h"
#include "loader/crash/crash.h"
#include "loader/explain/explain.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"

#define LAST_MAX 32768
#define PROCESSES_MAX 16384u /* of one sandbox under root, where its user id is its own */
#include "loader/supervise/supervise.h"

/*
 * Guests can name no address (the filter); but a listener or a datagram socket that a caller left on 0, 1 or 2 would
 * give them more than a stream.
 */
static void check_standard_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        int domain, type = 0, protocol = 0;
        socklen_t size = sizeof domain;
        if (!S_ISSOCK(launched.streams[fd]) || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
            continue;
        struct sockaddr_storage peer;
        socklen_t peer_size = sizeof peer;
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
        getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
        bool local = domain == AF_UNIX && (type == SOCK_STREAM || type == SOCK_SEQPACKET);
        bool tcp = (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM && protocol == IPPROTO_TCP;
        if ((!local && !tcp) || getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0)
            fail(EXIT_OWN_FAILURE, "descriptor %d is a socket but not a connected stream: pass a pipe or a file", fd);
    }
}

void palrun_policy(struct policy *policy, const struct options *options)
{
    mount_table_init(&policy->mounts);
    policy->uid = getuid();
    policy->gid = getgid();
    policy->limits = (struct limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    if (options->manifest || options->sealed)
        policy_from_manifest(policy, options);
    else
        policy_default(policy, options);
    if (options->learn)
        learn_policy(policy, options->learn_names);
    policy_options(policy, options);
    if (options->ask_keep)
        keep_load(policy, options->ask_keep);
    keep_find(options->ask_keep ? options->ask_keep : options->manifest);
    mounts_open(&policy->mounts);
    policy_guard_manifest(policy);
    program_place(policy, options);
}

static void launch_anew(const struct options *options, const char *strict)
{
    int log = options->log ? open(options->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666) : STDERR_FILENO;
    if (log < 0)
        fail(EXIT_OWN_FAILURE, "--output %s: %s", options->log, strerror(errno));
    launch_abandon();
    launch(options->picoprocess, options->trap, log, strict);
    if (log != STDERR_FILENO)
        close(log);
}

static void must_be_launched(void)
{
    if (!launched.pid)
        fail(EXIT_OWN_FAILURE, "the picoprocess can't be started: %s: %s", launched.failed, strerror(launched.error));
}

/* One that was launched before the options were known may be of the wrong sort. */
static void check_launched(const struct options *options)
{
    const char *strict = options->walls_monitor ? "--walls=monitor" : options->learn ? "learn is told of each name" : NULL;
    if (options->picoprocess || options->trap || options->log || strict)
        launch_anew(options, strict);
    must_be_launched();
}

/* Nor may it have a wider filter than policy says. */
static void check_filter(const struct policy *policy, const struct options *options)
{
    if (!policy->network.udp_any || policy->network.mode == NETWORK_NONE)
        return;
    launched.udp_any = true;
    launch_anew(options, launched.names == LINUX_NAMES_MONITOR ? launched.why : NULL);
    must_be_launched();
}

/* One that can't have the walls that name calls need has ended.  What it may be given depends on that. */
static void settle_walls(struct monitor *monitor, const struct options *options)
{
    if (!launch_decided())
        launch_anew(options, launched.why);
    must_be_launched();
    monitor->objects.walled = launched.names != LINUX_NAMES_MONITOR;
}

/* Of the first picoprocess, and so of all that come from it.  pal-run's own, which it has inherited, is never raised. */
static void limit(int resource, uint64_t most)
{
    struct rlimit own;
    if (most == UINT64_MAX || (getrlimit(resource, &own) == 0 && own.rlim_max <= most))
        return;
    const struct rlimit64 value = {most, most};
    int64_t error = supervise_limit(launched.pid, launched.id, resource, &value);
    if (error < 0)
        fail(EXIT_OWN_FAILURE, "can't set resource limits: %s", strerror((int)-error));
}

/*
 * One process for now, where the host can hold it to that: a supervisor is made when it wants more.  Under root, whose user
 * id is its own, others' processes don't count, and so the number of its processes can be limited.
 */
static void limit_processes(const struct policy *policy)
{
    bool root = geteuid() == 0;
    uint64_t most = !root ? UINT64_MAX : policy->limits.processes < PROCESSES_MAX ? policy->limits.processes : PROCESSES_MAX;
    if ((!root || launched.id) && alone_begin(launched.pid, launched.id, most) == 0)
        return;
    int64_t error = supervisor_begin();
    if (error < 0)
        fail(EXIT_OWN_FAILURE, "the picoprocess can't be started: its supervisor can't be started: %s", strerror((int)-error));
    limit(RLIMIT_NPROC, most);
}

/* The picoprocess waits for this packet; the descriptors take its first free numbers: LINUX_FD_PREFETCHED and on. */
static void go(struct monitor *monitor, const struct prefetch *prefetch, const struct options *options)
{
    struct monitor_reply packet = {.descriptors = (uint32_t)prefetch->descriptor_count + (options->snapshot.use != 0) +
                                                  (options->snapshot.flags != 0) + (uint32_t)monitor->policy->passed_count};
    int descriptors[PREFETCH_MAX + 2 + PASSED_MAX] = {0}, count = 0;
    for (size_t i = 0; i < prefetch->count; i++)
        if (prefetch->entries[i].fd >= 0)
            descriptors[count++] = prefetch->entries[i].fd;
    if (options->snapshot.use)
        descriptors[count++] = fcntl(options->snapshot.image, F_DUPFD_CLOEXEC, 0);
    if (options->snapshot.flags)
        descriptors[count++] = monitor->waiting.inner;
    for (size_t i = 0; i < monitor->policy->passed_count; i++) /* not with a snapshot */
        descriptors[count++] = monitor->policy->passed[i].fd;
    int error = view_admit(&monitor->policy->mounts, &monitor->objects, descriptors, (size_t)count, &packet.value);
    if (error)
        fail(EXIT_OWN_FAILURE, "can't reserve place-holders for directories: %s", strerror(-error));
    const struct iovec part = {&packet, sizeof packet};
    error = send_rights(launched.channel, &part, 1, descriptors, (size_t)count, RIGHTS_PATIENCE);
    if (error == -ETOOMANYREFS)
        fail(EXIT_OWN_FAILURE, "your processes have more descriptors on their way to each other than the limit of open files "
                               "(ulimit -n): end some of them, or raise it");
    /* If it has died already, that is seen later. */
    close(launched.inner);
    monitor->policy->mounts.segment = launched.segment; /* stays open: see cow_tell */
    monitor->policy->mounts.classes_at = launched.copy_classes;
    monitor->policy->mounts.copies = launched.copies;
    for (int i = 0; i < count; i++)
        close(descriptors[i]);
}

/*
 * Of root's capabilities, what serving a guest takes: its files, signals to and descriptors of processes of another user
 * id, more descriptors on their way than an ordinary user may have.  Without CAP_FSETID the kernel takes set-user-id bits
 * off whatever pal-run truncates; what else is dropped no request is meant to use.  CAP_SYS_ADMIN stays, not in force,
 * until the view has been made (mounts/view.c); what it takes to end the sandbox's being of one process likewise.
 */
static void drop_capabilities(const struct network *network)
{
    const uint32_t kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                          1u << CAP_KILL | 1u << CAP_SYS_PTRACE | 1u << CAP_SYS_RESOURCE |
                          (network->shared ? 1u << CAP_NET_BIND_SERVICE : 0u); /* in a container, by the rights that its engine gave */
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) < 0 || !(sets[0].permitted | sets[1].permitted))
        return;
    sets[0].permitted &= kept | alone_capabilities() | (launched.names == LINUX_NAMES_MONITOR ? 0 : 1u << CAP_SYS_ADMIN);
    sets[0].effective = sets[0].permitted & kept;
    sets[0].inheritable = sets[1].permitted = sets[1].effective = sets[1].inheritable = 0;
    if (syscall(SYS_capset, &header, sets) < 0)
        fail(EXIT_OWN_FAILURE, "can't drop capabilities: %s", strerror(errno));
}

/* Everything that the picoprocess is told. */
static void start(struct monitor *monitor, const struct options *options, mode_t umask_was)
{
    static struct program program;
    static struct prefetch prefetch;
    struct policy *policy = monitor->policy;
    const char *asks = policy->program; /* who asks what the profile tells */
    if (options->snapshot.use == PAL_SNAPSHOT_RUN) {
        asks = must_print("%s, snapshot %s", policy->program, options->snapshot.name);
    } else {
        program_check(&policy->mounts, policy->program, policy->shown, &program);
        program_prefetch(policy->program, &program, &prefetch, &policy->mounts);
    }
    if (!options->no_profile)
        prefetch_profile_use(asks, &prefetch, &policy->mounts);
    settle_walls(monitor, options); /* late: nothing before depends on it */
    segment_fill(launched.segment, policy, options, &prefetch, options->snapshot.use ? NULL : prefetch_profile_sites(), umask_was);
    limit(RLIMIT_DATA, policy->limits.memory);
    limit(RLIMIT_CPU, policy->limits.cpu_seconds);
    limit_processes(policy);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    monitor_block_signals(options->init);
    drop_capabilities(&policy->network);
    go(monitor, &prefetch, options);
    monitor->first = launched.pid;
    monitor->channel = launched.channel;
}

static void keep_profile(void)
{
    static struct pal_sites sites[PAL_SITE_PROGRAMS];
    if (segment_sites(sites))
        prefetch_profile_note_sites(sites);
    prefetch_profile_keep();
}

static void print_stats(const struct monitor *monitor)
{
    static const char *const names[MONITOR_OPS] = {
        [MONITOR_OPEN] = "open",           [MONITOR_STAT] = "stat",           [MONITOR_SET] = "set",
        [MONITOR_CHANGE] = "change",       [MONITOR_READLINK] = "readlink",   [MONITOR_CANONICAL] = "canonical",
        [MONITOR_INTERRUPT] = "interrupt", [MONITOR_EXPORT] = "export",       [MONITOR_IMPORT] = "import",
        [MONITOR_CREATE] = "create",       [MONITOR_BIND] = "bind",           [MONITOR_LISTEN] = "listen",
        [MONITOR_CONNECT] = "connect",     [MONITOR_PTY] = "pty",             [MONITOR_PTY_INNER] = "pty-inner",
        [MONITOR_TERMINAL] = "terminal",   [MONITOR_START] = "start",         [MONITOR_SET_OPENED] = "set-opened",
        [MONITOR_INVALIDATOR] = "invalidator",     [MONITOR_LOOK] = "look",
        [MONITOR_SETTLE] = "settle",       [MONITOR_VIEW] = "view",           [MONITOR_LIST] = "list",
        [MONITOR_SPACE] = "space",         [MONITOR_UNCHANGED] = "unchanged",
        [MONITOR_NOTIFY] = "notify",       [MONITOR_NOTIFY_END] = "notify-end",
        [MONITOR_EXTENDED] = "extended",   [MONITOR_TEE] = "tee",               [MONITOR_SHUTDOWN] = "shutdown",
        [MONITOR_SEND] = "send",           [MONITOR_OPTION] = "option",       [MONITOR_ALLOCATE] = "allocate",
        [MONITOR_MULTIPLY] = "multiply",
    };
    for (int op = 1; op < MONITOR_OPS; op++)
        if (monitor->served[op])
            warn("monitor: %llu %s requests", (unsigned long long)monitor->served[op], names[op]);
}

static void report_names(const struct mount_table *table)
{
    const struct view *view = &table->view;
    if (launched.names == LINUX_NAMES_MONITOR)
        report("names: by the monitor: %s", launched.why ? launched.why : "the host can't wall them in");
    else if (view->top >= 0)
        report("names: by the view, of %zu mounts of %zu", view->count, table->count);
    else if (view->why)
        report("names: by the monitor: there is no view: %s", view->why);
    else
        report("names: by the view, which was not needed yet");
}

/* Which walls stood.  The picoprocess does not start without the filter, and not where Landlock is there and refuses. */
static void report_walls(const struct options *options)
{
    static const char *const traps[] = {
        [LINUX_TRAP_DISPATCH] = "dispatch", [LINUX_TRAP_SECCOMP] = "seccomp", [LINUX_TRAP_NONE] = "rewritten sites alone"};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */);
    char landlock[32] = "no";
    if (version > 0)
        snprintf(landlock, sizeof landlock, "version %ld", version);
    report("walls: filter of %u host calls; Landlock: %s; user id: %s; namespaces: %s; calls are taken by %s",
           filter_calls(launched.names != LINUX_NAMES_MONITOR) - filter_left_out(launched.refused), landlock, launched.id ? "of its own" : "pal-run's",
           launched.names == LINUX_NAMES_MAPPED ? "a user namespace" : "pal-run's",
           traps[options->trap]);
}

static void report_line(const char *text)
{
    report("not shown: %s", text);
}

static void report_denials(const struct denials *denials)
{
    for (size_t i = 0; i < denials->kept; i++)
        report("denied: %s (%s)", denials->first[i].path, denials->first[i].reason);
    if (denials->count > denials->kept)
        report("denied: %zu requests in all", denials->count);
    if (!denials->count)
        report("denied: nothing");
}

static void report_dropped(const struct policy *policy)
{
    char names[2048] = "";
    size_t used = 0;
    for (size_t i = 0; environ[i] && used < sizeof names - 1; i++) {
        char *name = must_print("%.*s", (int)strcspn(environ[i], "="), environ[i]);
        if (!environment_get(policy, name))
            used += (size_t)snprintf(names + used, sizeof names - used, " %s", name);
        free(name);
    }
    report("variables not passed on:%s", used ? names : " none");
}

static void report_all(const struct options *options, const struct policy *policy, const struct findings *findings, int status,
                       bool exited)
{
    const struct mount_table *table = &policy->mounts;
    if (options->report_kind == REPORT_JSON) {
        report_text(explain_json(policy, findings, status));
        return;
    }
    report_walls(options);
    report_names(table);
    report("ended with status %d, %s", status, exited ? "the program's own" : "pal-run's");
    report_denials(&table->denials);
    if (options->report_kind == REPORT_ALL) {
        explain_each(findings, report_line);
        report_dropped(policy);
    }
    if (table->invalidator.wanted && table->invalidator.fd < 0)
        report("names were looked up again each time: the user's inotify instances or watches (a quarter, an eighth) are in use");
}

static char last_text[LAST_MAX];
static size_t last_size;

static void last_line(const char *text)
{
    int size = snprintf(last_text + last_size, sizeof last_text - last_size, "  %s\n", text);
    if (size > 0 && (size_t)size < sizeof last_text - last_size)
        last_size += (size_t)size;
}

/* For `pal-run why last`. */
static void last_keep(const struct policy *policy, const struct findings *findings, int status)
{
    int size = snprintf(last_text, sizeof last_text, "%.200s ended with status %d%s\n", policy->shown, status,
                        findings->count ? "; what it looked for and was not shown, or was refused:"
                                        : "; nothing was refused, and nothing that exists here was hidden from it");
    last_size = size > 0 ? (size_t)size : 0;
    explain_each(findings, last_line);
    store_write(LAST_NAME, last_text, last_size, false);
}

/* What there is to tell of a run: in the report, and of its own accord where it failed. */
static void explain(const struct options *options, const struct policy *policy, int status, bool exited)
{
    static struct findings findings;
    if (status || (options->report && options->report_kind != REPORT_DENIED))
        findings_collect(policy, &findings);
    if (options->report)
        report_all(options, policy, &findings, status, exited);
    if (!status || options->sealed) /* nothing that would allow more can be said to a bundle */
        return;
    if (!options->report || options->report_kind != REPORT_JSON || options->report_file)
        explain_failure(&findings, status);
    last_keep(policy, &findings, status);
}

static struct crash crashes[DEATHS_MAX];

/* What is told of it later.  Of the first picoprocess only if its status, too, says that it died so. */
static void read_crashes(struct monitor *monitor, int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;
    for (size_t i = 0; i < DEATHS_MAX; i++) {
        const struct death *death = &monitor->deaths.list[i];
        if (death->file && (death->process != monitor->first || crash_is(number)))
            crash_read(&monitor->policy->mounts, death->file, &crashes[i]);
    }
}

static void tell_crashes(const struct monitor *monitor, const struct options *options, int status)
{
    for (size_t i = 0; i < DEATHS_MAX; i++) {
        const struct death *death = &monitor->deaths.list[i];
        bool first = death->process == monitor->first;
        const char *program = first ? monitor->policy->shown : "another process of it";
        int signal = first ? status - 128 : crashes[i].signal;
        if (!first && !death->file)
            continue;
        if (first || options->report)
            crash_tell(&crashes[i], program, signal);
        crash_event(&crashes[i], program, signal);
    }
}

/* Nothing of it costs a program that does not crash. */
static void await_crashes(struct monitor *monitor, const struct options *options)
{
    bool json = options->report && options->report_kind == REPORT_JSON && !options->report_file;
    if (options->no_crash_report || json)
        return;
    monitor->deaths.wanted = true;
    monitor->deaths.of_others = options->report || options->events;
    monitor->on_end = read_crashes;
}

/* Of a bundle's program, which may do without. */
static void tell_refused(void)
{
    uint32_t wanted = launched.refused ? segment_wanted(false) & launched.refused : 0;
    if (wanted)
        warn("it wanted host calls that it was packed without (%s), and was told that there are none (ENOSYS): see pack --calls", call_classes_text(wanted));
}

int palrun(const struct options *options)
{
    static struct policy policy;
    static struct monitor monitor;
    monitor.policy = &policy; /* not by an initializer: its tables would lie in the file */
    check_launched(options);
    check_standard_streams();
    if (options->report)
        report_to(options->report_file);
    mode_t umask_was = umask(0); /* the guest's own is applied by its libOS */
    palrun_policy(&policy, options);
    check_filter(&policy, options);
    passed_find(&policy, options);
    if (options->keep)
        kept_open(&policy.mounts, options->keep);
    if (options->core)
        monitor.deaths.core = core_open(options->core);
    if (options->events)
        events_to(options->events);
    if (!options->learn && !options->sealed)
        explain_arguments(&policy);
    if (options->name)
        join_name(options->name);
    outbound_open(&monitor.outbound, &policy.network, &policy.mounts.denials);
    waiting_open(&monitor.waiting, options->snapshot.flags, &options->snapshot.member);
    fellows_await();
    start(&monitor, options, umask_was);
    if (!fd_name(0).path[0])
        warn("the host has no /proc: attributes of files can't be set, nor pseudoterminals made");
    terminal_save();
    terminals_init(&monitor.terminals);
    monitor.objects.session = monitor.first;
    const char *walls = getenv("PAL_RUN_WALLS");
    monitor.view_at_once = options->walls_view || (walls && !strcmp(walls, "view"));
    monitor.objects.memory_limit = policy.limits.memory;
    await_crashes(&monitor, options);
    int status = monitor_run(&monitor, options);
    waiting_ended(&monitor.waiting, status);
    invalidate_close(&policy.mounts.invalidator);
    keep_profile();
    terminal_restore(&monitor.terminals);
    if (launched.failed)
        warn("the picoprocess could not be started: %s: %s", launched.failed, strerror(launched.error));
    if (options->stats)
        print_stats(&monitor);
    if (waiting_told_stale(&monitor.waiting)) {
        supervisor_collect();
        return PALRUN_STALE;
    }
    tell_refused();
    tell_crashes(&monitor, options, status);
    if (options->core)
        core_tell(&monitor.deaths, options->core);
    if (options->learn)
        learn_write(&policy, options->learn, options->learn_names, call_classes_text(segment_wanted(true)), status);
    else
        explain(options, &policy, status, monitor.exited);
    event_ended(status);
    supervisor_collect();
    return status;
}
