/* SPDX-License-Identifier: MIT */
/* signalfd(2): reading takes what is pending for the reader; two processes that share one read their own signals. */
#include "libos/abi/signal.h"
#include "libos/syscalls.h"
#include "libos/poll/readiness.h"
#include "libos/signal/signal.h"

/* struct signalfd_siginfo */
struct guest_siginfo {
    uint32_t signo;
    int32_t error, code;
    uint32_t pid, uid;
    int32_t fd;
    uint32_t timer, band, overrun, trap;
    int32_t status, value;
    uint64_t pointer, utime, stime, address;
    uint16_t address_bits;
    uint8_t pad[46];
};
_Static_assert(sizeof(struct guest_siginfo) == 128 && offsetof(struct guest_siginfo, pointer) == 48, "ABI");


struct signal_reader {
    sigset_t mask;
    uint64_t reads; /* so that the same signal coming again is an edge */
};

static sigset_t signalfd_mask(struct file *file)
{
    const struct signal_reader *reader = file->data;
    return atomic_get(&reader->mask);
}

static uint64_t signalfd_edge(struct file *file)
{
    const struct signal_reader *reader = file->data;
    struct signal_masks signals;
    signal_masks_get(&signals);
    uint64_t pending = (signals.pending | signals.shared_pending) & signalfd_mask(file);
    return pending + atomic_get(&reader->reads) * 0x9e3779b97f4a7c15ull;
}

static uint32_t signalfd_ready(struct file *file)
{
    struct signal_masks signals;
    signal_masks_get(&signals);
    return (signals.pending | signals.shared_pending) & signalfd_mask(file) ? POLLIN : 0;
}

static struct guest_siginfo convert(const struct siginfo *info)
{
    struct guest_siginfo out = {.signo = (uint32_t)info->signo, .error = info->error, .code = info->code};
    bool of_kernel = info->code > SI_USER && info->code != SI_KERNEL;
    if (info->code == SI_TIMER) {
        out.timer = (uint32_t)info->timer.id;
        out.overrun = (uint32_t)info->timer.overrun;
        out.pointer = info->timer.value;
        out.value = (int32_t)info->timer.value;
    } else if (of_kernel && info->signo == SIGCHLD) {
        out.pid = (uint32_t)info->child.pid;
        out.uid = info->child.uid;
        out.status = info->child.status;
        out.utime = (uint64_t)info->child.utime;
        out.stime = (uint64_t)info->child.stime;
    } else if (of_kernel && info->signo == SIGIO) {
        out.band = (uint32_t)info->poll.band;
        out.fd = info->poll.fd;
    } else if (of_kernel) {
        out.address = info->fault.address;
    } else {
        out.pid = (uint32_t)info->user.pid;
        out.uid = info->user.uid;
        out.pointer = info->user.value;
        out.value = (int32_t)info->user.value;
    }
    return out;
}

/* The next signal of the mask: 0, or -EAGAIN, -EINTR. */
static int64_t take_one(struct file *file, struct siginfo *info, bool may_wait)
{
    for (;;) {
        int64_t result = signal_take(signalfd_mask(file), info);
        if (result != -EAGAIN || !may_wait)
            return result;
        result = PAL->poll(NULL, 0, PAL_FOREVER);
        if (result < 0 && signal_take(signalfd_mask(file), info) == 0)
            return 0;
        if (result < 0)
            return result;
    }
}

static int64_t signalfd_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct signal_reader *reader = file->data;
    struct siginfo info;
    struct waiter waiter;
    if (offset >= 0)
        return -ESPIPE;
    uint64_t room = count ? vector[0].size / sizeof(struct guest_siginfo) : 0, done = 0;
    if (!room)
        return -EINVAL;
    int64_t result = 0;
    wait_begin(&waiter, signalfd_mask(file));
    for (; done < room && !result; done += !result) {
        result = take_one(file, &info, !done && !(file->flags & O_NONBLOCK));
        if (result)
            break;
        struct guest_siginfo out = convert(&info);
        if (copy_out(vector[0].base + done * sizeof out, &out, sizeof out))
            result = -EFAULT;
    }
    wait_end(&waiter);
    atomic_add(&reader->reads, done);
    if (done)
        return (int64_t)(done * sizeof(struct guest_siginfo));
    return result;
}

static void signalfd_destroy(struct file *file)
{
    release(file->data);
}

static void signalfd_describe(struct file *file, char *out, size_t size)
{
    format(out, size, "sigmask:\t%016lx\n", signalfd_mask(file));
}

static uint64_t signalfd_pack(const struct file *file)
{
    const struct signal_reader *reader = file->data;
    return atomic_get(&reader->mask);
}

static int64_t signalfd_unpack(struct file *file, uint64_t packed)
{
    struct signal_reader *reader = alloc_zero(sizeof *reader);
    if (!reader)
        return -ENOMEM;
    reader->mask = packed;
    file->data = reader;
    return 0;
}

const struct file_ops signalfd_ops = {
    .kind = "anon_inode:[signalfd]",
    .describe = signalfd_describe,
    .read = signalfd_read,
    .seek = anonymous_seek,
    .attributes = anonymous_attributes,
    .ready = signalfd_ready,
    .signals = signalfd_mask,
    .edge = signalfd_edge,
    .destroy = signalfd_destroy,
    .pack = signalfd_pack,
    .unpack = signalfd_unpack,
};

static int64_t change_mask(int fd, sigset_t mask)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    bool is_one = file->ops == &signalfd_ops;
    if (is_one) {
        struct signal_reader *reader = file->data;
        atomic_set(&reader->mask, mask);
        epoll_touch(file);
    }
    file_put(file);
    if (is_one)
        wait_kick();
    return is_one ? fd : -EINVAL;
}

int64_t sys_signalfd4(int32_t fd, guest_t mask, uint64_t size, uint32_t flags)
{
    sigset_t set;
    if (flags & ~(O_NONBLOCK | O_CLOEXEC) || size != sizeof set)
        return -EINVAL;
    if (copy_in(&set, mask, sizeof set))
        return -EFAULT;
    set &= ~UNBLOCKABLE;
    if (fd != -1)
        return change_mask(fd, set);
    struct file *file = file_new(&signalfd_ops, PAL_NO_HANDLE, O_RDWR | (flags & O_NONBLOCK));
    if (!file)
        return -ENOMEM;
    struct signal_reader *reader = alloc_zero(sizeof *reader);
    file->data = reader;
    if (!reader) {
        file_put(file);
        return -ENOMEM;
    }
    reader->mask = set;
    return fd_install(file, flags & O_CLOEXEC, 0);
}

int64_t sys_signalfd(int32_t fd, guest_t mask, uint64_t size)
{
    return sys_signalfd4(fd, mask, size, 0);
}
