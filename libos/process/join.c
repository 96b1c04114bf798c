/* SPDX-License-Identifier: MIT */
/*
 * Somebody outside starts a program in the running sandbox (`pal-run exec`).  The host interrupts the first picoprocess,
 * which forks without the guest's memory; the child forks once more and ends, so that its own child is the host's parent's:
 * that sees its end.  What is left has nothing of the process that it came from: its parent is 0, its session its own.
 *
 * Policy is the sandbox's: the new process is one more of it, with the streams that were handed in.
 */
#include "libos/abi/file.h"
#include "libos/fs/vfs.h"
#include "libos/lib/lib.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"
#include "libos/tty/tty.h"

#define RECORD_MAX (16u << 20)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define STATUS(code) ((uint32_t)(code) << 8)

struct joining {
    const struct pal_join *record; /* strings behind it, and a NUL behind all */
    const char *cwd, *const *argv, *const *envp;
    struct file *streams[PAL_STANDARD_STREAMS];
};

static uint32_t interrupts; /* what came before the program is there waits for it */

/* The calling thread was interrupted, as its parent may have been just before the fork: what that cut short is done again. */
static bool interrupted(void)
{
    uint32_t noted = atomic_swap(&tcb()->interrupted, 0u);
    interrupts |= noted;
    return noted;
}

/* ---- What it wants ----------------------------------------------------------------------------------------------- */

static int64_t read_all(pal_handle_t handle, char *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        int64_t n = PAL->stream_read(handle, (uint64_t)(uintptr_t)bytes + at, size - at, (int64_t)at);
        if (n <= 0 && !(n == -EINTR && interrupted()))
            return n < 0 ? n : -EIO;
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static const struct pal_join *record_read(uint64_t *size)
{
    struct pal_attributes attributes;
    pal_handle_t handle;
    char *bytes = NULL;
    if (PAL->handle_import(PAL_JOIN_RECORD, &handle) < 0)
        return NULL;
    if (PAL->attributes_get(handle, NULL, &attributes, NULL) >= 0 && attributes.size >= sizeof(struct pal_join) &&
        attributes.size <= RECORD_MAX)
        bytes = alloc_zero(attributes.size + 1);
    if (bytes && read_all(handle, bytes, attributes.size) < 0) {
        release(bytes);
        bytes = NULL;
    }
    PAL->handle_close(handle);
    *size = attributes.size;
    return (const struct pal_join *)bytes;
}

/* `count` strings at *at, and those of `more` behind that have no namesake among them. */
static const char *const *take_strings(const char **at, const char *end, uint32_t count, const char *const *more)
{
    uint64_t extra = 0;
    while (more && more[extra])
        extra++;
    const char **list = alloc_zero((count + extra + 1) * sizeof *list);
    if (!list)
        return NULL;
    uint32_t used = 0;
    for (; used < count && *at < end; *at += strlen(*at) + 1)
        list[used++] = *at;
    for (uint32_t given = used; more && *more; more++) {
        const char *equals = strchr(*more, '=');
        size_t name = equals ? (size_t)(equals - *more) + 1 : strlen(*more) + 1;
        bool known = false;
        for (uint32_t i = 0; i < given && !known; i++)
            known = strnlen(list[i], name) == name && !memcmp(list[i], *more, name);
        if (!known)
            list[used++] = *more;
    }
    return list;
}

static bool take_record(struct joining *joining)
{
    uint64_t size;
    const struct pal_join *record = joining->record = record_read(&size);
    if (!record || record->argc > size || record->envc > size || !record->argc)
        return false;
    const char *at = (const char *)(record + 1), *end = (const char *)record + size;
    joining->cwd = *at ? at : boot->cwd ? boot->cwd : "/";
    at += strlen(at) + 1;
    joining->argv = take_strings(&at, end, record->argc, NULL);
    joining->envp = take_strings(&at, end, record->envc, record->flags & PAL_JOIN_INHERITS ? boot->envp : NULL);
    return joining->argv && joining->argv[0] && joining->envp;
}

/* ---- A process of its own ---------------------------------------------------------------------------------------- */

static void reset_ids(struct process *process, const struct pal_join *record)
{
    uint32_t uid = record->flags & PAL_JOIN_IDS ? record->uid : boot->uid;
    uint32_t gid = record->flags & PAL_JOIN_IDS ? record->gid : boot->gid;
    process->uid = process->euid = process->suid = process->fsuid = uid;
    process->gid = process->egid = process->sgid = process->fsgid = gid;
    if (record->flags & PAL_JOIN_IDS)
        groups_set(process, record->groups, MIN(record->group_count, (uint32_t)PAL_JOIN_GROUPS));
    else
        groups_set(process, boot->groups, boot->group_count);
    shared_lock();
    process->shared->uid = process->shared->euid = process->shared->suid = uid;
    process->shared->gid = gid;
    shared_unlock();
}

static void reset_signals(struct thread *self)
{
    struct signal_state *signals = self->process->signals;
    memset(signals->actions, 0, sizeof signals->actions);
    self->blocked = self->waiting_for = 0;
    self->restore_mask = 0;
    self->deadline_valid = 0;
}

static void reset(struct shared_process *slot)
{
    const struct clone_request nothing = {.flags = 0};
    struct thread *self = current();
    struct process *process = self->process;
    process->pid = (int)slot->pid;
    process->shared = slot;
    thread_renew(self, &nothing, process->pid);
    trace_fork_child(NULL);
    reset_signals(self);
    self->sequences.size = 0;
    memset(&process->settings, 0, sizeof process->settings);
    tty_join(slot);
}

static struct file *stream_new(uint32_t number, const struct pal_join *record)
{
    pal_handle_t handle;
    struct file *file;
    if (record->streams >> number & 1)
        return PAL->handle_import(PAL_JOIN_STREAM + number, &handle) < 0 ? NULL : file_new_stream(handle);
    if (!(record->terminals >> number & 1))
        return NULL;
    struct shared_terminal *terminal = tty_join_terminal(record->terminal);
    return terminal && tty_inner_new(terminal, O_RDWR, &file) >= 0 ? file : NULL;
}

/* Nothing of the old files is left open; streams first: their numbers are anything. */
static bool reset_files(struct process *process, struct joining *joining)
{
    struct files *old = process->files;
    struct fs *old_fs = process->fs;
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++)
        joining->streams[i] = stream_new(i, joining->record);
    process->files = files_new_streams(joining->streams);
    if (!process->files)
        PAL->process_exit(126);
    files_put(old);
    do
        process->fs = fs_new_at(joining->cwd, joining->record->umask & S_IRWXUGO);
    while (!process->fs && interrupted());
    if (!process->fs)
        process->fs = old_fs; /* for its end */
    else
        fs_put(old_fs);
    return process->fs != old_fs;
}

/* ---- The program ------------------------------------------------------------------------------------------------- */

static void fail_program(const struct joining *joining, const char *what, int64_t error) __attribute__((noreturn));
static void fail_program(const struct joining *joining, const char *what, int64_t error)
{
    char line[512];
    const char *why = error == -ENOENT || error == -ENOTDIR ? "not found in the sandbox"
                      : error == -EACCES                    ? "permission denied"
                      : error == -ENOEXEC                   ? "not a program for this machine"
                                                            : "cannot be started";
    format(line, sizeof line, "pal-run: exec: %s: %s\n", what, why);
    struct file *file = joining->streams[2];
    if (file)
        PAL->stream_write(file->handle, (uint64_t)(uintptr_t)line, strlen(line), -1);
    process_exit_group(STATUS(error == -ENOENT || error == -ENOTDIR ? 127 : 126));
}

static const char *search_path(const struct joining *joining)
{
    for (const char *const *at = joining->envp; *at; at++)
        if (!memcmp(*at, "PATH=", MIN(strlen(*at) + 1, (size_t)5)))
            return *at + 5;
    return DEFAULT_PATH;
}

/* As execvp(3) looks. */
static int64_t prepare(const struct joining *joining, struct exec_image **image)
{
    const char *program = joining->argv[0];
    int64_t result = -ENOENT;
    char path[PAL_PATH_MAX];
    if (strchr(program, '/') || !*program)
        return exec_prepare_strings(program, joining->argv, joining->envp, image);
    for (const char *at = search_path(joining); at;) {
        const char *colon = strchr(at, ':');
        int size = colon ? (int)(colon - at) : (int)strlen(at);
        if (size && (size_t)size + strlen(program) + 2 < sizeof path) {
            memcpy(path, at, (size_t)size);
            format(path + size, sizeof path - (size_t)size, "/%s", program);
            int64_t error = exec_prepare_strings(path, joining->argv, joining->envp, image);
            if (error >= 0)
                return error;
            result = error == -ENOENT || error == -ENOTDIR ? result : error;
        }
        at = colon ? colon + 1 : NULL;
    }
    return result;
}

static void begin(struct shared_process *slot) __attribute__((noreturn));
static void begin(struct shared_process *slot)
{
    struct joining joining = {.record = NULL};
    struct exec_image *image;
    reset(slot);
    interrupts = 0;
    interrupted();
    if (!take_record(&joining))
        process_exit_group(STATUS(126));
    reset_ids(current_process(), joining.record);
    if (!reset_files(current_process(), &joining))
        fail_program(&joining, joining.cwd, -ENOENT);
    int64_t error;
    do
        error = prepare(&joining, &image);
    while (error < 0 && interrupted());
    if (error < 0)
        fail_program(&joining, joining.argv[0], error);
    if (interrupts)
        atomic_set(&tcb()->interrupted, 1u);
    exec_become(image);
    frame_enter_guest();
}

/* ---- Two forks --------------------------------------------------------------------------------------------------- */

/* Returns in the second child only. */
static void fork_again(struct shared_process *slot)
{
    int64_t host = PAL->process_fork(PAL_FORK_BARE);
    if (host == 0)
        return;
    if (host < 0)
        slot_drop(slot);
    else
        process_named(slot, (uint64_t)host);
    PAL->process_exit(0);
}

static struct shared_process *slot_new(void)
{
    struct shared_process *slot = shared_new(NULL, 0, SIGCHLD, false);
    if (!slot)
        return NULL;
    shared_lock();
    shared_reparent(slot, 0);
    slot->sid = slot->pid;
    slot->uid = slot->euid = slot->suid = boot->uid;
    slot->gid = boot->gid;
    shared_unlock();
    return slot;
}

/* By the first picoprocess itself: that means no. */
static void refuse(void)
{
    PAL->handle_import(PAL_JOIN_RECORD, NULL);
}

static void join_one(void)
{
    struct shared_process *slot = slot_new();
    if (!slot) {
        refuse();
        return;
    }
    int64_t host = fork_host(slot, PAL_FORK_BARE);
    if (host == 0) {
        fork_again(slot);
        begin(slot);
    }
    if (host < 0) {
        slot_drop(slot);
        refuse();
    }
}

void process_join(void)
{
    struct pal_host_signals *came = (struct pal_host_signals *)(uintptr_t)boot->host_signals;
    for (uint32_t count = atomic_swap(&came->joins, 0u); count; count--)
        join_one();
}
