/* SPDX-License-Identifier: MIT */
/*
 * Removes a private directory, whatever a guest made of it: directories deeper than any stack or path, of any mode, with
 * names that other processes still make.  No symlink is followed.
 *
 * The supervisor uses it too, which has no libc: see supervisor.c.
 */
#include <fcntl.h>
#include <stddef.h>

#include "loader/supervise/supervise.h"
#include "pal/linux/syscall.h"

#define SYS_FCHMODAT2 452 /* Linux 6.6; not in every libc's headers yet */

struct listing {
    int64_t directory, size, at;
    char bytes[8192] __attribute__((aligned(8)));
};

static int64_t list(struct listing *listing, int64_t directory)
{
    listing->directory = directory;
    listing->size = listing->at = 0;
    return directory;
}

/* The next name but "." and "..", or NULL. */
static const char *next_name(struct listing *listing)
{
    for (;;) {
        if (listing->at >= listing->size) {
            listing->at = 0;
            listing->size = host_call(getdents64, listing->directory, listing->bytes, sizeof listing->bytes);
            if (listing->size <= 0)
                return NULL;
        }
        const char *entry = listing->bytes + listing->at, *name = entry + 19; /* struct linux_dirent64 */
        listing->at += *(const uint16_t *)(const void *)(entry + 16);
        if (name[0] != '.' || (name[1] && (name[1] != '.' || name[2])))
            return name;
    }
}

static int64_t open_directory(int64_t parent, const char *name)
{
    return host_call(openat, parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Lets its owner do everything with a directory; no other object's mode is ever changed. */
static void allow(int64_t parent, const char *name)
{
    static const char prefix[] = "/proc/self/fd/";
    char path[sizeof prefix + 12], digits[12];
    int64_t directory = host_call(openat, parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return;
    if (host_call6(SYS_FCHMODAT2, (uint64_t)directory, (uint64_t) "", 0700, AT_EMPTY_PATH, 0, 0) == -ENOSYS) {
        unsigned at = 0, count = 0;
        for (; prefix[at]; at++)
            path[at] = prefix[at];
        for (uint64_t rest = (uint64_t)directory; rest; rest /= 10)
            digits[count++] = (char)('0' + rest % 10);
        while (count)
            path[at++] = digits[--count];
        path[at] = 0;
        host_call(chmod, path, 0700);
    }
    host_call(close, directory);
}

static void make_name(char *name, unsigned long number)
{
    static const char prefix[] = "pal-run.";
    char digits[24];
    unsigned at = 0, count = 0;
    for (; prefix[at]; at++)
        name[at] = prefix[at];
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        name[at++] = digits[--count];
    name[at] = 0;
}

/* A directory of `top`: what it holds that is a directory moves up into `top`, the rest is deleted. */
static bool flatten(int64_t top, const char *name, unsigned long *counter)
{
    struct listing listing;
    bool moved_any = false;
    allow(top, name);
    if (list(&listing, open_directory(top, name)) < 0)
        return false;
    for (const char *entry; (entry = next_name(&listing));) {
        char moved[40];
        if (host_call(unlinkat, listing.directory, entry, 0) == 0 ||
            host_call(unlinkat, listing.directory, entry, AT_REMOVEDIR) == 0)
            continue;
        make_name(moved, (*counter)++);
        allow(listing.directory, entry); /* moving a directory writes its ".." */
        moved_any |= host_call(renameat2, listing.directory, entry, top, moved, 1 /* RENAME_NOREPLACE */) == 0;
    }
    host_call(close, listing.directory);
    return moved_any;
}

/* No recursion.  False: something is not ours to remove. */
static bool empty(int64_t top)
{
    unsigned long counter = 0;
    for (bool more = true; more;) {
        struct listing listing;
        bool progress = false;
        more = false;
        if (list(&listing, open_directory(top, ".")) < 0)
            return false;
        for (const char *entry; (entry = next_name(&listing));) {
            if (host_call(unlinkat, top, entry, 0) == 0 || host_call(unlinkat, top, entry, AT_REMOVEDIR) == 0) {
                progress = true;
                continue;
            }
            progress |= flatten(top, entry, &counter);
            more = true;
            progress |= host_call(unlinkat, top, entry, AT_REMOVEDIR) == 0;
        }
        host_call(close, listing.directory);
        if (more && !progress)
            return false;
    }
    return true;
}

int64_t remove_directory(int base, const char *name)
{
    allow(base, name);
    int64_t top = open_directory(base, name);
    if (top < 0)
        return top == -ENOENT ? 0 : top;
    empty(top);
    host_call(close, top);
    int64_t result = host_call(unlinkat, base, name, AT_REMOVEDIR);
    return result == -ENOENT ? 0 : result;
}
