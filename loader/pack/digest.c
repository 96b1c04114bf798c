/* SPDX-License-Identifier: MIT */
/* SHA-256 of files. */
#include <errno.h>
#include <sha256.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loader/pack/pack.h"

int digest_of(int file, uint64_t offset, uint64_t size, uint8_t out[DIGEST_SIZE])
{
    static uint8_t bytes[256 * 1024];
    SHA256_CTX context;
    SHA256_Init(&context);
    for (uint64_t at = 0; at < size;) {
        size_t want = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        ssize_t got = pread(file, bytes, want, (off_t)(offset + at));
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        SHA256_Update(&context, bytes, (size_t)got);
        at += (uint64_t)got;
    }
    SHA256_Final(out, &context);
    return 0;
}

void digest_of_text(const char *text, char out[DIGEST_TEXT])
{
    uint8_t digest[DIGEST_SIZE];
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, (const uint8_t *)text, strlen(text));
    SHA256_Final(digest, &context);
    digest_text(digest, out);
}

void digest_text(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_TEXT])
{
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
