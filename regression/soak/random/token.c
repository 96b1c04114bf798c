/* SPDX-License-Identifier: MIT */
/* A token goes to and fro between two processes, over anything that one of them can wait on. */
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "random.h"

enum kind {
    PIPE, FIFO, STREAM, PACKETS, DATAGRAMS, EVENTS, /* read and written */
    FUTEX, FUTEX_BITS, SYSV, POSIX_SEMAPHORE, SIGNALS, SIGNAL_FD, SUSPEND, MESSAGES, QUEUE, KINDS
};

static struct { enum kind kind; int in[2], out[2], id; pid_t peer[2]; mqd_t queue[2]; } channel;
static volatile sig_atomic_t handled;

struct message { long type; int side; };

static void count(int signal)
{
    (void)signal;
    handled++;
}

static void give(int side)
{
    uint64_t one = 1;
    struct sembuf up = {.sem_num = (unsigned short)side, .sem_op = 1};
    struct message message = {side + 1, side};
    switch (channel.kind) {
    case FUTEX:
    case FUTEX_BITS:
        atomic_fetch_add(&family->words[side], 1);
        futex(&family->words[side], channel.kind == FUTEX ? FUTEX_WAKE : FUTEX_WAKE_BITSET, 1, 0, NULL, 2);
        break;
    case SYSV: MUST(!RETRY(semop(channel.id, &up, 1))); break;
    case POSIX_SEMAPHORE: MUST(!sem_post(&family->semaphores[side])); break;
    case SIGNALS:
    case SIGNAL_FD: MUST(!sigqueue(channel.peer[!side], SIGRTMIN, (union sigval){.sival_int = side})); break;
    case SUSPEND: MUST(!kill(channel.peer[!side], SIGUSR2)); break;
    case MESSAGES: MUST(!RETRY(msgsnd(channel.id, &message, sizeof message.side, 0))); break;
    case QUEUE: MUST(!RETRY(mq_send(channel.queue[side], "token", 6, below(5)))); break;
    default: MUST(RETRY(write(channel.out[side], &one, 8)) == 8); break;
    }
}

/* SIGUSR2 is blocked but for here. */
static void suspend(void)
{
    sigset_t open;
    MUST(!sigprocmask(SIG_BLOCK, NULL, &open));
    sigdelset(&open, SIGUSR2);
    while (!handled) {
        AT();
        sigsuspend(&open);
    }
    MUST(handled == 1);
    handled = 0;
}

static void take_signal(int side)
{
    sigset_t set;
    siginfo_t info;
    struct signalfd_siginfo read_info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (channel.kind == SIGNALS) {
        MUST(RETRY(sigwaitinfo(&set, &info)) == SIGRTMIN && info.si_value.sival_int == side);
        return;
    }
    int fd = signalfd(-1, &set, 0);
    readable(fd);
    MUST(RETRY(read(fd, &read_info, sizeof read_info)) == sizeof read_info && read_info.ssi_int == side);
    close(fd);
}

static void take(int side)
{
    uint64_t got;
    char text[16];
    struct sembuf down = {.sem_num = (unsigned short)side, .sem_op = -1};
    struct message message;
    _Atomic unsigned *word = &family->words[side];
    switch (channel.kind) {
    case FUTEX:
    case FUTEX_BITS:
        for (AT(); !atomic_load(word); AT())
            futex(word, channel.kind == FUTEX ? FUTEX_WAIT : FUTEX_WAIT_BITSET, 0, 0, NULL, 3);
        atomic_fetch_sub(word, 1);
        break;
    case SYSV: MUST(!RETRY(semop(channel.id, &down, 1))); break;
    case POSIX_SEMAPHORE: MUST(!RETRY(sem_wait(&family->semaphores[side]))); break;
    case SIGNALS:
    case SIGNAL_FD: take_signal(side); break;
    case SUSPEND: suspend(); break;
    case MESSAGES:
        MUST(RETRY(msgrcv(channel.id, &message, sizeof message.side, side + 1, 0)) == sizeof message.side);
        MUST(message.side == side);
        break;
    case QUEUE:
        readable((int)channel.queue[side]);
        MUST(RETRY(mq_receive(channel.queue[side], text, sizeof text, NULL)) == 6);
        break;
    default:
        readable(channel.in[side]);
        MUST(RETRY(read(channel.in[side], &got, 8)) == 8 && got == 1);
        break;
    }
}

static void open_pair(int side)
{
    int pair[2];
    char name[64];
    switch (channel.kind) {
    case PIPE: MUST(!pipe(pair)); break;
    case FIFO:
        snprintf(name, sizeof name, "/tmp/random.%d.%d", getpid(), side);
        MUST(!mkfifo(name, 0600) && (pair[0] = open(name, O_RDWR)) >= 0 && (pair[1] = open(name, O_WRONLY)) >= 0);
        MUST(!unlink(name));
        break;
    case EVENTS:
        MUST((pair[0] = eventfd(0, below(2) ? EFD_SEMAPHORE : 0)) >= 0 && (pair[1] = dup(pair[0])) >= 0);
        break;
    default:
        MUST(!socketpair(AF_UNIX, channel.kind == STREAM ? SOCK_STREAM :
                                  channel.kind == PACKETS ? SOCK_SEQPACKET : SOCK_DGRAM, 0, pair));
        break;
    }
    channel.in[side] = pair[0];
    channel.out[side] = pair[1];
}

static void open_queue(int side)
{
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 16};
    char name[64];
    snprintf(name, sizeof name, "/random.%d.%d", getpid(), side);
    channel.queue[side] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    MUST(channel.queue[side] >= 0 && !mq_unlink(name));
}

static void open_channel(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    handled = 0;
    for (int side = 0; side < 2; side++) {
        family->words[side] = 0;
        if (channel.kind <= EVENTS)
            open_pair(side);
        else if (channel.kind == QUEUE)
            open_queue(side);
    }
    if (channel.kind == SUSPEND) {
        MUST(!sigprocmask(SIG_BLOCK, &set, NULL));
        sigaction(SIGUSR2, &(struct sigaction){.sa_handler = count}, NULL);
    } else if (channel.kind == SYSV) {
        MUST((channel.id = semget(IPC_PRIVATE, 2, 0600)) >= 0);
        MUST(!semctl(channel.id, 0, SETVAL, 0) && !semctl(channel.id, 1, SETVAL, 0));
    } else if (channel.kind == MESSAGES) {
        MUST((channel.id = msgget(IPC_PRIVATE, 0600)) >= 0);
    }
}

static void close_channel(void)
{
    for (int side = 0; side < 2; side++) {
        if (channel.kind <= EVENTS)
            MUST(!close(channel.in[side]) && !close(channel.out[side]));
        else if (channel.kind == QUEUE)
            MUST(!mq_close(channel.queue[side]));
    }
    if (channel.kind == SYSV)
        MUST(!semctl(channel.id, 0, IPC_RMID));
    if (channel.kind == MESSAGES)
        MUST(!msgctl(channel.id, IPC_RMID, NULL));
}

void game_token(void)
{
    int times = 1 + (int)below(100);
    family->way = channel.kind = below(KINDS);
    open_channel();
    channel.peer[0] = getpid();
    pid_t pid = channel.peer[1] = child();
    if (!pid)
        channel.peer[1] = getpid();
    for (int i = 0; i < times; i++) {
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
    close_channel();
}
