/* SPDX-License-Identifier: MIT */
/* Network interfaces, as ioctl(2) tells of them: the loopback alone.  See netdevice(7). */
#include "libos/net/inet.h"

#define SIOCGIFNAME 0x8910u
#define SIOCGIFCONF 0x8912u
#define SIOCGIFFLAGS 0x8913u
#define SIOCGIFADDR 0x8915u
#define SIOCGIFDSTADDR 0x8917u
#define SIOCGIFBRDADDR 0x8919u
#define SIOCGIFNETMASK 0x891bu
#define SIOCGIFMETRIC 0x891du
#define SIOCGIFMTU 0x8921u
#define SIOCGIFHWADDR 0x8927u
#define SIOCGIFINDEX 0x8933u
#define SIOCGIFTXQLEN 0x8942u
#define IFF_LOOPBACK_RUNNING 0x49u /* IFF_UP | IFF_LOOPBACK | IFF_RUNNING */
#define ARPHRD_LOOPBACK 772

struct request { /* struct ifreq */
    char name[16];
    union {
        struct { uint16_t family, port; uint8_t address[4]; } in;
        uint16_t flags;
        int32_t number;
        uint8_t bytes[24];
    };
};
_Static_assert(sizeof(struct request) == 40, "ABI");

#define INDEX_LO 1
#define INDEX_ETH0 2

int32_t interface_of(const struct pal_inet *own)
{
    return inet_is_loopback(own) || inet_is_any(own) ? INDEX_LO : INDEX_ETH0;
}

static int64_t list(guest_t argument)
{
    struct { int32_t size, pad; guest_t to; } list;
    struct request lo = {.name = "lo", .in = {.family = AF_INET, .address = {127, 0, 0, 1}}};
    if (copy_in(&list, argument, sizeof list))
        return -EFAULT;
    if (!list.to)
        list.size = sizeof lo;
    else if (list.size < (int32_t)sizeof lo)
        list.size = 0;
    else if (copy_out(list.to, &lo, list.size = sizeof lo))
        return -EFAULT;
    return copy_out(argument, &list, sizeof list) ? -EFAULT : 0;
}

static int64_t fill(uint32_t code, struct request *request)
{
    memset(request->bytes, 0, sizeof request->bytes);
    switch (code) {
    case SIOCGIFFLAGS: request->flags = IFF_LOOPBACK_RUNNING; return 0;
    case SIOCGIFNETMASK:
        request->in.family = AF_INET;
        request->in.address[0] = 255;
        return 0;
    case SIOCGIFADDR: case SIOCGIFDSTADDR:
        request->in.address[0] = 127;
        request->in.address[3] = 1;
        request->in.family = AF_INET;
        return 0;
    case SIOCGIFBRDADDR: request->in.family = AF_INET; return 0;
    case SIOCGIFMTU: request->number = 65536; return 0;
    case SIOCGIFINDEX: request->number = 1; return 0;
    case SIOCGIFTXQLEN: request->number = 1000; return 0;
    case SIOCGIFHWADDR: request->flags = ARPHRD_LOOPBACK; return 0;
    case SIOCGIFMETRIC: return 0;
    default: return -ENOTTY;
    }
}

int64_t interface_control(uint32_t code, guest_t argument)
{
    struct request request;
    if (code == SIOCGIFCONF)
        return list(argument);
    if (copy_in(&request, argument, sizeof request))
        return -EFAULT;
    if (code == SIOCGIFNAME) {
        if (request.number != 1)
            return -ENODEV;
        memset(request.name, 0, sizeof request.name);
        memcpy(request.name, "lo", 2);
    } else {
        request.name[sizeof request.name - 1] = 0;
        int64_t result = fill(code, &request);
        if (result)
            return result;
        if (strcmp(request.name, "lo") != 0)
            return -ENODEV;
    }
    return copy_out(argument, &request, sizeof request) ? -EFAULT : 0;
}
