/* SPDX-License-Identifier: MIT */
/*
 * Memory as a debugger reaches it (ptrace(2), /proc/PID/mem): whatever its protection, where Linux's FOLL_FORCE would.
 * Text is shown as the program's own, and a change of it undoes what the rewriter did there.
 */
#include "libos/mm/vma.h"
#include "shim/rewrite/rewrite.h"

bool text_poked;

/* Lets pages of one mapping be read and written, under mm.lock; then puts their protection back.  False: not of a private
 * mapping, or the libOS's own. */
static bool forced(const struct vma_node *node, guest_t at, uint32_t wanted)
{
    if (!node || node->vma.start > at || node->vma.flags & VMA_HIDDEN)
        return false;
    return node->vma.flags & MAP_PRIVATE || node->vma.protection & wanted;
}

/* Up to a page's end. */
static size_t peek_page(void *to, guest_t from, size_t size)
{
    size_t done = copy_in_some(to, from, size);
    if (done == size)
        return done;
    mm_lock();
    const struct vma_node *node = vma_at(from);
    guest_t page = PAGE_DOWN(from);
    bool closed = forced(node, from, PROT_READ) && !(node->vma.protection & PROT_READ);
    if (closed && PAL->memory_protect(page, PAGE_SIZE, node->vma.protection | PAL_READ) == 0) {
        done = copy_in_some(to, from, size);
        PAL->memory_protect(page, PAGE_SIZE, node->vma.protection);
    }
    mm_unlock();
    return done;
}

size_t mm_peek(void *to, guest_t from, size_t size)
{
    size_t done = 0, part = 0, wanted = 0;
    for (; done < size && part == wanted; done += part) {
        wanted = MIN(size - done, PAGE_SIZE - ((from + done) & PAGE_MASK));
        part = peek_page((char *)to + done, from + done, wanted);
    }
    site_peek(from, to, done);
    return done;
}

static size_t poke_page(guest_t to, const void *from, size_t size)
{
    size_t done = 0;
    mm_lock();
    const struct vma_node *node = vma_at(to);
    guest_t page = PAGE_DOWN(to);
    if (forced(node, to, PROT_WRITE)) {
        uint32_t protection = node->vma.protection;
        bool closed = !(protection & PROT_WRITE);
        if (closed && protection & PROT_EXEC) {
            site_forget(page, page + PAGE_SIZE, true);
            text_poked = true;
        }
        if (!closed || PAL->memory_protect(page, PAGE_SIZE, protection | PAL_READ | PAL_WRITE) == 0)
            done = copy_out_some(to, from, size);
        if (closed)
            PAL->memory_protect(page, PAGE_SIZE, protection);
    }
    mm_unlock();
    return done;
}

size_t mm_poke(guest_t to, const void *from, size_t size)
{
    size_t done = 0, part = 0, wanted = 0;
    for (; done < size && part == wanted; done += part) {
        wanted = MIN(size - done, PAGE_SIZE - ((to + done) & PAGE_MASK));
        part = poke_page(to + done, (const char *)from + done, wanted);
    }
    if (boot->capabilities & PAL_CAN_SYNC_CODE)
        PAL->code_sync(0);
    return done;
}
