/* SPDX-License-Identifier: MIT */
/* The table that the libOS is given: stubs of entry.S, which end up here by index. */
#include "pal/windows/windows.h"

static int64_t none(void)
{
    return -ENOSYS;
}

#define INDEX(call) ((offsetof(struct pal_api, call) - offsetof(struct pal_api, memory_reserve)) / sizeof(void *))
#define CALL(call) [INDEX(call)] = (const void *)windows_##call
#define NONE(call) [INDEX(call)] = (const void *)none

const void *const windows_calls[STUBS] = {
    CALL(memory_reserve),   CALL(memory_release),   CALL(memory_commit),  CALL(memory_decommit),   CALL(memory_protect),
    CALL(memory_map),       CALL(memory_move),      CALL(code_sync),      CALL(thread_create),     CALL(thread_exit),
    CALL(thread_yield),     CALL(thread_interrupt), CALL(thread_set),     CALL(wait),              CALL(wake),
    CALL(lock),             CALL(unlock),           CALL(stream_open),    CALL(handle_close),      CALL(stream_read),
    CALL(stream_write),     CALL(stream_vectors),   CALL(stream_list),    CALL(stream_control),    CALL(attributes_get),
    CALL(attributes_set),   CALL(name_change),      CALL(name_read),      CALL(name_revalidate),   CALL(object_create),
    NONE(socket_send),      NONE(socket_receive),   NONE(socket_bind),    NONE(socket_connect),    CALL(poll),
    CALL(poll_set_update),  CALL(poll_set_wait),    CALL(process_fork),   CALL(process_wait),      CALL(process_exit),
    CALL(process_interrupt), CALL(handle_export),   CALL(handle_import),  CALL(clock_get),         CALL(random),
};
_Static_assert(INDEX(random) + 1 == PAL_CALL_COUNT && PAL_CALL_COUNT <= STUBS, "a stub for each call");

void api_fill(struct pal_api *api)
{
    const void **call = (const void **)&api->memory_reserve;
    api->abi_version = PAL_ABI_VERSION;
    api->count = PAL_CALL_COUNT;
    for (uint32_t i = 0; i < PAL_CALL_COUNT; i++)
        call[i] = windows_stubs + i * windows_stub_size;
}
