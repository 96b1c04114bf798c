/* SPDX-License-Identifier: MIT */
/* FIFOs by name: a writer waits for its reader, a reader gets what its writer sends, crosswise opens don't hang. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "files.h"

static void writer_first(void)
{
    char bytes[16] = "";
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("one", O_WRONLY); /* nobody reads yet */
        _exit(fd >= 0 && write(fd, "hello", 5) == 5 ? 0 : 1);
    }
    usleep(50000);
    int fd = open("one", O_RDONLY), status;
    CHECK(fd >= 0 && read(fd, bytes, sizeof bytes) == 5 && !memcmp(bytes, "hello", 5) && read(fd, bytes, 1) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(fd);
}

static void reader_first(void)
{
    char bytes[16] = "";
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        usleep(50000);
        int fd = open("one", O_WRONLY);
        _exit(fd >= 0 && write(fd, "later", 5) == 5 ? 0 : 1);
    }
    int fd = open("one", O_RDONLY);
    CHECK(fd >= 0 && read(fd, bytes, sizeof bytes) == 5 && !memcmp(bytes, "later", 5));
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(fd);
}

static void on_alarm(int number) { (void)number; }

/* In open, for one that writes nothing, too; a signal ends the wait. */
static void reader_waits(void)
{
    char byte;
    int status, ends[2];
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {{.tv_usec = 50000}, {.tv_usec = 50000}}, never = {.it_value = {.tv_sec = 0}};
    CHECK(!sigaction(SIGALRM, &action, NULL) && !setitimer(ITIMER_REAL, &soon, NULL));
    FAILS(open("one", O_RDONLY), EINTR);
    CHECK(!setitimer(ITIMER_REAL, &never, NULL));
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open("one", O_WRONLY);
        close(ends[1]);
        _exit(fd >= 0 && read(ends[0], &byte, 1) == 0 ? 0 : 1); /* until the reader has opened it, and says so */
    }
    int fd = open("one", O_RDONLY | O_CLOEXEC);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(fd >= 0 && poll(&ready, 1, 0) == 0); /* a writer is there */
    close(ends[0]);
    close(ends[1]);
    CHECK(read(fd, &byte, 1) == 0 && waitpid(pid, &status, 0) == pid && status == 0);
    close(fd);
}

static void crosswise(void)
{
    char byte = 0;
    int status;
    CHECK(mkfifo("two", 0600) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int in = open("one", O_RDONLY), out = open("two", O_WRONLY);
        _exit(read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1 ? 0 : 1);
    }
    int out = open("one", O_WRONLY), in = open("two", O_RDONLY);
    CHECK(write(out, "x", 1) == 1 && read(in, &byte, 1) == 1 && byte == 'x');
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(in);
    close(out);
}

static void without_waiting(void)
{
    char byte;
    FAILS(open("one", O_WRONLY | O_NONBLOCK), ENXIO);
    int in = open("one", O_RDONLY | O_NONBLOCK);
    CHECK(in >= 0 && read(in, &byte, 1) == 0);
    int out = open("one", O_WRONLY | O_NONBLOCK);
    CHECK(out >= 0);
    FAILS(read(in, &byte, 1), EAGAIN);
    CHECK(write(out, "y", 1) == 1 && read(in, &byte, 1) == 1);
    close(in);
    close(out);
    int both = open("two", O_RDWR);
    CHECK(both >= 0 && write(both, "z", 1) == 1 && read(both, &byte, 1) == 1 && byte == 'z');
    close(both);
}

/* A writer is there and has written nothing: reads of nothing, and of one that is not to wait any more, come back. */
static void nothing_yet(void)
{
    char byte;
    int status, ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        int out = open("one", O_WRONLY);
        _exit(out < 0 || read(ends[0], &byte, 1) != 0 || write(out, "w", 1) != 1);
    }
    int in = open("one", O_RDONLY);
    CHECK(in >= 0 && read(in, &byte, 0) == 0);
    CHECK(fcntl(in, F_SETFL, O_NONBLOCK) == 0);
    FAILS(read(in, &byte, 1), EAGAIN);
    CHECK(fcntl(in, F_SETFL, 0) == 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(read(in, &byte, 1) == 1 && byte == 'w' && read(in, &byte, 1) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(in);
}

int main(void)
{
    scratch_enter();
    CHECK(mkfifo("one", 0600) == 0);
    nothing_yet();
    writer_first();
    reader_first();
    reader_waits();
    crosswise();
    without_waiting();
    return 0;
}
