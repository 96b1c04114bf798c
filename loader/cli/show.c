/* SPDX-License-Identifier: MIT */
/* `pal-run show` and `pal-run why`: the policy in words, before anything runs. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/explain/explain.h"
#include "loader/launch/launch.h"
#include "loader/palrun.h"

#define FOLD_INDENT 4

bool command_wants_json(int *argc, char ***argv)
{
    if (*argc < 2 || strcmp((*argv)[1], "--json") != 0)
        return false;
    (*argv)[1] = (*argv)[0];
    (*argc)--;
    (*argv)++;
    return true;
}

void command_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    printf("\n");
    json_decref(value);
}

static const char *access_of(const struct mount *mount)
{
    if (mount->kind == MOUNT_LINK)
        return "link";
    if (mount->kind == MOUNT_SCRATCH)
        return "private";
    return mount->kind == MOUNT_IMAGE ? "image" : mount->kind == MOUNT_COPY ? "copy" : mount->writable ? "read-write" : "read-only";
}

static const char *meaning(const struct mount *mount)
{
    if (mount->kind == MOUNT_SCRATCH && mount->memory)
        return must_print("empty, writable, in memory, at most %llu bytes, gone at the end", (unsigned long long)mount->memory);
    if (mount->kind == MOUNT_SCRATCH)
        return "empty, writable, gone at the end";
    if (mount->kind == MOUNT_IMAGE)
        return mount->copied ? "what that disk image holds; writes go to a copy that is gone at the end" : "what that disk image holds, read-only";
    if (mount->kind == MOUNT_COPY)
        return "writes go to a copy that is gone at the end";
    if (mount->why)
        return mount->why;
    if (mount->public_only)
        return "only what any user of the host may read";
    return "";
}

/* ---- In words ---------------------------------------------------------------------------------------------------- */

static void print_mounts(const struct policy *policy)
{
    for (size_t i = 0; i < policy->mounts.count; i++) {
        const struct mount *mount = &policy->mounts.mounts[i];
        printf("  %-10s  %s", access_of(mount), mount->at);
        if (mount->kind == MOUNT_LINK)
            printf(" -> %s", mount->from);
        else if (mount->from && strcmp(mount->at, mount->from) != 0)
            printf("  (the host's %s)", mount->from);
        if (*meaning(mount))
            printf("  (%s)", meaning(mount));
        printf("\n");
    }
    printf("  %-10s  /proc, /dev, /sys  (the sandbox's own)\n", "synthetic");
}

/* The built-in patterns last: in one line. */
static void print_guards(const struct policy *policy)
{
    const struct guards *guards = &policy->mounts.guards;
    bool writable = false;
    for (size_t i = 0; i < guards->count; i++)
        if (guards->list[i].kind == GUARD_HIDE)
            printf("never shown: %s\n", guards->list[i].pattern);
    for (size_t i = 0; i < policy->mounts.count; i++)
        writable |= policy->mounts.mounts[i].kind == MOUNT_HOST && policy->mounts.mounts[i].writable;
    if (!writable)
        return;
    int column = 0, width = output_width(INT_MAX);
    for (size_t i = 0; i < guards->count; i++) {
        if (guards->list[i].kind == GUARD_HIDE)
            continue;
        column = column ? column + printf(",") : printf("never written:");
        char *text = must_print("%s%s", guards->list[i].pattern, guards->list[i].kind == GUARD_CONFIG ? " (but remotes, branches)" : "");
        column = print_folded(column, FOLD_INDENT, width, text);
        free(text);
    }
    if (column && !policy->allow_repo_config)
        print_folded(column, FOLD_INDENT, width, " (--allow-repo-config lifts the built-in ones)");
    if (column)
        printf("\n");
}

static void print_limit(const char *what, uint64_t value, const char *unit)
{
    if (value != UINT64_MAX)
        printf("  %s: %llu%s\n", what, (unsigned long long)value, unit);
}

static void print_policy(const struct policy *policy)
{
    printf("program: %s, started in %s\nfiles:\n", policy->program ? policy->program : policy->shown, policy->cwd);
    print_mounts(policy);
    print_guards(policy);
    int column = printf("variables:"), width = output_width(INT_MAX);
    for (size_t i = 0; i < policy->environment_count; i++) {
        char *name = must_print("%.*s", (int)strcspn(policy->environment[i], "="), policy->environment[i]);
        column = print_folded(column, FOLD_INDENT, width, name);
        free(name);
    }
    if (policy->asks)
        printf("\nasked about: what else it wants, if it runs at a terminal");
    printf("\nids: uid %u, gid %u as the program sees it\nlimits:\n", policy->uid, policy->gid);
    print_limit("memory of each process", policy->limits.memory, " bytes");
    print_limit("processes", policy->limits.processes, "");
    print_limit("open files of each process", policy->limits.files, "");
    print_limit("processor time of each process", policy->limits.cpu_seconds, " s");
    print_limit("time of the whole sandbox", policy->limits.wall_seconds, " s");
    const struct limits *limits = &policy->limits;
    if ((limits->memory & limits->processes & limits->files & limits->cpu_seconds & limits->wall_seconds) == UINT64_MAX)
        printf("  none but the host's own\n");
}

/* ---- As JSON ----------------------------------------------------------------------------------------------------- */

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value ? value : json_null()) < 0)
        fail(EXIT_OWN_FAILURE, "no memory");
}

static void put_limit(json_t *object, const char *key, uint64_t value)
{
    put(object, key, value == UINT64_MAX ? json_null() : json_integer((json_int_t)value));
}

static json_t *json_of(const struct policy *policy)
{
    json_t *top = json_object(), *mounts = json_array(), *names = json_array(), *limits = json_object();
    for (size_t i = 0; i < policy->mounts.count; i++) {
        const struct mount *mount = &policy->mounts.mounts[i];
        json_t *row = json_object();
        put(row, "at", json_string(mount->at));
        put(row, "access", json_string(access_of(mount)));
        put(row, "from", mount->from ? json_string(mount->from) : json_null());
        put(row, "why", mount->why ? json_string(mount->why) : json_null());
        put(row, "public_only", json_boolean(mount->public_only));
        json_array_append_new(mounts, row);
    }
    for (size_t i = 0; i < policy->environment_count; i++)
        json_array_append_new(names, json_stringn(policy->environment[i], strcspn(policy->environment[i], "=")));
    json_t *guards = json_array();
    static const char *const kinds[] = {[GUARD_HIDE] = "hide", [GUARD_KEEP] = "deny_write", [GUARD_HOOK] = "deny_write",
                                        [GUARD_CONFIG] = "deny_write"};
    for (size_t i = 0; i < policy->mounts.guards.count; i++)
        json_array_append_new(guards, json_pack("{ss ss}", "rule", kinds[policy->mounts.guards.list[i].kind], "pattern",
                                                policy->mounts.guards.list[i].pattern));
    put(top, "patterns", guards);
    put_limit(limits, "memory", policy->limits.memory);
    put_limit(limits, "processes", policy->limits.processes);
    put_limit(limits, "files", policy->limits.files);
    put_limit(limits, "cpu_seconds", policy->limits.cpu_seconds);
    put_limit(limits, "wall_seconds", policy->limits.wall_seconds);
    put(top, "program", json_string(policy->program ? policy->program : policy->shown));
    put(top, "cwd", json_string(policy->cwd));
    put(top, "mounts", mounts);
    put(top, "variables", names);
    put(top, "uid", json_integer(policy->uid));
    put(top, "gid", json_integer(policy->gid));
    put(top, "limits", limits);
    return top;
}

int show_main(int argc, char **argv)
{
    static struct options options;
    static struct policy policy;
    bool as_json = command_wants_json(&argc, &argv);
    launch_abandon();
    options_read(&options, argc, argv);
    palrun_policy(&policy, &options);
    if (as_json) {
        command_print_json(json_of(&policy));
    } else {
        print_policy(&policy);
    }
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

/* ---- why --------------------------------------------------------------------------------------------------------- */

static const char *kind_on_host(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == EACCES ? "you may not look at it on the host" : "the host has no such file";
    return S_ISDIR(status.st_mode) ? "a directory of the host" : S_ISREG(status.st_mode) ? "a file of the host"
           : S_ISLNK(status.st_mode) ? "a symlink of the host" : "a special file of the host: those are never shown";
}

/* Of a mount that shows only what is public: is this? */
static bool is_public(const char *path)
{
    struct stat status;
    return stat(path, &status) < 0 || status.st_mode & (S_ISDIR(status.st_mode) ? S_IXOTH : S_IROTH);
}

static void explain_host(const struct policy *policy, const struct mount *mount, const char *path)
{
    if (guards_hide(&policy->mounts, mount, path, strlen(path))) {
        printf("never shown: a pattern hides it\n");
        return;
    }
    if (guards_keep(&policy->mounts, mount, path, strlen(path))) {
        printf("may be read, but not written, though its directory may: other programs act on it\n"
               "  to write it: --allow-repo-config, where no --deny-write names it\n");
        return;
    }
    const char *host = must_print("%s%s", mount->at_size > 1 || mount->from[1] ? mount->from : "",
                                  path + (mount->at_size > 1 ? mount->at_size : 0));
    if (mount->public_only && !is_public(host))
        printf("refused: the mount %s shows only what any user of the host may read\n  to read it: --ro %s\n", mount->at,
               path);
    else
        printf("%s, by the mount %s (%s)\n", mount->writable ? "may be read and written" : "may be read", mount->at,
               kind_on_host(host));
    if (!mount->writable)
        printf("  to write it: --rw %s\n", path);
}

static void explain(const struct policy *policy, const char *path)
{
    size_t size = strlen(path);
    const struct mount *mount = mount_table_find(&policy->mounts, path, size);
    printf("%s: ", path);
    if (mount_table_is_libos(&policy->mounts, path, size)) {
        printf("the sandbox's own; the host's is never shown\n");
    } else if (!mount && mount_table_is_above(&policy->mounts, path, size)) {
        printf("a directory that shows only what mounts put beneath it\n  to show all of it: --ro %s\n", path);
    } else if (!mount) {
        printf("not shown (%s)\n  to read it: --ro %s\n  to write it: --rw %s\n", kind_on_host(path), path, path);
    } else if (mount->kind == MOUNT_LINK) {
        printf("a symlink to %s\n", mount->from);
    } else if (mount->kind == MOUNT_SCRATCH) {
        printf("in %s, which is private: empty at the start, gone at the end (here: %s)\n  to show the host's: --ro %s\n",
               mount->at, kind_on_host(path), path);
    } else if (mount->kind == MOUNT_IMAGE) {
        printf("may be read, where the disk image %s holds it (mounted at %s)\n", mount->from, mount->at);
    } else {
        explain_host(policy, mount, path);
    }
}

/* What there was to tell of the last run that failed. */
static int why_last(void)
{
    static char text[64 * 1024];
    store_open();
    size_t size = store_read(LAST_NAME, text, sizeof text - 1);
    if (!size) {
        printf("no run that failed is remembered\n");
        return fflush(stdout) == 0 ? 1 : EXIT_OWN_FAILURE;
    }
    for (size_t i = 0; i < size; i++) /* names are a guest's */
        if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
            printf("\\x%02x", (unsigned char)text[i]);
        else
            putchar(text[i]);
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

int why_main(int argc, char **argv)
{
    static struct options options;
    static struct policy policy;
    static char *program[] = {(char *)"/bin/true", NULL};
    launch_abandon();
    if (argc == 2 && !strcmp(argv[1], "last"))
        return why_last();
    options_read(&options, argc, argv);
    char **paths = options.command;
    if (!paths[0])
        fail(EXIT_OWN_FAILURE, "usage: pal-run why [options] PATH...");
    options.command = program;
    palrun_policy(&policy, &options);
    for (; *paths; paths++) {
        char joined[2 * PAL_PATH_MAX], clean[PAL_PATH_MAX];
        bool slash;
        const char *from = **paths == '/' ? "" : policy.cwd;
        if (snprintf(joined, sizeof joined, "%s/%s", from, *paths) >= (int)sizeof joined)
            fail(EXIT_OWN_FAILURE, "%.60s...: the path is too long", *paths);
        if (path_clean(clean, sizeof clean, joined, strlen(joined), &slash) < 0)
            fail(EXIT_OWN_FAILURE, "%.60s: give a path without '..'", *paths);
        explain(&policy, clean);
    }
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}
