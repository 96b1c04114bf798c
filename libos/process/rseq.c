/* SPDX-License-Identifier: MIT */
/*
 * rseq(2).  A critical section may only go on if its thread has not lost the processor: only the kernel knows, so the
 * host's does all, whose threads are the guest's.  Here: who has registered what, and when that must end.
 */
#include "libos/syscalls.h"
#include "libos/process/process.h"

#define RSEQ_FLAG_UNREGISTER 1u
#define RSEQ_SIZE 32u /* the first version's, and how it is aligned */

int64_t sys_rseq(guest_t address, uint32_t size, uint32_t flags, uint32_t signature)
{
    struct thread *thread = current();
    bool same = thread->sequences.size && thread->sequences.address == address && thread->sequences.size == size;
    if (flags & ~RSEQ_FLAG_UNREGISTER || (!same && (flags || thread->sequences.size)))
        return -EINVAL;
    if (same && thread->sequences.signature != signature)
        return -EPERM;
    if (same && !flags)
        return -EBUSY;
    if (!same && (size < RSEQ_SIZE || address % RSEQ_SIZE))
        return -EINVAL;
    if (!guest_range_ok(address, size))
        return -EFAULT;
    if (flags)
        size = 0;
    int64_t error = PAL->thread_set(PAL_THREAD_SEQUENCES, address, size, signature);
    if (error == 0) {
        thread->sequences.address = address;
        thread->sequences.size = size;
        thread->sequences.signature = signature;
    }
    return error;
}

void thread_sequences_end(struct thread *thread)
{
    if (!thread->sequences.size)
        return;
    thread->sequences.size = 0;
    PAL->thread_set(PAL_THREAD_SEQUENCES, 0, 0, 0);
}
