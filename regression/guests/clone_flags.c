/* SPDX-License-Identifier: MIT */
/* clone and clone3: what is shared, who is told of the end, and what is refused. */
#include "check.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (256 * 1024)
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static char stack[2][STACK] __attribute__((aligned(16)));
static _Atomic int turn, seen_pid, seen_parent;
static _Atomic int tid_word = 1;
static volatile sig_atomic_t told;

static void wait_for_turn(int value)
{
    while (turn != value)
        sched_yield();
}

static pid_t start(int (*function)(void *), int flags, void *argument)
{
    pid_t pid = clone(function, stack[0] + STACK, flags, argument, &tid_word, NULL, &tid_word);
    CHECK(pid > 0);
    return pid;
}

static void expect_exit(pid_t pid, int status)
{
    int got;
    CHECK(waitpid(pid, &got, __WALL) == pid);
    CHECK(WIFEXITED(got) && WEXITSTATUS(got) == status);
}

/* ---- The same memory --------------------------------------------------------------------------------------------- */

/* Raw calls: what a libc remembers is the parent's. */
static int beside(void *argument)
{
    (void)argument;
    seen_pid = (int)syscall(SYS_getpid);
    seen_parent = (int)syscall(SYS_getppid);
    turn = 1;
    wait_for_turn(2);
    return 7;
}

static void runs_beside(void)
{
    turn = 0;
    pid_t pid = start(beside, CLONE_VM | SIGCHLD, NULL);
    wait_for_turn(1); /* so it runs while we do */
    CHECK(seen_pid == pid && seen_parent == getpid());
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    turn = 2;
    expect_exit(pid, 7);
}

static int opens(void *path)
{
    int fd = open(path, O_RDONLY);
    return fd < 0 || chdir("/usr") ? 255 : fd;
}

static void shares_files_and_names(void)
{
    char folder[256];
    CHECK(!chdir("/"));
    for (int shared = 0; shared < 2; shared++) {
        int got;
        pid_t pid = start(opens, CLONE_VM | SIGCHLD | (shared ? CLONE_FILES | CLONE_FS : 0), "/dev/null");
        CHECK(waitpid(pid, &got, 0) == pid && WIFEXITED(got) && WEXITSTATUS(got) != 255);
        CHECK((fcntl(WEXITSTATUS(got), F_GETFD) == 0) == shared);
        CHECK(getcwd(folder, sizeof folder) && !strcmp(folder, shared ? "/usr" : "/"));
    }
}

/* The same descriptions, at the same time; errno is shared, too. */
static int uses_files(void *ends)
{
    const int *pipe_ends = ends;
    char byte;
    for (int i = 0; i < 3000; i++) {
        long copy = syscall(SYS_dup, pipe_ends[0]);
        if (copy < 0 || syscall(SYS_write, pipe_ends[1], "x", 1) != 1 || syscall(SYS_read, copy, &byte, 1) != 1 ||
            syscall(SYS_close, copy))
            return 1;
    }
    return 0;
}

static void uses_files_at_once(void)
{
    for (int shared = 0; shared < 2; shared++) {
        int ends[2];
        CHECK(!pipe(ends));
        pid_t pid = start(uses_files, CLONE_VM | SIGCHLD | (shared ? CLONE_FILES : 0), ends);
        CHECK(uses_files(ends) == 0);
        expect_exit(pid, 0);
        CHECK(!close(ends[1]) && read(ends[0], ends + 1, 1) == 0 && !close(ends[0]));
    }
}

static int execs(void *argument)
{
    char *const arguments[] = {"clone_flags", "exit", NULL};
    (void)argument;
    execv("/proc/self/exe", arguments);
    return 1;
}

static int forks(void *argument)
{
    (void)argument;
    long pid = syscall(SYS_fork);
    if (pid == 0)
        syscall(SYS_exit_group, 3);
    int status;
    return pid > 0 && syscall(SYS_wait4, pid, &status, 0, NULL) == pid && WEXITSTATUS(status) == 3 ? 4 : 1;
}

static int __attribute__((noreturn)) sleeps(void *argument)
{
    (void)argument;
    turn = 1;
    for (;;)
        pause();
}

static void is_killed(int signal)
{
    int status;
    turn = 0;
    pid_t pid = start(sleeps, CLONE_VM | SIGCHLD, NULL);
    wait_for_turn(1);
    CHECK(!kill(pid, signal));
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == signal);
}

/* An exit waits for nobody on Linux, but neither is anybody lost where it does. */
static void parent_goes_first(void)
{
    pid_t parent = fork();
    if (!parent) {
        turn = 0;
        start(beside, CLONE_VM | SIGCHLD, NULL);
        wait_for_turn(1);
        turn = 2;
        _exit(9);
    }
    expect_exit(parent, 9);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static int at_once(void *argument)
{
    (void)argument;
    return 5;
}

static void clears_tid(void)
{
    tid_word = 1;
    pid_t pid = start(at_once, CLONE_VM | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, NULL);
    int word;
    while ((word = tid_word) != 0)
        syscall(SYS_futex, &tid_word, FUTEX_WAIT, word, NULL, NULL, 0);
    expect_exit(pid, 5);
}

static void tids_of_a_fork(void)
{
    pid_t *tids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(tids != MAP_FAILED);
    long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &tids[0], &tids[1], 0);
    if (!pid)
        syscall(SYS_exit_group, tids[1] != syscall(SYS_getpid));
    CHECK(pid > 0 && tids[0] == pid);
    expect_exit((pid_t)pid, 0);
}

static void on_signal(int signal)
{
    told = signal;
}

static void exit_signals(void)
{
    int status;
    signal(SIGUSR1, on_signal);
    for (int vm = 0; vm < 2; vm++) {
        told = 0;
        pid_t pid = start(at_once, (vm ? CLONE_VM : 0) | SIGUSR1, NULL);
        while (!told)
            sched_yield();
        CHECK_FAILS(waitpid(pid, &status, 0), ECHILD);
        CHECK(waitpid(pid, &status, __WCLONE) == pid && WEXITSTATUS(status) == 5);
        pid = start(at_once, vm ? CLONE_VM : 0, NULL); /* nobody is told */
        CHECK_FAILS(waitpid(-1, &status, 0), ECHILD);
        expect_exit(pid, 5);
    }
    CHECK(told == SIGUSR1);
}

static int makes_sibling(void *argument)
{
    (void)argument;
    pid_t pid = clone(at_once, stack[1] + STACK, CLONE_PARENT | SIGUSR2, NULL);
    return pid > 0 && waitpid(pid, NULL, __WALL) == -1 ? 0 : 1;
}

static void siblings(void)
{
    int status, found = 0;
    pid_t pid = start(makes_sibling, SIGCHLD, NULL);
    expect_exit(pid, 0);
    while ((pid = waitpid(-1, &status, 0)) > 0) /* its exit signal is the caller's, whatever was asked for */
        found += WEXITSTATUS(status) == 5;
    CHECK(found == 1);
}

static void pidfds(void)
{
    for (int vm = 0; vm < 3; vm++) {
        int fd = -1;
        siginfo_t info = {0};
        int flags = CLONE_PIDFD | SIGCHLD | (vm ? CLONE_VM : 0) | (vm == 2 ? CLONE_VFORK : 0);
        pid_t pid = clone(at_once, stack[0] + STACK, flags, NULL, &fd);
        CHECK(pid > 0 && fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
        struct pollfd item = {.fd = fd, .events = POLLIN};
        CHECK(poll(&item, 1, 10000) == 1 && item.revents & POLLIN);
        CHECK(!waitid(P_PIDFD, (id_t)fd, &info, WEXITED) && info.si_pid == pid && info.si_status == 5);
        CHECK_FAILS(waitid(P_PIDFD, (id_t)fd, &info, WEXITED), ECHILD);
        close(fd);
    }
}

/* ---- What is refused --------------------------------------------------------------------------------------------- */

static long clone3_with(uint64_t flags, uint64_t signal)
{
    struct clone_args args = {.flags = flags, .exit_signal = signal};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (!pid)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, __WALL);
    return pid;
}

static void refusals(void)
{
    struct { struct clone_args args; uint64_t more[4]; } large = {.args.exit_signal = SIGCHLD};
    pid_t tids[1] = {7};
    CHECK_FAILS(syscall(SYS_clone3, &large, 63), EINVAL);
    CHECK_FAILS(syscall(SYS_clone3, &large, 5000), E2BIG);
    CHECK_FAILS(syscall(SYS_clone3, NULL, 64), EFAULT);
    large.more[3] = 1;
    CHECK_FAILS(syscall(SYS_clone3, &large, sizeof large), E2BIG);
    CHECK_FAILS(clone3_with(1ull << 40, SIGCHLD), EINVAL);
    CHECK_FAILS(clone3_with(SIGCHLD, 0), EINVAL);
    CHECK_FAILS(clone3_with(0x400000, SIGCHLD), EINVAL); /* CLONE_DETACHED */
    CHECK_FAILS(clone3_with(0, 65), EINVAL);
    CHECK_FAILS(clone3_with(CLONE_PARENT, SIGCHLD), EINVAL);
    CHECK_FAILS(clone3_with(CLONE_THREAD, 0), EINVAL);
    CHECK_FAILS(clone3_with(CLONE_SIGHAND, SIGCHLD), EINVAL);
    CHECK_FAILS(clone3_with(CLONE_SIGHAND | CLONE_VM | CLONE_CLEAR_SIGHAND, SIGCHLD), EINVAL);
    CHECK_FAILS(clone3_with(CLONE_FS | CLONE_NEWNS, SIGCHLD), EINVAL);
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid_size = 1};
    CHECK_FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args.set_tid = (uintptr_t)tids;
    args.set_tid_size = 33;
    CHECK_FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack = (uintptr_t)stack};
    CHECK_FAILS(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    CHECK(clone3_with(0, SIGCHLD) > 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "exit") ? 1 : 8;
    alarm(50);
    runs_beside();
    shares_files_and_names();
    uses_files_at_once();
    for (int i = 0; i < 20; i++) {
        expect_exit(start(execs, CLONE_VM | SIGCHLD, NULL), 8);
        expect_exit(start(forks, CLONE_VM | SIGCHLD, NULL), 4);
    }
    is_killed(SIGTERM);
    is_killed(SIGKILL);
    parent_goes_first();
    clears_tid();
    tids_of_a_fork();
    exit_signals();
    siblings();
    pidfds();
    refusals();
    return 0;
}
