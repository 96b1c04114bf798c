/* SPDX-License-Identifier: MIT */
/*
 * Rules by pattern, on top of what mounts grant: names that are never shown, and names that can't be changed.
 *
 * A pattern is matched against the guest path without symlinks, name by name: "*", "?" and "[...]" within a name, "**" for
 * any number of names; letters count the same in either case, since the file system may take them so.  What matches, and all
 * beneath it, is meant, at whatever depth and whenever it is made.  What was mounted by its own name is granted: a match
 * counts beyond a mount's place only.
 *
 * A guest may rename what is not covered, so it could bring a directory under another name and back.  Therefore a name
 * that is part of a pattern (".git" of ".git/hooks") stays what it is: neither a directory nor a symlink is renamed to or
 * from it, nor a symlink made there.  So no rename ever changes by which rule an object is meant, and a path that was looked
 * up a moment ago still tells that.
 */
#include <fnmatch.h>
#include <string.h>

#include "loader/mounts/mounts.h"

bool guard_parse(const char *pattern, enum guard_kind kind, struct guard *out)
{
    char *text = must_copy(pattern), *name;
    *out = (struct guard){.pattern = pattern, .kind = kind, .dotted = true};
    if (pattern[0] != '/')
        out->names[out->count++] = (char *)"**";
    else
        out->dotted = false;
    while ((name = strsep(&text, "/"))) {
        if (!*name || !strcmp(name, "."))
            continue;
        bool repeats = out->count && !strcmp(name, "**") && !strcmp(out->names[out->count - 1], "**");
        if (repeats)
            continue;
        if (!strcmp(name, "..") || out->count == GUARD_NAMES)
            return false;
        out->names[out->count++] = name;
    }
    while (out->count && !strcmp(out->names[out->count - 1], "**")) /* all beneath is meant anyhow */
        out->count--;
    out->dotted = out->dotted && out->count > 1 && out->names[1][0] == '.';
    return out->count > 0;
}

bool guards_add(struct guards *guards, const struct guard *guard)
{
    if (guards->count == GUARDS_MAX)
        return false;
    guards->list[guards->count++] = *guard;
    guards->hides |= guard->kind == GUARD_HIDE;
    guards->plain |= !guard->dotted;
    return true;
}

/* How far a pattern has come: bit N means that its first N names are met. */
static uint32_t skip_stars(const struct guard *guard, uint32_t states)
{
    for (size_t i = 0; i < guard->count; i++)
        if (states & 1u << i && !strcmp(guard->names[i], "**"))
            states |= 1u << (i + 1);
    return states;
}

static uint32_t advance(const struct guard *guard, uint32_t states, const char *name)
{
    uint32_t next = 0;
    for (size_t i = 0; i < guard->count; i++) {
        if (!(states & 1u << i))
            continue;
        if (!strcmp(guard->names[i], "**"))
            next |= 1u << i;
        else if (!fnmatch(guard->names[i], name, FNM_CASEFOLD))
            next |= 1u << (i + 1);
    }
    return skip_stars(guard, next);
}

static bool is_sample(const char *path, size_t size)
{
    return size > 7 && !memcmp(path + size - 7, ".sample", 7);
}

/* `granted`: how much of the path the mount's place is. */
static enum guard_match match(const struct guard *guard, size_t granted, const char *path, size_t size)
{
    const uint32_t begin = skip_stars(guard, 1), end = 1u << guard->count;
    uint32_t states = begin;
    for (size_t at = 0; at < size;) {
        char name[NAME_ROOM];
        while (at < size && path[at] == '/')
            at++;
        size_t length = 0;
        while (at + length < size && path[at + length] != '/')
            length++;
        if (!length)
            break;
        if (length >= sizeof name)
            return GUARD_NONE; /* no file has such a name */
        memcpy(name, path + at, length);
        name[length] = 0;
        at += length;
        states = advance(guard, states, name);
        if (states & end && at > granted)
            return guard->kind == GUARD_HOOK && is_sample(path, size) ? GUARD_PART : GUARD_WHOLE;
        states &= end - 1;
    }
    return states & ~begin ? GUARD_PART : GUARD_NONE;
}

enum guard_match guard_match_path(const struct guard *guard, const char *path, size_t size)
{
    return match(guard, 0, path, size);
}

static enum guard_match match_on_host(const struct guard *guard, const struct mount *mount, const char *from, const char *path, size_t size)
{
    char host[2 * PAL_PATH_MAX];
    size_t base = strlen(from), rest = size - (mount->at_size == 1 ? 0 : mount->at_size);
    if (base + rest >= sizeof host)
        return GUARD_WHOLE;
    strcpy(host, from);
    memcpy(host + base, path + (size - rest), rest);
    return match(guard, base, host, base + rest);
}

/* By the guest's name for it or by the host's two, whichever says most: what is on the host acts there. */
static enum guard_match match_any(const struct guard *guard, const struct mount *mount, const char *path, size_t size)
{
    enum guard_match found = match(guard, mount->at_size, path, size);
    const char *const hosts[] = {mount->from, mount->real};
    for (size_t i = 0; i < 2 && found != GUARD_WHOLE; i++) {
        if (!hosts[i] || !strcmp(mount->at, hosts[i]))
            continue;
        enum guard_match on_host = match_on_host(guard, mount, hosts[i], path, size);
        found = on_host > found ? on_host : found;
    }
    return found;
}

/* Most paths have no name that begins with a dot, as all the built-in patterns do. */
static bool may_match(const struct guards *guards, const struct mount *mount, const char *path, size_t size)
{
    return guards->plain || memmem(path, size, "/.", 2) || (mount->from && strstr(mount->from, "/.")) ||
           (mount->real && strstr(mount->real, "/."));
}

/* What is written to a copy stays in the sandbox: there only what is hidden counts.  An image is as good as the host's. */
static bool is_of_host(const struct mount *mount)
{
    return mount->kind == MOUNT_HOST || mount->kind == MOUNT_COPY || mount->kind == MOUNT_IMAGE;
}

enum guard_match guards_match(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                              bool hides, enum guard_kind *kind)
{
    const struct guards *guards = &table->guards;
    enum guard_match found = GUARD_NONE;
    if (!guards->count || !mount || !is_of_host(mount) || !may_match(guards, mount, path, size))
        return GUARD_NONE;
    for (size_t i = 0; i < guards->count && found != GUARD_WHOLE; i++) {
        const struct guard *guard = &guards->list[i];
        if ((hides || mount->own_home || mount->kind == MOUNT_COPY) && guard->kind != GUARD_HIDE)
            continue;
        enum guard_match one = match_any(guard, mount, path, size);
        if (one <= found)
            continue;
        found = one;
        *kind = guard->kind;
    }
    return found;
}

bool guards_hide(const struct mount_table *table, const struct mount *mount, const char *path, size_t size)
{
    enum guard_kind kind;
    return table->guards.hides && guards_match(table, mount, path, size, true, &kind) == GUARD_WHOLE;
}

bool guards_keep(const struct mount_table *table, const struct mount *mount, const char *path, size_t size)
{
    enum guard_kind kind;
    return mount && mount->writable && guards_match(table, mount, path, size, false, &kind) == GUARD_WHOLE;
}

bool mount_has_read_rules(const struct mount_table *table, const struct mount *mount)
{
    return (table->guards.hides || table->seen) && is_of_host(mount);
}
