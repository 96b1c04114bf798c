/* SPDX-License-Identifier: MIT */
/*
 * Terminals: the one that pal-run has, whose modes are put back at the end, and pseudoterminals that the monitor makes for
 * guests.
 *
 * A pseudoterminal's number is used again by the host, perhaps for another user, once it was hung up.  So the monitor keeps an
 * O_PATH descriptor of the inner side's own directory entry: opening through it finds that one terminal, or EIO.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "loader/loader.h"

#define PTY_INNER_MAJOR 136u /* to 143: Documentation/admin-guide/devices.txt */
#define PTMX makedev(5, 2)

/* ---- pal-run's own -------------------------------------------------------------------------------------------------- */

static struct termios saved_modes;
static bool is_saved;

void terminal_save(void)
{
    is_saved = tcgetattr(STDIN_FILENO, &saved_modes) == 0;
}

void terminal_restore(void)
{
    if (!is_saved)
        return;
    signal(SIGTTOU, SIG_IGN); /* in the background the terminal is another's, but its modes were ours to change */
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_modes);
}

/* As the shell that started pal-run expects of a job; its SIGCONT goes on here. */
static int stop(uint64_t number)
{
    if (number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU)
        return -EINVAL;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, (int)number);
    raise((int)number);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
    if (number == SIGTSTP)
        sigprocmask(SIG_BLOCK, &set, NULL);
    return 0;
}

static int is_in_front(int fd, struct answer *answer)
{
    pid_t front = tcgetpgrp(fd);
    if (front < 0)
        return -errno;
    answer->reply.value = front == getpgrp();
    return 0;
}

/* ---- Pseudoterminals -------------------------------------------------------------------------------------------------- */

void terminals_init(struct terminals *terminals)
{
    for (size_t i = 0; i < TERMINALS_MAX; i++)
        terminals->inner[i].fd = -1;
}

static bool is_hung_up(const struct terminal *terminal)
{
    struct stat status;
    return fstat(terminal->fd, &status) < 0 || !status.st_nlink; /* its entry goes with the outer side */
}

/* The live one of this number, or (number < 0) an unused place. */
static struct terminal *find(struct terminals *terminals, int64_t number)
{
    for (size_t i = 0; i < TERMINALS_MAX; i++) {
        struct terminal *terminal = &terminals->inner[i];
        if (terminal->fd >= 0 && is_hung_up(terminal)) {
            close(terminal->fd);
            terminal->fd = -1;
        }
        if (number < 0 ? terminal->fd < 0 : terminal->fd >= 0 && terminal->number == (uint64_t)number)
            return terminal;
    }
    return NULL;
}

int serve_pty(struct terminals *terminals, struct answer *answer)
{
    struct terminal *terminal = find(terminals, -1);
    if (!terminal)
        return -ENOSPC;
    int outer = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
    if (outer < 0)
        return -errno;
    unsigned number;
    int error = ioctl(outer, TIOCSPTLCK, &unlock) < 0 || ioctl(outer, TIOCGPTN, &number) < 0 ? -errno : 0;
    if (!error && (terminal->fd = ioctl(outer, TIOCGPTPEER, O_PATH | O_CLOEXEC)) < 0)
        error = -errno;
    if (error) {
        close(outer);
        return error;
    }
    terminal->number = answer->reply.value = number;
    answer->descriptors[0] = outer;
    answer->reply.descriptors = 1;
    return 0;
}

int serve_pty_inner(struct terminals *terminals, const struct request *request, struct answer *answer)
{
    const struct terminal *terminal = find(terminals, (int64_t)request->arguments[0]);
    if (!terminal)
        return -EIO;
    if (request->arguments[1])
        return 0;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", terminal->fd);
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    answer->descriptors[0] = fd;
    answer->reply.descriptors = 1;
    return 0;
}

/* Is this descriptor of a guest one side of a pseudoterminal that was made here?  The user's own terminal is not. */
static bool is_ours(struct terminals *terminals, int fd)
{
    struct stat status;
    unsigned number;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode))
        return false;
    if (status.st_rdev == PTMX)
        return ioctl(fd, TIOCGPTN, &number) == 0 && find(terminals, number);
    unsigned major = major(status.st_rdev);
    return major >= PTY_INNER_MAJOR && major < PTY_INNER_MAJOR + 8 &&
           find(terminals, (int64_t)((major - PTY_INNER_MAJOR) << 20 | minor(status.st_rdev)));
}

static int act(int fd, enum monitor_terminal what, uint64_t value)
{
    struct winsize size;
    int packet = value != 0, result;
    if (what == MONITOR_TERMINAL_SIZE) {
        _Static_assert(sizeof size == sizeof value && sizeof size == sizeof(struct pal_window), "the same four numbers");
        memcpy(&size, &value, sizeof size);
        result = ioctl(fd, TIOCSWINSZ, &size);
    } else if (what == MONITOR_TERMINAL_PACKET) {
        result = ioctl(fd, TIOCPKT, &packet);
    } else {
        result = value > TCION ? (errno = EINVAL, -1) : ioctl(fd, what == MONITOR_TERMINAL_FLUSH ? TCFLSH : TCXONC, value);
    }
    return result < 0 ? -errno : 0;
}

int serve_terminal(struct terminals *terminals, const struct objects *objects, const struct request *request,
                   struct answer *answer)
{
    enum monitor_terminal what = (enum monitor_terminal)(request->arguments[0] >> 32);
    if (what == MONITOR_TERMINAL_STOP)
        return stop(request->arguments[1]);
    int fd = member_descriptor(objects, request->sender, (int)(uint32_t)request->arguments[0]);
    if (fd < 0)
        return fd;
    int result;
    if (what == MONITOR_TERMINAL_FRONT)
        result = is_in_front(fd, answer);
    else
        result = is_ours(terminals, fd) ? act(fd, what, request->arguments[1]) : -EPERM;
    close(fd);
    return result;
}
