/* SPDX-License-Identifier: MIT */
/*
 * Directories that no mount serves but that lie above mounts, "/" mostly: their entries are the next components of the
 * mounts beneath.  They can't be changed.
 */
#include "libos/pseudofs/pseudofs.h"

/* The n-th path that may have a component beneath a directory, or NULL. */
static const char *candidate(uint32_t n)
{
    const struct mount *mount = mount_at(n);
    return mount ? mount->at : NULL;
}

/* The component of `path` right beneath `directory`: its size, 0 if it isn't beneath. */
static uint32_t component(const char *path, const char *directory, const char **out)
{
    size_t size = strlen(directory);
    size = size == 1 ? 0 : size; /* "/" */
    if (strncmp(path, directory, size) != 0 || path[size] != '/' || path[size + 1] == 0)
        return 0;
    const char *end = strchr(path + size + 1, '/');
    *out = path + size + 1;
    return (uint32_t)(end ? (size_t)(end - *out) : strlen(*out));
}

/* Does candidate n give a new entry, or one that an earlier candidate gave? */
static uint32_t entry(uint32_t n, const char *directory, const char **name)
{
    uint32_t size = component(candidate(n), directory, name);
    for (uint32_t i = 0; size && i < n; i++) {
        const char *other;
        if (component(candidate(i), directory, &other) == size && memcmp(other, *name, size) == 0)
            return 0;
    }
    return size;
}

static uint8_t entry_attributes(const char *directory, const char *name, uint32_t size, uint64_t *inode)
{
    static const uint8_t types[] = {
        [PAL_TYPE_FILE] = DT_REG, [PAL_TYPE_DIRECTORY] = DT_DIR, [PAL_TYPE_SYMLINK] = DT_LNK,
        [PAL_TYPE_CHARACTER] = DT_CHR, [PAL_TYPE_BLOCK] = DT_BLK, [PAL_TYPE_FIFO] = DT_FIFO,
        [PAL_TYPE_SOCKET] = DT_SOCK,
    };
    struct pal_attributes attributes;
    struct name path;
    if (name_from_path(directory, true, &path) < 0 || path.path.size + size + 2 >= PAL_PATH_MAX)
        return DT_UNKNOWN;
    char *end = path.path.bytes + path.path.size;
    if (path.path.size > 1)
        *end++ = '/';
    memcpy(end, name, size);
    path.path.size = (uint32_t)(end - path.path.bytes) + size;
    path.path.bytes[path.path.size] = 0;
    path.directory = false;
    path.nofollow = true;
    if (name_attributes(&path, &attributes) < 0)
        return DT_UNKNOWN;
    *inode = attributes.inode;
    return attributes.type < COUNT_OF(types) ? types[attributes.type] : DT_UNKNOWN;
}

/* Positions: 0 and 1 are "." and "..", then the candidates. */
static uint32_t entry_at(struct file *file, int64_t position, const char **name)
{
    *name = "..";
    return position < 2 ? (uint32_t)position + 1 : entry((uint32_t)position - 2, file->path, name);
}

static int64_t rootdir_list(struct file *file, guest_t buffer, uint64_t room)
{
    int64_t done = 0;
    union { struct linux_dirent64 head; char bytes[288]; } record;
    mutex_lock(&file->lock);
    int64_t position = file->offset;
    mutex_unlock(&file->lock);
    for (; position < 2 || candidate((uint32_t)position - 2); position++) {
        const char *name;
        uint32_t size = entry_at(file, position, &name);
        if (size == 0 || size > 255)
            continue;
        size_t length = offsetof(struct linux_dirent64, name) + size + 1, padded = (length + 7) & ~7ull;
        if ((uint64_t)done + padded > room) {
            if (done == 0)
                return -EINVAL;
            break;
        }
        memset(&record, 0, padded);
        record.head = (struct linux_dirent64){.ino = 1, .off = position + 1, .reclen = (uint16_t)padded};
        record.head.type = position < 2 ? DT_DIR : entry_attributes(file->path, name, size, &record.head.ino);
        memcpy(record.bytes + offsetof(struct linux_dirent64, name), name, size);
        if (copy_out(buffer + (uint64_t)done, &record, padded) < 0)
            return -EFAULT;
        done += (int64_t)padded;
    }
    mutex_lock(&file->lock);
    file->offset = position;
    mutex_unlock(&file->lock);
    return done;
}

static int64_t rootdir_seek(struct file *file, int64_t offset, int whence)
{
    mutex_lock(&file->lock);
    int64_t result = whence == SEEK_SET ? offset : whence == SEEK_CUR ? file->offset + offset : -EINVAL;
    if (result < 0)
        result = -EINVAL;
    else
        file->offset = result;
    mutex_unlock(&file->lock);
    return result;
}

static int64_t rootdir_attributes(struct file *file, struct pal_attributes *out)
{
    struct name name;
    int64_t result = name_from_path(file->path, true, &name);
    return result < 0 ? result : name_attributes(&name, out);
}

static const struct file_ops rootdir_ops = {
    .kind = "file", .seek = rootdir_seek, .list = rootdir_list, .attributes = rootdir_attributes,
};

static int64_t synthetic_open(struct name *name, const struct opening *how, struct file **out,
                              struct pal_path_buffer *follow)
{
    uint32_t flags = how->flags;
    (void)follow;
    if (flags & O_CREAT)
        return flags & O_EXCL ? -EEXIST : -EISDIR;
    if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
        return -EISDIR;
    int64_t result = name_canonical(name); /* symlinks may have led here */
    if (result == 0)
        result = host_file_new(PAL_NO_HANDLE, (flags & (O_PATH | O_DIRECTORY)) | O_LARGEFILE, PAL_TYPE_DIRECTORY,
                               name->path.bytes, out);
    if (result == 0 && !(flags & O_PATH))
        file_ops_set(*out, &rootdir_ops);
    return result;
}

static int64_t synthetic_attributes(struct name *name, struct pal_attributes *out, struct pal_path_buffer *follow)
{
    return hostfs.attributes(name, out, follow);
}

static int64_t synthetic_readlink(struct name *name, struct pal_path_buffer *out)
{
    (void)name, (void)out;
    return -EINVAL;
}

static int64_t synthetic_change(uint32_t op, struct name *name, const struct pal_name *other, uint32_t mode,
                                struct pal_path_buffer *follow)
{
    struct pal_attributes attributes;
    (void)other, (void)mode, (void)follow;
    name->nofollow = true;
    int64_t found = name_attributes(name, &attributes);
    if (op == PAL_MKDIR || op == PAL_SYMLINK || op == PAL_MKFIFO || op == PAL_MKSOCKET)
        return found == 0 ? -EEXIST : found == -ENOENT ? -EROFS : found;
    return found < 0 ? found : op == PAL_UNLINK ? -EISDIR : -EBUSY;
}

static int64_t synthetic_set(struct name *name, const struct pal_attributes *values, uint32_t mask,
                             struct pal_path_buffer *follow)
{
    (void)name, (void)values, (void)mask, (void)follow;
    return -EROFS;
}

const struct filesystem synthetic = {
    .type = "tmpfs", .source = "none", .magic = TMPFS_MAGIC, .attributes = synthetic_attributes,
    .open = synthetic_open, .readlink = synthetic_readlink, .canonical = synthetic_readlink,
    .change = synthetic_change, .set = synthetic_set,
};
