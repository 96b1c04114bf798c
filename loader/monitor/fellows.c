/* SPDX-License-Identifier: MIT */
/*
 * Other sandboxes of this user at the same terminal, as in a pipeline: their guests could draw on a question of --ask, too.  So
 * they are held while one stands, and none begins meanwhile.
 *
 * A question stands by a name: an abstract socket's, one for each terminal.  Whoever wants to start a guest that has the terminal
 * makes its own control socket (join.c) first, then looks for that name; whoever asks takes the name first, then looks for control
 * sockets.  So one of them sees the other.  A sandbox is held as long as a connection to it lasts, and waits to begin as long as
 * the name is taken: no death leaves anything held.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define FELLOWS_MAX 64
#define PATIENCE_MS 10000 /* with one that gets no processor */
#define TAKEN_TRIES 100    /* with one who took the name and does not listen */

static int standing = -1; /* the name */
static int held[FELLOWS_MAX];
static size_t held_count;

/* Its device as /proc/PID/stat has it; 0: none. */
static unsigned terminal_number(int fd)
{
    unsigned number = 0;
    return ioctl(fd, TIOCGDEV, &number) == 0 ? number : 0;
}

static socklen_t standing_address(struct sockaddr_un *address, unsigned terminal)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int size = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "pal-run/%u/asks/%u", geteuid(), terminal);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
}

/* A connection to this user's own; -1: nobody of that name listens, or another user does. */
static int connect_to(const struct sockaddr_un *address, socklen_t size)
{
    struct ucred peer;
    socklen_t peer_size = sizeof peer;
    int fd = size ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd >= 0 && (connect(fd, (const struct sockaddr *)address, size) < 0 ||
                    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) < 0 || peer.uid != geteuid())) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_to_standing(unsigned terminal)
{
    struct sockaddr_un address;
    socklen_t size = standing_address(&address, terminal);
    return connect_to(&address, size);
}

/* ---- Who begins -------------------------------------------------------------------------------------------------- */

static void await_end(int connection)
{
    struct pollfd gone = {.fd = connection, .events = POLLIN};
    while (poll(&gone, 1, -1) < 0 && errno == EINTR)
        ;
    close(connection);
}

void fellows_await(void)
{
    unsigned terminal = 0;
    int connection;
    for (int fd = 0; fd <= STDERR_FILENO && !terminal; fd++)
        terminal = terminal_number(fd);
    if (!terminal)
        return;
    /* While it waits it can't be asked to hold its guests, who don't run yet. */
    while (join_listen_pid(), (connection = connect_to_standing(terminal)) >= 0) {
        join_unlisten_pid();
        await_end(connection);
    }
}

/* ---- Who asks ---------------------------------------------------------------------------------------------------- */

static bool take_name(unsigned terminal)
{
    struct sockaddr_un address;
    socklen_t size = standing_address(&address, terminal);
    standing = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (standing >= 0 && bind(standing, (struct sockaddr *)&address, size) == 0 && listen(standing, FELLOWS_MAX) == 0)
        return true;
    if (standing >= 0)
        close(standing);
    standing = -1;
    return false;
}

/* One who took the name may not listen yet, or listen no more: that is looked at again later.  Where it lasts, another user has
 * taken it, and must not keep this one from being asked. */
static int stand(unsigned terminal)
{
    static unsigned tries;
    if (take_name(terminal)) {
        tries = 0;
        return 0;
    }
    int other = connect_to_standing(terminal);
    if (other < 0)
        return ++tries > TAKEN_TRIES ? 0 : -EBUSY;
    tries = 0;
    close(other);
    return -EBUSY;
}

/* Does it run, at this terminal? */
static bool is_at(const char *process, unsigned terminal)
{
    char path[64];
    struct process_state its;
    snprintf(path, sizeof path, "/proc/%.20s/stat", process);
    return process_state(path, &its) && its.terminal == terminal && !its.stopped;
}

static void tell_all(unsigned terminal)
{
    const struct join_request request = {.what = JOIN_HOLD};
    struct sockaddr_un address;
    DIR *processes = opendir("/proc");
    for (struct dirent *process; processes && held_count < FELLOWS_MAX && (process = readdir(processes));) {
        pid_t pid = (pid_t)strtol(process->d_name, NULL, 10);
        if (pid <= 0 || pid == getpid() || !is_at(process->d_name, terminal))
            continue;
        int fd = connect_to(&address, join_address(&address, NULL, pid));
        if (fd >= 0 && send_with(fd, &request, sizeof request, NULL, 0) == 0)
            held[held_count++] = fd;
        else if (fd >= 0)
            close(fd);
    }
    if (processes)
        closedir(processes);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000ll + time.tv_nsec / 1000000;
}

/* It holds its guests, or has ended. */
static bool is_held(int fellow, int64_t until)
{
    struct join_answer said;
    struct pollfd ready = {.fd = fellow, .events = POLLIN};
    int64_t left = until - now();
    int came = poll(&ready, 1, left > 0 ? (int)left : 0);
    if (came < 0 && errno == EINTR)
        return is_held(fellow, until);
    ssize_t size = came > 0 ? recv(fellow, &said, sizeof said, MSG_DONTWAIT) : -1;
    return came > 0 && (size <= 0 || (size == sizeof said && said.what == JOIN_HELD));
}

int fellows_hold(int own_terminal)
{
    unsigned terminal = terminal_number(own_terminal);
    int64_t until = now() + PATIENCE_MS;
    int error = terminal ? stand(terminal) : 0;
    if (error || !terminal)
        return error;
    tell_all(terminal);
    for (size_t i = 0; i < held_count && !error; i++)
        error = is_held(held[i], until) ? 0 : -EAGAIN;
    if (error)
        fellows_release();
    return error;
}

void fellows_release(void)
{
    while (held_count)
        close(held[--held_count]);
    if (standing >= 0)
        close(standing);
    standing = -1;
}
