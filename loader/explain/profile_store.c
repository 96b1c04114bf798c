/* SPDX-License-Identifier: MIT */
/*
 * Where profiles lie: files in $XDG_CACHE_HOME/pal-run or ~/.cache/pal-run.  The directory is opened before a guest runs
 * and used by its descriptor from then on; only one of pal-run's user's own, which nobody else may write: root started
 * with another's HOME leaves it alone.  Its files are bounded in number and size; those that were used longest ago go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loader/explain/explain.h"

#define FILES_MAX 256
#define FILES_LEFT 192 /* so that not every start clears away */
#define SIZE_MAX_ALL (4u << 20)
#define ENTRIES_MAX 2048
#define USED_S 86400 /* a file's time tells its last use to a day */

static int store = -1;

static bool is_ours(int fd, mode_t others)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_uid == geteuid() && !(status.st_mode & others);
}

/* Only what the user owns is added to: else whose directory it comes to lie in would be another's say. */
static void make(const char *base, const char *const *names)
{
    int fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (; fd >= 0 && *names && is_ours(fd, 0022); names++) {
        if (mkdirat(fd, *names, 0700) < 0 && errno != EEXIST)
            break;
        int next = openat(fd, *names, O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    if (fd >= 0)
        close(fd);
}

void store_open(void)
{
    static const char *const names[] = {".cache", "pal-run", NULL};
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool own = cache && cache[0] == '/';
    const char *base = own ? cache : home;
    char path[PAL_PATH_MAX];
    if (!base || base[0] != '/' ||
        snprintf(path, sizeof path, "%s%s/pal-run", base, own ? "" : "/.cache") >= (int)sizeof path)
        return;
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    store = open(path, flags);
    if (store < 0 && errno == ENOENT) {
        make(base, names + own);
        store = open(path, flags);
    }
    if (store >= 0 && !is_ours(store, 0077)) {
        close(store);
        store = -1;
    }
}

bool store_is_open(void)
{
    return store >= 0;
}

size_t store_read(const char *name, char *text, size_t room)
{
    struct stat status;
    int fd = store < 0 ? -1 : openat(store, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return 0;
    ssize_t size = 0;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid()) {
        size = read(fd, text, room);
        if (time(NULL) - status.st_mtime > USED_S)
            futimens(fd, NULL);
    }
    close(fd);
    return size > 0 ? (size_t)size : 0;
}

/* ---- Clearing away ----------------------------------------------------------------------------------------------- */

struct profile_file {
    char name[48];
    time_t used;
    off_t size;
};

static int by_use(const void *a, const void *b)
{
    const struct profile_file *first = a, *second = b;
    return first->used < second->used ? -1 : first->used > second->used;
}

static void clear_away(void)
{
    static struct profile_file files[ENTRIES_MAX];
    size_t count = 0;
    off_t size = 0;
    struct stat status;
    int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        return;
    for (struct dirent *entry; count < ENTRIES_MAX && (entry = readdir(directory));) {
        if (strlen(entry->d_name) >= sizeof files[0].name ||
            fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
            continue;
        strcpy(files[count].name, entry->d_name);
        files[count].used = status.st_mtime;
        files[count++].size = status.st_size;
        size += status.st_size;
    }
    if (count > FILES_MAX || size > SIZE_MAX_ALL) {
        qsort(files, count, sizeof *files, by_use);
        for (size_t i = 0; i < count && (count - i > FILES_LEFT || size > SIZE_MAX_ALL); i++) {
            unlinkat(fd, files[i].name, 0);
            size -= files[i].size;
        }
    }
    closedir(directory);
}

void store_list(void (*each)(const char *name, time_t used))
{
    int fd = store < 0 ? -1 : openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct stat status;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
            each(entry->d_name, status.st_mtime);
    if (directory)
        closedir(directory);
}

/* Whole or not at all, whatever else is starting. */
void store_write(const char *name, const char *text, size_t size, bool is_new)
{
    char fresh[48];
    snprintf(fresh, sizeof fresh, "%s.%d", name, getpid());
    int fd = store < 0 ? -1 : openat(store, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    bool whole = write(fd, text, size) == (ssize_t)size;
    close(fd);
    if (!whole || renameat(store, fresh, store, name) < 0)
        unlinkat(store, fresh, 0);
    else if (is_new)
        clear_away();
}
