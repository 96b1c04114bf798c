/* SPDX-License-Identifier: MIT */
/*
 * Pseudoterminals, and what the filter does not let a picoprocess do to a terminal: the monitor does it, and only to
 * those that it made.
 */
#include "pal/linux/linux.h"

int64_t terminal_create(pal_handle_t *out)
{
    struct monitor_request request = {.op = MONITOR_PTY};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, handles);
    if (error < 0)
        return error;
    *out = handles[0];
    return (int64_t)reply.value;
}

int64_t terminal_inner(uint64_t number, pal_handle_t *out)
{
    return monitor_take(MONITOR_PTY_INNER, number, out);
}

int64_t terminal_control(pal_handle_t handle, uint32_t what, uint64_t value, uint64_t *out_value)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)what << 32 | (uint32_t)handle, value}};
    struct monitor_reply reply;
    int64_t error = monitor_call(&request, NULL, NULL, &reply, NULL, NULL);
    if (error < 0)
        return error;
    if (out_value)
        *out_value = reply.value;
    return 0;
}

int64_t terminal_modes(pal_handle_t handle, const struct pal_terminal *modes)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)MONITOR_TERMINAL_MODES << 32 | (uint32_t)handle, 0}};
    struct pal_name bytes = {.path = (const char *)modes, .size = sizeof *modes};
    struct monitor_reply reply;
    return modes->when > 2 ? -EINVAL : monitor_call(&request, NULL, &bytes, &reply, NULL, NULL);
}

int64_t terminal_keys(struct pal_path_buffer *out)
{
    struct monitor_request request = {
        .op = MONITOR_TERMINAL, .arguments = {(uint64_t)MONITOR_TERMINAL_READ << 32, out->size}};
    struct monitor_reply reply;
    return monitor_call(&request, NULL, NULL, &reply, out, NULL);
}
