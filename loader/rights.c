/* SPDX-License-Identifier: MIT */
/*
 * Descriptors sent over a socket.  The kernel lets all processes of a user together have only so many of them on their way
 * as the sender's limit of open files says (unix(7), ETOOMANYREFS): what other sandboxes have sent counts, too, until it
 * is received.  So that is no error of ours, and passes.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "loader/loader.h"

int send_rights(int socket, const struct iovec *parts, size_t part_count, const int *descriptors, size_t count, unsigned patience)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = part_count};
    const struct timespec moment = {.tv_nsec = 1000000};
    if (count > RIGHTS_MAX)
        return -EINVAL;
    if (count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), descriptors, count * sizeof(int));
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != ETOOMANYREFS || !patience--)
            return -errno;
        nanosleep(&moment, NULL);
    }
    return 0;
}
