/* SPDX-License-Identifier: MIT */
/* posix_spawn: errors come back to the caller, programs run with their redirections and attributes. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(void)
{
    char *nothing[] = {"nothing", NULL}, *script[] = {"sh", "-c", "echo hello; exit 6", NULL}, *cat[] = {"cat", NULL};
    pid_t pid;
    int status, pipes[2];
    char bytes[16];

    CHECK(posix_spawn(&pid, "/nonexistent/nothing", NULL, NULL, nothing, environ) == ENOENT);
    CHECK(posix_spawn(&pid, "/", NULL, NULL, nothing, environ) == EACCES);
    CHECK_FAILS(wait(NULL), ECHILD);

    posix_spawn_file_actions_t actions;
    CHECK(pipe(pipes) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, pipes[1], 1) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, pipes[0]) == 0);
    CHECK(posix_spawn(&pid, "/bin/sh", &actions, NULL, script, environ) == 0);
    close(pipes[1]);
    CHECK(read(pipes[0], bytes, sizeof bytes) == 6 && !memcmp(bytes, "hello\n", 6));
    CHECK(read(pipes[0], bytes, 1) == 0);
    close(pipes[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 6);
    posix_spawn_file_actions_destroy(&actions);

    posix_spawnattr_t attributes;
    CHECK(pipe(pipes) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, pipes[0], 0) == 0);
    CHECK(posix_spawn_file_actions_addclose(&actions, pipes[1]) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP) == 0);
    CHECK(posix_spawn(&pid, "/bin/cat", &actions, &attributes, cat, environ) == 0);
    CHECK(getpgid(pid) == pid);
    CHECK(kill(-pid, SIGTERM) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    return 0;
}
