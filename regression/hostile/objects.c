/* SPDX-License-Identifier: MIT */
/*
 * For objects.sh.  As a guest:
 *   open PATH...     opens each in all ways; 1: one can be read or written
 *   find PATH...     1: one can be looked at
 *   rewrite PATH     changes a file's contents by a shared mapping
 *   rebit PATH       likewise, and tries to keep or get its set-user-id bit
 *   resize PATH      likewise, by truncate
 *   own PATH         gives it to root with its bits
 * On the host:
 *   give PATH        file capabilities; 2: can't
 *   has PATH         0: it has some
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TEXT "GUEST WROTE THIS"

static int open_one(const char *path)
{
    static const int ways[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_NOFOLLOW, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT,
                               O_RDONLY | O_APPEND, O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOCTTY | O_SYNC};
    char byte;
    int got = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int fd = open(path, ways[i] | O_NONBLOCK, 0600);
        if (fd < 0)
            continue;
        struct stat status;
        if (fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode)) {
            printf("%s was opened (%#x), read: %zd\n", path, ways[i], read(fd, &byte, 1));
            got = 1;
        }
        close(fd);
    }
    return got;
}

static void set_bits(const char *path, int fd)
{
    chmod(path, 04755);
    fchmod(fd, 06755);
}

static int rewrite(const char *path, int bits)
{
    int fd = open(path, O_RDWR);
    if (fd < 0)
        return 0; /* refused: as well */
    if (bits)
        set_bits(path, fd);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return perror("mmap"), 2;
    for (size_t i = 0; i < strlen(TEXT); i++)
        map[i] = TEXT[i];
    msync(map, 4096, MS_SYNC);
    if (bits)
        set_bits(path, fd);
    return 0;
}

static int give(const char *path)
{
    const struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2, .data = {{1u << CAP_NET_RAW, 0}}};
    return setxattr(path, "security.capability", &data, sizeof data, 0) == 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
    int found = 0;
    if (!strcmp(what, "rewrite") || !strcmp(what, "rebit"))
        return rewrite(path, what[2] == 'b');
    if (!strcmp(what, "resize"))
        return truncate(path, strlen(TEXT));
    if (!strcmp(what, "own"))
        return chmod(path, 04755), chown(path, 0, 0), chmod(path, 04755), 0;
    if (!strcmp(what, "give"))
        return give(path);
    if (!strcmp(what, "has"))
        return getxattr(path, "security.capability", NULL, 0) <= 0;
    struct stat status;
    for (int i = 2; i < argc && !strcmp(what, "find"); i++)
        if (lstat(argv[i], &status) == 0)
            printf("%s was found\n", argv[i]), found = 1;
    for (int i = 2; i < argc && !strcmp(what, "open"); i++)
        found |= open_one(argv[i]);
    return found;
}
