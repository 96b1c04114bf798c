/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several files at once: poll.c, epoll.c, and the objects that become ready without the host's help.
 *
 * A file with a host handle is waited for by the host.  A file whose ops have `ready` is (also) asked here: its
 * readiness changes by time (timerfd: wait_deadline) or by signals (signalfd: the waiting thread is interrupted).  What
 * another thread of this process does to such a file interrupts the waiters too (wait_kick): they look again.
 */
#ifndef LIBOS_WAIT_H
#define LIBOS_WAIT_H

#include "libos/fs/vfs.h"
#include "libos/task/task.h"

#define POLLIN 0x001u
#define POLLPRI 0x002u
#define POLLOUT 0x004u
#define POLLERR 0x008u
#define POLLHUP 0x010u
#define POLLNVAL 0x020u
#define POLLRDNORM 0x040u
#define POLLRDBAND 0x080u
#define POLLWRNORM 0x100u
#define POLLWRBAND 0x200u
#define POLL_ALWAYS (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) /* files that never block */

/* A thread that waits for something of the libOS's own; on its stack. */
struct waiter {
    struct pal_tcb *tcb;
    struct waiter *next;
};
/* Between these, wait_kick and the arrival of one of `signals`, blocked or not, interrupt the thread: begin before
 * looking whether something is ready. */
void wait_begin(struct waiter *waiter, sigset_t signals);
void wait_end(struct waiter *waiter);
void wait_kick(void);
/* The same in the picoprocess of another process: its threads look again. */
void wait_kick_process(int pid);
void wait_kicked(void); /* signal.c, of an interrupted thread: if that was why, the others are interrupted, too */
void wait_fork_child(void);

/* When a file's `ready` may next change by itself (PAL_FOREVER: it won't), and which signals change it. */
uint64_t wait_deadline(struct file *file);
sigset_t wait_signals(struct file *file);
/* Counts what happened at a file with `ready`, so that edges can be told. */
uint64_t wait_edge(struct file *file);

extern const struct file_ops epoll_ops, timerfd_ops, signalfd_ops, mqueue_ops;
extern const struct file_ops *const pidfd_ops;
uint64_t pidfd_deadline(struct file *file);
uint64_t mqueue_deadline(struct file *file);
uint64_t mqueue_edge(struct file *file);
uint64_t timerfd_deadline(struct file *file);
uint64_t timerfd_edge(struct file *file);
extern const uint32_t timerfd_clocks[]; /* PAL_CLOCK_*, by timerfd_clock */
uint32_t timerfd_clock(const struct file *file);
uint64_t timerfd_expiry(struct file *file); /* on that clock; 0: disarmed */
sigset_t signalfd_mask(struct file *file);
uint64_t signalfd_edge(struct file *file);
uint64_t epoll_deadline(struct file *file);
sigset_t epoll_signals(struct file *file);
/* fd.c, when a file that was `watched` goes: epolls forget it. */
void epoll_forget(struct file *file);
/* What `ready` says of it, or will by itself, has changed otherwise than by time, signals or ends of processes. */
void epoll_touch(struct file *file);
/* A watched file had none, and has got a handle: the host asks it from now on. */
void epoll_file_has_handle(struct file *file);

/* fstat and lseek of objects without a name (anon_inode). */
int64_t anonymous_attributes(struct file *file, struct pal_attributes *out);
int64_t anonymous_seek(struct file *file, int64_t offset, int whence);
#endif
