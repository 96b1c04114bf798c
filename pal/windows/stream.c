/* SPDX-License-Identifier: MIT */
/* Bytes in and out of handles, directory entries. */
#include "pal/windows/windows.h"

#define AT_ONCE 0x7ffff000u
#define MOST_VECTORS 1024u
#define LIST_ROOM 16384u
#define NS_PER_LOOK 2000000ull

/* Reads and writes at an offset move the host's position, which is then put back: one at a time. */
static SRWLOCK position_lock = SRWLOCK_INIT;

static int64_t own_position(const struct windows_handle *stream, LARGE_INTEGER *out)
{
    LARGE_INTEGER none = {.QuadPart = 0};
    return SetFilePointerEx(stream->host, none, out, FILE_CURRENT) ? 0 : -ESPIPE;
}

static int64_t transfer(const struct windows_handle *stream, int write, uint64_t buffer, DWORD size, OVERLAPPED *at)
{
    DWORD moved = 0;
    BOOL ok = write ? WriteFile(stream->host, (void *)buffer, size, &moved, at)
                    : ReadFile(stream->host, (void *)buffer, size, &moved, at);
    if (ok)
        return moved;
    DWORD error = GetLastError();
    if (!write && (error == ERROR_HANDLE_EOF || error == ERROR_BROKEN_PIPE))
        return 0;
    return error_of(error);
}

static int64_t transfer_at(const struct windows_handle *stream, int write, uint64_t buffer, DWORD size, uint64_t offset)
{
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    LARGE_INTEGER before;
    AcquireSRWLockExclusive(&position_lock);
    int64_t result = own_position(stream, &before);
    if (result == 0) {
        result = transfer(stream, write, buffer, size, &at);
        SetFilePointerEx(stream->host, before, NULL, FILE_BEGIN);
    }
    ReleaseSRWLockExclusive(&position_lock);
    return result;
}

/* A pipe's reader that must not wait. */
static int64_t nothing_there(const struct windows_handle *stream)
{
    DWORD bytes;
    if (!(stream->flags & PAL_OPEN_NONBLOCK) || GetFileType(stream->host) != FILE_TYPE_PIPE)
        return 0;
    return PeekNamedPipe(stream->host, NULL, 0, NULL, &bytes, NULL) && !bytes ? -EAGAIN : 0;
}

static int64_t pipe_failed(int write, DWORD error)
{
    int64_t result = error_of(error);
    if (!write && error == ERROR_BROKEN_PIPE)
        return 0;
    if (write && result == -EPIPE)
        current_tcb()->interrupted |= PAL_INTERRUPTED_PIPE;
    return result;
}

/* A pipe of ours: its handle is one for overlapped calls, so what takes long can be given up when an interrupt comes. */
static int64_t transfer_pipe(const struct windows_handle *stream, int write, uint64_t buffer, DWORD size)
{
    struct windows_thread *thread = thread_of(current_tcb());
    OVERLAPPED call = {.hEvent = thread->io};
    HANDLE both[] = {thread->io, thread->event};
    DWORD moved = 0;
    BOOL done = write ? WriteFile(stream->host, (void *)buffer, size, NULL, &call)
                      : ReadFile(stream->host, (void *)buffer, size, NULL, &call);
    if (!done && GetLastError() != ERROR_IO_PENDING)
        return pipe_failed(write, GetLastError());
    while (!done && !current_tcb()->interrupted && WaitForMultipleObjects(2, both, FALSE, INFINITE) != WAIT_OBJECT_0)
        ;
    if (!done && current_tcb()->interrupted)
        CancelIoEx(stream->host, &call);
    if (GetOverlappedResult(stream->host, &call, &moved, TRUE))
        return moved;
    if (GetLastError() == ERROR_OPERATION_ABORTED && moved)
        return moved;
    return pipe_failed(write, GetLastError());
}

/* Somebody else's pipe can't be waited for: it is looked at, every so often. */
static int64_t await_bytes(const struct windows_handle *stream)
{
    DWORD bytes;
    while (GetFileType(stream->host) == FILE_TYPE_PIPE && PeekNamedPipe(stream->host, NULL, 0, NULL, &bytes, NULL) && !bytes) {
        if (current_tcb()->interrupted)
            return -EINTR;
        wait_event(thread_of(current_tcb())->event, clock_now() + NS_PER_LOOK);
    }
    return 0;
}

static int64_t transfer_stream(const struct windows_handle *stream, int write, uint64_t buffer, DWORD size)
{
    int64_t result = write || !size ? 0 : nothing_there(stream);
    if (result < 0)
        return result;
    if (stream->kind == HANDLE_PIPE)
        return transfer_pipe(stream, write, buffer, size);
    result = write || !size ? 0 : await_bytes(stream);
    return result < 0 ? result : transfer(stream, write, buffer, size, NULL);
}

/* At the file's end, wherever that is by now; the position is behind it then. */
static int64_t append(const struct windows_handle *stream, uint64_t buffer, DWORD size)
{
    OVERLAPPED end = {.Offset = UINT32_MAX, .OffsetHigh = UINT32_MAX};
    LARGE_INTEGER none = {.QuadPart = 0};
    AcquireSRWLockExclusive(&position_lock);
    int64_t result = transfer(stream, 1, buffer, size, &end);
    if (result >= 0)
        SetFilePointerEx(stream->host, none, NULL, FILE_END);
    ReleaseSRWLockExclusive(&position_lock);
    return result;
}

static int64_t transfer_here(const struct windows_handle *stream, int write, uint64_t buffer, DWORD size)
{
    if (stream->kind != HANDLE_FILE)
        return transfer_stream(stream, write, buffer, size);
    if (write && stream->flags & PAL_OPEN_APPEND)
        return append(stream, buffer, size);
    AcquireSRWLockExclusive(&position_lock);
    int64_t result = transfer(stream, write, buffer, size, NULL);
    ReleaseSRWLockExclusive(&position_lock);
    return result;
}

static int64_t move(pal_handle_t handle, int write, uint64_t buffer, uint64_t size, int64_t offset)
{
    struct windows_handle *stream = handle_find(handle);
    if (!stream || !(stream->flags & (write ? PAL_OPEN_WRITE : PAL_OPEN_READ)))
        return stream && stream->kind == HANDLE_DIRECTORY && !write ? -EISDIR : -EBADF;
    if (current_tcb()->interrupted)
        return -EINTR;
    DWORD part = (DWORD)MIN(size, AT_ONCE);
    if (offset < -1)
        return -EINVAL;
    if (stream->kind == HANDLE_EVENT)
        return offset < 0 ? event_move(stream, write, buffer, size) : -ESPIPE;
    if (stream->kind == HANDLE_POLL_SET)
        return -EINVAL;
    int64_t moved = offset < 0 ? transfer_here(stream, write, buffer, part) : 0;
    stream->reads += !write && moved > 0;
    if (offset < 0)
        return moved;
    return stream->kind == HANDLE_FILE ? transfer_at(stream, write, buffer, part, (uint64_t)offset) : -ESPIPE;
}

int64_t stream_fill(const struct windows_handle *file, uint64_t address, uint64_t size, uint64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        int64_t some = transfer_at(file, 0, address + done, (DWORD)MIN(size - done, AT_ONCE), offset + done);
        if (some <= 0)
            return some;
        done += (uint64_t)some;
    }
    return 0;
}

int64_t windows_stream_read(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset)
{
    return move(handle, 0, buffer, size, offset);
}

int64_t windows_stream_write(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset)
{
    return move(handle, 1, buffer, size, offset);
}

int64_t windows_stream_vectors(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                               uint32_t direction)
{
    int64_t done = 0;
    if (!count || count > MOST_VECTORS)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        if (!vectors[i].size && count > 1)
            continue;
        int64_t some = move(handle, direction == PAL_VECTORS_WRITE, vectors[i].base, vectors[i].size,
                            offset < 0 ? offset : offset + done);
        if (some < 0)
            return done ? done : some;
        done += some;
        if ((uint64_t)some < vectors[i].size)
            break;
    }
    return done;
}

/* ---- Directories ------------------------------------------------------------------------------------------------- */

struct entry { uint64_t inode, next; uint16_t size; uint8_t type; char name[]; } __attribute__((packed)); /* getdents64(2) */
#define ENTRY_HEADER 19u
#define TYPE_DIRECTORY 4
#define TYPE_FILE 8

static uint32_t put_entry(char *to, const FILE_ID_BOTH_DIR_INFO *from, uint64_t next)
{
    struct entry *entry = (struct entry *)to;
    int size = WideCharToMultiByte(CP_UTF8, 0, from->FileName, (int)(from->FileNameLength / sizeof(WCHAR)), entry->name,
                                   (int)(3 * from->FileNameLength), NULL, NULL);
    entry->name[size] = 0;
    entry->inode = (uint64_t)from->FileId.QuadPart;
    entry->next = next;
    entry->type = from->FileAttributes & FILE_ATTRIBUTE_DIRECTORY ? TYPE_DIRECTORY : TYPE_FILE;
    entry->size = (uint16_t)((ENTRY_HEADER + (uint32_t)size + 1 + 7) & ~7u);
    return entry->size;
}

/* An entry takes no more room here than twice what the host's takes: asked for is half of what fits, so that none is left over. */
static int64_t list(struct windows_handle *directory, char *out, uint32_t room)
{
    static char found[LIST_ROOM] __attribute__((aligned(8)));
    FILE_INFO_BY_HANDLE_CLASS how = directory->restart ? FileIdBothDirectoryRestartInfo : FileIdBothDirectoryInfo;
    directory->restart = 0;
    if (!GetFileInformationByHandleEx(directory->host, how, found, MIN(room / 2, LIST_ROOM)))
        return GetLastError() == ERROR_NO_MORE_FILES ? 0 : GetLastError() == ERROR_MORE_DATA ? -EINVAL : last_error();
    uint32_t used = 0;
    for (const FILE_ID_BOTH_DIR_INFO *entry = (void *)found;; entry = (void *)((char *)entry + entry->NextEntryOffset)) {
        used += put_entry(out + used, entry, ++directory->position);
        if (!entry->NextEntryOffset)
            return used;
    }
}

int64_t windows_stream_list(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    static char made[2 * LIST_ROOM] __attribute__((aligned(8)));
    struct windows_handle *directory = handle_find(handle);
    if (!directory)
        return -EBADF;
    if (directory->kind != HANDLE_DIRECTORY)
        return -ENOTDIR;
    AcquireSRWLockExclusive(&position_lock);
    int64_t result = list(directory, made, (uint32_t)MIN(size, sizeof made));
    if (result > 0 && windows_copy((void *)buffer, made, (uint64_t)result))
        result = -EFAULT;
    ReleaseSRWLockExclusive(&position_lock);
    return result;
}
