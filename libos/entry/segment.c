/* SPDX-License-Identifier: MIT */
/* The shared segment's layout: its parts, in order.  The first process makes it, the others are forked with it. */
#include "libos/entry/entry.h"
#include "libos/fs/vfs.h"
#include "libos/ipc/ipc.h"
#include "libos/mm/mm.h"
#include "libos/ring/ring.h"
#include "libos/signal/remote.h"
#include "libos/task/table.h"
#include "libos/task/task.h"
#include "libos/trace/trace.h"

/* Each takes what it needs of [at, end), and returns where that ends. */
static uint64_t (*const parts[])(uint64_t at, uint64_t end) = {
    shared_init, /* the process table: at most half */
    dcache_init,   /* names: a fixed size */
    set_ids_init, /* bits of files: a fixed size */
    ask_init,    /* a question to another process: a fixed size */
    trace_init,  /* traced threads: a fixed size */
    ring_init,   /* connections: a fixed size */
    ahead_init,  /* where texts have their call sites: a fixed size, of which pages are taken as they fill */
    warm_init,   /* sites that trapped: likewise */
    ipc_init,    /* objects of IPC, messages, System V shared memory: the rest */
};

void segment_init(void)
{
    uint64_t at = PAL_SHARED_BASE + boot->shared_used, end = PAL_SHARED_BASE + boot->shared_size;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        at = parts[i](PAGE_UP(at), end);
}
