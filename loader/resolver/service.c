/* SPDX-License-Identifier: MIT */
/*
 * Records that tell how a host serves HTTPS (RFC 9460).  A guest is given what it can use here: those about the name itself, at the
 * port that was meant, without the keys that would hide names from loader/proof (ECH), nor parameters that nobody here knows.
 */
#include <string.h>

#include "loader/resolver/resolver.h"

enum service_key { KEY_MANDATORY, KEY_ALPN, KEY_NO_DEFAULT_ALPN, KEY_PORT, KEY_HINT_4, KEY_ECH, KEY_HINT_6 };
#define HEAD 3u /* of a record about the name itself: priority, and the root as target */

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static size_t put_parameter(uint8_t *out, size_t used, uint16_t key, const uint8_t *value, size_t size)
{
    out[used] = (uint8_t)(key >> 8);
    out[used + 1] = (uint8_t)key;
    out[used + 2] = (uint8_t)(size >> 8);
    out[used + 3] = (uint8_t)size;
    memmove(out + used + 4, value, size);
    return used + 4 + size;
}

/* The protocols but HTTP/3; their size, or -1: it is no list. */
static int filter_protocols(const uint8_t *list, size_t size, bool quic, uint8_t *out)
{
    size_t used = 0;
    for (size_t at = 0; at < size; at += 1u + list[at]) {
        size_t length = list[at];
        if (!length || at + 1 + length > size)
            return -1;
        if (!quic && length >= 2 && !memcmp(list + at + 1, "h3", 2))
            continue;
        memmove(out + used, list + at, 1 + length);
        used += 1 + length;
    }
    return (int)used;
}

static bool add_hints(const uint8_t *hints, size_t size, size_t each, uint8_t addresses[DNS_ADDRESSES][16], uint32_t *count)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (!size || size % each || *count + size / each > DNS_ADDRESSES)
        return false;
    for (size_t at = 0; at < size; at += each) {
        uint8_t *address = addresses[(*count)++];
        memcpy(address, mapped, sizeof mapped);
        memcpy(address + 16 - each, hints + at, each);
    }
    return true;
}

/* Keys that a client must know: those that are left here. */
static bool all_left(const uint8_t *keys, size_t size)
{
    for (size_t at = 0; at + 2 <= size; at += 2)
        if (get16(keys + at) != KEY_ALPN && get16(keys + at) != KEY_NO_DEFAULT_ALPN && get16(keys + at) != KEY_HINT_4 &&
            get16(keys + at) != KEY_HINT_6)
            return false;
    return size && size % 2 == 0;
}

struct service {
    uint8_t *out, (*addresses)[16];
    size_t used;
    uint32_t count;
    bool quic, mandatory, no_default, has_protocol;
};

/* False: the record is of no use. */
static bool add_parameter(struct service *service, uint16_t key, const uint8_t *value, size_t size)
{
    uint8_t *out = service->out;
    int protocols;
    switch (key) {
    case KEY_MANDATORY:
        service->mandatory = true;
        if (!all_left(value, size))
            return false;
        break;
    case KEY_ALPN:
        protocols = filter_protocols(value, size, service->quic, out + service->used + 4);
        service->has_protocol = protocols > 0;
        if (protocols <= 0)
            return !protocols && !service->mandatory;
        value = out + service->used + 4;
        size = (size_t)protocols;
        break;
    case KEY_NO_DEFAULT_ALPN:
        service->no_default = true;
        break;
    case KEY_PORT: /* the rules are about those that were asked for */
        return false;
    case KEY_HINT_4: case KEY_HINT_6:
        if (!add_hints(value, size, key == KEY_HINT_4 ? 4 : 16, service->addresses, &service->count))
            return false;
        break;
    default: /* KEY_ECH, and later ones: left out */
        return true;
    }
    service->used = put_parameter(out, service->used, key, value, size);
    return true;
}

size_t dns_service(const uint8_t *data, size_t size, bool quic, uint8_t *out, uint8_t addresses[DNS_ADDRESSES][16],
                   uint32_t *count)
{
    struct service service = {.out = out, .addresses = addresses, .used = HEAD, .count = *count, .quic = quic};
    int last = -1;
    if (size < HEAD || !get16(data) || data[2]) /* another name in its place: nothing here */
        return 0;
    memcpy(out, data, HEAD);
    for (size_t at = HEAD; at < size;) {
        if (at + 4 > size || at + 4 + get16(data + at + 2) > size || get16(data + at) <= last)
            return 0;
        last = get16(data + at);
        if (!add_parameter(&service, get16(data + at), data + at + 4, get16(data + at + 2)))
            return 0;
        at += 4u + get16(data + at + 2);
    }
    if (service.no_default && !service.has_protocol)
        return 0;
    *count = service.count;
    return service.used;
}
