/* SPDX-License-Identifier: MIT */
/* Copies of what an image holds, to where nothing is: in pal-run, which follows no symlink meanwhile. */
#include <errno.h>
#include <fcntl.h>
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

static int copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name, int depth)
{
    switch (entry->mode & S_IFMT) {
    case S_IFREG: return copy_file(image, entry, directory, name);
    case S_IFDIR: return copy_directory(image, entry, directory, name, depth);
    case S_IFLNK: return copy_link(entry, target, directory, name);
    default: return 0;
    }
}

int image_copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name)
{
    return copy(image, entry, target, directory, name, 0);
}
