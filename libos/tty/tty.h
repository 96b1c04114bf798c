/* SPDX-License-Identifier: MIT */
/*
 * Terminals.  The host's kernel does line discipline, echo and modes; who has a terminal as its controlling one, who
 * is in its foreground, and which signals that means, is the libOS's.
 *
 * There is one entry in the shared segment for each pseudoterminal of the sandbox, and one for the terminal that
 * pal-run was started on, if any: the first process and its session have that one from the start.  Entries are
 * guarded by the process table's lock; `session`, `group` and `quoted` may also be read without.
 */
#ifndef LIBOS_TTY_H
#define LIBOS_TTY_H

#include "libos/fs/vfs.h"
#include "libos/task/table.h"

/* ---- job_control.c.  The table is not locked by callers ---------------------------------------------------------- */

/* The entry that an open terminal belongs to.  NULL: none of the sandbox's, or its outer side has been closed. */
struct shared_terminal *tty_of(const struct file *file);
/* What file->private is for files of this entry. */
uint64_t tty_id(const struct shared_terminal *terminal);
struct shared_terminal *tty_by_device(uint32_t device); /* st_rdev */
struct shared_terminal *tty_controlling(void);          /* of this process, or NULL */
struct shared_terminal *tty_of_session(uint32_t session); /* NULL: it has none */
bool tty_is_controlling(const struct shared_terminal *terminal);
struct shared_terminal *tty_next(struct shared_terminal *after); /* all in use; NULL starts */
void tty_init(struct shared_process *first); /* the first process */
/* What comes from outside to this picoprocess from now on is the joined process's, which leads a session of its own. */
void tty_join(const struct shared_process *joined);
struct shared_terminal *tty_new(uint32_t device, bool locked); /* NULL: there are too many */
/* Opened by its name without O_NOCTTY: a session's leader without a terminal takes it. */
void tty_opened(struct shared_terminal *terminal);
int64_t tty_take(struct shared_terminal *terminal, bool steal); /* TIOCSCTTY */
int64_t tty_leave(struct shared_terminal *terminal);            /* TIOCNOTTY */
int64_t tty_group_set(struct shared_terminal *terminal, int group);
/* May this process read it (SIGTTIN) or change it (SIGTTOU) now?  0, or -errno; the signal was sent where that is
 * due. */
int64_t tty_check(struct shared_terminal *terminal, int signal);
/* The host refused such a change, for the sandbox is in the background: a negative errno. */
int64_t tty_refused(int signal);
bool tty_in_background(const struct shared_terminal *terminal);
void tty_signal(struct shared_terminal *terminal, int signal); /* to its foreground group */
/* An outer side was closed, perhaps the last: those without one are hung up. */
void tty_sweep(void);
/* Bytes typed at the outer side while the terminal had these modes: sends what the keys mean. */
void tty_typed(struct shared_terminal *terminal, const struct pal_terminal *modes, const uint8_t *bytes, size_t size);

/* A process is about to end, or was killed: its session's terminal, and groups that become orphans.  No lock is
 * held. */
void tty_process_ends(struct shared_process *slot);
struct siginfo;
void tty_host_signal(const struct siginfo *info); /* one that pal-run got: SI_KERNEL, from the keys */
void tty_stopped(int signal);      /* current_process() has stopped */
bool tty_stop_is_seen(const struct shared_process *slot); /* its parent is the user's shell */
bool process_group_orphaned(void);         /* of current_process(): terminal stops are then ignored */

/* ---- pty.c ------------------------------------------------------------------------------------------------------- */

extern const struct file_ops pty_outer_ops;
/* A character device of the host that may be a terminal: gives it a terminal's operations. */
void tty_adopt(struct file *file);
pal_handle_t tty_host_handle(void); /* of the terminal that pal-run was started on, or PAL_NO_HANDLE */
void tty_close_outer(void);         /* this process ends: all its outer sides */
int64_t tty_inner_new(struct shared_terminal *terminal, uint32_t flags, struct file **out);
uint32_t tty_number(const struct shared_terminal *terminal); /* N of /dev/pts/N */
bool tty_is_pts(const struct shared_terminal *terminal);
struct shared_terminal *tty_pts(uint32_t number); /* /dev/pts/N's, or NULL */
void tty_pts_attributes(const struct shared_terminal *terminal, struct pal_attributes *out);
int64_t tty_outer_new(uint32_t flags, struct file **out); /* a new terminal's outer side */
struct shared_terminal *tty_join_terminal(uint32_t number); /* one whose outer side is outside; NULL: too many */

/* ---- termios.c --------------------------------------------------------------------------------------------------- */

int64_t terminal_ioctl(struct file *file, uint32_t request, guest_t argument);
int64_t outer_ioctl(struct file *file, uint32_t request, guest_t argument);

#endif
