/* SPDX-License-Identifier: MIT */
/* pal-run pack: a program, what it needs of this host's files, and its policy, in one file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"
#include "loader/pack/pack.h"

#define USAGE "usage: pal-run pack [-o FILE] [--oci DIR] [--learn[=TIME]] [--calls CLASS,...] [options] [--] PROGRAM [ARG...], or pack [...] -m MANIFEST"

struct wanted {
    const char *out, *oci, *calls;
    bool learns;
    uint64_t seconds; /* that the trial run is given; 0: as long as it takes */
};

/* ---- What is asked for ------------------------------------------------------------------------------------------- */

static void read_learn(struct wanted *wanted, const char *value)
{
    wanted->learns = true;
    if (*value && !duration_read(value + 1, &wanted->seconds))
        fail(EXIT_OWN_FAILURE, "--learn%s: expected seconds, or a time such as 5m", value);
}

/* pack's own options stand first. */
static int read_own(struct wanted *wanted, int argc, char **argv)
{
    int at = 1;
    for (; at < argc; at++) {
        if (!strcmp(argv[at], "-o") && at + 1 < argc)
            wanted->out = argv[++at];
        else if (!strcmp(argv[at], "--oci") && at + 1 < argc)
            wanted->oci = argv[++at];
        else if (!strcmp(argv[at], "--calls") && at + 1 < argc)
            wanted->calls = argv[++at];
        else if (!strncmp(argv[at], "--learn", 7) && (!argv[at][7] || argv[at][7] == '='))
            read_learn(wanted, argv[at] + 7);
        else if (!strcmp(argv[at], "-f"))
            argv[at][1] = 'm';
        else
            break;
        if (argv[at][1] == 'm')
            break;
    }
    return at;
}

/* What is of one run, or of this host alone. */
static void refuse(const struct options *options)
{
    const char *name = options->container                  ? "--image of a container"
                       : options->home                       ? "--home"
                       : options->keep                     ? "--keep"
                       : options->ask || options->ask_fd   ? "--ask"
                       : options->name                     ? "--name"
                       : options->report || options->stats ? "--report and --stats (a bundle has --pal-report, --pal-stats)"
                       : options->trace || options->log    ? "--trace and --output"
                       : options->listen_fds               ? "--listen-fds"
                       : options->events                   ? "--json"
                       : options->trap                     ? "--trap"
                       : options->init                     ? "--init"
                       : options->walls_monitor || options->walls_view ? "--walls" : NULL;
    if (name)
        fail(EXIT_OWN_FAILURE, "pack: %s: not a part of what can be packed", name);
}

static void add_variable(struct manifest *manifest, const char *assignment)
{
    size_t size = (manifest->environment_count + 1) * sizeof *manifest->environment;
    manifest->environment = realloc(manifest->environment, size);
    if (!manifest->environment)
        fail(EXIT_OWN_FAILURE, "no memory for the environment");
    manifest->environment[manifest->environment_count++] = (char *)assignment;
}

/* Without a manifest: little, and nothing of whoever packs. */
static void begin(struct manifest *manifest)
{
    static const char *const variables[] = {("PATH=" DEFAULT_PATH), "HOME=/tmp", "TERM", "LANG", "LC_*", "TZ", "NO_COLOR"};
    manifest->uid = manifest->gid = -1;
    manifest->limits = (struct limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        add_variable(manifest, variables[i]);
}

static void set_limit(uint64_t *limit, uint64_t value)
{
    if (value)
        *limit = value;
}

static void add_network(struct network *network, const char *option, const char *value)
{
    const char *error = !strcmp(option, "net")       ? network_option(network, value)
                        : !strcmp(option, "publish") ? network_add_publish(network, value)
                                                     : network_add_host_port(network, value);
    if (error)
        fail(EXIT_OWN_FAILURE, "--%s %s: %s", option, value, error);
}

static void add_options(struct manifest *manifest, const struct options *options)
{
    for (size_t i = 0; i < options->environment_count; i++)
        add_variable(manifest, options->environment[i]);
    for (size_t i = 0; i < options->network_count; i++)
        add_network(&manifest->network, options->network[i].option, options->network[i].value);
    for (size_t i = 0; i < options->guard_count; i++) {
        if (manifest->guard_count == sizeof manifest->guards / sizeof *manifest->guards)
            fail(EXIT_OWN_FAILURE, "pack: too many patterns");
        manifest->guards[manifest->guard_count].pattern = options->guards[i].pattern;
        manifest->guards[manifest->guard_count++].hides = options->guards[i].hides;
    }
    set_limit(&manifest->limits.memory, options->memory);
    set_limit(&manifest->limits.processes, options->processes);
    set_limit(&manifest->limits.wall_seconds, options->wall_seconds);
    manifest->allow_repo_config |= options->allow_repo_config;
    manifest->rewrite = options->rewrite ? options->rewrite : manifest->rewrite;
    manifest->cwd = options->cwd ? options->cwd : manifest->cwd;
}

static char *absolute(const char *path)
{
    char joined[2 * PAL_PATH_MAX], clean[PAL_PATH_MAX], here[PAL_PATH_MAX];
    bool slash;
    if (path[0] != '/' && !getcwd(here, sizeof here))
        fail(EXIT_OWN_FAILURE, "pack: the current directory has no name");
    if (snprintf(joined, sizeof joined, "%s%s%s", path[0] == '/' ? "" : here, path[0] == '/' ? "" : "/", path) >= (int)sizeof joined ||
        path_clean(clean, sizeof clean, joined, strlen(joined), &slash) < 0)
        fail(EXIT_OWN_FAILURE, "pack: %.60s: give a path without '..', and a shorter one", path);
    return must_copy(clean);
}

static void add_program(struct manifest *manifest, const struct options *options)
{
    const char *path = getenv("PATH");
    if (options->command[0]) {
        manifest->program = options->command[0];
        manifest->args = options->command + 1;
        for (manifest->arg_count = 0; manifest->args[manifest->arg_count];)
            manifest->arg_count++;
    }
    if (!manifest->program)
        fail(EXIT_OWN_FAILURE, USAGE);
    manifest->program = absolute(program_find(manifest->program, path ? path : DEFAULT_PATH));
}

/* ---- Which files ------------------------------------------------------------------------------------------------- */

static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", path, strerror(errno));
    return real;
}

static void pack_path(struct tree *tree, const char *at, const char *from)
{
    int error = from && strcmp(at, from) != 0 ? tree_add_at(tree, at, real_path(from)) : tree_add(tree, at, true);
    if (error)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", at, strerror(-error));
}

/* A place of its own at run time. */
static void keep_mount(struct tree *tree, struct manifest *manifest, const struct mount *mount)
{
    if (manifest->mount_count == MOUNTS_MAX / 2)
        fail(EXIT_OWN_FAILURE, "pack: too many mounts");
    manifest->mounts[manifest->mount_count++] = *mount;
    tree_add_directory(tree, mount->at, mount->kind == MOUNT_SCRATCH ? 01777 : 0755);
}

static void add_option_mount(struct tree *tree, struct manifest *manifest, const struct option_mount *option)
{
    struct mount mount = {.at = absolute(option->at), .memory = option->memory, .offset = UINT64_MAX};
    if (!strcmp(option->access, "image"))
        fail(EXIT_OWN_FAILURE, "pack: --image %s: a bundle has no image but its own", option->at);
    mount.from = option->from ? option->from : mount.at;
    if (!strcmp(option->access, "tmpfs")) {
        mount.kind = MOUNT_SCRATCH;
        keep_mount(tree, manifest, &mount);
    } else if (!strcmp(option->access, "rw")) {
        mount.kind = MOUNT_HOST;
        mount.writable = true;
        mount.from = real_path(mount.from);
        keep_mount(tree, manifest, &mount);
    } else {
        pack_path(tree, mount.at, mount.from);
    }
}

/* Of the system's trees a manifest shows all; the program needs little of them. */
static bool is_system(const struct mount *mount)
{
    static const char *const trees[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/"};
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
        if (!strcmp(mount->at, trees[i]) && !strcmp(mount->from, trees[i]))
            return true;
    return false;
}

static void add_manifest_mounts(struct tree *tree, struct manifest *manifest)
{
    size_t count = manifest->mount_count;
    manifest->mount_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mount mount = manifest->mounts[i];
        if (mount.kind == MOUNT_IMAGE)
            fail(EXIT_OWN_FAILURE, "pack: %s: a bundle has no image but its own", mount.at);
        if (mount.kind == MOUNT_SCRATCH || (mount.kind == MOUNT_HOST && mount.writable))
            keep_mount(tree, manifest, &mount);
        else if (!is_system(&mount))
            pack_path(tree, mount.at, mount.from);
    }
}

/* ---- A trial run ------------------------------------------------------------------------------------------------- */

static uint32_t learn(struct tree *tree, const struct manifest *manifest, uint64_t seconds)
{
    char *words[126];
    size_t count = 0;
    if (seconds)
        words[count++] = must_print("--timeout=%llu", (unsigned long long)seconds);
    for (size_t i = 0; i < manifest->environment_count && count < 120; i++)
        words[count++] = must_print("--env=%s", manifest->environment[i]);
    if (manifest->cwd)
        words[count++] = must_print("--cwd=%s", manifest->cwd);
    words[count] = NULL;
    return needed_learn(tree, words, manifest->program, manifest->args ? manifest->args : (char *[]){NULL});
}

/* A trial run can write nearly nothing, which in a bundle it can, and has no network, so nobody calls. */
static uint32_t calls_besides(const struct network *network)
{
    bool outside = network->mode > NETWORK_NONE || network->publish_count || network->host_port_count || network->listener_count;
    return LINUX_CLASS_FILES | (outside ? LINUX_CLASS_SOCKETS | LINUX_CLASS_POLLS : 0);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* The classes of host calls that it needs, as far as that is known. */
static uint32_t gather(struct tree *tree, struct manifest *manifest, const struct options *options, const struct wanted *wanted)
{
    uint32_t calls = LINUX_CLASSES;
    tree_init(tree);
    needed_begin(tree);
    add_manifest_mounts(tree, manifest);
    for (size_t i = 0; i < options->mount_count; i++)
        add_option_mount(tree, manifest, &options->mounts[i]);
    needed_add(tree, manifest->program);
    if (wanted->learns)
        calls = learn(tree, manifest, wanted->seconds) | calls_besides(&manifest->network);
    library_cache_add(tree);
    if (!options->manifest && !tree_has(tree, "/tmp")) /* else it is that of the other files: a copy that can be written */
        keep_mount(tree, manifest, &(struct mount){.at = "/tmp", .kind = MOUNT_SCRATCH});
    if (manifest->cwd && !tree_has(tree, manifest->cwd))
        tree_add_directory(tree, manifest->cwd, 0755);
    if (tree->secrets)
        warn("pack: %zu files that hold secrets by their names, or that root alone can read, are left out: name one itself by --ro", tree->secrets);
    return wanted->calls ? call_classes_read(wanted->calls) : calls;
}

static const char *unfinished; /* what is written appears whole, or not at all */

static void clear(void)
{
    if (unfinished)
        unpacked_remove(AT_FDCWD, unfinished);
}

static char *begin_writing(const char *out)
{
    char *new = must_print("%s.new.%d", out, (int)getpid());
    unfinished = new;
    fail_undo = clear;
    return new;
}

static void finish_writing(const char *new, const char *out)
{
    if (rename(new, out) < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", out, strerror(errno));
    unfinished = NULL;
}

static void write_bundle(const char *out, struct tree *tree, const struct bundle_policy *policy, uint32_t time)
{
    char digest[DIGEST_TEXT], *new = begin_writing(out);
    struct bundle_end end;
    struct stat status;
    int file = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
    if (file < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", new, strerror(errno));
    bundle_write(file, tree, policy, time, &end);
    uint64_t whole = end.policy + end.policy_size + sizeof end;
    if (geteuid() == 0 && fstat(file, &status) == 0) /* a picoprocess of root's has a user id of its own */
        fchmod(file, (status.st_mode & 0777) | 0111);
    if (close(file) < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", out, strerror(errno));
    finish_writing(new, out);
    digest_text(end.digest, digest);
    printf("%s: %zu names, %.1f MB (pal-run %.1f, files %.1f); %u of %u host calls\nsha256 of its contents: %s\n", out, tree->count, (double)whole / 1e6,
           (double)end.program / 1e6, (double)end.image_size / 1e6, filter_calls(true) - filter_left_out(policy->refused), filter_calls(true), digest);
}

static void write_oci(const char *directory, const struct tree *tree, const struct manifest *manifest, uint32_t time)
{
    char digest[DIGEST_TEXT], *new = begin_writing(directory);
    if (access(directory, F_OK) == 0)
        fail(EXIT_OWN_FAILURE, "pack --oci: %s: it is there already", directory);
    oci_layout_write(new, tree, manifest, time, digest);
    finish_writing(new, directory);
    printf("%s: %zu names\nsha256 of its manifest: %s\n", directory, tree->count, digest);
}

static char *name_for(const char *program)
{
    const char *slash = strrchr(program, '/');
    return must_print("%s.pal", slash ? slash + 1 : program);
}

int pack_main(int argc, char **argv)
{
    static struct options options;
    static struct manifest manifest, again;
    static struct tree tree;
    struct wanted wanted = {0};
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    launch_abandon();
    int first = read_own(&wanted, argc, argv);
    options_read(&options, argc - first + 1, argv + first - 1);
    refuse(&options);
    if (options.manifest)
        manifest_load(options.manifest, &manifest);
    else
        begin(&manifest);
    add_options(&manifest, &options);
    add_program(&manifest, &options);
    uint32_t calls = gather(&tree, &manifest, &options, &wanted);
    size_t size;
    char *text = policy_text(&manifest, &size), *wrong = manifest_parse("policy", text, size, &again);
    if (wrong)
        fail(EXIT_OWN_FAILURE, "pack: what was asked for makes no policy: %s", wrong);
    uint32_t time = epoch ? (uint32_t)strtoul(epoch, NULL, 10) : 0;
    if (wanted.oci)
        write_oci(wanted.oci, &tree, &manifest, time);
    if (wanted.out || !wanted.oci)
        write_bundle(wanted.out ? wanted.out : name_for(manifest.program), &tree, &(struct bundle_policy){text, size, LINUX_CLASSES & ~calls}, time);
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}
