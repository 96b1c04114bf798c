/* SPDX-License-Identifier: MIT */
/*
 * The tree of a bundle's files.  A path of the host's is walked name by name, so that each symlink on the way is in the tree as it is,
 * and what it leads to as well.  Children are kept sorted: what is written depends on names alone, not on the order they came in.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/pack/pack.h"

#define LINKS_MAX 40

void tree_init(struct tree *tree)
{
    const char *home = getenv("HOME");
    *tree = (struct tree){.root.mode = S_IFDIR | 0755, .count = 1, .contents = -1, .home = home && home[0] == '/' && home[1] ? home : "/nowhere"};
}

/* Where a child is, or would be. */
static size_t place_of(const struct tree_node *node, const char *name, size_t size)
{
    size_t low = 0, high = node->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strncmp(node->children[middle]->name, name, size);
        if (order < 0)
            low = middle + 1;
        else
            high = middle; /* of those that begin alike the shortest is first */
    }
    return low;
}

struct tree_node *tree_child(const struct tree_node *node, const char *name, size_t size)
{
    size_t at = place_of(node, name, size);
    bool is = at < node->count && !strncmp(node->children[at]->name, name, size) && !node->children[at]->name[size];
    return is ? node->children[at] : NULL;
}

struct tree_node *tree_put(struct tree *tree, struct tree_node *node, const char *name, size_t size, mode_t mode)
{
    size_t at = place_of(node, name, size);
    if (node->count == node->room) {
        node->room = node->room ? 2 * node->room : 8;
        node->children = realloc(node->children, node->room * sizeof(struct tree_node *));
        if (!node->children)
            fail(EXIT_OWN_FAILURE, "no memory for the names of a bundle");
    }
    memmove(node->children + at + 1, node->children + at, (node->count - at) * sizeof(struct tree_node *));
    struct tree_node *child = node->children[at] = must_allocate(sizeof *child);
    *child = (struct tree_node){.name = must_print("%.*s", (int)size, name), .mode = mode & (S_IFMT | 01777)};
    node->count++;
    tree->count++;
    return child;
}

void tree_link(struct tree_node *first, struct tree_node *node)
{
    node->linked = first->linked ? first->linked : first;
    first->linked = node;
}

/* One that is alone then has no ring. */
static void unlink_node(const struct tree_node *node)
{
    struct tree_node *before = node->linked;
    while (before && before->linked != node)
        before = before->linked;
    if (before)
        before->linked = node->linked == before ? NULL : node->linked;
}

static void free_all(struct tree *tree, struct tree_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        free_all(tree, node->children[i]);
    unlink_node(node);
    free(node->children);
    free(node->name);
    free(node->from);
    free(node->target);
    free(node);
    tree->count--;
}

void tree_take_out(struct tree *tree, struct tree_node *node, struct tree_node *child)
{
    size_t at = place_of(node, child->name, strlen(child->name) + 1);
    memmove(node->children + at, node->children + at + 1, (--node->count - at) * sizeof(struct tree_node *));
    free_all(tree, child);
}

static struct tree_node *enter(struct tree *tree, struct tree_node *node, const char *name, size_t size, mode_t mode)
{
    struct tree_node *child = tree_child(node, name, size);
    if (child && !S_ISDIR(child->mode))
        fail(EXIT_OWN_FAILURE, "pack: %s is to be a directory, and something else, too", child->name);
    return child ? child : tree_put(tree, node, name, size, mode);
}

/* The directory that a name lies in; *last: the name. */
static struct tree_node *parent_of(struct tree *tree, const char *at, const char **last, size_t *size)
{
    struct tree_node *node = &tree->root;
    for (;;) {
        at += strspn(at, "/");
        *last = at;
        *size = strcspn(at, "/");
        if (!at[*size])
            return node;
        node = enter(tree, node, at, *size, S_IFDIR | 0755);
        at += *size;
    }
}

void tree_add_directory(struct tree *tree, const char *at, mode_t mode)
{
    const char *last;
    size_t size;
    struct tree_node *parent = parent_of(tree, at, &last, &size);
    if (size && !tree_child(parent, last, size))
        tree_put(tree, parent, last, size, S_IFDIR | mode);
}

const struct tree_node *tree_find(const struct tree *tree, const char *at)
{
    const struct tree_node *node = &tree->root;
    for (at += strspn(at, "/"); *at && node; at += strspn(at, "/")) {
        size_t size = strcspn(at, "/");
        node = tree_child(node, at, size);
        at += size;
    }
    return node;
}

bool tree_has(const struct tree *tree, const char *at)
{
    return tree_find(tree, at) != NULL;
}

void tree_add_bytes(struct tree *tree, const char *at, const char *bytes, size_t size)
{
    const char *last;
    size_t name_size;
    struct tree_node *parent = parent_of(tree, at, &last, &name_size);
    if (tree_child(parent, last, name_size))
        return;
    struct tree_node *node = tree_put(tree, parent, last, name_size, S_IFREG | 0644);
    node->bytes = bytes;
    node->size = size;
}

static bool is_own(const char *path)
{
    static const char *const own[] = {"/proc", "/dev", "/sys"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (path_is_within(path, strlen(path), own[i], strlen(own[i])))
            return true;
    return false;
}

/* ---- One object -------------------------------------------------------------------------------------------------- */

static char *contents_of(const char *link, const struct stat *status)
{
    size_t room = (size_t)status->st_size + PAL_PATH_MAX;
    char *text = must_allocate(room);
    ssize_t size = readlink(link, text, room - 1);
    text[size > 0 ? size : 0] = 0;
    return text;
}

/* Files that have more names than one are one file in a bundle, too. */
static void link_leaf(struct tree_node *node, const struct stat *status)
{
    static struct known { dev_t device; ino_t inode; struct tree_node *node; } *known;
    static size_t count, room;
    for (size_t i = 0; i < count; i++)
        if (known[i].device == status->st_dev && known[i].inode == status->st_ino) {
            tree_link(known[i].node, node);
            return;
        }
    if (count == room) {
        room = room ? 2 * room : 16;
        known = realloc(known, room * sizeof *known);
        if (!known)
            fail(EXIT_OWN_FAILURE, "no memory for the names of a bundle");
    }
    known[count++] = (struct known){status->st_dev, status->st_ino, node};
}

/* Not a directory, which enter() is for. */
static void add_leaf(struct tree *tree, struct tree_node *parent, const char *name, size_t size, const char *from,
                     const struct stat *status)
{
    if (tree_child(parent, name, size))
        return;
    struct tree_node *node = tree_put(tree, parent, name, size, status->st_mode);
    if (S_ISLNK(status->st_mode)) {
        node->mode = S_IFLNK | 0777;
        node->target = contents_of(from, status);
        return;
    }
    node->from = must_copy(from);
    node->size = (uint64_t)status->st_size;
    if (status->st_nlink > 1)
        link_leaf(node, status);
    if (tree->added)
        tree->added(tree, node->from);
}

/* ---- All beneath a directory ------------------------------------------------------------------------------------- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* One of its names.  What a symlink leads to is there then, but not all beneath. */
static int beneath_one(struct tree *tree, const char *at, const char *from, const struct dirent *entry, bool same)
{
    const char *name = entry->d_name;
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return 0;
    char *inner = must_print("%s/%s", strcmp(from, "/") ? from : "", name), *place = must_print("%s/%s", strcmp(at, "/") ? at : "", name);
    struct stat status;
    int error = 0;
    if (policy_is_secret(inner, tree->home))
        tree->secrets++;
    else if (same)
        error = tree_add(tree, inner, lstat(inner, &status) == 0 && S_ISDIR(status.st_mode));
    else
        error = tree_add_at(tree, place, inner);
    free(inner);
    free(place);
    return error == -ENOENT ? 0 : error; /* a symlink that leads nowhere, or what is gone meanwhile */
}

static int beneath(struct tree *tree, const char *at, const char *from, bool same)
{
    struct dirent **entries;
    int count = scandir(from, &entries, NULL, by_name), error = count < 0 ? -errno : 0;
    for (int i = 0; i < count; i++) {
        error = error ? error : beneath_one(tree, at, from, entries[i], same);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return error;
}

int tree_add_at(struct tree *tree, const char *at, const char *from)
{
    struct stat status;
    const char *last;
    size_t size;
    if (lstat(from, &status) < 0)
        return -errno;
    struct tree_node *parent = parent_of(tree, at, &last, &size);
    if (S_ISDIR(status.st_mode)) {
        if (size)
            enter(tree, parent, last, size, status.st_mode);
        return beneath(tree, at, from, false);
    }
    if (size && (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode)))
        add_leaf(tree, parent, last, size, from, &status);
    return 0;
}

/* ---- A path of the host's, as it is walked ----------------------------------------------------------------------- */

struct walk {
    struct tree_node *way[PAL_PATH_MAX / 2]; /* from the root to where it is */
    size_t depth;
    char here[PAL_PATH_MAX], rest[2 * PAL_PATH_MAX];
    int links;
};

static void go_up(struct walk *walk)
{
    char *slash = strrchr(walk->here, '/');
    if (!walk->depth)
        return;
    walk->depth--;
    if (slash)
        *slash = 0;
}

/* A symlink's contents take its place in what is left to walk. */
static int follow(struct walk *walk, const char *target, const char *after)
{
    char *joined = must_print("%s%s", target, after);
    bool fits = strlen(joined) < sizeof walk->rest && ++walk->links <= LINKS_MAX;
    if (fits)
        strcpy(walk->rest, joined);
    if (target[0] == '/') {
        walk->depth = 0;
        walk->here[0] = 0;
    }
    free(joined);
    return fits ? 0 : -ELOOP;
}

/* One name.  1: the walk has ended, at what is no directory. */
static int step(struct tree *tree, struct walk *walk, const char *name, size_t size, const char *after)
{
    struct stat status;
    struct tree_node *parent = walk->way[walk->depth];
    size_t used = strlen(walk->here);
    if (used + 1 + size >= sizeof walk->here || walk->depth + 1 == sizeof walk->way / sizeof *walk->way)
        return -ENAMETOOLONG;
    sprintf(walk->here + used, "/%.*s", (int)size, name);
    if (lstat(walk->here, &status) < 0)
        return -errno;
    if (is_own(walk->here))
        return 1; /* the sandbox has its own */
    if (S_ISDIR(status.st_mode)) {
        walk->way[++walk->depth] = enter(tree, parent, name, size, status.st_mode);
        return 0;
    }
    if (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))
        add_leaf(tree, parent, name, size, walk->here, &status);
    if (!S_ISLNK(status.st_mode))
        return *after ? -ENOTDIR : 1;
    char *target = contents_of(walk->here, &status);
    walk->here[used] = 0;
    int error = follow(walk, target, after);
    free(target);
    return error;
}

int tree_add(struct tree *tree, const char *path, bool all)
{
    static struct walk walk;
    static char left[sizeof walk.rest];
    int error = strlen(path) < sizeof walk.rest ? 0 : -ENAMETOOLONG;
    walk.depth = 0;
    walk.links = 0;
    walk.here[0] = 0;
    walk.way[0] = &tree->root;
    if (!error)
        strcpy(walk.rest, path);
    while (!error) {
        char *name = walk.rest + strspn(walk.rest, "/");
        size_t size = strcspn(name, "/");
        if (!size)
            break;
        strcpy(left, name);
        memmove(walk.rest, name + size, strlen(name + size) + 1);
        if (size == 2 && !memcmp(left, "..", 2))
            go_up(&walk);
        else if (size != 1 || left[0] != '.')
            error = step(tree, &walk, left, size, left + size);
    }
    if (error || !all)
        return error < 0 ? error : 0;
    char *directory = must_copy(walk.here[0] ? walk.here : "/"); /* the walk is used again for what is in it */
    error = beneath(tree, directory, directory, true);
    free(directory);
    return error;
}
