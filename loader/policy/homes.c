/* SPDX-License-Identifier: MIT */
/*
 * Home directories, which the built-in policy never shows: HOME, what /etc/passwd has, /root, /home and what is in it.
 * They are told by their names, and by what they are: a directory is a home, or holds one, if it is the same directory
 * (device and inode) as one of those that a home's path passes.  A path that passes a symlink counts as it is written and
 * as it leads on: /home may be a symlink, or be mounted at a second place.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/policy/policy.h"

#define SEEN_MAX 128

/* Every directory on the way to a home, looked at once. */
static struct seen {
    char *path;
    size_t size;
    bool there, link;
    dev_t device;
    ino_t inode;
} seen[SEEN_MAX];
static size_t seen_count;

static const struct seen *look(const char *path, size_t size)
{
    static struct seen last;
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].size == size && !memcmp(seen[i].path, path, size))
            return &seen[i];
    struct seen *entry = seen_count < SEEN_MAX ? &seen[seen_count++] : &last;
    struct stat status;
    if (entry == &last)
        free(last.path);
    *entry = (struct seen){.path = must_print("%.*s", (int)size, path), .size = size};
    entry->there = lstat(entry->path, &status) == 0;
    if (!entry->there)
        return entry;
    entry->link = S_ISLNK(status.st_mode);
    if (entry->link && stat(entry->path, &status) < 0)
        entry->there = false;
    entry->device = status.st_dev;
    entry->inode = status.st_ino;
    return entry;
}

/* Is this directory one of those that the path passes, or where it ends?  *links: it passes a symlink. */
static bool passes(const struct stat *of, const char *path, size_t size, bool *links)
{
    for (size_t end = 1; end <= size; end++) {
        if (end < size && path[end] != '/')
            continue;
        const struct seen *directory = look(path, end);
        if (!directory->there)
            return false;
        *links |= directory->link;
        if (directory->device == of->st_dev && directory->inode == of->st_ino)
            return true;
    }
    return false;
}

/* Of the system's own accounts, which are no people's: they are told by their names alone.  (/var/home holds people's.) */
static bool is_systems(const char *home, size_t size)
{
    static const char *const system[] = {"/usr",       "/bin",     "/sbin",    "/etc",         "/dev",      "/proc",
                                         "/sys",       "/run",     "/var/lib", "/var/spool",   "/var/run",  "/var/cache",
                                         "/var/mail",  "/var/www", "/var/log", "/var/backups", "/var/list", "/nonexistent"};
    for (size_t i = 0; i < sizeof system / sizeof *system; i++)
        if (path_is_within(home, size, system[i], strlen(system[i])))
            return true;
    return false;
}

static bool holds(const struct stat *of, const char *home, size_t size)
{
    bool links = false, ignored;
    if (size <= 1 || passes(of, home, size, &links))
        return size > 1;
    if (!links)
        return false;
    char *path = must_print("%.*s", (int)size, home), *real = realpath(path, NULL);
    bool found = real && passes(of, real, strlen(real), &ignored);
    free(real);
    free(path);
    return found;
}

struct candidate {
    const char *path;
    size_t size;
    struct stat status, above;
    bool there;
};

static bool is_home(const struct candidate *directory, const char *home, size_t size)
{
    return path_is_within(home, size, directory->path, directory->size) ||
           (directory->there && holds(&directory->status, home, size));
}

/* A home of somebody whom /etc/passwd does not name. */
static bool lies_in_home(const struct candidate *directory)
{
    struct stat home;
    return directory->there && stat("/home", &home) == 0 && home.st_dev == directory->above.st_dev &&
           home.st_ino == directory->above.st_ino;
}

bool policy_is_home(const char *path, const char *home, const char *passwd)
{
    struct candidate directory = {.path = path, .size = strlen(path)};
    if (directory.size == 1)
        return true;
    char *above = must_print("%s/..", path);
    directory.there = stat(path, &directory.status) == 0 && stat(above, &directory.above) == 0;
    free(above);
    if (is_home(&directory, "/root", 5) || is_home(&directory, "/home", 5) || lies_in_home(&directory))
        return true;
    if (!strncmp(path, "/home/", 6) && !strchr(path + 6, '/'))
        return true;
    if (home && home[0] == '/' && is_home(&directory, home, strlen(home)))
        return true;
    for (const char *line = passwd; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *field = line;
        for (int i = 0; i < 5 && field; i++) {
            field = strpbrk(field, ":\n");
            field = field && *field == ':' ? field + 1 : NULL;
        }
        size_t size = field ? strcspn(field, ":\n") : 0;
        while (size > 1 && field[size - 1] == '/')
            size--;
        if (size > 1 && field[0] == '/' &&
            (is_systems(field, size) ? path_is_within(field, size, path, directory.size)
                                     : is_home(&directory, field, size)))
            return true;
    }
    return false;
}
