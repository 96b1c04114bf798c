/* SPDX-License-Identifier: MIT */
/* stream_control: what this host has of its operations; the others are refused. */
#include "pal/windows/windows.h"

#define SEEK_DATA 3u
#define SEEK_HOLE 4u

static int64_t seek_directory(struct windows_handle *directory, struct pal_seek *seek)
{
    if (seek->whence != 0 || seek->offset != 0)
        return -EINVAL;
    directory->restart = 1;
    directory->position = 0;
    return 0;
}

/* lseek(2)'s SEEK_DATA and SEEK_HOLE: as if no file had holes. */
static int64_t seek_hole(const struct windows_handle *file, struct pal_seek *seek)
{
    LARGE_INTEGER size;
    if (!GetFileSizeEx(file->host, &size))
        return last_error();
    if (seek->offset < 0 || seek->offset >= size.QuadPart)
        return -ENXIO;
    if (seek->whence == SEEK_HOLE)
        seek->offset = size.QuadPart;
    LARGE_INTEGER to = {.QuadPart = seek->offset};
    return SetFilePointerEx(file->host, to, NULL, FILE_BEGIN) ? 0 : last_error();
}

static int64_t seek(struct windows_handle *stream, void *argument)
{
    struct pal_seek *seek = argument;
    LARGE_INTEGER to = {.QuadPart = seek->offset}, now;
    if (stream->kind == HANDLE_DIRECTORY)
        return seek_directory(stream, seek);
    if (stream->kind != HANDLE_FILE)
        return -ESPIPE;
    _Static_assert(FILE_BEGIN == 0 && FILE_CURRENT == 1 && FILE_END == 2, "as lseek(2) has them");
    if (seek->whence == SEEK_DATA || seek->whence == SEEK_HOLE)
        return seek_hole(stream, seek);
    if (seek->whence > 2)
        return -EINVAL;
    if (!SetFilePointerEx(stream->host, to, &now, seek->whence))
        return last_error();
    seek->offset = now.QuadPart;
    return 0;
}

static int64_t flags_get(struct windows_handle *stream, void *argument)
{
    *(uint32_t *)argument = stream->flags;
    return 0;
}

/* This process's: another one that has the file keeps its own. */
static int64_t flags_set(struct windows_handle *stream, void *argument)
{
    const uint32_t may = PAL_OPEN_NONBLOCK | PAL_OPEN_APPEND;
    stream->flags = (stream->flags & ~may) | (*(uint32_t *)argument & may);
    return 0;
}

/* Only that the file is made larger: blocks are the host's. */
static int64_t allocate(struct windows_handle *file, void *argument)
{
    const struct pal_allocate *part = argument;
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)(part->offset + part->size)};
    LARGE_INTEGER size;
    if (file->kind != HANDLE_FILE)
        return file->kind == HANDLE_DIRECTORY ? -EISDIR : -ESPIPE;
    if (!(file->flags & PAL_OPEN_WRITE))
        return -EBADF;
    if (part->mode)
        return -EOPNOTSUPP;
    if (!GetFileSizeEx(file->host, &size))
        return last_error();
    if (size.QuadPart >= end.EndOfFile.QuadPart)
        return 0;
    return SetFileInformationByHandle(file->host, FileEndOfFileInfo, &end, sizeof end) ? 0 : last_error();
}

static int64_t flush(struct windows_handle *stream, void *argument)
{
    (void)argument;
    if (stream->kind == HANDLE_STREAM || stream->kind == HANDLE_PIPE)
        return -EINVAL;
    return stream->kind == HANDLE_DIRECTORY || FlushFileBuffers(stream->host) || GetLastError() == ERROR_ACCESS_DENIED
               ? 0
               : last_error();
}

static int64_t available(struct windows_handle *stream, void *argument)
{
    DWORD bytes = 0;
    LARGE_INTEGER none = {.QuadPart = 0}, now, size;
    if (stream->kind == HANDLE_FILE) {
        if (!SetFilePointerEx(stream->host, none, &now, FILE_CURRENT) || !GetFileSizeEx(stream->host, &size))
            return last_error();
        *(uint32_t *)argument = (uint32_t)MAX(size.QuadPart - now.QuadPart, 0);
        return 0;
    }
    if (GetFileType(stream->host) != FILE_TYPE_PIPE)
        return -ENOTTY;
    if (!PeekNamedPipe(stream->host, NULL, 0, NULL, &bytes, NULL) && GetLastError() != ERROR_BROKEN_PIPE)
        return last_error();
    *(uint32_t *)argument = bytes;
    return 0;
}

static int64_t pipe_size_get(struct windows_handle *stream, void *argument)
{
    DWORD out = 0, in = 0;
    if (!GetNamedPipeInfo(stream->host, NULL, &out, &in, NULL))
        return -EBADF;
    *(uint32_t *)argument = MAX(MAX(out, in), PAL_PAGE_SIZE);
    return 0;
}

/* It stays as large as it was made. */
static int64_t pipe_size_set(struct windows_handle *stream, void *argument)
{
    uint32_t size = 0;
    int64_t error = pipe_size_get(stream, &size);
    if (error == 0 && *(uint32_t *)argument > size)
        return -EPERM;
    *(uint32_t *)argument = size;
    return error;
}

static int64_t advise(struct windows_handle *stream, void *argument)
{
    (void)stream, (void)argument;
    return 0;
}

/* No console is a terminal yet: its line discipline would be the libOS's to do. */
static int64_t no_terminal(struct windows_handle *stream, void *argument)
{
    (void)stream, (void)argument;
    return -ENOTTY;
}

static const struct {
    int64_t (*run)(struct windows_handle *stream, void *argument);
    uint64_t size;
} operations[PAL_CTL_COUNT] = {
    [PAL_CTL_SEEK] = {seek, sizeof(struct pal_seek)},
    [PAL_CTL_FLAGS_GET] = {flags_get, sizeof(uint32_t)},
    [PAL_CTL_FLAGS_SET] = {flags_set, sizeof(uint32_t)},
    [PAL_CTL_FLUSH] = {flush, sizeof(uint32_t)},
    [PAL_CTL_ALLOCATE] = {allocate, sizeof(struct pal_allocate)},
    [PAL_CTL_AVAILABLE] = {available, sizeof(uint32_t)},
    [PAL_CTL_ADVISE] = {advise, sizeof(struct pal_allocate)},
    [PAL_CTL_PIPE_SIZE_GET] = {pipe_size_get, sizeof(uint32_t)},
    [PAL_CTL_PIPE_SIZE_SET] = {pipe_size_set, sizeof(uint32_t)},
    [PAL_CTL_TERMINAL_GET] = {no_terminal, sizeof(struct pal_terminal)},
    [PAL_CTL_TERMINAL_SET] = {no_terminal, sizeof(struct pal_terminal)},
    [PAL_CTL_WINDOW_GET] = {no_terminal, sizeof(struct pal_window)},
};

int64_t windows_stream_control(pal_handle_t handle, uint32_t op, void *argument, uint64_t size)
{
    struct windows_handle *stream = handle_find(handle);
    if (op >= PAL_CTL_COUNT || !operations[op].run || size < operations[op].size)
        return op == PAL_CTL_SPACE ? -ENOENT : -EINVAL;
    return stream ? operations[op].run(stream, argument) : -EBADF;
}
