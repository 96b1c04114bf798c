/* SPDX-License-Identifier: MIT */
/* The ways into the libOS. */
#ifndef LIBOS_ENTRY_H
#define LIBOS_ENTRY_H

#include "libos/libos.h"

/* ---- dispatch.c: called from shim/entry.S.  The result goes into the frame's RAX; one below 0, to libos_failed --- */

int64_t libos_syscall(struct frame *frame);
void libos_failed(struct frame *frame, int64_t result);
void libos_work(struct frame *frame);
void libos_exception(struct frame *frame);
void libos_interrupt(struct frame *frame);
uint32_t libos_classify(struct pal_context *context, struct pal_tcb *tcb, uint32_t is_exception);
extern bool libos_dispatch_slowly; /* --trace or --stats */

/* ---- segment.c -------------------------------------------------------------------------------------------------- */

void segment_init(void);

/* ---- trace.c ----------------------------------------------------------------------------------------------------- */

void trace_call(const struct frame *frame, int64_t result);

#endif
