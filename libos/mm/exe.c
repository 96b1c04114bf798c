/* SPDX-License-Identifier: MIT */
/* The running program, for /proc/self/exe. */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"

static struct mutex running_lock;
static struct file *running; /* guarded by running_lock */

struct file *exec_file(void)
{
    mutex_lock(&running_lock);
    struct file *file = running ? file_ref(running) : NULL;
    mutex_unlock(&running_lock);
    return file;
}

void exec_file_set(struct file *file)
{
    mutex_reset(&running_lock);
    if (running)
        file_put(running);
    running = file_ref(file);
}
