/* SPDX-License-Identifier: MIT */
/*
 * A guest on the user's terminal, for keys.sh.
 *
 *   keys steal SECONDS   past its libOS: reads all that may be a terminal, and asks the monitor for what was typed
 *   keys modes HOW       sets modes as a full-screen program does, then ends by HOW, or changes them past its libOS
 *   keys flags [stay]    gives all standard streams O_NONBLOCK and takes O_APPEND from them
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "regression/hostile/raw.h"

#include "pal/linux/monitor.h"

enum { CHANNEL = 3, LOG = 5, TRIES_PER_SECOND = 200 };

static long call(long number, long a, long b, long c)
{
    return make(PAL_INSTRUCTION, &(struct arguments){number, {a, b, c, 0, 0, 0}});
}

static void tell(const char *what, const char *bytes, long size)
{
    call(SYS_write, 1, (long)what, (long)strlen(what));
    call(SYS_write, 1, (long)bytes, size);
    call(SYS_write, 1, (long)"\n", 1);
}

/* A forged request; its answer. */
static int32_t ask(enum monitor_terminal what, uint64_t value, const struct pal_terminal *modes, char *text, uint32_t *size)
{
    struct { struct monitor_request header; struct pal_terminal modes; } packet = {
        .header = {.op = MONITOR_TERMINAL, .sequence = 77, .other_size = modes ? sizeof *modes : 0,
                   .arguments = {(uint64_t)what << 32, value}}};
    struct { struct monitor_reply header; char text[4096]; } reply;
    if (modes)
        packet.modes = *modes;
    call(SYS_write, CHANNEL, (long)&packet, (long)(sizeof packet.header + packet.header.other_size));
    for (int tries = 0; tries < 1000; tries++) {
        struct iovec part = {&reply, sizeof reply};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (call(SYS_recvmsg, CHANNEL, (long)&message, 0) >= (long)sizeof reply.header && reply.header.sequence == 77) {
            *size = reply.header.text_size;
            memcpy(text, reply.text, *size);
            return reply.header.result;
        }
    }
    return -ETIME;
}

static int steal(int seconds)
{
    static const int descriptors[] = {0, 1, 2, LOG};
    char text[4096];
    uint32_t size = 0;
    dispatch_off();
    for (int tries = 0; tries < seconds * TRIES_PER_SECOND; tries++) {
        const struct timespec pause = {0, 1000000000 / TRIES_PER_SECOND};
        struct { int fd; short events, revents; } none = {-1, 0, 0};
        for (unsigned i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
            struct { int fd; short events, revents; } entry = {descriptors[i], 1, 0};
            if (call(SYS_ppoll, (long)&entry, 1, (long)&(struct timespec){0, 0}) != 1 || !(entry.revents & 1))
                continue;
            long got = call(SYS_read, descriptors[i], (long)text, sizeof text);
            if (got > 0)
                tell("STOLEN by read: ", text, got);
        }
        if (ask(MONITOR_TERMINAL_READ, sizeof text, NULL, text, &size) == 0 && size)
            tell("STOLEN by request: ", text, size);
        call(SYS_ppoll, (long)&none, 1, (long)&pause);
    }
    tell("nothing more", "", 0);
    call(SYS_exit_group, 0, 0, 0);
    return 0;
}

static int change_modes(const char *how)
{
    struct termios modes;
    char text[4096];
    uint32_t size;
    ioctl(2, TCGETS, &modes);
    modes.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    if (!strcmp(how, "background")) {
        struct pal_terminal wanted = {.iflag = modes.c_iflag, .oflag = modes.c_oflag, .cflag = modes.c_cflag,
                                      .lflag = modes.c_lflag};
        memcpy(wanted.cc, modes.c_cc, sizeof wanted.cc);
        dispatch_off();
        tell(ask(MONITOR_TERMINAL_MODES, 0, &wanted, text, &size) == 0 ? "CHANGED" : "refused", "", 0);
        call(SYS_exit_group, 0, 0, 0);
    }
    if (ioctl(2, TCSETS, &modes) < 0)
        return 1;
    printf("changed\n");
    if (!strcmp(how, "killed"))
        raise(SIGKILL);
    if (!strcmp(how, "stay"))
        sleep(30);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 2 && !strcmp(argv[1], "steal"))
        return ways_begin() < 0 ? 2 : steal(atoi(argv[2]));
    if (argc > 2 && !strcmp(argv[1], "modes"))
        return ways_begin() < 0 ? 2 : change_modes(argv[2]);
    for (int fd = 0; fd <= 2; fd++)
        fcntl(fd, F_SETFL, (fcntl(fd, F_GETFL) | O_NONBLOCK) & ~O_APPEND);
    if (argc > 2)
        sleep(30);
    return 0;
}
