/* SPDX-License-Identifier: MIT */
/* What pal-run tells its supervisor, and how that process is begun: between client.c and supervisor.c. */
#ifndef LOADER_SUPERVISE_PROTOCOL_H
#define LOADER_SUPERVISE_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loader/supervise/supervise.h"

#define MASK_SIZE 8 /* the kernel's sigset_t */

enum word {
    WORD_LIMIT = 1,   /* value = when the time limit is over, in ms of CLOCK_MONOTONIC */
    WORD_SCRATCH,     /* name, and the descriptor of the directory that it lies in */
    WORD_TERMINATION, /* a SIGTERM has come */
    WORD_EMPTY,       /* nothing of the sandbox is left */
    WORD_STREAM_0,    /* stream, and its descriptor */
    WORD_STREAM_1,
    WORD_STREAM_2,
    WORDS
};
#define WORD_NAME_ROOM 64
struct words { /* a packet */
    uint64_t word;
    int64_t value;
    char name[WORD_NAME_ROOM];
    struct stream stream;
};
union rights {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

struct supervision {
    int pal_run, first;       /* pids */
    int words, first_pidfd;   /* descriptors */
    char *const *argv;        /* pal-run's, which becomes the supervisor's name; NULL: not to be changed */
    bool own_memory;
};
/* The supervisor's main, in a process of its own. */
void supervise(const struct supervision *supervision) __attribute__((noreturn));

#endif
