/* SPDX-License-Identifier: MIT */
/*
 * The mount table: which file system a name lies on.
 *
 * A name is walked by one file system after the other.  Each resolves what lies on it and, where a symlink or ".."
 * leads to another, gives -EREMOTE and the path to go on with; name_walk asks the next one.  The host's mounts are
 * here from the start; other file systems add theirs before the first program runs.  Nothing changes afterwards, so
 * nothing here takes a lock.
 */
#include "libos/fs/vfs.h"

#define MOUNTS_ADDED 8 /* beside the host's */

static struct mount *table;
static uint32_t count, room;
static const struct filesystem *above; /* what hostfs calls -ENOTUNIQ */
static uint64_t others[4];             /* first bytes of names that need not be the host's */

void mount_add(const char *at, const struct filesystem *fs, uint32_t flags)
{
    uint8_t first = (uint8_t)at[1];
    if (count == room)
        panic("pal-run: the mount table is full");
    table[count++] = (struct mount){.at = at, .size = (uint32_t)strlen(at), .flags = flags, .fs = fs};
    if (fs == &hostfs)
        return;
    if (first)
        others[first / 64] |= 1ull << first % 64;
    else
        memset(others, 0xff, sizeof others);
}

void mount_above(const struct filesystem *fs) { above = fs; }

void mount_init(void)
{
    count = 0;
    room = boot->mount_count + MOUNTS_ADDED;
    table = alloc_zero(room * sizeof *table);
    if (!table)
        panic("pal-run: no memory for the mount table");
    for (uint32_t i = 0; i < boot->mount_count; i++) {
        const struct pal_mount *mount = &boot->mounts[i];
        mount_add(mount->at, &hostfs,
                  (mount->writable ? 0 : MOUNT_READ_ONLY) | (mount->scratch ? MOUNT_SCRATCH : 0) | (mount->memory ? MOUNT_MEMORY : 0));
    }
}

const struct mount *mount_at(uint32_t n) { return n < count ? &table[n] : NULL; }

uint32_t mount_number(const struct mount *mount) { return (uint32_t)(mount - table); }

static bool is_beneath(const char *path, const struct mount *mount)
{
    uint32_t size = mount->size;
    return size == 1 || (strncmp(path, mount->at, size) == 0 && (path[size] == 0 || path[size] == '/'));
}

/* The longest prefix; of two mounts at one place the host's, which the user asked for. */
const struct mount *mount_of(const char *path)
{
    const struct mount *found = NULL;
    for (uint32_t i = 0; i < count; i++)
        if ((!found || table[i].size > found->size) && is_beneath(path, &table[i]))
            found = &table[i];
    return found;
}

/* Is a mount that is not the host's a prefix?  They are the table's last, and few. */
static bool is_beneath_others(const char *path)
{
    uint8_t first = (uint8_t)path[1];
    if (LIKELY(!(others[first / 64] >> first % 64 & 1)))
        return false;
    for (uint32_t i = boot->mount_count; i < count; i++)
        if (is_beneath(path, &table[i]))
            return true;
    return false;
}

/* What no mount shows is the host's to refuse: only it knows the policy's symlinks, and notes denials. */
static const struct filesystem *filesystem_of(const struct name *name)
{
    if (name->base || LIKELY(!is_beneath_others(name->path.bytes)))
        return &hostfs;
    const struct mount *mount = mount_of(name->path.bytes);
    return mount ? mount->fs : &hostfs;
}

int64_t name_walk(struct name *name, name_step *step, void *argument, struct pal_path_buffer *follow)
{
    for (uint32_t hops = 0; hops < NAME_HOPS; hops++) {
        int64_t result = step(filesystem_of(name), name, argument, follow);
        if (UNLIKELY(result == -ENOTUNIQ))
            result = step(above, name, argument, follow);
        if (LIKELY(result != -EREMOTE))
            return UNLIKELY(result == -EINTR) ? -ERESTARTSYS : result; /* somebody was being asked, and a signal came */
        result = name_follow(name, follow);
        if (result < 0)
            return result;
    }
    return -ELOOP;
}
