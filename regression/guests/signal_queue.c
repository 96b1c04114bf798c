/* SPDX-License-Identifier: MIT */
/* Real-time signals queue, in order, with their values, lowest number first; across processes too; limits. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int got[300], got_signal[300];
static volatile int count;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    got_signal[count] = signal;
    got[count++] = info->si_value.sival_int;
}

static void queue(pid_t pid, int signal, int number)
{
    CHECK(sigqueue(pid, signal, (union sigval){.sival_int = number}) == 0);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigset_t set, pending;
    int status;
    sigfillset(&action.sa_mask);
    sigemptyset(&set);
    for (int i = 0; i < 3; i++) {
        sigaddset(&set, SIGRTMIN + i);
        CHECK(sigaction(SIGRTMIN + i, &action, NULL) == 0);
    }
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 90; i++)
        queue(getpid(), SIGRTMIN + 2 - i % 3, i);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN + 1) && count == 0);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && count == 90);
    /* Frames stack up: with full masks in the handlers they run one after the other, lowest number first. */
    for (int i = 0; i < 90; i++) {
        CHECK(got_signal[i] == SIGRTMIN + i / 30);
        CHECK(i % 30 == 0 || got[i] == got[i - 1] + 3);
    }

    /* From a child, to this process: nothing lost. */
    count = 0;
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        for (int i = 0; i < 50; i++)
            queue(parent, SIGRTMIN, i);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    siginfo_t info;
    for (int i = 0; i < 50; i++) {
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == i);
        CHECK(info.si_code == SI_QUEUE && info.si_pid == child && info.si_uid == getuid());
    }

    /* To a child: pending there, not inherited by its own child, kept across exec of nothing. */
    int fds[2];
    char byte;
    CHECK(pipe(fds) == 0);
    queue(getpid(), SIGRTMIN, 1);
    child = fork();
    if (child == 0) {
        CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGRTMIN));
        CHECK(write(fds[1], "x", 1) == 1);
        for (int i = 0; i < 20; i++)
            CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1 && info.si_value.sival_int == i && info.si_pid == getppid());
        _exit(5);
    }
    CHECK(read(fds[0], &byte, 1) == 1);
    for (int i = 0; i < 20; i++)
        queue(child, SIGRTMIN + 1, i);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == 1);

    /* RLIMIT_SIGPENDING: EAGAIN for what carries a value; kill() gets through. */
    child = fork();
    if (child == 0) {
        struct rlimit limit = {0, 0};
        CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
        CHECK_FAILS(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), EAGAIN);
        CHECK(kill(getpid(), SIGRTMIN) == 0 && kill(getpid(), SIGRTMIN) == 0);
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);

    siginfo_t forged = {.si_signo = SIGRTMIN, .si_code = SI_USER};
    CHECK_FAILS(syscall(SYS_rt_sigqueueinfo, getppid(), SIGRTMIN, &forged), EPERM);
    forged.si_code = SI_QUEUE;
    forged.si_int = 9;
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGRTMIN, &forged) == 0);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_int == 9);
    return 0;
}
