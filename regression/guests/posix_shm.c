/* SPDX-License-Identifier: MIT */
/* shm_open, named semaphores, memfd with seals: between processes. */
#include <fcntl.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static void shared_memory(void)
{
    char name[64];
    struct stat status;
    snprintf(name, sizeof name, "/posix_shm.%d", (int)getpid());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 100000) == 0 && fstat(fd, &status) == 0 && status.st_size == 100000);
    CHECK_FAILS(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    volatile int *a = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(a != MAP_FAILED && close(fd) == 0);
    pid_t child = fork();
    if (child == 0) {
        int again = shm_open(name, O_RDWR, 0);
        volatile int *b = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
        b[5000] = 11; /* by a mapping of its own */
        a[5001] = 12; /* by the inherited one */
        _exit(again < 0 || b == MAP_FAILED || b[5001] != 12);
    }
    ended(child, 0);
    CHECK(a[5000] == 11 && a[5001] == 12);
    CHECK(shm_unlink(name) == 0);
    CHECK_FAILS(shm_open(name, O_RDWR, 0), ENOENT);
    a[5002] = 13;
    CHECK(a[5002] == 13 && munmap((void *)a, 100000) == 0);
}

static void semaphores(void)
{
    char name[64], other[64];
    snprintf(name, sizeof name, "/posix_sem.%d", (int)getpid());
    snprintf(other, sizeof other, "/posix_sem2.%d", (int)getpid());
    sem_t *ping = sem_open(name, O_CREAT | O_EXCL, 0600, 0), *pong = sem_open(other, O_CREAT | O_EXCL, 0600, 0);
    CHECK(ping != SEM_FAILED && pong != SEM_FAILED);
    CHECK(sem_open(name, O_CREAT | O_EXCL, 0600, 0) == SEM_FAILED && errno == EEXIST);
    CHECK_FAILS(sem_trywait(ping), EAGAIN);
    pid_t child = fork();
    if (child == 0) {
        sem_t *mine = sem_open(name, 0), *theirs = sem_open(other, 0); /* mapped anew */
        for (int i = 0; i < 500; i++)
            if (sem_wait(mine) || sem_post(theirs))
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 500; i++)
        CHECK(sem_post(ping) == 0 && sem_wait(pong) == 0);
    ended(child, 0);
    CHECK(sem_close(ping) == 0 && sem_close(pong) == 0 && sem_unlink(name) == 0 && sem_unlink(other) == 0);
}

static void sealed(void)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC), plain = memfd_create("plain", 0);
    CHECK(fd >= 0 && plain >= 0 && ftruncate(fd, 8192) == 0 && write(fd, "bytes", 5) == 5);
    CHECK(fcntl(plain, F_GET_SEALS) == F_SEAL_SEAL && fcntl(fd, F_GET_SEALS) == 0);
    CHECK_FAILS(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK_FAILS(ftruncate(fd, 4096), EPERM);
    CHECK(ftruncate(fd, 12288) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
    CHECK_FAILS(ftruncate(fd, 16384), EPERM);
    void *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(writable != MAP_FAILED);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK(munmap(writable, 4096) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    CHECK_FAILS(pwrite(fd, "x", 1, 0), EPERM);
    CHECK_FAILS(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    CHECK_FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    pid_t child = fork();
    if (child == 0) {
        char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        _exit(at == MAP_FAILED || memcmp(at, "bytes", 5) || pwrite(fd, "x", 1, 0) != -1);
    }
    ended(child, 0);
    CHECK(close(fd) == 0 && close(plain) == 0);
}

int main(void)
{
    shared_memory();
    semaphores();
    sealed();
    return 0;
}
