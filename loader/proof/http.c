/* SPDX-License-Identifier: MIT */
/*
 * The hosts that an HTTP request names: in its target, where that has one, and in its Host field.  Strict: what servers read in
 * different ways (a lone line feed, a folded field, a space before the colon, Host twice) names none.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "loader/proof/proof.h"

#define METHOD_MOST 32u

struct text { const uint8_t *at; size_t size; };

static bool is_token(uint8_t c)
{
    return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A line without its end, of visible bytes, spaces and tabs.  MORE: its end is not there yet. */
static enum proof_state read_line(struct text *from, struct text *out)
{
    for (size_t i = 0; i < from->size; i++) {
        uint8_t c = from->at[i];
        if (c == '\r' && i + 1 == from->size)
            return PROOF_MORE;
        if (c == '\r' && from->at[i + 1] == '\n') {
            *out = (struct text){from->at, i};
            *from = (struct text){from->at + i + 2, from->size - i - 2};
            return PROOF_NAMED;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return PROOF_NONE;
    }
    return PROOF_MORE;
}

/* HOST or HOST:PORT. */
static bool add_host(struct text host, struct proof_names *out)
{
    const uint8_t *colon = memchr(host.at, ':', host.size);
    size_t size = colon ? (size_t)(colon - host.at) : host.size;
    for (size_t i = size + 1; i < host.size; i++)
        if (!isdigit(host.at[i]))
            return false;
    return out->count < 2 && proof_name(host.at, size, out->names[out->count++]);
}

/* Its host, where it is of absolute or authority form (RFC 9112 3.2). */
static bool read_target(struct text method, struct text target, struct proof_names *out)
{
    static const uint8_t mark[] = {':', '/', '/'};
    if (method.size == 7 && !memcmp(method.at, "CONNECT", 7))
        return add_host(target, out);
    if (target.at[0] == '/' || (target.at[0] == '*' && target.size == 1))
        return true;
    const uint8_t *host = memmem(target.at, target.size, mark, sizeof mark);
    if (!host)
        return false;
    host += sizeof mark;
    size_t left = (size_t)(target.at + target.size - host), size = 0;
    while (size < left && host[size] != '/' && host[size] != '?' && host[size] != '#')
        size++;
    return add_host((struct text){host, size}, out);
}

/* METHOD TARGET HTTP/1.x */
static bool read_request(struct text line, struct proof_names *out)
{
    const uint8_t *first = memchr(line.at, ' ', line.size);
    size_t size = first ? (size_t)(first - line.at) : 0;
    if (!size || size > METHOD_MOST)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_token(line.at[i]))
            return false;
    struct text rest = {first + 1, line.size - size - 1};
    const uint8_t *second = memchr(rest.at, ' ', rest.size);
    size_t length = second ? (size_t)(second - rest.at) : 0;
    if (!length || rest.size - length != sizeof " HTTP/1.x" - 1 || memcmp(second, " HTTP/1.", 8) != 0 ||
        (second[8] != '0' && second[8] != '1') || memchr(rest.at, '\t', length))
        return false;
    return read_target((struct text){line.at, size}, (struct text){rest.at, length}, out);
}

static bool read_field(struct text line, bool *has_host, struct proof_names *out)
{
    size_t size = 0;
    while (size < line.size && is_token(line.at[size]))
        size++;
    if (!size || size == line.size || line.at[size] != ':')
        return false;
    if (size != 4 || strncasecmp((const char *)line.at, "Host", 4) != 0)
        return true;
    struct text value = {line.at + size + 1, line.size - size - 1};
    while (value.size && (value.at[0] == ' ' || value.at[0] == '\t'))
        value = (struct text){value.at + 1, value.size - 1};
    while (value.size && (value.at[value.size - 1] == ' ' || value.at[value.size - 1] == '\t'))
        value.size--;
    if (*has_host)
        return false;
    *has_host = true;
    return add_host(value, out);
}

enum proof_state proof_http(const uint8_t *bytes, size_t size, struct proof_names *out)
{
    struct text from = {bytes, size}, line;
    bool has_host = false;
    enum proof_state state = read_line(&from, &line);
    if (state == PROOF_NAMED && !read_request(line, out))
        return PROOF_NONE;
    while (state == PROOF_NAMED && (state = read_line(&from, &line)) == PROOF_NAMED && line.size)
        if (!read_field(line, &has_host, out))
            return PROOF_NONE;
    return state == PROOF_NAMED && !out->count ? PROOF_NONE : state;
}
