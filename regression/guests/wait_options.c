/* SPDX-License-Identifier: MIT */
/* wait4, waitid: WNOHANG, WNOWAIT, stops and continuations, ignored SIGCHLD, SIGCHLD's siginfo, pidfds. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught, caught_pid, caught_code, caught_status;

static void on_child(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    caught++;
    caught_pid = info->si_pid;
    caught_code = info->si_code;
    caught_status = info->si_status;
}

static pid_t exits(int status)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child)
        _exit(status);
    return child;
}

static void looks(void)
{
    siginfo_t info;
    int status;
    pid_t child = exits(3);
    memset(&info, 0, sizeof info);
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    CHECK(info.si_signo == SIGCHLD && info.si_pid == child && info.si_code == CLD_EXITED && info.si_status == 3);
    CHECK(info.si_uid == getuid());
    CHECK(kill(child, 0) == 0);
    CHECK(waitpid(child, &status, WNOHANG) == child && WEXITSTATUS(status) == 3);
    CHECK_FAILS(waitid(P_PID, (id_t)child, &info, WEXITED), ECHILD);
    CHECK_FAILS(waitid(P_ALL, 0, &info, 0), EINVAL);
    CHECK_FAILS(waitpid(-1, &status, 0x100), EINVAL);
}

static void *waits_alone(void *argument)
{
    pid_t *child = argument;
    CHECK_FAILS(waitpid(*child, NULL, __WNOTHREAD), ECHILD);
    CHECK_FAILS(waitpid(-1, NULL, __WNOTHREAD | WNOHANG), ECHILD);
    CHECK(waitpid(*child, NULL, 0) == *child);
    return NULL;
}

static void threads(void)
{
    pthread_t thread;
    pid_t child = exits(0);
    CHECK(pthread_create(&thread, NULL, waits_alone, &child) == 0 && pthread_join(thread, NULL) == 0);
    child = exits(0);
    CHECK(waitpid(child, NULL, __WNOTHREAD) == child);
}

static void stops(void)
{
    siginfo_t info;
    int status;
    pid_t child = fork();
    if (!child)
        for (;;)
            pause();
    CHECK(waitpid(child, &status, WNOHANG | WUNTRACED) == 0);
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK(waitpid(child, &status, WNOHANG | WUNTRACED) == 0);
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)child, &info, WSTOPPED) == 0 && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void signals(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    int status;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    pid_t child = exits(17);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 17);
    CHECK(caught == 1 && caught_pid == child && caught_code == CLD_EXITED && caught_status == 17);
    action.sa_sigaction = NULL;
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    exits(1);
    exits(2);
    CHECK_FAILS(waitpid(-1, &status, 0), ECHILD);
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    exits(1);
    CHECK_FAILS(waitpid(-1, &status, 0), ECHILD);
    action.sa_flags = 0;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
}

static void pidfds(void)
{
    siginfo_t info;
    pid_t child = fork();
    if (!child)
        for (;;)
            pause();
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK(fd >= 0);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    CHECK(poll(&entry, 1, 0) == 0);
    CHECK(waitid((idtype_t)3, (id_t)fd, &info, WEXITED | WNOHANG) == 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) == 0);
    CHECK(poll(&entry, 1, 5000) == 1 && entry.revents & POLLIN);
    CHECK(waitid((idtype_t)3, (id_t)fd, &info, WEXITED) == 0);
    CHECK(info.si_pid == child && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
    CHECK_FAILS(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    CHECK_FAILS(waitid((idtype_t)3, (id_t)fd, &info, WEXITED), ECHILD);
    close(fd);
    CHECK_FAILS(syscall(SYS_pidfd_open, 999999, 0), ESRCH);
    CHECK_FAILS(syscall(SYS_pidfd_open, -1, 0), EINVAL);
}

static volatile sig_atomic_t told;

static void count_one(int signal)
{
    (void)signal;
    told++;
}

/* SIGCHLD comes no later than what it tells of, and who has ended is no child of a wait for stops. */
static void in_order(void)
{
    struct sigaction action = {.sa_handler = count_one, .sa_flags = SA_RESTART};
    siginfo_t info;
    int status;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        told = 0;
        pid_t child = fork();
        if (!child)
            for (;;)
                pause();
        kill(child, SIGSTOP);
        CHECK(waitpid(child, &status, WUNTRACED) == child);
        while (told < 1)
            sched_yield(); /* a stop can be seen a moment before its signal, on Linux, too */
        CHECK(told == 1);
        kill(child, SIGKILL);
        CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0 && told == 2);
        CHECK_FAILS(waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOHANG), ECHILD);
        CHECK(info.si_pid == 0 && info.si_signo == 0);
        CHECK(waitpid(child, &status, 0) == child);
    }
    signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
    looks();
    threads();
    stops();
    signals();
    pidfds();
    in_order();
    return 0;
}
