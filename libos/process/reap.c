/* SPDX-License-Identifier: MIT */
/*
 * Children: what the host tells of their ends, zombies, and what their parents are told.
 *
 * A child that exits writes its status into its slot and ends its picoprocess.  Its host parent learns of that (the
 * host interrupts one of its threads), and only then makes the slot a zombie: so descriptors are closed, and memory is
 * free, before a wait returns, as on Linux.  A child that was killed has written nothing; there the host's word is
 * taken.
 */
#include "libos/abi/signal.h"
#include "libos/syscalls.h"
#include "libos/ipc/ipc.h"
#include "libos/ring/ring.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"
#include "libos/poll/readiness.h"

#define NS_PER_TICK 10000000u /* USER_HZ */

/* ---- The host's children of this picoprocess --------------------------------------------------------------------- */

/* By `host`, open addressing: a place is free where `host` is 0.  Never more than three quarters are taken. */
static struct host_child {
    uint64_t host;
    struct shared_process *slot;
    uint32_t pid;
} few[32], *host_children = few; /* each fork writes here: few lie on a page that it writes anyway */
static uint32_t host_child_count, host_child_capacity = COUNT_OF(few); /* the count is read without the lock, too */
static struct mutex host_children_lock;                /* innermost but for the heap's */

static uint32_t home(uint64_t host)
{
    return (uint32_t)(host * 0x9e3779b97f4a7c15ull >> 32) & (host_child_capacity - 1);
}

static uint32_t next_place(uint32_t at)
{
    return (at + 1) & (host_child_capacity - 1);
}

static void place(const struct host_child *child)
{
    uint32_t at = home(child->host);
    while (host_children[at].host)
        at = next_place(at);
    host_children[at] = *child;
}

int64_t host_child_room(void)
{
    mutex_lock(&host_children_lock);
    int64_t error = 0;
    uint32_t capacity = host_child_capacity;
    struct host_child *old = host_children;
    if ((host_child_count + 8) * 4 > capacity * 3) { /* other threads may fork before we have added ours */
        struct host_child *grown = alloc_zero((uint64_t)capacity * 4 * sizeof *grown);
        if (grown) {
            host_children = grown;
            host_child_capacity = capacity * 4;
            for (uint32_t i = 0; i < capacity; i++)
                if (old[i].host)
                    place(&old[i]);
            if (old != few)
                release(old);
        } else {
            error = -ENOMEM;
        }
    }
    mutex_unlock(&host_children_lock);
    return error;
}

/* A sender that put a signal into the slot's inbox before `host` was set could not interrupt anyone: done now. */
void process_named(struct shared_process *slot, uint64_t host)
{
    __atomic_store_n(&slot->host, host, __ATOMIC_SEQ_CST);
    if (UNLIKELY(__atomic_load_n(&slot->inbox_used, __ATOMIC_SEQ_CST)))
        PAL->process_interrupt(host, 0);
}

void host_child_add(struct shared_process *slot, uint64_t host)
{
    bool minded = slot->reaper;
    struct host_child child = {host, minded ? slot : NULL, slot->pid};
    mutex_lock(&host_children_lock);
    place(&child);
    atomic_set(&host_child_count, host_child_count + 1);
    mutex_unlock(&host_children_lock);
    if (minded)
        process_named(slot, host);
}

void host_child_reset(void)
{
    if (host_child_count)
        memset(host_children, 0, host_child_capacity * sizeof *host_children);
    host_child_count = 0;
}

bool host_child_any(void)
{
    return atomic_get(&host_child_count) != 0;
}

/* Caller holds host_children_lock. */
static struct host_child host_child_take(uint64_t host)
{
    uint32_t at = home(host);
    while (host && host_children[at].host && host_children[at].host != host)
        at = next_place(at);
    struct host_child found = host_children[at];
    if (!host || !found.host)
        return (struct host_child){0};
    /* Those behind it that it was in the way of move up. */
    for (uint32_t hole = at, next = next_place(at);; next = next_place(next)) {
        uint32_t from = host_children[next].host ? home(host_children[next].host) : next;
        uint32_t mask = host_child_capacity - 1;
        if (!host_children[next].host) {
            host_children[hole].host = 0;
            break;
        }
        if (((next - from) & mask) >= ((next - hole) & mask)) {
            host_children[hole] = host_children[next];
            hole = next;
        }
    }
    atomic_set(&host_child_count, host_child_count - 1);
    return found;
}

/* ---- News for a parent ------------------------------------------------------------------------------------------- */

/* Caller holds the table's lock.  The signal is there before a wait of the parent can have the news: for a parent in
 * another picoprocess it lies in its inbox then. */
static void child_event_fill(struct child_event *told, struct shared_process *slot, struct shared_process *parent,
                             int code, int status)
{
    uint32_t signal = slot->state == SHARED_ZOMBIE ? slot->exit_signal : SIGCHLD;
    *told = (struct child_event){.parent = parent, .parent_pid = (int)parent->pid};
    if (signal && signal <= SIGNAL_COUNT) {
        told->info = (struct siginfo){.signo = (int)signal, .code = code};
        told->info.child.pid = (int)slot->pid;
        told->info.child.uid = slot->uid;
        told->info.child.status = status;
        told->info.child.utime = (int64_t)(slot->used.user_ns / NS_PER_TICK);
        told->info.child.stime = (int64_t)(slot->used.system_ns / NS_PER_TICK);
        struct process *local = process_local_get(told->parent_pid);
        if (!local)
            signal_leave(parent, &told->info);
        told->left = !local;
        process_put(local);
    }
    atomic_add(&parent->event, 1);
}

int wait_code(int status)
{
    return !WAIT_SIGNALED(status) ? CLD_EXITED : status & 0x80 ? CLD_DUMPED : CLD_KILLED;
}

static bool discards(const struct shared_process *parent, const struct shared_process *child)
{
    struct process *process = child->exit_signal == SIGCHLD ? process_local_get((int)parent->pid) : NULL;
    bool result = process && signals_discard_children(process);
    process_put(process);
    return result;
}

/* slot's end is told to `to`: its parent, or its tracer. */
static void tell_end(struct shared_process *slot, struct shared_process *to, struct child_event *told)
{
    int code = wait_code(slot->status);
    child_event_fill(told, slot, to, code, code == CLD_EXITED ? slot->status >> 8 & 0xff : slot->status & 0x7f);
}

void wait_ended_again(struct shared_process *slot, struct child_event *told)
{
    struct shared_process *parent = shared_find((int)slot->ppid);
    if (parent && parent->state < SHARED_EXITING) {
        tell_end(slot, parent, told);
        if (slot->tracer || !discards(parent, slot))
            return;
    }
    struct trace *trace = UNLIKELY(slot->tracer) ? trace_find((int)slot->pid) : NULL;
    if (trace)
        trace_free(trace);
    shared_free(slot);
}

void wait_ended(struct shared_process *slot, struct child_event *told)
{
    struct shared_process *tracer;
    slot->state = SHARED_ZOMBIE;
    atomic_add(shared_ends(), 1u);
    ipc_process_ends((int)slot->pid, WAIT_SIGNALED(slot->status));
    ring_process_ends((int)slot->pid);
    if (UNLIKELY(slot->traces) && trace_ended(slot, &tracer))
        tell_end(slot, tracer, told);
    else
        wait_ended_again(slot, told);
}

/* The slot of a parent that is gone by now is another's, or nobody's: a wake-up too many does no harm. */
void wait_tell(const struct child_event *told)
{
    if (!told->parent)
        return;
    if (atomic_get(&told->parent->event_waiters))
        PAL->wake((uint64_t)(uintptr_t)&told->parent->event, INT32_MAX, 1);
    bool direct = atomic_get(&told->parent->waits_directly) && told->parent_pid != current_process()->pid;
    if (told->left || direct)
        process_notify(told->parent);
    if (told->info.signo && !told->left)
        signal_send_process(told->parent_pid, &told->info);
}

/* ---- The ends of children ---------------------------------------------------------------------------------------- */

static void host_child_ended(const struct host_child *ended, const struct pal_child *facts)
{
    struct shared_process *slot = ended->slot;
    struct child_event told = {0};
    if (!slot || atomic_get(&slot->pid) != ended->pid)
        return;
    if (atomic_get(&slot->state) < SHARED_EXITING) { /* killed: it has told nobody */
        shared_lock();
        slot->status = facts->status;
        slot->state = SHARED_EXITING;
        shared_unlock();
        process_orphans_killed(slot);
    }
    shared_lock();
    slot->used = facts->used;
    usage_subtract(&slot->used, &slot->reaped);
    usage_add(&process_real()->shared->reaped, &facts->used);
    wait_ended(slot, &told);
    shared_unlock();
    wait_tell(&told);
    wait_kick(); /* polls on its pidfd */
}

/* One host child's end (`host` 0: any's); false when there is none to tell of.  The host's answer and the list are of one moment: else a
 * child could end that a fork of another thread has not listed yet. */
static bool reap_one(uint64_t host)
{
    struct pal_child facts;
    struct host_child ended;
    int64_t result;
    mutex_lock(&host_children_lock);
    result = DEFER_INTERRUPT(PAL->process_wait(host, 1, &facts)); /* there is more to an interrupt than children */
    ended = host_child_take(result == 1 ? facts.process : 0);
    mutex_unlock(&host_children_lock);
    if (result == 1)
        host_child_ended(&ended, &facts);
    return result == 1;
}

void process_reap_host(void)
{
    while (host_child_any() && reap_one(0))
        ;
}

void process_reap_host_child(int pid)
{
    shared_lock();
    const struct shared_process *slot = shared_find(pid);
    uint64_t host = slot && slot->reaper == process_real_pid() && slot->state != SHARED_ZOMBIE ? slot->host : 0;
    shared_unlock();
    if (host && host_child_any())
        reap_one(host);
}

int64_t host_child_wait(void)
{
    struct pal_child facts;
    int64_t result = PAL->process_wait(0, 0, &facts);
    if (result == 1) {
        mutex_lock(&host_children_lock);
        struct host_child ended = host_child_take(facts.process);
        mutex_unlock(&host_children_lock);
        host_child_ended(&ended, &facts);
        return 0;
    }
    if (result == -ECHILD) /* cannot be; but then the list is wrong, and only `event` is left to wait for */
        host_child_reset();
    return result == -EINTR ? -EINTR : 0;
}

/* ---- Stops ------------------------------------------------------------------------------------------------------- */

/* Caller holds the table's lock, in which it has changed the state: a wait that sees the one finds the other.
 * wait_tell follows; a receiver with SA_NOCLDSTOP drops the signal. */
static void stop_event(struct shared_process *slot, int code, int detail, struct child_event *told)
{
    struct shared_process *parent = shared_find((int)slot->ppid);
    if (parent)
        child_event_fill(told, slot, parent, code, detail);
}

/* SIGCONTs are counted under the table's lock, so nobody is told of a stop that is over. */
void process_report_stop(int signal)
{
    struct process *process = current_process();
    struct shared_process *slot = process->shared;
    struct child_event told = {0};
    shared_lock();
    if (!signal_stop_is_over(process, signal)) {
        slot->state = SHARED_STOPPED;
        slot->status = signal << 8 | 0x7f;
        slot->flags = (slot->flags & ~(uint32_t)SHARED_CONTINUE_NEWS) | SHARED_STOP_NEWS;
        atomic_set(&process->signals->stop_told, 1u);
        stop_event(slot, CLD_STOPPED, signal, &told);
    }
    shared_unlock();
    wait_tell(&told);
}

void process_report_continue(struct process *process)
{
    struct child_event told = {0};
    if (!atomic_swap(&process->signals->stop_told, 0u))
        return;
    shared_lock();
    if (!atomic_get(&process->signals->stopped)) /* again, by another thread */
        process_end_stop(process->shared); /* the SIGCONT may have come from within this picoprocess */
    stop_event(process->shared, CLD_CONTINUED, SIGCONT, &told);
    shared_unlock();
    wait_tell(&told);
}
