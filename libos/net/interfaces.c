/* SPDX-License-Identifier: MIT */
/* Network interfaces, as ioctl(2) tells of them: the loopback, and with rules that let it out eth0.  See netdevice(7). */
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
#define IFF_UP_RUNNING 0x41u
#define IFF_BROADCAST 2u
#define IFF_LOOPBACK 8u
#define INDEX_LO 1
#define INDEX_ETH0 2
#define SCOPE_HOST 254

/* eth0 is nobody's: it tells programs that there is a way out, and says nothing of the host's addresses. */
static const struct interface interfaces[] = {
    {"lo", INDEX_LO, IFF_UP_RUNNING | IFF_LOOPBACK, 65536, 772, {0}, {127, 0, 0, 1}, {0}, 8, {[15] = 1}, 128, SCOPE_HOST},
    {"eth0", INDEX_ETH0, IFF_UP_RUNNING | IFF_BROADCAST, 1500, 1, {2, 0, 0, 0, 0, 2}, {10, 0, 2, 15}, {10, 0, 2, 255}, 24,
     {0xfd, [15] = 15}, 64, 0},
};
const uint8_t gateway_4[4] = {10, 0, 2, 2}, gateway_6[16] = {0xfd, [15] = 2};

const struct interface *interface_at(uint32_t n)
{
    return n < (boot->network & PAL_NETWORK_OUTSIDE ? 2u : 1u) ? &interfaces[n] : NULL;
}

const struct interface *interface_named(const char *name, uint32_t size)
{
    for (uint32_t n = 0; interface_at(n); n++)
        if (strnlen(name, size) == strlen(interfaces[n].name) && !memcmp(name, interfaces[n].name, strnlen(name, size)))
            return &interfaces[n];
    return NULL;
}

bool interface_has_6(const struct interface *interface)
{
    return interface->index == INDEX_LO || boot->network & PAL_NETWORK_6;
}

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

int32_t interface_of(const struct pal_inet *own)
{
    return inet_is_loopback(own) || inet_is_any(own) ? INDEX_LO : INDEX_ETH0;
}

static int64_t list(guest_t argument)
{
    struct { int32_t size, pad; guest_t to; } list;
    uint32_t count = 0;
    if (copy_in(&list, argument, sizeof list))
        return -EFAULT;
    for (const struct interface *each; (each = interface_at(count)); count++) {
        struct request one = {.in = {.family = AF_INET}};
        if (list.to && list.size < (int32_t)((count + 1) * sizeof one))
            break;
        memcpy(one.name, each->name, sizeof one.name);
        memcpy(one.in.address, each->address, sizeof one.in.address);
        if (list.to && copy_out(list.to + count * sizeof one, &one, sizeof one))
            return -EFAULT;
    }
    list.size = (int32_t)(count * sizeof(struct request));
    return copy_out(argument, &list, sizeof list) ? -EFAULT : 0;
}

static int64_t fill(uint32_t code, const struct interface *of, struct request *request)
{
    memset(request->bytes, 0, sizeof request->bytes);
    switch (code) {
    case SIOCGIFFLAGS: request->flags = (uint16_t)of->flags; return 0;
    case SIOCGIFNETMASK:
        request->in.family = AF_INET;
        for (int i = 0; i < of->prefix / 8; i++)
            request->in.address[i] = 255;
        return 0;
    case SIOCGIFADDR: case SIOCGIFDSTADDR:
        memcpy(request->in.address, of->address, sizeof of->address);
        request->in.family = AF_INET;
        return 0;
    case SIOCGIFBRDADDR:
        memcpy(request->in.address, of->broadcast, sizeof of->broadcast);
        request->in.family = AF_INET;
        return 0;
    case SIOCGIFMTU: request->number = (int32_t)of->mtu; return 0;
    case SIOCGIFINDEX: request->number = (int32_t)of->index; return 0;
    case SIOCGIFTXQLEN: request->number = 1000; return 0;
    case SIOCGIFHWADDR:
        request->flags = of->type;
        memcpy(request->bytes + sizeof request->flags, of->hardware, sizeof of->hardware);
        return 0;
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
        const struct interface *of = request.number > 0 ? interface_at((uint32_t)request.number - 1) : NULL;
        if (!of)
            return -ENODEV;
        memcpy(request.name, of->name, sizeof request.name);
    } else {
        request.name[sizeof request.name - 1] = 0;
        const struct interface *of = interface_named(request.name, sizeof request.name);
        int64_t result = fill(code, of ? of : &interfaces[0], &request);
        if (result)
            return result;
        if (!of)
            return -ENODEV;
    }
    return copy_out(argument, &request, sizeof request) ? -EFAULT : 0;
}
