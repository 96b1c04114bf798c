/* SPDX-License-Identifier: MIT */
/*
 * Guests that lie about their death, for crash.sh.
 *
 *   crash forge FILE STATUS   leaves the file's bytes for a record, past its libOS, and ends with this status
 *   crash lives FILE          the same; then goes on, and asks again and again
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "regression/hostile/raw.h"

#include "pal/linux/monitor.h"

enum { CHANNEL = 3 };

static long call(long number, long a, long b, long c, long d)
{
    return make(PAL_INSTRUCTION, &(struct arguments){number, {a, b, c, d, 0, 0}});
}

/* The descriptor that a forged request brings, or a negative errno. */
static int ask(void)
{
    static uint32_t sequence = 1000;
    const struct monitor_request packet = {.op = MONITOR_IMPORT, .sequence = ++sequence, .arguments = {PAL_CORE_TOKEN, 0}};
    struct { struct monitor_reply header; char text[4096]; } reply;
    union { struct cmsghdr header; char bytes[256]; } rights;
    call(SYS_write, CHANNEL, (long)&packet, sizeof packet, 0);
    for (int tries = 0; tries < 1000000; tries++) {
        struct iovec part = {&reply, sizeof reply};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
        if (call(SYS_recvmsg, CHANNEL, (long)&message, MSG_DONTWAIT, 0) < (long)sizeof reply.header || reply.header.sequence != sequence)
            continue;
        if (reply.header.result < 0 || !message.msg_controllen)
            return reply.header.result < 0 ? reply.header.result : -EBADMSG;
        int file;
        memcpy(&file, CMSG_DATA(&rights.header), sizeof file);
        return file;
    }
    return -ETIME;
}

int main(int argc, char **argv)
{
    struct stat status;
    int file = argc > 2 ? open(argv[2], O_RDONLY) : -1;
    if (file < 0 || fstat(file, &status) < 0 || ways_begin() < 0)
        return 1;
    char *bytes = malloc((size_t)status.st_size + 1);
    if (!bytes || read(file, bytes, (size_t)status.st_size) != status.st_size)
        return 1;
    dispatch_off();
    int record = ask();
    if (record < 0)
        call(SYS_exit_group, 2, 0, 0, 0);
    call(SYS_pwrite64, record, (long)bytes, status.st_size, 0);
    if (!strcmp(argv[1], "forge"))
        call(SYS_exit_group, atoi(argv[3]), 0, 0, 0);
    for (int i = 0; i < 200; i++)
        if (call(SYS_close, ask(), 0, 0, 0) < 0)
            call(SYS_exit_group, 3, 0, 0, 0);
    call(SYS_exit_group, 0, 0, 0, 0);
    return 4;
}
