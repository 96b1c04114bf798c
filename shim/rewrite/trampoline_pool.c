/* SPDX-License-Identifier: MIT */
/*
 * Placing stubs.  A jump's displacement is part of the site's bytes, so which address a stub gets decides what a thread
 * finds that arrives in the middle of the jump: see plan.h.
 */
#include "shim/rewrite/trampoline_pool.h"

#include <stddef.h>

#define AREA_SIZE 0x10000u
#define GRANULE 32u
#define GRANULES (AREA_SIZE / GRANULE)
#define AREAS_MAX 128
#define QUERIES_MAX 256 /* places asked for, for one stub */
#define REACH 0x70000000l
#define REACH_TOP (REACH >> 24)
#define PAGE 4096u

struct area {
    uint64_t base;
    bool ready; /* the slots are written */
    uint16_t owner[GRANULES]; /* [0] is the slots' */
};

static struct area *areas[AREAS_MAX];
static uint32_t count; /* read without lock */

bool area_traps(uint8_t byte)
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
        if ((trap_bytes >> i & 1) && !area_traps((uint8_t)(relative >> (8 * i))))
            return false;
    return true;
}

static bool is_free(const struct area *area, uint32_t first, uint32_t granules)
{
    for (uint32_t i = 0; i < granules; i++)
        if (area->owner[first + i])
            return false;
    return true;
}

static uint64_t place_in(struct area *area, uint64_t from, uint8_t trap_bytes, uint32_t granules, uint16_t owner)
{
    for (uint32_t first = 1; first + granules <= GRANULES; first++) {
        uint64_t stub = area->base + first * GRANULE;
        if (area->owner[first] || !suits(from, stub, trap_bytes) || !is_free(area, first, granules))
            continue;
        for (uint32_t i = 0; i < granules; i++)
            __atomic_store_n(&area->owner[first + i], owner, __ATOMIC_RELEASE);
        return stub;
    }
    return 0;
}

static struct area *area_new(const struct site_host *host, uint64_t low, uint64_t high)
{
    if (count == AREAS_MAX)
        return NULL;
    if (!areas[count] && !(areas[count] = host->alloc(sizeof(struct area))))
        return NULL;
    struct area *area = areas[count];
    area->base = host->stub_area(low, high, AREA_SIZE);
    area->ready = false;
    if (area->base == 0)
        return NULL;
    __atomic_store_n(&count, count + 1, __ATOMIC_RELEASE);
    return area;
}

/* The highest byte of a displacement, in order of distance. */
static int nearest(uint32_t i)
{
    return i & 1 ? -1 - (int)(i / 2) : (int)(i / 2);
}

/* Displacements with trapping bytes at the top: asks for areas there.  The text's own neighbourhood is often full,
 * so the highest byte varies first. */
static struct area *area_new_hard(const struct site_host *host, uint64_t from, uint8_t trap_bytes)
{
    uint32_t queries = 0;
    for (uint32_t middle = 0; middle < (trap_bytes & 4 ? 256 : 1); middle++) {
        if ((trap_bytes & 4) && !area_traps((uint8_t)middle))
            continue;
        for (uint32_t i = 0; i < 2 * REACH_TOP; i++) {
            int64_t relative = (int64_t)nearest(i) * 0x1000000 + middle * 0x10000;
            uint64_t low = (from + 5 + (uint64_t)relative) & -(uint64_t)AREA_SIZE;
            if (((trap_bytes & 8) && !area_traps((uint8_t)nearest(i))) || low > from + REACH)
                continue;
            /* All of the 16 MiB will do, or the two areas that the 64 KiB touch. */
            struct area *area = area_new(host, low, low + (trap_bytes & 4 ? 2 * AREA_SIZE : 0x1000000));
            if (area)
                return area;
            if (++queries == QUERIES_MAX)
                return NULL;
        }
    }
    return NULL;
}

uint64_t area_place(const struct site_host *host, uint64_t from, uint8_t trap_bytes, uint32_t size, uint16_t owner,
                    uint64_t *out_slot)
{
    uint32_t granules = (size + GRANULE - 1) / GRANULE;
    uint64_t stub = 0;
    for (uint32_t i = 0; i < count && !stub; i++)
        if ((stub = place_in(areas[i], from, trap_bytes, granules, owner)))
            *out_slot = areas[i]->base;
    if (stub)
        return stub;
    struct area *area = trap_bytes & 0x0c ? area_new_hard(host, from, trap_bytes)
                                          : area_new(host, from > REACH ? from - REACH : AREA_SIZE, from + REACH);
    if (!area)
        return 0;
    *out_slot = area->base;
    return place_in(area, from, trap_bytes, granules, owner);
}

static struct area *area_of(uint64_t address)
{
    uint32_t here = __atomic_load_n(&count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < here; i++)
        if (address - areas[i]->base < AREA_SIZE)
            return areas[i];
    return NULL;
}

void area_release(uint64_t stub, uint32_t size)
{
    struct area *area = area_of(stub);
    uint32_t first = (uint32_t)(stub - area->base) / GRANULE;
    for (uint32_t i = 0; i < (size + GRANULE - 1) / GRANULE; i++)
        __atomic_store_n(&area->owner[first + i], 0, __ATOMIC_RELEASE);
}

bool area_write(const struct site_host *host, uint64_t stub, const uint8_t *bytes, uint32_t size)
{
    struct area *area = area_of(stub);
    uint64_t page = (area->ready ? stub : area->base) & -(uint64_t)PAGE;
    uint64_t end = (stub + size + PAGE - 1) & -(uint64_t)PAGE;
    if (host->code_writable(page, end - page, 1) < 0)
        return false;
    uint8_t *to = (uint8_t *)stub;
    for (uint32_t i = 0; i < size; i++)
        to[i] = bytes[i];
    if (!area->ready) {
        *(uint64_t *)area->base = host->entry;
        *(uint64_t *)(area->base + SLOT_TAIL) = host->entry_tail;
    }
    area->ready = true;
    return host->code_writable(page, end - page, 0) >= 0;
}

uint16_t area_owner(uint64_t address)
{
    struct area *area = area_of(address);
    return area ? __atomic_load_n(&area->owner[(address - area->base) / GRANULE], __ATOMIC_ACQUIRE) : 0;
}

void area_forget_all(void)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t g = 0; g < GRANULES; g++)
            if (areas[i]->owner[g]) /* a page that need not be written need not be copied after a fork */
                areas[i]->owner[g] = 0;
    __atomic_store_n(&count, 0, __ATOMIC_RELEASE);
}

uint64_t area_count(void)
{
    return count;
}
