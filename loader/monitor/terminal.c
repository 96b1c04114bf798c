/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal, as pal-run's standard streams have it.
 *
 * A picoprocess is in a session of its own, so the kernel's job control is not for it: it could read what is typed for
 * the shell, or for another job.  Hence its descriptors of the terminal are for writing only (launch/picoprocess.c),
 * and what needs the foreground is done here, by pal-run, whose reads the kernel refuses while another job has the
 * terminal.  Nothing here waits.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "loader/supervise/supervise.h"

/* As the streams were found: with the guest they end, so they are put back.  flags -1: it was not open. */
static struct stream saved[SUPERVISOR_STREAMS];

/*
 * Pipes and most terminals are opened anew for the guest, with flags of its own.  What it shares with others the
 * supervisor is told of now; of modes when the guest changes them for the first time.
 */
void terminal_save(void)
{
    for (int fd = 0; fd < SUPERVISOR_STREAMS; fd++) {
        struct stat status;
        struct stream *stream = &saved[fd];
        stream->flags = fcntl(fd, F_GETFL);
        stream->has_modes = ioctl(fd, TCGETS, &stream->modes) == 0;
        if (fstat(fd, &status) == 0 && (S_ISSOCK(status.st_mode) || (S_ISREG(status.st_mode) && stream->flags & O_APPEND)))
            supervisor_stream(fd, stream);
    }
}

static void note_change(struct terminals *terminals, bool changed)
{
    for (int fd = 0; fd < SUPERVISOR_STREAMS && changed != terminals->changed; fd++)
        if (saved[fd].has_modes) {
            struct stream stream = saved[fd];
            stream.has_modes = changed;
            supervisor_stream(fd, &stream);
        }
    terminals->changed = changed;
}

void terminals_init(struct terminals *terminals)
{
    for (size_t i = 0; i < TERMINALS_MAX; i++)
        terminals->inner[i].name = -1;
    terminals->own = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    terminals->input = -1;
    for (int fd = 0; fd < SUPERVISOR_STREAMS && terminals->input < 0; fd++) {
        char path[] = "/proc/self/fd/0";
        path[sizeof path - 2] = (char)('0' + fd);
        if (saved[fd].has_modes && (saved[fd].flags & O_ACCMODE) == O_RDWR)
            terminals->input = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    }
    signal(SIGTTIN, SIG_IGN); /* the kernel's answer is EIO then, and pal-run stops when the guest does */
    signal(SIGTTOU, SIG_IGN);
}

/* In order: what is written is the terminal's already, and waiting for it might take for ever. */
void terminal_restore(const struct terminals *terminals)
{
    for (int fd = 0; fd < SUPERVISOR_STREAMS; fd++) {
        if (terminals->changed && saved[fd].has_modes)
            ioctl(fd, TCSETS, &saved[fd].modes);
        if (saved[fd].flags >= 0 && fcntl(fd, F_GETFL) != saved[fd].flags)
            fcntl(fd, F_SETFL, saved[fd].flags);
    }
}

bool terminal_is_shared(void)
{
    for (int fd = 0; fd < SUPERVISOR_STREAMS; fd++)
        if (saved[fd].has_modes)
            return true;
    return false;
}

/* ---- Job control ------------------------------------------------------------------------------------------------- */

bool terminals_in_front(const struct terminals *terminals)
{
    pid_t front = terminals->own < 0 ? -1 : tcgetpgrp(terminals->own);
    return front < 0 || front == getpgrp();
}

static bool is_stop(uint64_t number)
{
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

bool terminals_stop(struct terminals *terminals)
{
    sigset_t set, before;
    int number = terminals->stop;
    if (!number)
        return false;
    terminals->stop = 0;
    note_change(terminals, false); /* from here on the modes are the shell's */
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, &before); /* stops here, unless no shell is there to let it go on */
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (number != SIGTSTP)
        signal(number, SIG_IGN);
    return true;
}

/* ---- Keys and modes ---------------------------------------------------------------------------------------------- */

static int read_keys(const struct terminals *terminals, uint64_t most, struct reply *reply)
{
    if (most > sizeof reply->text.bytes)
        most = sizeof reply->text.bytes;
    if (terminals->input < 0)
        return -EBADF;
    ssize_t size = read(terminals->input, reply->text.bytes, most);
    if (size < 0)
        return -errno;
    reply->text.size = (uint32_t)size;
    reply->packet.value = (uint64_t)size;
    return 0;
}

static bool is_users(int fd)
{
    struct stat status, own;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode))
        return false;
    for (int i = 0; i < SUPERVISOR_STREAMS; i++)
        if (saved[i].has_modes && fstat(i, &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino &&
            own.st_rdev == status.st_rdev)
            return true;
    return false;
}

/* Pseudoterminals have nothing to drain; a serial line's output is not waited for. */
static int set_modes(int fd, const struct pal_terminal *wanted)
{
    struct termios modes = {.c_iflag = wanted->iflag, .c_oflag = wanted->oflag, .c_cflag = wanted->cflag,
                            .c_lflag = wanted->lflag, .c_line = wanted->line};
    memcpy(modes.c_cc, wanted->cc, sizeof modes.c_cc);
    if (wanted->when == 2 && ioctl(fd, TCFLSH, TCIFLUSH) < 0)
        return -errno;
    return ioctl(fd, TCSETS, &modes) < 0 ? -errno : 0;
}

static int change_modes(struct terminals *terminals, int fd, const struct request *request)
{
    struct pal_terminal wanted;
    memcpy(&wanted, request->other, sizeof wanted);
    if (pty_is_ours(terminals, fd))
        return set_modes(fd, &wanted);
    if (!is_users(fd))
        return -EPERM;
    if (!terminals_in_front(terminals))
        return -EIO;
    note_change(terminals, true);
    return set_modes(fd, &wanted);
}

int serve_terminal(struct terminals *terminals, struct objects *objects, const struct request *request,
                   struct reply *reply)
{
    uint64_t value = request->arguments[1];
    enum monitor_terminal what = (enum monitor_terminal)(request->arguments[0] >> 32);
    switch (what) {
    case MONITOR_TERMINAL_FRONT:
        reply->packet.value = terminals_in_front(terminals);
        return 0;
    case MONITOR_TERMINAL_STOP:
        if (!is_stop(value))
            return -EINVAL;
        /* Once the reply is sent.  A SIGSTOP stops also where nobody could make it go on: the kernel judges that. */
        terminals->stop = value == SIGSTOP ? SIGTSTP : (int)value;
        return 0;
    case MONITOR_TERMINAL_READ:
        return read_keys(terminals, value, reply);
    default:
        break;
    }
    int fd = member_descriptor(objects, request->sender, (int)(uint32_t)request->arguments[0]);
    if (fd < 0)
        return fd;
    int error = what == MONITOR_TERMINAL_MODES       ? change_modes(terminals, fd, request)
                : pty_is_ours(terminals, fd) ? pty_control(fd, what, value)
                                             : -EPERM;
    close(fd);
    return error;
}
