/* SPDX-License-Identifier: MIT */
/* What poll, epoll and blocking reads of the libOS's own objects share: see readiness.h. */
#include "libos/poll/readiness.h"

uint64_t wait_deadline(struct file *file)
{
    return file->ops->deadline ? file->ops->deadline(file) : PAL_FOREVER;
}

sigset_t wait_signals(struct file *file)
{
    return file->ops->signals ? file->ops->signals(file) : 0;
}

uint64_t wait_edge(struct file *file)
{
    return file->ops->edge ? file->ops->edge(file) : 0;
}
