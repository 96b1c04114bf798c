/* SPDX-License-Identifier: MIT */
/* Terminals by name: /dev/ptmx, /dev/pts/N, /dev/tty. */
#include "libos/pseudofs/pseudofs.h"
#include "libos/tty/tty.h"

int64_t ptmx_open(const struct pseudo_node *node, uint32_t flags, struct file **out)
{
    (void)node;
    return tty_outer_new(flags, out);
}

int64_t tty_open(const struct pseudo_node *node, uint32_t flags, struct file **out)
{
    (void)node;
    struct shared_terminal *terminal = tty_controlling();
    return terminal ? tty_inner_new(terminal, flags | O_NOCTTY, out) : -ENXIO;
}

static int64_t pts_open(const struct pseudo_node *node, uint32_t flags, struct file **out)
{
    struct shared_terminal *terminal = tty_pts((uint32_t)node->number);
    return terminal ? tty_inner_new(terminal, flags, out) : -ENOENT;
}

static int64_t pts_attributes(const struct pseudo_node *node, struct pal_attributes *out)
{
    const struct shared_terminal *terminal = tty_pts((uint32_t)node->number);
    if (!terminal)
        return -ENOENT;
    tty_pts_attributes(terminal, out);
    return 0;
}

static const struct pseudo_entry pts_entry = {.mode = S_IFCHR | 0620, .open = pts_open, .attributes = pts_attributes};

bool pts_number(struct pseudo_node *node, int n)
{
    if (!tty_pts((uint32_t)n))
        return false;
    node->entry = &pts_entry;
    node->number = n;
    return true;
}

int pts_after(const struct pseudo_node *node, int after)
{
    (void)node;
    int best = -1;
    for (struct shared_terminal *terminal = NULL; (terminal = tty_next(terminal));) {
        int n = tty_is_pts(terminal) ? (int)tty_number(terminal) : -1;
        if (n > after && (best < 0 || n < best))
            best = n;
    }
    return best;
}
