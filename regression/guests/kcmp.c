/* SPDX-License-Identifier: MIT */
/* kcmp: what descriptors, threads and processes share, here, after fork and in messages; errors. */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static long compare(pid_t a, pid_t b, int type, unsigned long i, unsigned long j) { return syscall(SYS_kcmp, a, b, type, i, j); }
static int same(pid_t a, int i, pid_t b, int j) { return compare(a, b, KCMP_FILE, (unsigned)i, (unsigned)j) == 0; }

/* One is less than the other, and the other way round. */
static int differ(pid_t a, int i, pid_t b, int j)
{
    long one = compare(a, b, KCMP_FILE, (unsigned)i, (unsigned)j), other = compare(b, a, KCMP_FILE, (unsigned)j, (unsigned)i);
    return (one == 1 && other == 2) || (one == 2 && other == 1);
}

static void *in_thread(void *argument)
{
    pid_t me = getpid(), tid = (pid_t)syscall(SYS_gettid);
    int fd = *(int *)argument;
    for (int type = KCMP_VM; type <= KCMP_SIGHAND; type++)
        CHECK(compare(me, tid, type, 0, 0) == 0);
    CHECK(same(me, fd, tid, fd));
    return NULL;
}

static void send_descriptor(int to, int fd)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof fd)]; } control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &(struct iovec){"", 1}, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    CHECK(sendmsg(to, &message, 0) == 1);
}

static int receive_descriptor(int from)
{
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    char byte;
    int fd;
    struct msghdr message = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    CHECK(recvmsg(from, &message, 0) == 1 && message.msg_controllen);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    return fd;
}

int main(void)
{
    pid_t me = getpid();
    int file = open("/etc/passwd", O_RDONLY), again = open("/etc/passwd", O_RDONLY), copy = dup(file), event = eventfd(0, 0), ends[2], pair[2];
    CHECK(!pipe(ends) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(same(me, file, me, file) && same(me, file, me, copy) && differ(me, file, me, again));
    CHECK(differ(me, ends[0], me, ends[1]) && differ(me, pair[0], me, pair[1]) && same(me, event, me, event));
    CHECK(dup2(event, copy) == copy && same(me, event, me, copy) && differ(me, file, me, copy));
    for (int type = KCMP_VM; type <= KCMP_SYSVSEM; type++)
        CHECK(compare(me, me, type, 0, 0) == 0);

    CHECK_FAILS(compare(me, me, KCMP_FILE, (unsigned)file, 1000), EBADF);
    CHECK_FAILS(compare(me, me, KCMP_FILE, -1ul, (unsigned)file), EBADF);
    CHECK_FAILS(compare(me, me, KCMP_TYPES + 1, 0, 0), EINVAL);
    CHECK_FAILS(compare(me, me, -1, 0, 0), EINVAL);
    CHECK_FAILS(compare(me, 0, KCMP_VM, 0, 0), ESRCH);
    CHECK_FAILS(compare(-1, me, KCMP_VM, 0, 0), ESRCH);
    CHECK_FAILS(compare(4000000, me, -1, 0, 0), ESRCH);

    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, in_thread, &file) && !pthread_join(thread, NULL));

    pid_t child = fork();
    if (!child) {
        close(pair[0]);
        int mine = open("/etc/passwd", O_RDONLY), back = receive_descriptor(pair[1]);
        CHECK(same(me, file, getpid(), file) && same(me, event, getpid(), copy) && same(me, pair[1], getpid(), pair[1]));
        CHECK(differ(me, file, getpid(), mine) && differ(me, again, getpid(), file));
        CHECK(same(me, file, getpid(), back) && same(getpid(), file, getpid(), back)); /* sent as it was inherited */
        for (int type = KCMP_VM; type <= KCMP_SIGHAND; type++)
            CHECK(compare(me, getpid(), type, 0, 0) > 0);
        send_descriptor(pair[1], mine);
        CHECK(write(ends[1], &mine, sizeof mine) == sizeof mine);
        pause();
    }
    int its, got;
    send_descriptor(pair[0], file);
    got = receive_descriptor(pair[0]);
    CHECK(read(ends[0], &its, sizeof its) == sizeof its);
    CHECK(same(me, got, child, its) && differ(me, got, me, file));
    CHECK_FAILS(compare(me, child, KCMP_FILE, (unsigned)file, 1000), EBADF);
    CHECK(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
    CHECK_FAILS(compare(me, child, KCMP_VM, 0, 0), ESRCH);
    return 0;
}
