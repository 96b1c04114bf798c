/* SPDX-License-Identifier: MIT */
/*
 * Memory by page inside reservations that are this PAL's: the launcher's, where programs are linked to; the arena; and pieces
 * of 1 GiB, or of 64 KiB where the host has something near, made when they are first wanted.  The table of these is what
 * tells the guest's memory from the host's: nothing else is ever touched.
 *
 * A page without any access is not committed until it is given one.
 */
#include "pal/windows/windows.h"

#define PIECE (1ull << 30)
#define LEAST_PIECE 0x10000ull
#define LOW_START 0x400000ull
#define LOW_END 0x40000000ull
#define HOST_HALF 0x6ff000000000ull /* from here on all is the host's: its DLLs, and Wine's own */
#define MOST_RANGES 4096u

static struct pal_range owned[MOST_RANGES]; /* ascending, none touches another */
static uint32_t owned_count;
static SRWLOCK lock = SRWLOCK_INIT;

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
    uint64_t offset = address - PAL_SHARED_BASE, whole = boot->shared_size;
    return size && !((address | size) % PAL_PAGE_SIZE) && address >= PAL_SHARED_BASE && offset < whole &&
           size <= whole - offset;
}

/* ---- What is owned.  Caller holds the lock ----------------------------------------------------------------------- */

/* The first range that ends behind an address. */
static uint32_t first_behind(uint64_t address)
{
    uint32_t low = 0, high = owned_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (owned[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int own(uint64_t start, uint64_t end)
{
    uint32_t at = first_behind(start), left = at > 0 && owned[at - 1].end == start;
    uint32_t right = at < owned_count && owned[at].start == end;
    if (left)
        owned[at - 1].end = right ? owned[at].end : end;
    else if (right)
        owned[at].start = start;
    if (left != right)
        return 1;
    if (left) {
        owned_count--;
        for (uint32_t i = at; i < owned_count; i++)
            owned[i] = owned[i + 1];
        return 1;
    }
    if (owned_count == MOST_RANGES)
        return 0;
    for (uint32_t i = owned_count++; i > at; i--)
        owned[i] = owned[i - 1];
    owned[at] = (struct pal_range){start, end};
    return 1;
}

static int is_owned(uint64_t address)
{
    uint32_t at = first_behind(address);
    return at < owned_count && owned[at].start <= address;
}

static int reserve_piece(uint64_t address, uint64_t size)
{
    uint64_t start = address & ~(size - 1);
    if (start < PAL_GUEST_BASE || start + size > HOST_HALF || start + size < start)
        return 0;
    uint32_t at = first_behind(start);
    if ((at < owned_count && owned[at].start < start + size) ||
        !VirtualAlloc((void *)start, size, MEM_RESERVE, PAGE_NOACCESS))
        return 0;
    if (own(start, start + size))
        return 1;
    VirtualFree((void *)start, 0, MEM_RELEASE);
    return 0;
}

static int64_t reserve(uint64_t address, uint64_t end)
{
    while (address < end) {
        uint32_t at = first_behind(address);
        if (at < owned_count && owned[at].start <= address)
            address = owned[at].end;
        else if (!reserve_piece(address, PIECE) && !reserve_piece(address, LEAST_PIECE))
            return -ENOMEM;
    }
    return 0;
}

/* Calls `step` for each part that the host sees as one, of what is owned of a range. */
static int64_t each(uint64_t address, uint64_t end, int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD), DWORD value)
{
    while (address < end) {
        uint32_t at = first_behind(address);
        if (at == owned_count || owned[at].start >= end)
            return 0;
        MEMORY_BASIC_INFORMATION part;
        address = MAX(address, owned[at].start);
        if (!VirtualQuery((void *)address, &part, sizeof part))
            return last_error();
        uint64_t part_end = MIN((uint64_t)part.BaseAddress + part.RegionSize, MIN(end, owned[at].end));
        part.BaseAddress = (void *)address;
        part.RegionSize = part_end - address;
        int64_t error = step(&part, value);
        if (error < 0)
            return error;
        address = part_end;
    }
    return 0;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static DWORD protection_bits(uint32_t protection)
{
    static const uint8_t bits[8] = {PAGE_NOACCESS,     PAGE_READONLY,          PAGE_READWRITE,         PAGE_READWRITE,
                                    PAGE_EXECUTE_READ, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_READWRITE};
    return bits[protection & 7];
}

static int64_t drop(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    (void)value;
    if (part->State == MEM_COMMIT && !VirtualFree(part->BaseAddress, part->RegionSize, MEM_DECOMMIT))
        return last_error();
    return 0;
}

static int64_t give(const MEMORY_BASIC_INFORMATION *part, DWORD protection)
{
    return VirtualAlloc(part->BaseAddress, part->RegionSize, MEM_COMMIT, protection) ? 0 : -ENOMEM;
}

static int64_t protect(const MEMORY_BASIC_INFORMATION *part, DWORD protection)
{
    DWORD old;
    if (part->State != MEM_COMMIT)
        return protection == PAGE_NOACCESS ? 0 : give(part, protection);
    return VirtualProtect(part->BaseAddress, part->RegionSize, protection, &old) ? 0 : last_error();
}

static int64_t renew(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    if (part->State != MEM_COMMIT)
        return 0;
    int64_t error = drop(part, value);
    return error < 0 ? error : give(part, part->Protect);
}

static int64_t commit(uint64_t address, uint64_t size, DWORD protection)
{
    int64_t error = reserve(address, address + size);
    if (error == 0)
        error = each(address, address + size, drop, 0);
    if (error == 0 && protection != PAGE_NOACCESS)
        error = each(address, address + size, give, protection);
    return error;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

int64_t windows_memory_reserve(uint64_t address, uint64_t size)
{
    if (!range_ok(address, size))
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    int64_t error = reserve(address, address + size);
    ReleaseSRWLockExclusive(&lock);
    return error;
}

int64_t windows_memory_release(uint64_t address, uint64_t size)
{
    if (!range_ok(address, size))
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    int64_t error = each(address, address + size, drop, 0);
    if (error == 0)
        error = view_release(address, address + size);
    ReleaseSRWLockExclusive(&lock);
    return error;
}

int64_t windows_memory_commit(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags)
{
    if (!range_ok(address, size))
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    int64_t error = view_release(address, address + size);
    if (error == 0)
        error = flags & PAL_MAP_SHARED ? view_commit(address, size, protection)
                                       : commit(address, size, protection_bits(protection));
    ReleaseSRWLockExclusive(&lock);
    return error;
}

int64_t windows_memory_decommit(uint64_t address, uint64_t size, uint32_t how)
{
    if (how == PAL_DECOMMIT_UNSHARE && in_shared(address, size)) {
        memset((void *)address, 0, size);
        return 0;
    }
    if (how > PAL_DECOMMIT_UNSHARE || !range_ok(address, size))
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    if (how == PAL_DECOMMIT_UNSHARE) {
        int64_t cleared = view_clear(address, address + size);
        ReleaseSRWLockExclusive(&lock);
        return cleared;
    }
    int64_t error = each(address, address + size, renew, 0);
    ReleaseSRWLockExclusive(&lock);
    return error;
}

int64_t windows_memory_protect(uint64_t address, uint64_t size, uint32_t protection)
{
    if (!range_ok(address, size))
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    int shared = view_overlaps(address, address + size);
    int64_t error = shared ? view_protect(address, address + size, protection) : reserve(address, address + size);
    if (error == 0)
        error = each(address, address + size, protect, protection_bits(protection));
    ReleaseSRWLockExclusive(&lock);
    return error;
}

/* A private mapping is a copy of what the file holds now; what lies behind its end is zero. */
static int64_t map_private(uint64_t address, uint64_t size, uint32_t protection, const struct windows_handle *file, uint64_t offset)
{
    int64_t error = commit(address, size, PAGE_READWRITE);
    if (error == 0)
        error = stream_fill(file, address, size, offset);
    return error == 0 ? each(address, address + size, protect, protection_bits(protection)) : error;
}

int64_t windows_memory_map(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                           uint64_t offset)
{
    const struct windows_handle *file = handle_find(handle);
    if (!range_ok(address, size) || offset % PAL_PAGE_SIZE)
        return -EINVAL;
    if (!file)
        return -EBADF;
    if (file->kind != HANDLE_FILE)
        return -ENODEV;
    AcquireSRWLockExclusive(&lock);
    int64_t error = view_release(address, address + size);
    if (error == 0)
        error = flags & PAL_MAP_SHARED ? view_file(address, size, protection, file, offset)
                                       : map_private(address, size, protection, file, offset);
    ReleaseSRWLockExclusive(&lock);
    return error;
}

/* Where pages are moved to, while each() goes through the source. */
static uint64_t distance;

static int64_t copy_part(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    (void)value;
    if (part->State != MEM_COMMIT)
        return 0;
    DWORD old;
    MEMORY_BASIC_INFORMATION target = *part;
    target.BaseAddress = (char *)part->BaseAddress + distance;
    int64_t error = each((uint64_t)target.BaseAddress, (uint64_t)target.BaseAddress + target.RegionSize, give, PAGE_READWRITE);
    if (error < 0)
        return error;
    if (!VirtualProtect(part->BaseAddress, part->RegionSize, PAGE_READWRITE, &old))
        return last_error();
    memcpy(target.BaseAddress, part->BaseAddress, part->RegionSize);
    return each((uint64_t)target.BaseAddress, (uint64_t)target.BaseAddress + target.RegionSize, protect, part->Protect);
}

/* What is added behind is as the page before it. */
static int64_t grow(uint64_t end, uint64_t size)
{
    MEMORY_BASIC_INFORMATION last;
    if (!VirtualQuery((void *)(end - PAL_PAGE_SIZE), &last, sizeof last))
        return last_error();
    return commit(end, size, last.State == MEM_COMMIT ? last.Protect : PAGE_NOACCESS);
}

static int64_t move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size)
{
    if (source == target && target_size <= source_size)
        return each(source + target_size, source + source_size, drop, 0);
    if (source == target)
        return grow(source + source_size, target_size - source_size);
    uint64_t both = MIN(source_size, target_size);
    int64_t error = commit(target, target_size, PAGE_NOACCESS);
    distance = target - source;
    if (error == 0)
        error = each(source, source + both, copy_part, 0);
    if (error == 0 && target_size > source_size)
        error = grow(target + source_size, target_size - source_size);
    return error == 0 ? each(source, source + source_size, drop, 0) : error;
}

int64_t windows_memory_move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size)
{
    if (!source_size)
        return in_shared(source, target_size) && range_ok(target, target_size) ? -EOPNOTSUPP : -EINVAL;
    if (!range_ok(source, source_size) || !range_ok(target, target_size))
        return -EINVAL;
    if (source != target && source < target + target_size && target < source + source_size)
        return -EINVAL;
    AcquireSRWLockExclusive(&lock);
    int64_t error = view_overlaps(source, source + source_size) ? -EOPNOTSUPP : move(source, source_size, target, target_size);
    ReleaseSRWLockExclusive(&lock);
    return error;
}

int64_t windows_code_sync(uint32_t all)
{
    if (all)
        return -ENOSYS;
    FlushProcessWriteBuffers();
    return 0;
}

/* ---- Forks ------------------------------------------------------------------------------------------------------- */

void memory_hold(void)
{
    AcquireSRWLockExclusive(&lock);
}

void memory_let_go(void)
{
    ReleaseSRWLockExclusive(&lock);
}

uint32_t memory_range_count(void)
{
    return owned_count;
}

static int is_left_out(const struct pal_range *range, int bare)
{
    return bare && range->end <= PAL_GUEST_END;
}

void memory_ranges(int bare, void (*tell)(uint64_t start, uint64_t end))
{
    for (uint32_t i = 0; i < owned_count; i++)
        if (!is_left_out(&owned[i], bare))
            tell(owned[i].start, owned[i].end);
}

void memory_each_range(int bare, int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD))
{
    for (uint32_t i = 0; i < owned_count; i++)
        if (!is_left_out(&owned[i], bare))
            each(owned[i].start, owned[i].end, step, 0);
}

void memory_each_stack(int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD))
{
    MEMORY_BASIC_INFORMATION part;
    for (uint64_t at = PAL_HOST_BASE; at < STACK_TOP && VirtualQuery((void *)at, &part, sizeof part);
         at = (uint64_t)part.BaseAddress + part.RegionSize)
        step(&part, 0);
}

int64_t memory_claim(uint64_t start, uint64_t end)
{
    return reserve(start, end);
}

/* ---- Start ------------------------------------------------------------------------------------------------------- */

int memory_low_reserve(HANDLE process)
{
    return VirtualAllocEx(process, (void *)LOW_START, LOW_END - LOW_START, MEM_RESERVE, PAGE_NOACCESS) != NULL;
}

/* Without a lock: a thread that stands still may hold it. */
int memory_is_guest(uint64_t address)
{
    for (uint32_t i = 0; i < PAL_TAKEN && boot->taken[i].end; i++)
        if (address >= boot->taken[i].start && address < boot->taken[i].end)
            return 0;
    return address < PAL_GUEST_END;
}

/* With no room left, the two ranges that lie nearest become one. */
static void take(struct pal_range *ranges, uint32_t *count, uint64_t start, uint64_t end)
{
    if (*count && ranges[*count - 1].end >= start) {
        ranges[*count - 1].end = MAX(end, ranges[*count - 1].end);
        return;
    }
    ranges[(*count)++] = (struct pal_range){start, end};
    if (*count < PAL_TAKEN)
        return;
    uint32_t nearest = 1;
    for (uint32_t i = 1; i < *count; i++)
        if (ranges[i].start - ranges[i - 1].end < ranges[nearest].start - ranges[nearest - 1].end)
            nearest = i;
    ranges[nearest - 1].end = ranges[nearest].end;
    (*count)--;
    for (uint32_t i = nearest; i < *count; i++)
        ranges[i] = ranges[i + 1];
}

static void find_taken(struct pal_range *ranges)
{
    uint32_t count = 0;
    MEMORY_BASIC_INFORMATION part;
    for (uint64_t at = PAL_GUEST_BASE; at < HOST_HALF && VirtualQuery((void *)at, &part, sizeof part);
         at = (uint64_t)part.BaseAddress + part.RegionSize)
        if (part.State != MEM_FREE && !is_owned(at))
            take(ranges, &count, at & ~(LEAST_PIECE - 1), ((uint64_t)part.BaseAddress + part.RegionSize + LEAST_PIECE - 1) & ~(LEAST_PIECE - 1));
    for (uint32_t i = count; i < PAL_TAKEN; i++)
        ranges[i] = (struct pal_range){0, 0};
    ranges[count] = (struct pal_range){HOST_HALF, PAL_GUEST_END};
}

static void own_low(void)
{
    MEMORY_BASIC_INFORMATION part;
    if (VirtualQuery((void *)LOW_START, &part, sizeof part) && part.State == MEM_RESERVE &&
        part.AllocationBase == (void *)LOW_START && part.RegionSize == LOW_END - LOW_START)
        own(LOW_START, LOW_END);
}

void memory_init(struct pal_range *taken)
{
    own_low();
    own(PAL_ARENA_BASE, PAL_ARENA_BASE + PAL_ARENA_SIZE);
    if (taken)
        find_taken(taken);
}
