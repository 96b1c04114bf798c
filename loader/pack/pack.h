/* SPDX-License-Identifier: MIT */
/*
 * A program in one file, with all it needs: pal-run itself, a squashfs of the files, and the policy.
 *
 * `pal-run pack` finds what a program needs (needed.c), names it in a tree (tree.c), writes that as squashfs (squashfs.c), and puts the
 * parts together (bundle.c).  A bundle that is executed is pal-run, sees by its own ELF header what it is, and runs what it
 * holds by the policy that it holds: sealed.c, unpacked.c.
 */
#ifndef LOADER_PACK_H
#define LOADER_PACK_H

#include "loader/palrun.h"

/* ---- tree.c: what goes into a bundle, by its places in the sandbox ----------------------------------------------- */

struct tree_node {
    char *name;
    char *from;      /* a file's place on the host; NULL: in `bytes`, or in the tree's contents, at `offset` */
    const char *bytes; /* what pack itself has made */
    char *target;    /* of a symlink */
    mode_t mode;     /* without set-id bits */
    uint64_t size, offset; /* of a file */
    uint32_t uid, gid, time;
    unsigned layer;  /* of a container image: which it comes from */
    struct tree_node *linked; /* in a ring, other names of the same file; NULL: there are none */
    struct tree_node **children; /* by name */
    size_t count, room;
    uint32_t number; /* squashfs.c's own, from here on */
    uint64_t reference;
    void *inode;
    bool leads;                /* of its ring it is written first */
    struct tree_node *repeats; /* the one that does */
};
struct tree {
    struct tree_node root;
    size_t count, secrets; /* nodes; files that were left out */
    const char *home;
    int contents; /* -1: files are the host's, and owners and times are not */
    void (*added)(struct tree *tree, const char *from); /* told of each file that is new */
};
void tree_init(struct tree *tree);
/* What the host has at `path`, at the same place: symlinks on the way and what they lead to, too.  all: and what is beneath.  0 or a
 * negative errno; what is no file, directory or symlink is left out. */
int tree_add(struct tree *tree, const char *path, bool all);
/* What the host has at `from`, and all beneath, at `at`. */
int tree_add_at(struct tree *tree, const char *at, const char *from);
/* An empty directory, where nothing is. */
void tree_add_directory(struct tree *tree, const char *at, mode_t mode);
bool tree_has(const struct tree *tree, const char *at);
/* What is there, symlinks not followed; NULL: nothing. */
const struct tree_node *tree_find(const struct tree *tree, const char *at);
/* A file that the host doesn't have, where nothing is.  Takes the bytes. */
void tree_add_bytes(struct tree *tree, const char *at, const char *bytes, size_t size);
/* A further name of a file. */
void tree_link(struct tree_node *first, struct tree_node *node);
/* By name in a directory. */
struct tree_node *tree_child(const struct tree_node *node, const char *name, size_t size);
struct tree_node *tree_put(struct tree *tree, struct tree_node *node, const char *name, size_t size, mode_t mode);
void tree_take_out(struct tree *tree, struct tree_node *node, struct tree_node *child); /* and all beneath */

/* ---- layer_tree.c: container images' layers, one upon the other --------------------------------------------------- */

/* Puts a layer onto the tree, whose contents grow.  0 or a negative errno, as layers_error has them. */
struct layer_part;
int layer_add(struct tree *tree, const struct layer_part *part, unsigned layer, uint64_t *used);
/* What lies there, symlinks followed within the tree; NULL: nothing. */
const struct tree_node *layer_find(const struct tree *tree, const char *path);

/* ---- oci_image.c ------------------------------------------------------------------------------------------------- */

/* "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:TAG]": options then run what the image says, or the command by it. */
bool oci_image_is(const char *name);
void oci_image_open(const char *name, struct options *options);

/* ---- library_cache.c --------------------------------------------------------------------------------------------- */

/* /etc/ld.so.cache of the libraries that the tree has, unless there is one: a program's loader finds them by it at once. */
void library_cache_add(struct tree *tree);

/* ---- needed.c ---------------------------------------------------------------------------------------------------- */

/* Programs and libraries that come into the tree from now on are looked at by the next needed_add. */
void needed_begin(struct tree *tree);
/* A program on the host: itself, its interpreter and libraries, and those of all programs and libraries that come into the tree from
 * then on.  Ends pal-run where it can't be had. */
void needed_add(struct tree *tree, const char *program);
/* The same for what has come into the tree since. */
void needed_settle(struct tree *tree);
/* What a trial run of a command, by `pal-run learn`, is told of: options ends with NULL.  The classes of host calls that it wanted. */
uint32_t needed_learn(struct tree *tree, char *const *options, const char *program, char *const *arguments);

/* ---- policy_text.c ----------------------------------------------------------------------------------------------- */

/* Allocated.  Images are left out: a bundle has none but its own. */
char *policy_text(const struct manifest *manifest, size_t *size);

/* ---- squashfs.c -------------------------------------------------------------------------------------------------- */

/* Writes the tree at `offset` of a file; the same tree gives the same bytes.  quick: packed less, in a tenth of the time.  Its size, or
 * ends pal-run. */
uint64_t squashfs_write(struct tree *tree, int file, uint64_t offset, uint32_t time, bool quick);

/* ---- digest.c ---------------------------------------------------------------------------------------------------- */

#define DIGEST_SIZE 32
#define DIGEST_TEXT (2 * DIGEST_SIZE + 1)
/* SHA-256 of a part of a file.  0 or a negative errno. */
int digest_of(int file, uint64_t offset, uint64_t size, uint8_t out[DIGEST_SIZE]);
void digest_of_text(const char *text, char out[DIGEST_TEXT]);
void digest_text(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_TEXT]);

/* ---- bundle.c ---------------------------------------------------------------------------------------------------- */

/* The last bytes of a bundle.  The digest is of all bytes before itself. */
struct bundle_end {
    char magic[16];
    uint32_t version, reserved;
    uint64_t program, image, image_size, policy, policy_size; /* offsets and sizes; program: its size */
    uint8_t digest[DIGEST_SIZE];
};
_Static_assert(sizeof(struct bundle_end) == 96, "its place is counted from the end");

struct bundle_policy {
    const char *text;
    size_t size;
    uint32_t refused; /* classes of host calls (LINUX_CLASS_...) that are left out */
};
/* Writes pal-run itself, the tree, and the policy to an empty file. */
void bundle_write(int file, struct tree *tree, const struct bundle_policy *policy, uint32_t time, struct bundle_end *end);
/* NULL, or what is wrong.  Looks at no byte but the last ones. */
const char *bundle_read_end(int file, uint64_t size, struct bundle_end *out);
/* NULL, or what is wrong: reads all of it. */
const char *bundle_check(int file, const struct bundle_end *end);

/* ---- oci_layout.c ------------------------------------------------------------------------------------------------ */

/* Makes the directory.  digest: of the image's manifest, by which engines name it. */
void oci_layout_write(const char *directory, const struct tree *tree, const struct manifest *manifest, uint32_t time, char digest[DIGEST_TEXT]);

/* ---- unpacked.c: a bundle's files, kept from one start to another ------------------------------------------------ */

/* pal-run's directory of that name in its user's cache; -1: there is none, or no program in it could be run.  path: its own. */
int cache_open(const char *name, char path[PAL_PATH_MAX]);
/* Files in it whose names end so: the newest stay. */
void cache_trim(int cache, const char *end, size_t most);
/* Where the files of the bundle lie unpacked: made where they don't yet, once all its bytes were checked.  NULL: nothing can be kept here,
 * and nothing was checked, or *wrong says what is wrong with the bundle. */
char *unpacked_open(int file, const struct bundle_end *end, const char **wrong);

/* A file, or a directory and all beneath. */
void unpacked_remove(int directory, const char *name);

/* ---- sealed.c ---------------------------------------------------------------------------------------------------- */

/* pal-run that finds itself in a bundle.  The exit status. */
int bundle_main(int argc, char **argv);

#endif
