/* SPDX-License-Identifier: MIT */
/*
 * The guest's address space: where mappings go, mmap, munmap, brk, and what other parts of the libOS ask of it.
 *
 * Each change is one call to the host, made under mm.lock between vma_prepare and the change of the tree, so that tree
 * and host agree at any moment.  Guest memory is never touched under the lock.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"
#include "libos/task/table.h"
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

bool mm_no_randomize;

void mm_lock(void)
{
    mutex_lock(&mm.lock);
}

void mm_unlock(void)
{
    struct vma_node *dead = mm.dead;
    mm.dead = NULL;
    mutex_unlock(&mm.lock);
    while (dead) {
        struct vma_node *next = dead->right;
        file_put(dead->vma.file);
        release(dead);
        dead = next;
    }
}

/* What the host has taken can't be mapped, and is shown as such to programs that look for a free place. */
static void take_ranges(void)
{
    for (uint32_t i = 0; i < PAL_TAKEN && boot->taken[i].end; i++) {
        if (vma_prepare() < 0)
            panic("no memory for what the host has taken of the guest's range");
        vma_add(&(struct vma){.start = boot->taken[i].start,
                              .end = boot->taken[i].end,
                              .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | VMA_HIDDEN,
                              .name = "[host]"});
    }
}

guest_t mm_end(void)
{
    guest_t end = PAL_GUEST_END;
    for (uint32_t i = 0; i < PAL_TAKEN && boot->taken[i].end; i++)
        if (boot->taken[i].end == PAL_GUEST_END)
            end = boot->taken[i].start;
    return end;
}

void mm_init(void)
{
    mm.mmap_base = mm_end();
    take_ranges();
}

/* ---- Where mappings go ---- */

/* Linux's order: a fixed place, the hint if it is free, top-down below mmap_base, then above it. */
int64_t mm_place(guest_t address, uint64_t size, uint32_t flags)
{
    if (size > PAL_GUEST_END - PAL_GUEST_BASE)
        return -ENOMEM;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (address & PAGE_MASK)
            return -EINVAL;
        if (address > PAL_GUEST_END - size)
            return -ENOMEM;
        if (address < PAL_GUEST_BASE)
            return -EPERM;
        if ((flags & MAP_FIXED_NOREPLACE) && !vma_is_free(address, address + size))
            return -EEXIST;
        return mm_range_hidden(address, address + size) ? -ENOMEM : (int64_t)address;
    }
    address = PAGE_UP(address);
    if (address && address < PAL_GUEST_BASE)
        address = PAL_GUEST_BASE;
    guest_t highest = flags & MAP_32BIT ? 0x80000000 : PAL_GUEST_END;
    if (address && highest >= size && address <= highest - size && vma_is_free(address, address + size))
        return (int64_t)address;
    guest_t found;
    if (flags & MAP_32BIT) {
        found = vma_lowest_gap(0x40000000, highest, size);
    } else {
        found = vma_highest_gap(PAL_GUEST_BASE, mm.mmap_base, size);
        if (!found)
            found = vma_lowest_gap(mm.mmap_base, PAL_GUEST_END, size);
    }
    return found ? (int64_t)found : -ENOMEM;
}

/* A shared mapping without a place of its own, where the host wants them by larger pieces: pal_boot.views. */
static int64_t place_view(uint64_t size, uint64_t offset)
{
    uint64_t piece = boot->granularity, before = offset % piece;
    uint64_t whole = (before + size + piece - 1) / piece * piece;
    guest_t found = vma_highest_gap(boot->views.start, boot->views.end, whole + piece);
    return found ? (int64_t)((found + piece - 1) / piece * piece + before) : -ENOMEM;
}

guest_t mm_free_range(uint64_t size, uint64_t align)
{
    mm_lock();
    int64_t at = mm_place(0, size + (align > PAGE_SIZE ? align - PAGE_SIZE : 0), 0);
    mm_unlock();
    return at < 0 ? 0 : ((guest_t)at + align - 1) & ~(align - 1);
}

bool mm_range_hidden(guest_t start, guest_t end)
{
    if (LIKELY(!mm.hidden))
        return false;
    for (struct vma_node *node; start < end; start = node->vma.end) {
        node = vma_at(start);
        if (!node || node->vma.start >= end)
            return false;
        if (node->vma.flags & VMA_HIDDEN)
            return true;
    }
    return false;
}

uint64_t mm_limit(uint32_t resource)
{
    uint64_t soft, hard;
    limit_get(resource, &soft, &hard);
    return soft;
}

/* CAP_IPC_LOCK is root's. */
struct mm_limits mm_limits(void)
{
    bool root = current_process()->euid == 0;
    return (struct mm_limits){.space = mm_limit(RLIMIT_AS), .data = mm_limit(RLIMIT_DATA),
                              .locked = root ? UINT64_MAX : mm_limit(RLIMIT_MEMLOCK)};
}

static bool exceeds(uint64_t have, uint64_t more, uint64_t most)
{
    return have > most || more > most - have;
}

int64_t mm_check_limits(const struct mm_limits *limits, const struct vma *more)
{
    uint64_t size = more->end - more->start;
    if (more->flags & MAP_LOCKED && exceeds(mm.locked, size, limits->locked))
        return limits->locked ? -EAGAIN : -EPERM;
    if (exceeds(mm.bytes, size, limits->space) || (vma_is_data(more) && exceeds(mm.data, size, limits->data)))
        return -ENOMEM;
    return 0;
}

/* ---- Mapping ---- */

#define MAP_LEGACY 0x7c07f9f3u /* what MAP_SHARED_VALIDATE lets pass: flags that are older (LEGACY_MAP_MASK) */

/* do_mmap's checks of what a file may be mapped for. */
static int64_t check_access(uint32_t protection, uint32_t flags, const struct file *file)
{
    uint32_t type = flags & MAP_TYPE;
    if (!file)
        return type == MAP_SHARED || type == MAP_PRIVATE ? 0 : -EINVAL;
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (type == MAP_SHARED_VALIDATE && (flags & ~MAP_LEGACY))
        return -EOPNOTSUPP;
    uint32_t mode = file->flags & O_ACCMODE;
    if (type != MAP_PRIVATE && (protection & PROT_WRITE) && mode == O_RDONLY)
        return -EACCES;
    if (mode == O_WRONLY)
        return -EACCES;
    if ((!file->ops->map && file->handle < 0) || file->type == PAL_TYPE_DIRECTORY)
        return -ENODEV;
    return flags & MAP_GROWSDOWN ? -EINVAL : 0;
}

int64_t map_on_host(guest_t at, uint64_t size, uint32_t protection, uint32_t flags, struct file *file, uint64_t offset)
{
    uint32_t how = (flags & MAP_TYPE) == MAP_PRIVATE ? 0 : PAL_MAP_SHARED;
    if (flags & MAP_NORESERVE)
        how |= PAL_MAP_NORESERVE;
    if ((flags & (MAP_POPULATE | MAP_LOCKED)) && !(flags & MAP_NONBLOCK))
        how |= PAL_MAP_POPULATE;
    protection &= PROT_READ | PROT_WRITE | PROT_EXEC;
    if (!file)
        return PAL->memory_commit(at, size, protection, protection ? how : how | PAL_MAP_NORESERVE);
    if (file->ops->map)
        return file->ops->map(file, at, size, protection, how, offset);
    return PAL->memory_map(at, size, protection, how, file->handle, offset);
}

/* Caller holds mm.lock.  `at` is page-aligned and in range; flags' type is SHARED or PRIVATE. */
static int64_t map_at(guest_t at, uint64_t size, uint32_t protection, uint32_t flags, struct file *file,
                      uint64_t offset, const char *name)
{
    bool replaces = !vma_is_free(at, at + size);
    int64_t error = vma_prepare();
    if (replaces)
        site_forget(at, at + size, false);
    if (error == 0)
        error = map_on_host(at, size, protection, flags, file, offset);
    if (error < 0)
        return error;
    if (flags & MAP_SHARED && protection & PROT_WRITE)
        atomic_set(&current_process()->shared->shares, 1u);
    if (replaces)
        vma_take(at, at + size, NULL, NULL);
    uint32_t kept = MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_LOCKED | VMA_HIDDEN;
    vma_add(&(struct vma){.start = at,
                          .end = at + size,
                          .protection = protection & (PROT_READ | PROT_WRITE | PROT_EXEC),
                          .flags = flags & kept,
                          .offset = offset,
                          .file = file ? file_ref(file) : NULL,
                          .name = name});
    if (protection == (PROT_READ | PROT_EXEC) && UNLIKELY(rewriting_ahead))
        rewrite_ahead(at, at + size);
    else if (protection == (PROT_READ | PROT_EXEC) && rewriting_warm && file)
        rewrite_warm(at);
    return (int64_t)at;
}

int64_t mm_map_at(guest_t at, uint64_t size, const struct vma *like)
{
    return map_at(at, size, like->protection, like->flags & ~MAP_LOCKED, like->file, like->offset, like->name);
}

int64_t mm_map(guest_t address, uint64_t size, uint32_t protection, uint32_t flags, struct file *file, uint64_t offset,
               const char *name)
{
    if (size == 0)
        return -EINVAL;
    size = PAGE_UP(size);
    if (size == 0)
        return -ENOMEM;
    if (offset + size < offset)
        return -EOVERFLOW;
    const struct mm_limits limits = mm_limits();
    mm_lock();
    if (UNLIKELY(mm.lock_future))
        flags |= MAP_LOCKED;
    int64_t at = mm.count < MAP_COUNT_MAX ? mm_place(address, size, flags) : -ENOMEM;
    if (UNLIKELY(boot->views.end) && at > 0 && (flags & MAP_TYPE) != MAP_PRIVATE && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
        at = place_view(size, file ? offset : 0);
    int64_t error = at < 0 ? at : check_access(protection, flags, file);
    const struct vma more = {.end = size, .protection = protection, .flags = flags};
    if (error >= 0)
        error = mm_check_limits(&limits, &more);
    if (error >= 0) {
        if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE)
            flags = (flags & ~MAP_TYPE) | MAP_SHARED;
        error = map_at((guest_t)at, size, protection, flags, file, file ? offset : 0, name);
    }
    mm_unlock();
    return error;
}

int64_t sys_mmap(guest_t address, uint64_t size, uint32_t protection, uint32_t flags, int32_t fd, uint64_t offset)
{
    if (offset & PAGE_MASK)
        return -EINVAL;
    if (flags & MAP_ANONYMOUS) {
        if (flags & MAP_HUGETLB)
            return -ENOMEM; /* as where none were set aside */
        const char *name = (flags & MAP_TYPE) == MAP_SHARED ? "/dev/zero (deleted)" : NULL;
        return mm_map(address, size, protection, flags, NULL, 0, name);
    }
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = flags & MAP_HUGETLB ? -EINVAL : mm_map(address, size, protection, flags, file, offset, NULL);
    file_put(file);
    return result;
}

/* As Linux has done it since 4.0: a mapping of another part of the file in the place. */
int64_t sys_remap_file_pages(guest_t address, uint64_t size, uint64_t protection, uint64_t page, uint32_t flags)
{
    address = PAGE_DOWN(address);
    size = PAGE_DOWN(size);
    if (protection || !size || !guest_range_ok(address, size) || page + size / PAGE_SIZE < page ||
        page + size / PAGE_SIZE > UINT64_MAX / PAGE_SIZE)
        return -EINVAL;
    mm_lock();
    const struct vma_node *node = vma_at(address);
    struct vma vma = node ? node->vma : (struct vma){.start = UINT64_MAX};
    struct file *file = NULL;
    int64_t result = -EINVAL;
    if (vma.start <= address && (vma.flags & MAP_TYPE) == MAP_SHARED && vma.file && !(vma.flags & VMA_HIDDEN)) {
        guest_t end = vma.end; /* of neighbours that map the same file alike */
        while (end < address + size && (node = vma_at(end)) && node->vma.start == end && node->vma.file == vma.file &&
               node->vma.flags == vma.flags && node->vma.protection == vma.protection)
            end = node->vma.end;
        uint32_t how = (vma.flags & (MAP_SHARED | MAP_NORESERVE | MAP_LOCKED)) | MAP_FIXED | MAP_POPULATE;
        file = file_ref(vma.file);
        if (end >= address + size)
            result = map_at(address, size, vma.protection, how | (flags & MAP_NONBLOCK), file, page * PAGE_SIZE,
                            vma.name);
    }
    mm_unlock();
    if (file)
        file_put(file);
    return MIN(result, 0);
}

/* ---- Unmapping ---- */

int64_t mm_release(guest_t start, guest_t end)
{
    while (mm_range_hidden(start, end)) {
        struct vma_node *node = vma_at(start);
        while (!(node->vma.flags & VMA_HIDDEN))
            node = vma_at(node->vma.end);
        guest_t from = node->vma.start, to = node->vma.end;
        if (from > start) {
            int64_t error = mm_release(start, from);
            if (error < 0)
                return error;
        }
        start = to;
    }
    if (start >= end || vma_is_free(start, end))
        return 0;
    int64_t error = vma_prepare();
    site_forget(start, end, false);
    if (error == 0)
        error = PAL->memory_release(start, end - start);
    if (error == 0)
        vma_take(start, end, NULL, NULL);
    return error;
}

int64_t mm_unmap(guest_t address, uint64_t size)
{
    size = PAGE_UP(size);
    if ((address & PAGE_MASK) || size == 0 || address > PAL_GUEST_END || size > PAL_GUEST_END - address)
        return -EINVAL;
    mm_lock();
    int64_t error = mm_release(address, address + size);
    mm_unlock();
    return error;
}

int64_t sys_munmap(guest_t address, uint64_t size)
{
    return mm_unmap(address, size);
}

/* ---- brk ---- */

int64_t sys_brk(guest_t address)
{
    const struct mm_limits limits = mm_limits();
    mm_lock();
    guest_t start = mm.facts.brk_start, old = mm.facts.brk_end;
    guest_t from = PAGE_UP(old), to = PAGE_UP(address);
    if (address < start || address > PAL_GUEST_END || address - start > limits.data)
        goto out;
    if (to < from) {
        if (mm_release(to, from) < 0)
            goto out;
    } else if (to > from) {
        uint64_t size = to - from;
        uint32_t flags = MAP_PRIVATE | MAP_ANONYMOUS | (mm.lock_future ? MAP_LOCKED : 0);
        const struct vma more = {.end = size, .protection = PROT_READ | PROT_WRITE, .flags = flags};
        if (mm_check_limits(&limits, &more) < 0 || !vma_is_free(from, to + PAGE_SIZE))
            goto out;
        if (map_at(from, size, PROT_READ | PROT_WRITE, flags, NULL, 0, "[heap]") < 0)
            goto out;
    }
    mm.facts.brk_end = address;
out:
    address = mm.facts.brk_end;
    mm_unlock();
    return (int64_t)address;
}

/* ---- For other parts of the libOS ---- */

uint64_t mm_trampoline_pool(uint64_t low, uint64_t high, uint64_t size)
{
    low = MAX(low, PAL_GUEST_BASE);
    high = MIN(high, mm.mmap_base < PAL_GUEST_END ? mm.mmap_base : PAL_GUEST_END);
    if (low >= high || high - low < 2 * size)
        return 0;
    guest_t at = vma_highest_gap(low, high, 2 * size); /* room to align */
    at = (at + size - 1) & ~(size - 1);
    uint32_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | VMA_HIDDEN;
    if (at && map_at(at, size, PROT_READ | PROT_EXEC, flags, NULL, 0, "[stubs]") < 0)
        at = 0;
    return at;
}

void mm_reset(void)
{
    mm_lock();
    if (mm.root && PAL->memory_release(PAL_GUEST_BASE, PAL_GUEST_END - PAL_GUEST_BASE) < 0)
        panic("the host does not take the guest's memory back");
    vma_clear();
    take_ranges();
    site_forget_all();
    text_poked = false;
    mm.facts = (struct mm_facts){0};
    mm.fork_flags = mm.images = 0;
    mm.lock_future = false;
    atomic_set(&current_process()->shared->shares, 0u);
    mm.mmap_base = PAL_GUEST_END;
    mm_unlock();
}

void mm_layout_set(guest_t mmap_base)
{
    mm_lock();
    mm.mmap_base = mmap_base;
    mm_unlock();
}

void mm_facts_set(const struct mm_facts *facts)
{
    mm_lock();
    mm.facts = *facts;
    mm_unlock();
}

void mm_facts_get(struct mm_facts *out)
{
    mm_lock();
    *out = mm.facts;
    out->total_bytes = mm.bytes;
    mm_unlock();
}

int64_t mm_for_each(int64_t (*visit)(const struct vma *vma, void *argument), void *argument)
{
    mm_lock();
    int64_t result = vma_each(mm.root, visit, argument);
    mm_unlock();
    return result;
}

bool mm_next(guest_t address, struct vma *out)
{
    mm_lock();
    const struct vma_node *node = vma_at(address);
    if (node)
        *out = node->vma;
    mm_unlock();
    return node;
}

bool mm_find(guest_t address, struct vma *out)
{
    return mm_next(address, out) && out->start <= address;
}

/* acct_stack_growth: within RLIMIT_STACK, and never up to the guard gap of what lies below. */
bool mm_fault_grows_stack(guest_t address, guest_t stack_pointer)
{
    (void)stack_pointer; /* Linux no longer compares (5.0) */
    uint64_t limit = mm_limit(RLIMIT_STACK), space_limit = mm_limit(RLIMIT_AS);
    guest_t at = PAGE_DOWN(address);
    bool grown = false;
    if (at < PAL_GUEST_BASE || at >= PAL_GUEST_END)
        return false;
    mm_lock();
    struct vma_node *node = vma_at(at);
    if (!node || node->vma.start <= at || !(node->vma.flags & MAP_GROWSDOWN) || node->vma.end - at > limit)
        goto out;
    struct vma stack = node->vma;
    struct vma_node *below = vma_below(at);
    uint64_t size = stack.start - at;
    if (below && below->vma.protection && !(below->vma.flags & MAP_GROWSDOWN) && at - below->vma.end < STACK_GUARD_GAP)
        goto out;
    if (mm.bytes > space_limit || size > space_limit - mm.bytes || vma_prepare() < 0)
        goto out;
    if (map_on_host(at, size, stack.protection, stack.flags, NULL, 0) < 0)
        goto out;
    stack.start = at;
    vma_take(node->vma.start, node->vma.end, NULL, NULL);
    vma_add(&stack);
    grown = true;
out:
    mm_unlock();
    return grown;
}

/* ---- fork ---- */

void mm_fork_lock(void)
{
    mm_lock();
}

void mm_fork_unlock(void)
{
    mm_unlock();
}

static int64_t find_marked(const struct vma *vma, void *argument)
{
    if (!(vma->flags & (VMA_DONTFORK | VMA_WIPEONFORK)) || vma->start < *(guest_t *)argument)
        return 0;
    *(guest_t *)argument = vma->start;
    return 1;
}

void mm_fork_child(bool bare)
{
    mutex_reset(&mm.lock);
    warm_fork_child();
    if (LIKELY(!mm.fork_flags && !mm.locked && !mm.lock_future) || bare)
        return;
    mm_lock();
    mm.lock_future = false;
    if (mm.locked && vma_prepare() == 0)
        mm_unlock_all();
    for (guest_t at = 0; vma_each(mm.root, find_marked, &at); at++) {
        const struct vma vma = vma_at(at)->vma;
        int64_t error = vma.flags & VMA_DONTFORK
                            ? mm_release(vma.start, vma.end)
                            : image_drop(vma.start, vma.end);
        if (error < 0)
            panic("the host does not take a mapping back that must not be inherited");
    }
    mm_unlock();
}
