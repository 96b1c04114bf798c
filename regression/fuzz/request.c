/* SPDX-License-Identifier: MIT */
/* The monitor's decoder of requests, by libFuzzer.  What it lets through keeps the promises that the monitor relies on. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "loader/monitor/monitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct request request;
    uint8_t *packet = malloc(size ? size : 1); /* of just that size: an access beyond is seen */
    memcpy(packet, bytes, size);
    if (request_decode(packet, size, &request) == 0) {
        assert(request.op > 0 && request.op < MONITOR_OPS);
        assert(request.path_size < PAL_PATH_MAX);
        assert((const uint8_t *)request.other + request.other_size <= packet + size);
        if (request.op == MONITOR_OPEN || request.op == MONITOR_STAT) {
            bool absolute = request.path_size && request.path[0] == '/';
            assert(absolute == !request.from_base.descriptor); /* beneath a descriptor, or a path of its own */
            assert(!memchr(request.path, 0, request.path_size));
        }
        if (request.op == MONITOR_TERMINAL && request.arguments[0] >> 32 == MONITOR_TERMINAL_MODES)
            assert(request.other_size == sizeof(struct pal_terminal));
    }
    free(packet);
    return 0;
}
