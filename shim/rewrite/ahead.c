/* SPDX-License-Identifier: MIT */
/*
 * All sites of a text at once, while nobody executes it: pages are made writable once, and no core needs to be told of
 * what it has never run.
 */
#include "shim/rewrite/ahead.h"
#include "shim/rewrite/install.h"
#include "shim/rewrite/scan.h"
#include "shim/rewrite/trampoline_pool.h"

#define SYSCALL_SIZE 2
#define BLOCKS_MAX 64u
#define SMALL_TEXT (256 * 1024ul) /* made writable as a whole: a few host calls fewer, some more entries for each fork */

/* The host as install.c sees it meanwhile.  Under the sites' lock. */
static struct {
    const struct site_host *real;
    struct site_host host;
    uint64_t start, end; /* the text */
    uint64_t pools[POOLS_MAX];
    uint32_t pool_count;
    bool in_blocks; /* not the whole text, but these blocks of it */
    uint64_t blocks[BLOCKS_MAX];
    uint32_t block_count;
} batch;

static uint64_t block_start(uint64_t block)
{
    return block > batch.start ? block : batch.start;
}

static uint64_t block_size(uint64_t block)
{
    uint64_t end = block + SITE_BLOCK;
    return (end < batch.end ? end : batch.end) - block_start(block);
}

static int64_t block_writable(uint64_t block)
{
    for (uint32_t i = batch.block_count; i-- > 0;)
        if (batch.blocks[i] == block)
            return 0;
    if (batch.block_count == BLOCKS_MAX)
        return -1;
    int64_t error = batch.real->code_writable(block_start(block), block_size(block), 1);
    if (error >= 0)
        batch.blocks[batch.block_count++] = block;
    return error;
}

static int64_t text_writable(uint64_t page, uint64_t size)
{
    int64_t error = 0;
    for (uint64_t block = page & -SITE_BLOCK; error >= 0 && block < page + size; block += SITE_BLOCK)
        error = block_writable(block);
    return error;
}

/* Pools may be others' as well: one is made writable when it is needed, once, and protected at the end. */
static int64_t pool_writable(uint64_t pool)
{
    for (uint32_t i = 0; i < batch.pool_count; i++)
        if (batch.pools[i] == pool)
            return 0;
    if (batch.pool_count == POOLS_MAX)
        return -1;
    int64_t error = batch.real->code_writable(pool, POOL_SIZE, 1);
    if (error >= 0)
        batch.pools[batch.pool_count++] = pool;
    return error;
}

static int64_t writable(uint64_t page, uint64_t size, int on)
{
    if (!on)
        return 0;
    if (page < batch.start || page + size > batch.end)
        return pool_writable(page & -(uint64_t)POOL_SIZE);
    return batch.in_blocks ? text_writable(page, size) : 0;
}

static void no_sync(void)
{
}

static bool begin(const struct site_host *host, uint64_t start, uint64_t end, bool in_blocks)
{
    batch.real = host;
    batch.host = *host;
    batch.host.code_writable = writable;
    batch.host.sync_cores = no_sync;
    batch.start = start;
    batch.end = end;
    batch.pool_count = batch.block_count = 0;
    batch.in_blocks = in_blocks;
    return in_blocks || host->code_writable(start, end - start, 1) >= 0;
}

static void end_batch(void)
{
    if (!batch.in_blocks)
        batch.real->code_writable(batch.start, batch.end - batch.start, 0);
    for (uint32_t i = 0; i < batch.block_count; i++)
        batch.real->code_writable(block_start(batch.blocks[i]), block_size(batch.blocks[i]), 0);
    for (uint32_t i = 0; i < batch.pool_count; i++)
        batch.real->code_writable(batch.pools[i], POOL_SIZE, 0);
}

static struct text_window window_of(uint64_t start, uint64_t end)
{
    return (struct text_window){.all = (const uint8_t *)start, .start = start, .end = end};
}

uint32_t ahead_find(const struct site_host *host, uint64_t start, uint64_t end, struct site_record *out, uint32_t room)
{
    struct text_window text = window_of(start, end);
    uint32_t count = 0;
    for (uint64_t at = start; (at = scan_next(at, end)) < end; at++) {
        struct site_record record;
        text.syscall = at;
        window_read(&text);
        if (!scan_believes(&text) || (!host->no_trap && plan_is_sigreturn(&text)))
            continue;
        if (!install_record(&text, &record))
            record.plan.kind = SITE_TRAP;
        if (count < room)
            out[count] = record;
        count++;
    }
    return count;
}

static void rewrite(const struct site_record *record, struct site_statistics *statistics)
{
    struct text_window text = window_of(batch.start, batch.end);
    text.syscall = batch.start + record->at;
    if (record->at + SYSCALL_SIZE > batch.end - batch.start || install_known(&batch.host, record, &text, statistics))
        return;
    if (record->plan.kind != SITE_TRAP || batch.host.no_trap)
        install_site(&batch.host, &text, statistics);
}

bool ahead_rewrite(const struct site_host *host, uint64_t start, uint64_t end, const struct site_record *records,
                   uint32_t count, struct site_statistics *statistics)
{
    if (!begin(host, start, end, false))
        return false;
    for (uint32_t i = 0; i < count; i++)
        rewrite(&records[i], statistics);
    end_batch();
    return true;
}

bool ahead_rewrite_hinted(const struct site_host *host, uint64_t start, uint64_t end, struct site_hint *hints,
                          uint32_t count, uint32_t *rewritten, struct site_statistics *statistics)
{
    uint64_t known = 0;
    if (!begin(host, start, end, end - start > SMALL_TEXT))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text_window text = window_of(start, end);
        text.syscall = start + hints[i].at;
        if (hints[i].at + (uint64_t)SYSCALL_SIZE <= end - start && install_hinted(&batch.host, &hints[i], &text, &known, statistics)) {
            hints[i].proved = true;
            ++*rewritten;
        }
    }
    end_batch();
    return true;
}
