/* SPDX-License-Identifier: MIT */
/*
 * openat2(2), and names below a root that chroot(2) has set.  Where names are not resolved as all are, each component is
 * opened by itself, as a place, beneath the one before: what others rename meanwhile leads nowhere else, and ".." goes back to
 * a place that is still open.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define DEPTH_MAX 256u
#define PLACE (O_PATH | O_NOFOLLOW | O_CLOEXEC)

struct walk {
    uint64_t resolve;
    struct file *root;              /* a reference; NULL: chroot(2) has set none */
    struct file *places[DEPTH_MAX]; /* from where it began; a reference each */
    uint32_t depth;                 /* the last one's index */
    uint32_t links;
    struct pal_path_buffer left;    /* what is still to be walked */
};

static void let_go_places(struct walk *walk)
{
    for (uint32_t i = 0; walk->places[0] && i <= walk->depth; i++)
        file_put(walk->places[i]);
}

static void walk_end(struct walk *walk)
{
    let_go_places(walk);
    if (walk->root)
        file_put(walk->root);
}

/* name: a component of `at`, or "..". */
static int64_t name_in(struct file *at, const char *component, struct name *name)
{
    char path[PAL_PATH_MAX];
    *name = (struct name){.nofollow = true};
    if (file_is_host(at))
        return name_onto(name, at, component);
    size_t size = at->path ? strlen(at->path) : 0, more = strlen(component);
    if (!size || size + more + 2 > sizeof path)
        return -ENAMETOOLONG;
    memcpy(path, at->path, size);
    path[size] = '/';
    memcpy(path + size + 1, component, more + 1);
    return name_from_path(path, true, name);
}

static int64_t open_in(struct file *at, const char *component, uint32_t flags, uint32_t mode, struct file **out)
{
    NAME(name);
    int64_t result = name_in(at, component, &name);
    return result < 0 ? result : name_open(&name, flags, mode, 0, out);
}

/* RESOLVE_NO_XDEV: on the mount of where the walk began? */
static bool same_mount(const struct walk *walk, struct file *file)
{
    struct file *start = walk->places[0];
    struct pal_attributes a, b;
    const struct mount *of_start = start->path ? mount_of(start->path) : NULL;
    const struct mount *of_file = file->path ? mount_of(file->path) : NULL;
    return of_start == of_file && file_attributes(start, &a) == 0 && file_attributes(file, &b) == 0 &&
           a.device == b.device;
}

/* Links of /proc that lead to objects, not to names. */
static bool is_magic(const struct file *link)
{
    const char *path = link->path, *last = path;
    if (!path || strncmp(path, "/proc/", 6) != 0)
        return false;
    for (const char *at = path; *at; at++)
        last = *at == '/' ? at + 1 : last;
    return !strcmp(last, "exe") || !strcmp(last, "cwd") || !strcmp(last, "root") ||
           (last - path > 4 && !strncmp(last - 4, "/fd/", 4));
}

static int64_t begin_at_root(struct walk *walk)
{
    struct file *root = walk->root ? file_ref(walk->root) : NULL;
    int64_t result = root ? 0 : file_open("/", O_PATH | O_DIRECTORY, 0, 0, &root);
    if (result < 0)
        return result;
    let_go_places(walk);
    walk->places[walk->depth = 0] = root;
    return 0;
}

/* An absolute path goes on at the root. */
static int64_t jump(struct walk *walk, bool is_link)
{
    if (walk->resolve & RESOLVE_BENEATH)
        return -EXDEV;
    if (walk->resolve & RESOLVE_IN_ROOT) {
        while (walk->depth)
            file_put(walk->places[walk->depth--]);
        return 0;
    }
    struct file *before = walk->places[0] ? file_ref(walk->places[0]) : NULL;
    int64_t result = begin_at_root(walk);
    if (result == 0 && is_link && walk->resolve & RESOLVE_NO_XDEV && before && !same_mount(walk, before))
        result = -EXDEV;
    if (before)
        file_put(before);
    return result;
}

/* Its contents come before what is left, with a slash between if there was one behind its name. */
static int64_t follow(struct walk *walk, struct file *link, bool slash)
{
    NAME(name);
    struct pal_path_buffer contents;
    if (walk->resolve & RESOLVE_NO_SYMLINKS || ++walk->links > NAME_HOPS)
        return -ELOOP;
    if (is_magic(link) && walk->resolve & RESOLVE_NO_MAGICLINKS)
        return -ELOOP;
    if (is_magic(link) && walk->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV))
        return -EXDEV;
    if (!name_from_file(link, true, &name)) {
        int64_t result = link->path ? name_from_path(link->path, true, &name) : -ENOENT;
        if (result < 0)
            return result;
    }
    int64_t size = name_contents(&name, &contents);
    if (size <= 0)
        return size < 0 ? size : -ENOENT;
    if ((uint64_t)size + 1 + walk->left.size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memmove(walk->left.bytes + size + slash, walk->left.bytes, walk->left.size + 1);
    memcpy(walk->left.bytes, contents.bytes, (size_t)size);
    walk->left.bytes[size] = slash ? '/' : 0;
    walk->left.size += (uint32_t)size + slash;
    return contents.bytes[0] == '/' ? jump(walk, true) : 0;
}

/* Above it there is nothing. */
static bool is_root(const struct walk *walk)
{
    const struct file *root = walk->root, *place = walk->places[walk->depth];
    if (!root)
        return false;
    if (file_is_host(root) && file_is_host(place))
        return file_identify((struct file *)place) == 0 && place->device == root->device && place->inode == root->inode;
    return root->path && place->path && !strcmp(root->path, place->path);
}

static int64_t go_up(struct walk *walk)
{
    struct file *parent;
    if (is_root(walk))
        return 0;
    if (walk->depth) {
        file_put(walk->places[walk->depth--]);
        return 0;
    }
    if (walk->resolve & RESOLVE_BENEATH)
        return -EXDEV;
    if (walk->resolve & RESOLVE_IN_ROOT)
        return 0;
    int64_t result = open_in(walk->places[0], "..", O_PATH | O_DIRECTORY, 0, &parent);
    if (result < 0)
        return result;
    if (walk->resolve & RESOLVE_NO_XDEV && !same_mount(walk, parent)) {
        file_put(parent);
        return -EXDEV;
    }
    file_put(walk->places[0]);
    walk->places[0] = parent;
    return 0;
}

/* The next component goes to `out`; *ends: nothing is behind it.  0: there was none. */
static size_t take(struct walk *walk, char *out, bool *slash, bool *ends)
{
    char *bytes = walk->left.bytes;
    size_t from = 0, to;
    while (bytes[from] == '/')
        from++;
    for (to = from; bytes[to] && bytes[to] != '/'; to++)
        ;
    size_t size = to - from;
    memcpy(out, bytes + from, size);
    out[size] = 0;
    *slash = bytes[to] == '/';
    while (bytes[to] == '/')
        to++;
    *ends = !bytes[to];
    walk->left.size -= (uint32_t)to;
    memmove(bytes, bytes + to, walk->left.size + 1);
    return size;
}

/* The last component, or "." for the place itself. */
static int64_t open_last(struct walk *walk, const char *component, bool slash, const struct open_how *how, struct file **out)
{
    struct file *place;
    uint32_t flags = (uint32_t)how->flags, creates = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
    uint32_t mode = creates ? (uint32_t)how->mode & ~fs_umask(current_process()->fs) : 0;
    int64_t result = open_in(walk->places[walk->depth], component, PLACE, 0, &place);
    if (result == 0) {
        bool crosses = walk->resolve & RESOLVE_NO_XDEV && !same_mount(walk, place);
        bool link = place->type == PAL_TYPE_SYMLINK;
        if (link && (slash || !(flags & O_NOFOLLOW)) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL)) {
            result = follow(walk, place, slash);
            result = result < 0 ? result : 1;
        } else if (link && walk->resolve & RESOLVE_NO_SYMLINKS && !(flags & O_PATH)) {
            result = -ELOOP;
        } else if (crosses) {
            result = -EXDEV;
        }
        file_put(place);
        if (result)
            return result;
    } else if (result != -ENOENT) {
        return result;
    }
    return open_in(walk->places[walk->depth], component, flags | O_NOFOLLOW | (slash ? O_DIRECTORY : 0), mode, out);
}

static int64_t walk_on(struct walk *walk, const struct open_how *how, struct file **out)
{
    char component[PAL_PATH_MAX];
    bool slash, ends;
    for (;;) {
        struct file *place;
        size_t size = take(walk, component, &slash, &ends);
        int64_t result = 0;
        if (size == 2 && !memcmp(component, "..", 2))
            result = go_up(walk);
        else if (ends && size && !(size == 1 && component[0] == '.')) {
            result = open_last(walk, component, slash, how, out);
            if (result <= 0)
                return result;
            continue; /* a symlink: its contents are walked */
        } else if (size > 1 || (size && component[0] != '.')) {
            result = open_in(walk->places[walk->depth], component, PLACE, 0, &place);
            if (result < 0)
                return result;
            if (place->type == PAL_TYPE_SYMLINK)
                result = follow(walk, place, true);
            else if (place->type != PAL_TYPE_DIRECTORY)
                result = -ENOTDIR;
            else if (walk->resolve & RESOLVE_NO_XDEV && !same_mount(walk, place))
                result = -EXDEV;
            else if (walk->depth + 1 == DEPTH_MAX)
                result = -ENAMETOOLONG;
            else
                walk->places[++walk->depth] = file_ref(place);
            file_put(place);
            if (result == 0)
                continue;
        }
        if (result < 0)
            return result;
        if (ends)
            return open_in(walk->places[walk->depth], ".", (uint32_t)how->flags, 0, out);
    }
}

static int64_t open_resolved(int directory, guest_t path, const struct open_how *how)
{
    struct walk walk = {.resolve = how->resolve};
    struct file *file = NULL;
    int64_t length = copy_in_string(walk.left.bytes, path, PAL_PATH_MAX);
    if (length <= 0)
        return length < 0 ? length : -ENOENT;
    walk.root = fs_root(current_process()->fs);
    walk.left.size = (uint32_t)length;
    bool absolute = walk.left.bytes[0] == '/';
    int64_t result = 0;
    if (!absolute || how->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) {
        walk.places[0] = directory == AT_FDCWD ? fs_cwd(current_process()->fs) : file_get(directory);
        result = !walk.places[0] ? -EBADF : walk.places[0]->type != PAL_TYPE_DIRECTORY ? -ENOTDIR : 0;
    }
    if (result == 0 && absolute)
        result = jump(&walk, false);
    if (result == 0)
        result = walk_on(&walk, how, &file);
    walk_end(&walk);
    return result < 0 ? result : fd_install(file, (uint32_t)how->flags, 0);
}

/* ---- Below a root ------------------------------------------------------------------------------------------------ */

/* The place itself: a name that ended with a slash or dots. */
static int64_t name_of_place(struct file *place, enum name_last last, struct name *out)
{
    int64_t result = name_from_file(place, false, out) ? 0 : place->path ? name_from_path(place->path, false, out) : -ENOENT;
    out->directory = true;
    out->last = last;
    return result;
}

/* 1: it was a symlink, or a directory on the way; 0: the name is there. */
static int64_t resolve_component(struct walk *walk, const char *component, bool slash, bool ends, bool nofollow, struct name *out)
{
    struct file *place;
    int64_t result = open_in(walk->places[walk->depth], component, PLACE, 0, &place);
    if (result < 0 && (!ends || result != -ENOENT))
        return result;
    bool there = result == 0, link = there && place->type == PAL_TYPE_SYMLINK, goes_on = !ends || (link && (slash || !nofollow));
    if (link && goes_on)
        result = follow(walk, place, slash);
    else if (!ends && place->type != PAL_TYPE_DIRECTORY)
        result = -ENOTDIR;
    else if (!ends && walk->depth + 1 == DEPTH_MAX)
        result = -ENAMETOOLONG;
    else if (!ends)
        walk->places[++walk->depth] = file_ref(place);
    if (there)
        file_put(place);
    if (goes_on)
        return result < 0 ? result : 1;
    result = name_in(walk->places[walk->depth], component, out);
    out->directory |= slash;
    out->last = NAME_NORMAL;
    out->nofollow = !out->directory;
    return result;
}

static int64_t resolve_on(struct walk *walk, char *component, bool nofollow, struct name *out)
{
    for (;;) {
        bool slash, ends;
        size_t size = take(walk, component, &slash, &ends);
        bool up = size == 2 && !memcmp(component, "..", 2), dot = size == 1 && component[0] == '.';
        int64_t result = up ? go_up(walk) : !size || dot ? 0 : resolve_component(walk, component, slash, ends, nofollow, out);
        if (result < 0 || (size && !up && !dot && result == 0))
            return result;
        if (ends && result == 0)
            return name_of_place(walk->places[walk->depth], up ? NAME_DOTDOT : dot ? NAME_DOT : NAME_ROOT, out);
    }
}

int64_t name_resolve(struct file *root, struct file *start, const char *path, bool nofollow, struct name *out)
{
    struct resolving { struct walk walk; char component[PAL_PATH_MAX]; } *resolving = alloc(sizeof *resolving);
    if (!resolving)
        return -ENOMEM;
    struct walk *walk = &resolving->walk;
    walk->resolve = 0;
    walk->root = file_ref(root);
    walk->places[walk->depth = 0] = file_ref(start ? start : root);
    walk->links = 0;
    walk->left.size = (uint32_t)strnlen(path, PAL_PATH_MAX - 1);
    memcpy(walk->left.bytes, path, walk->left.size);
    walk->left.bytes[walk->left.size] = 0;
    int64_t result = resolve_on(walk, resolving->component, nofollow, out);
    walk_end(walk);
    release(resolving);
    return result;
}

/* struct open_how grows: what a newer caller sets and we don't know must be zero. */
int64_t sys_openat2(int32_t directory, guest_t path, guest_t how_at, uint64_t size)
{
    struct open_how how;
    const uint64_t known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
                           RESOLVE_IN_ROOT | RESOLVE_CACHED;
    if (size < sizeof(how))
        return -EINVAL;
    if (size > PAGE_SIZE)
        return -E2BIG;
    if (copy_in(&how, how_at, sizeof(how)) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof(how); at < size; at++) {
        char byte;
        if (copy_in(&byte, how_at + at, 1) < 0)
            return -EFAULT;
        if (byte)
            return -E2BIG;
    }
    uint32_t temporary = O_TMPFILE & ~O_DIRECTORY, flags = (uint32_t)how.flags;
    bool creates = flags & (O_CREAT | temporary);
    if (how.flags & ~(uint64_t)OPEN_FLAGS || how.mode & ~(uint64_t)S_IALLUGO || (how.mode && !creates))
        return -EINVAL;
    if (flags & O_PATH && flags & ~(uint32_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        return -EINVAL;
    if (how.resolve & ~known || (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
        return -EINVAL;
    if (how.resolve & RESOLVE_CACHED && flags & (O_CREAT | O_TRUNC | temporary))
        return -EAGAIN;
    if (how.resolve & ~(uint64_t)RESOLVE_CACHED)
        return open_resolved(directory, path, &how);
    return open_at(directory, path, flags, (uint32_t)how.mode);
}
