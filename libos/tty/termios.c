/* SPDX-License-Identifier: MIT */
/*
 * ioctl(2) on the two sides of terminals.  Modes are the host's; sessions and groups are job_control.c's.
 */
#include "libos/tty/tty.h"
#include "libos/abi/terminal.h"
#include "libos/syscalls.h"
#include "libos/task/task.h"

static int64_t modes_get(struct file *file, struct pal_terminal *terminal)
{
    return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, terminal, sizeof(*terminal));
}

static int64_t modes_set(struct file *file, struct pal_terminal *terminal, uint32_t when)
{
    terminal->when = when;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_TERMINAL_SET, terminal, sizeof(*terminal));
    return result == -EIO ? tty_refused(SIGTTOU) : result;
}

/* ---- Modes in the guest's three forms: termios, termios2 with speeds in bits a second, the old termio ------------ */

static uint32_t speed_of(uint32_t code, uint32_t other)
{
    static const uint32_t speeds[] = {0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
                                      0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000,
                                      1500000, 2000000, 2500000, 3000000, 3500000, 4000000};
    code &= CBAUD;
    return code == BOTHER ? other : speeds[code & BOTHER ? 16 + (code & 15) : code];
}

/* The host is told none but those that have a code. */
static void speeds_keep(struct shared_terminal *terminal, uint32_t cflag, uint32_t input, uint32_t output)
{
    output = speed_of(cflag, output);
    input = cflag >> IBSHIFT & CBAUD ? speed_of(cflag >> IBSHIFT, input) : output;
    if (terminal) {
        atomic_set(&terminal->input_speed, input);
        atomic_set(&terminal->output_speed, output);
    }
}

static struct linux_termios termios_of(const struct pal_terminal *terminal)
{
    struct linux_termios modes = {.iflag = terminal->iflag, .oflag = terminal->oflag, .cflag = terminal->cflag,
                                  .lflag = terminal->lflag, .line = terminal->line};
    memcpy(modes.cc, terminal->cc, sizeof(modes.cc));
    return modes;
}

static int64_t modes_to_guest(struct file *file, guest_t argument)
{
    struct pal_terminal terminal;
    int64_t result = modes_get(file, &terminal);
    struct linux_termios modes = termios_of(&terminal);
    return result < 0 ? result : copy_out(argument, &modes, sizeof(modes));
}

static int64_t modes2_to_guest(struct file *file, const struct shared_terminal *shared, guest_t argument)
{
    struct pal_terminal terminal;
    int64_t result = modes_get(file, &terminal);
    if (result < 0)
        return result;
    struct linux_termios2 modes = {.modes = termios_of(&terminal)};
    uint32_t input = terminal.cflag >> IBSHIFT & CBAUD;
    modes.output_speed = speed_of(terminal.cflag, shared ? shared->output_speed : 0);
    modes.input_speed = input ? speed_of(input, shared ? shared->input_speed : 0) : modes.output_speed;
    return copy_out(argument, &modes, sizeof(modes));
}

static int64_t modes1_to_guest(struct file *file, guest_t argument)
{
    struct pal_terminal terminal;
    int64_t result = modes_get(file, &terminal);
    struct linux_termio modes = {.iflag = (uint16_t)terminal.iflag, .oflag = (uint16_t)terminal.oflag,
                                 .cflag = (uint16_t)terminal.cflag, .lflag = (uint16_t)terminal.lflag,
                                 .line = terminal.line};
    memcpy(modes.cc, terminal.cc, sizeof(modes.cc));
    return result < 0 ? result : copy_out(argument, &modes, sizeof(modes));
}

/* `size` tells which of the two larger forms: the first is the beginning of the second. */
static int64_t modes_from_guest(struct file *file, struct shared_terminal *shared, guest_t argument, size_t size,
                                uint32_t when)
{
    struct linux_termios2 new = {.input_speed = shared ? shared->input_speed : 0,
                                 .output_speed = shared ? shared->output_speed : 0};
    if (copy_in(&new, argument, size) < 0)
        return -EFAULT;
    const struct linux_termios *modes = &new.modes;
    struct pal_terminal terminal = {.iflag = modes->iflag, .oflag = modes->oflag, .cflag = modes->cflag,
                                    .lflag = modes->lflag, .line = modes->line};
    memcpy(terminal.cc, modes->cc, sizeof(terminal.cc));
    int64_t result = modes_set(file, &terminal, when);
    if (result >= 0)
        speeds_keep(shared, modes->cflag, new.input_speed, new.output_speed);
    return result;
}

static int64_t modes1_from_guest(struct file *file, guest_t argument, uint32_t when)
{
    struct linux_termio modes;
    struct pal_terminal terminal;
    if (copy_in(&modes, argument, sizeof(modes)) < 0)
        return -EFAULT;
    int64_t result = modes_get(file, &terminal);
    terminal.iflag = (terminal.iflag & ~0xffffu) | modes.iflag;
    terminal.oflag = (terminal.oflag & ~0xffffu) | modes.oflag;
    terminal.cflag = (terminal.cflag & ~0xffffu) | modes.cflag;
    terminal.lflag = (terminal.lflag & ~0xffffu) | modes.lflag;
    terminal.line = modes.line;
    memcpy(terminal.cc, modes.cc, sizeof(modes.cc));
    return result < 0 ? result : modes_set(file, &terminal, when);
}

/* Is there a carrier though nobody says so? */
static int64_t local_from_guest(struct file *file, guest_t argument)
{
    int32_t on;
    struct pal_terminal modes = {0};
    int64_t result = copy_in(&on, argument, sizeof(on)) < 0 ? -EFAULT : modes_get(file, &modes);
    modes.cflag = (modes.cflag & ~CLOCAL) | (result >= 0 && on ? CLOCAL : 0);
    return result < 0 ? result : modes_set(file, &modes, 0);
}

static int64_t local_to_guest(struct file *file, guest_t argument)
{
    struct pal_terminal modes;
    int64_t result = modes_get(file, &modes);
    return result < 0 ? result : number_to_guest(modes.cflag & CLOCAL ? 1 : 0, argument);
}

static int64_t window_to_guest(struct file *file, guest_t argument)
{
    struct pal_window window;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_WINDOW_GET, &window, sizeof(window));
    return result < 0 ? result : copy_out(argument, &window, sizeof(window));
}

/* ---- Terminals: what both sides know ---------------------------------------------------------------------------- */

static int64_t window_from_guest(struct file *file, struct shared_terminal *terminal, guest_t argument)
{
    struct pal_window window, before = {0};
    if (copy_in(&window, argument, sizeof(window)) < 0)
        return -EFAULT;
    PAL->stream_control(file->handle, PAL_CTL_WINDOW_GET, &before, sizeof(before));
    if (!memcmp(&window, &before, sizeof(window)))
        return 0;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_WINDOW_SET, &window, sizeof(window));
    if (result >= 0 && terminal)
        tty_signal(terminal, SIGWINCH);
    return result;
}

static int64_t group_from_guest(struct shared_terminal *terminal, guest_t argument)
{
    int32_t group;
    int64_t result = tty_check(terminal, SIGTTOU);
    if (result < 0)
        return result == -EIO ? -ENOTTY : result;
    if (!terminal || !tty_is_controlling(terminal))
        return -ENOTTY;
    if (copy_in(&group, argument, sizeof(group)) < 0)
        return -EFAULT;
    return group < 0 ? -EINVAL : tty_group_set(terminal, group);
}

/* The host lets the user's terminal be drained and its input dropped; the rest is asked of the monitor, for the
 * sandbox's own. */
static int64_t flush(struct file *file, const struct shared_terminal *terminal, guest_t queue)
{
    struct pal_terminal modes;
    uint32_t value = (uint32_t)queue;
    if (queue > 2)
        return -EINVAL;
    if (terminal && !terminal->from_host)
        return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_FLUSH, &value, sizeof(value));
    if (queue == 1) /* what was written has gone already */
        return 0;
    int64_t result = modes_get(file, &modes);
    return result < 0 ? result : modes_set(file, &modes, 2);
}

static int64_t drain(struct file *file, guest_t argument)
{
    struct pal_terminal modes;
    int64_t result = argument ? modes_get(file, &modes) : 0; /* 0: a break, which only serial lines know */
    return result < 0 || !argument ? result : modes_set(file, &modes, 1);
}

static int64_t control_number(struct file *file, uint32_t op, guest_t argument)
{
    uint32_t value = (uint32_t)argument;
    return PAL->stream_control(file->handle, op, &value, sizeof(value));
}

/* Stopping its own output is the monitor's to do; that the other side stop is asked by a character, which waits as any
 * that is written. */
static int64_t flow(struct file *file, guest_t action)
{
    struct pal_terminal modes;
    if (action <= TCOON)
        return control_number(file, PAL_CTL_TERMINAL_FLOW, action);
    if (action > TCION)
        return -EINVAL;
    int64_t result = modes_get(file, &modes);
    uint8_t character = result < 0 ? POSIX_VDISABLE : modes.cc[action == TCIOFF ? VSTOP : VSTART];
    if (character != POSIX_VDISABLE)
        result = PAL->stream_write(file->handle, (uint64_t)(uintptr_t)&character, 1, -1);
    return result == -EINTR ? -ERESTARTSYS : result < 0 ? result : 0;
}

/* Changing a terminal from the background is answered with SIGTTOU, but for those in `group_from_guest`, which
 * asks itself. */
static bool is_change(uint32_t request)
{
    return (request >= TCSETS && request <= TCSETSF) || (request >= TCSETA && request <= TCSETAF) ||
           (request >= TCSETS2 && request <= TCSETSF2) || request == TCSBRK || request == TCSBRKP ||
           request == TCFLSH || request == TCXONC || request == TIOCSETD || request == TIOCSBRK || request == TIOCCBRK;
}

/* What the sandbox's root may do to a terminal of somebody else, and nobody does here. */
static int64_t admin_ioctl(uint32_t request)
{
    return request == TIOCSTI ? -EIO : -EPERM; /* the first: as Linux without dev.tty.legacy_tiocsti */
}

static void mark(struct shared_terminal *terminal, uint32_t bit, bool on)
{
    if (terminal && on)
        atomic_or(&terminal->marks, bit);
    else if (terminal)
        atomic_and(&terminal->marks, ~bit);
}

static int64_t discipline_from_guest(guest_t argument)
{
    int32_t number;
    return copy_in(&number, argument, sizeof(number)) < 0 ? -EFAULT : number ? -EINVAL : 0;
}

static int64_t modes_ioctl(struct file *file, struct shared_terminal *terminal, uint32_t request, guest_t argument)
{
    switch (request) {
    case TCGETS:
        return modes_to_guest(file, argument);
    case TCGETS2:
        return modes2_to_guest(file, terminal, argument);
    case TCGETA:
        return modes1_to_guest(file, argument);
    case TCSETS: case TCSETSW: case TCSETSF:
        return modes_from_guest(file, terminal, argument, sizeof(struct linux_termios), request - TCSETS);
    case TCSETS2: case TCSETS2 + 1: case TCSETSF2:
        return modes_from_guest(file, terminal, argument, sizeof(struct linux_termios2), request - TCSETS2);
    case TCSETA: case TCSETA + 1: case TCSETAF:
        return modes1_from_guest(file, argument, request - TCSETA);
    case TIOCGSOFTCAR:
        return local_to_guest(file, argument);
    case TIOCSSOFTCAR:
        return local_from_guest(file, argument);
    default:
        return plain_ioctl(file, request, argument);
    }
}

static int64_t common_ioctl(struct file *file, struct shared_terminal *terminal, uint32_t request, guest_t argument)
{
    int64_t result = is_change(request) ? tty_check(terminal, SIGTTOU) : 0;
    if (result < 0)
        return result;
    switch (request) {
    case TCSBRK: case TCSBRKP:
        return drain(file, argument);
    case TCFLSH:
        return flush(file, terminal, argument);
    case TCXONC:
        return flow(file, argument);
    case TIOCGWINSZ:
        return window_to_guest(file, argument);
    case TIOCSWINSZ:
        return window_from_guest(file, terminal, argument);
    case TIOCSPGRP:
        return group_from_guest(terminal, argument);
    case TIOCEXCL: case TIOCNXCL:
        mark(terminal, TERMINAL_EXCLUSIVE, request == TIOCEXCL);
        return 0;
    case TIOCGEXCL:
        return number_to_guest(terminal && terminal->marks & TERMINAL_EXCLUSIVE ? 1 : 0, argument);
    case TIOCSETD:
        return discipline_from_guest(argument);
    case TIOCGETD: case TIOCOUTQ: /* what is written has gone over at once */
        return number_to_guest(0, argument);
    case TIOCSBRK: case TIOCCBRK: /* breaks are of serial lines */
        return 0;
    case TIOCSTI: case TIOCCONS: case TIOCVHANGUP:
        return admin_ioctl(request);
    default:
        return modes_ioctl(file, terminal, request, argument);
    }
}

/* ---- Inner sides, and the user's terminal ----------------------------------------------------------------------- */

int64_t terminal_ioctl(struct file *file, uint32_t request, guest_t argument)
{
    struct shared_terminal *terminal = tty_of(file);
    bool controlling = terminal && tty_is_controlling(terminal);
    switch (request) {
    case TIOCGPGRP:
        return controlling ? number_to_guest(atomic_get(&terminal->group), argument) : -ENOTTY;
    case TIOCGSID:
        return controlling ? number_to_guest(atomic_get(&terminal->session), argument) : -ENOTTY;
    case TIOCSCTTY:
        return terminal ? tty_take(terminal, argument == 1) : -EIO;
    case TIOCNOTTY:
        return terminal ? tty_leave(terminal) : -ENOTTY;
    case TIOCGDEV:
        return terminal ? number_to_guest(terminal->device, argument) : -EIO;
    default:
        return common_ioctl(file, terminal, request, argument);
    }
}

/* ---- Outer sides ------------------------------------------------------------------------------------------------ */

static int64_t lock_from_guest(struct shared_terminal *terminal, guest_t argument)
{
    int32_t locked;
    if (copy_in(&locked, argument, sizeof(locked)) < 0)
        return -EFAULT;
    atomic_set(&terminal->locked, locked != 0);
    return 0;
}

static int64_t packet_from_guest(struct file *file, struct shared_terminal *terminal, guest_t argument)
{
    int32_t on;
    int64_t result = copy_in(&on, argument, sizeof(on)) < 0 ? -EFAULT
                                                            : control_number(file, PAL_CTL_TERMINAL_PACKET, on != 0);
    if (result >= 0)
        mark(terminal, TERMINAL_PACKETS, on);
    return result;
}

/* As if its key had been pressed. */
static int64_t signal_from_outside(struct shared_terminal *terminal, guest_t signal)
{
    if (signal != SIGINT && signal != SIGQUIT && signal != SIGTSTP)
        return -EINVAL;
    tty_signal(terminal, (int)signal);
    return 0;
}

static int64_t peer_open(struct shared_terminal *terminal, uint32_t flags)
{
    struct file *file;
    int64_t result = tty_inner_new(terminal, flags, &file);
    return result < 0 ? result : fd_install(file, flags, 0);
}

int64_t outer_ioctl(struct file *file, uint32_t request, guest_t argument)
{
    struct shared_terminal *terminal = tty_of(file);
    if (!terminal)
        return -EIO;
    switch (request) {
    case TIOCGPTN:
        return number_to_guest(tty_number(terminal), argument);
    case TIOCSPTLCK:
        return lock_from_guest(terminal, argument);
    case TIOCGPTLCK:
        return number_to_guest(terminal->locked, argument);
    case TIOCGPTPEER:
        return peer_open(terminal, (uint32_t)argument);
    case TIOCPKT:
        return packet_from_guest(file, terminal, argument);
    case TIOCGPKT:
        return number_to_guest(terminal->marks & TERMINAL_PACKETS ? 1 : 0, argument);
    case TIOCSIG:
        return signal_from_outside(terminal, argument);
    case TIOCGDEV:
        return number_to_guest(terminal->device, argument);
    case TIOCGPGRP:
        return number_to_guest(atomic_get(&terminal->group), argument);
    case TIOCGSID:
        return terminal->session ? number_to_guest(terminal->session, argument) : -ENOTTY;
    case TIOCSCTTY: case TIOCNOTTY:
        return request == TIOCSCTTY ? -EPERM : -ENOTTY; /* an outer side is nobody's controlling terminal here */
    default:
        return common_ioctl(file, terminal, request, argument);
    }
}
