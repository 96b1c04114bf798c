/* SPDX-License-Identifier: MIT */
/*
 * Cross-modifying code.  The processor fetches an aligned eight-byte word as it was before a store or after (AMD APM
 * vol. 2, 7.6.1).  What crosses such words goes in three steps, with every core serialised between them, behind a
 * head that traps: so no core ever joins old bytes to new ones.
 */
#include "shim/rewrite/patch.h"

typedef uint64_t word __attribute__((may_alias));

/* One store for bytes that lie within an aligned word. */
static void store(uint64_t at, const uint8_t *bytes, uint32_t size)
{
    volatile word *to = (volatile word *)(at & ~7ul);
    uint32_t shift = (uint32_t)(at & 7) * 8;
    uint64_t value = *to;
    for (uint32_t i = 0; i < size; i++, shift += 8)
        value = (value & ~(0xfful << shift)) | (uint64_t)bytes[i] << shift;
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static uint32_t in_first_word(uint64_t at, uint32_t size)
{
    uint32_t room = 8 - (uint32_t)(at & 7);
    return size < room ? size : room;
}

void patch_publish(const struct site_host *host, uint64_t at, const uint8_t *bytes, uint32_t size)
{
    uint32_t first = in_first_word(at, size);
    uint8_t head[PATCH_SIZE_MAX];
    if (first == size) {
        store(at, bytes, size);
        return;
    }
    for (uint32_t i = 0; i < first; i++)
        head[i] = bytes[i];
    head[0] = PATCH_FAULT;
    store(at, head, first);
    host->sync_cores();
    store(at + first, bytes + first, size - first);
    host->sync_cores();
    store(at, bytes, first);
}

void patch_withdraw(const struct site_host *host, uint64_t at, const uint8_t *bytes, uint32_t size)
{
    static const uint8_t hlt = PATCH_FAULT;
    uint32_t first = in_first_word(at, size);
    if (first == size) {
        store(at, bytes, size);
        return;
    }
    store(at, &hlt, 1);
    host->sync_cores();
    store(at + first, bytes + first, size - first);
    host->sync_cores();
    store(at, bytes, first);
}
