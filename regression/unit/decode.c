/* SPDX-License-Identifier: MIT */
/* Requests as hostile bytes: what decodes is within its rule, and nothing else gets through. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loader/monitor/monitor.h"

struct packet {
    struct monitor_request header;
    char bytes[2 * PAL_PATH_MAX];
};

static size_t fill(struct packet *packet, uint32_t op, const char *path, size_t path_size, const char *other,
                   size_t other_size)
{
    memset(packet, 0, sizeof *packet);
    packet->header.op = op;
    packet->header.sequence = 77;
    packet->header.path_size = (uint32_t)path_size;
    packet->header.other_size = (uint32_t)other_size;
    memcpy(packet->bytes, path, path_size);
    memcpy(packet->bytes + path_size, other, other_size);
    return sizeof packet->header + path_size + other_size;
}

static int decode_path(uint32_t op, const char *path, size_t size)
{
    struct packet packet;
    struct request request;
    size_t total = fill(&packet, op, path, size, "", 0);
    packet.header.flags = op == MONITOR_OPEN ? PAL_OPEN_READ : 0;
    return request_decode(&packet, total, &request);
}

Test(decode, paths)
{
    cr_assert_eq(decode_path(MONITOR_OPEN, "/usr", 4), 0);
    cr_assert_eq(decode_path(MONITOR_OPEN, "usr", 3), -EINVAL);
    cr_assert_eq(decode_path(MONITOR_OPEN, "", 0), -ENOENT);
    cr_assert_eq(decode_path(MONITOR_OPEN, "/usr\0/x", 7), -EINVAL);
    cr_assert_eq(decode_path(MONITOR_CREATE, "/x", 2), -EINVAL);
    cr_assert_eq(decode_path(MONITOR_OPS, "/x", 2), -ENOSYS);
    cr_assert_eq(decode_path(0, "/x", 2), -ENOSYS);
}

Test(decode, sizes)
{
    struct packet packet;
    struct request request;
    size_t total = fill(&packet, MONITOR_STAT, "/usr", 4, "", 0);
    for (size_t size = 0; size < total + 20; size++) {
        request.sequence = 0;
        int result = request_decode(&packet, size, &request);
        if (size < 8)
            cr_assert_eq(result, -EBADMSG);
        else if (size != total)
            cr_assert(result == -EINVAL && request.sequence == 77);
        else
            cr_assert_eq(result, 0);
    }
    packet.header.path_size = UINT32_MAX;
    cr_assert_eq(request_decode(&packet, total, &request), -ENAMETOOLONG);
    packet.header.path_size = PAL_PATH_MAX;
    cr_assert_eq(request_decode(&packet, total, &request), -ENAMETOOLONG);
}

Test(decode, changes_need_their_other_name)
{
    struct packet packet;
    struct request request;
    size_t total = fill(&packet, MONITOR_CHANGE, "/a", 2, "", 0);
    packet.header.flags = PAL_RENAME;
    cr_assert_eq(request_decode(&packet, total, &request), -ENOENT);
    total = fill(&packet, MONITOR_CHANGE, "/a", 2, "b", 1);
    packet.header.flags = PAL_RENAME;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL, "a relative target");
    packet.header.flags = PAL_SYMLINK;
    cr_assert_eq(request_decode(&packet, total, &request), 0, "any contents");
    packet.header.flags = PAL_MKDIR;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
    packet.header.flags = 0xf;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
}

Test(decode, bounds)
{
    struct packet packet;
    struct request request;
    size_t total = fill(&packet, MONITOR_INTERRUPT, "", 0, "", 0);
    packet.header.arguments[0] = 1ull << 32 | 1;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL, "a pid that would be cut off");
    total = fill(&packet, MONITOR_CREATE, "", 0, "", 0);
    packet.header.mode = PAL_OBJECT_PIPE;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
    packet.header.mode = PAL_OBJECT_EVENT;
    cr_assert_eq(request_decode(&packet, total, &request), 0);
    packet.header.arguments[0] = 1ull << 32;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL, "more than eventfd takes");
    packet.header.mode = PAL_OBJECT_SECTION;
    cr_assert_eq(request_decode(&packet, total, &request), 0);
    total = fill(&packet, MONITOR_OPEN, "/a", 2, "", 0);
    packet.header.flags = 1u << 30;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
    packet.header.flags = PAL_OPEN_READ;
    packet.header.mode = 0x10000;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
}

Test(decode, prefetched)
{
    static const struct { const char *list; size_t size; int result; } cases[] = {
        {"r/a\0x/b\0r/c", 12, 0}, {"", 0, 0},          {"r/a", 3, -EINVAL},     {"ra", 3, -EINVAL},
        {"s/a", 4, -EINVAL},       {"r/a\0", 5, -EINVAL}, {"\0r/a", 5, -EINVAL}, {"r", 1, -EINVAL},
    };
    struct packet packet;
    struct request request;
    char many[(MONITOR_PREFETCH_MAX + 1) * 4];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t total = fill(&packet, MONITOR_START, "/p", 2, cases[i].list, cases[i].size);
        cr_assert_eq(request_decode(&packet, total, &request), cases[i].result, "case %zu", i);
    }
    for (size_t i = 0; i < sizeof many; i += 4)
        memcpy(many + i, "r/a", 4);
    cr_assert_eq(request_decode(&packet, fill(&packet, MONITOR_START, "/p", 2, many, sizeof many - 4), &request), 0);
    cr_assert_eq(request_decode(&packet, fill(&packet, MONITOR_START, "/p", 2, many, sizeof many), &request), -EINVAL);
    size_t total = fill(&packet, MONITOR_START, "/p", 2, "", 0);
    packet.header.flags = PAL_OPEN_WRITE;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
}

Test(decode, local_names)
{
    struct packet packet;
    struct request request;
    size_t total = fill(&packet, MONITOR_BIND, "a\0b", 3, "", 0);
    packet.header.flags = PAL_SOCKET_STREAM | MONITOR_ABSTRACT;
    cr_assert_eq(request_decode(&packet, total, &request), 0, "an abstract name is any bytes");
    packet.header.flags = PAL_SOCKET_STREAM;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
    packet.header.flags = MONITOR_ABSTRACT;
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL, "no kind");
    char info[PAL_SOCKET_INFO + 1] = {0};
    total = fill(&packet, MONITOR_LISTEN, "", 0, info, sizeof info);
    cr_assert_eq(request_decode(&packet, total, &request), -EINVAL);
}

/* Whatever comes: no crash, and what is accepted has text where the rules say so. */
Test(decode, noise)
{
    static struct packet packet;
    struct request request;
    srandom(1);
    for (int round = 0; round < 300000; round++) {
        size_t bytes = (size_t)random() % 64;
        for (size_t i = 0; i < sizeof packet.header + bytes; i++)
            ((unsigned char *)&packet)[i] = (unsigned char)random();
        if (round % 4) {
            packet.header.op = (uint32_t)random() % (MONITOR_OPS + 1);
            packet.header.flags = round % 3 ? PAL_OPEN_READ : (uint32_t)random() % 8;
            packet.header.mode = 0;
            packet.header.path_size = (uint32_t)(bytes ? (size_t)random() % bytes : 0);
            packet.header.other_size = (uint32_t)bytes - packet.header.path_size;
            packet.bytes[0] = '/';
        }
        if (request_decode(&packet, sizeof packet.header + bytes, &request) != 0)
            continue;
        cr_assert(request.op > 0 && request.op < MONITOR_OPS);
        cr_assert_eq(request.path_size + request.other_size, bytes);
        bool local = request.op == MONITOR_BIND || request.op == MONITOR_CONNECT;
        bool abstract = local && request.flags & MONITOR_ABSTRACT;
        if (request.path_size && !abstract)
            cr_assert(request.path[0] == '/' && !memchr(request.path, 0, request.path_size));
    }
}
