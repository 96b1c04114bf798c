/* SPDX-License-Identifier: MIT */
/*
 * What the host knows of a picoprocess, or a thread, of the sandbox: its state, the time and the memory that it uses.  For
 * /proc of the sandbox, when somebody looks; all of it is about the sandbox's own doing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

#define NS_PER_TICK (1000000000ull / 100) /* USER_HZ, on x86-64 always */

static bool file_read(int directory, const char *name, char *out, size_t room)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, out, room - 1);
    if (fd >= 0)
        close(fd);
    out[size > 0 ? size : 0] = 0;
    return size > 0;
}

/* The fields behind the name, which may hold anything. */
static bool read_stat(const char *text, struct pal_child *out)
{
    unsigned long long minor, major, user, system;
    const char *fields = strrchr(text, ')');
    char state;
    if (!fields || sscanf(fields + 1, " %c %*d %*d %*d %*d %*d %*u %llu %*u %llu %*u %llu %llu", &state, &minor, &major,
                          &user, &system) != 5)
        return false;
    out->status = state;
    out->used.minor_faults = minor;
    out->used.major_faults = major;
    out->used.user_ns = user * NS_PER_TICK;
    out->used.system_ns = system * NS_PER_TICK;
    return true;
}

bool process_state(const char *path, struct process_state *out)
{
    char text[1024], state;
    const char *fields = file_read(AT_FDCWD, path, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!fields || sscanf(fields + 1, " %c %*d %*d %ld %u", &state, &out->session, &out->terminal) != 3)
        return false;
    out->stopped = strchr("TtZXx", state) != NULL;
    return true;
}

static uint64_t row(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* The kernel gives these without waiting for the process's memory map: so the monitor can't be held up here. */
int serve_look(struct objects *objects, const struct request *request, struct reply *reply)
{
    pid_t pid = (pid_t)request->arguments[0];
    struct pal_child found = {.process = request->arguments[0]};
    char name[32], text[4096];
    snprintf(name, sizeof name, "/proc/%d", pid);
    int directory = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC); /* of this very process, even if its pid is reused */
    int error = -ESRCH;
    if (directory >= 0 && getsid(pid) == objects->session && file_read(directory, "stat", text, sizeof text) &&
        read_stat(text, &found)) {
        error = 0;
        if (file_read(directory, "status", text, sizeof text)) {
            found.used.max_rss = row(text, "\nVmHWM:");
            found.used.voluntary_switches = row(text, "\nvoluntary_ctxt_switches:");
            found.used.involuntary_switches = row(text, "\nnonvoluntary_ctxt_switches:");
            found.memory.anonymous = row(text, "\nRssAnon:") << 10;
            found.memory.file = row(text, "\nRssFile:") << 10;
            found.memory.shared = row(text, "\nRssShmem:") << 10;
        }
        memcpy(reply->text.bytes, &found, sizeof found);
        reply->text.size = sizeof found;
    }
    if (directory >= 0)
        close(directory);
    return error;
}
