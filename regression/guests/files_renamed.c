/* SPDX-License-Identifier: MIT */
/* What is set by descriptor reaches the file that was opened, whatever its name is now, or if it has none. */
#include "files.h"
#include <sys/time.h>

static struct stat of(int fd)
{
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    return st;
}

static void set_all(int fd, mode_t mode)
{
    const struct timespec times[2] = {{1000000001, 5}, {1000000002 + mode, 7}};
    CHECK(fchmod(fd, mode) == 0 && (of(fd).st_mode & 07777) == mode);
    CHECK(fchown(fd, getuid(), getgid()) == 0 && fchown(fd, -1, -1) == 0);
    CHECK(futimens(fd, times) == 0 && of(fd).st_atim.tv_sec == 1000000001 && of(fd).st_mtim.tv_nsec == 7);
    CHECK(of(fd).st_mtim.tv_sec == 1000000002 + (time_t)mode);
}

static int fresh(const char *name, int flags)
{
    int fd = open(name, O_CREAT | O_TRUNC | flags, 0644);
    CHECK(fd >= 0);
    return fd;
}

static void files(void)
{
    int fd = fresh("a", O_RDWR), other;
    CHECK(write(fd, "12345", 5) == 5 && rename("a", "b") == 0);
    set_all(fd, 0600);
    CHECK(ftruncate(fd, 3) == 0 && of(fd).st_size == 3);
    other = fresh("a", O_RDWR);
    set_all(fd, 0640);
    CHECK((of(other).st_mode & 07777) == 0644 && of(other).st_mtim.tv_sec > 1500000000);
    CHECK(unlink("b") == 0);
    set_all(fd, 0444);
    CHECK(ftruncate(fd, 10) == 0 && of(fd).st_size == 10 && of(fd).st_nlink == 0);
    CHECK(rename("a", "b") == 0 && rename("b", "a") == 0);
    set_all(other, 0700);
    CHECK(unlink("a") == 0 && close(fd) == 0 && close(other) == 0);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd >= 0);
    set_all(fd, 0611);
    CHECK(close(fd) == 0);
}

static void read_only_and_places(void)
{
    int fd, place;
    struct stat st;
    close(fresh("c", O_RDWR));
    fd = open("c", O_RDONLY);
    CHECK(fd >= 0 && rename("c", "d") == 0 && (place = open("d", O_PATH)) >= 0);
    set_all(fd, 0404);
    FAILS(ftruncate(fd, 1), EINVAL);
    FAILS(fchmod(place, 0600), EBADF);
    CHECK(fchownat(place, "", getuid(), -1, AT_EMPTY_PATH) == 0);
    const struct timespec times[2] = {{5, 0}, {6, 0}};
    CHECK(utimensat(place, "", times, AT_EMPTY_PATH) == 0 && stat("d", &st) == 0 && st.st_mtime == 6);
    CHECK(unlink("d") == 0 && close(fd) == 0 && close(place) == 0);
}

static void folders(void)
{
    int folder, fd;
    CHECK(mkdir("e", 0755) == 0 && (folder = open("e", O_RDONLY | O_DIRECTORY)) >= 0);
    fd = fresh("e/inner", O_RDWR);
    CHECK(rename("e", "f") == 0);
    set_all(folder, 0700);
    set_all(fd, 0600);
    CHECK(unlink("f/inner") == 0 && rmdir("f") == 0);
    set_all(folder, 0711);
    set_all(fd, 0640);
    CHECK(close(folder) == 0 && close(fd) == 0);
}

/* A child has the descriptor only. */
static void in_child(void)
{
    int fd = fresh("g", O_RDWR), status;
    CHECK(rename("g", "h") == 0);
    pid_t child = fork();
    if (child == 0) {
        set_all(fd, 0604);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0 && (of(fd).st_mode & 07777) == 0604);
    CHECK(unlink("h") == 0 && close(fd) == 0);
}

int main(void)
{
    char folder[] = "/tmp/files_renamed.XXXXXX";
    CHECK(mkdtemp(folder) && chdir(folder) == 0);
    files();
    read_only_and_places();
    folders();
    in_child();
    CHECK(chdir("/") == 0 && rmdir(folder) == 0);
    return 0;
}
