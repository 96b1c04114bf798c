/* SPDX-License-Identifier: MIT */
/*
 * The layers of a container image become one tree, in memory: names are never looked up on the host, so there is nothing that a "..", a
 * symlink or a device could lead to.  Files' bytes go into one nameless file, one behind the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/layers/layers.h"
#include "loader/pack/pack.h"

#define NODES_MAX 200000 /* as many as an image that is mounted can have */
#define BYTES_MAX (8ull << 30)
#define NAME_SIZE 255u
#define DEPTH_MAX 128
#define LINKS_MAX 40
#define OPAQUE ".wh..wh..opq"
#define WHITEOUT ".wh."

struct adding {
    struct tree *tree;
    unsigned layer;
    uint64_t *used; /* of the contents */
    struct tree_node *file; /* whose bytes come next; NULL: of none */
};

/* ---- Walks within the tree --------------------------------------------------------------------------------------- */

struct place {
    struct tree_node *way[DEPTH_MAX]; /* from the root on */
    size_t depth;
    int links;
};

static int walk(struct adding *adding, struct place *place, const char *path, size_t size);

static int follow(struct adding *adding, struct place *place, const char *target)
{
    if (++place->links > LINKS_MAX)
        return -ELOOP;
    if (target[0] == '/')
        place->depth = 0;
    return walk(adding, place, target, strlen(target));
}

/* adding NULL: nothing is made. */
static int enter(struct adding *adding, struct place *place, const char *name, size_t size)
{
    struct tree_node *node = place->way[place->depth], *child = tree_child(node, name, size);
    if (size > NAME_SIZE || place->depth + 1 == DEPTH_MAX)
        return -ENAMETOOLONG;
    if (!child && adding) {
        child = tree_put(adding->tree, node, name, size, S_IFDIR | 0755);
        child->layer = adding->layer;
    }
    if (!child)
        return -ENOENT;
    if (S_ISLNK(child->mode))
        return follow(adding, place, child->target);
    if (!S_ISDIR(child->mode))
        return -ENOTDIR;
    place->way[++place->depth] = child;
    return 0;
}

/* To a directory. */
static int walk(struct adding *adding, struct place *place, const char *path, size_t size)
{
    int error = 0;
    for (const char *end = path + size; path < end && !error;) {
        size_t part = strcspn(path, "/");
        part = part < (size_t)(end - path) ? part : (size_t)(end - path);
        if (part == 2 && !memcmp(path, "..", 2))
            place->depth -= place->depth > 0; /* of the root it is the root, as everywhere */
        else if (part && !(part == 1 && *path == '.'))
            error = enter(adding, place, path, part);
        path += part + (path + part < end);
    }
    return error;
}

/* The directory that a path's last name lies in, and that name; its size 0: the root. */
static int parent_of(struct adding *adding, const char *path, struct place *place, const char **name, size_t *size)
{
    size_t whole = strlen(path);
    while (whole && path[whole - 1] == '/')
        whole--;
    size_t before = whole;
    while (before && path[before - 1] != '/')
        before--;
    *name = path + before;
    *size = whole - before;
    *place = (struct place){.way = {&adding->tree->root}};
    if (*size == 1 && **name == '.')
        *size = 0;
    if (*size > NAME_SIZE || (*size == 2 && !memcmp(*name, "..", 2)))
        return -EUCLEAN;
    return walk(adding, place, path, before);
}

const struct tree_node *layer_find(const struct tree *tree, const char *path)
{
    struct adding looking = {.tree = (struct tree *)tree};
    struct place place;
    const char *name;
    size_t size;
    for (int links = 0; links < LINKS_MAX; links++) {
        place = (struct place){.way = {&looking.tree->root}};
        const char *slash = strrchr(path, '/');
        name = slash ? slash + 1 : path;
        size = strlen(name);
        if (walk(NULL, &place, path, (size_t)(name - path)))
            return NULL;
        const struct tree_node *node = tree_child(place.way[place.depth], name, size);
        if (!node || !S_ISLNK(node->mode) || node->target[0] != '/')
            return node;
        path = node->target;
    }
    return NULL;
}

/* ---- One entry --------------------------------------------------------------------------------------------------- */

static void describe(struct tree_node *node, const struct layer_packet *entry, unsigned layer)
{
    node->mode = entry->mode & (S_IFMT | 01777);
    node->uid = entry->uid;
    node->gid = entry->gid;
    node->time = entry->mtime < 0 ? 0 : entry->mtime > UINT32_MAX ? UINT32_MAX : (uint32_t)entry->mtime;
    node->layer = layer;
}

/* A mark: what lower layers have is gone. */
static bool is_whiteout(struct adding *adding, struct tree_node *parent, const char *name, size_t size)
{
    if (size < sizeof WHITEOUT - 1 || memcmp(name, WHITEOUT, sizeof WHITEOUT - 1) != 0)
        return false;
    bool opaque = size == sizeof OPAQUE - 1 && !memcmp(name, OPAQUE, size);
    const char *gone = name + sizeof WHITEOUT - 1;
    for (size_t i = parent->count; i--;) {
        struct tree_node *child = parent->children[i];
        bool named = !strncmp(child->name, gone, size - (sizeof WHITEOUT - 1)) && !child->name[size - (sizeof WHITEOUT - 1)];
        if ((opaque || named) && child->layer != adding->layer)
            tree_take_out(adding->tree, parent, child);
    }
    return true;
}

/* A further name of a file, whose bytes both have. */
static int add_hard(struct adding *adding, struct tree_node *node, const char *target)
{
    struct place place;
    const char *name;
    size_t size;
    struct adding looking = *adding;
    int error = parent_of(&looking, target, &place, &name, &size);
    struct tree_node *first = error ? NULL : tree_child(place.way[place.depth], name, size);
    if (!first || first == node || !(S_ISREG(first->mode) || S_ISLNK(first->mode)))
        return -EUCLEAN;
    char *own = node->name;
    const unsigned layer = node->layer;
    *node = *first;
    node->name = own;
    node->layer = layer;
    node->target = first->target ? must_copy(first->target) : NULL;
    node->linked = NULL;
    if (S_ISREG(node->mode))
        tree_link(first, node);
    return 0;
}

static struct tree_node *put(struct adding *adding, struct tree_node *parent, const char *name, size_t size, const struct layer_packet *entry)
{
    struct tree_node *node = tree_child(parent, name, size);
    if (node && !(S_ISDIR(node->mode) && S_ISDIR(entry->mode))) {
        tree_take_out(adding->tree, parent, node);
        node = NULL;
    }
    if (!node)
        node = tree_put(adding->tree, parent, name, size, entry->mode);
    describe(node, entry, adding->layer);
    return node;
}

static int add_entry(void *argument, const struct layer_packet *entry, const char *path, const char *target)
{
    struct adding *adding = argument;
    struct place place;
    const char *name;
    size_t size;
    int error = parent_of(adding, path, &place, &name, &size);
    struct tree_node *parent = place.way[place.depth];
    adding->file = NULL;
    if (error || adding->tree->count > NODES_MAX)
        return error ? error : -E2BIG;
    if (!size) {
        if (S_ISDIR(entry->mode))
            describe(&adding->tree->root, entry, adding->layer);
        return 0;
    }
    if (is_whiteout(adding, parent, name, size))
        return 0;
    if (entry->hard)
        return add_hard(adding, put(adding, parent, name, size, &(struct layer_packet){.mode = S_IFREG}), target);
    if (!S_ISREG(entry->mode) && !S_ISDIR(entry->mode) && !S_ISLNK(entry->mode))
        return 0; /* devices, FIFOs */
    if (S_ISLNK(entry->mode) && !*target)
        return -EUCLEAN;
    struct tree_node *node = put(adding, parent, name, size, entry);
    if (S_ISLNK(entry->mode))
        node->target = must_copy(target);
    node->offset = *adding->used;
    adding->file = S_ISREG(entry->mode) ? node : NULL;
    return 0;
}

static int add_bytes(void *argument, const void *bytes, size_t size)
{
    struct adding *adding = argument;
    if (*adding->used + size > BYTES_MAX)
        return -E2BIG;
    for (size_t done = 0; adding->file && done < size;) {
        ssize_t wrote = pwrite(adding->tree->contents, (const char *)bytes + done, size - done, (off_t)(*adding->used + done));
        if (wrote < 0)
            return -errno;
        done += (size_t)wrote;
    }
    if (adding->file) {
        adding->file->size += size;
        *adding->used += size;
    }
    return 0;
}

int layer_add(struct tree *tree, const struct layer_part *part, unsigned layer, uint64_t *used)
{
    struct adding adding = {.tree = tree, .layer = layer, .used = used};
    const struct layer_visit visit = {.entry = add_entry, .bytes = add_bytes};
    return layers_read_tar(part, &visit, &adding);
}
