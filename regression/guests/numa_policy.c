/* SPDX-License-Identifier: MIT */
/* NUMA policies: modes, flags and nodes are checked, kept and told, for the process and for mappings. */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL };
#define STATIC_NODES 0x8000
#define RELATIVE_NODES 0x4000
#define NODE 1
#define ADDRESS 2
#define ALLOWED 4
#define PAGE 4096

static unsigned long first = 1, nodes[16];
static int mode;

static long get(void *at, int flags) { return syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, at, flags); }
static long set(int to, unsigned long *which) { return syscall(SYS_set_mempolicy, to, which, which ? 64 : 0); }

static void of_process(void)
{
    CHECK(get(NULL, 0) == 0 && mode == DEFAULT && !nodes[0]);
    CHECK(get(NULL, ALLOWED) == 0 && nodes[0] & 1);
    CHECK(set(BIND, &first) == 0 && get(NULL, 0) == 0 && mode == BIND && nodes[0] == 1);
    CHECK(set(INTERLEAVE | STATIC_NODES, &first) == 0 && get(NULL, 0) == 0 && mode == (INTERLEAVE | STATIC_NODES));
    CHECK(set(PREFERRED, NULL) == 0 && get(NULL, 0) == 0 && mode == LOCAL);
    CHECK_FAILS(set(BIND, NULL), EINVAL);
    CHECK_FAILS(set(LOCAL, &first), EINVAL);
    CHECK_FAILS(set(DEFAULT, &first), EINVAL);
    CHECK_FAILS(set(BIND | STATIC_NODES | RELATIVE_NODES, &first), EINVAL);
    CHECK_FAILS(set(9, &first), EINVAL);
    CHECK_FAILS(get(NULL, NODE), EINVAL);
    CHECK_FAILS(get(NULL, 8), EINVAL);
    CHECK(set(DEFAULT, NULL) == 0);
}

static void of_mappings(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    p[PAGE] = 1;
    CHECK(syscall(SYS_mbind, p + PAGE, PAGE, BIND, &first, 64, 0) == 0);
    CHECK(get(p + PAGE, ADDRESS) == 0 && mode == BIND);
    CHECK(get(p + 2 * PAGE, ADDRESS) == 0 && mode == DEFAULT);
    CHECK(get(p + PAGE, ADDRESS | NODE) == 0 && mode == 0);
    CHECK_FAILS(syscall(SYS_mbind, p + 1, PAGE, BIND, &first, 64, 0), EINVAL);
    CHECK_FAILS(syscall(SYS_mbind, p, PAGE, BIND, &first, 64, 8), EINVAL);
    munmap(p + 2 * PAGE, PAGE);
    CHECK_FAILS(syscall(SYS_mbind, p, 4 * PAGE, BIND, &first, 64, 0), EFAULT);
    void *pages[] = {p + PAGE, p + 2 * PAGE};
    int status[] = {9, 9};
    CHECK(syscall(SYS_move_pages, 0, 2L, pages, NULL, status, 0) == 0 && status[0] == 0 && status[1] == -EFAULT);
    CHECK(syscall(SYS_migrate_pages, 0, 64, &first, &first) == 0);
    munmap(p, 4 * PAGE);
}

int main(void)
{
    if (syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0) < 0 && errno == ENOSYS)
        return 0; /* a kernel without NUMA */
    of_process();
    of_mappings();
    return 0;
}
