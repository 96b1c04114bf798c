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
void libos_cpuid(struct frame *frame, uint32_t site); /* at the cpuid of that site */
uint32_t libos_classify(struct pal_context *context, struct pal_tcb *tcb, uint32_t is_exception);

/* ---- segment.c -------------------------------------------------------------------------------------------------- */

void segment_init(void);

/* ---- trace.c ----------------------------------------------------------------------------------------------------- */

/* A call that may not come back to trace_call is told before. */
void trace_before(const struct frame *frame);
void trace_call(const struct frame *frame, int64_t result);

/* ---- trace_names.c: what is printed for values.  Each returns the size, which may be more than there was room for --- */

/* 0: no name is known for this argument of this call, or for this value of it. */
size_t trace_put_named(char *to, size_t size, uint32_t number, unsigned argument, uint64_t value);
size_t trace_put_error(char *to, size_t size, int error);
const char *trace_signal_name(int signal); /* or NULL */

#endif
