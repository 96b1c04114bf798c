/* SPDX-License-Identifier: MIT */
/* Signals to threads of another process: tgkill, tkill, rt_tgsigqueueinfo; a thread's number where a process's goes. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3

static struct {
    _Atomic int started, ended, go;
    pid_t tids[THREADS];
    _Atomic int got_tid, got_code, got_value, got_count;
} *shared;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    shared->got_code = info->si_code;
    shared->got_value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
    shared->got_tid = (int)syscall(SYS_gettid);
    shared->got_count++;
}

static void *thread(void *index)
{
    shared->tids[(long)index] = (pid_t)syscall(SYS_gettid);
    shared->started++;
    while ((long)index != 0 || !shared->go)
        pause();
    return NULL;
}

static void child(void)
{
    const struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t threads[THREADS];
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    for (long i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, thread, (void *)i));
    CHECK(!pthread_join(threads[0], NULL));
    shared->ended = 1;
    for (;;)
        pause();
}

static void await(_Atomic int *what, int value)
{
    for (int i = 0; i < 5000 && *what != value; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CHECK(*what == value);
}

static int tgkill_(pid_t pid, pid_t tid, int signal)
{
    return (int)syscall(SYS_tgkill, pid, tid, signal);
}

static void expect(int count, pid_t tid, int code, int value)
{
    await(&shared->got_count, count);
    CHECK(shared->got_tid == tid);
    CHECK(shared->got_code == code && shared->got_value == value);
}

int main(void)
{
    siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_int = 77};
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    pid_t pid = fork();
    if (!pid)
        child();
    await(&shared->started, THREADS);
    int count = 0;
    for (int i = 0; i < THREADS; i++) {
        pid_t tid = shared->tids[i];
        CHECK(tgkill_(pid, tid, 0) == 0);
        CHECK(tgkill_(pid, tid, SIGUSR1) == 0);
        expect(++count, tid, SI_TKILL, 0);
        CHECK(syscall(SYS_tkill, tid, SIGUSR1) == 0);
        expect(++count, tid, SI_TKILL, 0);
        CHECK(syscall(SYS_rt_tgsigqueueinfo, pid, tid, SIGRTMIN, &info) == 0);
        expect(++count, tid, SI_QUEUE, 77);
    }
    pid_t tid = shared->tids[1];
    CHECK_FAILS(tgkill_(getpid(), tid, SIGUSR1), ESRCH);
    CHECK_FAILS(tgkill_(tid, tid, SIGUSR1), ESRCH);
    CHECK_FAILS(tgkill_(pid, getpid(), SIGUSR1), ESRCH);
    CHECK_FAILS(tgkill_(pid, tid, 65), EINVAL);
    CHECK_FAILS(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
    CHECK(kill(tid, 0) == 0);
    CHECK(getpgid(tid) == getpgrp());
    CHECK(getsid(tid) == getsid(0));
    CHECK_FAILS(setpgid(tid, 0), EINVAL);
    CHECK(kill(tid, SIGUSR1) == 0); /* to the process: any of its threads */
    await(&shared->got_count, ++count);
    CHECK(shared->got_code == SI_USER);
    shared->go = 1;
    CHECK(tgkill_(pid, shared->tids[0], SIGUSR1) == 0);
    await(&shared->ended, 1);
    for (int i = 0; i < 1000 && tgkill_(pid, shared->tids[0], 0) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CHECK_FAILS(tgkill_(pid, shared->tids[0], SIGUSR1), ESRCH);
    CHECK_FAILS(syscall(SYS_tkill, shared->tids[0], SIGUSR1), ESRCH);
    CHECK(tgkill_(pid, tid, SIGKILL) == 0); /* kills the process, whichever thread it is for */
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_FAILS(tgkill_(pid, tid, SIGUSR1), ESRCH);
    return 0;
}
