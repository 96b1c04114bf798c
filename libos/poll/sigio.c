/* SPDX-License-Identifier: MIT */
/*
 * SIGIO (fcntl(2), O_ASYNC): a helper thread waits, edge-triggered, on a set of the files whose owners want to be told, and
 * sends their signals.  The host's own O_ASYNC is not admitted: it signals whom the guest names.
 *
 * An edge is a set's, not a byte's: what comes while the helper is on its way makes one signal.  As on Linux what is
 * ready when O_ASYNC is set makes none, and room is told of only after a call found none.
 */
#include "libos/poll/epoll.h"
#include "libos/signal/signal.h"

#define AT_ONCE 16u
enum reason { NOTHING, POLL_IN, POLL_OUT, POLL_MSG, POLL_ERR, POLL_PRI, POLL_HUP }; /* siginfo's codes */
static const uint16_t bands[] = {
    [POLL_IN] = POLLIN | POLLRDNORM, [POLL_OUT] = POLLOUT | POLLWRNORM | POLLWRBAND, [POLL_ERR] = POLLERR,
    [POLL_PRI] = POLLPRI | POLLRDBAND, [POLL_HUP] = POLLHUP | POLLERR,
};

struct watch {
    struct hash_node by_number; /* of the description: the event's data */
    struct file *file;
    int fd;      /* by which O_ASYNC was set: si_fd */
    bool stale;  /* the set still has to tell what was ready before */
    bool full;   /* room is to be told of */
    bool hung_up;
};

struct told {
    int32_t owner, fd;
    uint8_t type, signal, reason;
};

static struct mutex sigio_lock; /* guards all here.  Outside epoll's and signals' locks */
static struct hash watches;
static struct file *set; /* of this picoprocess */
static struct helper helper;

static struct watch *watch_find(uint64_t number)
{
    struct hash_node *at = hash_find(&watches, number);
    return at ? container_of(at, struct watch, by_number) : NULL;
}

/* Of sockets and terminals room is asked for only while it is to be told of: else it would come with each byte that the
 * other end takes. */
static struct pal_poll_event event_of(const struct watch *watch)
{
    const struct file *file = watch->file;
    bool room = watch->full || (file->type == PAL_TYPE_FIFO && file_writable(file));
    return (struct pal_poll_event){POLLIN | POLLPRI | POLLRDHUP | EPOLLET | (room ? POLLOUT : 0), file->number};
}

/* Caller holds sigio_lock. */
static void full_set(struct watch *watch, bool full)
{
    watch->full = full;
    struct pal_poll_event event = event_of(watch);
    epoll_change(set, EPOLL_CTL_MOD, watch->file, watch->fd, &event);
}

/* ---- What happened ----------------------------------------------------------------------------------------------- */

static enum reason take_reason(struct watch *watch, uint32_t bits)
{
    const struct file *file = watch->file;
    if (watch->stale) {
        watch->stale = false;
        return NOTHING;
    }
    if (file->type == PAL_TYPE_FIFO) /* also when the other end is closed */
        return file_readable(file) && bits & (POLLIN | POLLHUP) ? POLL_IN : POLL_OUT;
    if (bits & POLLHUP && !watch->hung_up) {
        watch->hung_up = true;
        return POLL_HUP;
    }
    if (bits & (POLLIN | POLLRDHUP))
        return POLL_IN;
    if (bits & POLLERR)
        return POLL_ERR;
    if (!(bits & POLLOUT) || !watch->full)
        return bits & POLLPRI ? POLL_PRI : NOTHING;
    full_set(watch, false);
    return POLL_OUT;
}

static uint32_t find_told(const struct pal_poll_event *events, uint32_t count, struct told *out)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct watch *watch = watch_find(events[i].data);
        enum reason reason = watch ? take_reason(watch, events[i].events) : NOTHING;
        const struct file *file = watch ? watch->file : NULL;
        if (reason && file->owner)
            out[found++] = (struct told){file->owner, watch->fd, file->owner_type, file->owner_signal, (uint8_t)reason};
    }
    return found;
}

static void tell(const struct told *told)
{
    static const struct siginfo plain = {.signo = SIGIO, .code = SI_KERNEL};
    struct siginfo info = {.signo = told->signal, .code = told->reason,
                           .poll = {.band = bands[told->reason], .fd = told->fd}};
    int64_t result = told->signal ? signal_send_owner(told->owner, told->type, &info) : -EAGAIN;
    if (result == -EAGAIN || result == -EBUSY) /* no room in the queue */
        signal_send_owner(told->owner, told->type, &plain);
}

static void help(void *argument)
{
    (void)argument;
    for (;;) {
        struct pal_poll_event events[AT_ONCE];
        struct told told[AT_ONCE];
        int64_t count = epoll_take(set, events, AT_ONCE, PAL_FOREVER);
        if (atomic_swap(&tcb()->interrupted, 0u))
            signal_forward_interrupt(); /* it may have been meant for another thread */
        mutex_lock(&sigio_lock);
        uint32_t found = count > 0 ? find_told(events, (uint32_t)count, told) : 0;
        mutex_unlock(&sigio_lock);
        for (uint32_t i = 0; i < found; i++)
            tell(&told[i]);
    }
}

/* ---- Which files ------------------------------------------------------------------------------------------------- */

static int64_t begin(void)
{
    int64_t error = set ? 0 : epoll_new(&set);
    return error ? error : helper_start(&helper, help, NULL);
}

/* Caller holds sigio_lock. */
static void watch_drop(struct watch *watch)
{
    epoll_change(set, EPOLL_CTL_DEL, watch->file, watch->fd, NULL);
    hash_remove(&watches, &watch->by_number);
    release(watch);
}

/* What is ready already is taken from the set at once, unless the helper was quicker: it then has just that. */
static void take_old(struct watch *watch)
{
    struct pal_poll_event events[AT_ONCE];
    struct told told[AT_ONCE];
    watch->stale = true;
    int64_t count = epoll_take(set, events, AT_ONCE, 0);
    uint32_t found = count > 0 ? find_told(events, (uint32_t)count, told) : 0;
    for (uint32_t i = 0; i < found; i++)
        tell(&told[i]);
}

static bool is_ready(struct file *file, uint32_t events)
{
    struct pal_poll entry = {file->handle, (int16_t)events, 0};
    bool local = file->ops->ready && file->ops->ready(file) & (events | POLLERR | POLLHUP);
    return local || (file->handle != PAL_NO_HANDLE && PAL->poll(&entry, 1, 0) > 0);
}

/* Caller holds sigio_lock. */
static int64_t watch_add(struct file *file, int fd)
{
    int64_t error = begin();
    struct watch *watch = error ? NULL : alloc_zero(sizeof *watch);
    if (!watch)
        return error ? error : -ENOMEM;
    watch->file = file;
    watch->fd = fd;
    struct pal_poll_event event = event_of(watch);
    bool ready = is_ready(file, event.events);
    error = epoll_change(set, EPOLL_CTL_ADD, file, fd, &event);
    if (error) {
        release(watch);
        return error;
    }
    hash_insert(&watches, &watch->by_number, file->number);
    if (ready)
        take_old(watch);
    return 0;
}

static void flag_set(struct file *file, bool on)
{
    mutex_lock(&file->lock);
    file->flags = (file->flags & ~O_ASYNC) | (on ? O_ASYNC : 0);
    mutex_unlock(&file->lock);
}

int64_t sigio_watch(struct file *file, int fd, bool on)
{
    int64_t error = 0;
    mutex_lock(&sigio_lock);
    struct watch *watch = watch_find(file->number);
    if (on && !watch)
        error = watch_add(file, fd);
    else if (!on && watch)
        watch_drop(watch);
    if (!error)
        flag_set(file, on);
    mutex_unlock(&sigio_lock);
    return error;
}

void sigio_forget(struct file *file)
{
    mutex_lock(&sigio_lock);
    struct watch *watch = watch_find(file->number);
    if (watch)
        watch_drop(watch);
    mutex_unlock(&sigio_lock);
}

/* Set anew, the watch tells of room that has come since. */
void sigio_full(struct file *file)
{
    mutex_lock(&sigio_lock);
    struct watch *watch = watch_find(file->number);
    if (watch && !watch->full)
        full_set(watch, true);
    mutex_unlock(&sigio_lock);
}

/* The parent goes on telling: a description has one owner, whichever process set O_ASYNC. */
void sigio_fork_child(void)
{
    struct hash_node *at;
    mutex_reset(&sigio_lock);
    epolls_fork_child();
    while ((at = hash_walk(&watches, NULL))) {
        struct watch *watch = container_of(at, struct watch, by_number);
        hash_remove(&watches, at);
        release(watch);
    }
    if (set)
        file_put(set);
    set = NULL;
}
