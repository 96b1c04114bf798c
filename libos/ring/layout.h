/* SPDX-License-Identifier: MIT */
/* Where connections lie in the shared segment. */
#ifndef LIBOS_RING_LAYOUT_H
#define LIBOS_RING_LAYOUT_H

#include "libos/ring/ring.h"

#define HOLDERS 6u /* picoprocesses that have one end; more: it is never free again */

struct ring_end { /* what it writes, and its owner */
    struct ring ring;
    uint32_t holders[HOLDERS]; /* by pid; 0: free.  Guarded by the pool's lock, as the next two */
    uint32_t on_their_way;
    uint32_t many;
    char bytes[RING_SIZE] __attribute__((aligned(4096)));
};
struct ring_connection { struct ring_end ends[2]; };

struct ring_pool {
    struct pal_mutex lock;
    uint32_t high; /* connections [high, RING_COUNT) were never used.  Atomic */
    uint64_t used[RING_COUNT / 64];
};
extern struct ring_pool *ring_pool;

/* number: from 1 */
static inline struct ring_connection *ring_connection(uint32_t number)
{
    return (struct ring_connection *)((uintptr_t)ring_pool + PAGE_SIZE) + (number - 1);
}
#endif
