/* SPDX-License-Identifier: MIT */
/* Signals to oneself: by kill, raise, sigqueue and abort; siginfo, SA_RESETHAND, SA_NODEFER, nesting, siglongjmp. */
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile int count, depth, deepest;
static volatile siginfo_t last;
static sigjmp_buf back;

static void on_plain(int signal)
{
    (void)signal;
    count++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    CHECK(signal == info->si_signo);
    last = *info;
    count++;
}

static void on_nested(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (depth < 5)
        raise(signal);
    depth--;
}

/* Blocked inside: the second one comes after the first. */
static void on_once_more(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (count++ == 0)
        raise(signal);
    depth--;
}

static void on_jump(int signal)
{
    siglongjmp(back, signal);
}

static void set(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static int status_of(int signal)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        kill(getpid(), signal);
        _exit(77);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO}, old;
    set(SIGUSR1, on_plain, 0);
    for (int i = 0; i < 1000; i++)
        CHECK(kill(getpid(), SIGUSR1) == 0 && count == i + 1);

    for (int signal = 1; signal < 65; signal++) {
        if (signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33)
            continue;
        CHECK(sigaction(signal, &action, NULL) == 0);
        int before = count;
        CHECK(kill(getpid(), signal) == 0);
        CHECK(count == before + 1 && last.si_signo == signal && last.si_code == SI_USER);
        CHECK(last.si_pid == getpid() && last.si_uid == getuid());
    }
    CHECK(raise(SIGUSR2) == 0 && last.si_code == SI_TKILL && last.si_pid == getpid());
    union sigval value = {.sival_ptr = (void *)0x123456789abcdef0};
    CHECK(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);
    CHECK(last.si_code == SI_QUEUE && last.si_value.sival_ptr == value.sival_ptr);

    set(SIGUSR1, on_plain, SA_RESETHAND);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL && old.sa_flags & SA_RESETHAND);

    set(SIGUSR1, on_nested, SA_NODEFER);
    raise(SIGUSR1);
    CHECK(deepest == 5 && depth == 0);
    set(SIGUSR1, on_once_more, 0);
    count = deepest = 0;
    raise(SIGUSR1);
    CHECK(count == 2 && deepest == 1);

    set(SIGUSR1, on_jump, 0);
    for (int i = 0; i < 100; i++) {
        if (sigsetjmp(back, 1) == 0) {
            raise(SIGUSR1);
            CHECK(0);
        }
    }
    set(SIGUSR1, SIG_IGN, 0);
    CHECK(raise(SIGUSR1) == 0);

    for (int signal = 1; signal < 65; signal++)
        if (signal != SIGKILL && signal != SIGSTOP && signal != 32 && signal != 33)
            set(signal, SIG_DFL, 0);
    CHECK(WTERMSIG(status_of(SIGTERM)) == SIGTERM);
    CHECK(WTERMSIG(status_of(SIGKILL)) == SIGKILL);
    CHECK(WTERMSIG(status_of(SIGRTMAX)) == SIGRTMAX);
    CHECK(WEXITSTATUS(status_of(SIGCHLD)) == 77);
    CHECK(WEXITSTATUS(status_of(SIGWINCH)) == 77);
    CHECK(WEXITSTATUS(status_of(0)) == 77);

    CHECK_FAILS(kill(getpid(), 65), EINVAL);
    CHECK_FAILS(kill(getpid(), -1), EINVAL);
    CHECK_FAILS(kill(4000000, 0), ESRCH);
    CHECK_FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
    CHECK_FAILS(sigaction(65, &action, NULL), EINVAL);
    CHECK_FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
    CHECK_FAILS(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT);
    CHECK_FAILS(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL);
    CHECK_FAILS(syscall(SYS_tgkill, getpid(), 3999999, SIGUSR1), ESRCH);
    return 0;
}
