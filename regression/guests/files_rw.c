/* SPDX-License-Identifier: MIT */
/* Vectors, big transfers, holes, copies between descriptors, memory files. */
#include "files.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void vectors(void)
{
    char a[4] = "", b[8] = "";
    struct iovec out[3] = {{"one", 3}, {NULL, 0}, {"two-three", 9}}, in[2] = {{a, 3}, {b, 8}};
    int fd = open("v", O_RDWR | O_CREAT, 0600);
    CHECK(writev(fd, out, 3) == 12);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(readv(fd, in, 2) == 11 && memcmp(a, "one", 3) == 0 && memcmp(b, "two-thre", 8) == 0);
    CHECK(preadv(fd, in, 2, 3) == 9 && memcmp(a, "two", 3) == 0 && memcmp(b, "-three", 6) == 0);
    CHECK(pwritev(fd, out, 1, 12) == 3);
    CHECK(preadv2(fd, in, 1, -1, 0) == 3);
    CHECK(lseek(fd, 0, SEEK_CUR) == 14);
    CHECK(pwritev2(fd, out, 1, 0, RWF_DSYNC) == 3);
    CHECK(readv(fd, in, 0) == 0);
    FAILS(syscall(SYS_readv, fd, in, -1), EINVAL);
    FAILS(syscall(SYS_readv, fd, in, 1025), EINVAL);
    FAILS(writev(fd, nowhere, 1), EFAULT);
    in[0].iov_len = (size_t)-1;
    FAILS(readv(fd, in, 1), EINVAL);
    struct iovec many[1024];
    static char bytes[1024];
    for (int i = 0; i < 1024; i++)
        many[i] = (struct iovec){bytes + i, 1};
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && readv(fd, many, 1024) == 15 && memcmp(bytes, "onetwo", 6) == 0);
    close(fd);
}

static void partial_fault(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
    int fd = open("v", O_RDWR | O_TRUNC);
    memset(page, 'q', 4096);
    CHECK(write(fd, page, 4096) == 4096);
    FAILS(write(fd, page + 4096, 10), EFAULT);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    ssize_t got = read(fd, page + 4090, 100);
    CHECK(got == 6 || (got == -1 && errno == EFAULT));
    close(fd);
    munmap(page, 4096);
}

static void big(void)
{
    size_t size = 3000001;
    char *bytes = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 4096);
    int fd = open("big", O_RDWR | O_CREAT, 0600);
    CHECK(write(fd, bytes, size) == (ssize_t)size);
    CHECK(pread(fd, back, size, 0) == (ssize_t)size && memcmp(bytes, back, size) == 0);
    int out = open("copy", O_RDWR | O_CREAT, 0600);
    off_t from = 1;
    CHECK(sendfile(out, fd, &from, size) == (ssize_t)size - 1 && from == (off_t)size);
    CHECK(pread(out, back, size, 0) == (ssize_t)size - 1 && memcmp(bytes + 1, back, size - 1) == 0);
    CHECK(lseek(fd, 10, SEEK_SET) == 10 && sendfile(out, fd, NULL, 5) == 5 && lseek(fd, 0, SEEK_CUR) == 15);
    loff_t in_at = 100, out_at = 200;
    CHECK(copy_file_range(fd, &in_at, out, &out_at, 1000, 0) == 1000 && in_at == 1100 && out_at == 1200);
    CHECK(pread(out, back, 1000, 200) == 1000 && memcmp(bytes + 100, back, 1000) == 0);
    in_at = 0, out_at = 10;
    FAILS(copy_file_range(fd, &in_at, fd, &out_at, 100, 0), EINVAL);
    in_at = (loff_t)size;
    CHECK(copy_file_range(fd, &in_at, out, &out_at, 100, 0) == 0);
    int fds[2];
    CHECK(pipe(fds) == 0);
    in_at = 5;
    CHECK(splice(fd, &in_at, fds[1], NULL, 4096, 0) == 4096 && in_at == 4101);
    CHECK(read(fds[0], back, 4096) == 4096 && memcmp(bytes + 5, back, 4096) == 0);
    CHECK(write(fds[1], "spliced", 7) == 7);
    out_at = 0;
    CHECK(splice(fds[0], NULL, out, &out_at, 7, 0) == 7 && out_at == 7);
    CHECK(pread(out, back, 7, 0) == 7 && memcmp(back, "spliced", 7) == 0);
    FAILS(sendfile(out, fds[0], NULL, 5), EINVAL);
    FAILS(splice(fd, NULL, out, NULL, 5, 0), EINVAL);
    CHECK(fsync(fd) == 0 && fdatasync(out) == 0);
    FAILS(fsync(fds[0]), EINVAL);
    sync();
    CHECK(syncfs(fd) == 0 && sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE) == 0);
    close(fds[0]);
    close(fds[1]);
    close(out);
    close(fd);
    free(bytes);
    free(back);
}

/* Of memory: what is there stays, and blocks come. */
static void memory_space(void)
{
    struct stat st;
    char back[5] = "";
    int fd = memfd_create("space", MFD_ALLOW_SEALING);
    CHECK(fallocate(fd, 0, 0, 10000) == 0 && fstat(fd, &st) == 0 && st.st_size == 10000 && st.st_blocks == 24);
    CHECK(pwrite(fd, "data", 4, 8192) == 4 && fallocate(fd, 0, 5000, 6 << 20) == 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 5000 + (6 << 20) && st.st_blocks >= 2 * 6 << 10);
    CHECK(pread(fd, back, 4, 8192) == 4 && !strcmp(back, "data"));
    CHECK(ftruncate(fd, 1 << 20) == 0 && ftruncate(fd, 2 << 20) == 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 3 << 19, 4096) == 0);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 2 << 20 && st.st_blocks == 2056);
    CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 1 << 20) == 0 && fstat(fd, &st) == 0 && st.st_blocks == 8);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
    FAILS(fallocate(fd, 0, 0, 4 << 20), EPERM);
    CHECK(fallocate(fd, 0, 0, 4096) == 0);
    close(fd);
}

static void space(void)
{
    struct stat st;
    int fd = open("space", O_RDWR | O_CREAT, 0600);
    CHECK(posix_fallocate(fd, 0, 10000) == 0 && fstat(fd, &st) == 0 && st.st_size == 10000);
    FAILS(fallocate(fd, 0, -1, 5), EINVAL);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) == 0);
    CHECK(posix_fadvise(fd, 0, 0, 77) == EINVAL);
    CHECK(readahead(fd, 0, 4096) == 0);
    CHECK(pwrite(fd, "x", 1, 0) == 1 && ftruncate(fd, 1 << 20) == 0 && lseek(fd, 0, SEEK_DATA) == 0);
    CHECK(lseek(fd, 0, SEEK_HOLE) > 0);
    close(fd);
    fd = open("space", O_RDONLY);
    FAILS(fallocate(fd, 0, 0, 5), EBADF);
    close(fd);
}

static void memory_files(void)
{
    char bytes[8];
    struct stat st;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(ftruncate(fd, 4096) == 0 && fstat(fd, &st) == 0 && st.st_size == 4096 && S_ISREG(st.st_mode));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    strcpy(map, "mapped");
    CHECK(pread(fd, bytes, 6, 0) == 6 && memcmp(bytes, "mapped", 6) == 0);
    CHECK(munmap(map, 4096) == 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 && fcntl(fd, F_GET_SEALS) == F_SEAL_SHRINK);
    FAILS(ftruncate(fd, 1), EPERM);
    close(fd);
    fd = memfd_create("plain", 0);
    CHECK(fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
    close(fd);
    FAILS(memfd_create("bad", 0x4000), EINVAL);
}

/* What is refused first. */
static void refusals(void)
{
    char byte;
    struct iovec one = {&byte, 1};
    int ends[2], null = open("/dev/null", O_RDWR), here = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(pipe(ends) == 0 && null >= 0 && here >= 0);
    CHECK_FAILS(preadv(ends[1], &one, 1, 0), ESPIPE);
    CHECK_FAILS(pwritev(ends[0], &one, 1, 0), ESPIPE);
    CHECK_FAILS(sync_file_range(null, 0, 1, SYNC_FILE_RANGE_WRITE), ESPIPE);
    CHECK_FAILS(sync_file_range(ends[0], 0, 1, SYNC_FILE_RANGE_WRITE), ESPIPE);
    CHECK(sync_file_range(here, 0, 1, SYNC_FILE_RANGE_WAIT_AFTER) == 0);
    CHECK_FAILS(syscall(SYS_getdents64, here, &byte, 0x80000000u), EINVAL);
    close(ends[0]);
    close(ends[1]);
    close(null);
    close(here);
}

int main(void)
{
    refusals();
    scratch_enter();
    vectors();
    partial_fault();
    big();
    space();
    memory_space();
    memory_files();
    return 0;
}
