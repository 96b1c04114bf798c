/* SPDX-License-Identifier: MIT */
/*
 * Disk images: file systems in files, read without mounting them.
 *
 * Their bytes are a stranger's.  They are parsed by libraries, in a helper: a process of its own that has the image, a
 * socket and nothing else, and may call next to nothing (loader/confined).  What it answers is as hostile as the image is: client.c checks
 * it, and ends a helper that does not answer in time.  pal-run itself never looks at an image's bytes.
 */
#ifndef LOADER_IMAGES_H
#define LOADER_IMAGES_H

#include "loader/loader.h"

/* ---- What the two sides say: packets, a request and its replies -------------------------------------------------- */

enum image_op {
    IMAGE_PARTITIONS, /* replies: entries, one a partition: inode = its number, node = its offset, size; the name: its type */
    IMAGE_OPEN,       /* a file system: node = its offset, or IMAGE_FIND; part = a partition's number, or 0 */
    IMAGE_INFO,       /* reply: text */
    IMAGE_LOOK,       /* node.  reply: its entry, without a name */
    IMAGE_LIST,       /* node, a directory.  replies: entries */
    IMAGE_POUR,       /* node, a file; with a descriptor, to which its bytes go: by their offsets, without zeros (holes), or
                         one after the other */
    IMAGE_OPS
};
#define IMAGE_FIND UINT64_MAX /* behind an ELF program that it begins with, as in an AppImage; else at 0 */
#define IMAGE_ROOT 0u         /* the node of a file system's root */
#define IMAGE_PACKET 32768
#define IMAGE_NAME_MAX 255
#define IMAGE_TARGET_MAX 4095

struct image_request {
    uint32_t op, part, holes, reserved;
    uint64_t node;
};
struct image_reply {
    int32_t result; /* 0, or a negative errno: then it is the last one */
    uint32_t more;  /* 1: further replies follow */
}; /* entries or text follow */
struct image_entry {
    uint64_t node, inode, size;
    int64_t mtime; /* nanoseconds */
    uint32_t mode, uid, gid, links, rdevice;
    uint16_t name_size, target_size;
}; /* its name and a symlink's contents follow, without NULs */
_Static_assert(sizeof(struct image_entry) == 56, "no padding but at the end");
_Static_assert(sizeof(struct image_reply) + sizeof(struct image_entry) + IMAGE_NAME_MAX + IMAGE_TARGET_MAX < IMAGE_PACKET, "one fits");

/* ---- client.c ---------------------------------------------------------------------------------------------------- */

struct image {
    int end;      /* -1: the helper has failed */
    pid_t helper;
};
/* Starts a helper for an open file, which stays the caller's; 0 or a negative errno. */
int image_start(struct image *image, int file);
void image_end(struct image *image);
/* All of these: 0 or a negative errno; -ETIMEDOUT, -EPIPE: the helper is gone; -EUCLEAN, -EIO: the image is damaged;
 * -EMEDIUMTYPE: it is no file system that is known. */
int image_open(struct image *image, uint64_t offset, uint32_t part);
int image_info(struct image *image, char *text, size_t room);
/* name and target end with a NUL, and the name is one that a directory can have.  visit: 0 to go on. */
typedef int image_visit(void *argument, const struct image_entry *entry, const char *name, const char *target);
int image_partitions(struct image *image, image_visit *visit, void *argument);
int image_list(struct image *image, uint64_t node, image_visit *visit, void *argument);
int image_look(struct image *image, uint64_t node, struct image_entry *out);
/* A file's bytes; size: what it is said to have, from which follows how long it may take. */
int image_pour(struct image *image, uint64_t node, uint64_t size, int to, bool holes);
const char *image_error(int error);

/* ---- copy.c ------------------------------------------------------------------------------------------------------ */

/* Copies an object of the image, and all beneath, to a name that is not there yet.  No set-id bits; devices, FIFOs and sockets are left
 * out. */
int image_copy(struct image *image, const struct image_entry *entry, const char *target, int directory, const char *name);

/* ---- helper.c ---------------------------------------------------------------------------------------------------- */

/* Serves until the other side goes. */
void image_serve(int end, int file) __attribute__((noreturn));

/* A reader's way to tell of an entry; name and target by their sizes in it.  Not 0: stop. */
typedef int image_tell(void *to, const struct image_entry *entry, const char *name, const char *target);
struct image_reader {
    /* -EMEDIUMTYPE: it is another's. */
    int (*open)(int file, uint64_t offset);
    void (*info)(char *text, size_t room);
    int (*look)(uint64_t node, image_tell *tell, void *to);
    int (*list)(uint64_t node, image_tell *tell, void *to);
    /* Gives all bytes in their order; `more` takes up to IMAGE_PACKET at a time. */
    int (*read)(uint64_t node, int (*more)(void *to, const void *bytes, size_t size), void *to);
};
extern const struct image_reader image_ext4, image_squashfs; /* ext4.c, squashfs.c */

/* ---- partitions.c: in the helper --------------------------------------------------------------------------------- */

/* Before it is confined. */
void partitions_prepare(int file);
int partitions_list(image_tell *tell, void *to);

#endif
