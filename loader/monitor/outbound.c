/* SPDX-License-Identifier: MIT */
/*
 * The host's network, as far as policy lets a sandbox reach it.  The monitor makes and connects each socket itself and
 * hands it over while the connection is on its way: a guest can't have it lead anywhere else, since it can neither
 * connect, nor name an address when it sends, nor set an option that names one (serve_option; docs/security.md).
 *
 * One function decides (outbound_check), by number: what a name led to was learnt when the sandbox's resolver answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"
#include "loader/proof/proof.h"

union address { struct sockaddr any; struct sockaddr_in in4; struct sockaddr_in6 in6; };

static socklen_t to_host(const uint8_t address[16], uint16_t port, union address *out)
{
    memset(out, 0, sizeof *out);
    if (address_is_4(address)) {
        out->in4.sin_family = AF_INET;
        out->in4.sin_port = htons(port);
        memcpy(&out->in4.sin_addr, address + 12, 4);
        return sizeof out->in4;
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(port);
    memcpy(&out->in6.sin6_addr, address, 16);
    return sizeof out->in6;
}

static void from_host(const union address *from, uint8_t address[16], uint16_t *port)
{
    memset(address, 0, 16);
    if (from->any.sa_family == AF_INET) {
        address[10] = address[11] = 0xff;
        memcpy(address + 12, &from->in4.sin_addr, 4);
        *port = ntohs(from->in4.sin_port);
    } else {
        memcpy(address, &from->in6.sin6_addr, 16);
        *port = ntohs(from->in6.sin6_port);
    }
}

static const char *shown(const uint8_t address[16], uint16_t port, char out[80])
{
    char text[INET6_ADDRSTRLEN];
    if (address_is_4(address))
        snprintf(out, 80, "%s:%u", inet_ntop(AF_INET, address + 12, text, sizeof text), port);
    else
        snprintf(out, 80, "[%s]:%u", inet_ntop(AF_INET6, address, text, sizeof text), port);
    return out;
}

/* ---- The host's own addresses ------------------------------------------------------------------------------------ */

static void own_read(struct outbound *outbound)
{
    struct ifaddrs *all;
    size_t count = 0;
    if (getifaddrs(&all) < 0)
        return;
    for (struct ifaddrs *one = all; one; one = one->ifa_next)
        count++;
    uint8_t(*own)[16] = calloc(count + 1, sizeof *own);
    outbound->own_count = 0;
    for (struct ifaddrs *one = all; own && one; one = one->ifa_next) {
        uint16_t port;
        if (one->ifa_addr && (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6))
            from_host((const union address *)one->ifa_addr, own[outbound->own_count++], &port);
    }
    freeifaddrs(all);
    free(outbound->own);
    outbound->own = own;
}

/* The kernel tells of changes before a connect by the new address can be tried. */
static bool is_own(struct outbound *outbound, const uint8_t address[16])
{
    char bytes[4096];
    bool changed = !outbound->own;
    if (outbound->changes < 0) {
        struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
        outbound->changes = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (outbound->changes >= 0 && bind(outbound->changes, (struct sockaddr *)&name, sizeof name) < 0) {
            close(outbound->changes);
            outbound->changes = -1;
        }
        changed = true; /* where it can't be had: each time anew */
    }
    while (outbound->changes >= 0 && (recv(outbound->changes, bytes, sizeof bytes, 0) >= 0 || errno == ENOBUFS))
        changed = true;
    if (changed)
        own_read(outbound);
    for (size_t i = 0; outbound->own && i < outbound->own_count; i++)
        if (!memcmp(outbound->own[i], address, 16))
            return true;
    return !outbound->own; /* it can't be told */
}

/* ---- Policy ------------------------------------------------------------------------------------------------------ */

static struct binding *find(struct outbound *outbound, const uint8_t address[16])
{
    for (size_t i = 0; i < outbound->binding_count; i++)
        if (!memcmp(outbound->bindings[i].address, address, 16))
            return &outbound->bindings[i];
    return NULL;
}

void outbound_learn(struct outbound *outbound, const uint8_t address[16], uint64_t rules)
{
    struct binding *binding = find(outbound, address);
    if (!outbound->bindings && !(outbound->bindings = calloc(BINDINGS_MAX, sizeof *outbound->bindings)))
        return;
    if (!binding && outbound->binding_count < BINDINGS_MAX)
        binding = &outbound->bindings[outbound->binding_count++];
    else if (!binding)
        binding = &outbound->bindings[outbound->next++ % BINDINGS_MAX];
    if (memcmp(binding->address, address, 16) != 0)
        *binding = (struct binding){.rules = 0};
    memcpy(binding->address, address, 16);
    binding->rules |= rules;
}

static int refuse(struct outbound *outbound, const uint8_t address[16], bool udp, uint16_t port, const char *reason)
{
    char text[80], line[96];
    if (outbound->quiet)
        return -EACCES;
    int size = snprintf(line, sizeof line, "%s%s", udp ? "udp://" : "", shown(address, port, text));
    denials_add(outbound->denials, DENIED_NETWORK, line, (size_t)size, reason);
    return -EACCES;
}

static const char no_rule[] = "network: no rule has this name: allow with --net NAME[:PORT]";

void outbound_refused(struct outbound *outbound, const char *name)
{
    char *copy = strdup(name), **slot = &outbound->refused[outbound->refused_next++ % REFUSED_MAX];
    free(*slot);
    *slot = copy;
    if (!outbound->denials->asking) /* else its connection is asked about */
        denials_add(outbound->denials, DENIED_NETWORK, name, strlen(name), no_rule);
}

/* The last refused name that has this marker; or NULL. */
static const char *name_of_marker(const struct outbound *outbound, const uint8_t address[16])
{
    for (size_t i = 1; i <= REFUSED_MAX && i <= outbound->refused_next; i++) {
        const char *name = outbound->refused[(outbound->refused_next - i) % REFUSED_MAX];
        uint8_t its[16];
        if (!name)
            continue;
        network_marker(name, its);
        if (!memcmp(its, address, sizeof its))
            return name;
    }
    return NULL;
}

/* The name was noted when it was asked for; now its port is known. */
static int refuse_marker(struct outbound *outbound, const uint8_t address[16], bool udp, uint16_t port)
{
    char line[300];
    const char *name = outbound->quiet ? NULL : name_of_marker(outbound, address);
    if (name) {
        snprintf(line, sizeof line, "%s%s:%u", udp ? "udp://" : "", name, port);
        denials_amend(outbound->denials, name, line, no_rule);
    }
    return -EACCES;
}

void outbound_grant(struct outbound *outbound, const char *name, const uint8_t address[16])
{
    struct granted_name *slot = &outbound->granted[0];
    while (slot < &outbound->granted[outbound->granted_count] && strcmp(slot->name, name) != 0)
        slot++;
    if (slot == &outbound->granted[NET_RULES_MAX])
        return;
    outbound->granted_count += slot == &outbound->granted[outbound->granted_count];
    slot->name = name;
    memcpy(slot->address, address, sizeof slot->address);
}

void outbound_redirect(const struct outbound *outbound, uint8_t address[16])
{
    const char *name = outbound->granted_count && address_is_marker(address) ? name_of_marker(outbound, address) : NULL;
    for (size_t i = 0; name && i < outbound->granted_count; i++)
        if (!strcmp(outbound->granted[i].name, name))
            memcpy(address, outbound->granted[i].address, 16);
}

bool outbound_is_by(struct outbound *outbound, size_t rule, const uint8_t address[16], bool udp, uint16_t port)
{
    const struct net_rule *is = &outbound->network->rules[rule];
    struct network alone = {.rule_count = 1, .rules = {*is}};
    const struct binding *binding = find(outbound, address);
    if (is->name)
        return binding && binding->rules >> rule & 1 && net_rule_port(is, udp, port);
    return network_match_address(&alone, address, udp, port);
}

/* The rules by which a name that led there may be connected to. */
static uint64_t granting(struct outbound *outbound, const struct binding *binding, const uint8_t address[16], bool udp,
                         uint16_t port, bool *has_port)
{
    bool public = address_is_public(address) && !is_own(outbound, address);
    uint64_t rules = 0;
    *has_port = false;
    for (size_t i = 0; i < outbound->network->rule_count; i++) {
        const struct net_rule *rule = &outbound->network->rules[i];
        if (!(binding->rules >> i & 1) || !net_rule_port(rule, udp, port))
            continue;
        *has_port = true;
        if (public || rule->private)
            rules |= 1ull << i;
    }
    return rules;
}

int outbound_check(struct outbound *outbound, const uint8_t address[16], bool udp, uint16_t port)
{
    const struct network *network = outbound->network;
    if (address_is_marker(address))
        return refuse_marker(outbound, address, udp, port);
    if (network->mode == NETWORK_HOST || (udp && network->udp_any && network->mode == NETWORK_RULES))
        return 0;
    if (network->mode != NETWORK_RULES)
        return refuse(outbound, address, udp, port, "no network: allow it with --net ADDRESS:PORT");
    if (network_match_address(network, address, udp, port))
        return 0;
    const struct binding *binding = find(outbound, address);
    if (!binding)
        return refuse(outbound, address, udp, port, "network: no allowed name has this address: allow it with --net ADDRESS:PORT");
    bool has_port;
    if (granting(outbound, binding, address, udp, port, &has_port))
        return 0;
    return refuse(outbound, address, udp, port,
                  has_port ? "network: a private address, or the host's own: add 'private' to the name's rule"
                           : "network: no rule of the name has this port: allow with --net NAME:PORT");
}

uint64_t outbound_due(struct outbound *outbound, const uint8_t address[16], uint16_t port)
{
    const struct network *network = outbound->network;
    const struct binding *binding = find(outbound, address);
    bool has_port;
    if (network->mode != NETWORK_RULES || (port != 80 && port != 443) || !binding ||
        network_match_address(network, address, false, port))
        return 0;
    uint64_t rules = granting(outbound, binding, address, false, port, &has_port);
    for (size_t i = 0; i < network->rule_count; i++)
        if (rules >> i & 1 && network->rules[i].raw)
            return 0;
    return rules;
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

/* A TCP socket on its way, and its own name; or -errno. */
static int stream_socket(const struct pal_inet *to, struct pal_inet *own)
{
    union address name = {0};
    socklen_t size = to_host(to->address, to->port, &name);
    int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return -errno;
    if (connect(fd, &name.any, size) < 0 && errno != EINPROGRESS) {
        int error = -errno;
        close(fd);
        return error;
    }
    char text[80];
    event_connected(shown(to->address, to->port, text));
    *own = (struct pal_inet){.flags = PAL_INET_HOST};
    size = sizeof name;
    if (getsockname(fd, &name.any, &size) == 0)
        from_host(&name, own->address, &own->port);
    return fd;
}

static void give(struct reply *reply, int fd, const void *told, size_t size)
{
    memcpy(reply->text.bytes, told, size);
    reply->text.size = size;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
}

int outbound_connect(const struct pal_inet *to, struct reply *reply)
{
    struct pal_inet own;
    int fd = stream_socket(to, &own);
    if (fd < 0)
        return fd;
    give(reply, fd, &own, sizeof own);
    return 0;
}

/* ---- First bytes ------------------------------------------------------------------------------------------------- */

int outbound_connect_named(struct monitor *monitor, const struct pal_inet *to, uint64_t rules, struct reply *reply)
{
    struct pal_inet_first told = {.number = 0};
    struct proof_target target = {.port = to->port, .rules = rules};
    int fd = stream_socket(to, &told.own), standing;
    if (fd < 0)
        return fd;
    memcpy(target.address, to->address, sizeof target.address);
    int64_t number = proof_begin(monitor->uv, fd, &target, &standing);
    if (number < 0) {
        close(fd);
        return (int)number;
    }
    told.number = (uint64_t)number;
    told.own.flags |= PAL_INET_FIRST;
    give(reply, standing, &told, sizeof told);
    return 0;
}

static int refuse_first(struct outbound *outbound, const struct proof *proof, enum proof_state state, const char *name)
{
    char text[80], line[300];
    const struct proof_target *target = proof_target(proof);
    int size = snprintf(line, sizeof line, "%s", shown(target->address, target->port, text));
    const char *reason = "network: what it sends first is neither TLS nor HTTP that names a host: add 'raw' to the name's rule";
    if (state == PROOF_HIDDEN)
        reason = "network: TLS hides the host's name (ECH): switch that off, or add 'raw' to the name's rule";
    if (name) {
        size = snprintf(line, sizeof line, "%s:%u", name, target->port);
        reason = "network: a connection names this host, and no rule that led there has it: allow with --net NAME:PORT";
    }
    denials_add(outbound->denials, DENIED_NETWORK, line, (size_t)size, reason);
    return -EACCES;
}

int outbound_first(struct outbound *outbound, uint64_t number, struct pal_inet *to, struct reply *reply)
{
    struct proof *proof = proof_find(number);
    struct proof_names names;
    if (!proof)
        return -ECONNRESET;
    const struct proof_target *target = proof_target(proof);
    memcpy(to->address, target->address, sizeof to->address);
    to->port = target->port;
    if (!proof_is_passed(proof)) {
        int state = proof_look(proof, &names);
        if (state < 0 || state == PROOF_MORE)
            return state < 0 ? state : -EAGAIN;
        if (state != PROOF_NAMED)
            return refuse_first(outbound, proof, (enum proof_state)state, NULL);
        uint64_t rules = target->rules | outbound_due(outbound, to->address, to->port);
        for (unsigned i = 0; i < names.count; i++)
            if (!(network_match_name(outbound->network, names.names[i]) & rules))
                return refuse_first(outbound, proof, PROOF_NAMED, names.names[i]);
    }
    int fd = proof_pass(proof);
    if (fd < 0)
        return fd;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    return 0;
}

/* ---- UDP --------------------------------------------------------------------------------------------------------- */

/* A UDP socket that is connected, so that it can neither reach nor hear anybody else, unless `any`.  own NULL: any port. */
static int datagram_socket(const union address *own, const union address *to, socklen_t size, bool any)
{
    const union address no_name = {.any.sa_family = to->any.sa_family};
    int one = 1, fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return -errno;
    /* Not SO_REUSEADDR: with it any user of the host could have the port as well. */
    own = !own && any ? &no_name : own;
    if (any && to->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 || (own && bind(fd, &own->any, size) < 0) ||
        (!any && connect(fd, &to->any, size) < 0)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int outbound_datagrams(const struct pal_inet *to, int like, bool any, struct reply *reply)
{
    union address name = {0}, own = {0};
    struct pal_inet told = {.flags = any ? PAL_INET_HOST | PAL_INET_ANY : PAL_INET_HOST};
    uint8_t unused[16], byte;
    uint16_t port = 0;
    int kind = 0;
    socklen_t size = to_host(to->address, to->port, &name), room = sizeof kind;
    if (like >= 0) {
        if (getsockopt(like, SOL_SOCKET, SO_TYPE, &kind, &room) < 0 || kind != SOCK_DGRAM)
            return -EINVAL;
        room = sizeof own;
        if (getsockname(like, &own.any, &room) < 0 || (own.any.sa_family != AF_INET && own.any.sa_family != AF_INET6))
            return -EINVAL;
        from_host(&own, unused, &port);
        memset(&own, 0, sizeof own);
        own.any.sa_family = name.any.sa_family;
        if (name.any.sa_family == AF_INET)
            own.in4.sin_port = htons(port);
        else
            own.in6.sin6_port = htons(port);
    }
    int fd = datagram_socket(port ? &own : NULL, &name, size, any);
    if (fd < 0)
        return fd;
    while (port && !any && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0) /* others', from before it was connected */
        ;
    room = sizeof own;
    if (getsockname(fd, &own.any, &room) == 0)
        from_host(&own, told.address, &told.port);
    char line[96], text[80];
    snprintf(line, sizeof line, "udp://%s", any ? "any" : shown(to->address, to->port, text));
    event_connected(line);
    give(reply, fd, &told, sizeof told);
    return 0;
}

int outbound_published(const struct outbound *outbound, bool udp, const struct pal_inet *at)
{
    for (size_t i = 0; i < outbound->network->publish_count; i++) {
        const struct net_publish *publish = &outbound->network->publish[i];
        if (publish->port == at->port && publish->udp == udp &&
            (!publish->dynamic || !memcmp(publish->address, at->address, sizeof at->address)))
            return (int)i;
    }
    return -1;
}

/* Bound as the sandbox has it.  0 or a negative errno. */
static int publish_bind(struct net_publish *publish, bool only_6)
{
    union address name = {0};
    int one = 1, only = only_6;
    socklen_t size = to_host(publish->address, publish->host_port, &name);
    publish->socket = socket(name.any.sa_family, (publish->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (publish->socket < 0)
        return -errno;
    setsockopt(publish->socket, SOL_SOCKET, publish->udp ? SO_REUSEPORT : SO_REUSEADDR, &one, sizeof one);
    if (name.any.sa_family == AF_INET6)
        setsockopt(publish->socket, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    return bind(publish->socket, &name.any, size) < 0 ? -errno : 0;
}

int outbound_publish(struct network *network, bool udp, const struct pal_inet *at)
{
    size_t i = 0;
    while (i < network->publish_count && network->publish[i].port)
        i++;
    if (i == NET_PORTS_MAX)
        return -ENOBUFS;
    struct net_publish *publish = &network->publish[i];
    *publish = (struct net_publish){.host_port = at->port, .port = at->port, .udp = udp, .dynamic = true};
    memcpy(publish->address, at->address, sizeof publish->address);
    network->publish_count += i == network->publish_count;
    int error = publish_bind(publish, at->flags & PAL_INET_ONLY_6);
    if (error)
        outbound_unpublish(publish);
    return error ? error : (int)i;
}

void outbound_unpublish(struct net_publish *publish)
{
    if (publish->socket >= 0)
        close(publish->socket);
    *publish = (struct net_publish){.socket = -1};
}

bool outbound_host_port(const struct outbound *outbound, bool udp, uint16_t port)
{
    if (outbound->network->shared)
        return true;
    for (size_t i = 0; i < outbound->network->host_port_count; i++)
        if (outbound->network->host_ports[i].port == port && outbound->network->host_ports[i].udp == udp)
            return true;
    return false;
}

static void check_listeners(const struct network *network)
{
    for (int i = 0; i < (int)network->listener_count; i++) {
        int fd = NET_LISTENERS_FIRST + i, listens = 0, domain = 0;
        socklen_t size = sizeof listens, room = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
            getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &room) < 0 || (domain != AF_INET && domain != AF_INET6))
            fail(EXIT_OWN_FAILURE, "--listen-fds: descriptor %d is not a TCP listener", fd);
    }
}

int outbound_listener(const struct outbound *outbound, uint16_t number, struct reply *reply)
{
    struct pal_inet own = {.flags = PAL_INET_HOST};
    union address name = {0};
    socklen_t size = sizeof name;
    if (number >= outbound->network->listener_count)
        return -EBADF;
    int fd = dup(NET_LISTENERS_FIRST + number);
    if (fd < 0)
        return -errno;
    reply->descriptors[0] = fd;
    reply->packet.descriptors = 1;
    if (getsockname(fd, &name.any, &size) < 0)
        return -errno;
    from_host(&name, own.address, &own.port);
    own.flags |= name.any.sa_family == AF_INET6 ? PAL_INET_6 : 0;
    memcpy(reply->text.bytes, &own, sizeof own);
    reply->text.size = sizeof own;
    return 0;
}

void outbound_open(struct outbound *outbound, struct network *network, struct denials *denials)
{
    check_listeners(network);
    *outbound = (struct outbound){.network = network, .denials = denials, .changes = -1};
    for (size_t i = 0; i < network->publish_count; i++) {
        struct net_publish *publish = &network->publish[i];
        char text[80];
        int error = publish_bind(publish, true);
        if (error)
            fail(EXIT_OWN_FAILURE, "can't publish at %s%s of the host: %s", publish->udp ? "udp://" : "",
                 shown(publish->address, publish->host_port, text), strerror(-error));
    }
}

/* ---- Published UDP ----------------------------------------------------------------------------------------------- */

static struct { struct datagram_head head; uint8_t bytes[65536]; } arrived;

static void pass_on(const struct net_publish *publish, int queue, size_t size, const union address *from, int fd)
{
    arrived.head = (struct datagram_head){.size = sizeof arrived.head.from, .to = {.port = publish->port}};
    from_host(from, arrived.head.from.address, &arrived.head.from.port);
    arrived.head.from.flags = PAL_INET_HOST;
    arrived.head.to.address[10] = arrived.head.to.address[11] = 0xff;
    arrived.head.to.address[12] = 127;
    arrived.head.to.address[15] = 1;
    send_with(queue, &arrived, sizeof arrived.head + size, &fd, fd >= 0); /* no room: lost, as datagrams may be */
}

/* What is there: -1 = nothing. */
static ssize_t take(int socket, union address *from)
{
    socklen_t size = sizeof *from;
    ssize_t got = recvfrom(socket, arrived.bytes, sizeof arrived.bytes, MSG_DONTWAIT, &from->any, &size);
    return got < 0 && errno == ECONNREFUSED ? take(socket, from) : got;
}

/*
 * Only senders may be answered: so each sender gets a socket of its own, and its datagrams
 * come there from then on.  What others sent meanwhile may lie in it as well: it goes on without one.
 */
void outbound_arrived(const struct net_publish *publish, int queue)
{
    union address from = {0}, other = {0}, own = {0};
    socklen_t size = sizeof own;
    if (getsockname(publish->socket, &own.any, &size) < 0)
        return;
    for (int turn = 0; turn < 64; turn++) {
        ssize_t got = take(publish->socket, &from);
        if (got < 0)
            return;
        int fd = datagram_socket(&own, &from, size, false);
        pass_on(publish, queue, (size_t)got, &from, fd < 0 ? -1 : fd);
        while (fd >= 0 && (got = take(fd, &other)) >= 0)
            pass_on(publish, queue, (size_t)got, &other, -1);
        if (fd >= 0)
            close(fd);
    }
}

void outbound_discard(const struct net_publish *publish)
{
    union address from = {0};
    for (int turn = 0; turn < 4096 && take(publish->socket, &from) >= 0; turn++)
        ;
}

/*
 * Exact pairs: many options name another peer (IPV6_RTHDR, IPV6_PKTINFO), interface or route, for anybody to set.
 */
static bool may_set(int level, int option)
{
    static const struct { int level, option; } allowed[] = {
        {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_LINGER}, {SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_SNDBUF},
        {SOL_SOCKET, SO_RCVLOWAT}, {SOL_SOCKET, SO_OOBINLINE}, {SOL_SOCKET, SO_PRIORITY},
        {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_CORK}, {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPINTVL},
        {IPPROTO_TCP, TCP_KEEPCNT}, {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_TCP, TCP_USER_TIMEOUT},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
        {IPPROTO_IP, IP_TOS}, {IPPROTO_IPV6, IPV6_TCLASS},
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i].level == level && allowed[i].option == option)
            return true;
    return false;
}

int serve_option(struct objects *objects, const struct request *request)
{
    int level = (int)(request->arguments[1] >> 32), option = (int)(uint32_t)request->arguments[1], domain = 0, error = 0;
    socklen_t size = sizeof domain;
    if (!may_set(level, option))
        return -ENOPROTOOPT;
    int fd = member_descriptor(objects, request->sender, (int)request->arguments[0]);
    if (fd < 0)
        return fd;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
        error = -errno;
    else if (domain != AF_INET && domain != AF_INET6)
        error = -EOPNOTSUPP;
    else if (setsockopt(fd, level, option, request->other, (socklen_t)request->other_size) < 0)
        error = -errno;
    close(fd);
    return error;
}
