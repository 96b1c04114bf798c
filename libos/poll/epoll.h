/* SPDX-License-Identifier: MIT */
/* epoll, inside: epoll.c is what the guest calls, epoll_local.c knows which members of our own are ready. */
#ifndef LIBOS_EPOLL_H
#define LIBOS_EPOLL_H

#include "libos/lib/hash.h"
#include "libos/poll/readiness.h"

#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define TIMER_CLOCKS 3u /* a timerfd's: timerfd_next */

/* A member of a set that is asked here, or a second descriptor of a description that the host asks. */
enum member_kind { MEMBER_HOST, MEMBER_TIMER, MEMBER_SIGNAL, MEMBER_PIDFD, MEMBER_OTHER };

/* LIST_READY: timers and pidfds that may be ready.  The other timers are in a heap, or, disarmed, nowhere. */
enum member_list_name { LIST_READY, LIST_SIGNALS, LIST_PIDFDS, LIST_OTHERS, LISTS };

struct member {
    struct hash_node by_file; /* all sets' members of a description */
    struct hash_node by_fd;   /* this set's of a descriptor */
    struct heap_node by_time; /* MEMBER_TIMER: not ready before its expiry */
    struct member *next, **from;
    struct member_list *list; /* that it is on; NULL: none */
    struct epoll *epoll;
    struct file *file;
    int fd;
    enum member_kind kind;
    pal_handle_t handle; /* MEMBER_HOST: an own duplicate, registered with the host */
    struct pal_poll_event event;
    bool disabled;       /* EPOLLONESHOT has fired */
    uint64_t edge;       /* EPOLLET: what was reported last */
};

struct member_list {
    struct member *first, **end; /* end NULL: empty */
};

/* The host asks a handle for this descriptor, and its description. */
struct owner {
    int number; /* the descriptor, plus 1; 0: none */
    struct file *file;
    struct pal_poll_event event;
};

/*
 * A wait costs no more the more members there are: of the timers it looks at those that may be ready; signal readers are
 * asked if a signal of theirs is pending, pidfds if some process has ended since.
 */
struct epoll {
    struct hash members;
    struct heap timers[TIMER_CLOCKS];
    struct member_list lists[LISTS];
    sigset_t signals;    /* of the signal readers */
    bool signals_stale;  /* one has gone: some of these may be nobody's */
    uint32_t ends_seen;  /* shared_ends when the pidfds were last asked */
    bool ends_untold;    /* of the end of some pidfd's process nobody will tell this picoprocess */
    uint32_t local_count;  /* members that are asked here */
    uint32_t owner_count;
    struct owner *owners; /* by handle */
    pal_handle_t handle; /* the set's */
};

#define NO_EDGE UINT64_MAX

/* ---- epoll.c: for a set of the libOS's own ------------------------------------------------------------------------- */

#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3

int64_t epoll_new(struct file **out);
/* epoll_ctl(2). */
int64_t epoll_change(struct file *set, int32_t operation, struct file *file, int fd, const struct pal_poll_event *event);
/* epoll_wait(2), into memory of the libOS: their number, or -EINTR. */
int64_t epoll_take(struct file *set, struct pal_poll_event *events, uint32_t count, uint64_t deadline);
void epolls_fork_child(void);

/* ---- epoll_local.c ------------------------------------------------------------------------------------------------ */

/* Caller holds epolls_lock (epoll.c) for all of these. */
int64_t local_reserve(struct epoll *epoll); /* room for one more; 0 or -ENOMEM */
enum member_kind local_kind(const struct file *file);
void local_place(struct member *member);    /* it is new, or its events, or its file's state, have changed */
void local_remove(struct member *member);
/* Takes up to `most` events; each member at most once. */
uint32_t local_collect(struct epoll *epoll, struct pal_poll_event *events, uint32_t most);
uint32_t local_ready(struct epoll *epoll); /* as a set inside another: POLLIN or 0.  The host allows nesting 5 deep */
/* When a member may next become ready by itself; asked when none is. */
uint64_t local_deadline(struct epoll *epoll);
sigset_t local_signals(struct epoll *epoll);
#endif
