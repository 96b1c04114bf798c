/* SPDX-License-Identifier: MIT */
/*
 * Answers sent ahead: what any program asks first, so that start-up needs no round trip.  Each is what the monitor
 * would have said, by the same function and the same policy.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "loader/monitor/monitor.h"

/* A name may be there as often as it is opened: each descriptor serves once. */
static bool is_there(const struct prefetch *prefetch, const char *path, bool opens)
{
    for (size_t i = 0; i < prefetch->count && !opens; i++)
        if (!strcmp(prefetch->entries[i].path, path))
            return true;
    return prefetch->count == PREFETCH_MAX;
}

void prefetch_add(struct prefetch *prefetch, const char *path, const struct reply *reply)
{
    if (is_there(prefetch, path, reply->packet.descriptors))
        return;
    struct prefetch_entry *entry = &prefetch->entries[prefetch->count++];
    *entry = (struct prefetch_entry){.path = path, .result = reply->packet.result, .fd = -1};
    if (entry->result)
        return;
    entry->attributes = reply->packet.attributes;
    if (reply->packet.descriptors) {
        entry->fd = reply->descriptors[0];
        prefetch->descriptor_count++;
    }
}

/* Beside them there must be room for what pal-run itself opens. */
static size_t most_descriptors(void)
{
    struct rlimit files;
    size_t most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (size_t)files.rlim_cur / 4 : 16;
    return most < PREFETCH_DESCRIPTORS ? most : PREFETCH_DESCRIPTORS;
}

void prefetch_ask(struct prefetch *prefetch, struct mount_table *table, const char *path, bool opens)
{
    static struct reply reply;
    struct request request = {.op = MONITOR_STAT, .path = path, .path_size = strlen(path)};
    if (is_there(prefetch, path, opens))
        return;
    reply.packet.descriptors = 0;
    const size_t count = table->denials.count;
    table->denials.ahead = true;
    if (opens && prefetch->descriptor_count < most_descriptors()) {
        request.op = MONITOR_OPEN;
        request.flags = PAL_OPEN_READ;
        reply.packet.result = serve_open(table, &request, &reply);
    } else {
        reply.packet.result = serve_stat(table, &request, &reply);
    }
    table->denials.ahead = false;
    if (table->denials.count != count) /* it is told of when the guest asks */
        table->denials.count = count;
    else if (reply.packet.result != -EREMOTE) /* such an answer has a path with it */
        prefetch_add(prefetch, path, &reply);
}

void prefetch_ask_loader(struct prefetch *prefetch, struct mount_table *table)
{
    /* glibc's ld.so, in this order.  What it looks for beside these is known only to the program's own needs. */
    prefetch_ask(prefetch, table, "/etc/ld.so.preload", true);
    prefetch_ask(prefetch, table, "/etc/ld.so.cache", true);
    prefetch_ask(prefetch, table, "/lib/x86_64-linux-gnu/libc.so.6", true);
}
