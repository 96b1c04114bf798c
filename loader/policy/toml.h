/* SPDX-License-Identifier: MIT */
/* TOML 1.0 for C: a file's values as a tree, with the line of each.  What is behind is C++ (toml.cc). */
#ifndef LOADER_TOML_H
#define LOADER_TOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum toml_kind { TOML_STRING, TOML_INTEGER, TOML_BOOLEAN, TOML_OTHER /* float, date, time */, TOML_ARRAY, TOML_TABLE };

struct toml_value {
    enum toml_kind kind;
    unsigned line;
    const char *key;    /* in a table; NULL in an array */
    const char *string; /* without a NUL inside */
    int64_t integer;    /* integers and booleans */
    size_t count;       /* of items: an array's in order, a table's by key */
    struct toml_value *items;
};

struct toml_error {
    unsigned line;
    char what[200];
};

/* The root table, which is never freed; NULL: *error says why. */
const struct toml_value *toml_parse_text(const char *text, size_t size, struct toml_error *error);

/* The parser is at its wits' end: ends pal-run. */
void toml_fails(void) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
