/* SPDX-License-Identifier: MIT */
/* Open file descriptions, descriptor tables, names. */
#ifndef LIBOS_VFS_H
#define LIBOS_VFS_H

#include "libos/abi/file.h"
#include "libos/lib/lib.h"

struct file;

/* What a kind of file does.  A NULL entry means the errno that Linux gives for such a file (EINVAL, ENOTTY...). */
struct file_ops {
    const char *kind; /* "file", "pipe", "anon_inode:[eventfd]", ... */
    /* Data move between the object and vectors of guest memory; offset -1 = the description's own. */
    int64_t (*read)(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
    int64_t (*write)(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
    bool direct; /* read and write are handle_read and handle_write, and nothing else */
    int64_t (*seek)(struct file *file, int64_t offset, int whence); /* the new offset; NULL: pread gives ESPIPE too */
    int64_t (*list)(struct file *file, guest_t buffer, uint64_t size); /* getdents64 */
    int64_t (*attributes)(struct file *file, struct pal_attributes *out);
    int64_t (*set)(struct file *file, const struct pal_attributes *values, uint32_t mask); /* NULL: the host does */
    int64_t (*control)(struct file *file, uint32_t request, guest_t argument); /* ioctl */
    int64_t (*map)(struct file *file, guest_t address, uint64_t size, uint32_t protection, uint32_t pal_map_flags,
                   uint64_t offset); /* for mm: replaces [address, +size) */
    /* Ready now: poll bits.  NULL: ask the host's handle. */
    uint32_t (*ready)(struct file *file);
    /* Where `ready` is not all that is to know: when it may next change by itself (NULL: it won't), which signals change
     * it, and a count of what happened, so that edges can be told. */
    uint64_t (*deadline)(struct file *file);
    uint64_t (*signals)(struct file *file);
    uint64_t (*edge)(struct file *file);
    bool ends; /* `ready` changes when a process ends */
    bool async; /* O_ASYNC has an effect: poll/sigio.c */
    void (*describe)(struct file *file, char *out, size_t size); /* lines of its kind in /proc/PID/fdinfo; NULL: none */
    /* The last reference has gone; its handle, if it still has one, is closed after. */
    void (*destroy)(struct file *file);
    void (*fork_child)(struct file *file); /* state that the child must not inherit as it is */
    /* All that an object without a handle is, so that another process can have one that does the same; NULL: it can't. */
    uint64_t (*pack)(const struct file *file);
    int64_t (*unpack)(struct file *file, uint64_t packed); /* of a fresh one; its `private` is the sender's */
};

/* An open file description of this picoprocess.  Where there is a handle, offset and O_APPEND/O_NONBLOCK live in the
 * host's object, and so are shared across fork as Linux has it. */
struct file {
    const struct file_ops *ops;
    uint32_t references;
    pal_handle_t handle;
    uint32_t flags;   /* O_ACCMODE | O_PATH | O_DIRECTORY ...; for objects without a handle also O_NONBLOCK, O_APPEND */
    uint32_t type;    /* enum pal_file_type */
    struct mutex lock;
    uint32_t record_locked; /* a POSIX record lock was taken: the next close of any descriptor drops them all */
    int32_t owner;    /* fs/owner.c's, with the two at the end */
    uint32_t watched; /* an epoll's list has it: file_watched_end is called at its end */
    uint32_t direct;  /* enum file_direct: calls that entry.S hands to the host as they are */
    int64_t offset;   /* objects without a handle */
    uint64_t private; /* the kind's own */
    void *data;       /* the kind's own */
    char *path;       /* absolute guest path it was opened by, or NULL.  Stale once it or its parents are renamed */
    uint8_t owner_type, owner_signal; /* enum signal_owner; 0: SIGIO */
    bool standard;    /* one that the sandbox was started with */
    bool shown;       /* the next two are what it is shown with, and not what its handle tells */
    uint64_t device, inode; /* of a directory of the host that names begin at: file_identify */
    uint64_t number; /* of the description: no other one of the sandbox has it */
};

enum file_direct { DIRECT_READ = 1, DIRECT_WRITE = 2, DIRECT_PREAD = 4, DIRECT_PWRITE = 8 }; /* entry.S knows them */

static inline bool file_readable(const struct file *file) { return ((file->flags + 1) & 1u) != 0; } /* RDONLY or RDWR */
static inline bool file_writable(const struct file *file) { return ((file->flags + 1) & 2u) != 0; } /* WRONLY or RDWR */

/* fd.c */
/* One reference.  NULL = no memory: the handle stays the caller's. */
struct file *file_new(const struct file_ops *ops, pal_handle_t handle, uint32_t flags);
void file_ops_set(struct file *file, const struct file_ops *ops); /* of a file that nobody else has yet, or alone */
struct file *file_get(int fd);  /* a reference, or NULL (EBADF).  O_PATH files: see file_get_io */
struct file *file_get_io(int fd); /* as file_get, NULL for O_PATH */
struct file *file_ref(struct file *file);
void file_put(struct file *file);
extern void (*file_watched_end)(struct file *file); /* poll/epoll.c sets it, with `watched` */
int64_t fd_install(struct file *file, uint32_t flags, int lowest); /* takes the reference, also on failure; O_CLOEXEC */
/* Two descriptors, as pipe(2) and socketpair(2) give them, written to `out`: both or none.  Takes both references. */
int64_t fd_install_pair(struct file *const file[2], uint32_t flags, guest_t out);
struct files;                       /* a descriptor table: belongs to processes and virtual (vfork) children */
struct file *files_at(struct files *files, int fd); /* a reference, or NULL */
int64_t fd_flags(int fd, bool change, uint32_t flags); /* FD_CLOEXEC: get, or change; -EBADF */

/* fd_table.c */
struct files *files_new_boot(void); /* 0, 1, 2 from boot->standard; boot->passed */
struct files *files_new_streams(struct file *const streams[PAL_STANDARD_STREAMS]); /* takes them; NULL: closed */
struct file *file_new_standard(uint32_t number);
struct file *file_new_stream(pal_handle_t handle); /* NULL: it is no good */
struct files *files_copy(struct files *from);
struct files *files_ref(struct files *files);
void files_put(struct files *files); /* the last reference closes all */
void files_exec(struct files *files); /* closes O_CLOEXEC */
void files_fork_child(struct files *files);
void files_write_slowly(struct files *files); /* entry.S writes to none of them by itself any more */
int files_highest(struct files *files); /* for /proc/PID/fd: highest open descriptor, -1 = none */

/* Bytes of them all. */
static inline uint64_t vectors_size(const struct pal_vector *vector, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += vector[i].size;
    return size;
}

/* fcntl.c: the flags that fcntl(2) shows and changes, wherever they live. */
int64_t file_status_flags(struct file *file);
int64_t file_set_status_flags(struct file *file, uint32_t flags, uint32_t mask); /* O_APPEND, O_NONBLOCK of mask */
int64_t file_set_async(struct file *file, int fd, bool on); /* -ENOTTY: it has none */
extern int64_t (*file_watch_async)(struct file *file, int fd, bool on); /* poll/sigio.c's */

/* hostfs.c: files of the host behind a handle. */
extern bool file_sizes_limited; /* this picoprocess has, or has had, an RLIMIT_FSIZE */
void file_sizes_limit(void);    /* the limit may have come to be: of this process */
int64_t file_size_check(uint64_t size); /* of a file that is to grow: 0; or SIGXFSZ, and -EFBIG */
int64_t handle_read(pal_handle_t handle, const struct pal_vector *vector, uint32_t count, int64_t offset);
int64_t handle_write(pal_handle_t handle, const struct pal_vector *vector, uint32_t count, int64_t offset);
const struct file_ops *host_ops(uint32_t type); /* by pal_file_type */
/* Higher rooms' kinds: what handles of this type do (NULL: as before), and what looks at a new one (NULL: nothing). */
void host_ops_set(uint32_t type, const struct file_ops *ops, void (*adopt)(struct file *file));
extern const struct file_ops host_path_ops;     /* O_PATH */
/* As file_new, with a copy of path (which may be NULL) and the type's operations.  The handle is closed on failure. */
int64_t host_file_new(pal_handle_t handle, uint32_t flags, uint32_t type, const char *path, struct file **out);

/* Is it an object of the host that can be opened anew, or named, by its handle? */
bool file_is_host(const struct file *file);
int64_t file_identify(struct file *file);

/* path.c: cwd, root and umask of a process; resolving names */
struct fs;
struct fs *fs_new_boot(void);
struct fs *fs_new_at(const char *cwd, uint32_t mask); /* NULL: there is no such directory */
int64_t fs_begin_again(struct fs *fs); /* a snapshot's: the current directory is the new sandbox's */
struct fs *fs_copy(struct fs *from);
struct fs *fs_ref(struct fs *fs);
void fs_put(struct fs *fs);
void fs_fork_child(struct fs *fs);
uint32_t fs_umask(struct fs *fs);
struct file *fs_cwd(struct fs *fs); /* a reference */
struct file *fs_root(struct fs *fs); /* a reference, or NULL: chroot(2) has set none */
/* What an open file is called now, " (deleted)" behind a name that has gone: the size, or -errno. */
int64_t file_place(struct file *file, struct pal_path_buffer *out);

/* What a path ended in, as it was written: calls that change names treat the last three specially. */
enum name_last { NAME_NORMAL, NAME_DOT, NAME_DOTDOT, NAME_ROOT };

/*
 * A name on its way to being resolved, without empty components or ".", with ".." and symlinks left to its file system.
 * It is an absolute path, or begins at an open object of the host: then path[base_size, size) is the name (nothing: the
 * object itself), and what is before only what the object was called once, or nothing.  Resolution rewrites the name as
 * it goes on elsewhere.
 */
struct name {
    bool nofollow;  /* a final symlink is the object itself */
    bool directory; /* a slash or "." ended it: it must be a directory */
    enum name_last last;
    struct file *base;     /* a reference, or NULL: an absolute path */
    struct pal_base from;  /* base, for the host */
    uint32_t base_size;
    struct pal_path_buffer path; /* NUL-terminated */
};

/* Declares one whose base is let go with it.  A name from a path has none, and needs nothing. */
#define NAME(variable)                                                                                             \
    struct name variable __attribute__((cleanup(name_end)));                                                         \
    variable.base = NULL
static inline void name_end(struct name *name)
{
    if (name->base)
        file_put(name->base);
    name->base = NULL;
}
static inline bool name_is_base(const struct name *name) { return name->base && name->path.size == name->base_size; }
/* The object itself: false where it has no handle, or lies on no file system of the host. */
bool name_from_file(struct file *file, bool nofollow, struct name *out);
int64_t name_from_descriptor(int fd, bool nofollow, struct name *out); /* 0; -EBADF, -EXDEV: not the host's */
/* name becomes `rest`, beginning at an open directory of the host; rest may lie in it. */
int64_t name_onto(struct name *name, struct file *directory, const char *rest);
/* A path of the libOS's own or of a program's header: relative ones begin at the current directory. */
int64_t name_from_text(const char *path, struct name *out);

int64_t name_from_path(const char *path, bool nofollow, struct name *out); /* absolute */
/* 0, or 1: the string was empty (allowed by AT_EMPTY_PATH in flags) and `directory` itself is meant.  nofollow comes
 * from AT_SYMLINK_NOFOLLOW in flags. */
int64_t name_from_guest(int directory, guest_t path, uint32_t flags, struct name *out);
#define NAME_ENTRY 0x80000000u /* in flags: the name's last component is what is meant, to be made or removed */
struct pal_name name_asked(const struct name *name);
/* -EREMOTE: takes the path to go on with; an empty one: the name itself was changed.  0, or -ENAMETOOLONG. */
int64_t name_follow(struct name *name, const struct pal_path_buffer *to);
int64_t name_canonical(struct name *name);       /* becomes the object's path without symlinks and ".." */

/* openat2.c */
/* Below what chroot(2) has made the root; from `start`, or (NULL) from there. */
int64_t name_resolve(struct file *root, struct file *start, const char *path, bool nofollow, struct name *out);

/* ---- mount.c: file systems, and where they are mounted ---- */

struct opening {
    uint32_t flags, mode, purpose; /* as file_open has them */
};

/*
 * What answers for names.  A symlink or ".." that leads to another file system gives -EREMOTE, and *follow is the whole
 * path to go on with: so each call takes one, and name_walk goes on.  NULL: Linux's answer of a file system without it.
 */
struct filesystem {
    const char *type, *source; /* as /proc/mounts has them */
    uint64_t magic;            /* statfs(2)'s f_type */
    int64_t (*attributes)(struct name *name, struct pal_attributes *out, struct pal_path_buffer *follow);
    int64_t (*open)(struct name *name, const struct opening *how, struct file **out, struct pal_path_buffer *follow);
    int64_t (*readlink)(struct name *name, struct pal_path_buffer *out); /* a size; out: also what to follow */
    /* The object's path without symlinks and "..": a size. */
    int64_t (*canonical)(struct name *name, struct pal_path_buffer *out);
    /* op: enum pal_change_op.  other: the second name, or a symlink's contents. */
    int64_t (*change)(uint32_t op, struct name *name, const struct pal_name *other, uint32_t mode,
                      struct pal_path_buffer *follow);
    /* One of two names that go to `change` together: is it this file system's?  NULL: yes. */
    int64_t (*settle)(uint32_t op, struct name *name, struct pal_path_buffer *follow);
    int64_t (*set)(struct name *name, const struct pal_attributes *values, uint32_t mask,
                   struct pal_path_buffer *follow);
    int64_t (*xattr)(struct name *name, struct pal_extended *asked);
    int64_t (*watch)(struct name *name, pal_handle_t instance, struct pal_notify *notify); /* inotify(7) */
    bool sockets; /* its names can be given to PAL->socket_bind and socket_connect */
};

enum mount_flags { MOUNT_READ_ONLY = 1, MOUNT_SCRATCH = 2, MOUNT_MEMORY = 4 };
struct mount {
    const char *at; /* absolute, without symlinks or a final slash */
    uint32_t size, flags; /* flags: MOUNT_MEMORY: a tmpfs */
    const struct filesystem *fs;
};

extern const struct filesystem hostfs; /* hostfs_names.c: names of the host, by way of the monitor */

void mount_init(void); /* the host's mounts */
void mount_add(const char *at, const struct filesystem *fs, uint32_t flags);
void mount_above(const struct filesystem *fs); /* for directories that are there only because mounts lie beneath them */
const struct mount *mount_at(uint32_t n);      /* of all, in their order, pal_boot's first; NULL at the end */
uint32_t mount_number(const struct mount *mount); /* for mount_at */
enum { MOUNT_ID_ROOT = 20, MOUNT_ID_FIRST }; /* as /proc/self/mountinfo numbers them */
const struct mount *mount_of(const char *path); /* of an absolute path without symlinks; or NULL */

#define NAME_HOPS 40 /* then -ELOOP */
typedef int64_t name_step(const struct filesystem *fs, struct name *name, void *argument,
                          struct pal_path_buffer *follow);
/* One call on a name, of each file system that it leads through: the last one's result.  The name moves along. */
int64_t name_walk(struct name *name, name_step *step, void *argument, struct pal_path_buffer *follow);

/* hostfs_names.c: of a process of root's sandbox that has taken other ids: may it change this name, link to what it names, set these?
 * 0, -EACCES or -EPERM. */
bool names_are_checked(void);
int64_t name_may_change(uint32_t op, const struct name *name);
int64_t name_may_link(const struct name *name);
int64_t may_set(const struct pal_attributes *now, const struct pal_attributes *values, uint32_t mask);
void name_made(const struct name *name); /* it belongs to the caller */

/* dcache.c: what the host says of a name that is not the libOS's own, kept for as long as that is right.  As
 * PAL->attributes_get and PAL->name_read. */
int64_t host_name_attributes(struct name *name, struct pal_attributes *out, struct pal_path_buffer *escape);
int64_t host_name_read(struct name *name, struct pal_path_buffer *out);
/* Attributes if they are kept, without asking; or DCACHE_MISS.  `ask` counts as a request, and may well ask. */
#define DCACHE_MISS (-4096) /* no errno */
int64_t dcache_attributes(const struct name *name, struct pal_attributes *out);
int64_t dcache_attributes_ask(const struct name *name, struct pal_attributes *out);
uint64_t dcache_init(uint64_t at, uint64_t end); /* the first process makes room at `at`; returns where it ends */
void dcache_mapped(void); /* a file was mapped so that memory writes change it: see PAL_VALID_WRITABLE */

/* handle_cache.c: handles of plain files opened for reading, kept from a close to the next open. */
extern const struct file_ops cacheable_ops; /* hostfs.c */
bool handle_cache_allows(uint32_t flags);     /* O_*: may a file that is opened so have one? */
/* A file at offset 0, or NULL.  path: as it was opened by.  kept: what the name means now, by an answer that holds. */
struct file *handle_cache_take(const char *path, const struct pal_attributes *kept, uint32_t flags);
/* A file that was just opened: on close its handle goes to the cache, unless marked uncacheable. */
void handle_cache_prepare(struct file *file, const struct pal_attributes *opened, const struct pal_attributes *kept);
void handle_cache_give(struct file *file);     /* file_ops.destroy */
void file_uncacheable(const struct file *file); /* its description isn't as open(2) makes it, or not this process's alone */
void handle_cache_empty(void);
void handle_cache_drain(void);               /* before the first record lock: from now on there are none */
void handle_cache_fork(void);                  /* just before the host forks; in the child: */
void handle_cache_fork_child(void);
/* The same of directories opened as places: is this such an open?  A reference, or NULL. */
bool directory_cache_allows(const struct name *name, uint32_t flags);
struct file *directory_cache_take(const struct name *name, const struct pal_attributes *kept);
void directory_cache_give(const struct name *name, struct file *directory);

/* namei.c: of a plain name, the directory that it lies in, or would: is there one?  The name is used up. */
int64_t name_check_parent(struct name *name);
/* A socket's name, for bind(2); -EEXIST.  `name` becomes the place where it is. */
int64_t name_make_socket(struct name *name, uint32_t mode);

/* setattr.c */
int64_t file_set(struct file *file, const struct pal_attributes *values, uint32_t mask);
int64_t file_give_set_id(const struct pal_attributes *attributes, uint32_t mode); /* the guest's bits of this file: 0, -EPERM */

/* stat.c: the only way to ask for the attributes of a name. */
int64_t name_attributes(struct name *name, struct pal_attributes *out);
int64_t name_contents(struct name *name, struct pal_path_buffer *out); /* of a symlink: a size */
int64_t file_attributes(struct file *file, struct pal_attributes *out);
/* access(2) on attributes, for these ids: 0 or -EACCES. */
int64_t attributes_allow(const struct pal_attributes *attributes, uint32_t mode, uint32_t uid, uint32_t gid);

/* open.c: what openat does; and the flags that are known. */
#define OPEN_FLAGS                                                                                                  \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT |      \
     O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
int64_t open_at(int directory, guest_t path, uint32_t flags, uint32_t mode);
/* Absolute path inside the libOS (exec, /proc/self/exe).  flags: O_*; purpose: 0, or
 * PAL_OPEN_EXECUTE and perhaps PAL_OPEN_START. */
int64_t file_open(const char *path, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out);
int64_t name_open(struct name *name, uint32_t flags, uint32_t mode, uint32_t purpose, struct file **out);

/* read_write.c: kernel-buffer read at an offset; short only at the end of the file. */
int64_t file_read_at(struct file *file, void *buffer, uint64_t size, uint64_t offset);
int64_t file_read(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
int64_t file_write(struct file *file, const struct pal_vector *vector, uint32_t count, int64_t offset);
/* read, write, pread, pwrite: what is left to do after their kind's function gave `result` (see read_write.c); any other
 * number's result comes back as it is. */
int64_t rw_settle(uint32_t number, int32_t fd, int64_t result);
/* readv's vectors: copied to few (room for FEW_VECTORS) or to the heap; ranges checked, sizes cut to MAX_RW_COUNT. */
#define FEW_VECTORS 8
int64_t vectors_from_guest(guest_t from, uint64_t count, struct pal_vector *few, struct pal_vector **out);

/* locks.c */
int64_t file_record_lock(struct file *file, int command, guest_t argument);
void file_drop_record_locks(struct file *file); /* at close */

/* owner.c */
int64_t file_owner_control(struct file *file, int command, guest_t argument); /* fcntl's commands about it, and leases */
int64_t file_owner_set(struct file *file, int32_t pid); /* below 0: a group */
int32_t file_owner_get(struct file *file);

/* anonymous.c */
/* fstat and lseek of objects without a name (anon_inode). */
int64_t anonymous_attributes(struct file *file, struct pal_attributes *out);
int64_t anonymous_seek(struct file *file, int64_t offset, int whence);

/* ioctl.c */
int64_t plain_ioctl(struct file *file, uint32_t request, guest_t argument); /* FIONREAD and the like */
int64_t number_to_guest(int64_t number, guest_t argument); /* as an int; an error is handed on */
#endif
