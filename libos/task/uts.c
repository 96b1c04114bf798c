/* SPDX-License-Identifier: MIT */
/* The system's names: uname, sethostname. */
#include "libos/syscalls.h"
#include "libos/task/task.h"

#define NAME_SIZE 65u

struct utsname { char system[NAME_SIZE], node[NAME_SIZE], release[NAME_SIZE], version[NAME_SIZE], machine[NAME_SIZE],
                 domain[NAME_SIZE]; };
_Static_assert(sizeof(struct utsname) == 390, "ABI");

const char *host_name(void)
{
    return boot->hostname && *boot->hostname ? boot->hostname : "localhost";
}

int64_t sys_uname(guest_t name)
{
    struct utsname out;
    memset(&out, 0, sizeof(out));
    format(out.system, NAME_SIZE, "Linux");
    format(out.node, NAME_SIZE, "%s", host_name());
    format(out.release, NAME_SIZE, "%s", KERNEL_RELEASE);
    format(out.version, NAME_SIZE, "%s", KERNEL_VERSION);
    format(out.machine, NAME_SIZE, "x86_64");
    format(out.domain, NAME_SIZE, "(none)");
    return copy_out(name, &out, sizeof(out));
}

/* The name is part of the sandbox's policy. */
int64_t sys_sethostname(guest_t name, uint64_t size)
{
    (void)name;
    return size >= NAME_SIZE ? -EINVAL : -EPERM;
}
