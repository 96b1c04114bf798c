/* SPDX-License-Identifier: MIT */
/*
 * A bundle's files, unpacked at its first start into pal-run's directory of its user's: later starts read neither the bundle's bytes nor
 * unpack anything, so they cost what a plain start costs.
 *
 *      ~/.cache/pal-run/bundles/DIGEST/root    the files
 *                                     /of      the bundle that was checked last: which file, and since when it has not changed
 *
 * A bundle that is another file, or was changed in any way, is checked anew: the kernel changes a file's ctime with each write.  The
 * directory is its user's alone; what is in it is as safe as the user's other files are.  Trees that were not used for long go, but for
 * those in use: they hold a lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "loader/images/images.h"
#include "loader/pack/pack.h"

#define TREES_MAX 16   /* kept */
#define USED_S 86400   /* a tree's time tells its last use to a day */
#define SETTLED_S 2    /* a file that was written just now may be written again within the same tick */

struct checked { /* a file, as it was when its bytes were right */
    uint64_t device, inode, size;
    int64_t modified, modified_ns, changed, changed_ns;
};

static struct checked checked_of(int file)
{
    struct stat status;
    if (fstat(file, &status) < 0)
        return (struct checked){0};
    return (struct checked){status.st_dev, status.st_ino, (uint64_t)status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                            status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
}

/* ---- The directory ----------------------------------------------------------------------------------------------- */

int cache_open(const char *name, char path[PAL_PATH_MAX])
{
    const char *const names[] = {".cache", "pal-run", name};
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool own = cache && cache[0] == '/';
    const char *base = own ? cache : home;
    struct statvfs system;
    if (!base || base[0] != '/' || snprintf(path, PAL_PATH_MAX, "%s%s/pal-run/%s", base, own ? "" : "/.cache", name) >= (int)PAL_PATH_MAX - 100)
        return -1;
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && (fstat(fd, &status) < 0 || status.st_uid != geteuid() || status.st_mode & 022)) {
        close(fd);
        return -1;
    }
    for (size_t i = own; i < sizeof names / sizeof *names && fd >= 0; i++) {
        int next = user_enter(fd, names[i], true, O_NOFOLLOW);
        close(fd);
        fd = next;
    }
    if (fd >= 0 && fstatvfs(fd, &system) == 0 && !(system.f_flag & ST_NOEXEC))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void unpacked_remove(int directory, const char *name)
{
    if (unlinkat(directory, name, 0) == 0)
        return;
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        fchmod(fd, 0700);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unpacked_remove(fd, entry->d_name);
    if (list)
        closedir(list);
    unlinkat(directory, name, AT_REMOVEDIR);
}

/* ---- A tree ------------------------------------------------------------------------------------------------------ */

/* Opens a tree's lock, which is held as long as pal-run lives; -1: there is no such tree, or it is being removed. */
static int hold(int store, const char *name)
{
    char path[PAL_PATH_MAX];
    snprintf(path, sizeof path, "%s/of", name);
    int of = openat(store, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat held, now;
    if (of < 0)
        return -1;
    if (flock(of, LOCK_SH | LOCK_NB) < 0 || fstat(of, &held) < 0 || fstatat(store, path, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
        held.st_ino != now.st_ino || held.st_uid != geteuid()) {
        close(of);
        return -1;
    }
    if (time(NULL) - held.st_mtime > USED_S)
        futimens(of, NULL);
    return of;
}

static bool is_checked(int of, int file)
{
    struct checked was, is = checked_of(file);
    return pread(of, &was, sizeof was, 0) == sizeof was && !memcmp(&was, &is, sizeof is);
}

/* was: before its bytes were read. */
static void note_checked(int of, int file, const struct checked *was)
{
    struct checked is = checked_of(file);
    if (memcmp(was, &is, sizeof is) != 0 || time(NULL) - is.changed < SETTLED_S)
        return;
    if (pwrite(of, &is, sizeof is, 0) != sizeof is && ftruncate(of, 0) < 0)
        return; /* it is checked each time, then */
}

static int unpack(int file, const struct bundle_end *end, int directory)
{
    struct image image;
    struct image_entry root;
    int error = image_start(&image, file);
    if (!error)
        error = image_open(&image, end->image, 0);
    if (!error)
        error = image_look(&image, IMAGE_ROOT, &root);
    if (!error)
        error = image_copy(&image, &root, "", directory, "root");
    image_end(&image);
    return error;
}

/* Under another name until it is whole.  Another pal-run may do the same, and be first. */
static int make(int store, const char *name, int file, const struct bundle_end *end)
{
    char other[64];
    snprintf(other, sizeof other, ".new.%d", (int)getpid());
    unpacked_remove(store, other);
    int directory = user_enter(store, other, true, O_NOFOLLOW), of = -1;
    if (directory >= 0)
        of = openat(directory, "of", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = of >= 0 && !unpack(file, end, directory) && renameat(store, other, store, name) == 0;
    if (directory >= 0)
        close(directory);
    if (of >= 0)
        close(of);
    if (!done)
        unpacked_remove(store, other);
    return hold(store, name);
}

/* ---- Those that are not used any more ---------------------------------------------------------------------------- */

struct old {
    char name[DIGEST_TEXT + 16];
    time_t used;
};
static struct old olds[512];

static int newest_first(const void *a, const void *b)
{
    const struct old *x = a, *y = b;
    return x->used > y->used ? -1 : x->used < y->used;
}

/* Names by when they, or what is `within` them, was last used; how many. */
static size_t list_old(int cache, const char *end, const char *within)
{
    size_t count = 0;
    DIR *list = fdopendir(openat(cache, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (struct dirent *entry; list && (entry = readdir(list)) && count < sizeof olds / sizeof *olds;) {
        char path[PAL_PATH_MAX];
        struct stat status;
        size_t size = strlen(entry->d_name);
        snprintf(path, sizeof path, "%s%s", entry->d_name, within);
        if (size != DIGEST_TEXT - 1 + strlen(end) || strcmp(entry->d_name + DIGEST_TEXT - 1, end) != 0 ||
            fstatat(cache, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        strcpy(olds[count].name, entry->d_name);
        olds[count++].used = status.st_mtime;
    }
    if (list)
        closedir(list);
    qsort(olds, count, sizeof *olds, newest_first);
    return count;
}

void cache_trim(int cache, const char *end, size_t most)
{
    size_t count = list_old(cache, end, "");
    for (size_t i = most; i < count; i++)
        unlinkat(cache, olds[i].name, 0);
}

static void remove_unused(int store, const char *name)
{
    char path[PAL_PATH_MAX];
    snprintf(path, sizeof path, "%s/of", name);
    int of = openat(store, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (of >= 0 && flock(of, LOCK_EX | LOCK_NB) == 0) {
        unlinkat(store, path, 0); /* first: nobody takes it any more */
        unpacked_remove(store, name);
    }
    if (of >= 0)
        close(of);
}

static void make_room(int store)
{
    size_t count = list_old(store, "", "/of");
    for (size_t i = TREES_MAX; i < count; i++)
        remove_unused(store, olds[i].name);
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

char *unpacked_open(int file, const struct bundle_end *end, const char **wrong)
{
    char path[PAL_PATH_MAX], name[DIGEST_TEXT];
    int store = cache_open("bundles", path);
    *wrong = NULL;
    if (store < 0)
        return NULL;
    digest_text(end->digest, name);
    int of = hold(store, name);
    if (of < 0 || !is_checked(of, file)) {
        const struct checked was = checked_of(file);
        *wrong = bundle_check(file, end);
        if (!*wrong && of < 0 && (of = make(store, name, file, end)) >= 0)
            make_room(store);
        if (!*wrong && of >= 0)
            note_checked(of, file, &was);
    }
    close(store);
    return *wrong || of < 0 ? NULL : must_print("%s/%s/root", path, name); /* `of` stays open */
}
