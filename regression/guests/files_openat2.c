/* SPDX-License-Identifier: MIT */
/* openat2(2): how names may be resolved, for each flag; what is left of it when directories are renamed. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16, CACHED = 32 };

static int directory;

static int open_with(int at, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    const struct { uint64_t flags, mode, resolve; } how = {flags, mode, resolve};
    return (int)syscall(SYS_openat2, at, path, &how, sizeof how);
}

static int beneath(const char *path, uint64_t resolve)
{
    int fd = open_with(directory, path, O_RDONLY, 0, resolve);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static void links(void)
{
    CHECK(beneath("file", NO_SYMLINKS) == 0 && beneath("link", 0) == 0 && beneath("sub/inner", NO_SYMLINKS) == 0);
    CHECK_FAILS(beneath("link", NO_SYMLINKS), ELOOP);
    CHECK_FAILS(beneath("there/inner", NO_SYMLINKS), ELOOP);
    CHECK(beneath("there/inner", NO_MAGICLINKS) == 0 && beneath("/proc/self/stat", NO_MAGICLINKS) == 0);
    CHECK_FAILS(beneath("/proc/self/exe", NO_MAGICLINKS), ELOOP);
    CHECK_FAILS(beneath("round", BENEATH), ELOOP);
    CHECK_FAILS(beneath("file/x", BENEATH), ENOTDIR);
    CHECK_FAILS(beneath("link/", BENEATH), ENOTDIR);
    CHECK_FAILS(beneath("none", BENEATH), ENOENT);
}

static void confined(void)
{
    CHECK(beneath("sub/../file", BENEATH) == 0 && beneath("there/../link", BENEATH) == 0 && beneath(".", BENEATH) == 0);
    CHECK_FAILS(beneath("../x", BENEATH), EXDEV);
    CHECK_FAILS(beneath("sub/../../x", BENEATH), EXDEV);
    CHECK_FAILS(beneath("/etc/passwd", BENEATH), EXDEV);
    CHECK_FAILS(beneath("out", BENEATH), EXDEV);
    CHECK_FAILS(beneath("absolute", BENEATH), EXDEV);
    CHECK(beneath("/file", IN_ROOT) == 0 && beneath("../../file", IN_ROOT) == 0 && beneath("absolute", IN_ROOT) == 0);
    CHECK_FAILS(beneath("/etc/passwd", IN_ROOT), ENOENT);
    CHECK_FAILS(beneath("/proc/version", NO_XDEV), EXDEV);
    CHECK_FAILS(beneath("file", BENEATH | IN_ROOT), EINVAL);
    CHECK_FAILS(beneath("file", 64), EINVAL);
}

static void makes(void)
{
    struct stat status;
    umask(022);
    int fd = open_with(directory, "sub/new", O_CREAT | O_EXCL | O_WRONLY, 0666, BENEATH);
    CHECK(fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 07777) == 0644);
    close(fd);
    CHECK_FAILS(open_with(directory, "sub/new", O_CREAT | O_EXCL, 0600, BENEATH), EEXIST);
    CHECK_FAILS(open_with(directory, "../new", O_CREAT, 0600, BENEATH), EXDEV);
    CHECK_FAILS(open_with(directory, "link", O_NOFOLLOW, 0, BENEATH), ELOOP);
    CHECK_FAILS(open_with(directory, "file", O_CREAT, 0600, CACHED), EAGAIN);
    fd = open_with(directory, "link", O_PATH | O_NOFOLLOW, 0, BENEATH);
    CHECK(fd >= 0 && fstat(fd, &status) == 0 && S_ISLNK(status.st_mode));
    close(fd);
}

int main(void)
{
    char name[] = "/tmp/openat2.XXXXXX";
    CHECK(mkdtemp(name) && chdir(name) == 0 && mkdir("in", 0755) == 0);
    CHECK((directory = open("in", O_RDONLY | O_DIRECTORY)) >= 0 && fchdir(directory) == 0);
    CHECK(mkdir("sub", 0755) == 0 && close(creat("file", 0644)) == 0 && close(creat("sub/inner", 0644)) == 0);
    CHECK(symlink("file", "link") == 0 && symlink("sub", "there") == 0 && symlink("round", "round") == 0);
    CHECK(symlink("../in/file", "out") == 0 && symlink("/file", "absolute") == 0);
    links();
    confined();
    makes();
    return 0;
}
