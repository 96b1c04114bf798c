/* SPDX-License-Identifier: MIT */
/* The processes of this picoprocess, their places in the table, groups and sessions. */
#include "libos/syscalls.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

const struct process_hooks *process_hooks;
struct process *processes;
struct mutex processes_lock;

/* ---- The processes of this picoprocess --------------------------------------------------------------------------- */

void process_link(struct process *process)
{
    mutex_lock(&processes_lock);
    process->next = processes;
    processes = process;
    mutex_unlock(&processes_lock);
}

void process_unlink(struct process *process)
{
    mutex_lock(&processes_lock);
    for (struct process **at = &processes; *at; at = &(*at)->next)
        if (*at == process) {
            *at = process->next;
            break;
        }
    mutex_unlock(&processes_lock);
}

struct process *process_ref(struct process *process)
{
    atomic_add(&process->references, 1);
    return process;
}

void process_put(struct process *process)
{
    if (process && atomic_add(&process->references, -1u) == 0) {
        hash_clear(&process->thread_ids);
        groups_free(process);
        release(process);
    }
}

struct process *process_local_get(int pid)
{
    mutex_lock(&processes_lock);
    struct process *process = processes;
    while (process && process->pid != pid)
        process = process->next;
    if (process)
        process_ref(process);
    mutex_unlock(&processes_lock);
    return process;
}

struct process *process_real(void)
{
    struct process *process = current_process();
    while (process->vfork_parent)
        process = process->vfork_parent;
    return process;
}

uint32_t process_real_pid(void)
{
    return (uint32_t)process_real()->pid;
}

/* ---- Beginning --------------------------------------------------------------------------------------------------- */

void process_set_name(struct thread *thread, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    memset(thread->name, 0, sizeof thread->name);
    memcpy(thread->name, name, strnlen(name, sizeof thread->name - 1));
    memcpy(thread->process->shared->name, thread->name, sizeof thread->name);
}

uint64_t process_host_id(void)
{
    struct shared_process *slot = current_process()->shared;
    uint64_t host;
    while (!(host = atomic_get(&slot->host))) /* our parent has not yet come back from its fork */
        PAL->thread_yield();
    return host;
}

/* ---- What signals and /proc ask ---------------------------------------------------------------------------------- */

bool process_target_lock(int pid, struct process_target *out)
{
    shared_lock();
    struct shared_process *slot = shared_find(pid);
    if (!slot) {
        shared_unlock();
        return false;
    }
    *out = (struct process_target){
        .slot = slot,
        .uid = slot->uid,
        .suid = slot->suid,
        .session = (int)slot->sid,
        .zombie = slot->state >= SHARED_EXITING,
        .virtual_child = slot->flags & SHARED_VIRTUAL,
    };
    __atomic_store_n(&slot->inbox_used, 1, __ATOMIC_SEQ_CST); /* and only then `host` is read: see host_child_add */
    out->host = __atomic_load_n(&slot->host, __ATOMIC_SEQ_CST);
    return true;
}

void process_target_unlock(void)
{
    shared_unlock();
}

void process_notify(struct shared_process *slot)
{
    if (atomic_get(&slot->bell_heard)) {
        atomic_set(&slot->bell_rung, 1u);
        atomic_add(&slot->bell, 1u);
        PAL->wake((uint64_t)(uintptr_t)&slot->bell, 1, 1);
        return;
    }
    uint64_t host = atomic_get(&slot->host);
    if (host)
        PAL->process_interrupt(host, 0);
}

void process_end_stop(struct shared_process *slot)
{
    if (slot->state != SHARED_STOPPED)
        return;
    slot->state = SHARED_RUNNING;
    slot->status = STATUS_CONTINUED;
    slot->flags = (slot->flags & ~(uint32_t)SHARED_STOP_NEWS) | SHARED_CONTINUE_NEWS;
}

void process_continued(struct shared_process *slot)
{
    atomic_add(&slot->continues, 1);
    process_end_stop(slot);
}

struct thread *thread_find(const struct process *process, int tid)
{
    struct hash_node *found = hash_find(&process->thread_ids, (uint32_t)tid);
    return found ? container_of(found, struct thread, by_tid) : NULL;
}

void threads_add(struct process *process, struct thread *thread)
{
    thread->next = process->threads;
    thread->from = &process->threads;
    if (thread->next)
        thread->next->from = &thread->next;
    process->threads = thread;
    hash_insert(&process->thread_ids, &thread->by_tid, (uint32_t)thread->tid);
}

void threads_remove(struct process *process, struct thread *thread)
{
    *thread->from = thread->next;
    if (thread->next)
        thread->next->from = thread->from;
    hash_remove(&process->thread_ids, &thread->by_tid);
}

void thread_renumber(struct process *process, struct thread *thread, int tid)
{
    if (thread->tid == tid)
        return;
    hash_remove(&process->thread_ids, &thread->by_tid);
    thread->tid = tid;
    hash_insert(&process->thread_ids, &thread->by_tid, (uint32_t)tid);
}

int process_after(int pid)
{
    int id = MAX(pid, 0);
    bool found = false;
    shared_lock();
    while (!found && (id = shared_id_after(id)) > 0)
        found = is_absent_init(id) || shared_find(id);
    shared_unlock();
    return found ? id : -1;
}

uint32_t process_count(void)
{
    return shared_count();
}

bool process_facts(int pid, struct process_facts *out)
{
    static const char states[] = {
        [SHARED_RUNNING] = 'R', [SHARED_STOPPED] = 'T', [SHARED_EXITING] = 'Z', [SHARED_ZOMBIE] = 'Z',
    };
    struct shared_settings copy;
    if (is_absent_init(pid)) { /* all look for it */
        *out = (struct process_facts){.pid = pid, .group = pid, .session = pid, .threads = 1, .state = 'R', .name = "init"};
        return true;
    }
    shared_lock();
    const struct shared_process *slot = shared_find(pid);
    if (slot) {
        *out = (struct process_facts){
            .pid = pid,
            .parent = (int)slot->ppid,
            .group = (int)slot->pgid,
            .session = (int)slot->sid,
            .uid = slot->uid,
            .gid = slot->gid,
            .threads = slot->thread_count,
            .state = states[slot->state],
            .start_ns = slot->start_ns,
            .host = atomic_get(&slot->host),
            .nice = settings_of(slot, &copy)->nice,
            .used = slot->used,
            .children = slot->children,
        };
        memcpy(out->name, slot->name, sizeof out->name);
    }
    shared_unlock();
    return slot;
}

/* ---- Identity, groups, sessions ---------------------------------------------------------------------------------- */

int64_t sys_getpid(void)
{
    return current_process()->pid;
}

int64_t sys_getppid(void)
{
    return atomic_get(&current_process()->shared->ppid);
}

int64_t sys_getpgrp(void)
{
    return atomic_get(&current_process()->shared->pgid);
}

int64_t sys_getpgid(int32_t pid)
{
    if (!pid)
        return sys_getpgrp();
    if (is_absent_init(pid))
        return pid;
    shared_lock();
    const struct shared_process *slot = shared_find(shared_id_process(pid));
    int64_t result = slot ? (int64_t)slot->pgid : -ESRCH;
    shared_unlock();
    return result;
}

int64_t sys_getsid(int32_t pid)
{
    if (is_absent_init(pid))
        return pid;
    shared_lock();
    const struct shared_process *slot = pid ? shared_find(shared_id_process(pid)) : current_process()->shared;
    int64_t result = slot ? (int64_t)slot->sid : -ESRCH;
    shared_unlock();
    return result;
}

/* setpgid(2); caller holds the table's lock. */
static int64_t set_group(struct shared_process *self, int pid, int group)
{
    struct shared_process *slot = shared_find(pid);
    if (!slot && shared_find(shared_id_process(pid)))
        return -EINVAL; /* a thread */
    if (!slot || (slot != self && slot->ppid != self->pid))
        return -ESRCH;
    if (slot != self && slot->sid != self->sid)
        return -EPERM;
    if (slot != self && slot->flags & SHARED_EXECED)
        return -EACCES;
    if (slot->sid == slot->pid)
        return -EPERM;
    if (group != pid && !shared_group_exists((uint32_t)group, self->sid))
        return -EPERM;
    slot->pgid = (uint32_t)group;
    return 0;
}

int64_t sys_setpgid(int32_t pid, int32_t group)
{
    struct process *process = current_process();
    pid = pid ? pid : process->pid;
    group = group ? group : pid;
    if (group < 0)
        return -EINVAL;
    shared_lock();
    int64_t result = set_group(process->shared, pid, group);
    shared_unlock();
    return result;
}

int64_t sys_setsid(void)
{
    struct shared_process *self = current_process()->shared;
    int64_t result = -EPERM;
    shared_lock();
    if (!shared_group_exists(self->pid, 0))
        result = self->sid = self->pgid = self->pid;
    shared_unlock();
    return result;
}
