/* SPDX-License-Identifier: MIT */
/* Changing names and attributes: rename, link, symlink, mknod, chmod, utimensat, truncate, xattr. */
#include "files.h"
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static int rename2(const char *from, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void renames(void)
{
    put_file("a", "A");
    put_file("b", "B");
    CHECK(rename("a", "c") == 0 && file_is("c", "A") && access("a", F_OK) < 0);
    CHECK(rename("c", "b") == 0 && file_is("b", "A"));
    FAILS(rename("gone", "x"), ENOENT);
    FAILS(rename("b", "no/x"), ENOENT);
    put_file("c", "C");
    FAILS(rename2("b", "c", 1), EEXIST);
    CHECK(rename2("b", "c", 2) == 0 && file_is("b", "C") && file_is("c", "A"));
    FAILS(rename2("b", "c", 3), EINVAL);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
    FAILS(rename("b", "d"), EISDIR);
    FAILS(rename("d", "b"), ENOTDIR);
    FAILS(rename("d", "d/e/f"), EINVAL);
    FAILS(rename("b/", "x"), ENOTDIR);
    FAILS(rename("d/.", "x"), EBUSY);
    CHECK(rename("d/", "moved/") == 0 && access("moved/e", F_OK) == 0);
    CHECK(mkdir("empty", 0755) == 0 && rename("moved", "empty") == 0);
    FAILS(rename("c", "c/d"), ENOTDIR);
    CHECK(rename("c", "c") == 0 && file_is("c", "A"));
}

static void links(void)
{
    struct stat st, other;
    char target[64];
    put_file("f", "F");
    CHECK(link("f", "hard") == 0 && stat("f", &st) == 0 && st.st_nlink == 2);
    CHECK(stat("hard", &other) == 0 && st.st_ino == other.st_ino);
    FAILS(link("f", "hard"), EEXIST);
    FAILS(link("gone", "x"), ENOENT);
    FAILS(link("empty", "x"), EPERM);
    CHECK(unlink("hard") == 0 && stat("f", &st) == 0 && st.st_nlink == 1);
    CHECK(symlink("f", "soft") == 0 && file_is("soft", "F"));
    FAILS(symlink("f", "soft"), EEXIST);
    FAILS(symlink("", "x"), ENOENT);
    CHECK(readlink("soft", target, sizeof(target)) == 1 && target[0] == 'f');
    CHECK(symlink("a-long-name", "cut") == 0 && readlink("cut", target, 4) == 4 && memcmp(target, "a-lo", 4) == 0);
    FAILS(readlink("f", target, sizeof(target)), EINVAL);
    FAILS(readlink("gone", target, sizeof(target)), ENOENT);
    FAILS(readlink("soft", target, 0), EINVAL);
    CHECK(linkat(AT_FDCWD, "soft", AT_FDCWD, "of-link", 0) == 0 && lstat("of-link", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(linkat(AT_FDCWD, "soft", AT_FDCWD, "of-file", AT_SYMLINK_FOLLOW) == 0);
    CHECK(lstat("of-file", &st) == 0 && S_ISREG(st.st_mode));
    CHECK(unlink("soft") == 0 && access("f", F_OK) == 0);
    CHECK(symlink("loop", "loop") == 0);
    FAILS(open("loop", O_RDONLY), ELOOP);
    FAILS(stat("loop", &st), ELOOP);
    CHECK(symlink("f", "soft") == 0);
    FAILS(open("soft", O_RDONLY | O_NOFOLLOW), ELOOP);
    FAILS(open("soft", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    int fd = open("soft", O_PATH | O_NOFOLLOW);
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(readlinkat(fd, "", target, sizeof(target)) == 1 && target[0] == 'f');
    close(fd);
    CHECK(symlink("made", "dangling") == 0);
    put_file("dangling", "D");
    CHECK(file_is("made", "D"));
}

static void nodes(void)
{
    struct stat st;
    CHECK(mkfifo("fifo", 0640) == 0 && stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
    FAILS(mkfifo("fifo", 0640), EEXIST);
    CHECK(mknod("plain", S_IFREG | 0600, 0) == 0 && stat("plain", &st) == 0 && S_ISREG(st.st_mode));
    FAILS(mknod("plain", S_IFREG | 0600, 0), EEXIST);
    int fd = open("fifo", O_RDWR);
    char byte;
    CHECK(fd >= 0 && write(fd, "z", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'z');
    FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
    close(fd);
}

static void modes_and_times(void)
{
    struct stat st;
    put_file("m", "12345");
    CHECK(chmod("m", 01751) == 0 && stat("m", &st) == 0 && (st.st_mode & 07777) == 01751);
    int fd = open("m", O_RDWR);
    CHECK(fchmod(fd, 0600) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK(fchown(fd, geteuid(), getegid()) == 0);
    struct timespec times[2] = {{1000000000, 123456789}, {1234567890, 987654321}};
    CHECK(utimensat(AT_FDCWD, "m", times, 0) == 0 && stat("m", &st) == 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_atim.tv_nsec == 123456789);
    CHECK(st.st_mtim.tv_sec == 1234567890 && st.st_mtim.tv_nsec == 987654321);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_sec = -5;
    times[1].tv_nsec = 250000000;
    CHECK(futimens(fd, times) == 0 && fstat(fd, &st) == 0);
    CHECK(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == -5 && st.st_mtim.tv_nsec == 250000000);
    times[1].tv_nsec = 1000000000;
    FAILS(futimens(fd, times), EINVAL);
    CHECK(futimens(fd, NULL) == 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1500000000);
    struct timeval micro[2] = {{5, 6}, {7, 8}};
    CHECK(utimes("m", micro) == 0 && stat("m", &st) == 0 && st.st_mtim.tv_sec == 7 && st.st_mtim.tv_nsec == 8000);
    struct utimbuf old = {11, 12};
    CHECK(utime("m", &old) == 0 && stat("m", &st) == 0 && st.st_atim.tv_sec == 11 && st.st_mtim.tv_sec == 12);
    FAILS(utimes("gone", NULL), ENOENT);
    CHECK(symlink("m", "to-m") == 0);
    CHECK(utimensat(AT_FDCWD, "to-m", (struct timespec[2]){{1, 0}, {2, 0}}, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(lstat("to-m", &st) == 0 && st.st_mtim.tv_sec == 2 && stat("m", &st) == 0 && st.st_mtim.tv_sec == 12);
    CHECK(truncate("m", 3) == 0 && stat("m", &st) == 0 && st.st_size == 3);
    CHECK(truncate("m", 9) == 0 && stat("m", &st) == 0 && st.st_size == 9);
    FAILS(truncate("m", -1), EINVAL);
    FAILS(truncate(".", 0), EISDIR);
    FAILS(truncate("gone", 0), ENOENT);
    FAILS(ftruncate(fd, -1), EINVAL);
    close(fd);
    fd = open("m", O_RDONLY);
    FAILS(ftruncate(fd, 0), EINVAL);
    close(fd);
}

static void extended(void)
{
    char value[64];
    put_file("x", "");
    FAILS(getxattr("gone", "user.a", value, sizeof(value)), ENOENT);
    CHECK(getxattr("x", "user.a", value, sizeof(value)) == -1 && (errno == ENODATA || errno == EOPNOTSUPP));
    CHECK(listxattr("x", value, sizeof(value)) >= 0);
}

/* Which of several errors: both ways are gone first, then the last names are looked at. */
static void order(void)
{
    int directory = open(".", O_RDONLY | O_DIRECTORY), file = open("of", O_RDWR | O_CREAT, 0640);
    char of_fd[40];
    struct stat st;
    CHECK(directory >= 0 && file >= 0 && mkdir("od", 0755) == 0 && symlink("od", "ol") == 0 && symlink("none", "on") == 0);
    FAILS(rmdir("gone/."), ENOENT);
    FAILS(rmdir("gone/.."), ENOENT);
    FAILS(unlink("gone/.."), ENOENT);
    FAILS(mkdir("gone/..", 0755), ENOENT);
    FAILS(mkdir("of/.", 0755), ENOTDIR);
    FAILS(rename("gone/..", "od"), ENOENT);
    FAILS(rename("od/..", "gone/x"), ENOENT);
    FAILS(rename("od/.", "of/x"), ENOTDIR);
    FAILS(rename("gone/x", "of/x"), ENOENT);
    FAILS(rename("of/x", "gone/x"), ENOTDIR);
    FAILS(rename("gone", "of/x/"), ENOTDIR);
    FAILS(renameat2(AT_FDCWD, "of", AT_FDCWD, "od/", RENAME_NOREPLACE), EEXIST);
    FAILS(rename("ol/", "ox"), ENOTDIR);
    FAILS(link("gone/x", "of/x"), ENOENT);
    FAILS(link("of/x", "gone/x"), ENOTDIR);
    FAILS(link("gone", "od"), ENOENT);
    FAILS(linkat(directory, "", AT_FDCWD, "gone/x", AT_EMPTY_PATH), ENOENT);
    FAILS(linkat(directory, "", AT_FDCWD, "of", AT_EMPTY_PATH), EEXIST);
    FAILS(linkat(directory, "", AT_FDCWD, "ox/", AT_EMPTY_PATH), ENOENT);
    FAILS(symlink("x", "of/"), EEXIST);
    FAILS(symlink("x", "ox/"), ENOENT);
    FAILS(open("gone/x/", O_WRONLY | O_CREAT, 0600), ENOENT);
    FAILS(open("gone/.", O_WRONLY | O_CREAT, 0600), ENOENT);
    FAILS(open("od/.", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("ox/", O_WRONLY | O_CREAT, 0600), EISDIR);
    FAILS(open("od/..", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("od/..", O_RDONLY | O_CREAT, 0600), EISDIR);
    FAILS(link("of/.", "ox"), ENOTDIR);
    FAILS(renameat2(AT_FDCWD, "od", AT_FDCWD, "of/", RENAME_EXCHANGE), ENOTDIR);
    FAILS(renameat2(AT_FDCWD, "od", AT_FDCWD, "ox/", RENAME_EXCHANGE), ENOENT);
    FAILS(truncate("gone/x/", 0), ENOENT);
    FAILS(truncate("of/", 0), ENOTDIR);
    FAILS(truncate("od/", 0), EISDIR);
    FAILS(chmod("of/", 0600), ENOTDIR);
    FAILS(utimensat(AT_FDCWD, "of/", NULL, 0), ENOTDIR);
    FAILS(unlink("on/"), ENOTDIR);
    FAILS(unlink("ol/"), ENOTDIR);
    FAILS(unlink("od/"), EISDIR);
    CHECK(stat("of", &st) == 0 && (st.st_mode & 07777) == 0640);
    snprintf(of_fd, sizeof of_fd, "/proc/self/fd/%d", file);
    FAILS(open(of_fd, O_DIRECTORY | O_NOFOLLOW), ENOTDIR);
    FAILS(open(of_fd, O_NOFOLLOW), ELOOP);
    FAILS(rmdir(of_fd), ENOTDIR);
    FAILS(rename("gone/x", of_fd), ENOENT);
    FAILS(rename("gone", of_fd), EXDEV);
    FAILS(rename("..", of_fd), EXDEV);
    FAILS(rename(of_fd, "ox"), EXDEV);
    FAILS(rename(of_fd, "gone/ox"), ENOENT);
    CHECK(rename(of_fd, of_fd) == 0 && renameat2(AT_FDCWD, of_fd, AT_FDCWD, of_fd, RENAME_EXCHANGE) == 0);
    FAILS(renameat2(AT_FDCWD, of_fd, AT_FDCWD, of_fd, RENAME_NOREPLACE), EEXIST);
    FAILS(rename("/proc/self/stat", "/proc/self/status"), EPERM);
    CHECK(rename("/proc/self/status", "/proc/self/status") == 0);
    FAILS(linkat(AT_FDCWD, "gone", AT_FDCWD, of_fd, 0), ENOENT);
    CHECK(lstat(of_fd, &st) == 0 && st.st_mode == (S_IFLNK | 0700));
    CHECK(symlink("of/", "slashed") == 0 && symlink("slashed", "twice") == 0 && symlink("ox/", "nowhere") == 0);
    FAILS(open("slashed", O_RDWR | O_CREAT, 0600), EISDIR);
    FAILS(open("twice", O_RDONLY | O_CREAT, 0600), EISDIR);
    FAILS(open("nowhere", O_RDWR | O_CREAT, 0600), EISDIR);
    FAILS(open("slashed", O_RDWR), ENOTDIR);
    CHECK(symlink("round", "round") == 0 && symlink("round/", "to_round") == 0);
    FAILS(open("to_round", O_RDONLY | O_CREAT, 0600), EISDIR);
    FAILS(open("to_round", O_RDONLY), ELOOP);
    int dead = mkdir("dead", 0700) == 0 ? open("dead", O_RDONLY | O_DIRECTORY) : -1;
    CHECK(dead >= 0 && rmdir("dead") == 0);
    snprintf(of_fd, sizeof of_fd, "/proc/self/fd/%d/x", dead);
    FAILS(rename(of_fd, "of/x"), ENOTDIR);
    FAILS(renameat(dead, "x", AT_FDCWD, "of/x"), ENOTDIR);
    FAILS(renameat(dead, "x", AT_FDCWD, "gone/x"), ENOENT);
    FAILS(renameat(dead, "x", AT_FDCWD, ".."), EBUSY);
    FAILS(renameat(dead, "x", AT_FDCWD, "ox"), ENOENT);
    FAILS(renameat(AT_FDCWD, "of", dead, "x"), ENOENT);
    FAILS(renameat(AT_FDCWD, "of/", dead, "x"), ENOENT);
    FAILS(renameat(AT_FDCWD, "of", dead, "x/"), ENOENT);
    CHECK(close(dead) == 0);
    snprintf(of_fd, sizeof of_fd, "/proc/self/fd/%d", directory);
    CHECK(lstat(of_fd, &st) == 0 && st.st_mode == (S_IFLNK | 0500));
    FAILS(open(of_fd, O_RDONLY | O_CREAT, 0600), EISDIR);
    FAILS(renameat2(AT_FDCWD, "gone", AT_FDCWD, of_fd, 0), EXDEV);
    CHECK(close(directory) == 0 && close(file) == 0);
}

int main(void)
{
    umask(022);
    scratch_enter();
    renames();
    links();
    nodes();
    modes_and_times();
    extended();
    order();
    return 0;
}
