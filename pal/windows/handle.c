/* SPDX-License-Identifier: MIT */
/*
 * The table of handles.  A fork's child has a copy of it: the host handles in it are inheritable, and keep their numbers.  They are so
 * from when they are in the table until they are closed, all under its lock: what another thread's fork inherited, and its child
 * does not know of, would keep a pipe open for ever.
 */
#include "pal/windows/windows.h"

static struct windows_handle handles[MOST_HANDLES];
static SRWLOCK lock = SRWLOCK_INIT;

int64_t handle_add(HANDLE host, uint32_t kind, uint32_t flags)
{
    AcquireSRWLockExclusive(&lock);
    int64_t found = -EMFILE;
    for (int32_t i = 0; i < MOST_HANDLES && found < 0; i++)
        if (handles[i].kind == HANDLE_FREE)
            found = i;
    if (found >= 0 && !SetHandleInformation(host, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT))
        found = last_error();
    if (found >= 0)
        handles[found] = (struct windows_handle){.host = host, .kind = kind, .flags = flags};
    ReleaseSRWLockExclusive(&lock);
    return found;
}

struct windows_handle *handle_find(pal_handle_t handle)
{
    return handle >= 0 && handle < MOST_HANDLES && handles[handle].kind != HANDLE_FREE ? &handles[handle] : NULL;
}

uint32_t handle_number(const struct windows_handle *handle)
{
    return (uint32_t)(handle - handles);
}

int64_t windows_handle_close(pal_handle_t handle)
{
    AcquireSRWLockExclusive(&lock);
    struct windows_handle *found = handle_find(handle);
    if (found) {
        CloseHandle(found->host);
        *found = (struct windows_handle){.kind = HANDLE_FREE};
    }
    ReleaseSRWLockExclusive(&lock);
    return found ? 0 : -EBADF;
}

/* ---- Forks ------------------------------------------------------------------------------------------------------- */

void handle_hold(void)
{
    AcquireSRWLockExclusive(&lock);
}

void handle_let_go(void)
{
    ReleaseSRWLockExclusive(&lock);
}

void handle_copy(struct windows_handle *out)
{
    memcpy(out, handles, sizeof handles);
}

void handle_restore(const struct windows_handle *from)
{
    memcpy(handles, from, sizeof handles);
}
