/* SPDX-License-Identifier: MIT */
/*
 * Resource limits of the first picoprocess, which has ids of its own under root.  Root of a container may lack
 * CAP_SYS_RESOURCE, and then sets the limits only of a process whose ids are all its real ones (prlimit(2)): so these are
 * changed for that moment.  No guest can make use of it: no admitted call sends a signal to another process.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <sys/resource.h>

#include "loader/supervise/supervise.h"
#include "pal/linux/syscall.h"

#define UNCHANGED (-1)

static int64_t limit_as(uint32_t id, pid_t process, int resource, const struct rlimit64 *value)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct before[2], all[2];
    int64_t uid = host_call(getuid), gid = host_call(getgid), result = host_call(capget, &header, before);
    if (result < 0)
        return result;
    all[0] = before[0], all[1] = before[1];
    all[0].effective |= all[0].permitted & (1u << CAP_SETUID | 1u << CAP_SETGID);
    bool more = all[0].effective != before[0].effective;
    if (more)
        host_call(capset, &header, all);
    if ((result = host_call(setresgid, id, UNCHANGED, UNCHANGED)) >= 0) {
        if ((result = host_call(setresuid, id, UNCHANGED, UNCHANGED)) >= 0) {
            result = host_call(prlimit64, process, resource, value, NULL);
            host_call(setresuid, uid, UNCHANGED, UNCHANGED);
        }
        host_call(setresgid, gid, UNCHANGED, UNCHANGED);
    }
    if (more)
        host_call(capset, &header, before);
    return result;
}

int64_t supervise_limit(pid_t first, uint32_t id, int resource, const struct rlimit64 *value)
{
    int64_t result = host_call(prlimit64, first, resource, value, NULL);
    return result == -EPERM && id ? limit_as(id, first, resource, value) : result;
}
