/* SPDX-License-Identifier: MIT */
/* Bytes into and out of a ring, and when tokens are due: see ring.h. */
#include "libos/ring/ring.h"

#include "libos/ring/layout.h"

enum ring_state { RING_EMPTY, RING_DATA, RING_FULL };

/* How much it takes: all, unless both ends want less. */
static uint64_t capacity(const struct ring *ring)
{
    uint32_t sends = atomic_get(&ring->most[0]), receives = atomic_get(&ring->most[1]);
    return sends && receives ? MIN((uint64_t)sends + receives, RING_SIZE) : RING_SIZE;
}

static uint64_t room_of(const struct ring *ring, uint64_t used)
{
    uint64_t most = capacity(ring);
    return used < most ? most - used : 0;
}

/* A full ring is not any more. */
static bool has_room_again(const struct ring *ring, uint64_t used)
{
    return room_of(ring, used) >= capacity(ring) / 2;
}

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
    if (!has_room_again(ring, now_written(ring) - now_taken(ring)))
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
    uint64_t written = ring->written, room = room_of(ring, written - now_taken(ring)), most = MIN(wanted, room);
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
    if (atomic_get(&ring->state) == RING_FULL && has_room_again(ring, left) && change(ring, RING_FULL, RING_DATA))
        over++;
    if (left || !change(ring, RING_DATA, RING_EMPTY))
        return over;
    /* A writer that came in between and did not see it empty sends none: the token stays for its bytes. */
    return now_written(ring) != taken && change(ring, RING_EMPTY, RING_DATA) ? over : over + 1;
}

/* What is read stops at the urgent byte; then it goes with what follows, or is left out. */
static uint64_t up_to_mark(const struct ring *ring, uint64_t *taken, uint64_t most, uint32_t how)
{
    uint64_t mark = atomic_get(&ring->mark);
    if (LIKELY(!mark) || *taken >= mark)
        return most;
    if (*taken < mark - 1)
        return MIN(most, mark - 1 - *taken);
    if (how & RING_IN_LINE)
        return most;
    ++*taken;
    return MIN(most, now_written(ring) - *taken);
}

void ring_mark(uint32_t number, uint32_t end)
{
    struct ring *ring = ring_to(number, end);
    atomic_set(&ring->mark, now_written(ring));
    atomic_set(&ring->urgent, 1u);
}

int64_t ring_urgent(uint32_t number, uint32_t end, bool peek)
{
    struct ring *ring = ring_from(number, end);
    uint64_t mark = atomic_get(&ring->mark);
    if (!mark || !(peek ? atomic_get(&ring->urgent) : atomic_swap(&ring->urgent, 0u)))
        return -EINVAL;
    return (uint8_t)ring_connection(number)->ends[!end].bytes[(mark - 1) % RING_SIZE];
}

bool ring_at_mark(uint32_t number, uint32_t end)
{
    const struct ring *ring = ring_from(number, end);
    uint64_t mark = atomic_get(&ring->mark);
    return mark && now_taken(ring) == mark - 1;
}

int64_t ring_take(uint32_t number, uint32_t end, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                  uint32_t how)
{
    struct ring *ring = ring_from(number, end);
    uint64_t wanted = size_of(vector, count, skip);
    if (now_written(ring) == now_taken(ring))
        return 0;
    (void)shared_mutex_lock(&ring->readers);
    uint64_t taken = ring->taken, before = taken;
    uint64_t most = up_to_mark(ring, &taken, MIN(wanted, now_written(ring) - taken), how), done = most;
    if (!(how & RING_DISCARD))
        done = copy(ring_connection(number)->ends[!end].bytes, taken, vector, count, skip, most, false);
    if ((done || taken > before) && !(how & RING_PEEK)) {
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
