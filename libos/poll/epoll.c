/* SPDX-License-Identifier: MIT */
/*
 * epoll: a host poll set, so that a wait costs the same however many descriptors are idle, and fork shares it.
 *
 * Files with a handle are registered with the host under the guest's own data word: a wait translates nothing.  The
 * host knows one registration for each handle, Linux one for each (descriptor, description): a second descriptor of the
 * same description gets a handle of its own.  Objects whose readiness is made here (timerfd, signalfd, nested sets that
 * hold such) are on a list of ours besides.
 *
 * Only weak pointers to files are held: file->watched makes fd.c tell us of their end.
 */
#include "libos/syscalls.h"
#include "libos/poll/readiness.h"

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EXCLUSIVE_ALLOWED (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLET | EPOLLEXCLUSIVE | (1u << 29) /* WAKEUP */)
#define AT_ONCE 64u /* events moved by one wait on members of our own; Linux may return fewer than asked for, too */
#define NO_EDGE UINT64_MAX

struct member {
    struct member *next;
    struct file *file;
    int fd;
    pal_handle_t handle; /* an own duplicate, registered with the host; or PAL_NO_HANDLE: asked here */
    struct pal_poll_event event;
    bool disabled;       /* EPOLLONESHOT has fired */
    uint64_t edge;       /* EPOLLET: what was reported last */
};

struct epoll {
    struct epoll *next;
    struct member *members;
    uint32_t own_count; /* members that are asked here */
    uint32_t owner_count;
    int *owners;        /* by handle: the descriptor that registered it, plus 1 */
    pal_handle_t handle; /* the set's */
};

/* Guards all epolls' lists.  Outside signal and file locks. */
static struct mutex epolls_lock;
static struct epoll *epolls;

/* ---- Members that are asked here --------------------------------------------------------------------------------- */

static uint32_t members_ready(const struct epoll *epoll);

static uint32_t member_bits(const struct member *member)
{
    if (member->handle != PAL_NO_HANDLE || member->disabled)
        return 0;
    struct file *file = member->file;
    uint32_t bits = file->ops == &epoll_ops ? members_ready(file->data) : file->ops->ready(file);
    return bits & (member->event.events | POLLERR | POLLHUP);
}

/* As a set inside another: is one of ours ready?  Caller holds epolls_lock; the host allows nesting 5 deep. */
static uint32_t members_ready(const struct epoll *epoll)
{
    for (const struct member *member = epoll->members; member; member = member->next)
        if (member_bits(member) && (!(member->event.events & EPOLLET) || wait_edge(member->file) != member->edge))
            return POLLIN | POLLRDNORM;
    return 0;
}

static uint32_t collect(struct epoll *epoll, struct pal_poll_event *events, uint32_t most)
{
    uint32_t count = 0;
    mutex_lock(&epolls_lock);
    for (struct member *member = epoll->members; member && count < most; member = member->next) {
        uint32_t bits = member_bits(member);
        if (!bits)
            continue;
        uint64_t edge = wait_edge(member->file);
        if (member->event.events & EPOLLET && edge == member->edge)
            continue;
        member->edge = edge;
        member->disabled = (member->event.events & EPOLLONESHOT) != 0;
        events[count++] = (struct pal_poll_event){bits, member->event.data};
    }
    mutex_unlock(&epolls_lock);
    return count;
}

static uint64_t members_deadline(const struct epoll *epoll)
{
    uint64_t deadline = PAL_FOREVER;
    for (const struct member *member = epoll->members; member; member = member->next) {
        if (member->handle != PAL_NO_HANDLE || member->disabled)
            continue;
        uint64_t next = member->file->ops == &epoll_ops ? members_deadline(member->file->data)
                                                        : wait_deadline(member->file);
        deadline = MIN(deadline, next);
    }
    return deadline;
}

uint64_t epoll_deadline(struct file *file)
{
    mutex_lock(&epolls_lock);
    uint64_t deadline = members_deadline(file->data);
    mutex_unlock(&epolls_lock);
    return deadline;
}

static sigset_t members_signals(const struct epoll *epoll)
{
    sigset_t signals = 0;
    for (const struct member *member = epoll->members; member; member = member->next) {
        struct file *file = member->file;
        if (member->handle == PAL_NO_HANDLE)
            signals |= file->ops == &epoll_ops ? members_signals(file->data) : wait_signals(file);
    }
    return signals;
}

sigset_t epoll_signals(struct file *file)
{
    mutex_lock(&epolls_lock);
    sigset_t signals = members_signals(file->data);
    mutex_unlock(&epolls_lock);
    return signals;
}

static uint32_t epoll_ready(struct file *file)
{
    mutex_lock(&epolls_lock);
    uint32_t bits = members_ready(file->data);
    mutex_unlock(&epolls_lock);
    return bits;
}

/* ---- Making and unmaking ----------------------------------------------------------------------------------------- */

/* The place that points to the member, or to NULL at the end.  Caller holds epolls_lock. */
static struct member **member_find(struct epoll *epoll, int fd, const struct file *file)
{
    struct member **at = &epoll->members;
    while (*at && !((*at)->fd == fd && (*at)->file == file))
        at = &(*at)->next;
    return at;
}

static void member_drop(struct epoll *epoll, struct member **at)
{
    struct member *member = *at;
    *at = member->next;
    if (member->handle == PAL_NO_HANDLE)
        epoll->own_count--;
    else
        PAL->handle_close(member->handle);
    release(member);
}

void epoll_forget(struct file *file)
{
    mutex_lock(&epolls_lock);
    for (struct epoll *epoll = epolls; epoll; epoll = epoll->next) {
        for (struct member **at = &epoll->members; *at;) {
            if ((*at)->file == file)
                member_drop(epoll, at);
            else
                at = &(*at)->next;
        }
    }
    mutex_unlock(&epolls_lock);
}

static void epoll_destroy(struct file *file)
{
    struct epoll *epoll = file->data;
    if (!epoll)
        return;
    mutex_lock(&epolls_lock);
    for (struct epoll **at = &epolls; *at; at = &(*at)->next) {
        if (*at == epoll) {
            *at = epoll->next;
            break;
        }
    }
    while (epoll->members)
        member_drop(epoll, &epoll->members);
    mutex_unlock(&epolls_lock);
    release(epoll->owners);
    release(epoll);
}

static void epoll_fork_child(struct file *file)
{
    (void)file;
    mutex_reset(&epolls_lock);
    wait_fork_child();
}

const struct file_ops epoll_ops = {
    .kind = "anon_inode:[eventpoll]",
    .seek = anonymous_seek,
    .attributes = anonymous_attributes,
    .ready = epoll_ready,
    .destroy = epoll_destroy,
    .fork_child = epoll_fork_child,
};

int64_t sys_epoll_create1(uint32_t flags)
{
    pal_handle_t handle;
    if (flags & ~O_CLOEXEC)
        return -EINVAL;
    int64_t result = PAL->object_create(PAL_OBJECT_POLL_SET, 0, 0, &handle);
    if (result < 0)
        return result;
    struct file *file = file_new(&epoll_ops, handle, O_RDWR);
    if (!file) {
        PAL->handle_close(handle);
        return -ENOMEM;
    }
    struct epoll *epoll = alloc_zero(sizeof *epoll);
    file->data = epoll;
    if (!epoll) {
        file_put(file);
        return -ENOMEM;
    }
    epoll->handle = handle;
    mutex_lock(&epolls_lock);
    epoll->next = epolls;
    epolls = epoll;
    mutex_unlock(&epolls_lock);
    return fd_install(file, flags, 0);
}

int64_t sys_epoll_create(int32_t size)
{
    return size <= 0 ? -EINVAL : sys_epoll_create1(0);
}

/* ---- Control ----------------------------------------------------------------------------------------------------- */

static int64_t owner_set(struct epoll *epoll, pal_handle_t handle, int owner)
{
    if ((uint32_t)handle >= epoll->owner_count) {
        uint32_t count = MAX((uint32_t)handle + 1, epoll->owner_count * 2);
        int *owners = alloc_zero(count * sizeof *owners);
        if (!owners)
            return -ENOMEM;
        if (epoll->owner_count)
            memcpy(owners, epoll->owners, epoll->owner_count * sizeof *owners);
        release(epoll->owners);
        epoll->owners = owners;
        epoll->owner_count = count;
    }
    epoll->owners[handle] = owner;
    return 0;
}

static int owner_get(const struct epoll *epoll, pal_handle_t handle)
{
    return (uint32_t)handle < epoll->owner_count ? epoll->owners[handle] : 0;
}

static int64_t member_add(struct epoll *epoll, struct file *file, int fd, pal_handle_t handle,
                          const struct pal_poll_event *event)
{
    struct member *member = alloc_zero(sizeof *member);
    if (!member)
        return -ENOMEM;
    *member = (struct member){epoll->members, file, fd, handle, *event, false, NO_EDGE};
    epoll->members = member;
    if (handle == PAL_NO_HANDLE)
        epoll->own_count++;
    file->watched = 1;
    return 0;
}

/* The description is registered through another descriptor: this one gets a handle of its own. */
static int64_t add_duplicate(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    uint64_t token;
    pal_handle_t handle;
    int64_t result = PAL->handle_export(file->handle, &token);
    if (!result)
        result = PAL->handle_import(token, &handle);
    if (result)
        return result;
    result = PAL->poll_set_update(set->handle, PAL_POLL_ADD, handle, event);
    if (!result)
        result = member_add(set->data, file, fd, handle, event);
    if (result)
        PAL->handle_close(handle);
    return result;
}

/* No memory: the guest hears of nothing more than the host's silence, as with a member that was removed. */
void epoll_file_has_handle(struct file *file)
{
    mutex_lock(&epolls_lock);
    for (struct epoll *epoll = epolls; epoll; epoll = epoll->next) {
        for (struct member **at = &epoll->members; *at;) {
            struct member member = **at;
            if (member.file != file || member.handle != PAL_NO_HANDLE) {
                at = &(*at)->next;
                continue;
            }
            member_drop(epoll, at);
            if (!PAL->poll_set_update(epoll->handle, PAL_POLL_ADD, file->handle, &member.event))
                owner_set(epoll, file->handle, member.fd + 1);
        }
    }
    mutex_unlock(&epolls_lock);
}

/* The next three: caller holds epolls_lock. */
static int64_t control_add(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    struct epoll *epoll = set->data;
    int64_t result = 0;
    if (*member_find(epoll, fd, file))
        return -EEXIST;
    if (file->handle == PAL_NO_HANDLE && !file->ops->ready)
        return -EPERM;
    if (file->handle != PAL_NO_HANDLE) {
        result = PAL->poll_set_update(set->handle, PAL_POLL_ADD, file->handle, event);
        if (result == -EEXIST && owner_get(epoll, file->handle) != fd + 1)
            return add_duplicate(set, file, fd, event);
        if (!result)
            result = owner_set(epoll, file->handle, fd + 1);
    }
    return !result && file->ops->ready ? member_add(epoll, file, fd, PAL_NO_HANDLE, event) : result;
}

static int64_t control_change(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    struct member *member = *member_find(set->data, fd, file);
    pal_handle_t handle = member && member->handle != PAL_NO_HANDLE ? member->handle : file->handle;
    if (!member && (handle == PAL_NO_HANDLE || owner_get(set->data, handle) != fd + 1))
        return -ENOENT;
    if (event->events & EPOLLEXCLUSIVE || (member && member->event.events & EPOLLEXCLUSIVE))
        return -EINVAL;
    int64_t result = handle == PAL_NO_HANDLE ? 0 : PAL->poll_set_update(set->handle, PAL_POLL_CHANGE, handle, event);
    if (!result && member) {
        member->event = *event;
        member->disabled = false;
        member->edge = NO_EDGE;
    }
    return result;
}

static int64_t control_remove(struct file *set, struct file *file, int fd)
{
    struct epoll *epoll = set->data;
    struct member **at = member_find(epoll, fd, file);
    bool duplicate = *at && (*at)->handle != PAL_NO_HANDLE;
    pal_handle_t handle = duplicate ? (*at)->handle : file->handle;
    if (!*at && (handle == PAL_NO_HANDLE || owner_get(epoll, handle) != fd + 1))
        return -ENOENT;
    int64_t result = handle == PAL_NO_HANDLE ? 0 : PAL->poll_set_update(set->handle, PAL_POLL_REMOVE, handle, NULL);
    if (!result && !duplicate && handle != PAL_NO_HANDLE)
        epoll->owners[handle] = 0;
    if (*at)
        member_drop(epoll, at);
    return result;
}

static int64_t control(struct file *set, int32_t operation, struct file *file, int fd,
                       const struct pal_poll_event *event)
{
    if (set == file || set->ops != &epoll_ops)
        return -EINVAL;
    bool exclusive = operation != EPOLL_CTL_DEL && event->events & EPOLLEXCLUSIVE;
    if (exclusive && (operation == EPOLL_CTL_MOD || file->ops == &epoll_ops || event->events & ~EXCLUSIVE_ALLOWED))
        return -EINVAL;
    switch (operation) {
    case EPOLL_CTL_ADD:
        return control_add(set, file, fd, event);
    case EPOLL_CTL_MOD:
        return control_change(set, file, fd, event);
    case EPOLL_CTL_DEL:
        return control_remove(set, file, fd);
    default:
        return -EINVAL;
    }
}

int64_t sys_epoll_ctl(int32_t set_fd, int32_t operation, int32_t fd, guest_t from)
{
    struct pal_poll_event event = {0};
    if (operation != EPOLL_CTL_DEL && copy_in(&event, from, sizeof event))
        return -EFAULT;
    struct file *set = file_get_io(set_fd), *file = file_get_io(fd);
    int64_t result = -EBADF;
    if (set && file) {
        mutex_lock(&epolls_lock);
        result = control(set, operation, file, fd, &event);
        mutex_unlock(&epolls_lock);
        if (!result && file->ops->ready)
            wait_kick();
    }
    if (set)
        file_put(set);
    if (file)
        file_put(file);
    return result;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

/* What is ready is told though a signal is pending: see poll.c's host_wait. */
static int64_t host_wait(pal_handle_t set, struct pal_poll_event *events, uint32_t most, uint64_t deadline)
{
    int64_t result = atomic_get(&tcb()->interrupted) ? -EINTR : 0;
    if (deadline && (result = PAL->poll_set_wait(set, events, most, deadline)) != -EINTR)
        return result;
    int64_t found = PAL->poll_set_wait(set, events, most, 0);
    return found ? found : result;
}

/* Events found, or a negative code: -EINTR where nothing was found. */
static int64_t wait_both(struct file *set, struct pal_poll_event *events, uint32_t most, uint64_t deadline)
{
    for (;;) {
        uint64_t next = epoll_deadline(set); /* asked before we look: see mqueue_deadline */
        uint32_t own = collect(set->data, events, most);
        uint64_t until = own ? 0 : MIN(deadline, next);
        int64_t found = own < most ? host_wait(set->handle, events + own, most - own, until) : 0;
        if (found == -EINTR && !own)
            own = collect(set->data, events, most); /* perhaps a signal that a signalfd of ours reads */
        if (found == -EINTR && own)
            found = 0;
        if (found < 0)
            return found;
        if (own || found || until >= deadline)
            return own + found;
    }
}

static int64_t wait_events(int32_t fd, guest_t to, int32_t count, uint64_t deadline)
{
    struct pal_poll_event events[AT_ONCE];
    if (count <= 0 || (uint32_t)count > INT32_MAX / sizeof *events)
        return -EINVAL;
    if (!guest_range_ok(to, (uint64_t)count * sizeof *events))
        return -EFAULT;
    struct file *set = file_get_io(fd);
    if (!set)
        return -EBADF;
    int64_t found = -EINVAL;
    if (set->ops == &epoll_ops) {
        const struct epoll *epoll = set->data;
        bool others = deadline && !alone(); /* they might add such members meanwhile */
        if (others || epoll->own_count) {
            struct waiter waiter;
            wait_begin(&waiter, epoll_signals(set));
            found = wait_both(set, events, MIN((uint32_t)count, AT_ONCE), deadline);
            wait_end(&waiter);
            if (found > 0 && copy_out(to, events, (size_t)found * sizeof *events))
                found = -EFAULT;
        } else {
            found = host_wait(set->handle, (struct pal_poll_event *)to, (uint32_t)count, deadline);
        }
    }
    file_put(set);
    return found == -EINTR ? -ERESTARTNOHAND : found;
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
    return timeout_ns ? call_deadline(timeout_ns) : 0;
}

static uint64_t deadline_ms(int32_t timeout)
{
    return deadline_of(timeout < 0 ? UINT64_MAX : (uint64_t)timeout * 1000000u);
}

int64_t sys_epoll_wait(int32_t set, guest_t events, int32_t count, int32_t timeout)
{
    return wait_events(set, events, count, deadline_ms(timeout));
}

int64_t sys_epoll_pwait(int32_t set, guest_t events, int32_t count, int32_t timeout, guest_t mask, uint64_t size)
{
    int64_t result = signal_mask_for_call(mask, size);
    return result ? result : signal_mask_done(wait_events(set, events, count, deadline_ms(timeout)));
}

int64_t sys_epoll_pwait2(int32_t set, guest_t events, int32_t count, guest_t timeout, guest_t mask, uint64_t size)
{
    uint64_t timeout_ns;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (!result)
        result = signal_mask_for_call(mask, size);
    return result ? result : signal_mask_done(wait_events(set, events, count, deadline_of(timeout_ns)));
}
