/* SPDX-License-Identifier: MIT */
/* madvise(MADV_HUGEPAGE): memory stays what it is through advice, fork, protection and moves; what is refused. */
#include "check.h"
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, SIZE = 8 * MIB };

static void check_all(const char *p, char value)
{
    for (int i = 0; i < SIZE; i += 4096)
        CHECK(p[i] == value);
}

int main(void)
{
    int status;
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    if (madvise(p, SIZE, MADV_HUGEPAGE) < 0) {
        CHECK(errno == EINVAL); /* a kernel without them */
        return 0;
    }
    memset(p, 1, SIZE);
    pid_t child = fork();
    if (child == 0) {
        check_all(p, 1);
        memset(p, 2, SIZE);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    check_all(p, 1);

    /* Advice on a part parts the mapping: what moves must be one. */
    CHECK(madvise(p + 2 * MIB, 2 * MIB, MADV_NOHUGEPAGE) == 0);
    CHECK_FAILS((long)mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE), EFAULT);
    check_all(p, 1);
    CHECK(madvise(p, SIZE, MADV_NOHUGEPAGE) == 0);
    p = mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
    CHECK(p != MAP_FAILED);
    check_all(p, 1);
    CHECK(p[SIZE] == 0);

    CHECK(mprotect(p, MIB, PROT_READ) == 0 && madvise(p, 2 * SIZE, MADV_HUGEPAGE) == 0);
    CHECK(madvise(p, SIZE, MADV_DONTNEED) == 0);
    check_all(p, 0);
    CHECK(munmap(p + SIZE, SIZE) == 0);
    CHECK_FAILS(madvise(p, 2 * SIZE, MADV_HUGEPAGE), ENOMEM);
    CHECK_FAILS(madvise(p + 1, SIZE, MADV_HUGEPAGE), EINVAL);
    return 0;
}
