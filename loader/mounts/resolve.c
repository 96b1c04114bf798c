/* SPDX-License-Identifier: MIT */
/*
 * From a guest path to a host object.
 *
 * Paths are resolved in the guest's namespace: symlinks that lie on the host are expanded here, as text, against the
 * guest's mounts; the kernel is never asked to follow one.  So neither "..", nor a symlink, nor one swapped in at the
 * last moment leads out of a mount: each step is one openat2 beneath a descriptor, RESOLVE_NO_SYMLINKS, or one name
 * with O_NOFOLLOW, and what was opened is what is used.  Neither does a step reach another file system unseen, nor is a
 * thing opened before object.c knows what it is.  The steps of one request are bounded.  There are two ways:
 *   resolve_open  most paths have no symlink but perhaps the last name: one call;
 *   resolve_walk  name by name; tells apart all that the first can't, and checks "public only" mounts.
 *
 * In a public-only mount (/etc) a guest may do what any stranger on the host may: directories need o+x, files o+r,
 * no matter who started pal-run; and some names are refused whatever their mode.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define LINKS_MAX 40
#define STEPS_MAX 4096 /* names looked up for one request: a path has no more, but symlinks may multiply them */
#define UPS_MAX 64     /* directories held open on the way down, for ".." */

static bool text_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && !memcmp(text, word, size);
}

/* ---- Paths as text ----------------------------------------------------------------------------------------------- */

/* path := the path that `target`, found as the last name of `path`, leads to.  -ELOOP: only a walk can tell. */
static ssize_t splice_last(char *path, size_t size, const char *target, size_t target_size, bool *slash)
{
    char joined[2 * PAL_PATH_MAX];
    size_t used = 0;
    if (target[0] != '/') {
        for (used = size; used && path[used - 1] != '/'; used--)
            ;
        /* The directory is known to be free of symlinks, so "up" is the name before. */
        while (target_size >= 2 && target[0] == '.' && target[1] == '.' && (target_size == 2 || target[2] == '/')) {
            while (used > 1 && path[used - 2] != '/')
                used--;
            used = used > 1 ? used - 1 : 1;
            target += target_size == 2 ? 2 : 3;
            target_size -= target_size == 2 ? 2 : 3;
        }
        memcpy(joined, path, used);
    }
    memcpy(joined + used, target, target_size);
    bool ends_in_slash = false;
    ssize_t result = path_clean(path, PAL_PATH_MAX, joined, used + target_size, &ends_in_slash);
    *slash |= ends_in_slash;
    return result;
}

/* The symlink at the last name of `path`, expanded.  RESOLVE_WALK where it is none. */
static ssize_t follow_last(const struct mount *mount, int root, const char *rest, char *path, size_t size, bool *slash)
{
    char target[PAL_PATH_MAX];
    int fd = mount->cow ? cow_find(mount, rest) : object_find(root, rest, O_NOFOLLOW);
    if (fd < 0)
        return RESOLVE_WALK;
    ssize_t target_size = readlinkat(fd, "", target, sizeof target);
    close(fd);
    if (target_size <= 0 || target_size == sizeof target)
        return RESOLVE_WALK;
    ssize_t result = splice_last(path, size, target, (size_t)target_size, slash);
    return result == -ELOOP ? RESOLVE_WALK : result;
}

int mount_open(const struct mount *mount, const struct open_how *how, struct object_status *before)
{
    before->valid = false;
    if (!mount->directory && how->flags & O_CREAT && how->flags & O_EXCL)
        return -EEXIST;
    if (how->flags & O_PATH)
        return mount->directory ? object_find(mount->root, ".", how->flags) : fcntl(mount->root, F_DUPFD_CLOEXEC, 0);
    return object_open(mount, mount->root, how, before);
}

/* ---- What is refused --------------------------------------------------------------------------------------------- */

static int refuse(struct mount_table *table, const struct resolved *place, const char *reason)
{
    denials_add(&table->denials, DENIED_READ, place->guest, place->guest_size, reason);
    return -EACCES;
}

int resolved_refuse(struct mount_table *table, const struct resolved *place)
{
    return refuse(table, place, "not a kind of file that guests may open");
}

/* What a private directory has not, the host may have: it is told of where the program fails. */
static void note_absent(struct mount_table *table, const struct mount *mount, const char *path, size_t size, unsigned flags)
{
    if (mount && mount->kind == MOUNT_SCRATCH)
        denials_add_absent(&table->denials, flags & RESOLVE_CHANGES ? DENIED_WRITE : DENIED_READ, path, size);
}

/* What a rule hides is not there.  False: it is. */
static bool is_hidden(struct mount_table *table, const struct mount *mount, const char *path, size_t size)
{
    if (!table->guards.hides || !guards_hide(table, mount, path, size))
        return false;
    denials_add(&table->denials, DENIED_READ, path, size, HIDDEN_REASON);
    return true;
}

/* A sandbox's private files, whosever: its directories have such names, which no request makes or takes away. */
bool name_is_private(const char *name, size_t size)
{
    return size == SCRATCH_NAME_SIZE && !strncasecmp(name, SCRATCH_PREFIX, strlen(SCRATCH_PREFIX));
}

bool path_is_private(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/.")); at++) /* which few paths have */
        if (name_is_private(at + 1, strcspn(at + 1, "/")))
            return true;
    return false;
}

/* ---- In one call ------------------------------------------------------------------------------------------------- */

/* Only a walk can tell: no mount, a place of the libOS, checks on the way. */
static bool needs_walk(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                       unsigned flags)
{
    return !mount || mount->public_only || mount_table_is_libos(table, path, size) ||
           (flags & RESOLVE_CHANGES && mount->kind != MOUNT_LINK &&
            (!mount->writable || guards_keep(table, mount, path, size)));
}

/* A scratch directory that was not made yet holds nothing: most programs only look into their home. */
static bool is_empty_scratch(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                             unsigned flags)
{
    return mount->kind == MOUNT_SCRATCH && mount->root < 0 && size != mount->at_size && !(flags & RESOLVE_CHANGES) &&
           !mount_table_is_above(table, path, size);
}

/* The name may be looked up from the anchor: it goes on beneath it, on the same mount. */
static bool begins_at(const struct anchor *from, const struct mount *mount, size_t used)
{
    return from && from->direct && from->directory && mount == from->mount && used > from->size;
}

int resolve_open(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
                 const struct open_how *how, struct resolved *out)
{
    char *guest = out->guest;
    bool slash;
    ssize_t used = path_clean(guest, sizeof out->guest, path, size, &slash);
    if (used < 0)
        return used == -ELOOP ? RESOLVE_WALK : (int)used;
    if (from && ((size_t)used <= from->size || (from->nameless && !from->direct)))
        return RESOLVE_WALK;
    for (int links = 0; links < LINKS_MAX; links++) {
        struct mount *mount = mount_table_find(table, guest, (size_t)used);
        if (needs_walk(table, mount, guest, (size_t)used, flags) || (slash && how->flags & O_CREAT) ||
            path_is_private(guest))
            return RESOLVE_WALK;
        const char *rest = guest + (mount->at_size == 1 ? 1 : mount->at_size + ((size_t)used > mount->at_size));
        if (mount->kind == MOUNT_LINK) {
            if (!*rest && flags & RESOLVE_NOFOLLOW && !slash)
                return RESOLVE_WALK;
            char tail[PAL_PATH_MAX];
            size_t tail_size = (size_t)used - (size_t)(rest - guest);
            memcpy(tail, rest, tail_size + 1);
            bool inner = false; /* a slash inside the path means nothing */
            used = splice_last(guest, mount->at_size, mount->from, strlen(mount->from), tail_size ? &inner : &slash);
            if (used < 0 || (size_t)used + 1 + tail_size >= sizeof out->guest)
                return used < 0 ? RESOLVE_WALK : -ENAMETOOLONG;
            if (tail_size) {
                guest[used++] = '/';
                memcpy(guest + used, tail, tail_size + 1);
                used += (ssize_t)tail_size;
            }
            continue;
        }
        if (is_empty_scratch(table, mount, guest, (size_t)used, flags)) {
            note_absent(table, mount, guest, (size_t)used, flags);
            return -ENOENT;
        }
        int root = mount_root(table, mount);
        if (root < 0)
            return root;
        if (links == 0 && begins_at(from, mount, (size_t)used)) {
            root = from->fd;
            rest = guest + from->size + (from->size > 1);
        }
        if (*rest && is_hidden(table, mount, guest, (size_t)used))
            return flags & RESOLVE_CHANGES ? -EACCES : -ENOENT;
        bool nofollow = flags & RESOLVE_NOFOLLOW && !slash;
        struct open_how asked = *how;
        asked.flags |= (slash ? O_DIRECTORY : 0u) | (nofollow ? O_NOFOLLOW : 0u);
        int fd = mount->cow ? cow_open(mount, rest, flags & RESOLVE_CHANGES, &asked, &out->before)
                 : *rest ? (mount->directory ? object_open_at(mount, root, rest, &asked, &out->before) : -ENOTDIR)
                       : mount_open(mount, &asked, &out->before);
        if (fd == -ELOOP && from && from->nameless)
            return RESOLVE_WALK;
        if (fd == -ELOOP && !nofollow) {
            used = follow_last(mount, root, rest, guest, (size_t)used, &slash);
            if (used < 0)
                return (int)used;
            continue;
        }
        if (fd == -ELOOP || fd == -EXDEV || fd == -EAGAIN ||
            (fd == -ENOENT && mount_table_is_above(table, guest, (size_t)used)))
            return RESOLVE_WALK;
        if (fd == -ENOENT && !(from && from->nameless))
            note_absent(table, mount, guest, (size_t)used, flags);
        out->mount = mount;
        out->guest_size = (size_t)used;
        out->object = out->parent = -1;
        out->missing = out->must_be_directory = false;
        out->nameless = from && from->nameless;
        return fd == OBJECT_REFUSED ? resolved_refuse(table, out) : fd;
    }
    return -ELOOP;
}

int resolve(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
            struct resolved *out, struct pal_path_buffer *escape)
{
    const struct open_how how = {.flags = O_PATH};
    int fd = flags & RESOLVE_TRACK ? RESOLVE_WALK
                                   : resolve_open(table, from, path, size, flags & RESOLVE_NOFOLLOW, &how, out);
    if (fd != RESOLVE_WALK) {
        out->object = fd;
        return fd < 0 ? fd : 0;
    }
    int error = resolve_walk(table, from, path, size, flags, out, escape);
    if (!error && out->missing) {
        resolved_close(out);
        return -ENOENT;
    }
    return error;
}

/* ---- Name by name ------------------------------------------------------------------------------------------------ */

struct walk {
    struct mount_table *table;
    struct resolved *place;       /* the directory reached so far: object (-1: synthetic), mount, guest */
    char rest[2 * PAL_PATH_MAX]; /* names still to go, at `at` */
    size_t at, size, steps;
    int links;
    unsigned flags;
    const struct anchor *from; /* NULL: the root */
    struct pal_path_buffer *escape;
    size_t up_count; /* of those above, the nearest ones: going up opens nothing */
    struct up {
        struct mount *mount;
        int object;
    } ups[UPS_MAX];
};

static void resolved_drop(const struct resolved *place, int fd)
{
    if (fd >= 0 && (!place->mount || fd != place->mount->root))
        close(fd);
}

void resolved_close(struct resolved *place)
{
    resolved_drop(place, place->object);
    resolved_drop(place, place->parent);
    place->object = place->parent = -1;
}

static void up_drop(const struct up *up)
{
    if (up->object >= 0 && (!up->mount || up->object != up->mount->root))
        close(up->object);
}

/* The directory reached so far is now the one above. */
static void up_push(struct walk *walk, struct mount *mount, int object)
{
    if (walk->up_count == UPS_MAX) {
        up_drop(&walk->ups[0]);
        memmove(walk->ups, walk->ups + 1, --walk->up_count * sizeof *walk->ups);
    }
    walk->ups[walk->up_count++] = (struct up){mount, object};
}

static void ups_drop(struct walk *walk)
{
    while (walk->up_count)
        up_drop(&walk->ups[--walk->up_count]);
}

static int step_count(struct walk *walk, size_t steps)
{
    walk->steps += steps;
    return walk->steps > STEPS_MAX ? -ELOOP : 0;
}

static size_t depth_of(const char *path, size_t size)
{
    size_t depth = 0;
    for (size_t i = 0; i < size; i++)
        depth += path[i] == '/';
    return depth;
}

/* The object of a path in a mount; of its root the table's own descriptor, but for copy mounts. */
static int find_in(const struct mount *mount, int root, const char *rest)
{
    if (mount->cow)
        return cow_find(mount, rest);
    return *rest ? object_find(root, rest, O_DIRECTORY) : root;
}

/* Goes to a canonical guest path: the root, or a directory that is no longer held. */
static int enter(struct walk *walk, size_t guest_size)
{
    struct resolved *place = walk->place;
    const struct mount_table *table = walk->table;
    resolved_drop(place, place->object);
    place->object = -1;
    if (step_count(walk, depth_of(place->guest, guest_size)))
        return -ELOOP;
    place->guest[guest_size] = 0;
    place->guest_size = guest_size;
    const char *path = guest_size ? place->guest : "/";
    size_t size = guest_size ? guest_size : 1;
    place->mount = mount_table_find(table, path, size);
    if (!place->mount)
        return mount_table_is_above(table, path, size) || size == 1 ? 0 : -ENOENT;
    int root = mount_root(walk->table, place->mount);
    if (root < 0)
        return root;
    const char *rest = path + (place->mount->at_size == 1 ? 1 : place->mount->at_size + (size > place->mount->at_size));
    int fd = find_in(place->mount, root, rest);
    if (fd == OBJECT_REFUSED)
        return resolved_refuse(walk->table, place);
    if (fd == -ENOENT && mount_table_is_above(table, path, size)) {
        place->mount = NULL;
        return 0;
    }
    place->object = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : 0;
}

/* From a place whose path nobody can tell, by the kernel's own way up; a mount's root is where its path is known. */
static int go_up_nameless(struct walk *walk)
{
    struct resolved *place = walk->place;
    struct identity here;
    int error = identity_of(place->object, &here);
    if (error)
        return error;
    const struct identity *root = mount_identity(place->mount);
    if (here.mount == root->mount && here.inode == root->inode && here.device == root->device) {
        place->nameless = false;
        memcpy(place->guest, place->mount->at, place->mount->at_size);
        size_t size = place->mount->at_size;
        while (size && place->guest[size - 1] != '/')
            size--;
        return enter(walk, size ? size - 1 : 0);
    }
    int up = openat(place->object, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (up < 0)
        return -errno;
    resolved_drop(place, place->object);
    place->object = up;
    place->guest_size = walk->from->size;
    place->guest[place->guest_size] = 0;
    return 0;
}

static int go_up(struct walk *walk)
{
    struct resolved *place = walk->place;
    if (place->nameless && !walk->up_count)
        return go_up_nameless(walk);
    size_t size = place->guest_size;
    while (size && place->guest[size - 1] != '/')
        size--;
    size = size ? size - 1 : 0;
    if (!walk->up_count || !place->guest_size)
        return enter(walk, size);
    const struct up up = walk->ups[--walk->up_count];
    resolved_drop(place, place->object);
    place->object = up.object;
    place->mount = up.mount;
    place->guest_size = size;
    place->guest[size] = 0;
    return 0;
}

/* rest := target / rest, from the directory reached so far or from the root. */
static int expand(struct walk *walk, const char *target, size_t target_size)
{
    bool slash = walk->at < walk->size; /* kept at the end, too: the target must then be a directory */
    while (walk->at < walk->size && walk->rest[walk->at] == '/')
        walk->at++;
    size_t left = walk->size - walk->at;
    if (++walk->links > LINKS_MAX)
        return -ELOOP;
    if (!target_size)
        return -ENOENT;
    if (target_size + 1 + left >= sizeof walk->rest)
        return -ENAMETOOLONG;
    memmove(walk->rest + target_size + slash, walk->rest + walk->at, left);
    memcpy(walk->rest, target, target_size);
    if (slash)
        walk->rest[target_size] = '/';
    walk->at = 0;
    walk->size = target_size + slash + left;
    if (target[0] != '/')
        return 0;
    ups_drop(walk);
    walk->place->nameless = false;
    return enter(walk, 0);
}

const char *const secret_names[SECRET_NAMES] = {"shadow",  "gshadow",   "shadow-",         "gshadow-",
                                                "sudoers", "sudoers.d", "security/opasswd"};

bool is_host_key(const char *rest, size_t size)
{
    bool key = size > 13 && !memcmp(rest, "ssh/ssh_host_", 13);
    return key && memcmp(rest + size - 4, ".pub", 4) != 0;
}

static bool is_secret(const struct mount *mount, const char *path, size_t size)
{
    if (size <= mount->at_size)
        return false;
    const char *rest = path + mount->at_size + 1;
    size_t rest_size = size - mount->at_size - 1;
    for (size_t i = 0; i < SECRET_NAMES; i++)
        if (path_is_within(rest, rest_size, secret_names[i], strlen(secret_names[i])))
            return true;
    return is_host_key(rest, rest_size);
}

static int check_public(struct walk *walk, const struct stat *status, bool last)
{
    const struct resolved *place = walk->place;
    if (!place->mount->public_only)
        return 0;
    if (!is_secret(place->mount, place->guest, place->guest_size) &&
        (last || !S_ISDIR(status->st_mode) || status->st_mode & S_IXOTH))
        return 0;
    return refuse(walk->table, place, "not public on the host");
}

static int escape_to(struct walk *walk)
{
    const struct resolved *place = walk->place;
    size_t left = walk->size - walk->at;
    if (place->guest_size + left + 1 >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    if (walk->escape) {
        memcpy(walk->escape->bytes, place->guest, place->guest_size);
        memcpy(walk->escape->bytes + place->guest_size, walk->rest + walk->at, left);
        walk->escape->size = (uint32_t)(place->guest_size + left);
    }
    return -EREMOTE;
}

/* What one step found; anything else is a negative errno. */
enum step { STEP_ON = 0, STEP_END = 1 };

/* The whole path that the walk was to reach; what is still to go is only cleaned.  Its size; 0: it has none. */
static size_t whole_path(const struct walk *walk, char out[PAL_PATH_MAX])
{
    char joined[3 * PAL_PATH_MAX];
    const struct resolved *place = walk->place;
    size_t left = walk->size - walk->at;
    bool slash;
    if (place->nameless)
        return 0;
    memcpy(joined, place->guest, place->guest_size);
    memcpy(joined + place->guest_size, walk->rest + walk->at, left);
    ssize_t size = path_clean(out, PAL_PATH_MAX, joined, place->guest_size + left, &slash);
    if (size > 0)
        return (size_t)size;
    memcpy(out, place->guest, place->guest_size + 1); /* a "..": as far as is known */
    return place->guest_size;
}

static void note_not_shown(struct walk *walk)
{
    char path[PAL_PATH_MAX];
    size_t size = whole_path(walk, path);
    if (size)
        denials_add(&walk->table->denials, walk->flags & RESOLVE_CHANGES ? DENIED_WRITE : DENIED_READ, path, size,
                    "no mount shows it");
}

static void note_absent_name(struct walk *walk)
{
    char path[PAL_PATH_MAX];
    const struct resolved *place = walk->place;
    if (place->mount && place->mount->kind == MOUNT_SCRATCH)
        note_absent(walk->table, place->mount, path, whole_path(walk, path), walk->flags);
}

/* The name just added to place->guest has no object: it may lie above a mount, or be missing. */
static int step_absent(struct walk *walk, int parent, int error, bool last)
{
    struct resolved *place = walk->place;
    if (error == -ENOENT && mount_table_is_above(walk->table, place->guest, place->guest_size)) {
        up_push(walk, place->mount, parent);
        place->mount = NULL;
        place->object = -1;
        return last ? STEP_END : STEP_ON;
    }
    if (error == -ENOENT && !(last && walk->flags & RESOLVE_CHANGES))
        note_absent_name(walk);
    if (error == -ENOENT && last) {
        place->object = -1;
        place->parent = parent;
        place->missing = true;
        return STEP_END;
    }
    resolved_drop(place, parent);
    place->object = -1;
    return error;
}

/* place->object is the parent; place->guest already ends in `name`. */
static int step_into(struct walk *walk, const char *name, bool last, bool slash)
{
    struct resolved *place = walk->place;
    int parent = place->object, error;
    bool nofollow = last && !slash && walk->flags & RESOLVE_NOFOLLOW;
    struct stat status;
    if (walk->flags & RESOLVE_TRACK)
        invalidate_add(walk->table, place->mount, parent);
    if (is_hidden(walk->table, place->mount, place->guest, place->guest_size)) {
        resolved_drop(place, parent);
        place->object = -1;
        return walk->flags & RESOLVE_CHANGES ? -EACCES : -ENOENT;
    }
    int fd = place->mount->cow ? cow_find(place->mount, cow_path(place->mount, place->guest))
                               : openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd == OBJECT_REFUSED) {
        resolved_drop(place, parent);
        place->object = -1;
        return resolved_refuse(walk->table, place);
    }
    if (fd < 0)
        return step_absent(walk, parent, place->mount->cow ? fd : -errno, last);
    error = fstat(fd, &status) < 0 ? -errno : check_public(walk, &status, last);
    if (!error && status.st_dev != place->mount->device && object_is_kernels(fd, status.st_dev))
        error = resolved_refuse(walk->table, place);
    if (!error && S_ISLNK(status.st_mode) && !nofollow) {
        char target[PAL_PATH_MAX];
        ssize_t size = readlinkat(fd, "", target, sizeof target);
        error = size < 0 ? -errno : 0;
        close(fd);
        place->guest_size = place->name - 1;
        place->guest[place->guest_size] = 0;
        return error ? error : expand(walk, target, (size_t)size);
    }
    if (!error && (!last || slash) && !S_ISDIR(status.st_mode))
        error = -ENOTDIR;
    if (error) {
        close(fd);
        return error;
    }
    place->object = fd;
    if (last) {
        place->parent = parent;
        return STEP_END;
    }
    up_push(walk, place->mount, parent);
    return STEP_ON;
}

static int step_mount(struct walk *walk, struct mount *mount, bool last, bool slash)
{
    struct resolved *place = walk->place;
    if (mount->kind == MOUNT_LINK && !(last && !slash && walk->flags & RESOLVE_NOFOLLOW)) {
        place->guest_size = place->name - 1;
        place->guest[place->guest_size] = 0;
        return expand(walk, mount->from, strlen(mount->from));
    }
    up_push(walk, place->mount, place->object);
    place->object = -1;
    place->mount = mount;
    if (mount->kind == MOUNT_LINK)
        return STEP_END;
    int root = mount_root(walk->table, mount);
    if (root < 0)
        return root;
    place->object = mount->cow ? cow_find(mount, "") : root;
    if (place->object < 0)
        return place->object;
    if ((!last || slash) && !mount->directory)
        return -ENOTDIR;
    return last ? STEP_END : STEP_ON;
}

/* What is there, if anything, is not looked at; only whether one may look. */
static int refuse_slash(const struct resolved *place)
{
    int probe = place->object < 0 ? -1 : openat(place->object, ".", O_PATH | O_CLOEXEC);
    if (place->object >= 0 && probe < 0)
        return -errno;
    if (probe >= 0)
        close(probe);
    return -EISDIR;
}

static int step_name(struct walk *walk, const char *name, size_t size, bool last, bool slash)
{
    struct resolved *place = walk->place;
    if (size >= NAME_ROOM - 1 || place->guest_size + 1 + size >= sizeof place->guest)
        return -ENAMETOOLONG;
    if (last && slash && walk->flags & RESOLVE_CREATES)
        return refuse_slash(place);
    char copy[NAME_ROOM];
    memcpy(copy, name, size);
    copy[size] = 0;
    place->guest[place->guest_size] = '/';
    place->name = place->guest_size + 1;
    memcpy(place->guest + place->name, copy, size + 1);
    place->guest_size = place->name + size;
    struct mount *mount = mount_table_exact(walk->table, place->guest, place->guest_size);
    if (mount)
        return step_mount(walk, mount, last, slash);
    if (mount_table_is_libos(walk->table, place->guest, place->guest_size))
        return escape_to(walk);
    if (place->mount && name_is_private(copy, size))
        return refuse(walk->table, place, "a sandbox's private files");
    if (place->object >= 0)
        return step_into(walk, copy, last, slash);
    int result = step_absent(walk, -1, -ENOENT, last);
    if (result < 0 || place->missing)
        note_not_shown(walk);
    return result;
}

static int step(struct walk *walk)
{
    struct resolved *place = walk->place;
    while (walk->at < walk->size && walk->rest[walk->at] == '/')
        walk->at++;
    if (walk->at == walk->size) { /* "/", or an end in "." or "..": a directory that was reached already */
        place->name = place->guest_size;
        return STEP_END;
    }
    const char *name = walk->rest + walk->at;
    size_t size = 0;
    while (walk->at + size < walk->size && name[size] != '/')
        size++;
    walk->at += size;
    if (step_count(walk, 1))
        return -ELOOP;
    if (text_is(name, size, "."))
        return STEP_ON;
    if (text_is(name, size, ".."))
        return go_up(walk);
    size_t next = walk->at;
    while (next < walk->size && walk->rest[next] == '/')
        next++;
    place->must_be_directory = next != walk->at;
    return step_name(walk, name, size, next == walk->size, next != walk->at);
}

static int find_at(const struct anchor *from, const char *path)
{
    char text[PAL_PATH_MAX];
    if (from->size >= sizeof text)
        return -ENAMETOOLONG;
    memcpy(text, path, from->size);
    text[from->size] = 0;
    return cow_find(from->mount, cow_path(from->mount, text));
}

/* Begins at the anchor.  Where a name is still to come only if that needs no look at the way there. */
static int begin_at(struct walk *walk, const struct anchor *from)
{
    struct resolved *place = walk->place;
    struct stat status;
    if (!from || !from->mount || (!from->direct && walk->size > from->size))
        return enter(walk, 0);
    /* In a copy mount another layer may have it by now; what has no name any more is what was opened. */
    int fd = from->mount->cow ? find_at(from, walk->rest) : -ENOENT;
    if (fd < 0)
        fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    place->object = fd;
    place->mount = from->mount;
    place->nameless = from->nameless;
    place->guest_size = place->name = from->size == 1 ? 0 : from->size; /* "/" */
    memcpy(place->guest, walk->rest, place->guest_size);
    place->guest[place->guest_size] = 0;
    walk->at = from->size;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (walk->flags & RESOLVE_TRACK)
        invalidate_add(walk->table, place->mount, fd);
    if (!S_ISDIR(status.st_mode) && walk->at < walk->size)
        return -ENOTDIR;
    return check_public(walk, &status, true);
}

int resolve_walk(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
                 struct resolved *out, struct pal_path_buffer *escape)
{
    struct walk walk;
    walk.table = table;
    walk.place = out;
    walk.flags = flags;
    walk.from = from;
    walk.escape = escape;
    walk.at = 0;
    walk.size = size;
    walk.links = 0;
    walk.steps = walk.up_count = 0;
    out->mount = NULL;
    out->object = out->parent = -1;
    out->missing = out->must_be_directory = out->nameless = false;
    memcpy(walk.rest, path, size);
    int result = begin_at(&walk, from);
    while (result == STEP_ON)
        result = step(&walk);
    ups_drop(&walk);
    if (result < 0) {
        resolved_close(out);
        return result;
    }
    if (!out->guest_size) {
        strcpy(out->guest, "/");
        out->guest_size = 1;
    }
    return 0;
}

int resolve_parent(struct mount_table *table, const struct anchor *from, const char *path, size_t size,
                   struct resolved *out, char name[NAME_ROOM], struct pal_path_buffer *escape)
{
    size_t end = size, start, least = from ? from->size + (from->size > 1) : 1;
    if (size < least)
        return -EINVAL; /* the anchor itself has no name here */
    while (end > least && path[end - 1] == '/')
        end--;
    for (start = end; start && path[start - 1] != '/'; start--)
        ;
    bool slash = end != size;
    size_t directory = from && start == least ? from->size : start ? start : 1;
    if (end - start + slash >= NAME_ROOM - 1)
        return -ENAMETOOLONG;
    memcpy(name, path + start, end - start);
    name[end - start] = 0;
    if (slash && end != start)
        strcat(name, "/");
    int error = resolve(table, from, path, directory, RESOLVE_CHANGES, out, escape);
    if (error == -EREMOTE && escape) { /* the path to go on with is the whole one */
        size_t tail = size - start;
        if (escape->size + 1 + tail >= PAL_PATH_MAX)
            return -ENAMETOOLONG;
        if (escape->bytes[escape->size - 1] != '/')
            escape->bytes[escape->size++] = '/';
        memcpy(escape->bytes + escape->size, path + start, tail);
        escape->size += (uint32_t)tail;
    }
    return error;
}
