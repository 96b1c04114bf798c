/* SPDX-License-Identifier: MIT */
/*
 * Stop signals and SIGCONT cancel each other when they are sent: from the moment that kill(pid, SIGCONT) returns nobody
 * is told of a stop any more, however soon it comes after the stop, and WCONTINUED has news of those who had stopped.
 */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300

static _Atomic uint32_t *turns; /* of the child's threads, in shared memory */

static void __attribute__((noreturn)) *turn(void *unused)
{
    (void)unused;
    for (;;)
        atomic_fetch_add(turns, 1);
}

static pid_t child_new(int threads)
{
    pid_t child = fork();
    CHECK(child >= 0);
    setpgid(child, 0); /* a group that is no orphan: SIGTSTP stops it */
    if (child)
        return child;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, turn, NULL));
    }
    for (;;)
        pause();
}

static void kill_and_reap(pid_t child)
{
    int status;
    CHECK(!kill(child, SIGKILL));
    CHECK(waitpid(child, &status, WUNTRACED | WCONTINUED) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void pause_ns(long ns)
{
    const struct timespec time = {.tv_nsec = ns};
    nanosleep(&time, NULL);
}

/* Never a stop after SIGCONT; a continuation only where the process had stopped. */
static void cancel_at_once(pid_t child)
{
    int status;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(!kill(child, SIGSTOP));
        if (i % 2)
            pause_ns(i * 300);
        CHECK(!kill(child, SIGCONT));
        for (pid_t pid; (pid = waitpid(child, &status, WNOHANG | WUNTRACED | WCONTINUED)) != 0;)
            CHECK(pid == child && WIFCONTINUED(status));
    }
}

static void news_when_sent(pid_t child)
{
    int status;
    siginfo_t info = {0};
    for (int i = 0; i < ROUNDS / 10; i++) {
        CHECK(!kill(child, SIGSTOP));
        CHECK(!waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT));
        CHECK(info.si_code == CLD_STOPPED && info.si_status == SIGSTOP && info.si_pid == child);
        CHECK(!kill(child, SIGCONT));
        CHECK(waitpid(child, &status, WNOHANG | WUNTRACED) == 0);
        CHECK(waitpid(child, &status, WNOHANG | WCONTINUED) == child && WIFCONTINUED(status));
        CHECK(waitpid(child, &status, WNOHANG | WCONTINUED) == 0);
    }
}

/* Stopped means all threads; a stop that comes after a continuation counts. */
static void last_one_counts(pid_t child)
{
    int status;
    for (int i = 0; i < ROUNDS / 10; i++) {
        CHECK(!kill(child, SIGSTOP));
        CHECK(!kill(child, SIGCONT));
        CHECK(!kill(child, SIGTSTP));
        CHECK(waitpid(child, &status, WUNTRACED) == child);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
        pause_ns(2000000);
        uint32_t before = atomic_load(turns);
        pause_ns(2000000);
        CHECK(atomic_load(turns) == before);
        CHECK(!kill(child, SIGCONT));
        CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    }
}

static void dies_while_stopped(void)
{
    int status;
    pid_t child = child_new(1);
    CHECK(!kill(child, SIGSTOP));
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    CHECK(!kill(child, SIGTERM)); /* pending until it goes on */
    pause_ns(2000000);
    CHECK(waitpid(child, &status, WNOHANG | WUNTRACED) == 0);
    CHECK(!kill(child, SIGCONT));
    do
        CHECK(waitpid(child, &status, WUNTRACED | WCONTINUED) == child);
    while (WIFCONTINUED(status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    child = child_new(1);
    CHECK(!kill(child, SIGSTOP));
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    kill_and_reap(child);
}

/* In a group that is an orphan from the beginning the end of another member changes nothing for one that is stopped. */
static void stopped_stays(void)
{
    int status;
    pid_t leader = fork();
    if (leader == 0) {
        CHECK(setsid() > 0);
        pid_t stopped = fork();
        if (stopped == 0)
            for (;;)
                pause();
        CHECK(kill(stopped, SIGSTOP) == 0 && waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
        pid_t other = fork();
        if (other == 0)
            _exit(0);
        CHECK(waitpid(other, &status, 0) == other && status == 0);
        usleep(20000);
        CHECK(waitpid(stopped, &status, WNOHANG | WCONTINUED) == 0);
        CHECK(kill(stopped, SIGKILL) == 0 && waitpid(stopped, &status, 0) == stopped && WTERMSIG(status) == SIGKILL);
        _exit(9);
    }
    CHECK(waitpid(leader, &status, 0) == leader && WIFEXITED(status) && WEXITSTATUS(status) == 9);
}

int main(void)
{
    turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(turns != MAP_FAILED);
    for (int threads = 0; threads <= 2; threads += 2) {
        pid_t child = child_new(threads);
        cancel_at_once(child);
        kill_and_reap(child);
        child = child_new(threads);
        news_when_sent(child);
        last_one_counts(child);
        kill_and_reap(child);
    }
    dies_while_stopped();
    stopped_stays();
    return 0;
}
