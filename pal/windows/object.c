/* SPDX-License-Identifier: MIT */
/* Pipes, and waiting for several streams: by looking, every so often, as Win32's pipes can't be waited for. */
#include "pal/windows/windows.h"

#define PIPE_SIZE 65536u
#define POLLIN 1
#define POLLOUT 4
#define POLLERR 8
#define POLLHUP 16
#define POLLNVAL 32
#define NS_PER_LOOK 1000000ull

static int64_t pipe_create(uint32_t flags, pal_handle_t *out)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    HANDLE ends[2];
    uint32_t nonblock = flags & PAL_OBJ_NONBLOCK ? PAL_OPEN_NONBLOCK : 0;
    if (flags & PAL_OBJ_PACKET)
        return -EINVAL;
    if (!CreatePipe(&ends[0], &ends[1], &inherited, PIPE_SIZE))
        return last_error();
    int64_t reader = handle_add(ends[0], HANDLE_STREAM, PAL_OPEN_READ | nonblock);
    int64_t writer = reader < 0 ? reader : handle_add(ends[1], HANDLE_STREAM, PAL_OPEN_WRITE | nonblock);
    if (writer < 0) {
        CloseHandle(ends[1]);
        if (reader < 0)
            CloseHandle(ends[0]);
        else
            windows_handle_close((pal_handle_t)reader);
        return writer;
    }
    out[0] = (pal_handle_t)reader;
    out[1] = (pal_handle_t)writer;
    return 0;
}

int64_t windows_object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out)
{
    (void)value;
    if (object == PAL_OBJECT_PIPE)
        return pipe_create(flags, out);
    return object < PAL_OBJECT_COUNT ? -ENOSYS : -EINVAL;
}

static int16_t ready(const struct pal_poll *entry)
{
    const struct windows_handle *stream = handle_find(entry->handle);
    DWORD bytes = 0;
    if (!stream)
        return POLLNVAL;
    if (GetFileType(stream->host) != FILE_TYPE_PIPE)
        return entry->events & (POLLIN | POLLOUT);
    if (!(stream->flags & PAL_OPEN_READ))
        return entry->events & POLLOUT;
    if (!PeekNamedPipe(stream->host, NULL, 0, NULL, &bytes, NULL))
        return POLLHUP;
    return bytes ? entry->events & POLLIN : 0;
}

static int64_t look(struct pal_poll *entries, uint32_t count)
{
    int64_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        entries[i].revents = entries[i].handle < 0 ? 0 : ready(&entries[i]);
        found += entries[i].revents != 0;
    }
    return found;
}

int64_t windows_poll(struct pal_poll *entries, uint32_t count, uint64_t deadline)
{
    for (;;) {
        if (deadline && current_tcb()->interrupted)
            return -EINTR;
        int64_t found = look(entries, count);
        uint64_t now = clock_now();
        if (found || now >= deadline)
            return found;
        wait_event(thread_of(current_tcb())->event, count ? MIN(deadline, now + NS_PER_LOOK) : deadline);
    }
}
