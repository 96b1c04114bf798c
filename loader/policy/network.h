/* SPDX-License-Identifier: MIT */
/* Which network a sandbox has: rules about names and addresses, ports published, ports of the host.  See docs/network.md. */
#ifndef LOADER_NETWORK_H
#define LOADER_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum network_mode { NETWORK_LOOPBACK, NETWORK_NONE, NETWORK_RULES, NETWORK_HOST };

#define NET_RULES_MAX 64 /* bits of a word: see network_names in monitor/bindings */
#define NET_PORTS_MAX 32
#define NET_LISTENERS_FIRST 3 /* descriptors that pal-run was started with: sd_listen_fds(3) */
#define NET_LISTENERS_MAX 16
#define FIRST_PROGRAM 2 /* a sandbox's first process, as its own programs number it */
#define NET_NAME_MAX 254

struct net_rule {
    const char *text;    /* as written */
    const char *name;    /* lower case, "*.x" or "x"; NULL: an address */
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix;      /* of 128 bits */
    uint16_t port;       /* 0: TCP 80 and 443, and UDP 443 of an address, or if raw */
    bool tcp, udp, private; /* private: the name may lead to addresses that are not public */
    bool raw;            /* what a connection sends first is not looked at */
};

struct net_publish { /* [udp://][ADDRESS:]HOST_PORT:PORT */
    uint8_t address[16];
    uint16_t host_port, port;
    bool udp;
    int socket; /* bound at pal-run's start; -1 before */
    bool dynamic; /* bound when somebody in the sandbox did: struct network, shared */
};

struct network {
    enum network_mode mode;
    bool mode_given;
    bool shared; /* it is a container's: 127.0.0.1 is the kernel's, and each port that is bound is the container's */
    bool udp_any; /* datagrams go to whoever the program names: no rule holds for them */
    const char *dns; /* name servers, "ADDRESS[:PORT],..."; NULL: the host's */
    struct net_rule rules[NET_RULES_MAX];
    struct net_publish publish[NET_PORTS_MAX];
    struct net_host_port { uint16_t port; bool udp; } host_ports[NET_PORTS_MAX];
    size_t rule_count, publish_count, host_port_count, listener_count;
};

/* Each: NULL, or what is wrong with the text (static). */
const char *network_add_rule(struct network *network, const char *text);
const char *network_add_publish(struct network *network, const char *text);
const char *network_add_host_port(struct network *network, const char *text);
/* --net: a mode, or a rule. */
const char *network_option(struct network *network, const char *text);
const char *network_set_mode(struct network *network, const char *text);
/* udp = "any" or "rules". */
const char *network_set_udp(struct network *network, const char *text);

/* Can datagrams of the sandbox leave its loopback? */
bool network_datagrams(const struct network *network);
/* What `own` has, on top of what a manifest that it extends has.  NULL, or what is too much. */
const char *network_merge(struct network *base, const struct network *own);

/* Does the rule have this port? */
bool net_rule_port(const struct net_rule *rule, bool udp, uint16_t port);
/* The rules that a name meets, by bit.  name: lower case, without a final dot. */
uint64_t network_match_name(const struct network *network, const char *name);
/* An address rule with this port covers it. */
bool network_match_address(const struct network *network, const uint8_t address[16], bool udp, uint16_t port);
/* Neither private, nor local, nor anybody's at all; looks into addresses that hold an IPv4 address. */
bool address_is_public(const uint8_t address[16]);
bool address_is_4(const uint8_t address[16]);
/* What a name that no rule has leads to: 198.18.x.y, and nowhere.  The last two bytes are the name's. */
void network_marker(const char *name, uint8_t address[16]);
bool address_is_marker(const uint8_t address[16]);

#endif
