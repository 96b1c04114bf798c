/* SPDX-License-Identifier: MIT */
/* mremap: in place, moving, fixed, duplicating, its errors. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul

static char *anonymous(size_t size)
{
    char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void in_place(void)
{
    char *at = anonymous(16 * PAGE);
    at[0] = 'a';
    CHECK(mremap(at, 16 * PAGE, 4 * PAGE, 0) == at);
    CHECK(mremap(at, 4 * PAGE, 8 * PAGE, 0) == at); /* the room is free again */
    CHECK(at[0] == 'a' && at[8 * PAGE - 1] == 0);
    CHECK(mmap(at + 8 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + 8 * PAGE);
    CHECK_FAILS(mremap(at, 8 * PAGE, 9 * PAGE, 0), ENOMEM);
    CHECK(mremap(at, 8 * PAGE, 8 * PAGE, 0) == at);
    char *moved = mremap(at, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != at && moved[0] == 'a' && moved[64 * PAGE - 1] == 0);
    CHECK(munmap(moved, 64 * PAGE) == 0 && munmap(at, 9 * PAGE) == 0);
}

static void fixed(void)
{
    char *at = anonymous(32 * PAGE), *target = at + 16 * PAGE;
    for (int i = 0; i < 4; i++)
        at[i * PAGE] = (char)('a' + i);
    target[0] = 'x';
    CHECK(mremap(at + PAGE, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    CHECK(target[0] == 'b' && target[PAGE] == 'c' && target[2 * PAGE] == 0 && at[0] == 'a' && at[3 * PAGE] == 'd');
    CHECK_FAILS(mremap(at + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT); /* it has gone */
    CHECK(mremap(target, 3 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE) == at + PAGE && at[PAGE] == 'b');
    CHECK_FAILS(mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE), EINVAL);
    CHECK_FAILS(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE / 2), EINVAL);
    CHECK_FAILS(mremap(at, PAGE, PAGE, MREMAP_FIXED, target), EINVAL);
    CHECK_FAILS(mremap(at, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
    CHECK_FAILS(mremap(at + 1, PAGE, PAGE, MREMAP_MAYMOVE), EINVAL);
    CHECK_FAILS(mremap(at, PAGE, PAGE, 64), EINVAL);
    CHECK_FAILS(mremap(at, 0, PAGE, MREMAP_MAYMOVE), EINVAL); /* only shared mappings can be duplicated */
    CHECK(munmap(at, 32 * PAGE) == 0);
}

static void spanning(void)
{
    char *at = anonymous(4 * PAGE);
    CHECK(mprotect(at + 2 * PAGE, PAGE, PROT_READ) == 0);
    CHECK_FAILS(mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE), EFAULT); /* three mappings */
    CHECK(mprotect(at + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    at[3 * PAGE] = 'z';
    char *moved = mremap(at, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE); /* one again */
    CHECK(moved != MAP_FAILED && moved[3 * PAGE] == 'z');
    CHECK(munmap(moved, 8 * PAGE) == 0);
}

static void shared(void)
{
    int fd = memfd_create("shared", 0);
    CHECK(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
    char *at = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    CHECK(at != MAP_FAILED);
    at[PAGE] = 'q';
    char *second = mremap(at, 0, 2 * PAGE, MREMAP_MAYMOVE);
    CHECK(second != MAP_FAILED && second != at && second[PAGE] == 'q');
    second[0] = 'r';
    CHECK(at[0] == 'r');
    char *moved = mremap(at + PAGE, PAGE, 4 * PAGE, MREMAP_MAYMOVE); /* the rest of the file comes along */
    CHECK(moved != MAP_FAILED && moved[0] == 'q');
    moved[PAGE] = 't';
    char byte;
    CHECK(pread(fd, &byte, 1, 3 * PAGE) == 1 && byte == 't');
    CHECK(munmap(moved, 4 * PAGE) == 0 && munmap(second, 2 * PAGE) == 0 && munmap(at, 2 * PAGE) == 0);
    close(fd);
}

/* As realloc of a large block does. */
static void doubling(void)
{
    size_t size = 32 * PAGE;
    char *at = anonymous(size);
    for (; size < 16ul << 20; size *= 2) {
        memset(at, 7, size);
        at = mremap(at, size, 2 * size, MREMAP_MAYMOVE);
        CHECK(at != MAP_FAILED && at[0] == 7 && at[size - 1] == 7 && at[size] == 0);
    }
    CHECK(munmap(at, size) == 0);
}

int main(void)
{
    in_place();
    fixed();
    spanning();
    shared();
    doubling();
    return 0;
}
