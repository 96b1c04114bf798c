/* SPDX-License-Identifier: MIT */
/* What the sandbox may see and use: by the command line, a manifest, or neither. */
#ifndef LOADER_POLICY_H
#define LOADER_POLICY_H

#include "loader/mounts/mounts.h"
#include "loader/policy/network.h"

/* What the command line asks for; cli/options.c fills it in. */
struct option_mount {
    char *at, *from;
    const char *access; /* "ro", "rw", "cow", "tmpfs" or "image" */
    uint64_t memory;    /* of a tmpfs: its limit; 0: on disk */
};
struct options {
    const char *container; /* an image that is run, as --image names it; NULL: none */
    const char *learn; /* where the manifest of a run goes; NULL: none is written */
    bool learn_names;  /* or the names that it found */
    const struct sealed { /* the bundle that pal-run lies in, or the container image that it runs; NULL: none */
        const char *name;
        struct manifest *manifest;
        const char *files; /* a directory that holds its files; NULL: */
        const char *image; /* or where they are squashfs */
        uint64_t offset;
    } *sealed;
    const char *manifest, *cwd, *home, *picoprocess;
    const char *name; /* by which other commands find the sandbox; NULL: none */
    uint32_t trap;          /* enum linux_trap */
    uint32_t rewrite;       /* enum pal_rewrite + 1; 0: as the manifest has it */
    bool stats, report, no_profile, listen_fds, walls_monitor, walls_view, init, no_crash_report;
    const char *core; /* where a core file goes; NULL: none is written */
    enum report_kind { REPORT_DENIED, REPORT_ALL, REPORT_JSON } report_kind;
    int events; /* a descriptor; 0: none */
    bool ask;   /* at the terminal */
    int ask_fd; /* a socket, instead of it; 0: none */
    uint64_t ask_seconds; /* to answer; 0: the default */
    const char *ask_keep; /* where answers are kept; NULL: in the manifest, if there is one */
    const char *report_file; /* NULL: standard error */
    uint32_t trace; /* enum pal_trace */
    const char *keep; /* the run that copy mounts' changes are kept in; NULL: none */
    const char *log; /* where trace and statistics go; NULL: standard error */
    uint32_t fault;
    struct pal_range taken[PAL_TAKEN]; /* of the guest's range, as if another host had them: for tests */
    char **command; /* PROGRAM [ARG...] NULL; command[0] may be NULL with a manifest */
    struct option_mount mounts[32];
    size_t mount_count;
    const char *environment[64];
    size_t environment_count;
    uint64_t memory, processes, wall_seconds; /* 0: as the manifest has it */
    struct { const char *pattern; bool hides; } guards[32]; /* --hide, --deny-write */
    size_t guard_count;
    bool allow_repo_config;
    struct { const char *option, *value; } network[64]; /* --net, --publish, --host-port */
    size_t network_count;
    struct { /* of `pal-run snapshot` */
        uint32_t use; /* enum pal_snapshot_use */
        int image;    /* descriptor */
        const char *name;
        uint32_t point, flags; /* enum pal_snapshot_point, pal_snapshot_flags */
        uint64_t after;        /* ns */
        struct pool_member { int listener, server, touched; bool learns; } member; /* PAL_SNAPSHOT_WAITS: see struct waiting */
    } snapshot;
};

/* ---- policy.c ---------------------------------------------------------------------------------------------------- */

struct limits {
    uint64_t memory, processes, files, cpu_seconds, wall_seconds; /* UINT64_MAX = none */
};

#define PASSED_MAX PAL_PASSED
struct policy {
    struct mount_table mounts;
    const char *program; /* guest path */
    char **argv;
    const char *shown; /* the program as the user named it */
    const char *cwd, *home;
    char **environment;
    size_t environment_count;
    uint32_t uid, gid;
    struct limits limits;
    struct network network;
    bool allow_repo_config;
    uint32_t rewrite; /* enum pal_rewrite */
    struct { int number, fd; } passed[PASSED_MAX]; /* descriptors that arguments name: see launch/passed.c */
    size_t passed_count;
    bool asks; /* more may be granted while the program runs */
    const char *work_tree; /* of a repository that came along; NULL: none */
};
/* What applies without a manifest. */
void policy_default(struct policy *policy, const struct options *options);
void policy_from_manifest(struct policy *policy, const struct options *options);
/* --ro, --rw, --env, --cwd, --net and its kind, on top of either. */
void policy_options(struct policy *policy, const struct options *options);

/* A directory of the host's at its own place, unless it is shown already, or a home.  NULL: not added. */
struct mount *policy_add_directory(struct policy *policy, const char *directory);

/* ---- companions.c ------------------------------------------------------------------------------------------------ */

/* What belongs to the program, once that is known and shown. */
void companions_bring(struct policy *policy);
/* Once options have been heeded: a repository may be written where its work tree may. */
void companions_settle(struct policy *policy);

/* ---- homes.c ----------------------------------------------------------------------------------------------------- */

/* Is it "/", a home directory, or does it hold one, by its name or by what it is?  `passwd` is the text of /etc/passwd. */
bool policy_is_home(const char *directory, const char *home, const char *passwd);

/* ---- guards.c ---------------------------------------------------------------------------------------------------- */

/* A pattern of names that are not shown, or can't be changed.  NULL, or what is wrong with it. */
const char *policy_guard(struct policy *policy, const char *pattern, bool hides);
/* What other programs act on, where something of the host's may be written. */
void policy_guard_default(struct policy *policy);
/* How much of a path without symlinks is this mount's source, in which it then lies, by what the directories on the way are; -1: it
 * does not lie there. */
ssize_t policy_lies_in(const struct mount *mount, const char *real);
/* Of what the next run is granted the guest has no say: files of the manifest can't be written.  Once mounts are open. */
void policy_guard_manifest(struct policy *policy);
/* Do programs outside act on such a file when their user works in its directory? */
bool policy_is_guarded(const char *path);

/* ---- secrets.c --------------------------------------------------------------------------------------------------- */

/* Does it hold keys, tokens or passwords, by its name?  Such things neither come along nor are advised. */
bool policy_is_secret(const char *path, const char *home);
/* Hides all of them. */
void policy_hide_secrets(struct policy *policy);
bool variable_is_secret(const char *name, size_t size);

/* ---- environment.c ----------------------------------------------------------------------------------------------- */

/* Sets NAME=VALUE, or takes it from pal-run's own environment where there is no '=': then it may be a pattern. */
void environment_set(struct policy *policy, const char *assignment);
/* The safe list. */
void environment_default(struct policy *policy);
const char *environment_get(const struct policy *policy, const char *name);

/* ---- units.c ----------------------------------------------------------------------------------------------------- */

/* Bytes: "4096", "512M" (K, M, G, T: powers of 1024).  At least 1. */
bool size_read(const char *text, uint64_t *out);
/* Seconds: "90", "10s", "5m", "2h", "1d".  At least 1. */
bool duration_read(const char *text, uint64_t *seconds);
/* "trapped", "ahead" or "never": enum pal_rewrite + 1.  0: another word. */
uint32_t rewrite_read(const char *text);
/* A path with "~" and ${NAME} replaced; a relative one begins at `directory` (NULL: it is an error).  Allocated; or NULL
 * and what is wrong with it. */
char *place_expand(const char *text, const char *directory, const char **wrong);

/* ---- manifest.c -------------------------------------------------------------------------------------------------- */

struct manifest {
    const char *program, *cwd;
    const char *extends; /* the manifest that this one adds to; absolute */
    char **args; /* NULL: not given */
    size_t arg_count;
    char **environment; /* "NAME=VALUE", or "NAME" to pass on */
    size_t environment_count;
    int64_t uid, gid; /* -1: the invoker's */
    struct limits limits;
    struct network network;
    struct mount mounts[MOUNTS_MAX];
    size_t mount_count;
    struct { const char *pattern; bool hides; } guards[64];
    size_t guard_count;
    bool allow_repo_config;
    uint32_t rewrite; /* enum pal_rewrite + 1; 0: not given */
};
/* Reads text.  NULL, or "FILE:LINE: what is wrong" (allocated). */
char *manifest_parse(const char *file, const char *text, size_t size, struct manifest *out);
/* Reads a file, or ends pal-run. */
void manifest_load(const char *file, struct manifest *out);
/* The files that manifests were read from: with those that they extend; NULL behind the last. */
const char *manifest_file(size_t number);

/* ---- program_path.c ---------------------------------------------------------------------------------------------- */

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
/* Where the host has PROGRAM: a path with a slash as it is, else found by `path` (PATH).  Allocated; ends pal-run if
 * absent. */
char *program_find(const char *program, const char *search_path);

#endif
