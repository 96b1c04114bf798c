/* SPDX-License-Identifier: MIT */
/* ext2, ext3 and ext4, by libext2fs; in the helper.  A node is an inode's number. */
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "loader/images/images.h"

#define INODE_ROOM 1024 /* the largest inode that is read whole */

static ext2_filsys image;
static int image_file;
static uint64_t image_offset;

/* ---- The library's way to blocks: a descriptor, for no name can be opened here ----------------------------------- */

static errcode_t channel_open(const char *name, int flags, io_channel *out)
{
    extern struct struct_io_manager ext4_channels;
    io_channel channel = calloc(1, sizeof *channel);
    (void)flags;
    if (!channel)
        return EXT2_ET_NO_MEMORY;
    *channel = (struct struct_io_channel){.magic = EXT2_ET_MAGIC_IO_CHANNEL, .manager = &ext4_channels, .block_size = 1024, .refcount = 1};
    channel->name = strdup(name);
    *out = channel;
    return 0;
}

static errcode_t channel_close(io_channel channel)
{
    if (--channel->refcount > 0)
        return 0;
    free(channel->name);
    free(channel);
    return 0;
}

static errcode_t channel_set_size(io_channel channel, int size)
{
    channel->block_size = size;
    return 0;
}

/* count: of blocks, or (negative) of bytes. */
static errcode_t channel_read64(io_channel channel, unsigned long long block, int count, void *data)
{
    uint64_t size = count < 0 ? (uint64_t)-(int64_t)count : (uint64_t)count * (uint64_t)channel->block_size, at, done = 0;
    if (__builtin_mul_overflow(block, (uint64_t)channel->block_size, &at) || __builtin_add_overflow(at, image_offset, &at) ||
        at + size > INT64_MAX)
        return EXT2_ET_SHORT_READ;
    while (done < size) {
        ssize_t got = pread(image_file, (char *)data + done, size - done, (off_t)(at + done));
        if (got <= 0)
            return EXT2_ET_SHORT_READ;
        done += (uint64_t)got;
    }
    return 0;
}

static errcode_t channel_read(io_channel channel, unsigned long block, int count, void *data)
{
    return channel_read64(channel, block, count, data);
}

static errcode_t channel_write64(io_channel channel, unsigned long long block, int count, const void *data)
{
    (void)channel, (void)block, (void)count, (void)data;
    return EXT2_ET_RO_FILSYS;
}

static errcode_t channel_write(io_channel channel, unsigned long block, int count, const void *data)
{
    return channel_write64(channel, block, count, data);
}

static errcode_t channel_flush(io_channel channel)
{
    (void)channel;
    return 0;
}

struct struct_io_manager ext4_channels = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER, .name = "descriptor", .open = channel_open, .close = channel_close,
    .set_blksize = channel_set_size, .read_blk = channel_read, .write_blk = channel_write, .flush = channel_flush,
    .read_blk64 = channel_read64, .write_blk64 = channel_write64,
};

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

static int error_of(errcode_t error)
{
    switch (error) {
    case 0: return 0;
    case EXT2_ET_NO_MEMORY: return -ENOMEM;
    case EXT2_ET_BAD_MAGIC:
    case EXT2_ET_SHORT_READ: return -EIO;
    case EXT2_ET_UNSUPP_FEATURE:
    case EXT2_ET_RO_UNSUPP_FEATURE:
    case EXT2_ET_REV_TOO_HIGH: return -EOPNOTSUPP;
    default: return error > 0 && error < 4096 ? -(int)error : -EUCLEAN;
    }
}

static int open_ext4(int file, uint64_t offset)
{
    uint16_t magic = 0;
    image_file = file;
    image_offset = offset;
    if (pread(file, &magic, sizeof magic, (off_t)offset + 1024 + 0x38) != sizeof magic || magic != EXT2_SUPER_MAGIC)
        return -EMEDIUMTYPE;
    int error = error_of(ext2fs_open2("image", NULL, EXT2_FLAG_64BITS, 0, 0, &ext4_channels, &image));
    if (error)
        return error;
    if (ext2fs_has_feature_journal_needs_recovery(image->super))
        return -ESTALE;
    return 0;
}

static void info(char *text, size_t room)
{
    const struct ext2_super_block *super = image->super;
    snprintf(text, room, "type: %s\nlabel: %.16s\nsize: %llu\nblock size: %u\nfree: %llu\ninodes: %u\nfree inodes: %u\n",
             ext2fs_has_feature_extents(image->super) ? "ext4" : ext2fs_has_feature_journal(image->super) ? "ext3" : "ext2",
             (const char *)super->s_volume_name, (unsigned long long)ext2fs_blocks_count(image->super) * image->blocksize, image->blocksize,
             (unsigned long long)ext2fs_free_blocks_count(image->super) * image->blocksize, super->s_inodes_count,
             super->s_free_inodes_count);
}

/* ---- Inodes ------------------------------------------------------------------------------------------------------ */

union inode {
    struct ext2_inode_large large;
    struct ext2_inode plain;
    char bytes[INODE_ROOM];
};

static int find(uint64_t node, ext2_ino_t *number, union inode *out)
{
    int size = EXT2_INODE_SIZE(image->super);
    if (node > UINT32_MAX)
        return -EINVAL;
    *number = node == IMAGE_ROOT ? EXT2_ROOT_INO : (ext2_ino_t)node;
    memset(out, 0, sizeof *out);
    return error_of(ext2fs_read_inode_full(image, *number, &out->plain, size < INODE_ROOM ? size : INODE_ROOM));
}

/* Seconds have two bits more where the inode is large. */
static int64_t time_of(const union inode *inode)
{
    int64_t seconds = (int32_t)inode->plain.i_mtime;
    bool extra = EXT2_INODE_SIZE(image->super) > EXT2_GOOD_OLD_INODE_SIZE && inode->large.i_extra_isize >= 8;
    if (!extra)
        return seconds * 1000000000;
    seconds += (int64_t)(inode->large.i_mtime_extra & 3) << 32;
    return seconds * 1000000000 + (inode->large.i_mtime_extra >> 2) % 1000000000;
}

static int read_target(ext2_ino_t number, union inode *inode, char target[IMAGE_TARGET_MAX + 1])
{
    uint64_t size = EXT2_I_SIZE(&inode->plain);
    unsigned got = 0;
    ext2_file_t file;
    if (!size || size > IMAGE_TARGET_MAX)
        return -EUCLEAN;
    if (ext2fs_is_fast_symlink(&inode->plain)) {
        if (size > sizeof inode->plain.i_block)
            return -EUCLEAN;
        memcpy(target, inode->plain.i_block, size);
        return 0;
    }
    int error = error_of(ext2fs_file_open2(image, number, &inode->plain, 0, &file));
    if (error)
        return error;
    error = error_of(ext2fs_file_read(file, target, (unsigned)size, &got));
    ext2fs_file_close(file);
    return error ? error : got == size ? 0 : -EIO;
}

static int describe(ext2_ino_t number, union inode *inode, struct image_entry *entry, char target[IMAGE_TARGET_MAX + 1])
{
    const struct ext2_inode *plain = &inode->plain;
    entry->inode = number;
    entry->mtime = time_of(inode);
    entry->mode = plain->i_mode;
    entry->uid = inode_uid(*plain);
    entry->gid = inode_gid(*plain);
    entry->links = plain->i_links_count;
    entry->size = EXT2_I_SIZE(plain);
    if (plain->i_flags & EXT4_ENCRYPT_FL)
        return -EOPNOTSUPP;
    if (LINUX_S_ISCHR(plain->i_mode) || LINUX_S_ISBLK(plain->i_mode)) {
        uint32_t old = plain->i_block[0], wide = plain->i_block[1];
        entry->rdevice = old ? (uint32_t)makedev(old >> 8 & 255, old & 255)
                             : (uint32_t)makedev(wide >> 8 & 4095, (wide & 255) | (wide >> 12 & 0xfff00));
        entry->size = 0;
    }
    if (!LINUX_S_ISLNK(plain->i_mode))
        return 0;
    int error = read_target(number, inode, target);
    entry->target_size = error ? 0 : (uint16_t)strnlen(target, entry->size);
    return error ? error : entry->target_size == entry->size ? 0 : -EUCLEAN;
}

static int look(uint64_t node, image_tell *tell, void *to)
{
    union inode inode;
    struct image_entry entry = {.node = node};
    char target[IMAGE_TARGET_MAX + 1] = "";
    ext2_ino_t number;
    int error = find(node, &number, &inode);
    if (!error)
        error = describe(number, &inode, &entry, target);
    return error ? error : tell(to, &entry, "", target);
}

struct listing {
    image_tell *tell;
    void *to;
    int error;
};

static int list_one(ext2_ino_t directory, int kind, struct ext2_dir_entry *found, int offset, int block_size, char *block, void *argument)
{
    struct listing *listing = argument;
    union inode inode;
    char target[IMAGE_TARGET_MAX + 1] = "";
    size_t size = (size_t)ext2fs_dirent_name_len(found);
    struct image_entry entry = {.node = found->inode, .name_size = (uint16_t)size};
    ext2_ino_t number;
    (void)directory, (void)offset, (void)block_size, (void)block;
    bool self = kind == DIRENT_DOT_FILE || kind == DIRENT_DOT_DOT_FILE ||
                (found->name[0] == '.' && (size == 1 || (size == 2 && found->name[1] == '.')));
    if (self || !found->inode)
        return 0;
    listing->error = find(found->inode, &number, &inode);
    if (!listing->error)
        listing->error = describe(number, &inode, &entry, target);
    if (!listing->error)
        listing->error = listing->tell(listing->to, &entry, found->name, target);
    return listing->error ? DIRENT_ABORT : 0;
}

static int list(uint64_t node, image_tell *tell, void *to)
{
    union inode inode;
    struct listing listing = {tell, to, 0};
    ext2_ino_t number;
    int error = find(node, &number, &inode);
    if (!error && !LINUX_S_ISDIR(inode.plain.i_mode))
        error = -ENOTDIR;
    if (error)
        return error;
    error = error_of(ext2fs_dir_iterate2(image, number, 0, NULL, list_one, &listing));
    return listing.error ? listing.error : error;
}

static int read_all(uint64_t node, int (*more)(void *to, const void *bytes, size_t size), void *to)
{
    static char bytes[IMAGE_PACKET];
    union inode inode;
    ext2_file_t file;
    ext2_ino_t number;
    int error = find(node, &number, &inode);
    if (!error && !LINUX_S_ISREG(inode.plain.i_mode))
        error = -EINVAL;
    if (error || (error = error_of(ext2fs_file_open2(image, number, &inode.plain, 0, &file))))
        return error;
    uint64_t size = EXT2_I_SIZE(&inode.plain);
    for (uint64_t at = 0; !error && at < size;) {
        unsigned got = 0;
        error = error_of(ext2fs_file_read(file, bytes, sizeof bytes, &got));
        got = got < size - at ? got : (unsigned)(size - at); /* of a file in its inode all that there is room for */
        if (!error && !got)
            error = -EIO;
        if (!error)
            error = more(to, bytes, got);
        at += got;
    }
    ext2fs_file_close(file);
    return error;
}

const struct image_reader image_ext4 = {.open = open_ext4, .info = info, .look = look, .list = list, .read = read_all};
