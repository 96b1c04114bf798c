/* SPDX-License-Identifier: MIT */
/* mprotect, and the locking of memory, which the host does not do for us: see lock_range. */
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

/* Caller holds mm.lock. */
static int64_t protect(guest_t start, guest_t end, uint32_t protection)
{
    int64_t refused = 0;
    guest_t stop = reach(start, end, protection, &refused);
    if (stop > start) {
        int64_t error = mm.count < MAP_COUNT_MAX ? vma_prepare() : -ENOMEM;
        if (protection != (PROT_READ | PROT_EXEC))
            site_forget(start, stop, true);
        if (error == 0)
            error = PAL->memory_protect(start, stop - start, protection);
        if (error < 0)
            return error;
        vma_take(start, stop, set_protection, &protection);
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
    mm_lock();
    int64_t result = 0;
    const struct vma_node *node = vma_at(address);
    if (!node || (grows & PROT_GROWSDOWN ? node->vma.start >= end : node->vma.start > address))
        result = -ENOMEM;
    else if ((grows & PROT_GROWSUP) || (grows && !(node->vma.flags & MAP_GROWSDOWN)))
        result = -EINVAL; /* no stack grows upwards here */
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

/*
 * mlock and friends: no host call pins memory (the sandbox shall not), so a lock is only written down and its range
 * checked.  What programs see of it (holes refused, limits, MADV_DONTNEED refused) is as on Linux.
 */
static int64_t lock_range(guest_t address, uint64_t size, uint32_t locked)
{
    guest_t start = PAGE_DOWN(address);
    size = PAGE_UP(size + (address & PAGE_MASK));
    if (size == 0)
        return 0;
    if (start + size < start)
        return -EINVAL;
    if (locked && size > mm_limit(RLIMIT_MEMLOCK))
        return -ENOMEM;
    int64_t error = 0;
    mm_lock();
    guest_t stop = reach(start, start + size, 0, &error);
    if (stop > start) {
        int64_t prepared = vma_prepare();
        if (prepared == 0)
            vma_take(start, stop, set_locked, &locked);
        else
            error = prepared;
    }
    mm_unlock();
    return error;
}

int64_t sys_mlock(guest_t address, uint64_t size)
{
    return lock_range(address, size, MAP_LOCKED);
}

int64_t sys_mlock2(guest_t address, uint64_t size, uint32_t flags)
{
    return flags & ~1u /* MLOCK_ONFAULT */ ? -EINVAL : sys_mlock(address, size);
}

int64_t sys_munlock(guest_t address, uint64_t size)
{
    return lock_range(address, size, 0);
}

/* MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT. */
int64_t sys_mlockall(uint32_t flags)
{
    if (flags == 0 || flags > 7 || flags == 4)
        return -EINVAL;
    uint64_t most = mm_limit(RLIMIT_MEMLOCK);
    mm_lock();
    bool fits = mm.bytes <= most;
    mm_unlock();
    return !(flags & 1) || fits ? 0 : -ENOMEM;
}

int64_t sys_munlockall(void)
{
    uint32_t locked = 0;
    mm_lock();
    int64_t error = vma_prepare();
    if (error == 0)
        vma_take(0, UINT64_MAX, set_locked, &locked);
    mm_unlock();
    return error;
}
