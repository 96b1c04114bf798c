/* SPDX-License-Identifier: MIT */
/*
 * Private writable mounts: one host directory, made at first need, with one inside for each mount.
 *
 * At the end pal-run removes it; if pal-run has been killed, the supervisor does, which is told of it before anything is
 * written there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"
#include "loader/supervise/supervise.h"

/* The directories where it may be made, held open: later, a guest may have changed what their names mean. */
static bool is_usable(int fd, bool shared)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISDIR(status.st_mode))
        return false;
    return shared && status.st_uid == 0 ? true : status.st_uid == geteuid();
}

void scratch_prepare(struct scratch *scratch)
{
    const char *const bases[SCRATCH_BASES] = {getenv("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp"};
    for (size_t i = 0; i < SCRATCH_BASES; i++) {
        int fd = bases[i] && bases[i][0] == '/' ? open(bases[i], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd >= 0 && !is_usable(fd, i > 0)) {
            close(fd);
            fd = -1;
        }
        scratch->bases[i] = fd;
    }
}

static void random_letters(char *text, size_t count)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t bytes[SCRATCH_NAME_SIZE] = {0};
    uint64_t seed = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) < 0)
        for (size_t i = 0; i < sizeof seed && i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(seed >> 8 * i);
    for (size_t i = 0; i < count; i++)
        text[i] = letters[bytes[i] % 32];
    text[count] = 0;
}

void scratch_name(char name[SCRATCH_NAME_SIZE + 1])
{
    size_t prefix = strlen(SCRATCH_PREFIX);
    memcpy(name, SCRATCH_PREFIX, prefix + 1);
    random_letters(name + prefix, SCRATCH_NAME_SIZE - prefix);
}

/*
 * Ours, empty and fresh, though others may write the directory it is in: its name is new, and not a symlink's.  It can't be
 * listed, and what is in it has names that nobody guesses: a picoprocess of another sandbox with the same user id, which
 * may see it in a view, gets no further.
 */
static int make_in(struct scratch *scratch, int base)
{
    struct stat status;
    scratch_name(scratch->name);
    if (mkdirat(base, scratch->name, 0300) < 0)
        return -errno;
    int fd = openat(base, scratch->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid()) {
        scratch->base = base;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    unlinkat(base, scratch->name, AT_REMOVEDIR);
    return -EACCES;
}

static int scratch_make(struct scratch *scratch)
{
    for (size_t i = 0; i < SCRATCH_BASES && scratch->fd < 0; i++)
        scratch->fd = scratch->bases[i] < 0 ? -1 : make_in(scratch, scratch->bases[i]);
    if (scratch->fd < 0)
        return -EROFS;
    if (supervisor_scratch(scratch->base, scratch->name))
        return 0;
    unlinkat(scratch->base, scratch->name, AT_REMOVEDIR);
    close(scratch->fd);
    scratch->fd = -1;
    return -EROFS;
}

/* Mounts inside this one need a directory (or a file) to be seen in.  One that can't be made is only not listed. */
static void make_mount_points(const struct mount_table *table, const struct mount *mount, int root)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *inner = &table->mounts[i];
        if (inner == mount || !path_is_within(inner->at, inner->at_size, mount->at, mount->at_size) ||
            inner->at_size > PAL_PATH_MAX - 1)
            continue;
        char path[PAL_PATH_MAX];
        strcpy(path, inner->at + mount->at_size + (mount->at_size > 1));
        for (char *slash = path; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            mkdirat(root, path, 0755);
        }
        if (inner->kind == MOUNT_HOST && inner->root >= 0 && !inner->directory)
            mknodat(root, path, S_IFREG | 0644, 0);
        else
            mkdirat(root, path, 0755);
    }
}

int scratch_layer(struct mount_table *table, size_t number, const char *suffix)
{
    char name[32];
    int error = table->kept < 0 && table->scratch.fd < 0 ? scratch_make(&table->scratch) : 0;
    if (error)
        return error;
    int base = table->kept >= 0 ? table->kept : table->scratch.fd;
    snprintf(name, sizeof name, "%zu.%s", number, suffix);
    if (mkdirat(base, name, 0700) == 0) {
        /* the upper layer's root is a stand-in until it is listed */
        if (fchmodat(base, name, S_ISUID | 0700, 0) < 0)
            return -errno;
    } else if (errno != EEXIST || table->kept < 0) {
        return -errno;
    }
    int fd = openat(base, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* As the host's own: /tmp is everyone's, a home is its owner's. */
static mode_t mode_of(const char *at)
{
    return !strcmp(at, "/tmp") || !strcmp(at, "/var/tmp") || !strcmp(at, "/dev/shm") ? 01777 : 0755;
}

int scratch_furnish(const struct mount_table *table, const struct mount *mount, int base, const char *name)
{
    if (mkdirat(base, name, 0700) < 0)
        return -errno;
    int root = openat(base, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return -errno;
    if (fchmodat(base, name, mode_of(mount->at), 0) < 0) {
        int error = -errno;
        close(root);
        return error;
    }
    make_mount_points(table, mount, root);
    return root;
}

int scratch_root(struct mount_table *table, const struct mount *mount)
{
    struct scratch *scratch = &table->scratch;
    int error = scratch->fd < 0 ? scratch_make(scratch) : 0;
    if (error)
        return error;
    char name[SCRATCH_NAME_SIZE + 1];
    random_letters(name, SCRATCH_NAME_SIZE);
    return scratch_furnish(table, mount, scratch->fd, name);
}

void scratch_settle(struct mount_table *table)
{
    struct denials *denials = &table->denials;
    for (size_t i = 0; i < denials->absent_count; i++) {
        struct denial *absent = &denials->absent[i];
        const struct mount *mount = mount_table_find(table, absent->path, strlen(absent->path));
        if (!mount || mount->root < 0 || strlen(absent->path) <= mount->at_size)
            continue;
        int fd = object_find(mount->root, absent->path + mount->at_size + 1, O_NOFOLLOW);
        if (fd < 0)
            continue;
        close(fd);
        free(absent->path);
        absent->path = NULL;
    }
}

void scratch_end(struct scratch *scratch)
{
    if (scratch->fd < 0)
        return;
    close(scratch->fd);
    scratch->fd = -1;
    remove_directory(scratch->base, scratch->name);
}
