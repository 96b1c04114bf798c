/* SPDX-License-Identifier: MIT */
/* madvise, msync, mincore: calls over a range that may span many mappings. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

enum advice {
    MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE = 8, MADV_REMOVE, MADV_DONTFORK,
    MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP,
    MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
};

static bool known(int32_t advice)
{
    return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) || (advice >= MADV_FREE && advice <= MADV_POPULATE_WRITE);
}

/* Does something happen to the mapping, or is it a hint that may be ignored? */
static bool acts(int32_t advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE || advice == MADV_DONTFORK ||
           advice == MADV_DOFORK || advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK ||
           advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE;
}

static bool is_private_anonymous(const struct vma *vma)
{
    return !vma->file && !(vma->flags & MAP_SHARED);
}

static int64_t check(const struct vma *vma, int32_t advice)
{
    switch (advice) {
    case MADV_DONTNEED:
        return vma->flags & MAP_LOCKED ? -EINVAL : 0;
    case MADV_FREE:
        return is_private_anonymous(vma) && !(vma->flags & MAP_LOCKED) ? 0 : -EINVAL;
    case MADV_WIPEONFORK:
        return is_private_anonymous(vma) ? 0 : -EINVAL;
    case MADV_REMOVE:
        if (vma->flags & MAP_LOCKED || (!vma->file && !(vma->flags & MAP_SHARED)))
            return -EINVAL;
        return (vma->flags & MAP_SHARED) && (!vma->file || (vma->file->flags & O_ACCMODE) == O_RDWR) ? 0 : -EACCES;
    default:
        return 0;
    }
}

struct flag_change { uint32_t clear, set; };

static bool change_flags(struct vma *vma, void *argument)
{
    const struct flag_change *change = argument;
    vma->flags = (vma->flags & ~change->clear) | change->set;
    return true;
}

/* Caller holds mm.lock.  [start, end) holds mappings without a hole. */
static int64_t act(guest_t start, guest_t end, int32_t advice)
{
    struct flag_change change = {0};
    int64_t error;
    switch (advice) {
    case MADV_DONTNEED:
        site_forget(start, end, false); /* private text comes back from its file */
        error = image_drop(start, end);
        if (UNLIKELY(rewriting_ahead))
            rewrite_ahead(start, end);
        return error;
    case MADV_FREE:
        return mm.images ? image_drop(start, end) : PAL->memory_decommit(start, end - start, PAL_DECOMMIT_LAZY);
    case MADV_REMOVE:
        return PAL->memory_decommit(start, end - start, PAL_DECOMMIT_UNSHARE);
    case MADV_DONTFORK:
        change.set = VMA_DONTFORK;
        break;
    case MADV_WIPEONFORK:
        change.set = VMA_WIPEONFORK;
        break;
    case MADV_DOFORK:
        change.clear = VMA_DONTFORK;
        break;
    case MADV_KEEPONFORK:
        change.clear = VMA_WIPEONFORK;
        break;
    case MADV_HUGEPAGE:
        change = (struct flag_change){.clear = VMA_SMALL, .set = VMA_HUGE};
        break;
    case MADV_NOHUGEPAGE:
        change = (struct flag_change){.clear = VMA_HUGE, .set = VMA_SMALL};
        break;
    }
    error = vma_prepare();
    if (error == 0 && change.set & (VMA_HUGE | VMA_SMALL))
        error = PAL->memory_decommit(start, end - start, change.set & VMA_HUGE ? PAL_PREFER_HUGE : PAL_PREFER_SMALL);
    if (error == 0) {
        vma_take(start, end, change_flags, &change);
        mm.fork_flags |= change.set & (VMA_DONTFORK | VMA_WIPEONFORK);
    }
    return error;
}

/* Caller holds mm.lock.  Goes on after a hole, as Linux does; mappings that follow each other cost one host call. */
static int64_t advise(guest_t start, guest_t end, int32_t advice)
{
    int64_t holes = 0;
    while (start < end) {
        const struct vma_node *node = vma_at(start);
        if (!node || node->vma.start >= end)
            return -ENOMEM;
        if (node->vma.start > start || (node->vma.flags & VMA_HIDDEN)) {
            holes = -ENOMEM;
            start = node->vma.flags & VMA_HIDDEN ? node->vma.end : node->vma.start;
            continue;
        }
        guest_t stop = start;
        int64_t refused = 0;
        while (stop < end && node && node->vma.start <= stop && !(node->vma.flags & VMA_HIDDEN)) {
            refused = check(&node->vma, advice);
            if (refused < 0)
                break;
            stop = MIN(node->vma.end, end);
            node = vma_at(stop);
        }
        int64_t error = stop > start && acts(advice) ? act(start, stop, advice) : 0;
        if (error < 0 || refused < 0)
            return error < 0 ? error : refused;
        start = stop;
    }
    return holes;
}

/* Touches each page as the guest would; what no access is allowed to is -EINVAL, what is behind a file's end -EFAULT. */
int64_t mm_populate(guest_t start, guest_t end, bool writes)
{
    uint32_t wanted = writes ? PROT_WRITE : PROT_READ | PROT_EXEC;
    for (guest_t at = start; at < end;) {
        struct vma vma;
        if (!mm_find(at, &vma) || vma.flags & VMA_HIDDEN)
            return -ENOMEM;
        if (!(vma.protection & wanted))
            return -EINVAL;
        for (; at < MIN(vma.end, end); at += PAGE_SIZE) {
            int64_t value = guest_load32(at);
            if (value >= 0 && writes)
                value = guest_exchange32(at, (uint32_t)value, (uint32_t)value);
            if (value < 0)
                return -EFAULT;
        }
    }
    return 0;
}

int64_t sys_madvise(guest_t address, uint64_t size, int32_t advice)
{
    if (!known(advice) || (address & PAGE_MASK))
        return -EINVAL;
    uint64_t whole = PAGE_UP(size);
    if ((size && !whole) || address + whole < address)
        return -EINVAL;
    if (whole == 0)
        return 0;
    if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
        return mm_populate(address, address + whole, advice == MADV_POPULATE_WRITE);
    mm_lock();
    int64_t result = advise(address, address + whole, advice);
    mm_unlock();
    return result;
}

#define MS_ASYNC 1u
#define MS_INVALIDATE 2u
#define MS_SYNC 4u

/* All of the file, which is more than was asked for. */
static int64_t flush_file(struct file *file)
{
    uint32_t data_only = 1;
    return file->handle < 0 ? 0 : PAL->stream_control(file->handle, PAL_CTL_FLUSH, &data_only, sizeof data_only);
}

/* MS_ASYNC has done nothing since Linux 2.6.19: dirty pages are written anyway.  MS_SYNC may take long:
 * not under the lock. */
int64_t sys_msync(guest_t address, uint64_t size, uint32_t flags)
{
    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) || (address & PAGE_MASK) ||
        ((flags & MS_ASYNC) && (flags & MS_SYNC)))
        return -EINVAL;
    guest_t end = address + PAGE_UP(size);
    if (end < address)
        return -ENOMEM;
    int64_t holes = 0;
    for (guest_t at = address; at < end;) {
        mm_lock();
        const struct vma_node *node = vma_at(at);
        struct vma vma = node ? node->vma : (struct vma){.start = UINT64_MAX};
        bool flush = (flags & MS_SYNC) && vma.start < end && vma.file && (vma.flags & MAP_SHARED);
        struct file *file = flush ? file_ref(vma.file) : NULL;
        mm_unlock();
        if (vma.start >= end)
            return -ENOMEM;
        if (vma.start > at)
            holes = -ENOMEM;
        int64_t error = (flags & MS_INVALIDATE) && (vma.flags & MAP_LOCKED) ? -EBUSY : 0;
        if (file) {
            if (error == 0)
                error = flush_file(file);
            file_put(file);
        }
        if (error < 0)
            return error;
        at = vma.end;
    }
    return holes;
}

/* No host call tells what is resident: all that is mapped is said to be, which may be so at any moment. */
int64_t sys_mincore(guest_t address, uint64_t size, guest_t vector)
{
    if (address & PAGE_MASK)
        return -EINVAL;
    if (!guest_range_ok(address, size))
        return -ENOMEM;
    uint64_t pages = PAGE_UP(size) / PAGE_SIZE;
    if (!guest_range_ok(vector, pages))
        return -EFAULT;
    uint8_t resident[256];
    memset(resident, 1, sizeof resident);
    for (uint64_t done = 0; done < pages;) {
        guest_t at = address + done * PAGE_SIZE;
        struct vma vma;
        if (!mm_find(at, &vma))
            return -ENOMEM;
        uint64_t count = MIN(MIN((vma.end - at) / PAGE_SIZE, pages - done), sizeof resident);
        if (copy_out(vector + done, resident, count) < 0)
            return -EFAULT;
        done += count;
    }
    return 0;
}
