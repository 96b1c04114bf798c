/* SPDX-License-Identifier: MIT */
/*
 * Objects that are memory: a section whose handle the processes inherit, mapped where it is first used.  Here the mapping and events; poll
 * sets are poll_set.c's.  A handle's number keeps its mapping until another such object gets the number: the image closes no
 * handle that it uses.
 */
#include "pal/windows/windows.h"

#define MOST_COUNT (UINT64_MAX - 1)
#define POLLIN 1
#define POLLOUT 4

struct event { uint64_t count; uint32_t semaphore, writes; };

static void *places[MOST_HANDLES];

int64_t memory_object(uint32_t kind, uint32_t flags, uint64_t size, void **out)
{
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, (DWORD)size, NULL);
    void *place = section ? MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0) : NULL;
    int64_t handle = place ? handle_add(section, kind, flags) : -ENOMEM;
    if (handle < 0) {
        if (place)
            UnmapViewOfFile(place);
        if (section)
            CloseHandle(section);
        return handle;
    }
    void *old = __atomic_exchange_n(&places[handle], place, __ATOMIC_ACQ_REL);
    if (old)
        UnmapViewOfFile(old);
    *out = place;
    return handle;
}

/* In a fork's child it is not mapped yet. */
void *memory_object_of(const struct windows_handle *object)
{
    uint32_t number = handle_number(object);
    void *place = __atomic_load_n(&places[number], __ATOMIC_ACQUIRE), *none = NULL;
    if (place)
        return place;
    place = MapViewOfFile(object->host, FILE_MAP_ALL_ACCESS, 0, 0, 0);
    if (!place || __atomic_compare_exchange_n(&places[number], &none, place, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return place;
    UnmapViewOfFile(place);
    return none;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

int64_t event_create(uint32_t flags, uint64_t value, pal_handle_t *out)
{
    void *place;
    if (value >> 32)
        return -EINVAL;
    const uint32_t nonblock = flags & PAL_OBJ_NONBLOCK ? PAL_OPEN_NONBLOCK : 0;
    int64_t handle = memory_object(HANDLE_EVENT, PAL_OPEN_READ | PAL_OPEN_WRITE | nonblock, sizeof(struct event), &place);
    if (handle < 0)
        return handle;
    *(struct event *)place = (struct event){.count = value, .semaphore = (flags & PAL_OBJ_SEMAPHORE) != 0};
    *out = (pal_handle_t)handle;
    return 0;
}

static int64_t take(struct event *event, uint64_t *out)
{
    uint64_t count = __atomic_load_n(&event->count, __ATOMIC_SEQ_CST);
    do {
        if (!count)
            return -EAGAIN;
        *out = event->semaphore ? 1 : count;
    } while (!__atomic_compare_exchange_n(&event->count, &count, count - *out, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}

static int64_t add(struct event *event, uint64_t more)
{
    uint64_t count = __atomic_load_n(&event->count, __ATOMIC_SEQ_CST);
    do {
        if (more > MOST_COUNT - count)
            return -EAGAIN;
    } while (!__atomic_compare_exchange_n(&event->count, &count, count + more, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&event->writes, 1, __ATOMIC_SEQ_CST);
    return 0;
}

int64_t event_move(const struct windows_handle *handle, int write, uint64_t buffer, uint64_t size)
{
    struct event *event = memory_object_of(handle);
    uint64_t value = 0;
    if (!event)
        return -ENOMEM;
    if (size < sizeof value)
        return -EINVAL;
    if (write && windows_copy(&value, (const void *)buffer, sizeof value))
        return -EFAULT;
    if (write && value == UINT64_MAX)
        return -EINVAL;
    for (;;) {
        uint32_t seen = word_changes();
        int64_t error = write ? add(event, value) : take(event, &value);
        if (error == -EAGAIN && !(handle->flags & PAL_OPEN_NONBLOCK))
            error = word_await_change(seen, PAL_FOREVER);
        else if (error < 0)
            return error;
        else
            break;
        if (error < 0)
            return error;
    }
    word_changed();
    return !write && windows_copy((void *)buffer, &value, sizeof value) ? -EFAULT : (int64_t)sizeof value;
}

int16_t event_ready(const struct windows_handle *handle)
{
    const struct event *event = memory_object_of(handle);
    uint64_t count = event ? __atomic_load_n(&event->count, __ATOMIC_SEQ_CST) : 0;
    return (int16_t)((count ? POLLIN : 0) | (count < MOST_COUNT ? POLLOUT : 0));
}

uint64_t event_edge(const struct windows_handle *handle)
{
    const struct event *event = memory_object_of(handle);
    return event ? __atomic_load_n(&event->writes, __ATOMIC_SEQ_CST) : 0;
}
