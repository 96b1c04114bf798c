/* SPDX-License-Identifier: MIT */
/*
 * PR_SET_PDEATHSIG: sent when the thread that made the process ends, however that comes about; forgotten by fork and
 * by a change of user, kept by exec and after it was sent.
 */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready[2], said[2]; /* the watcher is ready; what it saw */

struct seen { int signal, code, from_parent; };

static int death_signal(void)
{
    int signal = -1;
    CHECK(!prctl(PR_GET_PDEATHSIG, &signal));
    return signal;
}

static void block_all(void)
{
    sigset_t all;
    sigfillset(&all);
    CHECK(!sigprocmask(SIG_SETMASK, &all, NULL));
}

static void await_death(int signal, pid_t parent)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, signal);
    CHECK(sigwaitinfo(&set, &info) == signal);
    struct seen seen = {info.si_signo, info.si_code, info.si_pid == parent};
    CHECK(write(said[1], &seen, sizeof seen) == sizeof seen);
}

/* The process that wants to know; ends after `times` signals. */
static void invalidator(int signal, int times)
{
    pid_t parent = getppid();
    if (fork())
        return;
    parent = getppid();
    CHECK(death_signal() == 0);
    block_all();
    CHECK(!prctl(PR_SET_PDEATHSIG, signal));
    CHECK(death_signal() == signal);
    CHECK(write(ready[1], "", 1) == 1);
    for (int i = 0; i < times; i++, parent = getppid())
        await_death(signal, parent);
    CHECK(death_signal() == signal);
    _exit(0);
}

static void await_ready(void)
{
    char byte;
    CHECK(read(ready[0], &byte, 1) == 1);
}

static void expect(int signal)
{
    struct seen seen;
    CHECK(read(said[0], &seen, sizeof seen) == sizeof seen);
    CHECK(seen.signal == signal && seen.code == SI_USER && seen.from_parent);
}

static int silent(void)
{
    struct pollfd item = {.fd = said[0], .events = POLLIN};
    return poll(&item, 1, 30) == 0;
}

static void reap(pid_t pid)
{
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void parent_exits(void)
{
    pid_t parent = fork();
    if (!parent) {
        invalidator(SIGUSR1, 1);
        await_ready();
        _exit(0);
    }
    reap(parent);
    expect(SIGUSR1);
}

static void parent_is_killed(void)
{
    pid_t parent = fork();
    if (!parent) {
        invalidator(SIGRTMIN, 1);
        pause();
    }
    await_ready();
    kill(parent, SIGKILL);
    reap(parent);
    expect(SIGRTMIN);
}

static void *thread_with_child(void *unused)
{
    (void)unused;
    invalidator(SIGUSR2, 2);
    await_ready();
    return NULL;
}

/* The maker, a thread, ends; then the process, which took its place. */
static void thread_ends(void)
{
    pid_t parent = fork();
    if (!parent) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, thread_with_child, NULL));
        CHECK(!pthread_join(thread, NULL));
        CHECK(write(ready[1], "", 1) == 1);
        pause();
    }
    expect(SIGUSR2);
    await_ready();
    CHECK(silent());
    kill(parent, SIGKILL);
    reap(parent);
    expect(SIGUSR2);
}

static void *ends_at_once(void *unused)
{
    return unused;
}

/* The end of another thread is nothing to the child. */
static void other_thread_ends(void)
{
    pid_t parent = fork();
    if (!parent) {
        pthread_t thread;
        invalidator(SIGUSR1, 1);
        CHECK(!pthread_create(&thread, NULL, ends_at_once, NULL));
        CHECK(!pthread_join(thread, NULL));
        pause();
    }
    await_ready();
    CHECK(silent());
    kill(parent, SIGKILL);
    reap(parent);
    expect(SIGUSR1);
}

/* A subreaper is a parent, too, and its end is told again. */
static void subreaper(void)
{
    pid_t reaper = fork();
    if (!reaper) {
        CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1));
        pid_t parent = fork();
        if (!parent) {
            invalidator(SIGUSR1, 2);
            await_ready();
            _exit(0);
        }
        reap(parent);
        pause();
    }
    expect(SIGUSR1);
    CHECK(silent());
    kill(reaper, SIGKILL);
    reap(reaper);
    expect(SIGUSR1);
}

static void change_of_user(void)
{
    pid_t child = fork();
    if (!child) {
        CHECK(!prctl(PR_SET_PDEATHSIG, SIGUSR1));
        CHECK(!setuid(getuid()) && !setgid(getgid()));
        CHECK(death_signal() == SIGUSR1);
        if (!geteuid()) {
            CHECK(!setegid(12345));
            CHECK(death_signal() == 0);
            CHECK(prctl(PR_GET_DUMPABLE) != 1);
        }
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return death_signal() != SIGUSR2;
    CHECK(!pipe(ready) && !pipe(said));
    CHECK_FAILS(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
    parent_exits();
    parent_is_killed();
    thread_ends();
    other_thread_ends();
    subreaper();
    change_of_user();
    CHECK(!prctl(PR_SET_PDEATHSIG, SIGUSR2));
    execl("/proc/self/exe", argv[0], "again", NULL);
    return 1;
}
