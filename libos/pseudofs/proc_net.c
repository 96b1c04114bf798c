/* SPDX-License-Identifier: MIT */
/*
 * What files tell of the network: /proc/net, and those of /etc that say how names are looked up.  In the sandbox there is
 * the loopback, and names are asked for at 127.0.0.53 (docs/network.md), whatever the host has.
 */
#include "libos/pseudofs/pseudofs.h"

static void dev_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "Inter-|   Receive                                                |  Transmit\n"
                   " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls "
                   "carrier compressed\n");
    seq_printf(text,
               "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0"
               "       0          0\n");
    if (boot->network & PAL_NETWORK_OUTSIDE)
        seq_printf(text,
                   "  eth0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0"
                   "       0          0\n");
}

/* As libos/net/interfaces.c has them. */
static void outside_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    const char *name = node->entry->name;
    bool outside = boot->network & PAL_NETWORK_OUTSIDE, outside_6 = outside && boot->network & PAL_NETWORK_6;
    if (!strcmp(name, "if_inet6")) {
        seq_printf(text, "00000000000000000000000000000001 01 80 10 80       lo\n");
        if (outside_6)
            seq_printf(text, "fd00000000000000000000000000000f 02 40 00 80     eth0\n");
        return;
    }
    seq_printf(text, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
                     "                                                       \n");
    if (outside)
        seq_printf(text, "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0"
                         "                                                                               \n"
                         "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"
                         "                                                                            \n");
}

static const struct { const char *name, *text; } fixed[] = {
    {"arp", "IP address       HW type     Flags       HW address            Mask     Device\n"},
    {"ipv6_route", "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
                   "00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo\n"},
    {"netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"},
    {"packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
    {"raw", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
            "drops\n"},
    {"tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
            "                                                     \n"},
    {"tcp6", "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
             "tm->when retrnsmt   uid  timeout inode\n"},
    {"udp", "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
            "drops             \n"},
    {"udp6", "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
             "tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
    {"unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"},
    {"resolv.conf", "nameserver 127.0.0.53\noptions edns0\n"},
    {"nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\n"
                      "services: files\nethers: files\nrpc: files\n"},
};

static void fixed_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        if (!strcmp(fixed[i].name, node->entry->name))
            seq_write(text, fixed[i].text, strlen(fixed[i].text));
}

static void hosts_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    if (strcmp(boot->hostname, "localhost") != 0)
        seq_printf(text, "127.0.0.1\t%s\n", boot->hostname);
}

#define FIXED(entry_name) {.name = entry_name, .mode = PSEUDO_TEXT, .text = fixed_text}
const struct pseudo_entry procnet_entries[] = {
    FIXED("arp"),   {.name = "dev", .mode = PSEUDO_TEXT, .text = dev_text},
    {.name = "if_inet6", .mode = PSEUDO_TEXT, .text = outside_text}, {.name = "route", .mode = PSEUDO_TEXT, .text = outside_text},
    FIXED("ipv6_route"), FIXED("netlink"), FIXED("packet"), FIXED("raw"),
    FIXED("tcp"), FIXED("tcp6"), FIXED("udp"), FIXED("udp6"), FIXED("unix"), {.name = NULL},
};
const struct pseudo_entry etc_entries[] = {
    {.name = "hosts", .mode = S_IFREG | 0644, .text = hosts_text},
    {.name = "nsswitch.conf", .mode = S_IFREG | 0644, .text = fixed_text},
    {.name = "resolv.conf", .mode = S_IFREG | 0644, .text = fixed_text},
    {.name = NULL},
};
