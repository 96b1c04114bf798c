/* SPDX-License-Identifier: MIT */
/*
 * kcmp(2): do two processes share something?  Of what forked processes may share there are only descriptions, each of which
 * has a number that no other one of the sandbox has.
 */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/signal/remote.h"
#include "libos/syscalls.h"

enum { KCMP_FILE, KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM, KCMP_EPOLL_TFD, KCMP_TYPES };

/* As the kernel orders what is not the same. */
static int64_t order(uint64_t a, uint64_t b) { return a == b ? 0 : a < b ? 1 : 2; }

static int64_t own_number(int fd, uint64_t *out)
{
    struct file *file = file_get(fd);
    if (!file)
        return -EBADF;
    *out = file->number;
    file_put(file);
    return 0;
}

/* In the process that has it. */
static int64_t answer_number(const void *input, size_t size, char *out, size_t *out_size)
{
    int32_t fd;
    uint64_t number = 0;
    memcpy(&fd, input, MIN(size, sizeof fd));
    int64_t result = own_number(fd, &number);
    memcpy(out, &number, *out_size = sizeof number);
    return result;
}

static int64_t number_of(int pid, uint64_t fd, uint64_t *out)
{
    int32_t number = (int32_t)fd;
    size_t size = 0;
    if (fd > INT32_MAX)
        return -EBADF;
    if (!pid)
        return own_number(number, out);
    char *answer = alloc(ASK_OUTPUT);
    if (!answer)
        return -ENOMEM;
    int64_t result = process_ask(pid, answer_number, &number, sizeof number, answer, &size);
    if (result == 0)
        memcpy(out, answer, sizeof *out);
    release(answer);
    return result;
}

static int64_t compare_files(const int *pids, const uint64_t *fds)
{
    uint64_t numbers[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        int64_t error = number_of(pids[i], fds[i], &numbers[i]);
        if (error < 0)
            return error;
    }
    return order(numbers[0], numbers[1]);
}

int64_t sys_kcmp(int32_t pid1, int32_t pid2, int32_t type, uint64_t index1, uint64_t index2)
{
    int pids[2];
    int64_t error = process_memory_check(pid1, &pids[0]), other = process_memory_check(pid2, &pids[1]);
    if (error == -ESRCH || other == -ESRCH)
        return -ESRCH;
    if (error || other)
        return error ? error : other;
    switch (type) {
    case KCMP_FILE: return compare_files(pids, (const uint64_t[2]){index1, index2});
    case KCMP_VM: case KCMP_FILES: case KCMP_FS: case KCMP_SIGHAND: return order((uint64_t)pids[0], (uint64_t)pids[1]);
    case KCMP_IO: case KCMP_SYSVSEM: return 0; /* nobody has any of its own */
    case KCMP_EPOLL_TFD: return -EOPNOTSUPP;
    default: return -EINVAL;
    }
}
