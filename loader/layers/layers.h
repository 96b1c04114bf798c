/* SPDX-License-Identifier: MIT */
/*
 * Container images' tars and JSON, read by a helper.
 *
 * They are a stranger's.  Libraries parse them (libarchive, jansson) in a process of its own for each, which has the file and a socket and
 * nothing else (confined/).  It makes no file: it tells names and bytes, and what it tells is checked here as if a stranger told it.
 */
#ifndef LOADER_LAYERS_H
#define LOADER_LAYERS_H

#include "loader/loader.h"

/* ---- What the helper says: packets ------------------------------------------------------------------------------- */

enum layer_kind {
    LAYER_ENTRY, /* of a tar: its path, and a link's target */
    LAYER_BYTES, /* of the entry before */
    LAYER_VALUE, /* of JSON: the keys that lead to it, with "/" between ("a/0/b"), and a string or number as text */
    LAYER_END,   /* the last one: result */
};
#define LAYER_TEXT_MAX 4095
#define LAYER_PACKET 65536

struct layer_packet {
    uint32_t kind;
    int32_t result; /* 0 or a negative errno */
    uint32_t mode, uid, gid, hard; /* hard: the target is a file's own path */
    int64_t mtime;
    uint32_t first, second; /* sizes of the path or keys, and of the target or value, without NULs; bytes: first */
}; /* they follow */
_Static_assert(sizeof(struct layer_packet) + 2 * LAYER_TEXT_MAX < LAYER_PACKET, "one fits");

/* ---- client.c ---------------------------------------------------------------------------------------------------- */

struct layer_part { /* of a file */
    int file;
    uint64_t offset, size;
};
/* Each returns 0 to go on. */
struct layer_visit {
    int (*entry)(void *argument, const struct layer_packet *entry, const char *path, const char *target); /* NUL-ended */
    int (*bytes)(void *argument, const void *bytes, size_t size);
    int (*value)(void *argument, const char *keys, const char *value);
};
/* 0 or a negative errno; -EPIPE, -ETIMEDOUT: the helper is gone; -EUCLEAN: it is damaged. */
int layers_read_tar(const struct layer_part *part, const struct layer_visit *visit, void *argument);
int layers_read_json(const struct layer_part *part, const struct layer_visit *visit, void *argument);
const char *layers_error(int error);

/* ---- tar.c, json.c: in the helper -------------------------------------------------------------------------------- */

typedef void layer_tell(const struct layer_packet *packet, const char *first, const char *second);
int tar_read(const struct layer_part *part, layer_tell *tell);
int json_read(const struct layer_part *part, layer_tell *tell);

#endif
