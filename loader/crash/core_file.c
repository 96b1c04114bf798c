/* SPDX-License-Identifier: MIT */
/* --core: the user's file, opened before anything runs.  What is in it stays until some process dies; one that was made for
 * nothing goes again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/crash/crash.h"

static bool made;

int core_open(const char *path)
{
    struct stat status;
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    made = file >= 0;
    if (!made && errno == EEXIST)
        file = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        fail(EXIT_OWN_FAILURE, "--core %s: %s", path, strerror(errno));
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode))
        fail(EXIT_OWN_FAILURE, "--core %s: no regular file", path);
    return file;
}

/* Only the file that was made, should another be called so by now. */
static void take_away(const char *path, int file)
{
    struct stat ours, there;
    if (made && fstat(file, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        unlink(path);
}

void core_tell(const struct deaths *deaths, const char *path)
{
    struct stat status;
    if (!deaths->list[0].file)
        take_away(path, deaths->core);
    else if (fstat(deaths->core, &status) == 0 && status.st_size)
        warn("a core file is in %s", path);
    else
        warn("no core file could be written to %s", path);
}
