/* SPDX-License-Identifier: MIT */
/* Locked memory and its limits: mlock, mlockall, MAP_LOCKED, RLIMIT_MEMLOCK, RLIMIT_DATA, what fork and /proc make of them. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096
#define LOCKED_MOST (16 * PAGE)

static long status_kb(const char *name)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atol(line + strlen(name) + 1);
    fclose(file);
    return value;
}

static void *map(size_t pages, int more)
{
    void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void locks(void)
{
    char *p = map(8, 0);
    CHECK(mlock(p + 1, PAGE) == 0 && status_kb("VmLck") == 8);
    CHECK(mlock(p, 4 * PAGE) == 0 && status_kb("VmLck") == 16);
    CHECK_FAILS(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(status_kb("VmLck") != 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(munlock(p + PAGE, PAGE) == 0 && status_kb("VmLck") == 12);
    CHECK(mprotect(p + 6 * PAGE, PAGE, PROT_NONE) == 0);
    CHECK_FAILS(mlock(p + 6 * PAGE, PAGE), ENOMEM); /* can't be brought in */
    munmap(p + 5 * PAGE, PAGE);
    CHECK_FAILS(mlock(p, 8 * PAGE), ENOMEM);
    CHECK(munlockall() == 0 && status_kb("VmLck") == 0);
    munmap(p, 8 * PAGE);
    CHECK_FAILS(mlockall(0), EINVAL);
    CHECK_FAILS(mlockall(8), EINVAL);
    CHECK_FAILS(mlock2(p, PAGE, 2), EINVAL);
}

static void limited(void)
{
    CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){LOCKED_MOST, LOCKED_MOST}) == 0);
    char *p = map(32, 0);
    CHECK_FAILS(mlock(p, 17 * PAGE), ENOMEM);
    CHECK(mlock(p, 16 * PAGE) == 0 && mlock(p + PAGE, 15 * PAGE) == 0);
    CHECK_FAILS(mlock(p + PAGE, 16 * PAGE), ENOMEM);
    CHECK_FAILS(mlockall(MCL_CURRENT), ENOMEM);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0), EAGAIN);
    CHECK(munlockall() == 0 && mlockall(MCL_FUTURE) == 0);
    char *q = map(4, 0);
    CHECK(status_kb("VmLck") == 16);
    CHECK_FAILS(mmap(NULL, 13 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EAGAIN);
    CHECK(munlockall() == 0);
    munmap(q, 4 * PAGE);
    munmap(p, 32 * PAGE);
    CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}) == 0);
    CHECK_FAILS(mlock(p, PAGE), EPERM);
    CHECK_FAILS(mlockall(MCL_FUTURE), EPERM);
}

static void data(void)
{
    const rlim_t most = 64 << 20;
    char *ro = mmap(NULL, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(ro != MAP_FAILED && setrlimit(RLIMIT_DATA, &(struct rlimit){most, most}) == 0);
    CHECK_FAILS(mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    CHECK(mmap(NULL, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK(mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK(mmap(NULL, most / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK_FAILS(mprotect(ro, most, PROT_READ | PROT_WRITE), ENOMEM);
    CHECK(mprotect(ro, PAGE, PROT_READ | PROT_WRITE) == 0);
}

/* The pages go, the mapping stays. */
static void moved(void)
{
    char *p = map(2, 0);
    strcpy(p + PAGE, "there");
    char *q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(q != MAP_FAILED && q != p && strcmp(q + PAGE, "there") == 0 && p[PAGE] == 0);
    CHECK_FAILS(mremap(p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL);
    CHECK_FAILS(mremap(p, PAGE, PAGE, MREMAP_DONTUNMAP, NULL), EINVAL);
    p[0] = 1;
    munmap(p, 2 * PAGE);
    munmap(q, 2 * PAGE);
}

int main(void)
{
    int status;
    locks();
    moved();
    pid_t child = fork();
    if (child == 0) {
        CHECK(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
        limited();
        data();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
