/* SPDX-License-Identifier: MIT */
/* AF_NETLINK sockets: what programs ask about the network.  See netlink(7), rtnetlink(7). */
#ifndef LIBOS_NETLINK_H
#define LIBOS_NETLINK_H

#include "libos/net/socket.h"

extern const struct file_ops netlink_ops;
int64_t netlink_check(int64_t kind, int32_t protocol); /* the kind, or -errno */
int64_t netlink_new(uint32_t kind, uint32_t protocol, struct file **out);
int64_t netlink_sender(guest_t to, guest_t size); /* of what is received: the kernel */
int64_t netlink_send(struct file *file, const struct pal_message *message);
int64_t netlink_receive(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                        struct received *out);
int64_t netlink_option_get(int32_t option, void *out, uint32_t room);
int64_t netlink_option_set(int32_t option);

/* netlink_route.c: the answers to one request, appended to `out`. */
struct netlink_packet { /* what one receive gives */
    struct netlink_packet *next;
    uint32_t size, room;
    char bytes[];
};
struct netlink_request { uint32_t size; uint16_t type, flags; uint32_t sequence, port; }; /* struct nlmsghdr */
#define NETLINK_DUMP 0x300u
#define NETLINK_ROUTE 0u
/* 0, 1: the answer goes on (NLMSG_DONE is to follow), or -errno.  `body` follows the header. */
int64_t netlink_route(const struct netlink_request *request, const char *body, uint32_t size, uint32_t port,
                      struct netlink_packet *out);
/* netlink.c: a message into a packet.  *at is its place, for attributes. */
void netlink_begin(struct netlink_packet *out, const struct netlink_request *request, uint32_t port, uint16_t type,
                   const void *head, uint32_t size, uint32_t *at);
void netlink_attribute(struct netlink_packet *out, uint32_t at, uint16_t type, const void *bytes, uint32_t size);
#endif
