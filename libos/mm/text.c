/* SPDX-License-Identifier: MIT */
/*
 * What the call-site rewriter (shim/rewrite/rewrite.h) needs of this process: text that stays as it is for a while,
 * pages that can be written, room for trampolines.  All of it under mm.lock.
 */
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

guest_t text_end(const struct vma *vma)
{
    struct pal_attributes attributes;
    if (file_attributes(vma->file, &attributes) < 0 || attributes.size <= vma->offset)
        return vma->start;
    uint64_t size = PAGE_UP(attributes.size - vma->offset);
    return size < vma->end - vma->start ? vma->start + size : vma->end;
}

static int text_pin(uint64_t address, uint64_t *start, uint64_t *end)
{
    mm_lock();
    const struct vma_node *node = vma_at(address);
    if (text_poked || !node || node->vma.start > address || !node->vma.file || !(node->vma.flags & MAP_PRIVATE) ||
        node->vma.protection != (PROT_READ | PROT_EXEC)) {
        mm_unlock();
        return 0;
    }
    *start = node->vma.start;
    *end = text_end(&node->vma);
    if (address < *end)
        return 1;
    mm_unlock();
    return 0;
}

/* Text that has been written is a mapping of its own from then on, all of whose pages a fork copies.  So sites that lie
 * near each other share one.  The caller has the text pinned. */
static int64_t code_writable(uint64_t page, uint64_t size, int on)
{
    uint64_t end = page + size;
    const struct vma_node *node = vma_at(page);
    if (node && node->vma.file) {
        page = MAX(node->vma.start, page & -SITE_BLOCK);
        end = MIN(node->vma.end, (end + SITE_BLOCK - 1) & -SITE_BLOCK);
    }
    return PAL->memory_protect(page, end - page, PAL_READ | PAL_EXEC | (on ? PAL_WRITE : 0));
}

static void sync_cores(void)
{
    if (!alone())
        PAL->code_sync(0);
}

static void *alloc_forever(uint64_t size)
{
    return alloc_zero(size);
}

static void yield(void)
{
    PAL->thread_yield();
}

static struct site_host host = {
    .text_pin = text_pin,
    .text_unpin = mm_unlock,
    .code_writable = code_writable,
    .sync_cores = sync_cores,
    .trampoline_pool = mm_trampoline_pool,
    .alloc = alloc_forever,
    .yield = yield,
    .patience = 16, /* a rewrite costs as much as a dozen traps: a site must show that it is used */
};
bool rewriting, rewriting_ahead;

void rewrite_init(void)
{
    host.entry = (uint64_t)(uintptr_t)shim_syscall_call;
    host.entry_tail = (uint64_t)(uintptr_t)shim_syscall_tail;
    host.entry_cpuid = boot->cpuid_count ? (uint64_t)(uintptr_t)shim_cpuid : 0;
    site_init(&host);
    host.no_trap = !(boot->capabilities & PAL_CAN_TRAP);
    rewriting = boot->rewrite != PAL_REWRITE_NEVER && (boot->capabilities & PAL_CAN_SYNC_CODE);
    rewriting_ahead = host.no_trap || (rewriting && boot->rewrite == PAL_REWRITE_AHEAD);
}

/* ---- Sites that children run ------------------------------------------------------------------------------------- */

/*
 * A fork's child that ends soon traps at each of its sites too few times, and what it counted ends with it.  So it
 * tells its parent, which has the same text, and whose later children then find the site rewritten.  A word in the
 * parent's slot holds one site; of several, each has its turn once the one that won is rewritten.
 */
#define TOLD_EPOCH 47 /* bits of an address; above them the epoch's lowest */

static struct {
    struct shared_process *slot; /* NULL: nobody is to be told */
    uint32_t pid, epoch;
} parent;

static uint64_t told(uint64_t after, uint32_t epoch)
{
    return (uint64_t)epoch << TOLD_EPOCH | after;
}

void rewrite_trapped(uint64_t after)
{
    site_rewrite(after);
    if (parent.slot && parent.epoch == site_epoch() && atomic_get(&parent.slot->pid) == parent.pid)
        atomic_set(&parent.slot->told_site, told(after, parent.epoch));
}

void rewrite_before_fork(struct shared_process *self)
{
    uint64_t word = atomic_get(&self->told_site), after = word & ((1ull << TOLD_EPOCH) - 1);
    if (!word)
        return;
    atomic_set(&self->told_site, 0ull);
    if (rewriting && word == told(after, site_epoch()))
        site_rewrite(after);
}

void rewrite_fork_child(struct shared_process *parent_slot)
{
    parent.slot = parent_slot;
    parent.pid = parent_slot->pid;
    parent.epoch = site_epoch();
}
