/* SPDX-License-Identifier: MIT */
/*
 * Memory: mmap(2) and its kin, on the guest's range and the arena's heap only.  The host's own mappings (PAL, image,
 * stacks, the shared segment) can't be hit by a wrong address; of the shared segment, pages can be mapped a second time
 * and given back.
 *
 * A reservation costs nothing here: the libOS knows what it reserved, and nobody else maps anything in those ranges.
 */
#include <linux/membarrier.h>
#include <linux/mman.h>

#include "pal/linux/linux.h"

static int range_ok(uint64_t address, uint64_t size)
{
    uint64_t end = address + size;
    if (!size || end < address || (address | size) % PAL_PAGE_SIZE)
        return 0;
    if (address >= PAL_GUEST_BASE && end <= PAL_GUEST_END)
        return 1;
    return address >= PAGE_UP(image->arena_end) && end <= PAL_ARENA_BASE + PAL_ARENA_SIZE;
}

static int in_shared(uint64_t address, uint64_t size)
{
    uint64_t offset = address - PAL_SHARED_BASE, whole = shared->boot.shared_size;
    return size && !((address | size) % PAL_PAGE_SIZE) && address >= PAL_SHARED_BASE && offset < whole &&
           size <= whole - offset;
}

static uint64_t protection_bits(uint32_t protection)
{
    return (protection & PAL_READ ? PROT_READ : 0u) | (protection & PAL_WRITE ? PROT_WRITE : 0u) |
           (protection & PAL_EXEC ? PROT_EXEC : 0u);
}

static uint64_t map_bits(uint32_t flags)
{
    return MAP_FIXED | (flags & PAL_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE) |
           (flags & PAL_MAP_NORESERVE ? MAP_NORESERVE : 0u) | (flags & PAL_MAP_GROWSDOWN ? MAP_GROWSDOWN : 0u) |
           (flags & PAL_MAP_POPULATE ? MAP_POPULATE : 0u);
}

static int64_t map(uint64_t address, uint64_t size, uint32_t protection, uint64_t flags, int64_t handle,
                   uint64_t offset)
{
    if (!range_ok(address, size))
        return -EINVAL;
    int64_t at = host_call(mmap, address, size, protection_bits(protection), flags, handle, offset);
    return at < 0 ? at : 0;
}

int64_t linux_memory_reserve(uint64_t address, uint64_t size)
{
    return range_ok(address, size) ? 0 : -EINVAL;
}

/* What is taken stays: tests alone have such. */
static int64_t release_around(uint64_t address, uint64_t end)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < PAL_TAKEN && result == 0 && shared->boot.taken[i].end; i++) {
        const struct pal_range *taken = &shared->boot.taken[i];
        if (taken->end <= address || taken->start >= end)
            continue;
        if (taken->start > address)
            result = host_call(munmap, address, taken->start - address);
        address = taken->end;
    }
    return result == 0 && address < end ? host_call(munmap, address, end - address) : result;
}

int64_t linux_memory_release(uint64_t address, uint64_t size)
{
    if (!range_ok(address, size))
        return -EINVAL;
    return shared->boot.taken[0].end ? release_around(address, address + size) : host_call(munmap, address, size);
}

int64_t linux_memory_commit(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags)
{
    return map(address, size, protection, map_bits(flags) | MAP_ANONYMOUS, -1, 0);
}

int64_t linux_memory_map(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                         uint64_t offset)
{
    return map(address, size, protection, map_bits(flags), handle, offset);
}

int64_t linux_memory_decommit(uint64_t address, uint64_t size, uint32_t how)
{
    static const uint8_t advice[] = {
        [PAL_DECOMMIT_ZERO] = MADV_DONTNEED, [PAL_DECOMMIT_LAZY] = MADV_FREE, [PAL_DECOMMIT_UNSHARE] = MADV_REMOVE,
        [PAL_PREFER_HUGE] = MADV_HUGEPAGE,   [PAL_PREFER_SMALL] = MADV_NOHUGEPAGE};
    if (how >= sizeof advice ||
        !(range_ok(address, size) || (how == PAL_DECOMMIT_UNSHARE && in_shared(address, size))))
        return -EINVAL;
    if (how == PAL_DECOMMIT_UNSHARE)
        linux_uses(LINUX_CLASS_SECTIONS);
    return host_call(madvise, address, size, advice[how]);
}

int64_t linux_memory_protect(uint64_t address, uint64_t size, uint32_t protection)
{
    return range_ok(address, size) ? host_call(mprotect, address, size, protection_bits(protection)) : -EINVAL;
}

int64_t linux_memory_move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size)
{
    if (!range_ok(source, source_size ? source_size : PAL_PAGE_SIZE) &&
        (source_size || !in_shared(source, target_size)))
        return -EINVAL;
    if (!range_ok(target, target_size))
        return -EINVAL;
    uint64_t flags = source == target ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    int64_t at = host_call(mremap, source, source_size, target_size, flags, target);
    return at < 0 ? at : 0;
}

int64_t linux_code_sync(uint32_t all)
{
    if (all)
        return host_call(membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    int64_t error = host_call(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    if (error != -EPERM)
        return error;
    error = host_call(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    return error ? error : host_call(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}
