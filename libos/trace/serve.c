/* SPDX-License-Identifier: MIT */
/* What a stopped thread does for its tracer: its memory, its vector state, its queue of signals. */
#include "libos/mm/mm.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define XSAVE_FEATURES 512u /* offset of the header's first word: what the area holds */
#define XSAVE_HEADER 64u
#define FP_SSE 3ull

static int64_t get_vectors(struct trace *trace)
{
    uint64_t features, size = vector_state_size(&features);
    if (size > TRACE_BYTES)
        return -EIO;
    int64_t error = vector_state_get(trace->bytes, size, features);
    return error < 0 ? error : (int64_t)size;
}

/* `size` bytes of it: the first USER_FP_SIZE are x87's and SSE's. */
static int64_t set_vectors(struct trace *trace)
{
    uint64_t features, all = vector_state_size(&features), *header = (uint64_t *)(void *)(trace->bytes + XSAVE_FEATURES);
    if (trace->size == USER_FP_SIZE) {
        memset(header, 0, XSAVE_HEADER);
        header[0] = FP_SSE;
        features = FP_SSE;
    } else if (trace->size != all || header[0] & ~features) {
        return -EINVAL;
    }
    return shim_xrstor((uint64_t)(uintptr_t)trace->bytes, features) < 0 ? -EINVAL : 0;
}

/* `detail` of them from `address` on, of the thread's own or of its process's. */
static int64_t read_queue(struct trace *trace)
{
    struct process *process = current_process();
    bool shared = trace->bytes[0] & PTRACE_PEEKSIGINFO_SHARED;
    uint32_t room = (uint32_t)MIN(trace->size, TRACE_BYTES / sizeof(struct siginfo));
    mutex_lock(&process->lock);
    uint32_t count = queue_copy(process->signals, shared ? NULL : current(), trace->address,
                                (struct siginfo *)(void *)trace->bytes, room);
    mutex_unlock(&process->lock);
    return count;
}

static int64_t serve(struct trace *trace, uint32_t asked)
{
    uint64_t size = MIN(trace->size, TRACE_BYTES);
    switch (asked) {
    case TRACE_READ_MEMORY:
        return (int64_t)mm_peek(trace->bytes, trace->address, size);
    case TRACE_WRITE_MEMORY:
        return (int64_t)mm_poke(trace->address, trace->bytes, size);
    case TRACE_GET_VECTORS:
        return get_vectors(trace);
    case TRACE_SET_VECTORS:
        return set_vectors(trace);
    case TRACE_READ_QUEUE:
        return read_queue(trace);
    default:
        return -EIO;
    }
}

void trace_serve(struct trace *trace)
{
    uint32_t asked = atomic_get(&trace->asked);
    trace->result = serve(trace, asked);
    atomic_set(&trace->asked, (uint32_t)TRACE_NOTHING);
    atomic_add(&trace->answered, 1u);
    PAL->wake((uint64_t)(uintptr_t)&trace->answered, 1, 1);
}
