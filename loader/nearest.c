/* SPDX-License-Identifier: MIT */
/* Names that were mistyped: which known one was meant? */
#include <stdint.h>
#include <string.h>

#include "loader/nearest.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t name_distance(const char *a, const char *b)
{
    size_t row[32], size = strlen(b);
    if (size + 1 > sizeof row / sizeof *row || strlen(a) > 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= size; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= size; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[size];
}

int name_is_near(const char *name, const char *known)
{
    size_t length = strlen(name) < strlen(known) ? strlen(known) : strlen(name);
    return name_distance(name, known) <= (length + 1) / 3;
}
