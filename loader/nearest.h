/* SPDX-License-Identifier: MIT */
/* Names that were mistyped: which known one was meant? */
#ifndef LOADER_NEAREST_H
#define LOADER_NEAREST_H

#include <stddef.h>

/* How many letters must be changed, added or removed to make `b` of `a` (Levenshtein).  SIZE_MAX where one is too long. */
size_t name_distance(const char *a, const char *b);

/* Near enough to suggest `known` to somebody who wrote `name`: at most one edit for each three letters. */
int name_is_near(const char *name, const char *known);

#endif
