/* SPDX-License-Identifier: MIT */
/* The system's names: uname, sethostname, setdomainname.  They are the sandbox's own, and its root may set them. */
#include "libos/syscalls.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

struct utsname { char system[UTS_NAME], node[UTS_NAME], release[UTS_NAME], version[UTS_NAME], machine[UTS_NAME], domain[UTS_NAME]; };
_Static_assert(sizeof(struct utsname) == 390, "ABI");

static void first_names(char node[UTS_NAME], char domain[UTS_NAME])
{
    format(node, UTS_NAME, "%s", boot->hostname && *boot->hostname ? boot->hostname : "localhost");
    format(domain, UTS_NAME, "(none)");
}

void host_names(char node[UTS_NAME], char domain[UTS_NAME])
{
    struct uts_names *names = shared_uts();
    if (!atomic_get(&names->set)) {
        first_names(node, domain);
        return;
    }
    shared_lock();
    memcpy(node, names->node, UTS_NAME);
    memcpy(domain, names->domain, UTS_NAME);
    shared_unlock();
}

int64_t sys_uname(guest_t name)
{
    struct utsname out;
    memset(&out, 0, sizeof(out));
    host_names(out.node, out.domain);
    format(out.system, UTS_NAME, "Linux");
    format(out.release, UTS_NAME, "%s", KERNEL_RELEASE);
    format(out.version, UTS_NAME, "%s", KERNEL_VERSION);
    format(out.machine, UTS_NAME, "x86_64");
    return copy_out(name, &out, sizeof(out));
}

/* The name is a guest's text of that size. */
static int64_t set_name(bool domain, guest_t name, uint64_t size)
{
    struct uts_names *names = shared_uts();
    char text[UTS_NAME] = "";
    if (current_process()->euid != 0)
        return -EPERM;
    if (size >= UTS_NAME) /* negative ones, too */
        return -EINVAL;
    int64_t error = copy_in(text, name, size);
    if (error < 0)
        return error;
    shared_lock();
    if (!names->set)
        first_names(names->node, names->domain);
    memcpy(domain ? names->domain : names->node, text, UTS_NAME);
    atomic_set(&names->set, 1);
    shared_unlock();
    return 0;
}

int64_t sys_sethostname(guest_t name, uint64_t size)
{
    return set_name(false, name, size);
}

int64_t sys_setdomainname(guest_t name, uint64_t size)
{
    return set_name(true, name, size);
}
