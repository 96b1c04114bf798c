/* SPDX-License-Identifier: MIT */
/* Pages populated on advice, flags that MAP_SHARED_VALIDATE refuses, remap_file_pages, barriers for all processes. */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static int file_of(int pages)
{
    int fd = memfd_create("advice", 0);
    CHECK(fd >= 0 && ftruncate(fd, pages * PAGE) == 0);
    for (int i = 0; i < pages; i++) {
        char c = (char)('a' + i);
        CHECK(pwrite(fd, &c, 1, i * PAGE) == 1);
    }
    return fd;
}

static void populated(void)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    p[PAGE] = 5;
    CHECK(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE) == 0 && madvise(p, 8 * PAGE, MADV_POPULATE_READ) == 0);
    CHECK(p[PAGE] == 5 && p[0] == 0);
    CHECK(mprotect(p + 4 * PAGE, PAGE, PROT_READ) == 0 && mprotect(p + 5 * PAGE, PAGE, PROT_NONE) == 0);
    CHECK_FAILS(madvise(p, 8 * PAGE, MADV_POPULATE_WRITE), EINVAL);
    CHECK(madvise(p, 5 * PAGE, MADV_POPULATE_READ) == 0);
    CHECK_FAILS(madvise(p, 6 * PAGE, MADV_POPULATE_READ), EINVAL);
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    CHECK_FAILS(madvise(p, 4 * PAGE, MADV_POPULATE_READ), ENOMEM);
    CHECK_FAILS(madvise(p + 1, PAGE, MADV_POPULATE_READ), EINVAL);
    munmap(p, 8 * PAGE);
    int fd = file_of(1);
    p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && madvise(p, PAGE, MADV_POPULATE_READ) == 0);
    CHECK_FAILS(madvise(p, 2 * PAGE, MADV_POPULATE_READ), EFAULT);
    munmap(p, 2 * PAGE);
    close(fd);
}

static void validated(void)
{
    int fd = file_of(1);
    const int refused[] = {0x200, 0x400, MAP_SYNC, 0x200000, 0x400000, 0x2000000};
    const int taken[] = {MAP_NORESERVE, MAP_POPULATE, MAP_STACK, MAP_DENYWRITE, MAP_EXECUTABLE};
    for (unsigned i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | refused[i], fd, 0), EOPNOTSUPP);
        CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | refused[i], fd, 0) != MAP_FAILED);
    }
    for (unsigned i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | taken[i], fd, 0) != MAP_FAILED);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    close(fd);
}

static long remap(void *at, size_t size, int protection, size_t page, int flags)
{
    return syscall(SYS_remap_file_pages, at, size, protection, page, flags);
}

static void remapped(void)
{
    int fd = file_of(4);
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && q != MAP_FAILED);
    CHECK(remap(p, PAGE, 0, 3, 0) == 0 && remap(p + 2 * PAGE, 2 * PAGE, 0, 0, 0) == 0);
    CHECK(p[0] == 'd' && p[PAGE] == 'b' && p[2 * PAGE] == 'a' && p[3 * PAGE] == 'b');
    p[0] = 'D';
    char c;
    CHECK(pread(fd, &c, 1, 3 * PAGE) == 1 && c == 'D');
    CHECK_FAILS(remap(p, PAGE, PROT_READ, 0, 0), EINVAL);
    CHECK_FAILS(remap(p, 0, 0, 0, 0), EINVAL);
    CHECK_FAILS(remap(q, PAGE, 0, 0, 0), EINVAL);
    CHECK_FAILS(remap(NULL, PAGE, 0, 0, 0), EINVAL);
    munmap(p, 4 * PAGE);
    munmap(q, PAGE);
    close(fd);
}

static void barriers(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0);
    CHECK(commands & MEMBARRIER_CMD_GLOBAL);
    CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) == 0);
    CHECK_FAILS(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 1), EINVAL);
    CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0) == 0);
    CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0) == 0);
}

int main(void)
{
    populated();
    validated();
    remapped();
    barriers();
    return 0;
}
