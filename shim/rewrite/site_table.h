/* SPDX-License-Identifier: MIT */
/*
 * What is known of each rewritten site, found by guest address or by number.  Records change under the sites' lock;
 * copies are read without it, so the memory of a record stays a record for ever.
 */
#ifndef SHIM_RECORD_H
#define SHIM_RECORD_H

#include "shim/rewrite/patch.h"
#include "shim/rewrite/trampoline.h"

#define RECORD_PATCHES 3

struct patch { uint64_t at; uint8_t size; uint8_t old[PATCH_SIZE_MAX]; };

struct record {
    uint32_t version; /* odd while it is being written */
    uint16_t index;   /* 0: free */
    uint8_t kind;
    bool retired;     /* text restored: the stub lives on, for the threads that will return to it */
    bool second;      /* has, or was refused, a second way in */
    uint8_t patch_count, point_count;
    uint32_t stub_size;
    uint64_t syscall, stub;
    uint64_t start, end; /* of the bytes replaced or absorbed, the syscall instruction included */
    uint64_t hole;       /* SITE_HOLE, or a second way in: the jump in the padding; else 0 */
    struct patch patches[RECORD_PATCHES]; /* in the order of publication */
    struct stub_point points[STUB_POINTS];
};

struct record *record_new(const struct site_host *host);
void record_free(struct record *record);
/* The record of that index, or NULL: for walking all, 1 <= index < record_limit(). */
struct record *record_at(uint32_t index);
uint32_t record_limit(void);

/* Around changes of a record that lookups may see. */
void record_write_begin(struct record *record);
void record_write_end(struct record *record);

/* Maps a guest address to a record; index 0 unmaps. */
bool record_key(const struct site_host *host, uint64_t address, uint16_t index);

/* Consistent copies; take no lock. */
bool record_find(uint64_t address, struct record *out);
bool record_read(uint16_t index, struct record *out);

void record_forget_all(void);

#endif
