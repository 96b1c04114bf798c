/* SPDX-License-Identifier: MIT */
/* A directory or file that is open is itself, whatever it is called meanwhile, and whoever renamed it. */
#include "files.h"
#include <limits.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

static void make(const char *name, const char *contents)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents) && close(fd) == 0);
}

static bool holds(int fd, const char *contents)
{
    char text[64] = "";
    CHECK(fd >= 0 && pread(fd, text, sizeof text - 1, 0) >= 0 && close(fd) == 0);
    return !strcmp(text, contents);
}

/* In a process of its own, as somebody else would. */
static void by_another(const char *from, const char *to)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(rename(from, to) != 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static char *link_of(const char *link)
{
    static char text[PATH_MAX];
    ssize_t size = readlink(link, text, sizeof text - 1);
    CHECK(size > 0);
    text[size] = 0;
    return text;
}

static char *link_of_fd(int fd)
{
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return link_of(name);
}

static bool ends_in(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

/* Another directory takes the name. */
static void directory(int flags)
{
    struct stat st, before;
    CHECK(mkdir("e", 0755) == 0);
    make("e/x", "good");
    int fd = open("e", flags | O_DIRECTORY);
    CHECK(fd >= 0 && fstat(fd, &before) == 0);
    for (int i = 0; i < 5; i++) /* answers are kept by then */
        CHECK(fstatat(fd, "x", &st, 0) == 0 && fstatat(fd, "none", &st, 0) < 0);
    by_another("e", "e2");
    CHECK(mkdir("e", 0755) == 0);
    make("e/x", "evil");
    make("e/none", "evil");
    CHECK(holds(openat(fd, "x", O_RDONLY), "good"));
    FAILS(fstatat(fd, "none", &st, 0), ENOENT);
    CHECK(fstatat(fd, "x", &st, 0) == 0 && st.st_size == 4);
    CHECK(close(openat(fd, "made", O_CREAT | O_RDWR, 0644)) == 0 && access("e2/made", F_OK) == 0);
    FAILS(access("e/made", F_OK), ENOENT);
    CHECK(mkdirat(fd, "sub", 0755) == 0 && symlinkat("x", fd, "l") == 0 && linkat(fd, "x", fd, "y", 0) == 0);
    CHECK(renameat(fd, "y", fd, "z") == 0 && access("e2/z", F_OK) == 0 && access("e2/sub", F_OK) == 0);
    CHECK(fchmodat(fd, "z", 0600, 0) == 0 && stat("e2/z", &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(fstatat(fd, "../e2/x", &st, 0) == 0 && fstatat(fd, "..", &st, 0) == 0 && fstatat(fd, ".", &st, 0) == 0);
    CHECK(st.st_ino == before.st_ino && ends_in(link_of_fd(fd), "/e2"));
    CHECK(unlinkat(fd, "x", 0) == 0 && access("e/x", F_OK) == 0 && unlinkat(fd, "sub", AT_REMOVEDIR) == 0);
    CHECK(unlinkat(fd, "z", 0) == 0 && unlinkat(fd, "l", 0) == 0 && unlinkat(fd, "made", 0) == 0);
    CHECK(rmdir("e2") == 0 && unlink("e/x") == 0 && unlink("e/none") == 0 && rmdir("e") == 0);
    FAILS(fstatat(fd, "x", &st, 0), ENOENT);
    FAILS(openat(fd, "x", O_CREAT | O_RDWR, 0644), ENOENT);
    FAILS(mkdirat(fd, "x", 0755), ENOENT);
    CHECK(ends_in(link_of_fd(fd), "/e2 (deleted)"));
    CHECK(close(fd) == 0);
}

static void current_directory(void)
{
    char before[PATH_MAX], now[PATH_MAX];
    CHECK(getcwd(before, sizeof before));
    CHECK(mkdir("p1", 0755) == 0 && mkdir("p2", 0755) == 0 && mkdir("p1/w", 0755) == 0);
    make("p1/id", "p1");
    make("p2/id", "p2");
    CHECK(chdir("p1/w") == 0);
    for (int i = 0; i < 5; i++)
        CHECK(getcwd(now, sizeof now) && ends_in(now, "/p1/w") && access("../id", F_OK) == 0);
    by_another("../../p1/w", "../../p2/w");
    CHECK(getcwd(now, sizeof now) && ends_in(now, "/p2/w") && holds(open("../id", O_RDONLY), "p2"));
    CHECK(!strcmp(link_of("/proc/self/cwd"), now) && holds(open("/proc/self/cwd/../id", O_RDONLY), "p2"));
    CHECK(chdir("..") == 0 && rename("../p2", "../p3") == 0 && getcwd(now, sizeof now) && ends_in(now, "/p3"));
    CHECK(chdir("w") == 0 && rmdir("../w") == 0);
    errno = 0;
    CHECK(!getcwd(now, sizeof now) && errno == ENOENT);
    FAILS(open("x", O_CREAT | O_RDWR, 0644), ENOENT);
    struct stat st;
    CHECK(stat(".", &st) == 0 && st.st_nlink == 0 && chdir("..") == 0);
    CHECK(chdir(before) == 0 && unlink("p1/id") == 0 && unlink("p3/id") == 0 && rmdir("p1") == 0 && rmdir("p3") == 0);
}

/* /proc/self/fd/N is the file, not its name. */
static void opened_anew(void)
{
    char name[40], text[8] = "";
    struct stat st, again;
    make("f", "old");
    int fd = open("f", O_RDWR), other;
    make("n", "new!");
    by_another("n", "f");
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CHECK(stat(name, &again) == 0 && fstat(fd, &st) == 0 && again.st_ino == st.st_ino && st.st_nlink == 0);
    CHECK(holds(open(name, O_RDONLY), "old") && ends_in(link_of(name), "/f (deleted)"));
    CHECK(truncate(name, 2) == 0 && fstat(fd, &st) == 0 && st.st_size == 2 && stat("f", &st) == 0 && st.st_size == 4);
    CHECK(chmod(name, 0600) == 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600);
    other = open(name, O_RDONLY);
    CHECK(read(fd, text, 1) == 1 && lseek(other, 0, SEEK_CUR) == 0 && (fcntl(other, F_GETFL) & O_ACCMODE) == O_RDONLY);
    FAILS(write(other, "x", 1), EBADF);
    CHECK(close(other) == 0);
    FAILS(linkat(AT_FDCWD, name, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
    other = open(name, O_RDWR | O_TRUNC);
    CHECK(other >= 0 && fstat(fd, &st) == 0 && st.st_size == 0 && close(other) == 0 && close(fd) == 0);
    fd = open("f", O_PATH);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    by_another("f", "g");
    CHECK(holds(open(name, O_RDONLY), "new!") && ends_in(link_of(name), "/g"));
    CHECK(linkat(AT_FDCWD, name, AT_FDCWD, "h", AT_SYMLINK_FOLLOW) == 0 && unlink("h") == 0);
    CHECK(unlink("g") == 0 && close(fd) == 0);
}

static void without_names(void)
{
    char name[40], text[8] = "";
    int fd = open(".", O_TMPFILE | O_RDWR, 0600), other, ends[2];
    CHECK(fd >= 0 && write(fd, "tmp", 3) == 3);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CHECK(holds(open(name, O_RDONLY), "tmp"));
    CHECK(linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0 && holds(open("named", O_RDONLY), "tmp"));
    CHECK(unlink("named") == 0 && close(fd) == 0);
    fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    FAILS(linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), ENOENT);
    CHECK(close(fd) == 0);

    fd = memfd_create("section", MFD_CLOEXEC);
    CHECK(write(fd, "hello", 5) == 5);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CHECK(!strcmp(link_of(name), "/memfd:section (deleted)") && (other = open(name, O_RDONLY)) >= 0);
    CHECK(read(other, text, 5) == 5 && !memcmp(text, "hello", 5));
    FAILS(write(other, "x", 1), EBADF);
    CHECK(close(other) == 0 && close(fd) == 0);

    CHECK(pipe(ends) == 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    other = open(name, O_RDONLY | O_NONBLOCK);
    FAILS(read(other, text, 1), EAGAIN);
    CHECK(!(fcntl(ends[0], F_GETFL) & O_NONBLOCK) && close(other) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void links_and_slashes(void)
{
    struct stat st;
    CHECK(mkdir("t", 0755) == 0 && symlink("t", "l") == 0);
    CHECK(close(open("l/", O_RDONLY | O_NOFOLLOW)) == 0 && close(open("l/.", O_RDONLY | O_NOFOLLOW)) == 0);
    CHECK(lstat("l/", &st) == 0 && S_ISDIR(st.st_mode));
    int fd = open("l", O_PATH | O_NOFOLLOW);
    char text[8];
    CHECK(fd >= 0 && rename("l", "m") == 0 && readlinkat(fd, "", text, sizeof text) == 1 && text[0] == 't');
    CHECK(close(fd) == 0 && unlink("m") == 0 && rmdir("t") == 0);
}

/* What lies above may be closed meanwhile. */
static void closed_above(void)
{
    struct stat st;
    char before[PATH_MAX];
    CHECK(getcwd(before, sizeof before) && mkdir("w", 0755) == 0 && mkdir("w/s", 0755) == 0 && mkdir("w/s/d", 0755) == 0);
    int above = open("w", O_RDONLY | O_DIRECTORY);
    CHECK(chdir("w/s/d") == 0 && fchmod(above, 0) == 0);
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    make("f", "here");
    CHECK(fd >= 0 && fstatat(fd, "f", &st, 0) == 0 && stat("f", &st) == 0 && mkdir("r", 0755) == 0);
    CHECK(fchdir(fd) == 0 && chdir(".") == 0 && rmdir("r") == 0 && unlinkat(fd, "f", 0) == 0);
    CHECK(close(fd) == 0 && fchmod(above, 0755) == 0 && close(above) == 0);
    CHECK(chdir(before) == 0 && rmdir("w/s/d") == 0 && rmdir("w/s") == 0 && rmdir("w") == 0);
}

#define LEVELS 30
static void deep(void)
{
    char name[201], before[PATH_MAX];
    struct stat st;
    memset(name, 'x', 200);
    name[200] = 0;
    CHECK(getcwd(before, sizeof before));
    for (int i = 0; i < LEVELS; i++)
        CHECK(mkdir(name, 0755) == 0 && chdir(name) == 0);
    make("file", "deep");
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && fstatat(fd, "file", &st, 0) == 0 && symlinkat("file", fd, "l") == 0);
    CHECK(holds(openat(fd, "l", O_RDONLY), "deep") && renameat(fd, "file", fd, "g") == 0 && unlinkat(fd, "l", 0) == 0);
    FAILS(syscall(SYS_getcwd, name, sizeof name), ENAMETOOLONG);
    CHECK(unlink("g") == 0 && close(fd) == 0);
    for (int i = 0; i < LEVELS; i++)
        CHECK(chdir("..") == 0 && rmdir(name) == 0);
    char now[PATH_MAX];
    CHECK(getcwd(now, sizeof now) && !strcmp(now, before));
}

/* A relative name of a socket, and what is passed to another process. */
static void passed(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), to = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(mkdir("q", 0755) == 0 && chdir("q") == 0 && rename("../q", "../r") == 0);
    CHECK(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    CHECK(access("../r/sock", F_OK) == 0 && connect(to, (void *)&address, sizeof address) == 0);
    CHECK(unlink("sock") == 0 && chdir("..") == 0 && rmdir("r") == 0 && close(listener) == 0 && close(to) == 0);
}

static bool is_here(ino_t inode)
{
    struct stat st;
    return stat(".", &st) == 0 && st.st_ino == inode;
}

/* To and fro so often that the ways may be known by heart: a name still is what it leads to at the moment. */
static void known_ways(void)
{
    struct stat one, two;
    int fd[2];
    CHECK(mkdir("k", 0755) == 0 && mkdir("k/one", 0755) == 0 && mkdir("k/two", 0755) == 0 && symlink("one", "k/l") == 0);
    CHECK(stat("k/one", &one) == 0 && stat("k/two", &two) == 0 && chdir("k") == 0);
    for (int i = 0; i < 40; i++) {
        CHECK(chdir("one") == 0 && is_here(one.st_ino) && chdir("..") == 0);
        CHECK(chdir("l") == 0 && is_here(one.st_ino) && chdir("../two") == 0 && is_here(two.st_ino) && chdir("..") == 0);
    }
    by_another("one", "gone");
    FAILS(chdir("one"), ENOENT);
    by_another("two", "one");
    CHECK(chdir("one") == 0 && is_here(two.st_ino) && chdir("../l") == 0 && is_here(two.st_ino) && chdir("..") == 0);
    CHECK(unlink("l") == 0 && symlink("gone", "l") == 0 && chdir("l") == 0 && is_here(one.st_ino));
    by_another("../gone", "../one/in");
    CHECK(chdir("..") == 0 && is_here(two.st_ino) && chdir("..") == 0);
    CHECK((fd[0] = open("one", O_PATH | O_DIRECTORY)) >= 0 && (fd[1] = open("one", O_PATH | O_DIRECTORY)) >= 0);
    CHECK(close(fd[0]) == 0 && fstat(fd[1], &one) == 0 && one.st_ino == two.st_ino && close(fd[1]) == 0);
    CHECK(rmdir("one/in") == 0 && rmdir("one") == 0);
    FAILS(chdir("one"), ENOENT);
    CHECK(unlink("l") == 0 && chdir("..") == 0 && rmdir("k") == 0);
}

int main(void)
{
    char place[] = "/tmp/files_objects.XXXXXX";
    CHECK(mkdtemp(place) && chdir(place) == 0);
    directory(O_RDONLY);
    directory(O_PATH);
    current_directory();
    opened_anew();
    without_names();
    links_and_slashes();
    closed_above();
    deep();
    passed();
    known_ways();
    CHECK(chdir("/") == 0 && rmdir(place) == 0);
    return 0;
}
