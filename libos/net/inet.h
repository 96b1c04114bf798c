/* SPDX-License-Identifier: MIT */
/*
 * TCP and UDP on the sandbox's own loopback.  A TCP connection is a pair of local streams that the monitor made; a UDP
 * socket reads a queue of packets, each with its sender in front.  See docs/network.md for what differs from the kernel's.
 */
#ifndef LIBOS_INET_H
#define LIBOS_INET_H

#include "libos/net/socket.h"

/* inet_address.c.  Addresses are kept as IPv6, IPv4 mapped. */
/* Where to connect or send: 0.0.0.0 and :: are the loopback.  *family may be AF_UNSPEC: out has no name then. */
int64_t inet_address_in(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out,
                        uint16_t *family);
/* The same, of a message. */
int64_t inet_address_to(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out);
int64_t inet_address_out(const struct socket *socket, const struct socket_end *end, guest_t to, guest_t size);
void inet_loopback_for(struct pal_inet *at); /* 0.0.0.0 and :: become 127.0.0.1 and ::1 */
bool inet_is_4(const struct pal_inet *at);
bool inet_is_any(const struct pal_inet *at);
bool inet_is_loopback(const struct pal_inet *at);
bool inet_same(const struct pal_inet *a, const struct pal_inet *b); /* address and port */
/* What the other side sees of this socket at `to`: where it is bound, or an interface's address. */
void inet_source(const struct socket *socket, const struct pal_inet *to, struct pal_inet *out);

/* inet_connect.c */
/* To a port that the host picks, unless it is bound already. */
int64_t inet_bind_any(struct file *file, struct socket *socket);
int64_t inet_bind_to(struct file *file, struct socket *socket, const struct pal_inet *at);
/* The first process's listeners that pal-run was started with, at descriptors from 3 on. */
void inet_listeners_boot(void);
/* `socket` came out of the listener's queue: its peer is set. */
void inet_accepted(struct socket *socket, const struct socket *listener);
/* Is the connection still on its way? */
bool inet_in_progress(struct file *file, struct socket *socket);
/* What a write of `size` bytes tells: TCP takes one after the peer has closed, and learns then that nobody is there. */
int64_t inet_written(struct socket *socket, int64_t result, uint64_t size);
/* The error that a connect or datagram left for the next call: 0 or -errno; it is told once. */
int64_t inet_error(struct socket *socket);

/* While the connection is on its way: 0 once it is there; -EAGAIN where that is not to be waited for; or why there is none. */
int64_t inet_connect_wait(struct file *file, struct socket *socket, uint32_t flags);

/* inet_first.c: connections whose first bytes are looked at */
bool inet_is_first(const struct file *file);
int64_t inet_first_error(struct file *file); /* 0; or why there is no connection */
int64_t inet_first_receive(struct file *file, struct pal_message *message, uint32_t flags);
int64_t inet_first_send(struct file *file, const struct pal_message *message, uint32_t flags);

/* inet_datagram.c */
int64_t udp_connect(struct file *file, struct socket *socket, const struct socket_end *to); /* NULL: to none */
int64_t udp_send(struct file *file, const struct socket_end *to, const struct pal_message *message, const struct scm *scm,
                 uint32_t flags);
/* Control data that goes with a datagram: times to live and classes.  Others are hints that nobody takes. */
int64_t udp_control(guest_t control, uint64_t size, struct scm *out);
int64_t udp_shutdown(struct file *file, struct socket *socket, uint32_t how);
/* Is this datagram for the socket?  -EAGAIN: the next one; -ECONNREFUSED: what was sent found nobody. */
int64_t udp_check(const struct socket *socket, const struct socket_end *from);

/* inet_ring.c: of sockets that have a ring.  As PAL's socket_receive and socket_send. */
int64_t ring_read(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags);
int64_t ring_write(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags);
int64_t ring_read_urgent(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags); /* MSG_OOB */
void ring_limit(const struct socket *socket); /* to SO_SNDBUF and SO_RCVBUF, where they were asked for */
void ring_shut(const struct socket *socket); /* its writing end */
bool ring_was_reset(struct socket *socket); /* by the peer (SO_LINGER); it is told once */

/* udp_peers.c */
struct udp_way { pal_handle_t handle; bool native, any; struct pal_inet own; }; /* native: a socket of the host's network; any: without a peer */
bool udp_leaves(void); /* there is more than the loopback */
bool udp_has_set(const struct file *file);
int64_t udp_set_new(pal_handle_t queue, pal_handle_t *out);
/* flags: PAL_INET_LOOK.  Caller holds file->lock, or nobody else has the socket yet. */
int64_t udp_ask(const struct file *file, const struct socket *socket, const struct pal_inet *at, uint16_t flags,
                struct udp_way *out);
/* 0, and socket->native where the peer is on the host's network and the socket free for it. */
int64_t udp_connect_native(struct file *file, struct socket *socket, const struct socket_end *to);
void udp_let_go(struct file *file, struct socket *socket); /* ends that */
/* Without waiting; -ESRCH: no such peer, and no way to it was given.  Caller holds file->lock. */
int64_t udp_send_peer(struct file *file, struct socket *socket, const struct pal_inet *at, struct udp_way *way,
                      const struct pal_message *message);
/* Takes a socket of the host's network that has no peer. */
void udp_add_any(struct file *file, struct socket *socket, const struct pal_inet *own, pal_handle_t handle);
int64_t udp_receive_set(struct file *file, struct pal_message *message, uint32_t flags, struct socket_end *from);
int64_t udp_available(struct file *file, uint32_t *out);
void udp_peers_drop(struct socket *socket);

/* inet_options.c */
/* Of the host's network: options that were set reach the host's socket, too. */
void inet_options_apply(pal_handle_t handle, const struct socket *socket);
void inet_options_init(struct socket *socket);
/* Of the host's network: options that were set reach the host's socket, too. */
void inet_options_apply(pal_handle_t handle, const struct socket *socket);
/* The size of the value, or -errno. */
int64_t inet_option_get(struct file *file, struct socket *socket, int32_t level, int32_t option, void *out,
                        uint32_t room);
int64_t inet_option_set(struct file *file, struct socket *socket, int32_t level, int32_t option, guest_t value, uint32_t size);
bool inet_option(const struct socket *socket, int32_t level, int32_t option);
int32_t inet_option_value(const struct socket *socket, int32_t level, int32_t option); /* -1: it has none */

/* interfaces.c: what ioctl(2) tells of network interfaces (netdevice(7)). */
struct interface {
    char name[16];
    uint32_t index, flags, mtu; /* flags: IFF_* of netdevice(7) */
    uint16_t type;              /* ARPHRD_* */
    uint8_t hardware[6];
    uint8_t address[4], broadcast[4], prefix; /* of IPv4; broadcast 0: it has none */
    uint8_t address_6[16], prefix_6;
    uint8_t scope;              /* rtnetlink's, of the addresses */
};
const struct interface *interface_at(uint32_t n);   /* from 0; NULL: no more */
const struct interface *interface_named(const char *name, uint32_t size);
bool interface_has_6(const struct interface *interface);
extern const uint8_t gateway_4[4], gateway_6[16];   /* of the last one, where there are two */
int32_t interface_of(const struct pal_inet *own); /* the index of the one that has this address */
int64_t interface_control(uint32_t request, guest_t argument);
#endif
