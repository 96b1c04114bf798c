/* SPDX-License-Identifier: MIT */
/* Which errno comes first where a call has two mistakes, and what kinds of descriptors answer to calls that are not for them. */
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define BAD ((void *)1)
#define NO_PID 999999
#define NO_FD 999

static int file, directory, pipes[2], pair[2], event, timer, memory;
static char buffer[64];

static void make(void)
{
    char name[64] = "/tmp/errno_order.XXXXXX";
    const char *temporary = getenv("TMPDIR");
    if (temporary)
        snprintf(name, sizeof name, "%s/errno_order.XXXXXX", temporary);
    file = mkstemp(name);
    CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, 4096) == 0);
    CHECK((directory = open("/", O_RDONLY | O_DIRECTORY)) >= 0);
    CHECK(pipe2(pipes, O_NONBLOCK) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0);
    CHECK((event = eventfd(0, EFD_NONBLOCK)) >= 0);
    CHECK((timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) >= 0);
    CHECK((memory = memfd_create("errno_order", 0)) >= 0);
}

static void descriptors_before_arguments(void)
{
    struct iovec vector = {buffer, 3};
    CHECK_FAILS(preadv2(NO_FD, &vector, 1, 0, 0x1000), EBADF);
    CHECK_FAILS(preadv2(file, &vector, 1, 0, 0x1000), EOPNOTSUPP);
    CHECK(preadv2(file, &vector, 0, 0, 0x1000) == 0);
    CHECK_FAILS(preadv2(pipes[0], &vector, 1, 0, 0x1000), ESPIPE);
    CHECK_FAILS(pwritev2(file, &vector, 1, 0, 0x4000), EOPNOTSUPP);
    CHECK_FAILS(sync_file_range(NO_FD, -1, 0, 0), EBADF);
    CHECK_FAILS(sync_file_range(file, -1, 0, 0), EINVAL);
    CHECK_FAILS(sync_file_range(pipes[0], 0, 0, 8), EINVAL);
    CHECK_FAILS(sync_file_range(pipes[0], 0, 0, 0), ESPIPE);
    CHECK_FAILS(ftruncate(NO_FD, -1), EINVAL);
    CHECK_FAILS(syscall(SYS_accept4, NO_FD, NULL, NULL, 99), EBADF);
    CHECK_FAILS(syscall(SYS_accept4, file, NULL, NULL, 99), EINVAL);
    CHECK_FAILS(syscall(SYS_accept4, file, NULL, NULL, 0), ENOTSOCK);
    CHECK_FAILS(syscall(SYS_connect, NO_FD, BAD, 16), EBADF);
    CHECK_FAILS(syscall(SYS_connect, file, BAD, 16), EFAULT);
    CHECK_FAILS(syscall(SYS_connect, file, buffer, 500), EINVAL);
    CHECK_FAILS(syscall(SYS_connect, file, buffer, 16), ENOTSOCK);
}

static void allocations(void)
{
    CHECK_FAILS(fallocate(NO_FD, 0, -1, 0), EBADF);
    CHECK_FAILS(fallocate(file, 0, 0, 0), EINVAL);
    CHECK_FAILS(fallocate(event, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP); /* never without KEEP_SIZE */
    CHECK_FAILS(fallocate(event, 0x1000, 0, 1), EOPNOTSUPP);
    CHECK_FAILS(fallocate(event, FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE, 0, 1), EOPNOTSUPP);
    CHECK_FAILS(fallocate(event, 0, 0, 1), ENODEV);
    CHECK_FAILS(fallocate(pipes[1], 0, 0, 1), ESPIPE);
    CHECK_FAILS(fallocate(directory, 0, 0, 1), EBADF); /* open for reading */
    CHECK_FAILS(fallocate(file, 0, 1, INT64_MAX), EFBIG);
}

/* Objects without a name can be told to seek, but not be read at a place; a call that they don't know is EINVAL. */
static void kinds(void)
{
    struct iovec vector = {buffer, 8};
    struct statfs about;
    CHECK_FAILS(pread(timer, buffer, 8, 0), ESPIPE);
    CHECK_FAILS(pwrite(timer, buffer, 8, 0), ESPIPE);
    CHECK_FAILS(preadv(timer, &vector, 1, 0), ESPIPE);
    CHECK_FAILS(writev(timer, &vector, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_read, directory, buffer, SIZE_MAX), EFAULT);
    CHECK_FAILS(read(directory, buffer, 1), EISDIR);
    CHECK(read(pair[0], buffer, 0) == 0); /* nothing there, and nothing asked for */
    CHECK_FAILS(read(pair[0], buffer, 1), EAGAIN);
    CHECK_FAILS(fcntl(file, F_NOTIFY, DN_MODIFY), ENOTDIR);
    CHECK_FAILS(fcntl(pair[0], F_SETFL, O_DIRECT), EINVAL);
    CHECK_FAILS(fcntl(event, F_SETFL, O_DIRECT), EINVAL);
    CHECK(fstatfs(memory, &about) == 0 && about.f_type == 0x01021994);
    CHECK(fstatfs(pipes[0], &about) == 0 && about.f_type == 0x50495045);
}

static void flags_of_open(void)
{
    static const char *const names[] = {"/dev/null", "/proc/self/stat", "/proc"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, names[i], O_RDONLY | O_NOCTTY);
        CHECK(fd >= 0 && syscall(SYS_fcntl, fd, F_GETFL) == 0100000); /* O_LARGEFILE, and no more */
        int size = 0;
        CHECK(ioctl(fd, 2 /* FIGETBSZ */, &size) == 0 && size > 0);
        close(fd);
    }
    CHECK_FAILS(syscall(SYS_openat, AT_FDCWD, NULL, O_TMPFILE), EINVAL);
    CHECK_FAILS(syscall(SYS_openat, AT_FDCWD, NULL, O_TMPFILE | O_RDWR), EFAULT);
}

/* There must be somebody before it matters what they are sent. */
static void signals(void)
{
    siginfo_t info = {.si_code = SI_USER};
    CHECK_FAILS(kill(NO_PID, 999), ESRCH);
    CHECK_FAILS(kill(getpid(), 999), EINVAL);
    CHECK_FAILS(kill(getpid(), -1), EINVAL);
    CHECK_FAILS(syscall(SYS_tkill, NO_PID, 999), ESRCH);
    CHECK_FAILS(syscall(SYS_tkill, getpid(), 65), EINVAL);
    CHECK_FAILS(syscall(SYS_tgkill, getpid(), NO_PID, 999), ESRCH);
    CHECK_FAILS(syscall(SYS_tgkill, getpid(), getpid(), 999), EINVAL);
    CHECK_FAILS(syscall(SYS_rt_tgsigqueueinfo, getpid(), NO_PID, SIGTERM, &info), EPERM);
    info.si_code = SI_QUEUE;
    CHECK_FAILS(syscall(SYS_rt_tgsigqueueinfo, getpid(), NO_PID, SIGTERM, &info), ESRCH);
    CHECK_FAILS(syscall(SYS_rt_sigqueueinfo, NO_PID, 999, &info), ESRCH);
    CHECK_FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), 999, &info), EINVAL);
}

static void futexes(void)
{
    static int word;
    CHECK_FAILS(syscall(SYS_futex, 1, 2, 0, NULL, NULL, 0), ENOSYS); /* FUTEX_FD has gone */
    CHECK_FAILS(syscall(SYS_futex, 1, 63, 0, NULL, NULL, 0), ENOSYS);
    CHECK_FAILS(syscall(SYS_futex, 1, FUTEX_WAKE, 0, NULL, NULL, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
}

static void sockets(void)
{
    int two[2];
    CHECK_FAILS(socket(99, 0, 0), EAFNOSUPPORT);
    CHECK_FAILS(socket(AF_UNIX, 0, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socket(AF_UNIX, 11, 0), EINVAL);
    CHECK_FAILS(socket(AF_UNIX, 0, 99), EPROTONOSUPPORT);
    CHECK_FAILS(socket(AF_INET, 0, 0), ESOCKTNOSUPPORT);
    CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, 0, two), EOPNOTSUPP);
    CHECK_FAILS(socketpair(AF_INET, SOCK_STREAM, 99, two), EPROTONOSUPPORT);
}

static void attributes(void)
{
    bool root = geteuid() == 0;
    CHECK_FAILS(fgetxattr(file, "user.", buffer, sizeof buffer), EINVAL);
    CHECK_FAILS(fgetxattr(file, "nothing", buffer, sizeof buffer), EOPNOTSUPP);
    CHECK_FAILS(fgetxattr(pipes[0], "user.a", buffer, sizeof buffer), ENODATA);
    CHECK_FAILS(fsetxattr(pipes[0], "user.a", "b", 1, 0), EPERM);
    CHECK_FAILS(getxattr("/dev/null", "user.a", buffer, sizeof buffer), ENODATA);
    CHECK_FAILS(getxattr("/etc/passwd/", "nothing", buffer, sizeof buffer), ENOTDIR);
    CHECK(listxattr("/proc/self/stat", buffer, sizeof buffer) == 0);
    if (!root) {
        CHECK_FAILS(fgetxattr(file, "trusted.a", buffer, sizeof buffer), ENODATA);
        CHECK_FAILS(fsetxattr(file, "trusted.a", "b", 1, 0), EPERM);
        CHECK_FAILS(fsetxattr(file, "security.a", "b", 1, 0), EPERM);
    }
}

/* A name is read before the descriptor is looked at that it begins at. */
static void long_names(void)
{
    static char name[5000];
    memset(name, 'a', sizeof name - 1);
    CHECK_FAILS(openat(file, name, O_RDONLY), ENAMETOOLONG);
    CHECK_FAILS(unlinkat(NO_FD, name, 0), ENAMETOOLONG);
    CHECK_FAILS(fchmodat(pipes[0], name, 0600, 0), ENAMETOOLONG);
    name[100] = 0;
    CHECK_FAILS(openat(file, name, O_RDONLY), ENOTDIR);
    CHECK_FAILS(unlinkat(NO_FD, name, 0), EBADF);
}

/* sendfile(2) writes its offset back in any case. */
static void offsets(void)
{
    long *offset = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int empty = memfd_create("empty", 0);
    CHECK(offset != MAP_FAILED && empty >= 0);
    CHECK_FAILS(syscall(SYS_sendfile, memory, empty, offset, 1), EFAULT);
    CHECK(munmap(offset, 4096) == 0);
    close(empty);
}

static void privileges(bool root)
{
    char path[64];
    void *head;
    size_t size;
    snprintf(path, sizeof path, "/proc/self/fd/%d", event);
    CHECK_FAILS(open(path, O_RDWR), root ? ENXIO : EACCES);
    CHECK_FAILS(syscall(SYS_get_robust_list, NO_PID, &head, &size), ESRCH);
    if (!root)
        CHECK_FAILS(syscall(SYS_get_robust_list, 1, &head, &size), EPERM);
    CHECK(syscall(SYS_arch_prctl, 0x1011, 0) == 1); /* ARCH_GET_CPUID */
}

int main(void)
{
    make();
    long_names();
    offsets();
    privileges(geteuid() == 0);
    descriptors_before_arguments();
    allocations();
    kinds();
    flags_of_open();
    signals();
    futexes();
    sockets();
    attributes();
    return 0;
}
