/* SPDX-License-Identifier: MIT */
/*
 * A program about to be started, and answers to what its earlier starts asked first: one round trip in place of one
 * each.  Every answer is what serve_open would have said, by the same policy; which names come along is
 * the picoprocess's to say, and gains it nothing that it could not ask for.
 *
 * An answer that comes before its question must still be right when that is asked, some milliseconds later.  So only
 * names come along that the sandbox can't change.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "loader/monitor/monitor.h"

static bool is_fixed(const struct mount *mount)
{
    return mount && !mount->writable && mount->kind != MOUNT_SCRATCH;
}

/* Adds its descriptor to the program's answer. */
static void bring(struct mount_table *table, const char *item, struct reply *program, struct monitor_prefetch *out)
{
    static struct reply reply;
    const struct request request = {.op = MONITOR_OPEN,
                                    .path = item + 1,
                                    .path_size = strlen(item + 1),
                                    .flags = PAL_OPEN_READ | (*item == MONITOR_EXECUTES ? PAL_OPEN_EXECUTE : 0u)};
    reply.packet.descriptors = 0;
    reply.mount = NULL;
    *out = (struct monitor_prefetch){.result = serve_open(table, &request, &reply)};
    bool fixed = is_fixed(reply.mount) && is_fixed(mount_table_find(table, request.path, request.path_size));
    bool plain = out->result == -ENOENT || (!out->result && reply.packet.attributes.type == PAL_TYPE_FILE);
    if (!fixed || !plain) {
        out->result = MONITOR_NOT_PREFETCHED;
        if (reply.packet.descriptors)
            close(reply.descriptors[0]);
        return;
    }
    if (out->result)
        return;
    out->attributes = reply.packet.attributes;
    program->descriptors[program->packet.descriptors++] = reply.descriptors[0];
}

int serve_start(struct mount_table *table, const struct request *request, struct reply *reply)
{
    int error = serve_open(table, request, reply);
    if (error || reply->packet.attributes.type != PAL_TYPE_FILE)
        return error;
    const size_t count = table->denials.count;
    const char *item = request->other, *end = item + request->other_size;
    reply->text.size = 0;
    table->denials.ahead = true; /* nobody has asked yet */
    for (; item < end; item += strlen(item) + 1) {
        struct monitor_prefetch one;
        bring(table, item, reply, &one);
        memcpy(reply->text.bytes + reply->text.size, &one, sizeof one);
        reply->text.size += (uint32_t)sizeof one;
    }
    table->denials.ahead = false;
    table->denials.count = count;
    return 0;
}
