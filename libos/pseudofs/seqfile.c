/* SPDX-License-Identifier: MIT */
/*
 * Files whose contents are made when they are read, as procfs's seq_file does: reading at offset 0 makes them anew,
 * reading on goes on in what was made then, so a reader of many small pieces sees one state.
 */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"

#define MOST_STORED 4096u

struct seq_file {
    struct pseudo_place place;
    struct seq_buffer *text; /* what the last read at offset 0 made; guarded by file->lock */
};

/* ---- Building text ----------------------------------------------------------------------------------------------- */

static bool make_room(struct seq_buffer *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->size + more <= text->room)
        return true;
    size_t room = MAX(text->room * 2, text->size + more + 512);
    char *bytes = alloc(room);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    if (text->size)
        memcpy(bytes, text->bytes, text->size);
    release(text->bytes);
    text->bytes = bytes;
    text->room = room;
    return true;
}

void seq_write(struct seq_buffer *text, const void *bytes, size_t size)
{
    if (size && make_room(text, size)) {
        memcpy(text->bytes + text->size, bytes, size);
        text->size += size;
    }
}

void seq_printf(struct seq_buffer *text, const char *pattern, ...)
{
    if (!make_room(text, 128))
        return;
    va_list list;
    va_start(list, pattern);
    size_t size = (size_t)format_list(text->bytes + text->size, text->room - text->size, pattern, list);
    va_end(list);
    if (size >= text->room - text->size) {
        if (!make_room(text, size + 1))
            return;
        va_start(list, pattern);
        format_list(text->bytes + text->size, text->room - text->size, pattern, list);
        va_end(list);
    }
    text->size += size;
}

static void seq_put(struct seq_buffer *text)
{
    if (text && !atomic_add(&text->references, -1)) {
        release(text->bytes);
        release(text);
    }
}

static struct seq_buffer *seq_make(const struct pseudo_place *place)
{
    struct seq_buffer *text = alloc_zero(sizeof *text);
    if (!text)
        return NULL;
    text->references = 1;
    const struct pseudo_node *node = &place->node[place->depth];
    proc_make_text(text, node);
    if (text->failed) {
        seq_put(text);
        return NULL;
    }
    return text;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* The state to read from at `offset`: a reference. */
static struct seq_buffer *seq_at(struct file *file, int64_t offset)
{
    struct seq_file *data = file->data;
    struct seq_buffer *made = NULL;
    if (!offset || !atomic_get(&data->text)) {
        made = seq_make(&data->place);
        if (!made)
            return NULL;
    }
    mutex_lock(&file->lock);
    struct seq_buffer *old = NULL;
    if (made) {
        old = data->text;
        data->text = made;
    }
    struct seq_buffer *text = data->text;
    atomic_add(&text->references, 1);
    mutex_unlock(&file->lock);
    seq_put(old);
    return text;
}

static int64_t seq_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    int64_t from = offset >= 0 ? offset : atomic_get(&file->offset);
    struct seq_buffer *text = seq_at(file, from);
    if (!text)
        return -ENOMEM;
    uint64_t at = MIN((uint64_t)from, text->size), begin = at;
    bool fault = false;
    for (uint32_t i = 0; i < count && at < text->size && !fault; i++) {
        size_t size = MIN(vector[i].size, text->size - at);
        size_t done = copy_out_some(vector[i].base, text->bytes + at, size);
        at += done;
        fault = done < size;
    }
    seq_put(text);
    if (fault && at == begin)
        return -EFAULT;
    if (offset < 0)
        atomic_set(&file->offset, from + (int64_t)(at - begin));
    return (int64_t)(at - begin);
}

static int64_t seq_store(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct seq_file *data = file->data;
    const struct pseudo_node *node = &data->place.node[data->place.depth];
    uint64_t size = count ? MIN(vector[0].size, MOST_STORED) : 0;
    char *bytes = alloc(size + 1);
    if (!bytes)
        return -ENOMEM;
    int64_t result = size ? copy_in(bytes, vector[0].base, size) : 0;
    bytes[size] = 0;
    if (!result)
        result = proc_store(node, bytes, size);
    release(bytes);
    if (result)
        return result;
    if (offset < 0)
        atomic_add(&file->offset, (int64_t)size);
    return (int64_t)size;
}

static int64_t seq_attributes(struct file *file, struct pal_attributes *out)
{
    struct seq_file *data = file->data;
    return pseudo_place_attributes(&data->place, out);
}

static void seq_destroy(struct file *file)
{
    struct seq_file *data = file->data;
    if (data)
        seq_put(data->text);
    release(data);
}

/* Of mounts: who polls them waits for POLLPRI, that there are others, which does not happen here. */
static uint32_t mounts_ready(struct file *file)
{
    (void)file;
    return 0x41; /* POLLIN | POLLRDNORM */
}

static const struct file_ops mounts_ops = {
    .kind = "file",
    .read = seq_read,
    .seek = pseudo_file_seek,
    .attributes = seq_attributes,
    .ready = mounts_ready,
    .destroy = seq_destroy,
};
static const struct file_ops seq_ops = {
    .kind = "file",
    .read = seq_read,
    .write = seq_store,
    .seek = pseudo_file_seek,
    .attributes = seq_attributes,
    .destroy = seq_destroy,
};

int64_t seq_open(const struct pseudo_place *place, uint32_t flags, struct file **out)
{
    const struct pseudo_entry *entry = place->node[place->depth].entry;
    bool mounts = entry->text == proc_mounts_text && strcmp(entry->name, "mountstats") != 0;
    struct file *file = file_new(mounts ? &mounts_ops : &seq_ops, PAL_NO_HANDLE, pseudo_flags(flags));
    if (!file)
        return -ENOMEM;
    struct seq_file *data = alloc_zero(sizeof *data);
    file->data = data;
    if (!data) {
        file_put(file);
        return -ENOMEM;
    }
    data->place = *place;
    file->type = PAL_TYPE_FILE;
    *out = file;
    return 0;
}
