/* SPDX-License-Identifier: MIT */
/* Objects of IPC in the shared segment: slots, identifiers, permissions, who holds them, who waits.  See ipc.h. */
#include "libos/ipc/ipc.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

#define INDEX_BITS 15u /* of an identifier; the rest is the sequence, as on Linux */
#define SEQUENCE_MASK 0xffffu
#define HOLDERS 16384u
#define WAITERS 16384u
#define STORE_LEAST (1ull << 20)

/* A picoprocess holds an object.  pid is written last, and 0 is free. */
struct holder {
    uint32_t pid, kind, index, count;
};

/* A thread waits, and has counted itself in *counter. */
struct waiter_record {
    uint32_t pid, ticket; /* the ticket is no other record's */
    uint64_t counter;
};

struct table {
    uint32_t high;   /* slots from here on have never been used */
    uint32_t cursor; /* where the search for store begins */
};

struct area {
    struct pal_mutex lock;
    uint32_t holder_high, waiter_high, tickets, reserved;
    struct table tables[IPC_KINDS];
    struct holder holders[HOLDERS];
    struct waiter_record waiters[WAITERS];
};

/* Addresses, the same in every picoprocess: so that nobody touches the area before it is needed. */
static struct area *area;
static struct place {
    uint64_t slots, store, units;
} places[IPC_KINDS];

static const struct ipc_kind_ops *const kinds[IPC_KINDS] = {
    [IPC_SHM] = &sysv_shm_kind, [IPC_SEM] = &sysv_sem_kind, [IPC_MSG] = &sysv_msg_kind, [IPC_MQ] = &mqueue_kind};

static uint64_t take(uint64_t *at, uint64_t size)
{
    uint64_t start = *at;
    *at = PAGE_UP(start + size);
    return start;
}

/* Of what is left behind the slots, an eighth is for semaphores, a quarter for messages; at most what they can use. */
uint64_t ipc_init(uint64_t at, uint64_t end)
{
    area = (struct area *)(uintptr_t)take(&at, sizeof *area);
    for (int kind = 0; kind < IPC_KINDS; kind++)
        if (at < end)
            places[kind].slots = take(&at, (uint64_t)kinds[kind]->slot_size * kinds[kind]->slot_count);
    uint64_t semaphores = take(&at, sem_extra_size());
    if (at >= end || end - at < 4 * STORE_LEAST)
        panic("pal-run: a shared segment of %lu bytes is too small for IPC", (unsigned long)boot->shared_size);
    sem_init(semaphores);
    uint64_t room = end - at;
    places[IPC_SEM].units = MIN(room / 8, 32ull << 20) / 32;
    places[IPC_SEM].store = take(&at, places[IPC_SEM].units * 32);
    uint64_t messages = take(&at, PAGE_DOWN(MIN(room / 4, 512ull << 20)));
    ipc_queue_init(messages, at);
    places[IPC_SHM].store = at;
    places[IPC_SHM].units = (end - at) / PAGE_SIZE;
    return end;
}

static struct ipc_object *slot_at(enum ipc_kind kind, uint32_t index)
{
    return (struct ipc_object *)(uintptr_t)(places[kind].slots + (uint64_t)index * kinds[kind]->slot_size);
}

static enum ipc_kind kind_of(const struct ipc_object *object)
{
    enum ipc_kind kind = IPC_KINDS - 1;
    while ((uint64_t)(uintptr_t)object < places[kind].slots)
        kind--;
    return kind;
}

static uint32_t index_of(const struct ipc_object *object)
{
    enum ipc_kind kind = kind_of(object);
    return (uint32_t)(((uint64_t)(uintptr_t)object - places[kind].slots) / kinds[kind]->slot_size);
}

/* ---- The lock ---------------------------------------------------------------------------------------------------- */

/* Counters are derived from the records. */
static void count_waiters(void)
{
    for (uint32_t i = 0; i < area->waiter_high; i++)
        if (area->waiters[i].pid)
            ++*(uint32_t *)(uintptr_t)area->waiters[i].counter;
}

void ipc_lock(void)
{
    if (LIKELY(shared_mutex_lock(&area->lock) != -EOWNERDEAD))
        return;
    for (int kind = 0; kind < IPC_KINDS; kind++)
        kinds[kind]->recover();
    ipc_queue_recover();
    count_waiters();
}

void ipc_unlock(void)
{
    shared_mutex_unlock(&area->lock);
}

const struct ipc_kind_ops *ipc_kind_ops(enum ipc_kind kind)
{
    return kinds[kind];
}

bool ipc_used(void)
{
    return atomic_get(shared_ipc_used());
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

struct ipc_object *ipc_at(enum ipc_kind kind, uint32_t index)
{
    struct ipc_object *object = index < area->tables[kind].high ? slot_at(kind, index) : NULL;
    return object && object->live ? object : NULL;
}

struct ipc_object *ipc_next(enum ipc_kind kind, const struct ipc_object *after)
{
    for (uint32_t index = after ? index_of(after) + 1 : 0; index < area->tables[kind].high; index++)
        if (slot_at(kind, index)->live)
            return slot_at(kind, index);
    return NULL;
}

int32_t ipc_highest(enum ipc_kind kind)
{
    for (uint32_t index = area->tables[kind].high; index > 0; index--)
        if (slot_at(kind, index - 1)->live)
            return (int32_t)index - 1;
    return 0;
}

int32_t ipc_id(const struct ipc_object *object)
{
    return (int32_t)(object->sequence << INDEX_BITS | index_of(object));
}

struct ipc_object *ipc_find(enum ipc_kind kind, int32_t id)
{
    if (id < 0)
        return NULL;
    struct ipc_object *object = ipc_at(kind, (uint32_t)id & ((1u << INDEX_BITS) - 1));
    return object && ipc_id(object) == id ? object : NULL;
}

uint64_t ipc_store(enum ipc_kind kind, uint64_t *units)
{
    *units = places[kind].units;
    return places[kind].store;
}

/* The first object whose store meets [start, start + size). */
static const struct ipc_object *in_the_way(enum ipc_kind kind, uint64_t start, uint64_t size)
{
    for (const struct ipc_object *object = NULL; (object = ipc_next(kind, object));)
        if (object->start < start + size && start < (uint64_t)object->start + object->size)
            return object;
    return NULL;
}

/* Live objects say what is taken; there is no other book of it.  Next fit: a free place is mostly found at once. */
static bool find_store(enum ipc_kind kind, uint32_t size, uint32_t *out)
{
    struct table *table = &area->tables[kind];
    const struct ipc_object *other = NULL;
    uint64_t start = table->cursor, end = places[kind].units;
    for (int round = 0; round < 2; round++, start = 0)
        for (; start + size <= end; start = (uint64_t)other->start + other->size)
            if (!(other = in_the_way(kind, start, size))) {
                *out = (uint32_t)start;
                table->cursor = (uint32_t)start + size;
                return true;
            }
    return false;
}

static struct ipc_object *free_slot(enum ipc_kind kind)
{
    struct table *table = &area->tables[kind];
    for (uint32_t index = 0; index < table->high; index++)
        if (!slot_at(kind, index)->live)
            return slot_at(kind, index);
    return table->high < kinds[kind]->slot_count ? slot_at(kind, table->high++) : NULL;
}

int64_t ipc_new(enum ipc_kind kind, int32_t key, uint32_t mode, uint32_t units, struct ipc_object **out)
{
    const struct process *process = current_process();
    struct ipc_object *object = free_slot(kind);
    uint32_t start = 0;
    if (!object)
        return -ENOSPC;
    if (units && !find_store(kind, units, &start))
        return -ENOMEM;
    uint32_t sequence = object->sequence;
    *object = (struct ipc_object){
        .sequence = sequence,
        .key = key,
        .uid = process->euid,
        .gid = process->egid,
        .cuid = process->euid,
        .cgid = process->egid,
        .mode = mode & 0777,
        .start = start,
        .size = units,
        .changed = ipc_seconds(),
    };
    *out = object;
    return 0;
}

int64_t ipc_publish(struct ipc_object *object)
{
    atomic_set(shared_ipc_used(), 1u);
    atomic_set(&object->live, 1u);
    return ipc_id(object);
}

void ipc_end(struct ipc_object *object)
{
    atomic_set(&object->live, 0u);
    object->sequence = (object->sequence + 1) & SEQUENCE_MASK;
}

int64_t ipc_get(enum ipc_kind kind, int32_t key, uint32_t flags,
                int64_t (*create)(int32_t key, uint32_t flags, uint64_t argument),
                int64_t (*check)(const struct ipc_object *object, uint64_t argument), uint64_t argument)
{
    struct ipc_object *object = NULL;
    if (key == IPC_PRIVATE)
        return create(key, flags, argument);
    while ((object = ipc_next(kind, object)) && object->key != key)
        ;
    if (!object)
        return flags & IPC_CREAT ? create(key, flags, argument) : -ENOENT;
    if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
        return -EEXIST;
    int64_t error = check ? check(object, argument) : 0;
    if (error < 0)
        return error;
    return ipc_permits(object, flags & 0777) ? ipc_id(object) : -EACCES;
}

/* ---- Permissions ------------------------------------------------------------------------------------------------- */

static bool in_group(const struct process *process, uint32_t gid)
{
    return process->egid == gid || process_in_group(process, gid);
}

/* ipcperms() */
bool ipc_permits(const struct ipc_object *object, uint32_t mode)
{
    const struct process *process = current_process();
    uint32_t wanted = (mode >> 6 | mode >> 3 | mode) & 7, granted = object->mode;
    if (process->euid == object->cuid || process->euid == object->uid)
        granted >>= 6;
    else if (in_group(process, object->cgid) || in_group(process, object->gid))
        granted >>= 3;
    return !(wanted & ~granted) || process->euid == 0;
}

bool ipc_owned(const struct ipc_object *object)
{
    uint32_t uid = current_process()->euid;
    return uid == 0 || uid == object->uid || uid == object->cuid;
}

void ipc_permissions(const struct ipc_object *object, struct ipc_guest_permissions *out)
{
    *out = (struct ipc_guest_permissions){
        .key = object->key,
        .uid = object->uid,
        .gid = object->gid,
        .cuid = object->cuid,
        .cgid = object->cgid,
        .mode = object->mode,
        .sequence = (uint16_t)object->sequence,
    };
}

int64_t ipc_permissions_set(struct ipc_object *object, const struct ipc_guest_permissions *from)
{
    if (!ipc_owned(object))
        return -EPERM;
    if (from->uid == UINT32_MAX || from->gid == UINT32_MAX)
        return -EINVAL;
    object->uid = from->uid;
    object->gid = from->gid;
    object->mode = (object->mode & ~0777u) | (from->mode & 0777);
    object->changed = ipc_seconds();
    return 0;
}

int64_t ipc_seconds(void)
{
    return (int64_t)(time_now(PAL_CLOCK_REALTIME) / 1000000000u);
}

/* ---- Holders ----------------------------------------------------------------------------------------------------- */

static struct holder *find_holder(uint32_t pid, const struct ipc_object *object)
{
    uint32_t kind = kind_of(object), index = index_of(object);
    for (uint32_t i = 0; i < area->holder_high; i++) {
        struct holder *holder = &area->holders[i];
        if (holder->pid == pid && holder->index == index && holder->kind == kind)
            return holder;
    }
    return NULL;
}

static int64_t add_holder(uint32_t pid, uint32_t kind, uint32_t index, uint32_t count)
{
    uint32_t i = 0;
    while (i < area->holder_high && area->holders[i].pid)
        i++;
    if (i == HOLDERS)
        return -ENOMEM;
    struct holder *holder = &area->holders[i];
    *holder = (struct holder){.kind = kind, .index = index, .count = count};
    atomic_set(&holder->pid, pid);
    area->holder_high = MAX(area->holder_high, i + 1);
    return 0;
}

static void drop_holder(struct holder *holder)
{
    struct ipc_object *object = slot_at(holder->kind, holder->index);
    atomic_set(&holder->pid, 0u);
    while (area->holder_high && !area->holders[area->holder_high - 1].pid)
        area->holder_high--;
    if (object->live && !ipc_holders(object))
        kinds[holder->kind]->unheld(object);
}

int64_t ipc_hold(struct ipc_object *object)
{
    uint32_t pid = process_real_pid();
    struct holder *holder = find_holder(pid, object);
    if (!holder)
        return add_holder(pid, kind_of(object), index_of(object), 1);
    holder->count++;
    return 0;
}

void ipc_release(struct ipc_object *object)
{
    struct holder *holder = find_holder(process_real_pid(), object);
    if (holder && holder->count > 1)
        holder->count--;
    else if (holder)
        drop_holder(holder);
}

uint32_t ipc_holders(const struct ipc_object *object)
{
    uint32_t kind = kind_of(object), index = index_of(object), count = 0;
    for (uint32_t i = 0; i < area->holder_high; i++) {
        const struct holder *holder = &area->holders[i];
        if (holder->pid && holder->index == index && holder->kind == kind)
            count += holder->count;
    }
    return count;
}

/* When no record is free, the child goes without: what it holds is then let go by others' ends. */
void ipc_fork(int child)
{
    uint32_t pid = process_real_pid();
    if (LIKELY(!ipc_used()))
        return;
    ipc_lock();
    for (uint32_t i = 0, high = area->holder_high; i < high; i++) {
        const struct holder *holder = &area->holders[i];
        if (holder->pid == pid)
            add_holder((uint32_t)child, holder->kind, holder->index, holder->count);
    }
    ipc_unlock();
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static struct waiter_record *add_waiter(uint32_t *counter)
{
    uint32_t i = 0;
    while (i < area->waiter_high && area->waiters[i].pid)
        i++;
    if (i == WAITERS)
        return NULL;
    area->waiters[i].counter = (uint64_t)(uintptr_t)counter;
    area->waiters[i].ticket = ++area->tickets;
    atomic_set(&area->waiters[i].pid, process_real_pid());
    area->waiter_high = MAX(area->waiter_high, i + 1);
    ++*counter;
    return &area->waiters[i];
}

static void drop_waiter(struct waiter_record *record)
{
    --*(uint32_t *)(uintptr_t)record->counter;
    atomic_set(&record->pid, 0u);
    while (area->waiter_high && !area->waiters[area->waiter_high - 1].pid)
        area->waiter_high--;
}

void ipc_forget_waiters(const void *start, uint64_t size)
{
    for (uint32_t i = 0; i < area->waiter_high; i++)
        if (area->waiters[i].pid && area->waiters[i].counter - (uint64_t)(uintptr_t)start < size)
            atomic_set(&area->waiters[i].pid, 0u);
}

int64_t ipc_wait(uint32_t *event, uint32_t *counter, uint64_t deadline)
{
    struct waiter_record *record = add_waiter(counter);
    if (!record)
        return -ENOMEM;
    uint32_t seen = *event, ticket = record->ticket;
    ipc_unlock();
    int64_t result = PAL->wait((uint64_t)(uintptr_t)event, seen, deadline, 1);
    ipc_lock();
    if (record->pid && record->ticket == ticket) /* else the object is no more, or this process is ending */
        drop_waiter(record);
    return result == -EAGAIN ? 0 : result;
}

void ipc_wake(uint32_t *event)
{
    PAL->wake((uint64_t)(uintptr_t)event, INT32_MAX, 1);
}

static void tell_kinds(int pid)
{
    for (int kind = 0; kind < IPC_KINDS; kind++)
        if (kinds[kind]->process_ends)
            kinds[kind]->process_ends(pid);
}

void ipc_process_undo(int pid)
{
    if (LIKELY(!ipc_used()))
        return;
    ipc_lock();
    tell_kinds(pid);
    ipc_unlock();
}

/* Who was killed may have changed something and not have come to wake those who wait for it. */
void ipc_process_ends(int pid, bool died)
{
    if (LIKELY(!ipc_used()))
        return;
    ipc_lock();
    tell_kinds(pid);
    for (uint32_t i = area->holder_high; i > 0; i--)
        if (i <= area->holder_high && area->holders[i - 1].pid == (uint32_t)pid)
            drop_holder(&area->holders[i - 1]);
    for (uint32_t i = area->waiter_high; i > 0; i--)
        if (i <= area->waiter_high && area->waiters[i - 1].pid == (uint32_t)pid)
            drop_waiter(&area->waiters[i - 1]);
    for (int kind = 0; died && kind < IPC_KINDS; kind++)
        kinds[kind]->wake_all();
    ipc_unlock();
}
