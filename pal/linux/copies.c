/* SPDX-License-Identifier: MIT */
/*
 * Copy mounts in the view.  That shows their lower layers, and what lies there is what the guest has only beneath a
 * directory in which nothing was changed.  The monitor says of which that is so, and moves a number (monitor.h) before
 * a change shows: so what was looked up meanwhile counts only if that is still what it was before.
 *
 * A name is looked up here where its directory is such a one, by a path without symlinks and "..", and its last name
 * is followed by nobody.  A directory in an unchanged one is unchanged: so the monitor is asked once for each that is
 * unchanged in a changed one, and for those.
 *
 * Unchanged directories are opened here, too.  Once one has changed, its descriptor is still the lower layer's: then it is
 * listed by another one, which the monitor fills, and the descriptor's offset is the place in that.
 */
#include <stdbool.h>

#include "pal/hash.h"
#include "pal/linux/linux.h"

#define NUMBER_BITS 25u /* LINUX_COPIES_MAX */
#define STATE_BITS 2u
#define HANDLES_MAX 1024u
#define DEPTH_MAX 64u

enum state { UNKNOWN, YES, NO, YES_UNCHANGED };

/* Of directories that are open, by their paths: is that what the libOS knows?  YES_UNCHANGED: and unchanged, too. */
static uint64_t known_handles[HANDLES_MAX];

static uint64_t word_of(uint64_t hash, enum state state, uint32_t number)
{
    return hash >> (NUMBER_BITS + STATE_BITS) << (NUMBER_BITS + STATE_BITS) | (uint64_t)state << NUMBER_BITS | number;
}

static enum state state_in(uint64_t word)
{
    return (enum state)(word >> NUMBER_BITS & ((1u << STATE_BITS) - 1));
}

static enum state state_of(const uint64_t *slot, uint64_t hash, uint32_t number)
{
    uint64_t word = __atomic_load_n(slot, __ATOMIC_RELAXED);
    return word == word_of(hash, state_in(word), number) ? state_in(word) : UNKNOWN;
}

static void note(uint64_t *slot, uint64_t hash, enum state state, uint32_t number)
{
    __atomic_store_n(slot, word_of(hash, state, number), __ATOMIC_RELAXED);
}

static uint64_t *slot_of(uint64_t hash)
{
    return (uint64_t *)shared->copy_slots + hash % LINUX_COPY_SLOTS;
}

static uint32_t number_of(uint32_t class)
{
    uint32_t all = __atomic_load_n(&shared->copies, __ATOMIC_ACQUIRE);
    uint32_t own = __atomic_load_n((uint32_t *)shared->copy_classes + class, __ATOMIC_ACQUIRE);
    return all && all <= LINUX_COPIES_MAX && own <= LINUX_COPIES_MAX - all ? all + own : 0;
}

static struct copies copies_now(uint64_t hash)
{
    uint32_t class = linux_copy_class(hash);
    return (struct copies){number_of(class), class};
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

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static bool is_handles_path(const struct pal_base *from, const char *text, uint32_t size)
{
    const struct pal_name name = {.path = "", .from = from};
    struct pal_path_buffer path;
    uint64_t hash = hash_bytes(text, size);
    struct copies now = copies_now(hash);
    if (from->handle < 0 || from->handle >= (pal_handle_t)HANDLES_MAX || !now.number)
        return false;
    enum state state = state_of(&known_handles[from->handle], hash, now.number);
    if (state != UNKNOWN)
        return state != NO;
    bool unchanged = ask(&name, &path), same = is_text(&path, text, size);
    note(&known_handles[from->handle], hash, !same ? NO : unchanged ? YES_UNCHANGED : YES, now.number);
    if (same)
        note(slot_of(hash), hash, unchanged ? YES : NO, now.number);
    return same;
}

static uint32_t size_above(const char *text, uint32_t size)
{
    while (size && text[size - 1] != '/')
        size--;
    return size ? size - 1 : 0;
}

static bool ask_by_path(const char *text, uint32_t size)
{
    const struct pal_name name = {.path = text, .size = size};
    struct pal_path_buffer path;
    return ask(&name, &path) && is_text(&path, text, size);
}

static bool is_unchanged(const struct copies_mount *mount, const char *text, uint32_t size, uint32_t depth, struct copies *out);

static bool is_in_unchanged(const struct copies_mount *mount, const char *text, uint32_t size, uint32_t depth)
{
    struct copies above;
    uint32_t up = size_above(text, size);
    return depth < DEPTH_MAX && up && up >= mount->size && is_unchanged(mount, text, up, depth + 1, &above) &&
           view_has_directory(mount->root, text + mount->size, size - mount->size) && copies_hold(&above, NULL);
}

static bool is_unchanged(const struct copies_mount *mount, const char *text, uint32_t size, uint32_t depth, struct copies *out)
{
    uint64_t hash = hash_bytes(text, size), *slot = slot_of(hash);
    *out = copies_now(hash);
    enum state state = state_of(slot, hash, out->number);
    if (state != UNKNOWN || !out->number)
        return state == YES && out->number;
    bool yes = is_in_unchanged(mount, text, size, depth) || ask_by_path(text, size);
    note(slot, hash, yes ? YES : NO, out->number);
    return yes;
}

static bool is_plain(const char *last, uint32_t size)
{
    return size && !(last[0] == '.' && (size == 1 || (size == 2 && last[1] == '.')));
}

bool copies_find(const struct pal_name *name, const struct copies_mount *mount, struct copies *out)
{
    uint32_t end = name->size, base = name->base;
    while (end && name->path[end - 1] != '/')
        end--;
    if (!__atomic_load_n(&shared->copies, __ATOMIC_RELAXED) || end < 2 || end <= mount->size ||
        !is_plain(name->path + end, name->size - end))
        return false;
    while (base && name->path[base - 1] == '/')
        base--;
    if (name->from && (!base || base >= end || !is_handles_path(name->from, name->path, base)))
        return false;
    return is_unchanged(mount, name->path, end - 1, 0, out);
}

bool copies_hold(const struct copies *copies, const struct pal_attributes *attributes)
{
    if (copies->number & LINUX_COPIES_LINKED && attributes && attributes->type == PAL_TYPE_FILE && attributes->links > 1)
        return false;
    return number_of(copies->class) == copies->number;
}

/* ---- Directories that are open ----------------------------------------------------------------------------------- */

bool copies_opened(const struct pal_name *name, const struct copies *above, pal_handle_t handle)
{
    uint64_t hash = hash_bytes(name->path, name->size);
    struct copies now = copies_now(hash); /* before what follows */
    if (handle >= (pal_handle_t)HANDLES_MAX || !now.number || !copies_hold(above, NULL))
        return false;
    note(slot_of(hash), hash, YES, now.number);
    note(&known_handles[handle], hash, YES_UNCHANGED, now.number);
    return true;
}

bool copies_opened_held(pal_handle_t handle)
{
    uint64_t word = __atomic_load_n(&known_handles[handle], __ATOMIC_RELAXED);
    const struct copies known = {word & LINUX_COPIES_MAX, linux_copy_class(word)};
    return state_in(word) == YES_UNCHANGED && copies_hold(&known, NULL);
}

bool copies_opened_holds(pal_handle_t handle)
{
    const struct pal_base from = {.handle = handle};
    const struct pal_name name = {.path = "", .from = &from};
    struct pal_path_buffer path;
    uint64_t hash = known_handles[handle];
    if (copies_opened_held(handle))
        return true;
    for (int tries = 0; tries < 2; tries++) { /* the path tells its class, and what is asked counts after its number */
        struct copies now = copies_now(hash);
        if (!ask(&name, &path) || !now.number)
            return false;
        hash = hash_bytes(path.bytes, path.size);
        if (linux_copy_class(hash) != now.class)
            continue;
        note(slot_of(hash), hash, YES, now.number);
        note(&known_handles[handle], hash, YES_UNCHANGED, now.number);
        return true;
    }
    return false;
}

void copies_closed(pal_handle_t handle)
{
    if (handle >= 0 && handle < (pal_handle_t)HANDLES_MAX)
        known_handles[handle] = 0;
}
