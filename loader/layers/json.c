/* SPDX-License-Identifier: MIT */
/* JSON, told value by value; in the helper. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/layers/layers.h"

#define TEXT_MAX (4u << 20)
#define DEPTH_MAX 16

static void tell_value(const char *keys, const char *value, layer_tell *tell)
{
    const struct layer_packet packet = {.kind = LAYER_VALUE, .first = (uint32_t)strlen(keys), .second = (uint32_t)strlen(value)};
    if (packet.second <= LAYER_TEXT_MAX)
        tell(&packet, keys, value);
}

static void flatten(json_t *value, char keys[LAYER_TEXT_MAX + 1], size_t size, int depth, layer_tell *tell);

/* keys: of what holds it, with a "/" behind. */
static void flatten_one(json_t *value, const char *key, char keys[LAYER_TEXT_MAX + 1], size_t size, int depth, layer_tell *tell)
{
    size_t more = strlen(key);
    if (size + more + 1 > LAYER_TEXT_MAX || strchr(key, '/') || depth == DEPTH_MAX)
        return;
    memcpy(keys + size, key, more + 1);
    flatten(value, keys, size + more, depth + 1, tell);
}

static void flatten(json_t *value, char keys[LAYER_TEXT_MAX + 1], size_t size, int depth, layer_tell *tell)
{
    char number[24];
    if (json_is_string(value) || json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        tell_value(keys, json_is_string(value) ? json_string_value(value) : number, tell);
        return;
    }
    if (size)
        keys[size++] = '/';
    for (size_t i = 0; i < json_array_size(value); i++) {
        snprintf(number, sizeof number, "%zu", i);
        flatten_one(json_array_get(value, i), number, keys, size, depth, tell);
    }
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
        flatten_one(json_object_iter_value(at), json_object_iter_key(at), keys, size, depth, tell);
}

int json_read(const struct layer_part *part, layer_tell *tell)
{
    static char keys[LAYER_TEXT_MAX + 1];
    json_error_t error;
    char *text = part->size > TEXT_MAX ? NULL : malloc(part->size + 1);
    if (!text || pread(part->file, text, part->size, (off_t)part->offset) != (ssize_t)part->size)
        return text ? -EIO : -E2BIG;
    json_t *value = json_loadb(text, part->size, 0, &error);
    if (!value)
        return -EUCLEAN;
    flatten(value, keys, 0, 0, tell);
    return 0;
}
