/* SPDX-License-Identifier: MIT */
/* Descriptor tables as a whole: the first process's, copies for fork, exec, the end. */
#include "libos/fs/fd.h"

static struct files *files_new(void)
{
    struct files *files = alloc_zero(sizeof(*files));
    if (!files)
        return NULL;
    files->references = 1;
    if (table_grow(files, 1) < 0) {
        release(files);
        return NULL;
    }
    return files;
}

/* What it is, and how it was opened, only the host can say. */
struct file *file_new_stream(pal_handle_t handle)
{
    struct pal_attributes attributes;
    uint32_t pal_flags = 0, flags = O_RDWR;
    struct file *file;
    if (handle == PAL_NO_HANDLE || PAL->attributes_get(handle, NULL, &attributes, NULL) < 0)
        return NULL;
    if (PAL->stream_control(handle, PAL_CTL_FLAGS_GET, &pal_flags, sizeof(pal_flags)) >= 0 &&
        (pal_flags & (PAL_OPEN_READ | PAL_OPEN_WRITE)) != (PAL_OPEN_READ | PAL_OPEN_WRITE))
        flags = pal_flags & PAL_OPEN_WRITE ? O_WRONLY : O_RDONLY;
    return host_file_new(handle, flags, attributes.type, NULL, &file) < 0 ? NULL : file;
}

struct file *file_new_standard(uint32_t number)
{
    struct file *file = file_new_stream(boot->standard[number]);
    if (file)
        file->standard = true;
    return file;
}

struct files *files_new_boot(void)
{
    struct file *streams[PAL_STANDARD_STREAMS];
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++)
        streams[i] = file_new_standard(i);
    struct files *files = files_new_streams(streams);
    for (uint64_t i = 0; files && i < boot->passed_count; i++) {
        uint32_t at = boot->passed[i].number;
        struct file *file = table_grow(files, at + 1) < 0 ? NULL : file_new_stream(boot->passed[i].handle);
        if (!file)
            continue;
        bit_set(files->used, at);
        slot_fill(files, at, file, 0);
    }
    while (files && files->lowest < files->capacity && files->slots[files->lowest])
        files->lowest++;
    return files;
}

struct files *files_new_streams(struct file *const streams[PAL_STANDARD_STREAMS])
{
    struct files *files = files_new();
    if (!files)
        return NULL;
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++) {
        if (!streams[i])
            continue;
        bit_set(files->used, i);
        slot_fill(files, i, streams[i], 0);
    }
    while (files->lowest < PAL_STANDARD_STREAMS && files->slots[files->lowest])
        files->lowest++;
    return files;
}

struct files *files_copy(struct files *from)
{
    struct files *files = files_new();
    if (!files)
        return NULL;
    mutex_lock(&from->lock);
    if (table_grow(files, from->capacity) < 0) {
        mutex_unlock(&from->lock);
        files_put(files);
        return NULL;
    }
    for (uint32_t at = 0; at < from->capacity; at++) {
        if (!from->slots[at])
            continue;
        atomic_add(&from->slots[at]->references, 1);
        bit_set(files->used, at);
        slot_fill(files, at, from->slots[at], bit_test(from->cloexec, at) ? O_CLOEXEC : 0);
    }
    files->lowest = from->lowest;
    mutex_unlock(&from->lock);
    return files;
}

struct files *files_ref(struct files *files)
{
    atomic_add(&files->references, 1);
    return files;
}

void files_put(struct files *files)
{
    if (atomic_add(&files->references, -1u) != 0)
        return;
    for (uint32_t at = 0; at < files->capacity; at++)
        if (files->slots[at])
            slot_closed(files->slots[at]);
    release(files->slots);
    release(files);
}

void files_exec(struct files *files)
{
    for (uint32_t word = 0; word < files->capacity / 64; word++) {
        while (files->cloexec[word] & files->used[word]) {
            uint32_t at = word * 64 + (uint32_t)__builtin_ctzll(files->cloexec[word] & files->used[word]);
            mutex_lock(&files->lock);
            struct file *file = slot_empty(files, at);
            mutex_unlock(&files->lock);
            if (file)
                slot_closed(file);
            bit_clear(files->cloexec, at);
        }
    }
}

void files_fork_child(struct files *files)
{
    mutex_reset(&files->lock);
    for (uint32_t at = 0; at < files->capacity; at++) {
        struct file *file = files->slots[at];
        if (!file)
            continue;
        mutex_reset(&file->lock);
        file->record_locked = 0; /* record locks are not inherited */
        if (file->ops->fork_child)
            file->ops->fork_child(file);
    }
}

void files_write_slowly(struct files *files)
{
    mutex_lock(&files->lock);
    for (uint32_t at = 0; at < files->capacity; at++)
        if (files->slots[at])
            files->slots[at]->direct &= ~(uint32_t)(DIRECT_WRITE | DIRECT_PWRITE);
    mutex_unlock(&files->lock);
}

int files_highest(struct files *files)
{
    int highest = -1;
    mutex_lock(&files->lock);
    for (uint32_t word = files->capacity / 64; word-- > 0 && highest < 0;)
        if (files->used[word])
            highest = (int)(word * 64 + 63 - (uint32_t)__builtin_clzll(files->used[word]));
    mutex_unlock(&files->lock);
    return highest;
}
