/* SPDX-License-Identifier: MIT */
/*
 * Handles on their way from one picoprocess to another: a table in the segment.  What is on its way is a copy that the giver has; whoever
 * takes it takes it from there, so it is lost when the giver ends before.
 */
#include "pal/windows/windows.h"

#define PLACES 512u

struct passed {
    volatile LONG state; /* 0: free; else the giver's process */
    uint32_t serial, kind, flags;
    uint64_t host;
};
static struct passed *places;

uint64_t pass_init(uint64_t at)
{
    places = (struct passed *)at;
    return at + PLACES * sizeof *places;
}

static int64_t put(const struct windows_handle *from, HANDLE copy, uint64_t *token)
{
    static volatile LONG serials;
    for (uint32_t i = 0; i < PLACES; i++) {
        struct passed *place = &places[i];
        if (place->state || InterlockedCompareExchange(&place->state, -1, 0))
            continue;
        place->serial = (uint32_t)InterlockedIncrement(&serials) ^ GetCurrentProcessId() << 16;
        place->kind = from->kind;
        place->flags = from->flags;
        place->host = (uint64_t)copy;
        *token = (uint64_t)place->serial << 32 | (i + 1);
        InterlockedExchange(&place->state, (LONG)GetCurrentProcessId());
        return 0;
    }
    return -ENOMEM;
}

int64_t windows_handle_export(pal_handle_t handle, uint64_t *token)
{
    const struct windows_handle *from = handle_find(handle);
    HANDLE copy, self = GetCurrentProcess();
    if (!from)
        return -EBADF;
    if (!DuplicateHandle(self, from->host, self, &copy, 0, FALSE, DUPLICATE_SAME_ACCESS))
        return last_error();
    int64_t error = put(from, copy, token);
    if (error < 0)
        CloseHandle(copy);
    return error;
}

/* The giver's copy goes in every case. */
static int64_t take_from(DWORD giver, const struct passed *passed, HANDLE *out)
{
    HANDLE process = OpenProcess(PROCESS_DUP_HANDLE, FALSE, giver);
    if (!process)
        return -ENOENT;
    BOOL ok = DuplicateHandle(process, (HANDLE)passed->host, GetCurrentProcess(), out, 0, FALSE, DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE);
    CloseHandle(process);
    return ok ? 0 : -ENOENT;
}

int64_t windows_handle_import(uint64_t token, pal_handle_t *out)
{
    uint32_t number = (uint32_t)token - 1;
    HANDLE host;
    if (number >= PLACES)
        return -ENOENT;
    struct passed *place = &places[number], passed = *place;
    if (passed.state <= 0 || passed.serial != token >> 32 || InterlockedCompareExchange(&place->state, -1, passed.state) != passed.state)
        return -ENOENT;
    int64_t result = take_from((DWORD)passed.state, &passed, &host);
    InterlockedExchange(&place->state, 0);
    if (result < 0)
        return result;
    if (out)
        result = handle_add(host, passed.kind, passed.flags);
    if (!out || result < 0)
        CloseHandle(host);
    if (out && result >= 0)
        *out = (pal_handle_t)result;
    return MIN(result, 0);
}
