/* SPDX-License-Identifier: MIT */
/*
 * random SECONDS [SEED]: families of processes and threads wait for each other in randomly chosen ways, while signals hit
 * them at random moments.  A wake-up, signal or child that is lost shows as a family without progress (or a wrong count):
 * one line and status 1.  Runs natively as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAMILIES = 4, PATIENCE = 30, MOST_CHILDREN = 8 };

static struct family {
    _Atomic unsigned rounds;
    _Atomic int game;
    _Atomic unsigned words[2]; /* futexes */
    sem_t semaphores[2];
} *families, *family;
static unsigned state;

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "random.c:%d: game %d: %s (errno %d)\n", __LINE__, family ? family->game : -1, #condition, \
                    errno);                                                                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)
#define RETRY(call) ({ long retry_; do retry_ = (call); while (retry_ == -1 && errno == EINTR); retry_; })

static unsigned below(unsigned limit)
{
    state = state * 1103515245u + 12345u;
    return (state >> 16) % limit;
}

static void nap(void)
{
    struct timespec time = {0, below(300) * 1000};
    if (below(3))
        nanosleep(&time, NULL);
}

static void ignore(int signal)
{
    (void)signal;
}

/* A child that has its own random numbers and does not outlive its parent. */
static pid_t child(void)
{
    pid_t parent = getpid(), pid = fork();
    MUST(pid >= 0);
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        state ^= (unsigned)getpid() * 2654435761u;
    } else {
        below(2);
    }
    return pid;
}

static void reap(pid_t pid, int expected)
{
    int status;
    MUST(RETRY(waitpid(pid, &status, 0)) == pid);
    MUST(status == expected);
}

/* ---- A token goes to and fro between two processes --------------------------------------------------------------- */

enum { PIPE, SOCKETS, EVENTS, FUTEX, SYSV, POSIX_SEMAPHORE, SIGNALS, CHANNELS };

static struct { int kind, in[2], out[2], set; pid_t peer[2]; } channel;

/* Waits until fd is readable, in any of the ways there are. */
static void readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN | (below(2) ? (unsigned)EPOLLONESHOT : 0)};
    fd_set set;
    int epoll;
    switch (below(4)) {
    case 0:
        MUST(RETRY(poll(&one, 1, -1)) == 1);
        break;
    case 1:
        MUST((epoll = epoll_create1(0)) >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
        MUST(RETRY(epoll_wait(epoll, &event, 1, -1)) == 1);
        close(epoll);
        break;
    case 2:
        do {
            FD_ZERO(&set);
            FD_SET(fd, &set);
        } while (select(fd + 1, &set, NULL, NULL, NULL) == -1 && errno == EINTR);
        break;
    default:
        break;
    }
}

static void give(int side)
{
    uint64_t one = 1;
    struct sembuf up = {.sem_num = (unsigned short)side, .sem_op = 1};
    switch (channel.kind) {
    case FUTEX:
        atomic_fetch_add(&family->words[side], 1);
        syscall(SYS_futex, &family->words[side], FUTEX_WAKE, 1, NULL, NULL, 0);
        break;
    case SYSV: MUST(!RETRY(semop(channel.set, &up, 1))); break;
    case POSIX_SEMAPHORE: MUST(!sem_post(&family->semaphores[side])); break;
    case SIGNALS: MUST(!sigqueue(channel.peer[!side], SIGRTMIN, (union sigval){.sival_int = side})); break;
    default: MUST(RETRY(write(channel.out[side], &one, 8)) == 8); break;
    }
}

static void take(int side)
{
    uint64_t got;
    struct sembuf down = {.sem_num = (unsigned short)side, .sem_op = -1};
    sigset_t set;
    siginfo_t info;
    unsigned seen;
    switch (channel.kind) {
    case FUTEX:
        while (!(seen = atomic_load(&family->words[side])))
            syscall(SYS_futex, &family->words[side], FUTEX_WAIT, 0, NULL, NULL, 0);
        atomic_fetch_sub(&family->words[side], 1);
        break;
    case SYSV: MUST(!RETRY(semop(channel.set, &down, 1))); break;
    case POSIX_SEMAPHORE: MUST(!RETRY(sem_wait(&family->semaphores[side]))); break;
    case SIGNALS:
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        MUST(RETRY(sigwaitinfo(&set, &info)) == SIGRTMIN && info.si_value.sival_int == side);
        break;
    default:
        readable(channel.in[side]);
        MUST(RETRY(read(channel.in[side], &got, 8)) == 8 && got == 1);
        break;
    }
}

static void game_token(void)
{
    int count = 1 + (int)below(100), pair[2][2];
    channel.kind = (int)below(CHANNELS);
    if (channel.kind <= EVENTS) {
        for (int side = 0; side < 2; side++) {
            if (channel.kind == PIPE)
                MUST(!pipe(pair[side]));
            else if (channel.kind == SOCKETS)
                MUST(!socketpair(AF_UNIX, below(2) ? SOCK_STREAM : SOCK_SEQPACKET, 0, pair[side]));
            else
                MUST((pair[side][0] = eventfd(0, 0)) >= 0 && (pair[side][1] = dup(pair[side][0])) >= 0);
            channel.in[side] = pair[side][0];
            channel.out[side] = pair[side][1];
        }
    } else if (channel.kind == SYSV) {
        MUST((channel.set = semget(IPC_PRIVATE, 2, 0600)) >= 0);
        MUST(!semctl(channel.set, 0, SETVAL, 0) && !semctl(channel.set, 1, SETVAL, 0));
    }
    channel.peer[0] = getpid();
    pid_t pid = channel.peer[1] = child();
    if (!pid)
        channel.peer[1] = getpid();
    for (int i = 0; i < count; i++) {
        if (pid) {
            give(0);
            take(1);
        } else {
            take(0);
            if (!below(20))
                nap();
            give(1);
        }
    }
    if (!pid)
        _exit(7);
    reap(pid, 7 << 8);
    for (int side = 0; channel.kind <= EVENTS && side < 2; side++) {
        close(pair[side][0]);
        close(pair[side][1]);
    }
    if (channel.kind == SYSV)
        MUST(!semctl(channel.set, 0, IPC_RMID));
}

/* ---- Threads pass a turn round ------------------------------------------------------------------------------------ */

static struct { pthread_mutex_t mutex; pthread_cond_t changed; int turn, count, threads; } ring = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *ring_thread(void *place)
{
    for (int i = 0; i < ring.count; i++) {
        pthread_mutex_lock(&ring.mutex);
        while (ring.turn % ring.threads != (int)(long)place)
            pthread_cond_wait(&ring.changed, &ring.mutex);
        ring.turn++;
        pthread_cond_broadcast(&ring.changed);
        pthread_mutex_unlock(&ring.mutex);
    }
    return place;
}

static void game_threads(void)
{
    pthread_t threads[6];
    ring.threads = 2 + (int)below(5);
    ring.count = 1 + (int)below(30);
    ring.turn = 0;
    for (long i = 0; i < ring.threads; i++)
        MUST(!pthread_create(&threads[i], NULL, ring_thread, (void *)i));
    pid_t pid = below(2) ? child() : -1; /* a fork amid threads */
    if (!pid)
        _exit(0);
    for (long i = 0; i < ring.threads; i++) {
        void *place;
        MUST(!pthread_join(threads[i], &place) && place == (void *)i);
    }
    MUST(ring.turn == ring.threads * ring.count);
    if (pid > 0)
        reap(pid, 0);
}

/* ---- Children end in all ways, and each is waited for ------------------------------------------------------------- */

static void game_children(void)
{
    static const int ends[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGALRM};
    pid_t pids[MOST_CHILDREN];
    int expected[MOST_CHILDREN], count = 1 + (int)below(MOST_CHILDREN), how = (int)below(3);
    for (int i = 0; i < count; i++) {
        int kind = (int)below(3), code = (int)below(200), end = ends[below(5)];
        expected[i] = kind ? end : code << 8;
        if (!(pids[i] = child())) {
            if (kind == 0)
                _exit(code);
            if (kind == 1)
                kill(getpid(), end);
            for (;;)
                pause();
        }
        if (kind == 2) {
            nap();
            MUST(!kill(pids[i], end));
        }
    }
    for (int left = count; left; left--) {
        int status, i = 0;
        pid_t pid;
        siginfo_t info;
        if (how == 0) {
            pid = (pid_t)RETRY(waitpid(-1, &status, 0));
        } else if (how == 1) {
            MUST(!RETRY(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT)));
            pid = (pid_t)RETRY(waitpid(info.si_pid, &status, WNOHANG));
        } else {
            while (!(pid = waitpid(-1, &status, WNOHANG)))
                poll(NULL, 0, 1);
        }
        while (i < count && pids[i] != pid)
            i++;
        MUST(i < count && status == expected[i]);
        pids[i] = 0;
    }
    MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* ---- Queued signals come all, in order ---------------------------------------------------------------------------- */

static void game_signals(void)
{
    int count = 1 + (int)below(100), fd = -1;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    if (below(2))
        MUST((fd = signalfd(-1, &set, 0)) >= 0);
    pid_t parent = getpid(), pid = child();
    if (!pid) {
        for (int i = 0; i < count; i++)
            MUST(!sigqueue(parent, SIGRTMIN + 1, (union sigval){.sival_int = i}));
        _exit(0);
    }
    for (int i = 0; i < count; i++) {
        struct signalfd_siginfo read_info;
        siginfo_t info;
        if (fd >= 0) {
            readable(fd);
            MUST(RETRY(read(fd, &read_info, sizeof read_info)) == sizeof read_info && read_info.ssi_int == i);
        } else {
            MUST(RETRY(sigwaitinfo(&set, &info)) == SIGRTMIN + 1 && info.si_value.sival_int == i);
        }
    }
    if (fd >= 0)
        close(fd);
    reap(pid, 0);
}

/* ---- A killed process lets go of what it holds -------------------------------------------------------------------- */

static void game_killed(void)
{
    int ends[2];
    char byte;
    MUST(!pipe(ends));
    pid_t pid = child();
    if (!pid) {
        close(ends[0]);
        for (;;)
            if (write(ends[1], "x", 1) == 1)
                nap();
    }
    close(ends[1]);
    nap();
    MUST(!kill(pid, SIGKILL));
    long got;
    while ((got = RETRY(read(ends[0], &byte, 1))) == 1)
        ;
    MUST(!got);
    close(ends[0]);
    reap(pid, SIGKILL);
}

static void play(int number, unsigned seed, time_t end)
{
    static void (*const games[])(void) = {game_token, game_threads, game_children, game_signals, game_killed};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    family = &families[number];
    state = seed + (unsigned)number * 7919;
    sigset_t queued;
    sigemptyset(&queued);
    sigaddset(&queued, SIGRTMIN);
    sigaddset(&queued, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &queued, NULL);
    while (time(NULL) < end) {
        family->game = (int)below(5);
        sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore, .sa_flags = below(2) ? SA_RESTART : 0}, NULL);
        games[family->game]();
        family->rounds++;
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5), moved[FAMILIES];
    unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)time(NULL), seen[FAMILIES] = {0}, total = 0;
    pid_t pids[FAMILIES];
    families = mmap(NULL, sizeof *families * FAMILIES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(families != MAP_FAILED);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore, .sa_flags = SA_RESTART}, NULL);
    for (int i = 0; i < FAMILIES; i++) {
        moved[i] = time(NULL);
        MUST(!sem_init(&families[i].semaphores[0], 1, 0) && !sem_init(&families[i].semaphores[1], 1, 0));
        if (!(pids[i] = fork()))
            play(i, seed, end);
    }
    state = seed;
    for (int left = FAMILIES; left;) {
        usleep(500 + below(3000));
        for (int i = 0; i < FAMILIES; i++) {
            int status;
            if (!pids[i])
                continue;
            if (waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                total += families[i].rounds;
                pids[i] = 0;
                left--;
                if (status) {
                    fprintf(stderr, "seed %u: family %d, game %d: status %x\n", seed, i, families[i].game, status);
                    return 1;
                }
                continue;
            }
            if (families[i].rounds != seen[i]) {
                seen[i] = families[i].rounds;
                moved[i] = time(NULL);
            } else if (time(NULL) > moved[i] + PATIENCE) {
                fprintf(stderr, "seed %u: family %d hangs in game %d, after %u rounds\n", seed, i, families[i].game, seen[i]);
                return 1;
            }
            if (!below(3))
                kill(pids[i], SIGUSR1);
        }
    }
    printf("%u rounds\n", total);
    return 0;
}
