/* SPDX-License-Identifier: MIT */
/* A sandbox that was started: its end, signals for it, its events. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loader/library/library.h"

#define SIGNAL_STATUS 128

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* 0: it can be read; -ETIMEDOUT or another negative errno. */
static int wait_readable(int fd, int timeout, int64_t begin)
{
    for (;;) {
        int64_t left = timeout < 0 ? -1 : timeout - (now() - begin);
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int ready = poll(&wanted, 1, timeout < 0 ? -1 : left > 0 ? (int)left : 0);
        if (ready > 0)
            return 0;
        if (ready == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

/* ---- Its end ----------------------------------------------------------------------------------------------------- */

/* Caller holds the lock, and it has ended. */
static int collect(struct palrun *run)
{
    siginfo_t info = {0};
    int got;
    do
        got = waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        run->status = info.si_code == CLD_EXITED ? info.si_status : SIGNAL_STATUS + info.si_status;
    else if (errno == ECHILD && run->told)
        run->status = run->told_status;
    else
        return -errno;
    run->ended = true;
    return 0;
}

int palrun_wait(struct palrun *run, int *status, int timeout)
{
    int error = wait_readable(palrun_end_descriptor(run), timeout, now());
    if (error)
        return error;
    pthread_mutex_lock(&run->lock);
    if (!run->ended)
        error = run->client < 0 ? collect(run) : library_take_reply(run);
    if (!error && status)
        *status = run->status;
    pthread_mutex_unlock(&run->lock);
    return error;
}

int palrun_kill(struct palrun *run, int signal)
{
    if (run->client >= 0)
        return library_send_signal(run, signal);
    return syscall(SYS_pidfd_send_signal, run->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void library_close(struct palrun *run)
{
    if (run->pidfd >= 0)
        close(run->pidfd);
    if (run->events >= 0)
        close(run->events);
    if (run->asks >= 0)
        close(run->asks);
    if (run->client >= 0)
        close(run->client);
    json_decref(run->last);
    pthread_mutex_destroy(&run->lock);
    free(run);
}

void palrun_free(struct palrun *run)
{
    if (!run)
        return;
    if (palrun_wait(run, NULL, 0) == -ETIMEDOUT) {
        palrun_kill(run, SIGKILL); /* the supervisor, a process of its own, ends the sandbox */
        palrun_wait(run, NULL, -1);
    }
    library_close(run);
}

int palrun_end_descriptor(const struct palrun *run)
{
    return run->client < 0 ? run->pidfd : run->client;
}

int palrun_event_descriptor(const struct palrun *run)
{
    return run->events;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* A line that lies whole in the buffer, without its newline; NULL: none does. */
static char *take_line(struct palrun *run)
{
    for (;;) {
        char *line = run->line + run->taken, *end = memchr(line, '\n', run->used - run->taken);
        if (!end)
            break;
        run->taken = (size_t)(end - run->line) + 1;
        *end = 0;
        if (!run->skipping)
            return line;
        run->skipping = false;
    }
    if (run->taken == 0 && run->used == sizeof run->line) { /* no event of pal-run's is so long */
        run->skipping = true;
        run->used = 0;
    }
    memmove(run->line, run->line + run->taken, run->used - run->taken);
    run->used -= run->taken;
    run->taken = 0;
    return NULL;
}

static bool fill(struct palrun *run, char *line, struct palrun_event *event)
{
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    json_decref(run->last);
    run->last = object;
    const char *kind = json_string_value(json_object_get(object, "event"));
    if (!kind)
        return false;
    *event = (struct palrun_event){
        .kind = kind,
        .access = json_string_value(json_object_get(object, "access")),
        .name = json_string_value(json_object_get(object, "name")),
        .reason = json_string_value(json_object_get(object, "reason")),
        .value = json_integer_value(json_object_get(object, "value")),
        .status = (int)json_integer_value(json_object_get(object, "status")),
        .lost = (size_t)json_integer_value(json_object_get(object, "lost")),
        .json = line,
    };
    if (!strcmp(kind, "ended")) {
        pthread_mutex_lock(&run->lock);
        run->told = true;
        run->told_status = event->status;
        pthread_mutex_unlock(&run->lock);
    }
    return true;
}

int palrun_event(struct palrun *run, struct palrun_event *event, int timeout)
{
    if (run->events < 0)
        return -EINVAL;
    int64_t begin = now();
    for (;;) {
        char *line;
        while ((line = take_line(run)))
            if (fill(run, line, event))
                return 1;
        int error = wait_readable(run->events, timeout, begin);
        if (error)
            return error;
        ssize_t size = read(run->events, run->line + run->used, sizeof run->line - run->used);
        if (size == 0)
            return 0;
        if (size < 0 && errno != EINTR)
            return -errno;
        run->used += size > 0 ? (size_t)size : 0;
    }
}
