/* SPDX-License-Identifier: MIT */
/*
 * Files that other programs act on, outside, when their user next works in their directory: a repository's hooks and
 * settings, those of editors and agents, and what shells read when they start.
 */
#include <fnmatch.h>
#include <string.h>

#include "loader/policy/policy.h"

/* Names in any directory, and all beneath them. */
static const char *const patterns[] = {
    ".git/hooks/*", ".git/modules/**/hooks/*", ".git/config", ".git/config.worktree", ".git/modules/**/config",
    ".git/worktrees/*/config.worktree", ".vscode", ".idea", ".devcontainer", ".mcp.json", ".cursor", ".claude", ".gitconfig",
    ".envrc", ".ssh", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zshenv",
    ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".login", ".config/fish", ".config/autostart",
    ".config/systemd", ".xprofile", ".xsessionrc", ".gdbinit",
};

static bool matches(const char *pattern, const char *path)
{
    char want[64], name[NAME_ROOM];
    if (!*pattern)
        return true;
    size_t want_size = strcspn(pattern, "/"), name_size = strcspn(path, "/");
    const char *pattern_rest = pattern + want_size + (pattern[want_size] == '/'), *rest = path + name_size + (path[name_size] == '/');
    if (!name_size || want_size >= sizeof want || name_size >= sizeof name)
        return false;
    memcpy(want, pattern, want_size);
    want[want_size] = 0;
    memcpy(name, path, name_size);
    name[name_size] = 0;
    if (!strcmp(want, "**"))
        return matches(pattern_rest, path) || matches(pattern, rest);
    return fnmatch(want, name, FNM_CASEFOLD) == 0 && matches(pattern_rest, rest);
}

bool policy_is_guarded(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
            if (matches(patterns[i], at))
                return true;
    }
    return false;
}
