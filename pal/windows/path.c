/* SPDX-License-Identifier: MIT */
/*
 * The guest's names as the host's.  One host directory is the guest's root; "." and ".." are resolved here, by the text.  Names
 * that Win32 has another meaning for (a stream's colon, wildcards) do not exist.
 */
#include "pal/windows/windows.h"

static WCHAR root[MAX_PATH];
static uint32_t root_size; /* without a slash at the end */

struct windows_root path_root_get(void)
{
    struct windows_root result = {.size = root_size};
    memcpy(result.text, root, sizeof root);
    return result;
}

void path_root_set(const struct windows_root *from)
{
    memcpy(root, from->text, sizeof root);
    root_size = from->size;
}

static int is_separator(WCHAR c)
{
    return c == '/' || c == '\\';
}

/* "\\?\" keeps Win32 from rewriting what follows. */
int64_t path_root(const char *directory)
{
    static const WCHAR prefix[] = L"\\\\?\\";
    memcpy(root, prefix, sizeof prefix);
    int size = MultiByteToWideChar(CP_UTF8, 0, directory, -1, root + 4, MAX_PATH - 6);
    if (size <= 1)
        return -EINVAL;
    root_size = 4 + (uint32_t)size - 1;
    for (uint32_t i = 4; i < root_size; i++)
        root[i] = is_separator(root[i]) ? '\\' : root[i];
    while (root_size > 4 && root[root_size - 1] == '\\')
        root_size--;
    struct windows_path path = {.size = root_size};
    memcpy(path.text, root, root_size * sizeof(WCHAR));
    path.text[path.size++] = '\\';
    DWORD attributes = GetFileAttributesW(path.text);
    return attributes == INVALID_FILE_ATTRIBUTES || !(attributes & FILE_ATTRIBUTE_DIRECTORY) ? -ENOTDIR : 0;
}

static void path_begin(struct windows_path *path)
{
    memcpy(path->text, root, root_size * sizeof(WCHAR));
    path->size = root_size;
    path->directory = 0;
}

static int name_ok(const char *name, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)name[i];
        if (c < ' ' || c == '"' || c == '*' || c == ':' || c == '<' || c == '>' || c == '?' || c == '\\' || c == '|')
            return 0;
    }
    return name[size - 1] != '.' && name[size - 1] != ' ';
}

static int64_t add_part(struct windows_path *path, const char *part, uint32_t size)
{
    path->directory = size == 1 && part[0] == '.';
    if (path->directory)
        return 0;
    if (size == 2 && part[0] == '.' && part[1] == '.') {
        path->directory = 1;
        while (path->size > root_size && path->text[--path->size] != '\\')
            ;
        return 0;
    }
    if (!name_ok(part, size))
        return -ENOENT;
    if (path->size + size + 2 > MOST_WIDE)
        return -ENAMETOOLONG;
    path->text[path->size++] = '\\';
    int wide = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, part, (int)size, path->text + path->size,
                                   (int)(MOST_WIDE - path->size - 1));
    path->size += (uint32_t)wide;
    return wide ? 0 : -ENOENT;
}

static int64_t add_parts(struct windows_path *path, const char *name, uint32_t size)
{
    for (uint32_t at = 0, end; at < size; at = end + 1) {
        for (end = at; end < size && name[end] != '/'; end++)
            ;
        int64_t error = end > at ? add_part(path, name + at, end - at) : 0;
        if (error < 0)
            return error;
    }
    if (size && name[size - 1] == '/')
        path->directory = 1;
    return 0;
}

/* Where an open directory is by now. */
static int64_t path_of_handle(pal_handle_t handle, struct windows_path *out)
{
    const struct windows_handle *found = handle_find(handle);
    if (!found)
        return -EBADF;
    DWORD size = GetFinalPathNameByHandleW(found->host, out->text, MOST_WIDE, FILE_NAME_NORMALIZED);
    if (!size || size >= MOST_WIDE)
        return size ? -ENAMETOOLONG : last_error();
    out->size = size;
    while (out->size > root_size && out->text[out->size - 1] == '\\')
        out->size--;
    return out->size < root_size || memcmp(out->text, root, root_size * sizeof(WCHAR)) != 0 ? -ENOENT : 0;
}

int64_t path_of(const struct pal_name *name, struct windows_path *out)
{
    if (!name)
        return -EINVAL;
    if (name->size >= PAL_PATH_MAX || (!name->size && !name->from))
        return name->size ? -ENAMETOOLONG : -ENOENT;
    path_begin(out);
    uint32_t base = name->from ? name->base : 0;
    int64_t error = name->from && name->from->handle != PAL_NO_HANDLE ? path_of_handle(name->from->handle, out) : 0;
    if (error == 0)
        error = add_parts(out, name->path + base, name->size - base);
    if (error == 0 && out->size == root_size)
        out->text[out->size++] = '\\';
    out->text[out->size] = 0;
    return error;
}

int64_t path_guest(const struct windows_path *path, struct pal_path_buffer *out)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, path->text + root_size, (int)(path->size - root_size), out->bytes, PAL_PATH_MAX - 1,
                                   NULL, NULL);
    if (size <= 0)
        return -ENAMETOOLONG;
    for (int i = 0; i < size; i++)
        out->bytes[i] = out->bytes[i] == '\\' ? '/' : out->bytes[i];
    out->bytes[size] = 0;
    out->size = (uint32_t)size;
    return size;
}

/* Some part of the name that is there, but no directory? */
static int through_file(const struct windows_path *path)
{
    struct windows_path part = *path;
    while (part.size > root_size + 1) {
        while (part.size > root_size + 1 && part.text[--part.size] != '\\')
            ;
        part.text[part.size] = 0;
        DWORD attributes = GetFileAttributesW(part.text);
        if (attributes != INVALID_FILE_ATTRIBUTES)
            return !(attributes & FILE_ATTRIBUTE_DIRECTORY);
    }
    return 0;
}

int64_t path_error(const struct windows_path *path)
{
    DWORD error = GetLastError();
    return error == ERROR_PATH_NOT_FOUND && through_file(path) ? -ENOTDIR : error_of(error);
}

int64_t path_open(const struct windows_path *path, DWORD access, DWORD how, HANDLE *out)
{
    *out = CreateFileW(path->text, access | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, how,
                       FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_POSIX_SEMANTICS, NULL);
    return *out == INVALID_HANDLE_VALUE ? path_error(path) : 0;
}
