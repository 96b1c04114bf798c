/* SPDX-License-Identifier: MIT */
/* Copies of what an image holds, to where nothing is: in pal-run, which follows no symlink meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/images/images.h"

#define DEPTH_MAX 256

static struct timespec time_of(const struct image_entry *entry)
{
    int64_t rest = entry->mtime % 1000000000, back = rest < 0;
    return (struct timespec){entry->mtime / 1000000000 - back, rest + back * 1000000000};
}

static int copy_link(const struct image_entry *entry, const char *target, int directory, const char *name)
{
    const struct timespec time = time_of(entry), times[] = {time, time};
    bool done = symlinkat(target, directory, name) == 0 && utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) == 0;
    return done ? 0 : -errno;
}

static int copy_file(struct image *image, const struct image_entry *entry, int directory, const char *name)
{
    int to = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -errno;
    int error = ftruncate(to, (off_t)entry->size) < 0 ? -errno : image_pour(image, entry->node, entry->size, to, true);
    const struct timespec time = time_of(entry);
    if (!error && (fchmod(to, entry->mode & 0777) < 0 || futimens(to, (struct timespec[]){time, time}) < 0))
        error = -errno;
    close(to);
    if (error)
        unlinkat(directory, name, 0);
    return error;
}

/* What a directory holds, noted first: the helper answers one request at a time. */
struct noted {
    struct noted *next;
    struct image_entry entry;
    char *name, *target;
};

static int note(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    struct noted **list = argument, *new = must_allocate(sizeof *new);
    *new = (struct noted){*list, *entry, must_copy(name), must_copy(target)};
    *list = new;
    return 0;
}

static int copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name, int depth);

/* Takes the list; error: it is not whole, and nothing is copied. */
static int copy_beneath(struct image *image, struct noted *list, int directory, int depth, int error)
{
    while (list) {
        struct noted *one = list;
        error = error ? error : copy(image, &one->entry, one->target, directory, one->name, depth);
        list = one->next;
        free(one->name);
        free(one->target);
        free(one);
    }
    return error;
}

static int copy_directory(struct image *image, const struct image_entry *entry, int directory, const char *name, int depth)
{
    struct noted *list = NULL;
    if (depth == DEPTH_MAX)
        return -EUCLEAN; /* it holds itself */
    if (mkdirat(directory, name, 0700) < 0)
        return -errno;
    int inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = inner < 0 ? -errno : image_list(image, entry->node, note, &list);
    error = copy_beneath(image, list, inner, depth + 1, error);
    const struct timespec time = time_of(entry);
    if (!error && (fchmod(inner, entry->mode & 0777) < 0 || futimens(inner, (struct timespec[]){time, time}) < 0))
        error = -errno;
    if (inner >= 0)
        close(inner);
    return error;
}

/* ---- Files of several names -------------------------------------------------------------------------------------- */

/* Those of which more names are to come, as far as so many can be open; what is beyond is copied apart. */
#define FIRSTS_MAX 64
static struct first {
    uint64_t node;
    uint32_t left; /* names */
    int file;
} firsts[FIRSTS_MAX];

static struct first *first_find(uint32_t left, uint64_t node)
{
    for (size_t i = 0; i < FIRSTS_MAX; i++)
        if (left ? firsts[i].left && firsts[i].node == node : !firsts[i].left)
            return &firsts[i];
    return NULL;
}

static void first_forget(struct first *first)
{
    close(first->file);
    first->left = 0;
}

static void firsts_forget(void)
{
    for (size_t i = 0; i < FIRSTS_MAX; i++)
        if (firsts[i].left)
            first_forget(&firsts[i]);
}

static int link_to(struct first *first, int directory, const char *name)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", first->file);
    int error = linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
    if (!--first->left)
        close(first->file);
    return error;
}

static int copy_linked(struct image *image, const struct image_entry *entry, int directory, const char *name)
{
    struct first *first = first_find(1, entry->node);
    if (first)
        return link_to(first, directory, name);
    int error = copy_file(image, entry, directory, name);
    if (error || !(first = first_find(0, 0)))
        return error;
    int file = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0)
        *first = (struct first){entry->node, entry->links - 1, file};
    return 0;
}

static int copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name, int depth)
{
    switch (entry->mode & S_IFMT) {
    case S_IFREG: return entry->links > 1 ? copy_linked(image, entry, directory, name) : copy_file(image, entry, directory, name);
    case S_IFDIR: return copy_directory(image, entry, directory, name, depth);
    case S_IFLNK: return copy_link(entry, target, directory, name);
    default: return 0;
    }
}

int image_copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name)
{
    int error = copy(image, entry, target, directory, name, 0);
    firsts_forget();
    return error;
}
