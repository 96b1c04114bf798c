/* SPDX-License-Identifier: MIT */
/* mremap(2). */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

/* Caller holds mm.lock.  What may become of `old` bytes at `address`: vma_to_resize's checks. */
static int64_t check(guest_t address, uint64_t old, uint64_t new, const struct mm_limits *limits)
{
    const struct vma_node *node = vma_at(address);
    if (!node || node->vma.start > address)
        return -EFAULT;
    if (old == 0 && !(node->vma.flags & MAP_SHARED))
        return -EINVAL;
    if (old > node->vma.end - address)
        return -EFAULT;
    if (new == old)
        return 0;
    if (node->vma.file && node->vma.offset + (address - node->vma.start) + new < new)
        return -EINVAL;
    const struct vma more = {.end = new > old ? new - old : 0, .protection = node->vma.protection, .flags = node->vma.flags};
    return mm_check_limits(limits, &more);
}

/* Caller holds mm.lock, and has checked.  The target is free. */
static int64_t move(guest_t address, uint64_t old, guest_t target, uint64_t new)
{
    int64_t error = mm.count < MAP_COUNT_MAX ? vma_prepare() : -ENOMEM;
    site_forget(address, address + old, true);
    if (error == 0)
        error = image_leave(address, address + old);
    if (error == 0)
        error = PAL->memory_move(address, old, target, new);
    if (error < 0)
        return error;
    struct vma vma = vma_at(address)->vma;
    if (vma.file) {
        vma.offset += address - vma.start;
        file_ref(vma.file);
    } else {
        vma.flags &= ~VMA_IMAGE;
    }
    vma.start = target;
    vma.end = target + new;
    vma.flags &= ~MAP_GROWSDOWN;
    if (!(vma.flags & MAP_SHARED))
        vma.name = NULL; /* no longer the heap or the stack */
    if (old)
        vma_take(address, address + old, NULL, NULL);
    vma_add(&vma);
    if (UNLIKELY(rewriting_ahead))
        rewrite_ahead(target, target + new);
    return (int64_t)target;
}

static int64_t grow_in_place(guest_t address, uint64_t old, uint64_t new)
{
    struct vma vma = vma_at(address)->vma;
    guest_t start = vma.start;
    int64_t error = vma_prepare();
    if (error == 0)
        error = image_leave(start, address + old);
    if (error == 0)
        error = PAL->memory_move(address, old, address, new);
    if (error < 0)
        return error;
    if (vma.file)
        file_ref(vma.file);
    else
        vma.flags &= ~VMA_IMAGE;
    vma.end = address + new;
    vma_take(start, address + old, NULL, NULL);
    vma_add(&vma);
    return (int64_t)address;
}

static int64_t move_fixed(guest_t address, uint64_t old, guest_t target, uint64_t new, const struct mm_limits *limits)
{
    if ((target & PAGE_MASK) || new > PAL_GUEST_END || target > PAL_GUEST_END - new)
        return -EINVAL;
    if (address + old > target && target + new > address)
        return -EINVAL;
    if (target < PAL_GUEST_BASE)
        return -EPERM;
    if (mm_range_hidden(target, target + new))
        return -ENOMEM;
    int64_t error = mm_release(target, target + new);
    if (error == 0 && old > new) {
        error = mm_release(address + new, address + old);
        old = new;
    }
    if (error == 0)
        error = check(address, old, new, limits);
    return error < 0 ? error : move(address, old, target, new);
}

/* Caller holds mm.lock. */
static int64_t resize(guest_t address, uint64_t old, uint64_t new, uint32_t flags, const struct mm_limits *limits)
{
    if (old >= new) {
        int64_t error = old > new ? mm_release(address + new, address + old) : 0;
        return error < 0 ? error : (int64_t)address;
    }
    int64_t error = check(address, old, new, limits);
    if (error < 0)
        return error;
    const struct vma *vma = &vma_at(address)->vma;
    if (old == vma->end - address && new <= PAL_GUEST_END - address && vma_is_free(vma->end, address + new)) {
        int64_t result = grow_in_place(address, old, new);
        /* The host may see two mappings where we see one: then it must move. */
        if (result != -EFAULT && result != -ENOMEM)
            return result;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    int64_t target = mm_place(0, new, 0);
    return target < 0 ? target : move(address, old, (guest_t)target, new);
}

/* MREMAP_DONTUNMAP: the pages move, and the mapping stays, as if it had just been made.  Caller holds mm.lock. */
static int64_t duplicate(guest_t address, uint64_t size, guest_t target, uint32_t flags, const struct mm_limits *limits)
{
    struct vma vma = vma_at(address)->vma;
    if (size > vma.end - address)
        return -EFAULT;
    const struct vma more = {.end = size, .protection = vma.protection, .flags = vma.flags};
    int64_t error = mm_check_limits(limits, &more);
    if (error < 0)
        return error;
    if ((target & PAGE_MASK) || size > PAL_GUEST_END || target > PAL_GUEST_END - size ||
        (address + size > target && target + size > address))
        return -EINVAL;
    if (!(flags & MREMAP_FIXED)) {
        int64_t place = mm_place(target, size, 0);
        if (place < 0)
            return place;
        target = (guest_t)place;
    }
    vma.file = vma.file ? file_ref(vma.file) : NULL;
    vma.offset += address - vma.start;
    int64_t result = flags & MREMAP_FIXED ? move_fixed(address, size, target, size, limits)
                                          : move(address, size, target, size);
    if (result >= 0) {
        error = mm_map_at(address, size, &vma);
        result = error < 0 ? error : result;
    }
    if (vma.file)
        file_put(vma.file);
    return result;
}

int64_t sys_mremap(guest_t address, uint64_t old, uint64_t new, uint32_t flags, guest_t target)
{
    if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) ||
        ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE)) || (address & PAGE_MASK) ||
        (flags & MREMAP_DONTUNMAP && old != new))
        return -EINVAL;
    old = PAGE_UP(old);
    new = PAGE_UP(new);
    if (new == 0)
        return -EINVAL;
    if (address > PAL_GUEST_END || old > PAL_GUEST_END - address)
        return old <= PAL_GUEST_END && new >= old ? -EFAULT : -EINVAL;
    const struct mm_limits limits = mm_limits();
    mm_lock();
    const struct vma_node *node = vma_at(address);
    int64_t result = -EFAULT;
    if (node && node->vma.start <= address && !mm_range_hidden(address, address + MAX(old, PAGE_SIZE)))
        result = flags & MREMAP_DONTUNMAP ? duplicate(address, old, target, flags, &limits)
                 : flags & MREMAP_FIXED   ? move_fixed(address, old, target, new, &limits)
                                          : resize(address, old, new, flags, &limits);
    mm_unlock();
    return result;
}
