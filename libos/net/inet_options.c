/* SPDX-License-Identifier: MIT */
/*
 * Options of TCP and UDP sockets: socket(7), tcp(7), ip(7), ipv6(7), udp(7).  On the loopback most change nothing that a
 * program could see: they are kept and told.  What would change something and is not done is refused, as by a kernel
 * without it (UDP_SEGMENT, TCP_ULP).
 */
#include "libos/net/inet.h"

#define SO_REUSEADDR 2
#define SO_PRIORITY 12
#define SO_LINGER 13
#define TCP_MAXSEG 2
#define TCP_INFO 11
#define TCP_CONGESTION 13
#define TCP_ULP 31
#define TCP_REPAIR 19
#define IP_MTU 14
#define IP_ADD_MEMBERSHIP 35
#define IP_DROP_MEMBERSHIP 36
#define IPV6_V6ONLY 26
#define IPV6_MTU 24
#define IPV6_ADD_MEMBERSHIP 20
#define IPV6_DROP_MEMBERSHIP 21
#define SEGMENT_MAX 65483
#define SEGMENT_LEAST 88
#define SEGMENT_SET_MOST 32767
#define SO_BINDTODEVICE 25
#define SO_MARK 36
#define LOOPBACK_MTU 65536

enum { HOST = 32 /* also set on the host's socket, where there is one */, ANY = 0, STREAM = 1, DATAGRAM = 2, ONLY_6 = 4, UNBOUND = 8, FLAG = 16 /* any value but 0 is told as 1 */ };

/* kept[i] is rows[i]'s. */
static const struct row {
    uint8_t level, option, where; /* where: the flags above */
    int32_t initial, least, most;
} rows[] = {
    {SOL_SOCKET, SO_REUSEADDR, FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 15 /* SO_REUSEPORT */, FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 9 /* SO_KEEPALIVE */, HOST | FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 6 /* SO_BROADCAST */, FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 5 /* SO_DONTROUTE */, FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 10 /* SO_OOBINLINE */, HOST | FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, SO_PRIORITY, HOST | ANY, 0, 0, 6}, /* more: a privilege */
    {SOL_SOCKET, 14 /* SO_BSDCOMPAT */, FLAG, 0, 0, 0},
    {SOL_SOCKET, 18 /* SO_RCVLOWAT */, HOST | ANY, 1, 0, INT32_MAX},
    {SOL_SOCKET, 11 /* SO_NO_CHECK */, FLAG, 0, INT32_MIN, INT32_MAX},
    {SOL_SOCKET, 46 /* SO_BUSY_POLL */, ANY, 0, 0, INT32_MAX},
    {SOL_SOCKET, 49 /* SO_INCOMING_CPU */, ANY, -1, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 1 /* TCP_NODELAY */, HOST | STREAM | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 3 /* TCP_CORK */, HOST | STREAM | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 4 /* TCP_KEEPIDLE */, HOST | STREAM, 7200, 1, 32767},
    {IPPROTO_TCP, 5 /* TCP_KEEPINTVL */, HOST | STREAM, 75, 1, 32767},
    {IPPROTO_TCP, 6 /* TCP_KEEPCNT */, HOST | STREAM, 9, 1, 127},
    {IPPROTO_TCP, 7 /* TCP_SYNCNT */, STREAM, 6, 1, 127},
    {IPPROTO_TCP, 8 /* TCP_LINGER2 */, STREAM, 60, -1, 120},
    {IPPROTO_TCP, 9 /* TCP_DEFER_ACCEPT */, STREAM, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 10 /* TCP_WINDOW_CLAMP */, STREAM, 0, 0, INT32_MAX},
    {IPPROTO_TCP, 12 /* TCP_QUICKACK */, HOST | STREAM | FLAG, 1, INT32_MIN, INT32_MAX},
    {IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, HOST | STREAM, 0, 0, INT32_MAX},
    {IPPROTO_TCP, 25 /* TCP_NOTSENT_LOWAT */, HOST | STREAM, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 1 /* IP_TOS */, HOST | ANY, 0, 0, 255},
    {IPPROTO_IP, 2 /* IP_TTL */, ANY, 64, -1, 255},
    {IPPROTO_IP, 8 /* IP_PKTINFO */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 10 /* IP_MTU_DISCOVER */, ANY, 1, 0, 5},
    {IPPROTO_IP, 11 /* IP_RECVERR */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 12 /* IP_RECVTTL */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 13 /* IP_RECVTOS */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 15 /* IP_FREEBIND */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 33 /* IP_MULTICAST_TTL */, ANY, 1, -1, 255},
    {IPPROTO_IP, 34 /* IP_MULTICAST_LOOP */, FLAG, 1, INT32_MIN, INT32_MAX},
    {IPPROTO_IP, 49 /* IP_MULTICAST_ALL */, FLAG, 1, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, IPV6_V6ONLY, ONLY_6 | UNBOUND | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 16 /* IPV6_UNICAST_HOPS */, ONLY_6, 64, -1, 255},
    {IPPROTO_IPV6, 18 /* IPV6_MULTICAST_HOPS */, ONLY_6, 1, -1, 255},
    {IPPROTO_IPV6, 19 /* IPV6_MULTICAST_LOOP */, ONLY_6 | FLAG, 1, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 23 /* IPV6_MTU_DISCOVER */, ONLY_6, 1, 0, 5},
    {IPPROTO_IPV6, 25 /* IPV6_RECVERR */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */, ONLY_6 | FLAG, 1, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 49 /* IPV6_RECVPKTINFO */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 51 /* IPV6_RECVHOPLIMIT */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 62 /* IPV6_DONTFRAG */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 66 /* IPV6_RECVTCLASS */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
    {IPPROTO_IPV6, 67 /* IPV6_TCLASS */, HOST | ONLY_6, 0, -1, 255},
    {IPPROTO_IPV6, 70 /* IPV6_AUTOFLOWLABEL */, ONLY_6 | FLAG, 0, INT32_MIN, INT32_MAX},
};
_Static_assert(COUNT_OF(rows) <= INET_OPTIONS, "room in struct socket");

static const struct row *find(const struct socket *socket, int32_t level, int32_t option)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        if (row->level != level || row->option != option)
            continue;
        bool fits = !(row->where & ONLY_6) || socket->domain == AF_INET6;
        if (row->where & (STREAM | DATAGRAM))
            fits = fits && row->where & (socket->kind == SOCK_STREAM ? STREAM : DATAGRAM);
        return fits ? row : NULL;
    }
    return NULL;
}

void inet_options_init(struct socket *socket)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        socket->kept[i] = rows[i].initial;
}

bool inet_option(const struct socket *socket, int32_t level, int32_t option)
{
    const struct row *row = find(socket, level, option);
    return row && socket->kept[row - rows];
}

int32_t inet_option_value(const struct socket *socket, int32_t level, int32_t option)
{
    const struct row *row = find(socket, level, option);
    return row ? socket->kept[row - rows] : -1;
}

/* struct tcp_info, of a connection that loses nothing. */
static int64_t tcp_info(const struct socket *socket, uint8_t *out, uint32_t room)
{
    struct {
        uint8_t state, ca_state, retransmits, probes, backoff, options, scales, limited;
        uint32_t rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets, last_data_sent, last_ack_sent,
            last_data_recv, last_ack_recv, pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering,
            rcv_rtt, rcv_space, total_retrans;
    } info = {.state = socket->state == SOCKET_CONNECTED ? 1 : socket->state == SOCKET_LISTENS ? 10 : 7,
              .rto = 200000, .snd_mss = SEGMENT_MAX, .rcv_mss = SEGMENT_MAX, .pmtu = LOOPBACK_MTU, .rtt = 10,
              .rttvar = 5, .snd_ssthresh = INT32_MAX, .snd_cwnd = 10, .advmss = SEGMENT_MAX, .reordering = 3,
              .rcv_space = 65495};
    memcpy(out, &info, MIN(room, sizeof info));
    return MIN(room, sizeof info);
}

static int64_t number_out(int32_t number, void *out, uint32_t room)
{
    memcpy(out, &number, MIN(room, sizeof number));
    return MIN(room, sizeof number);
}

int64_t inet_option_get(struct file *file, struct socket *socket, int32_t level, int32_t option, void *out,
                        uint32_t room)
{
    const struct row *row = find(socket, level, option);
    (void)file;
    if (row)
        return number_out(socket->kept[row - rows], out, room);
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE)
        return 0;
    if ((level == SOL_SOCKET && option == SO_MARK) || (level == IPPROTO_TCP && socket->kind == SOCK_STREAM && option == TCP_REPAIR))
        return number_out(0, out, room);
    if (level == SOL_SOCKET && option == SO_LINGER) {
        memcpy(out, socket->linger, MIN(room, sizeof socket->linger));
        return MIN(room, sizeof socket->linger);
    }
    if (level == IPPROTO_TCP && socket->kind == SOCK_STREAM) {
        if (option == TCP_MAXSEG)
            return number_out(socket->state == SOCKET_CONNECTED ? SEGMENT_MAX : 536, out, room);
        if (option == TCP_INFO)
            return tcp_info(socket, out, room);
        if (option == TCP_CONGESTION) {
            memset(out, 0, MIN(room, 16u));
            memcpy(out, "cubic", MIN(room, 5u));
            return MIN(room, 16u);
        }
    }
    bool mtu = (level == IPPROTO_IP && option == IP_MTU) || (level == IPPROTO_IPV6 && option == IPV6_MTU);
    if (mtu)
        return socket->state == SOCKET_CONNECTED ? number_out(LOOPBACK_MTU, out, room) : -ENOTCONN;
    note_unsupported("getsockopt", (uint64_t)(uint32_t)level << 32 | (uint32_t)option);
    return -ENOPROTOOPT;
}

static void host_set(pal_handle_t handle, int32_t level, int32_t option, const void *value, uint32_t size)
{
    struct pal_option set = {.level = level, .option = option, .size = size};
    memcpy(set.value, value, size);
    PAL->stream_control(handle, PAL_CTL_OPTION, &set, sizeof set); /* of another family: it does without */
}

static bool has_host_socket(const struct file *file, const struct socket *socket)
{
    return atomic_get(&socket->native) && file->handle != PAL_NO_HANDLE && !inet_is_first(file);
}

static int64_t maximum_segment_set(guest_t value, uint32_t size)
{
    int32_t number;
    if (size < sizeof number)
        return -EINVAL;
    if (copy_in(&number, value, sizeof number))
        return -EFAULT;
    return number && (number < SEGMENT_LEAST || number > SEGMENT_SET_MOST) ? -EINVAL : 0;
}

/* What only a privileged process may set. */
static bool is_privileged(int32_t level, int32_t option)
{
    static const struct { uint8_t level, option; } options[] = {
        {SOL_SOCKET, 32 /* SO_SNDBUFFORCE */}, {SOL_SOCKET, 33 /* SO_RCVBUFFORCE */}, {SOL_SOCKET, 36 /* SO_MARK */},
        {IPPROTO_TCP, 19 /* TCP_REPAIR */}, {IPPROTO_IP, 16 /* IP_IPSEC_POLICY */}, {IPPROTO_IP, 17 /* IP_XFRM_POLICY */},
        {IPPROTO_IP, 19 /* IP_TRANSPARENT */}, {IPPROTO_IPV6, 34 /* IPV6_IPSEC_POLICY */},
        {IPPROTO_IPV6, 35 /* IPV6_XFRM_POLICY */}, {IPPROTO_IPV6, 75 /* IPV6_TRANSPARENT */},
    };
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (options[i].level == level && options[i].option == option)
            return true;
    return false;
}

/* An interface's name: that there is one is told, but none is chosen. */
static int64_t device_set(guest_t value, uint32_t size)
{
    char name[16] = {0};
    if (copy_in(name, value, MIN(size, sizeof name - 1)))
        return -EFAULT;
    return !name[0] ? 0 : interface_named(name, sizeof name) ? -EPERM : -ENODEV;
}

static int64_t other_set(struct file *file, struct socket *socket, int32_t level, int32_t option, guest_t value, uint32_t size)
{
    if (level == SOL_SOCKET && option == SO_LINGER) {
        if (size < sizeof socket->linger)
            return -EINVAL;
        if (copy_in(socket->linger, value, sizeof socket->linger))
            return -EFAULT;
        if (has_host_socket(file, socket))
            host_set(file->handle, level, option, socket->linger, sizeof socket->linger);
        return 0;
    }
    if (level == IPPROTO_TCP && socket->kind == SOCK_STREAM) {
        char name[16] = {0};
        if (option == TCP_MAXSEG)
            return maximum_segment_set(value, size);
        if (option == TCP_CONGESTION)
            return copy_in(name, value, MIN(size, sizeof name - 1)) ? -EFAULT : strcmp(name, "cubic") ? -ENOENT : 0;
        if (option == TCP_ULP)
            return -ENOENT;
    }
    /* There is nobody but this sandbox: no interface takes groups. */
    if ((level == IPPROTO_IP && (option == IP_ADD_MEMBERSHIP || option == IP_DROP_MEMBERSHIP)) ||
        (level == IPPROTO_IPV6 && (option == IPV6_ADD_MEMBERSHIP || option == IPV6_DROP_MEMBERSHIP)))
        return -ENODEV;
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE)
        return device_set(value, size);
    if (size < sizeof(int32_t) && level != IPPROTO_IP)
        return -EINVAL;
    if (is_privileged(level, option))
        return -EPERM;
    note_unsupported("setsockopt", (uint64_t)(uint32_t)level << 32 | (uint32_t)option);
    return -ENOPROTOOPT;
}

void inet_options_apply(pal_handle_t handle, const struct socket *socket)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].where & HOST && socket->kept[i] != rows[i].initial)
            host_set(handle, rows[i].level, rows[i].option, &socket->kept[i], sizeof socket->kept[i]);
    if (socket->linger[0])
        host_set(handle, SOL_SOCKET, SO_LINGER, socket->linger, sizeof socket->linger);
}

int64_t inet_option_set(struct file *file, struct socket *socket, int32_t level, int32_t option, guest_t value, uint32_t size)
{
    const struct row *row = find(socket, level, option);
    int32_t number = 0;
    if (!row)
        return other_set(file, socket, level, option, value, size);
    uint32_t least = level == IPPROTO_IP ? 1 : sizeof number;
    if (size < least)
        return -EINVAL;
    if (copy_in(&number, value, MIN(size, sizeof number)))
        return -EFAULT;
    if (size < sizeof number)
        number &= 0xff; /* IP's may be a byte */
    if (row->where & UNBOUND && socket->own.size)
        return -EINVAL;
    if (number < row->least || number > row->most)
        return level == SOL_SOCKET && option == SO_PRIORITY ? -EPERM : row->least == row->most ? 0 : -EINVAL;
    if (number == -1 && row->least == -1)
        number = row->initial;
    socket->kept[row - rows] = row->where & FLAG ? number != 0 : number;
    if (row->where & HOST && has_host_socket(file, socket))
        host_set(file->handle, level, option, &socket->kept[row - rows], sizeof number);
    return 0;
}
