/* SPDX-License-Identifier: MIT */
/*
 * The resolver's process: a copy of pal-run, without its descriptors, privileges and most system calls.  A name that no rule
 * has never goes upstream: it gets a marker address, 198.18.x.y, so that the program fails when it connects, as at any
 * other refused address.  What goes upstream is made anew from name and type, never the guest's own bytes.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loader/loader.h"
#include "loader/resolver/resolver.h"

#define NOBODY 65534
#define TTL_MARKER 1
#define EDNS_SIZE 1232
#define TIMEOUT_MS 3000
#define TRIES 2
#define KNOWN_MAX 256
#define TTL_HOSTS 60

static int link_end;
static const struct network *rules;
static ares_channel channel;
static char **domains; /* the host's search list */
static int domain_count;

struct dns_query {
    uint32_t slot;
    uint64_t rules;
    char upstream[2 * DNS_NAME]; /* the name that is asked for: with a domain of the search list, where it has no dot */
    int searched;                /* domains that were tried */
    struct dns_question question;
    uint8_t bytes[DNS_MAX];
};

/* What names led to, the last ones, for questions the other way round. */
static struct { uint8_t address[16]; char name[DNS_NAME]; } known[KNOWN_MAX];
static uint32_t known_next;

static void answer(struct resolver_answer *head, const uint8_t *bytes, size_t size)
{
    struct iovec parts[2] = {{head, sizeof *head}, {(void *)bytes, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(link_end, &message, MSG_NOSIGNAL) < 0)
        return; /* the guest asks again */
}

static void answer_made(struct resolver_answer *head, const struct dns_query *asked, uint8_t *out, size_t size)
{
    answer(head, out, dns_answer_end(&asked->question, out, size));
}

static void answer_code(const struct dns_query *asked, int code)
{
    static struct resolver_answer head;
    static uint8_t out[DNS_MAX];
    head = (struct resolver_answer){.slot = asked->slot};
    answer_made(&head, asked, out, dns_answer(&asked->question, asked->bytes, code, out));
}

/* A name that no rule has. */
static void answer_refused(const struct dns_query *asked)
{
    static struct resolver_answer head;
    static uint8_t out[DNS_MAX];
    uint8_t marker[16];
    network_marker(asked->question.name, marker);
    head = (struct resolver_answer){.slot = asked->slot};
    strcpy(head.refused, asked->question.name);
    size_t size = dns_answer(&asked->question, asked->bytes, DNS_NOERROR, out);
    if (asked->question.type == DNS_A)
        size = dns_answer_add(&asked->question, out, size, marker + 12, 4, TTL_MARKER);
    answer_made(&head, asked, out, size);
}

static void answer_local(const struct dns_query *asked)
{
    static struct resolver_answer head;
    static uint8_t out[DNS_MAX];
    static const uint8_t local[16] = {[15] = 1}, local_4[4] = {127, 0, 0, 1};
    size_t size = dns_answer(&asked->question, asked->bytes, DNS_NOERROR, out);
    head = (struct resolver_answer){.slot = asked->slot};
    if (asked->question.type == DNS_A)
        size = dns_answer_add(&asked->question, out, size, local_4, sizeof local_4, TTL_MARKER);
    if (asked->question.type == DNS_AAAA)
        size = dns_answer_add(&asked->question, out, size, local, sizeof local, TTL_MARKER);
    answer_made(&head, asked, out, size);
}

/* The addresses of a question's name, which are learnt. */
static void answer_addresses(const struct dns_query *asked, struct resolver_answer *head, int count, int code, uint32_t ttl)
{
    static uint8_t out[DNS_MAX];
    const struct dns_question *question = &asked->question;
    size_t used = dns_answer(question, asked->bytes, code, out), length = question->type == DNS_A ? 4 : 16;
    head->address_count = (uint32_t)count;
    for (int i = 0; i < count; i++) {
        used = dns_answer_add(question, out, used, head->addresses[i] + 16 - length, length, ttl);
        memcpy(known[known_next % KNOWN_MAX].address, head->addresses[i], 16);
        strcpy(known[known_next++ % KNOWN_MAX].name, question->name);
    }
    answer_made(head, asked, out, used);
}

/* The bytes are upstream's: records of other types lead to no addresses that could be connected to. */
static void answer_forwarded(const struct dns_query *asked, struct resolver_answer *head, uint8_t *bytes, size_t size, int code)
{
    static uint8_t out[DNS_MAX];
    if (strcmp(asked->upstream, asked->question.name) != 0) {
        answer_code(asked, code);
    } else if (size <= asked->question.room) {
        memcpy(bytes, asked->bytes, 2); /* the guest's number */
        answer(head, bytes, size);
    } else {
        size_t used = dns_answer(&asked->question, asked->bytes, code, out);
        out[2] |= 2; /* truncated */
        answer_made(head, asked, out, used);
    }
}

/* HTTP/3 needs permission to send there. */
static bool may_quic(uint64_t names)
{
    for (size_t i = 0; i < rules->rule_count; i++)
        if (names >> i & 1 && net_rule_port(&rules->rules[i], true, 443))
            return true;
    return rules->mode == NETWORK_HOST;
}

static void answer_services(const struct dns_query *asked, struct resolver_answer *head, const uint8_t *bytes, size_t size, int code)
{
    static uint8_t out[DNS_MAX], data[DNS_MAX];
    struct dns_records records;
    struct dns_record record;
    size_t used = dns_answer(&asked->question, asked->bytes, code, out), length;
    bool any = dns_records_begin(&records, asked->upstream, bytes, size);
    while (any && dns_records_next(&records, &record)) {
        if (record.type == DNS_HTTPS && record.size <= sizeof data &&
            (length = dns_service(record.data, record.size, may_quic(asked->rules), data, head->addresses, &head->address_count)))
            used = dns_answer_record(&asked->question, out, used, DNS_HTTPS, data, length, record.ttl);
    }
    answer_made(head, asked, out, used);
}

/* Names without a dot are looked for in each domain of the search list. */
static bool has_more_domains(const struct dns_query *asked)
{
    return !strchr(asked->question.name, '.') && asked->searched < domain_count;
}

static void forward(struct dns_query *asked);

/* Upstream has answered, or has not. */
static void on_answer(void *argument, int status, int timeouts, unsigned char *bytes, int size)
{
    static struct resolver_answer head;
    struct dns_query *asked = argument;
    const struct dns_question *question = &asked->question;
    uint32_t ttl;
    int code = DNS_SERVFAIL, count = -1;
    (void)timeouts;
    head = (struct resolver_answer){.slot = asked->slot, .rules = asked->rules};
    if (status == ARES_SUCCESS && size > 0)
        count = dns_addresses(question, asked->upstream, bytes, (size_t)size, head.addresses, &code, &ttl);
    if (count >= 0 && code == DNS_NXDOMAIN && has_more_domains(asked)) {
        forward(asked); /* in the next domain */
        return;
    }
    if (count < 0)
        answer_code(asked, DNS_SERVFAIL);
    else if (question->type == DNS_A || question->type == DNS_AAAA)
        answer_addresses(asked, &head, count, code, ttl);
    else if (question->type == DNS_HTTPS)
        answer_services(asked, &head, bytes, (size_t)size, code);
    else
        answer_forwarded(asked, &head, bytes, (size_t)size, code);
    free(asked);
}

static void forward(struct dns_query *asked)
{
    unsigned char *query = NULL;
    int size;
    strcpy(asked->upstream, asked->question.name);
    if (has_more_domains(asked) && strlen(domains[asked->searched]) < DNS_NAME) {
        strcat(asked->upstream, ".");
        strcat(asked->upstream, domains[asked->searched++]);
    }
    for (char *c = asked->upstream; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (strlen(asked->upstream) >= DNS_NAME ||
        ares_create_query(asked->upstream, 1 /* IN */, asked->question.type, 0, 1, &query, &size, EDNS_SIZE)) {
        answer_code(asked, DNS_SERVFAIL);
        free(asked);
        return;
    }
    ares_send(channel, query, size, on_answer, asked);
    ares_free_string(query);
}

/* An address is called what led there, and nobody else is asked. */
static void answer_reverse(const struct dns_query *asked)
{
    static struct resolver_answer head;
    static uint8_t out[DNS_MAX];
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, loopback_6[16] = {[15] = 1};
    uint8_t address[16];
    const char *name = NULL;
    if (dns_reverse(asked->question.name, address)) {
        if (!memcmp(address, loopback, 16) || !memcmp(address, loopback_6, 16))
            name = "localhost";
        for (uint32_t i = 0; !name && i < KNOWN_MAX; i++)
            if (known[i].name[0] && !memcmp(known[i].address, address, 16))
                name = known[i].name;
    }
    head = (struct resolver_answer){.slot = asked->slot};
    size_t size = dns_answer(&asked->question, asked->bytes, name ? DNS_NOERROR : DNS_NXDOMAIN, out);
    if (name)
        size = dns_answer_name(&asked->question, out, size, name, TTL_HOSTS);
    answer_made(&head, asked, out, size);
}

/* The host's /etc/hosts comes before name servers. */
static bool answer_hosts(const struct dns_query *asked)
{
    static struct resolver_answer head;
    const struct dns_question *question = &asked->question;
    head = (struct resolver_answer){.slot = asked->slot, .rules = asked->rules};
    int count = hosts_find(question->name, question->type == DNS_A, head.addresses);
    if (count < 0 || (question->type != DNS_A && question->type != DNS_AAAA))
        return false;
    answer_addresses(asked, &head, count, DNS_NOERROR, TTL_HOSTS);
    return true;
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), length = strlen(end);
    return size >= length && !strcmp(name + size - length, end);
}

static void serve(const uint8_t *packet, size_t size)
{
    struct dns_query *asked = calloc(1, sizeof *asked);
    if (!asked)
        return;
    memcpy(&asked->slot, packet, sizeof asked->slot);
    size -= sizeof asked->slot;
    memcpy(asked->bytes, packet + sizeof asked->slot, size);
    struct dns_question *question = &asked->question;
    int code = dns_question_read(asked->bytes, size, question);
    if (asked->slot & RESOLVER_STREAM)
        question->room = DNS_MAX;
    if (!code && !strcmp(question->name, "use-application-dns.net"))
        code = DNS_NXDOMAIN; /* Firefox then asks here, not elsewhere by HTTPS */
    if (code > 0)
        answer_code(asked, code);
    if (code) {
        free(asked);
        return;
    }
    asked->rules = network_match_name(rules, question->name);
    if (!strcmp(question->name, "localhost") || ends_with(question->name, ".localhost")) {
        answer_local(asked);
    } else if (question->type == DNS_PTR) {
        answer_reverse(asked);
    } else if (rules->mode != NETWORK_HOST && !(rules->mode == NETWORK_RULES && asked->rules)) {
        answer_refused(asked);
    } else if (question->type == DNS_SVCB) {
        answer_code(asked, DNS_NOERROR); /* none: clients take A and AAAA */
    } else if (!answer_hosts(asked)) {
        forward(asked);
        return;
    }
    free(asked);
}

static void run(void)
{
    static uint8_t packet[sizeof(uint32_t) + DNS_MAX];
    for (;;) {
        fd_set readable, writable;
        struct timeval most = {3600, 0};
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        int count = ares_fds(channel, &readable, &writable);
        FD_SET(link_end, &readable);
        count = count > link_end + 1 ? count : link_end + 1;
        if (select(count, &readable, &writable, NULL, ares_timeout(channel, &most, &most)) < 0)
            continue;
        if (FD_ISSET(link_end, &readable)) {
            ssize_t size = recv(link_end, packet, sizeof packet, MSG_DONTWAIT);
            if (size == 0)
                _exit(0);
            if (size >= (ssize_t)sizeof(uint32_t))
                serve(packet, (size_t)size);
            FD_CLR(link_end, &readable);
        }
        ares_process(channel, &readable, &writable);
    }
}

/* What is left is talking to name servers. */
static bool confine(void)
{
    static const int calls[] = {
        SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_connect,
        SYS_getsockname, SYS_setsockopt, SYS_getsockopt, SYS_fcntl, SYS_close, SYS_select, SYS_pselect6, SYS_poll, SYS_ppoll,
        SYS_brk, SYS_munmap, SYS_mremap, SYS_clock_gettime, SYS_gettimeofday, SYS_getrandom, SYS_exit, SYS_exit_group,
        SYS_rt_sigreturn, SYS_restart_syscall, SYS_bind,
    };
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) < 0) && errno != EPERM)
        return false;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int error = filter ? 0 : -1;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (int family = AF_INET; family <= AF_INET6 && !error; family += AF_INET6 - AF_INET)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_socket, 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_mmap, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4 /* PROT_EXEC */, 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_mprotect, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
    if (!error) /* what isn't there is done without */
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOENT), SYS_openat, 0);
    return !error && seccomp_load(filter) == 0;
}

static void child(const struct network *network, int end)
{
    struct ares_options options = {.flags = ARES_FLAG_EDNS, .timeout = TIMEOUT_MS, .tries = TRIES, .ednspsz = EDNS_SIZE};
    const int set = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ;
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    link_end = dup2(end, 0);
    if (link_end < 0 || syscall(SYS_close_range, 1, ~0u, 0) < 0)
        _exit(1);
    rules = network;
    if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init_options(&channel, &options, set))
        _exit(1);
    if (network->dns && ares_set_servers_ports_csv(channel, network->dns))
        _exit(1);
    static struct ares_options found;
    int mask;
    if (ares_save_options(channel, &found, &mask) == ARES_SUCCESS) {
        domains = found.domains;
        domain_count = found.ndomains;
    }
    hosts_read();
    if (!confine())
        _exit(1);
    run();
}

int resolver_start(const struct network *network)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* No exit signal: not one of the children that are waited for. */
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        child(network, ends[1]);
        _exit(0);
    }
    int error = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (error)
        close(ends[0]);
    return error ? error : ends[0];
}
