/* SPDX-License-Identifier: MIT */
/*
 * The process that makes a view (see view.c), in a mount namespace of its own, and ends.  It looks up each mount's source by its
 * text once more; what it finds there is shown only where it is the very object that was granted (device and inode).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define HOST_MOUNTS_MAX 4096
#define COVER_DIRECTORY "d"
#define COVER_FILE "f"

struct maker {
    struct mount_table *table;
    struct view_made *made;
    int top;                  /* the tmpfs, attached over "/": names still begin beneath it */
    bool shown[MOUNTS_MAX];
    bool programs[MOUNTS_MAX]; /* nothing in it is noexec, or written by guests */
    bool strangers;            /* picoprocesses have an id that nobody has */
    char *mountinfo;
    size_t host_count;
    struct host_mount {
        uint64_t id, parent;
        char *path, *type; /* path: from the tmpfs on, where it is one of its */
        bool ours, noexec;
    } host[HOST_MOUNTS_MAX];
};

static int refuse(struct maker *maker, const char *what)
{
    snprintf(maker->made->why, sizeof maker->made->why, "%s: %s", what, strerror(errno));
    return -1;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return size < 0 ? -1 : 0;
}

static int failed(const char **what, const char *text)
{
    *what = text;
    return -1;
}

/* The right to mount: root's own, else that of a user namespace. */
int mounting_enter(const char **what)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    char uid[32], gid[32];
    snprintf(uid, sizeof uid, "%u %u 1", geteuid(), geteuid());
    snprintf(gid, sizeof gid, "%u %u 1", getegid(), getegid());
    if (syscall(SYS_capget, &header, sets) == 0 && sets[0].permitted & 1u << CAP_SYS_ADMIN) {
        sets[0].effective = sets[0].permitted;
        if (syscall(SYS_capset, &header, sets) == 0 && unshare(CLONE_NEWNS) == 0)
            return 0;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return failed(what, "no mount namespace");
    if (write_file("/proc/self/setgroups", "deny") < 0 || write_file("/proc/self/uid_map", uid) < 0 ||
        write_file("/proc/self/gid_map", gid) < 0)
        return failed(what, "no ids in a user namespace");
    return 0;
}

static int make_top(struct maker *maker)
{
    int system = fsopen("tmpfs", FSOPEN_CLOEXEC), cover;
    if (system < 0 || fsconfig(system, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
        fsconfig(system, FSCONFIG_SET_STRING, "size", "64k", 0) < 0 ||
        fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return refuse(maker, "no tmpfs");
    maker->top = fsmount(system, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    close(system);
    if (maker->top < 0 || move_mount(maker->top, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return refuse(maker, "can't mount a tmpfs");
    if (mkdirat(maker->top, COVER_DIRECTORY, 0) < 0 ||
        (cover = openat(maker->top, COVER_FILE, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0)) < 0)
        return refuse(maker, "the tmpfs can't be written");
    close(cover);
    return 0;
}

/* Disks', networks' and memory's: what else there is, the kernel's own, has no business in a view. */
static bool is_plain_type(const char *type)
{
    static const char *const types[] = {
        "ext2",  "ext3", "ext4",    "xfs",      "btrfs", "f2fs",  "tmpfs",  "overlay", "bcachefs", "zfs",    "jfs",      "nilfs2",
        "nfs",   "nfs4", "cifs",    "smb3",     "9p",    "ceph",  "ocfs2",  "gfs2",    "virtiofs", "vboxsf", "fuseblk",  "reiserfs",
        "vfat",  "msdos", "exfat",  "ntfs3",    "ntfs",  "hfs",   "hfsplus", "iso9660", "udf",     "squashfs", "erofs",  "ecryptfs",
        "ramfs", "rootfs", "romfs", "cramfs",   "ubifs",
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(type, types[i]))
            return true;
    return !strncmp(type, "fuse.", 5) || !strcmp(type, "fuse");
}

static void unescape(char *text)
{
    char *to = text;
    for (const char *at = text; *at; at++)
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
            *to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 3;
        } else {
            *to++ = *at;
        }
    *to = 0;
}

static char *read_all(const char *path)
{
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    while (fd >= 0 && text && (got = read(fd, text + size, room - size - 1)) > 0) {
        size += (size_t)got;
        char *more = room - size < 4096 ? realloc(text, room *= 2) : text;
        if (!more) {
            got = -1;
            break;
        }
        text = more;
    }
    if (fd >= 0)
        close(fd);
    if (!text || got < 0) {
        free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}

/* mountinfo of proc(5): "id parent major:minor root path options ... - type source options". */
static int read_mounts(struct maker *maker)
{
    struct identity top;
    free(maker->mountinfo);
    char *text = maker->mountinfo = read_all("/proc/self/mountinfo"), *line;
    maker->host_count = 0;
    if (!text || identity_of(maker->top, &top) < 0 || !top.mount)
        return refuse(maker, "can't read the mount table");
    while ((line = strsep(&text, "\n")) && *line) {
        if (maker->host_count == HOST_MOUNTS_MAX) {
            errno = E2BIG;
            return refuse(maker, "can't read the mount table");
        }
        struct host_mount *mount = &maker->host[maker->host_count++];
        char *field[6], *type = strstr(line, " - ");
        for (int i = 0; i < 6; i++)
            field[i] = strsep(&line, " ");
        if (!type || !field[5])
            return refuse(maker, "can't read the mount table");
        type += 3;
        *mount = (struct host_mount){.id = strtoull(field[0], NULL, 10), .parent = strtoull(field[1], NULL, 10),
                                     .path = field[4], .type = strsep(&type, " "),
                                     .noexec = strstr(field[5], "noexec") != NULL};
        unescape(mount->path);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < maker->host_count; i++)
            for (size_t j = 0; j < maker->host_count && !maker->host[i].ours; j++)
                if (maker->host[i].parent == top.mount || (maker->host[j].ours && maker->host[j].id == maker->host[i].parent))
                    more = maker->host[i].ours = true;
    }
    return 0;
}

static int find(int directory, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, directory, *path ? path : ".", &how, sizeof how);
}

/* Puts a copy of what is at `name` in the tmpfs over what lies at a path there. */
static int put_over(struct maker *maker, const char *name, int target)
{
    int copy = open_tree(maker->top, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    int result = copy < 0 ? -1 : move_mount(copy, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (copy >= 0)
        close(copy);
    return result;
}

/* Whatever lies at this path of a mount's copy is the monitor's, or `inner`'s, which is shown. */
static bool put_inner(struct maker *maker, size_t outer, const char *rest, const struct mount *inner)
{
    char path[PAL_PATH_MAX + 16], name[16];
    struct stat status;
    size_t number = inner ? (size_t)(inner - maker->table->mounts) : 0;
    snprintf(path, sizeof path, "%zu/%s", outer, rest);
    int target = find(maker->top, path);
    if (target < 0 || fstat(target, &status) < 0)
        return false; /* not there on the host: the kernel would say so */
    bool directory = S_ISDIR(status.st_mode), good = false;
    snprintf(name, sizeof name, "%zu", number);
    if (inner && inner->kind == MOUNT_LINK) {
        char text[PAL_PATH_MAX];
        ssize_t size = readlinkat(target, "", text, sizeof text);
        good = size == (ssize_t)strlen(inner->from) && !memcmp(text, inner->from, (size_t)size);
    } else if (S_ISLNK(status.st_mode)) {
        good = false;
    } else if (inner && maker->shown[number] && directory && inner->kind != MOUNT_COPY) {
        good = put_over(maker, name, target) == 0;
    } else {
        good = put_over(maker, directory ? COVER_DIRECTORY : COVER_FILE, target) == 0;
    }
    close(target);
    return good;
}

/* Puts a cover over what is there, if it is. */
static bool put_cover(struct maker *maker, size_t outer, const char *rest)
{
    char path[PAL_PATH_MAX + 16];
    struct stat status;
    snprintf(path, sizeof path, "%zu/%s", outer, rest);
    int target = find(maker->top, path);
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR;
    bool good = fstat(target, &status) == 0 && !S_ISLNK(status.st_mode) &&
                put_over(maker, S_ISDIR(status.st_mode) ? COVER_DIRECTORY : COVER_FILE, target) == 0;
    close(target);
    return good;
}

/* The policy's own mounts inside, but for those inside of these, and the libOS's trees. */
static bool put_policy(struct maker *maker, size_t outer)
{
    static const char *const own[] = {"/proc", "/dev", "/sys"};
    const struct mount_table *table = maker->table;
    const struct mount *mount = &table->mounts[outer];
    size_t skip = mount->at_size == 1 ? 1 : mount->at_size + 1;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (path_is_within(own[i], strlen(own[i]), mount->at, mount->at_size) && mount_table_is_libos(table, own[i], strlen(own[i])) &&
            !put_inner(maker, outer, own[i] + skip, NULL))
            return false;
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *inner = &table->mounts[i];
        size_t size = inner->at_size;
        if (inner == mount || !path_is_within(inner->at, size, mount->at, mount->at_size))
            continue;
        while (size > 1 && inner->at[size - 1] != '/')
            size--;
        if (mount_table_is_libos(table, inner->at, size > 1 ? size - 1 : 1) ||
            mount_table_find(table, inner->at, size > 1 ? size - 1 : 1) != mount)
            continue;
        if (!put_inner(maker, outer, inner->at + skip, inner))
            return false;
        maker->programs[outer] &= !maker->shown[i] || maker->programs[i];
    }
    return true;
}

/*
 * Of a public-only mount the kernel shows a stranger just what the monitor would, but for the names that are secret whatever
 * their mode is.  A cover goes when the host puts another file in the place of the one beneath; then its mode is what counts.
 */
static bool cover_secrets(struct maker *maker, size_t outer)
{
    const struct mount *mount = &maker->table->mounts[outer];
    char path[PAL_PATH_MAX + 16];
    if (!mount->public_only)
        return true;
    for (size_t i = 0; i < SECRET_NAMES; i++)
        if (!put_cover(maker, outer, secret_names[i]))
            return false;
    snprintf(path, sizeof path, "%zu/ssh", outer);
    int place = find(maker->top, path), fd = place < 0 ? -1 : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *keys = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool good = true;
    while (good && keys && (entry = readdir(keys))) {
        snprintf(path, sizeof path, "ssh/%s", entry->d_name);
        good = !is_host_key(path, strlen(path)) || put_cover(maker, outer, path);
    }
    if (keys)
        closedir(keys);
    else if (fd >= 0)
        close(fd);
    if (place >= 0)
        close(place);
    return good;
}

/* What of the host's own mounts inside is no plain file system. */
static bool cover_kernels(struct maker *maker, size_t outer)
{
    char prefix[16];
    size_t size = (size_t)snprintf(prefix, sizeof prefix, "/%zu", outer);
    if (read_mounts(maker) < 0)
        return false;
    for (size_t i = 0; i < maker->host_count; i++) {
        const struct host_mount *mount = &maker->host[i];
        struct stat status;
        if (!mount->ours || !path_is_within(mount->path, strlen(mount->path), prefix, size))
            continue;
        int target = find(maker->top, mount->path + 1);
        if (target < 0)
            return false;
        bool good = fstat(target, &status) == 0;
        maker->programs[outer] &= !mount->noexec;
        if (good && (!is_plain_type(mount->type) || object_is_kernels(target, status.st_dev)))
            good = mount->path[size] && put_over(maker, S_ISDIR(status.st_mode) ? COVER_DIRECTORY : COVER_FILE, target) == 0;
        close(target);
        if (!good)
            return false;
    }
    return true;
}

/* May the kernel show of it what the monitor would? */
static bool may_show(const struct maker *maker, const struct mount *mount)
{
    bool kind = mount->kind == MOUNT_HOST || mount->kind == MOUNT_COPY || (mount->kind == MOUNT_SCRATCH && !mount->memory);
    return kind && !mount->copied && mount->root >= 0 && mount->directory && (!mount->public_only || maker->strangers) &&
           !mount_has_read_rules(maker->table, mount) &&
           !mount_table_is_libos(maker->table, mount->at, mount->at_size);
}

/* Private ones have no name that was given. */
static const char *source_of(const struct mount *mount, char path[PAL_PATH_MAX])
{
    ssize_t size = mount->kind != MOUNT_SCRATCH ? -1 : readlink(fd_name(mount->root).path, path, PAL_PATH_MAX - 1);
    if (mount->kind != MOUNT_SCRATCH)
        return mount->from;
    path[size < 0 ? 0 : size] = 0;
    return path;
}

static bool show(struct maker *maker, size_t number)
{
    const struct mount *mount = &maker->table->mounts[number];
    char source[PAL_PATH_MAX];
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                                    .propagation = MS_PRIVATE};
    struct stat status;
    char name[16];
    if (!may_show(maker, mount))
        return false;
    if (mount->kind == MOUNT_SCRATCH) /* nothing there is the host's, and what has lost its name is changed by what was opened */
        attributes.attr_set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    int copy = open_tree(AT_FDCWD, source_of(mount, source), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (copy < 0)
        return false;
    snprintf(name, sizeof name, "%zu", number);
    bool good = fstat(copy, &status) == 0 && status.st_dev == mount->device && status.st_ino == mount->inode &&
                mount_setattr(copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) == 0 &&
                mkdirat(maker->top, name, 0) == 0 && move_mount(copy, "", maker->top, name, MOVE_MOUNT_F_EMPTY_PATH) == 0;
    close(copy);
    maker->programs[number] = !mount->writable && mount->kind == MOUNT_HOST;
    return good && cover_kernels(maker, number) && put_policy(maker, number) && cover_secrets(maker, number);
}

/* Inner ones first, for the outer ones hold them. */
static void show_all(struct maker *maker)
{
    size_t order[MOUNTS_MAX], count = maker->table->count;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at && maker->table->mounts[order[at - 1]].at_size < maker->table->mounts[i].at_size; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (size_t i = 0; i < count && maker->made->count < VIEW_MOUNTS_MAX; i++) {
        maker->shown[order[i]] = show(maker, order[i]);
        if (!maker->shown[order[i]])
            continue;
        maker->made->programs[maker->made->count] = maker->programs[order[i]];
        maker->made->mounts[maker->made->count++] = (uint8_t)order[i];
    }
}

/* The tree for itself, and the roots in it; descriptors[0] is the tree's. */
static int detach(struct maker *maker, int *descriptors)
{
    struct view_made *made = maker->made;
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    struct identity is;
    int top = open_tree(maker->top, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (top < 0 || read_mounts(maker) < 0)
        return refuse(maker, "can't detach the view from its namespace");
    descriptors[0] = top;
    for (uint32_t i = 0; i < made->count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", made->mounts[i]);
        descriptors[1 + i] = openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (descriptors[1 + i] < 0)
            return refuse(maker, "the view's mounts can't be opened");
    }
    for (size_t i = 0; i < maker->host_count; i++) {
        int fd = maker->host[i].ours ? openat(top, maker->host[i].path + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd < 0)
            continue; /* beneath a cover */
        if (made->id_count == VIEW_IDS_MAX || identity_of(fd, &is) < 0 || !is.mount) {
            errno = E2BIG;
            return refuse(maker, "the view has too many mounts");
        }
        made->ids[made->id_count++] = is.mount;
        close(fd);
    }
    int again = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0 || fchmod(again, 0) < 0 ||
        mount_setattr(top, "", AT_EMPTY_PATH, &read_only, sizeof read_only) < 0)
        return refuse(maker, "can't lock the view's root");
    return 0;
}

static int make(struct maker *maker, int *descriptors)
{
    const char *what;
    if (mounting_enter(&what) < 0)
        return refuse(maker, what);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return refuse(maker, "mounting is refused");
    if (make_top(maker) < 0)
        return -1;
    maker->strangers = geteuid() == 0; /* launch/walls.c: then they have changed it */
    show_all(maker);
    if (!maker->made->count) {
        if (!maker->made->why[0])
            snprintf(maker->made->why, sizeof maker->made->why, "no mount can be shown as it is");
        return -1;
    }
    return detach(maker, descriptors);
}

void view_make(struct mount_table *table, int end)
{
    static struct view_made made;
    static struct maker maker; /* not by an initializer: its table would lie in the file */
    maker.made = &made;
    int descriptors[1 + VIEW_MOUNTS_MAX];
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    maker.table = table;
    const struct iovec part = {&made, sizeof made};
    if (make(&maker, descriptors) < 0)
        made.count = 0;
    send_rights(end, &part, 1, descriptors, made.count ? 1 + made.count : 0, RIGHTS_PATIENCE);
}
