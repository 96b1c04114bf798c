/* SPDX-License-Identifier: MIT */
/*
 * What pal-run believes of an image's helper, by libFuzzer: the helper is the input.  Each request gets the input's next packets
 * for answers; what is passed on are names that a directory can have, texts that end, and results that are errors.
 *
 * An input is a row of packets: a size of two bytes, and its bytes.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "loader/images/images.h"

#define PACKETS 8
#define VISITS 4096

static size_t visits;

static int check(void *argument, const struct image_entry *entry, const char *name, const char *target)
{
    bool names = argument != NULL;
    assert(strnlen(name, IMAGE_NAME_MAX + 1) <= entry->name_size && strlen(target) == entry->target_size);
    assert(!names || (strlen(name) == entry->name_size && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0));
    assert(entry->size <= INT64_MAX);
    return ++visits < VISITS ? 0 : -E2BIG;
}

static void give(int end, const uint8_t **bytes, size_t *size)
{
    for (int i = 0; i < PACKETS && *size >= 2; i++) {
        size_t packet = (size_t)((*bytes)[0] | (*bytes)[1] << 8), left = *size - 2;
        packet = packet < left ? packet : left;
        if (send(end, *bytes + 2, packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
        *bytes += 2 + packet;
        *size -= 2 + packet;
    }
    shutdown(end, SHUT_WR); /* then it is gone */
}

static int ask(struct image *image, unsigned op)
{
    static char text[4096];
    struct image_entry entry;
    int error;
    switch (op % 6) {
    case 0: return image_partitions(image, check, NULL);
    case 1: return image_list(image, 1, check, image);
    case 2: return image_look(image, 1, &entry);
    case 3: return image_pour(image, 1, 1, -1, true);
    case 4: return image_open(image, IMAGE_FIND, 0);
    default:
        error = image_info(image, text, sizeof text);
        assert(memchr(text, 0, sizeof text));
        return error;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int ends[2];
    if (size < 1 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return 0;
    struct image image = {.end = ends[0], .helper = 0x7fffffff}; /* nobody */
    unsigned op = *bytes++;
    size--;
    visits = 0;
    give(ends[1], &bytes, &size);
    int error = ask(&image, op);
    assert(error <= 0 && error > -4096 && image_error(error));
    image_end(&image);
    close(ends[1]);
    return 0;
}
