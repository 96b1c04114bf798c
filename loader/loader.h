/* SPDX-License-Identifier: MIT */
/*
 * pal-run, as its files see each other.  Reading order: main.c, options.c, policy.c and manifest.c (what the sandbox
 * may see), program.c and elf.c (is this a program?), tree.c and resolve.c (guest paths to host objects), segment.c,
 * ahead.c and start.c (the first picoprocess), then monitor.c, decode.c, names.c, change.c, objects.c, notify.c,
 * extended.c, local.c, terminal.c (what it is served), watch.c (for how long answers hold), scratch.c, end.c.
 *
 * Errors: functions return 0 or a count, or a negative errno; what ends pal-run says so in one line by fail().  Memory
 * of the set-up (options, policy, mounts) lives as long as the process and is not freed.
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pal/linux/monitor.h"

#define EXIT_OWN_FAILURE 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

struct open_how;
struct request;
struct answer;

/* ---- report.c ---------------------------------------------------------------------------------------------------- */

/* One line "pal-run: ..." on standard error, and the end. */
void fail(int status, const char *pattern, ...) __attribute__((noreturn, format(printf, 2, 3)));
void warn(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* The monitor's own record of what policy refused: the first distinct ones.  Guests can't forge it. */
#define DENIALS_KEPT 20
struct denials {
    size_t count, kept;
    struct denial {
        char *path;
        const char *reason;
    } first[DENIALS_KEPT];
};
void denials_add(struct denials *denials, const char *path, size_t size, const char *reason);
void denials_print(const struct denials *denials);

/* Allocation that ends pal-run where there is no memory. */
void *must_allocate(size_t size);
char *must_copy(const char *text);
char *must_print(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

/* ---- tree.c: the mounts, and where in them a path lies ----------------------------------------------------------- */

enum mount_kind {
    MOUNT_HOST,    /* a host directory, or one file */
    MOUNT_SCRATCH, /* private, empty at the start, gone at the end */
    MOUNT_LINK,    /* a symlink, such as /bin -> usr/bin; `from` is its contents */
};

struct mount {
    const char *at;   /* guest path: absolute, without ".", "..", doubled or trailing slashes */
    const char *from; /* host path; the contents of a link; unused for scratch */
    size_t at_size;
    enum mount_kind kind;
    bool writable;
    bool public_only; /* only what any user of the host may read: see resolve.c */
    bool directory;   /* known once opened */
    int root;         /* O_PATH; -1 until mount_root opens it */
};

struct scratch {
    char path[64]; /* host directory that holds one for each scratch mount; "" = not made yet */
    int fd, pipe;
    pid_t janitor;
};

/* watch.c: what the sandbox's kept answers depend on, watched by one inotify instance. */
#define WATCHES_MAX 4096
struct watcher {
    int fd;      /* -1: not made yet, or it can't be */
    int mounts;  /* tells when the host's mounts change; -1: likewise */
    bool failed;
    int last;    /* the newest watch; numbers only grow */
    size_t count, most;
    struct watch { /* some may have ended by themselves */
        int number;
        uint64_t device, inode; /* of a file; 0: of a directory or symlink */
    } watches[WATCHES_MAX];
    uint64_t parts; /* what the answer that is being made depends on; 0: it can't be kept */
};

#define MOUNTS_MAX 128
struct tree {
    struct mount mounts[MOUNTS_MAX];
    size_t count;
    struct scratch scratch;
    struct denials denials;
    struct watcher watcher;
};

void tree_init(struct tree *tree);
/* Adds one, or replaces the one at the same guest path.  `at` and `from` are kept.  NULL: there are too many. */
struct mount *tree_add(struct tree *tree, enum mount_kind kind, const char *at, const char *from, bool writable);
/* The mount that a guest path lies in (longest prefix), or NULL. */
struct mount *tree_mount_of(const struct tree *tree, const char *path, size_t size);
struct mount *tree_mount_at(const struct tree *tree, const char *path, size_t size);
/* Does some mount lie strictly beneath? */
bool tree_is_above_mount(const struct tree *tree, const char *path, size_t size);
/* The host's /proc, /dev and /sys are never shown: these paths are the libOS's, but for mounts inside them. */
bool tree_is_libos_own(const struct tree *tree, const char *path, size_t size);
/* O_PATH descriptor of the mount's root, which stays the tree's; or a negative errno. */
int mount_root(struct tree *tree, struct mount *mount);
/*
 * Where an open object lies: its guest path in `guest` (size returned) and its mount, of those whose root is open.
 * -ENOENT: in none.  One whose name is gone lies where it was.
 */
ssize_t tree_locate(const struct tree *tree, int fd, struct mount **mount, char guest[PAL_PATH_MAX]);
/* Opens the root itself, of a mount whose root is open: it may be one file. */
int mount_open(const struct mount *mount, const struct open_how *how);

/* path == prefix, or lies beneath it. */
bool path_is_within(const char *path, size_t size, const char *prefix, size_t prefix_size);
/*
 * Copies an absolute path without ".", doubled and trailing slashes.  Returns the size, -ENAMETOOLONG, -EINVAL (not
 * absolute) or -ELOOP: it has a "..", which only a walk can take away.
 */
ssize_t path_clean(char *out, size_t room, const char *path, size_t size, bool *trailing_slash);

/* ---- watch.c ----------------------------------------------------------------------------------------------------- */

/* From here on, PLACE_WATCH and watch_add collect what an answer about this path depends on.  False: it can't be kept,
 * and watcher.parts is what to tell of it. */
bool watch_begin(struct tree *tree, const struct request *request);
/* A directory in which a name is about to be looked up, or an object whose attributes are about to be read. */
void watch_add(struct tree *tree, const struct mount *mount, int fd);
/* A file is about to be written: no event for each write. */
void watch_drop(struct watcher *watcher, const struct pal_attributes *file);
/* What the reply tells: the parts, where this result can be kept. */
uint64_t watch_end(struct tree *tree, const struct mount *mount, int result);
/* To be called after requests: once something is watched, a change of the host's mounts ends all kept answers, for it
 * may have covered or bared what they depend on. */
struct uv_loop_s;
void watch_mounts(struct watcher *watcher, struct uv_loop_s *loop);
int serve_watcher(const struct watcher *watcher, struct answer *answer);

/* ---- resolve.c --------------------------------------------------------------------------------------------------- */

enum {
    PLACE_NOFOLLOW = 1, /* a final symlink is the object itself */
    PLACE_CHANGES = 2,  /* resolve_open: may create, or needs a writable mount: RESOLVE_WALK where there is none */
    PLACE_WATCH = 4,    /* each directory is given to watch_add before a name is looked up in it */
};

/* What a guest path leads to. */
struct place {
    struct mount *mount; /* NULL: a directory that is there only because mounts lie beneath it */
    int object;          /* O_PATH; -1: synthetic, a MOUNT_LINK, or missing */
    int parent;          /* O_PATH directory that holds it; -1: not known, or it is a mount's root */
    bool missing;        /* the last name is not there; its parent is (perhaps synthetic) */
    bool must_be_directory;
    char guest[PAL_PATH_MAX]; /* its path without symlinks; guest + name is the last component */
    size_t guest_size, name;
};

/*
 * Finds the object of an absolute guest path.  0: *out is filled, give it to place_close; it may be `missing` only
 * after resolve_walk.  -EREMOTE: *escape is the path to go on with, in the libOS's own tree.
 */
int resolve(struct tree *tree, const char *path, size_t size, unsigned flags, struct place *out,
            struct pal_path_buffer *escape);
int resolve_walk(struct tree *tree, const char *path, size_t size, unsigned flags, struct place *out,
                 struct pal_path_buffer *escape);
/*
 * The directory of the last name, which is not followed.  `name` receives it, a trailing slash kept (the kernel judges
 * that); it is "", "." or ".." where the path ends so.
 */
#define NAME_ROOM 257
int resolve_parent(struct tree *tree, const char *path, size_t size, struct place *out, char name[NAME_ROOM],
                   struct pal_path_buffer *escape);
/*
 * Opens with `how` in one call, where symlinks are not in the way (but for a final one or a MOUNT_LINK).  Returns a
 * descriptor with out->mount and out->guest set, a negative errno, or RESOLVE_WALK: only resolve_walk can tell.
 */
#define RESOLVE_WALK (-4096)
int resolve_open(struct tree *tree, const char *path, size_t size, unsigned flags, const struct open_how *how,
                 struct place *out);
void place_close(struct place *place);

/* ---- decode.c: requests, checked before anything is done --------------------------------------------------------- */

struct request {
    uint32_t op, sequence, flags, mode;
    const char *path, *other; /* not NUL-terminated; no NUL inside; `path` is absolute */
    size_t path_size, other_size;
    uint64_t arguments[2];
    struct pal_attributes values;
    pid_t sender;
};
/* 0, or a negative errno to reply with.  out->sequence is set in any case where the packet has one; -EBADMSG: it has
 * none. */
int request_decode(const void *packet, size_t size, struct request *out);

/* ---- names.c, change.c, objects.c: requests, served -------------------------------------------------------------- */

#define ANSWER_DESCRIPTORS (1 + MONITOR_COMPANY_MOST)
struct answer {
    struct monitor_reply reply;
    const struct mount *mount; /* serve_open: of what the name led to; NULL: it is not known */
    int descriptors[ANSWER_DESCRIPTORS]; /* closed after the reply, unless kept */
    struct pal_path_buffer text;
};

/* Each returns the reply's result. */
int serve_open(struct tree *tree, const struct request *request, struct answer *answer);
int serve_stat(struct tree *tree, const struct request *request, struct answer *answer);
int serve_start(struct tree *tree, const struct request *request, struct answer *answer); /* company.c */
int serve_readlink(struct tree *tree, const struct request *request, struct answer *answer);
int serve_canonical(struct tree *tree, const struct request *request, struct answer *answer);
int serve_set(struct tree *tree, const struct request *request, struct answer *answer);
int serve_change(struct tree *tree, const struct request *request, struct answer *answer);
struct objects;
int serve_set_opened(struct tree *tree, const struct objects *objects, const struct request *request);
int attributes_read(int fd, struct pal_attributes *out);

#define TOKENS_MAX 256
struct objects { /* starts zeroed but for the first two */
    pid_t session; /* the first picoprocess: all are in its session and its process group */
    uint64_t memory_limit;
    size_t next;   /* the oldest token */
    struct token {
        uint64_t value; /* 0: none */
        int fd;
    } tokens[TOKENS_MAX];
};
/* A duplicate of a member's descriptor, or a negative errno. */
int member_descriptor(const struct objects *objects, pid_t pid, int number);
int serve_interrupt(const struct objects *objects, const struct request *request);
int serve_shutdown(const struct objects *objects, const struct request *request);
int serve_tee(const struct objects *objects, const struct request *request, struct answer *answer);
int serve_export(struct objects *objects, const struct request *request, struct answer *answer);
int serve_import(struct objects *objects, const struct request *request, struct answer *answer);
int serve_create(const struct objects *objects, const struct request *request, struct answer *answer);

/* extended.c */
int serve_extended(struct tree *tree, const struct objects *objects, const struct request *request,
                   struct answer *answer);

/* notify.c: inotify for guests. */
int serve_notify(struct tree *tree, const struct objects *objects, const struct request *request,
                 struct answer *answer);
int serve_notify_end(const struct objects *objects, const struct request *request);

/* local.c: names of local sockets. */
#define LOCALS_MAX 256
#define LOCAL_NAME_MAX 108 /* sun_path of struct sockaddr_un: an abstract name, its NUL in front included */
struct locals { /* starts zeroed */
    bool ready;
    uint64_t last_number;
    uint32_t picked;
    struct local {
        int queue;     /* our end; -1: free */
        int object;    /* of a socket file: O_PATH, so that its inode number stays its own; -1: abstract */
        dev_t device;
        ino_t inode;
        uint64_t number;
        uint32_t kind, backlog, message_cost;
        bool listening;
        size_t name_size, info_size;
        char name[LOCAL_NAME_MAX], info[PAL_LOCAL_INFO];
    } names[LOCALS_MAX];
};
int serve_bind(struct tree *tree, struct locals *locals, const struct request *request, struct answer *answer);
int serve_listen(struct locals *locals, const struct request *request);
int serve_connect(struct tree *tree, struct locals *locals, const struct request *request, struct answer *answer);

/* ---- terminal.c -------------------------------------------------------------------------------------------------- */

#define TERMINALS_MAX 256
struct terminals {
    int own;  /* pal-run's controlling terminal, or -1 */
    int stop; /* stop by this signal after the reply */
    struct inner {
        unsigned number;
        int name; /* O_PATH descriptor of /dev/pts/number; -1: unused */
    } inner[TERMINALS_MAX];
};
void terminals_init(struct terminals *terminals);
/* What a request asked for, once it is answered.  True: it stopped, or could not; the guest is to go on. */
bool terminals_stop(struct terminals *terminals);
int serve_pty(struct terminals *terminals, struct answer *answer);
int serve_pty_inner(struct terminals *terminals, const struct request *request, struct answer *answer);
int serve_terminal(struct terminals *terminals, const struct objects *objects, const struct request *request,
                   struct answer *answer);

/* ---- scratch.c --------------------------------------------------------------------------------------------------- */

/* The host directory of a scratch mount, made at the first call: O_PATH descriptor or a negative errno. */
int scratch_root(struct tree *tree, const struct mount *mount);
/* Has the janitor remove it all; it ends by itself and is the caller's child. */
void scratch_end(struct scratch *scratch);
/* Empties a directory, whatever a guest made of it. */
void scratch_empty(int directory);

/* ---- elf.c, program.c -------------------------------------------------------------------------------------------- */

enum elf_kind { ELF_STATIC, ELF_STATIC_PIE, ELF_DYNAMIC, ELF_DYNAMIC_PIE };
struct elf_facts {
    enum elf_kind kind;
    uint16_t machine;
    char interpreter[256]; /* "" = none */
    uint8_t build_id[64];
    size_t build_id_size;
};
/* NULL where the file is a program for this machine, else what is wrong with it, to be said after its name. */
const char *elf_inspect(int fd, uint64_t file_size, struct elf_facts *out);

struct options;
struct policy;

/* Where the host has PROGRAM: a path with a slash as it is, else found by `path` (PATH).  Allocated; ends pal-run if
 * absent. */
char *program_find(const char *program, const char *search_path);
struct program {
    struct answer file;        /* of the program, opened by policy */
    struct answer interpreter; /* of ld.so or the script's interpreter; result != 0: none */
    char interpreter_path[256];
    struct answer script_loader; /* ld.so of a script's interpreter */
    char script_loader_path[256];
    struct elf_facts facts;
};
/* Opens the program in the sandbox's view and checks it; ends pal-run where it can't be run. */
void program_check(struct tree *tree, const char *guest_path, const char *shown, struct program *out);

/* ---- policy.c, environment.c, manifest.c ------------------------------------------------------------------------- */

struct limits {
    uint64_t memory, processes, files, cpu_seconds, wall_seconds; /* UINT64_MAX = none */
};

struct policy {
    struct tree tree;
    const char *program; /* guest path */
    char **argv;
    const char *shown; /* the program as the user named it */
    const char *cwd, *home;
    char **environment;
    size_t environment_count;
    uint32_t uid, gid;
    struct limits limits;
};
/* What applies without a manifest. */
void policy_default(struct policy *policy, const struct options *options);
void policy_from_manifest(struct policy *policy, const struct options *options);
/* --ro, --rw, --env, --cwd, on top of either. */
void policy_options(struct policy *policy, const struct options *options);
/* Is it "/", a home directory, or does it hold one?  `passwd` is the text of /etc/passwd. */
bool policy_is_home(const char *folder, const char *home, const char *passwd);

/* Sets NAME=VALUE, or takes it from pal-run's own environment where there is no '='. */
void environment_set(struct policy *policy, const char *assignment);
/* The safe list. */
void environment_default(struct policy *policy);
const char *environment_get(const struct policy *policy, const char *name);

struct manifest {
    const char *program, *cwd;
    char **args;
    size_t arg_count;
    char **environment; /* "NAME=VALUE", or "NAME" to pass on */
    size_t environment_count;
    int64_t uid, gid; /* -1: the invoker's */
    struct limits limits;
    struct mount mounts[MOUNTS_MAX];
    size_t mount_count;
};
/* Reads text.  NULL, or "FILE:LINE: what is wrong" (allocated). */
char *manifest_parse(const char *file, const char *text, size_t size, struct manifest *out);
/* Reads a file, or ends pal-run. */
void manifest_load(const char *file, struct manifest *out);

/* ---- options.c --------------------------------------------------------------------------------------------------- */

struct option_mount {
    char *at, *from;
    bool writable;
};
struct options {
    const char *manifest, *cwd, *picoprocess;
    bool trap_by_seccomp, trace, stats, report, no_rewrite;
    uint32_t fault;
    char **command; /* PROGRAM [ARG...] NULL; command[0] may be NULL with a manifest */
    struct option_mount mounts[32];
    size_t mount_count;
    const char *environment[64];
    size_t environment_count;
};
void options_read(struct options *options, int argc, char **argv);

/* ---- segment.c, ahead.c, filter.c, start.c ----------------------------------------------------------------------- */

#define AHEAD_MAX 256
#define AHEAD_FIRST 8       /* room for what any program asks */
#define AHEAD_DESCRIPTORS 80 /* that go with one packet; the picoprocess has room for 124 */
struct ahead {
    size_t count, descriptor_count;
    struct ahead_entry {
        const char *path;
        int result;
        int fd;
        struct pal_attributes attributes;
    } entries[AHEAD_MAX];
};
/* What the program is known to ask first.  Takes the program's descriptors. */
void ahead_collect(struct ahead *ahead, struct policy *policy, struct program *program);
/* One more name; `path` is kept. */
void ahead_ask(struct ahead *ahead, struct tree *tree, const char *path, bool opens);

/* profile.c: what the program's last run asked. */
void profile_use(const char *program, struct ahead *ahead, struct tree *tree);
/* A request of this run's start. */
void profile_note(const struct tree *tree, const struct request *request, int result);
void profile_keep(void);

struct sock_filter; /* linux/filter.h */
/* The boundary filter, compiled when pal-run was built. */
const struct sock_filter *filter_program(bool trap, size_t *count);

/* The shared segment's size, and all that the first picoprocess is told: written where it waits. */
#define SEGMENT_SIZE (4ull << 30) /* sparse: most of it is what the guest may use as System V shared memory */
void segment_fill(int fd, const struct policy *policy, const struct options *options, const struct ahead *ahead,
                  mode_t umask_was);

/* The first picoprocess, which was launched before main. */
extern struct launched {
    int pid, parent; /* pid 0: there is none */
    int channel, inner, segment;
    int error;
    const char *volatile failed; /* what could not be done, or which file not executed */
} launched;
void launch(const char *picoprocess, bool trap);
/* Kills it: another one is to be launched, or none. */
void launch_abandon(void);
/* For entry.S. */
void launch_first(const uint64_t *stack);

/* ---- monitor.c, end.c -------------------------------------------------------------------------------------------- */

struct monitor {
    struct policy *policy;
    struct objects objects;
    struct terminals terminals;
    struct locals locals;
    int channel;
    pid_t first;
    uint64_t served[MONITOR_OPS];
};
/* Blocks the signals that monitor_run takes from a descriptor. */
void monitor_block_signals(void);
/* Sends bytes and descriptors as a packet, without waiting.  0 or a negative errno. */
int send_with(int socket, const void *bytes, size_t size, const int *descriptors, size_t count);
/* Serves until the first picoprocess has ended and nothing of the sandbox is left.  Returns pal-run's exit status. */
int monitor_run(struct monitor *monitor);
/* One packet; answers it. */
void monitor_serve(struct monitor *monitor, const void *packet, size_t size, pid_t sender);

/* idle.c: a timer's callback. */
struct uv_timer_s;
void idle_drop_text(struct uv_timer_s *timer);

/* ---- guardian.c: kills what is left of the sandbox when pal-run ends, by SIGKILL too ----------------------------- */

void guardian_start(pid_t first);
void guardian_dismiss(void); /* the sandbox has ended in order */

/* Kills what is left of the sandbox and collects it; the first picoprocess has ended but was not waited for, or is
 * to be killed.  Returns its wait status. */
int end_all(struct monitor *monitor);
int end_status(int wait_status, const struct limits *limits);
void terminal_save(void);
void terminal_restore(void);

#endif
