/* SPDX-License-Identifier: MIT */
/*
 * Finding syscall instructions that nobody has executed yet.
 *
 * The two bytes also occur inside other instructions and in data that lies between code.  Changing those would change
 * what a program computes, so bytes are believed to be a syscall instruction only where the code before leads up to
 * them.  What is not believed keeps its bytes: where it is one after all, it traps as without any scan.
 */
#ifndef SHIM_SCAN_H
#define SHIM_SCAN_H

#include "shim/rewrite/plan.h"

/* The next two such bytes in [from, end): their address, or `end`. */
uint64_t scan_next(uint64_t from, uint64_t end);
uint64_t scan_next_cpuid(uint64_t from, uint64_t end);
/* Whether the bytes at text->syscall are an instruction.  The window is filled. */
bool scan_believes(const struct text_window *text);

/* Likewise, and whether `patch` bytes from it (none, or before) an instruction begins: whoever says so.  `known`: where one
 * begins, before all that, or 0: mostly it leads there. */
bool scan_proves(const struct text_window *text, int patch, uint64_t known);

#endif
