/* SPDX-License-Identifier: MIT */
/*
 * Answers sent ahead: what any program asks first, so that start-up needs no round trip.  Each is what the monitor would have
 * said, by the same function and the same policy.
 */
#include <errno.h>
#include <string.h>

#include "loader/loader.h"

static void add(struct ahead *ahead, const char *path, const struct answer *answer)
{
    if (ahead->count == AHEAD_MAX)
        return;
    for (size_t i = 0; i < ahead->count; i++)
        if (!strcmp(ahead->entries[i].path, path))
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

static void ask(struct ahead *ahead, struct tree *tree, const char *path)
{
    struct answer answer;
    const struct request request = {.op = MONITOR_OPEN, .flags = PAL_OPEN_READ, .path = path, .path_size = strlen(path)};
    answer.reply.descriptors = 0;
    answer.reply.result = serve_open(tree, &request, &answer);
    if (answer.reply.result != -EREMOTE) /* such an answer has a path with it */
        add(ahead, path, &answer);
}

void ahead_collect(struct ahead *ahead, struct policy *policy, struct program *program)
{
    struct tree *tree = &policy->tree;
    add(ahead, policy->program, &program->file);
    if (program->interpreter_path[0])
        add(ahead, program->interpreter_path, &program->interpreter);
    if (program->script_loader_path[0])
        add(ahead, program->script_loader_path, &program->script_loader);
    if (!program->facts.interpreter[0])
        return;
    /* glibc's ld.so, in this order.  What it looks for beside these is known only to the program's own needs. */
    ask(ahead, tree, "/etc/ld.so.preload");
    ask(ahead, tree, "/etc/ld.so.cache");
    ask(ahead, tree, "/lib/x86_64-linux-gnu/libc.so.6");
}
