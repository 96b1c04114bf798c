/* SPDX-License-Identifier: MIT */
/*
 * `pal-run learn`: a run in which nearly everything is shown and nothing of the host's changes, and the manifest that would
 * have been enough.
 *
 * Shown: the host's root, read-only, but for what holds secrets; the current directory and the home as copies, whose changes
 * are dropped at the end.  The network is closed.  Recorded: each path that was asked for and found, as asked and without
 * symlinks.  Written: the system's trees, then single files, or a directory where it was listed or three of its files were
 * read; never a home or one of the system's large directories.  Sorted, so that the same run gives the same text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/explain/explain.h"

#define SEEN_MAX 16384
#define GRANTS_MAX 60 /* of which a manifest may have a few more */
#define FOLD_LEAST 3

struct seen {
    char *path;
    bool writes;
    unsigned opened; /* how often */
};
static struct seen seen[SEEN_MAX];
static size_t seen_count, lost;
static uint64_t slots[4 * SEEN_MAX]; /* indexes + 1, by hash */

static uint64_t hash_of(const char *text, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    while (size--)
        hash = (hash ^ (uint8_t)*text++) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static void note(const char *path, size_t size, unsigned how)
{
    size_t slot = hash_of(path, size) % (4 * SEEN_MAX);
    while (slots[slot] && (strlen(seen[slots[slot] - 1].path) != size || memcmp(seen[slots[slot] - 1].path, path, size) != 0))
        slot = (slot + 1) % (4 * SEEN_MAX);
    if (!slots[slot]) {
        if (seen_count == SEEN_MAX) {
            lost++;
            return;
        }
        seen[seen_count] = (struct seen){.path = must_print("%.*s", (int)size, path)};
        slots[slot] = ++seen_count;
    }
    seen[slots[slot] - 1].writes |= how & SEEN_WRITTEN;
    seen[slots[slot] - 1].opened += (how & SEEN_OPENED) != 0;
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

static struct mount *copy(struct policy *policy, const char *path)
{
    struct mount *mount = mount_table_add(&policy->mounts, MOUNT_COPY, path, path, true);
    if (!mount)
        fail(EXIT_OWN_FAILURE, "learn: too many mounts");
    mount->granted = true;
    return mount;
}

void learn_policy(struct policy *policy, bool copies)
{
    char cwd[PAL_PATH_MAX];
    struct mount *root = copies ? copy(policy, "/") : mount_table_add(&policy->mounts, MOUNT_HOST, "/", "/", false);
    root->granted = true;
    root->public_files = geteuid() == 0 && !copies;
    if (strcmp(policy->home, "/tmp") != 0 && access(policy->home, F_OK) == 0)
        copy(policy, policy->home);
    if (getcwd(cwd, sizeof cwd) && cwd[0] == '/' && cwd[1]) {
        if (strcmp(cwd, policy->home) != 0)
            copy(policy, must_copy(cwd));
        policy->cwd = must_copy(cwd);
    }
    policy_hide_secrets(policy);
    policy->mounts.seen = note;
}

/* ---- The manifest ------------------------------------------------------------------------------------------------ */

struct grant {
    char *path;
    bool writes;
};
static struct grant grants[SEEN_MAX];
static size_t grant_count;

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct grant *)a)->path, ((const struct grant *)b)->path);
}

/* The system's trees are shown whole where anything of them was asked for. */
static const char *const trees[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

static bool is_in_tree(const char *path)
{
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
        if (path_is_within(path, strlen(path), trees[i], strlen(trees[i])))
            return true;
    return false;
}

static bool is_granted(const char *path)
{
    for (size_t i = 0; i < grant_count; i++)
        if (path_is_within(path, strlen(path), grants[i].path, strlen(grants[i].path)))
            return true;
    return false;
}

static void grant(const char *path, bool writes)
{
    for (size_t i = 0; i < grant_count; i++)
        if (!strcmp(grants[i].path, path)) {
            grants[i].writes |= writes;
            return;
        }
    if (grant_count < SEEN_MAX)
        grants[grant_count++] = (struct grant){must_copy(path), writes};
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? must_copy("/") : must_print("%.*s", (int)(slash - path), path);
}

static bool is_own(const struct policy *policy, const char *path)
{
    size_t size = strlen(path);
    bool in_cwd = policy->cwd[1] && path_is_within(path, size, policy->cwd, strlen(policy->cwd));
    return mount_table_is_libos(&policy->mounts, path, size) || size == 1 || (path_is_within(path, size, "/tmp", 4) && !in_cwd);
}

static size_t read_beneath(const char *directory)
{
    size_t count = 0, size = strlen(directory);
    for (size_t i = 0; i < seen_count; i++)
        count += strlen(seen[i].path) > size && path_is_within(seen[i].path, strlen(seen[i].path), directory, size) &&
                 !strchr(seen[i].path + size + 1, '/');
    return count;
}

static bool is_above_seen(const char *directory)
{
    size_t size = strlen(directory);
    for (size_t i = 0; i < seen_count; i++)
        if (strlen(seen[i].path) > size && path_is_within(seen[i].path, strlen(seen[i].path), directory, size))
            return true;
    return false;
}

/* What is written in the home, but for the current directory, stays private. */
static bool stays_private(const struct policy *policy, const struct seen *one)
{
    size_t size = strlen(one->path), cwd = strlen(policy->cwd), home = strlen(policy->home);
    return one->writes && home > 1 && path_is_within(one->path, size, policy->home, home) &&
           !(cwd > home && path_is_within(one->path, size, policy->cwd, cwd));
}

/* The libOS itself opens the current directory once. */
static bool is_listed(const struct policy *policy, const struct seen *one)
{
    return one->opened > (strcmp(one->path, policy->cwd) == 0);
}

/* What is on the host still, and was not made by the run. */
static void grant_one(const struct policy *policy, const struct seen *one)
{
    struct stat status;
    bool there = lstat(one->path, &status) == 0;
    char *parent = parent_of(one->path);
    bool wide = advice_is_wide(parent, policy), in_home = !strcmp(parent, policy->home);
    if (one->writes && !there && !wide && access(parent, F_OK) == 0)
        grant(parent, true); /* a name is made there */
    else if (one->writes && there && S_ISREG(status.st_mode))
        grant(wide ? one->path : parent, true);
    else if (one->writes && there && S_ISDIR(status.st_mode) && !advice_is_wide(one->path, policy))
        grant(one->path, true);
    else if (there && S_ISREG(status.st_mode) && !is_granted(one->path))
        grant(!wide && !in_home && read_beneath(parent) >= FOLD_LEAST ? parent : one->path, false);
    else if (there && S_ISDIR(status.st_mode) && !advice_is_wide(one->path, policy) && (is_listed(policy, one) || !is_above_seen(one->path)))
        grant(one->path, false); /* listed, or only looked at: a directory above others is there anyhow */
    free(parent);
}

/* Those that another one has in it go; where it is read-only only if they are, too. */
static void drop_covered(void)
{
    size_t kept = 0;
    qsort(grants, grant_count, sizeof *grants, by_path);
    for (size_t i = 0; i < grant_count; i++) {
        bool covered = false;
        for (size_t j = 0; j < kept && !covered; j++)
            covered = (grants[j].writes || !grants[i].writes) &&
                      path_is_within(grants[i].path, strlen(grants[i].path), grants[j].path, strlen(grants[j].path));
        if (!covered)
            grants[kept++] = grants[i];
    }
    grant_count = kept;
}

/* The program starts there: it must be shown, or lie above what is. */
static void grant_cwd(const struct policy *policy)
{
    size_t size = strlen(policy->cwd);
    for (size_t i = 0; i < grant_count; i++)
        if (path_is_within(policy->cwd, size, grants[i].path, strlen(grants[i].path)) ||
            path_is_within(grants[i].path, strlen(grants[i].path), policy->cwd, size))
            return;
    if (!is_in_tree(policy->cwd) && strcmp(policy->cwd, policy->home) != 0 && strcmp(policy->cwd, "/tmp") != 0 && size > 1)
        grant(policy->cwd, false);
}

void toml_put_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(file, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || *text == 127)
            fprintf(file, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, file);
    fputc('"', file);
}

static void put_mount(FILE *file, const char *at, const char *more)
{
    fprintf(file, "\n[[mounts]]\nat = ");
    toml_put_string(file, at);
    fprintf(file, "\n%s", more);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->path, ((const struct seen *)b)->path);
}

/* Directories of the home in which names were made: there, too, and private as the home is. */
static void put_private(FILE *file, const struct policy *policy)
{
    char *last = NULL;
    qsort(seen, seen_count, sizeof *seen, by_name);
    for (size_t i = 0; i < seen_count; i++) {
        char *parent = stays_private(policy, &seen[i]) ? parent_of(seen[i].path) : NULL;
        if (!parent || !strcmp(parent, policy->home) || access(parent, F_OK) < 0 || is_granted(parent) ||
            policy_is_secret(parent, policy->home) || (last && !strcmp(last, parent))) {
            free(parent);
            continue;
        }
        put_mount(file, parent, "type = \"tmpfs\"\n");
        free(last);
        last = parent;
    }
    free(last);
}

static void put_mounts(FILE *file, const struct policy *policy)
{
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        struct stat status;
        bool used = lstat(trees[i], &status) == 0 && S_ISLNK(status.st_mode); /* into another */
        used |= i == 0;
        for (size_t j = 0; j < seen_count && !used; j++)
            used = path_is_within(seen[j].path, strlen(seen[j].path), trees[i], strlen(trees[i]));
        if (used && access(trees[i], F_OK) == 0)
            put_mount(file, trees[i], "");
    }
    put_mount(file, "/tmp", "type = \"tmpfs\"\n");
    if (strcmp(policy->home, "/tmp") != 0 && strcmp(policy->home, "/") != 0)
        put_mount(file, policy->home, "type = \"tmpfs\" # private: what is written here is gone at the end\n");
    put_private(file, policy);
    for (size_t i = 0; i < grant_count; i++)
        put_mount(file, grants[i].path, grants[i].writes ? "access = \"rw\"\n" : "");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_head(FILE *file, const struct policy *policy)
{
    char **names = must_allocate((policy->environment_count + 1) * sizeof *names);
    for (size_t i = 0; i < policy->environment_count; i++)
        names[i] = must_print("%.*s", (int)strcspn(policy->environment[i], "="), policy->environment[i]);
    qsort(names, policy->environment_count, sizeof *names, by_text);
    fprintf(file, "# What one run needed, by pal-run learn.  Look it through: what another run needs is not in it.\nprogram = ");
    toml_put_string(file, policy->program);
    fprintf(file, "\nargs = [");
    for (size_t i = 1; policy->argv[0] && policy->argv[i]; i++) {
        fprintf(file, i > 1 ? ", " : "");
        toml_put_string(file, policy->argv[i]);
    }
    fprintf(file, "]\ncwd = ");
    toml_put_string(file, policy->cwd);
    fprintf(file, "\npass_env = [");
    for (size_t i = 0; i < policy->environment_count; i++) {
        fprintf(file, i ? ", " : "");
        toml_put_string(file, names[i]);
    }
    fprintf(file, "]\n");
}

/* As comments: to be thought about. */
static void put_refused(FILE *file, const struct policy *policy)
{
    const struct denials *denials = &policy->mounts.denials;
    for (size_t i = 0; i < denials->kept; i++) {
        const struct denial *denial = &denials->first[i];
        if (advice_is_noise(denial->path) || strpbrk(denial->path, "\r\n"))
            continue;
        if (denial->kind == DENIED_NETWORK)
            fprintf(file, "\n# It wanted to connect: [network] allow = [\"%s\"]\n", denial->path);
        else if (!strcmp(denial->reason, HIDDEN_REASON))
            fprintf(file, "\n# It looked for %s, which holds secrets, and was not shown it.\n", denial->path);
        else
            fprintf(file, "\n# Refused: %s (%s)\n", denial->path, denial->reason);
    }
}

/* Each name that the run found, and did not make; of what it wrote, the directory alone. */
static void put_names(FILE *file, const struct policy *policy)
{
    for (size_t i = 0; i < seen_count; i++) {
        const struct seen *one = &seen[i];
        if (is_own(policy, one->path) || policy_is_secret(one->path, policy->home))
            continue;
        char *name = one->writes ? parent_of(one->path) : must_copy(one->path);
        if (access(name, F_OK) == 0)
            fwrite(name, 1, strlen(name) + 1, file);
        free(name);
    }
}

static void write_names(const struct policy *policy, const char *to, const char *calls)
{
    FILE *file = fopen(to, "we");
    if (file)
        fprintf(file, LEARNT_CALLS "%s%c", calls, 0);
    if (file)
        put_names(file, policy);
    if (!file || fclose(file) != 0)
        fail(EXIT_OWN_FAILURE, "learn -l %s: %s", to, strerror(errno));
    if (lost)
        warn("learn: %zu names are too many: they are not in %s", lost, to);
}

void learn_write(const struct policy *policy, const char *to, bool names, const char *calls, int status)
{
    if (names) {
        write_names(policy, to, calls);
        return;
    }
    static const char loader_cache[] = "/etc/ld.so.cache"; /* sent ahead, so nobody asks */
    if (access(loader_cache, F_OK) == 0)
        note(loader_cache, sizeof loader_cache - 1, SEEN_OPENED);
    for (int writes = 1; writes >= 0; writes--)
        for (size_t i = 0; i < seen_count; i++)
            if (seen[i].writes == writes && !is_in_tree(seen[i].path) && !is_own(policy, seen[i].path) &&
                !policy_is_secret(seen[i].path, policy->home) && !stays_private(policy, &seen[i]))
                grant_one(policy, &seen[i]);
    grant_cwd(policy);
    drop_covered();
    if (grant_count > GRANTS_MAX)
        warn("learn: %zu files and directories were used; only the first %d are in %s", grant_count, GRANTS_MAX, to);
    grant_count = grant_count > GRANTS_MAX ? GRANTS_MAX : grant_count;
    FILE *file = fopen(to, "we");
    if (!file)
        fail(EXIT_OWN_FAILURE, "learn -o %s: %s", to, strerror(errno));
    put_head(file, policy);
    put_mounts(file, policy);
    put_refused(file, policy);
    if (fclose(file) != 0)
        fail(EXIT_OWN_FAILURE, "learn -o %s: %s", to, strerror(errno));
    warn("%s lists what the run needed (exit status %d, changes dropped): review it, then run: pal-run -m %s", to,
         status, to);
}
