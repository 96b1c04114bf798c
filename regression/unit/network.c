/* SPDX-License-Identifier: MIT */
/* Rules of the network: what they read, and what they meet. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "loader/policy/network.h"

static void address(const char *text, uint8_t out[16])
{
    uint8_t in4[4];
    memset(out, 0, 16);
    if (inet_pton(AF_INET, text, in4) == 1) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, in4, 4);
    } else {
        cr_assert_eq(inet_pton(AF_INET6, text, out), 1, "%s", text);
    }
}

Test(network, rules_that_are_none)
{
    static const char *const texts[] = {
        "", ".", "*", "*.", "a..b", "a b", "a:0", "a:65536", "a:x", "a:1:2", "[::1", "[::1]x", "10.0.0.0/33", "10.0.0.0/",
        "10.0.0.0/-1", "*x.org", "a.*.org", "b\xc3\xbc.de", "http://a", "a/24", "a:80 public", "a raw:80", "a raw  private", "a raw ", "[fe80::1]/129",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct network network = {.mode = NETWORK_LOOPBACK};
        cr_assert(network_add_rule(&network, texts[i]), "'%s' is taken", texts[i]);
        cr_assert_eq(network.rule_count, 0);
    }
}

Test(network, names)
{
    struct network network = {.mode = NETWORK_LOOPBACK};
    cr_assert_null(network_add_rule(&network, "GitHub.com."));
    cr_assert_null(network_add_rule(&network, "*.debian.org:443"));
    cr_assert_null(network_add_rule(&network, "udp://ntp.example:123"));
    cr_assert_eq(network.mode, NETWORK_RULES);
    static const struct { const char *name; uint64_t rules; } cases[] = {
        {"github.com", 1}, {"api.github.com", 0}, {"xgithub.com", 0}, {"deb.debian.org", 2}, {"a.b.debian.org", 2},
        {"debian.org", 0}, {"xdebian.org", 0}, {"ntp.example", 4}, {"", 0}, {"org", 0}, {".debian.org", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cases[i].name[0] != '.')
            cr_assert_eq(network_match_name(&network, cases[i].name), cases[i].rules, "%s", cases[i].name);
    cr_assert(net_rule_port(&network.rules[0], false, 443) && net_rule_port(&network.rules[0], false, 80));
    cr_assert(!net_rule_port(&network.rules[0], true, 443)); /* what QUIC sends first can't be looked at */
    cr_assert_null(network_add_rule(&network, "quic.example raw private"));
    cr_assert(network.rules[3].raw && network.rules[3].private && net_rule_port(&network.rules[3], true, 443));
    cr_assert(!net_rule_port(&network.rules[3], true, 80) && !network.rules[0].raw);
    cr_assert(!net_rule_port(&network.rules[0], false, 22) && !net_rule_port(&network.rules[1], false, 80));
    cr_assert(net_rule_port(&network.rules[2], true, 123) && !net_rule_port(&network.rules[2], false, 123));
}

Test(network, datagrams)
{
    struct network network = {.mode = NETWORK_LOOPBACK}, base = {.mode = NETWORK_LOOPBACK};
    cr_assert(!network_datagrams(&network) && network_set_udp(&network, "all") && !network.udp_any);
    cr_assert_null(network_option(&network, "udp=any"));
    cr_assert(network.udp_any && network.mode == NETWORK_RULES && network_datagrams(&network));
    cr_assert_null(network_merge(&base, &network));
    cr_assert(base.udp_any && base.mode == NETWORK_RULES);
    cr_assert_null(network_set_udp(&network, "rules"));
    cr_assert(!network.udp_any);
}

Test(network, addresses)
{
    struct network network = {.mode = NETWORK_LOOPBACK};
    uint8_t at[16];
    cr_assert_null(network_add_rule(&network, "10.1.0.0/16:5432"));
    cr_assert_null(network_add_rule(&network, "[2001:db8::1]:80"));
    cr_assert_null(network_add_rule(&network, "[2001:db8:1::]/48:22"));
    static const struct { const char *address; uint16_t port; bool meets; } cases[] = {
        {"10.1.2.3", 5432, true}, {"10.2.0.0", 5432, false}, {"10.1.2.3", 80, false}, {"2001:db8::1", 80, true},
        {"2001:db8::2", 80, false}, {"2001:db8:1:ff::9", 22, true}, {"2001:db8:2::9", 22, false}, {"::10.1.2.3", 5432, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        address(cases[i].address, at);
        cr_assert_eq(network_match_address(&network, at, false, cases[i].port), cases[i].meets, "%s", cases[i].address);
    }
}

Test(network, what_is_public)
{
    static const char *const public[] = {"1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808",
                                         "2002:808:808::1"};
    static const char *const not[] = {
        "0.0.0.0", "10.0.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1", "100.100.100.200",
        "198.18.0.1", "224.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1",
        "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1", "::7f00:1", "64:ff9b::a9fe:a9fe",
    };
    uint8_t at[16];
    for (size_t i = 0; i < sizeof public / sizeof *public; i++) {
        address(public[i], at);
        cr_assert(address_is_public(at), "%s", public[i]);
    }
    for (size_t i = 0; i < sizeof not / sizeof *not; i++) {
        address(not[i], at);
        cr_assert(!address_is_public(at), "%s", not[i]);
    }
}

Test(network, ports)
{
    struct network network = {.mode = NETWORK_LOOPBACK};
    uint8_t at[16];
    cr_assert_null(network_add_publish(&network, "8080:80"));
    cr_assert_null(network_add_publish(&network, "[::1]:9000:9001"));
    cr_assert_null(network_add_publish(&network, "0.0.0.0:1:2"));
    address("127.0.0.1", at);
    cr_assert(network.publish[0].host_port == 8080 && network.publish[0].port == 80);
    cr_assert_eq(memcmp(network.publish[0].address, at, 16), 0);
    cr_assert(network.publish[1].host_port == 9000 && network.publish[1].port == 9001);
    static const char *const bad[] = {"", "80", "8080:80", "x:1:3", "1:0", "1:70000", ":1", "1:2:3:4", "localhost:1:3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(network_add_publish(&network, bad[i]), "'%s' is taken", bad[i]);
    cr_assert(!network_datagrams(&network));
    cr_assert_null(network_add_publish(&network, "udp://5353:80"));
    cr_assert(network.publish[3].udp && !network.publish[0].udp && network.publish[3].host_port == 5353);
    cr_assert(network_add_publish(&network, "udp://1:80") && network_add_publish(&network, "tcp://1:81"));
    cr_assert(network_datagrams(&network) && network_add_host_port(&network, "udp://"));
    cr_assert(!network_add_host_port(&network, "udp://53") && network.host_ports[0].udp);
    cr_assert(network_add_host_port(&network, "0") && !network_add_host_port(&network, "5432"));
    cr_assert(!network_option(&network, "host") && network.mode == NETWORK_HOST);
}
