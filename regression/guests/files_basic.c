/* SPDX-License-Identifier: MIT */
/* open, read, write, close, stat: flags, offsets, errors. */
#include "files.h"
#include <sys/statfs.h>

static void open_flags(void)
{
    int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK(fd == 3);
    FAILS(open("a", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
    CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == O_RDWR);
    CHECK(fcntl(fd, F_GETFD) == 0);
    CHECK(close(fd) == 0);
    FAILS(close(fd), EBADF);
    FAILS(open("missing", O_RDONLY), ENOENT);
    FAILS(open("a/b", O_RDONLY), ENOTDIR);
    FAILS(open("a/", O_RDONLY), ENOTDIR);
    FAILS(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open("", O_RDONLY), ENOENT);
    FAILS(open(".", O_WRONLY), EISDIR);
    FAILS(open("new/", O_WRONLY | O_CREAT, 0600), EISDIR);
    FAILS(open(nowhere, O_RDONLY), EFAULT);
    fd = open("a", O_RDONLY | O_CLOEXEC);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    FAILS(write(fd, "x", 1), EBADF);
    close(fd);
    fd = open("a", O_WRONLY);
    char byte;
    FAILS(read(fd, &byte, 1), EBADF);
    close(fd);
    char long_name[5000];
    memset(long_name, 'x', sizeof(long_name));
    long_name[300] = 0;
    FAILS(open(long_name, O_RDONLY), ENAMETOOLONG);
    long_name[300] = 'x';
    long_name[4999] = 0;
    FAILS(open(long_name, O_RDONLY), ENAMETOOLONG);
}

static void offsets(void)
{
    char bytes[32] = "";
    int fd = open("b", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(fd, "hello world", 11) == 11);
    CHECK(lseek(fd, 0, SEEK_CUR) == 11);
    CHECK(lseek(fd, 6, SEEK_SET) == 6);
    CHECK(read(fd, bytes, 32) == 5 && memcmp(bytes, "world", 5) == 0);
    CHECK(read(fd, bytes, 32) == 0);
    CHECK(pread(fd, bytes, 5, 0) == 5 && memcmp(bytes, "hello", 5) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 11);
    CHECK(pwrite(fd, "J", 1, 0) == 1);
    CHECK(lseek(fd, -3, SEEK_END) == 8);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(lseek(fd, 0, 99), EINVAL);
    FAILS(pread(fd, bytes, 1, -1), EINVAL);
    CHECK(lseek(fd, 100, SEEK_SET) == 100);
    CHECK(write(fd, "!", 1) == 1);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_size == 101);
    CHECK(pread(fd, bytes, 1, 50) == 1 && bytes[0] == 0);
    FAILS(pread(fd, nowhere, 10, 0), EFAULT);
    FAILS(write(fd, nowhere, 10), EFAULT);
    FAILS(pread(fd, (void *)-4096l, 10, 0), EFAULT);
    close(fd);
    int append = open("b", O_WRONLY | O_APPEND);
    CHECK(lseek(append, 0, SEEK_SET) == 0);
    CHECK(write(append, "end", 3) == 3);
    CHECK(lseek(append, 0, SEEK_CUR) == 104);
    CHECK(fcntl(append, F_GETFL) & O_APPEND);
    CHECK(fcntl(append, F_SETFL, 0) == 0);
    CHECK(!(fcntl(append, F_GETFL) & O_APPEND));
    close(append);
    fd = open("b", O_WRONLY | O_TRUNC);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
    close(fd);
}

static void attributes(void)
{
    struct stat st, link;
    struct statx stx;
    umask(022);
    CHECK(close(open("c", O_WRONLY | O_CREAT, 0666)) == 0);
    CHECK(stat("c", &st) == 0);
    CHECK(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0644);
    CHECK(st.st_nlink == 1 && st.st_size == 0);
    CHECK(umask(077) == 022);
    CHECK(close(open("d", O_WRONLY | O_CREAT, 0666)) == 0);
    CHECK(stat("d", &st) == 0 && (st.st_mode & 07777) == 0600);
    umask(022);
    CHECK(symlink("c", "l") == 0);
    CHECK(lstat("l", &link) == 0 && S_ISLNK(link.st_mode) && link.st_size == 1);
    CHECK(stat("l", &link) == 0 && S_ISREG(link.st_mode));
    CHECK(stat("c", &st) == 0 && st.st_ino == link.st_ino && st.st_dev == link.st_dev);
    FAILS(stat("nothing", &st), ENOENT);
    FAILS(stat("c", nowhere), EFAULT);
    FAILS(stat("c/", &st), ENOTDIR);
    CHECK(stat("./", &st) == 0 && S_ISDIR(st.st_mode));
    CHECK(fstatat(AT_FDCWD, "", &link, AT_EMPTY_PATH) == 0 && link.st_ino == st.st_ino);
    FAILS(fstatat(AT_FDCWD, "c", &st, 1), EINVAL);
    int fd = open("c", O_RDONLY);
    CHECK(fstatat(fd, "", &link, AT_EMPTY_PATH) == 0 && S_ISREG(link.st_mode));
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx) == 0 && stx.stx_ino == link.st_ino);
    CHECK(stx.stx_mask & STATX_BASIC_STATS && stx.stx_mode == link.st_mode);
    CHECK(stx.stx_mtime.tv_sec == link.st_mtim.tv_sec && stx.stx_mtime.tv_nsec == link.st_mtim.tv_nsec);
    FAILS(statx(AT_FDCWD, "c", 1, STATX_ALL, &stx), EINVAL);
    close(fd);
    struct statfs fs;
    CHECK(statfs(".", &fs) == 0 && fs.f_bsize > 0 && fs.f_namelen >= 143);
    CHECK(statfs("/proc", &fs) == 0 && fs.f_type == 0x9fa0);
}

static void permissions(void)
{
    put_file("p", "x");
    CHECK(chmod("p", 0400) == 0);
    CHECK(access("p", F_OK) == 0 && access("p", R_OK) == 0);
    FAILS(access("p", X_OK), EACCES);
    if (geteuid() != 0) {
        FAILS(access("p", W_OK), EACCES);
        FAILS(open("p", O_WRONLY), EACCES);
    }
    FAILS(access("p", 99), EINVAL);
    FAILS(access("none", F_OK), ENOENT);
    CHECK(chmod("p", 0755) == 0 && access("p", X_OK) == 0);
    CHECK(faccessat(AT_FDCWD, "p", R_OK | X_OK, AT_EACCESS) == 0);
    CHECK(chown("p", (uid_t)-1, (gid_t)-1) == 0);
    CHECK(chown("p", geteuid(), getegid()) == 0);
}

static void unlinked(void)
{
    char bytes[8];
    struct stat st;
    int fd = open("u", O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, "kept", 4) == 4 && unlink("u") == 0);
    FAILS(stat("u", &st), ENOENT);
    CHECK(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 4);
    CHECK(pread(fd, bytes, 8, 0) == 4 && memcmp(bytes, "kept", 4) == 0);
    CHECK(ftruncate(fd, 2) == 0 && fstat(fd, &st) == 0 && st.st_size == 2);
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0 || errno != EOPNOTSUPP) {
        CHECK(fd >= 0 && write(fd, "tmp", 3) == 3 && pread(fd, bytes, 8, 0) == 3);
        close(fd);
    }
}

static void shared_offset(void)
{
    char bytes[8];
    int status, fd = open("s", O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, "0123456789", 10) == 10 && lseek(fd, 0, SEEK_SET) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(read(fd, bytes, 4) == 4 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(read(fd, bytes, 2) == 2 && memcmp(bytes, "45", 2) == 0);
    close(fd);
}

int main(void)
{
    scratch_enter();
    open_flags();
    offsets();
    attributes();
    permissions();
    unlinked();
    shared_offset();
    return 0;
}
