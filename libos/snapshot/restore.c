/* SPDX-License-Identifier: MIT */
/* The first process goes on from an image instead of beginning a program. */
#include "libos/fs/vfs.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/snapshot/snapshot.h"
#include "shim/rewrite/rewrite.h"

#define EXIT_UNUSABLE 125

/* ---- The arena: on the PAL's stack, with no variable of ours until it is there ------------------------------------ */

static void refuse(const struct pal_api *api, const struct pal_boot *from, const char *why) __attribute__((noreturn));
static void refuse(const struct pal_api *api, const struct pal_boot *from, const char *why)
{
    uint64_t size = strlen(why);
    api->stream_write(from->log, (uint64_t)(uintptr_t)why, size, -1);
    api->process_exit(EXIT_UNUSABLE);
}

static bool read_all(const struct pal_api *api, pal_handle_t handle, uint64_t to, uint64_t size, uint64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        int64_t got = api->stream_read(handle, to + done, size - done, (int64_t)(offset + done));
        if (got == -EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

static const char *load(const struct pal_api *api, const struct pal_boot *from)
{
    struct snapshot_header header = {0};
    const uint64_t data = heap_end() - PAL_ARENA_BASE; /* nothing has been taken yet: .data and .bss */
    if (!read_all(api, from->snapshot, (uint64_t)(uintptr_t)&header, sizeof header, 0) || header.magic != SNAPSHOT_MAGIC)
        return "pal-run: the snapshot's image is incomplete: make it anew (snapshot make)\n";
    if (memcmp(header.identity, from->snapshot_identity, sizeof header.identity) != 0)
        return "pal-run: the snapshot is of another pal-run or processor: make it anew (snapshot make)\n";
    if (header.arena_size < data || header.arena_size > PAL_ARENA_SIZE || (header.arena | header.arena_size) & PAGE_MASK ||
        header.arena > INT64_MAX - PAL_ARENA_SIZE)
        return "pal-run: the snapshot's image is damaged: make it anew (snapshot make)\n";
    uint64_t heap = header.arena_size - data;
    if (heap && api->memory_map(PAL_ARENA_BASE + data, heap, PAL_READ | PAL_WRITE, 0, from->snapshot, header.arena + data) < 0)
        return "pal-run: the snapshot's image can't be mapped\n";
    if (!read_all(api, from->snapshot, PAL_ARENA_BASE, data, header.arena))
        return "pal-run: the snapshot's image can't be read\n";
    return NULL;
}

void snapshot_load(const struct pal_api *api, const struct pal_boot *from)
{
    const char *why = load(api, from);
    if (why)
        refuse(api, from, why);
}

/* ---- The process ------------------------------------------------------------------------------------------------- */

static void must(int64_t error, const char *what)
{
    if (error >= 0)
        return;
    log_line("pal-run: the snapshot can't go on: %s (errno %d)", what, (int)-error);
    PAL->process_exit(EXIT_UNUSABLE);
}

/* What the kernel keeps of a thread. */
static void restore_thread(struct thread *thread)
{
    if (thread->sequences.size)
        must(PAL->thread_set(PAL_THREAD_SEQUENCES, thread->sequences.address, thread->sequences.size,
                             thread->sequences.signature), "rseq");
    if (snapshot.child_tid)
        guest_store32(snapshot.child_tid, (uint32_t)thread->tid);
    must(fs_set(snapshot.fs), "the thread pointer");
    tcb()->guest_gs = snapshot.gs;
    tcb()->has_guest_gs = snapshot.has_gs;
    must(shim_xrstor((uint64_t)(uintptr_t)snapshot.vector, snapshot.vector_mask), "vector registers");
}

/* What it has written, the host is about to look at: others of the pool write that ahead. */
static int learns; /* the process that does */
static void tell_end(void)
{
    const char ends = PAL_SNAPSHOT_ENDS;
    char answer;
    if (current_process()->pid != learns)
        return;
    atomic_set(&tcb()->interrupted, 0u);
    if (PAL->stream_write(boot->snapshot_channel, (uint64_t)(uintptr_t)&ends, 1, -1) == 1)
        PAL->stream_read(boot->snapshot_channel, (uint64_t)(uintptr_t)&answer, 1, -1);
}

/*
 * A clone of a pool: what it will touch is touched, its standard streams make room for its client's, and it waits.
 * The host gives the lowest numbers that are free, in their order.
 */
static void wait_to_be_taken(void)
{
    const char restored = PAL_SNAPSHOT_RESTORED;
    pal_handle_t handles[PAL_STANDARD_STREAMS] = {PAL_NO_HANDLE, PAL_NO_HANDLE, PAL_NO_HANDLE};
    char *text = alloc_pages(PAL_SNAPSHOT_START_MAX);
    const struct pal_vector room = {(uint64_t)(uintptr_t)text, PAL_SNAPSHOT_START_MAX};
    struct pal_message message = {.vector = &room, .count = 1, .handle_count = PAL_STANDARD_STREAMS, .handles = handles};
    uint32_t noted = 0;
    int64_t got;
    if (!text)
        PAL->process_exit(EXIT_UNUSABLE);
    mm_image_touch(current_frame()->regs.rsp);
    got = PAL->socket_receive(boot->snapshot_channel, &message, 0); /* pages that clones before it have written */
    for (int64_t at = 0; at + (int64_t)sizeof(struct pal_snapshot_range) <= got; at += sizeof(struct pal_snapshot_range))
        mm_image_touch_written(*(const struct pal_snapshot_range *)(text + at));
    message.handle_count = PAL_STANDARD_STREAMS;
    for (int i = 0; i < PAL_STANDARD_STREAMS; i++)
        PAL->handle_close(boot->standard[i]);
    must(PAL->stream_write(boot->snapshot_channel, (uint64_t)(uintptr_t)&restored, 1, -1), "nobody waits for it");
    do
        noted |= atomic_swap(&tcb()->interrupted, 0u);
    while ((got = PAL->socket_receive(boot->snapshot_channel, &message, 0)) == -EINTR);
    if (noted)
        atomic_set(&tcb()->interrupted, 1u);
    if (got <= 0 || message.handle_count != PAL_STANDARD_STREAMS ||
        memcmp(handles, boot->standard, sizeof handles) != 0)
        PAL->process_exit(EXIT_UNUSABLE); /* the pool is at its end */
    proc_pal_start = text;
    proc_pal_start_size = (uint64_t)got;
}

void snapshot_resume(void)
{
    struct thread *thread = snapshot.thread;
    snapshot_made();
    snapshot.pages.handle = snapshot.files.image = boot->snapshot;
    PAL->memory_protect((uint64_t)(uintptr_t)thread->stack, PAGE_SIZE, 0);
    process_begin_again(thread, snapshot.template);
    if (snapshot_files_open(&snapshot.files) < 0)
        PAL->process_exit(EXIT_UNUSABLE);
    must(fs_begin_again(thread->process->fs), "the current directory");
    must(mm_image_map(&snapshot.pages), "its memory can't be mapped");
    if (boot->snapshot_flags & PAL_SNAPSHOT_WAITS)
        wait_to_be_taken();
    snapshot_standard_open(&snapshot.files);
    must(snapshot_objects_settle(&snapshot.files), "its pipes, sockets, events, poll sets");
    vdso_renew();
    PAL->handle_close(boot->snapshot);
    if (boot->snapshot_flags & PAL_SNAPSHOT_LEARNS) {
        learns = current_process()->pid;
        process_end_hook = tell_end;
    } else if (boot->snapshot_flags) {
        PAL->handle_close(boot->snapshot_channel);
    }
    restore_thread(thread);
    struct frame *frame = current_frame();
    frame->regs.rax = snapshot.between ? snapshot.call : 0;
    if (snapshot.between)
        frame_set_rip(frame, frame->regs.rip - 2); /* the syscall instruction, rewritten site or not */
    frame_enter_guest();
}
