/* SPDX-License-Identifier: MIT */
/* Bytes into and out of a ring, and when tokens are due: see ring.h. */
#include "libos/ring/ring.h"

#include "libos/ring/layout.h"

enum ring_state { RING_EMPTY, RING_DATA, RING_FULL };

#define ROOM_AGAIN (RING_SIZE / 2) /* so much must be free before a full ring is not */

struct ring *ring_to(uint32_t number, uint32_t end)
{
    return &ring_connection(number)->ends[end].ring;
}

struct ring *ring_from(uint32_t number, uint32_t end)
{
    return &ring_connection(number)->ends[!end].ring;
}

static bool change(struct ring *ring, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&ring->state, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t now_written(const struct ring *ring)
{
    return __atomic_load_n(&ring->written, __ATOMIC_SEQ_CST);
}

static uint64_t now_taken(const struct ring *ring)
{
    return __atomic_load_n(&ring->taken, __ATOMIC_SEQ_CST);
}

/* Bytes between vectors and the ring, from `position` on: how many.  put: into the ring. */
static uint64_t copy(char *bytes, uint64_t position, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                     uint64_t most, bool put)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < count && done < most; i++) {
        if (skip >= vector[i].size) {
            skip -= vector[i].size;
            continue;
        }
        guest_t at = vector[i].base + skip;
        uint64_t left = MIN(vector[i].size - skip, most - done);
        skip = 0;
        while (left) {
            uint64_t offset = (position + done) % RING_SIZE, part = MIN(left, RING_SIZE - offset);
            size_t moved = put ? copy_in_some(bytes + offset, at, part) : copy_out_some(at, bytes + offset, part);
            done += moved;
            if (moved < part)
                return done;
            at += part;
            left -= part;
        }
    }
    return done;
}

static uint64_t size_of(const struct pal_vector *vector, uint32_t count, uint64_t skip)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    return size - skip;
}

/* The ring is full: 1 = that is to be told, 0 = it is over. */
static uint32_t become_full(struct ring *ring)
{
    if (!change(ring, RING_DATA, RING_FULL))
        return 0; /* told already */
    if (RING_SIZE - (now_written(ring) - now_taken(ring)) < ROOM_AGAIN)
        return 1;
    /* A reader made room, and did not see it full; or did, and takes a token for it. */
    return change(ring, RING_FULL, RING_DATA) ? 0 : 1;
}

int64_t ring_put(uint32_t number, uint32_t end, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                 uint32_t *tokens)
{
    struct ring *ring = ring_to(number, end);
    uint64_t wanted = size_of(vector, count, skip);
    *tokens = 0;
    (void)shared_mutex_lock(&ring->writers); /* a holder that died has published nothing by halves */
    uint64_t written = ring->written, room = RING_SIZE - (written - now_taken(ring)), most = MIN(wanted, room);
    uint64_t done = copy(ring_connection(number)->ends[end].bytes, written, vector, count, skip, most, true);
    if (done) {
        __atomic_store_n(&ring->written, written + done, __ATOMIC_SEQ_CST);
        if (atomic_get(&ring->state) == RING_EMPTY && change(ring, RING_EMPTY, RING_DATA))
            *tokens = 1;
    }
    if (room < wanted && done == most)
        *tokens += become_full(ring);
    shared_mutex_unlock(&ring->writers);
    return done < most && !done ? -EFAULT : (int64_t)done;
}

/* After bytes were taken: tokens that are over. */
static uint32_t become_less(struct ring *ring, uint64_t taken)
{
    uint32_t over = 0;
    uint64_t left = now_written(ring) - taken;
    if (atomic_get(&ring->state) == RING_FULL && RING_SIZE - left >= ROOM_AGAIN && change(ring, RING_FULL, RING_DATA))
        over++;
    if (left || !change(ring, RING_DATA, RING_EMPTY))
        return over;
    /* A writer that came in between and did not see it empty sends none: the token stays for its bytes. */
    return now_written(ring) != taken && change(ring, RING_EMPTY, RING_DATA) ? over : over + 1;
}

int64_t ring_take(uint32_t number, uint32_t end, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                  bool peek, bool discard)
{
    struct ring *ring = ring_from(number, end);
    uint64_t wanted = size_of(vector, count, skip);
    if (now_written(ring) == now_taken(ring))
        return 0;
    (void)shared_mutex_lock(&ring->readers);
    uint64_t taken = ring->taken, most = MIN(wanted, now_written(ring) - taken), done = most;
    if (!discard)
        done = copy(ring_connection(number)->ends[!end].bytes, taken, vector, count, skip, most, false);
    if (done && !peek) {
        __atomic_store_n(&ring->taken, taken + done, __ATOMIC_SEQ_CST);
        uint32_t over = become_less(ring, taken + done);
        if (over)
            atomic_add(&ring->owed, over);
    }
    shared_mutex_unlock(&ring->readers);
    return done < most && !done ? -EFAULT : (int64_t)done;
}

uint64_t ring_available(uint32_t number, uint32_t end)
{
    const struct ring *ring = ring_from(number, end);
    return now_written(ring) - now_taken(ring);
}

uint32_t ring_owed(uint32_t number, uint32_t end)
{
    struct ring *ring = ring_from(number, end);
    return atomic_get(&ring->owed) ? atomic_swap(&ring->owed, 0u) : 0;
}

void ring_still_owed(uint32_t number, uint32_t end, uint32_t count)
{
    if (count)
        atomic_add(&ring_from(number, end)->owed, count);
}

bool ring_is_quiet(uint32_t number, uint32_t end)
{
    const struct ring *ring = ring_from(number, end);
    return !atomic_get(&ring->owed) && atomic_get(&ring->state) == RING_EMPTY && now_written(ring) == now_taken(ring);
}
