/* SPDX-License-Identifier: MIT */
/*
 * pidfd_open(2): a descriptor that stands for a process.  It becomes readable when the process has ended.
 *
 * A number may be another process's later, so the file remembers when its process began, too.  Ends of this
 * picoprocess's host children are told to waiters here (children.c); of others' nobody tells, so a wait for those looks
 * again now and then.
 */
#include "libos/syscalls.h"
#include "libos/process/process.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/poll/readiness.h"
#include "libos/mm/mm.h"
#include "libos/net/socket.h"
#include "libos/signal/remote.h"

#define LOOK_AGAIN_NS 20000000ull

/* private: the pid; offset: start_ns. */
/* The file's process, or NULL: it is gone.  Caller holds the table's lock. */
static struct shared_process *target(const struct file *file)
{
    struct shared_process *slot = shared_find((int)file->private);
    return slot && slot->start_ns == (uint64_t)file->offset ? slot : NULL;
}

static uint32_t pidfd_ready(struct file *file)
{
    shared_lock();
    const struct shared_process *slot = target(file);
    bool ended = !slot || slot->state == SHARED_ZOMBIE;
    shared_unlock();
    return ended ? POLLIN | POLLRDNORM : 0;
}

static uint64_t pidfd_deadline(struct file *file)
{
    if (pidfd_ready(file))
        return PAL_FOREVER;
    shared_lock();
    const struct shared_process *slot = target(file);
    bool told = slot && slot->reaper == process_real_pid() && !(slot->flags & SHARED_VIRTUAL);
    shared_unlock();
    return told ? PAL_FOREVER : time_now(PAL_CLOCK_MONOTONIC) + LOOK_AGAIN_NS;
}

/* As systemd and glibc find out whom it stands for; -1: nobody any more. */
static void pidfd_describe(struct file *file, char *out, size_t size)
{
    shared_lock();
    int pid = target(file) ? (int)file->private : -1;
    shared_unlock();
    format(out, size, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static uint64_t pidfd_pack(const struct file *file)
{
    return (uint64_t)file->offset;
}

static int64_t pidfd_unpack(struct file *file, uint64_t packed)
{
    file->offset = (int64_t)packed;
    return 0;
}

static const struct file_ops pidfd_ops = {
    .kind = "anon_inode:[pidfd]",
    .describe = pidfd_describe,
    .attributes = anonymous_attributes,
    .seek = anonymous_seek,
    .ready = pidfd_ready,
    .deadline = pidfd_deadline,
    .ends = true,
    .pack = pidfd_pack,
    .unpack = pidfd_unpack,
};

int64_t pidfd_new(int pid, uint32_t flags)
{
    struct file *file = file_new(&pidfd_ops, PAL_NO_HANDLE, O_RDWR | (flags & O_NONBLOCK));
    if (!file)
        return -ENOMEM;
    file->private = (uint64_t)pid;
    shared_lock();
    const struct shared_process *slot = shared_find(pid);
    if (slot)
        file->offset = (int64_t)slot->start_ns;
    shared_unlock();
    if (!slot) {
        file_put(file);
        return shared_id_process(pid) == pid ? -ESRCH : -EINVAL; /* a thread */
    }
    return fd_install(file, O_CLOEXEC, 0);
}

int64_t pidfd_target(int fd, uint32_t *flags)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t pid = file->ops == &pidfd_ops ? (int64_t)file->private : -EBADF;
    *flags = file->flags;
    if (pid > 0) {
        shared_lock();
        if (!target(file))
            pid = -ESRCH;
        shared_unlock();
    }
    file_put(file);
    return pid;
}

int64_t sys_pidfd_open(int32_t pid, uint32_t flags)
{
    if (flags & ~O_NONBLOCK || pid <= 0)
        return -EINVAL;
    return pidfd_new(pid, flags);
}

/* Signals also go to a process whose /proc/PID is open. */
static int64_t signal_target(int fd)
{
    uint32_t flags;
    int64_t pid = pidfd_target(fd, &flags);
    struct file *file = pid == -EBADF ? file_get_io(fd) : NULL;
    if (!file)
        return pid;
    int process = proc_directory_of(file);
    file_put(file);
    return process ? process : pid;
}

int64_t sys_pidfd_send_signal(int32_t fd, int32_t signal, guest_t info, uint32_t flags)
{
    if (flags)
        return -EINVAL;
    int64_t pid = signal_target(fd);
    if (pid < 0)
        return pid;
    if (!info)
        return sys_kill((int)pid, signal);
    int64_t given = guest_load32(info);
    if (given < 0)
        return given;
    return (int32_t)given == signal ? sys_rt_sigqueueinfo((int)pid, signal, info) : -EINVAL;
}

/* ---- pidfd_getfd(2) ---------------------------------------------------------------------------------------------- */

/* A description as in a message (net/scm.c), whose handles go by tokens. */
struct handed { uint32_t count; uint64_t tokens[PAL_MESSAGE_HANDLES]; };

/* In the process that has it. */
static int64_t hand_over(const void *input, size_t size, char *out, size_t *out_size)
{
    int32_t fd;
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    uint32_t count = 0;
    struct handed *handed = (void *)out;
    memcpy(&fd, input, MIN(size, sizeof fd));
    struct file *file = file_get(fd);
    struct scm scm = {.files = &file, .count = 1};
    if (!file)
        return -EBADF;
    handed->count = 0;
    *out_size = sizeof *handed;
    int64_t result = scm_pack(&scm, handles, &count);
    for (uint32_t i = 0; i < count && result >= 0; i++) {
        result = PAL->handle_export(handles[i], &handed->tokens[i]);
        handed->count += result >= 0;
    }
    if (count)
        PAL->handle_close(handles[0]); /* the section that tells what it is */
    file_put(file);
    return MIN(result, 0);
}

/* Takes them all, or drops them all. */
static int64_t take_over(const struct handed *handed, int64_t result, struct file **out)
{
    pal_handle_t handles[PAL_MESSAGE_HANDLES];
    struct scm scm = {.count = 0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < handed->count && i < PAL_MESSAGE_HANDLES; i++)
        if (result >= 0 && (result = PAL->handle_import(handed->tokens[i], &handles[i])) >= 0)
            count++;
        else
            PAL->handle_import(handed->tokens[i], NULL);
    if (result < 0 || !count) {
        while (count)
            PAL->handle_close(handles[--count]);
        return result < 0 ? result : -EBADF;
    }
    scm_unpack(handles, count, &scm);
    *out = scm.count ? scm.files[0] : NULL;
    release(scm.files);
    return *out ? 0 : -ENOMEM;
}

static int64_t ask_for(int pid, int32_t fd, struct file **out)
{
    size_t size;
    char *answer = alloc(ASK_OUTPUT);
    if (!answer)
        return -ENOMEM;
    int64_t result = process_ask(pid, hand_over, &fd, sizeof fd, answer, &size);
    if (size == sizeof(struct handed))
        result = take_over((const void *)answer, result, out);
    release(answer);
    return result;
}

int64_t sys_pidfd_getfd(int32_t fd, int32_t target_fd, uint32_t flags)
{
    uint32_t file_flags;
    int other;
    if (flags)
        return -EINVAL;
    int64_t pid = pidfd_target(fd, &file_flags), result = pid < 0 ? pid : process_memory_check((int)pid, &other);
    if (result < 0)
        return result;
    struct file *file = other ? NULL : file_get(target_fd);
    result = other ? ask_for(other, target_fd, &file) : file ? 0 : -EBADF;
    return result < 0 ? result : fd_install(file, O_CLOEXEC, 0);
}
