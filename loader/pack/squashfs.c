/* SPDX-License-Identifier: MIT */
/*
 * A tree as squashfs, by libsquashfs.  Of the host's files all belongs to user and group 0 and has the time that is given; names are sorted
 * and numbers are counted in that order: so the same tree gives the same bytes.
 *
 * Blocks are packed by xz, with its filter for x86 code where there is some.  The library's own xz brings all its other
 * compressors along, which would be in every bundle.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/compressor.h>
#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/io.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "loader/pack/pack.h"

#define BLOCK (1u << 20)
#define QUICK_BLOCK (128u << 10)
#define QUICK_LEVEL 1
#define NO_XATTR 0xffffffffu
#define WORKERS 2 /* how many does not show in what is written */

static void must(int result, const char *what)
{
    if (result)
        fail(EXIT_OWN_FAILURE, "pack: %s: %s", what, result == SQFS_ERROR_IO && errno ? strerror(errno) : "squashfs can't be written");
}

static void *made(void *object)
{
    if (!object)
        fail(EXIT_OWN_FAILURE, "pack: no memory for squashfs");
    return object;
}

/* ---- A part of a file, as the library sees files ----------------------------------------------------------------- */

struct part {
    sqfs_file_t base;
    int fd;
    uint64_t offset, size;
};

static int part_read(sqfs_file_t *file, sqfs_u64 at, void *bytes, size_t size)
{
    struct part *part = (struct part *)file;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(part->fd, (char *)bytes + done, size - done, (off_t)(part->offset + at + done));
        if (got <= 0)
            return got < 0 ? SQFS_ERROR_IO : SQFS_ERROR_OUT_OF_BOUNDS;
        done += (size_t)got;
    }
    return 0;
}

static int part_write(sqfs_file_t *file, sqfs_u64 at, const void *bytes, size_t size)
{
    struct part *part = (struct part *)file;
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(part->fd, (const char *)bytes + done, size - done, (off_t)(part->offset + at + done));
        if (wrote < 0)
            return SQFS_ERROR_IO;
        done += (size_t)wrote;
    }
    part->size = at + size > part->size ? at + size : part->size;
    return 0;
}

static sqfs_u64 part_size(const sqfs_file_t *file)
{
    return ((const struct part *)file)->size;
}

static int part_truncate(sqfs_file_t *file, sqfs_u64 size)
{
    struct part *part = (struct part *)file;
    part->size = size;
    return ftruncate(part->fd, (off_t)(part->offset + size)) < 0 ? SQFS_ERROR_IO : 0;
}

static void keep(sqfs_object_t *object)
{
    (void)object; /* it is its user's */
}

/* ---- xz and gzip ---------------------------------------------------------------------------------------------------- */

static size_t squeeze(const uint8_t *in, size_t size, uint8_t *out, size_t room, bool code)
{
    lzma_options_lzma options;
    size_t used = 0;
    lzma_lzma_preset(&options, 9);
    options.dict_size = BLOCK;
    lzma_filter filters[] = {{LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    lzma_ret result = lzma_stream_buffer_encode(filters + !code, LZMA_CHECK_CRC32, NULL, in, size, out, &used, room);
    return result == LZMA_OK ? used : 0;
}

/* Calls and jumps to what lies not far away: the filter makes their addresses alike. */
static bool is_code(const uint8_t *in, size_t size)
{
    size_t calls = 0;
    for (size_t i = 0; i + 4 < size; i++)
        calls += (in[i] & 0xfe) == 0xe8 && (in[i + 4] == 0 || in[i + 4] == 0xff);
    return calls > size / 256;
}

static sqfs_s32 pack_block(sqfs_compressor_t *compressor, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out, sqfs_u32 room)
{
    (void)compressor;
    return (sqfs_s32)squeeze(in, size, out, room < size ? room : size - 1, is_code(in, size));
}

static void describe(const sqfs_compressor_t *compressor, sqfs_compressor_config_t *out)
{
    (void)compressor;
    *out = (sqfs_compressor_config_t){.id = SQFS_COMP_XZ, .block_size = BLOCK};
}

static int no_options(sqfs_compressor_t *compressor, sqfs_file_t *file)
{
    (void)compressor, (void)file;
    return 0;
}

static sqfs_object_t *same(const sqfs_object_t *object)
{
    return (sqfs_object_t *)object; /* it has no state */
}

/* What is read once more at each start, and written while somebody waits. */
static sqfs_s32 pack_quickly(sqfs_compressor_t *compressor, const sqfs_u8 *in, sqfs_u32 size, sqfs_u8 *out, sqfs_u32 room)
{
    (void)compressor;
    uLongf used = room < size ? room : size - 1;
    return compress2(out, &used, in, size, QUICK_LEVEL) == Z_OK ? (sqfs_s32)used : 0;
}

static void describe_gzip(const sqfs_compressor_t *compressor, sqfs_compressor_config_t *out)
{
    (void)compressor;
    *out = (sqfs_compressor_config_t){.id = SQFS_COMP_GZIP, .block_size = QUICK_BLOCK, .level = 9};
}

static sqfs_compressor_t gzip = {{keep, same}, describe_gzip, no_options, no_options, pack_quickly};
static sqfs_compressor_t xz = {{keep, same}, describe, no_options, no_options, pack_block};

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

struct writing {
    struct part part;
    sqfs_super_t super;
    sqfs_frag_table_t *fragments;
    sqfs_id_table_t *ids;
    sqfs_meta_writer_t *inodes, *directories;
    sqfs_dir_writer_t *entries;
    sqfs_compressor_t *compressor;
    uint32_t block, time, numbers;
    int contents; /* as the tree's */
};

/* Of names of one file the first leads: the same order as in what follows. */
static void find_links(struct tree_node *node)
{
    node->repeats = NULL;
    for (struct tree_node *other = node->linked; other && other != node && !node->repeats; other = other->linked)
        node->repeats = other->leads ? other : NULL;
    node->leads = node->linked && !node->repeats;
    for (size_t i = 0; i < node->count; i++)
        find_links(node->children[i]);
}

static void number_all(struct writing *writing, struct tree_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        number_all(writing, node->children[i]);
    node->number = node->repeats ? node->repeats->number : ++writing->numbers;
}

static int open_contents(const struct writing *writing, const struct tree_node *node)
{
    if (!node->from)
        return writing->contents;
    int fd = open(node->from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        fail(EXIT_OWN_FAILURE, "pack: %s can't be read: %s", node->from, strerror(errno));
    return fd;
}

static void copy_file(const struct writing *writing, sqfs_block_processor_t *blocks, const struct tree_node *node)
{
    static char bytes[BLOCK + 1];
    const char *name = node->from ? node->from : node->name;
    if (node->bytes) {
        must(sqfs_block_processor_append(blocks, (void *)(uintptr_t)node->bytes, (size_t)node->size), name);
        return;
    }
    int fd = open_contents(writing, node);
    for (uint64_t size = 0; size < node->size || node->from;) { /* of the host's files also what is behind */
        uint64_t left = node->size - size + (node->from != NULL);
        ssize_t got = pread(fd, bytes, left < BLOCK ? (size_t)left : BLOCK, (off_t)(node->offset + size));
        size += got > 0 ? (uint64_t)got : 0;
        if (got < 0 || size > node->size || (!got && size < node->size))
            fail(EXIT_OWN_FAILURE, "pack: %s: %s", name, got < 0 ? strerror(errno) : "it was changed meanwhile");
        if (!got)
            break;
        must(sqfs_block_processor_append(blocks, bytes, (size_t)got), name);
    }
    if (node->from)
        close(fd);
}

/* The contents of all files, in the order of their names. */
static void write_contents(const struct writing *writing, sqfs_block_processor_t *blocks, struct tree_node *node)
{
    if (S_ISREG(node->mode) && !node->repeats) {
        must(sqfs_block_processor_begin_file(blocks, (sqfs_inode_generic_t **)&node->inode, NULL, 0), node->name);
        copy_file(writing, blocks, node);
        must(sqfs_block_processor_end_file(blocks), node->name);
    }
    for (size_t i = 0; i < node->count; i++)
        write_contents(writing, blocks, node->children[i]);
}

static sqfs_inode_generic_t *make_link(const struct tree_node *node)
{
    size_t size = strlen(node->target);
    sqfs_inode_generic_t *inode = must_allocate(sizeof *inode + size + 1);
    memset(inode, 0, sizeof *inode);
    inode->base.type = SQFS_INODE_SLINK;
    inode->data.slink.nlink = 1;
    inode->data.slink.target_size = (sqfs_u32)size;
    memcpy(inode->extra, node->target, size + 1);
    return inode;
}

static sqfs_inode_generic_t *make_directory(struct writing *writing, const struct tree_node *node, uint32_t parent)
{
    must(sqfs_dir_writer_begin(writing->entries, 0), "a directory");
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *child = node->children[i];
        must(sqfs_dir_writer_add_entry(writing->entries, child->name, child->number, child->reference, (sqfs_u16)child->mode), child->name);
    }
    must(sqfs_dir_writer_end(writing->entries), "a directory");
    return made(sqfs_dir_writer_create_inode(writing->entries, 0, NO_XATTR, parent));
}

static void count_names(const struct tree_node *node)
{
    sqfs_inode_generic_t *inode = node->inode;
    must(sqfs_inode_make_extended(inode), node->name);
    inode->data.file_ext.nlink = 1;
    for (const struct tree_node *other = node->linked; other != node; other = other->linked)
        inode->data.file_ext.nlink++;
}

/* Those of a directory before itself: it says where they are. */
static void write_inodes(struct writing *writing, struct tree_node *node, uint32_t parent)
{
    sqfs_u64 block;
    sqfs_u32 at;
    for (size_t i = 0; i < node->count; i++)
        write_inodes(writing, node->children[i], node->number);
    if (node->repeats) {
        node->reference = node->repeats->reference;
        return;
    }
    if (node->leads)
        count_names(node);
    sqfs_inode_generic_t *inode = S_ISDIR(node->mode) ? make_directory(writing, node, parent) : S_ISLNK(node->mode) ? make_link(node) : node->inode;
    inode->base.mode = (sqfs_u16)node->mode;
    must(sqfs_id_table_id_to_index(writing->ids, node->uid, &inode->base.uid_idx) |
         sqfs_id_table_id_to_index(writing->ids, node->gid, &inode->base.gid_idx), "the owners");
    inode->base.mod_time = writing->contents < 0 ? writing->time : node->time;
    inode->base.inode_number = node->number;
    sqfs_meta_writer_get_position(writing->inodes, &block, &at);
    node->reference = block << 16 | at;
    must(sqfs_meta_writer_write_inode(writing->inodes, inode), "an inode");
    free(inode);
    node->inode = NULL;
}

static void write_files(struct writing *writing, struct tree *tree)
{
    sqfs_file_t *file = &writing->part.base;
    sqfs_block_writer_t *blocks = made(sqfs_block_writer_create(file, SQFS_DEVBLK_SIZE, 0));
    sqfs_block_processor_t *processor = made(sqfs_block_processor_create(writing->block, writing->compressor, WORKERS, 4 * WORKERS, blocks, writing->fragments));
    write_contents(writing, processor, &tree->root);
    must(sqfs_block_processor_finish(processor), "the files");
    sqfs_destroy(processor);
    sqfs_destroy(blocks);
}

static void write_names(struct writing *writing, struct tree *tree)
{
    sqfs_file_t *file = &writing->part.base;
    number_all(writing, &tree->root);
    writing->inodes = made(sqfs_meta_writer_create(file, writing->compressor, 0));
    writing->directories = made(sqfs_meta_writer_create(file, writing->compressor, SQFS_META_WRITER_KEEP_IN_MEMORY));
    writing->entries = made(sqfs_dir_writer_create(writing->directories, 0));
    writing->super.inode_table_start = part_size(file);
    write_inodes(writing, &tree->root, writing->numbers + 1);
    must(sqfs_meta_writer_flush(writing->inodes) | sqfs_meta_writer_flush(writing->directories), "the names");
    writing->super.root_inode_ref = tree->root.reference;
    writing->super.directory_table_start = part_size(file);
    must(sqfs_meta_write_write_to_file(writing->directories), "the names");
    writing->super.inode_count = writing->numbers;
    sqfs_destroy(writing->entries);
    sqfs_destroy(writing->directories);
    sqfs_destroy(writing->inodes);
}

uint64_t squashfs_write(struct tree *tree, int fd, uint64_t offset, uint32_t time, bool quick)
{
    static struct writing writing;
    writing = (struct writing){.part = {{{keep, NULL}, part_read, part_write, part_size, part_truncate}, fd, offset, 0}, .time = time,
                               .compressor = quick ? &gzip : &xz, .block = quick ? QUICK_BLOCK : BLOCK, .contents = tree->contents};
    sqfs_file_t *file = &writing.part.base;
    must(sqfs_super_init(&writing.super, writing.block, time, quick ? SQFS_COMP_GZIP : SQFS_COMP_XZ), "its head");
    must(sqfs_super_write(&writing.super, file), "its head");
    writing.fragments = made(sqfs_frag_table_create(0));
    writing.ids = made(sqfs_id_table_create(0));
    find_links(&tree->root);
    write_files(&writing, tree);
    write_names(&writing, tree);
    must(sqfs_frag_table_write(writing.fragments, file, &writing.super, writing.compressor), "its tables");
    must(sqfs_id_table_write(writing.ids, file, &writing.super, writing.compressor), "its tables");
    writing.super.flags |= SQFS_FLAG_NO_XATTRS;
    writing.super.bytes_used = writing.part.size;
    must(sqfs_super_write(&writing.super, file), "its head");
    sqfs_destroy(writing.fragments);
    sqfs_destroy(writing.ids);
    return writing.part.size;
}
