/* SPDX-License-Identifier: MIT */
/* FNV-1a: for names that are looked up and numbers that are made of them; it protects nothing. */
#ifndef PAL_HASH_H
#define PAL_HASH_H

#include <stdint.h>

static inline uint64_t hash_bytes(const char *bytes, uint64_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    while (size--)
        hash = (hash ^ (uint8_t)*bytes++) * 0x100000001b3u;
    return hash;
}

#endif
