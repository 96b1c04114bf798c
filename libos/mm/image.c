/* SPDX-License-Identifier: MIT */
/*
 * The guest's pages in a snapshot's image.
 *
 * Saved is what mapping anew would not give: pages of memory that are not zero, pages of private file mappings that are
 * not the file's.  No host tells which these are, so they are compared.  When it is mapped, the image takes their place,
 * privately: no page is read before it is touched.
 *
 * From then on the host has such a mapping in pieces, and would give the image's bytes back where anonymous memory gives
 * zeros.  So they are marked (VMA_IMAGE), and code that drops pages, or moves or grows a mapping, calls here first.
 */
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

#define PIECE (1024 * 1024ull) /* written at once, and compared: a file written in large pieces is read with fewer faults */
#define GAP_MAX (16 * PAGE_SIZE)   /* between two runs that become one */
#define WHOLE_MAX (256ull << 20)   /* memory up to here is one mapping of the host again */
#define TOUCHED_MAX (512ull << 20)
#define STACK_TOUCHED (4 * PAGE_SIZE)
#define SAVED_MAX (64ull << 30)    /* address space that is looked through */

static bool is_anonymous(const struct vma *vma)
{
    return !vma->file && !(vma->flags & MAP_SHARED);
}

static bool is_shared_memory(const struct vma *vma)
{
    return !vma->file && vma->flags & MAP_SHARED;
}

/* ---- Saving ------------------------------------------------------------------------------------------------------ */

struct saver {
    struct mm_image *image;
    uint32_t first;        /* of this mapping's runs */
    uint8_t *bytes, *file; /* PIECE each */
};

/* Runs of one mapping that lie close to each other become one. */
static int64_t run_add(struct saver *saver, guest_t start, uint64_t size)
{
    struct mm_image *image = saver->image;
    struct mm_run *last = image->count > saver->first ? &image->runs[image->count - 1] : NULL;
    if (last && start - (last->start + last->size) <= GAP_MAX) {
        uint64_t more = start + size - (last->start + last->size);
        last->size += more;
        image->end += more;
        return 0;
    }
    if (image->count == image->room) {
        uint32_t room = MAX(image->room * 2, 256u);
        struct mm_run *runs = alloc(room * sizeof *runs);
        if (!runs)
            return -ENOMEM;
        if (image->count)
            memcpy(runs, image->runs, image->count * sizeof *runs);
        release(image->runs);
        image->runs = runs;
        image->room = room;
    }
    image->runs[image->count++] = (struct mm_run){.start = start, .size = size, .offset = image->end};
    image->end += size;
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* One piece of a mapping: its runs.  What can't be read (behind a file's end) is not there. */
static int64_t find_in_piece(struct saver *saver, const struct vma *vma, guest_t at, uint64_t size)
{
    uint64_t have = PAGE_DOWN(copy_in_some(saver->bytes, at, size));
    if (vma->file) {
        int64_t got = UNDISTURBED(file_read_at(vma->file, saver->file, size, vma->offset + (at - vma->start)));
        if (got < 0)
            return got;
        memset(saver->file + got, 0, size - (uint64_t)got);
    }
    for (uint64_t page = 0; page < have; page += PAGE_SIZE) {
        const uint8_t *bytes = saver->bytes + page;
        bool same = vma->file ? !memcmp(bytes, saver->file + page, PAGE_SIZE) : is_zero(bytes);
        int64_t error = same ? 0 : run_add(saver, at + page, PAGE_SIZE);
        if (error < 0)
            return error;
    }
    return 0;
}

static int64_t find_runs(struct saver *saver, const struct vma *vma)
{
    struct mm_image *image = saver->image;
    uint64_t end = image->end;
    saver->first = image->count;
    if (vma->flags & MAP_SHARED && vma->file)
        return 0;
    int64_t error = vma->protection & PROT_READ ? 0 : PAL->memory_protect(vma->start, vma->end - vma->start, PROT_READ);
    for (guest_t at = vma->start; error == 0 && at < vma->end; at += PIECE)
        error = find_in_piece(saver, vma, at, MIN(PIECE, vma->end - at));
    bool whole = is_anonymous(vma) && !(vma->flags & MAP_GROWSDOWN) && vma->end - vma->start <= WHOLE_MAX;
    if (error == 0 && image->count > saver->first && whole) {
        image->count = saver->first;
        image->end = end;
        error = run_add(saver, vma->start, vma->end - vma->start);
    }
    return error;
}

static int64_t find_all(struct saver *saver)
{
    uint64_t looked = 0;
    for (guest_t at = 0;;) {
        mm_lock();
        struct vma_node *node = vma_at(at);
        mm_unlock(); /* there is one thread */
        if (!node)
            return 0;
        const struct vma vma = node->vma;
        looked += vma.end - vma.start;
        int64_t error = looked > SAVED_MAX ? -EFBIG : find_runs(saver, &vma);
        if (error < 0)
            return error;
        if (saver->image->count > saver->first && !(vma.flags & MAP_SHARED)) {
            node->vma.flags |= VMA_IMAGE;
            mm.images = 1;
        }
        at = vma.end;
    }
}

/* Zeros are left out: the file has holes there. */
static int64_t write_piece(const struct saver *saver, uint64_t size, uint64_t offset)
{
    for (uint64_t from = 0, to; from < size; from = to) {
        while (from < size && is_zero(saver->bytes + from))
            from += PAGE_SIZE;
        for (to = from; to < size && !is_zero(saver->bytes + to); to += PAGE_SIZE)
            ;
        if (from == to)
            break;
        int64_t written = UNDISTURBED(PAL->stream_write(saver->image->handle, (uint64_t)(uintptr_t)saver->bytes + from,
                                                        to - from, (int64_t)(offset + from)));
        if (written != (int64_t)(to - from))
            return written < 0 ? written : -ENOSPC;
    }
    return 0;
}

static int64_t write_runs(const struct saver *saver)
{
    for (uint32_t i = 0; i < saver->image->count; i++) {
        const struct mm_run *run = &saver->image->runs[i];
        for (uint64_t done = 0, size; done < run->size; done += size) {
            size = MIN(PIECE, run->size - done);
            uint64_t have = copy_in_some(saver->bytes, run->start + done, size);
            memset(saver->bytes + have, 0, size - have);
            int64_t error = write_piece(saver, size, run->offset + done);
            if (error < 0)
                return error;
        }
    }
    return 0;
}

/* The buffers lie where the guest has nothing: the arena stays as small as it was. */
int64_t mm_image_save(struct mm_image *image)
{
    guest_t at = mm_free_range(2 * PIECE, PAGE_SIZE);
    int64_t error = at ? PAL->memory_commit(at, 2 * PIECE, PAL_READ | PAL_WRITE, 0) : -ENOMEM;
    if (error < 0)
        return error;
    struct saver saver = {.image = image, .bytes = (uint8_t *)at, .file = (uint8_t *)at + PIECE};
    error = find_all(&saver);
    if (error == 0)
        error = write_runs(&saver);
    PAL->memory_release(at, 2 * PIECE);
    return error;
}

/* ---- Mapping ----------------------------------------------------------------------------------------------------- */

/* Memory that processes share is made anew, and filled. */
static int64_t fill_shared(const struct mm_image *image, const struct mm_run *run)
{
    for (uint64_t done = 0; done < run->size;) {
        int64_t got = PAL->stream_read(image->handle, run->start + done, run->size - done, (int64_t)(run->offset + done));
        if (got <= 0)
            return got < 0 ? got : -EIO;
        done += (uint64_t)got;
    }
    return 0;
}

static int64_t map_shared(const struct mm_image *image, const struct vma *vma, const struct mm_run *runs, uint32_t count)
{
    uint64_t size = vma->end - vma->start;
    uint32_t protection = count ? PROT_READ | PROT_WRITE : vma->protection;
    int64_t error = map_on_host(vma->start, size, protection, vma->flags, vma->file, vma->offset);
    for (uint32_t i = 0; error >= 0 && i < count; i++)
        error = fill_shared(image, &runs[i]);
    return error >= 0 && protection != vma->protection ? PAL->memory_protect(vma->start, size, vma->protection) : error;
}

/* Its runs, and between them what mapping anew gives. */
static int64_t map_private(const struct mm_image *image, const struct vma *vma, const struct mm_run *runs, uint32_t count)
{
    guest_t at = vma->start;
    int64_t error = 0;
    for (uint32_t i = 0; error >= 0 && at < vma->end; i++) {
        guest_t next = i < count ? runs[i].start : vma->end;
        if (next > at)
            error = map_on_host(at, next - at, vma->protection, vma->flags, vma->file, vma->offset + (at - vma->start));
        if (error >= 0 && i < count)
            error = PAL->memory_map(next, runs[i].size, vma->protection, PAL_MAP_NORESERVE, image->handle, runs[i].offset);
        at = i < count ? next + runs[i].size : next;
    }
    return error;
}

/* A mapping, with `count` runs of it. */
static int64_t map_one(const struct mm_image *image, const struct vma *vma, const struct mm_run *runs, uint32_t count)
{
    int64_t error = is_shared_memory(vma) ? map_shared(image, vma, runs, count) : map_private(image, vma, runs, count);
    if (error >= 0 && vma->flags & (VMA_HUGE | VMA_SMALL)) /* a wish: no error */
        PAL->memory_decommit(vma->start, vma->end - vma->start, vma->flags & VMA_HUGE ? PAL_PREFER_HUGE : PAL_PREFER_SMALL);
    return error;
}

struct mapper {
    const struct mm_image *image;
    uint32_t next; /* run */
};

static int64_t visit(const struct vma *vma, void *argument)
{
    struct mapper *mapper = argument;
    const struct mm_image *image = mapper->image;
    uint32_t first = mapper->next;
    while (mapper->next < image->count && image->runs[mapper->next].start < vma->end)
        mapper->next++;
    int64_t error = map_one(image, vma, image->runs + first, mapper->next - first);
    return error < 0 ? error : 0;
}

int64_t mm_image_map(const struct mm_image *image)
{
    struct mapper mapper = {.image = image};
    mm_lock();
    int64_t error = vma_each(mm.root, visit, &mapper);
    mm_unlock();
    return error;
}

/* Reads a byte of each page of what it has, and writes those of the guest's stack that are next. */
static int64_t touch(const struct vma *vma, void *argument)
{
    uint64_t *left = argument;
    uint64_t size = vma->end - vma->start;
    if (!(vma->protection & PROT_READ) || (!vma->file && !(vma->flags & VMA_IMAGE)) || size > *left)
        return 0;
    *left -= size;
    for (guest_t at = vma->start; at < vma->end; at += PAGE_SIZE) {
        uint8_t byte;
        if (copy_in(&byte, at, 1) < 0)
            break; /* behind its file's end */
    }
    return 0;
}

void mm_image_touch(guest_t stack)
{
    uint64_t left = TOUCHED_MAX;
    mm_lock();
    vma_each(mm.root, touch, &left);
    mm_unlock();
    mm_image_touch_written((struct pal_snapshot_range){stack - STACK_TOUCHED, 2 * STACK_TOUCHED});
}

/* Only private pages of the image: nobody else sees writes to them. */
void mm_image_touch_written(struct pal_snapshot_range range)
{
    if (range.size > TOUCHED_MAX || !guest_range_ok(range.start, range.size))
        return;
    for (guest_t at = PAGE_DOWN(range.start); at < range.start + range.size; at += PAGE_SIZE) {
        uint8_t byte;
        mm_lock();
        const struct vma_node *node = vma_at(at);
        bool is_image = node && node->vma.start <= at && node->vma.flags & VMA_IMAGE && node->vma.protection & PROT_WRITE;
        mm_unlock();
        if (is_image && copy_in(&byte, at, 1) == 0)
            copy_out(at, &byte, 1);
    }
}

/* ---- Afterwards -------------------------------------------------------------------------------------------------- */

int64_t image_drop(guest_t start, guest_t end)
{
    if (LIKELY(!mm.images))
        return PAL->memory_decommit(start, end - start, PAL_DECOMMIT_ZERO);
    for (guest_t at = start, stop; at < end; at = stop) {
        const struct vma *vma = &vma_at(at)->vma;
        stop = MIN(vma->end, end);
        uint32_t flags = vma->flags & ~MAP_POPULATE;
        int64_t error = vma->flags & VMA_IMAGE ? map_on_host(at, stop - at, vma->protection, flags, vma->file,
                                                             vma->offset + (at - vma->start))
                                               : PAL->memory_decommit(at, stop - at, PAL_DECOMMIT_ZERO);
        if (error < 0)
            return error;
    }
    return 0;
}

/* Zeros stay untouched. */
static int64_t image_copy_page(guest_t to, guest_t from)
{
    uint8_t page[PAGE_SIZE];
    if (copy_in(page, from, sizeof page) < 0)
        return -EFAULT;
    return is_zero(page) ? 0 : copy_out(to, page, sizeof page);
}

/* Through memory elsewhere, which then takes the place: a concurrent reader sees the old bytes or the new ones. */
int64_t image_leave(guest_t start, guest_t end)
{
    const struct vma *vma = &vma_at(start)->vma;
    if (LIKELY(!(vma->flags & VMA_IMAGE)) || vma->file)
        return 0;
    uint64_t size = end - start;
    int64_t place = mm_place(0, size, 0);
    if (place < 0)
        return place;
    guest_t at = (guest_t)place;
    int64_t error = PAL->memory_commit(at, size, PAL_READ | PAL_WRITE, PAL_MAP_NORESERVE);
    if (error == 0 && !(vma->protection & PROT_READ))
        error = PAL->memory_protect(start, size, PROT_READ);
    for (uint64_t page = 0; error == 0 && page < size; page += PAGE_SIZE)
        error = image_copy_page(at + page, start + page);
    if (error == 0)
        error = PAL->memory_protect(at, size, vma->protection);
    if (error == 0)
        error = PAL->memory_move(at, size, start, size);
    if (error < 0)
        PAL->memory_release(at, size);
    return error;
}
