/* SPDX-License-Identifier: MIT */
/* RLIMIT_FSIZE: every way to make a file longer heeds it, SIGXFSZ comes with EFBIG, and others' files don't care. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define MOST 1000

static volatile int signals;

static void came(int signal)
{
    signals = signals + (signal == SIGXFSZ);
}

#define CHECK_TOO_LARGE(expression)                                                                                    \
    do {                                                                                                               \
        int before = signals;                                                                                          \
        CHECK_FAILS(expression, EFBIG);                                                                                \
        CHECK(signals == before + 1);                                                                                  \
    } while (0)

static void grows(void)
{
    char name[] = "/tmp/limits_files.XXXXXX", bytes[3000] = {0};
    int fd = mkstemp(name), zero = open("/dev/zero", O_RDONLY), pipes[2], status;
    struct iovec parts[3] = {{bytes, 400}, {bytes, 400}, {bytes, 400}};
    CHECK(fd >= 0 && zero >= 0 && pipe(pipes) == 0);
    CHECK(write(fd, bytes, 900) == 900);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){MOST, RLIM_INFINITY}) == 0);
    CHECK(write(fd, bytes, 200) == 100 && signals == 0);
    CHECK_TOO_LARGE(write(fd, bytes, 1));
    CHECK(write(fd, bytes, 0) == 0);
    CHECK(pwrite(fd, bytes, 10, 995) == 5);
    CHECK_TOO_LARGE(pwrite(fd, bytes, 10, MOST));
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && writev(fd, parts, 3) == MOST);
    CHECK_TOO_LARGE(ftruncate(fd, MOST + 1));
    CHECK_TOO_LARGE(truncate(name, MOST + 1));
    CHECK(ftruncate(fd, 500) == 0 && ftruncate(fd, MOST) == 0);
    CHECK_TOO_LARGE(fallocate(fd, 0, 0, MOST + 1));
    CHECK(fallocate(fd, 0, 0, MOST) == 0);
    int appends = open(name, O_WRONLY | O_APPEND);
    CHECK_TOO_LARGE(write(appends, bytes, 1));
    CHECK(ftruncate(fd, 990) == 0 && write(appends, bytes, 100) == 10);
    CHECK(write(pipes[1], bytes, 2000) == 2000); /* no file */
    CHECK(ftruncate(fd, 10) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(splice(pipes[0], NULL, fd, NULL, 100, 0) == 100);
    /* A child has the limit, too; by default the signal ends it. */
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        write(appends, bytes, 2 * MOST);
        write(appends, bytes, 1);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
    CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    CHECK(pwrite(fd, bytes, 10, 5000) == 10);
    unlink(name);
}

int main(void)
{
    CHECK(signal(SIGXFSZ, came) != SIG_ERR);
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max == RLIM_INFINITY)
        grows();
    return 0;
}
