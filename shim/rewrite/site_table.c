/* SPDX-License-Identifier: MIT */
/* The store of sites and the hash table in front of it. */
#include "shim/rewrite/site_table.h"

#include <stddef.h>

#define CHUNK 64u
#define CHUNKS 512u
#define FIRST_SLOTS 128u
#define READ_TRIES 1000 /* a writer is a handful of instructions; a site that never settles has no key */

/* Keys stay when their site goes, so that probing never misses: a larger table sheds them. */
struct slot { uint64_t address; uint16_t index; };
struct table {
    uint32_t slots, used;
    struct slot slot[];
};

static struct site *chunks[CHUNKS];
static uint32_t last; /* the highest index in use so far; 0: none.  Read without lock */
static uint32_t free_count, free_after; /* none up to there is free */
static struct table *table; /* read without lock */

struct site *site_table_at(uint32_t index)
{
    struct site *site = &chunks[index / CHUNK][index % CHUNK];
    return site->index ? site : NULL;
}

uint32_t site_table_limit(void)
{
    return last + 1;
}

void site_table_write_begin(struct site *site)
{
    __atomic_store_n(&site->version, site->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void site_table_write_end(struct site *site)
{
    __atomic_store_n(&site->version, site->version + 1, __ATOMIC_RELEASE);
}

struct site *site_table_new(const struct site_host *host)
{
    for (uint32_t i = free_after + 1; free_count && i <= last; i++) {
        struct site *site = &chunks[i / CHUNK][i % CHUNK];
        if (site->index == 0) {
            site->index = (uint16_t)i;
            free_count--;
            free_after = i;
            return site;
        }
    }
    uint32_t next = last + 1;
    if (next == CHUNK * CHUNKS)
        return NULL;
    if (!chunks[next / CHUNK] && !(chunks[next / CHUNK] = host->alloc(CHUNK * sizeof(struct site))))
        return NULL;
    struct site *site = &chunks[next / CHUNK][next % CHUNK];
    site->index = (uint16_t)next;
    __atomic_store_n(&last, next, __ATOMIC_RELEASE);
    return site;
}

void site_table_free(struct site *site)
{
    free_after = site->index <= free_after ? site->index - 1u : free_after;
    site_table_write_begin(site);
    site->index = 0;
    site->point_count = site->patch_count = 0;
    site->retired = site->second = false;
    site_table_write_end(site);
    free_count++;
}

static uint32_t first_slot(const struct table *t, uint64_t address)
{
    return (uint32_t)(address * 0x9e3779b97f4a7c15ul >> 32) & (t->slots - 1);
}

/* The address's slot, or the empty one where it would go. */
static struct slot *slot_of(struct table *t, uint64_t address)
{
    for (uint32_t i = first_slot(t, address);; i = (i + 1) & (t->slots - 1)) {
        uint64_t here = __atomic_load_n(&t->slot[i].address, __ATOMIC_ACQUIRE);
        if (here == address || here == 0)
            return &t->slot[i];
    }
}

static void insert(struct table *t, uint64_t address, uint16_t index)
{
    struct slot *slot = slot_of(t, address);
    __atomic_store_n(&slot->index, index, __ATOMIC_RELEASE);
    if (slot->address == 0) {
        t->used++;
        __atomic_store_n(&slot->address, address, __ATOMIC_RELEASE);
    }
}

/* Readers may still be in the old table, so it is left to them: all old ones together are smaller than the new one. */
static bool grow(const struct site_host *host)
{
    uint32_t live = 0, slots = FIRST_SLOTS;
    for (uint32_t i = 0; table && i < table->slots; i++)
        live += table->slot[i].index != 0;
    while (slots < 4 * live || (table && slots < table->slots))
        slots *= 2;
    struct table *next = host->alloc(sizeof(struct table) + slots * sizeof(struct slot));
    if (!next)
        return false;
    next->slots = slots;
    for (uint32_t i = 0; table && i < table->slots; i++)
        if (table->slot[i].index)
            insert(next, table->slot[i].address, table->slot[i].index);
    __atomic_store_n(&table, next, __ATOMIC_RELEASE);
    return true;
}

bool site_table_key(const struct site_host *host, uint64_t address, uint16_t index)
{
    if (index && (!table || table->used * 4 >= table->slots * 3) && !grow(host))
        return false;
    if (table)
        insert(table, address, index);
    return true;
}

bool site_table_read(uint16_t index, struct site *out)
{
    if (index == 0 || index > __atomic_load_n(&last, __ATOMIC_ACQUIRE))
        return false;
    const struct site *site = &chunks[index / CHUNK][index % CHUNK];
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t version = __atomic_load_n(&site->version, __ATOMIC_ACQUIRE);
        *out = *(const volatile struct site *)site;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(version & 1) && __atomic_load_n(&site->version, __ATOMIC_RELAXED) == version)
            return out->index == index;
        __builtin_ia32_pause();
    }
    return false;
}

bool site_table_find(uint64_t address, struct site *out)
{
    struct table *t = __atomic_load_n(&table, __ATOMIC_ACQUIRE);
    return t && address && site_table_read(__atomic_load_n(&slot_of(t, address)->index, __ATOMIC_ACQUIRE), out);
}

void site_table_forget_all(void)
{
    for (uint32_t i = 1; i <= last; i++)
        if (site_table_at(i))
            site_table_free(site_table_at(i));
    for (uint32_t i = 0; table && i < table->slots; i++)
        if (table->slot[i].address) /* see pool_forget_all */
            table->slot[i] = (struct slot){0};
    if (table)
        table->used = 0;
}
