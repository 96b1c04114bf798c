/* SPDX-License-Identifier: MIT */
/*
 * System V IPC and POSIX message queues: what they share.  Their truth lies in the shared segment behind the process
 * table, under one lock (it is held for less than a microsecond; only messages are copied under it).
 *
 * A picoprocess may die at any instruction, also with the lock held.  So: an object exists from the moment `live` is
 * set, the last thing done to it; each change is one store, or is written down whole before it is begun (semaphores'
 * journal); what is counted or linked for speed only is made anew by the next owner of a dead holder's lock.  What
 * counts for a process (attached memory, open queues, undo, waiting) is in records that bear its pid, so that somebody
 * else can take it back.
 *
 * Lock order: the IPC lock is inside the process table's, mm.lock and files.lock, outside the heap's.  Nothing blocks
 * under it, and no guest memory is touched.
 */
#ifndef LIBOS_IPC_H
#define LIBOS_IPC_H

#include "libos/lib/lib.h"

/* <linux/ipc.h> */
#define IPC_PRIVATE 0
#define IPC_CREAT 01000u
#define IPC_EXCL 02000u
#define IPC_NOWAIT 04000u
#define IPC_RMID 0
#define IPC_SET 1
#define IPC_STAT 2
#define IPC_INFO 3

#define IPC_READ 0444u /* for ipc_permits */
#define IPC_WRITE 0222u

enum ipc_kind { IPC_SHM, IPC_SEM, IPC_MSG, IPC_MQ, IPC_KINDS };

/* First in each kind's slot. */
struct ipc_object {
    uint32_t live;
    uint32_t sequence;    /* of its identifier: a slot's objects differ in it */
    int32_t key;
    uint32_t uid, gid, cuid, cgid, mode;
    uint32_t start, size; /* what it has of its kind's store: pages, semaphores */
    int64_t changed;      /* seconds since the epoch */
};

/* A list of messages in the store of cells: links are cell numbers + 1. */
struct ipc_queue {
    uint32_t first; /* the truth, with each message's next */
    uint32_t last, count, reserved;
    uint64_t bytes;
    uint32_t received, sent;    /* events: move when a message goes, comes */
    uint32_t senders, receivers; /* who waits for them */
};
/* struct ipc64_perm */
struct ipc_guest_permissions {
    int32_t key;
    uint32_t uid, gid, cuid, cgid, mode;
    uint16_t sequence, pad;
    uint32_t pad2;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct ipc_guest_permissions) == 48, "the guest's layout");

/* objects.c */
uint64_t ipc_init(uint64_t at, uint64_t end); /* the first process: [at, end) of the shared segment; returns end */
void ipc_lock(void);
void ipc_unlock(void);
const struct ipc_kind_ops *ipc_kind_ops(enum ipc_kind kind);
bool ipc_used(void); /* some process has made some object */
/* A process ends: what its end means to each kind (SEM_UNDO).  Takes the lock. */
void ipc_process_undo(int pid);
/* It has ended, and no longer touches what it held; died: it may have been killed in the middle of anything.  Takes the
 * lock. */
void ipc_process_ends(int pid, bool died);
/* A fork is about to make `child`: it will hold what this picoprocess holds.  Takes the lock. */
void ipc_fork(int child);

/* Caller holds the lock for all below. */
/* ftok's world: what IPC_CREAT, IPC_EXCL and permissions come to.  create gives an identifier or -errno; check (NULL is
 * fine) may refuse an object that exists. */
int64_t ipc_get(enum ipc_kind kind, int32_t key, uint32_t flags, int64_t (*create)(int32_t key, uint32_t flags,
                uint64_t argument), int64_t (*check)(const struct ipc_object *object, uint64_t argument),
                uint64_t argument);
/* A slot with `units` of the kind's store, not live yet: -ENOSPC without a slot, -ENOMEM without store.  What lies
 * behind the ipc_object is as the last one left it: events must go on from there, as somebody may be about to wait. */
int64_t ipc_new(enum ipc_kind kind, int32_t key, uint32_t mode, uint32_t units, struct ipc_object **out);
int64_t ipc_publish(struct ipc_object *object); /* it is live; its identifier */
void ipc_end(struct ipc_object *object);        /* its slot is free */
int32_t ipc_id(const struct ipc_object *object);
struct ipc_object *ipc_find(enum ipc_kind kind, int32_t id); /* NULL: EINVAL */
struct ipc_object *ipc_at(enum ipc_kind kind, uint32_t index); /* NULL: not live, or past the last */
struct ipc_object *ipc_next(enum ipc_kind kind, const struct ipc_object *after); /* live ones; NULL starts */
int32_t ipc_highest(enum ipc_kind kind); /* index of the last live one; 0 where there is none */
uint64_t ipc_store(enum ipc_kind kind, uint64_t *units); /* address of the kind's store */
bool ipc_permits(const struct ipc_object *object, uint32_t mode); /* IPC_READ | IPC_WRITE | ... */
bool ipc_owned(const struct ipc_object *object); /* may this process change or remove it? */
void ipc_permissions(const struct ipc_object *object, struct ipc_guest_permissions *out);
int64_t ipc_permissions_set(struct ipc_object *object, const struct ipc_guest_permissions *from);
int64_t ipc_seconds(void);

/* How often this picoprocess holds an object (attached, open); holders: how often all do. */
int64_t ipc_hold(struct ipc_object *object); /* -ENOMEM */
void ipc_release(struct ipc_object *object);
uint32_t ipc_holders(const struct ipc_object *object);

/* Waits until *event moves: lets go of the lock meanwhile, and counts itself in *counter.  0, -ETIMEDOUT, -EINTR. */
int64_t ipc_wait(uint32_t *event, uint32_t *counter, uint64_t deadline);
/* The object that had counters here ends: its waiters no longer count. */
void ipc_forget_waiters(const void *start, uint64_t size);
/* Moves the event; the caller then wakes who waits, when it has let go of the lock. */
static inline void ipc_happened(uint32_t *event) { atomic_set(event, *event + 1); }
void ipc_wake(uint32_t *event); /* without the lock */

/* messages.c.  Messages are built and taken under the lock; take unlinks the message after `before` (0: the first). */
void ipc_queue_init(uint64_t start, uint64_t end);
uint32_t ipc_message_new(int64_t type, const void *bytes, uint64_t size); /* 0: no room */
int64_t ipc_message_type(uint32_t message);
uint64_t ipc_message_size(uint32_t message);
uint32_t ipc_message_next(uint32_t message);
void ipc_message_read(uint32_t message, void *to, uint64_t size);
void ipc_queue_add(struct ipc_queue *queue, uint32_t before, uint32_t message);
uint32_t ipc_queue_take(struct ipc_queue *queue, uint32_t before);
void ipc_message_free(uint32_t message);
void ipc_queue_empty(struct ipc_queue *queue);
void ipc_queue_recover(void);

/* The kinds: what each does after a holder's death (counters of waiters to 0: they are counted anew afterwards), when
 * all its waiters must look again, when an object is no longer held, when a process ends (NULL: nothing; may be told
 * twice), and its slots. */
struct ipc_kind_ops {
    void (*recover)(void);
    void (*wake_all)(void);
    void (*unheld)(struct ipc_object *object);
    void (*process_ends)(int pid);
    void (*row)(const struct ipc_object *object, char *out, size_t size); /* of /proc/sysvipc; NULL: it has none */
    uint32_t slot_size, slot_count;
};
extern const struct ipc_kind_ops sysv_shm_kind, sysv_sem_kind, sysv_msg_kind;
extern const struct ipc_kind_ops mqueue_kind; /* posix_mq.c */
/* sysv_sem.c */
void sem_init(uint64_t at);
uint64_t sem_extra_size(void); /* for its journal and undo records */
/* sysv_msg.c, posix_mq.c: for ipc_queue_recover. */
struct ipc_queue *sysv_msg_queue(struct ipc_object *object);
struct ipc_queue *mqueue_queue(struct ipc_object *object);
/* sysv_shm.c: the segment that a file stands for was mapped by shmat. */
extern const struct file_ops sysv_shm_ops;

/* sysv_ctl.c */
struct ipc_control {
    enum ipc_kind kind;
    uint32_t size; /* of what the guest sees of an object: permissions first */
    void (*show)(const struct ipc_object *object, void *out); /* all but permissions.  Both: caller holds the lock */
    int64_t (*change)(struct ipc_object *object, int32_t command, const void *from); /* from: for IPC_SET */
};
enum ipc_named { IPC_BY_ID, IPC_BY_INDEX, IPC_BY_INDEX_ANY }; /* IPC_STAT, X_STAT, X_STAT_ANY */
int64_t ipc_status(const struct ipc_control *control, int32_t id, enum ipc_named named, guest_t to);
int64_t ipc_change(const struct ipc_control *control, int32_t id, int32_t command, guest_t argument);
/* The row of /proc/sysvipc of the next object that may be read, from index *at on, which moves past it.  Takes the lock. */
bool ipc_row(enum ipc_kind kind, uint32_t *at, char *out, size_t size);
#endif
