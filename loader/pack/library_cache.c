/* SPDX-License-Identifier: MIT */
/*
 * What ldconfig(8) would write for the files of a bundle, by glibc's own form (sysdeps/generic/dl-cache.h).  Without it a program's loader
 * looks in a dozen directories for each library, and each look is a request to the monitor.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/loader.h"
#include "loader/pack/pack.h"

#define CACHE "/etc/ld.so.cache"
#define LITTLE_ENDIAN_FLAG 2
#define X86_64_LIBC6 0x0303 /* FLAG_X8664_LIB64 | FLAG_ELF_LIBC6 */
#define LIBRARIES_MAX 4096

static const char *const directories[] = {"/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64"};

struct head {
    char magic[20];
    uint32_t count, strings_size;
    uint8_t flags, padding[3];
    uint32_t extensions, unused[3];
};
struct entry {
    int32_t flags;
    uint32_t name, path; /* from the head on */
    uint32_t os;
    uint64_t features;
};
_Static_assert(sizeof(struct head) == 48 && sizeof(struct entry) == 24, "glibc's form");

struct library {
    const char *name, *directory;
};
static struct library libraries[LIBRARIES_MAX];
static size_t count;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* As the loader compares: numbers by their values. */
static int compare(const char *a, const char *b)
{
    while (*a) {
        if (is_digit(*a) && is_digit(*b)) {
            char *after_a, *after_b;
            unsigned long x = strtoul(a, &after_a, 10), y = strtoul(b, &after_b, 10);
            if (x != y)
                return x > y ? 1 : -1;
            a = after_a;
            b = after_b;
        } else if (is_digit(*a) || is_digit(*b)) {
            return is_digit(*a) ? 1 : -1;
        } else if (*a != *b) {
            return *a - *b;
        } else {
            a++;
            b++;
        }
    }
    return *a - *b;
}

static int backwards(const void *a, const void *b)
{
    return compare(((const struct library *)b)->name, ((const struct library *)a)->name);
}

static void take(const struct tree_node *directory, const char *path)
{
    for (size_t i = 0; directory && S_ISDIR(directory->mode) && i < directory->count && count < LIBRARIES_MAX; i++) {
        const struct tree_node *node = directory->children[i];
        bool known = S_ISDIR(node->mode) || !strstr(node->name, ".so");
        for (size_t j = 0; j < count && !known; j++)
            known = !strcmp(libraries[j].name, node->name); /* the first directory's counts */
        if (!known)
            libraries[count++] = (struct library){node->name, path};
    }
}

static uint32_t put(char *bytes, uint32_t *used, const char *text)
{
    uint32_t at = *used;
    strcpy(bytes + at, text);
    *used += (uint32_t)strlen(text) + 1;
    return at;
}

void library_cache_add(struct tree *tree)
{
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        take(tree_find(tree, directories[i]), directories[i]);
    if (!count)
        return;
    qsort(libraries, count, sizeof *libraries, backwards);
    size_t room = sizeof(struct head) + count * sizeof(struct entry);
    for (size_t i = 0; i < count; i++)
        room += 2 * strlen(libraries[i].name) + strlen(libraries[i].directory) + 3;
    char *bytes = must_allocate(room);
    memset(bytes, 0, room);
    struct head *head = (struct head *)bytes;
    struct entry *entries = (struct entry *)(bytes + sizeof *head);
    uint32_t used = (uint32_t)(sizeof *head + count * sizeof *entries), strings = used;
    for (size_t i = 0; i < count; i++) {
        char *path = must_print("%s/%s", libraries[i].directory, libraries[i].name);
        entries[i] = (struct entry){.flags = X86_64_LIBC6, .name = put(bytes, &used, libraries[i].name), .path = put(bytes, &used, path)};
        free(path);
    }
    *head = (struct head){.count = (uint32_t)count, .strings_size = used - strings, .flags = LITTLE_ENDIAN_FLAG};
    memcpy(head->magic, "glibc-ld.so.cache1.1", sizeof head->magic);
    tree_add_bytes(tree, CACHE, bytes, used);
}
