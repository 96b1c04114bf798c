/* SPDX-License-Identifier: MIT */
/* A shell's work: jobs in groups of their own are stopped by a key, by reading and writing from the background,
 * and set going again; groups that become orphans are hung up. */
#include "check.h"
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

static int outer;
static int ready[2]; /* a job to its shell */
static int keys[2];  /* the shell to whoever types */

static void expect_ready(void)
{
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
}

static void is_ready(void)
{
    CHECK(write(ready[1], "r", 1) == 1);
}

static void ask_for_keys(void)
{
    CHECK(write(keys[1], "k", 1) == 1);
}

/* A job in a group of its own, in the foreground or not. */
static pid_t job(void (*body)(void), int in_front)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        signal(SIGTTOU, SIG_IGN);
        CHECK(setpgid(0, 0) == 0);
        if (in_front)
            CHECK(tcsetpgrp(0, getpid()) == 0);
        signal(SIGTTOU, SIG_DFL);
        body();
        _exit(0);
    }
    setpgid(child, child);
    return child;
}

static int news(pid_t child, int options)
{
    int status;
    CHECK(waitpid(child, &status, options) == child);
    return status;
}

static void sleeps(void)
{
    is_ready();
    for (;;)
        pause();
}

static void reads(void)
{
    char line[16];
    is_ready();
    CHECK(read(0, line, sizeof line) == 3);
}

static void reads_ignoring(void)
{
    char byte;
    signal(SIGTTIN, SIG_IGN);
    CHECK_FAILS(read(0, &byte, 1), EIO);
}

static void writes(void)
{
    CHECK(write(1, "w", 1) == 1);
}

static void changes(void)
{
    struct termios modes;
    CHECK(tcgetattr(0, &modes) == 0);
    CHECK(tcsetattr(0, TCSANOW, &modes) == 0);
}

static void takes_over(void)
{
    signal(SIGTTOU, SIG_IGN);
    CHECK(tcsetpgrp(0, getpgrp()) == 0);
}

static void back_in_front(void)
{
    CHECK(tcsetpgrp(0, getpgrp()) == 0);
}

static void stop_key(void)
{
    pid_t child = job(sleeps, 1);
    expect_ready();
    ask_for_keys(); /* ^Z */
    int status = news(child, WUNTRACED);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    back_in_front();
    CHECK(kill(-child, SIGCONT) == 0);
    CHECK(WIFCONTINUED(news(child, WCONTINUED)));
    CHECK(tcsetpgrp(0, child) == 0);
    ask_for_keys(); /* ^C */
    status = news(child, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    back_in_front();
}

static void background(void)
{
    struct termios modes;
    pid_t child = job(reads, 0);
    expect_ready();
    int status = news(child, WUNTRACED);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
    CHECK(tcsetpgrp(0, child) == 0 && kill(-child, SIGCONT) == 0);
    ask_for_keys(); /* a line */
    CHECK(news(child, 0) == 0);
    back_in_front();

    CHECK(news(job(reads_ignoring, 0), 0) == 0);
    CHECK(news(job(writes, 0), 0) == 0);
    CHECK(tcgetattr(0, &modes) == 0);
    modes.c_lflag |= TOSTOP;
    CHECK(tcsetattr(0, TCSANOW, &modes) == 0);
    void (*const stopped[])(void) = {writes, changes};
    for (int i = 0; i < 2; i++) {
        child = job(stopped[i], 0);
        status = news(child, WUNTRACED);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
        CHECK(tcsetpgrp(0, child) == 0 && kill(-child, SIGCONT) == 0);
        CHECK(news(child, 0) == 0);
        back_in_front();
    }
    CHECK(news(job(takes_over, 0), 0) == 0);
    back_in_front();
}

static void stops_itself(void)
{
    signal(SIGHUP, SIG_DFL);
    is_ready();
    raise(SIGSTOP);
    for (;;)
        pause();
}

/* Its parent in the session ends while it is stopped: SIGHUP, then SIGCONT, so it dies. */
static void orphans(void)
{
    int gone[2];
    CHECK(pipe(gone) == 0);
    pid_t middle = fork();
    CHECK(middle >= 0);
    if (!middle) {
        pid_t child = job(stops_itself, 0);
        expect_ready();
        CHECK(WIFSTOPPED(news(child, WUNTRACED)));
        _exit(0);
    }
    close(gone[1]);
    CHECK(news(middle, 0) == 0);
    char byte;
    CHECK(read(gone[0], &byte, 1) == 0); /* the last process that has the other end is gone */
}

static void shell(void)
{
    signal(SIGTTOU, SIG_IGN);
    stop_key();
    background();
    orphans();
}

static void type(const char *text)
{
    char byte;
    CHECK(read(keys[0], &byte, 1) == 1);
    CHECK(write(outer, text, strlen(text)) == (ssize_t)strlen(text));
}

int main(void)
{
    int inner, status;
    char bytes[256];
    CHECK(openpty(&outer, &inner, NULL, NULL, NULL) == 0);
    CHECK(pipe(ready) == 0 && pipe(keys) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        close(outer);
        CHECK(login_tty(inner) == 0);
        shell();
        _exit(0);
    }
    close(inner);
    close(keys[1]);
    type("\032");
    type("\003");
    type("ab\n");
    while (read(outer, bytes, sizeof bytes) > 0)
        ;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
