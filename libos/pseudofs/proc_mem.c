/* SPDX-License-Identifier: MIT */
/* /proc/PID/mem: a process's memory, at offsets that are its addresses, as a debugger reaches it. */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"

static int64_t transfer(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset, bool writes)
{
    const struct pseudo_place *place = file->data;
    int64_t from = offset >= 0 ? offset : atomic_get(&file->offset);
    int pid;
    int64_t result = process_memory_check(place->node[place->depth].pid, &pid);
    if (result == -ESRCH)
        return 0; /* its memory is no more: as Linux */
    if (result == 0)
        result = process_memory(pid, (guest_t)from, vector, count, writes);
    if (result > 0 && offset < 0)
        atomic_set(&file->offset, from + result);
    return result;
}

static int64_t mem_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return transfer(file, vector, count, offset, false);
}

static int64_t mem_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    return transfer(file, vector, count, offset, true);
}

int64_t proc_mem_check(const struct pseudo_node *node)
{
    int pid;
    int64_t error = process_memory_check(node->pid, &pid);
    return error == -EPERM ? -EACCES : error;
}

const struct file_ops proc_mem_ops = {
    .kind = "file", .read = mem_read, .write = mem_write, .seek = pseudo_file_seek,
    .attributes = pseudo_file_attributes, .destroy = pseudo_file_destroy,
};
