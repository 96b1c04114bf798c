/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants out by the name calls that the view admits, made as host calls, without libOS and PAL: from every
 * descriptor that it has, by "..", absolute names, symlinks and whatever lies in its mounts.
 *
 * view out SECRET CONTENTS [REST]  SECRET, a file outside, is not opened, not listed, not found to exist (REST: nor what is called so
 *                           beneath a mount's root)
 * view flags                no flags but those for reading get through
 * view refused NAME...      beneath any root these can't be opened
 * view wait FILE NAME       as `refused`, once FILE is there
 *
 * Exit: 0 if it stayed in; 3: there is no view.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "regression/hostile/raw.h"

enum { FDS = 256, UPS = 40 };
static int bad;
static const char *secret, *contents;

static void offend(const char *what, int fd, const char *name)
{
    printf("%s: from descriptor %d: %s\n", what, fd, name);
    bad = 1;
}

static long raw(long number, long a, long b, long c, long d, long e)
{
    return make(PAL_INSTRUCTION, &(struct arguments){number, {a, b, c, d, e, 0}});
}

static long raw_open(int from, const char *name, int flags) { return raw(SYS_openat, from, (long)name, flags, 0, 0); }

static long raw_stat(int from, const char *name, int flags, struct statx *out)
{
    return raw(SYS_statx, from, (long)name, flags, STATX_BASIC_STATS, (long)out);
}

static bool lists(int fd, const char *name)
{
    static char bytes[65536];
    long size;
    raw(SYS_lseek, fd, 0, SEEK_SET, 0, 0);
    while ((size = raw(SYS_getdents64, fd, (long)bytes, sizeof bytes, 0, 0)) > 0)
        if (memmem(bytes, (size_t)size, name, strlen(name)))
            return true;
    return false;
}

/* What was opened must be neither the secret nor a directory that shows it. */
static void check_opened(int from, const char *name, long fd)
{
    char bytes[4096];
    if (fd < 0)
        return;
    long size = raw(SYS_pread64, fd, (long)bytes, sizeof bytes, 0, 0);
    if (size > 0 && memmem(bytes, (size_t)size, contents, strlen(contents)))
        offend("the secret was opened", from, name);
    if (lists((int)fd, strrchr(secret, '/') + 1))
        offend("the secret was listed", from, name);
    raw(SYS_close, fd, 0, 0, 0, 0);
}

/* Both there and not there must be answered alike. */
static void try_name(int from, const char *before, const char *path)
{
    static const int flags[] = {0, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY, O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY | O_NONBLOCK};
    char name[8192], none[8192], text[4096];
    struct statx status;
    snprintf(name, sizeof name, "%s%s", before, path);
    snprintf(none, sizeof none, "%s%s.none", before, path);
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        long fd = raw_open(from, name, flags[i]);
        if (fd < 0 && fd != raw_open(from, none, flags[i]))
            offend("opening tells that it exists", from, name);
        check_opened(from, name, fd);
    }
    for (int nofollow = 0; nofollow < 2; nofollow++) {
        long result = raw_stat(from, name, nofollow ? AT_SYMLINK_NOFOLLOW : 0, &status);
        if (result == 0 || result != raw_stat(from, none, nofollow ? AT_SYMLINK_NOFOLLOW : 0, &status))
            offend("attributes tell that it exists", from, name);
    }
    if (raw(SYS_readlinkat, from, (long)name, (long)text, sizeof text, 0) !=
        raw(SYS_readlinkat, from, (long)none, (long)text, sizeof text, 0))
        offend("as a symlink it exists", from, name);
}

/* Up by one ".." after the other there is an end, which can't be passed. */
static void climb(int from)
{
    struct statx here, up;
    long fd = raw_open(from, ".", O_DIRECTORY);
    for (int i = 0; fd >= 0 && i < UPS; i++) {
        long next = raw_open((int)fd, "..", O_DIRECTORY);
        if (lists((int)fd, strrchr(secret, '/') + 1))
            offend("climbed to the secret", from, "..");
        if (next >= 0 && raw_stat((int)fd, ".", 0, &here) == 0 && raw_stat((int)next, ".", 0, &up) == 0 &&
            here.stx_ino == up.stx_ino && here.stx_dev_minor == up.stx_dev_minor)
            offend("climbed to a root", from, "..");
        raw(SYS_close, fd, 0, 0, 0, 0);
        fd = next;
    }
    if (fd >= 0)
        offend("climbs for ever", from, "..");
}

static void out_of(int from, const char *rest)
{
    static const char *const before[] = {"", "/", "//", "./", "/.", "/..", "..", "../", "/proc/self/root", "/proc/self/cwd", "/dev/fd/0",
                                         "bin/..", "share/../..", "0", "../0", "../1/..", "d", "../d", "x/../.."};
    char ups[4 * UPS + 16] = "";
    for (unsigned i = 0; i < sizeof before / sizeof *before; i++)
        try_name(from, before[i], secret);
    for (int i = 0; i < UPS; i++) {
        strcat(ups, i ? "/.." : "..");
        try_name(from, ups, secret);
    }
    if (*rest)
        try_name(from, rest, "");
    climb(from);
}

/* Nothing but a view leads to /usr/bin; what leads there are its roots. */
static int find_root(void)
{
    struct statx status;
    for (int fd = 3; fd < FDS; fd++)
        if (raw_stat(fd, "bin/env", 0, &status) == 0)
            return fd;
    return -1;
}

static void open_many(void)
{
    struct stat status;
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "/usr/none%d", i);
        stat(name, &status);
        if (i > 2)
            usleep(1000);
    }
    /* Directories that the view has, and that it has not, as a guest gets them. */
    static const char *const directories[] = {"/", "/usr", "/usr/bin", "/usr/share/doc", "/etc", "/tmp", "/h", "/h/sub", "/h/secret", "/h/.."};
    for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++) {
        open(directories[i], O_RDONLY | O_DIRECTORY);
        open(directories[i], O_PATH | O_DIRECTORY);
        if (chdir(directories[i]) == 0)
            open(".", O_RDONLY | O_DIRECTORY);
    }
}

static void check_flags(const char *what, struct arguments x, unsigned which, long mask)
{
    for (int bit = 0; bit < 32; bit++) {
        x.a[which] = 1l << bit;
        int status = attempt(PAL_INSTRUCTION, &x, NO_CALL);
        if (survived(status) != ((1l << bit & mask) != 0)) {
            printf("%s with %#lx: %s\n", what, 1ul << bit, survived(status) ? "went through" : "does not work");
            bad = 1;
        }
        x.a[which] = mask | 1l << bit;
        if (!(1l << bit & mask) && survived(attempt(PAL_INSTRUCTION, &x, NO_CALL)))
            offend(what, bit, "went through with others");
    }
}

static void refused(char **names)
{
    for (int fd = 0; fd < FDS; fd++)
        for (char **name = names; *name; name++) {
            long opened = raw_open(fd, *name, O_NONBLOCK);
            if (opened >= 0)
                offend("opened", fd, *name);
        }
}

int main(int argc, char **argv)
{
    int status, way;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 2 || (way = ways_begin()) < 0)
        return 2;
    secret = argc > 2 ? argv[2] : "";
    contents = argc > 3 ? argv[3] : "";
    open_many();
    pid_t pid = fork();
    if (pid == 0) {
        dispatch_off();
        if (find_root() < 0)
            raw_call(SYS_exit_group, 3, 0, 0, 0, 0, 0);
        for (int fd = -1; !strcmp(argv[1], "out") && fd < FDS; fd++)
            out_of(fd < 0 ? AT_FDCWD : fd, argc > 4 ? argv[4] : "");
        if (!strcmp(argv[1], "refused"))
            refused(argv + 2);
        raw_call(SYS_exit_group, bad, 0, 0, 0, 0, 0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 2;
    if (WEXITSTATUS(status))
        return WEXITSTATUS(status);
    if (!strcmp(argv[1], "flags")) {
        check_flags("openat", (struct arguments){SYS_openat, {-1, (long)"x", 0, 0, 0, 0}}, 2,
                    O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY | O_NONBLOCK);
        check_flags("statx", (struct arguments){SYS_statx, {-1, (long)"x", 0, 0, 0, 0}}, 2, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
    }
    if (!strcmp(argv[1], "wait")) {
        for (int i = 0; i < 5000 && access(argv[2], F_OK) < 0; i++)
            usleep(1000);
        pid = fork();
        if (pid == 0) {
            dispatch_off();
            refused(argv + 3);
            raw_call(SYS_exit_group, bad, 0, 0, 0, 0, 0);
        }
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
            return 1;
    }
    return bad;
}
