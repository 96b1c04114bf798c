/* SPDX-License-Identifier: MIT */
/*
 * Answers sent ahead: what any program asks first, so that start-up needs no round trip.  Each is what the monitor
 * would have said, by the same function and the same policy.
 */
#include <errno.h>
#include <string.h>

#include "loader/monitor/monitor.h"

/* A name may be there as often as it is opened: each descriptor serves once. */
static bool is_there(const struct prefetch *prefetch, const char *path, bool opens)
{
    for (size_t i = 0; i < prefetch->count && !opens; i++)
        if (!strcmp(prefetch->entries[i].path, path))
            return true;
    return prefetch->count == PREFETCH_MAX;
}

void prefetch_add(struct prefetch *prefetch, const char *path, const struct answer *answer)
{
    if (is_there(prefetch, path, answer->reply.descriptors))
        return;
    struct prefetch_entry *entry = &prefetch->entries[prefetch->count++];
    *entry = (struct prefetch_entry){.path = path, .result = answer->reply.result, .fd = -1};
    if (entry->result)
        return;
    entry->attributes = answer->reply.attributes;
    if (answer->reply.descriptors) {
        entry->fd = answer->descriptors[0];
        prefetch->descriptor_count++;
    }
}

void prefetch_ask(struct prefetch *prefetch, struct tree *tree, const char *path, bool opens)
{
    static struct answer answer;
    struct request request = {.op = MONITOR_STAT, .path = path, .path_size = strlen(path)};
    if (is_there(prefetch, path, opens))
        return;
    answer.reply.descriptors = 0;
    const size_t count = tree->denials.count, kept = tree->denials.kept;
    if (opens && prefetch->descriptor_count < PREFETCH_DESCRIPTORS) {
        request.op = MONITOR_OPEN;
        request.flags = PAL_OPEN_READ;
        answer.reply.result = serve_open(tree, &request, &answer);
    } else {
        answer.reply.result = serve_stat(tree, &request, &answer);
    }
    if (tree->denials.count != count) /* it is told of when the guest asks */
        denials_undo(&tree->denials, count, kept);
    else if (answer.reply.result != -EREMOTE) /* such an answer has a path with it */
        prefetch_add(prefetch, path, &answer);
}

void prefetch_ask_loader(struct prefetch *prefetch, struct tree *tree)
{
    /* glibc's ld.so, in this order.  What it looks for beside these is known only to the program's own needs. */
    prefetch_ask(prefetch, tree, "/etc/ld.so.preload", true);
    prefetch_ask(prefetch, tree, "/etc/ld.so.cache", true);
    prefetch_ask(prefetch, tree, "/lib/x86_64-linux-gnu/libc.so.6", true);
}
