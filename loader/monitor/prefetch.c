/* SPDX-License-Identifier: MIT */
/*
 * Answers sent ahead: what any program asks first, so that start-up needs no round trip.  Each is what the monitor
 * would have said, by the same function and the same policy.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

/* Beside them there must be room for what pal-run itself opens.  Asked once: nothing changes it later. */
static size_t most_descriptors(void)
{
    static size_t most;
    struct rlimit files;
    if (!most) {
        most = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (size_t)files.rlim_cur / 4 : 16;
        most = most < PREFETCH_DESCRIPTORS ? most : PREFETCH_DESCRIPTORS;
    }
    return most;
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

/* ---- With a program that is about to be started ------------------------------------------------------------------ */

/*
 * Answers to what its earlier starts asked first: one round trip in place of one each.  Every answer is what serve_open would have said, by the same policy; which names come along is
 * the picoprocess's to say, and gains it nothing that it could not ask for.
 *
 * An answer that comes before its question must still be right when that is asked, some milliseconds later.  So only
 * names come along that the sandbox can't change.
 */
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
