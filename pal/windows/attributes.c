/* SPDX-License-Identifier: MIT */
/*
 * What stat tells.  This host has no modes and no owners: all is the guest's own, may be executed, and may be written unless the
 * read-only attribute says otherwise.
 */
#include "pal/windows/windows.h"

#define MODE_DIRECTORY 0040755u
#define MODE_FILE 0100755u
#define MODE_FIFO 0010600u
#define MODE_CHARACTER 0020620u
#define MODE_WRITE 0222u
#define EPOCH_DIFFERENCE 116444736000000000ll /* from 1601 to 1970, in units of 100 ns */

static int64_t time_of(FILETIME time)
{
    return ((int64_t)((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) - EPOCH_DIFFERENCE) * 100;
}

static FILETIME file_time(int64_t ns)
{
    uint64_t units = (uint64_t)(ns / 100 + EPOCH_DIFFERENCE);
    return (FILETIME){(DWORD)units, (DWORD)(units >> 32)};
}

static int64_t stream_attributes(DWORD type, struct pal_attributes *out)
{
    *out = (struct pal_attributes){
        .mode = type == FILE_TYPE_PIPE ? MODE_FIFO : MODE_CHARACTER,
        .type = type == FILE_TYPE_PIPE ? PAL_TYPE_FIFO : PAL_TYPE_CHARACTER,
        .links = 1,
        .uid = boot->uid,
        .gid = boot->gid,
        .block_size = PAL_PAGE_SIZE,
    };
    return 0;
}

/* A stream that was given to us may not tell who it is: Wine says that it has no name, and one that was opened for writing alone
 * has nothing to say.  Its size and times, at least, where it does. */
static int64_t ask(HANDLE host, BY_HANDLE_FILE_INFORMATION *info)
{
    FILE_STANDARD_INFO standard;
    FILE_BASIC_INFO basic;
    if (GetFileInformationByHandle(host, info))
        return 0;
    *info = (BY_HANDLE_FILE_INFORMATION){.nNumberOfLinks = 1, .nFileIndexLow = (DWORD)(uint64_t)host}; /* like no other */
    if (GetFileInformationByHandleEx(host, FileStandardInfo, &standard, sizeof standard)) {
        info->nFileSizeLow = standard.EndOfFile.LowPart;
        info->nFileSizeHigh = (DWORD)standard.EndOfFile.HighPart;
        info->nNumberOfLinks = standard.NumberOfLinks;
    }
    if (GetFileInformationByHandleEx(host, FileBasicInfo, &basic, sizeof basic)) {
        info->dwFileAttributes = basic.FileAttributes;
        info->ftLastWriteTime = (FILETIME){basic.LastWriteTime.LowPart, (DWORD)basic.LastWriteTime.HighPart};
        info->ftLastAccessTime = (FILETIME){basic.LastAccessTime.LowPart, (DWORD)basic.LastAccessTime.HighPart};
    }
    return 0;
}

int64_t attributes_of(HANDLE host, struct pal_attributes *out)
{
    BY_HANDLE_FILE_INFORMATION info;
    DWORD type = GetFileType(host);
    if (type != FILE_TYPE_DISK)
        return stream_attributes(type, out);
    int64_t error = ask(host, &info);
    if (error < 0)
        return error;
    int directory = (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    uint32_t mode = directory ? MODE_DIRECTORY : MODE_FILE;
    uint64_t size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
    *out = (struct pal_attributes){
        .device = MAX(info.dwVolumeSerialNumber, 1u), /* 0 is no device of Linux */
        .inode = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow,
        .size = directory ? PAL_PAGE_SIZE : size,
        .blocks = (size + 511) / 512,
        .mode = info.dwFileAttributes & FILE_ATTRIBUTE_READONLY && !directory ? mode & ~MODE_WRITE : mode,
        .type = directory ? PAL_TYPE_DIRECTORY : PAL_TYPE_FILE,
        .links = info.nNumberOfLinks,
        .uid = boot->uid,
        .gid = boot->gid,
        .block_size = PAL_PAGE_SIZE,
        .atime = time_of(info.ftLastAccessTime),
        .mtime = time_of(info.ftLastWriteTime),
        .ctime = time_of(info.ftLastWriteTime),
        .btime = time_of(info.ftCreationTime),
    };
    return 0;
}

int64_t windows_attributes_get(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                               struct pal_path_buffer *escape)
{
    const struct windows_handle *stream = handle_find(handle);
    (void)escape;
    if (handle != PAL_NO_HANDLE)
        return stream ? attributes_of(stream->host, out) : -EBADF;
    if (name && name->validity)
        name->validity->parts = 0;
    struct windows_path path;
    HANDLE host = NULL;
    int64_t error = path_of(name, &path);
    if (error == 0)
        error = path_open(&path, FILE_READ_ATTRIBUTES, OPEN_EXISTING, &host);
    if (error < 0)
        return error;
    error = attributes_of(host, out);
    CloseHandle(host);
    return error == 0 && path.directory && out->type != PAL_TYPE_DIRECTORY ? -ENOTDIR : error;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

static int64_t set_times(HANDLE host, const struct pal_attributes *values, uint32_t mask)
{
    FILETIME now, access, write;
    GetSystemTimeAsFileTime(&now);
    access = mask & PAL_SET_ATIME_NOW ? now : file_time(values->atime);
    write = mask & PAL_SET_MTIME_NOW ? now : file_time(values->mtime);
    return SetFileTime(host, NULL, mask & (PAL_SET_ATIME | PAL_SET_ATIME_NOW) ? &access : NULL,
                       mask & (PAL_SET_MTIME | PAL_SET_MTIME_NOW) ? &write : NULL)
               ? 0
               : last_error();
}

static int64_t set_size(HANDLE host, uint64_t size)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)size};
    return SetFileInformationByHandle(host, FileEndOfFileInfo, &end, sizeof end) ? 0 : last_error();
}

/* Of a mode there is only whether the owner may write; the rest must be as it is told to be. */
static int64_t set_mode(HANDLE host, uint32_t mode)
{
    struct pal_attributes now;
    FILE_BASIC_INFO info;
    int64_t error = attributes_of(host, &now);
    if (error < 0 || ((now.mode ^ mode) & 0777) == 0)
        return error;
    uint32_t wanted = mode & 0200 ? now.mode | MODE_WRITE : now.mode & ~MODE_WRITE;
    if (now.type != PAL_TYPE_FILE || ((wanted ^ now.mode) & MODE_WRITE) == 0)
        return -EPERM;
    if (!GetFileInformationByHandleEx(host, FileBasicInfo, &info, sizeof info))
        return last_error();
    info.FileAttributes = mode & 0200 ? info.FileAttributes & ~(DWORD)FILE_ATTRIBUTE_READONLY
                                      : info.FileAttributes | FILE_ATTRIBUTE_READONLY;
    return SetFileInformationByHandle(host, FileBasicInfo, &info, sizeof info) ? 0 : last_error();
}

static int64_t set(HANDLE host, const struct pal_attributes *values, uint32_t mask)
{
    int64_t error = 0;
    if ((mask & PAL_SET_OWNER && values->uid != boot->uid) || (mask & PAL_SET_GROUP && values->gid != boot->gid))
        return -EPERM;
    if (mask & PAL_SET_SIZE)
        error = set_size(host, values->size);
    if (error == 0 && mask & (PAL_SET_ATIME | PAL_SET_MTIME | PAL_SET_ATIME_NOW | PAL_SET_MTIME_NOW))
        error = set_times(host, values, mask);
    return error == 0 && mask & PAL_SET_MODE ? set_mode(host, values->mode) : error;
}

int64_t windows_attributes_set(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                               uint32_t mask, struct pal_path_buffer *escape)
{
    const struct windows_handle *stream = handle_find(handle);
    (void)escape;
    if (handle != PAL_NO_HANDLE)
        return !stream ? -EBADF : stream->kind == HANDLE_STREAM || stream->kind == HANDLE_PIPE ? -EPERM : set(stream->host, values, mask);
    struct windows_path path;
    HANDLE host = NULL;
    int64_t error = path_of(name, &path);
    DWORD access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | (mask & PAL_SET_SIZE ? FILE_WRITE_DATA : 0u);
    if (error == 0)
        error = path_open(&path, access, OPEN_EXISTING, &host);
    if (error < 0)
        return error;
    error = set(host, values, mask);
    CloseHandle(host);
    return error;
}
