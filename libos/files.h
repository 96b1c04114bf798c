/* SPDX-License-Identifier: MIT */
/* Open file descriptions, descriptor tables, names. */
#ifndef LIBOS_FILES_H
#define LIBOS_FILES_H

#include "libos/abi_file.h"
#include "libos/libos.h"

struct file;

/* What a kind of file does.  A NULL entry means the errno that Linux gives for such a file (EINVAL, ESPIPE, ENOTTY...). */
struct file_ops {
    const char *kind; /* "file", "pipe", "anon_inode:[eventfd]", ... */
    /* Data move between the object and vectors of guest memory; offset -1 = the description's own. */
    int64_t (*read)(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
    int64_t (*write)(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
    int64_t (*seek)(struct file *file, int64_t offset, int whence);
    int64_t (*list)(struct file *file, guest_t buffer, uint64_t size); /* getdents64 */
    int64_t (*attributes)(struct file *file, struct pal_attributes *out);
    int64_t (*control)(struct file *file, uint32_t request, guest_t argument); /* ioctl */
    int64_t (*map)(struct file *file, guest_t address, uint64_t size, uint32_t protection, uint32_t pal_map_flags,
                   uint64_t offset); /* for mm: replaces [address, +size) */
    /* Ready now: poll bits.  NULL: ask the host's handle. */
    uint32_t (*ready)(struct file *file);
    void (*destroy)(struct file *file); /* the last reference has gone; the handle is closed by the caller of destroy */
    void (*fork_child)(struct file *file); /* state that the child must not inherit as it is */
};

/* An open file description of this picoprocess.  Where there is a handle, offset and O_APPEND/O_NONBLOCK live in the host's
 * object, and so are shared across fork as Linux has it. */
struct file {
    const struct file_ops *ops;
    uint32_t references;
    pal_handle_t handle;
    uint32_t flags;   /* O_ACCMODE | O_PATH | O_DIRECTORY ...; for objects without a handle also O_NONBLOCK, O_APPEND */
    uint32_t type;    /* enum pal_file_type */
    struct mutex lock;
    int64_t offset;   /* objects without a handle */
    uint64_t private; /* the kind's own */
    void *data;       /* the kind's own */
    char *path;       /* absolute guest path it was opened by, or NULL */
};

/* fd.c */
struct file *file_new(const struct file_ops *ops, pal_handle_t handle, uint32_t flags); /* one reference; NULL = no memory */
struct file *file_get(int fd);  /* a reference, or NULL (EBADF).  O_PATH files: see file_get_io */
struct file *file_get_io(int fd); /* as file_get, NULL for O_PATH */
struct file *file_ref(struct file *file);
void file_put(struct file *file);
int64_t fd_install(struct file *file, uint32_t flags, int lowest); /* takes the reference, also on failure; O_CLOEXEC */
struct files;                       /* a descriptor table: belongs to processes and virtual (vfork) children */
struct files *files_new_boot(void); /* 0, 1, 2 from boot->standard */
struct files *files_copy(struct files *from);
struct files *files_ref(struct files *files);
void files_put(struct files *files); /* the last reference closes all */
void files_exec(struct files *files); /* closes O_CLOEXEC */
void files_fork_child(struct files *files);
int files_highest(struct files *files); /* for /proc/PID/fd */

/* path.c: cwd, root and umask of a process; resolving names */
struct fs;
struct fs *fs_new_boot(void);
struct fs *fs_copy(struct fs *from);
struct fs *fs_ref(struct fs *fs);
void fs_put(struct fs *fs);
void fs_fork_child(struct fs *fs);
uint32_t fs_umask(struct fs *fs);
const char *fs_cwd(struct fs *fs);
/* Opens by absolute path inside the libOS (exec, /proc/self/exe).  flags: O_*; PAL_OPEN_EXECUTE by `execute`. */
int64_t file_open(const char *path, uint32_t flags, uint32_t mode, bool execute, struct file **out);
/* Kernel-buffer read at an offset. */
int64_t file_read_at(struct file *file, void *buffer, uint64_t size, uint64_t offset);
int64_t file_attributes(struct file *file, struct pal_attributes *out);
/* Guest path (dirfd, string) to an absolute path: 0 or -errno.  Not normalised: "..", symlinks are left to resolution. */
int64_t path_from_guest(int directory, guest_t path, bool empty_ok, char out[PAL_PATH_MAX]);
#endif
