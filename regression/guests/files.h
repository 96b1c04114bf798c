/* SPDX-License-Identifier: MIT */
/* What the files_*.c programs share: a check of failures, and a directory of its own. */
#ifndef GUESTS_FILES_H
#define GUESTS_FILES_H
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define FAILS(call, error)                                                                                          \
    do {                                                                                                            \
        errno = 0;                                                                                                  \
        long result_ = (long)(call);                                                                                \
        if (result_ != -1 || errno != (error)) {                                                                    \
            printf("%s:%d: %s gave %ld, errno %d (%s), not %s\n", __FILE__, __LINE__, #call, result_, errno,        \
                   strerror(errno), #error);                                                                        \
            exit(1);                                                                                                \
        }                                                                                                           \
    } while (0)

static void *volatile nowhere __attribute__((unused)) = (void *)8; /* no address; the compiler can't know */
static char scratch[256];
static pid_t scratch_owner;

static void scratch_leave(void)
{
    char command[600];
    if (getpid() != scratch_owner)
        return;
    snprintf(command, sizeof(command), "chmod -R u+rwx '%s' && rm -rf '%s'", scratch, scratch);
    if (chdir("/") < 0 || system(command) != 0)
        printf("could not remove %s\n", scratch);
}

/* A fresh directory, which becomes the working one and goes away at exit. */
static inline void scratch_enter(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof(scratch), "%s/files.XXXXXX", base && *base ? base : "/tmp");
    CHECK(mkdtemp(scratch) != NULL);
    scratch_owner = getpid();
    atexit(scratch_leave);
    CHECK(chdir(scratch) == 0);
}

static inline void put_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(close(fd) == 0);
}

static inline int file_is(const char *name, const char *text)
{
    char bytes[4096];
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, bytes, sizeof(bytes));
    close(fd);
    return size == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)size) == 0;
}
#endif
