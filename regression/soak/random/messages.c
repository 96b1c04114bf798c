/* SPDX-License-Identifier: MIT */
/* Many write, many read: all that was written is read, once.  Descriptors that travel arrive, or are closed. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "random.h"

enum kind { PIPE, PACKET_PIPE, DATAGRAMS, PACKETS, QUEUE, MESSAGES, KINDS };
enum { MAX = 3 };

static struct { enum kind kind; int ends[2]; } channel;
struct message { long type; long value; };

static void put(long value)
{
    struct message message = {1, value};
    switch (channel.kind) {
    case MESSAGES: MUST(!RETRY(msgsnd(channel.ends[0], &message, sizeof value, 0))); break;
    case QUEUE: MUST(!RETRY(mq_send(channel.ends[0], (char *)&value, sizeof value, below(3)))); break;
    default: MUST(RETRY(write(channel.ends[1], &value, sizeof value)) == sizeof value); break;
    }
}

static long get(void)
{
    struct message message = {0, 0};
    switch (channel.kind) {
    case MESSAGES:
        MUST(RETRY(msgrcv(channel.ends[0], &message, sizeof message.value, 0, 0)) == sizeof message.value);
        break;
    case QUEUE:
        MUST(RETRY(mq_receive(channel.ends[0], (char *)&message.value, sizeof message.value, NULL)) ==
             sizeof message.value);
        break;
    default:
        MUST(RETRY(read(channel.ends[0], &message.value, sizeof message.value)) == sizeof message.value);
        break;
    }
    return message.value;
}

static void open_channel(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 1 + below(4), .mq_msgsize = sizeof(long)};
    char name[64];
    snprintf(name, sizeof name, "/random.%d", getpid());
    switch (channel.kind) {
    case PIPE: MUST(!pipe(channel.ends)); break;
    case PACKET_PIPE: MUST(!pipe2(channel.ends, O_DIRECT)); break;
    case DATAGRAMS: MUST(!socketpair(AF_UNIX, SOCK_DGRAM, 0, channel.ends)); break;
    case PACKETS: MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel.ends)); break;
    case QUEUE:
        MUST((channel.ends[0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes)) >= 0);
        MUST(!mq_unlink(name));
        break;
    default: MUST((channel.ends[0] = msgget(IPC_PRIVATE, 0600)) >= 0); break;
    }
}

static void close_channel(void)
{
    if (channel.kind == MESSAGES)
        MUST(!msgctl(channel.ends[0], IPC_RMID, NULL));
    else
        MUST(!close(channel.ends[0]) && (channel.kind == QUEUE || !close(channel.ends[1])));
}

/* Counters: 0 the sum of what was sent, 1 of what came.  A 0 ends a reader. */
void game_messages(void)
{
    pid_t writers[MAX], readers[MAX];
    unsigned writer_count = 1 + below(MAX), reader_count = 1 + below(MAX);
    int count = (int)below(200);
    family->way = channel.kind = below(KINDS);
    open_channel();
    family->counters[0] = family->counters[1] = 0;
    for (unsigned i = 0; i < reader_count; i++)
        if (!(readers[i] = child())) {
            for (long value; (value = get());)
                family->counters[1] += value;
            _exit(0);
        }
    for (unsigned i = 0; i < writer_count; i++)
        if (!(writers[i] = child())) {
            for (int j = 0; j < count; j++) {
                long value = 1 + below(1000);
                family->counters[0] += value;
                put(value);
                if (!below(30))
                    nap();
            }
            _exit(0);
        }
    for (unsigned i = 0; i < writer_count; i++)
        reap(writers[i], 0);
    /* A queue of priorities may give an end before what was sent earlier: so only when all has come. */
    for (AT(); family->counters[1] != family->counters[0]; AT())
        nap();
    for (unsigned i = 0; i < reader_count; i++)
        put(0);
    for (unsigned i = 0; i < reader_count; i++)
        reap(readers[i], 0);
    close_channel();
}

/* ---- A stream that is moved on by others ------------------------------------------------------------------------- */

enum { STREAM = 50000 };

/* In pieces; -1: the other end has gone. */
static long move_on(int from, int to)
{
    char bytes[3000];
    size_t size = 1 + below(sizeof bytes);
    if (below(2))
        return RETRY(splice(from, NULL, to, NULL, size, 0));
    long got = RETRY(read(from, bytes, size));
    for (long done = 0, put; done < got; done += put)
        MUST((put = RETRY(write(to, bytes + done, (size_t)(got - done)))) > 0);
    return got;
}

void game_spliced(void)
{
    int first[2], second[2];
    MUST(!(below(2) ? pipe(first) : socketpair(AF_UNIX, SOCK_STREAM, 0, first)) && !pipe(second));
    pid_t writer = child();
    if (!writer) {
        for (unsigned i = 0; i < STREAM / sizeof i; i++)
            MUST(RETRY(write(first[1], &i, sizeof i)) == sizeof i);
        _exit(0);
    }
    MUST(!close(first[1]));
    pid_t mover = child();
    if (!mover) {
        long moved;
        MUST(!close(second[0]));
        do
            MUST((moved = move_on(first[0], second[1])) >= 0);
        while (moved);
        _exit(0);
    }
    MUST(!close(first[0]) && !close(second[1]));
    unsigned value, wanted = 0;
    for (long got; (got = RETRY(read(second[0], &value, sizeof value))); wanted++) {
        for (long more; got < (long)sizeof value; got += more)
            MUST((more = RETRY(read(second[0], (char *)&value + got, sizeof value - (size_t)got))) > 0);
        MUST(value == wanted);
    }
    MUST(wanted == STREAM / sizeof wanted && !close(second[0]));
    reap(writer, 0);
    reap(mover, 0);
}

/* ---- Descriptors that travel ------------------------------------------------------------------------------------- */

union control { struct cmsghdr header; char bytes[CMSG_SPACE(2 * sizeof(int))]; };

static void send_descriptors(int socket, const int *fds, size_t count)
{
    char byte = 'd';
    union control control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    MUST(RETRY(sendmsg(socket, &message, 0)) == 1);
}

static size_t receive_descriptors(int socket, int *fds)
{
    char byte;
    union control control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    MUST(RETRY(recvmsg(socket, &message, below(2) ? MSG_CMSG_CLOEXEC : 0)) == 1 && byte == 'd');
    MUST(control.header.cmsg_type == SCM_RIGHTS && !(message.msg_flags & MSG_CTRUNC));
    size_t count = (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(&control.header), count * sizeof(int));
    return count;
}

/* The child gets write ends and writes once into each; or is killed before, with some on the way. */
static void write_into_each(int socket, unsigned count)
{
    int fds[2] = {-1, -1};
    for (unsigned i = 0; i < count; i++) {
        size_t came = receive_descriptors(socket, fds);
        MUST(came == 1 || (came == 2 && !close(fds[1])));
        MUST(RETRY(write(fds[0], "w", 1)) == 1 && !close(fds[0]));
    }
    _exit(0);
}

void game_rights(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int pair[2], ends[2];
    unsigned count = below(8);
    bool killed = !below(3);
    char byte;
    MUST(!socketpair(AF_UNIX, types[below(3)], 0, pair) && !pipe(ends));
    pid_t pid = child();
    if (!pid) {
        close(pair[0]);
        close(ends[0]);
        close(ends[1]);
        write_into_each(pair[1], count);
    }
    if (!killed)
        MUST(!close(pair[1])); /* otherwise what is on the way stays so until the end */
    for (unsigned i = 0; i < count; i++) {
        int both[2] = {ends[1], pair[0]};
        send_descriptors(pair[0], both, 1 + below(2));
    }
    close(ends[1]);
    if (killed) {
        nap();
        kill(pid, SIGKILL);
        reap_any(pid);
        MUST(!close(pair[0]) && !close(pair[1]));
    }
    long got, total = 0;
    while ((got = RETRY(read(ends[0], &byte, 1))) == 1)
        total++;
    MUST(!got && (killed ? total <= count : total == count));
    if (!killed) {
        reap(pid, 0);
        MUST(!close(pair[0]));
    }
    MUST(!close(ends[0]));
}
