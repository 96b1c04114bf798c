/* SPDX-License-Identifier: MIT */
/*
 * Names for a sandbox: a process of pal-run's that answers what guests ask at 127.0.0.53, by the network's rules.  Questions
 * come from the monitor and answers go there, with the addresses that allowed names led to.
 */
#ifndef LOADER_RESOLVER_H
#define LOADER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/policy/network.h"

#define DNS_MAX 4096u      /* of a datagram, either way */
#define DNS_ADDRESSES 64u   /* of one answer */
#define DNS_NAME 256u

/* One packet each way on the link: a question is the slot and the DNS bytes. */
#define RESOLVER_STREAM 0x80000000u /* of a slot: the question came by TCP */
struct resolver_answer { /* DNS bytes follow */
    uint32_t slot, address_count;
    uint64_t rules;                       /* that the name meets */
    uint8_t addresses[DNS_ADDRESSES][16]; /* to be learnt */
    char refused[DNS_NAME];               /* the name, where no rule has it */
};

/* ---- message.c: DNS messages, RFC 1035.  Pure, and whatever comes. ------------------------------------------------ */

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_AAAA = 28, DNS_SVCB = 64, DNS_HTTPS = 65, DNS_ANY = 255 };
enum dns_code { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP };

struct dns_question {
    char name[DNS_NAME]; /* lower case, without a final dot */
    uint16_t type;
    size_t size;         /* of header and question: what an answer begins with */
    size_t room;         /* for the answer, by EDNS or RFC 1035 */
    bool extended;       /* it has EDNS, and so has the answer: RFC 6891 */
};
/* 0, or the code to answer with (then size is the header's, if there is one; -1: nothing can be answered). */
int dns_question_read(const uint8_t *bytes, size_t size, struct dns_question *out);
/* An answer without records; its size.  out has DNS_MAX bytes. */
size_t dns_answer(const struct dns_question *question, const uint8_t *asked, int code, uint8_t *out);
/* One address (4 or 16 bytes) more; without room for it the answer says that it is truncated. */
size_t dns_answer_add(const struct dns_question *question, uint8_t *out, size_t size, const uint8_t *address, size_t bytes,
                      uint32_t ttl);
/* Any record. */
size_t dns_answer_record(const struct dns_question *question, uint8_t *out, size_t size, uint16_t type, const uint8_t *data,
                         size_t bytes, uint32_t ttl);
/* The name that an address has, for a question about it by PTR. */
size_t dns_answer_name(const struct dns_question *question, uint8_t *out, size_t size, const char *name, uint32_t ttl);
/* What stands behind all records; the answer's size. */
size_t dns_answer_end(const struct dns_question *question, uint8_t *out, size_t size);
/* Which address a name of in-addr.arpa or ip6.arpa is about. */
bool dns_reverse(const char *name, uint8_t address[16]);
/* The records of an answer to `asked`, through CNAMEs, those among them.  False: no such message; there are no more. */
struct dns_records { const uint8_t *bytes; size_t size, at; uint16_t left; int code; char wanted[DNS_NAME]; };
struct dns_record { uint16_t type, size; uint32_t ttl; const uint8_t *data; };
bool dns_records_begin(struct dns_records *records, const char *asked, const uint8_t *bytes, size_t size);
bool dns_records_next(struct dns_records *records, struct dns_record *out);
/* The addresses that `asked`, the question's name or one that was asked for in its place, leads to in an answer from upstream, IPv4 mapped: how many, or -1: no such
 * message.  code, ttl: the answer's. */
int dns_addresses(const struct dns_question *question, const char *asked, const uint8_t *bytes, size_t size,
                  uint8_t addresses[DNS_ADDRESSES][16], int *code, uint32_t *ttl);

/* ---- service.c: records of HTTPS, RFC 9460.  Pure, and whatever comes. --------------------------------------------------- */

/* What of one is for guests, into out, which has room for as much: its size, or 0: nothing.  It is about the name itself, and
 * loses what hides names (ECH), and HTTP/3 unless `quic`.  The addresses that it hints at come behind *count others. */
size_t dns_service(const uint8_t *data, size_t size, bool quic, uint8_t *out, uint8_t addresses[DNS_ADDRESSES][16],
                   uint32_t *count);

/* ---- hosts.c: the host's /etc/hosts, read before the process is confined ------------------------------------------ */

#define HOSTS_MAX 4096
void hosts_read(void);
/* Addresses of a name there, of one family; -1: it is not there at all. */
int hosts_find(const char *name, bool is_4, uint8_t addresses[DNS_ADDRESSES][16]);

/* ---- resolver.c: the process ------------------------------------------------------------------------------------- */

/* The link's end in pal-run, or a negative errno. */
int resolver_start(const struct network *network);

#endif
