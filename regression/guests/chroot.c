/* SPDX-License-Identifier: MIT */
/* chroot: names of all kinds of calls begin at the new root and end there; fork and exec keep it; errors. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char top[] = "/tmp/chroot.XXXXXX";

static void put(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !close(fd));
}

static int has(const char *path, const char *text)
{
    char found[64];
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, found, sizeof found - 1);
    if (fd >= 0)
        close(fd);
    found[size < 0 ? 0 : size] = 0;
    return size >= 0 && !strcmp(found, text);
}

static int is_cwd(const char *path)
{
    char found[PATH_MAX];
    return syscall(SYS_getcwd, found, sizeof found) > 0 && !strcmp(found, path);
}

/* jail/{file,d/e/inner}, links in it that lead out when they are read outside, and what they lead to inside. */
static void make_tree(void)
{
    CHECK(mkdtemp(top) && !chmod(top, 0755) && !chdir(top));
    CHECK(!mkdir("jail", 0755) && !mkdir("jail/d", 0755) && !mkdir("jail/d/e", 0755) && !mkdir("outside", 0755));
    put("outside/file", "outside");
    put("jail/file", "inside");
    put("jail/d/e/inner", "inner");
    CHECK(!symlink("/file", "jail/d/absolute") && !symlink("../../../../../../file", "jail/d/e/up") && !symlink("/d/e", "jail/to_e"));
    CHECK(!symlink("loop", "jail/loop") && !symlink("/made", "jail/dangling") && !symlink("/etc/passwd", "jail/passwd"));
}

static void errors(void)
{
    char path[PATH_MAX + 2];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = 0;
    CHECK_FAILS(chroot(path), ENAMETOOLONG);
    path[NAME_MAX + 1] = 0;
    CHECK_FAILS(chroot(path), ENAMETOOLONG);
    CHECK_FAILS(chroot("nothing"), ENOENT);
    CHECK_FAILS(chroot(""), ENOENT);
    CHECK_FAILS(chroot("jail/file"), ENOTDIR);
    CHECK_FAILS(chroot("jail/loop"), ELOOP);
    CHECK_FAILS(syscall(SYS_chroot, -1l), EFAULT);
    CHECK(is_cwd(top));
}

static void look(int outside)
{
    struct stat a, b;
    char text[64];
    CHECK(has("/file", "inside") && has("/../file", "inside") && has("/d/../../../file", "inside") && has("//./file", "inside"));
    CHECK(has("/d/absolute", "inside") && has("/d/e/up", "inside") && has("/to_e/inner", "inner") && has("/to_e/../e/up", "inside"));
    CHECK_FAILS(open("/passwd", O_RDONLY), ENOENT);
    CHECK_FAILS(open("/loop", O_RDONLY), ELOOP);
    CHECK_FAILS(open("/file/", O_RDONLY), ENOTDIR);
    CHECK_FAILS(open("/to_e", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(readlink("/d/absolute", text, sizeof text) == 5 && !memcmp(text, "/file", 5));
    CHECK(!stat("/", &a) && !stat("/..", &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    CHECK(!lstat("/d/absolute", &a) && S_ISLNK(a.st_mode) && !stat("/d/absolute", &a) && S_ISREG(a.st_mode) && a.st_size == 6);
    CHECK(!access("/d/e", X_OK) && access("/etc/passwd", F_OK) < 0 && access(top, F_OK) < 0);
    struct statfs system;
    CHECK(!statfs("/d", &system));
    DIR *names = opendir("/d");
    int count = 0;
    CHECK(names);
    while (readdir(names))
        count++;
    CHECK(count == 4 && !closedir(names));
    /* A directory that was opened before is a way out, as its ".." is. */
    CHECK(faccessat(outside, "file", F_OK, 0) == 0 && faccessat(outside, "../jail/file", F_OK, 0) == 0);
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/../d/absolute", &how, sizeof how);
    CHECK(fd >= 0 && read(fd, text, sizeof text) == 6 && !close(fd));
}

static void change(void)
{
    struct stat status;
    char text[PATH_MAX];
    put("/new", "new");
    CHECK(!mkdir("/dir", 0700) && !mkdir("/dir/sub/", 0700) && !rename("/new", "/dir/../dir/moved") && has("/dir/moved", "new"));
    CHECK_FAILS(mkdir("/to_e", 0700), EEXIST);
    CHECK_FAILS(mkdir("/", 0700), EEXIST);
    CHECK_FAILS(open("/dangling", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    int fd = open("/dangling", O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && !close(fd) && !stat("/made", &status) && !unlink("/dangling") && !stat("/made", &status) && !unlink("/made"));
    CHECK(!link("/dir/moved", "/hard") && !symlink("hard", "/soft") && has("/soft", "new") && !unlink("/soft") && has("/hard", "new"));
    CHECK(!truncate("/hard", 1) && has("/dir/moved", "n") && !chmod("/hard", 0600) && !stat("/hard", &status) && (status.st_mode & 0777) == 0600);
    CHECK(!utimensat(AT_FDCWD, "/hard", (struct timespec[2]){{1, 0}, {2, 0}}, 0) && !stat("/hard", &status) && status.st_mtime == 2);
    CHECK(!unlink("/hard") && !unlink("/dir/moved") && !rmdir("/dir/sub") && !rmdir("/dir"));
    CHECK_FAILS(rmdir("/d/e/."), EINVAL);
    /* The current directory, by names that are relative. */
    CHECK(!chdir("/to_e") && is_cwd("/d/e") && has("inner", "inner") && has("../absolute", "inside") && has("../../../../file", "inside"));
    CHECK(!chdir("../../..") && is_cwd("/") && has("file", "inside") && !chdir("..") && is_cwd("/"));
    CHECK(realpath("d/e/../absolute", text) && !strcmp(text, "/file"));
    /* A socket's name. */
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/d/socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(!bind(listener, (struct sockaddr *)&name, sizeof name) && !listen(listener, 1));
    CHECK(!stat("/d/socket", &status) && S_ISSOCK(status.st_mode) && !connect(client, (struct sockaddr *)&name, sizeof name));
    CHECK(!close(listener) && !close(client) && !unlink("/d/socket"));
}

static void as_root(const char *self)
{
    int outside = open("outside", O_RDONLY | O_DIRECTORY), program = open(self, O_RDONLY), status;
    char text[PATH_MAX];
    CHECK(outside >= 0 && program >= 0);
    CHECK(!chroot("jail"));
    CHECK(syscall(SYS_getcwd, text, sizeof text) > 0 && !strncmp(text, "(unreachable)/", 14)); /* it stays */
    CHECK(!chdir("/") && is_cwd("/"));
    look(outside);
    change();
    pid_t child = fork();
    if (!child) {
        CHECK(is_cwd("/") && has("/file", "inside") && !chdir("d") && !chroot("e") && has("/inner", "inner") && has("/../inner", "inner"));
        CHECK(has("../file", "inside")); /* which is outside, and so leads on */
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && !status && has("/file", "inside"));
    CHECK_FAILS(execl(self, self, NULL), ENOENT);
    CHECK(!fchdir(outside) && has("file", "outside") && !chdir("..") && has("jail/file", "inside") && !chroot("."));
    CHECK(!chdir("/") && is_cwd("/") && has("/outside/file", "outside"));
}

static void as_user(void)
{
    if (getuid() == 0)
        CHECK(!setgid(65534) && !setuid(65534));
    CHECK_FAILS(chroot("jail"), EPERM);
    CHECK_FAILS(chroot("nothing"), ENOENT);
    CHECK_FAILS(chroot("jail/file"), ENOTDIR);
    if (!mkdir("jail/shut", 0000)) /* another's, for root that became nobody */
        CHECK_FAILS(chroot("jail/shut"), EACCES);
}

int main(int argc, char **argv)
{
    char self[PATH_MAX];
    int status;
    (void)argc;
    CHECK(realpath(argv[0], self));
    make_tree();
    errors();
    for (int user = getuid() != 0; user < 2; user++) {
        pid_t child = fork();
        if (!child) {
            if (user)
                as_user();
            else
                as_root(self);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && !status);
    }
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}
