/* SPDX-License-Identifier: MIT */
/* The calls of signals: dispositions and masks, waiting for one, sending. */
#include "libos/syscalls.h"
#include "libos/task/table.h"
#include "libos/signal/signal.h"

static bool is_signal(int signal)
{
    return signal >= 1 && signal <= SIGNAL_COUNT;
}

/* ---- Dispositions and masks ------------------------------------------------------------------------------------ */

int64_t sys_rt_sigaction(int32_t signal, guest_t action, guest_t old, uint64_t size)
{
    struct process *process = current_process();
    struct sigaction new, before;
    if (size != sizeof(sigset_t))
        return -EINVAL;
    if (action && copy_in(&new, action, sizeof(new)) < 0)
        return -EFAULT;
    if (!is_signal(signal) || (action && BIT(signal) & UNBLOCKABLE))
        return -EINVAL;
    mutex_lock(&process->lock);
    before = process->signals->actions[signal - 1];
    if (action) {
        new.flags &= SA_KNOWN | SA_EXPOSE_TAGBITS;
        new.mask &= ~UNBLOCKABLE;
        process->signals->actions[signal - 1] = new;
        if (signal_is_ignored(&new, signal))
            signal_flush(process, BIT(signal)); /* POSIX: also those that are blocked */
    }
    mutex_unlock(&process->lock);
    return old ? copy_out(old, &before, sizeof(before)) : 0;
}

int64_t sys_rt_sigprocmask(int32_t how, guest_t set, guest_t old, uint64_t size)
{
    sigset_t before = current()->blocked, new;
    if (size != sizeof(sigset_t))
        return -EINVAL;
    if (set) {
        if (copy_in(&new, set, sizeof(new)) < 0)
            return -EFAULT;
        switch (how) {
        case SIG_BLOCK:
            new |= before;
            break;
        case SIG_UNBLOCK:
            new = before & ~new;
            break;
        case SIG_SETMASK:
            break;
        default:
            return -EINVAL;
        }
        signal_set_blocked(new);
    }
    return old ? copy_out(old, &before, sizeof(before)) : 0;
}

int64_t sys_rt_sigpending(guest_t set, uint64_t size)
{
    struct signal_masks masks;
    if (size > sizeof(sigset_t))
        return -EINVAL;
    signal_masks_get(&masks);
    sigset_t pending = (masks.pending | masks.shared_pending) & current()->blocked;
    return copy_out(set, &pending, size);
}

/* ---- Waiting --------------------------------------------------------------------------------------------------- */

int64_t sys_pause(void)
{
    sleep_until(PAL_FOREVER);
    return -ERESTARTNOHAND;
}

int64_t sys_rt_sigsuspend(guest_t set, uint64_t size)
{
    int64_t result = set ? signal_mask_for_call(set, size) : size == sizeof(sigset_t) ? -EFAULT : -EINVAL;
    if (result)
        return result;
    sleep_until(PAL_FOREVER);
    return -ERESTARTNOHAND;
}

/* While it waits, the thread looks to senders as if it did not block the set, so that they choose and interrupt it. */
static int64_t wait_for(sigset_t set, uint64_t deadline, struct siginfo *out)
{
    struct thread *thread = current();
    sigset_t blocked = thread->blocked;
    int64_t result = 0;
    atomic_set(&thread->waiting_for, set & blocked); /* what it does not block is not kept for it if ignored */
    atomic_swap(&thread->blocked, blocked & ~set);
    for (;;) {
        if (signal_next(set, out, NULL)) {
            result = 0;
            break;
        }
        if (result < 0)
            break;
        result = sleep_until(deadline) == -ETIMEDOUT ? -EAGAIN : -EINTR;
        if (result == -EINTR) {
            process_hooks->settle();
            result = signal_acts() ? -EINTR : 0; /* what has come to the inbox since may be of the set */
        }
    }
    if (result == -EINTR)
        atomic_set(&tcb()->interrupted, 1u); /* for the signal that is not of the set */
    atomic_set(&thread->waiting_for, 0);
    signal_set_blocked(blocked);
    return result;
}

int64_t sys_rt_sigtimedwait(guest_t set, guest_t info, guest_t timeout, uint64_t size)
{
    struct siginfo found = {.signo = 0};
    uint64_t timeout_ns;
    sigset_t wanted;
    if (size != sizeof(wanted))
        return -EINVAL;
    if (copy_in(&wanted, set, sizeof(wanted)) < 0)
        return -EFAULT;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (result < 0)
        return result;
    wanted &= ~UNBLOCKABLE;
    if (!signal_next(wanted, &found, NULL)) {
        result = timeout_ns ? wait_for(wanted, call_deadline(timeout_ns), &found) : -EAGAIN;
        if (result < 0)
            return result;
    }
    if (info && (copy_out(info, &found, sizeof(found)) < 0 ||
                 zero_out(info + sizeof(found), SIGINFO_SIZE - sizeof(found)) < 0))
        return -EFAULT;
    return found.signo;
}

/* ---- Sending --------------------------------------------------------------------------------------------------- */

static bool may_signal(const struct process *sender, uint32_t uid, uint32_t suid)
{
    return sender->euid == 0 || sender->euid == uid || sender->euid == suid || sender->uid == uid ||
           sender->uid == suid;
}

/* May this process send to `pid` (signal 0: no more than this is asked)? */
static int64_t check(int pid, int signal)
{
    struct process *process = current_process();
    struct process_target target;
    if ((pid == process->pid || pid == SHARED_INIT_PID) && (signal < 0 || signal > SIGNAL_COUNT))
        return -EINVAL;
    if (pid == process->pid)
        return 0;
    if (is_absent_init(pid))
        return process->euid ? -EPERM : 0;
    if (!process_target_lock(pid, &target))
        return -ESRCH;
    bool same_session = target.session == (int)process->shared->sid;
    process_target_unlock();
    if (signal < 0 || signal > SIGNAL_COUNT)
        return -EINVAL;
    return may_signal(process, target.uid, target.suid) || (signal == SIGCONT && same_session) ? 0 : -EPERM;
}

#define PATIENCE_NS 10000000000ul /* with a receiver that takes nothing */
#define PAUSE_NS 5000000ul        /* then the receiver is interrupted once more, and may be another */

/* Linux queues as many signals as RLIMIT_SIGPENDING allows, an inbox few: the sender waits until the receiver, which
 * has been interrupted, has taken some.  It settles what comes for itself meanwhile: the receiver may be waiting for
 * that.  Nothing cuts kill(2) short. */
static int64_t send_patiently(int pid, int tid, const struct siginfo *info)
{
    int64_t result;
    uint64_t deadline = 0;
    bool interrupted = false;
    while ((result = tid ? signal_send_remote(pid, tid, info) : signal_send_process(pid, info)) == -EBUSY) {
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        deadline = deadline ? deadline : now + PATIENCE_NS;
        if (now >= deadline) {
            result = -EAGAIN;
            break;
        }
        int64_t waited = signal_await_room(pid, now + PAUSE_NS);
        if (waited == -EINTR) {
            process_hooks->settle();
            interrupted = true;
        } else if (waited != -ETIMEDOUT) {
            deadline = 0;
        }
    }
    if (interrupted)
        atomic_set(&tcb()->interrupted, 1u); /* for what came meanwhile */
    return result;
}

/* A thread's number stands for its process. */
static int64_t send(int id, const struct siginfo *info)
{
    int pid = shared_id_process(id);
    int64_t error = check(pid, info->signo);
    if (is_absent_init(pid))
        return error; /* init ignores all signals */
    return error < 0 || !info->signo ? error : send_patiently(pid, 0, info);
}

/* Without waiting for room: -EBUSY. */
static int64_t send_once(int pid, int tid, const struct siginfo *info)
{
    int64_t error = check(pid, info->signo);
    struct process *local = error ? NULL : local_process(pid);
    if (error || !local)
        return error ? error : signal_send_remote(pid, tid, info);
    mutex_lock(&local->lock);
    struct thread *thread = tid ? thread_find(local, tid) : NULL;
    int64_t result = tid && !thread ? -ESRCH : signal_post(local, thread, info);
    mutex_unlock(&local->lock);
    process_put(local);
    return MIN(result, 0);
}

/* Pids of a group, or of all processes but the caller's where group is 0; the caller releases *out. */
static int64_t collect(uint32_t group, int **out)
{
    uint32_t self = (uint32_t)current_process()->pid;
    struct shared_process *slot = NULL;
    int64_t count = 0, most = 0;
    shared_lock();
    while ((slot = shared_next(slot)))
        most++;
    *out = alloc((uint64_t)most * sizeof(**out));
    while (*out && count < most && (slot = shared_next(slot)))
        if (group ? slot->pgid == group : slot->pid != self && slot->pid != SHARED_INIT_PID)
            (*out)[count++] = (int)slot->pid;
    shared_unlock();
    return *out ? count : -ENOMEM;
}

/* One that got it is enough. */
static int64_t send_many(uint32_t group, const struct siginfo *info)
{
    int *pids;
    int64_t count = collect(group, &pids), result = -ESRCH;
    if (count < 0)
        return count;
    for (int64_t i = 0; i < count; i++) {
        int64_t error = send(pids[i], info);
        if (result < 0 && error != -ESRCH)
            result = error;
    }
    release(pids);
    return result;
}

int64_t signal_send_owner(int id, uint32_t type, const struct siginfo *info)
{
    int *pids;
    if (type != OWNER_GROUP)
        return send_once(shared_id_process(id), type == OWNER_THREAD ? id : 0, info);
    int64_t count = collect((uint32_t)id, &pids), result = 0;
    if (count < 0)
        return count;
    for (int64_t i = 0; i < count; i++) {
        int64_t error = send_once(pids[i], 0, info);
        result = MIN(result, error);
    }
    release(pids);
    return result;
}

void signal_send_group(uint32_t group, const struct siginfo *info)
{
    int *pids;
    int64_t count = collect(group, &pids);
    for (int64_t i = 0; i < count; i++) {
        struct process *local = local_process(pids[i]);
        if (local)
            signal_send_process(pids[i], info);
        else
            signal_leave_remote(pids[i], info);
        process_put(local);
        pids[i] = local ? 0 : pids[i];
    }
    for (int64_t i = 0; i < count; i++)
        if (pids[i])
            signal_interrupt_remote(pids[i]);
    if (count >= 0)
        release(pids);
}

static struct siginfo info_from_here(int signal, int code)
{
    struct process *process = current_process();
    return (struct siginfo){.signo = signal, .code = code, .user = {.pid = process->pid, .uid = process->uid}};
}

int64_t sys_kill(int32_t pid, int32_t signal)
{
    struct siginfo info = info_from_here(signal, SI_USER);
    if (pid > 0)
        return send(pid, &info);
    if (pid == INT32_MIN)
        return -ESRCH;
    return send_many(pid == 0 ? current_process()->shared->pgid : pid == -1 ? 0 : (uint32_t)-pid, &info);
}

static int64_t send_to_thread(int pid, int tid, const struct siginfo *info)
{
    if (pid <= 0 || tid <= 0)
        return -EINVAL;
    struct process *process = local_process(pid);
    int64_t result = !process && shared_id_process(tid) != pid ? -ESRCH : 0;
    if (process) {
        mutex_lock(&process->lock);
        result = thread_find(process, tid) ? 0 : -ESRCH;
        mutex_unlock(&process->lock);
    }
    result = result ? result : check(pid, info->signo);
    if (result < 0) {
        process_put(process);
        return result;
    }
    if (!process)
        return info->signo ? send_patiently(pid, tid, info) : 0;
    mutex_lock(&process->lock);
    struct thread *thread = thread_find(process, tid);
    result = !thread ? -ESRCH : info->signo ? signal_post(process, thread, info) : 0;
    mutex_unlock(&process->lock);
    process_put(process);
    return MIN(result, 0);
}

int64_t sys_tgkill(int32_t pid, int32_t tid, int32_t signal)
{
    struct siginfo info = info_from_here(signal, SI_TKILL);
    return send_to_thread(pid, tid, &info);
}

int64_t sys_tkill(int32_t tid, int32_t signal)
{
    struct siginfo info = info_from_here(signal, SI_TKILL);
    return send_to_thread(shared_id_process(tid), tid, &info);
}

/* siginfo from the guest: it may not pass for the kernel's or kill()'s unless it goes to the caller's own number. */
static int64_t info_from_guest(guest_t from, int to, int signal, struct siginfo *out)
{
    if (copy_in(out, from, sizeof(*out)) < 0)
        return -EFAULT;
    if ((out->code >= 0 || out->code == SI_TKILL) && to != current()->tid)
        return -EPERM;
    out->signo = signal;
    if (out->code == SI_TIMER)
        out->words[2] = 0; /* else it would pass for one of our timers */
    return 0;
}

int64_t sys_rt_sigqueueinfo(int32_t pid, int32_t signal, guest_t from)
{
    struct siginfo info;
    int64_t error = info_from_guest(from, pid, signal, &info);
    if (error < 0)
        return error;
    return pid > 0 ? send(pid, &info) : -ESRCH;
}

int64_t sys_rt_tgsigqueueinfo(int32_t pid, int32_t tid, int32_t signal, guest_t from)
{
    struct siginfo info;
    if (pid <= 0 || tid <= 0)
        return -EINVAL;
    int64_t error = info_from_guest(from, tid, signal, &info);
    return error < 0 ? error : send_to_thread(pid, tid, &info);
}
