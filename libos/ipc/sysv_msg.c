/* SPDX-License-Identifier: MIT */
/* System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2). */
#include "libos/syscalls.h"
#include "libos/ipc/ipc.h"
#include "libos/task/task.h"

#define SLOTS 4096u
#define MESSAGE_MAX 8192u       /* kernel.msgmax */
#define QUEUE_BYTES_MAX 16384u  /* kernel.msgmnb */
#define MSG_NOERROR 010000u
#define MSG_EXCEPT 020000u
#define MSG_COPY 040000u
#define MSG_STAT 11
#define MSG_INFO 12
#define MSG_STAT_ANY 13
#define FEW_BYTES 256u

struct queue {
    struct ipc_object object;
    struct ipc_queue messages;
    uint64_t bytes_max;
    int64_t sent, received; /* seconds since the epoch */
    int32_t last_sender, last_receiver;
};

static struct queue *queue_of(const struct ipc_object *object)
{
    return (struct queue *)(uintptr_t)object;
}

struct ipc_queue *sysv_msg_queue(struct ipc_object *object)
{
    return &queue_of(object)->messages;
}

static void nothing(void) {}
static void never_held(struct ipc_object *object) { (void)object; }

static void wake(struct ipc_queue *messages)
{
    ipc_happened(&messages->sent);
    ipc_happened(&messages->received);
    ipc_wake(&messages->sent);
    ipc_wake(&messages->received);
}

static void wake_all(void)
{
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MSG, object));)
        if (queue_of(object)->messages.senders || queue_of(object)->messages.receivers)
            wake(&queue_of(object)->messages);
}

static void row(const struct ipc_object *object, char *out, size_t size)
{
    const struct queue *queue = queue_of(object);
    format(out, size, "%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10lu %10lu %10lu\n", object->key,
           ipc_id(object), object->mode, queue->messages.bytes, (uint64_t)queue->messages.count, queue->last_sender,
           queue->last_receiver, object->uid, object->gid, object->cuid, object->cgid, (uint64_t)queue->sent,
           (uint64_t)queue->received, (uint64_t)object->changed);
}

const struct ipc_kind_ops sysv_msg_kind = {
    .recover = nothing, .wake_all = wake_all, .unheld = never_held, .row = row,
    .slot_size = sizeof(struct queue), .slot_count = SLOTS,
};

static int64_t create(int32_t key, uint32_t flags, uint64_t unused)
{
    struct ipc_object *object;
    (void)unused;
    int64_t error = ipc_new(IPC_MSG, key, flags, 0, &object);
    if (error < 0)
        return error;
    struct queue *queue = queue_of(object);
    queue->messages = (struct ipc_queue){.sent = queue->messages.sent, .received = queue->messages.received};
    queue->bytes_max = QUEUE_BYTES_MAX;
    queue->sent = queue->received = 0;
    queue->last_sender = queue->last_receiver = 0;
    return ipc_publish(object);
}

int64_t sys_msgget(int32_t key, uint32_t flags)
{
    ipc_lock();
    int64_t result = ipc_get(IPC_MSG, key, flags, create, NULL, 0);
    ipc_unlock();
    return result;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

static bool has_room(const struct queue *queue, uint64_t size)
{
    return queue->messages.bytes + size <= queue->bytes_max && queue->messages.count + 1ull <= queue->bytes_max;
}

/* Caller holds the lock.  *woken: somebody is to be woken. */
static int64_t send(int32_t id, int64_t type, const void *bytes, uint64_t size, uint32_t flags, struct queue **woken)
{
    struct queue *queue = queue_of(ipc_find(IPC_MSG, id));
    if (!queue)
        return -EINVAL;
    for (int64_t waited = 0;;) {
        if (!ipc_permits(&queue->object, IPC_WRITE))
            return -EACCES;
        if (has_room(queue, size))
            break;
        if (flags & IPC_NOWAIT)
            return -EAGAIN;
        if (waited < 0)
            return waited == -EINTR ? -ERESTARTNOHAND : waited;
        waited = ipc_wait(&queue->messages.received, &queue->messages.senders, PAL_FOREVER);
        if (ipc_find(IPC_MSG, id) != &queue->object)
            return -EIDRM;
    }
    uint32_t message = ipc_message_new(type, bytes, size);
    if (!message)
        return -ENOMEM;
    queue->last_sender = current_process()->pid;
    queue->sent = ipc_seconds();
    ipc_queue_add(&queue->messages, queue->messages.last, message);
    ipc_happened(&queue->messages.sent);
    *woken = queue->messages.receivers ? queue : NULL;
    return 0;
}

int64_t sys_msgsnd(int32_t id, guest_t from, uint64_t size, uint32_t flags)
{
    uint8_t few[FEW_BYTES];
    struct queue *woken = NULL;
    int64_t type;
    if (id < 0 || size > MESSAGE_MAX)
        return -EINVAL;
    if (copy_in(&type, from, sizeof type) < 0)
        return -EFAULT;
    if (type < 1)
        return -EINVAL;
    uint8_t *bytes = size > sizeof few ? alloc(size) : few;
    if (!bytes)
        return -ENOMEM;
    int64_t result = copy_in(bytes, from + sizeof type, size);
    if (result == 0) {
        ipc_lock();
        result = send(id, type, bytes, size, flags, &woken);
        ipc_unlock();
        if (woken)
            ipc_wake(&woken->messages.sent);
    }
    if (bytes != few)
        release(bytes);
    return result;
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

/* The message that is asked for: false = none.  *before: the one before it, or 0. */
static bool find(const struct ipc_queue *messages, int64_t type, uint32_t flags, uint32_t *before)
{
    uint32_t previous = 0;
    int64_t lowest = INT64_MAX;
    bool found = false;
    if (flags & MSG_COPY) {
        uint32_t message = messages->first;
        for (; message && type; type--) {
            previous = message;
            message = ipc_message_next(message);
        }
        *before = previous;
        return message;
    }
    for (uint32_t message = messages->first; message; previous = message, message = ipc_message_next(message)) {
        int64_t has = ipc_message_type(message);
        if (type < 0) {
            if (has > (type == INT64_MIN ? INT64_MAX : -type) || has >= lowest)
                continue;
            lowest = has; /* the first of the lowest type */
            *before = previous;
            found = true;
        } else if (type == 0 || (flags & MSG_EXCEPT ? has != type : has == type)) {
            *before = previous;
            return true;
        }
    }
    return found;
}

/* Caller holds the lock.  Waits for a message and reads it to `bytes`; returns its size, at most `size`. */
static int64_t receive(int32_t id, int64_t *type, void *bytes, uint64_t size, uint32_t flags, struct queue **woken)
{
    struct queue *queue = queue_of(ipc_find(IPC_MSG, id));
    uint32_t before = 0;
    if (!queue)
        return -EINVAL;
    for (int64_t waited = 0;;) {
        if (!ipc_permits(&queue->object, IPC_READ))
            return -EACCES;
        if (find(&queue->messages, *type, flags, &before))
            break;
        if (flags & IPC_NOWAIT)
            return -ENOMSG;
        if (waited < 0)
            return waited == -EINTR ? -ERESTARTNOHAND : waited;
        waited = ipc_wait(&queue->messages.sent, &queue->messages.receivers, PAL_FOREVER);
        if (ipc_find(IPC_MSG, id) != &queue->object)
            return -EIDRM;
    }
    uint32_t message = before ? ipc_message_next(before) : queue->messages.first;
    uint64_t whole = ipc_message_size(message);
    if (whole > size && !(flags & MSG_NOERROR))
        return -E2BIG;
    size = MIN(size, whole);
    *type = ipc_message_type(message);
    ipc_message_read(message, bytes, size);
    if (flags & MSG_COPY)
        return (int64_t)size;
    queue->last_receiver = current_process()->pid;
    queue->received = ipc_seconds();
    ipc_message_free(ipc_queue_take(&queue->messages, before));
    ipc_happened(&queue->messages.received);
    *woken = queue->messages.senders ? queue : NULL;
    return (int64_t)size;
}

int64_t sys_msgrcv(int32_t id, guest_t to, uint64_t size, int64_t type, uint32_t flags)
{
    uint8_t few[FEW_BYTES];
    struct queue *woken = NULL;
    if (id < 0 || (int64_t)size < 0)
        return -EINVAL;
    if (flags & MSG_COPY && (flags & MSG_EXCEPT || !(flags & IPC_NOWAIT)))
        return -EINVAL;
    uint64_t room = MIN(size, MESSAGE_MAX);
    uint8_t *bytes = room > sizeof few ? alloc(room) : few;
    if (!bytes)
        return -ENOMEM;
    ipc_lock();
    int64_t result = receive(id, &type, bytes, room, flags, &woken);
    ipc_unlock();
    if (woken)
        ipc_wake(&woken->messages.received);
    if (result >= 0 && (copy_out(to, &type, sizeof type) < 0 || copy_out(to + sizeof type, bytes, (size_t)result) < 0))
        result = -EFAULT;
    if (bytes != few)
        release(bytes);
    return result;
}

/* ---- msgctl ------------------------------------------------------------------------------------------------------ */

struct guest_queue { /* struct msqid64_ds */
    struct ipc_guest_permissions permissions;
    int64_t sent, received, changed;
    uint64_t bytes, count, bytes_max;
    int32_t last_sender, last_receiver;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct guest_queue) == 120, "the guest's layout");

static int64_t information(int32_t command, guest_t to)
{
    struct { int32_t pool, map, message_max, bytes_max, queues, segment_size, headers; uint16_t segments; } info = {
        .message_max = (int32_t)MESSAGE_MAX,
        .bytes_max = (int32_t)QUEUE_BYTES_MAX,
        .queues = (int32_t)SLOTS,
        .segment_size = 16,
        .segments = 0xffff,
    };
    uint64_t bytes = 0, count = 0;
    ipc_lock();
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MSG, object)); info.pool++) {
        bytes += queue_of(object)->messages.bytes;
        count += queue_of(object)->messages.count;
    }
    int64_t highest = ipc_highest(IPC_MSG);
    ipc_unlock();
    if (command == MSG_INFO) {
        info.map = (int32_t)MIN(count, (uint64_t)INT32_MAX);
        info.headers = (int32_t)MIN(bytes, (uint64_t)INT32_MAX);
    } else {
        info.pool = (int32_t)(SLOTS * (QUEUE_BYTES_MAX / 1024));
        info.map = info.headers = (int32_t)QUEUE_BYTES_MAX;
    }
    return copy_out(to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static void show(const struct ipc_object *object, void *to)
{
    struct guest_queue *out = to;
    const struct queue *queue = (const struct queue *)object;
    out->sent = queue->sent;
    out->received = queue->received;
    out->changed = object->changed;
    out->bytes = queue->messages.bytes;
    out->count = queue->messages.count;
    out->bytes_max = queue->bytes_max;
    out->last_sender = queue->last_sender;
    out->last_receiver = queue->last_receiver;
}

static int64_t change(struct ipc_object *object, int32_t command, const void *asked)
{
    const struct guest_queue *from = asked;
    struct queue *queue = queue_of(object);
    if (command == IPC_SET) {
        if (from->bytes_max > QUEUE_BYTES_MAX && current_process()->euid)
            return -EPERM;
        int64_t error = ipc_permissions_set(object, &from->permissions);
        if (error < 0)
            return error;
        queue->bytes_max = from->bytes_max;
    } else {
        if (!ipc_owned(object))
            return -EPERM;
        ipc_end(object);
        ipc_queue_empty(&queue->messages);
        ipc_forget_waiters(queue, sizeof *queue);
    }
    ipc_happened(&queue->messages.sent);
    ipc_happened(&queue->messages.received);
    ipc_wake(&queue->messages.sent);
    ipc_wake(&queue->messages.received);
    return 0;
}

static const struct ipc_control control = {IPC_MSG, sizeof(struct guest_queue), show, change};

int64_t sys_msgctl(int32_t id, int32_t command, guest_t argument)
{
    if (id < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
    case MSG_INFO:
        return information(command, argument);
    case IPC_STAT:
        return ipc_status(&control, id, IPC_BY_ID, argument);
    case MSG_STAT:
        return ipc_status(&control, id, IPC_BY_INDEX, argument);
    case MSG_STAT_ANY:
        return ipc_status(&control, id, IPC_BY_INDEX_ANY, argument);
    case IPC_SET:
    case IPC_RMID:
        return ipc_change(&control, id, command, argument);
    default:
        return -EINVAL;
    }
}
