/* SPDX-License-Identifier: MIT */
/*
 * A guest after the control socket, and after what others bring, for join.sh.
 *
 *   join ask             past its libOS: asks for a join that nobody wants
 *   join steal SECONDS   a child of its does so while others join
 *   join connect NAME    by its libOS; then past it, which is its end
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "regression/hostile/raw.h"

#include "pal/linux/monitor.h"

enum { CHANNEL = 3 };

static long call(long number, long a, long b, long c)
{
    return make(PAL_INSTRUCTION, &(struct arguments){number, {a, b, c, 0, 0, 0}});
}

/* A forged request's answer: its result; 1 + its descriptors where it has some. */
static int32_t ask(uint64_t token, uint64_t drop)
{
    static uint32_t sequence = 1000;
    const struct monitor_request packet = {.op = MONITOR_IMPORT, .sequence = ++sequence, .arguments = {token, drop}};
    struct { struct monitor_reply header; char text[4096]; } reply;
    union { struct cmsghdr header; char bytes[256]; } rights;
    call(SYS_write, CHANNEL, (long)&packet, sizeof packet);
    for (int tries = 0; tries < 100000; tries++) {
        struct iovec part = {&reply, sizeof reply};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
        if (call(SYS_recvmsg, CHANNEL, (long)&message, MSG_DONTWAIT) < (long)sizeof reply.header || reply.header.sequence != sequence)
            continue;
        return reply.header.result < 0 ? reply.header.result : 1 + (int32_t)reply.header.descriptors;
    }
    return -ETIME;
}

static int ask_all(void)
{
    static const uint64_t tokens[] = {0, 1, 2, 3, 4, 6, 1ull << 63, UINT64_MAX};
    int bad = 0;
    dispatch_off();
    for (unsigned i = 0; i < sizeof tokens / sizeof *tokens; i++)
        for (uint64_t drop = 0; drop < 2; drop++)
            bad |= ask(tokens[i], drop) >= 0;
    return bad;
}

/* Whatever it gets, each is given once, and the monitor goes on. */
static void steal(int seconds)
{
    time_t end = time(NULL) + seconds;
    while (time(NULL) < end) {
        dispatch_off();
        for (uint64_t token = 0; token < 5; token++)
            if (ask(token, 0) > 0 && ask(token, 0) > 0)
                _exit(3);
        call(SYS_sched_yield, 0, 0, 0);
    }
}

static int connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int socket_of_ours = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    memcpy(address.sun_path + 1, name, strlen(name));
    if (socket_of_ours < 0 || connect(socket_of_ours, (struct sockaddr *)&address, (socklen_t)(3 + strlen(name))) == 0 || errno != ECONNREFUSED)
        return 1;
    dispatch_off();
    call(SYS_socket, AF_UNIX, SOCK_SEQPACKET, 0);
    return 2;
}

int main(int argc, char **argv)
{
    if (ways_begin() < 0)
        return 5;
    if (argc > 1 && !strcmp(argv[1], "ask"))
        return ask_all();
    if (argc > 2 && !strcmp(argv[1], "connect"))
        return connect_to(argv[2]);
    if (argc < 3 || strcmp(argv[1], "steal") != 0)
        return 4;
    int seconds = atoi(argv[2]), status = 0;
    if (fork() == 0) {
        steal(seconds);
        _exit(0);
    }
    wait(&status);
    return WIFEXITED(status) && WEXITSTATUS(status) ? 3 : 0; /* its exec kills it at its own end */
}
