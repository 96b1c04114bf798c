/* SPDX-License-Identifier: MIT */
/* stream_control: one small function an operation, in a table that also says how large the argument is. */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>

#include "pal/linux/hostcalls.h"
#include "pal/linux/linux.h"

#define LOCK_COMMAND_GET 0u /* struct pal_lock */
#define LOCK_COMMAND_WAIT 2u

/* An operation that reads a number through a uint32_t argument. */
static int64_t store(void *argument, int64_t result)
{
    if (result < 0)
        return result;
    *(uint32_t *)argument = (uint32_t)result;
    return 0;
}

static int64_t seek(pal_handle_t handle, void *argument)
{
    struct pal_seek *seek = argument;
    int64_t offset = host_call(lseek, handle, seek->offset, seek->whence);
    if (offset < 0)
        return offset;
    seek->offset = offset;
    return 0;
}

static int64_t flags_get(pal_handle_t handle, void *argument)
{
    static const uint8_t access[] = {
        [O_RDONLY] = PAL_OPEN_READ,
        [O_WRONLY] = PAL_OPEN_WRITE,
        [O_RDWR] = PAL_OPEN_READ | PAL_OPEN_WRITE,
        [O_ACCMODE] = 0,
    };
    int64_t flags = host_call(fcntl, handle, F_GETFL);
    if (flags < 0)
        return flags;
    if (handle < PAL_STANDARD_STREAMS && shared->terminals >> handle & 1)
        flags = (flags & ~(int64_t)O_ACCMODE) | O_RDWR; /* as the user opened it */
    *(uint32_t *)argument = access[flags & O_ACCMODE] | (flags & O_APPEND ? PAL_OPEN_APPEND : 0u) |
                            (flags & O_NONBLOCK ? PAL_OPEN_NONBLOCK : 0u);
    return 0;
}

/* F_SETFL sets all flags that can be set: the others (a packet pipe's O_DIRECT) have to be kept. */
static int64_t flags_set(pal_handle_t handle, void *argument)
{
    uint32_t wanted = *(uint32_t *)argument;
    int64_t flags = host_call(fcntl, handle, F_GETFL);
    if (flags < 0)
        return flags;
    flags = (flags & ~(int64_t)(O_APPEND | O_NONBLOCK | FASYNC)) | (wanted & PAL_OPEN_APPEND ? O_APPEND : 0) |
            (wanted & PAL_OPEN_NONBLOCK ? O_NONBLOCK : 0);
    return host_call(fcntl, handle, F_SETFL, flags);
}

static int64_t flush(pal_handle_t handle, void *argument)
{
    (void)argument; /* data alone: fsync does more, which is allowed */
    linux_uses(LINUX_CLASS_FILES);
    return host_call(fsync, handle);
}

static int64_t allocate(pal_handle_t handle, void *argument)
{
    const struct pal_allocate *range = argument;
    if (range->mode & ~MONITOR_ALLOCATE_MODES)
        return -EOPNOTSUPP;
    struct monitor_request request = {.op = MONITOR_ALLOCATE, .mode = range->mode, .arguments = {(uint64_t)handle, 0},
                                      .values = {.blocks = range->offset, .size = range->size}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
}

static int64_t available(pal_handle_t handle, void *argument)
{
    int32_t bytes = 0;
    int64_t error = host_call(ioctl, handle, FIONREAD, &bytes);
    return store(argument, error < 0 ? error : bytes);
}

static int64_t lock(pal_handle_t handle, void *argument)
{
    static const uint8_t commands[2][3] = {{F_GETLK, F_SETLK, F_SETLKW}, {F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW}};
    struct pal_lock *lock = argument;
    if (lock->command > LOCK_COMMAND_WAIT)
        return -EINVAL;
    struct flock range = {
        .l_type = (int16_t)lock->type, .l_whence = (int16_t)lock->whence, .l_start = lock->start, .l_len = lock->size};
    linux_uses(LINUX_CLASS_LOCKS);
    uint64_t command = commands[lock->ofd != 0][lock->command];
    if (lock->ofd)
        monitor_settle();
    int64_t error = lock->command == LOCK_COMMAND_WAIT ? host_blocking(fcntl, handle, command, &range)
                                                       : host_call(fcntl, handle, command, &range);
    if (error < 0)
        return error;
    if (lock->command == LOCK_COMMAND_GET) {
        lock->type = range.l_type;
        lock->whence = range.l_whence;
        lock->start = range.l_start;
        lock->size = range.l_len;
        lock->owner = (uint64_t)(int64_t)range.l_pid;
    }
    return 0;
}

static int64_t flock_set(pal_handle_t handle, void *argument)
{
    uint32_t operation = *(uint32_t *)argument;
    linux_uses(LINUX_CLASS_LOCKS);
    monitor_settle();
    return operation & LOCK_NB ? host_call(flock, handle, operation) : host_blocking(flock, handle, operation);
}

static int64_t terminal_get(pal_handle_t handle, void *argument)
{
    struct pal_terminal *terminal = argument;
    struct termios modes;
    int64_t error = host_call(ioctl, handle, TCGETS, &modes);
    if (error < 0)
        return error;
    *terminal = (struct pal_terminal){.iflag = modes.c_iflag, .oflag = modes.c_oflag, .cflag = modes.c_cflag,
                                      .lflag = modes.c_lflag, .line = modes.c_line};
    memcpy(terminal->cc, modes.c_cc, sizeof terminal->cc);
    return 0;
}

_Static_assert(sizeof((struct termios){0}.c_cc) == sizeof((struct pal_terminal){0}.cc), "same control characters");

static int64_t terminal_set(pal_handle_t handle, void *argument)
{
    return terminal_modes(handle, argument);
}

static int64_t terminal_read(pal_handle_t handle, void *argument)
{
    (void)handle; /* the user's terminal, whichever descriptor it is */
    return terminal_keys(argument);
}

static int64_t window_get(pal_handle_t handle, void *argument)
{
    return host_call(ioctl, handle, TIOCGWINSZ, argument); /* struct winsize is struct pal_window */
}

static int64_t window_set(pal_handle_t handle, void *argument)
{
    uint64_t window;
    _Static_assert(sizeof window == sizeof(struct pal_window), "fits in a request");
    memcpy(&window, argument, sizeof window);
    return terminal_control(handle, MONITOR_TERMINAL_SIZE, window, NULL);
}

static int64_t terminal_flush(pal_handle_t handle, void *argument)
{
    return terminal_control(handle, MONITOR_TERMINAL_FLUSH, *(uint32_t *)argument, NULL);
}

static int64_t terminal_flow(pal_handle_t handle, void *argument)
{
    return terminal_control(handle, MONITOR_TERMINAL_FLOW, *(uint32_t *)argument, NULL);
}

static int64_t terminal_packet(pal_handle_t handle, void *argument)
{
    return terminal_control(handle, MONITOR_TERMINAL_PACKET, *(uint32_t *)argument, NULL);
}

static int64_t terminal_front(pal_handle_t handle, void *argument)
{
    uint64_t front;
    int64_t error = terminal_control(handle, MONITOR_TERMINAL_FRONT, 0, &front);
    return store(argument, error < 0 ? error : (int64_t)(front != 0));
}

static int64_t terminal_stop(pal_handle_t handle, void *argument)
{
    return terminal_control(handle, MONITOR_TERMINAL_STOP, *(uint32_t *)argument, NULL);
}

static int64_t pipe_size_get(pal_handle_t handle, void *argument)
{
    linux_uses(LINUX_CLASS_PIPES);
    return store(argument, host_call(fcntl, handle, F_GETPIPE_SZ));
}

static int64_t pipe_size_set(pal_handle_t handle, void *argument)
{
    linux_uses(LINUX_CLASS_PIPES);
    return store(argument, host_call(fcntl, handle, F_SETPIPE_SZ, *(uint32_t *)argument));
}

static int64_t seals_get(pal_handle_t handle, void *argument)
{
    linux_uses(LINUX_CLASS_SECTIONS);
    return store(argument, host_call(fcntl, handle, F_GET_SEALS));
}

static int64_t seals_add(pal_handle_t handle, void *argument)
{
    linux_uses(LINUX_CLASS_SECTIONS);
    return host_call(fcntl, handle, F_ADD_SEALS, *(uint32_t *)argument);
}

/* The filter's room is for what programs do often: the monitor makes this call, and tee(2). */
static int64_t shut_down(pal_handle_t handle, void *argument)
{
    struct monitor_request request = {
        .op = MONITOR_SHUTDOWN, .arguments = {(uint64_t)handle, *(uint32_t *)argument}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
}

static int64_t tee(pal_handle_t handle, void *argument)
{
    struct pal_tee *tee = argument;
    struct monitor_request request = {
        .op = MONITOR_TEE, .arguments = {(uint64_t)(uint32_t)handle << 32 | (uint32_t)tee->to, tee->size}};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
    if (error == 0)
        tee->size = reply.value;
    return error;
}

static int64_t advise(pal_handle_t handle, void *argument)
{
    (void)handle, (void)argument; /* only a hint; fadvise64 is not among the admitted calls */
    return 0;
}

static const struct {
    int64_t (*run)(pal_handle_t handle, void *argument);
    uint64_t size;
} operations[] = {
    [PAL_CTL_SEEK] = {seek, sizeof(struct pal_seek)},
    [PAL_CTL_FLAGS_GET] = {flags_get, sizeof(uint32_t)},
    [PAL_CTL_FLAGS_SET] = {flags_set, sizeof(uint32_t)},
    [PAL_CTL_FLUSH] = {flush, sizeof(uint32_t)},
    [PAL_CTL_ALLOCATE] = {allocate, sizeof(struct pal_allocate)},
    [PAL_CTL_AVAILABLE] = {available, sizeof(uint32_t)},
    [PAL_CTL_LOCK] = {lock, sizeof(struct pal_lock)},
    [PAL_CTL_FLOCK] = {flock_set, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_GET] = {terminal_get, sizeof(struct pal_terminal)},
    [PAL_CTL_TERMINAL_SET] = {terminal_set, sizeof(struct pal_terminal)},
    [PAL_CTL_WINDOW_GET] = {window_get, sizeof(struct pal_window)},
    [PAL_CTL_PIPE_SIZE_GET] = {pipe_size_get, sizeof(uint32_t)},
    [PAL_CTL_PIPE_SIZE_SET] = {pipe_size_set, sizeof(uint32_t)},
    [PAL_CTL_SEALS_GET] = {seals_get, sizeof(uint32_t)},
    [PAL_CTL_SEALS_ADD] = {seals_add, sizeof(uint32_t)},
    [PAL_CTL_SHUTDOWN] = {shut_down, sizeof(uint32_t)},
    [PAL_CTL_ADVISE] = {advise, sizeof(struct pal_allocate)},
    [PAL_CTL_LISTEN] = {socket_listen, sizeof(struct pal_listen)},
    [PAL_CTL_WINDOW_SET] = {window_set, sizeof(struct pal_window)},
    [PAL_CTL_TERMINAL_FLUSH] = {terminal_flush, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_FLOW] = {terminal_flow, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_PACKET] = {terminal_packet, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_READ] = {terminal_read, sizeof(struct pal_path_buffer)},
    [PAL_CTL_TERMINAL_FRONT] = {terminal_front, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_STOP] = {terminal_stop, sizeof(uint32_t)},
    [PAL_CTL_NOTIFY_ADD] = {object_notify_add, sizeof(struct pal_notify)},
    [PAL_CTL_EXTENDED] = {name_extended, sizeof(struct pal_extended)},
    [PAL_CTL_NOTIFY_END] = {object_notify_end, sizeof(uint32_t)},
    [PAL_CTL_TEE] = {tee, sizeof(struct pal_tee)},
    [PAL_CTL_ACCEPT] = {socket_accept, sizeof(struct pal_accept)},
    [PAL_CTL_OPTION] = {socket_option, sizeof(struct pal_option)},
    [PAL_CTL_SPACE] = {name_space, sizeof(struct pal_space)},
};

int64_t linux_stream_control(pal_handle_t handle, uint32_t op, void *argument, uint64_t size)
{
    if (op >= sizeof operations / sizeof *operations || size < operations[op].size)
        return -EINVAL;
    return operations[op].run(handle, argument);
}
