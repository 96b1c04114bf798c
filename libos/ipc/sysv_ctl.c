/* SPDX-License-Identifier: MIT */
/* What semctl, msgctl and shmctl share. */
#include "libos/ipc/ipc.h"

#define GUEST_SIZE_MAX 128u /* of the kinds' structures */

int64_t ipc_status(const struct ipc_control *control, int32_t id, enum ipc_named named, guest_t to)
{
    uint64_t out[GUEST_SIZE_MAX / 8] = {0};
    ipc_lock();
    const struct ipc_object *object =
        named == IPC_BY_ID ? ipc_find(control->kind, id) : ipc_at(control->kind, (uint32_t)id);
    int64_t result = !object ? -EINVAL : named == IPC_BY_INDEX_ANY || ipc_permits(object, IPC_READ) ? 0 : -EACCES;
    if (result == 0) {
        ipc_permissions(object, (struct ipc_guest_permissions *)(void *)out);
        control->show(object, out);
        result = named == IPC_BY_ID ? 0 : ipc_id(object);
    }
    ipc_unlock();
    return result >= 0 && copy_out(to, out, control->size) < 0 ? -EFAULT : result;
}

int64_t ipc_change(const struct ipc_control *control, int32_t id, int32_t command, guest_t argument)
{
    uint64_t from[GUEST_SIZE_MAX / 8];
    if (command == IPC_SET && copy_in(from, argument, control->size) < 0)
        return -EFAULT;
    ipc_lock();
    struct ipc_object *object = ipc_find(control->kind, id);
    int64_t result = object ? control->change(object, command, from) : -EINVAL;
    ipc_unlock();
    return result;
}

bool ipc_row(enum ipc_kind kind, uint32_t *at, char *out, size_t size)
{
    bool found = false;
    ipc_lock();
    for (uint32_t end = (uint32_t)ipc_highest(kind) + 1; !found && *at < end; ++*at) {
        const struct ipc_object *object = ipc_at(kind, *at);
        found = object && ipc_permits(object, IPC_READ);
        if (found)
            ipc_kind_ops(kind)->row(object, out, size);
    }
    ipc_unlock();
    return found;
}
