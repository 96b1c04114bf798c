/* SPDX-License-Identifier: MIT */
/*
 * Placing trampolines.  A jump's displacement is part of the site's bytes, so which address a trampoline gets decides
 * what a thread finds that arrives in the middle of the jump: see plan.h.
 */
#include "shim/rewrite/trampoline_pool.h"

#include <stddef.h>

#define GRANULE 32u
#define GRANULES (POOL_SIZE / GRANULE)
#define QUERIES_MAX 256 /* places asked for, for one trampoline */
#define REACH 0x70000000l
#define REACH_TOP (REACH >> 24)
#define PAGE 4096u

struct pool {
    uint64_t base;
    bool ready; /* the slots are written */
    uint32_t full; /* granules below this are taken */
    uint32_t top;  /* ... and none from here on was since the pool is one */
    uint16_t owner[GRANULES]; /* [0] is the slots' */
};

static struct pool *pools[POOLS_MAX];
static uint32_t count; /* read without lock */

bool pool_traps(uint8_t byte)
{
    switch (byte) {
    case 0xf4: case 0xfa: case 0xfb:                       /* hlt, cli, sti */
    case 0xec: case 0xed: case 0xee: case 0xef:            /* in, out */
    case 0x06: case 0x07: case 0x0e: case 0x16: case 0x17: /* not there in 64-bit mode, from here on */
    case 0x1e: case 0x1f: case 0x27: case 0x2f: case 0x37: case 0x3f: case 0x60: case 0x61: case 0x82: case 0x9a:
    case 0xce: case 0xd4: case 0xea:
        return true;
    default: return false;
    }
}

static bool suits(uint64_t from, uint64_t to, uint8_t trap_bytes)
{
    int64_t relative = (int64_t)(to - (from + 5));
    if (relative > REACH || relative < -REACH)
        return false;
    for (uint32_t i = 0; i < 4; i++)
        if ((trap_bytes >> i & 1) && !pool_traps((uint8_t)(relative >> (8 * i))))
            return false;
    return true;
}

static bool is_free(const struct pool *pool, uint32_t first, uint32_t granules)
{
    for (uint32_t i = 0; i < granules; i++)
        if (pool->owner[first + i])
            return false;
    return true;
}

static uint64_t place_in(struct pool *pool, uint64_t from, uint8_t trap_bytes, uint32_t granules, uint16_t owner)
{
    while (pool->full < GRANULES && (pool->full == 0 || pool->owner[pool->full]))
        pool->full++;
    for (uint32_t first = pool->full; first + granules <= GRANULES; first++) {
        uint64_t trampoline = pool->base + first * GRANULE;
        if (pool->owner[first] || !suits(from, trampoline, trap_bytes) || !is_free(pool, first, granules))
            continue;
        for (uint32_t i = 0; i < granules; i++)
            __atomic_store_n(&pool->owner[first + i], owner, __ATOMIC_RELEASE);
        pool->top = first + granules > pool->top ? first + granules : pool->top;
        return trampoline;
    }
    return 0;
}

static struct pool *pool_new(const struct site_host *host, uint64_t low, uint64_t high)
{
    if (count == POOLS_MAX)
        return NULL;
    if (!pools[count] && !(pools[count] = host->alloc(sizeof(struct pool))))
        return NULL;
    struct pool *pool = pools[count];
    pool->base = host->trampoline_pool(low, high, POOL_SIZE);
    pool->ready = false;
    pool->full = 0;
    if (pool->base == 0)
        return NULL;
    __atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
    return pool;
}

/* The highest byte of a displacement, in order of distance. */
static int nearest(uint32_t i)
{
    return i & 1 ? -1 - (int)(i / 2) : (int)(i / 2);
}

/* Displacements with trapping bytes at the top: asks for pools there.  The text's own neighbourhood is often full,
 * so the highest byte varies first. */
static struct pool *pool_new_hard(const struct site_host *host, uint64_t from, uint8_t trap_bytes)
{
    uint32_t queries = 0;
    for (uint32_t middle = 0; middle < (trap_bytes & 4 ? 256 : 1); middle++) {
        if ((trap_bytes & 4) && !pool_traps((uint8_t)middle))
            continue;
        for (uint32_t i = 0; i < 2 * REACH_TOP; i++) {
            int64_t relative = (int64_t)nearest(i) * 0x1000000 + middle * 0x10000;
            uint64_t low = (from + 5 + (uint64_t)relative) & -(uint64_t)POOL_SIZE;
            if (((trap_bytes & 8) && !pool_traps((uint8_t)nearest(i))) || low > from + REACH)
                continue;
            /* All of the 16 MiB will do, or the two pools that the 64 KiB touch. */
            struct pool *pool = pool_new(host, low, low + (trap_bytes & 4 ? 2 * POOL_SIZE : 0x1000000));
            if (pool)
                return pool;
            if (++queries == QUERIES_MAX)
                return NULL;
        }
    }
    return NULL;
}

uint64_t pool_place(const struct site_host *host, uint64_t from, uint8_t trap_bytes, uint32_t size, uint16_t owner,
                    uint64_t *out_slot)
{
    uint32_t granules = (size + GRANULE - 1) / GRANULE;
    uint64_t trampoline = 0;
    for (uint32_t i = 0; i < count && !trampoline; i++)
        if ((trampoline = place_in(pools[i], from, trap_bytes, granules, owner)))
            *out_slot = pools[i]->base;
    if (trampoline)
        return trampoline;
    struct pool *pool = trap_bytes & 0x0c ? pool_new_hard(host, from, trap_bytes)
                                          : pool_new(host, from > REACH ? from - REACH : POOL_SIZE, from + REACH);
    if (!pool)
        return 0;
    *out_slot = pool->base;
    return place_in(pool, from, trap_bytes, granules, owner);
}

static struct pool *pool_of(uint64_t address)
{
    uint32_t here = __atomic_load_n(&count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < here; i++)
        if (address - pools[i]->base < POOL_SIZE)
            return pools[i];
    return NULL;
}

void pool_release(uint64_t trampoline, uint32_t size)
{
    struct pool *pool = pool_of(trampoline);
    uint32_t first = (uint32_t)(trampoline - pool->base) / GRANULE;
    pool->full = first < pool->full ? first : pool->full;
    for (uint32_t i = 0; i < (size + GRANULE - 1) / GRANULE; i++)
        __atomic_store_n(&pool->owner[first + i], 0, __ATOMIC_RELEASE);
}

bool pool_write(const struct site_host *host, uint64_t trampoline, const uint8_t *bytes, uint32_t size)
{
    struct pool *pool = pool_of(trampoline);
    uint64_t page = (pool->ready ? trampoline : pool->base) & -(uint64_t)PAGE;
    uint64_t end = (trampoline + size + PAGE - 1) & -(uint64_t)PAGE;
    if (host->code_writable(page, end - page, 1) < 0)
        return false;
    uint8_t *to = (uint8_t *)trampoline;
    for (uint32_t i = 0; i < size; i++)
        to[i] = bytes[i];
    if (!pool->ready) {
        *(uint64_t *)pool->base = host->entry;
        *(uint64_t *)(pool->base + SLOT_TAIL) = host->entry_tail;
        *(uint64_t *)(pool->base + SLOT_CPUID) = host->entry_cpuid;
    }
    pool->ready = true;
    return host->code_writable(page, end - page, 0) >= 0;
}

uint16_t pool_owner(uint64_t address)
{
    struct pool *pool = pool_of(address);
    return pool ? __atomic_load_n(&pool->owner[(address - pool->base) / GRANULE], __ATOMIC_ACQUIRE) : 0;
}

void pool_forget_all(void)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t g = 0; g < pools[i]->top; g++)
            if (pools[i]->owner[g]) /* a page that need not be written need not be copied after a fork */
                pools[i]->owner[g] = 0;
        pools[i]->top = 0;
    }
    __atomic_store_n(&count, 0, __ATOMIC_RELEASE);
}

uint64_t pool_count(void)
{
    return count;
}
