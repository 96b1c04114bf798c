/* SPDX-License-Identifier: MIT */
/* System V shared memory: attaching, sharing, detaching, counts, removal, deaths. */
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define SIZE 10000
static char path[] = "/proc/self/exe";

static struct shmid_ds status(int id)
{
    struct shmid_ds out;
    CHECK(shmctl(id, IPC_STAT, &out) == 0);
    return out;
}

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static void basics(void)
{
    CHECK_FAILS(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    CHECK_FAILS(shmat(-1, NULL, 0), EINVAL);
    CHECK_FAILS(shmctl(0x7fffffff, IPC_RMID, NULL), EINVAL);
    int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0640);
    CHECK(id >= 0);
    struct shmid_ds now = status(id);
    CHECK(now.shm_segsz == SIZE && now.shm_nattch == 0 && now.shm_cpid == getpid() &&
          (now.shm_perm.mode & 0777) == 0640);
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    CHECK(a != (void *)-1 && b != (void *)-1 && a != b);
    for (int i = 0; i < SIZE; i++)
        CHECK(a[i] == 0);
    strcpy(a + 8000, "hello");
    CHECK(!strcmp(b + 8000, "hello") && status(id).shm_nattch == 2);
    CHECK_FAILS(mprotect(b, 4096, PROT_READ | PROT_WRITE), EACCES);
    CHECK_FAILS(shmdt(a + 4096), EINVAL);
    CHECK(shmdt(b) == 0 && status(id).shm_nattch == 1);
    CHECK_FAILS(shmdt(b), EINVAL);
    char *fixed = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_FAILS(shmat(id, fixed, 0), EINVAL);
    CHECK_FAILS(shmat(id, fixed + 1, 0), EINVAL);
    CHECK(shmat(id, fixed + 5, SHM_RND | SHM_REMAP) == fixed && !strcmp(fixed + 8000, "hello"));
    CHECK(munmap(fixed, 3 * 4096) == 0 && status(id).shm_nattch == 1);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    CHECK((status(id).shm_perm.mode & SHM_DEST) && status(id).shm_nattch == 1);
    CHECK(!strcmp(a + 8000, "hello") && shmdt(a) == 0);
    CHECK_FAILS(shmctl(id, IPC_STAT, &now), EINVAL);
}

static void keys(void)
{
    key_t key = ftok(path, 7) ^ (key_t)getpid() << 8;
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(id >= 0 && shmget(key, 0, 0) == id && shmget(key, 4096, IPC_CREAT | 0600) == id);
    CHECK_FAILS(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_FAILS(shmget(key, 4097, 0600), EINVAL);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    CHECK_FAILS(shmget(key, 4096, 0600), ENOENT);
    int again = shmget(key, 4096, IPC_CREAT | 0600);
    CHECK(again >= 0 && again != id);
    CHECK(shmctl(again, IPC_RMID, NULL) == 0);
}

/* A child shares what its parent had attached, and is counted; a stranger finds it by its identifier. */
static void processes(void)
{
    int id = shmget(IPC_PRIVATE, 1 << 20, 0600);
    volatile int *shared = shmat(id, NULL, 0);
    CHECK(shared != (void *)-1);
    pid_t child = fork();
    if (child == 0) {
        if (status(id).shm_nattch != 2)
            _exit(1);
        shared[1000] = 42;
        volatile int *second = shmat(id, NULL, 0);
        second[2000] = 43;
        _exit(status(id).shm_nattch == 3 ? 0 : 2);
    }
    ended(child, 0);
    CHECK(shared[1000] == 42 && shared[2000] == 43 && status(id).shm_nattch == 1);
    child = fork();
    if (child == 0)
        for (;;)
            pause();
    CHECK(status(id).shm_nattch == 2);
    kill(child, SIGKILL);
    ended(child, SIGKILL);
    CHECK(status(id).shm_nattch == 1);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(9);
    }
    ended(child, 0);
    CHECK(status(id).shm_nattch == 1 && shmdt((void *)shared) == 0);
    CHECK_FAILS(shmat(id, NULL, 0), EINVAL);
}

/* New segments are zeroed, also where others were. */
static void zeroed(void)
{
    for (int i = 0; i < 50; i++) {
        int id = shmget(IPC_PRIVATE, 65536, 0600);
        char *at = shmat(id, NULL, 0);
        CHECK(at != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
        for (int j = 0; j < 65536; j += 512)
            CHECK(at[j] == 0);
        memset(at, 0xaa, 65536);
        CHECK(shmdt(at) == 0);
    }
}

int main(void)
{
    basics();
    keys();
    processes();
    zeroed();
    return 0;
}
