/* SPDX-License-Identifier: MIT */
/* A hash table with chains, by a number. */
#include "libos/lib/hash.h"

#define FEW 8u

static struct hash_node **bucket(const struct hash *hash, uint64_t key)
{
    if (!hash->size)
        return (struct hash_node **)(uintptr_t)&hash->few;
    uint64_t mixed = (key ^ key >> 32) * 0x9e3779b97f4a7c15ull;
    return &hash->buckets[mixed >> 32 & (hash->size - 1)];
}

static void push(struct hash *hash, struct hash_node *node)
{
    struct hash_node **at = bucket(hash, node->key);
    node->next = *at;
    *at = node;
}

static void grow(struct hash *hash)
{
    const struct hash old = *hash;
    uint32_t size = old.size ? old.size * 4 : FEW * 4;
    struct hash_node **buckets = alloc_zero(size * sizeof *buckets);
    if (!buckets)
        return;
    hash->buckets = buckets;
    hash->size = size;
    hash->few = NULL;
    for (uint32_t i = 0; i < MAX(old.size, 1u); i++) {
        for (struct hash_node *node = old.size ? old.buckets[i] : old.few, *next; node; node = next) {
            next = node->next;
            push(hash, node);
        }
    }
    release(old.buckets);
}

void hash_insert(struct hash *hash, struct hash_node *node, uint64_t key)
{
    if (++hash->count > MAX(hash->size, FEW))
        grow(hash);
    node->key = key;
    push(hash, node);
}

void hash_remove(struct hash *hash, struct hash_node *node)
{
    for (struct hash_node **at = bucket(hash, node->key); *at; at = &(*at)->next) {
        if (*at == node) {
            *at = node->next;
            hash->count--;
            return;
        }
    }
}

struct hash_node *hash_find(const struct hash *hash, uint64_t key)
{
    struct hash_node *node = *bucket(hash, key);
    while (node && node->key != key)
        node = node->next;
    return node;
}

struct hash_node *hash_find_next(const struct hash_node *node)
{
    uint64_t key = node->key;
    do
        node = node->next;
    while (node && node->key != key);
    return (struct hash_node *)(uintptr_t)node;
}

struct hash_node *hash_walk(const struct hash *hash, const struct hash_node *after)
{
    if (after && after->next)
        return after->next;
    if (!hash->size)
        return after ? NULL : hash->few;
    struct hash_node **at = after ? bucket(hash, after->key) + 1 : hash->buckets, **end = hash->buckets + hash->size;
    while (at < end && !*at)
        at++;
    return at < end ? *at : NULL;
}

void hash_clear(struct hash *hash)
{
    release(hash->buckets);
    *hash = (struct hash){0};
}
