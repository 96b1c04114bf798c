/* SPDX-License-Identifier: MIT */
/* SIGCHLD and its siginfo; stopped and continued children; kill of groups; signals between processes. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile int count;
static volatile siginfo_t last;

static void on_child(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    last = *info;
    count++;
}

static void on_term(int signal)
{
    _exit(signal);
}

static void set(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void await(int value)
{
    for (int i = 0; i < 2000 && count < value; i++)
        usleep(1000);
    CHECK(count == value);
}

static pid_t sleeper(void)
{
    int fds[2];
    char byte;
    CHECK(pipe(fds) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGTERM, on_term);
        CHECK(write(fds[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    CHECK(read(fds[0], &byte, 1) == 1);
    close(fds[0]);
    close(fds[1]);
    return child;
}

int main(void)
{
    int status;
    set(SIGCHLD, on_child, 0);
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    await(1);
    CHECK(last.si_signo == SIGCHLD && last.si_code == CLD_EXITED && last.si_pid == child && last.si_status == 7);
    CHECK(last.si_uid == getuid() && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);

    child = sleeper();
    count = 0;
    CHECK(kill(child, SIGSTOP) == 0);
    await(1);
    CHECK(last.si_code == CLD_STOPPED && last.si_pid == child && last.si_status == SIGSTOP);
    CHECK(waitpid(child, &status, WNOHANG) == 0);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(waitpid(child, &status, WUNTRACED | WNOHANG) == 0);
    CHECK(kill(child, SIGTERM) == 0); /* waits for the continuation */
    usleep(20000);
    CHECK(waitpid(child, &status, WNOHANG) == 0);
    count = 0;
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == SIGTERM);

    /* Killed while stopped. */
    child = sleeper();
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    child = sleeper();
    count = 0;
    CHECK(kill(child, SIGUSR1) == 0);
    CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGUSR1 && !WCOREDUMP(status));
    await(1);
    CHECK(last.si_code == CLD_KILLED && last.si_status == SIGUSR1);

    /* SA_NOCLDSTOP. */
    set(SIGCHLD, on_child, SA_NOCLDSTOP);
    child = sleeper();
    count = 0;
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child);
    CHECK(count == 0 && kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);

    /* A group of its own. */
    pid_t group[3];
    for (int i = 0; i < 3; i++) {
        group[i] = sleeper();
        CHECK(setpgid(group[i], group[0]) == 0);
    }
    CHECK(kill(-group[0], 0) == 0 && kill(-group[0], SIGTERM) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(waitpid(group[i], &status, 0) == group[i] && WEXITSTATUS(status) == SIGTERM);
    CHECK_FAILS(kill(-group[0], 0), ESRCH);

    /* Ignored: no zombies. */
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0)
        _exit(0);
    CHECK_FAILS(waitpid(child, &status, 0), ECHILD);

    /* Ping-pong of signals: none is lost. */
    sigset_t set_usr;
    sigemptyset(&set_usr);
    sigaddset(&set_usr, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &set_usr, NULL) == 0);
    signal(SIGCHLD, SIG_DFL);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 200; i++) {
            int number;
            CHECK(sigwait(&set_usr, &number) == 0 && kill(getppid(), SIGUSR1) == 0);
        }
        _exit(0);
    }
    for (int i = 0; i < 200; i++) {
        int number;
        CHECK(kill(child, SIGUSR1) == 0 && sigwait(&set_usr, &number) == 0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
