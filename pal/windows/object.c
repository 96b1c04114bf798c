/* SPDX-License-Identifier: MIT */
/* Pipes and sections, and waiting for several streams: by looking, every so often, as Win32's pipes can't be waited for. */
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

/* A file without a name that anybody is told of, which goes with its last handle. */
static int64_t section_create(uint64_t size, pal_handle_t *out)
{
    WCHAR directory[MAX_PATH], name[MAX_PATH];
    if (!GetTempPathW(MAX_PATH - 16, directory) || !GetTempFileNameW(directory, L"pal", 0, name))
        return -ENOMEM;
    HANDLE host = CreateFileW(name, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (host == INVALID_HANDLE_VALUE)
        return last_error();
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)size};
    int64_t handle = SetFileInformationByHandle(host, FileEndOfFileInfo, &end, sizeof end) ? 0 : last_error();
    if (handle == 0)
        handle = handle_add(host, HANDLE_FILE, PAL_OPEN_READ | PAL_OPEN_WRITE);
    if (handle < 0) {
        CloseHandle(host);
        return handle;
    }
    *out = (pal_handle_t)handle;
    return 0;
}

int64_t windows_object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out)
{
    switch (object) {
    case PAL_OBJECT_PIPE:
        return pipe_create(flags, out);
    case PAL_OBJECT_EVENT:
        return event_create(flags, value, out);
    case PAL_OBJECT_SECTION:
        return section_create(value, out);
    case PAL_OBJECT_POLL_SET:
        return poll_set_create(out);
    }
    return object < PAL_OBJECT_COUNT ? -ENOSYS : -EINVAL;
}

/* Its writers have all gone: a connected pipe says that it is. */
static int writers_gone(const struct windows_handle *stream)
{
    OVERLAPPED call = {.hEvent = thread_of(current_tcb())->io};
    return stream->kind == HANDLE_PIPE && !ConnectNamedPipe(stream->host, &call) && GetLastError() == ERROR_NO_DATA;
}

static int16_t reader_ready(const struct windows_handle *stream, uint64_t *edge)
{
    DWORD bytes = 0;
    if (!PeekNamedPipe(stream->host, NULL, 0, NULL, &bytes, NULL))
        return POLLHUP;
    *edge = bytes;
    return (int16_t)((bytes ? POLLIN : 0) | (writers_gone(stream) ? POLLHUP : 0));
}

int16_t poll_ready(const struct windows_handle *object, uint64_t *edge)
{
    *edge = 0;
    if (object->kind == HANDLE_EVENT) {
        *edge = event_edge(object);
        return event_ready(object);
    }
    if (object->kind == HANDLE_POLL_SET)
        return poll_set_ready(object);
    if (GetFileType(object->host) != FILE_TYPE_PIPE)
        return POLLIN | POLLOUT;
    return object->flags & PAL_OPEN_READ ? reader_ready(object, edge) : POLLOUT;
}

static int16_t ready(const struct pal_poll *entry)
{
    const struct windows_handle *object = handle_find(entry->handle);
    uint64_t edge;
    return object ? poll_ready(object, &edge) & (entry->events | POLLERR | POLLHUP) : POLLNVAL;
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
        uint32_t seen = word_changes();
        int64_t found = look(entries, count);
        uint64_t now = clock_now();
        if (found || now >= deadline)
            return found;
        if (count)
            (void)word_await_change(seen, MIN(deadline, now + NS_PER_LOOK));
        else
            wait_event(thread_of(current_tcb())->event, deadline);
    }
}
