/* SPDX-License-Identifier: MIT */
/* The path of the running program. */
#include "libos/mm/mm.h"

static struct mutex path_lock;
static char *running; /* guarded by path_lock */
static bool running_is_canonical;

/* Asked of the host when first wanted: most programs never look. */
const char *exec_path(void)
{
    mutex_lock(&path_lock);
    if (running && !running_is_canonical) {
        struct pal_name name = {.path = running, .size = (uint32_t)strlen(running)};
        struct pal_path_buffer *buffer = alloc(sizeof *buffer);
        if (buffer && PAL->name_read(&name, buffer) >= 0 && buffer->size < sizeof buffer->bytes) {
            buffer->bytes[buffer->size] = '\0';
            char *canonical = alloc_copy(buffer->bytes, buffer->size + 1);
            if (canonical) {
                release(running);
                running = canonical;
            }
        }
        release(buffer);
        running_is_canonical = true;
    }
    const char *path = running ? running : "";
    mutex_unlock(&path_lock);
    return path;
}

void exec_path_set(char *path)
{
    mutex_reset(&path_lock);
    release(running);
    running = path;
    running_is_canonical = false;
}
