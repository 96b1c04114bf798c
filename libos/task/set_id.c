/* SPDX-License-Identifier: MIT */
/*
 * Set-user-ID and set-group-ID bits that guests have given to files.  The host's files never get them, so they are kept
 * here, for the sandbox's life, by device and inode: guests see them, and nobody else does.  What a guest could forge here
 * it would forge for itself.
 */
#include "libos/task/table.h"
#include "libos/task/task.h"

#define ENTRIES 4096u /* a power of two */
#define PROBES 64u

struct entry { uint64_t device, inode; uint32_t bits, used; }; /* used: probing goes on, though bits may be 0 by now */

static struct { uint32_t count; uint32_t reserved; struct entry entries[ENTRIES]; } *set_ids; /* guarded by the table's lock */

uint64_t set_ids_init(uint64_t at, uint64_t end)
{
    if (at + 2 * sizeof *set_ids > end)
        return at; /* a small segment: none */
    set_ids = (void *)(uintptr_t)at;
    return at + sizeof *set_ids;
}

bool set_ids_any(void)
{
    return set_ids && atomic_get(&set_ids->count);
}

/* The object's entry, or where it would go, or NULL: no room. */
static struct entry *find(uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode * 0x9e3779b97f4a7c15u ^ device) >> 20;
    struct entry *free = NULL;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct entry *entry = &set_ids->entries[(hash + i) % ENTRIES];
        if (entry->bits && entry->device == device && entry->inode == inode)
            return entry;
        if (!free && !entry->bits)
            free = entry;
        if (!entry->used)
            break;
    }
    return free;
}

uint32_t set_id_get(uint64_t device, uint64_t inode)
{
    if (!set_ids_any())
        return 0;
    shared_lock();
    const struct entry *entry = find(device, inode);
    uint32_t bits = entry ? entry->bits : 0;
    shared_unlock();
    return bits;
}

bool set_id_put(uint64_t device, uint64_t inode, uint32_t bits)
{
    if (!set_ids || (!bits && !set_ids_any()))
        return !bits;
    shared_lock();
    struct entry *entry = find(device, inode);
    if (entry) {
        atomic_add(&set_ids->count, (uint32_t)(bits != 0) - (uint32_t)(entry->bits != 0));
        *entry = (struct entry){.device = device, .inode = inode, .bits = bits, .used = entry->used || bits};
    }
    shared_unlock();
    return entry || !bits;
}
