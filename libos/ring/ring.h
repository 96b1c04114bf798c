/* SPDX-License-Identifier: MIT */
/*
 * Connections between processes of a sandbox: bytes in shared memory, in both directions, beside a connected pair of the
 * host's that tells when there is something to do.
 *
 * The pair carries tokens, bytes without a meaning, so that the host's poll is exact for either end's handle: without a
 * token there is nothing to read; one says that there is; a second fills the pair, whose buffers are the least, and says
 * that there is no room.  A writer sends one when its ring was empty, and one when it has become full; a reader takes them
 * when that is over.  Meanwhile bytes move without a host call.  A peer's end, of whatever kind, is the pair's.
 *
 * A process that dies in the middle leaves the ring as it was before, or one token too many, which the next reader takes.
 */
#ifndef LIBOS_RING_H
#define LIBOS_RING_H

#include "libos/lib/lib.h"

#define RING_SIZE (256u << 10)
#define RING_COUNT 128u /* connections at a time; more do without */

/* One direction.  A writing thread holds `writers`, a reading one `readers`. */
struct ring {
    uint64_t written __attribute__((aligned(64))); /* bytes so far.  Atomic */
    struct pal_mutex writers;
    uint64_t taken __attribute__((aligned(64)));   /* likewise */
    struct pal_mutex readers;
    uint64_t mark;   /* where the last urgent byte lies, and one more; 0: there was none.  Atomic */
    uint32_t urgent; /* it was not asked for yet.  Atomic */
    uint32_t state __attribute__((aligned(64)));   /* enum ring_state.  Atomic */
    uint32_t most[2]; /* the writer's SO_SNDBUF, the reader's SO_RCVBUF; 0: not set.  Atomic */
    uint32_t owed;   /* tokens that readers have still to take.  Atomic */
    uint32_t closed; /* nobody has its reading end any more.  Atomic */
    uint32_t shut;   /* its writing end was shut down.  Atomic */
    uint32_t reset;  /* and closed in a way that the reader is to be told of, once.  Atomic */
};

/* ring.c.  All return bytes, or -EFAULT. */
/* *tokens: to be sent now.  skip: bytes of the vectors that are written already. */
int64_t ring_put(uint32_t number, uint32_t end, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                 uint32_t *tokens);
/* They end before an urgent byte, and go past it, unless it is in line. */
enum ring_taking { RING_PEEK = 1, /* they stay */ RING_DISCARD = 2 /* nobody wants them */, RING_IN_LINE = 4 };
int64_t ring_take(uint32_t number, uint32_t end, const struct pal_vector *vector, uint32_t count, uint64_t skip,
                  uint32_t how);
/* The last byte that was put is urgent.  And: the urgent byte; -EINVAL: there is none that was not asked for. */
void ring_mark(uint32_t number, uint32_t end);
int64_t ring_urgent(uint32_t number, uint32_t end, bool peek);
bool ring_at_mark(uint32_t number, uint32_t end);
uint64_t ring_available(uint32_t number, uint32_t end);
/* How many tokens are to be taken now, and how many of them could not. */
uint32_t ring_owed(uint32_t number, uint32_t end);
void ring_still_owed(uint32_t number, uint32_t end, uint32_t count);
/* There is nothing to read, and nobody is about to take a token. */
bool ring_is_quiet(uint32_t number, uint32_t end);
struct ring *ring_to(uint32_t number, uint32_t end);   /* that this end writes */
struct ring *ring_from(uint32_t number, uint32_t end); /* that it reads */

/* ---- pool.c: which connections there are, and the owners of their ends ------------------------------------------- */

uint64_t ring_init(uint64_t at, uint64_t end); /* a part of the shared segment */
/* A new one, whose end 0 is this picoprocess's, and end 1 on its way to another.  0: there is none. */
uint32_t ring_new(void);
/* An end that was on its way is this picoprocess's. */
void ring_arrived(uint32_t number, uint32_t end);
/* It is on its way to another one. */
void ring_departs(uint32_t number, uint32_t end);
/* Of this picoprocess.  resets: if nobody else has it, it ends by a reset. */
void ring_release(uint32_t number, uint32_t end, bool resets);
void ring_lost(uint32_t number, uint32_t end);     /* what was on its way will not arrive */
/* A fork makes `child`, which has all that this picoprocess has; then, in it.  And a process has ended. */
void ring_fork(int child);
void ring_fork_child(int self);
void ring_process_ends(int pid);
#endif
