/* SPDX-License-Identifier: MIT */
/* mmap and munmap: places, kinds, files, errors; msync, mincore, madvise, mlock over ranges. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul

static sigjmp_buf trapped;

static void on_fault(int signal)
{
    siglongjmp(trapped, signal);
}

/* The signal that reading there gives, or 0. */
static int fault(volatile char *at)
{
    int signal = sigsetjmp(trapped, 1);
    if (signal == 0)
        (void)*at;
    return signal;
}

static char *anonymous(size_t size, int protection)
{
    char *at = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void places(void)
{
    char *at = anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
    at[0] = at[16 * PAGE - 1] = 1;
    CHECK(munmap(at + 4 * PAGE, 4 * PAGE) == 0);
    CHECK(fault(at + 4 * PAGE) == SIGSEGV && fault(at + 8 * PAGE - 1) == SIGSEGV);
    CHECK(fault(at) == 0 && fault(at + 8 * PAGE) == 0);
    CHECK(mmap(at + 5 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at + 5 * PAGE); /* free hint */
    char *other = mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);                       /* taken hint */
    CHECK(other != MAP_FAILED && other != at);
    CHECK(munmap(other, PAGE) == 0);
    CHECK_FAILS(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK(mmap(at + 6 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at + 6 * PAGE);
    CHECK(at[0] == 1);
    CHECK(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at && at[0] == 0);
    CHECK(munmap(at, 16 * PAGE) == 0); /* holes are fine */
    CHECK(munmap(at, 16 * PAGE) == 0);
    char *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    CHECK(low != MAP_FAILED && (uintptr_t)low < 0x80000000u);
    *low = 1;
    CHECK(munmap(low, 1) == 0);
}

static void errors(void)
{
    int private = MAP_PRIVATE | MAP_ANONYMOUS;
    CHECK_FAILS(mmap(NULL, 0, PROT_READ, private, -1, 0), EINVAL);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_FAILS(mmap((void *)1, PAGE, PROT_READ, private | MAP_FIXED, -1, 0), EINVAL);
    CHECK_FAILS(mmap(NULL, SIZE_MAX - 8191, PROT_READ, private, -1, 0), ENOMEM);
    CHECK_FAILS(mmap(NULL, SIZE_MAX, PROT_READ, private, -1, 0), ENOMEM);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 77, 0), EBADF);
    CHECK_FAILS(munmap((void *)1, PAGE), EINVAL);
    CHECK_FAILS(munmap((void *)PAGE, 0), EINVAL);
    CHECK_FAILS(munmap((void *)-PAGE, PAGE), EINVAL);
    int fds[2];
    CHECK(pipe(fds) == 0);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fds[0], 0), EACCES);
    close(fds[0]);
    close(fds[1]);
}

static void files(void)
{
    char name[] = "/tmp/memory_map.XXXXXX", bytes[2 * PAGE];
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    memset(bytes, 'a', sizeof bytes);
    CHECK(write(fd, bytes, PAGE + 100) == (ssize_t)PAGE + 100);
    int reader = open(name, O_RDONLY), writer = open(name, O_WRONLY);
    CHECK(reader >= 0 && writer >= 0);

    char *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared != MAP_FAILED);
    char *private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
    CHECK(private != MAP_FAILED);
    private[0] = 'p';
    shared[1] = 's';
    CHECK(shared[0] == 'a' && private[PAGE + 99] == 'a' && private[PAGE + 100] == 0);
    CHECK(fault(shared + 2 * PAGE) == SIGBUS); /* past the file's last page */
    CHECK(msync(shared, 2 * PAGE, MS_SYNC) == 0);
    CHECK(pread(fd, bytes, 2, 0) == 2 && bytes[0] == 'a' && bytes[1] == 's');
    char *second = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, PAGE);
    CHECK(second != MAP_FAILED && second[0] == 'a');
    CHECK(pwrite(fd, "w", 1, PAGE) == 1 && second[0] == 'w');

    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, writer, 0), EACCES);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0), EACCES);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, 0, fd, 0), EINVAL);
    CHECK_FAILS(mprotect(second, PAGE, PROT_READ | PROT_WRITE), EACCES);
    CHECK_FAILS(msync(shared + 1, PAGE, MS_SYNC), EINVAL);
    CHECK_FAILS(msync(shared, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    close(reader);
    close(writer);
    close(fd);
    CHECK(unlink(name) == 0);
    CHECK(shared[1] == 's'); /* the mapping outlives descriptor and name */
    CHECK(munmap(shared, 3 * PAGE) == 0 && munmap(private, 2 * PAGE) == 0 && munmap(second, PAGE) == 0);
    int directory = open("/tmp", O_RDONLY | O_DIRECTORY);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0), ENODEV);
    close(directory);
}

static void across_fork(void)
{
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *private = anonymous(3 * PAGE, PROT_READ | PROT_WRITE);
    CHECK(shared != MAP_FAILED);
    memset(private, 'x', 3 * PAGE);
    CHECK(madvise(private + PAGE, PAGE, MADV_WIPEONFORK) == 0);
    CHECK(madvise(private + 2 * PAGE, PAGE, MADV_DONTFORK) == 0);
    int pid = fork(), status;
    CHECK(pid >= 0);
    if (pid == 0) {
        shared[0] = 'c';
        CHECK(private[0] == 'x' && private[PAGE] == 0 && fault(private + 2 * PAGE) == SIGSEGV);
        private[0] = 'y';
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(shared[0] == 'c' && private[0] == 'x' && private[PAGE] == 'x' && private[2 * PAGE] == 'x');
    CHECK(munmap(shared, PAGE) == 0 && munmap(private, 3 * PAGE) == 0);
}

static void ranges(void)
{
    char *at = anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    unsigned char vector[8];
    memset(at, 'x', 8 * PAGE);
    CHECK(madvise(at + PAGE, PAGE, MADV_DONTNEED) == 0 && at[PAGE] == 0 && at[2 * PAGE] == 'x');
    CHECK(madvise(at, PAGE, MADV_WILLNEED) == 0 && at[0] == 'x');
    CHECK(mincore(at, 8 * PAGE, vector) == 0 && (vector[0] & 1) && (vector[7] & 1));
    CHECK(mlock(at, PAGE) == 0);
    CHECK_FAILS(madvise(at, PAGE, MADV_DONTNEED), EINVAL);
    CHECK(munlock(at, PAGE) == 0);
    CHECK(munmap(at + 4 * PAGE, PAGE) == 0);
    CHECK_FAILS(madvise(at, 8 * PAGE, MADV_DONTNEED), ENOMEM); /* but what is there goes */
    CHECK(at[0] == 0 && at[7 * PAGE] == 0);
    CHECK_FAILS(msync(at, 8 * PAGE, MS_ASYNC), ENOMEM);
    CHECK_FAILS(mincore(at, 8 * PAGE, vector), ENOMEM);
    CHECK_FAILS(mlock(at, 8 * PAGE), ENOMEM);
    CHECK_FAILS(madvise(at + 1, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_FAILS(madvise(at, PAGE, 9999), EINVAL);
    CHECK(madvise(at, 0, MADV_DONTNEED) == 0);
    CHECK_FAILS(madvise(at, PAGE, MADV_REMOVE), EINVAL);
    CHECK(munmap(at, 8 * PAGE) == 0);
}

/* Many mappings that cannot merge, freed in another order: the tree stays whole, holes are found again. */
static void many(void)
{
    enum { COUNT = 3000 };
    static char *at[COUNT];
    for (int i = 0; i < COUNT; i++) {
        at[i] = anonymous((1 + i % 5) * PAGE, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
        CHECK(at[i][0] == 0);
    }
    for (int i = 0; i < COUNT; i++) {
        int k = (int)((unsigned)i * 1009u % COUNT);
        CHECK(munmap(at[k], (size_t)(1 + k % 5) * PAGE) == 0);
    }
    CHECK(fault(at[0]) == SIGSEGV && fault(at[COUNT / 2]) == SIGSEGV);
}

static void growing_stack(void)
{
    char *area = anonymous(1024 * PAGE, PROT_NONE); /* to find room */
    CHECK(munmap(area, 1024 * PAGE) == 0);
    char *top = area + 1023 * PAGE;
    char *stack = mmap(top, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    CHECK(stack == top);
    for (int i = 1; i < 100; i++)
        *(volatile char *)(top - i * PAGE) = 1;
    CHECK(munmap(top - 99 * PAGE, 100 * PAGE) == 0);
}

int main(void)
{
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    places();
    errors();
    files();
    across_fork();
    ranges();
    many();
    growing_stack();
    return 0;
}
