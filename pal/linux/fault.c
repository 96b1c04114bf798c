/* SPDX-License-Identifier: MIT */
/*
 * Fails the n-th PAL call that a host may fail, so that tests can walk through the libOS's error paths one by one.
 * Chosen at run time (pal_boot.fault_nth); otherwise the libOS has the plain table and nothing here is ever run.
 */
#include "pal/linux/linux.h"

#define CALL(name) (offsetof(struct pal_api, name) / sizeof(uint64_t))

/* Which calls fail, and how.  The others (lock, exit, wake, ...) have no failure that a caller could meet. */
static const uint8_t errors[CALL(random) + 1] = {
    [CALL(memory_reserve)] = ENOMEM,
    [CALL(memory_commit)] = ENOMEM,
    [CALL(memory_protect)] = ENOMEM,
    [CALL(memory_map)] = ENOMEM,
    [CALL(memory_move)] = ENOMEM,
    [CALL(thread_create)] = ENOMEM,
    [CALL(stream_open)] = ENOMEM,
    [CALL(stream_read)] = EIO,
    [CALL(stream_write)] = EIO,
    [CALL(stream_vectors)] = EIO,
    [CALL(stream_list)] = EIO,
    [CALL(stream_control)] = EIO,
    [CALL(attributes_get)] = EIO,
    [CALL(attributes_set)] = EIO,
    [CALL(name_change)] = EIO,
    [CALL(name_read)] = EIO,
    [CALL(name_revalidate)] = EIO,
    [CALL(object_create)] = ENOMEM,
    [CALL(socket_send)] = ENOMEM,
    [CALL(socket_receive)] = ENOMEM,
    [CALL(socket_bind)] = ENOMEM,
    [CALL(socket_connect)] = ENOMEM,
    [CALL(poll_set_update)] = ENOMEM,
    [CALL(process_fork)] = ENOMEM,
    [CALL(handle_export)] = ENOMEM,
    [CALL(handle_import)] = ENOMEM,
    [CALL(random)] = EIO,
};

static union {
    struct pal_api api;
    uint64_t calls[CALL(random) + 1];
} wrapped;

extern char linux_fault_stubs[];      /* stubs.S: one stub a call, of equal size */
extern const uint32_t linux_fault_stub_size;
const uint64_t *linux_fault_real;     /* the plain table */
uint32_t linux_fault_left;            /* calls until the one that fails; then far below zero */
int64_t linux_fault_error(uint64_t call);

int64_t linux_fault_error(uint64_t call)
{
    report("fault injected: call, error", call, errors[call]);
    return -(int64_t)errors[call];
}

const struct pal_api *fault_wrap(const struct pal_api *api, uint32_t nth)
{
    linux_fault_real = (const uint64_t *)api;
    linux_fault_left = nth;
    wrapped.api = *api;
    for (uint64_t call = 1; call < sizeof errors; call++)
        if (errors[call])
            wrapped.calls[call] = (uint64_t)linux_fault_stubs + call * linux_fault_stub_size;
    return &wrapped.api;
}
