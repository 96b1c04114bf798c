/* SPDX-License-Identifier: MIT */
/*
 * epoll: a host poll set, so that a wait costs the same however many descriptors are idle, and fork shares it.
 *
 * Files with a handle are registered with the host under the guest's own data word: a wait translates nothing.  The
 * host knows one registration for each handle, Linux one for each (descriptor, description): a second descriptor of the
 * same description gets a handle of its own.  Objects whose readiness is made here (timerfd, signalfd, nested sets that
 * hold such) are members of our own besides: epoll_local.c.
 *
 * Only weak pointers to files are held: file->watched has their end told to epoll_forget.
 */
#include "libos/syscalls.h"
#include "libos/poll/epoll.h"
#include "libos/signal/signal.h"

#define EPOLLEXCLUSIVE (1u << 28)
#define EXCLUSIVE_ALLOWED (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLET | EPOLLEXCLUSIVE | (1u << 29) /* WAKEUP */)
#define AT_ONCE 64u /* events of our own that need no memory */

static struct mutex epolls_lock; /* guards all sets.  Outside signal and file locks */
static struct hash members_by_file;

static uint32_t collect(struct epoll *epoll, struct pal_poll_event *events, uint32_t most)
{
    mutex_lock(&epolls_lock);
    uint32_t count = local_collect(epoll, events, most);
    mutex_unlock(&epolls_lock);
    return count;
}

static uint64_t deadline_of_local(struct epoll *epoll)
{
    mutex_lock(&epolls_lock);
    uint64_t deadline = local_deadline(epoll);
    mutex_unlock(&epolls_lock);
    return deadline;
}

uint64_t epoll_deadline(struct file *file)
{
    mutex_lock(&epolls_lock);
    uint64_t deadline = local_ready(file->data) ? PAL_FOREVER : local_deadline(file->data);
    mutex_unlock(&epolls_lock);
    return deadline;
}

sigset_t epoll_signals(struct file *file)
{
    mutex_lock(&epolls_lock);
    sigset_t signals = local_signals(file->data);
    mutex_unlock(&epolls_lock);
    return signals;
}

static uint32_t epoll_ready(struct file *file)
{
    mutex_lock(&epolls_lock);
    uint32_t bits = local_ready(file->data);
    mutex_unlock(&epolls_lock);
    return bits;
}

void epoll_touch(struct file *file)
{
    if (!file->watched)
        return;
    mutex_lock(&epolls_lock);
    for (struct hash_node *at = hash_find(&members_by_file, (uintptr_t)file); at; at = hash_find_next(at)) {
        struct member *member = container_of(at, struct member, by_file);
        if (member->kind != MEMBER_HOST)
            local_place(member);
    }
    mutex_unlock(&epolls_lock);
}

/* ---- Making and unmaking ----------------------------------------------------------------------------------------- */

/* Caller holds epolls_lock. */
static struct member *member_find(const struct epoll *epoll, int fd, const struct file *file)
{
    for (struct hash_node *at = hash_find(&epoll->members, (uint32_t)fd); at; at = hash_find_next(at)) {
        struct member *member = container_of(at, struct member, by_fd);
        if (member->file == file)
            return member;
    }
    return NULL;
}

static void member_drop(struct member *member)
{
    struct epoll *epoll = member->epoll;
    hash_remove(&epoll->members, &member->by_fd);
    hash_remove(&members_by_file, &member->by_file);
    if (member->kind == MEMBER_HOST) {
        if (member->handle != PAL_NO_HANDLE)
            PAL->handle_close(member->handle);
    } else {
        epoll->local_count--;
        local_remove(member);
    }
    release(member);
}

static void epoll_forget(struct file *file)
{
    struct hash_node *at;
    if (file->flags & O_ASYNC)
        sigio_forget(file);
    mutex_lock(&epolls_lock);
    while ((at = hash_find(&members_by_file, (uintptr_t)file)))
        member_drop(container_of(at, struct member, by_file));
    mutex_unlock(&epolls_lock);
}

static void epoll_destroy(struct file *file)
{
    struct epoll *epoll = file->data;
    struct hash_node *at;
    if (!epoll)
        return;
    mutex_lock(&epolls_lock);
    while ((at = hash_walk(&epoll->members, NULL)))
        member_drop(container_of(at, struct member, by_fd));
    mutex_unlock(&epolls_lock);
    hash_clear(&epoll->members);
    for (uint32_t clock = 0; clock < TIMER_CLOCKS; clock++)
        heap_clear(&epoll->timers[clock]);
    release(epoll->owners);
    release(epoll);
}

void epolls_fork_child(void)
{
    mutex_reset(&epolls_lock);
}

static void epoll_fork_child(struct file *file)
{
    (void)file;
    epolls_fork_child();
}

const struct file_ops epoll_ops = {
    .kind = "anon_inode:[eventpoll]",
    .seek = anonymous_seek,
    .attributes = anonymous_attributes,
    .ready = epoll_ready,
    .deadline = epoll_deadline,
    .signals = epoll_signals,
    .destroy = epoll_destroy,
    .fork_child = epoll_fork_child,
};

int64_t epoll_new(struct file **out)
{
    pal_handle_t handle;
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
    *out = file;
    return 0;
}

int64_t sys_epoll_create1(uint32_t flags)
{
    struct file *file;
    if (flags & ~O_CLOEXEC)
        return -EINVAL;
    int64_t result = epoll_new(&file);
    return result ? result : fd_install(file, flags, 0);
}

int64_t sys_epoll_create(int32_t size)
{
    return size <= 0 ? -EINVAL : sys_epoll_create1(0);
}

/* ---- Control ----------------------------------------------------------------------------------------------------- */

static int64_t owner_set(struct epoll *epoll, pal_handle_t handle, const struct owner *owner)
{
    if ((uint32_t)handle >= epoll->owner_count) {
        uint32_t count = MAX((uint32_t)handle + 1, epoll->owner_count * 2);
        struct owner *owners = alloc_zero(count * sizeof *owners);
        if (!owners)
            return -ENOMEM;
        if (epoll->owner_count)
            memcpy(owners, epoll->owners, epoll->owner_count * sizeof *owners);
        release(epoll->owners);
        epoll->owners = owners;
        epoll->owner_count = count;
    }
    epoll->owners[handle] = *owner;
    return 0;
}

static int owner_get(const struct epoll *epoll, pal_handle_t handle)
{
    return (uint32_t)handle < epoll->owner_count ? epoll->owners[handle].number : 0;
}

static void watch_end(struct file *file)
{
    file_watched_end = epoll_forget;
    file->watched = 1;
}

/* handle PAL_NO_HANDLE: it is asked here. */
static int64_t member_add(struct epoll *epoll, struct file *file, int fd, pal_handle_t handle,
                          const struct pal_poll_event *event)
{
    bool own = handle == PAL_NO_HANDLE;
    struct member *member = !own || !local_reserve(epoll) ? alloc_zero(sizeof *member) : NULL;
    if (!member)
        return -ENOMEM;
    member->epoll = epoll;
    member->file = file;
    member->fd = fd;
    member->kind = own ? local_kind(file) : MEMBER_HOST;
    member->handle = handle;
    member->event = *event;
    member->edge = NO_EDGE;
    hash_insert(&epoll->members, &member->by_fd, (uint32_t)fd);
    hash_insert(&members_by_file, &member->by_file, (uintptr_t)file);
    if (own) {
        epoll->local_count++;
        local_place(member);
    }
    watch_end(file);
    return 0;
}

/* A handle of the file's own besides its first one. */
static int64_t duplicate_of(const struct file *file, pal_handle_t *out)
{
    uint64_t token;
    int64_t result = PAL->handle_export(file->handle, &token);
    return result ? result : PAL->handle_import(token, out);
}

/* The description is registered through another descriptor: this one gets a handle of its own. */
static int64_t add_duplicate(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    pal_handle_t handle;
    int64_t result = duplicate_of(file, &handle);
    if (result)
        return result;
    result = PAL->poll_set_update(set->handle, PAL_POLL_ADD, handle, event);
    if (!result)
        result = member_add(set->data, file, fd, handle, event);
    if (result)
        PAL->handle_close(handle);
    return result;
}

/* Another descriptor of the file is registered by its handle. */
static void member_gets_duplicate(struct member *member)
{
    pal_handle_t handle;
    if (duplicate_of(member->file, &handle)) {
        member_drop(member);
        return;
    }
    member->epoll->local_count--;
    local_remove(member);
    member->kind = MEMBER_HOST;
    member->handle = handle;
    PAL->poll_set_update(member->epoll->handle, PAL_POLL_ADD, handle, &member->event);
}

/* No memory: the guest hears of nothing more than the host's silence, as with a member that was removed. */
void epoll_file_has_handle(struct file *file)
{
    mutex_lock(&epolls_lock);
    for (struct hash_node *at = hash_find(&members_by_file, (uintptr_t)file), *next; at; at = next) {
        struct member *member = container_of(at, struct member, by_file);
        struct epoll *epoll = member->epoll;
        next = hash_find_next(at);
        if (member->kind == MEMBER_HOST)
            continue;
        int64_t result = PAL->poll_set_update(epoll->handle, PAL_POLL_ADD, file->handle, &member->event);
        if (!result)
            owner_set(epoll, file->handle, &(struct owner){member->fd + 1, file, member->event});
        if (result == -EEXIST && owner_get(epoll, file->handle) != member->fd + 1)
            member_gets_duplicate(member);
        else if (!file->ops->ready)
            member_drop(member);
    }
    mutex_unlock(&epolls_lock);
}

/* Caller holds epolls_lock. */
static void duplicate_moved(struct member *member)
{
    PAL->poll_set_update(member->epoll->handle, PAL_POLL_REMOVE, member->handle, NULL);
    PAL->handle_close(member->handle);
    if (duplicate_of(member->file, &member->handle))
        member->handle = PAL_NO_HANDLE;
    else
        PAL->poll_set_update(member->epoll->handle, PAL_POLL_ADD, member->handle, &member->event);
}

void epoll_file_moved(struct file *file, pal_handle_t old)
{
    mutex_lock(&epolls_lock);
    for (struct hash_node *at = hash_find(&members_by_file, (uintptr_t)file); at; at = hash_find_next(at)) {
        struct member *member = container_of(at, struct member, by_file);
        if (member->kind == MEMBER_HOST) {
            duplicate_moved(member);
            continue;
        }
        PAL->poll_set_update(member->epoll->handle, PAL_POLL_REMOVE, old, NULL);
        if (owner_get(member->epoll, old) == member->fd + 1)
            member->epoll->owners[old].number = 0;
    }
    mutex_unlock(&epolls_lock);
    epoll_file_has_handle(file);
}

/* The next three: caller holds epolls_lock. */
static int64_t control_add(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    struct epoll *epoll = set->data;
    int64_t result = 0;
    if (member_find(epoll, fd, file))
        return -EEXIST;
    if (file->handle == PAL_NO_HANDLE && !file->ops->ready)
        return -EPERM;
    if (file->handle != PAL_NO_HANDLE) {
        result = PAL->poll_set_update(set->handle, PAL_POLL_ADD, file->handle, event);
        if (result == -EEXIST && owner_get(epoll, file->handle) != fd + 1)
            return add_duplicate(set, file, fd, event);
        if (!result)
            result = owner_set(epoll, file->handle, &(struct owner){fd + 1, file, *event});
    }
    return !result && file->ops->ready ? member_add(epoll, file, fd, PAL_NO_HANDLE, event) : result;
}

static int64_t control_change(struct file *set, struct file *file, int fd, const struct pal_poll_event *event)
{
    struct member *member = member_find(set->data, fd, file);
    pal_handle_t handle = member && member->kind == MEMBER_HOST ? member->handle : file->handle;
    if (!member && (handle == PAL_NO_HANDLE || owner_get(set->data, handle) != fd + 1))
        return -ENOENT;
    if (event->events & EPOLLEXCLUSIVE || (member && member->event.events & EPOLLEXCLUSIVE))
        return -EINVAL;
    int64_t result = handle == PAL_NO_HANDLE ? 0 : PAL->poll_set_update(set->handle, PAL_POLL_CHANGE, handle, event);
    if (!result && !member)
        ((struct epoll *)set->data)->owners[handle].event = *event;
    if (!result && member) {
        member->event = *event;
        member->disabled = false;
        member->edge = NO_EDGE;
        if (member->kind != MEMBER_HOST)
            local_place(member);
    }
    return result;
}

static int64_t control_remove(struct file *set, struct file *file, int fd)
{
    struct epoll *epoll = set->data;
    struct member *member = member_find(epoll, fd, file);
    bool duplicate = member && member->kind == MEMBER_HOST;
    pal_handle_t handle = duplicate ? member->handle : file->handle;
    if (!member && (handle == PAL_NO_HANDLE || owner_get(epoll, handle) != fd + 1))
        return -ENOENT;
    int64_t result = handle == PAL_NO_HANDLE ? 0 : PAL->poll_set_update(set->handle, PAL_POLL_REMOVE, handle, NULL);
    if (!result && !duplicate && handle != PAL_NO_HANDLE)
        epoll->owners[handle].number = 0;
    if (member)
        member_drop(member);
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

int64_t epoll_change(struct file *set, int32_t operation, struct file *file, int fd, const struct pal_poll_event *event)
{
    mutex_lock(&epolls_lock);
    watch_end(file);
    int64_t result = control(set, operation, file, fd, event);
    mutex_unlock(&epolls_lock);
    if (!result && file->ops->ready)
        wait_kick();
    return result;
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

/* ---- In a snapshot ----------------------------------------------------------------------------------------------- */

/* Which handles the host still watches: one whose number was reused is not registered. */
void epoll_settle(struct file *set, bool (*is_kept)(const struct file *file, void *argument), void *argument)
{
    struct epoll *epoll = set->data;
    for (uint32_t handle = 0; handle < epoll->owner_count; handle++) {
        struct owner *owner = &epoll->owners[handle];
        if (!owner->number)
            continue;
        bool is_its = is_kept(owner->file, argument) && owner->file->handle == (pal_handle_t)handle;
        int64_t result = is_its ? PAL->poll_set_update(epoll->handle, PAL_POLL_ADD, (pal_handle_t)handle, &owner->event) : 0;
        if (is_its && result == 0)
            PAL->poll_set_update(epoll->handle, PAL_POLL_REMOVE, (pal_handle_t)handle, NULL);
        if (result != -EEXIST)
            owner->number = 0;
    }
}

static int64_t members_begin_again(struct epoll *epoll)
{
    int64_t result = 0;
    for (struct hash_node *at = NULL; !result && (at = hash_walk(&epoll->members, at));) {
        struct member *member = container_of(at, struct member, by_fd);
        uint64_t token;
        if (member->kind != MEMBER_HOST)
            continue;
        if ((result = PAL->handle_export(member->file->handle, &token)) == 0 &&
            (result = PAL->handle_import(token, &member->handle)) == 0)
            result = PAL->poll_set_update(epoll->handle, PAL_POLL_ADD, member->handle, &member->event);
    }
    return result;
}

/* `set` and all that it has have new handles.  Edges are told once more. */
int64_t epoll_begin_again(struct file *set)
{
    struct epoll *epoll = set->data;
    struct owner *owners = epoll->owners;
    uint32_t count = epoll->owner_count;
    int64_t result = 0;
    epoll->handle = set->handle;
    epoll->owners = NULL;
    epoll->owner_count = 0;
    for (uint32_t i = 0; i < count && !result; i++) {
        if (!owners[i].number)
            continue;
        result = PAL->poll_set_update(epoll->handle, PAL_POLL_ADD, owners[i].file->handle, &owners[i].event);
        if (!result)
            result = owner_set(epoll, owners[i].file->handle, &owners[i]);
    }
    release(owners);
    return result ? result : members_begin_again(epoll);
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

/* Events found, or a negative code: -EINTR where nothing was found.  `own`: room for events of our own. */
static int64_t wait_both(struct file *set, guest_t to, uint32_t count, uint64_t deadline, struct pal_poll_event *own,
                         uint32_t room)
{
    struct epoll *epoll = set->data;
    for (;;) {
        uint64_t next = PAL_FOREVER;
        if (deadline && epoll->lists[LIST_OTHERS].first)
            next = deadline_of_local(epoll); /* asked before we look: see mqueue_deadline */
        uint32_t mine = collect(epoll, own, room);
        if (deadline && !mine)
            next = MIN(next, deadline_of_local(epoll)); /* and of those that were ready until now */
        uint64_t until = mine ? 0 : MIN(deadline, next);
        struct pal_poll_event *rest = (struct pal_poll_event *)to + mine;
        int64_t found = mine < count ? host_wait(set->handle, rest, count - mine, until) : 0;
        if (found == -EINTR && !mine)
            mine = collect(epoll, own, room); /* perhaps a signal that a signalfd of ours reads */
        if (mine && (guest_t)(uintptr_t)own != to && copy_out(to, own, mine * sizeof *own))
            return -EFAULT;
        if (found < 0 && !mine)
            return found;
        if (mine || found || until >= deadline)
            return mine + MAX(found, 0);
    }
}

static int64_t wait_local(struct file *set, guest_t to, uint32_t count, uint64_t deadline)
{
    struct epoll *epoll = set->data;
    struct pal_poll_event few[AT_ONCE], *own = NULL;
    struct waiter waiter;
    uint32_t room = MIN(count, epoll->local_count);
    if (room > AT_ONCE)
        own = alloc(room * sizeof *own);
    wait_begin(&waiter, epoll_signals(set));
    int64_t found = wait_both(set, to, count, deadline, own ? own : few, own ? room : MIN(count, AT_ONCE));
    wait_end(&waiter);
    release(own);
    return found;
}

int64_t epoll_take(struct file *set, struct pal_poll_event *events, uint32_t count, uint64_t deadline)
{
    struct waiter waiter;
    wait_begin(&waiter, 0);
    int64_t found = wait_both(set, (guest_t)(uintptr_t)events, count, deadline, events, count);
    wait_end(&waiter);
    return found;
}

static int64_t wait_events(int32_t fd, guest_t to, int32_t count, uint64_t deadline)
{
    if (count <= 0 || (uint32_t)count > INT32_MAX / sizeof(struct pal_poll_event))
        return -EINVAL;
    if (!guest_range_ok(to, (uint64_t)count * sizeof(struct pal_poll_event)))
        return -EFAULT;
    struct file *set = file_get_io(fd);
    if (!set)
        return -EBADF;
    int64_t found = -EINVAL;
    if (set->ops == &epoll_ops) {
        const struct epoll *epoll = set->data;
        bool others = deadline && !alone(); /* they might add such members meanwhile */
        found = others || epoll->local_count
                    ? wait_local(set, to, (uint32_t)count, deadline)
                    : host_wait(set->handle, (struct pal_poll_event *)to, (uint32_t)count, deadline);
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
