/* SPDX-License-Identifier: MIT */
/* The mount table: which host object a guest path means, and for how long that is so. */
#ifndef LOADER_MOUNTS_H
#define LOADER_MOUNTS_H

#include <stdio.h>
#include <sys/stat.h>

#include "loader/loader.h"
#include "pal/linux/monitor.h"

struct open_how;

/* ---- table.c: the mounts, and where in them a path lies ---------------------------------------------------------- */

enum mount_kind {
    MOUNT_HOST,    /* a host directory, or one file */
    MOUNT_SCRATCH, /* private, empty at the start, gone at the end; in memory where it has a limit: tmpfs.c */
    MOUNT_LINK,    /* a symlink, such as /bin -> usr/bin; `from` is its contents */
    MOUNT_IMAGE,   /* what a disk image holds, read-only; `from` is its file: image.c */
    MOUNT_COPY,    /* a host directory that is read, and a layer over it that is written: cow.c */
};

struct mount {
    const char *at;   /* guest path: absolute, without ".", "..", doubled or trailing slashes */
    const char *from; /* host path; the contents of a link; unused for scratch */
    const char *real; /* the same without symlinks, once it is open, NULL: `from` has none */
    size_t at_size;
    enum mount_kind kind;
    bool writable;
    bool public_only; /* only what any user of the host may read: see resolve.c */
    bool public_files; /* files need o+r: root's own are none of a guest's business */
    const char *why;  /* of what came along: because of what; else NULL */
    bool own_home;    /* --home: what is written there acts in sandboxes alone */
    bool implied;     /* nobody named it: see mount_table_drop_implied */
    bool granted;     /* by an option or a manifest */
    bool plain;       /* a tree of the system's: see object.c */
    bool no_devices;  /* writable, and the host's mount is nodev */
    bool directory;   /* known once opened */
    uint64_t memory;  /* of MOUNT_SCRATCH: bytes, at most, in memory; 0: it lies on the host's disk.  Of MOUNT_IMAGE: of what is held */
    uint64_t offset;  /* of MOUNT_IMAGE: where its file system begins in the file, as image_open has it */
    uint32_t part;    /* or the number of a partition */
    bool copied;      /* of MOUNT_IMAGE: it becomes the lower layer of a copy mount */
    int root_file;    /* the image, while it is opened */
    struct image_mount *image; /* of MOUNT_IMAGE, once it is open */
    struct cow *cow;  /* of MOUNT_COPY, once it is open */
    int root;         /* O_PATH; -1: not open */
    int error;        /* why not */
    dev_t device;     /* of the root */
    ino_t inode;
    struct identity { uint64_t mount, device, inode; uint32_t mode, links; } is; /* the root: see mount_identity */
    char *host;       /* where the root was when mount_table_locate last looked */
    uint64_t view;    /* number of its copy in the view; 0: it is not there */
};

/* What picoprocesses see by themselves: see view.c. */
#define VIEW_MOUNTS_MAX 32
#define VIEW_IDS_MAX 256
struct view {
    bool begun;       /* its maker was started */
    pid_t maker;
    int top;          /* keeps the tree; -1: there is none */
    const char *why;  /* it could not be made */
    dev_t device;     /* of its own directories, which show nothing */
    size_t count, id_count;
    struct shown {
        int root; /* O_PATH */
        size_t mount;
        bool programs; /* nothing in it is noexec */
        bool direct;   /* it is the monitor's own, of a file system that holds nothing of the host's */
    } shown[VIEW_MOUNTS_MAX];
    uint64_t ids[VIEW_IDS_MAX]; /* of all mounts in it */
};

/* Directories of this name are never shown: see resolve.c.  Letters that no file system takes for another's. */
#define SCRATCH_PREFIX ".pal-run."
#define SCRATCH_NAME_SIZE 24
#define SCRATCH_BASES 3
struct scratch {
    int bases[SCRATCH_BASES];         /* where it may be made: O_PATH, or -1 */
    char name[SCRATCH_NAME_SIZE + 1]; /* in `base`, the host directory that holds one for each scratch mount */
    int base, fd;                     /* fd -1: not made yet */
};

/* What the sandbox's kept answers depend on, watched by one inotify instance: see invalidate.c. */
#define WATCHES_MAX 4096
struct invalidator {
    int fd;      /* -1: not made yet, or it can't be */
    int mounts;  /* tells when the host's mounts change; -1: likewise */
    bool failed; /* there won't be one */
    bool wanted; /* the user's share was used up when one was asked for */
    int slot;    /* of that share */
    int64_t tried;
    int last;    /* the newest watch; numbers only grow */
    size_t count, most;
    uint64_t parts; /* what the answer that is being made depends on; 0: it can't be kept */
    struct watch { /* some may have ended by themselves */
        int number;
        uint64_t device, inode; /* of a file; 0: of a directory or symlink */
        bool copy;              /* of a copy mount, in either layer */
    } watches[WATCHES_MAX];
};

/* Rules by pattern, on top of mounts. */
#define GUARD_NAMES 16
#define GUARDS_MAX 256
enum guard_kind {
    GUARD_HIDE,   /* never shown, nor made */
    GUARD_KEEP,   /* can't be changed, nor made */
    GUARD_HOOK,   /* likewise, but for git's *.sample */
    GUARD_CONFIG, /* a repository's settings: monitor/git_config.c says what may change */
};
struct guard {
    const char *pattern;
    char *names[GUARD_NAMES];
    size_t count;
    enum guard_kind kind;
    bool dotted; /* what it matches has a name that begins with a dot */
};
struct guards {
    struct guard list[GUARDS_MAX];
    size_t count;
    bool hides, plain; /* some do; some are not dotted */
};

enum { SEEN_OPENED = 1, SEEN_WRITTEN = 2 };
#define MOUNTS_MAX 128
/* What each start writes lies together: a page costs it a microsecond. */
struct mount_table {
    size_t count; /* of mounts */
    struct scratch scratch;
    int segment;      /* the shared segment, to tell of copies; -1: nobody is told */
    uint32_t copies;  /* as linux_shared's */
    uint32_t *classes;   /* as those that its copy_classes lead to; NULL: none has moved */
    uint64_t classes_at; /* where in the segment */
    int kept; /* where upper layers lie that stay; -1: they go at the end */
    /* Told of each path that is found; NULL: nobody asks. */
    void (*seen)(const char *path, size_t size, unsigned how);
    struct view view;
    struct mount mounts[MOUNTS_MAX];
    struct denials denials;
    struct guards guards;
    struct invalidator invalidator;
};

void mount_table_init(struct mount_table *table);
/* Adds one, or replaces the one at the same guest path.  `at` and `from` are kept.  NULL: there are too many. */
struct mount *mount_table_add(struct mount_table *table, enum mount_kind kind, const char *at, const char *from,
                              bool writable);
/* Takes away what is implied where a grant shows the same, by its own rules.  Only while nothing is open. */
void mount_table_drop_implied(struct mount_table *table);
/* The mount that a guest path lies in (longest prefix), or NULL. */
struct mount *mount_table_find(const struct mount_table *table, const char *path, size_t size);
struct mount *mount_table_exact(const struct mount_table *table, const char *path, size_t size);
/* Does some mount lie strictly beneath? */
bool mount_table_is_above(const struct mount_table *table, const char *path, size_t size);
/* The host's /proc, /dev and /sys are never shown: these paths are the libOS's, but for mounts inside them. */
bool mount_table_is_libos(const struct mount_table *table, const char *path, size_t size);
/* O_PATH descriptor of the mount's root, which stays the table's; or a negative errno.  A scratch mount's directory is
 * made at the first call; the host's roots were opened by mounts_open. */
int mount_root(struct mount_table *table, struct mount *mount);
/*
 * Where an open object lies: its guest path in `guest` (size returned) and its mount, of those whose root is open.
 * -ENOENT: in none.  -ENAMETOOLONG: the kernel can't tell.  One whose name is gone lies where it was, with " (deleted)"
 * behind.
 */
ssize_t mount_table_locate(struct mount_table *table, int fd, struct mount **mount, char guest[PAL_PATH_MAX]);
/* The same of a directory whose path is too long, by way of its parents: its mount, or NULL. */
struct mount *mount_table_locate_above(struct mount_table *table, int fd);
/* Where a mount's root is now; NULL: the kernel can't tell. */
const char *mount_host_path(struct mount *mount);
/* What a descriptor is: the host's mount it lies on (0: unknown), device and inode. */
int identity_of(int fd, struct identity *out);
const struct identity *mount_identity(struct mount *mount); /* of a root that is open */

/* path == prefix, or lies beneath it. */
bool path_is_within(const char *path, size_t size, const char *prefix, size_t prefix_size);
/*
 * Copies an absolute path without ".", doubled and trailing slashes.  Returns the size, -ENAMETOOLONG, -EINVAL (not
 * absolute) or -ELOOP: it has a "..", which only a walk can take away.
 */
ssize_t path_clean(char *out, size_t room, const char *path, size_t size, bool *trailing_slash);

/* ---- view_make.c ------------------------------------------------------------------------------------------------- */

/* What its maker tells; the tree and the roots follow as descriptors. */
struct view_made {
    char why[96]; /* there is none; "" */
    uint32_t count, id_count;
    uint8_t mounts[VIEW_MOUNTS_MAX];
    bool programs[VIEW_MOUNTS_MAX]; /* nothing in it is noexec */
    uint64_t ids[VIEW_IDS_MAX];
};
/* In a process of its own: makes it, and sends it. */
void view_make(struct mount_table *table, int end);
/* Gets the right to mount, for the rest of this process; -1: *what failed, by errno. */
int mounting_enter(const char **what);

/* ---- view.c ------------------------------------------------------------------------------------------------------ */

/* Has it made by a process of its own.  Returns a descriptor that can be read when view_take has something to take, or a
 * negative errno. */
int view_begin(struct mount_table *table);
void view_take(struct mount_table *table, int end);
/* Is it the number of one of its mounts? */
bool view_has(const struct mount_table *table, uint64_t mount);
/* From the kernel's own path of what lies in the view to the guest's; 0: too long. */
size_t view_guest_path(const struct mount_table *table, const char *path, char guest[PAL_PATH_MAX]);
/* The same object on the host's own mount, O_PATH, by that path; -1: it is there no more. */
int view_host_side(struct mount_table *table, const char *guest, size_t size, const struct identity *is);

/* ---- grants.c ---------------------------------------------------------------------------------------------------- */

/* Opens the roots of all mounts of the host, before a guest runs; ends pal-run where one is not safe to grant. */
void mounts_open(struct mount_table *table);
/*
 * While guests run, by the same rules.  What lies at a path of the host, O_PATH, and its path without symlinks in `real`;
 * or a negative errno: -EXDEV where a symlink in what guests may write is on the way, -EACCES of what guests never have.
 */
int mount_source(const struct mount_table *table, const char *path, char real[PAL_PATH_MAX]);
/* Takes `fd`, which is of that.  `at` and `from` are kept.  0, a negative errno, or MOUNT_WAS_SHOWN: a mount of the same
 * object has become writable. */
#define MOUNT_WAS_SHOWN 1
int mount_grant(struct mount_table *table, const char *at, const char *from, bool writable, int fd);
/* Takes back what mount_grant did last: `granted` is what it said. */
void mount_revoke(struct mount_table *table, const char *at, int granted);

/* ---- guards.c ---------------------------------------------------------------------------------------------------- */

/* `pattern` is kept.  False: it is none. */
bool guard_parse(const char *pattern, enum guard_kind kind, struct guard *out);
bool guards_add(struct guards *guards, const struct guard *guard); /* false: there are too many */
enum guard_match {
    GUARD_NONE,
    GUARD_PART,  /* its name is part of a pattern, so it stays what it is: see guards.c */
    GUARD_WHOLE, /* it is meant, or lies beneath what is */
};
/* Of a path by itself, whatever is mounted. */
enum guard_match guard_match_path(const struct guard *guard, const char *path, size_t size);
/* Of a path without symlinks.  hides: only rules that hide count.  *kind: of the rule, where there is one. */
enum guard_match guards_match(const struct mount_table *table, const struct mount *mount, const char *path, size_t size,
                              bool hides, enum guard_kind *kind);
bool guards_hide(const struct mount_table *table, const struct mount *mount, const char *path, size_t size);
/* Can't it be written, though its mount can? */
bool guards_keep(const struct mount_table *table, const struct mount *mount, const char *path, size_t size);
/* Is what may be read in this mount decided by more than the mount?  Then each lookup is the monitor's. */
bool mount_has_read_rules(const struct mount_table *table, const struct mount *mount);
#define GUARDED_REASON "guarded: other programs act on it"
#define HIDDEN_REASON "hidden by a rule"

/* ---- invalidate.c ------------------------------------------------------------------------------------------------ */

/* From here on, RESOLVE_TRACK and invalidate_add collect what an answer about this path depends on.  False: it
 * can't be kept, and invalidator.parts is what to tell of it. */
bool invalidate_begin(struct mount_table *table, const char *path, size_t size);
/* A directory in which a name is about to be looked up, or an object whose attributes are about to be read. */
void invalidate_add(struct mount_table *table, const struct mount *mount, int fd);
/* No answer that was told holds any more. */
void invalidate_all(struct invalidator *invalidator);
/* In a copy mount a name is about to lead elsewhere without the kernel telling: what was kept of such mounts ends. */
void invalidate_copies(struct invalidator *invalidator);
/* A file is about to be written: no event for each write. */
void invalidate_drop(struct invalidator *invalidator, const struct pal_attributes *file);
/* What the reply tells: the parts, where this result can be kept. */
uint64_t invalidate_end(struct mount_table *table, const struct mount *mount, int result);
/* To be called after requests: once something is watched, a change of the host's mounts ends all kept answers, for it
 * may have covered or bared what they depend on. */
struct uv_loop_s;
void invalidate_on_mounts(struct invalidator *invalidator, struct uv_loop_s *loop);
/*
 * At the end.  The last close of an instance that watched something waits for the kernel, 1 to 17 ms.  So that one is left
 * to its collector of sockets that only hold each other, for which nobody waits (before Linux 6.10 we do).
 */
void invalidate_close(struct invalidator *invalidator);

/* ---- object.c ---------------------------------------------------------------------------------------------------- */

/* Of what follows, a negative errno or OBJECT_REFUSED: guests have no such thing, and it was not opened. */
#define OBJECT_REFUSED (-4097)
/* Before a guest runs. */
void objects_prepare(void);
/* The kernel's own name of one of our descriptors: nothing that a guest can swap.  "" where the host has no procfs. */
struct fd_name { char path[32]; };
struct fd_name fd_name(int fd);
/* May pal-run change it: as root, or as its owner? */
bool object_is_ours(uid_t owner);
/* Is it of a file system of the kernel's own, as procfs?  `device` is its st_dev. */
bool object_is_kernels(int fd, dev_t device);
/* An O_PATH descriptor of what lies beneath a directory; no symlink is followed. */
int object_find(int directory, const char *path, uint64_t flags);
/* openat(2); what is read by it keeps its access time where the kernel lets us, as it does a file's owner and root. */
int open_untimed(int directory, const char *name, int flags);
/* What was looked at before it was opened: a plain file, opened for reading, without O_NONBLOCK. */
struct object_status {
    bool valid;
    struct statx status;
};
/* Opens what such a descriptor is of.  Flags that make a name mean nothing here. */
int object_open(const struct mount *mount, int object, const struct open_how *how, struct object_status *before);
/* Both.  -EAGAIN: it changed meanwhile. */
int object_open_at(const struct mount *mount, int directory, const char *path, const struct open_how *how,
                   struct object_status *before);
/* Before the contents of a plain file change: takes its set-user-id and set-group-id bits and capabilities off. */
int object_take_rights(int object, mode_t mode);

/* ---- instances.c ------------------------------------------------------------------------------------------------- */

/* A descriptor that stands for one inotify instance of the user's share, until it is closed; -1: none is left. */
int instance_slot(void);
/* An instance for a guest, or a negative errno. */
int instance_make(int flags);

/* ---- resolve.c --------------------------------------------------------------------------------------------------- */

enum {
    RESOLVE_NOFOLLOW = 1, /* a final symlink is the object itself */
    RESOLVE_CHANGES = 2,  /* resolve_open: may create, or needs a writable mount: RESOLVE_WALK where there is none */
    RESOLVE_CREATES = 8,  /* a slash behind the last name, be it a symlink's, is -EISDIR, whatever is there */
    RESOLVE_TRACK = 4,    /* each directory is given to invalidate_add before a name is looked up in it */
};

/*
 * An object that a guest has open, where names begin.  The names are still whole guest paths, and every rule that goes
 * by a path is asked with that; but what lies beneath `fd` is looked up there, whatever the directory is called meanwhile.
 */
struct anchor {
    int fd;              /* O_PATH, or the guest's own */
    struct mount *mount; /* NULL: it lies in none */
    bool directory;
    bool direct;         /* it surely lies beneath the mount's root, and nothing has to be checked on the way */
    bool nameless;       /* its path is too long: names begin with a made-up one, as long as `size` */
    size_t size;         /* how much of the path stands for it */
};

/* What a guest path leads to. */
struct resolved {
    struct mount *mount; /* NULL: a directory that is there only because mounts lie beneath it */
    int object;          /* O_PATH; -1: synthetic, a MOUNT_LINK, or missing */
    int parent;          /* O_PATH directory that holds it; -1: not known, or it is a mount's root */
    bool missing;        /* the last name is not there; its parent is (perhaps synthetic) */
    bool must_be_directory;
    struct object_status before; /* of what was opened */
    bool nameless; /* guest is made up */
    char guest[PAL_PATH_MAX]; /* its path without symlinks; guest + name is the last component */
    size_t guest_size, name;
};

/*
 * Finds the object of an absolute guest path; from: what stands for its beginning, or NULL.  0: *out is filled, give it
 * to resolved_close; it may be `missing` only after resolve_walk.  -EREMOTE: *escape is
 * the path to go on with, in the libOS's own tree.
 */
int resolve(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
            struct resolved *out, struct pal_path_buffer *escape);
int resolve_walk(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
                 struct resolved *out, struct pal_path_buffer *escape);
/*
 * The directory of the last name, which is not followed.  `name` receives it, a trailing slash kept (the kernel judges
 * that); it is "", "." or ".." where the path ends so.
 */
#define NAME_ROOM 257
int resolve_parent(struct mount_table *table, const struct anchor *from, const char *path, size_t size,
                   struct resolved *out, char name[NAME_ROOM], struct pal_path_buffer *escape);
/*
 * Opens with `how` in one call, where symlinks are not in the way (but for a final one or a MOUNT_LINK).  Returns a
 * descriptor with out->mount and out->guest set, a negative errno, or RESOLVE_WALK: only resolve_walk can tell.
 */
#define RESOLVE_WALK (-4096)
int resolve_open(struct mount_table *table, const struct anchor *from, const char *path, size_t size, unsigned flags,
                 const struct open_how *how, struct resolved *out);
void resolved_close(struct resolved *place);
/* -EACCES, and the report tells of it. */
int resolved_refuse(struct mount_table *table, const struct resolved *place);
/* Never shown, whatever their mode is: names at the top of a public-only mount, and the private keys of the host. */
#define SECRET_NAMES 7
extern const char *const secret_names[SECRET_NAMES];
bool is_host_key(const char *rest, size_t size);
/* Is it what a private directory of a sandbox is called? */
bool name_is_private(const char *name, size_t size);
bool path_is_private(const char *path); /* a name on the way */
/* Opens the root itself, of a mount whose root is open: it may be one file. */
int mount_open(const struct mount *mount, const struct open_how *how, struct object_status *before);

/* ---- cow.c: copy mounts, where a name lies ----------------------------------------------------------------------- */

/*
 * Two layers.  The lower one is the host's and is only read.  The upper one, private, has the whole listing of each
 * directory in which something was changed; what was not changed itself has a stand-in there, which no guest can make:
 * an empty object with a set-user-id bit.  A name that is not in such a listing is not there.  So a listing, rmdir, rename
 * and inotify of a changed directory are the kernel's own, and nothing has to say that a name was deleted.
 *
 * Paths are relative to the mount, free of symlinks, "" for the mount itself; those of the lower layer likewise.  The
 * upper layer's are the guest's.
 */
#define COW_NODES_MAX (1u << 20)
struct cow {
    struct mount lower, upper; /* the layers as mounts of their own: what may be opened there goes by them */
    struct mount_table *table;
    size_t number; /* of its layers' names: of the mount in the table, or of what is kept */
    struct cow_node *root;
    struct cow_node **buckets, *moved; /* moved: directories that lie elsewhere in the lower layer */
    size_t bucket_count, node_count;
    int control;     /* the upper layer's own directory, beside it */
    int stand_in;    /* which of the files there others are links of; 0: none yet */
    struct cow_copy **copies; /* what inodes of the upper layer are shown as, by inode */
    size_t copy_room, copy_count, linked; /* linked: of files with several names */
};
/* A directory of the upper layer, or a stand-in of one. */
struct cow_node {
    struct cow_node *parent, *chain, *moved_next;
    char *lower;  /* where it lies there; NULL: nowhere, a guest made it */
    bool listed;  /* its listing is in the upper layer; else it is a stand-in */
    bool moved;
    int refuses;  /* a negative errno: pal-run's user may not change this directory */
    char *name;
};
struct cow_copy {
    struct cow_copy *chain;
    uint64_t upper, device, inode;
    uint32_t links; /* names of a file that has several in the lower layer; 0: it has one */
};
void cow_begin(struct mount_table *table, struct mount *mount);
/* The part of a guest path that lies in the mount. */
const char *cow_path(const struct mount *mount, const char *guest);
/* The other way; false: it is too long. */
bool cow_guest(const struct mount *mount, const char *path, char guest[PAL_PATH_MAX]);
/* O_PATH of what a path leads to, a symlink itself; or a negative errno, OBJECT_REFUSED. */
int cow_find(const struct mount *mount, const char *path);
/* Opens it for reading, or as it is asked where the upper layer alone matters; RESOLVE_WALK: something has to be copied. */
int cow_open(const struct mount *mount, const char *path, bool changes, const struct open_how *how, struct object_status *before);
/* The layer in which an open object lies; of other mounts the mount. */
const struct mount *mount_layer(struct mount *mount, int fd);
/* The path of an object of the lower layer, which may have been moved; " (deleted)" behind where it is gone.  False: it is
 * too long. */
bool cow_locate(const struct cow *cow, const char *lower, char path[PAL_PATH_MAX]);
/* Device and inode number as guests are told: those that it had before it was copied. */
void cow_show(const struct mount *mount, struct pal_attributes *attributes);

/* Of directories: is this one, with all beneath it, as the lower layer has it at the same path? */
bool cow_is_unchanged(const struct cow *cow, const char *path);
/* Is it such a directory, and will picoprocesses be told when it is not any more? */
bool cow_has_unchanged(const struct mount *mount, const char *guest, int fd);
/* Before a change shows: what picoprocesses know of unchanged directories ends, and what they keep of names.  linked: a
 * file with several names was copied. */
void cow_tell(struct mount_table *table, bool linked);
/* The same where one directory alone is not unchanged any more. */
void cow_tell_listed(struct cow *cow, const char *path);

struct cow_spot { /* the deepest node on a path, and what is left of the path */
    struct cow_node *node;
    const char *rest;
};
struct cow_spot cow_walk(const struct cow *cow, const char *path);
struct cow_node *cow_child(const struct cow *cow, const struct cow_node *parent, const char *name, size_t size);
struct cow_node *cow_node_new(struct cow *cow, struct cow_node *parent, const char *name, size_t size, char *lower);
void cow_node_drop(struct cow *cow, struct cow_node *node);
/* The node of a directory that is in the upper layer, with those above it.  Takes `lower`. */
struct cow_node *cow_node_at(struct cow *cow, const char *path, char *lower);
/* It is called otherwise now. */
bool cow_node_move(struct cow *cow, struct cow_node *node, const char *path);
bool cow_node_path(const struct cow_node *node, char path[PAL_PATH_MAX]);
/* directory/name; false: it is too long. */
bool cow_join(char out[PAL_PATH_MAX], const char *directory, const char *name);
bool cow_is_stand_in(const struct stat *status);
struct cow_copy *cow_copy_of(const struct cow *cow, uint64_t upper);
void cow_copy_note(struct cow *cow, uint64_t upper, const struct stat *lower);
void cow_copy_forget(struct cow *cow, const struct stat *upper);

/* ---- cow_change.c: what changes a copy mount --------------------------------------------------------------------- */

enum cow_need { COW_WRITE, COW_TRUNCATE, COW_ATTRIBUTES, COW_NAME };
/* O_PATH of the object in the upper layer, copied there if it is not there yet; or a negative errno. */
int cow_take(const struct mount *mount, const char *path, enum cow_need need);
/* A file's bytes, into an empty one; owner, mode without set-id bits, times and extended attributes of any object. */
int cow_copy_bytes(int from, int to, off_t size);
int cow_copy_status(int from, const struct stat *status, int to);
/* The upper layer's directories, made or found. */
int cow_open_layers(struct cow *cow);
/* O_PATH of a directory in the upper layer, with its listing.  changes: -EACCES and the like, where pal-run's user may not
 * change it. */
int cow_list(const struct mount *mount, const char *path, bool changes);
/* These two take the last name as it was written, in the directory, with its slash. */
int cow_remove(const struct mount *mount, const char *path, const char *name, bool directory);
int cow_rename(const struct mount *mount, const char *from, const char *from_name, const char *to, const char *to_name,
               unsigned flags);
/* A further name of an object that cow_take gave. */
int cow_link(const struct mount *mount, int object, const char *to, const char *to_name);
/* The copy of a file with several names, under this one, too; -ENOENT: there is none. */
int cow_take_linked(const struct mount *mount, const char *path, const struct stat *lower);
/* In any mount: place->object becomes one that may be changed. */
int resolved_take(struct resolved *place, enum cow_need need);
/* The same of a directory in which names are to change: the place itself, or the one above it. */
int resolved_list(const struct resolved *place, int *directory, bool above);

/* ---- user_directory.c -------------------------------------------------------------------------------------------- */

/* A directory of the user's own that nobody else may write; -1 and errno, EPERM: it is not so. */
int user_enter(int parent, const char *name, bool make, int flags);
/* $VARIABLE/pal-run/NAME or ~/.local/STANDARD/pal-run/NAME, by such directories alone below the first. */
int user_directory(const char *variable, const char *standard, const char *name, bool make);
/* Of what is kept there: letters, digits, '.', '_', '-', up to `most`, and no option or hidden file. */
bool user_name_is_good(const char *name, size_t most);

/* ---- cow_kept.c -------------------------------------------------------------------------------------------------- */

/* Has the upper layers lie in a run of that name, or ends pal-run.  Before a guest runs. */
void kept_open(struct mount_table *table, const char *name);
/* Goes on with what lies in table->kept. */
void kept_load(struct mount_table *table);
/* Where runs lie, and one of them, locked; -1 and errno: EWOULDBLOCK: it is in use. */
int runs_open(bool make);
int run_open(int runs, const char *name, bool make);
bool run_name_is_good(const char *name);
struct run_mount { const char *at, *from; };
size_t run_mounts(int run, struct run_mount mounts[MOUNTS_MAX]);

/* The record of a listed directory: begun, its names added, then put in place, before it is listed. */
FILE *kept_begin(const struct cow *cow, const char *lower);
void kept_add(FILE *record, const char *name, const struct stat *status);
int kept_end(const struct cow *cow, FILE *record, uint64_t upper);
void kept_append(const struct cow *cow, uint64_t upper, const char *name, const struct stat *status);
void kept_drop(const struct cow *cow, uint64_t upper);
struct kept_name {
    unsigned mode;
    uint64_t size, device, inode;
    long long ctime, mtime; /* nanoseconds */
    const char *name;
};
struct kept {
    char *text;
    const char *lower;
    long long time; /* of the listing */
    struct kept_name *names;
    size_t count;
};
bool kept_read(const struct cow *cow, uint64_t upper, struct kept *out);
const struct kept_name *kept_find(const struct kept *kept, const char *name);
void kept_free(struct kept *kept);

/* ---- scratch.c --------------------------------------------------------------------------------------------------- */

/* Opens the directories in which it may be made, before a guest runs. */
void scratch_prepare(struct scratch *scratch);
/* The host directory of a scratch mount, made at the first call: O_PATH descriptor or a negative errno. */
int scratch_root(struct mount_table *table, const struct mount *mount);
/* The same of the directories of a copy mount's upper layer. */
int scratch_layer(struct mount_table *table, size_t number, const char *suffix);
/* Takes from the record of absent names what the sandbox made later. */
void scratch_settle(struct mount_table *table);
/* Removes it all. */
void scratch_end(struct scratch *scratch);
/* A new name of a private directory; what a scratch mount shows, made in `base` under a name: O_PATH, or a negative errno. */
void scratch_name(char name[SCRATCH_NAME_SIZE + 1]);
int scratch_furnish(const struct mount_table *table, const struct mount *mount, int base, const char *name);

/* ---- tmpfs.c ----------------------------------------------------------------------------------------------------- */

/* The root of a scratch mount in memory, or ends pal-run.  Before a guest runs. */
void tmpfs_open(const struct mount_table *table, struct mount *mount);
/* An empty one for the contents of a mount: O_PATH; -1: the host gives none. */
int tmpfs_root(const struct mount_table *table, const struct mount *mount, uint64_t size, uint64_t names);

/* ---- image.c ----------------------------------------------------------------------------------------------------- */

/* Makes its names, or ends pal-run.  mount->root: the image's file; then the directory.  Before a guest runs. */
void image_mount_open(struct mount_table *table, struct mount *mount);
/* Before a plain file of such a mount is opened: its bytes are there, or a negative errno. */
int image_fill(const struct mount *mount, int object, uint64_t inode);

#endif
