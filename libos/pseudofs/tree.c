/* SPDX-License-Identifier: MIT */
/*
 * Walks the libOS's own tree (pseudofs.h) and answers for what is found: open, attributes, links, directories.
 *
 * A walk is by text, component by component, with ".." going back along the way that was come; at a link, and where
 * the way leads out of the tree, name_walk goes on with the path it leads to.
 */
#include "libos/pseudofs/pseudofs.h"
#include "libos/mm/mm.h"
#include "libos/task/task.h"
#include "pal/hash.h"

static const struct pseudo_entry root_entries[] = {
    {.name = "proc",
     .mode = PSEUDO_DIRECTORY,
     .children = procfs_entries,
     .number = procself_number,
     .number_after = procself_after},
    {.name = "sys", .mode = PSEUDO_DIRECTORY, .children = sysfs_entries},
    {.name = "dev", .mode = S_IFDIR | 0755, .children = devfs_entries},
    {.name = "etc", .mode = S_IFDIR | 0755, .children = etc_entries},
    {.name = NULL},
};
static const struct pseudo_entry root = {.name = "", .mode = PSEUDO_DIRECTORY, .children = root_entries};

int64_t link_text(struct pal_path_buffer *out, const char *pattern, ...)
{
    va_list list;
    va_start(list, pattern);
    int size = format_list(out->bytes, sizeof out->bytes, pattern, list);
    va_end(list);
    if ((size_t)size >= sizeof out->bytes)
        return -ENAMETOOLONG;
    out->size = (uint32_t)size;
    return 0;
}

/* ---- Walking ----------------------------------------------------------------------------------------------------- */

/* A decimal number without leading zeros, or -1. */
static int parse_number(const char *name, size_t size)
{
    int n = 0;
    if (!size || size > 9 || (name[0] == '0' && size > 1))
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        n = n * 10 + (name[i] - '0');
    }
    return n;
}

static bool is_there(const struct pseudo_entry *entry)
{
    return entry->name && (!entry->snapshots || boot->snapshot_use);
}

static bool find_child(const struct pseudo_node *from, const char *name, size_t size, struct pseudo_node *out)
{
    const struct pseudo_entry *entry = from->entry;
    *out = *from;
    for (const struct pseudo_entry *child = entry->children; child && is_there(child); child++) {
        if (strlen(child->name) == size && !memcmp(child->name, name, size)) {
            out->entry = child;
            return true;
        }
    }
    if (entry->named)
        return entry->named(out, name, size);
    size_t prefix = entry->prefix ? strlen(entry->prefix) : 0;
    if (size < prefix || memcmp(name, entry->prefix ? entry->prefix : "", prefix) != 0)
        return false;
    int n = entry->number ? parse_number(name + prefix, size - prefix) : -1;
    return n >= 0 && proc_number(out, n);
}

static int64_t descend(struct pseudo_place *place, const char *name, size_t size)
{
    struct pseudo_node child;
    const struct pseudo_node *here = &place->node[place->depth];
    if ((here->entry->mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    if (!find_child(here, name, size, &child))
        return -ENOENT;
    uint32_t used = place->size[place->depth];
    if (place->depth + 1 >= PSEUDO_DEPTH || used + size + 2 > sizeof place->path)
        return -ENOENT;
    place->path[used] = '/';
    memcpy(place->path + used + 1, name, size);
    place->path[used + 1 + size] = 0;
    place->node[++place->depth] = child;
    place->size[place->depth] = (uint32_t)(used + 1 + size);
    return 0;
}

static void ascend(struct pseudo_place *place)
{
    if (place->depth)
        place->path[place->size[--place->depth]] = 0;
}

/* Puts `link`, taken as at the place's directory, before `rest` into follow.  `rest` may lie in follow already. */
static int64_t compose(const struct pseudo_place *place, const struct pal_path_buffer *link, const char *rest,
                       struct pal_path_buffer *follow)
{
    size_t base = link->size && link->bytes[0] == '/' ? 0 : place->size[place->depth - 1] + 1u;
    size_t rest_size = strlen(rest), slash = rest_size ? 1 : 0;
    if (base + link->size + slash + rest_size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memmove(follow->bytes + base + link->size + slash, rest, rest_size + 1);
    if (base) {
        memcpy(follow->bytes, place->path, base - 1);
        follow->bytes[base - 1] = '/';
    }
    memcpy(follow->bytes + base, link->bytes, link->size);
    if (slash)
        follow->bytes[base + link->size] = '/';
    follow->size = (uint32_t)(base + link->size + slash + rest_size);
    return -EREMOTE;
}

/* The walk has left the tree upwards and goes down elsewhere ("/proc/../etc"). */
static int64_t leave(const char *rest, struct pal_path_buffer *follow)
{
    size_t size = strlen(rest);
    if (size + 1 >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    memmove(follow->bytes + 1, rest, size + 1);
    follow->bytes[0] = '/';
    follow->size = (uint32_t)size + 1;
    return -EREMOTE;
}

/* Another process's is a link by its name. */
static bool has_target(const struct pseudo_node *node)
{
    return node->entry->target && !proc_is_remote(node);
}

/* The walk goes on in a directory that a link stands for, whatever that is called now. */
static int64_t go_into(struct file *directory, const char *rest, struct name *name, struct pal_path_buffer *follow)
{
    int64_t result = name_onto(name, directory, rest);
    follow->size = 0;
    return result < 0 ? result : -EREMOTE;
}

static int64_t take_text(const struct pseudo_place *place, const char *rest, struct pal_path_buffer *follow)
{
    const struct pseudo_node *node = &place->node[place->depth];
    struct pal_path_buffer *link = alloc(sizeof *link);
    if (!link)
        return -ENOMEM;
    int64_t result = proc_follow(node, link);
    if (!result)
        result = compose(place, link, rest, follow);
    release(link);
    return result;
}

/* A link was reached, with `rest` to go.  1: the place itself is what was looked for; else as walk. */
static int64_t take_link(const struct pseudo_place *place, const char *rest, bool nofollow, struct name *name,
                         struct pal_path_buffer *follow)
{
    const struct pseudo_node *node = &place->node[place->depth];
    bool really_elsewhere = (node->entry->mode & S_IFMT) == S_IFDIR;
    if (!*rest && ((nofollow && !really_elsewhere) || has_target(node)))
        return 1;
    struct file *target = has_target(node) ? node->entry->target(node) : NULL;
    if (has_target(node) && !target)
        return -ENOENT;
    bool opened = target && file_is_host(target);
    int64_t result = opened && target->type != PAL_TYPE_DIRECTORY ? -ENOTDIR
                     : opened                                     ? go_into(target, rest, name, follow)
                                                                  : take_text(place, rest, follow);
    if (target)
        file_put(target);
    return result;
}

/* 0: *place is it.  -EREMOTE: go on with *follow, here or elsewhere, or with what became of the name. */
static int64_t walk(struct name *name, bool nofollow, struct pseudo_place *place, struct pal_path_buffer *follow)
{
    const char *path = name->path.bytes;
    memset(place, 0, sizeof *place);
    place->node[0].entry = &root;
    for (;;) {
        while (*path == '/')
            path++;
        if (!*path)
            return place->depth ? 0 : leave(path, follow); /* "/dev/..": the root is the monitor's */
        size_t size = 0;
        while (path[size] && path[size] != '/')
            size++;
        const char *rest = path + size;
        while (*rest == '/')
            rest++;
        if (size == 2 && path[0] == '.' && path[1] == '.') {
            ascend(place);
        } else if (!(size == 1 && path[0] == '.')) {
            int64_t result = descend(place, path, size);
            if (result)
                return result == -ENOENT && !place->depth ? leave(path, follow) : result;
            bool slashed = !*rest && path[size] == '/';
            if (place->node[place->depth].entry->link) {
                result = take_link(place, rest, nofollow && !slashed, name, follow);
                return result > 0 ? 0 : result;
            }
            if (slashed && (place->node[place->depth].entry->mode & S_IFMT) != S_IFDIR)
                return -ENOTDIR;
        }
        path = rest;
    }
}

/* ---- Attributes and links ---------------------------------------------------------------------------------------- */

static uint64_t inode_of(const char *path)
{
    uint64_t hash = hash_bytes(path, strlen(path));
    return (hash ^ hash >> 32) & 0xffffffffu;
}

/* What the link of a descriptor allows is what that was opened for. */
static uint32_t descriptor_mode(const struct pseudo_node *node)
{
    struct file *file = node->entry->target(node);
    if (!file)
        return 0700;
    uint32_t mode = file->flags & O_PATH ? 0 : (file_readable(file) ? 0500 : 0) | (file_writable(file) ? 0300 : 0);
    file_put(file);
    return mode;
}

int64_t pseudo_place_attributes(const struct pseudo_place *place, struct pal_attributes *out)
{
    static const uint8_t types[16] = {
        [S_IFDIR >> 12] = PAL_TYPE_DIRECTORY, [S_IFREG >> 12] = PAL_TYPE_FILE,
        [S_IFLNK >> 12] = PAL_TYPE_SYMLINK,   [S_IFCHR >> 12] = PAL_TYPE_CHARACTER,
    };
    const struct pseudo_node *node = &place->node[place->depth];
    const struct process *process = current_process();
    if (node->entry->attributes)
        return node->entry->attributes(node, out);
    memset(out, 0, sizeof *out);
    out->device = place->path[1] == 'd' ? 5 : place->path[1] == 'p' ? 21 : 22;
    out->inode = inode_of(place->path);
    out->rdevice = node->entry->device;
    out->mode = node->entry->mode;
    out->type = types[out->mode >> 12];
    out->links = out->type == PAL_TYPE_DIRECTORY ? 2 : 1;
    out->block_size = out->device == 21 ? 1024 : 4096;
    struct process_facts facts;
    if (node->pid && node->pid != process->pid && process_facts(node->pid, &facts)) {
        out->uid = facts.uid;
        out->gid = facts.gid;
    } else if (node->pid) {
        out->uid = process->euid;
        out->gid = process->egid;
    }
    if (out->type == PAL_TYPE_SYMLINK && node->number >= 0 && node->entry->target) {
        out->size = 64;
        if (node->pid == process->pid)
            out->mode = S_IFLNK | descriptor_mode(node);
    }
    out->atime = out->mtime = out->ctime = (int64_t)time_now(PAL_CLOCK_REALTIME);
    return 0;
}

/* What the name stands for, if it is another open description: a reference, or NULL with *result 0 or -ENOENT. */
static struct file *target_of(const struct pseudo_node *node, bool nofollow, int64_t *result)
{
    bool is_link = (node->entry->mode & S_IFMT) == S_IFLNK;
    *result = 0;
    if (!has_target(node) || (is_link ? nofollow : node->entry->device != 0))
        return NULL;
    struct file *file = node->entry->target(node);
    if (!file)
        *result = -ENOENT;
    return file;
}

/* The name becomes the open object that it stands for, where the host can name that: -EREMOTE.  Else 0. */
static int64_t become_target(const struct pseudo_place *place, struct name *name, struct pal_path_buffer *follow)
{
    int64_t result;
    struct file *file = target_of(&place->node[place->depth], name->nofollow, &result);
    if (!file)
        return result;
    struct name object;
    if (name_from_file(file, false, &object)) {
        object.directory = name->directory;
        object.last = name->last;
        name_end(name);
        *name = object;
        follow->size = 0;
        result = -EREMOTE;
    }
    file_put(file);
    return result;
}

static int64_t tree_attributes(struct name *name, struct pal_attributes *out, struct pal_path_buffer *follow)
{
    struct pseudo_place place;
    /* What another process's descriptor stands for is asked of that: it may have no name. */
    int64_t result = walk(name, true, &place, follow);
    if (!result && !name->nofollow && place.node[place.depth].entry->target && proc_is_remote(&place.node[place.depth]))
        return proc_target_attributes(&place.node[place.depth], out);
    if (!result && !name->nofollow)
        result = walk(name, false, &place, follow);
    if (result)
        return result;
    struct file *file = target_of(&place.node[place.depth], name->nofollow, &result);
    if (!file)
        return result ? result : pseudo_place_attributes(&place, out);
    result = file_attributes(file, out);
    file_put(file);
    return result;
}

static int64_t tree_readlink(struct name *name, struct pal_path_buffer *out)
{
    struct pseudo_place place;
    int64_t result = walk(name, true, &place, out);
    if (result)
        return result;
    const struct pseudo_node *node = &place.node[place.depth];
    if ((node->entry->mode & S_IFMT) != S_IFLNK)
        return -EINVAL;
    result = proc_follow(node, out);
    return result < 0 ? result : out->size;
}

static int64_t tree_canonical(struct name *name, struct pal_path_buffer *out)
{
    struct pseudo_place place;
    int64_t result = walk(name, false, &place, out);
    if (!result)
        result = become_target(&place, name, out);
    if (result)
        return result;
    out->size = place.size[place.depth];
    memcpy(out->bytes, place.path, out->size);
    return out->size;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* Why nothing can be changed here; or where a link leads on (/dev/shm). */
static int64_t tree_settle(uint32_t op, struct name *name, struct pal_path_buffer *follow)
{
    struct pseudo_place place;
    bool follows = op == PAL_UNLINK && !name->nofollow; /* linkat(2) of what a link stands for */
    int64_t result = walk(name, !follows, &place, follow);
    if (!result && follows)
        result = become_target(&place, name, follow);
    if (result == -EREMOTE)
        return result;
    bool makes = op == PAL_MKDIR || op == PAL_LINK || op == PAL_SYMLINK || op == PAL_MKFIFO;
    bool in_dev = place.depth && !strncmp(place.path, "/dev", 4); /* a missing name of procfs can't be made: ENOENT */
    if (result)
        return result == -ENOENT && makes && in_dev ? -EACCES : result;
    if (op == PAL_RMDIR && (place.node[place.depth].entry->mode & S_IFMT) != S_IFDIR)
        return -ENOTDIR;
    return makes ? -EEXIST : -EPERM;
}

static int64_t tree_change(uint32_t op, struct name *name, const struct pal_name *other, uint32_t mode,
                           struct pal_path_buffer *follow)
{
    (void)other, (void)mode;
    return tree_settle(op, name, follow);
}

/* What lies behind /proc/self/fd/N may well be a file of the host (fchmodat of C libraries goes this way); all else
 * here is nobody's to change. */
static int64_t tree_set(struct name *name, const struct pal_attributes *values, uint32_t mask,
                        struct pal_path_buffer *follow)
{
    struct pseudo_place place;
    int64_t result = walk(name, name->nofollow, &place, follow);
    if (!result)
        result = become_target(&place, name, follow);
    struct file *file = result ? NULL : target_of(&place.node[place.depth], name->nofollow, &result);
    if (file) { /* without a name, such as a memfd */
        result = file_set(file, values, mask);
        file_put(file);
        return result;
    }
    if (result || !(mask & PAL_SET_SIZE))
        return result ? result : -EPERM;
    const struct pseudo_entry *entry = place.node[place.depth].entry;
    return (entry->mode & S_IFMT) == S_IFDIR ? -EISDIR : entry->store || entry->ops ? 0 : -EACCES;
}

static int64_t tree_xattr(struct name *name, struct pal_extended *asked)
{
    struct pseudo_place place;
    int64_t result = walk(name, name->nofollow, &place, asked->text);
    if (!result)
        result = become_target(&place, name, asked->text);
    if (!result)
        asked->text->size = 0; /* was where a link led */
    return result || asked->op == PAL_EXTENDED_LIST ? result : -EOPNOTSUPP;
}

static int64_t tree_watch(struct name *name, pal_handle_t instance, struct pal_notify *notify)
{
    struct pseudo_place place;
    (void)instance;
    int64_t result = walk(name, name->nofollow, &place, notify->escape);
    if (!result)
        result = become_target(&place, name, notify->escape);
    if (!result)
        note_unsupported("inotify watch in the libOS's own file systems", 0);
    return result ? result : -EACCES;
}

/* ---- Directories ------------------------------------------------------------------------------------------------- */

struct entry64 { /* linux_dirent64 */
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[45];
} __attribute__((packed));

/* Positions: "." and "..", the children, then the numbers from FIRST_NUMBER on. */
#define FIRST_NUMBER 0x10000ll

/* Fills in the entry at or after *position and moves that past it.  False at the end. */
static bool next_entry(const struct pseudo_place *place, int64_t *position, struct entry64 *out)
{
    const struct pseudo_node *node = &place->node[place->depth];
    uint32_t mode = S_IFDIR;
    int64_t child = *position - 2;
    int64_t count = 0;
    while (node->entry->children && is_there(&node->entry->children[count]))
        count++;
    if (child < 0) {
        format(out->name, sizeof out->name, "%s", child == -1 ? ".." : ".");
        ++*position;
    } else if (child < count) {
        format(out->name, sizeof out->name, "%s", node->entry->children[child].name);
        mode = node->entry->children[child].mode;
        ++*position;
    } else if (node->entry->name_at) {
        const char *name = node->entry->name_at(node, (int)(child - count));
        if (!name)
            return false;
        format(out->name, sizeof out->name, "%s", name);
        ++*position;
    } else {
        int64_t after = MAX(*position, FIRST_NUMBER) - FIRST_NUMBER - 1;
        int n = node->entry->number_after ? proc_number_after(node, (int)after) : -1;
        if (n < 0)
            return false;
        struct pseudo_node numbered = *node;
        if (proc_number(&numbered, n))
            mode = numbered.entry->mode;
        format(out->name, sizeof out->name, "%s%d", node->entry->prefix ? node->entry->prefix : "", n);
        *position = FIRST_NUMBER + n + 1;
    }
    char path[sizeof place->path + sizeof out->name];
    format(path, sizeof path, "%s/%s", place->path, out->name);
    out->inode = inode_of(path);
    out->next = *position;
    out->type = (uint8_t)((mode & S_IFMT) >> 12);
    out->size = (uint16_t)((offsetof(struct entry64, name) + strlen(out->name) + 1 + 7) & ~7ull);
    return true;
}

static int64_t directory_list(struct file *file, guest_t buffer, uint64_t size)
{
    struct entry64 entry = {0};
    uint64_t used = 0;
    int64_t position = atomic_get(&file->offset);
    for (int64_t next = position; next_entry(file->data, &next, &entry); position = next) {
        if (used + entry.size > size) {
            if (!used)
                return -EINVAL;
            break;
        }
        if (copy_out(buffer + used, &entry, entry.size))
            return used ? (int64_t)used : -EFAULT;
        used += entry.size;
        memset(&entry, 0, sizeof entry);
    }
    atomic_set(&file->offset, position);
    return (int64_t)used;
}

int64_t pseudo_file_seek(struct file *file, int64_t offset, int whence)
{
    if (whence == 1)
        offset += atomic_get(&file->offset);
    if ((whence != 0 && whence != 1) || offset < 0)
        return -EINVAL;
    atomic_set(&file->offset, offset);
    return offset;
}

/* Directories of /proc and /sys end at 0; those of /dev, a tmpfs, have no end. */
static int64_t directory_seek(struct file *file, int64_t offset, int whence)
{
    const struct pseudo_place *place = file->data;
    bool ends = whence == 2 && place->path[1] != 'd';
    return pseudo_file_seek(file, offset, ends ? 0 : whence);
}

int64_t pseudo_file_attributes(struct file *file, struct pal_attributes *out)
{
    return pseudo_place_attributes(file->data, out);
}

void pseudo_file_destroy(struct file *file)
{
    release(file->data);
}

static const struct file_ops directory_ops = {
    .kind = "directory",
    .seek = directory_seek,
    .list = directory_list,
    .attributes = pseudo_file_attributes,
    .destroy = pseudo_file_destroy,
};

int proc_directory_of(struct file *file)
{
    const struct pseudo_place *place = file->ops == &directory_ops ? file->data : NULL;
    return place && place->depth == 2 && place->node[2].pid > 0 ? place->node[2].pid : 0;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* As it is: the description is shared, which differs in offset and flags. */
static int64_t share(struct file *file, uint32_t flags, struct file **out)
{
    uint32_t have = file->flags & O_ACCMODE, want = flags & O_ACCMODE;
    bool anonymous = !strncmp(file->ops->kind, "anon_inode:", 11);
    if (anonymous && current_process()->fsuid) /* root's, and for nobody else */
        return -EACCES;
    if (anonymous || file->type == PAL_TYPE_SOCKET)
        return -ENXIO;
    if (flags & O_DIRECTORY && file->type != PAL_TYPE_DIRECTORY)
        return -ENOTDIR;
    if (!(flags & O_PATH) && have != O_RDWR && have != want)
        return -EACCES;
    *out = file_ref(file);
    return 0;
}

/*
 * What /proc/self/fd/N, /dev/tty and the like stand for: the object is opened anew, whatever it is called by now.  What
 * the host won't open anew (terminals, what a log is appended to) is shared.
 */
static int64_t open_target(const struct pseudo_node *node, const struct name *name, const struct opening *how,
                           struct file **out)
{
    int64_t result = -EXDEV;
    NAME(object);
    struct pal_path_buffer follow;
    struct opening again = *how;
    again.flags &= ~(uint32_t)(O_CREAT | O_EXCL | O_NOFOLLOW);
    struct file *file = node->entry->target(node);
    if (!file)
        return (node->entry->mode & S_IFMT) == S_IFLNK ? -ENOENT : -ENXIO;
    if (how->flags & O_CREAT && file->type == PAL_TYPE_DIRECTORY) {
        file_put(file);
        return -EISDIR;
    }
    bool is_own = file->path && file->path[0] == '/' && file->handle == PAL_NO_HANDLE;
    if (name_from_file(file, false, &object)) {
        object.directory = name->directory;
        result = hostfs.open(&object, &again, out, &follow);
    } else if (is_own || (file->path && file->type == PAL_TYPE_CHARACTER && !strncmp(file->path, "/dev/pt", 7))) {
        result = file_open(file->path, again.flags, again.mode, again.purpose, out);
    }
    if (result == -EXDEV)
        result = share(file, how->flags, out);
    file_put(file);
    return result;
}

static int64_t may_open(const struct pseudo_entry *entry, uint32_t flags)
{
    uint32_t kind = entry->mode & S_IFMT, access = flags & O_ACCMODE;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (flags & O_DIRECTORY && kind != S_IFDIR)
        return -ENOTDIR;
    if (kind == S_IFLNK && flags & O_NOFOLLOW && !(flags & O_PATH))
        return -ELOOP;
    if (flags & O_PATH)
        return 0;
    if (kind == S_IFDIR && (access != O_RDONLY || flags & O_CREAT))
        return -EISDIR;
    if (kind == S_IFREG && access != O_RDONLY && !entry->store && !entry->ops)
        return -EACCES;
    return 0;
}

static int64_t open_place(const struct pseudo_place *place, uint32_t flags, struct file **out)
{
    const struct pseudo_entry *entry = place->node[place->depth].entry;
    if (entry->text)
        return seq_open(place, flags, out);
    struct file *file = file_new(entry->ops ? entry->ops : &directory_ops, PAL_NO_HANDLE, pseudo_flags(flags));
    if (!file)
        return -ENOMEM;
    file->type = (entry->mode & S_IFMT) == S_IFDIR   ? PAL_TYPE_DIRECTORY
                 : (entry->mode & S_IFMT) == S_IFCHR ? PAL_TYPE_CHARACTER
                 : (entry->mode & S_IFMT) == S_IFREG ? PAL_TYPE_FILE
                                                     : PAL_TYPE_SYMLINK;
    file->data = alloc_copy(place, sizeof *place);
    if (!file->data) {
        file_put(file);
        return -ENOMEM;
    }
    *out = file;
    return 0;
}

static int64_t tree_open(struct name *name, const struct opening *how, struct file **out,
                         struct pal_path_buffer *follow)
{
    struct pseudo_place place;
    uint32_t flags = how->flags | (name->directory ? O_DIRECTORY : 0);
    int64_t result = walk(name, name->nofollow, &place, follow);
    const struct pseudo_node *node = &place.node[place.depth];
    bool is_link = !result && (node->entry->mode & S_IFMT) == S_IFLNK;
    if (!result && has_target(node) && !(is_link && name->nofollow))
        return open_target(node, name, how, out);
    if (!result)
        result = may_open(node->entry, flags);
    if (!result && node->entry->ops == &proc_mem_ops && !(flags & O_PATH))
        result = proc_mem_check(node);
    if (result)
        return result == -ENOENT && flags & O_CREAT && place.path[1] == 'd' ? -EACCES : result;
    if (node->entry->open && !(flags & O_PATH))
        return node->entry->open(node, flags, out);
    flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    result = open_place(&place, flags, out);
    if (!result && !(*out)->path)
        (*out)->path = alloc_copy(place.path, place.size[place.depth] + 1u);
    return result;
}

/* ---- Mounting ---------------------------------------------------------------------------------------------------- */

#define TREE(...)                                                                                                  \
    {                                                                                                                \
        .attributes = tree_attributes, .open = tree_open, .readlink = tree_readlink, .canonical = tree_canonical,    \
        .change = tree_change, .settle = tree_settle, .set = tree_set, .xattr = tree_xattr, .watch = tree_watch,     \
        __VA_ARGS__                                                                                                  \
    }
static const struct filesystem procfs = TREE(.type = "proc", .source = "proc", .magic = PROC_SUPER_MAGIC);
static const struct filesystem sysfs = TREE(.type = "sysfs", .source = "sysfs", .magic = SYSFS_MAGIC);
static const struct filesystem devfs = TREE(.type = "devtmpfs", .source = "dev", .magic = TMPFS_MAGIC);

static const struct filesystem etcfs = TREE(.type = "tmpfs", .source = "tmpfs", .magic = TMPFS_MAGIC);
static const char *const etc_paths[] = {"/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"};

void pseudofs_init(void)
{
    mount_add("/proc", &procfs, 0);
    mount_add("/sys", &sysfs, 0);
    mount_add("/dev", &devfs, 0);
    for (size_t i = 0; i < COUNT_OF(etc_paths); i++) /* as many as etc_entries has */
        mount_add(etc_paths[i], &etcfs, MOUNT_READ_ONLY);
    mount_above(&synthetic);
}
