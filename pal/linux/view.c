/* SPDX-License-Identifier: MIT */
/*
 * Names that the kernel answers for by itself, from descriptors of the view (loader/mounts/view.c): opening for reading,
 * attributes, contents of symlinks.
 *
 * Only these answers are final: success, ENOENT, ENAMETOOLONG, and ENOTDIR where the name does not begin at what may be
 * a listing.  All else (EACCES above all: a name led out of what the view shows), and whatever lies on the view's own
 * directories, is asked of the monitor, which has the last word.
 *
 * The table is made once, from what MONITOR_VIEW tells, and is inherited by forks.  Flags of directories are kept by
 * handle: other ways to get one cost a few more requests to the monitor.
 */
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <stdbool.h>

#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

#define ENTRIES_MAX 128u
#define HANDLES_MAX 1024u
#define OWNERS_MAX 64u
#define OPENED_HERE MONITOR_SHOWN /* of a handle: a directory of the view */
#define OF_MOUNT (MONITOR_SHOWN_PLAIN | MONITOR_SHOWN_WRITABLE | MONITOR_SHOWN_PROGRAMS | MONITOR_SHOWN_SCRATCH)
#define MONITORS MONITOR_LISTING  /* it is none */
#define OF_COPY MONITOR_SHOWN_COPY /* with MONITORS: a directory of a lower layer, opened in the view */
#define STANDS_FOR 0x20u          /* it is a listing, of what substitutes[] has open in the view; OF_COPY: the other way */
#define LINKS_FOLLOWED 4u /* of a name, here; by the monitor as many as on Linux */
#define PRIVATE_NAME ".pal-run."

enum { VIEW_NONE, VIEW_ASKED, VIEW_THERE };

static uint32_t state, entry_count;
static uint64_t own_device; /* of the view's own directories */
static struct entry {
    const char *at, *rest;
    uint32_t at_size, rest_size, flags;
    int32_t root; /* PAL_NO_HANDLE: not shown */
} entries[ENTRIES_MAX]; /* the longest first */
static char rests[PAL_PATH_MAX];
static uint8_t handle_flags[HANDLES_MAX];
static pal_handle_t substitutes[HANDLES_MAX]; /* plus 1 */
/* Owners that show as nobody here, as the monitor told them. */
static struct owner {
    uint64_t inode;
    int64_t ctime;
    uint32_t uid, gid;
} owners[OWNERS_MAX];

/* ---- The table --------------------------------------------------------------------------------------------------- */

static void entry_add(const struct entry *entry)
{
    uint32_t at = entry_count++;
    for (; at && entries[at - 1].at_size < entry->at_size; at--)
        entries[at] = entries[at - 1];
    entries[at] = *entry;
}

static bool view_fill(const struct pal_path_buffer *text, const pal_handle_t *roots)
{
    uint32_t used = 0, count = shared->boot.mount_count;
    if (count > ENTRIES_MAX)
        return false;
    memcpy(rests, text->bytes, text->size);
    for (uint32_t i = 0; i < count; i++) {
        const struct pal_mount *mount = &shared->boot.mounts[i];
        struct monitor_shown shown;
        if (used + sizeof shown > text->size)
            return false;
        memcpy(&shown, rests + used, sizeof shown);
        used += (uint32_t)sizeof shown;
        if (used + shown.rest_size > text->size)
            return false;
        struct entry entry = {.at = mount->at, .rest = rests + used, .rest_size = shown.rest_size, .flags = shown.flags};
        while (mount->at[entry.at_size])
            entry.at_size++;
        entry.root = shown.root < MONITOR_DESCRIPTORS ? roots[shown.root] : PAL_NO_HANDLE;
        used += shown.rest_size;
        entry_add(&entry);
    }
    return true;
}

void view_ask(void)
{
    struct monitor_request request = {.op = MONITOR_VIEW};
    struct monitor_reply reply;
    struct pal_path_buffer text;
    pal_handle_t roots[MONITOR_DESCRIPTORS];
    uint32_t none = VIEW_NONE;
    if (!__atomic_compare_exchange_n(&state, &none, VIEW_ASKED, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
        return;
    text.size = 0;
    if (monitor_call(&request, NULL, NULL, &reply, &text, roots) < 0 || !view_fill(&text, roots))
        return; /* never, then */
    own_device = reply.value;
    __atomic_store_n(&state, VIEW_THERE, __ATOMIC_RELEASE);
    __atomic_store_n(&shared->view, 1, __ATOMIC_RELAXED);
}

/* Children then inherit it instead of asking each; a shell asks for few names itself. */
void view_fork(void)
{
    if (__atomic_load_n(&shared->view, __ATOMIC_RELAXED) && shared->names)
        view_ask();
}

void view_fork_child(void)
{
    if (state == VIEW_ASKED) { /* the parent's thread that asked is not here */
        entry_count = 0;
        state = VIEW_NONE;
    }
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

struct way {
    int64_t from;
    const char *path; /* relative, with a NUL */
    uint32_t flags;   /* monitor_shown_flags, OPENED_HERE */
    bool copied;      /* of a copy mount: */
    struct copies copies;
    uint32_t mount_size;
    char joined[PAL_PATH_MAX];
};

static bool begins(const char *text, const char *with)
{
    while (*with && *text == *with)
        text++, with++;
    return !*with;
}

/* Sandboxes' private directories, which no mount shows. */
static bool is_private(const char *path)
{
    for (const char *at = path; *at; at++)
        if (at[0] == '.' && at[1] == 'p' && (at == path || at[-1] == '/') &&
            begins(at, PRIVATE_NAME))
            return true;
    return false;
}

static bool way_from_root(const struct pal_name *name, struct way *way)
{
    for (uint32_t i = 0; i < entry_count; i++) {
        const struct entry *entry = &entries[i];
        uint32_t size = entry->at_size == 1 ? 0 : entry->at_size;
        if (name->size < size || (name->size > size && name->path[size] != '/') || memcmp(name->path, entry->at, size) != 0)
            continue;
        const char *rest = name->path + size;
        while (*rest == '/')
            rest++;
        if (entry->root == PAL_NO_HANDLE || (entry->rest_size && !*rest && name->nofollow))
            return false;
        way->from = entry->root;
        way->flags = entry->flags | OPENED_HERE;
        way->path = *rest ? rest : ".";
        way->mount_size = size;
        way->copied = entry->flags & MONITOR_SHOWN_COPY;
        const struct copies_mount mount = {entry->root, size};
        if (way->copied && (entry->rest_size || !copies_find(name, &mount, &way->copies)))
            return false;
        if (!entry->rest_size)
            return true;
        uint32_t left = (uint32_t)(name->path + name->size - rest);
        if (entry->rest_size + 2 + left > sizeof way->joined)
            return false;
        memcpy(way->joined, entry->rest, entry->rest_size);
        way->joined[entry->rest_size] = '/';
        memcpy(way->joined + entry->rest_size + 1, rest, left + 1);
        if (!left)
            way->joined[entry->rest_size] = 0;
        way->path = way->joined;
        return true;
    }
    return false;
}

bool view_shows(const char *path, uint32_t size)
{
    const struct pal_name name = {.path = path, .size = size};
    struct way way;
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE) == VIEW_THERE && way_from_root(&name, &way) && !way.copied;
}

static pal_handle_t substitute_of(pal_handle_t handle)
{
    return __atomic_load_n(&substitutes[handle], __ATOMIC_ACQUIRE) - 1;
}

/* From now on.  False: another thread was first. */
static bool substitute(pal_handle_t handle, pal_handle_t other)
{
    pal_handle_t none = 0;
    return __atomic_compare_exchange_n(&substitutes[handle], &none, other + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Of a handle of which the monitor says that, with another one: that of a copy mount is what it has become. */
static uint8_t flags_beside(pal_handle_t handle, uint64_t told, pal_handle_t other)
{
    struct stat own, its;
    if (told & MONITOR_SHOWN && !(told & OF_COPY))
        return (uint8_t)told | STANDS_FOR;
    if (host_call(fstat, handle, &own) < 0 || host_call(fstat, other, &its) < 0 ||
        stream_type(own.st_mode) != PAL_TYPE_DIRECTORY)
        return MONITORS;
    if (told & OF_COPY)
        return MONITORS | OF_COPY;
    return is_same(&own, &its) ? MONITORS : MONITORS | OF_COPY | STANDS_FOR;
}

/* What names lead to from a handle that came otherwise: opened before there was a view, or by another picoprocess. */
static uint32_t flags_of(pal_handle_t handle)
{
    const struct pal_base from = {.handle = handle};
    const struct pal_name name = {.path = "", .from = &from};
    struct monitor_request request = {.op = MONITOR_OPEN, .flags = PAL_OPEN_READ | PAL_OPEN_DIRECTORY};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    uint8_t flags = handle_flags[handle], none = 0;
    if (flags)
        return flags;
    bool got = monitor_call(&request, &name, NULL, &reply, NULL, handles) == 0;
    flags = !got ? MONITORS : flags_beside(handle, reply.value, handles[0]);
    bool used = flags & STANDS_FOR && substitute(handle, handles[0]);
    if (got && !used)
        host_call(close, handles[0]);
    if (flags & STANDS_FOR && !used)
        return handle_flags[handle] ? handle_flags[handle] : MONITORS; /* the other thread's */
    return __atomic_compare_exchange_n(&handle_flags[handle], &none, flags, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? flags : none;
}

void view_opened(pal_handle_t handle, uint64_t flags)
{
    if (flags & (MONITOR_SHOWN | MONITOR_LISTING) && handle >= 0 && handle < (pal_handle_t)HANDLES_MAX)
        handle_flags[handle] = flags & OF_COPY ? MONITORS | OF_COPY : (uint8_t)flags;
}

/* From a directory that the view has not, but of which it may show what lies in it; or has, as long as it is unchanged. */
static bool way_in_copy(const struct pal_name *name, struct way *way, uint32_t flags)
{
    const char *rest = way->path;
    if (!__atomic_load_n(&shared->copies, __ATOMIC_RELAXED) || !name->size || name->path[0] != '/' ||
        !way_from_root(name, way) || !way->copied)
        return false;
    if (flags & OF_COPY && way->mount_size <= name->base && copies_opened_held(name->from->handle)) {
        way->from = name->from->handle;
        way->path = rest;
    }
    return true;
}

static bool find_way(const struct pal_name *name, struct way *way)
{
    if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != VIEW_THERE || name->path[name->size])
        return false;
    if (!name->from) {
        if (!name->size || name->path[0] != '/' || !way_from_root(name, way))
            return false;
    } else {
        way->path = name->path + name->base;
        while (*way->path == '/')
            way->path++;
        if (name->base > name->size || !*way->path || name->from->handle < 0)
            return false;
        way->from = name->from->handle;
        way->flags = way->from < HANDLES_MAX ? flags_of((pal_handle_t)way->from) : MONITORS;
        way->copied = false;
        if (way->flags & MONITORS) /* it makes flags of its own */
            return way_in_copy(name, way, way->flags) && !is_private(way->path);
        if (way->flags & STANDS_FOR)
            way->from = substitute_of((pal_handle_t)way->from);
    }
    return !is_private(way->path);
}

/* Is it the kernel's to say?  What a private mount has not the monitor takes down, should the program fail for it. */
static bool is_final(const struct way *way, int64_t result)
{
    if (way->copied && (result == -ENOTDIR || !copies_hold(&way->copies, NULL)))
        return false;
    return result >= 0 || (result == -ENOENT && !(way->flags & MONITOR_SHOWN_SCRATCH)) || result == -ENAMETOOLONG ||
           (result == -ENOTDIR && way->flags & OPENED_HERE);
}

/*
 * What leads out of a mount's copy may be an absolute symlink at the end of the name, such as that of ld.so: then `to` is
 * where it leads, by whole path, and `room` has its bytes.
 */
static bool follow_end(const struct way *way, int64_t result, struct pal_name *to, struct pal_path_buffer *room)
{
    if (result != -EACCES || to->nofollow)
        return false;
    int64_t size = host_call(readlinkat, way->from, way->path, room->bytes, PAL_PATH_MAX - 1);
    if (size <= 0 || size >= PAL_PATH_MAX - 1 || room->bytes[0] != '/')
        return false;
    room->bytes[size] = 0;
    room->size = (uint32_t)size;
    *to = (struct pal_name){.path = room->bytes, .size = room->size};
    return true;
}

/* ---- Owners ------------------------------------------------------------------------------------------------------ */

void view_note_owner(const struct pal_attributes *attributes)
{
    if (shared->names == LINUX_NAMES_MAPPED)
        owners[attributes->inode % OWNERS_MAX] =
            (struct owner){attributes->inode, attributes->ctime, attributes->uid, attributes->gid};
}

/*
 * In a user namespace all ids but the own ones show as nobody.  In a tree of the system's own that is root, where nothing
 * hangs on it.  False: only the monitor knows.
 */
static bool find_owner(struct pal_attributes *attributes, uint32_t flags)
{
    const struct owner *owner = &owners[attributes->inode % OWNERS_MAX];
    if (shared->names != LINUX_NAMES_MAPPED || (attributes->uid != LINUX_NOBODY && attributes->gid != LINUX_NOBODY))
        return true;
    if (owner->inode == attributes->inode && owner->ctime == attributes->ctime) {
        attributes->uid = owner->uid;
        attributes->gid = owner->gid;
        return true;
    }
    if (!(flags & MONITOR_SHOWN_PLAIN) || attributes->mode & (S_ISUID | S_ISGID) ||
        (attributes->mode >> 3 & 7) != (attributes->mode & 7))
        return false;
    attributes->uid = attributes->uid == LINUX_NOBODY ? 0 : attributes->uid;
    attributes->gid = attributes->gid == LINUX_NOBODY ? 0 : attributes->gid;
    return true;
}

static int64_t ask_attributes(pal_handle_t handle, struct pal_attributes *out)
{
    const struct pal_base from = {.handle = handle};
    const struct pal_name name = {.path = "", .from = &from};
    struct monitor_request request = {.op = MONITOR_STAT};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, &name, NULL, &reply, NULL, NULL);
    if (error < 0)
        return error;
    *out = reply.attributes;
    view_note_owner(out);
    return 0;
}

/* A directory in a lower layer that is not what the handle tells of it any more. */
static bool is_changed_copy(pal_handle_t handle)
{
    if (handle >= (pal_handle_t)HANDLES_MAX)
        return true; /* it may be one */
    if (!handle_flags[handle] && shared->names && !shared->view)
        return false; /* it is a listing */
    uint32_t flags = flags_of(handle);
    return flags & OF_COPY && flags & MONITORS && (flags & STANDS_FOR || !copies_opened_holds(handle));
}

int64_t view_handle_attributes(pal_handle_t handle, struct pal_attributes *attributes)
{
    bool changed = shared->copies && attributes->type == PAL_TYPE_DIRECTORY && is_changed_copy(handle);
    if (!changed && (!shared->names || (attributes->mode != LINUX_LISTING_MODE && find_owner(attributes, 0))))
        return 0;
    return ask_attributes(handle, attributes);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static bool host_flags(const struct pal_name *name, uint32_t flags, const struct way *way, uint64_t *out)
{
    const uint32_t known = PAL_OPEN_READ | PAL_OPEN_DIRECTORY | PAL_OPEN_NOFOLLOW | PAL_OPEN_NONBLOCK | PAL_OPEN_PATH |
                           (way->flags & MONITOR_SHOWN_PROGRAMS ? PAL_OPEN_EXECUTE : 0);
    if (flags & ~known || !(flags & (PAL_OPEN_READ | PAL_OPEN_PATH)) ||
        (flags & PAL_OPEN_PATH && !(flags & PAL_OPEN_DIRECTORY)))
        return false;
    *out = (flags & PAL_OPEN_DIRECTORY ? O_DIRECTORY : 0) | (way->copied || flags & PAL_OPEN_NOFOLLOW || name->nofollow ? O_NOFOLLOW : 0);
    /* A FIFO without a writer would hold us up. */
    if (flags & PAL_OPEN_NONBLOCK || !(flags & PAL_OPEN_DIRECTORY || way->flags & MONITOR_SHOWN_PLAIN))
        *out |= O_NONBLOCK;
    return true;
}

/* What a directory is called: its parent's name and its own, where that is no symlink. */
static void tell_path(const struct pal_name *name, uint64_t flags, struct pal_path_buffer *out)
{
    if (!out || !name->from || !name->size || name->path[0] != '/' || !(flags & O_NOFOLLOW))
        return;
    const char *last = name->path + name->base;
    uint32_t size = name->size - name->base;
    bool dots = last[0] == '.' && (size == 1 || (size == 2 && last[1] == '.'));
    for (uint32_t i = 0; i < size; i++)
        if (last[i] == '/')
            return;
    if (dots)
        return;
    memcpy(out->bytes, name->path, name->size + 1);
    out->size = name->size;
}

/* May the guest have it so?  A FIFO only where it may write; a program where anybody may execute it. */
static bool is_good(const struct pal_attributes *attributes, const struct way *way, uint32_t flags)
{
    if (flags & PAL_OPEN_EXECUTE && (attributes->type != PAL_TYPE_FILE || (attributes->mode & 0111) != 0111))
        return false;
    if (way->copied && (attributes->type == PAL_TYPE_FIFO || !copies_hold(&way->copies, attributes)))
        return false;
    return attributes->device != own_device &&
           (attributes->type == PAL_TYPE_FILE || attributes->type == PAL_TYPE_DIRECTORY ||
            (attributes->type == PAL_TYPE_FIFO && way->flags & MONITOR_SHOWN_WRITABLE));
}

bool view_open(const struct pal_name *name, uint32_t flags, pal_handle_t *out, struct pal_attributes *out_attributes,
               struct pal_path_buffer *escape, int64_t *result)
{
    struct way way;
    struct pal_attributes attributes;
    struct pal_path_buffer target;
    struct pal_name asked = *name;
    uint64_t how;
    int64_t fd;
    uint32_t links = 0;
    asked.nofollow |= (flags & PAL_OPEN_NOFOLLOW) != 0;
    do {
        if (!find_way(&asked, &way) || !host_flags(&asked, flags, &way, &how))
            return false;
        fd = host_call(openat, way.from, way.path, how);
    } while (links++ < LINKS_FOLLOWED && follow_end(&way, fd, &asked, &target));
    *result = fd;
    if (fd < 0)
        return is_final(&way, fd);
    if (stream_status(fd, &attributes) < 0 || !is_good(&attributes, &way, flags)) {
        host_call(close, fd);
        return false;
    }
    if (how & O_NONBLOCK && !(flags & PAL_OPEN_NONBLOCK))
        host_call(fcntl, fd, F_SETFL, 0);
    if (attributes.type == PAL_TYPE_DIRECTORY && way.copied && !copies_opened(&asked, &way.copies, (pal_handle_t)fd)) {
        host_call(close, fd);
        return false;
    }
    if (attributes.type == PAL_TYPE_DIRECTORY) {
        if (fd < HANDLES_MAX)
            handle_flags[fd] = way.copied ? MONITORS | OF_COPY : (uint8_t)(way.flags & OF_MOUNT) | OPENED_HERE;
        tell_path(name, how, escape);
    }
    if (find_owner(&attributes, way.flags))
        view_note_owner(&attributes);
    else if (ask_attributes((pal_handle_t)fd, &attributes) < 0) {
        linux_handle_close((pal_handle_t)fd);
        return false;
    }
    *out = (pal_handle_t)fd;
    *result = 0;
    if (out_attributes)
        *out_attributes = attributes;
    return true;
}

void view_closed(pal_handle_t handle)
{
    copies_closed(handle);
    if (handle < 0 || handle >= (pal_handle_t)HANDLES_MAX || !handle_flags[handle])
        return;
    if (handle_flags[handle] & STANDS_FOR)
        host_call(close, substitute_of(handle));
    substitutes[handle] = 0;
    handle_flags[handle] = 0;
}

/* ---- Attributes, symlinks ---------------------------------------------------------------------------------------- */

static int64_t nanoseconds(const struct statx_timestamp *time)
{
    return time->tv_sec * (int64_t)NS_PER_SECOND + time->tv_nsec;
}

/* As the C library's makedev. */
static uint64_t device_of(uint64_t major, uint64_t minor)
{
    return (major & 0xfffff000u) << 32 | (major & 0xfffu) << 8 | (minor & 0xffffff00u) << 12 | (minor & 0xffu);
}

bool view_attributes(const struct pal_name *name, struct pal_attributes *out, int64_t *result)
{
    struct way way;
    struct statx status;
    struct pal_path_buffer target;
    struct pal_name asked = *name;
    uint32_t links = 0;
    do {
        if (!find_way(&asked, &way))
            return false;
        *result = host_call(statx, way.from, way.path, AT_NO_AUTOMOUNT | (asked.nofollow || way.copied ? AT_SYMLINK_NOFOLLOW : 0),
                            STATX_BASIC_STATS | STATX_BTIME, &status);
    } while (links++ < LINKS_FOLLOWED && follow_end(&way, *result, &asked, &target));
    if (*result < 0)
        return is_final(&way, *result);
    struct pal_attributes attributes = {
        .device = device_of(status.stx_dev_major, status.stx_dev_minor),
        .inode = status.stx_ino,
        .rdevice = device_of(status.stx_rdev_major, status.stx_rdev_minor),
        .size = status.stx_size,
        .blocks = status.stx_blocks,
        .mode = status.stx_mode,
        .links = status.stx_nlink,
        .uid = status.stx_uid,
        .gid = status.stx_gid,
        .block_size = status.stx_blksize,
        .type = stream_type(status.stx_mode),
        .atime = nanoseconds(&status.stx_atime),
        .mtime = nanoseconds(&status.stx_mtime),
        .ctime = nanoseconds(&status.stx_ctime),
        .btime = status.stx_mask & STATX_BTIME ? nanoseconds(&status.stx_btime) : 0,
    };
    if (attributes.device == own_device || !find_owner(&attributes, way.flags))
        return false;
    if (way.copied && ((attributes.type == PAL_TYPE_SYMLINK && !name->nofollow) || !copies_hold(&way.copies, &attributes)))
        return false;
    *out = attributes;
    return true;
}

bool view_has_directory(int64_t root, const char *path, uint32_t size)
{
    char text[PAL_PATH_MAX];
    struct statx status;
    while (size && *path == '/')
        path++, size--;
    if (!size || size >= sizeof text)
        return false;
    memcpy(text, path, size);
    text[size] = 0;
    return host_call(statx, root, text, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE, &status) == 0 &&
           stream_type(status.stx_mode) == PAL_TYPE_DIRECTORY &&
           device_of(status.stx_dev_major, status.stx_dev_minor) != own_device;
}

bool view_readlink(const struct pal_name *name, struct pal_path_buffer *out, int64_t *result)
{
    struct way way;
    if (!name->nofollow || !find_way(name, &way))
        return false;
    *result = host_call(readlinkat, way.from, way.path, out->bytes, PAL_PATH_MAX - 1);
    if (*result < 0)
        return (*result == -EINVAL && !way.copied) || is_final(&way, *result);
    if (way.copied && !copies_hold(&way.copies, NULL))
        return false;
    out->size = (uint32_t)*result;
    out->bytes[out->size] = 0;
    return true;
}

/* ---- Listings ---------------------------------------------------------------------------------------------------- */

struct record { uint64_t inode; int64_t next; uint16_t size; };

/* Whole records of those that lie at `at`: their size, or -errno. */
static int64_t records_at(pal_handle_t listing, int64_t at, uint64_t size)
{
    char bytes[PAL_PAGE_SIZE] __attribute__((aligned(8)));
    uint64_t used = 0;
    int64_t got = host_call(pread64, listing, bytes, size < sizeof bytes ? size : sizeof bytes, at);
    if (got <= 0)
        return got;
    for (;;) {
        struct record record;
        if (used + sizeof record > (uint64_t)got)
            break;
        memcpy(&record, bytes + used, sizeof record);
        if (record.size < sizeof record || used + record.size > (uint64_t)got)
            break;
        used += record.size;
    }
    return used ? (int64_t)used : -EINVAL;
}

/* In the strict form it is a directory itself. */
static int64_t list_beside(pal_handle_t handle, pal_handle_t directory, int64_t at, uint64_t buffer, uint64_t size)
{
    host_call(lseek, directory, at, 0 /* SEEK_SET */);
    int64_t result = host_call(getdents64, directory, buffer, size > INT32_MAX ? INT32_MAX : size);
    at = host_call(lseek, directory, 0, 1 /* SEEK_CUR */);
    if (result > 0)
        host_call(lseek, handle, at, 0 /* SEEK_SET */);
    return result;
}

/* handle: whose offset it is; listing: that itself, or what has the entries in its place. */
static int64_t list(pal_handle_t handle, pal_handle_t listing, bool fill, uint64_t buffer, uint64_t size)
{
    struct monitor_request request = {.op = MONITOR_LIST, .arguments = {(uint64_t)listing, 0}};
    struct monitor_reply reply;
    int64_t at = host_call(lseek, handle, 0, 1 /* SEEK_CUR */), result;
    if (handle != listing && (result = list_beside(handle, listing, at, buffer, size)) != -ENOTDIR)
        return result;
    int64_t error = at == 0 || fill ? monitor_call(&request, NULL, NULL, &reply, NULL, NULL) : 0;
    int64_t used = error < 0 ? error : records_at(listing, at, size);
    if (used <= 0)
        return used;
    if (handle == listing)
        return host_call(read, handle, buffer, used);
    used = host_call(pread64, listing, buffer, used, at);
    return used < 0 || (error = host_call(lseek, handle, at + used, 0 /* SEEK_SET */)) >= 0 ? used : error;
}

int64_t view_list(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    struct stat status;
    if (!shared->names || host_call(fstat, handle, &status) < 0 || status.st_mode != LINUX_LISTING_MODE)
        return -ENOTDIR;
    return list(handle, handle, false, buffer, size);
}

/* The monitor's listing of what the handle has open; -ENOTDIR: the handle itself is right. */
static int64_t open_listing(pal_handle_t handle, pal_handle_t *out)
{
    const struct pal_base from = {.handle = handle};
    const struct pal_name name = {.path = "", .from = &from};
    struct monitor_request request = {.op = MONITOR_OPEN, .flags = PAL_OPEN_READ | PAL_OPEN_DIRECTORY};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    int64_t error = monitor_call(&request, &name, NULL, &reply, NULL, handles);
    if (error == 0 && reply.value & MONITOR_SHOWN) {
        host_call(close, handles[0]);
        return -ENOTDIR;
    }
    *out = error < 0 ? PAL_NO_HANDLE : handles[0];
    return error;
}

/* Nothing is known of such a handle from one call to the next. */
static int64_t list_large(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    pal_handle_t listing;
    struct stat status;
    if (host_call(fstat, handle, &status) < 0 || stream_type(status.st_mode) != PAL_TYPE_DIRECTORY)
        return -ENOTDIR;
    int64_t result = open_listing(handle, &listing);
    if (result < 0)
        return result;
    result = list(handle, listing, true, buffer, size);
    host_call(close, listing);
    return result;
}

/* What changes while it is read may show or not. */
static bool may_go_on(pal_handle_t handle)
{
    return !(handle_flags[handle] & STANDS_FOR) && host_call(lseek, handle, 0, 1 /* SEEK_CUR */) != 0;
}

int64_t view_list_copy(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    pal_handle_t listing;
    if (handle >= (pal_handle_t)HANDLES_MAX)
        return list_large(handle, buffer, size);
    if (!is_changed_copy(handle) || may_go_on(handle))
        return -ENOTDIR;
    if (!(handle_flags[handle] & STANDS_FOR)) {
        int64_t error = open_listing(handle, &listing);
        if (error < 0)
            return error;
        if (substitute(handle, listing))
            __atomic_or_fetch(&handle_flags[handle], STANDS_FOR, __ATOMIC_RELEASE);
        else
            host_call(close, listing);
    }
    return list(handle, substitute_of(handle), false, buffer, size);
}
