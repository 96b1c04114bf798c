/* SPDX-License-Identifier: MIT */
/* POSIX message queues: names, priorities, blocking, notification, poll, lifetime. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static char name[64];
static struct mq_attr small = {.mq_maxmsg = 4, .mq_msgsize = 64};

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static struct timespec soon(long ms)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += ms * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

static void basics(mqd_t queue)
{
    char text[64];
    unsigned priority;
    struct mq_attr now;
    CHECK_FAILS(mq_open("/no such queue", O_RDWR), ENOENT);
    CHECK_FAILS(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small), EEXIST);
    CHECK_FAILS(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL), EACCES);
    CHECK(mq_getattr(queue, &now) == 0 && now.mq_maxmsg == 4 && now.mq_msgsize == 64);
    CHECK(!now.mq_curmsgs && !now.mq_flags);
    CHECK(!mq_send(queue, "a1", 2, 1) && !mq_send(queue, "b5", 2, 5) && !mq_send(queue, "c1", 2, 1) &&
          !mq_send(queue, "d5", 2, 5));
    struct timespec at = soon(20);
    CHECK_FAILS(mq_timedsend(queue, "x", 1, 0, &at), ETIMEDOUT);
    CHECK_FAILS(mq_send(queue, text, 65, 0), EMSGSIZE);
    CHECK_FAILS(mq_send(queue, text, 1, 32768), EINVAL);
    CHECK_FAILS(mq_receive(queue, text, 63, NULL), EMSGSIZE);
    static const char *order[] = {"b5", "d5", "a1", "c1"};
    for (int i = 0; i < 4; i++)
        CHECK(mq_receive(queue, text, 64, &priority) == 2 && !memcmp(text, order[i], 2) &&
              priority == (unsigned)order[i][1] - '0');
    at = soon(20);
    CHECK_FAILS(mq_timedreceive(queue, text, 64, NULL, &at), ETIMEDOUT);
    struct mq_attr flags = {.mq_flags = O_NONBLOCK};
    CHECK(mq_setattr(queue, &flags, &now) == 0 && !now.mq_flags);
    CHECK_FAILS(mq_receive(queue, text, 64, NULL), EAGAIN);
    flags.mq_flags = 0;
    CHECK(mq_setattr(queue, &flags, &now) == 0 && now.mq_flags == O_NONBLOCK);
    mqd_t reader = mq_open(name, O_RDONLY);
    CHECK(reader >= 0 && fcntl(reader, F_GETFD) == FD_CLOEXEC);
    CHECK_FAILS(mq_send(reader, "x", 1, 0), EBADF);
    CHECK_FAILS(mq_send(0, "x", 1, 0), EBADF);
    CHECK(mq_close(reader) == 0);
}

static void across_fork(mqd_t queue)
{
    char text[64];
    unsigned priority;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 500; i++) {
            int number;
            if (mq_receive(queue, text, 64, NULL) != sizeof number)
                _exit(1);
            memcpy(&number, text, sizeof number);
            if (number != i)
                _exit(2);
        }
        _exit(0);
    }
    for (int i = 0; i < 500; i++)
        CHECK(mq_send(queue, (char *)&i, sizeof i, 3) == 0);
    ended(child, 0);
    struct pollfd poll_it = {.fd = queue, .events = POLLIN};
    CHECK(poll(&poll_it, 1, 0) == 0);
    child = fork();
    if (child == 0) {
        mqd_t own = mq_open(name, O_WRONLY);
        usleep(30000);
        _exit(mq_send(own, "wake", 4, 7) ? 1 : 0);
    }
    CHECK(poll(&poll_it, 1, 5000) == 1 && poll_it.revents == POLLIN);
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = 5};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, queue, &event) == 0 && epoll_wait(set, &event, 1, 1000) == 1);
    CHECK(event.events == (EPOLLIN | EPOLLOUT) && event.data.u32 == 5 && close(set) == 0);
    CHECK(mq_receive(queue, text, 64, &priority) == 4 && priority == 7);
    ended(child, 0);
}

static volatile sig_atomic_t told, value;

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_code == SI_MESGQ)
        told++;
    value = info->si_value.sival_int;
}

static void notification(mqd_t queue)
{
    char text[64];
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    sigaction(SIGUSR1, &action, NULL);
    CHECK(mq_notify(queue, &event) == 0);
    CHECK(read(queue, text, 64) > 40 && !memcmp(text, "QSIZE:0          NOTIFY:0     SIGNO:10 ", 38));
    CHECK_FAILS(mq_notify(queue, &event), EBUSY);
    pid_t child = fork();
    if (child == 0)
        _exit(mq_send(queue, "one", 3, 0) || mq_send(queue, "two", 3, 0) ? 1 : 0);
    ended(child, 0);
    for (int i = 0; i < 1000 && !told; i++)
        usleep(1000);
    CHECK(told == 1 && value == 77);
    child = fork();
    if (child == 0)
        _exit(mq_notify(queue, &event) ? 1 : 0);
    ended(child, 0); /* and with it its request */
    CHECK(mq_notify(queue, &event) == 0 && mq_notify(queue, NULL) == 0);
    CHECK(mq_receive(queue, text, 64, NULL) == 3 && mq_receive(queue, text, 64, NULL) == 3);
}

static void lifetime(mqd_t queue)
{
    char text[64];
    CHECK(mq_unlink(name) == 0);
    CHECK_FAILS(mq_unlink(name), ENOENT);
    CHECK_FAILS(mq_open(name, O_RDWR), ENOENT);
    CHECK(mq_send(queue, "still", 5, 0) == 0 && mq_receive(queue, text, 64, NULL) == 5);
    mqd_t other = mq_open(name, O_RDWR | O_CREAT, 0600, &small);
    CHECK(other >= 0 && mq_send(other, "new", 3, 0) == 0);
    struct mq_attr now;
    CHECK(mq_getattr(queue, &now) == 0 && now.mq_curmsgs == 0);
    CHECK(mq_unlink(name) == 0 && mq_close(other) == 0 && mq_close(queue) == 0);
    CHECK_FAILS(mq_getattr(queue, &now), EBADF);
}

int main(void)
{
    snprintf(name, sizeof name, "/posix_mq.%d", (int)getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &small);
    CHECK(queue >= 0);
    basics(queue);
    across_fork(queue);
    notification(queue);
    lifetime(queue);
    return 0;
}
