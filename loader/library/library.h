/* SPDX-License-Identifier: MIT */
/* libpalrun's own files, as they see each other. */
#ifndef LOADER_LIBRARY_H
#define LOADER_LIBRARY_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "loader/library/palrun.h"

#define LINE_ROOM 8192 /* a line of pal-run's has at most 4096 bytes */

struct palrun {
    int pidfd;  /* pal-run's: no other process can come into its place; -1: a pool's clone */
    int client; /* the connection to the pool; -1: none */
    int events; /* -1: none are read */
    int asks;   /* -1: nobody is asked */
    pthread_mutex_t lock;
    /* Under the lock: */
    bool ended;
    int status;
    bool told; /* an "ended" event was read */
    int told_status;
    /* Of the thread that reads events: */
    json_t *last; /* what the strings of the last event lie in */
    size_t used, taken;
    bool skipping; /* the rest of a line that found no room */
    char line[LINE_ROOM];
};

/* ---- run.c ------------------------------------------------------------------------------------------------------- */

/* Frees what a sandbox that does not run has. */
void library_close(struct palrun *run);

/* ---- pool.c ------------------------------------------------------------------------------------------------------ */

int library_take_reply(struct palrun *run); /* sets its status; 0 or a negative errno */
int library_send_signal(struct palrun *run, int number);

#endif
