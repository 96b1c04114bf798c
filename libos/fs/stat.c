/* SPDX-License-Identifier: MIT */
/*
 * What a file is: stat(2), statx(2), access(2), statfs(2), readlink(2).
 *
 * name_attributes is the only way to ask for the attributes of a name.  Devices, inodes and times are the host's, so
 * that listings look the same inside and outside.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

static int64_t attributes_step(const struct filesystem *fs, struct name *name, void *out,
                               struct pal_path_buffer *follow)
{
    return fs->attributes(name, out, follow);
}

/* The bits that guests gave the file: the host has none. */
static void show_set_id(struct pal_attributes *attributes)
{
    attributes->mode |= set_id_get(attributes->device, attributes->inode);
}

int64_t name_attributes(struct name *name, struct pal_attributes *out)
{
    struct pal_path_buffer follow;
    int64_t result = name_walk(name, attributes_step, out, &follow);
    if (UNLIKELY(set_ids_any()) && result == 0)
        show_set_id(out);
    return LIKELY(result == 0) && name->directory && out->type != PAL_TYPE_DIRECTORY ? -ENOTDIR : result;
}

int64_t file_attributes(struct file *file, struct pal_attributes *out)
{
    int64_t result = file->ops->attributes            ? file->ops->attributes(file, out)
                     : file->handle == PAL_NO_HANDLE ? -EBADF
                                                     : PAL->attributes_get(file->handle, NULL, out, NULL);
    if (UNLIKELY(set_ids_any()) && result == 0)
        show_set_id(out);
    return result;
}

/* As the *at calls with AT_EMPTY_PATH have it: of a name, or of the descriptor itself. */
static int64_t attributes_at(int directory, guest_t path, uint32_t flags, struct pal_attributes *out)
{
    NAME(name);
    int64_t result = name_from_guest(directory, path, flags, &name);
    if (result <= 0)
        return result < 0 ? result : name_attributes(&name, out);
    struct file *file = file_get(directory);
    if (!file)
        return -EBADF;
    result = file_attributes(file, out);
    file_put(file);
    return result;
}

/* ---- stat -------------------------------------------------------------------------------------------------------- */

/* Seconds and nanoseconds of a time that may lie before 1970. */
static struct linux_timespec split_time(int64_t ns)
{
    struct linux_timespec time = {.seconds = ns / 1000000000, .nanoseconds = ns % 1000000000};
    if (time.nanoseconds < 0) {
        time.seconds--;
        time.nanoseconds += 1000000000;
    }
    return time;
}

static int64_t stat_to_guest(const struct pal_attributes *from, guest_t to)
{
    struct linux_stat stat = {
        .dev = from->device, .ino = from->inode, .nlink = from->links, .mode = from->mode, .uid = from->uid,
        .gid = from->gid, .rdev = from->rdevice, .size = (int64_t)from->size, .blksize = from->block_size,
        .blocks = (int64_t)from->blocks, .atime = split_time(from->atime), .mtime = split_time(from->mtime),
        .ctime = split_time(from->ctime),
    };
    return copy_out(to, &stat, sizeof(stat));
}

static int64_t stat_at(int directory, guest_t path, uint32_t flags, guest_t to)
{
    struct pal_attributes attributes;
    int64_t result = attributes_at(directory, path, flags, &attributes);
    return result < 0 ? result : stat_to_guest(&attributes, to);
}

int64_t sys_stat(guest_t path, guest_t stat) { return stat_at(AT_FDCWD, path, 0, stat); }
int64_t sys_lstat(guest_t path, guest_t stat) { return stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, stat); }

int64_t sys_newfstatat(int32_t directory, guest_t path, guest_t stat, uint32_t flags)
{
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    return stat_at(directory, path, flags, stat);
}

int64_t sys_fstat(int32_t fd, guest_t stat)
{
    struct pal_attributes attributes;
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_attributes(file, &attributes);
    file_put(file);
    return result < 0 ? result : stat_to_guest(&attributes, stat);
}

static struct linux_statx_time statx_time(int64_t ns)
{
    struct linux_timespec time = split_time(ns);
    return (struct linux_statx_time){.seconds = time.seconds, .nanoseconds = (uint32_t)time.nanoseconds};
}

static uint32_t device_major(uint64_t device) { return (uint32_t)((device >> 8 & 0xfff) | (device >> 32 & ~0xfffull)); }
static uint32_t device_minor(uint64_t device) { return (uint32_t)((device & 0xff) | (device >> 12 & ~0xffull)); }

/* Where the descriptor's object lies, as a path. */
static int64_t place_of_descriptor(int fd, struct name *name)
{
    struct pal_path_buffer place;
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_place(file, &place);
    file_put(file);
    return result < 0 ? result : name_from_path(place.bytes, true, name);
}

/* As mountinfo has it; 0: it is on none. */
static uint64_t mount_id(int directory, guest_t path, uint32_t flags)
{
    NAME(name);
    int64_t result = name_from_guest(directory, path, flags, &name);
    bool placed = result > 0 ? place_of_descriptor(directory, &name) >= 0 : result == 0;
    if (!placed || name_canonical(&name) < 0)
        return 0;
    const struct mount *mount = mount_of(name.path.bytes);
    return mount ? MOUNT_ID_FIRST + mount_number(mount) : MOUNT_ID_ROOT;
}

int64_t sys_statx(int32_t directory, guest_t path, uint32_t flags, uint32_t mask, guest_t stat)
{
    struct pal_attributes from;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || mask & STATX_RESERVED)
        return -EINVAL;
    int64_t result = attributes_at(directory, path, flags, &from);
    if (result < 0)
        return result;
    struct linux_statx to = {
        .mask = STATX_BASIC_STATS | (from.btime ? STATX_BTIME : 0), .blksize = from.block_size, .nlink = from.links,
        .uid = from.uid, .gid = from.gid, .mode = (uint16_t)from.mode, .ino = from.inode, .size = from.size,
        .blocks = from.blocks, .atime = statx_time(from.atime), .ctime = statx_time(from.ctime),
        .mtime = statx_time(from.mtime), .rdev_major = device_major(from.rdevice),
        .rdev_minor = device_minor(from.rdevice), .dev_major = device_major(from.device),
        .dev_minor = device_minor(from.device),
    };
    if (from.btime)
        to.btime = statx_time(from.btime);
    if (mask & STATX_MNT_ID && (to.mount_id = mount_id(directory, path, flags)))
        to.mask |= STATX_MNT_ID;
    return copy_out(stat, &to, sizeof(to));
}

/* ---- access ------------------------------------------------------------------------------------------------------ */

int64_t attributes_allow(const struct pal_attributes *attributes, uint32_t mode, uint32_t uid, uint32_t gid)
{
    uint32_t bits = attributes->mode;
    if (uid == 0) /* CAP_DAC_OVERRIDE: all, but execution of what nobody may execute */
        return mode & X_OK && attributes->type != PAL_TYPE_DIRECTORY && !(bits & 0111) ? -EACCES : 0;
    if (attributes->uid == uid)
        bits >>= 6;
    else if (gid == attributes->gid || process_in_group(current_process(), attributes->gid))
        bits >>= 3;
    return mode & ~bits & 7 ? -EACCES : 0;
}

/* Is the object on a mount that can't be written?  What isn't a file or directory can be written to all the same. */
static bool read_only(int directory, guest_t path, uint32_t flags, const struct pal_attributes *attributes)
{
    NAME(name);
    if (attributes->type != PAL_TYPE_FILE && attributes->type != PAL_TYPE_DIRECTORY)
        return false;
    int64_t result = name_from_guest(directory, path, flags, &name);
    if (result < 0 || (result > 0 ? place_of_descriptor(directory, &name) < 0 : name_canonical(&name) < 0))
        return false;
    const struct mount *mount = mount_of(name.path.bytes);
    return !mount || mount->flags & MOUNT_READ_ONLY;
}

/* Directories on the way are searched with the real ids, too.  (While other threads might open files by them, they are not.) */
static int64_t attributes_by_real_ids(int directory, guest_t path, uint32_t flags, struct pal_attributes *out)
{
    struct process *self = current_process();
    const uint32_t uid = self->fsuid, gid = self->fsgid;
    bool other = UNLIKELY(uid != self->uid || gid != self->gid) && self->thread_count == 1 && !(self->vforks & ~VFORKS_TRACED);
    if (other) {
        self->fsuid = self->uid;
        self->fsgid = self->gid;
    }
    int64_t result = attributes_at(directory, path, flags, out);
    if (other) {
        self->fsuid = uid;
        self->fsgid = gid;
    }
    return result;
}

static int64_t access_at(int directory, guest_t path, uint32_t mode, uint32_t flags)
{
    const struct process *process = current_process();
    struct pal_attributes attributes;
    bool effective = flags & AT_EACCESS;
    if (mode & ~(R_OK | W_OK | X_OK) || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int64_t result = effective ? attributes_at(directory, path, flags, &attributes)
                               : attributes_by_real_ids(directory, path, flags, &attributes);
    if (result < 0 || mode == F_OK)
        return result;
    result = attributes_allow(&attributes, mode, effective ? process->fsuid : process->uid,
                              effective ? process->fsgid : process->gid);
    if (mode & W_OK && read_only(directory, path, flags, &attributes))
        return -EROFS;
    return result;
}

int64_t sys_access(guest_t path, uint32_t mode) { return access_at(AT_FDCWD, path, mode, 0); }
int64_t sys_faccessat(int32_t directory, guest_t path, uint32_t mode) { return access_at(directory, path, mode, 0); }

int64_t sys_faccessat2(int32_t directory, guest_t path, uint32_t mode, uint32_t flags)
{
    return access_at(directory, path, mode, flags);
}

/* ---- statfs ------------------------------------------------------------------------------------------------------ */

#define FREE_BLOCKS (1u << 28)
#define MEMFD_PREFIX "/memfd:" /* memfd_create(2) */

/* A tmpfs is the sandbox's own, so its size and room are told. */
static int64_t tell_space(const struct mount *mount, struct linux_statfs *out)
{
    struct pal_space space = {.mount = mount_number(mount)};
    int64_t error = PAL->stream_control(PAL_NO_HANDLE, PAL_CTL_SPACE, &space, sizeof space);
    if (error < 0)
        return error;
    out->type = TMPFS_MAGIC;
    out->bsize = out->frsize = space.block_size;
    out->blocks = space.blocks;
    out->bfree = out->bavail = space.free;
    out->files = space.names;
    out->ffree = space.free_names;
    return 0;
}

/* What the sandbox tells of a file system: sizes are not the host's, which no guest needs to know. */
static int64_t statfs_to_guest(const char *path, const struct pal_attributes *attributes, guest_t to)
{
    struct linux_statfs statfs = {
        .type = ANON_INODE_FS_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = 255, .flags = ST_VALID | ST_NOATIME,
        .blocks = 2 * FREE_BLOCKS, .bfree = FREE_BLOCKS, .bavail = FREE_BLOCKS, .files = FREE_BLOCKS,
        .ffree = FREE_BLOCKS,
        .fsid = {(int32_t)attributes->device, (int32_t)(attributes->device >> 32)},
    };
    const struct mount *mount = path ? mount_of(path) : NULL;
    bool of_memory = path && !strncmp(path, MEMFD_PREFIX, sizeof MEMFD_PREFIX - 1);
    if (path && !of_memory)
        statfs.type = (int64_t)(mount ? mount->fs : &hostfs)->magic;
    else if (attributes->type == PAL_TYPE_FIFO)
        statfs.type = PIPEFS_MAGIC;
    else if (attributes->type == PAL_TYPE_SOCKET)
        statfs.type = SOCKFS_MAGIC;
    else if (attributes->type == PAL_TYPE_FILE || attributes->type == PAL_TYPE_DIRECTORY)
        statfs.type = of_memory ? TMPFS_MAGIC : (int64_t)hostfs.magic; /* no name: of O_TMPFILE, or begun at an object */
    if (path && (!mount || mount->flags & MOUNT_READ_ONLY))
        statfs.flags |= ST_RDONLY;
    if (mount && mount->flags & MOUNT_SCRATCH) /* as /proc/mounts tells */
        statfs.type = TMPFS_MAGIC;
    else if (statfs.type != EXT4_SUPER_MAGIC)
        statfs.blocks = statfs.bfree = statfs.bavail = statfs.files = statfs.ffree = 0;
    if (mount && mount->flags & MOUNT_MEMORY) {
        int64_t error = tell_space(mount, &statfs);
        if (error < 0)
            return error;
    }
    return copy_out(to, &statfs, sizeof(statfs));
}

int64_t sys_statfs(guest_t path, guest_t buffer)
{
    NAME(name);
    struct pal_attributes attributes;
    int64_t result = name_from_guest(AT_FDCWD, path, 0, &name);
    if (result == 0)
        result = name_attributes(&name, &attributes);
    if (result != 0)
        return result;
    result = name_canonical(&name);
    return result < 0 ? result : statfs_to_guest(name.path.bytes, &attributes, buffer);
}

int64_t sys_fstatfs(int32_t fd, guest_t buffer)
{
    struct pal_attributes attributes;
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_attributes(file, &attributes);
    if (result == 0)
        result = statfs_to_guest(file->path, &attributes, buffer);
    file_put(file);
    return result;
}

/* ustat(2): of a mounted device, by its number. */
int64_t sys_ustat(uint32_t device, guest_t buffer)
{
    struct { int32_t free_blocks, pad; uint64_t free_inodes; char name[6], pack[6], pad2[4]; } out = {0};
    struct pal_attributes attributes;
    const struct mount *mount;
    for (uint32_t n = 0; (mount = mount_at(n)); n++) {
        struct name name;
        if (name_from_path(mount->at, false, &name) < 0 || name_attributes(&name, &attributes) < 0 ||
            (uint32_t)attributes.device != device)
            continue;
        out.free_blocks = FREE_BLOCKS;
        out.free_inodes = FREE_BLOCKS;
        return copy_out(buffer, &out, sizeof out);
    }
    return -EINVAL;
}

/* ---- readlink ---------------------------------------------------------------------------------------------------- */

static int64_t readlink_step(const struct filesystem *fs, struct name *name, void *argument,
                             struct pal_path_buffer *follow)
{
    (void)argument;
    return fs->readlink(name, follow);
}

int64_t name_contents(struct name *name, struct pal_path_buffer *out)
{
    struct pal_attributes attributes;
    if (name->directory) { /* "link/" is what it leads to */
        int64_t result = name_attributes(name, &attributes);
        return result < 0 ? result : -EINVAL;
    }
    name->nofollow = true;
    return name_walk(name, readlink_step, NULL, out);
}

/* A descriptor opened by O_PATH | O_NOFOLLOW may be a symlink itself. */
static int64_t name_of_link(int fd, struct name *name)
{
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    int64_t result = file->flags & O_PATH && file->type == PAL_TYPE_SYMLINK ? 0 : -ENOENT;
    if (result == 0 && !name_from_file(file, true, name))
        result = file->path ? name_from_path(file->path, true, name) : -ENOENT;
    file_put(file);
    return result;
}

int64_t sys_readlinkat(int32_t directory, guest_t path, guest_t buffer, uint64_t size)
{
    NAME(name);
    struct pal_path_buffer contents;
    if ((int32_t)size <= 0)
        return -EINVAL;
    int64_t result = name_from_guest(directory, path, AT_SYMLINK_NOFOLLOW | (directory == AT_FDCWD ? 0 : AT_EMPTY_PATH),
                                     &name);
    if (result > 0)
        result = name_of_link(directory, &name);
    if (result != 0)
        return result;
    result = name_contents(&name, &contents);
    if (result < 0)
        return result;
    uint64_t length = MIN(size, contents.size);
    return copy_out(buffer, contents.bytes, length) < 0 ? -EFAULT : (int64_t)length;
}

int64_t sys_readlink(guest_t path, guest_t buffer, uint64_t size)
{
    return sys_readlinkat(AT_FDCWD, path, buffer, size);
}
