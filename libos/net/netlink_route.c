/* SPDX-License-Identifier: MIT */
/* rtnetlink(7): interfaces, their addresses and routes.  Changing anything is refused. */
#include "libos/net/inet.h"
#include "libos/net/netlink.h"

enum {
    NEW_LINK = 16, GET_LINK = 18, NEW_ADDRESS = 20, GET_ADDRESS = 22, NEW_ROUTE = 24, GET_ROUTE = 26,
};
#define IS_GET(type) ((type) % 4 == 2)
#define IFF_LOWER_UP 0x10000u
#define SCOPE_HOST 254
#define PERMANENT 0x80u
#define TABLE_MAIN 254
#define TABLE_LOCAL 255

struct link { uint8_t family, pad; uint16_t type; int32_t index; uint32_t flags, change; };
struct address { uint8_t family, prefix, flags, scope; uint32_t index; };
struct route { uint8_t family, to_size, from_size, tos, table, protocol, scope, type; uint32_t flags; };

static const uint8_t local_6[16] = {[15] = 1};

static void put_link(const struct interface *of, const struct netlink_request *request, uint32_t port,
                     struct netlink_packet *out)
{
    static const uint8_t none[6], everybody[6] = {255, 255, 255, 255, 255, 255}, stats[24 * 8];
    const struct link link = {.type = of->type, .index = (int32_t)of->index, .flags = of->flags | IFF_LOWER_UP};
    const uint32_t queue = 1000, one = 1, zero = 0, up = 6;
    bool loopback = of->index == 1;
    uint32_t at;
    netlink_begin(out, request, port, NEW_LINK, &link, sizeof link, &at);
    netlink_attribute(out, at, 3 /* IFLA_IFNAME */, of->name, (uint32_t)strlen(of->name) + 1);
    netlink_attribute(out, at, 13 /* IFLA_TXQLEN */, &queue, 4);
    netlink_attribute(out, at, 16 /* IFLA_OPERSTATE */, loopback ? &zero : &up, 1);
    netlink_attribute(out, at, 17 /* IFLA_LINKMODE */, &zero, 1);
    netlink_attribute(out, at, 4 /* IFLA_MTU */, &of->mtu, 4);
    netlink_attribute(out, at, 27 /* IFLA_GROUP */, &zero, 4);
    netlink_attribute(out, at, 30 /* IFLA_PROMISCUITY */, &zero, 4);
    netlink_attribute(out, at, 31 /* IFLA_NUM_TX_QUEUES */, &one, 4);
    netlink_attribute(out, at, 32 /* IFLA_NUM_RX_QUEUES */, &one, 4);
    netlink_attribute(out, at, 33 /* IFLA_CARRIER */, &one, 1);
    netlink_attribute(out, at, 6 /* IFLA_QDISC */, "noqueue", 8);
    netlink_attribute(out, at, 1 /* IFLA_ADDRESS */, of->hardware, sizeof of->hardware);
    netlink_attribute(out, at, 2 /* IFLA_BROADCAST */, loopback ? none : everybody, sizeof none);
    netlink_attribute(out, at, 7 /* IFLA_STATS */, stats, sizeof stats / 2);
    netlink_attribute(out, at, 23 /* IFLA_STATS64 */, stats, sizeof stats);
}

static void put_address(const struct interface *of, const struct netlink_request *request, uint32_t port,
                        uint8_t family, struct netlink_packet *out)
{
    const struct { uint32_t preferred, valid, created, updated; } cache = {UINT32_MAX, UINT32_MAX, 0, 0};
    const uint32_t flags = PERMANENT;
    bool is_4 = family == AF_INET;
    const struct address address = {family, is_4 ? of->prefix : of->prefix_6, PERMANENT, of->scope, of->index};
    const uint8_t *own = is_4 ? of->address : of->address_6;
    uint32_t at, size = is_4 ? sizeof of->address : sizeof of->address_6;
    netlink_begin(out, request, port, NEW_ADDRESS, &address, sizeof address, &at);
    netlink_attribute(out, at, 1 /* IFA_ADDRESS */, own, size);
    if (is_4) {
        netlink_attribute(out, at, 2 /* IFA_LOCAL */, own, size);
        if (of->broadcast[0])
            netlink_attribute(out, at, 4 /* IFA_BROADCAST */, of->broadcast, size);
        netlink_attribute(out, at, 3 /* IFA_LABEL */, of->name, (uint32_t)strlen(of->name) + 1);
    }
    netlink_attribute(out, at, 8 /* IFA_FLAGS */, &flags, sizeof flags);
    netlink_attribute(out, at, 6 /* IFA_CACHEINFO */, &cache, sizeof cache);
}

/* What is on the interface itself; through: by its gateway, all that is elsewhere. */
static void put_route(const struct interface *of, const struct netlink_request *request, uint32_t port, uint8_t family,
                      bool through, struct netlink_packet *out)
{
    bool is_4 = family == AF_INET, loopback = of->index == 1;
    uint8_t net[16] = {0}, bits = through ? 0 : !is_4 ? of->prefix_6 : of->prefix;
    const struct route route = {.family = family, .to_size = bits, .table = loopback ? TABLE_LOCAL : TABLE_MAIN,
                                .protocol = through ? 3 /* RTPROT_BOOT */ : 2 /* RTPROT_KERNEL */,
                                .scope = loopback && is_4 ? SCOPE_HOST : is_4 && !through ? 253 /* link */ : 0,
                                .type = loopback ? 2 /* RTN_LOCAL */ : 1 /* RTN_UNICAST */};
    const uint32_t table = route.table;
    uint32_t at;
    memcpy(net, is_4 ? of->address : of->address_6, bits / 8);
    netlink_begin(out, request, port, NEW_ROUTE, &route, sizeof route, &at);
    netlink_attribute(out, at, 15 /* RTA_TABLE */, &table, sizeof table);
    if (!through)
        netlink_attribute(out, at, 1 /* RTA_DST */, net, is_4 ? 4 : 16);
    else
        netlink_attribute(out, at, 5 /* RTA_GATEWAY */, is_4 ? gateway_4 : gateway_6, is_4 ? 4 : 16);
    if (is_4 && !through)
        netlink_attribute(out, at, 7 /* RTA_PREFSRC */, of->address, sizeof of->address);
    netlink_attribute(out, at, 4 /* RTA_OIF */, &of->index, sizeof of->index);
}

/* An attribute of a request: its bytes, or NULL. */
static const char *attribute(const char *bytes, uint32_t size, uint16_t wanted, uint32_t *out_size)
{
    struct { uint16_t size, type; } head;
    for (uint32_t at = 0; size - at >= sizeof head;) {
        memcpy(&head, bytes + at, sizeof head);
        if (head.size < sizeof head || head.size > size - at)
            break;
        if ((head.type & 0x3fff) == wanted) {
            *out_size = head.size - (uint32_t)sizeof head;
            return bytes + at + sizeof head;
        }
        at += MIN((head.size + 3u) & ~3u, size - at);
    }
    return NULL;
}

static int64_t one_link(const struct netlink_request *request, const char *body, uint32_t size, uint32_t port,
                        struct netlink_packet *out)
{
    struct link link;
    uint32_t name_size = 0;
    if (size < sizeof link)
        return -EINVAL;
    memcpy(&link, body, sizeof link);
    const char *name = attribute(body + sizeof link, size - (uint32_t)sizeof link, 3 /* IFLA_IFNAME */, &name_size);
    if (!name)
        name = attribute(body + sizeof link, size - (uint32_t)sizeof link, 53 /* IFLA_ALT_IFNAME */, &name_size);
    if (!link.index && !name)
        return -EINVAL;
    const struct interface *of = link.index > 0 ? interface_at((uint32_t)link.index - 1)
                                 : link.index   ? NULL : interface_named(name, name_size);
    if (!of || (name && of != interface_named(name, name_size)))
        return -ENODEV;
    put_link(of, request, port, out);
    return 0;
}

static int64_t one_route(const struct netlink_request *request, const char *body, uint32_t size, uint32_t port,
                         struct netlink_packet *out)
{
    struct route route;
    uint32_t to_size = 0;
    if (size < sizeof route)
        return -EINVAL;
    memcpy(&route, body, sizeof route);
    const char *to = attribute(body + sizeof route, size - (uint32_t)sizeof route, 1 /* RTA_DST */, &to_size);
    bool local = to && ((to_size == 4 && to[0] == 127) || (to_size == 16 && !memcmp(to, local_6, 16)));
    const struct interface *of = interface_at(!local);
    if (!of || (to_size == 16 && !interface_has_6(of)))
        return -ENETUNREACH;
    put_route(of, request, port, route.family, !local, out);
    return 0;
}

int64_t netlink_route(const struct netlink_request *request, const char *body, uint32_t size, uint32_t port,
                      struct netlink_packet *out)
{
    uint8_t family = size ? (uint8_t)body[0] : AF_UNSPEC;
    bool dump = (request->flags & NETLINK_DUMP) == NETLINK_DUMP, in4 = family != AF_INET6, in6 = family != AF_INET;
    if (!IS_GET(request->type))
        return -EPERM;
    if (!dump)
        return request->type == GET_LINK    ? one_link(request, body, size, port, out)
               : request->type == GET_ROUTE ? one_route(request, body, size, port, out)
                                            : -EOPNOTSUPP;
    const struct interface *of;
    for (uint32_t n = 0; (of = interface_at(n)); n++) {
        bool has_6 = in6 && interface_has_6(of);
        if (request->type == GET_LINK && (family == AF_UNSPEC || family == AF_PACKET))
            put_link(of, request, port, out);
        if (request->type == GET_ADDRESS && in4)
            put_address(of, request, port, AF_INET, out);
        if (request->type == GET_ADDRESS && has_6)
            put_address(of, request, port, AF_INET6, out);
        uint32_t routes = n ? 2 : 1; /* the loopback has no gateway */
        for (uint32_t through = 0; request->type == GET_ROUTE && through < routes; through++) {
            if (in4)
                put_route(of, request, port, AF_INET, through, out);
            if (has_6)
                put_route(of, request, port, AF_INET6, through, out);
        }
    }
    return 1;
}
