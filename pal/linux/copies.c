/* SPDX-License-Identifier: MIT */
/*
 * Copy mounts in the view.  That shows their lower layers, and what lies there is what the guest has only beneath a
 * directory in which nothing was changed.  The monitor says of which that is so, and moves shared->copies before
 * a change shows: so what was looked up meanwhile counts only if that is still what it was before.
 *
 * A name is looked up here where its directory is such a one, by a path without symlinks and "..", and its last name
 * is followed by nobody.  That costs one request for a directory, at the second name in it.
 */
#include <stdbool.h>

#include "pal/hash.h"
#include "pal/linux/linux.h"

#define COPIES_BITS 25u /* LINUX_COPIES_MAX */
#define STATE_BITS 2u
#define HANDLES_MAX 1024u

enum state { UNKNOWN, ASKED_ONCE, YES, NO };

/* Of directories that names begin at: is the path that the libOS knows of it its path? */
static uint64_t known_handles[HANDLES_MAX];

static uint64_t word_of(uint64_t hash, enum state state, uint32_t copies)
{
    return hash >> (COPIES_BITS + STATE_BITS) << (COPIES_BITS + STATE_BITS) | (uint64_t)state << COPIES_BITS | copies;
}

static enum state state_of(const uint64_t *slot, uint64_t hash, uint32_t copies)
{
    uint64_t word = __atomic_load_n(slot, __ATOMIC_RELAXED);
    enum state state = (enum state)(word >> COPIES_BITS & ((1u << STATE_BITS) - 1));
    return word == word_of(hash, state, copies) ? state : UNKNOWN;
}

static void note(uint64_t *slot, uint64_t hash, enum state state, uint32_t copies)
{
    __atomic_store_n(slot, word_of(hash, state, copies), __ATOMIC_RELAXED);
}

static uint64_t *slot_of(uint64_t hash)
{
    return (uint64_t *)shared->copy_slots + hash % LINUX_COPY_SLOTS;
}

/* What the monitor says of a directory: its path, and whether it is unchanged. */
static bool ask(const struct pal_name *name, struct pal_path_buffer *path)
{
    struct monitor_request request = {.op = MONITOR_UNCHANGED};
    struct monitor_reply reply;
    path->size = 0;
    return monitor_call(&request, name, NULL, &reply, path, NULL) == 0 && reply.value;
}

static bool is_text(const struct pal_path_buffer *path, const char *text, uint32_t size)
{
    return path->size == size && !memcmp(path->bytes, text, size);
}

static bool is_handles_path(const struct pal_base *from, const char *text, uint32_t size, uint32_t copies)
{
    const struct pal_name name = {.path = "", .from = from};
    struct pal_path_buffer path;
    uint64_t hash = hash_bytes(text, size);
    if (from->handle < 0 || from->handle >= (pal_handle_t)HANDLES_MAX)
        return false;
    uint64_t *slot = &known_handles[from->handle];
    enum state state = state_of(slot, hash, copies);
    if (state == UNKNOWN)
        note(slot, hash, ASKED_ONCE, copies);
    if (state != ASKED_ONCE)
        return state == YES;
    bool unchanged = ask(&name, &path), same = is_text(&path, text, size);
    note(slot, hash, same ? YES : NO, copies);
    if (same)
        note(slot_of(hash), hash, unchanged ? YES : NO, copies);
    return same;
}

static bool is_unchanged(const char *text, uint32_t size, uint32_t copies)
{
    const struct pal_name name = {.path = text, .size = size};
    struct pal_path_buffer path;
    uint64_t hash = hash_bytes(text, size), *slot = slot_of(hash);
    enum state state = state_of(slot, hash, copies);
    if (state == UNKNOWN)
        note(slot, hash, ASKED_ONCE, copies);
    if (state != ASKED_ONCE)
        return state == YES;
    bool yes = ask(&name, &path) && is_text(&path, text, size);
    note(slot, hash, yes ? YES : NO, copies);
    return yes;
}

static bool is_plain(const char *last, uint32_t size)
{
    return size && !(last[0] == '.' && (size == 1 || (size == 2 && last[1] == '.')));
}

uint32_t copies_find(const struct pal_name *name, uint32_t mount_size)
{
    uint32_t copies = __atomic_load_n(&shared->copies, __ATOMIC_ACQUIRE), end = name->size, base = name->base;
    while (end && name->path[end - 1] != '/')
        end--;
    if (!copies || copies > LINUX_COPIES_MAX || end < 2 || end <= mount_size || !is_plain(name->path + end, name->size - end))
        return 0;
    while (base && name->path[base - 1] == '/')
        base--;
    if (name->from && (!base || base >= end || !is_handles_path(name->from, name->path, base, copies)))
        return 0;
    return is_unchanged(name->path, end - 1, copies) ? copies : 0;
}

bool copies_hold(uint32_t copies, const struct pal_attributes *attributes)
{
    if (copies & LINUX_COPIES_LINKED && attributes && attributes->type == PAL_TYPE_FILE && attributes->links > 1)
        return false;
    return __atomic_load_n(&shared->copies, __ATOMIC_ACQUIRE) == copies;
}

void copies_closed(pal_handle_t handle)
{
    if (handle >= 0 && handle < (pal_handle_t)HANDLES_MAX)
        known_handles[handle] = 0;
}
