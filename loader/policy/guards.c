/* SPDX-License-Identifier: MIT */
/*
 * What can't be written though its directory can: files that other programs act on, outside, when their user next works in
 * that directory.  A repository's hooks and settings, those of editors and agents, and what shells read when they start.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/policy/policy.h"

static const struct { const char *pattern; enum guard_kind kind; } own[] = {
    {".git/hooks/*", GUARD_HOOK},
    {".git/modules/**/hooks/*", GUARD_HOOK},
    {".git/config", GUARD_CONFIG},
    {".git/config.worktree", GUARD_CONFIG},
    {".git/modules/**/config", GUARD_CONFIG},
    {".git/worktrees/*/config.worktree", GUARD_CONFIG},
    {".envrc", GUARD_KEEP},
    {".vscode", GUARD_KEEP},
    {".idea", GUARD_KEEP},
    {".devcontainer", GUARD_KEEP},
    {".mcp.json", GUARD_KEEP},
    {".cursor", GUARD_KEEP},
    {".claude", GUARD_KEEP},
    {".gitconfig", GUARD_KEEP},
    {".ssh", GUARD_KEEP},
    {".bashrc", GUARD_KEEP},
    {".bash_profile", GUARD_KEEP},
    {".bash_login", GUARD_KEEP},
    {".bash_logout", GUARD_KEEP},
    {".bash_aliases", GUARD_KEEP},
    {".profile", GUARD_KEEP},
    {".zshrc", GUARD_KEEP},
    {".zshenv", GUARD_KEEP},
    {".zprofile", GUARD_KEEP},
    {".zlogin", GUARD_KEEP},
    {".zlogout", GUARD_KEEP},
    {".kshrc", GUARD_KEEP},
    {".cshrc", GUARD_KEEP},
    {".tcshrc", GUARD_KEEP},
    {".login", GUARD_KEEP},
    {".config/fish", GUARD_KEEP},
    {".config/autostart", GUARD_KEEP},
    {".config/systemd", GUARD_KEEP},
    {".xprofile", GUARD_KEEP},
    {".xsessionrc", GUARD_KEEP},
    {".gdbinit", GUARD_KEEP},
    {".cache/pal-run", GUARD_KEEP}, /* what later runs go by */
    {".local/share/pal-run", GUARD_KEEP},
    {".local/state/pal-run", GUARD_KEEP},
};

bool policy_is_guarded(const char *path)
{
    static struct guard parsed[sizeof own / sizeof *own];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (!parsed[i].count)
            guard_parse(own[i].pattern, own[i].kind, &parsed[i]);
        if (guard_match_path(&parsed[i], path, strlen(path)) == GUARD_WHOLE)
            return true;
    }
    return false;
}

const char *policy_guard(struct policy *policy, const char *pattern, bool hides)
{
    struct guard guard;
    const char *wrong, *text = pattern;
    if (text[0] == '~' || !strncmp(text, "${", 2))
        text = place_expand(text, NULL, &wrong);
    if (!text)
        return wrong;
    if (!guard_parse(text, hides ? GUARD_HIDE : GUARD_KEEP, &guard))
        return "give a pattern such as '**/.env': at most 16 names, without '..'";
    return guards_add(&policy->mounts.guards, &guard) ? NULL : "there are too many patterns";
}

static bool is_source(const struct mount *mount, const char *directory)
{
    struct stat status, source = {.st_dev = mount->device, .st_ino = mount->inode};
    return stat(directory, &status) == 0 && (mount->root >= 0 || stat(mount->from, &source) == 0) &&
           status.st_dev == source.st_dev && status.st_ino == source.st_ino;
}

ssize_t policy_lies_in(const struct mount *mount, const char *real)
{
    char *directory = must_copy(real);
    size_t size = strlen(real);
    bool found = is_source(mount, directory);
    while (!found && size) {
        while (size && directory[size] != '/')
            size--;
        directory[size] = 0;
        found = is_source(mount, size ? directory : "/");
    }
    free(directory);
    return found ? (ssize_t)size : -1;
}

/* As a pattern: its names mean themselves.  One that is too deep is meant by its last names. */
static void keep_path(struct policy *policy, const char *at, const char *rest)
{
    char pattern[4 * PAL_PATH_MAX], *end = pattern;
    struct guard guard;
    for (int part = 0; part < 2; part++)
        for (const char *next = part ? rest : at; *next; *end++ = *next++)
            if (strchr("*?[\\", *next))
                *end++ = '\\';
    *end = 0;
    const char *text = must_copy(pattern);
    while (!guard_parse(text, GUARD_KEEP, &guard))
        text = strchr(text + 1, '/') + 1;
    if (!guards_add(&policy->mounts.guards, &guard))
        fail(EXIT_OWN_FAILURE, "too many patterns to hide or keep");
}

void policy_guard_manifest(struct policy *policy)
{
    const char *file;
    char real[PATH_MAX];
    for (size_t number = 0; (file = manifest_file(number)); number++)
        for (size_t i = 0; i < policy->mounts.count && realpath(file, real); i++) {
            const struct mount *mount = &policy->mounts.mounts[i];
            ssize_t size = mount->kind == MOUNT_HOST && mount->writable && mount->directory ? policy_lies_in(mount, real) : -1;
            if (size >= 0)
                keep_path(policy, mount->at_size == 1 ? "" : mount->at, real + size);
        }
}

void policy_guard_default(struct policy *policy)
{
    struct guard guard;
    bool writable = false;
    for (size_t i = 0; i < policy->mounts.count; i++)
        writable |= policy->mounts.mounts[i].kind == MOUNT_HOST && policy->mounts.mounts[i].writable;
    if ((!writable && !policy->asks) || policy->allow_repo_config)
        return;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!guard_parse(own[i].pattern, own[i].kind, &guard) || !guards_add(&policy->mounts.guards, &guard))
            fail(EXIT_OWN_FAILURE, "too many patterns in --hide and --deny-write");
}
