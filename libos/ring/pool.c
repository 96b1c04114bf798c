/* SPDX-License-Identifier: MIT */
/*
 * Which connections are in use.  Each end has the list of picoprocesses that have it, since any of them may be killed:
 * a process that learns of another's end takes it off.  What is on its way to a process belongs to nobody for that time; if
 * it gets lost, the connection is not used again.
 */
#include "libos/ring/layout.h"

struct ring_pool *ring_pool;
static uint32_t self;                           /* this picoprocess, by the pid of its first process */
static uint16_t here[2][RING_COUNT + 1];          /* descriptions of this picoprocess that have an end.  Under the lock */

uint64_t ring_init(uint64_t at, uint64_t end)
{
    _Static_assert(sizeof(struct ring_pool) <= PAGE_SIZE, "before the connections");
    self = 1;
    uint64_t after = at + PAGE_SIZE + RING_COUNT * sizeof(struct ring_connection);
    if (after > at + (end - at) / 2)
        return at; /* a small segment: none */
    ring_pool = (struct ring_pool *)(uintptr_t)at;
    return after;
}

static void lock(void)
{
    (void)shared_mutex_lock(&ring_pool->lock); /* each step leaves the lists whole */
}

static void unlock(void)
{
    shared_mutex_unlock(&ring_pool->lock);
}

static struct ring_end *end_of(uint32_t number, uint32_t end)
{
    return &ring_connection(number)->ends[end];
}

static bool has(const struct ring_end *end, uint32_t pid)
{
    for (uint32_t i = 0; i < HOLDERS; i++)
        if (end->holders[i] == pid)
            return true;
    return false;
}

static void hold(struct ring_end *end, uint32_t pid)
{
    for (uint32_t i = 0; i < HOLDERS; i++)
        if (!end->holders[i]) {
            end->holders[i] = pid;
            return;
        }
    end->many = 1;
}

static bool is_free(const struct ring_end *end)
{
    if (end->on_their_way || end->many)
        return false;
    for (uint32_t i = 0; i < HOLDERS; i++)
        if (end->holders[i])
            return false;
    return true;
}

/* Nobody has this end any more: what is written to it is for nobody.  The memory goes back with the other end. */
static void settle(uint32_t number, uint32_t end)
{
    if (!is_free(end_of(number, end)))
        return;
    atomic_set(&ring_from(number, end)->closed, 1u);
    if (!is_free(end_of(number, !end)))
        return;
    for (int i = 0; i < 2; i++)
        if (end_of(number, (uint32_t)i)->ring.written > PAGE_SIZE)
            PAL->memory_decommit((uint64_t)(uintptr_t)end_of(number, (uint32_t)i)->bytes, RING_SIZE, PAL_DECOMMIT_UNSHARE);
    atomic_and(&ring_pool->used[(number - 1) / 64], ~(1ull << (number - 1) % 64));
}

uint32_t ring_new(void)
{
    uint32_t number = 0;
    if (!ring_pool)
        return 0;
    lock();
    for (uint32_t word = 0; word < COUNT_OF(ring_pool->used) && !number; word++)
        if (~ring_pool->used[word])
            number = word * 64 + (uint32_t)__builtin_ctzll(~ring_pool->used[word]) + 1;
    if (number) {
        for (int i = 0; i < 2; i++)
            memset(end_of(number, (uint32_t)i), 0, offsetof(struct ring_end, bytes));
        hold(end_of(number, 0), self);
        end_of(number, 1)->on_their_way = 1;
        here[0][number] = 1;
        here[1][number] = 0;
        ring_pool->high = MAX(ring_pool->high, number);
        atomic_or(&ring_pool->used[(number - 1) / 64], 1ull << (number - 1) % 64);
    }
    unlock();
    return number;
}

void ring_arrived(uint32_t number, uint32_t end)
{
    struct ring_end *at = end_of(number, end);
    lock();
    if (!here[end][number]++ && !has(at, self))
        hold(at, self);
    if (at->on_their_way)
        at->on_their_way--;
    unlock();
}

void ring_departs(uint32_t number, uint32_t end)
{
    lock();
    end_of(number, end)->on_their_way++;
    unlock();
}

void ring_lost(uint32_t number, uint32_t end)
{
    lock();
    if (end_of(number, end)->on_their_way)
        end_of(number, end)->on_their_way--;
    settle(number, end);
    unlock();
}

static void take_off(uint32_t number, uint32_t end, uint32_t pid)
{
    struct ring_end *at = end_of(number, end);
    bool any = false;
    for (uint32_t i = 0; i < HOLDERS; i++)
        if (at->holders[i] == pid) {
            at->holders[i] = 0;
            any = true;
        }
    if (any)
        settle(number, end);
}

void ring_release(uint32_t number, uint32_t end, bool resets)
{
    lock();
    if (here[end][number] && !--here[end][number]) {
        take_off(number, end, self);
        if (resets && is_free(end_of(number, end)))
            atomic_set(&ring_to(number, end)->reset, 1u);
    }
    unlock();
}

/* ---- Processes --------------------------------------------------------------------------------------------------- */

void ring_fork(int child)
{
    if (!ring_pool || !atomic_get(&ring_pool->high))
        return;
    lock();
    for (uint32_t number = 1; number <= ring_pool->high; number++)
        for (uint32_t end = 0; end < 2; end++)
            if (here[end][number])
                hold(end_of(number, end), (uint32_t)child);
    unlock();
}

void ring_fork_child(int pid)
{
    self = (uint32_t)pid;
}

void ring_process_ends(int pid)
{
    if (!ring_pool || !atomic_get(&ring_pool->high))
        return;
    lock();
    for (uint32_t number = 1; number <= ring_pool->high; number++)
        if (ring_pool->used[(number - 1) / 64] >> (number - 1) % 64 & 1)
            for (uint32_t end = 0; end < 2; end++)
                take_off(number, end, (uint32_t)pid);
    unlock();
}
