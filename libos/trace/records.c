/* SPDX-License-Identifier: MIT */
/* The records of traced threads in the shared segment, and what becomes of them when a tracee or a tracer ends. */
#include "libos/trace/trace.h"
#include "libos/signal/signal.h"

#define TRACES 256u

static struct area {
    uint32_t high;         /* records [high, TRACES) were never used */
    uint32_t tids[TRACES]; /* the records' own, side by side: 0 where one is free */
} *area;

static struct trace *records(void)
{
    return (struct trace *)(uintptr_t)PAGE_UP((uint64_t)(uintptr_t)(area + 1));
}

uint64_t trace_init(uint64_t at, uint64_t end)
{
    area = (struct area *)(uintptr_t)at;
    uint64_t after = (uint64_t)(uintptr_t)(records() + TRACES);
    if (after > end)
        panic("pal-run: a shared segment of %lu bytes is too small for tracing", (unsigned long)boot->shared_size);
    return after;
}

struct trace *trace_find(int tid)
{
    for (uint32_t i = 0; i < area->high; i++)
        if (area->tids[i] == (uint32_t)tid && records()[i].tid == (uint32_t)tid && records()[i].tracer)
            return &records()[i];
    return NULL;
}

struct trace *trace_next(struct trace *after)
{
    for (uint32_t i = after ? (uint32_t)(after - records()) + 1 : 0; i < area->high; i++)
        if (area->tids[i] && records()[i].tid)
            return &records()[i];
    return NULL;
}

int trace_tracer(int tid, bool *out_stopped)
{
    *out_stopped = false;
    if (LIKELY(!atomic_get(&area->high)))
        return 0;
    shared_lock();
    const struct trace *trace = trace_find(tid);
    int tracer = trace ? (int)trace->tracer : 0;
    *out_stopped = trace && (trace->state == TRACE_STOPPED || trace->state == TRACE_LISTENS);
    shared_unlock();
    return tracer;
}

struct trace *trace_new(int tid, int pid, struct shared_process *tracer, uint32_t tracer_thread)
{
    uint32_t i = 0;
    while (i < area->high && area->tids[i])
        i++;
    if (i == TRACES)
        return NULL;
    if (i == area->high)
        area->high++;
    struct trace *trace = &records()[i];
    uint32_t word = trace->word, answered = trace->answered;
    memset(trace, 0, offsetof(struct trace, bytes));
    trace->word = word + 1; /* threads that waited on it for the last tracee look again */
    trace->answered = answered;
    trace->pid = (uint32_t)pid;
    trace->tracer = tracer->pid;
    trace->tracer_thread = tracer_thread;
    tracer->tracees++;
    struct shared_process *slot = shared_find(pid);
    if (slot)
        atomic_add(&slot->traces, 1u);
    if (slot && tid == pid)
        slot->tracer = tracer->pid;
    area->tids[i] = (uint32_t)tid;
    atomic_set(&trace->tid, (uint32_t)tid);
    return trace;
}

void trace_number(struct trace *trace, int tid)
{
    struct shared_process *slot = shared_find((int)trace->pid);
    area->tids[trace - records()] = trace->tid = (uint32_t)tid;
    if (slot && trace->tid == trace->pid)
        slot->tracer = trace->tracer;
}

static void leave_tracer(struct trace *trace)
{
    struct shared_process *tracer = shared_find((int)trace->tracer), *slot = shared_find((int)trace->pid);
    if (tracer && tracer->tracees)
        tracer->tracees--;
    if (slot && trace->tid == trace->pid)
        slot->tracer = 0;
    trace->tracer = trace->tracer_thread = 0;
}

void trace_free(struct trace *trace)
{
    if (trace->tracer)
        leave_tracer(trace);
    atomic_set(&trace->tid, 0u);
    area->tids[trace - records()] = 0;
}

void trace_release(struct trace *trace)
{
    leave_tracer(trace);
    atomic_add(&trace->word, 1u);
    PAL->wake((uint64_t)(uintptr_t)&trace->word, INT32_MAX, 1);
}

bool trace_is_for(const struct trace *trace, const struct shared_process *tracer)
{
    return trace->tracer == tracer->pid;
}

/* A thread's number stays its own until its tracer has waited for it; a process's goes with its slot. */
void trace_waited(struct trace *trace)
{
    int tid = (int)trace->tid;
    bool thread = trace->tid != trace->pid;
    trace_free(trace);
    if (thread)
        shared_id_free(tid);
}

static void wake_tracer(struct shared_process *tracer)
{
    atomic_add(&tracer->event, 1u);
    PAL->wake((uint64_t)(uintptr_t)&tracer->event, INT32_MAX, 1);
}

bool trace_ended(const struct shared_process *slot, struct shared_process **out_tracer)
{
    bool others = false;
    for (struct trace *trace = NULL; (trace = trace_next(trace));) {
        if (trace->pid != slot->pid)
            continue;
        struct shared_process *tracer = trace->tracer ? shared_find((int)trace->tracer) : NULL;
        if (!tracer || tracer->state >= SHARED_EXITING) {
            trace_free(trace);
            continue;
        }
        if (trace->tid == trace->pid && trace->tracer != slot->ppid) {
            *out_tracer = tracer;
            others = true;
        } else if (trace->tid != trace->pid && trace->state != TRACE_ENDED) {
            trace->status = slot->status;
            trace->news = 1;
            wake_tracer(tracer);
        }
        trace->state = TRACE_ENDED;
    }
    return others;
}

bool trace_threads_left(const struct shared_process *slot)
{
    for (struct trace *trace = NULL; (trace = trace_next(trace));)
        if (trace->pid == slot->pid && trace->tid != trace->pid && trace->tracer)
            return true;
    return false;
}

/* One of them; *out_kill: a process that is to die with its tracer.  False: there is none left. */
static bool let_one_go(struct shared_process *tracer, int *out_kill, int *out_zombie)
{
    struct trace *trace = NULL;
    while ((trace = trace_next(trace)) && !trace_is_for(trace, tracer))
        ;
    if (!trace)
        return false;
    if (trace->state == TRACE_ENDED) {
        *out_zombie = trace->tid == trace->pid ? (int)trace->pid : 0;
        trace_waited(trace);
        return true;
    }
    if (trace->options & PTRACE_O_EXITKILL)
        *out_kill = (int)trace->pid;
    trace_release(trace);
    return true;
}

int trace_tracer_ends(struct shared_process *slot)
{
    static const struct siginfo killed = {.signo = SIGKILL, .code = SI_KERNEL};
    bool more = atomic_get(&slot->tracees) != 0;
    while (more) {
        int kill = 0, zombie = 0;
        shared_lock();
        more = let_one_go(slot, &kill, &zombie);
        shared_unlock();
        if (kill)
            signal_send_process(kill, &killed);
        if (zombie)
            return zombie;
    }
    return 0;
}
