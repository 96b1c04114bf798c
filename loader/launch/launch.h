/* SPDX-License-Identifier: MIT */
/* The first picoprocess: the program that it is to run, its filter, all that it is told, and its end. */
#ifndef LOADER_LAUNCH_H
#define LOADER_LAUNCH_H

#include "loader/monitor/monitor.h"

/* ---- elf.c ------------------------------------------------------------------------------------------------------- */

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

/* ---- libc_start.c: called by libc's start alone, in place of functions of its own --------------------------------- */

long cache_size(int name); /* as sysconf(3) names it: bytes, ways or 0 */
void no_features(unsigned *family, unsigned *model, unsigned *extended_model, unsigned *stepping); /* all or none NULL */
void no_more_features(void);

/* ---- program.c --------------------------------------------------------------------------------------------------- */

struct program { /* starts zeroed */
    struct reply file;        /* of the program, opened by policy */
    struct reply interpreter; /* of ld.so or the script's interpreter; none where there is no path */
    char interpreter_path[256];
    struct reply script_loader; /* ld.so of a script's interpreter; likewise */
    char script_loader_path[256];
    struct elf_facts facts;
};
/* Opens the program in the sandbox's view and checks it; ends pal-run where it can't be run. */
void program_check(struct mount_table *table, const char *guest_path, const char *shown, struct program *out);
/* What it is known to ask first, itself and its interpreter in front.  Takes the program's descriptors. */
void program_prefetch(const char *guest_path, struct program *program, struct prefetch *prefetch,
                      struct mount_table *table);
/* Where the program and its first directory lie in the sandbox, once all mounts are known; ends pal-run where they
 * can't be. */
void program_place(struct policy *policy, const struct options *options);

/* ---- filter.c ---------------------------------------------------------------------------------------------------- */

struct sock_filter; /* <linux/filter.h> */
/* The boundary filter, compiled when pal-run was built. */
const struct sock_filter *filter_program(bool trap, bool view, size_t *count);
unsigned filter_calls(bool view); /* how many host calls it admits */
/* A filter besides, that answers ENOSYS to those classes of calls; count 0: none is needed. */
const struct sock_filter *filter_refusal(uint32_t classes, size_t *count);
unsigned filter_left_out(uint32_t classes); /* host calls of which no form is left */

/* ---- call_classes.c ---------------------------------------------------------------------------------------------- */

/* "threads,files", "none", "all": LINUX_CLASS_...  Ends pal-run where a name is none of a class. */
uint32_t call_classes_read(const char *text);
/* Allocated: "threads,files", or "none". */
char *call_classes_text(uint32_t classes);

/* ---- identity.c -------------------------------------------------------------------------------------------------- */

/* Of the picoprocess in this file, and of the processor's features: what a snapshot's image holds for. */
void snapshot_identity(uint64_t identity[4]);

/* ---- passed.c ---------------------------------------------------------------------------------------------------- */

/* Before pal-run has opened what is not closed on exec. */
void passed_find(struct policy *policy, const struct options *options);

/* ---- segment.c --------------------------------------------------------------------------------------------------- */

/* The shared segment's size, and all that the first picoprocess is told: written where it waits. */
#define SEGMENT_SIZE (4ull << 30) /* sparse: most of it is what the guest may use as System V shared memory */
void segment_fill(int fd, const struct policy *policy, const struct options *options, const struct prefetch *prefetch,
                  const struct pal_sites *sites, mode_t umask_was);
/* Answers of this processor's to cpuid that are worth being told; NULL: none. */
const struct pal_cpuid *cpuid_answers(size_t *count); /* cpuid.c */
/* Classes of host calls that the sandbox wanted, as it says itself; may: or another run of it may want. */
uint32_t segment_wanted(bool may);
/* What the sandbox has made of `sites`.  False: nothing else. */
bool segment_sites(struct pal_sites out[PAL_SITE_PROGRAMS]);

/* ---- caller_limits.c --------------------------------------------------------------------------------------------- */

#define FILES_LEAST 80 /* of which the libOS and the PAL take 64 */
#define FILES_LEAST_TEXT "80"
/* Ends pal-run where its limits are too low for any sandbox; raises the soft one of open files.  How large the segment
 * can be. */
uint64_t caller_limits(void);
extern uint64_t caller_files; /* the soft limit of open files before */

/* ---- picoprocess.c ----------------------------------------------------------------------------------------------- */

/* The first picoprocess, which was launched before main. */
extern struct launched {
    int pid, parent; /* pid 0: there is none */
    int channel, inner, segment;
    uint64_t segment_size;
    uint64_t copy_classes; /* where in the segment they lie */
    uint64_t sites;        /* likewise; 0: there are none */
    uint32_t copies;       /* as linux_shared's, at first */
    uint64_t random;    /* of the kernel */
    uint32_t streams[3]; /* st_mode of the standard streams */
    uint32_t terminals; /* bit N: standard stream N is one that could be read: see reopen_streams */
    int error;
    uint32_t refused;          /* classes of host calls that the bundle is packed without */
    bool udp_any;              /* its filter lets datagrams go anywhere; set before it is launched */
    volatile uint32_t names;   /* enum linux_names */
    volatile uint32_t decided; /* it won't change any more.  Waited on */
    const char *volatile why;  /* names are the monitor's: the reason, to be said after that */
    volatile bool again;       /* it could not go on, but one without name calls can */
    volatile uint32_t id; /* the user and group id that it takes; 0: none of its own, as it can't, or not yet */
    const char *volatile failed; /* what could not be done, or which file not executed */
} launched;
/* log: the descriptor that its trace and errors go to.  strict: why it gets no name calls; NULL: it does where the host
 * lets it. */
void launch(const char *picoprocess, uint32_t trap, int log, const char *strict);
/* Waits until it is known whether it has name calls.  False: another one is to be launched. */
bool launch_decided(void);
void launch_decide(void); /* in the child: what is waited for has come */
/* Kills it: another one is to be launched, or none. */
void launch_abandon(void);
/* pal-run lies in a bundle: this is in its ELF header, where other programs have zeros. */
#define BUNDLE_MARK "PALPACK"
bool launch_is_bundle(void);
/* For entry.S. */
void launch_first(const uint64_t *stack);

/* ---- walls.c, with picoprocess.c: in the child ------------------------------------------------------------------- */

/* Ends it; pal-run is told. */
void launch_leave(const char *failed, int64_t error) __attribute__((noreturn));
void launch_must(int64_t result, const char *failed);
/* In pal-run: why it can't have name calls, with these standard streams; or NULL. */
const char *streams_against_names(void);
/* No name calls, then. */
void monitor_names(const char *why);
/* Its root becomes one where nothing is found; then, without privileges: is it so? */
void wall_in_names(void);
void check_walls(void);

#endif
