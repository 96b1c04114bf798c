/* SPDX-License-Identifier: MIT */
/* Keys and window changes become signals of the foreground group; a controlling terminal is got, given up, and lost. */
#include "check.h"
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

static int outer, report[2];
static volatile sig_atomic_t caught;

static void note(int signal)
{
    caught = signal;
}

/* A session's leader on a new terminal; `body` runs in it. */
static pid_t session_new(void (*body)(void))
{
    int inner;
    CHECK(openpty(&outer, &inner, NULL, NULL, NULL) == 0);
    CHECK(pipe(report) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        close(outer);
        close(report[0]);
        CHECK(login_tty(inner) == 0);
        body();
        _exit(0);
    }
    close(inner);
    close(report[1]);
    return child;
}

static void tell(const char *word)
{
    CHECK(write(report[1], word, 1) == 1);
}

static void hear(char word)
{
    char byte = 0;
    CHECK(read(report[0], &byte, 1) == 1 && byte == word);
}

static void drain(void)
{
    char bytes[256];
    while (read(outer, bytes, sizeof bytes) > 0)
        ;
}

static int end_of(pid_t child)
{
    int status;
    close(report[0]);
    drain();
    close(outer);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void wait_for_signal(void)
{
    tell("r");
    for (;;)
        pause();
}

static void quoted_key(void)
{
    char bytes[8];
    tell("r");
    CHECK(read(0, bytes, sizeof bytes) == 3 && !memcmp(bytes, "a\003\n", 3));
}

static void catches(void)
{
    struct winsize size;
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    tell("r");
    sigsuspend(&none);
    CHECK(caught == SIGWINCH);
    CHECK(ioctl(0, TIOCGWINSZ, &size) == 0 && size.ws_row == 12 && size.ws_col == 34);
    tell("w");
    sigsuspend(&none);
    CHECK(caught == SIGINT);
    tell("i");
}

static void terminal_rules(void)
{
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0);
    CHECK(tcgetsid(0) == getpid() && tcgetpgrp(0) == getpid() && tcgetpgrp(tty) == getpid());
    CHECK_FAILS(tcsetpgrp(0, 999999), ESRCH);
    CHECK_FAILS(tcsetpgrp(0, -1), EINVAL);
    CHECK_FAILS(tcsetpgrp(0, getppid()), EPERM);
    int other_outer, other;
    CHECK(openpty(&other_outer, &other, NULL, NULL, NULL) == 0);
    CHECK_FAILS(tcgetpgrp(other), ENOTTY);
    CHECK_FAILS(tcgetsid(other), ENOTTY);
    CHECK_FAILS(ioctl(other, TIOCSCTTY, 0), EPERM); /* there is one already */
    CHECK_FAILS(ioctl(other, TIOCNOTTY), ENOTTY);
    signal(SIGHUP, note);
    caught = 0;
    CHECK(ioctl(0, TIOCNOTTY) == 0 && caught == SIGHUP);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_FAILS(tcgetpgrp(0), ENOTTY);
    int again = open(ptsname(other_outer), O_RDWR); /* taken by opening */
    CHECK(again >= 0 && tcgetsid(again) == getpid());
    close(tty);
}

static void in_stat(void)
{
    char text[512], state;
    int parent, group, session, tty, front;
    FILE *file = fopen("/proc/self/stat", "r");
    CHECK(file && fgets(text, sizeof text, file));
    CHECK(sscanf(strrchr(text, ')') + 1, " %c %d %d %d %d %d", &state, &parent, &group, &session, &tty, &front) == 6);
    CHECK(session == getpid() && front == getpid() && tty >> 8 == 136);
}

static volatile sig_atomic_t hung_up;
static void note_hang_up(int signal)
{
    hung_up = signal;
}

static void loses_terminal(void)
{
    struct sigaction action = {.sa_handler = note_hang_up};
    char byte;
    sigaction(SIGHUP, &action, NULL);
    int tty = dup(0);
    tell("r");
    while (!hung_up)
        usleep(1000);
    CHECK(read(tty, &byte, 1) == 0);
    CHECK_FAILS(write(tty, "x", 1), EIO);
    CHECK_FAILS(open("/dev/tty", O_RDWR), ENXIO);
    tell("h");
    _exit(7);
}

/* The leader ends: its foreground group is hung up. */
static void leaves_child(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        signal(SIGHUP, note);
        close(0), close(1), close(2);
        tell("r");
        while (caught != SIGHUP)
            usleep(1000);
        tell("h");
        _exit(0);
    }
    char byte;
    CHECK(read(0, &byte, 1) == 1);
}

int main(void)
{
    static const struct { const char *key; int signal; } keys[] = {{"\003", SIGINT}, {"\034", SIGQUIT}};
    int status;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        pid_t child = session_new(wait_for_signal);
        hear('r');
        CHECK(write(outer, keys[i].key, 1) == 1);
        status = end_of(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == keys[i].signal);
    }
    pid_t child = session_new(quoted_key);
    hear('r');
    CHECK(write(outer, "a\026\003\n", 4) == 4);
    CHECK(end_of(child) == 0);

    child = session_new(catches);
    struct winsize size = {.ws_row = 12, .ws_col = 34};
    hear('r');
    CHECK(ioctl(outer, TIOCSWINSZ, &size) == 0);
    hear('w');
    CHECK(ioctl(outer, TIOCSWINSZ, &size) == 0); /* no change, no signal */
    CHECK(write(outer, "\003", 1) == 1);
    hear('i');
    CHECK(end_of(child) == 0);

    CHECK(end_of(session_new(terminal_rules)) == 0);
    CHECK(end_of(session_new(in_stat)) == 0);

    child = session_new(loses_terminal);
    hear('r');
    close(outer);
    hear('h');
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    close(report[0]);

    child = session_new(leaves_child);
    hear('r');
    CHECK(write(outer, "\n", 1) == 1);
    hear('h');
    CHECK(end_of(child) == 0);
    return 0;
}
