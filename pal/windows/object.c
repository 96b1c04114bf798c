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

/* CreatePipe's have no overlapped calls.  Names last as long as the pipe; nobody else may open one. */
static int pipe_ends(HANDLE *ends)
{
    static volatile LONG number;
    static const WCHAR prefix[] = L"\\\\.\\pipe\\pal-";
    WCHAR name[64];
    uint64_t id = (uint64_t)GetCurrentProcessId() << 32 | (uint32_t)InterlockedIncrement(&number);
    memcpy(name, prefix, sizeof prefix);
    for (uint32_t i = 0; i < 16; i++)
        name[sizeof prefix / sizeof *prefix - 1 + i] = (WCHAR)"0123456789abcdef"[id >> (60 - 4 * i) & 15];
    name[sizeof prefix / sizeof *prefix + 15] = 0;
    ends[0] = CreateNamedPipeW(name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                               PIPE_TYPE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_SIZE, PIPE_SIZE, 0, NULL);
    if (ends[0] == INVALID_HANDLE_VALUE)
        return 0;
    ends[1] = CreateFileW(name, GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    if (ends[1] != INVALID_HANDLE_VALUE)
        return 1;
    CloseHandle(ends[0]);
    return 0;
}

static int64_t pipe_create(uint32_t flags, pal_handle_t *out)
{
    HANDLE ends[2];
    uint32_t nonblock = flags & PAL_OBJ_NONBLOCK ? PAL_OPEN_NONBLOCK : 0;
    if (flags & PAL_OBJ_PACKET)
        return -EINVAL;
    if (!pipe_ends(ends))
        return last_error();
    int64_t reader = handle_add(ends[0], HANDLE_PIPE, PAL_OPEN_READ | nonblock);
    int64_t writer = reader < 0 ? reader : handle_add(ends[1], HANDLE_PIPE, PAL_OPEN_WRITE | nonblock);
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
