/* SPDX-License-Identifier: MIT */
/*
 * What is known of each rewritten site, found by guest address or by number.  Records change under the sites' lock;
 * copies are read without it, so the memory of a site stays a site for ever.
 */
#ifndef SHIM_SITE_TABLE_H
#define SHIM_SITE_TABLE_H

#include "shim/rewrite/patch.h"
#include "shim/rewrite/trampoline.h"

#define SITE_PATCHES 3

struct patch { uint64_t at; uint8_t size; uint8_t old[PATCH_SIZE_MAX]; };

struct site {
    uint32_t version; /* odd while it is being written */
    uint16_t index;   /* 0: free */
    uint8_t kind;
    bool retired;     /* text restored: the trampoline lives on, for the threads that will return to it */
    bool second;      /* has, or was refused, a second way in */
    uint8_t patch_count, point_count;
    uint32_t trampoline_size;
    uint64_t syscall, trampoline;
    uint64_t start, end; /* of the bytes replaced or absorbed, the syscall instruction included */
    uint64_t hole;       /* SITE_HOLE, or a second way in: the jump in the padding; else 0 */
    struct patch patches[SITE_PATCHES]; /* in the order of publication */
    struct trampoline_point points[TRAMPOLINE_POINTS];
};

struct site *site_table_new(const struct site_host *host);
void site_table_free(struct site *site);
/* The site of that index, or NULL: for walking all, 1 <= index < site_table_limit(). */
struct site *site_table_at(uint32_t index);
uint32_t site_table_limit(void);

/* Around changes of a site that lookups may see. */
void site_table_write_begin(struct site *site);
void site_table_write_end(struct site *site);

/* Maps a guest address to a site; index 0 unmaps. */
bool site_table_key(const struct site_host *host, uint64_t address, uint16_t index);

/* Consistent copies; take no lock. */
bool site_table_find(uint64_t address, struct site *out);
bool site_table_read(uint16_t index, struct site *out);

void site_table_forget_all(void);

#endif
