/* SPDX-License-Identifier: MIT */
/* Rules of the network: read from text, and matched against names and addresses. */
#include "loader/policy/network.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BITS 128
#define BITS_4 96 /* before the IPv4 part of a mapped address */

bool address_is_4(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return !memcmp(address, mapped, sizeof mapped);
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

static bool within(const uint8_t *address, const uint8_t *net, unsigned bits)
{
    if (memcmp(address, net, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8, shift = 8 - rest;
    return !rest || address[bits / 8] >> shift == net[bits / 8] >> shift;
}

/* IANA's special-purpose registries: what is not globally reachable. */
static bool is_public_4(const uint8_t address[4])
{
    static const struct { uint8_t net[4], bits; } special[] = {
        {{0}, 8},           {{10}, 8},          {{100, 64}, 10},     {{127}, 8},       {{169, 254}, 16}, {{172, 16}, 12},
        {{192, 0, 0}, 24},  {{192, 0, 2}, 24},  {{192, 88, 99}, 24}, {{192, 168}, 16}, {{198, 18}, 15},
        {{198, 51, 100}, 24}, {{203, 0, 113}, 24}, {{224}, 4},       {{240}, 4},
    };
    static const uint8_t azure[4] = {168, 63, 129, 16}; /* a cloud's own services, at a public address */
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (within(address, special[i].net, special[i].bits))
            return false;
    return memcmp(address, azure, sizeof azure) != 0;
}

bool address_is_public(const uint8_t address[16])
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (address_is_4(address))
        return is_public_4(address + 12);
    if (!memcmp(address, nat64, sizeof nat64))
        return is_public_4(address + 12);
    if (address[0] == 0x20 && address[1] == 0x02) /* 6to4 */
        return is_public_4(address + 2);
    if (address[0] == 0x20 && address[1] == 0x01) {
        if (address[2] < 0x02) /* 2001::/23: Teredo and other protocols */
            return false;
        if (address[2] == 0x0d && address[3] == 0xb8) /* documentation */
            return false;
    }
    if (address[0] == 0x3f && address[1] == 0xff && address[2] < 0x10) /* documentation */
        return false;
    return address[0] >> 5 == 1; /* 2000::/3 is all that is given out */
}

static const uint8_t marker[16] = {[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18};

void network_marker(const char *name, uint8_t address[16])
{
    uint32_t hash = 5381;
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (uint8_t)*c;
    memcpy(address, marker, sizeof marker);
    address[14] = (uint8_t)(hash >> 8);
    address[15] = (uint8_t)hash;
}

bool address_is_marker(const uint8_t address[16])
{
    return !memcmp(address, marker, 14);
}

/* ---- Rules ------------------------------------------------------------------------------------------------------- */

static const char *read_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long value = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (!value || *end || value > UINT16_MAX)
        return "a port is a number from 1 to 65535";
    *out = (uint16_t)value;
    return NULL;
}

static const char *read_name(char *name)
{
    size_t size = strlen(name);
    if (size && name[size - 1] == '.')
        name[--size] = 0;
    const char *at = strncmp(name, "*.", 2) ? name : name + 2;
    if (!*at || size >= NET_NAME_MAX)
        return "it names nothing";
    for (size_t label = 0; *at; at++) {
        if ((unsigned char)*at >= 0x80)
            return "a name with letters beyond ASCII is written in its xn-- form";
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_' && *at != '.')
            return *at == '*' ? "a * stands at the beginning only, before a dot" : "it is not a valid host name";
        label = *at == '.' ? 0 : label + 1;
        if (label > 63 || (*at == '.' && (at[1] == '.' || !at[1])))
            return "it is not a valid host name";
    }
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return NULL;
}

/* a.b.c.d or an IPv6 address, perhaps with /BITS.  False: it is none. */
static bool read_address(char *text, struct net_rule *out, const char **error)
{
    char *slash = strchr(text, '/'), *end;
    uint8_t in4[4];
    unsigned long bits = BITS, most = 128;
    if (slash)
        *slash = 0;
    if (inet_pton(AF_INET, text, in4) == 1) {
        memset(out->address, 0, 12);
        out->address[10] = out->address[11] = 0xff;
        memcpy(out->address + 12, in4, sizeof in4);
        most = 32;
    } else if (inet_pton(AF_INET6, text, out->address) != 1) {
        if (slash)
            *slash = '/';
        return false;
    }
    if (slash) {
        bits = slash[1] >= '0' && slash[1] <= '9' ? strtoul(slash + 1, &end, 10) : most + 1;
        if (bits > most || *end)
            *error = "after the slash comes a number of bits";
        bits += BITS - most;
    }
    out->prefix = (uint8_t)bits;
    return true;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT; *port is what follows, or NULL. */
static const char *split(char *text, char **host, char **port)
{
    *host = text;
    *port = NULL;
    if (*text == '[') {
        char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':' && end[1] != '/'))
            return "an IPv6 address is written in brackets";
        *host = text + 1;
        if (end[1] == '/') { /* [net]/bits */
            memmove(end, end + 1, strlen(end));
            char *colon = strchr(end, ':');
            if (colon) {
                *colon = 0;
                *port = colon + 1;
            }
            return NULL;
        }
        if (end[1])
            *port = end + 2;
        *end = 0;
        return NULL;
    }
    char *colon = strchr(text, ':');
    if (colon && strchr(colon + 1, ':'))
        return "an IPv6 address is written in brackets";
    if (colon) {
        *colon = 0;
        *port = colon + 1;
    }
    return NULL;
}

/* What stands behind the host, each after a space; cut off. */
static const char *read_words(char *text, struct net_rule *out)
{
    char *word;
    while ((word = strrchr(text, ' '))) {
        if (!strcmp(word + 1, "private"))
            out->private = true;
        else if (!strcmp(word + 1, "raw"))
            out->raw = true;
        else
            return "after a space only 'private' or 'raw' may stand";
        *word = 0;
    }
    return NULL;
}

const char *network_add_rule(struct network *network, const char *text)
{
    struct net_rule rule = {.text = text, .tcp = true};
    char copy[NET_NAME_MAX + 64], *at = copy, *host, *port;
    const char *error;
    if (network->rule_count == NET_RULES_MAX)
        return "at most 64 rules";
    if (strlen(text) >= sizeof copy)
        return "it is too long";
    strcpy(copy, text);
    if ((error = read_words(copy, &rule)))
        return error;
    if (!strncmp(at, "udp://", 6)) {
        at += 6;
        rule.udp = true;
        rule.tcp = false;
    } else if (!strncmp(at, "tcp://", 6)) {
        at += 6;
    }
    if ((error = split(at, &host, &port)))
        return error;
    if (port && (error = read_port(port, &rule.port)))
        return error;
    bool is_address = read_address(host, &rule, &error);
    if (is_address && error)
        return error;
    if (!port && at == copy && (is_address || rule.raw))
        rule.udp = true; /* 443: HTTP/3, whose first bytes nobody can look at */
    if (!is_address) {
        if ((error = read_name(host)))
            return error;
        rule.name = strdup(host);
        if (!rule.name)
            return "no memory";
    }
    network->rules[network->rule_count++] = rule;
    if (network->mode == NETWORK_LOOPBACK)
        network->mode = NETWORK_RULES;
    return NULL;
}

static const char *after_udp(const char *text, bool *udp)
{
    *udp = !strncmp(text, "udp://", 6);
    return *udp ? text + 6 : text;
}

const char *network_add_publish(struct network *network, const char *text)
{
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    struct net_publish publish = {.socket = -1};
    struct net_rule address = {.prefix = 0};
    char copy[128], *last, *first;
    const char *error = NULL;
    if (network->publish_count == NET_PORTS_MAX)
        return "at most 32 ports";
    if (strlen(text) >= sizeof copy)
        return "it is too long";
    strcpy(copy, after_udp(text, &publish.udp));
    memcpy(publish.address, loopback, sizeof loopback);
    if (!(last = strrchr(copy, ':')))
        return "write HOST_PORT:PORT, or ADDRESS:HOST_PORT:PORT";
    *last++ = 0;
    first = strrchr(copy, ':');
    if (first) {
        char *host = copy;
        *first = 0;
        if (*host == '[' && first > copy && first[-1] == ']') {
            first[-1] = 0;
            host++;
        }
        if (!read_address(host, &address, &error) || error || address.prefix != BITS)
            return "before the ports comes an address of the host";
        memcpy(publish.address, address.address, sizeof publish.address);
    }
    if ((error = read_port(first ? first + 1 : copy, &publish.host_port)) || (error = read_port(last, &publish.port)))
        return error;
    for (size_t i = 0; i < network->publish_count; i++)
        if (network->publish[i].port == publish.port && network->publish[i].udp == publish.udp)
            return "this port of the sandbox is published already";
    network->publish[network->publish_count++] = publish;
    return NULL;
}

const char *network_add_host_port(struct network *network, const char *text)
{
    struct net_host_port wanted;
    const char *error = read_port(after_udp(text, &wanted.udp), &wanted.port);
    if (error)
        return error;
    if (network->host_port_count == NET_PORTS_MAX)
        return "at most 32 ports";
    network->host_ports[network->host_port_count++] = wanted;
    return NULL;
}

const char *network_set_mode(struct network *network, const char *text)
{
    static const char *const names[] = {[NETWORK_LOOPBACK] = "loopback", [NETWORK_NONE] = "none",
                                        [NETWORK_RULES] = "rules", [NETWORK_HOST] = "host"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            network->mode = (enum network_mode)i;
            network->mode_given = true;
            network->shared = false;
            return NULL;
        }
    if (!strcmp(text, "container")) {
        network->mode = NETWORK_HOST;
        network->mode_given = network->shared = true;
        return NULL;
    }
    return "a mode is none, loopback, rules, host or container";
}

const char *network_set_udp(struct network *network, const char *text)
{
    network->udp_any = !strcmp(text, "any");
    if (network->udp_any && network->mode == NETWORK_LOOPBACK)
        network->mode = NETWORK_RULES;
    return network->udp_any || !strcmp(text, "rules") ? NULL : "udp is any or rules";
}

const char *network_option(struct network *network, const char *text)
{
    if (!strncmp(text, "udp=", 4))
        return network_set_udp(network, text + 4);
    if (!strcmp(text, "rules") || network_set_mode(network, text))
        return network_add_rule(network, text);
    return NULL;
}

const char *network_merge(struct network *base, const struct network *own)
{
    const char *error = NULL;
    for (size_t i = 0; !error && i < own->rule_count; i++)
        error = network_add_rule(base, own->rules[i].text);
    for (size_t i = 0; !error && i < own->publish_count; i++) {
        if (base->publish_count == NET_PORTS_MAX)
            return "at most 32 ports";
        base->publish[base->publish_count++] = own->publish[i];
    }
    for (size_t i = 0; !error && i < own->host_port_count; i++) {
        if (base->host_port_count == NET_PORTS_MAX)
            return "at most 32 ports";
        base->host_ports[base->host_port_count++] = own->host_ports[i];
    }
    if (own->dns)
        base->dns = own->dns;
    base->udp_any |= own->udp_any;
    if (base->udp_any && base->mode == NETWORK_LOOPBACK)
        base->mode = NETWORK_RULES;
    if (own->mode_given)
        base->mode = own->mode;
    base->mode_given |= own->mode_given;
    return error;
}

bool network_datagrams(const struct network *network)
{
    bool any = network->mode == NETWORK_RULES || network->mode == NETWORK_HOST;
    for (size_t i = 0; i < network->publish_count; i++)
        any |= network->publish[i].udp;
    for (size_t i = 0; i < network->host_port_count; i++)
        any |= network->host_ports[i].udp;
    return any && network->mode != NETWORK_NONE;
}

/* ---- Matching ---------------------------------------------------------------------------------------------------- */

bool net_rule_port(const struct net_rule *rule, bool udp, uint16_t port)
{
    if (udp ? !rule->udp : !rule->tcp)
        return false;
    return rule->port ? rule->port == port : port == 443 || (!udp && port == 80);
}

uint64_t network_match_name(const struct network *network, const char *name)
{
    uint64_t rules = 0;
    size_t size = strlen(name);
    for (size_t i = 0; i < network->rule_count; i++) {
        const char *wanted = network->rules[i].name;
        if (!wanted)
            continue;
        size_t length = strlen(wanted);
        bool beneath = wanted[0] == '*' && size > length - 1 && !strcmp(name + size - (length - 1), wanted + 1);
        if (beneath || !strcmp(name, wanted))
            rules |= 1ull << i;
    }
    return rules;
}

bool network_match_address(const struct network *network, const uint8_t address[16], bool udp, uint16_t port)
{
    for (size_t i = 0; i < network->rule_count; i++) {
        const struct net_rule *rule = &network->rules[i];
        bool same_family = address_is_4(rule->address) == address_is_4(address) || rule->prefix < BITS_4;
        if (!rule->name && same_family && within(address, rule->address, rule->prefix) && net_rule_port(rule, udp, port))
            return true;
    }
    return false;
}
