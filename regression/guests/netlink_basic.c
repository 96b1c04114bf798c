/* SPDX-License-Identifier: MIT */
/* What programs learn of the network: interfaces and addresses by rtnetlink and ioctl, names by getaddrinfo. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static void interfaces(void)
{
    struct ifaddrs *all;
    int found = 0;
    CHECK(getifaddrs(&all) == 0);
    for (struct ifaddrs *one = all; one; one = one->ifa_next)
        if (!strcmp(one->ifa_name, "lo") && one->ifa_addr && one->ifa_addr->sa_family == AF_INET) {
            struct sockaddr_in *in = (void *)one->ifa_addr, *mask = (void *)one->ifa_netmask;
            found = in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) && mask->sin_addr.s_addr == htonl(0xff000000) &&
                    one->ifa_flags & IFF_LOOPBACK && one->ifa_flags & IFF_UP;
        }
    freeifaddrs(all);
    CHECK(found && if_nametoindex("lo") == 1);
    char name[IF_NAMESIZE];
    CHECK(if_indextoname(1, name) && !strcmp(name, "lo") && if_nametoindex("no-such0") == 0);
    struct ifreq request = {.ifr_name = "lo"}, list[32];
    struct ifconf config = {.ifc_len = sizeof list, .ifc_req = list};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_LOOPBACK);
    CHECK(ioctl(fd, SIOCGIFADDR, &request) == 0);
    CHECK(((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    CHECK(ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu >= 16384);
    CHECK(ioctl(fd, SIOCGIFCONF, &config) == 0 && config.ifc_len >= (int)sizeof *list);
    strcpy(request.ifr_name, "no-such0");
    CHECK_FAILS(ioctl(fd, SIOCGIFFLAGS, &request), ENODEV);
    close(fd);
}

static void route_socket(void)
{
    struct { struct nlmsghdr head; struct ifaddrmsg address; } ask = {
        {sizeof ask, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {.ifa_family = AF_INET}};
    struct sockaddr_nl name = {.nl_family = AF_NETLINK}, from;
    socklen_t size = sizeof name;
    static char bytes[32768];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), done = 0, found = 0;
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&name, &size) == 0 && name.nl_pid && size == sizeof name);
    CHECK(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    CHECK(poll(&item, 1, 0) == 0);
    CHECK(send(fd, &ask, sizeof ask, 0) == sizeof ask && poll(&item, 1, 10000) == 1);
    while (!done) {
        size = sizeof from;
        long whole = recv(fd, bytes, 0, MSG_PEEK | MSG_TRUNC);
        long got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        CHECK(got > 0 && whole == got && from.nl_pid == 0 && from.nl_family == AF_NETLINK);
        int left = (int)got;
        for (struct nlmsghdr *head = (void *)bytes; NLMSG_OK(head, (unsigned)left); head = NLMSG_NEXT(head, left)) {
            CHECK(head->nlmsg_seq == 7 && head->nlmsg_pid == name.nl_pid);
            done |= head->nlmsg_type == NLMSG_DONE;
            found |= head->nlmsg_type == RTM_NEWADDR;
        }
    }
    CHECK(found);
    struct { struct nlmsghdr head; struct ifinfomsg link; } change = {
        {sizeof change, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 8, 0}, {.ifi_family = AF_UNSPEC, .ifi_index = 999999}};
    CHECK(send(fd, &change, sizeof change, 0) == sizeof change && recv(fd, bytes, sizeof bytes, 0) > 0);
    struct nlmsghdr *head = (void *)bytes;
    CHECK(head->nlmsg_type == NLMSG_ERROR && head->nlmsg_seq == 8 && ((struct nlmsgerr *)NLMSG_DATA(head))->error < 0);
    close(fd);
    CHECK_FAILS(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
}

static void names(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &list) == 0 && list->ai_family == AF_INET);
    freeaddrinfo(list);
    CHECK(getaddrinfo("localhost", "80", &hints, &list) == 0);
    freeaddrinfo(list);
}

/* Some line of the file has this in it. */
static int tells(const char *path, const char *what)
{
    char line[512];
    int found = 0;
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (!found && fgets(line, sizeof line, file))
        found = strstr(line, what) != NULL;
    fclose(file);
    return found;
}

static void files(void)
{
    CHECK(tells("/proc/net/dev", "lo:") && tells("/proc/net/tcp", "local_address") && tells("/proc/net/route", "Gateway"));
    CHECK(tells("/etc/hosts", "localhost") && tells("/etc/resolv.conf", "nameserver"));
    if (access("/proc/net/if_inet6", F_OK) == 0)
        CHECK(tells("/proc/self/net/if_inet6", " lo\n"));
}

int main(void)
{
    alarm(50);
    interfaces();
    route_socket();
    names();
    files();
    return 0;
}
