/* SPDX-License-Identifier: MIT */
/* squashfs, by libsquashfuse; in the helper.  A node is the place of an inode in the inode table. */
#include <errno.h>
#include <squashfuse/squashfuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "loader/images/images.h"

static struct sqfs image;

/* LZO's library has a licence that pal-run can't be linked under; images packed by it are refused. */
int lzo1x_decompress_safe(const unsigned char *from, unsigned long size, unsigned char *to, unsigned long *room, void *memory);
int lzo1x_decompress_safe(const unsigned char *from, unsigned long size, unsigned char *to, unsigned long *room, void *memory)
{
    (void)from, (void)size, (void)to, (void)room, (void)memory;
    return -1;
}

static int open_squashfs(int file, uint64_t offset)
{
    enum { LZO = 3 };
    switch (sqfs_init(&image, file, offset)) {
    case SQFS_OK: return sqfs_compression(&image) == LZO ? -EOPNOTSUPP : 0;
    case SQFS_BADFORMAT: return -EMEDIUMTYPE;
    case SQFS_BADVERSION:
    case SQFS_BADCOMP:
    case SQFS_UNSUP: return -EOPNOTSUPP;
    default: return -EMEDIUMTYPE; /* too short, too */
    }
}

static void info(char *text, size_t room)
{
    static const char *const names[] = {"none", "gzip", "lzma", "lzo", "xz", "lz4", "zstd"};
    unsigned packed = (unsigned)sqfs_compression(&image);
    snprintf(text, room, "type: squashfs\ncompression: %s\nsize: %llu\nblock size: %u\ninodes: %u\n",
             packed < sizeof names / sizeof *names ? names[packed] : "unknown", (unsigned long long)image.sb.bytes_used,
             image.sb.block_size, image.sb.inodes);
}

static int find(uint64_t node, struct sqfs_inode *out)
{
    return sqfs_inode_get(&image, out, node == IMAGE_ROOT ? sqfs_inode_root(&image) : node - 1) == SQFS_OK ? 0 : -EIO;
}

static int describe(struct sqfs_inode *inode, struct image_entry *entry, char target[IMAGE_TARGET_MAX + 1])
{
    sqfs_id_t uid, gid;
    size_t size = IMAGE_TARGET_MAX + 1;
    if (sqfs_id_get(&image, inode->base.uid, &uid) != SQFS_OK || sqfs_id_get(&image, inode->base.guid, &gid) != SQFS_OK)
        return -EIO;
    entry->inode = inode->base.inode_number;
    entry->mtime = inode->base.mtime * 1000000000ll;
    entry->mode = (uint32_t)sqfs_mode(inode->base.inode_type) | (inode->base.mode & 07777);
    entry->uid = uid;
    entry->gid = gid;
    entry->links = (uint32_t)inode->nlink;
    target[0] = 0;
    if (S_ISREG(entry->mode))
        entry->size = inode->xtra.reg.file_size;
    else if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode))
        entry->rdevice = (uint32_t)makedev((unsigned)inode->xtra.dev.major, (unsigned)inode->xtra.dev.minor);
    if (!S_ISLNK(entry->mode))
        return 0;
    if (inode->xtra.symlink_size > IMAGE_TARGET_MAX)
        return -EUCLEAN;
    if (sqfs_readlink(&image, inode, target, &size) != SQFS_OK)
        return -EIO;
    entry->size = inode->xtra.symlink_size;
    entry->target_size = (uint16_t)strlen(target);
    return 0;
}

static int look(uint64_t node, image_tell *tell, void *to)
{
    struct sqfs_inode inode;
    struct image_entry entry = {.node = node};
    char target[IMAGE_TARGET_MAX + 1];
    int error = find(node, &inode);
    if (!error)
        error = describe(&inode, &entry, target);
    return error ? error : tell(to, &entry, "", target);
}

static int list(uint64_t node, image_tell *tell, void *to)
{
    struct sqfs_inode inode, child;
    sqfs_dir directory;
    sqfs_dir_entry next;
    sqfs_name name;
    sqfs_err failed = SQFS_OK;
    char target[IMAGE_TARGET_MAX + 1];
    int error = find(node, &inode);
    if (error)
        return error;
    if (!S_ISDIR(sqfs_mode(inode.base.inode_type)))
        return -ENOTDIR;
    if (sqfs_dir_open(&image, &inode, &directory, 0) != SQFS_OK)
        return -EIO;
    sqfs_dentry_init(&next, name);
    while (!error && sqfs_dir_next(&image, &directory, &next, &failed)) {
        uint64_t place = sqfs_dentry_inode(&next) + 1; /* 0 is a place, too */
        struct image_entry entry = {.node = place, .name_size = (uint16_t)sqfs_dentry_name_size(&next)};
        error = find(place, &child);
        if (!error)
            error = describe(&child, &entry, target);
        if (!error)
            error = tell(to, &entry, name, target);
    }
    return error ? error : failed == SQFS_OK ? 0 : -EIO;
}

static int read_all(uint64_t node, int (*more)(void *to, const void *bytes, size_t size), void *to)
{
    static char bytes[IMAGE_PACKET];
    struct sqfs_inode inode;
    int error = find(node, &inode);
    if (!error && !S_ISREG(sqfs_mode(inode.base.inode_type)))
        error = -EINVAL;
    for (uint64_t at = 0; !error && at < inode.xtra.reg.file_size;) {
        sqfs_off_t size = sizeof bytes;
        if (sqfs_read_range(&image, &inode, (sqfs_off_t)at, &size, bytes) != SQFS_OK || size <= 0)
            return -EIO;
        error = more(to, bytes, (size_t)size);
        at += (uint64_t)size;
    }
    return error;
}

const struct image_reader image_squashfs = {.open = open_squashfs, .info = info, .look = look, .list = list, .read = read_all};
