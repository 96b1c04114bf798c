/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a process's children when it ends: their next parent, the one that looks after the end of their
 * picoprocesses, and signals for it (PR_SET_PDEATHSIG).
 *
 * A picoprocess whose host parent has gone looks after its own end in the table.  Should it be killed, by somebody
 * other than the sandbox, the host tells the first process, which then asks for each that is alone.
 */
#include "libos/abi/signal.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"
#include "libos/tty/tty.h"

/* Nearest living subreaper, or init; 0: that ends, and all with it.  Caller holds the lock. */
static uint32_t foster_parent(const struct shared_process *slot)
{
    const struct shared_process *init = shared_find(SHARED_INIT_PID);
    if (boot->init && (!init || init->state >= SHARED_EXITING || init == slot))
        return 0;
    for (int i = 0; i < 64; i++) {
        slot = shared_find((int)slot->ppid);
        if (!slot)
            break;
        if (slot->flags & SHARED_SUBREAPER && slot->state < SHARED_EXITING)
            return slot->pid;
    }
    return SHARED_INIT_PID;
}

/* Deals with one child; true if there was one.  Caller holds the lock. */
static bool orphan_one(struct shared_process *slot, struct child_event *told, int *dies, int *signal)
{
    struct shared_process *child = shared_next_child(slot, NULL);
    if (!child)
        return false;
    *dies = child->death_signal ? (int)child->pid : 0;
    *signal = (int)child->death_signal;
    shared_reparent(child, foster_parent(slot));
    child->exit_signal = SIGCHLD;
    if (child->state != SHARED_ZOMBIE)
        return true;
    *dies = 0;
    wait_ended(child, told);
    return true;
}

/* The host's parent of these goes: they look after their ends themselves.  But a virtual child was a thread of its
 * picoprocess, and is dead already, though it may have children; and one that was not born yet never will be:
 * should its picoprocess be there, it finds that out (fork.c).  Caller holds the lock. */
static bool disown_one(struct shared_process *slot, struct child_event *told)
{
    for (struct shared_process *child = NULL; (child = shared_next(child));) {
        if (child->reaper != slot->pid)
            continue;
        if (child->flags & (SHARED_VIRTUAL | SHARED_UNBORN)) {
            int dies, signal;
            if (orphan_one(child, told, &dies, &signal))
                return true;
            child->status = slot->status;
            child->state = SHARED_EXITING;
        }
        child->reaper = 0;
        if (child->state == SHARED_EXITING)
            wait_ended(child, told);
        return true;
    }
    return false;
}

static void tell_death(const struct shared_process *slot, int child, int signal)
{
    struct siginfo info = {.signo = signal, .code = SI_USER};
    info.user.pid = (int)slot->pid;
    info.user.uid = slot->uid;
    signal_send_process(child, &info);
}

/* A tracee that has ended was its tracer's to wait for first. */
static void let_tracees_go(struct shared_process *slot)
{
    int ended;
    while ((ended = trace_tracer_ends(slot)) != 0) {
        struct child_event told = {0};
        shared_lock();
        struct shared_process *tracee = shared_find(ended);
        if (tracee && tracee->state == SHARED_ZOMBIE)
            wait_ended_again(tracee, &told);
        shared_unlock();
        wait_tell(&told);
    }
}

void wait_orphans(struct shared_process *slot, bool has_host_children)
{
    bool more = true;
    let_tracees_go(slot);
    tty_process_ends(slot);
    while (more) {
        struct child_event told = {0};
        int dies = 0, signal = 0;
        shared_lock();
        more = orphan_one(slot, &told, &dies, &signal) || (has_host_children && disown_one(slot, &told));
        shared_unlock();
        if (dies)
            tell_death(slot, dies, signal);
        else
            wait_tell(&told);
    }
}

void wait_thread_orphans(struct shared_process *slot, int from, int to, bool ends)
{
    struct shared_process *child;
    do {
        int dies = 0, signal = 0;
        shared_lock();
        child = NULL;
        while ((child = shared_next_child(slot, child)) && child->parent_thread != (uint32_t)from)
            ;
        if (child) {
            child->parent_thread = (uint32_t)to;
            dies = child->state < SHARED_EXITING ? (int)child->pid : 0;
            signal = (int)child->death_signal;
        }
        shared_unlock();
        if (ends && dies && signal)
            tell_death(slot, dies, signal);
    } while (child);
}

/* The next one after `pid` that has no host parent; 0: none.  The first process does not count: with it all ends. */
static int next_unattended(int pid, uint64_t *host)
{
    int found = 0;
    shared_lock();
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));) {
        uint64_t name = atomic_get(&slot->host);
        bool alone = !slot->reaper && slot->state < SHARED_EXITING && name && name != boot->host_process;
        if (!alone || (int)slot->pid <= pid || (found && (int)slot->pid > found))
            continue;
        found = (int)slot->pid;
        *host = name;
    }
    shared_unlock();
    return found;
}

void process_find_killed(void)
{
    uint64_t host;
    for (int pid = 0; (pid = next_unattended(pid, &host)) != 0;)
        if (PAL->process_interrupt(host, 0) == -ESRCH)
            process_killed(pid);
}

/* It was killed, and so may those have been that it would have waited for. */
void process_orphans_killed(struct shared_process *slot)
{
    bool had_children = false;
    shared_lock();
    for (struct shared_process *each = NULL; !had_children && (each = shared_next(each));)
        had_children = each->reaper == slot->pid;
    shared_unlock();
    wait_orphans(slot, true);
    if (had_children)
        process_find_killed();
}

void process_killed(int pid)
{
    struct child_event told = {0};
    shared_lock();
    struct shared_process *slot = shared_find(pid);
    bool unattended = slot && !slot->reaper && slot->state < SHARED_EXITING;
    if (unattended) {
        slot->status = SIGKILL;
        slot->state = SHARED_EXITING;
    }
    shared_unlock();
    if (!unattended)
        return;
    process_orphans_killed(slot);
    shared_lock();
    wait_ended(slot, &told);
    shared_unlock();
    wait_tell(&told);
}
