/* SPDX-License-Identifier: MIT */
/* The call that a thread is in: what its frame goes on at, and until when it may wait. */
#include "libos/task/task.h"
#include "shim/rewrite/rewrite.h"

bool libos_direct; /* --trace and --stats want to see every call, and a host must be up to it */

void frame_set_rip(struct frame *frame, guest_t rip)
{
    frame->regs.rip = rip;
    frame->resume = site_resume(rip);
}

uint64_t call_deadline(uint64_t timeout_ns)
{
    struct thread *thread = current();
    if (timeout_ns == UINT64_MAX)
        return PAL_FOREVER;
    if (!thread->deadline_valid) {
        uint64_t now = 0;
        PAL->clock_get(PAL_CLOCK_MONOTONIC, &now);
        thread->deadline = timeout_ns > PAL_FOREVER - 1 - now ? PAL_FOREVER - 1 : now + timeout_ns;
    }
    return thread->deadline;
}
