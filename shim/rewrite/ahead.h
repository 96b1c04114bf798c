/* SPDX-License-Identifier: MIT */
/* Rewriting before text is executed: what rewrite.h's site_find_all and site_rewrite_... do, under the sites' lock. */
#ifndef SHIM_AHEAD_H
#define SHIM_AHEAD_H

#include "shim/rewrite/rewrite.h"

uint32_t ahead_find(const struct site_host *host, uint64_t start, uint64_t end, struct site_record *out, uint32_t room);
/* Both, false: the host doesn't let the text be written. */
bool ahead_rewrite(const struct site_host *host, uint64_t start, uint64_t end, const struct site_record *records,
                   uint32_t count, struct site_statistics *statistics);
bool ahead_rewrite_hinted(const struct site_host *host, uint64_t start, uint64_t end, struct site_hint *hints,
                          uint32_t count, uint32_t *rewritten, struct site_statistics *statistics);

#endif
