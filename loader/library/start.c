/* SPDX-License-Identifier: MIT */
/*
 * pal-run as a child process.
 *
 * The child shares the caller's memory until it execs (as with vfork), so that a large program starts it as fast as a small
 * one; until then it makes system calls only.  All signals are blocked meanwhile: no handler of the caller's runs in it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/library/library.h"

#define STACK_SIZE (64u << 10)
#define STREAMS 6   /* standard input, output, error; then these, by their numbers as text */
#define EVENTS_FD "3"
#define ASKS_FD "5"
#define MANIFEST_FILE "/proc/self/fd/4"
#define CLEAR_FD 10 /* above all of them */
#define ALL_SIGNALS_SIZE 8
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

/* ---- Which pal-run ----------------------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool find_beside(char *path)
{
    static const char *const places[] = {"", "../bin/", "../../bin/"};
    Dl_info info;
    const char *slash = dladdr((void *)(uintptr_t)palrun_start, &info) && info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        int size = snprintf(path, PATH_MAX, "%.*s/%spal-run", (int)(slash - info.dli_fname), info.dli_fname, places[i]);
        if (size < PATH_MAX && is_program(path))
            return true;
    }
    return false;
}

/* Only absolute folders: the current one may be a stranger's. */
static bool find_in_path(char *path)
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t size = strcspn(at, ":");
        if (*at == '/' && snprintf(path, PATH_MAX, "%.*s/pal-run", (int)size, at) < PATH_MAX && is_program(path))
            return true;
        at += size + (at[size] == ':');
    }
    return false;
}

/* ---- Its arguments ----------------------------------------------------------------------------------------------- */

static size_t count(const char *const *list)
{
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

/* To be freed; the strings are the caller's.  NULL: no memory. */
static const char **arguments_of(const struct palrun_options *options, const char *manifest)
{
    size_t own = count(options->options), command = count(options->command), used = 0;
    const char **argv = malloc((own + command + 10) * sizeof *argv);
    if (!argv)
        return NULL;
    argv[used++] = "pal-run";
    for (size_t i = 0; i < own; i++)
        argv[used++] = options->options[i];
    if (options->flags & PALRUN_EVENTS) {
        argv[used++] = "--json";
        argv[used++] = EVENTS_FD;
    }
    if (options->flags & PALRUN_ASKS) {
        argv[used++] = "--ask-fd";
        argv[used++] = ASKS_FD;
    }
    if (manifest) {
        argv[used++] = "-m";
        argv[used++] = manifest;
    }
    if (command)
        argv[used++] = "--"; /* whatever it is called */
    for (size_t i = 0; i < command; i++)
        argv[used++] = options->command[i];
    argv[used] = NULL;
    return argv;
}

/* A file with this text: a descriptor or a negative errno. */
static int file_of(const char *text)
{
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    size_t size = strlen(text), done = 0;
    while (fd >= 0 && done < size) {
        ssize_t more = write(fd, text + done, size - done);
        if (more < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        done += (size_t)more;
    }
    return fd < 0 ? -errno : fd;
}

/* ---- The child --------------------------------------------------------------------------------------------------- */

struct child {
    const char *program, *directory;
    char *const *argv, *const *environ;
    int streams[STREAMS]; /* -1: /dev/null, or not there */
    int error;            /* what it failed with */
};

static bool place_streams(struct child *child)
{
    for (int i = 0; i < STREAMS; i++) {
        int from = child->streams[i];
        if (from < 0 && i <= STDERR_FILENO)
            from = open("/dev/null", O_RDWR | O_CLOEXEC);
        else if (from < 0)
            continue;
        child->streams[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, CLEAR_FD);
        if (child->streams[i] < 0)
            return false;
    }
    for (int i = 0; i < STREAMS; i++) {
        if (child->streams[i] < 0)
            close(i);
        else if (dup2(child->streams[i], i) < 0)
            return false;
    }
    syscall(SYS_close_range, STREAMS, ~0u, CLOSE_RANGE_CLOEXEC); /* the caller's other files are no business of pal-run's */
    return true;
}

static int run_child(void *argument)
{
    struct child *child = argument;
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &usual, NULL); /* those that can't be set are not the caller's either */
    if ((!child->directory || chdir(child->directory) == 0) && place_streams(child)) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(child->program, child->argv, child->environ);
    }
    child->error = errno;
    _exit(127);
}

/* 0, with the child's process id and descriptor; or a negative errno. */
static int spawn(struct child *child, struct palrun *run)
{
    const uint64_t all = ~UINT64_C(0);
    uint64_t before;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, ALL_SIGNALS_SIZE); /* libc's own, too */
    int pid = clone(run_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &run->pidfd);
    int error = pid < 0 ? errno : child->error;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, ALL_SIGNALS_SIZE);
    munmap(stack, STACK_SIZE);
    if (pid >= 0 && error) {
        siginfo_t info;
        waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED);
    }
    return -error;
}

static int start(struct palrun *run, const struct palrun_options *options, int manifest)
{
    char path[PATH_MAX];
    run->client = -1;
    if (!options->pal_run && !find_beside(path) && !find_in_path(path))
        return -ENOENT;
    const char **argv = arguments_of(options, manifest >= 0 ? MANIFEST_FILE : options->manifest);
    if (!argv)
        return -ENOMEM;
    int pipe_fds[2] = {-1, -1}, ends[2] = {-1, -1}, result = 0;
    if (options->flags & PALRUN_EVENTS)
        result = pipe2(pipe_fds, O_CLOEXEC) < 0 ? -errno : 0;
    if (!result && options->flags & PALRUN_ASKS)
        result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
    if (!result) {
        struct child child = {.program = options->pal_run ? options->pal_run : path,
                              .directory = options->directory,
                              .argv = (char *const *)argv,
                              .environ = options->environ ? (char *const *)options->environ : environ,
                              .streams = {options->input, options->output, options->error, pipe_fds[1], manifest, ends[1]}};
        result = spawn(&child, run);
    }
    run->events = pipe_fds[0];
    run->asks = ends[0];
    if (pipe_fds[1] >= 0)
        close(pipe_fds[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    free(argv);
    return result;
}

int palrun_start(struct palrun **out, const struct palrun_options *options)
{
    *out = NULL;
    if (options->size != sizeof *options || options->flags & ~(unsigned)(PALRUN_EVENTS | PALRUN_ASKS) || (options->manifest && options->manifest_text))
        return -EINVAL;
    int manifest = options->manifest_text ? file_of(options->manifest_text) : -1;
    if (options->manifest_text && manifest < 0)
        return manifest;
    struct palrun *run = calloc(1, sizeof *run);
    int error = -ENOMEM;
    if (run) {
        run->events = run->asks = run->pidfd = -1;
        pthread_mutex_init(&run->lock, NULL);
        error = start(run, options, manifest);
    }
    if (manifest >= 0)
        close(manifest);
    if (error && run)
        library_close(run);
    else
        *out = run;
    return error;
}
