/* SPDX-License-Identifier: MIT */
/*
 * The libOS's own file systems: /dev, /proc and /sys as one tree of constant tables.  tree.c walks it; devfs.c,
 * procfs.c, proc_*.c and sysfs.c fill it; seqfile.c serves the files whose contents are made when they are read.
 *
 * Others reach it by the mount table (fs/mount.c).  No function here may be called with a lock held.
 */
#ifndef LIBOS_PSEUDOFS_H
#define LIBOS_PSEUDOFS_H

#include "libos/fs/vfs.h"

void pseudofs_init(void); /* mounts them */
int proc_directory_of(struct file *file); /* the process whose directory /proc/PID this is, or 0 */
extern const struct filesystem synthetic; /* synthetic.c */

/* ---- The tree ---------------------------------------------------------------------------------------------------- */

struct pseudo_entry;
struct pseudo_node {
    const struct pseudo_entry *entry;
    int pid, tid, number; /* of the numbered directories passed; number: the last one's */
    const struct pal_child *look; /* what the host says of the process, where somebody has asked it; or NULL */
};

/* seqfile.c: bytes being written; running out of memory is remembered and reported once. */
struct seq_buffer {
    uint32_t references;
    bool failed;
    size_t size, room;
    char *bytes;
};
void seq_printf(struct seq_buffer *text, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void seq_write(struct seq_buffer *text, const void *bytes, size_t size);

/* An entry is one kind of thing: which of the members are set tells. */
struct pseudo_entry {
    const char *name;
    uint32_t mode;                    /* S_IF* and permissions */
    bool asked;                       /* below /proc/PID: of another process, that one is asked: proc_remote.c */
    bool looked;                      /* and the host, before, what it is doing and uses */
    bool known;                       /* `text` can do without, if it does not answer */
    bool snapshots;                   /* only there where a snapshot is made or run; last of its directory */
    uint32_t device;                  /* st_rdev of a character device */
    const struct pseudo_entry *children; /* a directory's, up to a NULL name */
    /* A directory of numbers (behind a prefix, if there is one): does n exist (then node becomes it), and which one
     * comes after `after` (-1: none). */
    const char *prefix;
    bool (*number)(struct pseudo_node *node, int n);
    int (*number_after)(const struct pseudo_node *node, int after);
    /* A directory of other names that are not the same at all times: the one that is asked for, and the n-th. */
    bool (*named)(struct pseudo_node *node, const char *name, size_t size);
    const char *(*name_at)(const struct pseudo_node *node, int n);
    /* A text file: its contents, and what writing to it does (bytes end with a NUL; 0 or -errno). */
    void (*text)(struct seq_buffer *text, const struct pseudo_node *node);
    int64_t (*store)(const struct pseudo_node *node, const char *bytes, size_t size);
    /* A symlink, or a directory that really lies elsewhere (S_IFDIR). */
    int64_t (*link)(const struct pseudo_node *node, struct pal_path_buffer *out);
    /* An open description that this name stands for (a reference, or NULL): following a link ends there. */
    struct file *(*target)(const struct pseudo_node *node);
    const struct file_ops *ops;       /* a device */
    /* A device that is opened in its own way, or whose attributes are not the place's. */
    int64_t (*open)(const struct pseudo_node *node, uint32_t flags, struct file **out);
    int64_t (*attributes)(const struct pseudo_node *node, struct pal_attributes *out);
};
#define PSEUDO_DIRECTORY (S_IFDIR | 0555u)
#define PSEUDO_TEXT (S_IFREG | 0444u)
#define PSEUDO_LINK (S_IFLNK | 0777u)
#define PSEUDO_SUBTREE(entry_name, entries) {.name = entry_name, .mode = PSEUDO_DIRECTORY, .children = entries}

extern const struct pseudo_entry devfs_entries[], procfs_entries[], procsys_entries[], sysfs_entries[];
extern const struct pseudo_entry procipc_entries[]; /* proc_ipc.c */

/* procfs.c: memory as all of it is told, in bytes. */
struct memory_totals {
    uint64_t total, left;
};
struct memory_totals proc_memory_totals(void);

extern const struct pseudo_entry procnet_entries[], etc_entries[]; /* proc_net.c */

/* proc_pal.c: /proc/pal. */
extern const struct pseudo_entry procpal_entries[];
extern const char *proc_pal_start; /* the text of /proc/pal/start, as the client of a clone sent it; or NULL */
extern uint64_t proc_pal_start_size;
extern int proc_pal_ready; /* number of the process that wrote to it, whose next fork is the snapshot's point; or 0 */

/* dev_pts.c: /dev/ptmx, /dev/pts/N, /dev/tty. */
bool pts_number(struct pseudo_node *node, int n);
int pts_after(const struct pseudo_node *node, int after);
int64_t ptmx_open(const struct pseudo_node *node, uint32_t flags, struct file **out);
int64_t tty_open(const struct pseudo_node *node, uint32_t flags, struct file **out);

/* proc_pid.c: /proc/N. */
bool procself_number(struct pseudo_node *node, int n);
int procself_after(const struct pseudo_node *node, int after);
bool proc_is_self(const struct pseudo_node *node);
int64_t proc_enter(const struct file *file); /* setns(2) on a file of /proc/N/ns, or another */
void proc_name_of(const struct pseudo_node *node, char out[16]);
struct pal_child proc_look(const struct pseudo_node *node);
/* proc_remote.c: an entry's functions, called here or in the process that it is about. */
bool proc_is_remote(const struct pseudo_node *node);
void proc_make_text(struct seq_buffer *text, const struct pseudo_node *node);
int64_t proc_follow(const struct pseudo_node *node, struct pal_path_buffer *out);
bool proc_number(struct pseudo_node *node, int n);
int proc_number_after(const struct pseudo_node *node, int after);
int64_t proc_target_attributes(const struct pseudo_node *node, struct pal_attributes *out); /* of a remote one's target */
int64_t proc_store(const struct pseudo_node *node, const char *bytes, size_t size);

/* proc_maps.c: a process's memory. */
struct memory_facts {
    uint64_t total, data, stack, code, shared, locked;
};
struct memory_facts proc_memory_facts(void);
void proc_status_memory(struct seq_buffer *text, const struct pal_child *look);
void proc_maps_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_smaps_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_smaps_rollup_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_statm_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_cmdline_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_environ_text(struct seq_buffer *text, const struct pseudo_node *node);
void proc_auxv_text(struct seq_buffer *text, const struct pseudo_node *node);

/* proc_mem.c: may the caller open it? */
int64_t proc_mem_check(const struct pseudo_node *node);
extern const struct file_ops proc_mem_ops;

/* proc_fd.c: a process's descriptors, links and mounts. */
bool proc_fd_number(struct pseudo_node *node, int n);
bool proc_fdinfo_number(struct pseudo_node *node, int n);
int proc_fd_after(const struct pseudo_node *node, int after);
struct file *proc_exe_target(const struct pseudo_node *node);
struct file *proc_cwd_target(const struct pseudo_node *node);
int64_t proc_exe_link(const struct pseudo_node *node, struct pal_path_buffer *out);
int64_t proc_cwd_link(const struct pseudo_node *node, struct pal_path_buffer *out);
int64_t proc_root_link(const struct pseudo_node *node, struct pal_path_buffer *out);
void proc_mounts_text(struct seq_buffer *text, const struct pseudo_node *node);

/* tree.c: a place in the tree, with its name in full ("/proc/12/fd"). */
#define PSEUDO_DEPTH 10
struct pseudo_place {
    struct pseudo_node node[PSEUDO_DEPTH];
    uint32_t depth; /* node[depth] is the place */
    uint32_t size[PSEUDO_DEPTH];
    char path[128];
};
int64_t pseudo_place_attributes(const struct pseudo_place *place, struct pal_attributes *out);
/* For the ops of what pseudo_open makes: file->data is its place. */
int64_t pseudo_file_attributes(struct file *file, struct pal_attributes *out);
int64_t pseudo_file_seek(struct file *file, int64_t offset, int whence);
void pseudo_file_destroy(struct file *file);
int64_t link_text(struct pal_path_buffer *out, const char *pattern, ...) __attribute__((format(printf, 2, 3)));

/* What an open file keeps of the flags that it was opened with. */
static inline uint32_t pseudo_flags(uint32_t flags)
{
    uint32_t kept = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
    return kept | (flags & O_PATH ? 0 : O_LARGEFILE);
}
/* seqfile.c: opens the text file at place. */
int64_t seq_open(const struct pseudo_place *place, uint32_t flags, struct file **out);
#endif
