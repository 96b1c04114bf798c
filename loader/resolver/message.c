/* SPDX-License-Identifier: MIT */
/* DNS messages: a guest's question, the answer to it, and what upstream says. */
#include <ctype.h>
#include <string.h>

#include "loader/resolver/resolver.h"

#define HEADER 12u
#define CLASS_IN 1
#define TYPE_OPT 41
#define ROOM_LEAST 512u
#define POINTER 0xc0
#define HOPS_MAX 64
#define OPT_SIZE 11u
#define TRUNCATED 2

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/*
 * A name at `at`, as text.  Where it goes on behind (0: it is none).  Pointers lead back only, and a bounded number of
 * them; bytes that no host's name has become '?', which no rule has.
 */
static size_t read_name(const uint8_t *bytes, size_t size, size_t at, bool pointers, char out[DNS_NAME])
{
    size_t used = 0, after = 0;
    for (unsigned hops = 0; at < size;) {
        uint8_t length = bytes[at];
        if (length >= POINTER) {
            size_t to = at + 1 < size ? (size_t)(get16(bytes + at) & 0x3fff) : size;
            if (!pointers || to >= at || ++hops > HOPS_MAX)
                return 0;
            after = after ? after : at + 2;
            at = to;
            continue;
        }
        if (length > 63 || at + 1 + length > size)
            return 0;
        at += 1u + length;
        if (!length) {
            out[used ? used - 1 : 0] = 0;
            return after ? after : at;
        }
        if (used + length + 1 >= DNS_NAME)
            return 0;
        for (uint8_t i = 0; i < length; i++) {
            uint8_t c = bytes[at - length + i];
            out[used++] = isalnum(c) || c == '-' || c == '_' ? (char)tolower(c) : '?';
        }
        out[used++] = '.';
    }
    return 0;
}

int dns_question_read(const uint8_t *bytes, size_t size, struct dns_question *out)
{
    *out = (struct dns_question){.size = HEADER, .room = ROOM_LEAST};
    if (size < HEADER || size > DNS_MAX || bytes[2] & 0x80)
        return -1;
    if (bytes[2] & 0x78)
        return DNS_NOTIMP;
    if (get16(bytes + 4) != 1 || get16(bytes + 6) || get16(bytes + 8) || get16(bytes + 10) > 1)
        return DNS_FORMERR;
    size_t at = read_name(bytes, size, HEADER, false, out->name);
    if (!at || at + 4 > size)
        return DNS_FORMERR;
    out->type = get16(bytes + at);
    if (get16(bytes + at + 2) != CLASS_IN)
        return DNS_NOTIMP;
    at += 4;
    out->size = at;
    if (get16(bytes + 10) && at + 11 <= size && !bytes[at] && get16(bytes + at + 1) == TYPE_OPT) {
        uint16_t room = get16(bytes + at + 3);
        out->extended = true;
        out->room = room < ROOM_LEAST ? ROOM_LEAST : room > DNS_MAX ? DNS_MAX : room;
    }
    return out->type == DNS_ANY || out->type >= 249 /* AXFR and the like */ ? DNS_NOTIMP : 0;
}

size_t dns_answer(const struct dns_question *question, const uint8_t *asked, int code, uint8_t *out)
{
    memcpy(out, asked, question->size);
    out[2] = (uint8_t)(0x80 | (asked[2] & 0x01)); /* an answer; recursion as it was desired */
    out[3] = (uint8_t)(0x80 | code);
    put16(out + 4, question->size > HEADER);
    memset(out + 6, 0, 6);
    return question->size;
}

size_t dns_answer_record(const struct dns_question *question, uint8_t *out, size_t size, uint16_t type, const uint8_t *data,
                         size_t bytes, uint32_t ttl)
{
    uint8_t *at = out + size;
    if (size + 12 + bytes + (question->extended ? OPT_SIZE : 0) > question->room) {
        out[2] |= TRUNCATED;
        return size;
    }
    put16(at, POINTER << 8 | HEADER);
    put16(at + 2, type);
    put16(at + 4, CLASS_IN);
    put16(at + 6, (uint16_t)(ttl >> 16));
    put16(at + 8, (uint16_t)ttl);
    put16(at + 10, (uint16_t)bytes);
    memcpy(at + 12, data, bytes);
    put16(out + 6, (uint16_t)(get16(out + 6) + 1));
    return size + 12 + bytes;
}

size_t dns_answer_add(const struct dns_question *question, uint8_t *out, size_t size, const uint8_t *address, size_t bytes,
                      uint32_t ttl)
{
    return dns_answer_record(question, out, size, bytes == 4 ? DNS_A : DNS_AAAA, address, bytes, ttl);
}

size_t dns_answer_name(const struct dns_question *question, uint8_t *out, size_t size, const char *name, uint32_t ttl)
{
    uint8_t bytes[DNS_NAME + 1];
    size_t used = 0;
    while (*name) {
        size_t length = strcspn(name, ".");
        if (!length || length > 63 || used + length + 2 > sizeof bytes)
            return size;
        bytes[used++] = (uint8_t)length;
        memcpy(bytes + used, name, length);
        used += length;
        name += length + (name[length] == '.');
    }
    bytes[used++] = 0;
    return dns_answer_record(question, out, size, DNS_PTR, bytes, used, ttl);
}

size_t dns_answer_end(const struct dns_question *question, uint8_t *out, size_t size)
{
    if (!question->extended || size + OPT_SIZE > question->room)
        return size;
    memset(out + size, 0, OPT_SIZE);
    put16(out + size + 1, TYPE_OPT);
    put16(out + size + 3, DNS_MAX);
    put16(out + 10, 1);
    return size + OPT_SIZE;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Nibbles, the last one first. */
static bool reverse_6(const char *name, uint8_t address[16])
{
    for (int i = 0; i < 32; i++, name += 2) {
        int value = digit(name[0]);
        if (value < 0 || name[1] != '.')
            return false;
        address[15 - i / 2] |= (uint8_t)(i % 2 ? value << 4 : value);
    }
    return !strcmp(name, "ip6.arpa");
}

bool dns_reverse(const char *name, uint8_t address[16])
{
    memset(address, 0, 16);
    if (reverse_6(name, address))
        return true;
    memset(address, 0, 10);
    address[10] = address[11] = 0xff;
    for (int i = 15; i >= 12; i--) {
        unsigned value = 0, digits = 0;
        for (; *name >= '0' && *name <= '9' && digits < 3; digits++)
            value = value * 10 + (unsigned)(*name++ - '0');
        if (!digits || value > 255 || *name++ != '.')
            return false;
        address[i] = (uint8_t)value;
    }
    return !strcmp(name, "in-addr.arpa");
}

bool dns_records_begin(struct dns_records *records, const char *asked, const uint8_t *bytes, size_t size)
{
    char name[DNS_NAME];
    if (size < HEADER || !(bytes[2] & 0x80) || get16(bytes + 4) != 1)
        return false;
    size_t at = read_name(bytes, size, HEADER, false, name);
    if (!at || strcmp(name, asked) != 0)
        return false;
    *records = (struct dns_records){.bytes = bytes, .size = size, .at = at + 4, .left = get16(bytes + 6), .code = bytes[3] & 0xf};
    strcpy(records->wanted, asked);
    return true;
}

bool dns_records_next(struct dns_records *records, struct dns_record *out)
{
    const uint8_t *bytes = records->bytes;
    char name[DNS_NAME];
    while (records->left) {
        size_t size = records->size, at = records->at < size ? read_name(bytes, size, records->at, true, name) : 0;
        records->left--;
        if (!at || at + 10 > size || at + 10 + get16(bytes + at + 8) > size)
            break;
        *out = (struct dns_record){.type = get16(bytes + at), .size = get16(bytes + at + 8), .data = bytes + at + 10,
                                   .ttl = (uint32_t)get16(bytes + at + 4) << 16 | get16(bytes + at + 6)};
        records->at = at + 10 + out->size;
        if (get16(bytes + at + 2) != CLASS_IN || strcmp(name, records->wanted) != 0)
            continue;
        if (out->type == DNS_CNAME && !read_name(bytes, size, at + 10, true, records->wanted))
            break;
        return true;
    }
    records->left = 0;
    return false;
}

int dns_addresses(const struct dns_question *question, const char *asked, const uint8_t *bytes, size_t size,
                  uint8_t addresses[DNS_ADDRESSES][16], int *code, uint32_t *ttl)
{
    struct dns_records records;
    struct dns_record record;
    int count = 0;
    if (!dns_records_begin(&records, asked, bytes, size))
        return -1;
    *code = records.code;
    *ttl = UINT32_MAX;
    while (dns_records_next(&records, &record)) {
        bool fits = (record.type == DNS_A && record.size == 4) || (record.type == DNS_AAAA && record.size == 16);
        if (fits && record.type == question->type && count < (int)DNS_ADDRESSES) {
            memset(addresses[count], 0, 16);
            addresses[count][10] = addresses[count][11] = 0xff;
            memcpy(addresses[count] + 16 - record.size, record.data, record.size);
            count++;
        }
        if (record.ttl < *ttl)
            *ttl = record.ttl;
    }
    return count;
}
