/* SPDX-License-Identifier: MIT */
/* Hosts' names as TLS and HTTP have them; and which of the two it is. */
#include <ctype.h>

#include "loader/proof/proof.h"

#define HANDSHAKE 22

bool proof_name(const uint8_t *bytes, size_t size, char out[PROOF_NAME])
{
    size_t label = 0;
    if (size && bytes[size - 1] == '.')
        size--;
    if (!size || size >= PROOF_NAME)
        return false;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = bytes[i];
        if (c != '.' && (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_')))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63 || (c == '.' && (!i || bytes[i - 1] == '.')))
            return false;
        out[i] = (char)tolower(c);
    }
    out[size] = 0;
    return label > 0;
}

enum proof_state proof_read(const uint8_t *bytes, size_t size, struct proof_names *out)
{
    out->count = 0;
    if (!size)
        return PROOF_MORE;
    return bytes[0] == HANDSHAKE ? proof_tls(bytes, size, out) : proof_http(bytes, size, out);
}
