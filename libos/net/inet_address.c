/* SPDX-License-Identifier: MIT */
/* Internet addresses: from the guest's sockaddr_in and sockaddr_in6 and back.  See ip(7), ipv6(7). */
#include "libos/net/inet.h"

struct address_4 { uint16_t family, port; uint8_t address[4], zero[8]; };
struct address_6 { uint16_t family, port; uint32_t flow; uint8_t address[16]; uint32_t scope; };
_Static_assert(sizeof(struct address_4) == 16 && sizeof(struct address_6) == 28, "ABI");
#define ADDRESS_6_LEAST 24u /* without the scope, as RFC 2133 had it */
#define ADDRESS_MAX 128u   /* sizeof(struct sockaddr_storage) */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t zeros[16];
static const uint8_t one_6[16] = {[15] = 1};

static uint16_t swapped(uint16_t port)
{
    return (uint16_t)(port << 8 | port >> 8);
}

bool inet_is_4(const struct pal_inet *at)
{
    return !memcmp(at->address, mapped, sizeof mapped);
}

bool inet_is_any(const struct pal_inet *at)
{
    return !memcmp(at->address + 12, zeros, 4) && (inet_is_4(at) || !memcmp(at->address, zeros, 12));
}

bool inet_is_loopback(const struct pal_inet *at)
{
    return inet_is_4(at) ? at->address[12] == 127 : !memcmp(at->address, one_6, sizeof one_6);
}

bool inet_same(const struct pal_inet *a, const struct pal_inet *b)
{
    return a->port == b->port && !memcmp(a->address, b->address, sizeof a->address);
}

void inet_loopback_for(struct pal_inet *at)
{
    if (!inet_is_any(at))
        return;
    if (inet_is_4(at))
        at->address[12] = 127;
    at->address[15] = 1;
}

void inet_source(const struct socket *socket, const struct pal_inet *to, struct pal_inet *out)
{
    bool bound = socket->own.size && !inet_is_any(&socket->own.ip.inet);
    *out = (struct pal_inet){.port = socket->own.size ? socket->own.ip.inet.port : 0};
    if (bound) {
        memcpy(out->address, socket->own.ip.inet.address, sizeof out->address);
        return;
    }
    const struct interface *outside = inet_is_loopback(to) ? NULL : interface_at(1);
    if (inet_is_4(to))
        memcpy(out->address, mapped, sizeof mapped);
    if (!outside)
        inet_loopback_for(out);
    else if (inet_is_4(to))
        memcpy(out->address + 12, outside->address, sizeof outside->address);
    else
        memcpy(out->address, outside->address_6, sizeof outside->address_6);
}

static void from_4(const struct address_4 *in, struct pal_inet *out)
{
    *out = (struct pal_inet){.port = swapped(in->port)};
    memcpy(out->address, mapped, sizeof mapped);
    memcpy(out->address + 12, in->address, sizeof in->address);
}

static void from_6(const struct address_6 *in, struct pal_inet *out)
{
    *out = (struct pal_inet){.port = swapped(in->port), .scope = in->scope};
    memcpy(out->address, in->address, sizeof in->address);
}

int64_t inet_address_in(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out,
                        uint16_t *family)
{
    union { uint16_t family; struct address_4 in4; struct address_6 in6; } address = {.in6 = {0}};
    if (size < sizeof address.family || size > ADDRESS_MAX)
        return -EINVAL;
    if (copy_in(&address, from, MIN(size, sizeof address)))
        return -EFAULT;
    *out = (struct socket_end){.size = sizeof out->ip.inet};
    *family = address.family;
    if (address.family == AF_UNSPEC && size < sizeof address.in4) {
        out->size = 0;
        return 0;
    }
    if (socket->domain == AF_INET) {
        if (size < sizeof address.in4)
            return -EINVAL;
        from_4(&address.in4, &out->ip.inet);
        return address.family == AF_INET || address.family == AF_UNSPEC ? 0 : -EAFNOSUPPORT;
    }
    if (address.family == AF_INET && socket->kind == SOCK_DGRAM && size >= sizeof address.in4) {
        from_4(&address.in4, &out->ip.inet);
        return 0;
    }
    if (address.family == AF_UNSPEC)
        return 0;
    if (address.family != AF_INET6)
        return -EAFNOSUPPORT;
    if (size < ADDRESS_6_LEAST)
        return -EINVAL;
    from_6(&address.in6, &out->ip.inet);
    return 0;
}

int64_t inet_address_to(const struct socket *socket, guest_t from, uint32_t size, struct socket_end *out)
{
    uint16_t family;
    int64_t result = inet_address_in(socket, from, size, out, &family);
    if (!result && !out->size)
        result = -EINVAL;
    if (!result && socket->domain == AF_INET6 && family == AF_UNSPEC)
        result = -EINVAL;
    if (!result)
        inet_loopback_for(&out->ip.inet);
    return result;
}

int64_t inet_address_out(const struct socket *socket, const struct socket_end *end, guest_t to, guest_t size)
{
    struct pal_inet at = {.port = 0};
    if (end->size)
        at = end->ip.inet;
    if (socket->domain == AF_INET) {
        struct address_4 out = {.family = AF_INET, .port = swapped(at.port)};
        memcpy(out.address, at.address + 12, sizeof out.address);
        return address_copy_out(&out, sizeof out, to, size);
    }
    struct address_6 out = {.family = AF_INET6, .port = swapped(at.port), .scope = at.scope};
    memcpy(out.address, at.address, sizeof out.address);
    return address_copy_out(&out, sizeof out, to, size);
}
