/* SPDX-License-Identifier: MIT */
/* fork, exit statuses, private and shared memory, shared file offsets. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int private_word = 1;

static void statuses(void)
{
    static const int codes[] = {0, 1, 7, 125, 255};
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        int status = -1;
        pid_t parent = getpid(), child = fork();
        if (!child)
            _exit(getppid() == parent && getpid() != parent ? codes[i] : 99);
        CHECK(child > 0);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == codes[i]);
    }
    CHECK_FAILS(wait(NULL), ECHILD);
}

static void deaths(void)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGUSR1};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        int status = -1;
        pid_t child = fork();
        if (!child) {
            if (i % 2)
                raise(signals[i]);
            for (;;)
                pause();
        }
        if (!(i % 2))
            CHECK(kill(child, signals[i]) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        CHECK_FAILS(kill(child, 0), ESRCH);
    }
}

static void memory(void)
{
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    pid_t child = fork();
    if (!child) {
        private_word = 2;
        *shared = 42;
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(private_word == 1 && *shared == 42);
    munmap(shared, 4096);
}

static void offsets(void)
{
    char name[] = "/tmp/fork_wait.XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    unlink(name);
    pid_t child = fork();
    if (!child)
        _exit(write(fd, "child", 5) == 5 ? 0 : 1);
    int status;
    struct rusage usage;
    CHECK(wait4(child, &status, 0, &usage) == child && status == 0);
    CHECK(usage.ru_maxrss > 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 5);
    close(fd);
}

int main(void)
{
    statuses();
    deaths();
    memory();
    offsets();
    return 0;
}
