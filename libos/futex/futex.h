/* SPDX-License-Identifier: MIT */
/* Linux's futex constants, and what the end of a thread needs of them. */
#ifndef LIBOS_FUTEX_H
#define LIBOS_FUTEX_H

#include "libos/lib/lib.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_FD 2
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_CMP_REQUEUE_PI 12
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256

#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu

/* futex.c */
int64_t futex_wake_shared(guest_t word, uint32_t count);
void futex_fork_child(void);
/* One wait, with the count of private waiters kept: PAL->wait's results, -EFAULT. */
int64_t futex_wait_once(guest_t word, uint32_t expected, uint64_t deadline, bool shared);
int64_t futex_wake_some(guest_t word, uint32_t count, bool shared);
/* An absolute timeout in guest memory (0 = for ever) on PAL_CLOCK_MONOTONIC. */
int64_t futex_deadline(guest_t timeout, bool realtime, uint64_t *out);

/* Private words: a waiter is counted, so that wakers ask the host. */
void futex_count(guest_t word, int32_t by);

/* waitv.c: those that wait for several words, of which this may be one, are to look again.  How many. */
int64_t futex_waitv_wake(guest_t word, bool shared);
void futex_waitv_fork_child(void);

/* pi.c */
int64_t futex_lock_pi(guest_t word, bool shared, uint64_t deadline, bool try_only);
int64_t futex_unlock_pi(guest_t word, bool shared);
#endif
