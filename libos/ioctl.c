/* SPDX-License-Identifier: MIT */
/*
 * ioctl(2): requests about the descriptor here, about host files and terminals in plain_ioctl and terminal_ioctl, all
 * others by the file's kind.  A terminal is a character device whose modes the host can tell; its foreground group is
 * not the host's (the monitor stays in front there): each process sees its own group in front.
 */
#include "libos/ioctl.h"
#include "libos/calls.h"
#include "libos/files.h"

int64_t plain_ioctl(struct file *file, uint32_t request, guest_t argument)
{
    if (request == FIONREAD) {
        uint32_t available;
        int64_t result = PAL->stream_control(file->handle, PAL_CTL_AVAILABLE, &available, sizeof(available));
        return result < 0 ? result : copy_out(argument, &available, sizeof(available));
    }
    if (request == FIOQSIZE && file->type == PAL_TYPE_FILE) {
        struct pal_attributes attributes;
        int64_t result = file_attributes(file, &attributes);
        return result < 0 ? result : copy_out(argument, &attributes.size, sizeof(attributes.size));
    }
    return -ENOTTY;
}

static int64_t modes_get(struct file *file, struct pal_terminal *terminal)
{
    return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_GET, terminal, sizeof(*terminal));
}

static int64_t modes_set(struct file *file, struct pal_terminal *terminal, uint32_t when)
{
    terminal->when = when;
    return PAL->stream_control(file->handle, PAL_CTL_TERMINAL_SET, terminal, sizeof(*terminal));
}

static int64_t modes_to_guest(const struct pal_terminal *terminal, guest_t argument)
{
    struct linux_termios modes = {.iflag = terminal->iflag, .oflag = terminal->oflag, .cflag = terminal->cflag,
                                  .lflag = terminal->lflag, .line = terminal->line};
    memcpy(modes.cc, terminal->cc, sizeof(modes.cc));
    return copy_out(argument, &modes, sizeof(modes));
}

static int64_t modes_from_guest(struct file *file, guest_t argument, uint32_t when)
{
    struct linux_termios modes;
    if (copy_in(&modes, argument, sizeof(modes)) < 0)
        return -EFAULT;
    struct pal_terminal terminal = {.iflag = modes.iflag, .oflag = modes.oflag, .cflag = modes.cflag,
                                    .lflag = modes.lflag, .line = modes.line};
    memcpy(terminal.cc, modes.cc, sizeof(terminal.cc));
    return modes_set(file, &terminal, when);
}

static int64_t window_to_guest(struct file *file, guest_t argument)
{
    struct pal_window window;
    int64_t result = PAL->stream_control(file->handle, PAL_CTL_WINDOW_GET, &window, sizeof(window));
    return result < 0 ? result : copy_out(argument, &window, sizeof(window));
}

static int64_t id_to_guest(int64_t id, guest_t argument)
{
    int32_t value = (int32_t)id;
    return id < 0 ? id : copy_out(argument, &value, sizeof(value));
}

int64_t terminal_ioctl(struct file *file, uint32_t request, guest_t argument)
{
    struct pal_terminal terminal;
    int64_t result = modes_get(file, &terminal);
    if (result < 0)
        return result == -ENOTTY ? plain_ioctl(file, request, argument) : result;
    switch (request) {
    case TCGETS:
        return modes_to_guest(&terminal, argument);
    case TCSETS: case TCSETSW: case TCSETSF:
        return modes_from_guest(file, argument, request - TCSETS);
    case TCSBRK: /* tcdrain(3) where the argument is not 0; else a break, which only serial lines know */
        return argument ? modes_set(file, &terminal, 1) : 0;
    case TCFLSH: /* the host can drop unread input; what was written is gone already */
        return argument > 2 ? -EINVAL : argument == 1 ? 0 : modes_set(file, &terminal, 2);
    case TIOCGWINSZ:
        return window_to_guest(file, argument);
    case TIOCGPGRP:
        return id_to_guest(sys_getpgrp(), argument);
    case TIOCGSID:
        return id_to_guest(sys_getsid(0), argument);
    case TIOCSPGRP: {
        int64_t group = guest_load32(argument);
        return group == -EFAULT ? group : group <= 0 || group > INT32_MAX ? -EINVAL : 0;
    }
    case TIOCSWINSZ: case TIOCSCTTY: case TIOCNOTTY:
        return -EPERM;
    default:
        return plain_ioctl(file, request, argument);
    }
}

static int64_t file_ioctl(struct file *file, int fd, uint32_t request, guest_t argument)
{
    int64_t value;
    switch (request) {
    case FIOCLEX: case FIONCLEX:
        return fd_flags(fd, true, request == FIOCLEX ? FD_CLOEXEC : 0);
    case FIONBIO:
        value = guest_load32(argument);
        return value < 0 ? value : file_set_status_flags(file, value ? O_NONBLOCK : 0, O_NONBLOCK);
    case FIOASYNC: /* signals by descriptor are not served */
        value = guest_load32(argument);
        return value > 0 ? -ENOTTY : value;
    default:
        return file->ops->control ? file->ops->control(file, request, argument) : -ENOTTY;
    }
}

int64_t sys_ioctl(int32_t fd, uint32_t request, guest_t argument)
{
    struct file *file = file_get_io(fd);
    if (!file)
        return -EBADF;
    int64_t result = file_ioctl(file, fd, request, argument);
    file_put(file);
    return result;
}
