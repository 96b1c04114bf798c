/* SPDX-License-Identifier: MIT */
/* Many children, one after the other and at once; orphans; fork from a threaded process. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void in_turn(void)
{
    for (int i = 0; i < 200; i++) {
        int status;
        pid_t child = fork();
        if (!child)
            _exit(i & 0x7f);
        CHECK(child > 0);
        CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == (i & 0x7f));
    }
}

static void at_once(void)
{
    enum { COUNT = 40 };
    pid_t children[COUNT];
    int seen = 0, gate[2];
    CHECK(pipe(gate) == 0);
    for (int i = 0; i < COUNT; i++) {
        children[i] = fork();
        if (!children[i]) {
            char byte;
            close(gate[1]);
            _exit(read(gate[0], &byte, 1) == 0 ? i : 99);
        }
        CHECK(children[i] > 0);
    }
    close(gate[0]);
    CHECK(waitpid(-1, NULL, WNOHANG) == 0);
    close(gate[1]);
    for (; seen < COUNT; seen++) {
        int status;
        pid_t pid = wait(&status);
        CHECK(pid > 0 && WIFEXITED(status));
        int i = WEXITSTATUS(status);
        CHECK(i < COUNT && children[i] == pid);
        children[i] = 0;
    }
    CHECK_FAILS(wait(NULL), ECHILD);
}

static void orphan(void)
{
    int pipes[2];
    pid_t answer = 0;
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    if (!child) {
        pid_t middle = getpid();
        if (!fork()) {
            while (getppid() == middle)
                usleep(1000);
            answer = getppid();
            _exit(write(pipes[1], &answer, sizeof answer) != sizeof answer);
        }
        _exit(0);
    }
    close(pipes[1]);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(read(pipes[0], &answer, sizeof answer) == sizeof answer);
    CHECK(answer != child && answer != getpid() && answer > 0);
    CHECK(read(pipes[0], &answer, 1) == 0);
    close(pipes[0]);
}

static volatile int stop;

static void *busy(void *unused)
{
    while (!stop)
        free(malloc(100));
    return unused;
}

static void from_threads(void)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
    for (int i = 0; i < 50; i++) {
        int status;
        pid_t child = fork();
        if (!child) {
            free(malloc(1000));
            _exit(3);
        }
        CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    in_turn();
    at_once();
    orphan();
    from_threads();
    return 0;
}
