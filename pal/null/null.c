/* SPDX-License-Identifier: MIT */
/*
 * The porting template: a PAL on which every call refuses.  Copy it to pal/HOST/, make `start` bring a thread into the
 * image, then replace one call after another until the conformance suite (regression/pal/) passes.  The contract is in
 * pal/pal.h; the comments here say what each group has to bring about, and what other calls it needs.
 *
 * A host half also owns: the image's mapping (text read-only and executable at PAL_IMAGE_BASE, data at PAL_ARENA_BASE,
 * zeroed .bss behind it up to arena_end); the shared segment at PAL_SHARED_BASE, with struct pal_boot in it; GS, which
 * points to struct pal_tcb in every thread that runs image or guest code; and the three upcalls.
 */
#include "pal/pal.h"

#define REFUSED (-38) /* -ENOSYS */

void null_start(void);
extern const struct pal_api null_api;

/* ---- Memory: the guest's range and the arena's heap only, -EINVAL elsewhere ------------------------------------ */

/* Where the host hands out address space coarser than a page, tell so in pal_boot.granularity. */
static int64_t memory_reserve(uint64_t address, uint64_t size)
{
    (void)address, (void)size;
    return REFUSED;
}
static int64_t memory_release(uint64_t address, uint64_t size)
{
    (void)address, (void)size;
    return REFUSED;
}
/* Zeroed pages, also over what was there.  Without fork, PAL_MAP_SHARED may be as private. */
static int64_t memory_commit(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags)
{
    (void)address, (void)size, (void)protection, (void)flags;
    return REFUSED;
}
static int64_t memory_decommit(uint64_t address, uint64_t size, uint32_t how)
{
    (void)address, (void)size, (void)how;
    return REFUSED;
}
static int64_t memory_protect(uint64_t address, uint64_t size, uint32_t protection)
{
    (void)address, (void)size, (void)protection;
    return REFUSED;
}
static int64_t memory_map(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                          uint64_t offset)
{
    (void)address, (void)size, (void)protection, (void)flags, (void)handle, (void)offset;
    return REFUSED;
}
/* A host that can't move pages copies them. */
static int64_t memory_move(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size)
{
    (void)source, (void)source_size, (void)target, (void)target_size;
    return REFUSED;
}
/* PAL_CAN_SYNC_CODE: every other thread has executed a serialising instruction since the call began. */
static int64_t code_sync(uint32_t all)
{
    (void)all;
    return REFUSED;
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

/* GS = tcb, FS base 0, stack tcb->libos_stack; upcalls must work from the first instruction of `entry` on. */
static int64_t thread_create(struct pal_tcb *tcb, void (*entry)(void *argument), void *argument, pal_handle_t *out_id)
{
    (void)tcb, (void)entry, (void)argument, (void)out_id;
    return REFUSED;
}
/* Clearing *word is the last use of the thread's stack and block; an interrupt it took and did not act on is
 * passed on. */
static void __attribute__((noreturn)) thread_exit(uint32_t *word, uint64_t wake)
{
    (void)word, (void)wake;
    __builtin_trap();
}
static void thread_yield(void)
{
}
/* Sets tcb->interrupted, then: a thread in guest code is brought to image->interrupt, one in a [blocks] call
 * returns -EINTR. */
static int64_t thread_interrupt(struct pal_tcb *tcb)
{
    (void)tcb;
    return REFUSED;
}
/* Hosts that lose FS at a context switch have to set it again on the way to the guest. */
static int64_t thread_set(uint32_t what, uint64_t address, uint32_t size, uint32_t signature)
{
    (void)what, (void)address, (void)size, (void)signature;
    return REFUSED;
}

/* ---- Waiting on words, locks ----------------------------------------------------------------------------------- */

static int64_t wait_word(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t shared)
{
    (void)word, (void)expected, (void)deadline, (void)shared;
    return REFUSED;
}
static int64_t wake_word(uint64_t word, uint32_t count, uint64_t shared)
{
    (void)word, (void)count, (void)shared;
    return REFUSED;
}
/* May not return without the lock: a host without locks that survive their holder must end the sandbox when one
 * dies. */
static int64_t lock(struct pal_mutex *mutex)
{
    (void)mutex;
    __builtin_trap();
}
static void unlock(struct pal_mutex *mutex)
{
    (void)mutex;
    __builtin_trap();
}

/* ---- Streams: what `handle` names is up to the host; small numbers, kept across fork --------------------------- */

/* The trusted side resolves the name beneath the mounts; -EREMOTE and *escape where a symlink leaves them. */
static int64_t stream_open(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                           struct pal_attributes *out_attributes, struct pal_path_buffer *escape)
{
    (void)name, (void)flags, (void)mode, (void)out, (void)out_attributes, (void)escape;
    return REFUSED;
}
static int64_t handle_close(pal_handle_t handle)
{
    (void)handle;
    return REFUSED;
}
static int64_t stream_read(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset)
{
    (void)handle, (void)buffer, (void)size, (void)offset;
    return REFUSED;
}
static int64_t stream_write(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset)
{
    (void)handle, (void)buffer, (void)size, (void)offset;
    return REFUSED;
}
static int64_t stream_vectors(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                              uint32_t direction)
{
    (void)handle, (void)vectors, (void)count, (void)offset, (void)direction;
    return REFUSED;
}
static int64_t stream_list(pal_handle_t handle, uint64_t buffer, uint64_t size)
{
    (void)handle, (void)buffer, (void)size;
    return REFUSED;
}
/* -EINVAL for an operation that is unknown, or whose argument is too small; -ENOTTY where the object has no
 * terminal. */
static int64_t stream_control(pal_handle_t handle, uint32_t op, void *argument, uint64_t size)
{
    (void)handle, (void)op, (void)argument, (void)size;
    return REFUSED;
}
static int64_t attributes_get(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                              struct pal_path_buffer *escape)
{
    (void)handle, (void)name, (void)out, (void)escape;
    return REFUSED;
}
static int64_t attributes_set(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                              uint32_t mask, struct pal_path_buffer *escape)
{
    (void)handle, (void)name, (void)values, (void)mask, (void)escape;
    return REFUSED;
}
static int64_t name_change(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                           struct pal_path_buffer *escape)
{
    (void)op, (void)name, (void)other, (void)mode, (void)escape;
    return REFUSED;
}
static int64_t name_read(const struct pal_name *name, struct pal_path_buffer *out)
{
    (void)name, (void)out;
    return REFUSED;
}
/* A host that can't tell when names change writes parts 0 with each answer, and this is never called. */
static int64_t name_revalidate(const struct pal_validity *validity)
{
    (void)validity;
    return REFUSED;
}

/* ---- Objects and sockets: a gone reader gives -EPIPE, and no signal --------------------------------------------- */

static int64_t object_create(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out)
{
    (void)object, (void)flags, (void)value, (void)out;
    return REFUSED;
}
static int64_t socket_send(pal_handle_t handle, const struct pal_message *message, uint32_t flags)
{
    (void)handle, (void)message, (void)flags;
    return REFUSED;
}
static int64_t socket_receive(pal_handle_t handle, struct pal_message *message, uint32_t flags)
{
    (void)handle, (void)message, (void)flags;
    return REFUSED;
}
/* The trusted side keeps the names: no socket of the host's may be reached by one. */
static int64_t socket_bind(const struct pal_socket_name *local, pal_handle_t *out, uint64_t *out_name,
                          struct pal_path_buffer *text)
{
    (void)local, (void)out, (void)out_name, (void)text;
    return REFUSED;
}
static int64_t socket_connect(const struct pal_socket_name *local, pal_handle_t *out, struct pal_path_buffer *text)
{
    (void)local, (void)out, (void)text;
    return REFUSED;
}
/* A negative handle is skipped, as in poll(2). */
static int64_t poll(struct pal_poll *entries, uint32_t count, uint64_t deadline)
{
    (void)entries, (void)count, (void)deadline;
    return REFUSED;
}
static int64_t poll_set_update(pal_handle_t set, uint32_t op, pal_handle_t handle, const struct pal_poll_event *event)
{
    (void)set, (void)op, (void)handle, (void)event;
    return REFUSED;
}
static int64_t poll_set_wait(pal_handle_t set, struct pal_poll_event *events, uint32_t count, uint64_t deadline)
{
    (void)set, (void)events, (void)count, (void)deadline;
    return REFUSED;
}

/* ---- Processes ------------------------------------------------------------------------------------------------- */

/* A host without copy-on-write copies the arena, the first libOS stack, the block, guest pages and the handle table. */
static int64_t process_fork(uint32_t flags)
{
    (void)flags;
    return REFUSED;
}
static int64_t process_wait(uint64_t process, uint32_t how, struct pal_child *out)
{
    (void)process, (void)how, (void)out;
    return REFUSED;
}
static void __attribute__((noreturn)) process_exit(uint32_t status)
{
    (void)status;
    __builtin_trap();
}
/* The trusted side checks that the target belongs to this sandbox. */
static int64_t process_interrupt(uint64_t process, uint32_t kill)
{
    (void)process, (void)kill;
    return REFUSED;
}
static int64_t handle_export(pal_handle_t handle, uint64_t *out_token)
{
    (void)handle, (void)out_token;
    return REFUSED;
}
static int64_t handle_import(uint64_t token, pal_handle_t *out)
{
    (void)token, (void)out;
    return REFUSED;
}

/* ---- Clock and random bytes ------------------------------------------------------------------------------------ */

static int64_t clock_get(uint32_t clock, uint64_t *out_ns)
{
    (void)clock, (void)out_ns;
    return REFUSED;
}
static int64_t random_bytes(uint64_t buffer, uint64_t size)
{
    (void)buffer, (void)size;
    return REFUSED;
}

const struct pal_api null_api = {
    .abi_version = PAL_ABI_VERSION,
    .count = PAL_CALL_COUNT,
    .memory_reserve = memory_reserve,
    .memory_release = memory_release,
    .memory_commit = memory_commit,
    .memory_decommit = memory_decommit,
    .memory_protect = memory_protect,
    .memory_map = memory_map,
    .memory_move = memory_move,
    .code_sync = code_sync,
    .thread_create = thread_create,
    .thread_exit = thread_exit,
    .thread_yield = thread_yield,
    .thread_interrupt = thread_interrupt,
    .thread_set = thread_set,
    .wait = wait_word,
    .wake = wake_word,
    .lock = lock,
    .unlock = unlock,
    .stream_open = stream_open,
    .handle_close = handle_close,
    .stream_read = stream_read,
    .stream_write = stream_write,
    .stream_vectors = stream_vectors,
    .stream_list = stream_list,
    .stream_control = stream_control,
    .attributes_get = attributes_get,
    .attributes_set = attributes_set,
    .name_change = name_change,
    .name_read = name_read,
    .name_revalidate = name_revalidate,
    .object_create = object_create,
    .socket_send = socket_send,
    .socket_receive = socket_receive,
    .socket_bind = socket_bind,
    .socket_connect = socket_connect,
    .poll = poll,
    .poll_set_update = poll_set_update,
    .poll_set_wait = poll_set_wait,
    .process_fork = process_fork,
    .process_wait = process_wait,
    .process_exit = process_exit,
    .process_interrupt = process_interrupt,
    .handle_export = handle_export,
    .handle_import = handle_import,
    .clock_get = clock_get,
    .random = random_bytes,
};

/*
 * A host's own entry: the shared segment and the image mapped, the first thread's block (libos_stack 64 KiB or more,
 * with a guard below it) in GS, upcalls in place, pal_boot's host facts filled in.  No capability bit: this host has
 * none.
 */
void null_start(void)
{
    const struct pal_image_header *image = (const struct pal_image_header *)PAL_IMAGE_BASE;
    struct pal_boot *boot = (struct pal_boot *)PAL_SHARED_BASE;
    boot->capabilities = 0;
    boot->granularity = PAL_PAGE_SIZE;
    boot->cpu_count = 1;
    image->start(&null_api, boot);
}
