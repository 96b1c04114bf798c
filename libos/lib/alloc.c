/* SPDX-License-Identifier: MIT */
/*
 * The arena's heap.  Small blocks come from size classes cut from 16 KiB chunks; large ones and page runs from a list
 * of free runs ordered by address.  Memory is committed as the top moves up and stays committed: what a picoprocess
 * once needed it will need again, and fork shares untouched pages.
 */
#include "libos/lib/lib.h"

#define COMMIT_STEP (256 * 1024ull)
#define CHUNK (16 * 1024ull)
#define HEADER 16 /* before each block: its class, or for a run its size */

struct block { /* free */
    struct block *next;
};
struct run { /* free pages */
    struct run *next;
    uint64_t size;
};
struct header {
    uint64_t size_class; /* index below, or RUN */
    uint64_t run_size;
};
_Static_assert(sizeof(struct header) == HEADER, "blocks stay 16-byte aligned");

static const uint16_t class_sizes[] = {32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096};
#define RUN COUNT_OF(class_sizes)

static struct mutex lock;
static uint64_t top, committed; /* [top, committed) is ready for use */
static struct block *free_blocks[COUNT_OF(class_sizes)];
static uint64_t chunk_at, chunk_end;
static struct run *free_runs;

void heap_init(uint64_t arena_end)
{
    top = committed = PAGE_UP(arena_end);
}

uint64_t heap_end(void)
{
    return committed;
}

static uint64_t grow(uint64_t size)
{
    if (size > PAL_ARENA_BASE + PAL_ARENA_SIZE - top)
        return 0;
    if (top + size > committed) {
        uint64_t more = MIN((top + size - committed + COMMIT_STEP - 1) & ~(COMMIT_STEP - 1),
                            PAL_ARENA_BASE + PAL_ARENA_SIZE - committed);
        if (PAL->memory_commit(committed, more, PAL_READ | PAL_WRITE, 0) < 0)
            return 0;
        committed += more;
    }
    uint64_t at = top;
    top += size;
    return at;
}

/* Caller holds lock.  *fresh: the pages have never been used, so they are zero. */
static uint64_t take_run(uint64_t size, bool *fresh)
{
    *fresh = false;
    for (struct run **at = &free_runs; *at; at = &(*at)->next) {
        struct run *run = *at;
        if (run->size < size)
            continue;
        if (run->size > size) {
            struct run *rest = (struct run *)((char *)run + size);
            rest->next = run->next;
            rest->size = run->size - size;
            *at = rest;
        } else {
            *at = run->next;
        }
        return (uint64_t)(uintptr_t)run;
    }
    *fresh = true;
    return grow(size);
}

/* Caller holds lock. */
static void give_run(uint64_t start, uint64_t size)
{
    struct run **at = &free_runs, *before = NULL;
    while (*at && (uint64_t)(uintptr_t)*at < start) {
        before = *at;
        at = &(*at)->next;
    }
    struct run *run = (struct run *)(uintptr_t)start;
    run->next = *at;
    run->size = size;
    *at = run;
    if (run->next && (char *)run + run->size == (char *)run->next) {
        run->size += run->next->size;
        run->next = run->next->next;
    }
    if (before && (char *)before + before->size == (char *)run) {
        before->size += run->size;
        before->next = run->next;
    }
}

static struct block *cut_block(size_t class)
{
    uint64_t size = class_sizes[class] + (uint64_t)HEADER;
    if (chunk_end - chunk_at < size) { /* the rest is lost: less than one block of this class */
        bool fresh;
        uint64_t chunk = take_run(CHUNK, &fresh);
        if (!chunk)
            return NULL;
        chunk_at = chunk;
        chunk_end = chunk + CHUNK;
    }
    struct header *header = (struct header *)(uintptr_t)chunk_at;
    chunk_at += size;
    header->size_class = class;
    return (struct block *)(header + 1);
}

void *alloc(size_t size)
{
    size_t class = 0;
    while (class < RUN && class_sizes[class] < size)
        class++;
    mutex_lock(&lock);
    void *block = NULL;
    if (class < RUN) {
        block = free_blocks[class];
        if (block)
            free_blocks[class] = free_blocks[class]->next;
        else
            block = cut_block(class);
    } else if (size < PAL_ARENA_SIZE) {
        bool fresh;
        uint64_t run_size = PAGE_UP(size + HEADER);
        struct header *header = (struct header *)(uintptr_t)take_run(run_size, &fresh);
        if (header) {
            header->size_class = RUN;
            header->run_size = run_size;
            block = header + 1;
        }
    }
    mutex_unlock(&lock);
    return block;
}

void *alloc_zero(size_t size)
{
    void *block = alloc(size);
    return block ? memset(block, 0, size) : NULL;
}

void *alloc_copy(const void *from, size_t size)
{
    void *block = alloc(size);
    return block ? memcpy(block, from, size) : NULL;
}

void release(void *block)
{
    if (!block)
        return;
    struct header *header = (struct header *)block - 1;
    mutex_lock(&lock);
    if (header->size_class == RUN) {
        give_run((uint64_t)(uintptr_t)header, header->run_size);
    } else {
        struct block *free = block;
        free->next = free_blocks[header->size_class];
        free_blocks[header->size_class] = free;
    }
    mutex_unlock(&lock);
}

void *alloc_pages(size_t size)
{
    bool fresh;
    size = PAGE_UP(size);
    mutex_lock(&lock);
    void *pages = (void *)(uintptr_t)take_run(size, &fresh);
    mutex_unlock(&lock);
    if (pages && !fresh)
        memset(pages, 0, size);
    return pages;
}
