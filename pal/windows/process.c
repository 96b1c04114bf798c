/* SPDX-License-Identifier: MIT */
/* Picoprocesses.  Their forks are not there yet. */
#include "pal/windows/windows.h"

int64_t windows_process_fork(uint32_t flags)
{
    (void)flags;
    return -ENOSYS;
}

int64_t windows_process_wait(uint64_t process, uint32_t how, struct pal_child *out)
{
    (void)process, (void)out;
    return how == PAL_WAIT_LOOK ? -ESRCH : -ECHILD;
}

void windows_process_exit(uint32_t status)
{
    TerminateProcess(GetCurrentProcess(), status < 256 ? status : 128 + (status & 127));
    __builtin_unreachable();
}

int64_t windows_process_interrupt(uint64_t process, uint32_t kill)
{
    (void)process, (void)kill;
    return -ESRCH;
}
