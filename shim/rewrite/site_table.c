/* SPDX-License-Identifier: MIT */
/* The store of records and the hash table in front of it. */
#include "shim/rewrite/site_table.h"

#include <stddef.h>

#define CHUNK 64u
#define CHUNKS 512u
#define FIRST_SLOTS 128u
#define READ_TRIES 1000 /* a writer is a handful of instructions; a record that never settles has no key */

/* Keys stay when their record goes, so that probing never misses: a larger table sheds them. */
struct slot { uint64_t address; uint16_t index; };
struct table {
    uint32_t slots, used;
    struct slot slot[];
};

static struct record *chunks[CHUNKS];
static uint32_t limit = 1; /* read without lock */
static uint32_t free_count;
static struct table *table; /* read without lock */

struct record *record_at(uint32_t index)
{
    struct record *record = &chunks[index / CHUNK][index % CHUNK];
    return record->index ? record : NULL;
}

uint32_t record_limit(void)
{
    return limit;
}

void record_write_begin(struct record *record)
{
    __atomic_store_n(&record->version, record->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void record_write_end(struct record *record)
{
    __atomic_store_n(&record->version, record->version + 1, __ATOMIC_RELEASE);
}

struct record *record_new(const struct site_host *host)
{
    for (uint32_t i = 1; free_count && i < limit; i++) {
        struct record *record = &chunks[i / CHUNK][i % CHUNK];
        if (record->index == 0) {
            record->index = (uint16_t)i;
            free_count--;
            return record;
        }
    }
    if (limit == CHUNK * CHUNKS)
        return NULL;
    if (!chunks[limit / CHUNK] && !(chunks[limit / CHUNK] = host->alloc(CHUNK * sizeof(struct record))))
        return NULL;
    struct record *record = &chunks[limit / CHUNK][limit % CHUNK];
    record->index = (uint16_t)limit;
    __atomic_store_n(&limit, limit + 1, __ATOMIC_RELEASE);
    return record;
}

void record_free(struct record *record)
{
    record_write_begin(record);
    record->index = 0;
    record->point_count = record->patch_count = 0;
    record->retired = record->second = false;
    record_write_end(record);
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

bool record_key(const struct site_host *host, uint64_t address, uint16_t index)
{
    if (index && (!table || table->used * 4 >= table->slots * 3) && !grow(host))
        return false;
    if (table)
        insert(table, address, index);
    return true;
}

bool record_read(uint16_t index, struct record *out)
{
    if (index == 0 || index >= __atomic_load_n(&limit, __ATOMIC_ACQUIRE))
        return false;
    const struct record *record = &chunks[index / CHUNK][index % CHUNK];
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t version = __atomic_load_n(&record->version, __ATOMIC_ACQUIRE);
        *out = *(const volatile struct record *)record;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(version & 1) && __atomic_load_n(&record->version, __ATOMIC_RELAXED) == version)
            return out->index == index;
        __builtin_ia32_pause();
    }
    return false;
}

bool record_find(uint64_t address, struct record *out)
{
    struct table *t = __atomic_load_n(&table, __ATOMIC_ACQUIRE);
    return t && address && record_read(__atomic_load_n(&slot_of(t, address)->index, __ATOMIC_ACQUIRE), out);
}

void record_forget_all(void)
{
    for (uint32_t i = 1; i < limit; i++)
        if (record_at(i))
            record_free(record_at(i));
    for (uint32_t i = 0; table && i < table->slots; i++)
        if (table->slot[i].address) /* see area_forget_all */
            table->slot[i] = (struct slot){0};
    if (table)
        table->used = 0;
}
