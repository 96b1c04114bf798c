/* SPDX-License-Identifier: MIT */
/* eventfd: counting, semaphores, limits, blocking between threads, sharing across fork. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int event;

static void *adds_later(void *unused)
{
    uint64_t value = 5;
    (void)unused;
    usleep(20000);
    CHECK(write(event, &value, 8) == 8);
    return NULL;
}

int main(void)
{
    uint64_t value;
    char small[4], link[64];
    pthread_t thread;
    event = eventfd(3, EFD_NONBLOCK);
    CHECK(event >= 0 && read(event, &value, 8) == 8 && value == 3);
    CHECK(read(event, &value, 8) == -1 && errno == EAGAIN);
    CHECK(read(event, small, 4) == -1 && errno == EINVAL);
    CHECK(write(event, small, 4) == -1 && errno == EINVAL);
    value = UINT64_MAX;
    CHECK(write(event, &value, 8) == -1 && errno == EINVAL);
    value = UINT64_MAX - 1;
    CHECK(write(event, &value, 8) == 8);
    struct pollfd item = {event, POLLIN | POLLOUT, 0};
    CHECK(poll(&item, 1, 0) == 1 && item.revents == POLLIN);
    value = 1;
    CHECK(write(event, &value, 8) == -1 && errno == EAGAIN);
    CHECK(pread(event, &value, 8, 0) == -1 && errno == ESPIPE);
    close(event);

    event = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(fcntl(event, F_GETFD) == FD_CLOEXEC && fcntl(event, F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK(read(event, &value, 8) == 8 && value == 1 && read(event, &value, 8) == 8 && value == 1);
    CHECK(read(event, &value, 8) == -1 && errno == EAGAIN);
    close(event);
    CHECK(eventfd(0, 0x100) == -1 && errno == EINVAL);

    event = eventfd(0, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", event);
    char target[64] = "";
    CHECK(readlink(link, target, sizeof target - 1) > 0 && !strcmp(target, "anon_inode:[eventfd]"));
    CHECK(!pthread_create(&thread, NULL, adds_later, NULL));
    CHECK(read(event, &value, 8) == 8 && value == 5 && !pthread_join(thread, NULL));
    pid_t child = fork();
    if (!child) {
        value = 9;
        _exit(write(event, &value, 8) == 8 ? 0 : 1);
    }
    CHECK(read(event, &value, 8) == 8 && value == 9 && waitpid(child, NULL, 0) == child);
    return 0;
}
