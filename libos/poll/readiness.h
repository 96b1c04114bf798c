/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files at once: poll.c, epoll.c, and the objects that become ready without the host's help.
 *
 * A file with a host handle is waited for by the host.  A file whose ops have `ready` is (also) asked here: its
 * readiness changes by time (timerfd: wait_deadline) or by signals (signalfd: the waiting thread is interrupted).  What
 * another thread of this process does to such a file interrupts the waiters too (wait_kick): they look again.
 */
#ifndef LIBOS_READINESS_H
#define LIBOS_READINESS_H

#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define POLL_ALWAYS (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) /* files that never block */

/* ---- readiness.c ------------------------------------------------------------------------------------------------- */

/* When a file's `ready` may next change by itself (PAL_FOREVER: it won't), and which signals change it. */
uint64_t wait_deadline(struct file *file);
sigset_t wait_signals(struct file *file);
/* Counts what happened at a file with `ready`, so that edges can be told. */
uint64_t wait_edge(struct file *file);

/* ---- timerfd.c --------------------------------------------------------------------------------------------------- */

extern const struct file_ops timerfd_ops;
uint64_t timerfd_deadline(struct file *file);
extern const uint32_t timerfd_clocks[]; /* PAL_CLOCK_*, by timerfd_clock */
uint32_t timerfd_clock(const struct file *file);
uint64_t timerfd_expiry(struct file *file); /* on that clock; 0: disarmed */
/* A snapshot's, of when its clocks showed `then`, by timerfd_clock: as much time is left as was then. */
void timerfd_begin_again(struct file *file, const uint64_t then[]);

/* ---- eventfd.c --------------------------------------------------------------------------------------------------- */

extern const struct file_ops event_ops; /* private: EFD_SEMAPHORE */

/* ---- signalfd.c -------------------------------------------------------------------------------------------------- */

extern const struct file_ops signalfd_ops;

/* ---- epoll.c ----------------------------------------------------------------------------------------------------- */

extern const struct file_ops epoll_ops;
uint64_t epoll_deadline(struct file *file);
sigset_t epoll_signals(struct file *file);
/* What `ready` says of it, or will by itself, has changed otherwise than by time, signals or ends of processes. */
void epoll_touch(struct file *file);
/* In a snapshot.  Whether a file will be there: that of others is forgotten.  Then: sets and their files have new handles. */
void epoll_settle(struct file *set, bool (*is_kept)(const struct file *file, void *argument), void *argument);
int64_t epoll_begin_again(struct file *set);
/* A watched file had none, and has got a handle: the host asks it from now on. */
void epoll_file_has_handle(struct file *file);
/* One that `ready` was asked of, too, has another handle. */
void epoll_file_moved(struct file *file, pal_handle_t old);


/* ---- sigio.c ----------------------------------------------------------------------------------------------------- */

int64_t sigio_watch(struct file *file, int fd, bool on); /* file_watch_async */
void sigio_fork_child(void);
void sigio_forget(struct file *file); /* it ends */
/* A call on a file with O_ASYNC found no room, or a connection not yet there: its owner is told when that changes. */
void sigio_full(struct file *file);
#endif
