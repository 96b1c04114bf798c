/* SPDX-License-Identifier: MIT */
/* brk: grows, shrinks, gives zeroed memory, refuses what is taken. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul

static char *set(char *to)
{
    return (char *)syscall(SYS_brk, to);
}

int main(void)
{
    char *start = set(NULL);
    CHECK(start && set(NULL) == start);
    CHECK(set((char *)1) == start); /* below the start: no change */
    CHECK(set(start + 10) == start + 10);
    CHECK(set(start + 10 * PAGE) == start + 10 * PAGE);
    char *page = (char *)(((uintptr_t)start + 2 * PAGE - 1) & -PAGE);
    memset(page, 1, 8 * PAGE);
    CHECK(set(page) == page);
    CHECK(set(page + 8 * PAGE) == page + 8 * PAGE);
    for (unsigned i = 0; i < 8 * PAGE; i++)
        CHECK(page[i] == 0);
    CHECK(set((char *)-1) == page + 8 * PAGE);

    /* A mapping in the way. */
    char *wall = mmap(page + 64 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(wall == page + 64 * PAGE);
    CHECK(set(page + 80 * PAGE) == page + 8 * PAGE);
    CHECK(set(page + 32 * PAGE) == page + 32 * PAGE);
    CHECK(munmap(wall, PAGE) == 0);
    CHECK(set(page + 80 * PAGE) == page + 80 * PAGE);
    page[80 * PAGE - 1] = 1;

    /* Holes that the program makes in its heap stay holes until it fills them. */
    CHECK(munmap(page + 16 * PAGE, PAGE) == 0);
    CHECK(set(page) == page);
    CHECK(set(page + 32 * PAGE) == page + 32 * PAGE);
    page[16 * PAGE] = 1;

    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    CHECK(set(page + (64 << 20)) == page + 32 * PAGE);
    return 0;
}
