/* SPDX-License-Identifier: MIT */
/*
 * POSIX message queues: mq_overview(7).
 *
 * A queue lies in the shared segment; a descriptor is a file of the libOS's own that holds it (ipc.h).  An unlinked
 * queue ends with its last holder.  O_NONBLOCK belongs to the description of one picoprocess: a fork's child has its
 * own.
 *
 * Sends and receives that block wait on the queue's events.  A poll can't; so its process leaves its pid with the queue
 * before it looks, and who changes the queue interrupts those processes, once.
 */
#include "libos/abi/signal.h"
#include "libos/syscalls.h"
#include "libos/futex/futex.h"
#include "libos/ipc/ipc.h"
#include "libos/poll/readiness.h"
#include "libos/signal/signal.h"

#define SLOTS 256u /* fs.mqueue.queues_max */
#define NAME_SIZE 256u
#define COUNT_DEFAULT 10
#define SIZE_DEFAULT 8192
#define COUNT_MAX 10       /* for all but the superuser */
#define SIZE_MAX_USER 8192
#define COUNT_HARD_MAX 65536
#define SIZE_HARD_MAX (16 << 20)
#define PRIORITY_MAX 32768u
#define OVERHEAD 48u /* of a message and of a priority, as RLIMIT_MSGQUEUE counts */
#define FEW_BYTES 256u
#define POLLERS 16u
#define LOOK_AGAIN_NS 10000000ull /* by processes that found no place among the pollers */

struct mqueue {
    struct ipc_object object;
    struct ipc_queue messages;
    uint64_t size_max, charged; /* charged: against RLIMIT_MSGQUEUE */
    uint32_t count_max;
    uint32_t unlinked;
    int32_t notified;      /* pid to be told of the next message, or 0 */
    int32_t notify, signal;
    uint64_t value;
    uint64_t edges;        /* messages that have come and gone, for edge-triggered epolls */
    uint32_t pollers[POLLERS]; /* pids, 0 = free */
    char name[NAME_SIZE];
};

struct guest_attributes { int64_t flags, count_max, size_max, count, reserved[4]; }; /* struct mq_attr */

/* What is to be done when the lock is free: a notification to be sent, pollers to be interrupted. */
struct notice {
    int32_t pid, signal;
    uint64_t value;
    uint32_t pollers[POLLERS], poller_count;
};

static struct mqueue *mqueue_of(const struct ipc_object *object)
{
    return (struct mqueue *)(uintptr_t)object;
}

struct ipc_queue *mqueue_queue(struct ipc_object *object)
{
    return &mqueue_of(object)->messages;
}

static void destroy(struct mqueue *queue)
{
    ipc_end(&queue->object);
    ipc_queue_empty(&queue->messages);
    ipc_forget_waiters(queue, sizeof *queue);
}

static void unheld(struct ipc_object *object)
{
    if (mqueue_of(object)->unlinked)
        destroy(mqueue_of(object));
}

static void nothing(void) {}

static void wake_all(void)
{
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MQ, object));) {
        struct ipc_queue *messages = &mqueue_of(object)->messages;
        if (!messages->senders && !messages->receivers)
            continue;
        ipc_happened(&messages->sent);
        ipc_happened(&messages->received);
        ipc_wake(&messages->sent);
        ipc_wake(&messages->received);
    }
}

/* Linux takes a process's request back at any close by it. */
static void process_ends(int pid)
{
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_MQ, object));)
        if (mqueue_of(object)->notified == pid)
            mqueue_of(object)->notified = 0;
}

const struct ipc_kind_ops mqueue_kind = {
    .recover = nothing, .wake_all = wake_all, .unheld = unheld, .process_ends = process_ends,
    .slot_size = sizeof(struct mqueue), .slot_count = SLOTS,
};

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

static uint32_t mq_ready(struct file *file)
{
    const struct mqueue *queue = file->data;
    ipc_lock();
    uint32_t count = queue->messages.count;
    ipc_unlock();
    return (count ? POLLIN | POLLRDNORM : 0) | (count < queue->count_max ? POLLOUT | POLLWRNORM : 0);
}

static uint64_t mqueue_edge(struct file *file)
{
    return atomic_get(&((struct mqueue *)file->data)->edges);
}

/* Polls ask this before they look whether the queue is ready. */
static uint64_t mqueue_deadline(struct file *file)
{
    struct mqueue *queue = file->data;
    uint32_t pid = process_real_pid(), free = POLLERS, i = 0;
    ipc_lock();
    for (; i < POLLERS && queue->pollers[i] != pid; i++)
        free = queue->pollers[i] ? free : i;
    if (i == POLLERS && free < POLLERS)
        queue->pollers[free] = pid;
    ipc_unlock();
    return i < POLLERS || free < POLLERS ? PAL_FOREVER : time_now(PAL_CLOCK_MONOTONIC) + LOOK_AGAIN_NS;
}

/* What read(2) of a queue tells, as mq_overview(7) has it. */
static int64_t mq_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    const struct mqueue *queue = file->data;
    char text[80];
    ipc_lock();
    int32_t pid = queue->notified;
    int size = format(text, sizeof text, "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
                      (unsigned long)queue->messages.bytes, pid ? queue->notify : 0,
                      pid && queue->notify == SIGEV_SIGNAL ? queue->signal : 0, pid);
    ipc_unlock();
    int64_t at = offset < 0 ? atomic_get(&file->offset) : offset, done = 0;
    for (uint32_t i = 0; i < count && at + done < size; i++) {
        uint64_t part = MIN(vector[i].size, (uint64_t)(size - at - done));
        if (copy_out(vector[i].base, text + at + done, part) < 0)
            return done ? done : -EFAULT;
        done += (int64_t)part;
    }
    if (offset < 0)
        atomic_set(&file->offset, at + done);
    return done;
}

static int64_t mq_seek(struct file *file, int64_t offset, int whence)
{
    if (whence == SEEK_CUR)
        offset += atomic_get(&file->offset);
    if ((whence != SEEK_SET && whence != SEEK_CUR) || offset < 0)
        return -EINVAL;
    atomic_set(&file->offset, offset);
    return offset;
}

static int64_t mq_attributes(struct file *file, struct pal_attributes *out)
{
    const struct mqueue *queue = file->data;
    memset(out, 0, sizeof *out);
    out->device = 19;
    out->inode = (uint64_t)ipc_id(&queue->object) + 2;
    out->mode = S_IFREG | (queue->object.mode & 0777);
    out->uid = queue->object.uid;
    out->gid = queue->object.gid;
    out->type = PAL_TYPE_FILE;
    out->links = queue->unlinked ? 0 : 1;
    out->size = 80;
    out->block_size = PAGE_SIZE;
    return 0;
}

static void mq_destroy(struct file *file)
{
    struct mqueue *queue = file->data;
    if (!queue)
        return;
    ipc_lock();
    if (queue->notified == current_process()->pid)
        queue->notified = 0;
    ipc_release(&queue->object);
    ipc_unlock();
}

static const struct file_ops mqueue_ops = {
    .kind = "mqueue", .read = mq_read, .attributes = mq_attributes, .seek = mq_seek, .ready = mq_ready,
    .deadline = mqueue_deadline, .edge = mqueue_edge, .destroy = mq_destroy,
};

static int64_t mqueue_get(int fd, struct file **out)
{
    struct file *file = file_get_io(fd);
    if (file && file->ops == &mqueue_ops) {
        *out = file;
        return 0;
    }
    if (file)
        file_put(file);
    return -EBADF;
}

/* ---- mq_open, mq_unlink ------------------------------------------------------------------------------------------ */

static int64_t queue_name(guest_t from, char name[NAME_SIZE])
{
    int64_t size = copy_in_string(name, from, NAME_SIZE);
    if (size < 0)
        return size;
    if (!size)
        return -ENOENT;
    return strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ? -EACCES : 0;
}

/* Caller holds the lock in the next four. */
static struct mqueue *find(const char *name)
{
    struct ipc_object *object = NULL;
    while ((object = ipc_next(IPC_MQ, object)))
        if (!mqueue_of(object)->unlinked && !strcmp(mqueue_of(object)->name, name))
            break;
    return mqueue_of(object);
}

static int64_t charge(uint64_t count, uint64_t size, uint64_t limit, uint64_t *out)
{
    uint64_t used = count * (OVERHEAD + size) + MIN(count, PRIORITY_MAX) * OVERHEAD;
    *out = used;
    for (const struct ipc_object *object = NULL; (object = ipc_next(IPC_MQ, object));)
        if (object->cuid == current_process()->euid)
            used += mqueue_of(object)->charged;
    return used > limit ? -EMFILE : 0;
}

static int64_t create(const char *name, uint32_t mode, const struct guest_attributes *given, uint64_t limit,
                      struct mqueue **out)
{
    struct ipc_object *object;
    bool super = current_process()->euid == 0;
    if (given->count_max <= 0 || given->size_max <= 0 || given->count_max > (super ? COUNT_HARD_MAX : COUNT_MAX) ||
        given->size_max > (super ? SIZE_HARD_MAX : SIZE_MAX_USER))
        return -EINVAL;
    uint64_t charged = 0;
    int64_t error = charge((uint64_t)given->count_max, (uint64_t)given->size_max, limit, &charged);
    if (error == 0)
        error = ipc_new(IPC_MQ, IPC_PRIVATE, mode, 0, &object);
    if (error != 0)
        return error;
    struct mqueue *queue = mqueue_of(object);
    queue->messages = (struct ipc_queue){.sent = queue->messages.sent, .received = queue->messages.received};
    queue->size_max = (uint64_t)given->size_max;
    queue->count_max = (uint32_t)given->count_max;
    queue->charged = charged;
    queue->unlinked = 0;
    queue->notified = 0;
    memset(queue->pollers, 0, sizeof queue->pollers);
    memcpy(queue->name, name, NAME_SIZE);
    ipc_publish(object);
    *out = queue;
    return 0;
}

static int64_t find_or_create(const char *name, uint32_t flags, uint32_t mode, const struct guest_attributes *given,
                              uint64_t limit, struct mqueue **out)
{
    static const uint32_t wanted[] = {[O_RDONLY] = IPC_READ, [O_WRONLY] = IPC_WRITE, [O_RDWR] = IPC_READ | IPC_WRITE};
    int64_t error = 0;
    *out = find(name);
    if (!*out)
        error = flags & O_CREAT ? create(name, mode, given, limit, out) : -ENOENT;
    else if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        error = -EEXIST;
    else if (!ipc_permits(&(*out)->object, wanted[flags & O_ACCMODE]))
        error = -EACCES;
    return error < 0 ? error : ipc_hold(&(*out)->object);
}

int64_t sys_mq_open(guest_t from, uint32_t flags, uint32_t mode, guest_t attributes)
{
    struct guest_attributes given = {.count_max = COUNT_DEFAULT, .size_max = SIZE_DEFAULT};
    char name[NAME_SIZE] = {0};
    struct mqueue *queue;
    uint64_t limit, hard;
    if ((flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    if (flags & O_CREAT && attributes && copy_in(&given, attributes, sizeof given) < 0)
        return -EFAULT;
    int64_t result = queue_name(from, name);
    if (result < 0)
        return result;
    limit_get(RLIMIT_MSGQUEUE, &limit, &hard);
    mode &= ~fs_umask(current_process()->fs);
    struct file *file = file_new(&mqueue_ops, PAL_NO_HANDLE, flags & (O_ACCMODE | O_NONBLOCK));
    if (!file)
        return -ENOMEM;
    ipc_lock();
    result = find_or_create(name, flags, mode, &given, limit, &queue);
    ipc_unlock();
    if (result < 0) {
        file_put(file);
        return result;
    }
    file->data = queue;
    return fd_install(file, O_CLOEXEC, 0);
}

int64_t sys_mq_unlink(guest_t from)
{
    char name[NAME_SIZE];
    int64_t result = queue_name(from, name);
    if (result < 0)
        return result;
    ipc_lock();
    struct mqueue *queue = find(name);
    if (!queue) {
        result = -ENOENT;
    } else if (!ipc_owned(&queue->object)) {
        result = -EACCES;
    } else {
        queue->unlinked = 1;
        if (!ipc_holders(&queue->object))
            destroy(queue);
    }
    ipc_unlock();
    return result;
}

/* ---- Sending and receiving --------------------------------------------------------------------------------------- */

/* Caller holds the lock.  The queue has changed. */
static void pollers_take(struct mqueue *queue, struct notice *notice)
{
    queue->edges++;
    for (uint32_t i = 0; i < POLLERS; i++) {
        if (queue->pollers[i])
            notice->pollers[notice->poller_count++] = queue->pollers[i];
        queue->pollers[i] = 0;
    }
}

static void notice_send(const struct notice *notice)
{
    struct siginfo info = {.signo = notice->signal, .code = SI_MESGQ};
    for (uint32_t i = 0; i < notice->poller_count; i++)
        wait_kick_process((int)notice->pollers[i]);
    if (!notice->pid)
        return;
    info.user.pid = current_process()->pid;
    info.user.uid = current_process()->uid;
    info.user.value = notice->value;
    signal_send_process(notice->pid, &info);
}

/* The first message has come to an empty queue, and nobody waits: who asked is told, once.  Caller holds the lock. */
static void notified_take(struct mqueue *queue, struct notice *notice)
{
    if (queue->messages.count != 1 || queue->messages.receivers || !queue->notified)
        return;
    if (queue->notify == SIGEV_SIGNAL) {
        notice->pid = queue->notified;
        notice->signal = queue->signal;
        notice->value = queue->value;
    }
    queue->notified = 0;
}

/* Behind all of its priority and above. */
static uint32_t place_of(const struct ipc_queue *messages, uint32_t priority)
{
    uint32_t before = 0;
    if (messages->last && ipc_message_type(messages->last) >= (int64_t)priority)
        return messages->last;
    for (uint32_t at = messages->first; at && ipc_message_type(at) >= (int64_t)priority; at = ipc_message_next(at))
        before = at;
    return before;
}

/* Caller holds the lock.  0 when the queue has room (sends) or a message. */
static int64_t await(const struct file *file, bool sends, uint64_t deadline)
{
    struct mqueue *queue = file->data;
    struct ipc_queue *messages = &queue->messages;
    while (sends ? messages->count >= queue->count_max : !messages->count) {
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        int64_t waited = sends ? ipc_wait(&messages->received, &messages->senders, deadline)
                               : ipc_wait(&messages->sent, &messages->receivers, deadline);
        if (waited < 0 && (sends ? messages->count >= queue->count_max : !messages->count))
            return waited == -EINTR ? -ERESTARTSYS : waited;
    }
    return 0;
}

static int64_t send(const struct file *file, const void *bytes, uint64_t size, uint32_t priority, uint64_t deadline)
{
    struct mqueue *queue = file->data;
    struct notice notice = {0};
    bool awaited = false;
    ipc_lock();
    int64_t result = await(file, true, deadline);
    uint32_t message = result == 0 ? ipc_message_new((int64_t)priority, bytes, size) : 0;
    if (message) {
        ipc_queue_add(&queue->messages, place_of(&queue->messages, priority), message);
        ipc_happened(&queue->messages.sent);
        awaited = queue->messages.receivers;
        pollers_take(queue, &notice);
        notified_take(queue, &notice);
    }
    ipc_unlock();
    if (result == 0 && !message)
        return -ENOMEM;
    if (awaited)
        ipc_wake(&queue->messages.sent);
    notice_send(&notice);
    return result;
}

/* What a timed call works with: the queue, until when, and room for one message. */
struct transfer {
    struct file *file;
    uint64_t deadline;
    uint8_t *bytes, few[FEW_BYTES];
};

static int64_t transfer_begin(struct transfer *transfer, int32_t fd, guest_t timeout)
{
    transfer->file = NULL;
    transfer->bytes = transfer->few;
    int64_t result = futex_deadline(timeout, true, &transfer->deadline);
    return result ? result : mqueue_get(fd, &transfer->file);
}

static int64_t transfer_room(struct transfer *transfer, uint64_t size)
{
    if (size > sizeof transfer->few)
        transfer->bytes = alloc(size);
    return transfer->bytes ? 0 : -ENOMEM;
}

static void transfer_end(struct transfer *transfer)
{
    if (transfer->bytes != transfer->few)
        release(transfer->bytes);
    file_put(transfer->file);
}

int64_t sys_mq_timedsend(int32_t fd, guest_t from, uint64_t size, uint32_t priority, guest_t timeout)
{
    struct transfer transfer;
    if (priority >= PRIORITY_MAX)
        return -EINVAL;
    int64_t result = transfer_begin(&transfer, fd, timeout);
    if (result != 0)
        return result;
    if (!file_writable(transfer.file))
        result = -EBADF;
    else if (size > ((struct mqueue *)transfer.file->data)->size_max)
        result = -EMSGSIZE;
    else
        result = transfer_room(&transfer, size);
    if (result == 0)
        result = copy_in(transfer.bytes, from, size);
    if (result == 0)
        result = send(transfer.file, transfer.bytes, size, priority, transfer.deadline);
    transfer_end(&transfer);
    return result;
}

/* `bytes` has room for the queue's longest. */
static int64_t receive(const struct file *file, void *bytes, uint32_t *priority, uint64_t deadline)
{
    struct mqueue *queue = file->data;
    struct notice notice = {0};
    bool awaited = false;
    ipc_lock();
    int64_t result = await(file, false, deadline);
    if (result == 0) {
        uint32_t message = ipc_queue_take(&queue->messages, 0);
        result = (int64_t)ipc_message_size(message);
        *priority = (uint32_t)ipc_message_type(message);
        ipc_message_read(message, bytes, (uint64_t)result);
        ipc_message_free(message);
        ipc_happened(&queue->messages.received);
        awaited = queue->messages.senders;
        pollers_take(queue, &notice);
    }
    ipc_unlock();
    if (awaited)
        ipc_wake(&queue->messages.received);
    notice_send(&notice);
    return result;
}

int64_t sys_mq_timedreceive(int32_t fd, guest_t to, uint64_t size, guest_t priority_to, guest_t timeout)
{
    struct transfer transfer;
    uint32_t priority = 0;
    int64_t result = transfer_begin(&transfer, fd, timeout);
    if (result != 0)
        return result;
    uint64_t most = ((struct mqueue *)transfer.file->data)->size_max;
    if (!file_readable(transfer.file))
        result = -EBADF;
    else if (size < most)
        result = -EMSGSIZE;
    else
        result = transfer_room(&transfer, most);
    if (result == 0)
        result = receive(transfer.file, transfer.bytes, &priority, transfer.deadline);
    if (result >= 0 && ((priority_to && guest_store32(priority_to, priority) < 0) ||
                        copy_out(to, transfer.bytes, (size_t)result) < 0))
        result = -EFAULT;
    transfer_end(&transfer);
    return result;
}

/* ---- mq_notify, mq_getsetattr ------------------------------------------------------------------------------------ */

int64_t sys_mq_notify(int32_t fd, guest_t event)
{
    struct { uint64_t value; int32_t signal, notify; } given = {0};
    struct file *file = NULL;
    if (event && copy_in(&given, event, sizeof given) < 0)
        return -EFAULT;
    if (event && given.notify != SIGEV_SIGNAL && given.notify != SIGEV_NONE) {
        if (given.notify == SIGEV_THREAD) /* by way of a netlink socket, which there is none of */
            note_unsupported("mq_notify by thread", (uint64_t)given.notify);
        return -EINVAL;
    }
    if (event && given.notify == SIGEV_SIGNAL && (given.signal < 0 || given.signal > SIGNAL_COUNT))
        return -EINVAL;
    int64_t result = mqueue_get(fd, &file);
    if (result < 0)
        return result;
    struct mqueue *queue = file->data;
    int32_t pid = current_process()->pid;
    ipc_lock();
    if (!event) {
        queue->notified = queue->notified == pid ? 0 : queue->notified;
    } else if (queue->notified) {
        result = -EBUSY;
    } else {
        queue->notify = given.notify;
        queue->signal = given.signal;
        queue->value = given.value;
        queue->notified = pid;
    }
    ipc_unlock();
    file_put(file);
    return result;
}

int64_t sys_mq_getsetattr(int32_t fd, guest_t new, guest_t old)
{
    struct guest_attributes given, was = {0};
    struct file *file = NULL;
    if (new && copy_in(&given, new, sizeof given) < 0)
        return -EFAULT;
    if (new && given.flags & ~(int64_t)O_NONBLOCK)
        return -EINVAL;
    int64_t result = mqueue_get(fd, &file);
    if (result < 0)
        return result;
    const struct mqueue *queue = file->data;
    ipc_lock();
    was.count = queue->messages.count;
    ipc_unlock();
    was.count_max = queue->count_max;
    was.size_max = (int64_t)queue->size_max;
    mutex_lock(&file->lock);
    was.flags = file->flags & O_NONBLOCK;
    if (new)
        file->flags = (file->flags & ~O_NONBLOCK) | ((uint32_t)given.flags & O_NONBLOCK);
    mutex_unlock(&file->lock);
    file_put(file);
    return old && copy_out(old, &was, sizeof was) < 0 ? -EFAULT : 0;
}
