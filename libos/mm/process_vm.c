/* SPDX-License-Identifier: MIT */
/*
 * process_vm_readv(2), process_vm_writev(2): of the calling process itself, so crash handlers and unwinders look whether an
 * address can be read; and of others of the sandbox, which copy their own memory when they are asked (signal/remote.h).
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/signal/remote.h"
#include "libos/task/table.h"
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

/* ---- Another process's memory ------------------------------------------------------------------------------------ */

struct memory_question {
    guest_t address;
    uint64_t size;
    bool writes, forced; /* forced: as a debugger reaches it, whatever its protection */
    char bytes[ASK_INPUT - 24]; /* of a write */
};
_Static_assert(sizeof(struct memory_question) <= ASK_INPUT, "it is sent");

/* In the process that is asked: how much it copied. */
static int64_t answer_memory(const void *input, size_t size, char *out, size_t *out_size)
{
    struct memory_question question;
    if (size != sizeof question)
        return -EINVAL;
    memcpy(&question, input, size);
    question.size = MIN(question.size, question.writes ? sizeof question.bytes : ASK_OUTPUT);
    if (question.writes)
        return (int64_t)(question.forced ? mm_poke : copy_out_some)(question.address, question.bytes, question.size);
    *out_size = (question.forced ? mm_peek : copy_in_some)(out, question.address, question.size);
    return (int64_t)*out_size;
}

/* pid 0: one's own.  How much was copied, or -errno. */
static int64_t read_from(int pid, char *to, guest_t from, uint64_t size, bool forced)
{
    struct memory_question question = {.address = from, .size = size, .forced = forced};
    size_t told;
    if (pid == 0)
        return (int64_t)(forced ? mm_peek : copy_in_some)(to, from, size);
    return process_ask(pid, answer_memory, &question, sizeof question, to, &told);
}

static int64_t write_to(int pid, guest_t to, const char *from, uint64_t size, char *answer, bool forced)
{
    struct memory_question question = {.address = to, .writes = true, .forced = forced};
    size_t told;
    uint64_t done = 0;
    if (pid == 0)
        return (int64_t)(forced ? mm_poke : copy_out_some)(to, from, size);
    while (done < size) {
        question.size = MIN(size - done, sizeof question.bytes);
        memcpy(question.bytes, from + done, question.size);
        int64_t result = process_ask(pid, answer_memory, &question, sizeof question, answer, &told);
        if (result < 0)
            return done ? (int64_t)done : result;
        done += (uint64_t)result;
        question.address += (uint64_t)result;
        if ((uint64_t)result < question.size)
            break;
    }
    return (int64_t)done;
}

/* Up to where either side can't be touched.  A pid of 0 is the caller. */
static int64_t copy_vectors(int to_pid, struct cursor to, int from_pid, struct cursor from)
{
    char few[PIECE], *piece = to_pid || from_pid ? alloc(2 * ASK_OUTPUT) : few;
    uint64_t room = piece == few ? PIECE : ASK_OUTPUT;
    int64_t done = 0, result = 0;
    if (!piece)
        return -ENOMEM;
    for (;;) {
        skip_empty(&to);
        skip_empty(&from);
        if (!to.left || !from.left)
            break;
        uint64_t size = MIN(MIN(to.vector->size - to.at, from.vector->size - from.at), room);
        result = read_from(from_pid, piece, from.vector->base + from.at, size, false);
        if (result > 0)
            result = write_to(to_pid, to.vector->base + to.at, piece, (uint64_t)result, piece + ASK_OUTPUT, false);
        if (result <= 0) {
            result = result ? result : -EFAULT;
            break;
        }
        done += result;
        to.at += (uint64_t)result;
        from.at += (uint64_t)result;
        if ((uint64_t)result < size)
            break;
    }
    if (piece != few)
        release(piece);
    return done ? done : MIN(result, 0);
}

/* Whose memory is meant: *out is 0 for the caller's own.  Permission: as for ptrace(2), without capabilities. */
int64_t process_memory_check(int pid, int *out)
{
    struct process *process = current_process();
    *out = 0;
    if (pid == process->pid)
        return 0;
    mutex_lock(&process->lock);
    bool own = thread_find(process, pid);
    mutex_unlock(&process->lock);
    if (own)
        return 0;
    shared_lock();
    const struct shared_process *slot = pid > 0 ? shared_find(shared_id_process(pid)) : NULL;
    uint32_t uid = process->uid;
    bool found = slot && slot->state < SHARED_EXITING;
    bool same = found && slot->uid == uid && slot->euid == uid && slot->suid == uid && slot->gid == process->gid;
    *out = found ? (int)slot->pid : 0;
    shared_unlock();
    return !found ? -ESRCH : same || !process->euid ? 0 : -EPERM;
}

/* One vector of the caller's, through a buffer of twice ASK_OUTPUT. */
static int64_t force_one(int pid, guest_t at, const struct pal_vector *vector, char *piece, bool writes)
{
    uint64_t done = 0;
    while (done < vector->size) {
        uint64_t size = MIN(vector->size - done, ASK_OUTPUT);
        if (writes && copy_in(piece, vector->base + done, size) < 0)
            return done ? (int64_t)done : -EFAULT;
        int64_t result = writes ? write_to(pid, at + done, piece, size, piece + ASK_OUTPUT, true)
                                : read_from(pid, piece, at + done, size, true);
        if (result > 0 && !writes && copy_out(vector->base + done, piece, (size_t)result) < 0)
            result = -EFAULT;
        if (result <= 0)
            return done ? (int64_t)done : result ? result : -EIO;
        done += (uint64_t)result;
        if ((uint64_t)result < size)
            break;
    }
    return (int64_t)done;
}

int64_t process_memory(int pid, guest_t at, const struct pal_vector *vector, uint32_t count, bool writes)
{
    char *piece = alloc(2 * ASK_OUTPUT);
    int64_t done = 0;
    if (!piece)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        int64_t result = force_one(pid, at + (uint64_t)done, &vector[i], piece, writes);
        if (result < 0)
            done = done ? done : result;
        else
            done += result;
        if (result < (int64_t)vector[i].size)
            break;
    }
    release(piece);
    return done;
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
    int other;
    if (flags)
        return -EINVAL;
    int64_t result = vectors_from_guest(local, local_count, few, &ours);
    if (result == 0)
        result = remote_from_guest(remote, remote_count, few_remote, &theirs);
    if (result == 0)
        result = process_memory_check(pid, &other);
    struct cursor here = {.vector = ours, .left = local_count}, there = {.vector = theirs, .left = remote_count};
    if (result == 0)
        result = reads ? copy_vectors(0, here, other, there) : copy_vectors(other, there, 0, here);
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
