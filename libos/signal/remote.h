/* SPDX-License-Identifier: MIT */
/*
 * A question to another process of the sandbox, answered by one of its own threads at its next interrupt: for what is too
 * costly to keep in the shared segment for rare readers.
 */
#ifndef LIBOS_SIGNAL_REMOTE_H
#define LIBOS_SIGNAL_REMOTE_H

#include "libos/task/task.h"

#define ASK_INPUT 512u
#define ASK_OUTPUT 65536u

/* Runs in the process that is asked, on a thread of it that holds no lock.  Gives the result, and up to ASK_OUTPUT bytes of
 * *out_size in `out`. */
typedef int64_t (*answer_function)(const void *input, size_t size, char *out, size_t *out_size);

/* The function lies in the image, which is the same in all picoprocesses.  `out` has room for ASK_OUTPUT bytes.  The answer's
 * result; or -ESRCH: no such process, or it is ending; -EAGAIN: it has not answered for long. */
int64_t process_ask(int pid, answer_function function, const void *input, size_t size, char *out, size_t *out_size);

/* process/deliver.c, of an interrupted thread; holds no lock. */
void process_answer(void);
/* For entry/segment.c: makes room at `at`, returns its end. */
uint64_t ask_init(uint64_t at, uint64_t end);
#endif
