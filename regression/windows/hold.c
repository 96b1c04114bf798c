/* SPDX-License-Identifier: MIT */
/*
 * hold COMMAND...: runs it, and ends with its status once all that came from it has ended.  Wine's processes have sessions of their own and
 * no parent: by this they are the test's all the same, and not taken for what some other test left behind.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    int status, result = 1;
    if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) {
        perror("hold");
        return 1;
    }
    pid_t first = fork(), pid;
    if (first == 0) {
        execv(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    while ((pid = wait(&status)) > 0 || errno == EINTR)
        if (pid == first)
            result = status_of(status);
    return result;
}
