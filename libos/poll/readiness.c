/* SPDX-License-Identifier: MIT */
/* What poll, epoll and blocking reads of the libOS's own objects share: see wait.h. */
#include "libos/poll/readiness.h"
#include "libos/net/netlink.h"
#include "libos/process/process.h"
#include "libos/ipc/ipc.h"

uint64_t wait_deadline(struct file *file)
{
    if (file->ops == &timerfd_ops)
        return timerfd_deadline(file);
    if (file->ops == pidfd_ops)
        return pidfd_deadline(file);
    if (file->ops == &mqueue_ops)
        return mqueue_deadline(file);
    return file->ops == &epoll_ops ? epoll_deadline(file) : PAL_FOREVER;
}

sigset_t wait_signals(struct file *file)
{
    if (file->ops == &signalfd_ops)
        return signalfd_mask(file);
    return file->ops == &epoll_ops ? epoll_signals(file) : 0;
}

uint64_t wait_edge(struct file *file)
{
    if (file->ops == &timerfd_ops)
        return timerfd_edge(file);
    if (file->ops == &mqueue_ops)
        return mqueue_edge(file);
    if (file->ops == &socket_new_ops || file->ops == &netlink_ops)
        return socket_edge(file);
    return file->ops == &signalfd_ops ? signalfd_edge(file) : 0;
}
