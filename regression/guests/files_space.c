/* SPDX-License-Identifier: MIT */
/* Room: holes, fallocate, mappings past what is there; and a small tmpfs is full exactly when statfs says so. */
#include "files.h"
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#define PAGE 4096
#define SMALL (256u << 20)

static sigjmp_buf after;
static void on_bus(int number) { (void)number, siglongjmp(after, 1); }

static void holes(void)
{
    struct stat status;
    char byte = 1;
    int fd = open("sparse", O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 1l << 40) == 0 && fstat(fd, &status) == 0);
    CHECK(status.st_size == 1l << 40 && status.st_blocks == 0);
    CHECK(pread(fd, &byte, 1, 1l << 39) == 1 && byte == 0);
    CHECK(pwrite(fd, "x", 1, 1l << 39) == 1 && fstat(fd, &status) == 0 && status.st_blocks > 0 && status.st_blocks < 4096);
    CHECK(ftruncate(fd, 0) == 0 && fstat(fd, &status) == 0 && status.st_blocks == 0);
    CHECK(close(fd) == 0 && unlink("sparse") == 0);
}

/* One file in two processes, by mapping and by read. */
static void shared(void)
{
    int fd = open("shared", O_RDWR | O_CREAT | O_EXCL, 0600), status;
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), byte;
    CHECK(map != MAP_FAILED);
    pid_t child = fork();
    if (child == 0) {
        int again = open("shared", O_RDWR);
        map[PAGE] = 'c';
        _exit(again < 0 || pwrite(again, "w", 1, 1) != 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(map[PAGE] == 'c' && map[1] == 'w' && pread(fd, &byte, 1, PAGE) == 1 && byte == 'c');
    CHECK(munmap(map, 2 * PAGE) == 0 && close(fd) == 0 && unlink("shared") == 0);
}

/* Code that was written there runs, mapped from the file. */
static void executable(void)
{
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42,%eax; ret */
    int fd = open("code", O_RDWR | O_CREAT | O_EXCL, 0700);
    CHECK(fd >= 0 && write(fd, code, sizeof code) == sizeof code);
    void *map = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(map != MAP_FAILED && ((int (*)(void))map)() == 42);
    CHECK(munmap(map, PAGE) == 0 && close(fd) == 0 && unlink("code") == 0);
}

static uint64_t free_blocks(uint64_t *names)
{
    struct statfs space;
    CHECK(statfs(".", &space) == 0);
    *names = space.f_ffree;
    return space.f_bavail;
}

/* A mapped page for which there is no room is SIGBUS, as Linux has it. */
static void no_page(void)
{
    int fd = open("hole", O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
    volatile char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct sigaction action = {.sa_handler = on_bus}, before;
    CHECK(map != MAP_FAILED && sigaction(SIGBUS, &action, &before) == 0);
    bool died = true;
    if (!sigsetjmp(after, 1)) {
        map[0] = 1;
        died = false;
    }
    CHECK(died && sigaction(SIGBUS, &before, NULL) == 0);
    CHECK(munmap((void *)map, PAGE) == 0 && close(fd) == 0 && unlink("hole") == 0);
}

static void full(void)
{
    static char bytes[1 << 16];
    uint64_t names, before = free_blocks(&names), total = 0;
    ssize_t size;
    int fd = open("big", O_WRONLY | O_CREAT | O_EXCL, 0600);
    while ((size = write(fd, bytes, sizeof bytes)) > 0)
        total += (uint64_t)size;
    CHECK(size == -1 && errno == ENOSPC && total == before * PAGE && free_blocks(&names) == 0);
    FAILS(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)total, PAGE), ENOSPC);
    no_page();
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0 && free_blocks(&names) == 1);
    CHECK(unlink("big") == 0 && free_blocks(&names) == 1); /* it is open */
    CHECK(close(fd) == 0 && free_blocks(&names) == before);
}

/* Whatever a name is of, it takes one. */
static int take_name(uint64_t number, char name[24])
{
    snprintf(name, 24, "%lu", number);
    switch (number % 5) {
    case 0: return mkdir(name, 0700);
    case 1: return symlink("nowhere", name);
    case 2: return mkfifo(name, 0600);
    case 3: return link("first", name);
    default: return mknod(name, S_IFREG | 0600, 0);
    }
}

static void no_names(void)
{
    char name[24];
    uint64_t before, now;
    put_file("first", "1");
    free_blocks(&before);
    uint64_t count = 0;
    while (take_name(count, name) == 0)
        count++;
    CHECK(errno == ENOSPC && count == before);
    free_blocks(&now);
    CHECK(now == 0);
    FAILS(open(".", O_TMPFILE | O_RDWR, 0600), ENOSPC);
    FAILS(open("more", O_CREAT | O_WRONLY, 0600), ENOSPC);
    CHECK(rename("first", "other") == 0 && rename("other", "first") == 0); /* takes none */
    while (count--) {
        snprintf(name, sizeof name, "%lu", count);
        CHECK((count % 5 ? unlink(name) : rmdir(name)) == 0);
    }
    free_blocks(&now);
    CHECK(now == before && unlink("first") == 0);
}

int main(void)
{
    struct statfs space;
    scratch_enter();
    holes();
    shared();
    executable();
    CHECK(statfs(".", &space) == 0);
    bool small = space.f_type == TMPFS_MAGIC && space.f_blocks < SMALL / PAGE;
    CHECK(small || !getenv("SMALL"));
    if (small) {
        full();
        no_names();
    }
    return 0;
}
