/* SPDX-License-Identifier: MIT */
/* What programs ask about the system and themselves: sysinfo, prctl, personality, random bytes, barriers. */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"
#include "libos/task/table.h"

#define NS 1000000000ull
#define DEFAULT_MEMORY (8ull << 30) /* /proc/meminfo's, where the manifest sets no limit */

/* ---- The system ------------------------------------------------------------------------------------------------ */

struct sysinfo {
    int64_t uptime;
    uint64_t loads[3], total, free, shared, buffers, swap_total, swap_free;
    uint16_t processes, pad;
    uint32_t pad2;
    uint64_t high_total, high_free;
    uint32_t unit, pad3;
};
_Static_assert(sizeof(struct sysinfo) == 112, "ABI");

int64_t sys_sysinfo(guest_t info)
{
    struct sysinfo out = {.unit = 1};
    struct mm_facts mm;
    mm_facts_get(&mm);
    out.uptime = (int64_t)(time_now(PAL_CLOCK_BOOT) / NS);
    out.total = boot->memory_limit == UINT64_MAX ? DEFAULT_MEMORY : boot->memory_limit;
    out.free = mm.total_bytes < out.total / 2 ? out.total - mm.total_bytes : out.total / 2;
    out.processes = (uint16_t)process_count();
    return copy_out(info, &out, sizeof(out));
}

int64_t sys_getrandom(guest_t buffer, uint64_t size, uint32_t flags)
{
    enum { NONBLOCK = 1, RANDOM = 2, INSECURE = 4 };
    if (flags & ~(uint32_t)(NONBLOCK | RANDOM | INSECURE) || (flags & (RANDOM | INSECURE)) == (RANDOM | INSECURE))
        return -EINVAL;
    size = MIN(size, (uint64_t)INT32_MAX);
    if (!guest_range_ok(buffer, size))
        return -EFAULT;
    int64_t error = PAL->random(buffer, size);
    return error < 0 ? error : (int64_t)size;
}

/* ---- The process ----------------------------------------------------------------------------------------------- */

int64_t sys_personality(uint32_t persona)
{
    uint32_t old = settings()->persona;
    if (persona != UINT32_MAX)
        settings()->persona = persona;
    return old;
}

/* No namespaces.  What threads share of the process they share for good. */
int64_t sys_unshare(uint32_t flags)
{
    enum { VM = 0x100, FS = 0x200, FILES = 0x400, SIGNALS = 0x800, THREADS = 0x10000, SEMAPHORES = 0x40000,
           NAMESPACES = 0x7e020080 };
    if (flags & ~(uint32_t)(VM | FS | FILES | SIGNALS | THREADS | SEMAPHORES | NAMESPACES))
        return -EINVAL;
    if (flags & (VM | SIGNALS | THREADS) && current_process()->thread_count > 1)
        return -EINVAL;
    if (flags & NAMESPACES)
        return -EPERM;
    return flags && current_process()->thread_count > 1 ? -EPERM : 0;
}

/* There is nothing to enter but what the caller is in, which is for those with CAP_SYS_ADMIN. */
int64_t sys_setns(int32_t fd, int32_t type)
{
    struct file *file = file_get_io(fd);
    (void)type;
    if (!file)
        return -EBADF;
    int64_t result = proc_enter(file);
    file_put(file);
    return result;
}

int64_t sys_membarrier(int32_t command, uint32_t flags, int32_t cpu)
{
    enum { QUERY = 0, GLOBAL = 1, GLOBAL_EXPEDITED = 2, REGISTER_GLOBAL = 4, PRIVATE = 8, REGISTER_PRIVATE = 16,
           SYNC = 32, REGISTER_SYNC = 64, REGISTRATIONS = 512 };
    uint32_t *barriers = &settings()->barriers, bit = (uint32_t)command;
    uint32_t served = GLOBAL | GLOBAL_EXPEDITED | REGISTER_GLOBAL | REGISTRATIONS;
    if (boot->capabilities & PAL_CAN_SYNC_CODE)
        served |= PRIVATE | REGISTER_PRIVATE | SYNC | REGISTER_SYNC;
    (void)cpu;
    if (flags || command < 0 || (command & (command - 1)))
        return -EINVAL;
    if (command == QUERY)
        return served;
    if (!(bit & served))
        return -EINVAL;
    switch (command) {
    case GLOBAL:
    case GLOBAL_EXPEDITED: /* also in processes that have not registered */
        return PAL->code_sync(1);
    case REGISTER_GLOBAL:
    case REGISTER_PRIVATE:
    case REGISTER_SYNC:
        atomic_or(barriers, bit);
        return 0;
    case REGISTRATIONS:
        return atomic_get(barriers);
    }
    return atomic_get(barriers) & bit << 1 ? PAL->code_sync(0) : -EPERM; /* REGISTER_X is the bit behind X */
}

/* ---- prctl ----------------------------------------------------------------------------------------------------- */

enum {
    PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG = 2, PR_GET_DUMPABLE = 3, PR_SET_DUMPABLE = 4, PR_GET_KEEPCAPS = 7,
    PR_SET_KEEPCAPS = 8, PR_GET_TIMING = 13, PR_SET_TIMING = 14, PR_SET_NAME = 15, PR_GET_NAME = 16,
    PR_GET_SECCOMP = 21, PR_CAPBSET_READ = 23, PR_CAPBSET_DROP = 24, PR_GET_SECUREBITS = 27, PR_SET_TIMERSLACK = 29,
    PR_GET_TSC = 25, PR_SET_TSC = 26, PR_SET_SECUREBITS = 28, PR_GET_TIMERSLACK = 30, PR_TASK_PERF_EVENTS_DISABLE = 31,
    PR_TASK_PERF_EVENTS_ENABLE = 32, PR_MCE_KILL = 33, PR_MCE_KILL_GET = 34, PR_SET_MM = 35, PR_SET_CHILD_SUBREAPER = 36, PR_GET_CHILD_SUBREAPER = 37,
    PR_SET_NO_NEW_PRIVS = 38, PR_GET_NO_NEW_PRIVS = 39, PR_GET_TID_ADDRESS = 40, PR_SET_THP_DISABLE = 41,
    PR_GET_THP_DISABLE = 42, PR_CAP_AMBIENT = 47, PR_GET_SPECULATION_CTRL = 52, PR_SET_SPECULATION_CTRL = 53,
    PR_SET_IO_FLUSHER = 57, PR_GET_IO_FLUSHER = 58, PR_SET_SYSCALL_USER_DISPATCH = 59,
};
#define COMM_SIZE 16u
#define SECURE_BITS 0xffu
#define TSC_ENABLE 1

static int64_t set_name(guest_t from)
{
    struct thread *thread = current();
    char name[COMM_SIZE] = {0};
    int64_t error = copy_in_string(name, from, COMM_SIZE - 1);
    if (error < 0 && error != -ENAMETOOLONG)
        return error;
    name[COMM_SIZE - 1] = 0;
    memcpy(thread->name, name, COMM_SIZE);
    if (thread->tid == thread->process->pid)
        memcpy(thread->process->shared->name, name, COMM_SIZE);
    return 0;
}

static int64_t set_subreaper(bool on)
{
    struct shared_process *shared = current_process()->shared;
    shared_lock();
    shared->flags = on ? shared->flags | SHARED_SUBREAPER : shared->flags & ~(uint32_t)SHARED_SUBREAPER;
    shared_unlock();
    return 0;
}

static int64_t set_death_signal(uint64_t signal)
{
    if (signal > SIGNAL_COUNT)
        return -EINVAL;
    atomic_set(&current_process()->shared->death_signal, (uint32_t)signal);
    return 0;
}

static int64_t set_flag(uint32_t *flag, uint64_t value)
{
    if (value > 1)
        return -EINVAL;
    *flag = (uint32_t)value;
    return 0;
}

static int64_t bounding_set(int32_t option, uint64_t capability)
{
    if (option == PR_CAPBSET_DROP && current_process()->euid != 0)
        return -EPERM;
    if (capability > CAP_LAST)
        return -EINVAL;
    if (option == PR_CAPBSET_READ)
        return !(settings()->capabilities.unbound >> capability & 1);
    settings()->capabilities.unbound |= 1ull << capability; /* what it is permitted it keeps until it runs a program */
    return 0;
}

static int64_t ambient_set(uint64_t operation, uint64_t capability, uint64_t a4, uint64_t a5)
{
    enum { IS_SET = 1, RAISE, LOWER, CLEAR_ALL };
    if (a4 || a5 || operation < IS_SET || operation > CLEAR_ALL)
        return -EINVAL;
    if (operation == CLEAR_ALL ? capability != 0 : capability > CAP_LAST)
        return -EINVAL;
    uint64_t *ambient = &settings()->capabilities.ambient, bit = 1ull << capability;
    struct capability_sets sets = capabilities_get(current_process());
    if (operation == IS_SET)
        return !!(sets.ambient & bit);
    if (operation == RAISE && !(sets.permitted & sets.inheritable & bit))
        return -EPERM;
    *ambient = operation == CLEAR_ALL ? 0 : operation == RAISE ? *ambient | bit : *ambient & ~bit;
    return 0;
}

/* What a processor's fault in memory does to the process: kept, and told. */
static int64_t fault_policy(uint64_t operation, uint64_t policy)
{
    enum { CLEAR, SET };
    enum { LATE, EARLY, DEFAULT };
    uint32_t *told = &settings()->memory_fault; /* 0: the default */
    if (operation > SET || (operation == CLEAR ? policy != 0 : policy > DEFAULT))
        return -EINVAL;
    *told = operation == SET && policy != DEFAULT ? (uint32_t)policy + 1 : 0;
    return 0;
}

/* The processor's speculation is as the host has it, and no process's to change. */
static int64_t speculation(bool change, uint64_t which, uint64_t value, uint64_t a4, uint64_t a5)
{
    enum { STORE_BYPASS, INDIRECT_BRANCH };
    enum { ENABLE = 2 };
    if (a4 || a5 || (!change && value))
        return -EINVAL;
    if (which > INDIRECT_BRANCH)
        return -ENODEV;
    return change ? -ENXIO : ENABLE;
}

static int64_t secure_bits(uint64_t bits)
{
    if (current_process()->euid != 0)
        return -EPERM;
    uint32_t *set = &settings()->secure_bits;
    const uint32_t locked = *set >> 1 & 0x55u; /* each odd bit fixes the one before */
    if (bits & ~(uint64_t)SECURE_BITS || (*set & 0xaau) & ~bits || (*set ^ bits) & locked)
        return -EPERM;
    *set = (uint32_t)bits;
    return 0;
}

static int64_t io_flusher(bool change, uint64_t on, uint64_t a3, uint64_t a4, uint64_t a5)
{
    if (current_process()->euid != 0)
        return -EPERM;
    if (a3 || a4 || a5 || on > change)
        return -EINVAL;
    if (!change)
        return settings()->io_flusher;
    settings()->io_flusher = (uint32_t)on;
    return 0;
}

int64_t sys_prctl(int32_t option, guest_t a2, guest_t a3, guest_t a4, guest_t a5)
{
    struct settings *set = settings();
    const struct shared_process *shared = current_process()->shared;
    switch (option) {
    case PR_SET_PDEATHSIG:
        return set_death_signal(a2);
    case PR_GET_PDEATHSIG:
        return guest_store32(a2, atomic_get(&shared->death_signal));
    case PR_GET_DUMPABLE:
        return set->dumpable;
    case PR_SET_DUMPABLE:
        return set_flag(&set->dumpable, a2);
    case PR_GET_KEEPCAPS:
        return set->keep_capabilities;
    case PR_SET_KEEPCAPS:
        return set_flag(&set->keep_capabilities, a2);
    case PR_SET_NAME:
        return set_name(a2);
    case PR_GET_NAME:
        return copy_out(a2, current()->name, COMM_SIZE);
    case PR_GET_TIMING: /* statistical, and nothing else */
    case PR_GET_SECCOMP:
        return 0;
    case PR_GET_SECUREBITS:
        return set->secure_bits;
    case PR_SET_SECUREBITS:
        return secure_bits(a2);
    case PR_TASK_PERF_EVENTS_DISABLE: /* it has none */
    case PR_TASK_PERF_EVENTS_ENABLE:
        return 0;
    case PR_GET_TSC:
        return guest_store32(a2, TSC_ENABLE);
    case PR_SET_TSC:
        return a2 == TSC_ENABLE ? 0 : -EINVAL;
    case PR_MCE_KILL_GET:
        return a2 || a3 || a4 || a5 ? -EINVAL : set->memory_fault ? (int64_t)set->memory_fault - 1 : 2;
    case PR_MCE_KILL:
        return a4 || a5 ? -EINVAL : fault_policy(a2, a3);
    case PR_SET_MM:
        return current_process()->euid != 0 ? -EPERM : -EINVAL;
    case PR_SET_TIMING:
        return a2 ? -EINVAL : 0;
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
        return bounding_set(option, a2);
    case PR_SET_TIMERSLACK:
        set->timer_slack = (int64_t)a2 <= 0 ? set->timer_slack_default : a2;
        return 0;
    case PR_GET_TIMERSLACK:
        return (int64_t)set->timer_slack;
    case PR_SET_CHILD_SUBREAPER:
        return set_subreaper(a2);
    case PR_GET_CHILD_SUBREAPER:
        return guest_store32(a2, !!(shared->flags & SHARED_SUBREAPER));
    case PR_SET_NO_NEW_PRIVS:
        return a2 != 1 || a3 || a4 || a5 ? -EINVAL : set_flag(&set->no_new_privileges, 1);
    case PR_GET_NO_NEW_PRIVS:
        return a2 || a3 || a4 || a5 ? -EINVAL : (int64_t)set->no_new_privileges;
    case PR_GET_TID_ADDRESS:
        return copy_out(a2, &current()->clear_tid, sizeof(guest_t));
    case PR_SET_THP_DISABLE:
        return a3 || a4 || a5 ? -EINVAL : set_flag(&set->huge_pages_off, !!a2);
    case PR_GET_THP_DISABLE:
        return a2 || a3 || a4 || a5 ? -EINVAL : (int64_t)set->huge_pages_off;
    case PR_CAP_AMBIENT:
        return ambient_set(a2, a3, a4, a5);
    case PR_GET_SPECULATION_CTRL:
    case PR_SET_SPECULATION_CTRL:
        return speculation(option == PR_SET_SPECULATION_CTRL, a2, a3, a4, a5);
    case PR_SET_IO_FLUSHER:
    case PR_GET_IO_FLUSHER:
        return io_flusher(option == PR_SET_IO_FLUSHER, a2, a3, a4, a5);
    case PR_SET_SYSCALL_USER_DISPATCH: /* off, as it is; the dispatch of system calls is the libOS's own */
        return a2 || a3 || a4 || a5 ? -EINVAL : 0;
    default:
        note_unsupported("prctl", (uint64_t)option);
        return -EINVAL;
    }
}
