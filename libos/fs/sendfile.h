/* SPDX-License-Identifier: MIT */
/* What sendfile, copy_file_range, splice and vmsplice share. */
#ifndef LIBOS_FILECOPY_H
#define LIBOS_FILECOPY_H

#include "libos/fs/vfs.h"

/* One end of a copy: a position of its own (at), or whatever the description does (-1). */
struct copy_end {
    struct file *file;
    int64_t at;
};

/* sendfile.c */
/* The buffer is lent: the libOS's own files may move bytes to and from it as if it were the guest's.  NULL: no
 * memory. */
char *copy_buffer_new(void);
void copy_buffer_free(char *buffer);
bool file_gives(const struct file *file); /* Linux could splice from, to it.  Pipes and sockets aside */
bool file_takes(const struct file *file);
bool file_has_place(const struct file *file); /* pread and pwrite work */
bool file_appends(struct file *file);
bool file_same_object(struct file *a, struct file *b);
/* Both descriptors' files, with a reference each, or -EBADF. */
int64_t both_files(int in, int out, struct file **from, struct file **to);
/* Where an end begins: the guest's offset, or (address 0) the description's own; and where it ended is told. */
int64_t end_start(struct copy_end *end, guest_t offset);
int64_t end_finish(const struct copy_end *end, guest_t offset);

/* splice.c */
/* Bytes from one end to the other, of which one is a pipe or socket: those that are there, without waiting once some
 * have gone.  Bytes, or an error if there are none. */
int64_t splice_move(struct copy_end *from, struct copy_end *to, uint64_t size, bool nonblock);
#endif
