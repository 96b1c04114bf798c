/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that the program's arguments name: `cmd <(other)` and `tee >(other)` of shells.  The caller who gave the
 * argument has opened them; only pipes and plain files are passed, and never one of pal-run's own: those are closed on exec,
 * which nothing is that came through one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/launch/launch.h"

#define NUMBER_MAX 1023

/* The number in /dev/fd/N, or behind a "=": --file=/dev/fd/N.  -1: it names none. */
static int number_in(const char *argument)
{
    static const char *const places[] = {"/dev/fd/", "/proc/self/fd/"};
    const char *equals = argument[0] == '-' ? strchr(argument, '=') : NULL;
    argument = equals ? equals + 1 : argument;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t size = strlen(places[i]);
        char *end;
        if (strncmp(argument, places[i], size) != 0 || !isdigit((unsigned char)argument[size]))
            continue;
        unsigned long number = strtoul(argument + size, &end, 10);
        return *end || number > NUMBER_MAX ? -1 : (int)number;
    }
    return -1;
}

static bool may_pass(int fd, struct stat *status)
{
    int of_descriptor = fcntl(fd, F_GETFD), flags = fcntl(fd, F_GETFL);
    if (of_descriptor < 0 || of_descriptor & FD_CLOEXEC || flags < 0 || flags & O_PATH || fstat(fd, status) < 0)
        return false;
    return S_ISFIFO(status->st_mode) || (S_ISREG(status->st_mode) && !object_is_kernels(fd, status->st_dev));
}

/* A pipe is opened anew, so that O_NONBLOCK is the guest's own affair; what can't be (another user's) stays as it is. */
static int opened_anew(int fd, const struct stat *status)
{
    int flags = fcntl(fd, F_GETFL), anew = -1;
    if (S_ISFIFO(status->st_mode))
        anew = open(fd_name(fd).path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (anew >= 0)
        fcntl(anew, F_SETFL, flags);
    return anew < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : anew;
}

static bool is_taken(const struct policy *policy, const struct options *options, int number)
{
    int listeners = (int)policy->network.listener_count;
    for (size_t i = 0; i < policy->passed_count; i++)
        if (policy->passed[i].number == number)
            return true;
    return number <= STDERR_FILENO || number == options->events || number == options->ask_fd ||
           (number >= NET_LISTENERS_FIRST && number < NET_LISTENERS_FIRST + listeners);
}

void passed_find(struct policy *policy, const struct options *options)
{
    if (options->snapshot.use)
        return;
    for (size_t i = 0; policy->argv[i] && policy->passed_count < PASSED_MAX; i++) {
        int number = number_in(policy->argv[i]);
        struct stat status;
        if (number < 0 || is_taken(policy, options, number) || !may_pass(number, &status))
            continue;
        int fd = opened_anew(number, &status);
        if (fd < 0)
            fail(EXIT_OWN_FAILURE, "%s can't be passed on: %s", policy->argv[i], strerror(errno));
        close(number); /* its other end must see when the program closes it */
        policy->passed[policy->passed_count].number = number;
        policy->passed[policy->passed_count++].fd = fd;
    }
}
