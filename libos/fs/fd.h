/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables from within: fd.c works on single descriptors, fd_table.c on whole tables.
 *
 * A table's lock guards changes of its slots and bits; lookups take none (slot_ref).  A description's fields are
 * guarded by its own lock where the kind needs it.
 * A process of one thread takes neither lock nor locked instructions: nobody else can be in its table, and a new thread
 * can only come from this one, outside any of these functions.
 */
#ifndef LIBOS_FD_H
#define LIBOS_FD_H

#include "libos/fs/vfs.h"
#include "libos/task/task.h"

struct files {
    uint32_t references;
    struct mutex lock;
    uint32_t capacity;   /* slots: a multiple of 64 */
    uint32_t lowest;     /* no slot below is free */
    struct file **slots;
    uint64_t *used;      /* bitmaps of capacity bits: slot taken, or being taken */
    uint64_t *cloexec;
};

/* True: table_unlock has to be called with that.  (A process that is alone then may not have been when it took the lock.) */
static inline bool table_lock(struct files *files)
{
    bool needed = !alone();
    if (needed)
        mutex_lock(&files->lock);
    return needed;
}

static inline void table_unlock(struct files *files, bool locked)
{
    if (locked)
        mutex_unlock(&files->lock);
}

static inline void bit_set(uint64_t *bits, uint32_t at) { bits[at / 64] |= 1ull << at % 64; }
static inline void bit_clear(uint64_t *bits, uint32_t at) { bits[at / 64] &= ~(1ull << at % 64); }
static inline bool bit_test(const uint64_t *bits, uint32_t at) { return bits[at / 64] >> at % 64 & 1; }

/* For a process that is alone: as file_get_io, without a reference. */
static inline struct file *file_borrow(int fd)
{
    struct files *files = current_process()->files;
    struct file *file = (uint32_t)fd < files->capacity ? files->slots[fd] : NULL;
    return file && !(file->flags & O_PATH) ? file : NULL;
}

/* The caller holds the lock, or nobody else knows the table. */
int64_t table_grow(struct files *files, uint32_t need);        /* to at least `need` slots */
void slot_fill(struct files *files, uint32_t at, struct file *file, uint32_t flags);
struct file *slot_empty(struct files *files, uint32_t at);     /* the reference that it held, or NULL */
/* After the lock was let go: what slot_empty gave, when a descriptor of this process was closed. */
void slot_closed(struct file *file);
#endif
