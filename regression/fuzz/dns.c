/* SPDX-License-Identifier: MIT */
/* The resolver's parser, by libFuzzer: a guest's question and a name server's answer, of whatever bytes.  Answers that are
 * made fit in their room, and what they say is read back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "loader/resolver/resolver.h"

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* of just that size: an access beyond is seen */
    memcpy(copy, bytes, size);
    return copy;
}

/* As many addresses as there is room for, and no more; all are read back. */
static void answered(const struct dns_question *question, const uint8_t *asked)
{
    static uint8_t out[DNS_MAX], addresses[DNS_ADDRESSES][16];
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 192};
    size_t size = dns_answer(question, asked, DNS_NOERROR, out), length = question->type == DNS_A ? 4 : 16;
    uint32_t ttl;
    int code, added = 0;
    for (int i = 0; i < 300; i++) {
        address[15] = (uint8_t)i;
        size_t more = dns_answer_add(question, out, size, address + 16 - length, length, 60);
        assert(more == size || more > size);
        added += more > size;
        size = more;
    }
    size = dns_answer_end(question, out, size);
    assert(size <= question->room && size <= DNS_MAX);
    assert(!!(out[2] & 2) == (added < 300));
    if (question->type != DNS_A && question->type != DNS_AAAA)
        return;
    int count = dns_addresses(question, question->name, out, size, addresses, &code, &ttl);
    assert(count == (added < (int)DNS_ADDRESSES ? added : (int)DNS_ADDRESSES) && code == DNS_NOERROR);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t plain[] = "\0\0\1\0\0\1\0\0\0\0\0\0\1a\1b\0\0\1\0\1";
    static uint8_t addresses[DNS_ADDRESSES][16];
    struct dns_question question;
    uint32_t ttl;
    int code;
    uint8_t *packet = copy_of(bytes, size), address[16];
    if (dns_question_read(packet, size, &question) == 0) {
        assert(question.size <= size && question.room >= 512 && question.room <= DNS_MAX);
        assert(strlen(question.name) < DNS_NAME);
        for (const char *c = question.name; *c; c++)
            assert(*c == '.' || *c == '-' || *c == '_' || *c == '?' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z'));
        dns_reverse(question.name, address);
        if (!strchr(question.name, '?'))
            answered(&question, packet);
    }
    assert(dns_question_read(plain, sizeof plain - 1, &question) == 0);
    int count = dns_addresses(&question, question.name, packet, size, addresses, &code, &ttl);
    assert(count >= -1 && count <= (int)DNS_ADDRESSES);
    uint8_t *out = malloc(size ? size : 1);
    uint32_t hints = 0;
    size_t service = dns_service(packet, size, size % 2, out, addresses, &hints);
    assert(service <= size && hints <= DNS_ADDRESSES);
    free(out);
    free(packet);
    return 0;
}
