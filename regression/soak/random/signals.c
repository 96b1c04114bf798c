/* SPDX-License-Identifier: MIT */
/* Queued signals come all and in order, a thread's own go to it, timers' come as often as they say. */
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "random.h"

enum { SENDERS = 3, MAX = 60, THREADS = 4 };

/* ---- From processes to a process: each sender's in order --------------------------------------------------------- */

static struct { int next[SENDERS]; volatile sig_atomic_t bad, count; } got;

static void receive(int signal, int sender, int number)
{
    if (sender < 0 || sender >= SENDERS || signal != QUEUED_FIRST + sender || got.next[sender] != number)
        got.bad = 1;
    else
        got.next[sender]++;
    got.count++;
}

static void on_queued(int signal, siginfo_t *info, void *context)
{
    (void)context;
    receive(signal, info->si_value.sival_int >> 16, info->si_value.sival_int & 0xffff);
}

static void take_by_handler(const sigset_t *set)
{
    sigset_t open;
    sigprocmask(SIG_BLOCK, NULL, &open);
    for (int i = 0; i < SENDERS; i++)
        if (sigismember(set, QUEUED_FIRST + i))
            sigdelset(&open, QUEUED_FIRST + i);
    int before = got.count;
    while (got.count == before) {
        AT();
        sigsuspend(&open);
    }
}

static void take_one(unsigned way, int fd, const sigset_t *set)
{
    struct signalfd_siginfo read_info;
    siginfo_t info;
    switch (way) {
    case 0:
        readable(fd);
        MUST(RETRY(read(fd, &read_info, sizeof read_info)) == sizeof read_info);
        receive((int)read_info.ssi_signo, read_info.ssi_int >> 16, read_info.ssi_int & 0xffff);
        break;
    case 1:
        MUST(RETRY(sigwaitinfo(set, &info)) > 0 && info.si_code == SI_QUEUE);
        receive(info.si_signo, info.si_value.sival_int >> 16, info.si_value.sival_int & 0xffff);
        break;
    default: take_by_handler(set); break;
    }
}

void game_queued(void)
{
    int count = (int)below(MAX), fd;
    unsigned way = below(3);
    pid_t parent = getpid(), pids[SENDERS];
    sigset_t set;
    memset(&got, 0, sizeof got);
    sigemptyset(&set);
    for (int i = 0; i < SENDERS; i++) {
        sigaddset(&set, QUEUED_FIRST + i);
        struct sigaction action = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
        for (int j = 0; j < SENDERS; j++)
            sigaddset(&action.sa_mask, QUEUED_FIRST + j);
        MUST(!sigaction(QUEUED_FIRST + i, &action, NULL));
    }
    MUST((fd = signalfd(-1, &set, SFD_CLOEXEC)) >= 0);
    for (int i = 0; i < SENDERS; i++)
        if (!(pids[i] = child())) {
            for (int j = 0; j < count; j++) {
                MUST(!sigqueue(parent, QUEUED_FIRST + i, (union sigval){.sival_int = i << 16 | j}));
                if (!below(20))
                    nap();
            }
            _exit(0);
        }
    while (got.count < SENDERS * count)
        take_one(below(4) ? way : below(3), fd, &set);
    MUST(!got.bad);
    for (int i = 0; i < SENDERS; i++) {
        MUST(got.next[i] == count);
        reap(pids[i], 0);
    }
    MUST(!close(fd));
    sigset_t pending;
    MUST(!sigpending(&pending));
    for (int i = 0; i < SENDERS; i++)
        MUST(!sigismember(&pending, QUEUED_FIRST + i));
}

/* ---- From thread to thread --------------------------------------------------------------------------------------- */

static struct { pthread_t id; _Atomic int got, sent; _Atomic bool ready; } threads[THREADS];
static _Thread_local int self;
static int rounds;

static void on_hit(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_value.sival_int == self)
        threads[self].got++;
    else
        got.bad = 1;
}

static void *hitter(void *place)
{
    sigset_t set;
    self = (int)(long)place;
    appear();
    sigemptyset(&set);
    sigaddset(&set, QUEUED_LAST);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    threads[self].ready = true;
    for (int i = 0; i < rounds; i++) {
        int other = (int)below(THREADS);
        while (!threads[other].ready)
            sched_yield();
        threads[other].sent++;
        MUST(!pthread_sigqueue(threads[other].id, QUEUED_LAST, (union sigval){.sival_int = other}));
        if (!below(10))
            nap();
    }
    return NULL;
}

/* A thread stays until all have sent, and it has got what was sent to it. */
static pthread_barrier_t all_sent;

static void *hit_thread(void *place)
{
    struct timespec soon = {0, 2000000};
    hitter(place);
    pthread_barrier_wait(&all_sent);
    for (AT(); threads[self].got < threads[self].sent; AT())
        nanosleep(&soon, NULL);
    return NULL;
}

void game_threads_hit(void)
{
    rounds = (int)below(80);
    got.bad = 0;
    MUST(!pthread_barrier_init(&all_sent, NULL, THREADS));
    struct sigaction action = {.sa_sigaction = on_hit, .sa_flags = SA_SIGINFO | SA_RESTART};
    MUST(!sigaction(QUEUED_LAST, &action, NULL));
    for (int i = 0; i < THREADS; i++) {
        threads[i].got = threads[i].sent = 0;
        threads[i].ready = false;
    }
    for (long i = 0; i < THREADS; i++)
        MUST(!pthread_create(&threads[i].id, NULL, hit_thread, (void *)i));
    for (int i = 0; i < THREADS; i++)
        MUST(!pthread_join(threads[i].id, NULL));
    for (int i = 0; i < THREADS; i++)
        MUST(threads[i].got == threads[i].sent);
    MUST(!got.bad && !pthread_barrier_destroy(&all_sent));
}

/* ---- Timers ------------------------------------------------------------------------------------------------------ */

static _Atomic int expiries, timer_number; /* a deleted timer's last word may come late */

static void on_timer(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    if (info->si_code != SI_TIMER)
        expiries++;
    else if (info->si_value.sival_int == timer_number)
        expiries += 1 + info->si_overrun;
}

static void on_notify(union sigval value)
{
    expiries += value.sival_int == timer_number;
}

/* One that goes off once must, and one that repeats must go on to. */
static void timer_goes(int notify)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = SIGRTMAX, .sigev_notify_function = on_notify,
                             .sigev_value.sival_int = ++timer_number};
    struct itimerspec when = {.it_value.tv_nsec = 1 + below(2000000)};
    int wanted = 1;
    if (below(2)) {
        when.it_interval.tv_nsec = 500000 + below(500000);
        wanted = 1 + (int)below(10);
    }
    expiries = 0;
    MUST(!timer_create(below(2) ? CLOCK_MONOTONIC : CLOCK_REALTIME, &event, &timer));
    MUST(!timer_settime(timer, 0, &when, NULL));
    struct timespec long_enough = {0, 20000000};
    for (AT(); expiries < wanted; AT())
        nanosleep(&long_enough, NULL);
    MUST(wanted > 1 || when.it_interval.tv_nsec || expiries == 1);
    MUST(!timer_delete(timer));
}

void game_timers(void)
{
    struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
    MUST(!sigaction(SIGRTMAX, &action, NULL) && !sigaction(SIGALRM, &action, NULL));
    if (below(3)) {
        timer_goes(below(4) ? SIGEV_SIGNAL : SIGEV_THREAD);
    } else {
        struct itimerval when = {.it_value.tv_usec = 1 + below(3000)};
        sigset_t set, open;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        MUST(!sigprocmask(SIG_BLOCK, &set, &open));
        expiries = 0;
        timer_number++;
        MUST(!setitimer(ITIMER_REAL, &when, NULL));
        while (!expiries) {
            AT();
            sigsuspend(&open);
        }
        MUST(expiries == 1 && !sigprocmask(SIG_SETMASK, &open, NULL));
    }
    MUST(!sigaction(SIGALRM, &(struct sigaction){.sa_handler = SIG_DFL}, NULL));
}
