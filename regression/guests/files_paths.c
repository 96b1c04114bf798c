/* SPDX-License-Identifier: MIT */
/* How names resolve: the working directory, "..", symlinks, slashes, between the file systems. */
#include "files.h"
#include <limits.h>
#include <linux/openat2.h>

static int same(const char *a, const char *b)
{
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino && of_a.st_dev == of_b.st_dev;
}

static void working(void)
{
    char cwd[PATH_MAX], real[PATH_MAX], small[2];
    CHECK(realpath(scratch, real) != NULL);
    CHECK(getcwd(cwd, sizeof(cwd)) == cwd && strcmp(cwd, real) == 0);
    CHECK(syscall(SYS_getcwd, cwd, sizeof(cwd)) == (long)strlen(real) + 1);
    FAILS(syscall(SYS_getcwd, small, sizeof(small)), ERANGE);
    FAILS(syscall(SYS_getcwd, nowhere, 4096), EFAULT);
    CHECK(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && symlink("a/b", "l") == 0);
    put_file("a/f", "F");
    CHECK(chdir("l") == 0 && getcwd(cwd, sizeof(cwd)) && strcmp(cwd + strlen(real), "/a/b") == 0);
    CHECK(file_is("../f", "F") && file_is(".././../a/f", "F"));
    CHECK(chdir("..") == 0 && getcwd(cwd, sizeof(cwd)) && strcmp(cwd + strlen(real), "/a") == 0);
    CHECK(chdir(scratch) == 0);
    FAILS(chdir("gone"), ENOENT);
    FAILS(chdir("a/f"), ENOTDIR);
    FAILS(fchdir(99), EBADF);
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(chdir("a") == 0 && access("f", F_OK) == 0 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0 && access("a/f", F_OK) == 0);
    CHECK(mkdir("shut", 0) == 0);
    if (geteuid() != 0)
        FAILS(chdir("shut"), EACCES);
}

static void shapes(void)
{
    CHECK(file_is("a//f", "F") && file_is("./a/./f", "F") && file_is("a/b/../f", "F") && file_is("l/../f", "F"));
    CHECK(same("a/", "a") && same("a/.", "a") && same("l/", "a/b") && same("l/.", "a/b") && same("a/b/..", "a"));
    FAILS(open("a/f/.", O_RDONLY), ENOTDIR);
    FAILS(open("a/f/..", O_RDONLY), ENOTDIR);
    FAILS(access("gone/../a", F_OK), ENOENT);
    CHECK(same("/usr/./bin//", "/usr/bin") && same("//usr", "/usr"));
    CHECK(same("/../..", "/"));
    struct stat st;
    CHECK(lstat("l", &st) == 0 && S_ISLNK(st.st_mode) && lstat("l/", &st) == 0 && S_ISDIR(st.st_mode));
    char path[PATH_MAX], target[PATH_MAX];
    snprintf(path, sizeof(path), "%s/a/f", scratch);
    CHECK(symlink(path, "absolute") == 0 && file_is("absolute", "F"));
    CHECK(symlink("l/../f", "dotted") == 0 && file_is("dotted", "F"));
    CHECK(readlink("absolute", target, sizeof(target)) == (ssize_t)strlen(path));
    for (int i = 0; i < 39; i++) {
        snprintf(path, sizeof(path), "chain%d", i);
        snprintf(target, sizeof(target), i ? "chain%d" : "a/f", i - 1);
        CHECK(symlink(target, path) == 0);
    }
    CHECK(file_is("chain38", "F"));
    CHECK(symlink("chain38", "chain39") == 0 && symlink("chain39", "chain40") == 0);
    FAILS(open("chain40", O_RDONLY), ELOOP);
}

static void between(void)
{
    char path[PATH_MAX], target[PATH_MAX], real[PATH_MAX];
    int fd;
    CHECK(realpath(scratch, real) != NULL);
    CHECK(symlink("/dev/null", "null") == 0 && symlink("/proc/self", "me") == 0 && symlink("/dev", "devices") == 0);
    CHECK((fd = open("null", O_WRONLY)) >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    CHECK((fd = open("devices/null", O_WRONLY)) >= 0 && close(fd) == 0);
    CHECK((fd = open("/usr/../dev/./null", O_WRONLY)) >= 0 && close(fd) == 0);
    CHECK((fd = open("//dev//null", O_WRONLY)) >= 0 && close(fd) == 0);
    CHECK((fd = open("/dev/../dev/null", O_WRONLY)) >= 0 && close(fd) == 0);
    CHECK(same("/dev/..", "/") && same("/proc/../usr", "/usr"));
    CHECK((fd = open("me/status", O_RDONLY)) >= 0 && close(fd) == 0);
    CHECK(readlink("/proc/self/cwd", target, sizeof(target)) == (ssize_t)strlen(real));
    CHECK(same("/proc/self/cwd", ".") && same("/proc/self/cwd/..", "..") && same("me/cwd/a", "a"));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd = open("a/f", O_RDONLY));
    CHECK(file_is(path, "F") && same(path, "a/f"));
    close(fd);
    FAILS(mkdir("/proc/x", 0700), ENOENT);
    FAILS(mkdir("/dev/null", 0700), EEXIST);
    CHECK(rename("a/f", "/proc/x") == -1 && rename("/dev/null", "x") == -1);
    CHECK(chdir("/proc/self") == 0 && access("status", F_OK) == 0 && chdir("/dev") == 0 && access("null", W_OK) == 0);
    CHECK(getcwd(target, sizeof(target)) && strcmp(target, "/dev") == 0);
    CHECK(chdir(scratch) == 0);
}

static void open_how(void)
{
    struct open_how how = {.flags = O_RDWR | O_CREAT, .mode = 0600};
    struct { struct open_how how; unsigned long more; } longer = {.how = {.flags = O_RDONLY}};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof(how));
    CHECK(fd >= 0 && close(fd) == 0);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "how", &how, 8), EINVAL);
    CHECK((fd = (int)syscall(SYS_openat2, AT_FDCWD, "how", &longer, sizeof(longer))) >= 0 && close(fd) == 0);
    longer.more = 1;
    FAILS(syscall(SYS_openat2, AT_FDCWD, "how", &longer, sizeof(longer)), E2BIG);
    how = (struct open_how){.flags = O_RDONLY, .mode = 0600};
    FAILS(syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof(how)), EINVAL);
    how = (struct open_how){.flags = 1ull << 40};
    FAILS(syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof(how)), EINVAL);
}

static void removed(void)
{
    CHECK(mkdir("short", 0755) == 0 && chdir("short") == 0 && rmdir("../short") == 0);
    FAILS(open("f", O_WRONLY | O_CREAT, 0600), ENOENT);
    FAILS(mkdir("d", 0700), ENOENT);
    CHECK(chdir(scratch) == 0);
}

int main(void)
{
    scratch_enter();
    working();
    shapes();
    between();
    open_how();
    removed();
    return 0;
}
