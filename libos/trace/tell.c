/* SPDX-License-Identifier: MIT */
/* A tracee's news on their way to its tracer: SIGCHLD, and those of its threads that wait. */
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

/* The signal is there before a wait can have the news, as with a child's: process/reap.c. */
void trace_news_note(struct trace_news *news, struct trace *trace, int code, int status)
{
    struct shared_process *tracer = shared_find((int)trace->tracer);
    const struct shared_process *slot = shared_find((int)trace->pid);
    if (!tracer)
        return;
    *news = (struct trace_news){.tracer = tracer, .pid = (int)tracer->pid, .info = {.signo = SIGCHLD, .code = code}};
    news->info.child.pid = (int)trace->tid;
    news->info.child.uid = slot ? slot->uid : 0;
    news->info.child.status = status;
    struct process *local = process_local_get(news->pid);
    news->left = !local;
    process_put(local);
    if (news->left)
        signal_leave(tracer, &news->info);
    atomic_add(&tracer->event, 1u);
}

/* A thread that waits takes the signal out of the inbox itself: no need to interrupt the process. */
void trace_news_tell(const struct trace_news *news)
{
    if (!news->tracer)
        return;
    bool waits = atomic_get(&news->tracer->event_waiters);
    if (waits)
        PAL->wake((uint64_t)(uintptr_t)&news->tracer->event, INT32_MAX, 1);
    if (!news->left)
        signal_send_process(news->pid, &news->info);
    else if (!waits || atomic_get(&news->tracer->waits_directly))
        process_notify(news->tracer);
}
