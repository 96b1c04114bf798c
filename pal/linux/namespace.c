/* SPDX-License-Identifier: MIT */
/*
 * Names: opening, attributes and changes, all by the monitor, which resolves them.
 *
 * Answers that pal-run sent ahead (struct linux_prefetched) save the round trip; names that begin at a directory match by what
 * that was called, for it can't have been renamed.  They hold only while nothing was changed
 * since the sandbox began: a process about to change a name or a file moves shared->generation first, once and for
 * all.  A descriptor sent ahead serves one open in the whole sandbox, although fork copies it: two opens that share
 * one offset would be wrong.
 */
#include <stdbool.h>

#include "pal/linux/linux.h"

#define PREFETCH_NO_DESCRIPTOR (-1000)
#define PREFETCH_CYCLES 10000000000ull /* a few seconds: what the host has may change afterwards */

static void names_change(void)
{
    __atomic_fetch_add(&shared->generation, 1, __ATOMIC_ACQ_REL);
}

/* The answer sent ahead for what this name leads to, or NULL.  A final symlink itself is never sent ahead. */
static struct linux_prefetched *prefetch_find(const struct pal_name *name, bool with_descriptor)
{
    if (!name_is_path(name) || name->nofollow || __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE) != linux_start_generation ||
        __builtin_ia32_rdtsc() - linux_start_cycles > PREFETCH_CYCLES)
        return NULL;
    struct linux_prefetched *prefetch = (struct linux_prefetched *)shared->prefetched;
    for (uint64_t i = 0; i < shared->prefetched_count; i++)
        if (prefetch[i].path_size == name->size && !memcmp((const char *)prefetch[i].path, name->path, name->size) &&
            !(with_descriptor && prefetch[i].descriptor == PREFETCH_NO_DESCRIPTOR)) /* that one is used up: the next */
            return &prefetch[i];
    return NULL;
}

/* 1: served (0 or an error in *result). */
static int open_prefetched(const struct pal_name *name, uint32_t flags, pal_handle_t *out,
                      struct pal_attributes *out_attributes, int64_t *result)
{
    if (flags & PAL_OPEN_DIRECTORY)
        flags &= ~(uint32_t)PAL_OPEN_NONBLOCK; /* opendir's, without a meaning */
    if (!(flags & PAL_OPEN_READ) || flags & ~(uint32_t)(PAL_OPEN_READ | PAL_OPEN_DIRECTORY | PAL_OPEN_EXECUTE))
        return 0;
    struct linux_prefetched *prefetch = prefetch_find(name, true);
    if (!prefetch)
        return 0;
    int32_t descriptor = __atomic_load_n(&prefetch->descriptor, __ATOMIC_RELAXED);
    if (descriptor < 0 && descriptor != PREFETCH_NO_DESCRIPTOR) {
        *result = descriptor;
        return 1;
    }
    if ((flags & PAL_OPEN_DIRECTORY && prefetch->attributes.type != PAL_TYPE_DIRECTORY) ||
        (flags & PAL_OPEN_EXECUTE && !(prefetch->attributes.mode & 0111)))
        return 0; /* an error, but which one is the monitor's to say */
    descriptor = __atomic_exchange_n(&prefetch->descriptor, PREFETCH_NO_DESCRIPTOR, __ATOMIC_ACQ_REL);
    if (descriptor < 0)
        return 0;
    *out = descriptor;
    if (out_attributes)
        *out_attributes = prefetch->attributes;
    *result = 0;
    return 1;
}

/* What a program may have asked to have answered with it; 0: not this. */
static uint32_t prefetch_exec_kind(const struct pal_name *name, uint32_t flags)
{
    if (name->nofollow || !name_is_path(name))
        return 0;
    return flags == PAL_OPEN_READ ? MONITOR_READS : flags == (PAL_OPEN_READ | PAL_OPEN_EXECUTE) ? MONITOR_EXECUTES : 0;
}

int64_t linux_stream_open(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                          struct pal_attributes *out_attributes, struct pal_path_buffer *escape)
{
    int64_t result;
    uint32_t start = flags & PAL_OPEN_START, kind = prefetch_exec_kind(name, flags &= ~(uint32_t)PAL_OPEN_START);
    if (escape)
        escape->size = 0;
    if (open_prefetched(name, flags, out, out_attributes, &result)) {
        if (kind)
            prefetch_exec_note(name, kind, result);
        return result;
    }
    if (start && escape && !view_open(name, flags, out, out_attributes, escape, &result))
        return prefetch_exec_open(name, flags, out, out_attributes, escape);
    if (start && escape) {
        prefetch_exec_leave(0);
        return result;
    }
    if (kind && prefetch_exec_take(name, kind, out, out_attributes, &result))
        return result;
    if (view_open(name, flags, out, out_attributes, escape, &result))
        return result;
    if (flags & (PAL_OPEN_WRITE | PAL_OPEN_CREATE | PAL_OPEN_TRUNCATE | PAL_OPEN_TEMPORARY)) {
        linux_may_use(LINUX_CLASS_FILES); /* cut it, or sync it */
        names_change();
    }
    struct monitor_request request = {
        .op = MONITOR_OPEN, .flags = flags | (name->nofollow ? PAL_OPEN_NOFOLLOW : 0u), .mode = mode};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    result = monitor_call(&request, name, NULL, &reply, escape, handles);
    if (kind)
        prefetch_exec_note(name, kind, result);
    if (result < 0)
        return result;
    *out = handles[0];
    view_note_owner(&reply.attributes);
    bool told = reply.value || shared->names || reply.attributes.type != PAL_TYPE_DIRECTORY;
    view_opened(*out, told ? reply.value : MONITOR_LISTING); /* without a view: only of a copy mount is it one to ask about */
    if (out_attributes)
        *out_attributes = reply.attributes;
    return 0;
}

/* A request that only looks: its answer may be kept, if the caller wants that. */
static int64_t call_validity(struct monitor_request *request, const struct pal_name *name, struct monitor_reply *reply,
                            struct pal_path_buffer *text)
{
    if (!name->validity)
        return monitor_call(request, name, NULL, reply, text, NULL);
    request->flags |= MONITOR_VALIDITY;
    reply->value = 0; /* should no reply come */
    validity_begin(name->validity);
    int64_t result = monitor_call(request, name, NULL, reply, text, NULL);
    validity_end(name->validity, reply->value);
    return result;
}

int64_t linux_attributes_get(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                             struct pal_path_buffer *escape)
{
    if (handle != PAL_NO_HANDLE)
        return stream_attributes(handle, out);
    if (!name)
        return -EINVAL;
    bool to_keep = name->validity && !(name->validity->parts & PAL_VALID_LATER);
    const struct linux_prefetched *prefetch = to_keep ? NULL : prefetch_find(name, false);
    if (prefetch) {
        int32_t descriptor = __atomic_load_n(&prefetch->descriptor, __ATOMIC_RELAXED);
        if (descriptor < 0 && descriptor != PREFETCH_NO_DESCRIPTOR)
            return descriptor;
        *out = prefetch->attributes;
        return 0;
    }
    struct monitor_request request = {.op = MONITOR_STAT, .flags = name->nofollow ? MONITOR_NOFOLLOW : 0};
    struct monitor_reply reply;
    int64_t result;
    if (!name->validity && view_attributes(name, out, &result))
        return result;
    int64_t error = call_validity(&request, name, &reply, escape);
    if (error < 0)
        return error;
    *out = reply.attributes;
    return 0;
}

int64_t linux_attributes_set(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                             uint32_t mask, struct pal_path_buffer *escape)
{
    struct monitor_request request = {.op = MONITOR_SET, .values = *values};
    struct monitor_reply reply;
    int64_t error = 0;
    if (handle != PAL_NO_HANDLE) {
        if (mask & PAL_SET_SIZE)
            linux_uses(LINUX_CLASS_FILES);
        if (mask & PAL_SET_SIZE)
            error = host_call(ftruncate, handle, values->size);
        mask &= ~(uint32_t)PAL_SET_SIZE;
        if (error < 0 || !mask)
            return error;
        request.op = MONITOR_SET_OPENED;
        request.arguments[0] = (uint64_t)handle;
    } else if (!name) {
        return -EINVAL;
    }
    names_change();
    request.flags = handle == PAL_NO_HANDLE && name->nofollow ? MONITOR_NOFOLLOW : 0;
    request.mode = mask;
    return monitor_call(&request, handle == PAL_NO_HANDLE ? name : NULL, NULL, &reply, escape, NULL);
}

int64_t linux_name_change(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                          struct pal_path_buffer *escape)
{
    if (op > PAL_MKSOCKET)
        return -EINVAL;
    int needs_other = op == PAL_RENAME || op == PAL_LINK || op == PAL_SYMLINK;
    if (needs_other && !other)
        return -EINVAL;
    names_change();
    struct monitor_request request = {
        .op = MONITOR_CHANGE, .flags = op | (name->nofollow ? MONITOR_NOFOLLOW : 0), .mode = mode};
    struct monitor_reply reply;
    return monitor_call(&request, name, needs_other ? other : NULL, &reply, escape, NULL);
}

int64_t linux_name_read(const struct pal_name *name, struct pal_path_buffer *out)
{
    struct monitor_request request = {.op = name->nofollow ? MONITOR_READLINK : MONITOR_CANONICAL};
    struct monitor_reply reply;
    int64_t result;
    if (!name->validity && view_readlink(name, out, &result))
        return result;
    int64_t error = call_validity(&request, name, &reply, out);
    return error < 0 ? error : out->size;
}

int64_t name_extended(pal_handle_t handle, void *argument)
{
    const struct pal_extended *extended = argument;
    struct monitor_request request = {.op = MONITOR_EXTENDED,
                                      .flags = extended->name && extended->name->nofollow ? MONITOR_NOFOLLOW : 0,
                                      .mode = extended->op | extended->flags << 4};
    struct monitor_reply reply;
    char bytes[PAL_PATH_MAX];
    struct pal_name other = {.path = bytes, .size = extended->attribute_size};
    bool sets = extended->op == PAL_EXTENDED_SET;
    if (sets)
        other.size += 1 + extended->value_size;
    if (other.size >= sizeof bytes)
        return -ENOSPC; /* as a file system with a block for all of them */
    memcpy(bytes, extended->attribute, extended->attribute_size);
    bytes[extended->attribute_size] = 0;
    if (sets)
        memcpy(bytes + extended->attribute_size + 1, extended->value, extended->value_size);
    if (!extended->name)
        request.arguments[0] = (uint64_t)handle;
    if (sets || extended->op == PAL_EXTENDED_REMOVE)
        names_change();
    return monitor_call(&request, extended->name, other.size ? &other : NULL, &reply, extended->text, NULL);
}

int64_t name_space(pal_handle_t handle, void *argument)
{
    struct pal_space *space = argument;
    struct monitor_request request = {.op = MONITOR_SPACE, .arguments = {space->mount, 0}};
    struct monitor_reply reply;
    struct pal_path_buffer text;
    (void)handle;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, &text, NULL);
    if (error < 0)
        return error;
    if (text.size != sizeof *space)
        return -EIO;
    memcpy(space, text.bytes, sizeof *space);
    return 0;
}
