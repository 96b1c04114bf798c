/* SPDX-License-Identifier: MIT */
/*
 * `pal-run ps` and `pal-run kill`: the running sandboxes of this user.  There is no registry that could be stale: a
 * sandbox is a process whose parent's parent is not pal-run, whose executable is this very file, and which has
 * picoprocesses below it.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"

#define PROCESSES_MAX 32768

struct process {
    pid_t pid, parent;
    uint64_t start, resident; /* clock ticks since boot; pages */
    bool sandbox, of_ours;
    uid_t owner;
};
static struct process processes[PROCESSES_MAX];
static size_t process_count;

static size_t read_text(pid_t pid, const char *name, char *out, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(out, 1, room - 1, file) : 0;
    if (file)
        fclose(file);
    out[size] = 0;
    return size;
}

static bool read_stat(struct process *process)
{
    char text[1024], *field;
    if (!read_text(process->pid, "stat", text, sizeof text) || !(field = strrchr(text, ')')))
        return false;
    char *rest = field + 2;
    for (int i = 3; i <= 24 && rest; i++) {
        char *word = strsep(&rest, " ");
        if (i == 4)
            process->parent = (pid_t)strtol(word, NULL, 10);
        else if (i == 22)
            process->start = strtoull(word, NULL, 10);
        else if (i == 24)
            process->resident = strtoull(word, NULL, 10);
    }
    return true;
}

static struct process *find(pid_t pid)
{
    for (size_t i = 0; i < process_count; i++)
        if (processes[i].pid == pid)
            return &processes[i];
    return NULL;
}

/* This very program: by the file, since names can be anybody's. */
static bool runs_this_file(pid_t pid, const struct stat *self)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return stat(path, &status) == 0 && status.st_dev == self->st_dev && status.st_ino == self->st_ino;
}

static void scan(void)
{
    struct stat self, status;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    if (!proc || stat("/proc/self/exe", &self) < 0)
        fail(EXIT_OWN_FAILURE, "the host has no /proc: running sandboxes can't be found");
    while ((entry = readdir(proc)) && process_count < PROCESSES_MAX) {
        struct process *process = &processes[process_count];
        *process = (struct process){.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
        if (process->pid <= 0 || process->pid == getpid() || !read_stat(process))
            continue;
        if (fstatat(dirfd(proc), entry->d_name, &status, 0) == 0)
            process->owner = status.st_uid;
        process->of_ours = runs_this_file(process->pid, &self);
        process_count++;
    }
    closedir(proc);
    for (size_t i = 0; i < process_count; i++) {
        struct process *process = &processes[i], *parent = find(process->parent);
        char arguments[64];
        size_t size = read_text(process->pid, "cmdline", arguments, sizeof arguments);
        process->sandbox = process->of_ours && !(parent && parent->of_ours) &&
                           !(size >= 12 && !memcmp(arguments, "picoprocess", 12));
    }
}

static bool is_below(const struct process *process, pid_t ancestor)
{
    for (int depth = 0; process && depth < 1000; depth++) {
        if (process->parent == ancestor)
            return true;
        process = find(process->parent);
    }
    return false;
}

/* Of a sandbox: processes, resident KiB, seconds since its start, command line with spaces between. */
static void sum(const struct process *sandbox, unsigned *count, uint64_t *kib, uint64_t *seconds, char *command, size_t room)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    *count = 0;
    *kib = 0;
    for (size_t i = 0; i < process_count; i++)
        if (is_below(&processes[i], sandbox->pid)) {
            ++*count;
            *kib += processes[i].resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
        }
    uint64_t started = sandbox->start / (uint64_t)sysconf(_SC_CLK_TCK);
    *seconds = (uint64_t)now.tv_sec > started ? (uint64_t)now.tv_sec - started : 0;
    size_t size = read_text(sandbox->pid, "cmdline", command, room);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)command[i] < ' ' || (unsigned char)command[i] > '~')
            command[i] = i + 1 == size ? 0 : command[i] ? '?' : ' ';
}

/* What the sandbox says of itself: nothing where it is another user's, or has no name. */
static void ask_name(pid_t pid, char *name, size_t room)
{
    const struct timeval patience = {.tv_usec = 200000};
    const struct join_request request = {.what = JOIN_ABOUT};
    struct join_answer answer;
    struct sockaddr_un address;
    unsigned size = join_address(&address, NULL, pid);
    int fd = size ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    name[0] = 0;
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, size) == 0 && send(fd, &request, sizeof request, MSG_NOSIGNAL) == sizeof request &&
        recv(fd, &answer, sizeof answer, 0) == sizeof answer && answer.what == JOIN_NAMED)
        snprintf(name, room, "%.*s", (int)sizeof answer.text, answer.text);
    close(fd);
}

int ps_main(int argc, char **argv)
{
    bool as_json = command_wants_json(&argc, &argv);
    if (argc != 1)
        fail(EXIT_OWN_FAILURE, "usage: pal-run ps [--json]");
    launch_abandon();
    scan();
    json_t *rows = as_json ? json_array() : NULL;
    if (!as_json)
        printf("%8s %6s %10s %9s %-12s %s\n", "PID", "PROCS", "RSS", "SECONDS", "NAME", "COMMAND");
    for (size_t i = 0; i < process_count; i++) {
        char command[4096], name[sizeof((struct join_answer *)NULL)->text + 1];
        unsigned count;
        uint64_t kib, seconds;
        if (!processes[i].sandbox || (geteuid() != 0 && processes[i].owner != geteuid()))
            continue;
        sum(&processes[i], &count, &kib, &seconds, command, sizeof command);
        ask_name(processes[i].pid, name, sizeof name);
        if (as_json)
            json_array_append_new(rows, json_pack("{s:i, s:i, s:I, s:I, s:s, s:s}", "pid", (int)processes[i].pid, "processes",
                                                  (int)count, "rss_kib", (json_int_t)kib, "seconds", (json_int_t)seconds,
                                                  "name", name, "command", command));
        else
            printf("%8d %6u %8lluK %9llu %-12s %s\n", (int)processes[i].pid, count, (unsigned long long)kib,
                   (unsigned long long)seconds, name[0] ? name : "-", command);
    }
    if (as_json) {
        command_print_json(rows);
    }
    return fflush(stdout) == 0 ? 0 : EXIT_OWN_FAILURE;
}

/* Only a sandbox's pal-run is signalled, by a pidfd that was checked: pids are used again. */
static bool signal_sandbox(const char *text, int number)
{
    char *end;
    long pid = strtol(text, &end, 10);
    struct stat self;
    if (*end || end == text || pid <= 0) {
        warn("kill: '%s' is not a pid", text);
        return false;
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    bool good = fd >= 0 && stat("/proc/self/exe", &self) == 0 && runs_this_file((pid_t)pid, &self) &&
                find((pid_t)pid) && find((pid_t)pid)->sandbox;
    if (!good)
        warn("kill: %ld is not a sandbox: see pal-run ps", pid);
    else if (syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) < 0 && (good = false, true))
        warn("kill: %ld: %s", pid, strerror(errno));
    if (fd >= 0)
        close(fd);
    return good;
}

static int signal_of(const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    if (!*end && end != name && number >= 0 && number < NSIG)
        return (int)number;
    if (!strncmp(name, "SIG", 3))
        name += 3;
    for (int i = 1; i < NSIG; i++)
        if (sigabbrev_np(i) && !strcmp(sigabbrev_np(i), name))
            return i;
    fail(EXIT_OWN_FAILURE, "kill: '%s' is not a signal", name);
}

int kill_main(int argc, char **argv)
{
    int number = SIGTERM, at = 1, failed = 0;
    launch_abandon();
    if (at < argc && argv[at][0] == '-')
        number = signal_of(argv[at++] + 1);
    if (at == argc)
        fail(EXIT_OWN_FAILURE, "usage: pal-run kill [-SIGNAL] PID...");
    scan();
    for (; at < argc; at++)
        failed |= !signal_sandbox(argv[at], number);
    return failed;
}
