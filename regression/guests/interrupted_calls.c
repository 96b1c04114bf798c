/* SPDX-License-Identifier: MIT */
/* Calls that many signals hit: none does half of its work, and none waits for ever. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS 400

static volatile sig_atomic_t hits;

static void on_hit(int signal)
{
    (void)signal;
    hits++;
}

/* Hits its parent again and again. */
static pid_t hitter(void)
{
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    while (!child) {
        struct timespec moment = {0, 20000};
        if (getppid() != parent || kill(parent, SIGUSR1))
            _exit(0);
        nanosleep(&moment, NULL);
    }
    return child;
}

static void end(pid_t child)
{
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

/* What the mask of the call itself blocks does not end it, however often it comes. */
static void masked_poll(void)
{
    int ends[2];
    sigset_t all;
    sigfillset(&all);
    CHECK(pipe(ends) == 0);
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct timespec moment = {0, 1000000};
        int result = ppoll(&one, 1, &moment, &all);
        CHECK(result == 0);
        CHECK(write(ends[1], "x", 1) == 1);
        CHECK(ppoll(&one, 1, NULL, &all) == 1);
        char byte;
        while (read(ends[0], &byte, 1) != 1)
            CHECK(errno == EINTR);
    }
    CHECK(hits > 0);
    close(ends[0]);
    close(ends[1]);
}

/* sigsuspend that goes on after a signal without effect brings back the mask of before. */
static void suspended(void)
{
    sigset_t mask, open, now;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &mask, &open) == 0);
    for (int i = 0; i < ROUNDS / 8; i++) {
        for (int j = 0; j < 3; j++)
            if (fork() == 0)
                _exit(0); /* SIGCHLD is ignored */
        CHECK(sigsuspend(&open) == -1 && errno == EINTR);
        CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
        while (waitpid(0, NULL, WNOHANG) > 0)
            ;
    }
    CHECK(sigprocmask(SIG_SETMASK, &open, NULL) == 0);
}

/* A descriptor that travels arrives as what it is. */
static void rights(void)
{
    int pair[2], ends[2], came;
    char byte = 'b';
    union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    struct iovec part = {&byte, 1};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof control};
        control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &ends[1], sizeof(int));
        while (sendmsg(pair[0], &message, 0) != 1)
            CHECK(errno == EINTR);
        memset(&control, 0, sizeof control);
        while (recvmsg(pair[1], &message, 0) != 1)
            CHECK(errno == EINTR);
        CHECK(message.msg_controllen == sizeof control && !(message.msg_flags & MSG_CTRUNC));
        memcpy(&came, CMSG_DATA(&control.head), sizeof came);
        CHECK((fcntl(came, F_GETFL) & O_ACCMODE) == O_WRONLY);
        while (write(came, "y", 1) != 1)
            CHECK(errno == EINTR);
        while (read(ends[0], &byte, 1) != 1)
            CHECK(errno == EINTR);
        CHECK(byte == 'y' && close(came) == 0);
    }
    close(pair[0]);
    close(pair[1]);
    close(ends[0]);
    close(ends[1]);
}

/* Bytes that splice has taken arrive. */
static void spliced(void)
{
    int from[2], to[2];
    CHECK(pipe(from) == 0 && pipe(to) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        char text[100], got[100];
        ssize_t done;
        memset(text, 'a' + i % 26, sizeof text);
        while (write(from[1], text, sizeof text) != sizeof text)
            CHECK(errno == EINTR);
        for (ssize_t moved = 0; moved < (ssize_t)sizeof text; moved += done > 0 ? done : 0) {
            done = splice(from[0], NULL, to[1], NULL, sizeof text - (size_t)moved, 0);
            CHECK(done > 0 || errno == EINTR);
        }
        while ((done = read(to[0], got, sizeof got)) < 0)
            CHECK(errno == EINTR);
        CHECK(done == sizeof got && memcmp(text, got, sizeof got) == 0);
    }
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_hit};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    alarm(40); /* a call that never ends */
    pid_t child = hitter();
    masked_poll();
    suspended();
    rights();
    spliced();
    end(child);
    return 0;
}
