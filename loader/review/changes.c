/* SPDX-License-Identifier: MIT */
/*
 * The changes of a kept run: what its upper layer has that the host has not, and the other way round.  The record of a
 * listed directory says what its names were like then; so a name that is absent was deleted, and what the host has
 * otherwise than recorded was changed by somebody else.  What is the same on both sides is no change: so one that was applied is none
 * any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/review/review.h"

#define CHANGED_SINCE "the host has changed it since"

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

static bool same_bytes(int object, int other)
{
    static char a[1 << 16], b[1 << 16];
    int first = open(fd_name(object).path, O_RDONLY | O_CLOEXEC), second = open(fd_name(other).path, O_RDONLY | O_CLOEXEC);
    bool same = first >= 0 && second >= 0;
    while (same) {
        ssize_t size = read(first, a, sizeof a), got = 0, more = 1;
        while (size > 0 && got < size && (more = read(second, b + got, (size_t)(size - got))) > 0)
            got += more;
        same = size >= 0 && got == size && !memcmp(a, b, (size_t)got);
        if (size <= 0)
            break;
    }
    if (first >= 0)
        close(first);
    if (second >= 0)
        close(second);
    return same;
}

static bool same_contents(int object, const struct stat *status, int other, const struct stat *there)
{
    char a[PAL_PATH_MAX], b[PAL_PATH_MAX];
    if ((status->st_mode ^ there->st_mode) & S_IFMT)
        return false;
    if (S_ISREG(status->st_mode))
        return status->st_size == there->st_size && same_bytes(object, other);
    if (!S_ISLNK(status->st_mode))
        return true;
    ssize_t size = readlinkat(object, "", a, sizeof a), size_there = readlinkat(other, "", b, sizeof b);
    return size >= 0 && size == size_there && !memcmp(a, b, (size_t)size);
}

bool is_same(int object, const struct stat *status, int other, const struct stat *there)
{
    return status->st_mode == there->st_mode && same_contents(object, status, other, there);
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static struct change *add(struct review *review, enum change_kind kind, const struct mount *mount, const char *path,
                          unsigned was, unsigned mode)
{
    if (review->count == review->room) {
        size_t room = review->room ? review->room * 2 : 256;
        struct change *grown = realloc(review->changes, room * sizeof *grown);
        if (!grown)
            fail(EXIT_OWN_FAILURE, "out of memory for the list of changes");
        review->changes = grown;
        review->room = room;
    }
    struct change *change = &review->changes[review->count++];
    *change = (struct change){.kind = kind, .mount = mount, .path = must_copy(path), .mode_was = was, .mode = mode};
    change->refused = refusal_of_change(change);
    return change;
}

static long long nanoseconds_of(struct timespec time)
{
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static bool is_as_recorded(const struct kept_name *was, const struct stat *status)
{
    return was->inode == status->st_ino && was->ctime == nanoseconds_of(status->st_ctim) && was->mode == status->st_mode &&
           (was->size == (uint64_t)status->st_size || S_ISDIR(was->mode));
}

/* Has anything beneath changed after that time? */
static bool is_newer(int parent, const char *name, long long time, int depth)
{
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (nanoseconds_of(status.st_ctim) > time || depth > 256)
        return true;
    if (!S_ISDIR(status.st_mode))
        return false;
    DIR *names = fdopendir(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const struct dirent *entry;
    bool newer = !names;
    while (!newer && (entry = readdir(names)))
        newer = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                is_newer(dirfd(names), entry->d_name, time, depth + 1);
    if (names)
        closedir(names);
    return newer;
}

/* What the host has at a path: O_PATH, or -1. */
static int lower_object(const struct mount *mount, const char *path, struct stat *status)
{
    int fd = object_find(mount->cow->lower.root, *path ? path : ".", O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, status) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A name that was recorded is not in the upper layer, or something else is. */
static bool note_deleted(struct review *review, const struct mount *mount, const char *path, const struct kept_name *was,
                         long long listed, bool replaced)
{
    struct stat status;
    int fd = lower_object(mount, path, &status);
    if (fd < 0)
        return false;
    close(fd);
    if (replaced && status.st_ino != was->inode) /* it was replaced already, by apply or by somebody */
        return false;
    struct change *change = add(review, CHANGE_DELETED, mount, path, was->mode, 0);
    if (S_ISDIR(was->mode) && S_ISDIR(status.st_mode) && status.st_ino == was->inode
            ? is_newer(mount->cow->lower.root, path, listed, 0)
            : !is_as_recorded(was, &status))
        change->conflict = CHANGED_SINCE;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in an open directory, sorted; takes the descriptor. */
static char **names_in(int fd, size_t *count)
{
    char **names = NULL;
    size_t room = 0;
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;
    *count = 0;
    while (directory && (entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            name_is_private(entry->d_name, strlen(entry->d_name)))
            continue;
        if (*count == room) {
            char **grown = realloc(names, (room = room ? room * 2 : 64) * sizeof *names);
            if (!grown)
                fail(EXIT_OWN_FAILURE, "no memory for the names of a directory");
            names = grown;
        }
        names[(*count)++] = must_copy(entry->d_name);
    }
    if (directory)
        closedir(directory);
    if (*count)
        qsort(names, *count, sizeof *names, by_name);
    return names;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* fresh: what the host has there is to be deleted before. */
static void add_tree(struct review *review, const struct mount *mount, const char *path, bool fresh, int depth)
{
    struct stat status, there;
    int object = cow_find(mount, path);
    if (object < 0 || fstat(object, &status) < 0)
        return;
    int lower = fresh ? -1 : lower_object(mount, path, &there);
    bool directory = S_ISDIR(status.st_mode);
    if (lower < 0 || !is_same(object, &status, lower, &there)) {
        bool both = lower >= 0 && directory && S_ISDIR(there.st_mode);
        struct change *change = add(review, both ? CHANGE_MODE : CHANGE_ADDED, mount, path, both ? there.st_mode : 0, status.st_mode);
        if (lower >= 0 && !both)
            change->conflict = "the host has made it since, too";
    }
    if (lower >= 0)
        close(lower);
    int fd = directory && depth < 256 ? openat(object, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    close(object);
    if (fd < 0)
        return;
    size_t count;
    char **names = names_in(fd, &count), inner[PAL_PATH_MAX];
    for (size_t i = 0; i < count; i++)
        if (cow_join(inner, path, names[i]))
            add_tree(review, mount, inner, fresh, depth + 1);
    free_names(names, count);
}

static void walk(struct review *review, const struct mount *mount, const char *path);

static void look_at_directory(struct review *review, const struct mount *mount, const char *path,
                              const struct kept_name *was, long long listed, const struct stat *status)
{
    const struct cow_spot spot = cow_walk(mount->cow, path);
    struct stat there;
    bool same = !*spot.rest && spot.node->lower && !strcmp(spot.node->lower, path);
    if (!same) {
        bool fresh = was && note_deleted(review, mount, path, was, listed, true);
        add_tree(review, mount, path, fresh, 0);
        return;
    }
    if (!spot.node->listed)
        return;
    int lower = lower_object(mount, path, &there);
    if (lower < 0) {
        add(review, CHANGE_DELETED, mount, path, was ? was->mode : 0, status->st_mode)->conflict = "the host has deleted it since";
        return;
    }
    close(lower);
    if ((there.st_mode ^ status->st_mode) & 07777) {
        struct change *change = add(review, CHANGE_MODE, mount, path, there.st_mode, status->st_mode);
        if (was && was->mode != there.st_mode)
            change->conflict = CHANGED_SINCE;
    }
    walk(review, mount, path);
}

static void look_at_object(struct review *review, const struct mount *mount, const char *path, const struct kept_name *was,
                           long long listed, int object, const struct stat *status)
{
    struct stat there;
    int lower = lower_object(mount, path, &there);
    if (was && S_ISDIR(was->mode)) {
        note_deleted(review, mount, path, was, listed, true);
        if (lower < 0 || !is_same(object, status, lower, &there))
            add(review, CHANGE_ADDED, mount, path, 0, status->st_mode);
    } else if (lower < 0) {
        struct change *change = add(review, CHANGE_ADDED, mount, path, 0, status->st_mode);
        if (was)
            change->conflict = "the host has deleted it since";
    } else if (!is_same(object, status, lower, &there)) {
        bool contents = same_contents(object, status, lower, &there), link = S_ISLNK(status->st_mode);
        struct change *change = add(review, !was ? CHANGE_ADDED : contents ? CHANGE_MODE : link ? CHANGE_LINK : CHANGE_CHANGED,
                                    mount, path, there.st_mode, status->st_mode);
        if (!was)
            change->conflict = "the host has made it since, too";
        else if (!is_as_recorded(was, &there))
            change->conflict = CHANGED_SINCE;
    }
    if (lower >= 0)
        close(lower);
}

/* A directory that lies where it lay. */
static void walk(struct review *review, const struct mount *mount, const char *path)
{
    const struct cow *cow = mount->cow;
    struct stat status;
    struct kept kept;
    char inner[PAL_PATH_MAX];
    int fd = openat(cow->upper.root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !kept_read(cow, status.st_ino, &kept))
        fail(EXIT_OWN_FAILURE, "%s: can't read the kept changes", *path ? path : mount->at);
    for (size_t i = 0; i < kept.count; i++) {
        const struct kept_name *was = &kept.names[i];
        if (was == kept_find(&kept, was->name) && fstatat(fd, was->name, &status, AT_SYMLINK_NOFOLLOW) < 0 &&
            cow_join(inner, path, was->name))
            note_deleted(review, mount, inner, was, kept.time, false);
    }
    size_t count;
    char **names = names_in(fcntl(fd, F_DUPFD_CLOEXEC, 0), &count);
    for (size_t i = 0; i < count; i++) {
        const struct kept_name *was = kept_find(&kept, names[i]);
        int object = openat(fd, names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (object < 0 || fstat(object, &status) < 0 || !cow_join(inner, path, names[i]))
            continue;
        if (S_ISDIR(status.st_mode))
            look_at_directory(review, mount, inner, was, kept.time, &status);
        else if (!cow_is_stand_in(&status))
            look_at_object(review, mount, inner, was, kept.time, object, &status);
        close(object);
    }
    free_names(names, count);
    kept_free(&kept);
    close(fd);
}

static int deletions_first(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if ((x->kind == CHANGE_DELETED) != (y->kind == CHANGE_DELETED))
        return x->kind == CHANGE_DELETED ? -1 : 1;
    return x->mount != y->mount ? (x->mount < y->mount ? -1 : 1) : strcmp(x->path, y->path);
}

void review_find(struct review *review)
{
    for (size_t i = 0; i < review->count; i++)
        free(review->changes[i].path);
    review->count = 0;
    for (size_t i = 0; i < review->table.count; i++) {
        const struct mount *mount = &review->table.mounts[i];
        if (mount->cow && mount->cow->root->listed && mount->cow->upper.root >= 0)
            walk(review, mount, "");
    }
    if (review->count)
        qsort(review->changes, review->count, sizeof *review->changes, deletions_first);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static char *last_run(int runs)
{
    DIR *names = fdopendir(openat(runs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *entry;
    struct stat status;
    long long newest = -1;
    char *found = NULL;
    while (names && (entry = readdir(names)))
        if (run_name_is_good(entry->d_name) && fstatat(runs, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            nanoseconds_of(status.st_mtim) > newest) {
            newest = nanoseconds_of(status.st_mtim);
            free(found);
            found = must_copy(entry->d_name);
        }
    if (names)
        closedir(names);
    return found;
}

void review_open(struct review *review, const char *name)
{
    static struct run_mount mounts[MOUNTS_MAX];
    int runs = runs_open(false);
    if (!name && runs >= 0)
        name = last_run(runs);
    if (runs < 0 || !name || !run_name_is_good(name))
        fail(EXIT_OWN_FAILURE, "%s: no such run: see pal-run runs, or keep one by --cow PATH --keep NAME", name ? name : "the last");
    mount_table_init(&review->table);
    review->name = name;
    review->run = run_open(runs, name, false);
    if (review->run < 0)
        fail(EXIT_OWN_FAILURE, "%s: %s", name, errno == EWOULDBLOCK ? "the run is in use: wait until it ends"
                                               : errno == ENOENT    ? "no such run: see pal-run runs" : strerror(errno));
    size_t count = run_mounts(review->run, mounts);
    for (size_t i = 0; i < count; i++)
        mount_table_add(&review->table, MOUNT_COPY, mounts[i].at, mounts[i].from, true);
    mounts_open(&review->table);
    review->table.kept = review->run;
    kept_load(&review->table);
    close(runs);
}

char *change_path(const struct change *change)
{
    const char *from = change->mount->from;
    return must_print("%s%s%s", strcmp(from, "/") ? from : "", "/", change->path);
}

const char *change_word(const struct change *change)
{
    static const char *const words[] = {"deleted", "added", "changed", "mode", "link"};
    return words[change->kind];
}
