/* SPDX-License-Identifier: MIT */
/*
 * The sandbox-wide segment: the process table.  Truth is here, not in messages: a parent reads its child's status, kill
 * finds its target, getppid its answer.
 *
 * Any picoprocess may die at any instruction, also while it holds the lock.  So: a slot exists from the moment its `pid` is
 * set, which is the last thing done to it; links between slots are only an index, and whoever takes the lock from a dead
 * holder makes the index anew from the slots (shared_lock does).  Fields not marked otherwise are guarded by the table's lock.
 */
#ifndef LIBOS_SHARED_H
#define LIBOS_SHARED_H

#include "libos/libos.h"

#define SHARED_INIT_PID 1 /* the parent of orphans: no process, only a number */
#define SHARED_PID_MAX 4194304u
#define SHARED_QUEUE 32 /* queued siginfo of one process; beyond: -EAGAIN, as RLIMIT_SIGPENDING has it */

enum shared_state {
    SHARED_FREE = 0,
    SHARED_RUNNING,
    SHARED_STOPPED,
    SHARED_EXITING, /* `status` is final; its picoprocess is about to end */
    SHARED_ZOMBIE,
};

enum shared_flags {
    SHARED_EXECED = 1,       /* has called execve since its fork: setpgid by the parent gives EACCES */
    SHARED_NO_ZOMBIES = 2,   /* SIGCHLD ignored, or SA_NOCLDWAIT: its children leave no zombies */
    SHARED_SUBREAPER = 4,    /* PR_SET_CHILD_SUBREAPER */
    SHARED_STOP_NEWS = 8,    /* a stop that wait has not told yet; status holds the signal */
    SHARED_CONTINUE_NEWS = 16,
    SHARED_WAITS_DIRECTLY = 32, /* in PAL->process_wait: `event` alone would not wake it.  Atomic */
    SHARED_DESCENDANT_REAPER = 64, /* some ancestor may be a subreaper */
};

/* What is kept of a siginfo that waits for its process: signal.c's. */
struct shared_siginfo {
    int32_t signal, error, code, pid; /* signal 0: entry is free */
    uint32_t uid;
    int32_t status;
    uint64_t value; /* si_value, or si_addr */
    int32_t timer, overrun;
    uint64_t order;
};

struct shared_process {
    uint32_t pid; /* 0 = free.  Index links are slot number + 1, 0 = none */
    uint32_t hash_next, first_child, next_sibling, previous_sibling;
    uint32_t state, flags;
    uint32_t ppid, pgid, sid;
    uint32_t reaper;       /* pid of the process whose picoprocess is the host's parent of ours; 0 = it has gone */
    uint32_t event;        /* moves with each change of a child's state; waited on.  Atomic */
    uint64_t host;         /* the picoprocess, as process_fork named it; 0 for a moment after fork.  Atomic */
    int32_t status;        /* wait(2)'s encoding */
    uint32_t exit_signal;
    uint32_t uid, euid;
    uint32_t thread_count; /* for /proc; a hint */
    uint32_t terminal;     /* the controlling terminal: 0 none, else the terminal code's number for it */
    uint32_t death_signal; /* PR_SET_PDEATHSIG */
    uint32_t nice;
    uint64_t start_ns;     /* on PAL_CLOCK_BOOT */
    uint64_t user_ns, system_ns, max_rss; /* from the host, once it has ended */
    uint64_t children_user_ns, children_system_ns, children_max_rss; /* of those waited for.  Owner's, then its waiter's */
    char name[16];

    /* Process-directed signals: guarded by signal_lock, whose holder may die as well. */
    struct pal_mutex signal_lock;
    uint64_t pending; /* bit n-1 = signal n.  Atomic: read without the lock */
    uint64_t queue_order;
    struct shared_siginfo queue[SHARED_QUEUE];
};

struct shared_table {
    struct pal_mutex lock;
    uint32_t ready;                 /* the first process has made the table */
    uint32_t slot_count, slot_high; /* slots [slot_high, slot_count) have never been used */
    uint32_t free_slots;            /* list by next_sibling */
    uint32_t next_id, ids_wrapped;  /* next_id is atomic: thread ids are taken without the lock */
    uint32_t process_count;
    uint32_t hash[1024];            /* pid -> slot */
    uint64_t ids[SHARED_PID_MAX / 64]; /* bit set: the number is a process's or a thread's.  Atomic */
};

/* shared.c */
void shared_init(void);              /* the first process: makes the table */
struct shared_table *shared_table(void);
void shared_lock(void);
void shared_unlock(void);
int shared_id_new(void);             /* a number for a thread; -EAGAIN when there is none */
void shared_id_free(int id);
/* A slot for a child of `parent` (NULL: the first process), state RUNNING, with group, session, ids and name as the parent.
 * Takes the lock.  NULL: table full, or the parent is exiting. */
struct shared_process *shared_new(struct shared_process *parent, uint32_t exit_signal, bool sibling);

/* Caller holds the lock for all below. */
struct shared_process *shared_find(int pid);
void shared_free(struct shared_process *slot);
struct shared_process *shared_first_child(struct shared_process *parent);
struct shared_process *shared_next_child(struct shared_process *child);
struct shared_process *shared_next(struct shared_process *after); /* all in use; NULL starts */
void shared_reparent(struct shared_process *child, uint32_t ppid);

/* What wait does not find any more: children go to init or a subreaper, those whose host parent this was look after
 * themselves.  Caller holds the lock; called once a process, by itself or, when it was killed, by its reaper. */
void shared_orphan_children(struct shared_process *slot);

/* Pids of a kind, for kill(2), /proc and priorities.  Takes the lock; returns how many there are, `most` are stored. */
enum shared_kind { SHARED_ALL, SHARED_GROUP, SHARED_SESSION };
uint32_t shared_collect(enum shared_kind kind, uint32_t id, int *pids, uint32_t most);
/* A copy of what /proc shows of a process; false: no such. */
bool shared_snapshot(int pid, struct shared_process *out);
#endif
