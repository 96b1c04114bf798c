/* SPDX-License-Identifier: MIT */
/*
 * Sockets, private to the sandbox: AF_UNIX, and TCP and UDP on its own loopback.  Data, waiting and the end of a peer are
 * those of host sockets that the monitor made; names are the monitor's table.  What one end is told of the other (its
 * name, pid and ids) travels once, as the `info` of PAL's socket_connect, or in front of each datagram.
 *
 * A description's state is in its struct file, and so copied by fork: what one process then does to an unconnected
 * socket, another one does not see.  Connected sockets and listeners are shared as on Linux.
 *
 * Reading order: socket.c (making, reading, writing), bind.c, connect.c, send.c, receive.c, scm.c, options.c; what is
 * a domain's own lies in unix_*.c and inet_*.c; netlink.c.
 */
#ifndef LIBOS_SOCKET_H
#define LIBOS_SOCKET_H

#include "libos/fs/vfs.h"

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define AF_PACKET 17
#define AF_MAX 46
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_PACKET 10
#define SOCK_SEQPACKET 5
#define SOCK_TYPE_MASK 0xf
#define SOL_SOCKET 1
#define IPPROTO_IP 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41

#define MSG_OOB 1u
#define MSG_PEEK 2u
#define MSG_CTRUNC 8u
#define MSG_TRUNC 0x20u
#define MSG_DONTWAIT 0x40u
#define MSG_WAITALL 0x100u
#define MSG_ERRQUEUE 0x2000u
#define MSG_NOSIGNAL 0x4000u
#define MSG_WAITFORONE 0x10000u
#define MSG_CMSG_CLOEXEC 0x40000000u

/* What is told of one end.  Also the head of each datagram. */
struct credentials { uint32_t pid, uid, gid; };
struct socket_end {
    struct credentials credentials;
    uint32_t size; /* of the name; 0 = none.  A pathname's includes its NUL, an abstract name begins with one */
    union {
        char path[112]; /* sun_path */
        struct { struct pal_inet inet, to; uint32_t ring; uint8_t hops, class; } ip; /* to: of a datagram or a connection that arrives, where it was
                                                            sent; ring: the connection's, or 0; hops, class: a datagram's */
    };
};
#define END_REFUSED UINT32_MAX /* `size` of a datagram's head that brings no bytes, but ECONNREFUSED */
_Static_assert(sizeof(struct socket_end) == 128 && sizeof(struct socket_end) <= PAL_SOCKET_INFO, "crosses processes");

#define INET_OPTIONS 64
enum socket_state { SOCKET_NEW, SOCKET_LISTENS, SOCKET_CONNECTED };

/* What a family of addresses has its own way of. */
struct file;
struct socket;
struct socket_family {
    int64_t (*bind)(struct file *file, struct socket *socket, guest_t address, uint32_t size);
    int64_t (*connect)(struct file *file, struct socket *socket, guest_t address, uint32_t size);
    /* getsockname(2); peer: getpeername(2). */
    int64_t (*name)(struct file *file, struct socket *socket, bool peer, guest_t address, guest_t size);
};
extern const struct socket_family unix_family, inet_family, netlink_family;

/* file->data.  Guarded by file->lock where it changes. */
struct socket {
    const struct socket_family *family;
    uint32_t domain, protocol;
    uint32_t kind;  /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
    uint32_t state;
    struct socket_end own, peer;
    uint64_t name;       /* the monitor's number of the bound name */
    /* file->handle is the connection, the listener's or the datagram socket's queue, or still none.  Besides: */
    pal_handle_t queue;  /* keeps the name of a stream or packet socket that does not listen; or what stood for its connection */
    pal_handle_t target; /* where a connected datagram socket sends; PAL_NO_HANDLE in a pair: through file->handle.  Of a
                            stream that is bound where the host's network comes to as well: the host's listener */
    uint64_t pair;       /* socketpair(2)'s number, the same at both ends; else 0 */
    uint32_t pass_credentials;
    uint32_t buffers[2];  /* SO_SNDBUF, SO_RCVBUF as told */
    uint32_t buffers_asked; /* bit SOCKET_SENDS or SOCKET_RECEIVES: that one was set */
    uint64_t timeouts[2]; /* ns: SO_SNDTIMEO, SO_RCVTIMEO; 0 = none */
    /* Of TCP and UDP: */
    uint32_t error;            /* of a connect that did not wait: for SO_ERROR, or the next call.  Atomic */
    uint32_t native;           /* file->handle is a socket of the host's network, or will be when it listens.  Atomic */
    uint32_t connecting;       /* its connection was still on its way.  Atomic */
    uint32_t told_in_progress; /* the connection was there at once, but EINPROGRESS told.  Atomic */
    uint32_t edge;             /* moves with what `ready` tells.  Atomic */
    uint32_t busy;             /* a connect is asking the host: it may be accepted before this process knows.  Atomic */
    uint32_t shut;             /* 2: its own writing end was shut down.  Atomic */
    uint32_t wrote_to_nobody;  /* the peer had closed, and one write was taken all the same.  Atomic */
    uint32_t ring, ring_end;   /* of a connection within the sandbox: libos/ring; 0: none */
    int32_t spins;             /* whether spinning for bytes of a ring was worth it of late; a hint, as the next three */
    uint32_t spin_turn, spin_pause, waits; /* waits: the last read that found none did, so the socket may block */
    uint32_t plain;            /* a datagram socket that had its name by connect(2): its queue is file->handle.  Atomic */
    struct udp_peers *peers;   /* udp_peers.c */
    uint32_t any_address;      /* a datagram socket that is bound to all addresses, and connected shows one */
    uint32_t linger[2];        /* struct linger */
    uint64_t first;            /* the number of a connection that file->handle stands for: inet_first.c */
    struct pal_inet target_at; /* of a datagram socket: where `target` leads */
    int32_t kept[INET_OPTIONS]; /* options: see inet_options.c; of AF_UNIX, by their numbers: options.c */
    uint32_t cookie[2]; /* SO_COOKIE: the pid that asked first, and a count.  0: not asked yet.  Atomic */
    uint32_t mode;     /* as chmod(2) sets it: a name that it is bound to begins with */
    uint32_t pair_shut; /* shutdown(2) of a pair's end for datagrams: bit 0 reading, bit 1 writing.  Atomic */
};
enum { SOCKET_SENDS, SOCKET_RECEIVES };

/* socket.c */
extern const struct file_ops socket_ops;     /* with a handle: the host says when it is ready */
extern const struct file_ops socket_new_ops; /* still without */
extern const struct file_ops udp_set_ops;    /* udp_peers.c: several handles behind a poll set */
extern const struct file_ops inet_first_ops; /* inet_first.c: a handle that stands for a connection */
int64_t socket_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
int64_t socket_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
void socket_destroy(struct file *file);
bool file_is_socket(const struct file *file); /* but for netlink's */
/* The next datagram's size without its head; 0 where there is none. */
int64_t datagram_available(pal_handle_t queue, uint32_t *out);
/* A reference and its state.  -EBADF, -ENOTSOCK. */
int64_t socket_get(int fd, struct file **out, struct socket **state);
/* A description around a handle (PAL_NO_HANDLE: none yet), closed on failure. */
int64_t socket_new(uint32_t domain, uint32_t kind, uint32_t state, pal_handle_t handle, struct file **out);
/* The socket has a handle from now on; O_NONBLOCK moves there, polls and epolls ask the host.  Caller holds
 * file->lock. */
void socket_take_handle(struct file *file, pal_handle_t handle);
/* The caller's ids; effective as for connections, or real as for single messages (unix(7)). */
struct credentials credentials_now(bool effective);
int64_t socket_attributes(struct file *file, struct pal_attributes *out);
int64_t socket_control(struct file *file, uint32_t request, guest_t argument);
/* Counts what `ready` of a socket without a handle tells. */
uint64_t socket_edge(struct file *file);
bool socket_may_block(struct file *file, uint32_t flags);
/* Waits as the socket's timeouts say: 0, -EAGAIN at the deadline, -EINTR. */
int64_t socket_wait(pal_handle_t handle, uint32_t events, uint64_t deadline);
/* PAL_FOREVER where there is no timeout. */
uint64_t socket_deadline(const struct socket *socket, int direction);

static inline bool socket_is_inet(const struct socket *socket)
{
    return socket->domain == AF_INET || socket->domain == AF_INET6;
}

/* bind.c */
/* Where a message goes. */
int64_t address_named(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out);
/* As getsockname(2) writes it.  `size` is a guest's socklen_t. */
int64_t address_out(const struct socket *socket, const struct socket_end *end, guest_t to, guest_t size);
/* A name that was bound is the socket's from now on, unless another thread was faster: -EINVAL. */
struct bound { pal_handle_t handles[2], set; uint64_t name; }; /* the queue, perhaps a listener of the host's; udp_peers.c's */
int64_t socket_bound(struct file *file, struct socket *socket, const struct socket_end *end, const struct bound *bound);
/* struct socket_family's `name` of those with a peer. */
int64_t socket_name(struct file *file, struct socket *socket, bool peer, guest_t address, guest_t size);
int64_t address_copy_out(const void *address, uint32_t needed, guest_t to, guest_t size);

/* connect.c */
typedef int64_t connect_attempt(const struct socket_end *to, struct pal_socket_name *name, pal_handle_t *out,
                                struct pal_path_buffer *text);
/* While the listener's backlog is full, a blocking connect tries again. */
int64_t connect_waiting(struct file *file, struct socket *socket, const struct socket_end *to,
                        connect_attempt *attempt, struct pal_socket_name *name, pal_handle_t *out,
                        struct pal_path_buffer *text);
/* It is connected by this handle from now on, unless another thread was faster: -EISCONN. */
int64_t socket_connected(struct file *file, struct socket *socket, pal_handle_t handle, const struct socket_end *own,
                         const struct socket_end *peer);

/* unix_address.c, unix_connect.c */
/* An address from the guest.  0, or -EINVAL, -EFAULT; *family is set. */
int64_t unix_address_in(guest_t from, uint32_t size, struct socket_end *out, uint16_t *family);
int64_t unix_bind(struct file *file, struct socket *socket, guest_t address, uint32_t size);
/* Where datagrams to this address go: a handle that the caller closes. */
int64_t address_target(const struct socket_end *to, pal_handle_t *out);
/* PAL's socket_connect to an address: *local is filled but for the name. */
int64_t address_connect(const struct socket_end *to, struct pal_socket_name *local, pal_handle_t *out,
                        struct pal_path_buffer *text);
uint32_t socket_kind(uint32_t kind); /* pal_socket_kind */

/* ---- Messages: send.c, receive.c, scm.c ---------------------------------------------------- */

struct message { /* struct msghdr */
    guest_t name;
    uint32_t name_size, pad;
    guest_t vectors;
    uint64_t vector_count;
    guest_t control;
    uint64_t control_size;
    uint32_t flags, pad2;
};
_Static_assert(sizeof(struct message) == 56, "ABI");
struct many_message { struct message message; uint32_t size, pad; };

struct control_head { uint64_t size; int32_t level, type; }; /* struct cmsghdr */
#define SCM_RIGHTS 1
#define SCM_CREDENTIALS 2

/* What goes with a message: descriptions and ids.  Zeroed = nothing. */
struct scm {
    uint32_t count;
    bool has_credentials;
    struct credentials credentials;
    struct file **files; /* references */
    int32_t hops, class; /* of a datagram of IP: one more than what is wanted; 0: the socket's */
};
void scm_done(struct scm *scm);
/* From a guest's control messages. */
int64_t scm_from_guest(guest_t control, uint64_t size, struct scm *out);
/* As handles for PAL's socket_send: room for PAL_MESSAGE_HANDLES.  handles[0] is a section that the caller closes. */
int64_t scm_pack(const struct scm *scm, pal_handle_t *handles, uint32_t *count);
/* Takes all handles. */
void scm_unpack(const pal_handle_t *handles, uint32_t count, struct scm *out);

/* The bytes sent.  SIGPIPE is up to the caller. */
int64_t socket_send(struct file *file, const struct pal_vector *vector, uint32_t count, const struct socket_end *to,
                    const struct scm *scm, uint32_t flags);
struct received {
    struct socket_end from;
    uint32_t flags;       /* MSG_TRUNC, MSG_CTRUNC */
    bool wants_scm;    /* in: the caller has room for one */
    struct scm scm; /* scm_done */
};
/* Sends when there is room, at the latest by the socket's timeout. */
int64_t send_timed(struct file *file, pal_handle_t handle, const struct pal_message *message, uint32_t flags);
/* Receives, at the latest by the socket's timeout. */
int64_t receive_timed(struct file *file, struct pal_message *message, uint32_t flags);
/* A datagram with its head; without, it is the end of a pair. */
int64_t receive_datagram(pal_handle_t queue, struct pal_message *message, uint32_t flags, struct socket_end *from);
int64_t socket_receive(struct file *file, const struct pal_vector *vector, uint32_t count, uint32_t flags,
                       struct received *out);
#endif
