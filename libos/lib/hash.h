/* SPDX-License-Identifier: MIT */
/*
 * Two containers that hold nodes of the caller's own: a hash table by a number, and a heap by a time.  Neither takes a
 * lock, neither owns what it holds.  Zeroed = empty.
 */
#ifndef LIBOS_HASH_H
#define LIBOS_HASH_H

#include "libos/lib/lib.h"

struct hash_node {
    struct hash_node *next;
    uint64_t key;
};

/* Up to a few nodes are one list; then the buckets grow with the nodes.  Where there is no memory for more buckets, the
 * chains get longer: nothing fails. */
struct hash {
    struct hash_node *few, **buckets;
    uint32_t size; /* of buckets: a power of two, or 0 */
    uint32_t count;
};

void hash_insert(struct hash *hash, struct hash_node *node, uint64_t key); /* may stand there twice */
void hash_remove(struct hash *hash, struct hash_node *node);
struct hash_node *hash_find(const struct hash *hash, uint64_t key);        /* the last inserted of that key, or NULL */
struct hash_node *hash_find_next(const struct hash_node *node);            /* another of the same key, or NULL */
/* All, in no order; `after` NULL: the first.  To remove one, ask for its next before. */
struct hash_node *hash_walk(const struct hash *hash, const struct hash_node *after);
void hash_clear(struct hash *hash); /* forgets all nodes, gives back the buckets */

struct heap_node {
    uint64_t key;
    uint32_t place; /* from 1; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count, room;
};

int64_t heap_reserve(struct heap *heap, uint32_t count); /* 0, or -ENOMEM: heap_set never fails for that many nodes */
void heap_set(struct heap *heap, struct heap_node *node, uint64_t key); /* comes in, or moves */
void heap_remove(struct heap *heap, struct heap_node *node);            /* fine where it is in none */
static inline struct heap_node *heap_first(const struct heap *heap)     /* of the least key, or NULL */
{
    return heap->count ? heap->nodes[0] : NULL;
}
void heap_clear(struct heap *heap);
#endif
