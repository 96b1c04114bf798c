/* SPDX-License-Identifier: MIT */
/* More queued signals than any inbox holds, from several processes that are hit by signals themselves: all come, in order. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SENDERS = 4, EACH = 1500 };

static void on_noise(int signal)
{
    (void)signal;
}

static pid_t begin(void)
{
    pid_t parent = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (!pid)
        CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent);
    return pid;
}

static pid_t sender(int number)
{
    pid_t pid = begin();
    if (pid)
        return pid;
    for (int i = 0; i < EACH; i++)
        CHECK(!sigqueue(getppid(), SIGRTMIN + number, (union sigval){.sival_int = i}));
    _exit(0);
}

static pid_t noise(const pid_t *senders)
{
    pid_t pid = begin();
    for (int i = 0; !pid; i++) {
        kill(senders[i % SENDERS], SIGUSR1);
        usleep(100);
    }
    return pid;
}

static void ends(pid_t pid, int expected)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == expected);
}

int main(void)
{
    int next[SENDERS] = {0};
    pid_t senders[SENDERS];
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < SENDERS; i++)
        sigaddset(&set, SIGRTMIN + i);
    CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
    signal(SIGUSR1, on_noise);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = sender(i);
    pid_t noisy = noise(senders);
    for (int i = 0; i < SENDERS * EACH; i++) {
        siginfo_t info;
        CHECK(sigwaitinfo(&set, &info) >= SIGRTMIN);
        CHECK(info.si_value.sival_int == next[info.si_signo - SIGRTMIN]++);
    }
    for (int i = 0; i < SENDERS; i++)
        ends(senders[i], 0);
    CHECK(!kill(noisy, SIGKILL));
    ends(noisy, SIGKILL);
    return 0;
}
