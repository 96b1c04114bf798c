/* SPDX-License-Identifier: MIT */
/* What the compiler calls, and the host's errors as Linux's: where a name is not found see path.c, too. */
#include "pal/windows/windows.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void *memset(void *to, int byte, size_t size)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a, *y = b;
    for (; size > 0; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *text)
{
    size_t size = 0;
    while (text[size])
        size++;
    return size;
}

int64_t error_of(DWORD error)
{
    static const struct { uint16_t host, number; } table[] = {
        {ERROR_FILE_NOT_FOUND, ENOENT},     {ERROR_PATH_NOT_FOUND, ENOENT},    {ERROR_INVALID_NAME, ENOENT},
        {ERROR_BAD_PATHNAME, ENOENT},       {ERROR_BAD_NETPATH, ENOENT},       {ERROR_DELETE_PENDING, ENOENT},
        {ERROR_TOO_MANY_OPEN_FILES, EMFILE}, {ERROR_ACCESS_DENIED, EACCES},    {ERROR_SHARING_VIOLATION, EBUSY},
        {ERROR_LOCK_VIOLATION, EACCES},     {ERROR_INVALID_HANDLE, EBADF},     {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
        {ERROR_OUTOFMEMORY, ENOMEM},        {ERROR_COMMITMENT_LIMIT, ENOMEM},  {ERROR_INVALID_ADDRESS, ENOMEM},
        {ERROR_NOT_SAME_DEVICE, EXDEV},     {ERROR_WRITE_PROTECT, EROFS},      {ERROR_FILE_EXISTS, EEXIST},
        {ERROR_ALREADY_EXISTS, EEXIST},     {ERROR_INVALID_PARAMETER, EINVAL}, {ERROR_BROKEN_PIPE, EPIPE},
        {ERROR_NO_DATA, EPIPE},             {ERROR_PIPE_NOT_CONNECTED, EPIPE}, {ERROR_DISK_FULL, ENOSPC},
        {ERROR_HANDLE_DISK_FULL, ENOSPC},   {ERROR_DIR_NOT_EMPTY, ENOTEMPTY},  {ERROR_DIRECTORY, ENOTDIR},
        {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG}, {ERROR_NOACCESS, EFAULT},  {ERROR_OPERATION_ABORTED, EINTR},
        {ERROR_NOT_SUPPORTED, EOPNOTSUPP},  {ERROR_CANT_RESOLVE_FILENAME, ELOOP}, {ERROR_SEEK, ESPIPE},
        {ERROR_NEGATIVE_SEEK, EINVAL},      {ERROR_SEEK_ON_DEVICE, ESPIPE},    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
        {ERROR_INVALID_USER_BUFFER, EFAULT},
    };
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].host == error)
            return -(int64_t)table[i].number;
    return -EIO;
}

int64_t last_error(void)
{
    return error_of(GetLastError());
}
