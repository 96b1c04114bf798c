/* SPDX-License-Identifier: MIT */
/*
 * System V semaphores: semget(2), semop(2), semtimedop(2), semctl(2), and the undoing at a process's end.
 *
 * A semop changes several semaphores and its process's adjustments at once.  So that this holds when its process is
 * killed in the middle, it first writes the new values to a journal, then one word that says so, then the values:
 * the next owner of a dead holder's lock replays the journal.
 *
 * Each semaphore has an event that moves with its value.  A semop that can't go on waits for the event of the semaphore
 * that stops it: nothing else could let it pass.  Whoever changes a value wakes all of that semaphore's waiters; they
 * look again in any order, where Linux has them in turn.
 */
#include "libos/syscalls.h"
#include "libos/ipc/ipc.h"
#include "libos/task/task.h"

#define SLOTS 4096u
#define PER_SET_MAX 32000u /* kernel.sem: SEMMSL, SEMOPM */
#define OPERATIONS_MAX 500u
#define VALUE_MAX 32767
#define ADJUST_MAX 32767
#define UNDOS 65536u
#define FEW_OPERATIONS 16u
#define SEM_UNDO 0x1000
#define GETPID 11
#define GETVAL 12
#define GETALL 13
#define GETNCNT 14
#define GETZCNT 15
#define SETVAL 16
#define SETALL 17
#define SEM_STAT 18
#define SEM_INFO 19
#define SEM_STAT_ANY 20

struct semaphore { /* the kind's store: 32 bytes each */
    int32_t value;
    uint32_t pid; /* of the last operation */
    uint32_t event;
    uint32_t waiting_more, waiting_zero;
    uint32_t reserved[3];
};
_Static_assert(sizeof(struct semaphore) == 32, "the store's units");

struct set {
    struct ipc_object object;
    int64_t operated; /* seconds since the epoch */
};

/* What a process's end adds to a semaphore.  pid is written last, and 0 is free. */
struct undo {
    uint32_t pid;
    int32_t id;
    uint32_t number;
    int32_t adjustment;
};

struct journal_entry {
    uint32_t semaphore; /* in the store */
    int32_t value;
    uint32_t undo;      /* index + 1, or 0 */
    int32_t adjustment;
};

struct shared_sem {
    uint32_t begun; /* entries that count; 0 = nothing is under way.  Atomic */
    uint32_t pid;
    uint32_t undo_high, reserved;
    struct journal_entry journal[OPERATIONS_MAX];
    struct undo undos[UNDOS];
};
static struct shared_sem *shared;

struct operation { /* struct sembuf */
    uint16_t number;
    int16_t amount;
    int16_t flags;
};

void sem_init(uint64_t at)
{
    shared = (struct shared_sem *)(uintptr_t)at;
}

uint64_t sem_extra_size(void)
{
    return sizeof *shared;
}

static struct semaphore *semaphore_at(uint32_t index)
{
    uint64_t units;
    return (struct semaphore *)(uintptr_t)ipc_store(IPC_SEM, &units) + index;
}

static struct set *set_of(const struct ipc_object *object)
{
    return (struct set *)(uintptr_t)object;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

static void apply_journal(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct journal_entry *entry = &shared->journal[i];
        struct semaphore *semaphore = semaphore_at(entry->semaphore);
        if (semaphore->value != entry->value)
            ipc_happened(&semaphore->event);
        semaphore->value = entry->value;
        semaphore->pid = shared->pid;
        if (entry->undo)
            shared->undos[entry->undo - 1].adjustment = entry->adjustment;
    }
    atomic_set(&shared->begun, 0u);
}

static void commit(uint32_t count, uint32_t pid)
{
    shared->pid = pid;
    if (count)
        atomic_set(&shared->begun, count);
    apply_journal(count);
}

static bool awaited(const struct semaphore *semaphore)
{
    return semaphore->waiting_more || semaphore->waiting_zero;
}

static void recover(void)
{
    if (shared->begun)
        apply_journal(shared->begun);
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_SEM, object));)
        for (uint32_t i = 0; i < object->size; i++)
            semaphore_at(object->start + i)->waiting_more = semaphore_at(object->start + i)->waiting_zero = 0;
}

/* Caller holds the lock. */
static void wake_set(const struct ipc_object *object)
{
    for (uint32_t i = 0; i < object->size; i++) {
        struct semaphore *semaphore = semaphore_at(object->start + i);
        if (!awaited(semaphore))
            continue;
        ipc_happened(&semaphore->event);
        ipc_wake(&semaphore->event);
    }
}

static void wake_all(void)
{
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_SEM, object));)
        wake_set(object);
}

/* ---- semget ------------------------------------------------------------------------------------------------------ */

static int64_t create(int32_t key, uint32_t flags, uint64_t count)
{
    struct ipc_object *object;
    if (!count)
        return -EINVAL;
    int64_t error = ipc_new(IPC_SEM, key, flags, (uint32_t)count, &object);
    if (error < 0)
        return error == -ENOMEM ? -ENOSPC : error;
    set_of(object)->operated = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct semaphore *semaphore = semaphore_at(object->start + i);
        *semaphore = (struct semaphore){.event = semaphore->event};
    }
    return ipc_publish(object);
}

static int64_t check(const struct ipc_object *object, uint64_t count)
{
    return count > object->size ? -EINVAL : 0;
}

int64_t sys_semget(int32_t key, int32_t count, uint32_t flags)
{
    if (count < 0 || count > (int32_t)PER_SET_MAX)
        return -EINVAL;
    ipc_lock();
    int64_t result = ipc_get(IPC_SEM, key, flags, create, check, (uint64_t)count);
    ipc_unlock();
    return result;
}

/* ---- Undo -------------------------------------------------------------------------------------------------------- */

/* The process's record for a semaphore, made if there is none: index + 1, or 0 where there is no room. */
static uint32_t undo_find(int32_t id, uint32_t number, uint32_t pid)
{
    uint32_t free = UNDOS;
    for (uint32_t i = 0; i < shared->undo_high; i++) {
        const struct undo *undo = &shared->undos[i];
        if (undo->pid == pid && undo->id == id && undo->number == number)
            return i + 1;
        if (!undo->pid && free == UNDOS)
            free = i;
    }
    if (free == UNDOS)
        free = shared->undo_high;
    if (free == UNDOS)
        return 0;
    shared->undos[free] = (struct undo){.id = id, .number = number};
    atomic_set(&shared->undos[free].pid, pid);
    shared->undo_high = MAX(shared->undo_high, free + 1);
    return free + 1;
}

/* A set's value is set, or it ends: what was to be undone is forgotten.  number -1 = all of its semaphores. */
static void undo_forget(int32_t id, int64_t number)
{
    for (uint32_t i = 0; i < shared->undo_high; i++)
        if (shared->undos[i].id == id && (number < 0 || shared->undos[i].number == number))
            shared->undos[i].adjustment = 0;
}

static void undo_drop(struct undo *undo)
{
    atomic_set(&undo->pid, 0u);
    while (shared->undo_high && !shared->undos[shared->undo_high - 1].pid)
        shared->undo_high--;
}

static void undo_process(int pid)
{
    for (uint32_t i = shared->undo_high; i > 0; i--) {
        if (i > shared->undo_high || shared->undos[i - 1].pid != (uint32_t)pid)
            continue;
        struct undo *undo = &shared->undos[i - 1];
        const struct ipc_object *object = ipc_find(IPC_SEM, undo->id);
        if (object && undo->adjustment) {
            struct semaphore *semaphore = semaphore_at(object->start + undo->number);
            int32_t value = MAX(0, MIN(semaphore->value + undo->adjustment, VALUE_MAX));
            shared->journal[0] = (struct journal_entry){object->start + undo->number, value, i, 0};
            commit(1, (uint32_t)pid);
            if (awaited(semaphore))
                ipc_wake(&semaphore->event);
        }
        undo_drop(undo);
    }
}

static void never_held(struct ipc_object *object) { (void)object; }

static void row(const struct ipc_object *object, char *out, size_t size)
{
    format(out, size, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lu %10lu\n", object->key, ipc_id(object), object->mode,
           object->size, object->uid, object->gid, object->cuid, object->cgid,
           (uint64_t)((const struct set *)object)->operated, (uint64_t)object->changed);
}

const struct ipc_kind_ops sysv_sem_kind = {
    .recover = recover, .wake_all = wake_all, .unheld = never_held, .process_ends = undo_process, .row = row,
    .slot_size = sizeof(struct set), .slot_count = SLOTS,
};

/* ---- semop ------------------------------------------------------------------------------------------------------- */

/* What the semaphore would be worth after the first `count` entries of the journal. */
static int32_t value_after(uint32_t index, uint32_t count)
{
    while (count--)
        if (shared->journal[count].semaphore == index)
            return shared->journal[count].value;
    return semaphore_at(index)->value;
}

static int32_t adjustment_after(uint32_t undo, uint32_t count)
{
    while (count--)
        if (shared->journal[count].undo == undo)
            return shared->journal[count].adjustment;
    return shared->undos[undo - 1].adjustment;
}

/* Writes the journal.  0: all can be done.  1: *stop can't, yet.  Or -errno. */
static int64_t try(const struct ipc_object *object, const struct operation *operations, uint32_t count,
                   const struct operation **stop)
{
    uint32_t pid = (uint32_t)current_process()->pid;
    for (uint32_t i = 0; i < count; i++) {
        const struct operation *operation = &operations[i];
        struct journal_entry *entry = &shared->journal[i];
        uint32_t index = object->start + operation->number;
        int32_t value = value_after(index, i);
        if (operation->amount ? value + operation->amount < 0 : value != 0) {
            *stop = operation;
            return operation->flags & (int16_t)IPC_NOWAIT ? -EAGAIN : 1;
        }
        if (value + operation->amount > VALUE_MAX)
            return -ERANGE;
        struct journal_entry made = {.semaphore = index, .value = value + operation->amount};
        if (operation->flags & SEM_UNDO && operation->amount) {
            made.undo = undo_find(ipc_id(object), operation->number, pid);
            if (!made.undo)
                return -ENOSPC;
            made.adjustment = adjustment_after(made.undo, i) - operation->amount;
            if (made.adjustment < -ADJUST_MAX - 1 || made.adjustment > ADJUST_MAX)
                return -ERANGE;
        }
        *entry = made;
    }
    return 0;
}

static int64_t check_operations(const struct ipc_object *object, const struct operation *operations, uint32_t count)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (operations[i].number >= object->size)
            return -EFBIG;
        wanted |= operations[i].amount ? IPC_WRITE : IPC_READ;
    }
    return ipc_permits(object, wanted & IPC_WRITE ? IPC_WRITE : IPC_READ) ? 0 : -EACCES;
}

/* Caller holds the lock. */
static int64_t operate(int32_t id, const struct operation *operations, uint32_t count, uint64_t deadline)
{
    const struct operation *stop;
    struct ipc_object *object = ipc_find(IPC_SEM, id);
    int64_t waited = 0, result = object ? check_operations(object, operations, count) : -EINVAL;
    if (result < 0)
        return result;
    while ((result = try(object, operations, count, &stop)) == 1) {
        if (waited < 0)
            return waited == -ETIMEDOUT ? -EAGAIN : waited == -EINTR ? -ERESTARTNOHAND : waited;
        struct semaphore *semaphore = semaphore_at(object->start + stop->number);
        waited = ipc_wait(&semaphore->event, stop->amount ? &semaphore->waiting_more : &semaphore->waiting_zero,
                          deadline);
        if (ipc_find(IPC_SEM, id) != object)
            return -EIDRM;
    }
    if (result < 0)
        return result;
    set_of(object)->operated = ipc_seconds();
    commit(count, (uint32_t)current_process()->pid);
    return (int64_t)object->start;
}

static void wake_changed(uint32_t start, const struct operation *operations, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct semaphore *semaphore = semaphore_at(start + operations[i].number);
        if (operations[i].amount && awaited(semaphore)) /* who has come since the lock was let go has seen the value */
            ipc_wake(&semaphore->event);
    }
}

int64_t sys_semtimedop(int32_t id, guest_t from, uint64_t count, guest_t timeout)
{
    struct operation few[FEW_OPERATIONS];
    uint64_t timeout_ns;
    if (count < 1 || id < 0)
        return -EINVAL;
    if (count > OPERATIONS_MAX)
        return -E2BIG;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    struct operation *operations = count > FEW_OPERATIONS ? alloc(count * sizeof *operations) : few;
    if (!operations)
        return -ENOMEM;
    if (result == 0)
        result = copy_in(operations, from, count * sizeof *operations);
    if (result == 0) {
        uint64_t deadline = call_deadline(timeout_ns);
        ipc_lock();
        result = operate(id, operations, (uint32_t)count, deadline);
        ipc_unlock();
        if (result >= 0)
            wake_changed((uint32_t)result, operations, (uint32_t)count);
    }
    if (operations != few)
        release(operations);
    return MIN(result, 0);
}

int64_t sys_semop(int32_t id, guest_t from, uint64_t count)
{
    return sys_semtimedop(id, from, count, 0);
}

/* ---- semctl ------------------------------------------------------------------------------------------------------ */

struct guest_set { /* struct semid64_ds */
    struct ipc_guest_permissions permissions;
    int64_t operated;
    uint64_t unused;
    int64_t changed;
    uint64_t unused2, count, unused3[2];
};
_Static_assert(sizeof(struct guest_set) == 104, "the guest's layout");

static int64_t information(int32_t command, guest_t to)
{
    struct { int32_t map, sets, all, undos, per_set, operations, per_undo, used, value_max, adjust_max; } info;
    uint64_t units;
    uint32_t semaphores = 0, sets = 0;
    ipc_store(IPC_SEM, &units);
    ipc_lock();
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_SEM, object)); sets++)
        semaphores += object->size;
    int64_t highest = ipc_highest(IPC_SEM);
    ipc_unlock();
    bool now = command == SEM_INFO;
    info.map = info.all = info.undos = (int32_t)units;
    info.sets = (int32_t)SLOTS;
    info.per_set = (int32_t)PER_SET_MAX;
    info.operations = info.per_undo = (int32_t)OPERATIONS_MAX;
    info.used = now ? (int32_t)sets : 20;
    info.value_max = VALUE_MAX;
    info.adjust_max = now ? (int32_t)semaphores : ADJUST_MAX;
    return copy_out(to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

/* GETVAL and the like. */
static int64_t one(int32_t id, int32_t number, int32_t command)
{
    ipc_lock();
    const struct ipc_object *object = ipc_find(IPC_SEM, id);
    int64_t result = -EINVAL;
    if (object && !ipc_permits(object, IPC_READ)) {
        result = -EACCES;
    } else if (object && number >= 0 && (uint32_t)number < object->size) {
        const struct semaphore *semaphore = semaphore_at(object->start + (uint32_t)number);
        result = command == GETVAL    ? semaphore->value
                 : command == GETPID  ? (int64_t)semaphore->pid
                 : command == GETNCNT ? (int64_t)semaphore->waiting_more
                                      : (int64_t)semaphore->waiting_zero;
    }
    ipc_unlock();
    return result;
}

/* Caller holds the lock. */
static void set_value(struct ipc_object *object, uint32_t number, int32_t value)
{
    struct semaphore *semaphore = semaphore_at(object->start + number);
    undo_forget(ipc_id(object), number);
    shared->journal[0] = (struct journal_entry){.semaphore = object->start + number, .value = value};
    commit(1, (uint32_t)current_process()->pid);
    object->changed = ipc_seconds();
    if (awaited(semaphore))
        ipc_wake(&semaphore->event);
}

static int64_t set_one(int32_t id, int32_t number, int32_t value)
{
    if (value < 0 || value > VALUE_MAX)
        return -ERANGE;
    ipc_lock();
    struct ipc_object *object = ipc_find(IPC_SEM, id);
    int64_t result = !object || number < 0 || (uint32_t)number >= object->size ? -EINVAL
                     : ipc_permits(object, IPC_WRITE)                           ? 0
                                                                                : -EACCES;
    if (result == 0)
        set_value(object, (uint32_t)number, value);
    ipc_unlock();
    return result;
}

/* GETALL and SETALL: `values` has room for `count`. */
static int64_t all_locked(int32_t id, int32_t command, uint16_t *values, uint32_t count)
{
    struct ipc_object *object = ipc_find(IPC_SEM, id);
    if (!object || object->size != count)
        return -EIDRM;
    if (!ipc_permits(object, command == GETALL ? IPC_READ : IPC_WRITE))
        return -EACCES;
    for (uint32_t i = 0; i < count; i++)
        if (command == GETALL)
            values[i] = (uint16_t)semaphore_at(object->start + i)->value;
        else
            set_value(object, i, values[i]);
    return 0;
}

static int64_t all(int32_t id, int32_t command, guest_t argument)
{
    ipc_lock();
    const struct ipc_object *object = ipc_find(IPC_SEM, id);
    uint32_t count = object ? object->size : 0;
    ipc_unlock();
    uint16_t *values = count ? alloc(count * sizeof *values) : NULL;
    if (!values)
        return count ? -ENOMEM : -EINVAL;
    int64_t result = command == SETALL ? copy_in(values, argument, count * sizeof *values) : 0;
    for (uint32_t i = 0; result == 0 && command == SETALL && i < count; i++)
        if (values[i] > VALUE_MAX)
            result = -ERANGE;
    if (result == 0) {
        ipc_lock();
        result = all_locked(id, command, values, count);
        ipc_unlock();
    }
    if (result == 0 && command == GETALL)
        result = copy_out(argument, values, count * sizeof *values);
    release(values);
    return result;
}

/* Caller holds the lock. */
static void end(struct ipc_object *object)
{
    undo_forget(ipc_id(object), -1);
    ipc_end(object);
    wake_set(object);
    ipc_forget_waiters(semaphore_at(object->start), object->size * sizeof(struct semaphore));
}

static void show(const struct ipc_object *object, void *to)
{
    struct guest_set *out = to;
    out->operated = ((const struct set *)object)->operated;
    out->changed = object->changed;
    out->count = object->size;
}

static int64_t change(struct ipc_object *object, int32_t command, const void *from)
{
    if (command == IPC_SET)
        return ipc_permissions_set(object, &((const struct guest_set *)from)->permissions);
    if (!ipc_owned(object))
        return -EPERM;
    end(object);
    return 0;
}

static const struct ipc_control control = {IPC_SEM, sizeof(struct guest_set), show, change};

int64_t sys_semctl(int32_t id, int32_t number, int32_t command, guest_t argument)
{
    if (id < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case SEM_INFO:
        return information(command, argument);
    case IPC_STAT:
        return ipc_status(&control, id, IPC_BY_ID, argument);
    case SEM_STAT:
        return ipc_status(&control, id, IPC_BY_INDEX, argument);
    case SEM_STAT_ANY:
        return ipc_status(&control, id, IPC_BY_INDEX_ANY, argument);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
        return one(id, number, command);
    case SETVAL:
        return set_one(id, number, (int32_t)argument);
    case GETALL:
    case SETALL:
        return all(id, command, argument);
    case IPC_SET:
    case IPC_RMID:
        return ipc_change(&control, id, command, argument);
    default:
        return -EINVAL;
    }
}
