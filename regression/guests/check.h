/* SPDX-License-Identifier: MIT */
/* For guest programs: silent when all is well, one line and status 1 at the first thing that is not. */
#ifndef CHECK_H
#define CHECK_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #condition, errno, strerror(errno));    \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* The expression fails, with this errno. */
#define CHECK_FAILS(expression, error)                                                                                 \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        CHECK((long)(expression) == -1);                                                                               \
        CHECK(errno == (error));                                                                                       \
    } while (0)
#endif
