/* SPDX-License-Identifier: MIT */
/* vfork: shared memory until exec or exit, descriptors of its own, exec's failure seen by the child. */
#include "check.h"
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int word;
static volatile pid_t child_pid;

int main(int argc, char **argv)
{
    int status, pipes[2];
    if (argc > 1 && !strcmp(argv[1], "child"))
        return getppid() == atoi(argv[2]) ? 23 : 24;

    pid_t parent = getpid(), child = vfork();
    if (!child) {
        word = 5;
        child_pid = getpid();
        _exit(getppid() == parent ? 9 : 8);
    }
    CHECK(child > 0 && child == child_pid && word == 5 && getpid() == parent);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);

    char self[32];
    snprintf(self, sizeof self, "%d", (int)parent);
    child = vfork();
    if (!child) {
        execl("/proc/self/exe", "vfork_exec", "child", self, (char *)NULL);
        _exit(1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 23);

    CHECK(pipe(pipes) == 0);
    child = vfork();
    if (!child) {
        close(pipes[0]);
        dup2(pipes[1], 100);
        if (write(100, "x", 1) != 1)
            _exit(2);
        execl("/nonexistent/program", "program", (char *)NULL);
        word = errno;
        _exit(127);
    }
    CHECK(word == ENOENT);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 127);
    CHECK(fcntl(pipes[0], F_GETFD) == 0);
    CHECK_FAILS(fcntl(100, F_GETFD), EBADF);
    close(pipes[1]);
    char bytes[2];
    CHECK(read(pipes[0], bytes, 2) == 1 && bytes[0] == 'x');
    CHECK(read(pipes[0], bytes, 2) == 0);

    /* The program that vfork's child becomes holds no descriptor of the parent's that was close-on-exec. */
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    child = vfork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "read line; exit 4", (char *)NULL);
        _exit(1);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], bytes, 1) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return 0;
}
