/* SPDX-License-Identifier: MIT */
/*
 * Files whose contents are made when they are read, as procfs's seq_file does: reading at offset 0 makes them anew,
 * reading on goes on in what was made then, so a reader of many small pieces sees one state.
 */
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"

#define MOST_STORED 4096u

struct text_file {
    struct pseudo_place place;
    struct text *text; /* what the last read at offset 0 made; guarded by file->lock */
};

/* ---- Building text ----------------------------------------------------------------------------------------------- */

static bool make_room(struct text *text, size_t more)
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

void text_bytes(struct text *text, const void *bytes, size_t size)
{
    if (size && make_room(text, size)) {
        memcpy(text->bytes + text->size, bytes, size);
        text->size += size;
    }
}

void text_add(struct text *text, const char *pattern, ...)
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

static void text_put(struct text *text)
{
    if (text && !atomic_add(&text->references, -1)) {
        release(text->bytes);
        release(text);
    }
}

static struct text *text_make(const struct pseudo_place *place)
{
    struct text *text = alloc_zero(sizeof *text);
    if (!text)
        return NULL;
    text->references = 1;
    const struct pseudo_node *node = &place->node[place->depth];
    proc_make_text(text, node);
    if (text->failed) {
        text_put(text);
        return NULL;
    }
    return text;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* The state to read from at `offset`: a reference. */
static struct text *text_at(struct file *file, int64_t offset)
{
    struct text_file *data = file->data;
    struct text *made = NULL;
    if (!offset || !atomic_get(&data->text)) {
        made = text_make(&data->place);
        if (!made)
            return NULL;
    }
    mutex_lock(&file->lock);
    struct text *old = NULL;
    if (made) {
        old = data->text;
        data->text = made;
    }
    struct text *text = data->text;
    atomic_add(&text->references, 1);
    mutex_unlock(&file->lock);
    text_put(old);
    return text;
}

static int64_t text_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    int64_t from = offset >= 0 ? offset : atomic_get(&file->offset);
    struct text *text = text_at(file, from);
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
    text_put(text);
    if (fault && at == begin)
        return -EFAULT;
    if (offset < 0)
        atomic_set(&file->offset, from + (int64_t)(at - begin));
    return (int64_t)(at - begin);
}

static int64_t text_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset)
{
    struct text_file *data = file->data;
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

static int64_t text_attributes(struct file *file, struct pal_attributes *out)
{
    struct text_file *data = file->data;
    return pseudo_place_attributes(&data->place, out);
}

static void text_destroy(struct file *file)
{
    struct text_file *data = file->data;
    if (data)
        text_put(data->text);
    release(data);
}

static const struct file_ops text_ops = {
    .kind = "file",
    .read = text_read,
    .write = text_write,
    .seek = pseudo_file_seek,
    .attributes = text_attributes,
    .destroy = text_destroy,
};

int64_t text_open(const struct pseudo_place *place, uint32_t flags, struct file **out)
{
    struct file *file = file_new(&text_ops, PAL_NO_HANDLE, flags);
    if (!file)
        return -ENOMEM;
    struct text_file *data = alloc_zero(sizeof *data);
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
