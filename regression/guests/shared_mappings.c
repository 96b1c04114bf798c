/* SPDX-License-Identifier: MIT */
/* MAP_SHARED across fork and exec, of nothing and of files; futexes and pthread objects in it. */
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static void *shared_pages(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static void anonymous(void)
{
    volatile int *a = shared_pages(1 << 20);
    pid_t child = fork();
    if (child == 0) {
        a[1] = 1;
        pid_t grandchild = fork();
        if (grandchild == 0) {
            a[200000] = 2;
            _exit(0);
        }
        int result;
        _exit(waitpid(grandchild, &result, 0) != grandchild || result || a[200000] != 2);
    }
    ended(child, 0);
    CHECK(a[1] == 1 && a[200000] == 2);
    /* It may be moved, and made larger elsewhere, and is still the same. */
    volatile int *moved = mremap((void *)a, 1 << 20, 1 << 20, MREMAP_MAYMOVE | MREMAP_FIXED, shared_pages(1 << 20));
    CHECK(moved != MAP_FAILED && moved[1] == 1);
    child = fork();
    if (child == 0) {
        moved[2] = 3;
        _exit(0);
    }
    ended(child, 0);
    CHECK(moved[2] == 3 && munmap((void *)moved, 1 << 20) == 0);
}

static void file(const char *self)
{
    char path[] = "/tmp/shared_mappings.XXXXXX", argument[16];
    int fd = mkstemp(path);
    CHECK(fd >= 0 && ftruncate(fd, 8192) == 0);
    volatile char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    at[4096] = 'a';
    snprintf(argument, sizeof argument, "%d", fd);
    pid_t child = fork();
    if (child == 0) {
        execl(self, self, argument, NULL); /* keeps the descriptor, and maps it again */
        _exit(9);
    }
    ended(child, 0);
    char byte;
    CHECK(at[4097] == 'b' && pread(fd, &byte, 1, 4097) == 1 && byte == 'b');
    CHECK(pwrite(fd, "c", 1, 4098) == 1 && at[4098] == 'c');
    CHECK(unlink(path) == 0);
}

static int after_exec(int fd)
{
    volatile char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED || at[4096] != 'a')
        return 1;
    at[4097] = 'b';
    return 0;
}

static long futex(volatile int *word, int operation, int value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void futexes(void)
{
    volatile int *turn = shared_pages(4096);
    pid_t child = fork();
    for (int i = 0; i < 1000; i++) {
        int mine = child == 0, seen;
        while ((seen = __atomic_load_n(turn, __ATOMIC_ACQUIRE)) % 2 != mine)
            futex(turn, FUTEX_WAIT, seen, NULL);
        __atomic_add_fetch(turn, 1, __ATOMIC_RELEASE);
        futex(turn, FUTEX_WAKE, 1, NULL);
    }
    if (child == 0)
        _exit(0);
    ended(child, 0);
    CHECK(*turn == 2000);
    struct timespec time = {0, 10000000};
    CHECK_FAILS(futex(turn, FUTEX_WAIT, 2000, &time), ETIMEDOUT);
}

struct box { pthread_mutex_t mutex; pthread_cond_t condition; pthread_barrier_t barrier; int count, ready; };

static void pthreads(void)
{
    struct box *box = shared_pages(4096);
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    pthread_barrierattr_t barrier;
    pthread_mutexattr_init(&mutex);
    pthread_condattr_init(&condition);
    pthread_barrierattr_init(&barrier);
    CHECK(!pthread_mutexattr_setpshared(&mutex, 1) && !pthread_condattr_setpshared(&condition, 1) &&
          !pthread_barrierattr_setpshared(&barrier, 1));
    CHECK(!pthread_mutex_init(&box->mutex, &mutex) && !pthread_cond_init(&box->condition, &condition) &&
          !pthread_barrier_init(&box->barrier, &barrier, 3));
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            pthread_barrier_wait(&box->barrier);
            for (int j = 0; j < 5000; j++) {
                pthread_mutex_lock(&box->mutex);
                box->count++;
                pthread_mutex_unlock(&box->mutex);
            }
            pthread_mutex_lock(&box->mutex);
            box->ready++;
            pthread_cond_signal(&box->condition);
            pthread_mutex_unlock(&box->mutex);
            _exit(0);
        }
    }
    pthread_barrier_wait(&box->barrier);
    pthread_mutex_lock(&box->mutex);
    while (box->ready < 2)
        pthread_cond_wait(&box->condition, &box->mutex);
    CHECK(box->count == 10000);
    pthread_mutex_unlock(&box->mutex);
    ended(children[0], 0);
    ended(children[1], 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return after_exec(atoi(argv[1]));
    anonymous();
    file(argv[0]);
    futexes();
    pthreads();
    return 0;
}
