/* SPDX-License-Identifier: MIT */
/* A program started again and again opens the same names first: each time it finds what they are by then, and an open
 * file of its own, whose offset is nobody else's. */
#include "check.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 6, MISSING = 99 };
extern char **environ;
static char folder[] = "/tmp/exec_fresh.XXXXXX", name[64], fresh[64];

/* The first byte of the file and, from where its own offset begins, the length of what follows. */
static int child(const char *file, const char *constant)
{
    char bytes[16], again[64];
    int fixed = open(constant, O_RDONLY), other = open(constant, O_RDONLY);
    CHECK(fixed >= 0 && other >= 0 && read(fixed, bytes, 8) == 8 && lseek(other, 0, SEEK_CUR) == 0);
    CHECK(read(other, again, 8) == 8 && !memcmp(bytes, again, 8));
    int fd = open(file, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT ? MISSING : 1;
    struct stat status;
    CHECK(read(fd, bytes, 1) == 1 && stat(file, &status) == 0 && status.st_size == bytes[0]);
    return bytes[0];
}

static void put(int round)
{
    char bytes[16] = {(char)round};
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, (size_t)round) == round && close(fd) == 0 && rename(fresh, name) == 0);
}

static int start(char **arguments, int by_fork)
{
    int status;
    pid_t pid;
    if (!by_fork) {
        CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    } else if ((pid = fork()) == 0) {
        execv(arguments[0], arguments);
        _exit(1);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return child(argv[1], argv[2]);
    static char constant[] = "/usr/bin/env";
    char self[4096];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(size > 0 && mkdtemp(folder));
    self[size] = 0;
    snprintf(name, sizeof name, "%s/name", folder);
    snprintf(fresh, sizeof fresh, "%s/fresh", folder);
    char *arguments[] = {self, name, constant, NULL};
    for (int by_fork = 0; by_fork < 2; by_fork++) {
        CHECK(start(arguments, by_fork) == MISSING && start(arguments, by_fork) == MISSING);
        for (int i = 1; i <= ROUNDS; i++) {
            put(i);
            CHECK(start(arguments, by_fork) == i);
        }
        CHECK(unlink(name) == 0);
    }
    CHECK(rmdir(folder) == 0);
    return 0;
}
