/* SPDX-License-Identifier: MIT */
/*
 * What a program died of: signal, address, and a backtrace with names.
 *
 * The record that the dying process left is a guest's word, and the files that it names may be a guest's own: unwinding and
 * all parsing is done by a helper, a process of its own that has the record, a socket, and the files that it asks for by their
 * guest paths; it may call next to nothing (loader/confined).  client.c, in pal-run, opens those files by policy, as the
 * guest could have, counts, waits no longer than it says, and takes lines of text, in which it believes nothing.
 */
#ifndef LOADER_CRASH_H
#define LOADER_CRASH_H

#include <elf.h>
#include <stdio.h>

#include "loader/monitor/monitor.h"

/* ---- What the two sides say: packets ----------------------------------------------------------------------------- */

#define CRASH_TEXT PAL_PATH_MAX
enum crash_op {
    CRASH_OPEN, /* a guest path.  Reply: 0 with a descriptor, or a negative errno */
    CRASH_WHAT, /* what happened, to be said behind the signal's name */
    CRASH_LINE, /* a frame */
};
struct crash_packet {
    uint32_t op;
    int32_t signal;        /* of CRASH_WHAT: what the record says */
    char text[CRASH_TEXT]; /* as much as the packet has; no NUL */
};
#define CRASH_FRAMES 32
#define CRASH_LINES (CRASH_FRAMES + 2) /* and how many more there are */
#define CRASH_LINE_MAX 240             /* bytes */

/* ---- client.c ---------------------------------------------------------------------------------------------------- */

struct crash {
    char *what; /* NULL: the record says nothing */
    int signal; /* that it says */
    char *lines[CRASH_LINES];
    size_t count;
    bool cut; /* it took too long, or the helper was ended */
};
/* A process that is no more left `record`; the mounts are still there. */
void crash_read(struct mount_table *table, int record, struct crash *out);
bool crash_is(int signal); /* has it a core action? */
/* program: what died, in words; signal: of what, if pal-run saw it. */
void crash_tell(const struct crash *crash, const char *program, int signal);
void crash_event(const struct crash *crash, const char *program, int signal); /* to who embeds pal-run */

/* ---- core_file.c ------------------------------------------------------------------------------------------------- */

/* A descriptor, or the end of pal-run. */
int core_open(const char *path);
/* Whether there is one now. */
void core_tell(const struct deaths *deaths, const char *path);

/* ---- helper.c ---------------------------------------------------------------------------------------------------- */

void crash_help(int end, int record) __attribute__((noreturn));
/* A file by its guest path: a descriptor, or a negative errno. */
int crash_open(const char *path);

/* ---- record.c: in the helper, what the guest has written --------------------------------------------------------- */

struct record_file {
    uint64_t start, end, page;
    const char *name;
};
struct record {
    int file;
    Elf64_Phdr *loads; /* those that have contents */
    size_t load_count, file_count;
    struct record_file *files;
    uint64_t registers[27]; /* as struct user_regs_struct */
    bool has_registers, has_info;
    int pid, thread, signal, code, sender;
    uint64_t address, vdso;
};
bool record_read(struct record *record, int file);
/* Bytes of its memory; how many there are. */
size_t record_memory(const struct record *record, uint64_t address, void *to, size_t size);

/* ---- modules.c: in the helper, the files that were mapped -------------------------------------------------------- */

struct Dwfl;
struct Dwfl *modules_begin(const struct record *record);

#endif
