/* SPDX-License-Identifier: MIT */
/* Many signals from one process to another, wherever that one waits: none is lost, each ends the wait. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/futex.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define ROUNDS 60

static volatile int caught;
static int answer[2], never[2];

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    caught++;
}

static void wait_read(void)
{
    char byte;
    (void)!read(never[0], &byte, 1);
}

static void wait_poll(void)
{
    struct pollfd entry = {.fd = never[0], .events = POLLIN};
    poll(&entry, 1, -1);
}

static void wait_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, never[0], &event);
    epoll_wait(set, &event, 1, -1);
    close(set);
}

static void wait_futex(void)
{
    static int word;
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static void wait_sleep(void)
{
    struct timespec time = {100, 0};
    nanosleep(&time, NULL);
}

static void wait_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGRTMIN, SIG_IGN);
        for (;;)
            pause();
    }
    if (waitpid(child, NULL, 0) < 0)
        kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void wait_nothing(void)
{
    for (volatile int i = 0; i < 1000; i++)
        ;
}

static void child_main(void)
{
    static void (*const waits[])(void) = {wait_read, wait_poll,  wait_epoll,  wait_futex,
                                          wait_sleep, wait_child, wait_nothing};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    for (int i = 0;; i++) {
        int told = caught;
        CHECK(write(answer[1], &told, sizeof told) == sizeof told);
        while (caught == told)
            waits[i % 7]();
    }
}

/* A signal that comes just before its wait does not end that: then another is sent. */
static void one_to_one(void)
{
    int told = 0, sent = 0;
    struct pollfd entry = {.fd = answer[0], .events = POLLIN};
    pid_t child = fork();
    if (child == 0)
        child_main();
    CHECK(read(answer[0], &told, sizeof told) == sizeof told && told == 0);
    for (int i = 0; i < ROUNDS; i++) {
        usleep(i % 2 ? 2000 : 0);
        do {
            CHECK(sigqueue(child, SIGRTMIN, (union sigval){.sival_int = i}) == 0);
            sent++;
        } while (poll(&entry, 1, i % 2 ? 3000 : 300) == 0);
        while (told < sent && poll(&entry, 1, 10000) == 1)
            CHECK(read(answer[0], &told, sizeof told) == sizeof told);
        CHECK(told == sent);
        if (i == 40) {
            CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, NULL, WUNTRACED) == child);
            CHECK(kill(child, SIGCONT) == 0 && waitpid(child, NULL, WCONTINUED) == child);
        }
    }
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

/* Queued all at once: each arrives, in order. */
static void burst(void)
{
    int status;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    pid_t child = fork();
    if (child == 0) {
        siginfo_t info;
        for (int i = 0; i < 500; i++)
            CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1 && info.si_value.sival_int == i);
        _exit(7);
    }
    for (int i = 0; i < 500; i++) {
        union sigval value = {.sival_int = i};
        while (sigqueue(child, SIGRTMIN + 1, value) < 0) {
            CHECK(errno == EAGAIN);
            usleep(1000);
        }
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
}

static void *thread_waits(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void on_user(int signal)
{
    (void)signal;
    caught++;
}

/* A process that hears well forks: its child does, too, and so does a process of several threads. */
static void family(void)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, on_user);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, thread_waits, NULL) == 0);
        CHECK(write(answer[1], &(int){0}, sizeof(int)) == sizeof(int));
        for (int told = 0; told < 30;) {
            usleep(100);
            if (caught == told)
                continue;
            told = caught;
            CHECK(write(answer[1], &told, sizeof told) == sizeof told);
        }
        pid_t grandchild = fork();
        if (grandchild == 0)
            for (;;)
                pause();
        for (int i = 0; i < 30; i++)
            CHECK(kill(grandchild, SIGCONT) == 0);
        CHECK(kill(grandchild, SIGTERM) == 0 && waitpid(grandchild, NULL, 0) == grandchild);
        _exit(5);
    }
    int count, status;
    do {
        CHECK(read(answer[0], &count, sizeof count) == sizeof count);
        if (count < 30)
            CHECK(kill(child, SIGUSR1) == 0);
    } while (count < 30);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
}

int main(void)
{
    CHECK(pipe(answer) == 0 && pipe(never) == 0);
    one_to_one();
    CHECK(pipe(answer) == 0);
    burst();
    family();
    return 0;
}
