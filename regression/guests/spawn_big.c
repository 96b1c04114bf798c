/* SPDX-License-Identifier: MIT */
/* Programs started from a process with much memory and other threads: they find none of it, it keeps all of it, and
 * what madvise said of forks still holds. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 64 << 20, PAGE = 4096, SPAWNS = 40 };
extern char **environ;
static char *memory, *shared, *hidden, *wiped;
static volatile int stop;

static char *map(size_t size, int flags)
{
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* Forks, maps and unmaps meanwhile: each fork's child finds the memory. */
static void *forks(void *unused)
{
    int status;
    while (!stop) {
        char *page = map(PAGE, MAP_PRIVATE);
        *page = 3;
        pid_t child = fork();
        if (child == 0)
            _exit(memory[SIZE - 1] == 1 && *page == 3 && shared[0] ? 0 : 1);
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        CHECK(munmap(page, PAGE) == 0);
    }
    return unused;
}

static void check_fork(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        shared[1] = memory[0] + memory[SIZE - 1];
        _exit(!wiped[0] && mprotect(hidden, PAGE, PROT_READ) != 0 && errno == ENOMEM ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0 && shared[1] == 2);
}

int main(int argc, char **argv)
{
    static char child[] = "child";
    char *arguments[] = {argv[0], child, NULL};
    pthread_t thread;
    int status;
    if (argc > 1)
        return 7;
    memory = map(SIZE, MAP_PRIVATE);
    memset(memory, 1, SIZE);
    shared = map(PAGE, MAP_SHARED);
    shared[0] = 5;
    hidden = map(PAGE, MAP_PRIVATE);
    wiped = map(PAGE, MAP_PRIVATE);
    wiped[0] = hidden[0] = 6;
    CHECK(madvise(hidden, PAGE, MADV_DONTFORK) == 0 && madvise(wiped, PAGE, MADV_WIPEONFORK) == 0);
    CHECK(pthread_create(&thread, NULL, forks, NULL) == 0);
    for (int i = 0; i < SPAWNS; i++) {
        pid_t pid;
        CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    check_fork();
    CHECK(memory[0] == 1 && memory[SIZE / 2] == 1 && memory[SIZE - 1] == 1 && hidden[0] == 6 && wiped[0] == 6);
    return 0;
}
