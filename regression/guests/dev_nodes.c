/* SPDX-License-Identifier: MIT */
/* /dev: the memory devices, the links to the standard streams, shared memory's folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

static char *volatile bad_address = (char *)8;

static void node(const char *path, unsigned major_number, unsigned minor_number)
{
    struct stat st;
    CHECK(!stat(path, &st));
    CHECK(S_ISCHR(st.st_mode) && (st.st_mode & 0777) == 0666);
    CHECK(major(st.st_rdev) == major_number && minor(st.st_rdev) == minor_number);
}

static void memory_devices(void)
{
    char bytes[64];
    memset(bytes, 1, sizeof bytes);
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    CHECK(null >= 0 && zero >= 0 && full >= 0);
    CHECK(read(null, bytes, 10) == 0 && write(null, bytes, 10) == 10);
    CHECK(lseek(null, 5, SEEK_SET) == 0);
    struct iovec vectors[2] = {{bytes, 8}, {bytes + 16, 8}};
    CHECK(readv(zero, vectors, 2) == 16);
    CHECK(!bytes[0] && !bytes[7] && bytes[8] == 1 && !bytes[16] && !bytes[23] && bytes[24] == 1);
    CHECK(write(zero, bytes, 10) == 10);
    CHECK(read(zero, bad_address, 1) == -1 && errno == EFAULT);
    CHECK(read(full, bytes, 64) == 64 && !bytes[63]);
    CHECK(write(full, bytes, 1) == -1 && errno == ENOSPC);
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    CHECK(map != MAP_FAILED && !map[0] && !map[8191]);
    map[5000] = 1;
    munmap(map, 8192);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, null, 0) == MAP_FAILED && errno == ENODEV);
    close(null);
    close(zero);
    close(full);
    CHECK(open("/dev/null", O_RDWR | O_CREAT | O_TRUNC, 0600) >= 0);
    CHECK(open("/dev/null", O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
    CHECK(open("/dev/null", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
}

static void randomness(void)
{
    unsigned char a[64] = {0}, b[64] = {0};
    int fd = open("/dev/urandom", O_RDONLY), other = open("/dev/random", O_RDONLY);
    CHECK(fd >= 0 && read(fd, a, 64) == 64 && read(fd, b, 64) == 64 && memcmp(a, b, 64));
    CHECK(other >= 0 && read(other, a, 16) > 0);
    close(fd);
    close(other);
}

static void links(void)
{
    char target[64];
    int fds[2];
    char path[32], byte;
    CHECK(readlink("/dev/fd", target, sizeof target) == 13 && !memcmp(target, "/proc/self/fd", 13));
    CHECK(readlink("/dev/stdin", target, sizeof target) == 15);
    CHECK(!pipe(fds));
    snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    int reader = open(path, O_RDONLY);
    CHECK(reader >= 0 && write(fds[1], "q", 1) == 1 && read(reader, &byte, 1) == 1 && byte == 'q');
    DIR *dir = opendir("/dev");
    int seen = 0;
    CHECK(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        seen += !strcmp(entry->d_name, "null") || !strcmp(entry->d_name, "fd") || !strcmp(entry->d_name, "urandom");
    closedir(dir);
    CHECK(seen == 3);
}

static void shared_memory(void)
{
    struct stat st;
    char name[64];
    CHECK(!stat("/dev/shm", &st) && S_ISDIR(st.st_mode));
    snprintf(name, sizeof name, "/dev_nodes.%d", getpid());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && !ftruncate(fd, 4096));
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    strcpy(map, "shared");
    int again = shm_open(name, O_RDONLY, 0);
    char bytes[8] = "";
    CHECK(again >= 0 && read(again, bytes, 7) == 7 && !strcmp(bytes, "shared"));
    CHECK(!shm_unlink(name));
    CHECK(shm_open(name, O_RDWR, 0) == -1 && errno == ENOENT);
}

int main(void)
{
    node("/dev/null", 1, 3);
    node("/dev/zero", 1, 5);
    node("/dev/full", 1, 7);
    node("/dev/random", 1, 8);
    node("/dev/urandom", 1, 9);
    node("/dev/tty", 5, 0);
    memory_devices();
    randomness();
    links();
    shared_memory();
    return 0;
}
