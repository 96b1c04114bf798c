/* SPDX-License-Identifier: MIT */
/*
 * copies DIRECTORY OTHER: tries to change the host's files in a copy mount, to forge a stand-in, and to reach the upper
 * layer's own names.  OTHER is a writable mount of the host's.  copies.sh looks at the host's files afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "pal/linux/monitor.h"
#include "regression/hostile/instruction.h"

static int bad;
#define TRY(condition)                                                                                                 \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        if (!(condition)) {                                                                                            \
            printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);                                           \
            bad = 1;                                                                                                   \
        }                                                                                                              \
    } while (0)

static char link_of[64];
static const char *fd_link(int fd)
{
    snprintf(link_of, sizeof link_of, "/proc/self/fd/%d", fd);
    return link_of;
}

/* A descriptor of the host's file, by which more is asked than it has. */
static void by_descriptor(void)
{
    struct timespec times[2] = {{1, 0}, {1, 0}};
    int fd = open("file", O_RDONLY), copy;
    TRY(fd >= 0);
    TRY(write(fd, "x", 1) < 0 && errno == EBADF);
    TRY(ftruncate(fd, 0) < 0);
    TRY(fallocate(fd, 0, 0, 1) < 0);
    TRY(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    TRY(fchmod(fd, 0777) == 0); /* of a copy */
    TRY(futimens(fd, times) == 0);
    fsetxattr(fd, "user.a", "b", 1, 0);
    copy = open(fd_link(fd), O_RDWR);
    TRY(copy >= 0 && write(copy, "changed", 7) == 7);
    close(copy);
    TRY(unlink("file") == 0);
    TRY(open(fd_link(fd), O_RDWR) < 0); /* the host's, which has no copy any more */
    TRY(fchmod(fd, 0777) < 0);
    TRY(linkat(AT_FDCWD, fd_link(fd), AT_FDCWD, "again", AT_SYMLINK_FOLLOW) < 0 || access("again", F_OK) == 0);
    int directory = open("sub", O_RDONLY | O_DIRECTORY);
    TRY(directory >= 0);
    TRY((copy = openat(directory, "inner", O_WRONLY | O_TRUNC)) >= 0);
    TRY(write(copy, "changed", 7) == 7);
    TRY(unlinkat(directory, "inner", 0) == 0);
    TRY(fchmod(directory, 0700) == 0);
}

/* A request that the libOS would not make.  It is served before the libOS's next one; the answer that nobody waits for is
 * dropped with that one's. */
static void ask(uint32_t op, uint32_t flags, uint32_t mode, uint32_t new_mode, const char *name)
{
    static struct {
        struct monitor_request request;
        char path[4096];
    } packet;
    packet.request = (struct monitor_request){.op = op, .flags = flags, .mode = mode, .values.mode = new_mode};
    if (!getcwd(packet.path, sizeof packet.path - 64))
        exit(2);
    strcat(strcat(packet.path, "/"), name);
    packet.request.path_size = (uint32_t)strlen(packet.path);
    through(find_pal_instruction(), SYS_write, LINUX_FD_CHANNEL, (long)&packet,
            (long)(sizeof packet.request + packet.request.path_size), 0, 0, 0);
    TRY(chmod("second", 0640) == 0);
}

static int has_bits(const char *name)
{
    struct stat status;
    return lstat(name, &status) == 0 && status.st_mode & (S_ISUID | S_ISGID);
}

/* What would be taken for a stand-in: a set-id bit, which guests have in their own view alone. */
static void forge(void)
{
    int fd = open("forged", O_RDWR | O_CREAT, 0600);
    struct stat status;
    TRY(fd >= 0 && mkdir("forged.d", 0755) == 0);
    ask(MONITOR_SET, 0, PAL_SET_MODE, 0604, "forged"); /* such requests are served */
    TRY(stat("forged", &status) == 0 && (status.st_mode & 0777) == 0604);
    ask(MONITOR_OPEN, PAL_OPEN_WRITE | PAL_OPEN_CREATE, 0600, 0, "made.o");
    ask(MONITOR_CHANGE, PAL_MKDIR, 0755, 0, "made.m");
    ask(MONITOR_CHANGE, PAL_MKFIFO, 0600, 0, "made.f");
    TRY(access("made.o", F_OK) == 0 && access("made.m", F_OK) == 0 && access("made.f", F_OK) == 0);
    ask(MONITOR_SET, 0, PAL_SET_MODE, 04600, "forged");
    TRY(!has_bits("forged"));
    ask(MONITOR_SET, 0, PAL_SET_MODE, 06755, "forged.d");
    TRY(!has_bits("forged.d"));
    ask(MONITOR_OPEN, PAL_OPEN_WRITE | PAL_OPEN_CREATE, 04600, 0, "forged.o");
    TRY(!has_bits("forged.o"));
    ask(MONITOR_CHANGE, PAL_MKDIR, 04755, 0, "forged.m");
    TRY(!has_bits("forged.m"));
    ask(MONITOR_CHANGE, PAL_MKFIFO, 04600, 0, "forged.f");
    TRY(!has_bits("forged.f"));
    TRY(fchmod(fd, 04600) == 0 && has_bits("forged"));
    ask(MONITOR_SET, 0, PAL_SET_MODE, 0640, "forged"); /* only the view's bit is left */
    TRY(has_bits("forged") && chmod("forged", 0600) == 0 && !has_bits("forged"));
}

/* Hard links and renames that would carry files out or in. */
static void carry(const char *other)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/out", other);
    TRY(link("second", path) < 0 && errno == EXDEV);
    TRY(rename("second", path) < 0 && errno == EXDEV);
    snprintf(path, sizeof path, "%s/theirs", other);
    TRY(link(path, "in") < 0 && errno == EXDEV);
    TRY(rename(path, "in") < 0 && errno == EXDEV);
}

/* Symlinks in the upper layer are resolved in the sandbox. */
static void links(void)
{
    char path[4096], text[64];
    int fd;
    TRY(symlink("/etc/shadow", "shadow") == 0);
    TRY(open("shadow", O_RDONLY) < 0);
    TRY(symlink("/", "root") == 0);
    snprintf(path, sizeof path, "root/root/.ssh");
    TRY(access(path, F_OK) < 0);
    TRY(symlink("../../../../../../../../etc", "up") == 0);
    TRY(open("up/shadow", O_RDONLY) < 0);
    TRY(symlink("missing", "sub/second") == 0); /* dangling there */
    TRY(open("sub/second", O_RDONLY) < 0 && errno == ENOENT);
    fd = open("sub/second", O_WRONLY | O_CREAT, 0600);
    TRY(fd >= 0 && write(fd, "own", 3) == 3);
    TRY(readlink("sub/second", text, sizeof text) == 7);
}

/* The upper layer's and the control directory's own names, however they might be called. */
static void own_names(void)
{
    static const char *const names[] = {"..", "../..", ".pal-run.aaaaaaaaaaaaaaa", "../0.control", "../1.control", "0.upper", "../new"};
    char path[4096];
    ssize_t size;
    int fd = open("forged", O_RDONLY);
    size = readlink(fd_link(fd), path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    TRY(size > 0 && !strstr(path, ".pal-run.") && strstr(path, "/forged"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        DIR *directory = opendir(names[i]);
        for (const struct dirent *entry; directory && (entry = readdir(directory));)
            TRY(!strstr(entry->d_name, "control") && !strstr(entry->d_name, "upper"));
        if (directory)
            closedir(directory);
    }
    TRY(mkdir(".pal-run.aaaaaaaaaaaaaaa", 0700) < 0 && errno == EACCES);
    TRY(rename("forged", ".pal-run.aaaaaaaaaaaaaaa") < 0 && errno == EACCES);
    fd = open("sub", O_RDONLY | O_DIRECTORY);
    TRY(openat(fd, "../../0.control", O_RDONLY) < 0);
}

int main(int argc, char **argv)
{
    if (argc != 3 || chdir(argv[1]) < 0)
        return 2;
    by_descriptor();
    forge();
    carry(argv[2]);
    links();
    own_names();
    return bad;
}
