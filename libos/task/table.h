/* SPDX-License-Identifier: MIT */
/*
 * The sandbox-wide segment: the process table.  Truth is here, not in messages: a parent reads its child's status, kill
 * finds its target, getppid its answer.
 *
 * Any picoprocess may die at any instruction, also while it holds the lock.  So: a slot exists from the moment its
 * `pid` is set, which is the last thing done to it; links between slots are only an index, and the next
 * owner of a dead holder's lock makes the index anew from the slots.  Fields not marked otherwise are guarded by
 * the table's lock; a process's own pid, ppid, pgid and sid may also be read by itself without it.
 */
#ifndef LIBOS_TABLE_H
#define LIBOS_TABLE_H

#include "libos/abi/process.h"
#include "libos/lib/lib.h"
#include "libos/task/inbox.h"

#define SHARED_INIT_PID 1 /* the parent of orphans: the first process where that is init, else only a number */
#define SHARED_PID_MAX 4194304u

enum shared_state {
    SHARED_FREE = 0,
    SHARED_RUNNING,
    SHARED_STOPPED,
    SHARED_EXITING, /* `status` is final; its picoprocess is about to end */
    SHARED_ZOMBIE,
};

enum shared_flags {
    SHARED_EXECED = 1,        /* has called execve since its fork: setpgid by the parent gives EACCES */
    SHARED_VIRTUAL = 2,       /* inside vfork: it lives in its parent's picoprocess */
    SHARED_SUBREAPER = 4,     /* PR_SET_CHILD_SUBREAPER */
    SHARED_STOP_NEWS = 8,     /* a stop that wait has not told yet; status holds the signal */
    SHARED_CONTINUE_NEWS = 16,
    SHARED_UNBORN = 32,       /* its picoprocess has not begun, or will never: if its parent is killed now, so is it */
    SHARED_NO_TTY = 64,       /* has given up its session's terminal (TIOCNOTTY), it alone */
    SHARED_OUTER = 128,       /* has the outer side of some pseudoterminal open */
};

struct shared_process {
    uint32_t pid; /* 0 = free.  Index links are slot number + 1, 0 = none */
    uint32_t hash_next, first_child, next_sibling, previous_sibling; /* the first child's previous is the last */
    uint32_t state, flags;
    uint32_t ppid, pgid, sid;
    uint32_t reaper;       /* pid of the process whose picoprocess is the host's parent of this one; 0 = it has gone */
    uint32_t event;        /* moves with each change of a child's state; waited on.  Atomic */
    uint32_t event_waiters;  /* threads that wait on it.  Atomic */
    uint32_t waits_directly; /* its only thread waits for host children, not for `event`.  Atomic */
    uint32_t shares;       /* may hold robust mutexes in shared memory, which must be let go: see signal_send_remote */
    uint32_t continues;    /* SIGCONTs sent to it.  Atomic */
    /* How other picoprocesses reach a thread of this one without the monitor: see signal/timers.c, helper.  All atomic. */
    uint32_t bell;         /* the helper waits on it; moves when it is to look */
    uint32_t bell_rung;    /* somebody wants some thread of the picoprocess interrupted */
    uint32_t bell_heard;   /* the helper runs */
    uint32_t asked_state;  /* as the host had it before it was last asked something: signal/remote.h; 0: not looked */
    uint64_t asked_at;     /* when, on PAL_CLOCK_MONOTONIC */
    uint32_t kicked;       /* its threads are to look again: see wait_kick_process.  Atomic */
    uint64_t host;         /* the picoprocess, as process_fork named it; 0 for a moment after fork.  Atomic */
    int32_t status;        /* wait(2)'s encoding */
    uint32_t exit_signal;
    uint32_t uid, euid, suid, gid;
    uint32_t thread_count; /* for /proc */
    uint32_t settings_kept; /* it has settings of its own: else they are what Linux starts with.  Atomic */
    uint32_t death_signal; /* PR_SET_PDEATHSIG */
    uint32_t parent_thread; /* whose end sends it: the one that made the process, then another of its parent's */
    uint32_t inbox_used;   /* somebody has sent it a signal.  Atomic; kept while the slot is free: the inbox is emptied
                              before the next process has it */
    uint64_t start_ns;     /* on PAL_CLOCK_BOOT */
    struct pal_usage used; /* by itself alone, once it has ended */
    struct pal_usage children; /* by the children that it has waited for, and theirs */
    struct pal_usage reaped; /* by its host children that have ended: the host adds these to its own */
    uint64_t exe_device, exe_inode; /* its program, where the sandbox might write that; else 0 */
    uint32_t tracer;       /* process that traces its first thread, or 0: trace/trace.h has the rest */
    uint32_t tracees;      /* threads that it traces */
    uint32_t traces;       /* moves when there is something new to know about its traced threads.  Atomic */
    uint32_t reserved;
    uint64_t told_site;    /* a call site that children trapped at: mm/text.c.  Atomic */
    char name[16];
};

#define AFFINITY_WORDS 16 /* processors / 64 */

/* What a process and others set and read back: rlimit.c, sched.c.  Guarded by the table's lock for writing; who reads
 * a word of it without gets what was there before or after. */
struct shared_settings {
    struct rlimit { uint64_t soft, hard; } limits[RLIMIT_COUNT];
    uint64_t affinity[AFFINITY_WORDS];
    int32_t nice, policy, priority, io_priority;
    uint64_t runtime, deadline, period; /* SCHED_DEADLINE's */
    uint32_t reset_on_fork; /* SCHED_RESET_ON_FORK: a child is not in real time, and not above nice 0 */
};

#define SHARED_TERMINALS 256u
struct shared_terminal {
    uint32_t device;     /* st_rdev of the inner side; 0 = free.  Set last.  Atomic */
    uint32_t generation; /* moves when it is freed.  Atomic */
    uint32_t session;    /* whose controlling terminal it is, 0 = nobody's.  Atomic */
    uint32_t group;      /* in the foreground.  Atomic */
    uint32_t from_host;  /* the terminal that pal-run was started on */
    uint32_t locked;     /* until unlockpt(3).  Atomic */
    uint32_t quoted;     /* the next key typed is no signal (VLNEXT).  Atomic */
    uint32_t marks;      /* TERMINAL_*.  Atomic */
    uint32_t input_speed, output_speed; /* as they were set last, in bits a second; 0: never */
};
enum { TERMINAL_EXCLUSIVE = 1, TERMINAL_PACKETS = 2 };

/* Threads that wait for several words at once: futex/waitv.c.  All atomic. */
#define FUTEX_BUCKETS 256u
struct futex_events {
    uint32_t waiting; /* threads */
    struct { uint32_t waiting, woken; } buckets[FUTEX_BUCKETS];
};

#define DCACHE_SETS 1024u
#define DCACHE_ASKED 1024u
struct dcache_state { /* fs/dcache.c */
    uint32_t turn, mapped;      /* mapped: some file was mapped to be written.  Atomic */
    uint64_t used[DCACHE_SETS / 64]; /* bit set: something was kept there.  Atomic */
    uint16_t asked[DCACHE_ASKED]; /* by hash: a name's tag, and how often it was asked for */
};

/* What sethostname and setdomainname set. */
#define UTS_NAME 65u
struct uts_names {
    uint32_t set; /* one of them was set.  Atomic */
    char node[UTS_NAME], domain[UTS_NAME];
};

struct shared_table {
    struct pal_mutex lock;
    uint32_t slot_count, slot_high; /* slots [slot_high, slot_count) have never been used */
    uint32_t free_slots;            /* list by next_sibling */
    uint32_t next_id, ids_wrapped;  /* next_id is atomic: thread ids are taken without the lock */
    uint32_t process_count;
    uint32_t ipc_used;              /* ipc/objects.c's: here, where each process looks anyway.  Atomic */
    uint64_t slots, inboxes, ids, owners, settings; /* addresses of the arrays */
    uint64_t question;
    struct dcache_state dcache;
    uint32_t hash[1024];            /* pid -> slot */
    struct shared_terminal terminals[SHARED_TERMINALS]; /* see tty/tty.h */
    uint32_t files_watched; /* some process has had an inotify instance.  Atomic */
    uint32_t ends;          /* of processes, so far.  Atomic */
    uint32_t programs;      /* some process has had an exe_inode.  Atomic */
    uint32_t inet_port;     /* counts TCP connections: their own ports.  Atomic */
    uint32_t futex_event;
    struct futex_events futexes;
    struct uts_names uts; /* see uts.c */
};

/* ---- table.c ---- */
uint64_t shared_init(uint64_t at, uint64_t end); /* the first process makes the table; returns where it ends */
void shared_ids_skip(uint32_t last); /* no number up to it is given out, as if they had been used */
struct uts_names *shared_uts(void);
void shared_lock(void);
void shared_unlock(void);
int shared_id_new(int process); /* a number for a thread of that process; -EAGAIN when there is none */
void shared_id_free(int id);
int shared_id_after(int id);     /* the next one in use, a process's or a thread's; 0: none */
uint32_t shared_count(void);     /* processes */
int shared_id_process(int id);  /* the process (its pid) of a thread; the number itself where it is no thread's */

/* A slot for a child of `parent` (NULL: the first process), state RUNNING, with group, session, ids and name as the
 * parent's.  sibling: its parent is the parent's.  Takes the lock.  NULL: table full, or the parent is exiting. */
struct shared_process *shared_new(struct shared_process *parent, uint32_t reaper, uint32_t exit_signal, bool sibling);

static inline bool is_absent_init(int pid) { return pid == SHARED_INIT_PID && !boot->init; }

/* Caller holds the lock for all below. */
struct shared_process *shared_find(int pid);
void shared_free(struct shared_process *slot);
/* Oldest first. */
struct shared_process *shared_next_child(struct shared_process *parent, struct shared_process *after);
struct shared_process *shared_next(struct shared_process *after); /* all in use; NULL starts */
void shared_reparent(struct shared_process *child, uint32_t ppid);
struct shared_signals *shared_inbox(struct shared_process *slot);
struct shared_settings *shared_settings(const struct shared_process *slot);
bool shared_group_exists(uint32_t pgid, uint32_t sid); /* sid 0 = any */
uint32_t *shared_ipc_used(void);
uint32_t *shared_files_watched(void);
uint32_t *shared_ends(void);
bool shared_programs(void); /* does any process run, or has it, what the sandbox might write? */
bool shared_is_program(uint64_t device, uint64_t inode); /* does one run this file?  Without the lock */
void shared_program_set(struct shared_process *slot, uint64_t device, uint64_t inode);
uint64_t *shared_question(void); /* remote.c's: its address */
uint32_t *shared_inet_port(void);
struct dcache_state *shared_dcache(void);
struct futex_events *shared_futexes(uint32_t **event);
struct shared_terminal *shared_terminals(void); /* all SHARED_TERMINALS; no lock needed for this */
/* rlimit.c.  For reading; `copy` serves those that keep none.  And for changing, with the lock. */
const struct shared_settings *settings_of(const struct shared_process *slot, struct shared_settings *copy);
struct shared_settings *settings_to_change(struct shared_process *slot);

#endif
