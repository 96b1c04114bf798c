/* SPDX-License-Identifier: MIT */
/*
 * The process table's slots and its index (hash by pid, lists of children, free list).  See table.h for what must hold
 * when a picoprocess dies in the middle.
 */
#include "libos/task/task.h"
#include "libos/task/table.h"

#define SLOTS_MAX 8192u

static struct shared_table *table;

/* 1 is init's. */
static uint32_t first_id(void)
{
    return boot->init ? SHARED_INIT_PID : SHARED_INIT_PID + 1;
}

/* Bit set: the number is a process's or a thread's. */
static uint64_t *id_word(uint32_t id)
{
    return (uint64_t *)(uintptr_t)table->ids + id / 64;
}

static struct shared_process *slot_at(uint32_t link)
{
    return link ? (struct shared_process *)(uintptr_t)table->slots + (link - 1) : NULL;
}

static uint32_t link_of(const struct shared_process *slot)
{
    return slot ? (uint32_t)(slot - (struct shared_process *)(uintptr_t)table->slots) + 1 : 0;
}

static uint32_t *hash_of(uint32_t pid)
{
    return &table->hash[pid % COUNT_OF(table->hash)];
}

/* The process that a number was given to a thread of, or 0.  A killed process has given back none of its threads'
 * numbers: they are taken back when one is wanted. */
static uint32_t *owner_of(uint32_t id)
{
    return (uint32_t *)(uintptr_t)table->owners + id;
}

/* The lock and the slots that are used lie close together: fork copies no page tables of shared memory, but a host may
 * map what lies around the first page that a child touches. */
uint64_t shared_init(uint64_t at, uint64_t end)
{
    uint64_t each = sizeof(struct shared_process) + sizeof(struct shared_signals) + sizeof(struct shared_settings);
    uint64_t slots = (at + sizeof *table + 63) & ~63ull, used = slots + SHARED_PID_MAX / 8 + 2 * PAGE_SIZE;
    used += SHARED_PID_MAX * sizeof(uint32_t);
    if (used + each > end)
        panic("pal-run: a shared segment of %lu bytes can't hold a process table", (unsigned long)boot->shared_size);
    table = (struct shared_table *)(uintptr_t)at;
    table->slots = slots;
    table->slot_count = (uint32_t)MIN((end - used) / 2 / each, SLOTS_MAX); /* the other half is IPC's */
    table->ids = PAGE_UP(slots + table->slot_count * sizeof(struct shared_process));
    table->owners = table->ids + SHARED_PID_MAX / 8;
    table->inboxes = table->owners + SHARED_PID_MAX * sizeof(uint32_t);
    table->settings = table->inboxes + table->slot_count * sizeof(struct shared_signals);
    table->next_id = first_id();
    *id_word(0) = (1u << first_id()) - 1;
    return table->settings + table->slot_count * sizeof(struct shared_settings);
}

/* ---- The index --------------------------------------------------------------------------------------------------- */

static void index_add(struct shared_process *slot)
{
    slot->hash_next = *hash_of(slot->pid);
    *hash_of(slot->pid) = link_of(slot);
}

static void index_remove(const struct shared_process *slot)
{
    for (uint32_t *at = hash_of(slot->pid); *at; at = &slot_at(*at)->hash_next)
        if (*at == link_of(slot)) {
            *at = slot->hash_next;
            return;
        }
}

static void child_add(struct shared_process *parent, struct shared_process *child)
{
    child->next_sibling = 0;
    child->previous_sibling = link_of(child);
    if (!parent)
        return;
    struct shared_process *first = slot_at(parent->first_child);
    if (first) {
        child->previous_sibling = first->previous_sibling;
        slot_at(first->previous_sibling)->next_sibling = link_of(child);
        first->previous_sibling = link_of(child);
    } else {
        parent->first_child = link_of(child);
    }
}

static void child_remove(struct shared_process *child)
{
    struct shared_process *parent = shared_find((int)child->ppid);
    if (!parent)
        return;
    struct shared_process *first = slot_at(parent->first_child), *next = slot_at(child->next_sibling);
    if (next)
        next->previous_sibling = child->previous_sibling;
    else if (first != child)
        first->previous_sibling = child->previous_sibling;
    if (first == child)
        parent->first_child = child->next_sibling;
    else
        slot_at(child->previous_sibling)->next_sibling = child->next_sibling;
}

static void free_push(struct shared_process *slot)
{
    slot->next_sibling = table->free_slots;
    table->free_slots = link_of(slot);
}

/* After a holder's death nothing of the index is believed; `pid` and `ppid` of the slots are. */
static void index_again(void)
{
    table->free_slots = 0;
    table->process_count = 0;
    memset(table->hash, 0, sizeof table->hash);
    for (uint32_t link = table->slot_high; link; link--) {
        struct shared_process *slot = slot_at(link);
        slot->first_child = 0;
        if (!slot->pid) {
            free_push(slot);
            continue;
        }
        index_add(slot);
        table->process_count++;
    }
    for (uint32_t link = 1; link <= table->slot_high; link++)
        if (slot_at(link)->pid)
            child_add(shared_find((int)slot_at(link)->ppid), slot_at(link));
}

struct uts_names *shared_uts(void)
{
    return &table->uts;
}

void shared_lock(void)
{
    if (UNLIKELY(shared_mutex_lock(&table->lock) == -EOWNERDEAD))
        index_again();
}

void shared_unlock(void)
{
    shared_mutex_unlock(&table->lock);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

/* A thread's number, of a process that is no more.  Caller holds the lock. */
static bool id_is_lost(uint32_t id)
{
    uint32_t owner = atomic_get(owner_of(id));
    return owner && !shared_find((int)owner);
}

/* locked: the caller holds the table's lock, and there is time to look for lost ones. */
static int id_new(bool locked)
{
    for (uint32_t tries = 0; tries < (locked ? SHARED_PID_MAX : 64); tries++) {
        uint32_t id = __atomic_fetch_add(&table->next_id, 1, __ATOMIC_RELAXED);
        if (id >= SHARED_PID_MAX) {
            atomic_set(&table->ids_wrapped, 1u);
            atomic_replace32(&table->next_id, id + 1, 300); /* low numbers are not given out again, as on Linux */
            continue;
        }
        uint64_t bit = 1ull << id % 64;
        if (!(__atomic_fetch_or(id_word(id), bit, __ATOMIC_ACQ_REL) & bit) || (locked && id_is_lost(id))) {
            atomic_set(owner_of(id), 0u);
            return (int)id;
        }
    }
    return -EAGAIN;
}

int shared_id_new(int process)
{
    int id = id_new(false);
    if (id < 0) {
        shared_lock();
        id = id_new(true);
        shared_unlock();
    }
    if (id > 0)
        atomic_set(owner_of((uint32_t)id), (uint32_t)process);
    return id;
}

void shared_ids_skip(uint32_t last)
{
    atomic_set(&table->next_id, MIN(MAX(last + 1, first_id()), SHARED_PID_MAX / 2));
}

void shared_id_free(int id)
{
    atomic_set(owner_of((uint32_t)id), 0u);
    atomic_and(id_word((uint32_t)id), ~(1ull << (uint32_t)id % 64));
}

int shared_id_after(int id)
{
    uint32_t from = (uint32_t)id + 1, end = atomic_get(&table->ids_wrapped) ? SHARED_PID_MAX : atomic_get(&table->next_id);
    for (uint32_t at = from; at < end; at = (at | 63) + 1) {
        uint64_t word = atomic_get(id_word(at)) >> at % 64;
        if (word)
            return (int)at + __builtin_ctzll(word);
    }
    return 0;
}

uint32_t shared_count(void)
{
    return atomic_get(&table->process_count);
}

int shared_id_process(int id)
{
    uint32_t owner = id > 0 && (uint32_t)id < SHARED_PID_MAX ? atomic_get(owner_of((uint32_t)id)) : 0;
    return owner ? (int)owner : id;
}

bool shared_group_exists(uint32_t pgid, uint32_t sid)
{
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));)
        if (slot->pgid == pgid && (!sid || slot->sid == sid))
            return true;
    return false;
}

uint32_t *shared_ipc_used(void)
{
    return &table->ipc_used;
}

uint32_t *shared_files_watched(void)
{
    return &table->files_watched;
}

bool shared_programs(void) { return atomic_get(&table->programs); }

bool shared_is_program(uint64_t device, uint64_t inode)
{
    for (struct shared_process *slot = shared_next(NULL); slot; slot = shared_next(slot))
        if (slot->exe_inode == inode && slot->exe_device == device && slot->state < SHARED_EXITING)
            return true;
    return false;
}

void shared_program_set(struct shared_process *slot, uint64_t device, uint64_t inode)
{
    slot->exe_device = device;
    slot->exe_inode = inode;
    if (inode)
        atomic_set(&table->programs, 1u);
}

uint64_t *shared_question(void)
{
    return &table->question;
}

uint32_t *shared_ends(void)
{
    return &table->ends;
}

uint32_t *shared_inet_port(void)
{
    return &table->inet_port;
}

struct futex_events *shared_futexes(uint32_t **event)
{
    *event = &table->futex_event;
    return &table->futexes;
}

struct shared_terminal *shared_terminals(void)
{
    return table->terminals;
}

/* A number still used as a group's or session's is not a new process's.  Caller holds the lock. */
static bool id_taken(uint32_t id)
{
    if (!table->ids_wrapped)
        return false;
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));)
        if (slot->pgid == id || slot->sid == id)
            return true;
    return false;
}

static int process_id_new(void)
{
    int id;
    while ((id = id_new(true)) > 0 && id_taken((uint32_t)id))
        shared_id_free(id);
    return id;
}

/* ---- Slots ------------------------------------------------------------------------------------------------------- */

struct shared_process *shared_find(int pid)
{
    if (pid <= 0)
        return NULL;
    struct shared_process *slot = slot_at(*hash_of((uint32_t)pid));
    while (slot && slot->pid != (uint32_t)pid)
        slot = slot_at(slot->hash_next);
    return slot;
}

struct shared_process *shared_next(struct shared_process *after)
{
    for (uint32_t link = link_of(after) + 1; link <= table->slot_high; link++)
        if (slot_at(link)->pid)
            return slot_at(link);
    return NULL;
}

struct shared_process *shared_next_child(struct shared_process *parent, struct shared_process *after)
{
    return slot_at(after ? after->next_sibling : parent->first_child);
}

struct shared_signals *shared_inbox(struct shared_process *slot)
{
    return (struct shared_signals *)(uintptr_t)table->inboxes + (link_of(slot) - 1);
}

struct shared_settings *shared_settings(const struct shared_process *slot)
{
    return (struct shared_settings *)(uintptr_t)table->settings + (link_of(slot) - 1);
}

static struct shared_process *slot_take(void)
{
    struct shared_process *slot = slot_at(table->free_slots);
    if (slot)
        table->free_slots = slot->next_sibling;
    else if (table->slot_high < table->slot_count)
        slot = slot_at(++table->slot_high);
    if (slot && slot->inbox_used)
        shared_inbox(slot)->count = 0;
    return slot;
}

/* sched(7), "Resetting scheduling policy for child processes". */
static void sched_reset(struct shared_settings *settings)
{
    if (settings->priority || settings->runtime) /* real time, or a deadline */
        settings->policy = settings->priority = 0;
    settings->runtime = settings->deadline = settings->period = 0;
    settings->nice = MAX(settings->nice, 0);
    settings->reset_on_fork = 0;
}

static void slot_fill(struct shared_process *slot, const struct shared_process *parent, int pid, bool sibling)
{
    memset(slot, 0, sizeof *slot);
    slot->state = SHARED_RUNNING;
    slot->flags = SHARED_UNBORN | (parent ? parent->flags & SHARED_NO_TTY : 0);
    slot->ppid = parent ? (sibling ? parent->ppid : parent->pid) : boot->init ? 0 : SHARED_INIT_PID;
    slot->pgid = parent ? parent->pgid : (uint32_t)pid;
    slot->sid = parent ? parent->sid : SHARED_INIT_PID; /* as if an interactive shell had started the first process */
    slot->thread_count = 1;
    if (parent) {
        slot->uid = parent->uid;
        slot->euid = parent->euid;
        slot->suid = parent->suid;
        slot->gid = parent->gid;
        slot->exe_device = parent->exe_device;
        slot->exe_inode = parent->exe_inode;
        slot->shares = parent->shares != 0;
        memcpy(slot->name, parent->name, sizeof slot->name);
        slot->settings_kept = parent->settings_kept;
        if (slot->settings_kept) {
            struct shared_settings *settings = shared_settings(slot);
            *settings = *shared_settings(parent);
            if (settings->reset_on_fork)
                sched_reset(settings);
        }
    }
    PAL->clock_get(PAL_CLOCK_BOOT, &slot->start_ns);
}

struct shared_process *shared_new(struct shared_process *parent, uint32_t reaper, uint32_t exit_signal, bool sibling)
{
    struct shared_process *slot = NULL;
    shared_lock();
    if ((!parent || parent->state < SHARED_EXITING) && table->process_count < boot->process_limit)
        slot = slot_take();
    int pid = slot ? process_id_new() : -EAGAIN;
    if (slot && pid < 0) {
        free_push(slot);
        slot = NULL;
    }
    if (slot) {
        slot_fill(slot, parent, pid, sibling);
        slot->reaper = reaper;
        slot->exit_signal = sibling && parent ? parent->exit_signal : exit_signal;
        slot->parent_thread = sibling && parent ? parent->parent_thread : parent ? (uint32_t)current()->tid : 0;
        atomic_set(&slot->pid, (uint32_t)pid);
        index_add(slot);
        child_add(shared_find((int)slot->ppid), slot);
        table->process_count++;
    }
    shared_unlock();
    return slot;
}

void shared_free(struct shared_process *slot)
{
    int pid = (int)slot->pid;
    child_remove(slot);
    index_remove(slot);
    slot->state = SHARED_FREE;
    atomic_set(&slot->pid, 0u);
    free_push(slot);
    table->process_count--;
    shared_id_free(pid);
}

void shared_reparent(struct shared_process *child, uint32_t ppid)
{
    child_remove(child);
    child->ppid = child->parent_thread = ppid;
    child_add(shared_find((int)ppid), child);
}

struct dcache_state *shared_dcache(void)
{
    return &table->dcache;
}
