/* SPDX-License-Identifier: MIT */
/* What goes by name: opening, creating, removing, renaming.  Symlinks, FIFOs and sockets this host's directories have not. */
#include "pal/windows/windows.h"

static DWORD access_of(uint32_t flags)
{
    DWORD access = FILE_READ_ATTRIBUTES;
    if (flags & PAL_OPEN_PATH)
        return access;
    if (flags & PAL_OPEN_READ)
        access |= FILE_GENERIC_READ;
    if (flags & PAL_OPEN_WRITE)
        access |= FILE_GENERIC_WRITE;
    return access;
}

static DWORD disposition(uint32_t flags)
{
    if (!(flags & PAL_OPEN_CREATE))
        return OPEN_EXISTING;
    return flags & PAL_OPEN_EXCLUSIVE ? CREATE_NEW : OPEN_ALWAYS;
}

/* What was opened must be of the kind that was asked for. */
static int64_t check(const struct windows_path *path, uint32_t flags, const struct pal_attributes *attributes)
{
    int directory = attributes->type == PAL_TYPE_DIRECTORY;
    if (!directory && (path->directory || flags & PAL_OPEN_DIRECTORY))
        return -ENOTDIR;
    return directory && flags & (PAL_OPEN_WRITE | PAL_OPEN_CREATE) ? -EISDIR : 0;
}

static int64_t finish_open(const struct windows_path *path, uint32_t flags, HANDLE host, struct pal_attributes *attributes)
{
    int64_t error = attributes_of(host, attributes);
    if (error == 0)
        error = check(path, flags, attributes);
    if (error == 0 && flags & PAL_OPEN_TRUNCATE && attributes->size) {
        FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = 0};
        error = SetFileInformationByHandle(host, FileEndOfFileInfo, &end, sizeof end) ? 0 : last_error();
        attributes->size = attributes->blocks = 0;
    }
    uint32_t kind = attributes->type == PAL_TYPE_DIRECTORY ? HANDLE_DIRECTORY
                    : attributes->type == PAL_TYPE_FILE    ? HANDLE_FILE
                                                           : HANDLE_STREAM;
    const uint32_t kept = PAL_OPEN_READ | PAL_OPEN_WRITE | PAL_OPEN_APPEND | PAL_OPEN_NONBLOCK;
    if (error == 0)
        error = handle_add(host, kind, flags & PAL_OPEN_PATH ? 0 : flags & kept);
    if (error < 0)
        CloseHandle(host);
    return error;
}

int64_t windows_stream_open(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                            struct pal_attributes *out_attributes, struct pal_path_buffer *escape)
{
    struct windows_path path;
    struct pal_attributes attributes;
    HANDLE host = NULL;
    (void)mode;
    if (flags & PAL_OPEN_TEMPORARY)
        return -EOPNOTSUPP;
    int64_t error = path_of(name, &path);
    if (error == 0 && path.directory && flags & PAL_OPEN_CREATE)
        return -EISDIR;
    if (error == 0)
        error = path_open(&path, access_of(flags), disposition(flags), &host);
    if (error < 0)
        return error;
    int64_t handle = finish_open(&path, flags, host, &attributes);
    if (handle < 0)
        return handle;
    *out = (pal_handle_t)handle;
    if (out_attributes)
        *out_attributes = attributes;
    if (escape && (attributes.type != PAL_TYPE_DIRECTORY || path_guest(&path, escape) < 0))
        escape->size = 0;
    return 0;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* What is open keeps its bytes.  Windows 10 takes the name away at once; hosts that can't do it when the last handle closes. */
static int64_t remove_name(const struct windows_path *path, int directory)
{
    struct pal_attributes attributes;
    FILE_DISPOSITION_INFO plain = {.DeleteFile = TRUE};
    struct { DWORD flags; } at_once = {0x13}; /* FILE_DISPOSITION_DELETE, POSIX_SEMANTICS, IGNORE_READONLY_ATTRIBUTE */
    HANDLE host;
    int64_t error = path_open(path, DELETE | FILE_READ_ATTRIBUTES, OPEN_EXISTING, &host);
    if (error < 0)
        return error;
    error = attributes_of(host, &attributes);
    if (error == 0 && (attributes.type == PAL_TYPE_DIRECTORY) != directory)
        error = directory ? -ENOTDIR : -EISDIR;
    if (error == 0 && !SetFileInformationByHandle(host, (FILE_INFO_BY_HANDLE_CLASS)21, &at_once, sizeof at_once) &&
        !SetFileInformationByHandle(host, FileDispositionInfo, &plain, sizeof plain))
        error = last_error();
    CloseHandle(host);
    return error;
}

static int64_t rename_name(const struct windows_path *from, const struct windows_path *to, uint32_t flags)
{
    if (flags & ~(uint32_t)PAL_RENAME_NOREPLACE)
        return -EINVAL;
    return MoveFileExW(from->text, to->text, flags & PAL_RENAME_NOREPLACE ? 0 : MOVEFILE_REPLACE_EXISTING) ? 0 : path_error(from);
}

int64_t windows_name_change(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                            struct pal_path_buffer *escape)
{
    struct windows_path path, target;
    int64_t error = op < PAL_CHANGE_COUNT && (op != PAL_RENAME || other) ? path_of(name, &path) : -EINVAL;
    (void)escape;
    if (error == 0 && (op == PAL_RENAME || op == PAL_LINK))
        error = path_of(other, &target);
    if (error < 0)
        return error;
    switch (op) {
    case PAL_MKDIR:
        return CreateDirectoryW(path.text, NULL) ? 0 : path_error(&path);
    case PAL_RMDIR:
        return remove_name(&path, 1);
    case PAL_UNLINK:
        return remove_name(&path, 0);
    case PAL_RENAME:
        return rename_name(&path, &target, mode);
    case PAL_LINK:
        return CreateHardLinkW(target.text, path.text, NULL) ? 0 : path_error(&target);
    }
    return -EPERM;
}

int64_t windows_name_read(const struct pal_name *name, struct pal_path_buffer *out)
{
    struct windows_path path;
    if (name->validity)
        name->validity->parts = 0;
    int64_t error = path_of(name, &path);
    if (error < 0)
        return error;
    if (GetFileAttributesW(path.text) == INVALID_FILE_ATTRIBUTES)
        return path_error(&path);
    return name->nofollow ? -EINVAL : path_guest(&path, out);
}

/* No answer is ever said to last. */
int64_t windows_name_revalidate(const struct pal_validity *validity)
{
    (void)validity;
    return 0;
}
