/* SPDX-License-Identifier: MIT */
/* Groups and sessions: setpgid's and setsid's rules, signals to groups, waits for them. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int report[2], hold[2];

static pid_t child_new(void (*body)(void))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        char byte;
        body();
        close(hold[1]);
        if (write(report[1], "r", 1) != 1 || read(hold[0], &byte, 1) < 0)
            _exit(1);
        _exit(0);
    }
    char byte;
    CHECK(read(report[0], &byte, 1) == 1);
    return child;
}

static void nothing(void)
{
}

static void own_session(void)
{
    CHECK(setsid() == getpid());
    CHECK(getsid(0) == getpid() && getpgrp() == getpid());
    CHECK_FAILS(setsid(), EPERM);
    CHECK_FAILS(setpgid(0, 0), EPERM);
}

int main(void)
{
    int status;
    CHECK(pipe(report) == 0 && pipe(hold) == 0);
    CHECK(getpgid(0) == getpgrp() && getpgid(getpid()) == getpgrp());
    CHECK_FAILS(getpgid(999999), ESRCH);
    CHECK_FAILS(getsid(999999), ESRCH);
    CHECK_FAILS(setpgid(0, -1), EINVAL);
    CHECK_FAILS(setpgid(999999, 0), ESRCH);

    pid_t a = child_new(nothing), b = child_new(nothing), other = child_new(own_session);
    CHECK(getpgid(a) == getpgrp());
    CHECK(setpgid(a, 0) == 0 && getpgid(a) == a);
    CHECK(setpgid(b, a) == 0 && getpgid(b) == a);
    CHECK_FAILS(setpgid(b, other), EPERM);
    CHECK_FAILS(setpgid(other, a), EPERM);
    CHECK(getsid(other) == other && getsid(a) == getsid(0));

    CHECK(waitpid(-a, &status, WNOHANG) == 0);
    CHECK(kill(-a, SIGTERM) == 0);
    for (int i = 0; i < 2; i++) {
        pid_t pid = waitpid(-a, &status, 0);
        CHECK((pid == a || pid == b) && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    }
    CHECK_FAILS(waitpid(-a, &status, 0), ECHILD);
    CHECK_FAILS(kill(-a, 0), ESRCH);
    close(hold[1]);
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    return 0;
}
