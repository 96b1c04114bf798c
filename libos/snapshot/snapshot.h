/* SPDX-License-Identifier: MIT */
/*
 * Snapshots: a process is written to an image, and goes on from there in other sandboxes, as often as is wanted.
 *
 * The point is a fork() of the program's own: what is written is the fork's child, before it returns to the guest.  So
 * a clone is a fork's child to the program as well: handlers of pthread_atfork have run, other threads are gone, the
 * number is another, and code that keeps random state draws anew.  The program says that it is ready by writing to
 * /proc/pal/ready; its next fork is the point.
 *
 * An image is a guest's word, and only confined code reads it: rights, standard streams, ids and limits are the new
 * sandbox's, and files are opened by its policy.
 */
#ifndef LIBOS_SNAPSHOT_H
#define LIBOS_SNAPSHOT_H

#include "libos/mm/mm.h"
#include "libos/process/process.h"

/* ---- save.c ------------------------------------------------------------------------------------------------------ */

void snapshot_init(void); /* where one is to be made */
extern bool snapshot_waits; /* for a point between two calls; then each call comes here first: */
void snapshot_point(const struct frame *frame);
void snapshot_made(void); /* in a clone */

/* ---- restore.c: the first process's start, from an image --------------------------------------------------------- */

struct snapshot_header;
/* Replaces the arena by the image's, and so all variables: `api` and `boot` are set again.  Ends the picoprocess where
 * the image can't be used. */
void snapshot_load(const struct pal_api *api, const struct pal_boot *from);
void snapshot_resume(void) __attribute__((noreturn)); /* the segment is made */

/* ---- files.c ----------------------------------------------------------------------------------------------------- */

/* An open description that the process has, or that a mapping is of. */
enum snapshot_file_kind {
    SNAPSHOT_ARENA,    /* nothing of the host's: it is as it was */
    SNAPSHOT_STANDARD, /* `number`: a standard stream, the new sandbox's */
    SNAPSHOT_NAMED,    /* opened by its name again */
    SNAPSHOT_TIMER,    /* timerfd: as SNAPSHOT_ARENA, but for the clock */
    /* Made anew, and these filled from the image: */
    SNAPSHOT_POLL_SET,
    SNAPSHOT_PIPE,     /* an end of one, and so PAIR; `number`: the other */
    SNAPSHOT_PAIR,
    SNAPSHOT_EVENT,
    SNAPSHOT_MEMORY,   /* memfd_create(2) */
};
struct snapshot_file {
    struct file *file;
    enum snapshot_file_kind kind;
    int32_t fd; /* -1: of a mapping, or the program */
    uint32_t number, flags; /* flags: O_* as fcntl(2) told */
    uint32_t room;          /* a pipe's size; memory's seals */
    uint64_t device, inode, size; /* of a file that is to be the same: what it was.  Of an object: how much it holds */
    uint64_t contents;            /* where, in the image */
    int64_t mtime, ctime, offset;
};
struct snapshot_files {
    struct snapshot_file *files; /* alloc'ed */
    uint32_t count, room;
    pal_handle_t image;
    uint64_t end;       /* of what the image holds so far */
    uint64_t clocks[3]; /* when it was saved, by timerfd_clock */
};
int64_t snapshot_files_save(struct snapshot_files *files); /* has said what can't be saved */
int64_t snapshot_files_open(const struct snapshot_files *files); /* the same */
void snapshot_standard_open(const struct snapshot_files *files);

/* ---- objects.c: those without a name ----------------------------------------------------------------------------- */

enum snapshot_file_kind snapshot_object_kind(struct file *file); /* SNAPSHOT_NAMED: none */
/* NULL, or why files[*at] can't be saved. */
const char *snapshot_objects_save(struct snapshot_files *files, uint32_t *at);
int64_t snapshot_objects_make(const struct snapshot_files *files);
int64_t snapshot_objects_settle(const struct snapshot_files *files); /* all else is there */

/* ---- The image: a header of one page, the guest's pages, the arena up to its heap's end -------------------------- */

#define SNAPSHOT_MAGIC 0x31706e536c6150ull /* "PalSnp1" */
struct snapshot_header {
    uint64_t magic;        /* written last */
    uint64_t identity[4];  /* pal_boot.snapshot_identity of the build that made it */
    uint64_t arena, arena_size; /* where it lies in the image */
};

/* What lies in the arena, for the clone. */
struct snapshot_state {
    struct thread *thread;
    struct mm_image pages;
    struct snapshot_files files;
    guest_t child_tid;      /* where the fork's caller wants the number, or 0 */
    uint64_t fs, gs;
    uint32_t has_gs, template; /* the number of the process that forked */
    bool between;           /* the point was no fork of the program's: the call is made again */
    uint64_t call;          /* its number */
    uint64_t vector_mask;
    uint8_t *vector;        /* XSAVE area */
};
extern struct snapshot_state snapshot;
#endif
