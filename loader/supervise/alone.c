/* SPDX-License-Identifier: MIT */
/*
 * A sandbox of one process.  Its first picoprocess dies with pal-run by its death signal, which the kernel keeps; what it
 * forks would not.  So its soft limit of processes is 0 until there is a supervisor, and it can't raise that: prlimit64 is
 * no admitted call.  A limit of 0 holds for every user but root (see copy_process in the kernel's fork.c), threads
 * included.
 */
#include <linux/capability.h>
#include <stddef.h>
#include <sys/resource.h>

#include "loader/supervise/supervise.h"
#include "pal/linux/syscall.h"

static struct {
    pid_t first; /* 0: it is not alone */
    uint32_t id;
    struct rlimit64 later;
} alone;

int64_t alone_begin(pid_t first, uint32_t id, uint64_t most)
{
    struct rlimit64 none, *later = &alone.later;
    int64_t result = host_call(prlimit64, 0, RLIMIT_NPROC, NULL, later); /* it has inherited it */
    if (result < 0)
        return result;
    if (most < later->rlim_max)
        later->rlim_max = most;
    if (later->rlim_cur > later->rlim_max)
        later->rlim_cur = later->rlim_max;
    none = (struct rlimit64){0, later->rlim_max};
    result = supervise_limit(first, id, RLIMIT_NPROC, &none);
    if (result >= 0) {
        alone.first = first;
        alone.id = id;
    }
    return result;
}

uint32_t alone_capabilities(void)
{
    return alone.first && alone.id ? 1u << CAP_SETUID | 1u << CAP_SETGID : 0;
}

static void drop_capabilities(uint32_t which)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (!which || host_call(capget, &header, sets) < 0)
        return;
    sets[0].permitted &= ~which;
    sets[0].effective &= ~which;
    host_call(capset, &header, sets);
}

int64_t alone_end(void)
{
    int64_t result = supervisor_begin();
    if (result < 0 || !alone.first)
        return result;
    result = supervise_limit(alone.first, alone.id, RLIMIT_NPROC, &alone.later);
    drop_capabilities(alone_capabilities());
    alone.first = 0;
    return result;
}
