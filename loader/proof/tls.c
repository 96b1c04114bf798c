/* SPDX-License-Identifier: MIT */
/*
 * The name that a TLS client says first.  Strict: what a server could read otherwise is none (an extension twice, several
 * names, bytes behind the last extension).  An encrypted hello (ECH) names another host inside, which nobody here can see.
 */
#include <string.h>

#include "loader/proof/proof.h"

#define RECORD_HEAD 5u
#define RECORD_MOST 16384u
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
#define MESSAGE_HEAD 4u
#define RANDOM_SIZE 32u
#define SESSION_MOST 32u
#define EXTENSION_NAME 0
#define EXTENSION_ESNI 0xffce
#define EXTENSION_ECH 0xfe0d
#define HOST_NAME 0

struct bytes { const uint8_t *at; size_t left; };

static bool take(struct bytes *from, size_t size, struct bytes *out)
{
    if (size > from->left)
        return false;
    *out = (struct bytes){from->at, size};
    from->at += size;
    from->left -= size;
    return true;
}

/* A number of `width` bytes. */
static bool number(struct bytes *from, size_t width, size_t *out)
{
    struct bytes digits;
    if (!take(from, width, &digits))
        return false;
    *out = 0;
    for (size_t i = 0; i < width; i++)
        *out = *out << 8 | digits.at[i];
    return true;
}

/* What has its size in front. */
static bool vector(struct bytes *from, size_t width, struct bytes *out)
{
    size_t size;
    return number(from, width, &size) && take(from, size, out);
}

/* The first message out of its records, which may hold pieces of it. */
static enum proof_state gather(struct bytes from, uint8_t out[PROOF_MAX], size_t *size)
{
    size_t wanted = MESSAGE_HEAD;
    for (*size = 0; *size < wanted;) {
        struct bytes record;
        if (from.left < RECORD_HEAD)
            return from.left && from.at[0] != RECORD_HANDSHAKE ? PROOF_NONE : PROOF_MORE;
        size_t length = (size_t)(from.at[3] << 8 | from.at[4]);
        if (from.at[0] != RECORD_HANDSHAKE || from.at[1] != 3 || !length || length > RECORD_MOST || length > PROOF_MAX - *size)
            return PROOF_NONE;
        record = (struct bytes){from.at + RECORD_HEAD, from.left - RECORD_HEAD};
        size_t here = record.left < length ? record.left : length;
        memcpy(out + *size, record.at, here);
        *size += here;
        if (*size >= MESSAGE_HEAD) {
            wanted = MESSAGE_HEAD + ((size_t)out[1] << 16 | (size_t)out[2] << 8 | out[3]);
            if (out[0] != CLIENT_HELLO || wanted > PROOF_MAX)
                return PROOF_NONE;
        }
        if (*size >= wanted)
            break;
        if (here < length)
            return PROOF_MORE;
        from = (struct bytes){record.at + here, record.left - here};
    }
    *size = wanted;
    return PROOF_NAMED;
}

/* struct ServerNameList, of just one name. */
static bool read_names(struct bytes from, struct proof_names *out)
{
    struct bytes list, name;
    size_t type;
    if (!vector(&from, 2, &list) || from.left || !number(&list, 1, &type) || type != HOST_NAME || !vector(&list, 2, &name) ||
        list.left || out->count)
        return false;
    out->count = 1;
    return proof_name(name.at, name.left, out->names[0]);
}

static enum proof_state read_extensions(struct bytes from, struct proof_names *out)
{
    while (from.left) {
        size_t type;
        struct bytes body;
        if (!number(&from, 2, &type) || !vector(&from, 2, &body))
            return PROOF_NONE;
        if (type == EXTENSION_ECH || type == EXTENSION_ESNI)
            return PROOF_HIDDEN;
        if (type == EXTENSION_NAME && !read_names(body, out))
            return PROOF_NONE;
    }
    return out->count ? PROOF_NAMED : PROOF_NONE;
}

static enum proof_state read_hello(struct bytes from, struct proof_names *out)
{
    struct bytes part;
    size_t version;
    bool whole = number(&from, 2, &version) && version >> 8 == 3 && take(&from, RANDOM_SIZE, &part) && vector(&from, 1, &part) &&
                 part.left <= SESSION_MOST && vector(&from, 2, &part) && part.left && part.left % 2 == 0 &&
                 vector(&from, 1, &part) && part.left && vector(&from, 2, &part) && !from.left;
    return whole ? read_extensions(part, out) : PROOF_NONE;
}

enum proof_state proof_tls(const uint8_t *bytes, size_t size, struct proof_names *out)
{
    uint8_t message[PROOF_MAX];
    size_t length;
    enum proof_state state = gather((struct bytes){bytes, size}, message, &length);
    if (state != PROOF_NAMED)
        return state;
    return read_hello((struct bytes){message + MESSAGE_HEAD, length - MESSAGE_HEAD}, out);
}
