/* SPDX-License-Identifier: MIT */
/*
 * The part of a process's slot in the shared table through which other picoprocesses send it signals: an inbox.  The
 * receiver empties it into its own queues (signal/state.c) when it is interrupted; so it is small, and truth about what is
 * pending lies with the receiver.
 */
#ifndef LIBOS_INBOX_H
#define LIBOS_INBOX_H
#include "libos/abi/signal.h"
#include "pal/pal.h"

#define INBOX_SIZE 64u
#define INBOX_QUEUED 32u /* from here on there is room for signals below SIGRTMIN only: none of those is refused */

struct inbox_entry {
    int32_t tid; /* 0: to the process */
    uint32_t continues; /* the slot's, when this was sent */
    struct siginfo info;
};

struct shared_signals {
    struct pal_mutex lock;      /* innermost: nothing is called under it.  Guards: */
    uint32_t count;             /* written last, so that a sender's death leaves whole entries only */
    uint32_t pad;
    struct inbox_entry entries[INBOX_SIZE];
};
#endif
