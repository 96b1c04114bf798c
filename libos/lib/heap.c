/* SPDX-License-Identifier: MIT */
/* A binary heap by a time: the least key stands first. */
#include "libos/lib/hash.h"

static void put(struct heap *heap, uint32_t place, struct heap_node *node)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

static struct heap_node *at(const struct heap *heap, uint32_t place)
{
    return heap->nodes[place - 1];
}

/* Finds the node's place from where it stands, or from a hole there. */
static void settle(struct heap *heap, uint32_t place, struct heap_node *node)
{
    for (; place > 1 && at(heap, place / 2)->key > node->key; place /= 2)
        put(heap, place, at(heap, place / 2));
    for (uint32_t child; (child = place * 2) <= heap->count; place = child) {
        if (child < heap->count && at(heap, child + 1)->key < at(heap, child)->key)
            child++;
        if (at(heap, child)->key >= node->key)
            break;
        put(heap, place, at(heap, child));
    }
    put(heap, place, node);
}

int64_t heap_reserve(struct heap *heap, uint32_t count)
{
    if (count <= heap->room)
        return 0;
    uint32_t room = MAX(count, heap->room * 2);
    struct heap_node **nodes = alloc(room * sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    if (heap->count)
        memcpy(nodes, heap->nodes, heap->count * sizeof *nodes);
    release(heap->nodes);
    heap->nodes = nodes;
    heap->room = room;
    return 0;
}

void heap_set(struct heap *heap, struct heap_node *node, uint64_t key)
{
    node->key = key;
    settle(heap, node->place ? node->place : ++heap->count, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    uint32_t place = node->place;
    if (!place)
        return;
    struct heap_node *last = at(heap, heap->count--);
    node->place = 0;
    if (last != node)
        settle(heap, place, last);
}

void heap_clear(struct heap *heap)
{
    release(heap->nodes);
    *heap = (struct heap){0};
}
