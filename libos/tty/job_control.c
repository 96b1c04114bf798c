/* SPDX-License-Identifier: MIT */
/*
 * Sessions and their terminals: controlling terminals, foreground groups, job control, hang-ups (tty_ioctl(4),
 * credentials(7), Linux's drivers/tty/tty_jobctrl.c), and the signals that the user's terminal sends.
 */
#include "libos/tty/tty.h"
#include "libos/abi/terminal.h"
#include "libos/task/task.h"
#include "libos/signal/signal.h"

#define MOST_ORPHANED 16 /* groups that one process's end makes orphans of: more are not told */

static int first_pid; /* or who has joined */
static bool joined;

/* ---- The table --------------------------------------------------------------------------------------------------- */

uint64_t tty_id(const struct shared_terminal *terminal)
{
    uint64_t index = (uint64_t)(terminal - shared_terminals());
    return (uint64_t)terminal->generation << 32 | (index + 1);
}

struct shared_terminal *tty_of(const struct file *file)
{
    uint32_t link = (uint32_t)file->private;
    if (!link)
        return NULL;
    struct shared_terminal *terminal = &shared_terminals()[link - 1];
    return atomic_get(&terminal->generation) == file->private >> 32 && atomic_get(&terminal->device) ? terminal : NULL;
}

struct shared_terminal *tty_next(struct shared_terminal *after)
{
    struct shared_terminal *all = shared_terminals(), *terminal = after ? after + 1 : all;
    for (; terminal < all + SHARED_TERMINALS; terminal++)
        if (atomic_get(&terminal->device))
            return terminal;
    return NULL;
}

struct shared_terminal *tty_by_device(uint32_t device)
{
    struct shared_terminal *terminal = NULL;
    while ((terminal = tty_next(terminal)) && terminal->device != device)
        ;
    return terminal;
}

static struct shared_process *self(void)
{
    return current_process()->shared;
}

bool tty_is_controlling(const struct shared_terminal *terminal)
{
    return atomic_get(&terminal->session) == self()->sid && !(atomic_get(&self()->flags) & SHARED_NO_TTY);
}

struct shared_terminal *tty_of_session(uint32_t session)
{
    struct shared_terminal *terminal = NULL;
    while ((terminal = tty_next(terminal)) && atomic_get(&terminal->session) != session)
        ;
    return terminal;
}

struct shared_terminal *tty_controlling(void)
{
    return atomic_get(&self()->flags) & SHARED_NO_TTY ? NULL : tty_of_session(self()->sid);
}

/* The entry of a terminal that is no more.  Returns the session that had it.  Caller holds the table's lock. */
static uint32_t forget(struct shared_terminal *terminal)
{
    uint32_t session = terminal->session;
    atomic_add(&terminal->generation, 1u);
    atomic_set(&terminal->device, 0u);
    terminal->session = terminal->group = 0;
    return session;
}

/* Hang-up, as the loss of the line: the session's leader is told. */
static void tell_leader(uint32_t session)
{
    struct siginfo hangup = {.signo = SIGHUP, .code = SI_KERNEL}, go_on = {.signo = SIGCONT, .code = SI_KERNEL};
    if (!session)
        return;
    signal_send_process((int)session, &hangup);
    signal_send_process((int)session, &go_on);
}

static void tell_group(uint32_t group)
{
    struct siginfo hangup = {.signo = SIGHUP, .code = SI_KERNEL}, go_on = {.signo = SIGCONT, .code = SI_KERNEL};
    if (!group)
        return;
    signal_send_group(group, &hangup);
    signal_send_group(group, &go_on);
}

struct shared_terminal *tty_new(uint32_t device, bool locked)
{
    struct shared_terminal *all = shared_terminals(), *found = NULL, *stale;
    uint32_t session = 0;
    shared_lock();
    if ((stale = tty_by_device(device))) /* the host gives the number anew: that one's outer side has gone unnoticed */
        session = forget(stale);
    for (uint32_t i = 0; i < SHARED_TERMINALS && !found; i++)
        if (!all[i].device)
            found = &all[i];
    if (found) {
        found->locked = locked;
        found->quoted = found->marks = found->input_speed = found->output_speed = 0;
        atomic_set(&found->device, device);
    }
    shared_unlock();
    tell_leader(session);
    return found;
}

void tty_sweep(void)
{
    struct shared_terminal *terminal = NULL;
    while ((terminal = tty_next(terminal))) {
        uint32_t generation = terminal->generation, session = 0;
        if (terminal->from_host || PAL->object_create(PAL_OBJECT_TERMINAL_INNER, 0, tty_number(terminal), NULL) != -EIO)
            continue;
        shared_lock();
        if (terminal->generation == generation)
            session = forget(terminal);
        shared_unlock();
        tell_leader(session);
    }
}

/* ---- Controlling terminals --------------------------------------------------------------------------------------- */

/* Caller holds the table's lock. */
static void take(struct shared_terminal *terminal)
{
    struct shared_process *slot = self();
    slot->flags &= ~(uint32_t)SHARED_NO_TTY;
    atomic_set(&terminal->group, slot->pgid);
    atomic_set(&terminal->session, slot->sid);
}

static bool is_leader(void)
{
    return self()->sid == self()->pid;
}

void tty_opened(struct shared_terminal *terminal)
{
    if (LIKELY(!is_leader()) || terminal->session)
        return;
    shared_lock();
    if (!terminal->session && !tty_controlling())
        take(terminal);
    shared_unlock();
}

int64_t tty_take(struct shared_terminal *terminal, bool steal)
{
    int64_t result = 0;
    shared_lock();
    if (is_leader() && terminal->session == self()->sid)
        result = 0;
    else if (!is_leader() || tty_controlling() || (terminal->session && (!steal || current_process()->euid)))
        result = -EPERM;
    else
        take(terminal);
    shared_unlock();
    return result;
}

int64_t tty_leave(struct shared_terminal *terminal)
{
    uint32_t group = 0;
    if (!tty_is_controlling(terminal))
        return -ENOTTY;
    shared_lock();
    if (is_leader()) {
        group = terminal->group;
        atomic_set(&terminal->session, 0u);
        atomic_set(&terminal->group, 0u);
    } else {
        self()->flags |= SHARED_NO_TTY;
    }
    shared_unlock();
    tell_group(group);
    return 0;
}

int64_t tty_group_set(struct shared_terminal *terminal, int group)
{
    int64_t result = 0;
    uint32_t session = self()->sid;
    shared_lock();
    const struct shared_process *slot = shared_find(group);
    if (shared_group_exists((uint32_t)group, session) || (slot && slot->sid == session))
        atomic_set(&terminal->group, (uint32_t)group);
    else
        result = slot || shared_group_exists((uint32_t)group, 0) ? -EPERM : -ESRCH;
    shared_unlock();
    return result;
}

/* ---- Job control ------------------------------------------------------------------------------------------------- */

bool tty_in_background(const struct shared_terminal *terminal)
{
    uint32_t group = atomic_get(&terminal->group);
    return group && group != atomic_get(&self()->pgid) && tty_is_controlling(terminal);
}

/* Another job of the user's shell has the terminal: the sandbox as a whole is in the background. */
static bool host_has_it_back(const struct shared_terminal *terminal)
{
    uint32_t front = 1;
    if (!terminal->from_host)
        return false;
    PAL->stream_control(tty_host_handle(), PAL_CTL_TERMINAL_FRONT, &front, sizeof(front));
    return !front;
}

/* 0: the process does not heed that signal. */
static int64_t stop_group(int signal)
{
    struct signal_masks masks;
    struct siginfo info = {.signo = signal, .code = SI_KERNEL};
    signal_masks_get(&masks);
    if ((masks.ignored | current()->blocked) & BIT(signal))
        return signal == SIGTTIN ? -EIO : 0;
    if (process_group_orphaned())
        return -EIO;
    signal_send_group(self()->pgid, &info);
    return -ERESTARTSYS;
}

int64_t tty_check(struct shared_terminal *terminal, int signal)
{
    if (!terminal || (!tty_in_background(terminal) && !(signal == SIGTTIN && host_has_it_back(terminal))))
        return 0;
    return stop_group(signal);
}

int64_t tty_refused(int signal)
{
    int64_t result = stop_group(signal);
    return result ? result : -EIO;
}

void tty_signal(struct shared_terminal *terminal, int signal)
{
    struct siginfo info = {.signo = signal, .code = SI_KERNEL};
    uint32_t group = atomic_get(&terminal->group);
    if (group)
        signal_send_group(group, &info);
}

/* Which signal a key means, or 0: n_tty's order. */
static int key_signal(const struct pal_terminal *modes, uint8_t byte)
{
    static const struct { uint8_t at; uint8_t signal; } keys[] = {{VINTR, SIGINT}, {VQUIT, SIGQUIT}, {VSUSP, SIGTSTP}};
    for (uint32_t i = 0; modes->lflag & ISIG && i < COUNT_OF(keys); i++)
        if (byte == modes->cc[keys[i].at] && byte != POSIX_VDISABLE)
            return keys[i].signal;
    return 0;
}

void tty_typed(struct shared_terminal *terminal, const struct pal_terminal *modes, const uint8_t *bytes, size_t size)
{
    bool quoting = (modes->lflag & (ICANON | IEXTEN)) == (ICANON | IEXTEN);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = modes->iflag & ISTRIP ? bytes[i] & 0x7f : bytes[i];
        int signal = 0;
        if (terminal->quoted)
            atomic_set(&terminal->quoted, 0u);
        else if (!(signal = key_signal(modes, byte)) && quoting && byte == modes->cc[VLNEXT] && byte != POSIX_VDISABLE)
            atomic_set(&terminal->quoted, 1u);
        if (signal)
            tty_signal(terminal, signal);
    }
}

/* ---- The end of processes ---------------------------------------------------------------------------------------- */

/* Would the group be an orphan without `leaving` as a parent or a member?  And does it have somebody stopped?
 * Caller holds the lock. */
static bool stopped_orphans(uint32_t group, const struct shared_process *leaving)
{
    bool stopped = false;
    for (struct shared_process *slot = NULL; (slot = shared_next(slot));) {
        if (slot->pgid != group || slot == leaving || slot->state >= SHARED_EXITING)
            continue;
        const struct shared_process *parent = shared_find((int)slot->ppid);
        if (tty_stop_is_seen(slot) ||
            (parent && parent != leaving && parent->sid == slot->sid && parent->pgid != group))
            return false;
        stopped |= slot->state == SHARED_STOPPED;
    }
    return stopped;
}

/* Was this process what links the group to its session: as a member, by its own parent, or as a member's parent?  A group
 * that had no link before does not become an orphan now. */
static bool is_link_of(struct shared_process *leaving, uint32_t group)
{
    const struct shared_process *parent = shared_find((int)leaving->ppid);
    if (group == leaving->pgid)
        return parent && parent->pgid != group && parent->sid == leaving->sid;
    for (struct shared_process *child = NULL; (child = shared_next_child(leaving, child));)
        if (child->pgid == group && child->sid == leaving->sid)
            return true;
    return false;
}

/* Groups of the session that have stopped and that nobody will ever set going again (POSIX: exit, "consequences"). */
static uint32_t find_orphans(struct shared_process *leaving, uint32_t groups[MOST_ORPHANED])
{
    uint32_t count = 0;
    for (struct shared_process *slot = NULL; (slot = shared_next(slot)) && count < MOST_ORPHANED;) {
        if (slot->state != SHARED_STOPPED || slot->sid != leaving->sid || slot == leaving ||
            !is_link_of(leaving, slot->pgid))
            continue;
        bool known = false;
        for (uint32_t i = 0; i < count; i++)
            known |= groups[i] == slot->pgid;
        if (!known && stopped_orphans(slot->pgid, leaving))
            groups[count++] = slot->pgid;
    }
    return count;
}

void tty_process_ends(struct shared_process *slot)
{
    uint32_t groups[MOST_ORPHANED + 1], count;
    shared_lock();
    count = find_orphans(slot, groups);
    struct shared_terminal *terminal = slot->sid == slot->pid ? tty_of_session(slot->sid) : NULL;
    if (terminal) {
        groups[count++] = terminal->group;
        atomic_set(&terminal->session, 0u);
        atomic_set(&terminal->group, 0u);
    }
    shared_unlock();
    for (uint32_t i = 0; i < count; i++)
        tell_group(groups[i]);
    if (slot->flags & SHARED_OUTER) /* it was killed: the host has closed them */
        tty_sweep();
}

/* ---- The user's terminal ----------------------------------------------------------------------------------------- */

void tty_init(struct shared_process *first)
{
    struct pal_attributes attributes;
    struct pal_terminal modes;
    first_pid = (int)first->pid;
    for (uint32_t i = 0; i < PAL_STANDARD_STREAMS; i++) {
        pal_handle_t handle = boot->standard[i];
        if (handle == PAL_NO_HANDLE || PAL->attributes_get(handle, NULL, &attributes, NULL) < 0 ||
            attributes.type != PAL_TYPE_CHARACTER ||
            PAL->stream_control(handle, PAL_CTL_TERMINAL_GET, &modes, sizeof(modes)) < 0)
            continue;
        struct shared_terminal *terminal = tty_new((uint32_t)attributes.rdevice, false);
        terminal->from_host = 1;
        terminal->group = first->pgid;
        terminal->session = first->sid;
        return;
    }
}

void tty_join(const struct shared_process *slot)
{
    first_pid = (int)slot->pid;
    joined = true;
}

static struct shared_terminal *host_terminal(void)
{
    struct shared_terminal *terminal = NULL;
    if (joined)
        return tty_of_session((uint32_t)first_pid);
    while ((terminal = tty_next(terminal)) && !terminal->from_host)
        ;
    return terminal;
}

bool tty_stop_is_seen(const struct shared_process *slot)
{
    return (int)slot->pid == first_pid && slot->ppid == SHARED_INIT_PID && host_terminal();
}

void tty_stopped(int signal)
{
    uint32_t number = (uint32_t)signal;
    if (UNLIKELY(tty_stop_is_seen(self())))
        PAL->stream_control(tty_host_handle(), PAL_CTL_TERMINAL_STOP, &number, sizeof(number));
}

/* Where the user's keys reach no terminal of the sandbox, what pal-run got is the first process's. */
void tty_host_signal(const struct siginfo *info)
{
    struct shared_terminal *terminal = host_terminal();
    if (info->code == SI_KERNEL && terminal)
        tty_signal(terminal, info->signo);
    else
        signal_send_process(first_pid, info);
}

bool process_group_orphaned(void)
{
    bool orphaned = true;
    shared_lock();
    const struct shared_process *self = current_process()->shared;
    for (struct shared_process *slot = NULL; orphaned && (slot = shared_next(slot));) {
        struct shared_process *parent = slot->pgid == self->pgid ? shared_find((int)slot->ppid) : NULL;
        orphaned = !parent || parent->pgid == self->pgid || parent->sid != self->sid;
        orphaned &= slot->pgid != self->pgid || !tty_stop_is_seen(slot);
    }
    shared_unlock();
    return orphaned;
}
