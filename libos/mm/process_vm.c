/* SPDX-License-Identifier: MIT */
/*
 * process_vm_readv(2), process_vm_writev(2), of the calling process itself: so crash handlers and unwinders look
 * whether an address can be read.  Other processes' memory nobody reaches: EPERM, as where ptrace(2) is restricted.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define PIECE 4096u

/* A place in a list of vectors. */
struct cursor {
    const struct pal_vector *vector;
    uint64_t left, at; /* vectors; bytes of the first that are done */
};

static void skip_empty(struct cursor *cursor)
{
    while (cursor->left && cursor->vector->size == cursor->at) {
        cursor->vector++;
        cursor->left--;
        cursor->at = 0;
    }
}

/* Up to where either side can't be touched. */
static int64_t copy_vectors(struct cursor to, struct cursor from)
{
    char piece[PIECE];
    int64_t done = 0;
    for (;;) {
        skip_empty(&to);
        skip_empty(&from);
        if (!to.left || !from.left)
            return done;
        uint64_t size = MIN(MIN(to.vector->size - to.at, from.vector->size - from.at), PIECE);
        size_t have = copy_in_some(piece, from.vector->base + from.at, size);
        size_t put = have ? copy_out_some(to.vector->base + to.at, piece, have) : 0;
        done += (int64_t)put;
        to.at += put;
        from.at += put;
        if (put < size)
            return done ? done : -EFAULT;
    }
}

static int64_t check_process(int pid)
{
    struct process *process = current_process();
    struct process_facts facts;
    if (pid == process->pid)
        return 0;
    mutex_lock(&process->lock);
    bool own = thread_find(process, pid);
    mutex_unlock(&process->lock);
    return own ? 0 : pid > 0 && process_facts(pid, &facts) ? -EPERM : -ESRCH;
}

/* The other side's ranges are not checked beforehand: what can't be touched ends the copy. */
static int64_t remote_from_guest(guest_t from, uint64_t count, struct pal_vector *few, struct pal_vector **out)
{
    if (count > IOV_MAX)
        return -EINVAL;
    *out = count > FEW_VECTORS ? alloc(count * sizeof **out) : few;
    return !*out ? -ENOMEM : copy_in(*out, from, count * sizeof **out);
}

static int64_t transfer(int pid, guest_t local, uint64_t local_count, guest_t remote, uint64_t remote_count,
                        uint64_t flags, bool reads)
{
    struct pal_vector few[FEW_VECTORS], few_remote[FEW_VECTORS], *ours = few, *theirs = few_remote;
    if (flags)
        return -EINVAL;
    int64_t result = vectors_from_guest(local, local_count, few, &ours);
    if (result == 0)
        result = remote_from_guest(remote, remote_count, few_remote, &theirs);
    if (result == 0)
        result = check_process(pid);
    struct cursor here = {.vector = ours, .left = local_count}, there = {.vector = theirs, .left = remote_count};
    if (result == 0)
        result = reads ? copy_vectors(here, there) : copy_vectors(there, here);
    if (ours != few)
        release(ours);
    if (theirs != few_remote)
        release(theirs);
    return result;
}

int64_t sys_process_vm_readv(int32_t pid, guest_t local, uint64_t local_count, guest_t remote, uint64_t remote_count,
                             uint64_t flags)
{
    return transfer(pid, local, local_count, remote, remote_count, flags, true);
}

int64_t sys_process_vm_writev(int32_t pid, guest_t local, uint64_t local_count, guest_t remote, uint64_t remote_count,
                              uint64_t flags)
{
    return transfer(pid, local, local_count, remote, remote_count, flags, false);
}
