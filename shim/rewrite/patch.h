/* SPDX-License-Identifier: MIT */
/* Changing instructions that other threads may be executing.  The pages are writable while these run. */
#ifndef SHIM_PATCH_H
#define SHIM_PATCH_H

#include "shim/rewrite/rewrite.h"

#define PATCH_SIZE_MAX 5
#define PATCH_FAULT 0xf4 /* hlt: the cheapest instruction that faults, and RIP stays at it */

/* Replaces `size` bytes at `at` by ones that begin with a jump.  A thread that arrives meanwhile runs what was
 * there, or the new bytes, or faults at `at` (site_fault sends it to the trampoline). */
void patch_publish(const struct site_host *host, uint64_t at, const uint8_t *bytes, uint32_t size);
/* The reverse: until the end, a thread that arrives inside finds the jump's trapping bytes. */
void patch_withdraw(const struct site_host *host, uint64_t at, const uint8_t *bytes, uint32_t size);

#endif
