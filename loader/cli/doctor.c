/* SPDX-License-Identifier: MIT */
/* `pal-run doctor`: what this host offers, what each part adds, and what to do where one is missing. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loader/cli/cli.h"
#include "loader/launch/launch.h"

#define HWCAP2_FSGSBASE_BIT 2u
#define DETAIL_COLUMN 25

struct finding {
    bool good;
    char detail[160];
};

struct check {
    const char *name, *adds, *remedy;
    bool needed; /* nothing runs without */
    void (*look)(struct finding *out);
};

static void say(struct finding *out, bool good, const char *detail)
{
    out->good = good;
    snprintf(out->detail, sizeof out->detail, "%s", detail);
}

/* In a child, since some of these can't be undone.  Its exit status is an errno. */
static int in_child(int (*try)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(try() < 0 ? errno : 0);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

static void look_with(struct finding *out, int (*try)(void))
{
    int error = in_child(try);
    say(out, !error, error ? strerror(error) : "");
}

/* With all addresses allowed: nothing would come back from it otherwise. */
static int try_dispatch(void)
{
    return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, ~0ul >> 1, NULL);
}

static int try_user_namespace(void) { return unshare(CLONE_NEWUSER); }
static int try_mount_namespace(void) { return unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS); }

static int try_seccomp(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return (int)syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static int try_openat2(void)
{
    struct open_how how = {.flags = O_PATH, .resolve = RESOLVE_BENEATH};
    return (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
}

static int try_pidfd_getfd(void)
{
    int pid = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return pid < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pid, 0, 0);
}

static void look_dispatch(struct finding *out) { look_with(out, try_dispatch); }
static void look_user_namespace(struct finding *out) { look_with(out, try_user_namespace); }
static void look_mount_namespace(struct finding *out) { look_with(out, try_mount_namespace); }
static void look_seccomp(struct finding *out) { look_with(out, try_seccomp); }
static void look_openat2(struct finding *out) { look_with(out, try_openat2); }
static void look_pidfd_getfd(struct finding *out) { look_with(out, try_pidfd_getfd); }

static void look_kernel(struct finding *out)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    uname(&name);
    sscanf(name.release, "%u.%u", &major, &minor);
    say(out, major > 5 || (major == 5 && minor >= 9), name.release);
}

static void look_fsgsbase(struct finding *out)
{
    say(out, getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT, "");
}

static void look_landlock(struct finding *out)
{
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    say(out, version > 0, version > 0 ? "" : strerror(errno));
    if (version > 0)
        snprintf(out->detail, sizeof out->detail, "ABI %d", version);
}

static void look_proc(struct finding *out)
{
    say(out, access("/proc/self/fd", X_OK) == 0, "");
}

static void read_start(const char *path, char *out, size_t room)
{
    FILE *file = fopen(path, "re");
    out[0] = 0;
    if (file && !fgets(out, (int)room, file))
        out[0] = 0;
    if (file)
        fclose(file);
}

/* It lets them be made, and takes what they are for. */
static void look_apparmor(struct finding *out)
{
    char restricts[2], profile[64];
    read_start("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", restricts, sizeof restricts);
    read_start("/proc/self/attr/current", profile, sizeof profile);
    bool profiled = strncmp(profile, "unconfined", 10) != 0;
    say(out, restricts[0] != '1' || profiled || geteuid() == 0, restricts[0] == '1' ? "user namespaces are restricted" : "");
}

static void look_files(struct finding *out)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    out->good = limit.rlim_max >= 1024;
    snprintf(out->detail, sizeof out->detail, "at most %llu", (unsigned long long)limit.rlim_max);
}

static void look_inotify(struct finding *out)
{
    int fd = inotify_init1(IN_CLOEXEC);
    say(out, fd >= 0, fd < 0 ? strerror(errno) : "");
    if (fd >= 0)
        close(fd);
}

static void look_scratch(struct finding *out)
{
    const char *directory = getenv("XDG_RUNTIME_DIR");
    if (!directory || access(directory, W_OK) != 0)
        directory = "/tmp";
    struct statfs space;
    bool good = access(directory, W_OK | X_OK) == 0 && statfs(directory, &space) == 0;
    out->good = good;
    if (good)
        snprintf(out->detail, sizeof out->detail, "%s, %llu MiB free", directory,
                 (unsigned long long)space.f_bavail * (unsigned long long)space.f_bsize >> 20);
    else
        say(out, false, directory);
}

static const struct check checks[] = {
    {"kernel", "the calls that the monitor and the filter are made of", "Linux 5.9 or newer is needed", true, look_kernel},
    {"FSGSBASE", "threads' own storage without a host call", "a processor and kernel from 2020 or newer are needed", true,
     look_fsgsbase},
    {"seccomp filters", "the wall: which host calls exist", "a kernel with CONFIG_SECCOMP_FILTER; in a container, allow seccomp",
     true, look_seccomp},
    {"openat2", "paths that can't leave a mount", "Linux 5.6 or newer; in a container, allow openat2", true, look_openat2},
    {"pidfd_getfd", "descriptors that the monitor takes and checks",
     "Linux 5.6 or newer; in a container, allow pidfd_getfd (ptrace rights on own children)", true, look_pidfd_getfd},
    {"/proc", "attributes of files, terminals", "mount /proc: without it attributes can't be set and openpty fails", false,
     look_proc},
    {"Syscall User Dispatch", "system calls reach the library OS at full speed", "Linux 5.11 or newer; until then --trap=seccomp",
     false, look_dispatch},
    {"Landlock", "a second wall around files, signals and abstract sockets",
     "Linux 5.13 or newer with landlock in /sys/kernel/security/lsm; the first wall stands without it", false, look_landlock},
    {"user namespaces", "names at native speed, started by an ordinary user", "nothing: the monitor looks up names, 3 to 6 times slower", false,
     look_user_namespace},
    {"mount namespaces", "names at native speed: a view that holds only the policy's mounts", "nothing: the monitor looks up names, 3 to 6 times slower", false,
     look_mount_namespace},
    {"AppArmor", "leaves user namespaces to pal-run", "install its profile: docs/security.md, AppArmor", false, look_apparmor},
    {"open files", "room for the sandbox's descriptors", "raise the hard limit (ulimit -Hn)", false, look_files},
    {"inotify", "the lookup cache: repeated lookups without the monitor",
     "raise fs.inotify.max_user_instances, or end programs that hold instances", false, look_inotify},
    {"scratch space", "private /tmp and home", "set XDG_RUNTIME_DIR to a directory that you can write", false, look_scratch},
};

static void print_check(const struct check *check, const struct finding *found)
{
    int width = output_width(INT_MAX);
    printf("%s %-*s", found->good ? "✓" : check->needed ? "✗" : "-", DETAIL_COLUMN - 2, check->name);
    int column = print_folded(DETAIL_COLUMN, DETAIL_COLUMN, width, check->adds);
    if (*found->detail)
        print_folded(column + printf(":"), DETAIL_COLUMN, width, found->detail);
    if (!found->good) {
        printf("\n%*s-> ", DETAIL_COLUMN, "");
        print_folded(DETAIL_COLUMN + 3, DETAIL_COLUMN + 3, width, check->remedy);
    }
    printf("\n");
}

int doctor_main(int argc, char **argv)
{
    bool as_json = command_wants_json(&argc, &argv), broken = false;
    if (argc != 1)
        fail(EXIT_OWN_FAILURE, "usage: pal-run doctor [--json]");
    launch_abandon();
    json_t *rows = as_json ? json_array() : NULL;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const struct check *check = &checks[i];
        struct finding found = {false, ""};
        fflush(stdout);
        check->look(&found);
        broken |= check->needed && !found.good;
        if (as_json) {
            json_array_append_new(rows, json_pack("{s:s, s:b, s:b, s:s, s:s, s:s}", "name", check->name, "found", found.good,
                                                  "needed", check->needed, "detail", found.detail, "adds", check->adds,
                                                  "remedy", check->remedy));
            continue;
        }
        print_check(check, &found);
    }
    if (as_json) {
        command_print_json(rows);
    } else {
        printf(broken ? "pal-run can't run here: see the lines with ✗\n" : "pal-run works here\n");
    }
    return fflush(stdout) == 0 ? broken : EXIT_OWN_FAILURE;
}
