/* SPDX-License-Identifier: MIT */
/*
 * execve and execveat: whose process the new program is, and what of the old one goes.  Loading is exec_prepare.c's.
 *
 * Everything that can fail is done first, by exec_prepare; then other threads leave, or, in a virtual (vfork) child,
 * the host is forked: on one side the thread goes on as the new program, on the other it is its parent's again.
 */
#include "libos/abi/file.h"
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/process/exec_prepare.h"
#include "libos/process/process.h"
#include "libos/lib/lib.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

int64_t exec_become(struct exec_image *image)
{
    struct thread *self = current();
    struct process *process = self->process;
    const int former = self->tid;
    stats_report(current_process()->pid, current()->name);
    warm_tell();
    thread_robust(self);
    self->clear_tid = 0;
    if (self->tid != process->pid) {
        wait_thread_orphans(process->shared, self->tid, process->pid, false);
        shared_id_free(self->tid);
    }
    mutex_lock(&process->lock);
    thread_renumber(process, self, process->pid);
    mutex_unlock(&process->lock);
    signal_exec(process);
    files_exec(process->files);
    thread_sequences_end(self);
    warm_program(image->program.file, image->interpreter.file);
    exec_commit(image, current_frame());
    shared_lock();
    process->shared->flags |= SHARED_EXECED;
    process->shared->exit_signal = SIGCHLD;
    memcpy(process->shared->name, self->name, sizeof self->name);
    shared_unlock();
    if (UNLIKELY(process->shared->settings_kept)) {
        timers_limit_cpu();
        file_sizes_limit();
    }
    if (UNLIKELY(self->trace != NULL || libos_dispatch_slowly & SLOW_TRACED))
        trace_exec(former);
    return FRAME_REPLACED;
}

static int64_t exec_run(struct exec_image *image)
{
    struct process *process = current_process();
    if (!process->vfork_parent) {
        if (process_make_single() == 0) {
            process_await_virtual(process); /* they need the memory that is about to go */
            return exec_become(image);
        }
        exec_drop(image);
        return -ERESTARTNOINTR; /* another thread was first with exec or exit: this one is about to leave */
    }
    int64_t host = fork_host(process->shared, PAL_FORK_BARE);
    if (host == 0)
        return exec_become(image);
    exec_drop(image);
    if (host < 0)
        return host == -ENOMEM ? host : -EAGAIN;
    if (process->own_thread)
        clone_vm_end(process);
    vfork_return(process);
    return FRAME_REPLACED;
}

/* `name` ends here: after a success there is no way back. */
static int64_t exec_name(struct name *name, const char *given, guest_t argv, guest_t envp)
{
    struct exec_image *image;
    int64_t error = exec_prepare(name, given, argv, envp, &image);
    name_end(name);
    return error < 0 ? error : exec_run(image);
}

int64_t sys_execve(guest_t path, guest_t argv, guest_t envp)
{
    NAME(name);
    char given[PAL_PATH_MAX];
    int64_t error = copy_in_string(given, path, sizeof given);
    if (error >= 0)
        error = name_from_guest(AT_FDCWD, path, 0, &name);
    return error < 0 ? error : exec_name(&name, given, argv, envp);
}

int64_t sys_execveat(int32_t directory, guest_t path, guest_t argv, guest_t envp, uint32_t flags)
{
    NAME(name);
    char given[PAL_PATH_MAX + 32], string[PAL_PATH_MAX];
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    int64_t error = copy_in_string(string, path, sizeof string);
    if (error >= 0)
        error = name_from_guest(directory, path, flags, &name);
    if (error > 0 && (error = name_from_descriptor(directory, false, &name)) == -EXDEV)
        error = -EACCES;
    if (error < 0)
        return error;
    if (directory == AT_FDCWD || string[0] == '/')
        format(given, sizeof given, "%s", string);
    else
        format(given, sizeof given, "/dev/fd/%d%s%s", directory, string[0] ? "/" : "", string);
    return exec_name(&name, given, argv, envp);
}
