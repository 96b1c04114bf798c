/* SPDX-License-Identifier: MIT */
/* /proc/pal: how a program and its snapshots speak with each other. */
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"

int proc_pal_ready;
const char *proc_pal_start;
uint64_t proc_pal_start_size;

static int64_t ready_store(const struct pseudo_node *node, const char *bytes, size_t size)
{
    (void)node;
    (void)bytes;
    (void)size;
    proc_pal_ready = current_process()->pid;
    return 0;
}

static void ready_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    seq_printf(text, "%d\n", boot->snapshot_use == PAL_SNAPSHOT_RUN);
}

static void add_strings(struct seq_buffer *text, const char *const *strings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        seq_write(text, strings[i], strlen(strings[i]) + 1);
}

/* How many arguments there are; they; the environment.  Each with a NUL behind. */
static void start_text(struct seq_buffer *text, const struct pseudo_node *node)
{
    (void)node;
    if (proc_pal_start) {
        seq_write(text, proc_pal_start, proc_pal_start_size);
        return;
    }
    seq_printf(text, "%u", boot->argc);
    seq_write(text, "", 1);
    add_strings(text, boot->argv, boot->argc);
    add_strings(text, boot->envp, boot->envc);
}

const struct pseudo_entry procpal_entries[] = {
    {.name = "ready", .mode = S_IFREG | 0666, .text = ready_text, .store = ready_store},
    {.name = "start", .mode = PSEUDO_TEXT, .text = start_text},
    {.name = NULL},
};
