/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
 *
 * A segment is a range of pages of the sandbox's shared segment.  Attaching maps these pages a second time at a guest
 * address, as a mapping of a file without a name: so the address space keeps track of pieces, moves and ends, and the
 * end of the last piece (the file's) detaches.  Who has attached is recorded by picoprocess: see ipc.h.
 *
 * Where Linux counts mappings (shm_nattch), this counts shmat calls and forks: cutting one in two changes nothing.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/ipc/ipc.h"
#include "libos/task/task.h"
#include "libos/mm/vma.h"

#define SLOTS 4096u
#define SHM_RDONLY 010000u
#define SHM_RND 020000u
#define SHM_REMAP 040000u
#define SHM_EXEC 0100000u
#define SHM_HUGETLB 04000u
#define SHM_DEST 01000u /* in the mode, as IPC_STAT shows it */
#define SHM_LOCKED 02000u
#define SHM_LOCK 11
#define SHM_UNLOCK 12
#define SHM_STAT 13
#define SHM_INFO 14
#define SHM_STAT_ANY 15

struct segment {
    struct ipc_object object; /* mode holds SHM_DEST: it ends when nobody holds it */
    uint64_t bytes;
    int64_t attached, detached; /* seconds since the epoch */
    int32_t creator, last;      /* pids */
};

static struct segment *segment_of(const struct ipc_object *object)
{
    return (struct segment *)(uintptr_t)object;
}

static uint64_t address_of(const struct segment *segment)
{
    uint64_t units;
    return ipc_store(IPC_SHM, &units) + segment->object.start * PAGE_SIZE;
}

static void destroy(struct segment *segment)
{
    PAL->memory_decommit(address_of(segment), segment->object.size * PAGE_SIZE, PAL_DECOMMIT_UNSHARE);
    ipc_end(&segment->object);
}

static void unheld(struct ipc_object *object)
{
    if (object->mode & SHM_DEST)
        destroy(segment_of(object));
}

static void nothing(void) {}

static void row(const struct ipc_object *object, char *out, size_t size)
{
    const struct segment *segment = segment_of(object);
    format(out, size, "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10lu %10lu %10lu %21lu %21lu\n", object->key,
           ipc_id(object), object->mode, segment->bytes, segment->creator, segment->last, (uint64_t)ipc_holders(object),
           object->uid, object->gid, object->cuid, object->cgid, (uint64_t)segment->attached,
           (uint64_t)segment->detached, (uint64_t)object->changed, (uint64_t)(object->size * PAGE_SIZE), 0ul);
}

const struct ipc_kind_ops sysv_shm_kind = {
    .recover = nothing, .wake_all = nothing, .unheld = unheld, .row = row,
    .slot_size = sizeof(struct segment), .slot_count = SLOTS,
};

/* ---- shmget ------------------------------------------------------------------------------------------------------ */

static int64_t create(int32_t key, uint32_t flags, uint64_t size)
{
    struct ipc_object *object;
    uint64_t pages = PAGE_UP(size) / PAGE_SIZE, most;
    ipc_store(IPC_SHM, &most);
    if (!size || size > UINT64_MAX - PAGE_SIZE)
        return -EINVAL;
    if (flags & SHM_HUGETLB)
        return -ENOMEM; /* as where none were set aside */
    if (pages > most)
        return -ENOMEM;
    int64_t error = ipc_new(IPC_SHM, key, flags, (uint32_t)pages, &object);
    if (error < 0)
        return error;
    struct segment *segment = segment_of(object);
    segment->bytes = size;
    segment->creator = current_process()->pid;
    segment->attached = segment->detached = segment->last = 0;
    /* Who was killed on the way out may have left bytes here. */
    error = PAL->memory_decommit(address_of(segment), pages * PAGE_SIZE, PAL_DECOMMIT_UNSHARE);
    return error < 0 ? error : ipc_publish(object);
}

static int64_t check(const struct ipc_object *object, uint64_t size)
{
    return size > segment_of(object)->bytes ? -EINVAL : 0;
}

int64_t sys_shmget(int32_t key, uint64_t size, uint32_t flags)
{
    ipc_lock();
    int64_t result = ipc_get(IPC_SHM, key, flags, create, check, size);
    ipc_unlock();
    return result;
}

/* ---- shmat, shmdt ------------------------------------------------------------------------------------------------ */

/* file->data: the segment, held. */
static int64_t shm_map(struct file *file, guest_t address, uint64_t size, uint32_t protection, uint32_t flags,
                       uint64_t offset)
{
    (void)flags;
    int64_t error = PAL->memory_move(address_of(file->data) + offset, 0, address, size);
    if (error == 0 && protection != (PAL_READ | PAL_WRITE))
        error = PAL->memory_protect(address, size, protection);
    return error;
}

static int64_t shm_attributes(struct file *file, struct pal_attributes *out)
{
    const struct segment *segment = file->data;
    memset(out, 0, sizeof *out);
    out->device = 1;
    out->inode = (uint64_t)ipc_id(&segment->object);
    out->mode = S_IFREG | (segment->object.mode & 0777);
    out->type = PAL_TYPE_FILE;
    out->size = segment->bytes;
    out->block_size = PAGE_SIZE;
    return 0;
}

static void shm_destroy(struct file *file)
{
    struct segment *segment = file->data;
    if (!segment)
        return;
    ipc_lock();
    segment->detached = ipc_seconds();
    segment->last = current_process()->pid;
    ipc_release(&segment->object);
    ipc_unlock();
}

const struct file_ops sysv_shm_ops = {
    .kind = "sysv", .attributes = shm_attributes, .map = shm_map, .destroy = shm_destroy};

/* The segment, held; 0 or -errno. */
static int64_t attach(int32_t id, uint32_t flags, struct segment **out)
{
    uint32_t wanted = IPC_READ | (flags & SHM_RDONLY ? 0 : IPC_WRITE) | (flags & SHM_EXEC ? 0111u : 0);
    ipc_lock();
    struct ipc_object *object = ipc_find(IPC_SHM, id);
    int64_t error = object ? ipc_permits(object, wanted) ? ipc_hold(object) : -EACCES : -EINVAL;
    if (error == 0) {
        *out = segment_of(object);
        (*out)->attached = ipc_seconds();
        (*out)->last = current_process()->pid;
    }
    ipc_unlock();
    return error;
}

/* Takes the hold, also on failure. */
static int64_t file_of(struct segment *segment, uint32_t flags, struct file **out)
{
    char path[32];
    struct file *file = file_new(&sysv_shm_ops, PAL_NO_HANDLE, flags & SHM_RDONLY ? O_RDONLY : O_RDWR);
    if (!file) {
        ipc_lock();
        ipc_release(&segment->object);
        ipc_unlock();
        return -ENOMEM;
    }
    int size = format(path, sizeof path, "/SYSV%08x (deleted)", (uint32_t)segment->object.key);
    file->data = segment;
    file->type = PAL_TYPE_FILE;
    file->path = alloc_copy(path, (size_t)size + 1);
    *out = file;
    return 0;
}

int64_t sys_shmat(int32_t id, guest_t address, uint32_t flags)
{
    struct segment *segment = NULL;
    struct file *file = NULL;
    uint32_t map_flags = MAP_SHARED, protection = PROT_READ;
    if (address & PAGE_MASK) {
        if (!(flags & SHM_RND))
            return -EINVAL;
        address = PAGE_DOWN(address);
    }
    if (flags & SHM_REMAP && !address)
        return -EINVAL;
    if (address)
        map_flags |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    protection |= (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
    int64_t result = attach(id, flags, &segment);
    if (result == 0)
        result = file_of(segment, flags, &file);
    if (result != 0)
        return result;
    result = mm_map(address, segment->bytes, protection, map_flags, file, 0, NULL);
    file_put(file);
    return result == -EEXIST ? -EINVAL : result;
}

/* All of the attachment that begins at `address`, in however many pieces it is. */
int64_t sys_shmdt(guest_t address)
{
    if (address & PAGE_MASK)
        return -EINVAL;
    mm_lock();
    struct vma_node *node = vma_at(address);
    while (node && (!node->vma.file || node->vma.file->ops != &sysv_shm_ops ||
                    node->vma.start - node->vma.offset != address))
        node = vma_at(node->vma.end);
    int64_t result = node ? 0 : -EINVAL;
    const struct file *file = node ? node->vma.file : NULL;
    guest_t end = file ? address + PAGE_UP(((struct segment *)file->data)->bytes) : 0;
    while (result == 0 && node && node->vma.start < end) {
        guest_t from = node->vma.start, to = node->vma.end;
        if (node->vma.file == file && from - node->vma.offset == address)
            result = mm_release(from, to);
        node = vma_at(to);
    }
    mm_unlock();
    return result;
}

/* ---- shmctl ------------------------------------------------------------------------------------------------------ */

struct guest_segment { /* struct shmid64_ds */
    struct ipc_guest_permissions permissions;
    uint64_t size;
    int64_t attached, detached, changed;
    int32_t creator, last;
    uint64_t attachments, unused[2];
};
_Static_assert(sizeof(struct guest_segment) == 112, "the guest's layout");

static int64_t limits(guest_t to)
{
    struct { uint64_t most, least, count, per_process, pages, unused[4]; } info = {.least = 1, .count = SLOTS};
    ipc_store(IPC_SHM, &info.pages);
    info.most = info.pages * PAGE_SIZE;
    info.per_process = SLOTS;
    ipc_lock();
    int64_t highest = ipc_highest(IPC_SHM);
    ipc_unlock();
    return copy_out(to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static int64_t totals(guest_t to)
{
    struct { int32_t count; uint64_t total, resident, swapped, swap_attempts, swap_successes; } info = {0};
    ipc_lock();
    for (struct ipc_object *object = NULL; (object = ipc_next(IPC_SHM, object)); info.count++)
        info.total += object->size;
    int64_t highest = ipc_highest(IPC_SHM);
    ipc_unlock();
    info.resident = info.total;
    return copy_out(to, &info, sizeof info) < 0 ? -EFAULT : highest;
}

static void show(const struct ipc_object *object, void *to)
{
    struct guest_segment *out = to;
    const struct segment *segment = (const struct segment *)object;
    out->size = segment->bytes;
    out->attached = segment->attached;
    out->detached = segment->detached;
    out->changed = object->changed;
    out->creator = segment->creator;
    out->last = segment->last;
    out->attachments = ipc_holders(object);
}

static int64_t change(struct ipc_object *object, int32_t command, const void *from)
{
    if (command == IPC_SET)
        return ipc_permissions_set(object, &((const struct guest_segment *)from)->permissions);
    if (!ipc_owned(object))
        return -EPERM;
    if (command == SHM_LOCK) {
        object->mode |= SHM_LOCKED;
    } else if (command == SHM_UNLOCK) {
        object->mode &= ~SHM_LOCKED;
    } else if (ipc_holders(object)) {
        object->key = IPC_PRIVATE;
        object->mode |= SHM_DEST;
    } else {
        destroy(segment_of(object));
    }
    return 0;
}

static const struct ipc_control control = {IPC_SHM, sizeof(struct guest_segment), show, change};

int64_t sys_shmctl(int32_t id, int32_t command, guest_t argument)
{
    if (id < 0)
        return -EINVAL;
    switch (command) {
    case IPC_INFO:
        return limits(argument);
    case SHM_INFO:
        return totals(argument);
    case IPC_STAT:
        return ipc_status(&control, id, IPC_BY_ID, argument);
    case SHM_STAT:
        return ipc_status(&control, id, IPC_BY_INDEX, argument);
    case SHM_STAT_ANY:
        return ipc_status(&control, id, IPC_BY_INDEX_ANY, argument);
    case IPC_SET:
    case IPC_RMID:
    case SHM_LOCK:
    case SHM_UNLOCK:
        return ipc_change(&control, id, command, argument);
    default:
        return -EINVAL;
    }
}
