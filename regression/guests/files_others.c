/* SPDX-License-Identifier: MIT */
/* Files and a process of root's that has taken other ids: what it may open, change, make, remove, and whose it is. */
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"

#define OTHER 65534

static void make(const char *name, mode_t mode, uid_t uid)
{
    int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, "text", 4) == 4 && fchmod(fd, mode) == 0 && fchown(fd, uid, uid) == 0);
    close(fd);
}

static void prepare(void)
{
    CHECK(mkdir("closed", 0700) == 0 && mkdir("open", 0777) == 0 && chmod("open", 0777) == 0);
    CHECK(mkdir("sticky", 0777) == 0 && chmod("sticky", 01777) == 0 && mkdir("plain", 0755) == 0);
    make("private", 0600, 0);
    make("public", 0644, 0);
    make("closed/file", 0666, 0);
    make("open/roots", 0644, 0);
    make("sticky/roots", 0666, 0);
    make("sticky/own", 0600, OTHER);
    make("own", 0600, OTHER);
    CHECK(symlink("closed/file", "link") == 0);
}

static void refused(void)
{
    struct stat status;
    CHECK_FAILS(open("private", O_RDONLY), EACCES);
    CHECK_FAILS(open("public", O_WRONLY), EACCES);
    CHECK_FAILS(open("public", O_RDONLY | O_NOATIME), EPERM);
    CHECK_FAILS(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
    CHECK_FAILS(open("closed/file", O_RDONLY), EACCES);
    CHECK_FAILS(open("link", O_RDONLY), EACCES);
    CHECK_FAILS(stat("closed/file", &status), EACCES);
    CHECK_FAILS(stat("closed/none", &status), EACCES);
    CHECK_FAILS(chdir("closed"), EACCES);
    CHECK_FAILS(mkdir("new", 0700), EACCES);
    CHECK_FAILS(mkdir("plain", 0700), EEXIST);
    CHECK_FAILS(unlink("private"), EACCES);
    CHECK_FAILS(unlink("none"), ENOENT);
    CHECK_FAILS(rename("own", "renamed"), EACCES);
    CHECK_FAILS(symlink("x", "new"), EACCES);
    CHECK_FAILS(mkfifo("new", 0600), EACCES);
    CHECK_FAILS(unlink("sticky/roots"), EPERM);
    CHECK_FAILS(rename("sticky/roots", "sticky/x"), EPERM);
    CHECK_FAILS(rename("sticky/own", "sticky/roots"), EPERM);
    CHECK_FAILS(chmod("public", 0666), EPERM);
    CHECK_FAILS(chown("own", 0, -1), EPERM);
    CHECK_FAILS(chown("own", -1, 12345), EPERM);
    CHECK_FAILS(chown("public", OTHER, OTHER), EPERM);
    CHECK_FAILS(truncate("public", 0), EACCES);
    const struct timespec times[2] = {{1, 1}, {1, 1}};
    CHECK_FAILS(utimensat(AT_FDCWD, "public", times, 0), EPERM);
    CHECK_FAILS(utimensat(AT_FDCWD, "public", NULL, 0), EACCES);
    CHECK_FAILS(setxattr("public", "user.x", "1", 1, 0), EACCES);
    CHECK_FAILS(execl("./public", "public", NULL), EACCES);
    int fd = open("public", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_FAILS(fchmod(fd, 0600), EPERM);
    CHECK_FAILS(fchown(fd, OTHER, -1), EPERM);
    close(fd);
}

static void is_own(const char *name)
{
    struct stat status;
    CHECK(lstat(name, &status) == 0 && status.st_uid == OTHER && status.st_gid == OTHER);
}

static void allowed(void)
{
    int fd = open("open/file", O_CREAT | O_EXCL | O_RDWR, 0600);
    CHECK(fd >= 0 && fchmod(fd, 0400) == 0);
    CHECK(mkdir("open/directory", 0700) == 0 && symlink("x", "open/link") == 0 && mkfifo("open/fifo", 0600) == 0);
    is_own("open/file");
    is_own("open/directory");
    is_own("open/link");
    is_own("open/fifo");
    CHECK(unlink("open/roots") == 0 && rename("sticky/own", "sticky/still") == 0 && unlink("sticky/still") == 0);
    CHECK(chmod("own", 0644) == 0 && truncate("own", 0) == 0 && utimensat(AT_FDCWD, "own", NULL, 0) == 0);
    CHECK(chdir("open") == 0 && access("file", R_OK) == 0 && chdir("..") == 0);
}

int main(void)
{
    char name[] = "/tmp/files_others.XXXXXX";
    if (geteuid() != 0)
        return 0;
    CHECK(mkdtemp(name) && chmod(name, 0755) == 0 && chdir(name) == 0);
    prepare();
    pid_t child = fork();
    if (child == 0) {
        CHECK(setegid(OTHER) == 0 && seteuid(OTHER) == 0);
        CHECK(access("closed/file", F_OK) == 0 && access("private", R_OK | W_OK) == 0); /* by the real ids */
        CHECK_FAILS(faccessat(AT_FDCWD, "private", R_OK, AT_EACCESS), EACCES);
        refused();
        allowed();
        CHECK(seteuid(0) == 0 && open("private", O_RDWR) >= 0);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
