/* SPDX-License-Identifier: MIT */
/* The options.  They end at PROGRAM: its own arguments are left alone.  None can be abbreviated. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/nearest.h"
#include "loader/pack/pack.h"

#define NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static void add_mount(struct options *options, char *argument, const char *access)
{
    if (options->mount_count == sizeof options->mounts / sizeof *options->mounts)
        fail(EXIT_OWN_FAILURE, "--%s %s: too many mounts: write a manifest", access, argument);
    struct option_mount *mount = &options->mounts[options->mount_count++];
    char *equals = strchr(argument, '=');
    *mount = (struct option_mount){.at = argument, .access = access};
    if (equals) {
        *equals = 0;
        mount->from = equals + 1;
    }
    if (!*mount->at || (mount->from && !*mount->from) || (mount->from && mount->at[0] != '/'))
        fail(EXIT_OWN_FAILURE, "--%s: expected PATH, or AT=FROM with an absolute AT", access);
}

static uint32_t read_count(const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || !value || value > UINT32_MAX)
        fail(EXIT_OWN_FAILURE, "--%s %s: expected a number of at least 1", option, text);
    return (uint32_t)value;
}

static void take_manifest(struct options *options, char *value) { options->manifest = value; }
static void take_ro(struct options *options, char *value) { add_mount(options, value, "ro"); }
static void take_rw(struct options *options, char *value) { add_mount(options, value, "rw"); }
static void take_cow(struct options *options, char *value) { add_mount(options, value, "cow"); }

/* PATH[:SIZE]. */
static void take_tmpfs(struct options *options, char *value)
{
    uint64_t size = 0;
    char *colon = strrchr(value, ':');
    if (colon && (!colon[1] || !size_read(colon + 1, &size)))
        fail(EXIT_OWN_FAILURE, "--tmpfs %s: expected PATH or PATH:SIZE, with a size in bytes or such as 64M", value);
    if (colon)
        *colon = 0;
    if (value[0] != '/' || strchr(value, '='))
        fail(EXIT_OWN_FAILURE, "--tmpfs %s: expected an absolute path", value);
    add_mount(options, value, "tmpfs");
    options->mounts[options->mount_count - 1].memory = size;
}

static void take_image(struct options *options, char *value)
{
    if (oci_image_is(value)) {
        options->container = value;
        return;
    }
    add_mount(options, value, "image");
    if (!options->mounts[options->mount_count - 1].from)
        fail(EXIT_OWN_FAILURE, "--image: give AT=FILE, or AT=FILE:PARTITION");
}

static void take_keep(struct options *options, char *value) { options->keep = value; }
static void take_home(struct options *options, char *value) { options->home = value; }
static void take_cwd(struct options *options, char *value) { options->cwd = value; }
static void take_log(struct options *options, char *value) { options->log = value; }
static void take_stats(struct options *options, char *value) { (void)value; options->stats = true; }
static void take_no_rewrite(struct options *options, char *value) { (void)value; options->rewrite = PAL_REWRITE_NEVER + 1; }
static void take_no_profile(struct options *options, char *value) { (void)value; options->no_profile = true; }
static void take_picoprocess(struct options *options, char *value) { options->picoprocess = value; }
static void take_fault(struct options *options, char *value) { options->fault = read_count("fault", value); }
static void take_taken(struct options *options, char *value)
{
    unsigned long start, end;
    uint32_t i = 0;
    while (i < PAL_TAKEN && options->taken[i].end)
        i++;
    if (i == PAL_TAKEN || sscanf(value, "%lx-%lx", &start, &end) != 2 || (start | end) % PAL_PAGE_SIZE || start >= end)
        fail(EXIT_OWN_FAILURE, "--taken %s: expected START-END as in /proc/PID/maps, in ascending order", value);
    options->taken[i] = (struct pal_range){start, end};
}

static void take_help(struct options *options, char *value) { (void)options; (void)value; help_print(); }
static void take_version(struct options *options, char *value) { (void)options; (void)value; version_print(); }

static void take_processes(struct options *options, char *value) { options->processes = read_count("pids", value); }

static void take_memory(struct options *options, char *value)
{
    if (!size_read(value, &options->memory))
        fail(EXIT_OWN_FAILURE, "--memory %s: expected bytes, or a size such as 512M", value);
}

static void take_timeout(struct options *options, char *value)
{
    if (!duration_read(value, &options->wall_seconds))
        fail(EXIT_OWN_FAILURE, "--timeout %s: expected seconds, or a time such as 5m", value);
}

static void take_env(struct options *options, char *value)
{
    if (options->environment_count == sizeof options->environment / sizeof *options->environment)
        fail(EXIT_OWN_FAILURE, "--env %s: too many: write a manifest", value);
    if (!*value || *value == '=')
        fail(EXIT_OWN_FAILURE, "--env %s: expected NAME or NAME=VALUE", value);
    options->environment[options->environment_count++] = value;
}

static void add_guard(struct options *options, char *value, bool hides)
{
    if (options->guard_count == sizeof options->guards / sizeof *options->guards)
        fail(EXIT_OWN_FAILURE, "--%s %s: too many: write a manifest", hides ? "hide" : "deny-write", value);
    options->guards[options->guard_count].pattern = value;
    options->guards[options->guard_count++].hides = hides;
}

static void take_hide(struct options *options, char *value) { add_guard(options, value, true); }
static void take_deny_write(struct options *options, char *value) { add_guard(options, value, false); }
static void take_allow_repo_config(struct options *options, char *value) { (void)value; options->allow_repo_config = true; }

static void take_report(struct options *options, char *value)
{
    static const char *const kinds[] = {[REPORT_DENIED] = "denied", [REPORT_ALL] = "all", [REPORT_JSON] = "json"};
    options->report = true;
    for (size_t i = 0; value && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(value, kinds[i]) != 0)
            continue;
        options->report_kind = (enum report_kind)i;
        return;
    }
    if (value)
        fail(EXIT_OWN_FAILURE, "--report=%s: expected denied, all or json", value);
}

static void take_json(struct options *options, char *value)
{
    uint32_t fd = read_count("json", value);
    if (fd <= 2 || fd > INT_MAX)
        fail(EXIT_OWN_FAILURE, "--json %s: expected the number of a descriptor above 2, such as 3 with 3>FILE", value);
    options->events = (int)fd;
}

static void take_ask(struct options *options, char *value)
{
    options->ask = true;
    if (value && (!duration_read(value, &options->ask_seconds) || options->ask_seconds > UINT32_MAX / 1000))
        fail(EXIT_OWN_FAILURE, "--ask=%s: expected seconds, or a time such as 5m", value);
}

static void take_ask_fd(struct options *options, char *value)
{
    uint32_t fd = read_count("ask-fd", value);
    if (fd <= 2 || fd > INT_MAX)
        fail(EXIT_OWN_FAILURE, "--ask-fd %s: expected the number of a socket above 2", value);
    options->ask_fd = (int)fd;
}

static void take_ask_keep(struct options *options, char *value) { options->ask_keep = value; }
static void take_report_file(struct options *options, char *value) { options->report = true; options->report_file = value; }
static void take_no_crash_report(struct options *options, char *value) { (void)value; options->no_crash_report = true; }
static void take_core(struct options *options, char *value) { options->core = value; }
static void take_trace(struct options *options, char *value)
{
    static const struct { const char *name; uint32_t class; } classes[] = {
        {"all", PAL_TRACE_ALL},         {"file", PAL_TRACE_FILE},       {"desc", PAL_TRACE_DESC},
        {"process", PAL_TRACE_PROCESS}, {"signal", PAL_TRACE_SIGNAL},   {"memory", PAL_TRACE_MEMORY},
        {"network", PAL_TRACE_NETWORK}, {"ipc", PAL_TRACE_IPC},
    };
    options->trace |= value ? 0 : PAL_TRACE_ALL;
    for (char *word; value && (word = strsep(&value, ","));) {
        uint32_t class = 0;
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
            if (!strcmp(word + (*word == '%'), classes[i].name))
                class = classes[i].class;
        if (!class)
            fail(EXIT_OWN_FAILURE, "--trace=%s: expected file, desc, process, signal, memory, network, ipc or all", word);
        options->trace |= class;
    }
}

static void add_network(struct options *options, const char *option, const char *value)
{
    if (options->network_count == sizeof options->network / sizeof *options->network)
        fail(EXIT_OWN_FAILURE, "--%s %s: too many: write a manifest", option, value);
    options->network[options->network_count].option = option;
    options->network[options->network_count++].value = value;
}

static void take_net(struct options *options, char *value) { add_network(options, "net", value); }
static void take_publish(struct options *options, char *value) { add_network(options, "publish", value); }
static void take_host_port(struct options *options, char *value) { add_network(options, "host-port", value); }

static void take_listen_fds(struct options *options, char *value) { (void)value; options->listen_fds = true; }

static void take_name(struct options *options, char *value)
{
    if (!*value || strlen(value) > JOIN_NAME_MAX || value[strspn(value, NAME_LETTERS)])
        fail(EXIT_OWN_FAILURE, "--name %s: at most %d letters, digits, '.', '_' and '-'", value, JOIN_NAME_MAX);
    options->name = value;
}

static void take_init(struct options *options, char *value) { (void)value; options->init = true; }

static void take_trap(struct options *options, char *value)
{
    /* "none" is the tests': the program ends at a call that was not rewritten. */
    static const char *const words[] = {
        [LINUX_TRAP_DISPATCH] = "sud", [LINUX_TRAP_SECCOMP] = "seccomp", [LINUX_TRAP_NONE] = "none"};
    for (options->trap = 0; options->trap < sizeof words / sizeof *words; options->trap++)
        if (!strcmp(value, words[options->trap]))
            return;
    fail(EXIT_OWN_FAILURE, "--trap=%s: expected sud or seccomp", value);
}

static void take_rewrite(struct options *options, char *value)
{
    options->rewrite = rewrite_read(value);
    if (!options->rewrite)
        fail(EXIT_OWN_FAILURE, "--rewrite=%s: expected trapped, ahead or never", value);
}

static void take_walls(struct options *options, char *value)
{
    options->walls_monitor = !strcmp(value, "monitor");
    options->walls_view = !strcmp(value, "view");
    if (!options->walls_monitor && !options->walls_view)
        fail(EXIT_OWN_FAILURE, "--walls=%s: expected view or monitor", value);
}

const struct option_row option_rows[] = {
    {"manifest", 'm', "FILE", "read the policy from a TOML file instead of using the built-in one", take_manifest},
    {"ro", 0, "PATH", "show one more file or directory, read-only (AT=FROM: at another place)", take_ro},
    {"rw", 0, "PATH", "the same, writable", take_rw},
    {"cow", 0, "PATH", "the same, writable for the sandbox alone: the host's files stay as they are", take_cow},
    {"keep", 0, "NAME", "keep what is written to copies, for diff, apply, drop and later runs", take_keep},
    {"tmpfs", 0, "PATH[:SIZE]", "a private, empty directory, removed at the end; with SIZE, such as 64M: in memory, and no larger", take_tmpfs},
    {"image", 0, "AT=FILE[:PART]", "show what a disk image (ext4, squashfs) holds, read-only; or oci:DIR[:TAG], docker-archive:FILE, oci-archive:FILE: "
     "run a container image", take_image},
    {"hide", 0, "GLOB", "never show files and directories of such names, such as '**/.env'", take_hide},
    {"deny-write", 0, "GLOB", "let nothing of such names be written or made", take_deny_write},
    {"allow-repo-config", 0, NULL, "let hooks and settings of repositories, editors and shells be written", take_allow_repo_config},
    {"env", 0, "NAME[=VALUE]", "set a variable, or pass one on (or all of such a name: 'AWS_*')", take_env},
    {"home", 0, "DIR", "keep the home's files in this directory, which is made where it is missing", take_home},
    {"cwd", 0, "DIR", "start in this directory", take_cwd},
    {"memory", 0, "SIZE", "limit the memory of each process, such as 512M", take_memory},
    {"pids", 0, "N", "limit the number of processes", take_processes},
    {"timeout", 0, "TIME", "end the sandbox after this time, such as 5m, with status 124", take_timeout},
    {"net", 0, "NAME[:PORT]", "allow connections to a host (*.NAME: below it; an address; or host, loopback, none)",
     take_net},
    {"publish", 0, "HOST:PORT", "the host's port HOST leads to PORT of the sandbox", take_publish},
    {"host-port", 0, "PORT", "127.0.0.1:PORT of the sandbox is the host's", take_host_port},
    {"listen-fds", 0, NULL, "listeners that pal-run was started with are the program's: sd_listen_fds(3)", take_listen_fds},
    {"name", 0, "NAME", "what `pal-run exec NAME` finds the running sandbox by", take_name},
    {"init", 0, NULL, "the program is process 1 and gets all signals, as in a container; where pal-run is process 1 it is so anyway",
     take_init},
    {"ask", 0, "[=TIME]", "ask at the terminal about what policy refuses; no answer in that time (a minute) is no", take_ask},
    {"ask-fd", 0, "FD", "ask on this socket instead: a line of JSON each way", take_ask_fd},
    {"ask-keep", 0, "FILE", "where answers for always are kept, and read at the start; else in the manifest", take_ask_keep},
    {"report", 0, "[=denied|all|json]", "on exit, list what policy denied, and which walls stood; all: and what was hidden",
     take_report},
    {"report-file", 0, "FILE", "the same, appended to a file", take_report_file},
    {"core", 0, "FILE", "where the first process that crashes leaves a core file, for gdb", take_core},
    {"no-crash-report", 0, NULL, "don't tell where the program crashed", take_no_crash_report},
    {"json", 0, "FD", "write an event a line to this descriptor: denied, wrote, connected, limit, ended", take_json},
    {"trace", 0, "[=CLASS,...]", "log system calls: all, or file, desc, process, signal, memory, network, ipc", take_trace},
    {"stats", 0, NULL, "print call counts on exit", take_stats},
    {"output", 'o', "FILE", "write the log of --trace and --stats to a file", take_log},
    {"trap", 0, "sud|seccomp", "how system calls are intercepted; seccomp: for hosts without Syscall User Dispatch", take_trap},
    {"walls", 0, "view|monitor", "where names are looked up: by the program, in a view made at once (else once it pays), or by the monitor alone", take_walls},
    {"rewrite", 0, "trapped|ahead|never", "which call sites become jumps: those that trap often, or all before they run", take_rewrite},
    {"no-rewrite", 0, NULL, "don't rewrite call sites: every system call traps", take_no_rewrite},
    {"no-profile", 0, NULL, "neither use nor keep what earlier runs looked up at their start, and their call sites", take_no_profile},
    {"help", 'h', NULL, "print this text", take_help},
    {"version", 'V', NULL, "print the version", take_version},
    {"picoprocess", 0, "FILE", NULL, take_picoprocess}, /* another first program */
    {"taken", 0, "START-END", NULL, take_taken},        /* a part of the guest's range is the host's */
    {"fault", 0, "N", NULL, take_fault},                /* the n-th PAL call fails */
    {0},
};

static const struct option_row *find(const char *name, size_t size)
{
    for (const struct option_row *row = option_rows; row->name; row++)
        if (strlen(row->name) == size && !memcmp(row->name, name, size))
            return row;
    return NULL;
}

/* Words of other tools. */
static const struct { const char *theirs, *ours; } others[] = {
    {"--bind", "--rw PATH, or --rw AT=FROM"}, {"--ro-bind", "--ro PATH, or --ro AT=FROM"}, {"--volume", "--rw AT=FROM"},
    {"-v", "--rw AT=FROM"}, {"--mount", "--ro AT=FROM"}, {"--read", "--ro PATH"}, {"--write", "--rw PATH"},
    {"--allow-read", "--ro PATH"}, {"--allow-write", "--rw PATH"}, {"--allow-net", "--net NAME"}, {"--whitelist", "--rw PATH"},
    {"--read-only", "--ro PATH"}, {"--unshare-net", "the default: no network"},
    {"--unshare-all", "the default"}, {"--private", "the default: a private home"}, {"--setenv", "--env NAME=VALUE"},
    {"-e", "--env NAME=VALUE"}, {"--workdir", "--cwd DIR"}, {"-w", "--cwd DIR"}, {"--chdir", "--cwd DIR"},
    {"--port", "--publish HOST:PORT"}, {"-p", "--publish HOST:PORT"}, {"--ulimit", "--memory, --pids, --timeout"},
    {"--cpus", "a manifest with cpu_seconds"}, {"--quiet", "the default"}, {"--verbose", "--trace or --report"},
};

static void unknown(const char *argument) __attribute__((noreturn));
static void unknown(const char *argument)
{
    const char *name = argument[1] == '-' ? argument + 2 : argument + 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(argument, others[i].theirs, strcspn(argument, "=")) && !others[i].theirs[strcspn(argument, "=")])
            fail(EXIT_OWN_FAILURE, "unknown option %s: pal-run has %s for that", argument, others[i].ours);
    for (const struct option_row *row = option_rows; row->name; row++)
        if (row->help && name[0] && name[1] && name_is_near(name, row->name))
            fail(EXIT_OWN_FAILURE, "unknown option %s; did you mean --%s? See pal-run --help", argument, row->name);
    fail(EXIT_OWN_FAILURE, "unknown option %s: see pal-run --help", argument);
}

/* argv[*at] is an option: take it, and its value where that is the next word. */
static void take(struct options *options, char **argv, int *at)
{
    char *argument = argv[*at], *value = NULL;
    const struct option_row *row = NULL;
    if (argument[1] == '-') {
        char *equals = strchr(argument, '=');
        row = find(argument + 2, equals ? (size_t)(equals - argument) - 2 : strlen(argument + 2));
        value = equals ? equals + 1 : NULL;
    } else {
        for (row = option_rows; row->name && row->letter != argument[1]; row++)
            ;
        if (argument[2])
            value = argument + 2;
    }
    if (!row || !row->name || (!row->value && value && argument[1] != '-'))
        unknown(argument);
    if (!row->value && value)
        fail(EXIT_OWN_FAILURE, "option --%s takes no value: see pal-run --help", row->name);
    bool optional = row->value && row->value[0] == '[';
    if (row->value && !optional && !value && !(value = argv[++*at]))
        fail(EXIT_OWN_FAILURE, "option %s needs a value: see pal-run --help", argument);
    row->take(options, value);
}

void options_read(struct options *options, int argc, char **argv)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        if (!strcmp(argv[at], "--")) {
            at++;
            break;
        }
        take(options, argv, &at);
    }
    options->command = argv + at;
    options->init |= getpid() == 1;
    if (options->container && options->manifest)
        fail(EXIT_OWN_FAILURE, "--image %s: what it runs is the image's to say: give no manifest", options->container);
    if (options->container)
        oci_image_open(options->container, options);
}
