/* SPDX-License-Identifier: MIT */
/* A fork's child writes itself to the image, and ends. */
#include "libos/fs/vfs.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/snapshot/snapshot.h"
#include "libos/syscalls.h"

#define PIECE (64 * 1024ull)
#define VECTOR_SIZE 8192
#define XCR0_TILES (3ull << 17) /* state that is not live across a call: AMX's registers */

struct snapshot_state snapshot;

static int64_t save_registers(guest_t child_tid)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    snapshot.vector_mask = ((uint64_t)high << 32 | low) & ~XCR0_TILES;
    snapshot.vector = alloc_pages(VECTOR_SIZE);
    if (!snapshot.vector)
        return -ENOMEM;
    snapshot.thread = current();
    snapshot.child_tid = child_tid;
    snapshot.fs = fs_base();
    snapshot.gs = tcb()->guest_gs;
    snapshot.has_gs = tcb()->has_guest_gs;
    snapshot.template = current_process()->shared->ppid;
    return shim_xsave((uint64_t)(uintptr_t)snapshot.vector, snapshot.vector_mask);
}

static int64_t write(uint64_t from, uint64_t size, uint64_t offset)
{
    int64_t written = UNDISTURBED(PAL->stream_write(boot->snapshot, from, size, (int64_t)offset));
    return written == (int64_t)size ? 0 : written < 0 ? written : -EFAULT; /* up to a page that can't be read */
}

/* Guard pages of stacks can't be read: they stay holes. */
static int64_t write_piece(uint64_t from, uint64_t size, uint64_t offset)
{
    int64_t error = write(from, size, offset);
    for (uint64_t page = 0; error == -EFAULT && page < size; page += PAGE_SIZE) {
        int64_t of_one = write(from + page, PAGE_SIZE, offset + page);
        if (of_one < 0 && of_one != -EFAULT)
            return of_one;
    }
    return error == -EFAULT ? 0 : error;
}

/* This very stack included: from here on nothing but that changes. */
static int64_t write_arena(struct snapshot_header *header)
{
    int64_t error = 0;
    header->arena = snapshot.pages.end;
    header->arena_size = heap_end() - PAL_ARENA_BASE;
    for (uint64_t at = 0, size; error == 0 && at < header->arena_size; at += size) {
        size = MIN(PIECE, header->arena_size - at);
        error = write_piece(PAL_ARENA_BASE + at, size, header->arena + at);
    }
    return error;
}

/* Begins a clone where its sandbox says, at the root of all mounts. */
static bool has_root(void)
{
    struct file *root = fs_root(current_process()->fs);
    if (!root)
        return false;
    log_line("pal-run: no snapshot: the program has changed its root (chroot) before this point");
    file_put(root);
    return true;
}

static int64_t save(guest_t child_tid)
{
    struct snapshot_header header = {.magic = SNAPSHOT_MAGIC};
    memcpy(header.identity, boot->snapshot_identity, sizeof header.identity);
    snapshot.pages = (struct mm_image){.handle = boot->snapshot};
    snapshot.files = (struct snapshot_files){.image = boot->snapshot, .end = PAGE_SIZE};
    int64_t error = has_root() ? -ECANCELED : save_registers(child_tid);
    if (error == 0)
        error = snapshot_files_save(&snapshot.files);
    snapshot.pages.end = snapshot.files.end;
    if (error == 0)
        error = mm_image_save(&snapshot.pages);
    if (error == 0)
        error = write_arena(&header);
    return error < 0 ? error : write((uint64_t)(uintptr_t)&header, sizeof header, 0); /* last: now it is one */
}

static bool is_made(void)
{
    uint64_t magic = 0;
    return PAL->stream_read(boot->snapshot, (uint64_t)(uintptr_t)&magic, sizeof magic, 0) == sizeof magic && magic;
}

static void at_fork(guest_t child_tid)
{
    bool any = boot->snapshot_point == PAL_SNAPSHOT_FORK || snapshot.between;
    if ((!any && proc_pal_ready != (int)current_process()->shared->ppid) || is_made())
        return;
    handle_cache_empty();
    int64_t error = save(child_tid);
    if (error < 0 && error != -ECANCELED) /* which has been said */
        log_line("pal-run: the snapshot can't be written (errno %d)", (int)-error);
    process_exit_group(error < 0 ? 1 << 8 : 0);
}

/* ---- A point between two calls ----------------------------------------------------------------------------------- */

bool snapshot_waits;
static uint64_t waits_until; /* PAL_SNAPSHOT_AFTER */
static int first_process;

static bool is_point(const struct frame *frame)
{
    if (current_process()->pid != first_process)
        return false;
    if (boot->snapshot_point == PAL_SNAPSHOT_AFTER)
        return time_now(PAL_CLOCK_MONOTONIC) >= waits_until;
    struct file *file = frame->number == NR_read || frame->number == NR_readv ? file_get_io((int)frame->regs.rdi) : NULL;
    bool is_standard = file && file->standard && file->handle == boot->standard[0];
    if (file)
        file_put(file);
    return is_standard;
}

static void await(int32_t child)
{
    int64_t result;
    do
        atomic_swap(&tcb()->interrupted, 0u); /* the template ends: signals are no matter */
    while ((result = sys_wait4(child, 0, 0, 0)) == -ERESTARTSYS || result == -EINTR);
    if (result != child)
        log_line("pal-run: the snapshot's end is not seen (errno %d)", (int)-result);
    atomic_set(&tcb()->interrupted, 0u);
}

/* A fork's child has none of these, and the program does not know that it is one. */
static const char *what_is_lost(void)
{
    if (!alone())
        return "runs several threads";
    return process_has_children() ? "has children" : NULL;
}

/* The program is forked for it.  The child, and each clone, makes the call; the template ends. */
void snapshot_point(const struct frame *frame)
{
    if (!is_point(frame))
        return;
    snapshot_waits = false;
    const char *lost = what_is_lost();
    if (lost) {
        log_line("pal-run: no snapshot: the program %s at this point: a fork of its own leaves them behind (--at ready)", lost);
        return;
    }
    snapshot.between = true;
    snapshot.call = frame->number;
    const struct clone_request request = {.exit_signal = SIGCHLD};
    int64_t child = fork_now(&request);
    if (child < 0)
        log_line("pal-run: the snapshot can't be written (errno %d)", (int)-child);
    else
        await((int32_t)child);
    process_exit_group(is_made() ? 0 : 1 << 8);
}

/* A clone's own forks are forks. */
void snapshot_made(void)
{
    fork_child_hook = NULL;
    snapshot_waits = false;
}

void snapshot_init(void)
{
    if (boot->snapshot_use != PAL_SNAPSHOT_MAKE)
        return;
    fork_child_hook = at_fork;
    snapshot_waits = boot->snapshot_point >= PAL_SNAPSHOT_STDIN;
    first_process = current_process()->pid;
    if (boot->snapshot_point == PAL_SNAPSHOT_AFTER)
        waits_until = time_now(PAL_CLOCK_MONOTONIC) + boot->snapshot_after;
}
