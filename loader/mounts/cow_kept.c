/* SPDX-License-Identifier: MIT */
/*
 * Upper layers that outlive their sandbox.
 *
 * A run that is kept is a directory NAME of the user's own, in $XDG_STATE_HOME/pal-run/runs, with one inside whose name no
 * sandbox can reach, whatever it is shown.  That one holds a file "mounts", which says what was mounted where, and for each of
 * these an upper layer and its control directory.  Of each listed directory the control directory has a record, by the
 * inode number of the directory in the upper layer: where it lies in the lower one, and what its names were like when it
 * was listed.  So the layer says what was changed since, by a guest or by the host; and no guest has a word in it.
 *
 * Records are written before what they are about; a run that was killed at any moment can be gone on with.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define INSIDE SCRATCH_PREFIX "kept-changes-00" /* name_is_private */
_Static_assert(sizeof INSIDE - 1 == SCRATCH_NAME_SIZE, "no sandbox can name it");
#define RUN_NAME_MAX 99
#define RECORDS "records"
#define NEW "records.new"

/* ---- Directories ------------------------------------------------------------------------------------------------- */

int runs_open(bool make)
{
    return user_directory("XDG_STATE_HOME", "state", "runs", make);
}

bool run_name_is_good(const char *name)
{
    return user_name_is_good(name, RUN_NAME_MAX);
}

int run_open(int runs, const char *name, bool make)
{
    int run = user_enter(runs, name, make, O_NOFOLLOW), inside = run < 0 ? -1 : user_enter(run, INSIDE, make, O_NOFOLLOW);
    int error = errno;
    if (run >= 0)
        close(run);
    if (inside >= 0 && flock(inside, LOCK_EX | LOCK_NB) < 0) {
        error = errno;
        close(inside);
        inside = -1;
    }
    errno = error;
    return inside;
}

/* ---- What was mounted -------------------------------------------------------------------------------------------- */

static char *read_all(int directory, const char *name, size_t *size)
{
    struct stat status;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char *text = fd >= 0 && fstat(fd, &status) == 0 ? malloc((size_t)status.st_size + 1) : NULL;
    ssize_t got = text ? read(fd, text, (size_t)status.st_size) : -1;
    if (fd >= 0)
        close(fd);
    if (got < 0 || got != status.st_size) {
        free(text);
        return NULL;
    }
    text[got] = 0;
    *size = (size_t)got;
    return text;
}

/* Pairs of strings, each with its NUL: at, from. */
size_t run_mounts(int run, struct run_mount mounts[MOUNTS_MAX])
{
    size_t size, count = 0;
    char *text = read_all(run, "mounts", &size);
    for (char *at = text; text && at < text + size && count < MOUNTS_MAX; count++) {
        char *from = at + strlen(at) + 1;
        if (from >= text + size)
            break;
        mounts[count] = (struct run_mount){at, from};
        at = from + strlen(from) + 1;
    }
    return count;
}

static size_t number_of(int run, const struct mount *mount)
{
    static struct run_mount known[MOUNTS_MAX];
    size_t count = run_mounts(run, known), i = 0;
    while (i < count && (strcmp(known[i].at, mount->at) != 0 || strcmp(known[i].from, mount->from) != 0))
        i++;
    int fd = i < count ? -1 : openat(run, "mounts", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (i == count && (fd < 0 || i == MOUNTS_MAX || dprintf(fd, "%s%c%s%c", mount->at, 0, mount->from, 0) < 0))
        fail(EXIT_OWN_FAILURE, "%s: can't be kept: %s", mount->at, strerror(errno));
    if (fd >= 0)
        close(fd);
    return i;
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

static void record_name(char out[48], uint64_t upper)
{
    snprintf(out, 48, RECORDS "/%llx", (unsigned long long)upper);
}

static long long nanoseconds_of(struct timespec time)
{
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

void kept_add(FILE *record, const char *name, const struct stat *status)
{
    fprintf(record, "%o %llu %llu %llu %lld %lld %s%c", status->st_mode, (unsigned long long)status->st_size,
            (unsigned long long)status->st_dev, (unsigned long long)status->st_ino, nanoseconds_of(status->st_ctim),
            nanoseconds_of(status->st_mtim), name, 0);
}

FILE *kept_begin(const struct cow *cow, const char *lower)
{
    if (mkdirat(cow->control, RECORDS, 0700) < 0 && errno != EEXIST)
        return NULL;
    int fd = openat(cow->control, NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *record = fd < 0 ? NULL : fdopen(fd, "w");
    if (record)
        fprintf(record, "%s%c", lower, 0);
    else if (fd >= 0)
        close(fd);
    return record;
}

int kept_end(const struct cow *cow, FILE *record, uint64_t upper)
{
    char name[48];
    record_name(name, upper);
    bool bad = ferror(record) != 0;
    bad |= fclose(record) != 0;
    return bad ? -ENOSPC : renameat(cow->control, NEW, cow->control, name) < 0 ? -errno : 0;
}

/* One of its names was copied, and may have been changed by the host since the listing: what was said last counts. */
void kept_append(const struct cow *cow, uint64_t upper, const char *name, const struct stat *status)
{
    char path[48];
    record_name(path, upper);
    int fd = openat(cow->control, path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    FILE *record = fd < 0 ? NULL : fdopen(fd, "a");
    if (record) {
        kept_add(record, name, status);
        fclose(record);
    }
}

void kept_drop(const struct cow *cow, uint64_t upper)
{
    char name[48];
    record_name(name, upper);
    unlinkat(cow->control, name, 0);
}

bool kept_read(const struct cow *cow, uint64_t upper, struct kept *out)
{
    char name[48];
    size_t size, room = 0;
    record_name(name, upper);
    *out = (struct kept){.text = read_all(cow->control, name, &size)};
    if (!out->text)
        return false;
    struct statx status;
    if (statx(cow->control, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_MTIME, &status) == 0) {
        const struct statx_timestamp *made = status.stx_mask & STATX_BTIME ? &status.stx_btime : &status.stx_mtime;
        out->time = made->tv_sec * 1000000000ll + made->tv_nsec;
    }
    out->lower = out->text;
    for (char *at = out->text + strlen(out->text) + 1; at < out->text + size; at += strlen(at) + 1) {
        struct kept_name entry;
        unsigned long long length, device, inode;
        int used = 0;
        if (sscanf(at, "%o %llu %llu %llu %lld %lld %n", &entry.mode, &length, &device, &inode, &entry.ctime, &entry.mtime,
                   &used) != 6 || !used)
            break; /* cut off by a kill */
        entry.size = length, entry.device = device, entry.inode = inode;
        entry.name = at + used;
        if (out->count == room) {
            struct kept_name *grown = realloc(out->names, (room = room ? room * 2 : 64) * sizeof *grown);
            if (!grown)
                break;
            out->names = grown;
        }
        out->names[out->count++] = entry;
    }
    return true;
}

const struct kept_name *kept_find(const struct kept *kept, const char *name)
{
    for (size_t i = kept->count; i-- > 0;)
        if (!strcmp(kept->names[i].name, name))
            return &kept->names[i];
    return NULL;
}

void kept_free(struct kept *kept)
{
    free(kept->names);
    free(kept->text);
}

/* ---- Going on ---------------------------------------------------------------------------------------------------- */

static void load_directory(struct cow *cow, int parent, const char *name, const char *path, const char *lower);

static void load_names(struct cow *cow, int fd, const char *path, const char *lower)
{
    DIR *names = fdopendir(fd);
    const struct dirent *entry;
    char inner[PAL_PATH_MAX], inner_lower[PAL_PATH_MAX];
    while (names && (entry = readdir(names))) {
        if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
            continue;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !cow_join(inner, path, entry->d_name))
            continue;
        bool has = lower && cow_join(inner_lower, lower, entry->d_name);
        load_directory(cow, dirfd(names), entry->d_name, inner, has ? inner_lower : NULL);
    }
    if (names)
        closedir(names);
    else
        close(fd);
}

/* lower: where it lies if nothing else is said. */
static void load_directory(struct cow *cow, int parent, const char *name, const char *path, const char *lower)
{
    struct stat status, was;
    struct kept kept;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0) /* a guest's, closed even to its owner */
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    bool recorded = kept_read(cow, status.st_ino, &kept), listed = !cow_is_stand_in(&status);
    const char *lies = recorded ? kept.lower : listed ? NULL : lower;
    char *copy = lies ? strdup(lies) : NULL;
    if (copy) {
        struct cow_node *node = cow_node_at(cow, path, copy);
        if (node)
            node->listed = listed;
        if (listed && fstatat(cow->lower.root, *copy ? copy : ".", &was, AT_SYMLINK_NOFOLLOW) == 0)
            cow_copy_note(cow, status.st_ino, &was);
    }
    kept_free(&kept);
    if (listed)
        load_names(cow, fd, path, copy);
    else
        close(fd);
}

/* Copies of files with several names are found by these. */
static void load_linked(struct cow *cow)
{
    DIR *names = fdopendir(openat(cow->control, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *entry;
    unsigned long long device, inode;
    while (names && (entry = readdir(names))) {
        struct stat status, lower = {.st_mode = S_IFREG};
        if (sscanf(entry->d_name, "l%llx.%llx", &device, &inode) != 2 ||
            fstatat(cow->control, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        lower.st_dev = device, lower.st_ino = inode;
        lower.st_nlink = status.st_nlink > 2 ? status.st_nlink : 2;
        cow_copy_note(cow, status.st_ino, &lower);
    }
    if (names)
        closedir(names);
}

void kept_load(struct mount_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct cow *cow = table->mounts[i].cow;
        char name[32];
        struct stat status;
        if (!cow)
            continue;
        cow->number = number_of(table->kept, &table->mounts[i]);
        snprintf(name, sizeof name, "%zu.upper", cow->number);
        if (fstatat(table->kept, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        int error = cow_open_layers(cow);
        if (error)
            fail(EXIT_OWN_FAILURE, "%s: can't open the kept changes: %s", table->mounts[i].at, strerror(-error));
        fstat(cow->upper.root, &status);
        cow->root->listed = !cow_is_stand_in(&status);
        struct stat was;
        if (!cow->root->listed)
            continue;
        if (fstat(cow->lower.root, &was) == 0)
            cow_copy_note(cow, status.st_ino, &was);
        load_linked(cow);
        load_names(cow, openat(cow->upper.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "", "");
    }
}

void kept_open(struct mount_table *table, const char *name)
{
    if (!run_name_is_good(name))
        fail(EXIT_OWN_FAILURE, "--keep %s: expected a name of letters, digits, '.', '-' and '_'", name);
    bool copies = false;
    for (size_t i = 0; i < table->count; i++) {
        copies |= table->mounts[i].cow != NULL;
        if (table->mounts[i].copied)
            fail(EXIT_OWN_FAILURE, "--keep %s: %s is a copy of a disk image, which can't be kept yet", name, table->mounts[i].at);
    }
    if (!copies)
        fail(EXIT_OWN_FAILURE, "--keep %s: there is no copy mount: add --cow PATH", name);
    int runs = runs_open(true);
    table->kept = runs < 0 ? -1 : run_open(runs, name, true);
    if (table->kept < 0)
        fail(EXIT_OWN_FAILURE, "--keep %s: %s", name, errno == EWOULDBLOCK ? "it is in use by another pal-run" : strerror(errno));
    close(runs);
    kept_load(table);
}
