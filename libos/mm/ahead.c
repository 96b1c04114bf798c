/* SPDX-License-Identifier: MIT */
/*
 * --rewrite=ahead, and hosts without a trap: the call sites of a text are rewritten when it becomes executable.
 *
 * Where they are, and what is to become of each, is found once for each file and stays in the shared segment.  Nothing
 * relies on that: a record is used for text whose bytes are those that it was made from, else the site is looked at anew.
 * What a file's identity hides (it was changed within a tick of the clock) are new sites: they trap.  The segment is the
 * sandbox's own, so what a process forges there reaches those that trust it anyway.
 */
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "libos/task/task.h"
#include "shim/rewrite/rewrite.h"

#define TEXTS 1024u     /* a power of two */
#define RECORDS 32768u
#define ROOM 1024u      /* records for a text's first look */
#define TEXT_MAX (1ull << 30)

enum { TEXT_FREE, TEXT_BEING_WRITTEN, TEXT_READY };

struct text_key { uint64_t device, inode, size, mtime, ctime, offset, bytes; };
struct kept_text {
    struct text_key key;
    uint32_t state, first, count, reserved; /* state: atomic; set to READY last */
};
struct kept {
    uint32_t used; /* records.  Atomic */
    uint32_t reserved[15];
    struct kept_text texts[TEXTS];
    struct site_record records[RECORDS];
};

static struct kept *kept;

uint64_t ahead_init(uint64_t at, uint64_t end)
{
    if (at + sizeof *kept > end)
        return at;
    kept = (struct kept *)(uintptr_t)at;
    return at + sizeof *kept;
}

/* ---- What is kept ------------------------------------------------------------------------------------------------ */

static uint32_t place_of(const struct text_key *key)
{
    uint64_t hash = (key->inode ^ key->offset << 20) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash >> 32) & (TEXTS - 1);
}

static const struct kept_text *find(const struct text_key *key)
{
    for (uint32_t i = 0, at = place_of(key); kept && i < TEXTS; i++) {
        const struct kept_text *text = &kept->texts[(at + i) & (TEXTS - 1)];
        uint32_t state = atomic_get(&text->state);
        if (state == TEXT_FREE)
            break;
        if (state == TEXT_READY && !memcmp(&text->key, key, sizeof *key))
            return text->first <= RECORDS && text->count <= RECORDS - text->first ? text : NULL;
    }
    return NULL;
}

/* Two that found the same keep it twice: so be it. */
static void keep(const struct text_key *key, const struct site_record *records, uint32_t count)
{
    if (!kept || atomic_get(&kept->used) > RECORDS - MIN(count, RECORDS) || count > RECORDS)
        return;
    for (uint32_t i = 0, at = place_of(key); i < TEXTS; i++) {
        struct kept_text *text = &kept->texts[(at + i) & (TEXTS - 1)];
        if (atomic_get(&text->state) != TEXT_FREE || !atomic_replace32(&text->state, TEXT_FREE, TEXT_BEING_WRITTEN))
            continue;
        uint32_t first = atomic_add(&kept->used, count) - count;
        if (first > RECORDS - count)
            return; /* the place stays taken, as that of a process which died here does */
        memcpy(&kept->records[first], records, count * sizeof *records);
        text->key = *key;
        text->first = first;
        text->count = count;
        atomic_set(&text->state, TEXT_READY);
        return;
    }
}

/* ---- A text ------------------------------------------------------------------------------------------------------ */

/* What it is kept by, and how far the file reaches into it.  False: not kept, and looked at as far as it is mapped. */
static bool identify(const struct vma *vma, guest_t start, guest_t *end, struct text_key *key)
{
    struct pal_attributes attributes;
    uint64_t offset = vma->offset + (start - vma->start);
    if (!vma->file || vma->file->handle < 0 || PAL->attributes_get(vma->file->handle, NULL, &attributes, NULL) < 0)
        return false;
    uint64_t left = attributes.size > offset ? attributes.size - offset : 0;
    *end = MIN(*end, start + PAGE_UP(MIN(left, TEXT_MAX)));
    *key = (struct text_key){attributes.device, attributes.inode, attributes.size, (uint64_t)attributes.mtime,
                             (uint64_t)attributes.ctime, offset, *end - start};
    return attributes.inode != 0;
}

static void look(guest_t start, guest_t end, const struct text_key *key)
{
    for (uint32_t room = ROOM;;) {
        struct site_record *records = alloc(room * sizeof *records);
        if (!records)
            return; /* they trap */
        uint32_t count = site_find_all(start, end, records, room);
        if (count <= room) {
            site_rewrite_known(start, end, records, count);
            if (key)
                keep(key, records, count);
        }
        release(records);
        if (count <= room)
            return;
        room = count;
    }
}

static void rewrite_text(const struct vma *vma, guest_t start, guest_t end)
{
    struct text_key key;
    bool known = identify(vma, start, &end, &key);
    const struct kept_text *text = known ? find(&key) : NULL;
    if (text)
        site_rewrite_known(start, end, &kept->records[text->first], text->count);
    else if (start < end)
        look(start, end, known ? &key : NULL);
}

void rewrite_ahead(guest_t start, guest_t end)
{
    for (guest_t at = start; at < end;) {
        const struct vma_node *node = vma_at(at);
        if (!node || node->vma.start >= end)
            return;
        const struct vma vma = node->vma; /* trampolines are mapped meanwhile */
        at = MAX(at, vma.start);
        if ((vma.flags & (MAP_TYPE | VMA_HIDDEN)) == MAP_PRIVATE && vma.protection == (PROT_READ | PROT_EXEC))
            rewrite_text(&vma, at, MIN(vma.end, end));
        at = vma.end;
    }
}
