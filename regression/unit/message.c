/* SPDX-License-Identifier: MIT */
/* DNS messages: what is read from whatever comes. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loader/resolver/resolver.h"

static const uint8_t asked[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\3WWW\7example\3org\0\0\1\0\1";
#define ASKED_SIZE (sizeof asked - 1)

Test(message, question)
{
    struct dns_question question;
    cr_assert_eq(dns_question_read(asked, ASKED_SIZE, &question), 0);
    cr_assert_str_eq(question.name, "www.example.org");
    cr_assert(question.type == DNS_A && question.size == ASKED_SIZE && question.room == 512);
    for (size_t size = 0; size < ASKED_SIZE; size++)
        cr_assert_neq(dns_question_read(asked, size, &question), 0, "%zu bytes", size);
    uint8_t pointer[] = "\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1";
    cr_assert_eq(dns_question_read(pointer, sizeof pointer - 1, &question), DNS_FORMERR);
    uint8_t dots[] = "\0\0\0\0\0\1\0\0\0\0\0\0\3a.b\3org\0\0\1\0\1"; /* a dot inside a label is no dot */
    cr_assert_eq(dns_question_read(dots, sizeof dots - 1, &question), 0);
    cr_assert_str_eq(question.name, "a?b.org");
}

Test(message, answer)
{
    struct dns_question question;
    uint8_t out[DNS_MAX], addresses[DNS_ADDRESSES][16], one[4] = {1, 2, 3, 4};
    int code;
    uint32_t ttl;
    cr_assert_eq(dns_question_read(asked, ASKED_SIZE, &question), 0);
    size_t size = dns_answer(&question, asked, DNS_NOERROR, out);
    for (int i = 0; i < 100; i++)
        size = dns_answer_add(&question, out, size, one, sizeof one, 60);
    cr_assert(size <= 512 && size > 490, "as many as there is room for");
    int count = dns_addresses(&question, question.name, out, size, addresses, &code, &ttl);
    cr_assert(count == (int)((size - ASKED_SIZE) / 16) && code == 0 && ttl == 60);
    cr_assert(addresses[0][10] == 0xff && addresses[0][12] == 1 && addresses[count - 1][15] == 4);
    out[ASKED_SIZE + 1] = 0x10; /* another owner, example.org: not ours */
    cr_assert_eq(dns_addresses(&question, question.name, out, size, addresses, &code, &ttl), count - 1);
    out[ASKED_SIZE] = 0xc0;
    out[ASKED_SIZE + 1] = ASKED_SIZE; /* a pointer to itself */
    cr_assert_eq(dns_addresses(&question, question.name, out, size, addresses, &code, &ttl), 0);
}

/* Whatever comes: no crash, and no more than there is room for. */
Test(message, noise)
{
    uint8_t bytes[DNS_MAX], addresses[DNS_ADDRESSES][16];
    struct dns_question question, other;
    int code;
    uint32_t ttl;
    cr_assert_eq(dns_question_read(asked, ASKED_SIZE, &question), 0);
    srandom(1);
    for (int round = 0; round < 200000; round++) {
        size_t size = (size_t)random() % 200;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(random() % 4 ? random() % 8 : random());
        if (size > ASKED_SIZE && round % 2) {
            memcpy(bytes, asked, ASKED_SIZE);
            bytes[2] = 0x81;
            bytes[7] = (uint8_t)random();
        }
        (void)dns_question_read(bytes, size, &other);
        cr_assert(memchr(other.name, 0, sizeof other.name));
        int count = dns_addresses(&question, question.name, bytes, size, addresses, &code, &ttl);
        cr_assert(count <= (int)DNS_ADDRESSES);
    }
}

#define SERVICE(text) (const uint8_t *)(text), sizeof(text) - 1

/* What guests are given of records about HTTPS. */
Test(message, service)
{
    uint8_t out[DNS_MAX], addresses[DNS_ADDRESSES][16];
    uint32_t count = 0;
    static const char whole[] = "\0\1\0" "\0\1\0\6\2h3\2h2" "\0\4\0\10\1\2\3\4\5\6\7\10" "\0\5\0\4ECH!" "\0\6\0\20" "0123456789abcdef" "\1\0\0\0";
    static const char left[] = "\0\1\0" "\0\1\0\3\2h2" "\0\4\0\10\1\2\3\4\5\6\7\10" "\0\6\0\20" "0123456789abcdef";
    size_t size = dns_service(SERVICE(whole), false, out, addresses, &count);
    cr_assert(size == sizeof left - 1 && !memcmp(out, left, size));
    cr_assert(count == 3 && addresses[1][11] == 0xff && addresses[1][15] == 8 && addresses[2][0] == '0');
    size = dns_service(SERVICE(whole), true, out, addresses, &count);
    cr_assert(size == sizeof left - 1 + 3 && count == 6 && out[8] == 'h' && out[9] == '3');
    count = 0;
    static const struct { const char *text; size_t size; } none[] = {
        {"\0\0\0", 3}, {"\0\0\1a\0", 5}, {"\0\1\1a\0", 5}, {"\0\1", 2}, {"\0\1\0\0\3\0\2\0\x50", 9}, {"\0\1\0\0\4\0\3\1\2\3", 10},
        {"\0\1\0\0\5\0\0\0\1\0\3\2h2", 14}, {"\0\1\0\0\0\0\2\0\5\0\5\0\0", 13}, {"\0\1\0\0\1\0\3\2h3\0\2\0\0", 14},
        {"\0\1\0\0\0\0\2\0\1\0\1\0\3\2h3", 16}, {"\0\1\0\0\1\0\4\2h2", 10}, {"\0\1\0\0\1\0\3\3h2", 10}, {"\0\1\0\0\4\0\0", 7},
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert_eq(dns_service((const uint8_t *)none[i].text, none[i].size, false, out, addresses, &count), 0u, "record %zu", i);
    cr_assert_eq(count, 0u);
    cr_assert_eq(dns_service(SERVICE("\0\1\0"), false, out, addresses, &count), 3u);
    srandom(2);
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[64] = {0, 1, 0};
        size = (size_t)random() % sizeof bytes;
        for (size_t i = 3; i < size; i++)
            bytes[i] = (uint8_t)(random() % 3 ? random() % 8 : random());
        size_t got = dns_service(bytes, size, round % 2, out, addresses, &count);
        cr_assert(got <= size && count <= DNS_ADDRESSES);
        if (got) /* what is given is such a record */
            cr_assert_eq(dns_service(memcpy(bytes, out, got), got, true, out, addresses, (count = 0, &count)), got);
        count = 0;
    }
}
