/* SPDX-License-Identifier: MIT */
/* mprotect, and the locking of memory, which the host does not do for us. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

/* mprotect_fixup's check: what the file was opened for still holds. */
static bool may_have(const struct vma *vma, uint32_t protection)
{
    return !(protection & PROT_WRITE) || !vma->file || !(vma->flags & MAP_SHARED) ||
           (vma->file->flags & O_ACCMODE) == O_RDWR;
}

static bool set_protection(struct vma *vma, void *argument)
{
    vma->protection = *(uint32_t *)argument;
    return true;
}

static bool set_locked(struct vma *vma, void *argument)
{
    vma->flags = (vma->flags & ~MAP_LOCKED) | *(uint32_t *)argument;
    return true;
}

/* What becomes writable counts as data. */
static uint64_t more_data(const struct vma *vma, guest_t start, guest_t end, uint32_t protection)
{
    struct vma then = *vma;
    then.protection = protection;
    return !vma_is_data(vma) && vma_is_data(&then) ? MIN(vma->end, end) - MAX(vma->start, start) : 0;
}

static bool data_fits(guest_t start, guest_t end, uint32_t protection, uint64_t most)
{
    uint64_t more = 0;
    for (guest_t at = start; at < end;) {
        const struct vma_node *node = vma_at(at);
        if (!node || node->vma.start >= end)
            break;
        more += more_data(&node->vma, at, end, protection);
        at = node->vma.end;
    }
    return more == 0 || (mm.data <= most && more <= most - mm.data);
}

/* How far from start mappings follow each other without a hole, and may get the protection;
 * *error says what stops it. */
static guest_t reach(guest_t start, guest_t end, uint32_t protection, int64_t *error)
{
    guest_t at = start;
    while (at < end) {
        const struct vma_node *node = vma_at(at);
        if (!node || node->vma.start > at || (node->vma.flags & VMA_HIDDEN)) {
            *error = -ENOMEM;
            break;
        }
        if (!may_have(&node->vma, protection)) {
            *error = -EACCES;
            break;
        }
        at = node->vma.end;
    }
    return MIN(at, end);
}

/* Where [start, end) is text already: the program may be running it, and its sites are rewritten. */
static guest_t text_until(guest_t start, guest_t end)
{
    const struct vma_node *node;
    while (start < end && (node = vma_at(start)) && node->vma.start <= start &&
           node->vma.protection == (PROT_READ | PROT_EXEC))
        start = node->vma.end;
    return MIN(start, end);
}

/* Caller holds mm.lock. */
static int64_t protect(guest_t start, guest_t end, uint32_t protection)
{
    int64_t refused = 0;
    guest_t stop = reach(start, end, protection, &refused);
    if (stop > start) {
        int64_t error = mm.count < MAP_COUNT_MAX ? vma_prepare() : -ENOMEM;
        guest_t fresh = UNLIKELY(rewriting_ahead) ? text_until(start, stop) : stop;
        if (protection != (PROT_READ | PROT_EXEC))
            site_forget(start, stop, true);
        if (error == 0)
            error = PAL->memory_protect(start, stop - start, protection);
        if (error < 0)
            return error;
        vma_take(start, stop, set_protection, &protection);
        if (UNLIKELY(fresh < stop) && protection == (PROT_READ | PROT_EXEC))
            rewrite_ahead(fresh, stop);
    }
    return refused;
}

int64_t sys_mprotect(guest_t address, uint64_t size, uint32_t protection)
{
    uint32_t grows = protection & (PROT_GROWSDOWN | PROT_GROWSUP);
    protection &= ~grows;
    if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || (address & PAGE_MASK))
        return -EINVAL;
    if (size == 0)
        return 0;
    size = PAGE_UP(size);
    guest_t end = address + size;
    if (end <= address)
        return -ENOMEM;
    if (protection & ~(PROT_READ | PROT_WRITE | PROT_EXEC | 8u /* PROT_SEM */))
        return -EINVAL;
    protection &= PROT_READ | PROT_WRITE | PROT_EXEC;
    uint64_t most = mm_limit(RLIMIT_DATA);
    mm_lock();
    int64_t result = 0;
    const struct vma_node *node = vma_at(address);
    if (!node || (grows & PROT_GROWSDOWN ? node->vma.start >= end : node->vma.start > address))
        result = -ENOMEM;
    else if ((grows & PROT_GROWSUP) || (grows && !(node->vma.flags & MAP_GROWSDOWN)))
        result = -EINVAL; /* no stack grows upwards here */
    else if (UNLIKELY(most != UINT64_MAX) && !data_fits(address, end, protection, most))
        result = -ENOMEM;
    else
        result = protect(grows ? node->vma.start : address, end, protection);
    mm_unlock();
    return result;
}

/* No protection keys, as on processors without: pkey_alloc gives none. */
int64_t sys_pkey_mprotect(guest_t address, uint64_t size, uint32_t protection, int32_t key)
{
    return key == -1 ? sys_mprotect(address, size, protection) : -EINVAL;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

/*
 * mlock and friends: no host call pins memory (the sandbox shall not), so a lock is only written down, its range checked and
 * its pages touched.  What programs see of it (holes refused, limits, MADV_DONTNEED refused, VmLck) is as on Linux.
 */

/* Pages that are there when the call returns.  [start, end) has no hole. */
static int64_t bring_in(guest_t start, guest_t end)
{
    struct vma vma;
    for (guest_t at = start; at < end; at = vma.end) {
        if (!mm_find(at, &vma))
            return -ENOMEM;
        bool writes = vma.protection & PROT_WRITE && !(vma.flags & MAP_SHARED);
        if (vma.flags & (VMA_HIDDEN | MAP_GROWSDOWN)) /* a stack is mapped as far as it may grow, Linux's is not */
            continue;
        if (mm_populate(at, MIN(vma.end, end), writes) < 0)
            return -ENOMEM;
    }
    return 0;
}

static uint64_t locked_already(guest_t start, guest_t end)
{
    uint64_t sum = 0;
    for (guest_t at = start; at < end;) {
        const struct vma_node *node = vma_at(at);
        if (!node || node->vma.start >= end)
            break;
        if (node->vma.flags & MAP_LOCKED)
            sum += MIN(node->vma.end, end) - MAX(node->vma.start, at);
        at = node->vma.end;
    }
    return sum;
}

static int64_t lock_range(guest_t address, uint64_t size, uint32_t locked, bool touches)
{
    const uint64_t most = mm_limits().locked;
    guest_t start = PAGE_DOWN(address);
    size = PAGE_UP(size + (address & PAGE_MASK));
    if (locked && most == 0)
        return -EPERM;
    if (size == 0)
        return 0;
    if (start + size < start)
        return -EINVAL;
    int64_t error = 0;
    mm_lock();
    if (locked && size > most - MIN(most, mm.locked) &&
        size - locked_already(start, start + size) > most - MIN(most, mm.locked)) {
        mm_unlock();
        return -ENOMEM;
    }
    guest_t stop = reach(start, start + size, 0, &error);
    if (stop > start) {
        int64_t prepared = vma_prepare();
        if (prepared == 0)
            vma_take(start, stop, set_locked, &locked);
        else
            error = prepared;
    }
    mm_unlock();
    return error == 0 && touches ? bring_in(start, stop) : error;
}

int64_t sys_mlock(guest_t address, uint64_t size)
{
    return lock_range(address, size, MAP_LOCKED, true);
}

int64_t sys_mlock2(guest_t address, uint64_t size, uint32_t flags)
{
    const uint32_t on_fault = 1;
    return flags & ~on_fault ? -EINVAL : lock_range(address, size, MAP_LOCKED, !(flags & on_fault));
}

int64_t sys_munlock(guest_t address, uint64_t size)
{
    return lock_range(address, size, 0, false);
}

static bool set_locked_visible(struct vma *vma, void *argument)
{
    return vma->flags & VMA_HIDDEN ? true : set_locked(vma, argument);
}

static int64_t add_stack(const struct vma *vma, void *argument)
{
    if (vma->flags & MAP_GROWSDOWN)
        *(uint64_t *)argument += vma->end - vma->start;
    return 0;
}

int64_t sys_mlockall(uint32_t flags)
{
    enum { CURRENT = 1, FUTURE = 2, ON_FAULT = 4 };
    uint32_t locked = MAP_LOCKED;
    const uint64_t most = mm_limits().locked;
    if (flags == 0 || flags & ~(uint32_t)(CURRENT | FUTURE | ON_FAULT) || flags == ON_FAULT)
        return -EINVAL;
    if (most == 0)
        return -EPERM;
    mm_lock();
    uint64_t stacks = 0;
    vma_each(mm.root, add_stack, &stacks);
    int64_t error = flags & CURRENT && mm.bytes - stacks > most ? -ENOMEM : 0;
    if (error == 0 && flags & CURRENT)
        error = vma_prepare();
    if (error == 0) {
        mm.lock_future = flags & FUTURE;
        if (flags & CURRENT)
            vma_take(0, UINT64_MAX, set_locked_visible, &locked);
    }
    mm_unlock();
    struct vma vma;
    for (guest_t at = 0; error == 0 && flags & CURRENT && !(flags & ON_FAULT) && mm_next(at, &vma); at = vma.end)
        (void)bring_in(vma.start, vma.end); /* what can't be touched stays out */
    return error;
}

void mm_unlock_all(void)
{
    uint32_t locked = 0;
    vma_take(0, UINT64_MAX, set_locked, &locked);
}

int64_t sys_munlockall(void)
{
    mm_lock();
    int64_t error = vma_prepare();
    if (error == 0) {
        mm.lock_future = false;
        mm_unlock_all();
    }
    mm_unlock();
    return error;
}
