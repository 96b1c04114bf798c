/* SPDX-License-Identifier: MIT */
/*
 * Answers sent ahead: what any program asks first, so that start-up needs no round trip.  Each is what the monitor
 * would have said, by the same function and the same policy.
 */
#include <errno.h>
#include <string.h>

#include "loader/monitor/monitor.h"

/* A name may be there as often as it is opened: each descriptor serves once. */
static bool is_there(const struct ahead *ahead, const char *path, bool opens)
{
    for (size_t i = 0; i < ahead->count && !opens; i++)
        if (!strcmp(ahead->entries[i].path, path))
            return true;
    return ahead->count == AHEAD_MAX;
}

void ahead_add(struct ahead *ahead, const char *path, const struct answer *answer)
{
    if (is_there(ahead, path, answer->reply.descriptors))
        return;
    struct ahead_entry *entry = &ahead->entries[ahead->count++];
    *entry = (struct ahead_entry){.path = path, .result = answer->reply.result, .fd = -1};
    if (entry->result)
        return;
    entry->attributes = answer->reply.attributes;
    if (answer->reply.descriptors) {
        entry->fd = answer->descriptors[0];
        ahead->descriptor_count++;
    }
}

void ahead_ask(struct ahead *ahead, struct tree *tree, const char *path, bool opens)
{
    static struct answer answer;
    struct request request = {.op = MONITOR_STAT, .path = path, .path_size = strlen(path)};
    if (is_there(ahead, path, opens))
        return;
    answer.reply.descriptors = 0;
    const size_t count = tree->denials.count, kept = tree->denials.kept;
    if (opens && ahead->descriptor_count < AHEAD_DESCRIPTORS) {
        request.op = MONITOR_OPEN;
        request.flags = PAL_OPEN_READ;
        answer.reply.result = serve_open(tree, &request, &answer);
    } else {
        answer.reply.result = serve_stat(tree, &request, &answer);
    }
    if (tree->denials.count != count) /* it is told of when the guest asks */
        denials_undo(&tree->denials, count, kept);
    else if (answer.reply.result != -EREMOTE) /* such an answer has a path with it */
        ahead_add(ahead, path, &answer);
}

void ahead_ask_loader(struct ahead *ahead, struct tree *tree)
{
    /* glibc's ld.so, in this order.  What it looks for beside these is known only to the program's own needs. */
    ahead_ask(ahead, tree, "/etc/ld.so.preload", true);
    ahead_ask(ahead, tree, "/etc/ld.so.cache", true);
    ahead_ask(ahead, tree, "/lib/x86_64-linux-gnu/libc.so.6", true);
}
