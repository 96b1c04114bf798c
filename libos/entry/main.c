/* SPDX-License-Identifier: MIT */
/* The image's header, and the start of the first process. */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/pseudofs/pseudofs.h"
#include "libos/task/task.h"
#include "libos/lib/lib.h"
#include "libos/process/exec_prepare.h"
#include "libos/process/process.h"
#include "libos/entry/entry.h"
#include "libos/tty/tty.h"
#include "libos/net/inet.h"
#include "libos/net/socket.h"
#include "libos/poll/readiness.h"
#include "libos/snapshot/snapshot.h"

static void start(const struct pal_api *api, const struct pal_boot *from) __attribute__((noreturn));

extern char image_gs_sites[], image_gs_sites_end[], image_text_end[], image_arena_end[], shim_syscall_trap[], shim_exception[], shim_interrupt[];

__attribute__((used, section(".image_header"))) static const struct pal_image_header header = {
    .magic = PAL_IMAGE_MAGIC,
    .abi_version = PAL_ABI_VERSION,
    .text_end = (uint64_t)image_text_end,
    .arena_end = (uint64_t)image_arena_end,
    .start = start,
    .syscall_trap = (uint64_t)shim_syscall_trap,
    .exception = (uint64_t)shim_exception,
    .interrupt = (uint64_t)shim_interrupt,
    .gs_sites = (uint64_t)image_gs_sites,
    .gs_sites_end = (uint64_t)image_gs_sites_end,
    .classify = libos_classify,
};

static const char *why(int64_t error)
{
    switch (-error) {
    case ENOENT:
        return "not found, or its interpreter is not: check the path, and that a mount covers it";
    case EACCES:
        return "permission denied: it must be an executable file that the policy shows";
    case ENOEXEC:
        return "not a program for this machine: it must be x86-64 ELF, or a script with #!";
    case ENOMEM:
        return "no memory: raise limits.memory";
    default:
        return "cannot be started";
    }
}

/* A signal for the program that comes this early waits for it: what it interrupts here is done again. */
static int64_t prepare_program(struct exec_image **image)
{
    uint32_t noted = 0;
    int64_t error;
    do {
        noted |= atomic_swap(&tcb()->interrupted, 0u);
        error = exec_prepare_strings(boot->program, boot->argv, boot->envp, image);
    } while (error == -EINTR || error == -ERESTARTNOINTR || error == -ERESTARTSYS);
    if (noted)
        atomic_set(&tcb()->interrupted, 1u);
    return error;
}

static void begin(const struct pal_api *api, const struct pal_boot *from)
{
    boot = from;
    PAL = stats_wrap(api);
    bool between = boot->snapshot_use == PAL_SNAPSHOT_MAKE && boot->snapshot_point >= PAL_SNAPSHOT_STDIN;
    libos_dispatch_slowly = boot->trace || boot->stats || between ? SLOW_LOGGED : 0;
    libos_direct = !libos_dispatch_slowly && boot->capabilities & PAL_KEEPS_FLAGS;
}

static void start(const struct pal_api *api, const struct pal_boot *from)
{
    begin(api, from);
    heap_init(header.arena_end);
    if (UNLIKELY(boot->snapshot_use == PAL_SNAPSHOT_RUN)) {
        snapshot_load(api, from);
        begin(api, from);
        mount_init(); /* paths lie in the boot area */
        pseudofs_init();
        segment_init();
        snapshot_resume();
    }
    mm_init();
    rewrite_init();
    host_ops_set(PAL_TYPE_SOCKET, &socket_ops, NULL);
    host_ops_set(PAL_TYPE_CHARACTER, NULL, tty_adopt);
    file_watch_async = sigio_watch;
    mount_init();
    pseudofs_init();
    segment_init();
    process_init();
    inet_listeners_boot();
    snapshot_init();
    struct exec_image *image;
    int64_t error = prepare_program(&image);
    if (error < 0) {
        log_line("pal-run: %s: %s (errno %d)", boot->program, why(error), (int)-error);
        PAL->process_exit(error == -ENOENT ? 127 : 126);
    }
    if (boot->sites)
        warm_program(image->program.file, image->interpreter.file);
    exec_commit(image, current_frame());
    frame_enter_guest();
}
