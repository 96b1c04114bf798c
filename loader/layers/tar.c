/* SPDX-License-Identifier: MIT */
/* Tars, packed by gzip, zstd or not at all; in the helper. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/layers/layers.h"

#define CHUNK 65536

struct input {
    const struct layer_part *part;
    uint64_t at;
    char bytes[CHUNK];
};

static la_ssize_t take(struct archive *tar, void *argument, const void **out)
{
    struct input *input = argument;
    uint64_t left = input->part->size - input->at;
    ssize_t got = pread(input->part->file, input->bytes, left < CHUNK ? (size_t)left : CHUNK, (off_t)(input->part->offset + input->at));
    if (got < 0)
        archive_set_error(tar, errno, "read");
    *out = input->bytes;
    input->at += got > 0 ? (uint64_t)got : 0;
    return got;
}

static uint32_t text_size(const char *text)
{
    return text ? (uint32_t)strlen(text) : 0;
}

static int tell_entry(struct archive_entry *entry, layer_tell *tell)
{
    const char *path = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry), *link = hard ? hard : archive_entry_symlink(entry);
    const struct layer_packet packet = {.kind = LAYER_ENTRY, .mode = archive_entry_mode(entry), .uid = (uint32_t)archive_entry_uid(entry),
                                        .gid = (uint32_t)archive_entry_gid(entry), .hard = hard != NULL, .mtime = archive_entry_mtime(entry),
                                        .first = text_size(path), .second = text_size(link)};
    if (!packet.first || packet.first > LAYER_TEXT_MAX || packet.second > LAYER_TEXT_MAX)
        return -EUCLEAN;
    tell(&packet, path, link ? link : "");
    return 0;
}

/* All bytes in their order; holes are zeros. */
static int tell_bytes(struct archive *tar, layer_tell *tell)
{
    static char bytes[CHUNK / 2];
    for (;;) {
        la_ssize_t got = archive_read_data(tar, bytes, sizeof bytes);
        if (got <= 0)
            return got < 0 ? -EUCLEAN : 0;
        tell(&(struct layer_packet){.kind = LAYER_BYTES, .first = (uint32_t)got}, bytes, "");
    }
}

static int read_entries(struct archive *tar, layer_tell *tell)
{
    struct archive_entry *entry;
    int result, error = 0;
    while (!error && (result = archive_read_next_header(tar, &entry)) != ARCHIVE_EOF) {
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return -EUCLEAN;
        error = tell_entry(entry, tell);
        if (!error && S_ISREG(archive_entry_mode(entry)) && !archive_entry_hardlink(entry))
            error = tell_bytes(tar, tell);
    }
    return error;
}

int tar_read(const struct layer_part *part, layer_tell *tell)
{
    static struct input input;
    struct archive *tar = archive_read_new();
    input.part = part;
    if (!tar || archive_read_support_format_tar(tar) != ARCHIVE_OK || archive_read_support_filter_gzip(tar) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(tar) != ARCHIVE_OK)
        return -ENOMEM;
    if (archive_read_open(tar, &input, NULL, take, NULL) != ARCHIVE_OK)
        return -EUCLEAN;
    return read_entries(tar, tell);
}
