/* SPDX-License-Identifier: MIT */
/* Extended attributes of files, folders and symlinks, by name and by descriptor.  77: this file system has none. */
#include "files.h"
#include <sys/xattr.h>

static char value[70000];

static void by_name(const char *path)
{
    CHECK(setxattr(path, "user.one", "first", 5, 0) == 0);
    CHECK(getxattr(path, "user.one", NULL, 0) == 5);
    CHECK(getxattr(path, "user.one", value, sizeof value) == 5 && !memcmp(value, "first", 5));
    FAILS(getxattr(path, "user.one", value, 4), ERANGE);
    FAILS(getxattr(path, "user.two", value, 4), ENODATA);
    FAILS(setxattr(path, "user.one", "x", 1, XATTR_CREATE), EEXIST);
    FAILS(setxattr(path, "user.two", "x", 1, XATTR_REPLACE), ENODATA);
    CHECK(setxattr(path, "user.two", "a\0b", 3, XATTR_CREATE) == 0);
    CHECK(getxattr(path, "user.two", value, sizeof value) == 3 && !memcmp(value, "a\0b", 3));
    CHECK(setxattr(path, "user.two", NULL, 0, XATTR_REPLACE) == 0 && getxattr(path, "user.two", value, 10) == 0);
    ssize_t size = listxattr(path, NULL, 0);
    CHECK(size >= 18 && listxattr(path, value, sizeof value) == size);
    CHECK(memmem(value, (size_t)size, "user.one", 9) && memmem(value, (size_t)size, "user.two", 9));
    FAILS(listxattr(path, value, 5), ERANGE);
    CHECK(removexattr(path, "user.one") == 0);
    FAILS(removexattr(path, "user.one"), ENODATA);
    FAILS(getxattr(path, "user.one", value, 4), ENODATA);
}

static void by_descriptor(void)
{
    int fd = open("d", O_RDWR | O_CREAT, 0600);
    CHECK(fsetxattr(fd, "user.three", "xyz", 3, 0) == 0 && rename("d", "e") == 0);
    CHECK(fgetxattr(fd, "user.three", value, 3) == 3 && !memcmp(value, "xyz", 3));
    CHECK(getxattr("e", "user.three", value, 3) == 3 && flistxattr(fd, value, sizeof value) >= 11);
    CHECK(unlink("e") == 0 && fsetxattr(fd, "user.three", "gone", 4, 0) == 0);
    CHECK(fgetxattr(fd, "user.three", value, 30) == 4 && fremovexattr(fd, "user.three") == 0);
    FAILS(fgetxattr(fd, "user.three", value, 30), ENODATA);
    CHECK(close(fd) == 0);
    int pipe_ends[2];
    CHECK(pipe(pipe_ends) == 0);
    CHECK(fgetxattr(pipe_ends[0], "user.x", value, 3) < 0);
    FAILS(fgetxattr(999, "user.x", value, 3), EBADF);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void errors(void)
{
    char long_name[300] = "user.";
    memset(long_name + 5, 'n', 290);
    FAILS(getxattr("nowhere", "user.x", value, 3), ENOENT);
    FAILS(getxattr(nowhere, "user.x", value, 3), EFAULT);
    FAILS(getxattr("f", nowhere, value, 3), EFAULT);
    FAILS(getxattr("f", "", value, 3), ERANGE);
    FAILS(getxattr("f", long_name, value, 3), ERANGE);
    FAILS(getxattr("f", "strange.x", value, 3), EOPNOTSUPP);
    FAILS(setxattr("f", "user.", value, 3, 0), EINVAL);
    FAILS(setxattr("f", "user.x", value, 3, 4), EINVAL);
    FAILS(setxattr("f", "user.x", value, 65537, 0), E2BIG);
    FAILS(setxattr("f", "user.x", nowhere, 3, 0), EFAULT);
    FAILS(getxattr("/proc/self/status", "user.x", value, 3), EOPNOTSUPP);
    CHECK(listxattr("/proc/self/status", value, 3) <= 0);
    CHECK(symlink("f", "l") == 0 && getxattr("l", "user.two", value, 3) == 0);
    FAILS(lgetxattr("l", "user.two", value, 3), ENODATA);
    FAILS(lsetxattr("l", "user.two", value, 3, 0), EPERM);
    CHECK(unlink("l") == 0);
}

int main(void)
{
    char folder[] = "/tmp/files_xattr.XXXXXX";
    CHECK(mkdtemp(folder) && chdir(folder) == 0);
    close(open("f", O_RDWR | O_CREAT, 0600));
    if (setxattr("f", "user.try", "x", 1, 0) < 0 && errno == EOPNOTSUPP) {
        printf("no extended attributes in /tmp\n");
        return 77;
    }
    CHECK(mkdir("s", 0700) == 0);
    by_name("f");
    by_name("s");
    by_descriptor();
    errors();
    CHECK(unlink("f") == 0 && rmdir("s") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
    return 0;
}
