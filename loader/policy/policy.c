/* SPDX-License-Identifier: MIT */
/*
 * What a sandbox may see.  Without a manifest: the system's programs and libraries, the public parts of /etc, the
 * program's own directory and the current one, all read-only at their own paths; a private writable /tmp and home; a
 * reduced environment.
 *
 * A directory is not shown where it is "/", a home directory, or holds one: starting a download from one's home must
 * not show the home.  The program itself is then shown alone, as a mount of one file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/policy/policy.h"

static char *must_clean(const char *what, const char *path)
{
    char joined[2 * PAL_PATH_MAX], clean[PAL_PATH_MAX], cwd[PAL_PATH_MAX];
    bool slash;
    if (path[0] != '/') {
        if (!getcwd(cwd, sizeof cwd) || cwd[0] != '/')
            fail(EXIT_OWN_FAILURE, "the current directory was removed: change to another, or give absolute paths");
        if (snprintf(joined, sizeof joined, "%s/%s", cwd, path) >= (int)sizeof joined)
            fail(EXIT_OWN_FAILURE, "%s %.60s...: the path is too long", what, path);
        path = joined;
    }
    ssize_t size = path_clean(clean, sizeof clean, path, strlen(path), &slash);
    if (size == -ELOOP) { /* a "..": what it means depends on the host's symlinks */
        char *real = realpath(path, NULL);
        if (!real)
            return must_copy(path); /* the open that follows says why */
        return real;
    }
    if (size < 0)
        fail(EXIT_OWN_FAILURE, "%s %.60s...: %s", what, path, strerror((int)-size));
    return must_copy(clean);
}

static struct mount *add(struct policy *policy, enum mount_kind kind, const char *at, const char *from, bool writable)
{
    struct mount *mount = mount_table_add(&policy->mounts, kind, at, from, writable);
    if (!mount)
        fail(EXIT_OWN_FAILURE, "%s: too many mounts: at most %d", at, MOUNTS_MAX);
    return mount;
}

/* ---- Without a manifest ------------------------------------------------------------------------------------------ */

static void add_system(struct policy *policy)
{
    static const char *const merged[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    add(policy, MOUNT_HOST, "/usr", "/usr", false)->public_files = geteuid() == 0;
    add(policy, MOUNT_HOST, "/etc", "/etc", false)->public_only = true;
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++) {
        char contents[256];
        ssize_t size = readlink(merged[i], contents, sizeof contents - 1);
        if (size > 0) {
            contents[size] = 0;
            add(policy, MOUNT_LINK, merged[i], must_copy(contents), false);
        } else if (errno == EINVAL) {
            add(policy, MOUNT_HOST, merged[i], merged[i], false)->public_files = geteuid() == 0;
        }
    }
}

static char *read_passwd(void)
{
    static char text[256 * 1024];
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = 0;
    return text;
}

/* Shown already, or never to be shown. */
static bool is_covered(const struct policy *policy, const char *path)
{
    size_t size = strlen(path);
    const struct mount *mount = mount_table_find(&policy->mounts, path, size);
    return mount_table_is_libos(&policy->mounts, path, size) ||
           (mount && (mount->kind != MOUNT_SCRATCH || mount->at_size == size));
}

struct mount *policy_add_directory(struct policy *policy, const char *directory)
{
    static char *passwd;
    if (is_covered(policy, directory))
        return NULL;
    if (!passwd)
        passwd = read_passwd();
    const char *home = getenv("HOME");
    bool odd = home && strcmp(home, policy->home) != 0; /* as it is written */
    if (policy_is_home(directory, policy->home, passwd) || (odd && policy_is_home(directory, home, NULL)))
        return NULL;
    char *kept = must_copy(directory);
    struct mount *mount = add(policy, MOUNT_HOST, kept, kept, false);
    mount->implied = true;
    return mount;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? must_copy("/") : must_print("%.*s", (int)(slash - path), path);
}

/* A path that a symlink may lead away from: both ends are shown. */
static void add_program(struct policy *policy, const char *path)
{
    const struct mount *mount = mount_table_find(&policy->mounts, path, strlen(path));
    if (mount && mount->kind != MOUNT_SCRATCH)
        return;
    char *real = realpath(path, NULL);
    policy_add_directory(policy, directory_of(path));
    if (real && strcmp(real, path) != 0)
        add_program(policy, real);
    mount = mount_table_find(&policy->mounts, path, strlen(path));
    if (real && (!mount || mount->kind == MOUNT_SCRATCH) && !mount_table_is_libos(&policy->mounts, path, strlen(path)))
        add(policy, MOUNT_HOST, path, path, false)->implied = true;
}

/* HOME, or what /etc/passwd says: read here, since getpwuid would load half of NSS. */
static const char *find_home(const struct policy *policy)
{
    const char *home = getenv("HOME");
    char clean[PAL_PATH_MAX], *line, *rest;
    bool slash;
    if (!home || home[0] != '/') {
        home = "/";
        for (rest = read_passwd(); (line = strsep(&rest, "\n"));) {
            char *field[7] = {NULL};
            for (int i = 0; i < 7; i++)
                field[i] = strsep(&line, ":");
            if (field[5] && strtoul(field[2], NULL, 10) == policy->uid) {
                home = field[5];
                break;
            }
        }
    }
    if (path_clean(clean, sizeof clean, home, strlen(home), &slash) < 0)
        return "/tmp";
    size_t size = strlen(clean);
    if (size == 1 || mount_table_find(&policy->mounts, clean, size) ||
        mount_table_is_above(&policy->mounts, clean, size) || mount_table_is_libos(&policy->mounts, clean, size))
        return "/tmp";
    return must_copy(clean);
}

/* ---- AppImages --------------------------------------------------------------------------------------------------- */

#define APPDIR "/appimage"

/* A program that mounts what follows it, by FUSE, and runs AppRun of that: it is mounted as other images are. */
static bool is_appimage(const char *path)
{
    uint8_t head[11];
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is = fd >= 0 && read(fd, head, sizeof head) == sizeof head && !memcmp(head, "\177ELF", 4) && head[8] == 'A' && head[9] == 'I';
    if (fd >= 0)
        close(fd);
    if (is && head[10] != 2)
        fail(EXIT_NOT_EXECUTABLE, "%s: an AppImage of type %u: only type 2 is supported", path, head[10]);
    return is;
}

/* With the variables that its own start would set. */
static void add_appimage(struct policy *policy)
{
    struct mount *mount = add(policy, MOUNT_IMAGE, APPDIR, policy->program, false);
    mount->offset = UINT64_MAX;
    mount->why = "the program is an AppImage";
    environment_set(policy, "APPDIR=" APPDIR);
    environment_set(policy, must_print("APPIMAGE=%s", policy->program));
    environment_set(policy, must_print("ARGV0=%s", policy->shown));
    environment_set(policy, must_print("OWD=%s", policy->cwd));
    policy->program = APPDIR "/AppRun";
}

void policy_default(struct policy *policy, const struct options *options)
{
    char cwd[PAL_PATH_MAX];
    const char *path = getenv("PATH");
    if (!options->command[0])
        fail(EXIT_OWN_FAILURE, "no PROGRAM: usage: pal-run [options] [-m MANIFEST] [--] PROGRAM [ARG...]");
    policy->shown = options->command[0];
    policy->argv = options->command;
    policy->program = must_clean("the program's path", program_find(options->command[0], path ? path : DEFAULT_PATH));
    add_system(policy);
    policy->home = find_home(policy);
    add(policy, MOUNT_SCRATCH, "/tmp", NULL, true);
    if (strcmp(policy->home, "/tmp") != 0)
        add(policy, MOUNT_SCRATCH, policy->home, NULL, true);
    add_program(policy, policy->program);
    policy->cwd = "/";
    if (getcwd(cwd, sizeof cwd) && cwd[0] == '/') {
        policy_add_directory(policy, cwd);
        if (mount_table_find(&policy->mounts, cwd, strlen(cwd)) ||
            mount_table_is_above(&policy->mounts, cwd, strlen(cwd)))
            policy->cwd = must_copy(cwd);
    }
    companions_bring(policy);
    environment_default(policy);
    if (is_appimage(policy->program))
        add_appimage(policy);
}

/* ---- With one ---------------------------------------------------------------------------------------------------- */

static char **join_arguments(const char *program, const struct manifest *manifest)
{
    char **argv = must_allocate((manifest->arg_count + 2) * sizeof *argv);
    argv[0] = (char *)program;
    for (size_t i = 0; i < manifest->arg_count; i++)
        argv[i + 1] = manifest->args[i];
    return argv;
}

static struct manifest *manifest_of(const struct options *options)
{
    static struct manifest manifest;
    if (options->sealed)
        return options->sealed->manifest;
    manifest_load(options->manifest, &manifest);
    return &manifest;
}

/* A bundle's own files: what is written to them is gone at the end. */
static void add_sealed(struct policy *policy, const struct sealed *sealed)
{
    struct mount *mount = add(policy, sealed->files ? MOUNT_COPY : MOUNT_IMAGE, "/", sealed->files ? sealed->files : sealed->image, true);
    mount->granted = true;
    mount->offset = sealed->offset;
    mount->copied = !sealed->files;
}

void policy_from_manifest(struct policy *policy, const struct options *options)
{
    struct manifest *manifest = manifest_of(options);
    const char *name = options->sealed ? options->sealed->name : options->manifest;
    if (options->sealed)
        add_sealed(policy, options->sealed);
    for (size_t i = 0; i < manifest->mount_count; i++) {
        const struct mount *mount = &manifest->mounts[i];
        struct mount *added = add(policy, mount->kind, mount->at, mount->from, mount->writable);
        added->granted = true;
        added->memory = mount->memory;
        added->offset = mount->offset;
        added->part = mount->part;
        added->copied = mount->copied;
    }
    for (size_t i = 0; i < manifest->guard_count; i++) {
        const char *wrong = policy_guard(policy, manifest->guards[i].pattern, manifest->guards[i].hides);
        if (wrong)
            fail(EXIT_OWN_FAILURE, "%s: \"%s\": %s", name, manifest->guards[i].pattern, wrong);
    }
    policy->allow_repo_config = manifest->allow_repo_config;
    policy->rewrite = manifest->rewrite ? manifest->rewrite - 1 : policy->rewrite;
    policy->limits = manifest->limits;
    policy->network = manifest->network;
    policy->uid = manifest->uid < 0 ? policy->uid : (uint32_t)manifest->uid;
    policy->gid = manifest->gid < 0 ? policy->gid : (uint32_t)manifest->gid;
    for (size_t i = 0; i < manifest->environment_count; i++)
        environment_set(policy, manifest->environment[i]);
    policy->cwd = manifest->cwd ? manifest->cwd : "/";
    policy->home = environment_get(policy, "HOME");
    policy->home = policy->home ? policy->home : "/";
    const char *program = options->command[0] ? options->command[0] : manifest->program;
    if (!program)
        fail(EXIT_OWN_FAILURE, "%s: no program: set 'program', or give one on the command line",
             name);
    policy->shown = program;
    policy->argv = options->command[0] ? options->command : join_arguments(program, manifest);
}

/* ---- Options, on top of either ----------------------------------------------------------------------------------- */

/* FILE or FILE:PART. */
static void add_image(struct policy *policy, const char *at, char *from)
{
    char *colon = strrchr(from, ':'), *end = NULL;
    unsigned long part = colon && access(from, F_OK) < 0 ? strtoul(colon + 1, &end, 10) : 0;
    if (part && part <= UINT32_MAX && !*end)
        *colon = 0;
    else
        part = 0;
    struct mount *mount = add(policy, MOUNT_IMAGE, at, from, false);
    mount->granted = true;
    mount->part = (uint32_t)part;
    mount->offset = UINT64_MAX;
}

static void add_option_mount(struct policy *policy, const struct option_mount *option)
{
    struct stat status;
    char *at = must_clean("mount", option->at), *from = option->from ? must_clean("mount", option->from) : at;
    bool copy = !strcmp(option->access, "cow"), writable = strcmp(option->access, "ro") != 0;
    if (!strcmp(option->access, "tmpfs")) {
        struct mount *mount = add(policy, MOUNT_SCRATCH, at, NULL, true);
        mount->granted = true;
        mount->memory = option->memory;
        return;
    }
    if (!strcmp(option->access, "image")) {
        add_image(policy, at, from);
        return;
    }
    if (stat(from, &status) < 0)
        fail(EXIT_OWN_FAILURE, "--%s %s: %s: expected an existing directory or file", option->access, from, strerror(errno));
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        fail(EXIT_OWN_FAILURE, "--%s %s: neither a directory nor a regular file", option->access, from);
    add(policy, copy ? MOUNT_COPY : MOUNT_HOST, at, from, writable)->granted = true;
}

/* As sd_listen_fds(3) has it; the first program of a sandbox has a number of its own. */
static void take_listeners(struct policy *policy, const struct options *options)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    long number = count ? strtol(count, NULL, 10) : 0;
    if (number < 1 || number > NET_LISTENERS_MAX || (pid && strtol(pid, NULL, 10) != getpid()))
        fail(EXIT_OWN_FAILURE, "--listen-fds: no listeners were passed: expected LISTEN_FDS from 1 to %d and LISTEN_PID of pal-run", NET_LISTENERS_MAX);
    policy->network.listener_count = (size_t)number;
    environment_set(policy, must_print("LISTEN_FDS=%ld", number));
    environment_set(policy, must_print("LISTEN_PID=%d", options->init ? 1 : FIRST_PROGRAM));
    if (getenv("LISTEN_FDNAMES"))
        environment_set(policy, "LISTEN_FDNAMES");
}

/* A home that is kept, in place of the private one. */
static void add_home(struct policy *policy, const char *directory)
{
    struct stat status;
    char *from = must_clean("--home", directory);
    if (mkdir(from, 0700) < 0 && errno != EEXIST)
        fail(EXIT_OWN_FAILURE, "--home %s: %s: its parent must exist and be yours", from, strerror(errno));
    if (stat(from, &status) < 0 || !S_ISDIR(status.st_mode))
        fail(EXIT_OWN_FAILURE, "--home %s: not a directory", from);
    if (!policy->home || policy->home[0] != '/' || !policy->home[1] || !strcmp(policy->home, "/tmp"))
        fail(EXIT_OWN_FAILURE, "--home %s: the sandbox has no home: set HOME", from);
    struct mount *mount = add(policy, MOUNT_HOST, policy->home, from, true);
    mount->granted = mount->own_home = true;
}

/* The same place twice, or the sandbox's own: what was meant? */
static void check_option_mount(const struct policy *policy, const struct options *options, size_t index)
{
    const struct option_mount *option = &options->mounts[index];
    const char *name = option->access;
    for (size_t i = 0; i < index; i++)
        if (!strcmp(options->mounts[i].at, option->at))
            fail(EXIT_OWN_FAILURE, "--%s %s: granted twice: give it once", name, option->at);
    size_t size = strlen(option->at);
    while (size > 1 && option->at[size - 1] == '/')
        size--;
    if (!option->from && strcmp(name, "tmpfs") != 0 && mount_table_is_libos(&policy->mounts, option->at, size))
        fail(EXIT_OWN_FAILURE, "--%s %s: the sandbox has its own, and the host's is never shown", name, option->at);
}

void policy_options(struct policy *policy, const struct options *options)
{
    policy->asks = options->ask || options->ask_fd;
    if (options->home)
        add_home(policy, options->home);
    for (size_t i = 0; i < options->mount_count; i++)
        check_option_mount(policy, options, i);
    for (size_t i = 0; i < options->mount_count; i++)
        add_option_mount(policy, &options->mounts[i]);
    mount_table_drop_implied(&policy->mounts);
    companions_settle(policy);
    for (size_t i = 0; i < options->guard_count; i++) {
        const char *wrong = policy_guard(policy, options->guards[i].pattern, options->guards[i].hides);
        if (wrong)
            fail(EXIT_OWN_FAILURE, "--%s %s: %s", options->guards[i].hides ? "hide" : "deny-write", options->guards[i].pattern,
                 wrong);
    }
    policy->allow_repo_config |= options->allow_repo_config;
    policy->rewrite = options->rewrite ? options->rewrite - 1 : policy->rewrite;
    policy_guard_default(policy); /* after the others, whose word counts first */
    for (size_t i = 0; i < options->environment_count; i++)
        environment_set(policy, options->environment[i]);
    if (options->memory)
        policy->limits.memory = options->memory;
    if (options->processes)
        policy->limits.processes = options->processes;
    if (options->wall_seconds)
        policy->limits.wall_seconds = options->wall_seconds;
    for (size_t i = 0; i < options->network_count; i++) {
        const char *option = options->network[i].option, *value = options->network[i].value;
        const char *error = !strcmp(option, "net")       ? network_option(&policy->network, value)
                            : !strcmp(option, "publish") ? network_add_publish(&policy->network, value)
                                                         : network_add_host_port(&policy->network, value);
        if (error)
            fail(EXIT_OWN_FAILURE, "--%s %s: %s", option, value, error);
    }
    if (policy->asks && policy->network.mode == NETWORK_LOOPBACK && !policy->network.mode_given)
        policy->network.mode = NETWORK_RULES; /* of which there may be some later */
    if (options->listen_fds)
        take_listeners(policy, options);
    if (options->cwd)
        policy->cwd = must_clean("--cwd", options->cwd);
    if (!policy->program && strchr(policy->shown, '/')) /* of a manifest */
        policy->program = policy->shown;
    if (policy->program && policy->program[0] != '/')
        policy->program = options->command[0] ? must_clean("the program's path", policy->program)
                                              : must_print("%s/%s", policy->cwd, policy->program);
}
