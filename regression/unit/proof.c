/* SPDX-License-Identifier: MIT */
/* Which hosts the first bytes of a connection name. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loader/proof/proof.h"

static enum proof_state read_text(const char *text, struct proof_names *out)
{
    return proof_read((const uint8_t *)text, strlen(text), out);
}

Test(proof, http)
{
    static const struct { const char *text; int state; const char *name, *target; } cases[] = {
        {"GET / HTTP/1.1\r\nHost: A.Example.org\r\n\r\n", PROOF_NAMED, "a.example.org", NULL},
        {"GET / HTTP/1.0\r\nX:y\r\nhOST:\t a.org.:8080 \r\n\r\nrest", PROOF_NAMED, "a.org", NULL},
        {"OPTIONS * HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NAMED, "a.org", NULL},
        {"GET http://b.org:80/x HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NAMED, "b.org", "a.org"},
        {"GET http://b.org?x HTTP/1.1\r\n\r\n", PROOF_NAMED, "b.org", NULL},
        {"CONNECT b.org:443 HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NAMED, "b.org", "a.org"},
        {"GET / HTTP/1.1\r\nHost: a.org\r\n", PROOF_MORE, NULL, NULL},
        {"GET / HTTP/1.1\r", PROOF_MORE, NULL, NULL},
        {"G", PROOF_MORE, NULL, NULL},
        {"GET / HTTP/1.1\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a.org\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a.org\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nX: y\r\n Host: a.org\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost : b.org\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a.org, b.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a.org@b.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a..org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1\r\nHost: a.org:80x\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET x HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET /  HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/2.0\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET / HTTP/1.1 \r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {" GET / HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"\r\nGET / HTTP/1.1\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
        {"GET /\r\nHost: a.org\r\n\r\n", PROOF_NONE, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct proof_names names;
        cr_assert_eq((int)read_text(cases[i].text, &names), cases[i].state, "%s", cases[i].text);
        if (cases[i].state != PROOF_NAMED)
            continue;
        cr_assert_str_eq(names.names[0], cases[i].name);
        cr_assert_eq(names.count, cases[i].target ? 2u : 1u);
        if (cases[i].target)
            cr_assert_str_eq(names.names[1], cases[i].target);
    }
}

/* A hello with a name; and each beginning of it. */
Test(proof, tls)
{
    static const uint8_t hello[] = "\x16\x03\x01\0\x44\x01\0\0\x40\x03\x03" "0123456789abcdef0123456789abcdef" "\0" "\0\2\x13\1" "\1\0"
                                   "\0\x15" "\0\0\0\x0a\0\x08\0\0\5A.org" "\xff\1\0\1\0" "\0\x17";
    uint8_t bytes[sizeof hello - 1 + 2];
    struct proof_names names;
    memcpy(bytes, hello, sizeof hello - 1);
    memcpy(bytes + sizeof hello - 1, "\0", 2); /* the last extension is empty */
    bytes[4] = sizeof bytes - 5;
    bytes[8] = sizeof bytes - 9;
    bytes[51] = sizeof bytes - 52;
    cr_assert_eq(proof_read(bytes, sizeof bytes, &names), PROOF_NAMED);
    cr_assert(names.count == 1 && !strcmp(names.names[0], "a.org"));
    for (size_t size = 0; size < sizeof bytes; size++)
        cr_assert_eq(proof_read(bytes, size, &names), PROOF_MORE, "%zu bytes", size);
    for (size_t i = 0; i < sizeof bytes; i++) { /* no change of one byte leads beyond, or to two names */
        uint8_t other[sizeof bytes];
        memcpy(other, bytes, sizeof bytes);
        other[i] ^= 0xff;
        if (proof_read(other, sizeof other, &names) == PROOF_NAMED)
            cr_assert_eq(names.count, 1);
    }
    bytes[sizeof bytes - 4] = 0xfe; /* ECH */
    bytes[sizeof bytes - 3] = 0x0d;
    cr_assert_eq(proof_read(bytes, sizeof bytes, &names), PROOF_HIDDEN);
}
