/* SPDX-License-Identifier: MIT */
/*
 * Requests are hostile bytes: everything is checked here, before anything is done, and nothing is read twice.  The
 * packet is the monitor's own copy; only what its rule allows gets through.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/monitor/monitor.h"

#define MODE_BITS 07777u
#define OPEN_BITS                                                                                                      \
    (PAL_OPEN_READ | PAL_OPEN_WRITE | PAL_OPEN_CREATE | PAL_OPEN_EXCLUSIVE | PAL_OPEN_TRUNCATE | PAL_OPEN_APPEND |     \
     PAL_OPEN_DIRECTORY | PAL_OPEN_NOFOLLOW | PAL_OPEN_NONBLOCK | PAL_OPEN_PATH | PAL_OPEN_TEMPORARY | PAL_OPEN_SYNC | \
     PAL_OPEN_EXECUTE)
#define SET_BITS                                                                                                       \
    (PAL_SET_MODE | PAL_SET_OWNER | PAL_SET_GROUP | PAL_SET_ATIME | PAL_SET_MTIME | PAL_SET_SIZE | PAL_SET_ATIME_NOW | \
     PAL_SET_MTIME_NOW)
#define CHANGE_BITS (MONITOR_NOFOLLOW | 0xfu)
#define LOCAL_BITS (MONITOR_ABSTRACT | MONITOR_INET | 3u)
#define CREATE_BITS (PAL_OBJ_NONBLOCK | PAL_OBJ_PACKET | PAL_OBJ_SEMAPHORE | PAL_OBJ_SEALABLE)
#define OBJECT_BITS 0xfu

enum path { PATH_NONE, PATH_NAME, PATH_MAYBE, PATH_LOCAL /* or an abstract name, or a struct pal_inet: any bytes */, PATH_DESCRIPTORS };
enum other { OTHER_NONE, OTHER_NAME, OTHER_INFO, OTHER_BYTES, OTHER_PREFETCH, OTHER_MODES };

/* What each operation may carry. */
static const struct rule {
    enum path path;
    enum other other;
    uint32_t flags, mode;
    uint64_t largest[2]; /* of the arguments */
} rules[MONITOR_OPS] = {
    [MONITOR_OPEN] = {.path = PATH_NAME, .flags = OPEN_BITS, .mode = MODE_BITS},
    [MONITOR_STAT] = {.path = PATH_NAME, .flags = MONITOR_NOFOLLOW | MONITOR_VALIDITY},
    [MONITOR_SET] = {.path = PATH_NAME, .flags = MONITOR_NOFOLLOW, .mode = SET_BITS},
    [MONITOR_CHANGE] = {.path = PATH_NAME, .other = OTHER_NAME, .flags = CHANGE_BITS, .mode = MODE_BITS},
    [MONITOR_READLINK] = {.path = PATH_NAME, .flags = MONITOR_NOFOLLOW | MONITOR_VALIDITY},
    [MONITOR_CANONICAL] = {.path = PATH_NAME, .flags = MONITOR_VALIDITY},
    [MONITOR_INTERRUPT] = {.largest = {INT_MAX, 1}},
    [MONITOR_VIEW] = {.path = PATH_NONE},
    [MONITOR_UNCHANGED] = {.path = PATH_NAME},
    [MONITOR_MULTIPLY] = {.path = PATH_NONE},
    [MONITOR_LIST] = {.largest = {INT_MAX, 0}},
    [MONITOR_SPACE] = {.largest = {MOUNTS_MAX - 1, 0}},
    [MONITOR_LOOK] = {.largest = {INT_MAX, 0}},
    [MONITOR_EXPORT] = {.largest = {INT_MAX, 0}},
    [MONITOR_IMPORT] = {.largest = {UINT64_MAX, 1}},
    [MONITOR_CREATE] = {.flags = CREATE_BITS, .mode = OBJECT_BITS, .largest = {INT64_MAX, 0}},
    [MONITOR_PTY_INNER] = {.largest = {INT_MAX, 1}},
    [MONITOR_TERMINAL] = {.other = OTHER_MODES, .largest = {(uint64_t)(MONITOR_TERMINAL_OPS - 1) << 32 | INT_MAX, UINT64_MAX}},
    [MONITOR_SET_OPENED] = {.mode = SET_BITS, .largest = {INT_MAX, 0}},
    [MONITOR_NOTIFY] = {.path = PATH_NAME, .flags = MONITOR_NOFOLLOW},
    [MONITOR_NOTIFY_END] = {.largest = {INT_MAX, INT_MAX}},
    [MONITOR_SHUTDOWN] = {.largest = {INT_MAX, SHUT_RDWR}},
    [MONITOR_OPTION] = {.other = OTHER_BYTES, .largest = {INT_MAX, UINT64_MAX}},
    [MONITOR_ALLOCATE] = {.mode = MONITOR_ALLOCATE_MODES, .largest = {INT_MAX, 0}},
    [MONITOR_SEND] = {.path = PATH_DESCRIPTORS, .other = OTHER_BYTES},
    [MONITOR_TEE] = {.largest = {(uint64_t)INT_MAX << 32 | INT_MAX, INT_MAX}},
    [MONITOR_EXTENDED] = {.path = PATH_MAYBE, .other = OTHER_BYTES, .flags = MONITOR_NOFOLLOW, .mode = 0x33},
    [MONITOR_BIND] = {.path = PATH_LOCAL, .flags = LOCAL_BITS},
    [MONITOR_LISTEN] = {.other = OTHER_INFO, .largest = {UINT64_MAX, INT_MAX}},
    [MONITOR_START] = {.path = PATH_NAME, .other = OTHER_PREFETCH, .flags = PAL_OPEN_READ | PAL_OPEN_EXECUTE},
    [MONITOR_CONNECT] = {.path = PATH_LOCAL, .other = OTHER_INFO, .flags = LOCAL_BITS},
};

static int check_path(const char *path, size_t size)
{
    if (!size)
        return -ENOENT;
    if (size >= PAL_PATH_MAX)
        return -ENAMETOOLONG;
    if (memchr(path, 0, size))
        return -EINVAL;
    return 0;
}

/* A name: absolute, or from a descriptor, then perhaps nothing. */
static int check_name(const struct monitor_base *from, const char *path, size_t size)
{
    if (from->descriptor > (uint32_t)INT_MAX + 1 || from->reserved)
        return -EINVAL;
    if (from->descriptor && !size)
        return 0;
    int error = check_path(path, size);
    return !error && (path[0] == '/') == (from->descriptor != 0) ? -EINVAL : error;
}

static bool is_base(const struct monitor_base *base)
{
    return base->descriptor || base->reserved || base->device || base->inode;
}

static int check_local(const struct request *request)
{
    uint32_t kind = request->flags & ~(MONITOR_ABSTRACT | MONITOR_INET);
    if (!kind)
        return -EINVAL;
    if (request->flags & MONITOR_INET)
        return request->flags & MONITOR_ABSTRACT || kind == PAL_SOCKET_PACKET ||
                       request->path_size != sizeof(struct pal_inet)
                   ? -EINVAL : 0;
    if (!(request->flags & MONITOR_ABSTRACT))
        return 0;
    if ((!request->path_size && request->op != MONITOR_BIND) || is_base(&request->from_base))
        return -EINVAL;
    return request->path_size <= UNIX_NAME_MAX ? 0 : -EINVAL;
}

static int check_change(const struct request *request)
{
    uint32_t op = request->flags & ~MONITOR_NOFOLLOW;
    if (op > PAL_MKSOCKET)
        return -EINVAL;
    if (op == PAL_RENAME && request->mode & ~(uint32_t)(PAL_RENAME_NOREPLACE | PAL_RENAME_EXCHANGE))
        return -EINVAL;
    bool wants = op == PAL_RENAME || op == PAL_LINK || op == PAL_SYMLINK;
    if (!wants)
        return request->other_size ? -EINVAL : 0;
    if (op == PAL_SYMLINK)
        return check_path(request->other, request->other_size);
    return request->other_size ? check_name(&request->other_base, request->other, request->other_size) : -ENOENT;
}

/* Pipes and terminals are made in other ways. */
static int check_create(const struct request *request)
{
    switch (request->mode) {
    case PAL_OBJECT_EVENT: return request->arguments[0] <= UINT32_MAX ? 0 : -EINVAL;
    case PAL_OBJECT_SECTION: return 0;
    case PAL_OBJECT_STREAM_PAIR:
    case PAL_OBJECT_PACKET_PAIR:
    case PAL_OBJECT_NOTIFY:
    case PAL_OBJECT_POLL_SET: return request->arguments[0] ? -EINVAL : 0;
    default: return -EINVAL;
    }
}

/* Kinds and absolute paths, each with its NUL. */
static int check_prefetch(const char *list, size_t size)
{
    size_t count = 0;
    while (size) {
        const char *end = memchr(list, 0, size);
        bool known = *list == MONITOR_READS || *list == MONITOR_EXECUTES;
        if (!known || !end || list[1] != '/' || ++count > MONITOR_PREFETCH_MAX)
            return -EINVAL;
        size -= (size_t)(end + 1 - list);
        list = end + 1;
    }
    return 0;
}

static int check_modes(const struct request *request)
{
    bool wants = request->arguments[0] >> 32 == MONITOR_TERMINAL_MODES;
    return request->other_size == (wants ? sizeof(struct pal_terminal) : 0) ? 0 : -EINVAL;
}

static int check_send(const struct request *request)
{
    size_t count = request->path_size / sizeof(int32_t);
    if (request->path_size % sizeof(int32_t) || !count || count > PAL_MESSAGE_HANDLES)
        return -EINVAL;
    return request->arguments[0] > INT_MAX || request->arguments[1] ? -EINVAL : 0;
}

int request_decode(const void *packet, size_t size, struct request *out)
{
    struct monitor_request header;
    out->sequence = 0;
    if (size < offsetof(struct monitor_request, flags))
        return -EBADMSG;
    memcpy(&header, packet, size < sizeof header ? size : sizeof header);
    out->sequence = header.sequence;
    if (size < sizeof header)
        return -EINVAL;
    uint32_t other_most = header.op == MONITOR_SEND ? MONITOR_SEND_MAX : PAL_PATH_MAX - 1;
    if (header.path_size >= PAL_PATH_MAX || header.other_size > other_most)
        return -ENAMETOOLONG;
    if (size != sizeof header + header.path_size + header.other_size)
        return -EINVAL;
    if (header.op == 0 || header.op >= MONITOR_OPS)
        return -ENOSYS;
    const struct rule *rule = &rules[header.op];
    if (header.flags & ~rule->flags || header.mode & ~rule->mode)
        return -EINVAL;
    out->op = header.op;
    out->flags = header.flags;
    out->mode = header.mode;
    out->path = (const char *)packet + sizeof header;
    out->path_size = header.path_size;
    out->other = out->path + header.path_size;
    out->other_size = header.other_size;
    out->values = header.values;
    for (int i = 0; i < 2; i++) {
        out->arguments[i] = header.arguments[i];
        if (!rule->path && header.arguments[i] > rule->largest[i])
            return -EINVAL;
    }
    bool text = rule->path == PATH_NAME || (rule->path == PATH_MAYBE && out->path_size) ||
                (rule->path == PATH_LOCAL && !(header.flags & (MONITOR_ABSTRACT | MONITOR_INET)));
    if ((rule->path == PATH_NONE && out->path_size) || (rule->other == OTHER_NONE && out->other_size) ||
        (rule->other == OTHER_INFO && out->other_size > PAL_SOCKET_INFO))
        return -EINVAL;
    out->from = out->other_from = NULL;
    out->from_base = header.from;
    out->other_base = header.other_from;
    bool names_two = header.op == MONITOR_CHANGE && (header.flags & ~MONITOR_NOFOLLOW) != PAL_SYMLINK;
    if ((!text && rule->path != PATH_LOCAL && is_base(&header.from)) || (!names_two && is_base(&header.other_from)))
        return -EINVAL;
    int error = text ? check_name(&out->from_base, out->path, out->path_size) : 0;
    if (!error && rule->other == OTHER_MODES)
        error = check_modes(out);
    if (!error && rule->other == OTHER_PREFETCH)
        error = check_prefetch(out->other, out->other_size);
    if (!error && rule->path == PATH_LOCAL)
        error = check_local(out);
    if (!error && header.op == MONITOR_CHANGE)
        error = check_change(out);
    if (!error && header.op == MONITOR_CREATE)
        error = check_create(out);
    if (!error && rule->path == PATH_DESCRIPTORS)
        error = check_send(out);
    if (!error && header.op == MONITOR_EXTENDED && out->arguments[0] > INT_MAX)
        error = -EINVAL;
    if (!error && header.op == MONITOR_NOTIFY && (out->arguments[0] > INT_MAX || out->arguments[1] > UINT32_MAX))
        error = -EINVAL;
    if (!error && (header.values.atime == INT64_MIN || header.values.mtime == INT64_MIN))
        error = -EINVAL; /* the one time that can't be negated */
    return error;
}
