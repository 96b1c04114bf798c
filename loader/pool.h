/* SPDX-License-Identifier: MIT */
/*
 * What a client and a pool of clones (`pal-run serve`) say to each other, in packets on a local socket: the client sends a
 * pool_request with its three standard streams (SCM_RIGHTS), then signals; it is told how the clone ended.
 */
#ifndef LOADER_POOL_H
#define LOADER_POOL_H

#include <stdint.h>

#define POOL_MAGIC 0x314c4f4f50ull /* "POOL1" */
#define POOL_STREAMS 3
#define POOL_TEXT_MAX 65536u

/* Behind it: the arguments, then NAME=VALUE of the environment's changes, a NUL behind each. */
struct pool_request {
    uint64_t magic;
    uint32_t argument_count, environment_count;
};
struct pool_signal { int32_t number; };
/* status: as pal-run's.  Behind it may stand a line: why the clone was refused. */
struct pool_reply { int32_t status; };

/* What a member tells its server. */
#define POOL_WAITS 'w'
#define POOL_TAKEN 't'
#define POOL_LEARNED 'l'
#define POOL_RANGES_MAX 4096u
struct pool_member_news { int32_t pid; char what; };

#endif
