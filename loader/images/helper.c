/* SPDX-License-Identifier: MIT */
/* The helper of an image: answers one request after the other. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/confined/confined.h"
#include "loader/images/images.h"

#define MEMORY_MAX (512u << 20)

static const struct image_reader *reader; /* NULL: nothing is open */
static int image_file;

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

struct answer {
    int end;
    size_t used;
    char bytes[IMAGE_PACKET];
};

static void flush(struct answer *answer, int result, bool more)
{
    const struct image_reply reply = {.result = result, .more = more};
    memcpy(answer->bytes, &reply, sizeof reply);
    if (sendto(answer->end, answer->bytes, answer->used, MSG_NOSIGNAL, NULL, 0) < 0)
        _exit(0); /* nobody is there */
    answer->used = sizeof reply;
}

static int tell(void *to, const struct image_entry *entry, const char *name, const char *target)
{
    struct answer *answer = to;
    size_t size = sizeof *entry + entry->name_size + entry->target_size;
    if (entry->name_size > IMAGE_NAME_MAX || entry->target_size > IMAGE_TARGET_MAX)
        return -EUCLEAN;
    if (answer->used + size > sizeof answer->bytes)
        flush(answer, 0, true);
    char *at = answer->bytes + answer->used;
    memcpy(at, entry, sizeof *entry);
    memcpy(at + sizeof *entry, name, entry->name_size);
    memcpy(at + sizeof *entry + entry->name_size, target, entry->target_size);
    answer->used += size;
    return 0;
}

/* ---- Where the file system lies ---------------------------------------------------------------------------------- */

/* The end of an ELF program: its section headers lie there.  0: it is none. */
static uint64_t elf_end(int file)
{
    union {
        uint8_t bytes[64];
        struct { uint8_t ident[16]; uint16_t type, machine; uint32_t version; uint64_t entry, programs, sections; uint32_t flags;
                 uint16_t size, program_size, program_count, section_size, section_count, names; } wide;
        struct { uint8_t ident[16]; uint16_t type, machine; uint32_t version, entry, programs, sections, flags;
                 uint16_t size, program_size, program_count, section_size, section_count, names; } narrow;
    } header;
    if (pread(file, &header, sizeof header, 0) != sizeof header || memcmp(header.bytes, "\177ELF", 4) != 0)
        return 0;
    if (header.bytes[4] == 2)
        return header.wide.sections + (uint64_t)header.wide.section_size * header.wide.section_count;
    return header.narrow.sections + (uint64_t)header.narrow.section_size * header.narrow.section_count;
}

struct wanted {
    uint32_t part;
    uint64_t offset;
};

static int is_wanted(void *to, const struct image_entry *entry, const char *name, const char *target)
{
    struct wanted *wanted = to;
    (void)name, (void)target;
    if (entry->inode == wanted->part)
        wanted->offset = entry->node;
    return 0;
}

/* A bundle has one image, and a pal-run in it that can read no other: gen/embed.  It is told as in launch_is_bundle. */
static bool in_bundle(void)
{
    extern const unsigned char header[] __asm__("__ehdr_start");
    return header[EI_PAD] != 0;
}

static int open_image(uint64_t offset, uint32_t part)
{
    static const struct image_reader *const readers[] = {&image_squashfs, &image_ext4};
    struct wanted wanted = {part, IMAGE_FIND};
    if (part) {
        int error = partitions_list(is_wanted, &wanted);
        offset = wanted.offset;
        if (error || offset == IMAGE_FIND)
            return error ? error : -ENXIO;
    } else if (offset == IMAGE_FIND) {
        offset = elf_end(image_file);
    }
    int error = -EMEDIUMTYPE;
    reader = NULL;
    size_t count = in_bundle() ? 1 : sizeof readers / sizeof *readers;
    for (size_t i = 0; i < count && error == -EMEDIUMTYPE; i++) {
        error = offset > INT64_MAX / 2 ? -EMEDIUMTYPE : readers[i]->open(image_file, offset);
        if (!error)
            reader = readers[i];
    }
    return error;
}

/* ---- A file's bytes ---------------------------------------------------------------------------------------------- */

struct pour {
    int to;
    bool holes;
    off_t at;
};

static int pour_bytes(void *to, const void *bytes, size_t size)
{
    static const char zeros[IMAGE_PACKET];
    struct pour *pour = to;
    bool skip = pour->holes && size <= sizeof zeros && !memcmp(bytes, zeros, size);
    for (size_t done = 0; done < size && !skip;) {
        ssize_t wrote = pour->holes ? pwrite(pour->to, (const char *)bytes + done, size - done, pour->at + (off_t)done)
                                    : write(pour->to, (const char *)bytes + done, size - done);
        if (wrote < 0 && errno != EINTR)
            return -errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    pour->at += (off_t)size;
    return 0;
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static int serve_one(const struct image_request *request, int passed, struct answer *answer)
{
    struct pour pour = {.to = passed, .holes = request->holes};
    if (in_bundle() && (request->op == IMAGE_PARTITIONS || (request->op == IMAGE_OPEN && request->part)))
        return -EINVAL;
    if (request->op == IMAGE_PARTITIONS)
        return partitions_list(tell, answer);
    if (request->op == IMAGE_OPEN)
        return open_image(request->node, request->part);
    if (!reader)
        return -EINVAL;
    switch (request->op) {
    case IMAGE_INFO:
        reader->info(answer->bytes + answer->used, 2048);
        answer->used += strlen(answer->bytes + answer->used);
        return 0;
    case IMAGE_LOOK: return reader->look(request->node, tell, answer);
    case IMAGE_LIST: return reader->list(request->node, tell, answer);
    case IMAGE_POUR: return passed < 0 ? -EBADF : reader->read(request->node, pour_bytes, &pour);
    default: return -ENOSYS;
    }
}

void image_serve(int end, int file)
{
    static struct answer answer;
    image_file = file;
    confined_keep("pal-image", &end, &image_file);
    if (!in_bundle())
        partitions_prepare(image_file);
    const struct confinement walls = {.memory = MEMORY_MAX, .files = 3};
    confined_begin(&walls);
    answer.end = end;
    for (;;) {
        struct image_request request;
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {&request, sizeof request};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        if (recvmsg(end, &message, 0) != sizeof request)
            _exit(0);
        int passed = -1;
        if (CMSG_FIRSTHDR(&message))
            memcpy(&passed, CMSG_DATA(&control.header), sizeof passed);
        answer.used = sizeof(struct image_reply);
        int result = serve_one(&request, passed, &answer);
        if (passed >= 0)
            close(passed);
        flush(&answer, result, false);
    }
}
