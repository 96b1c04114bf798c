/* SPDX-License-Identifier: MIT */
/*
 * What is this object, and may a guest have it?  Asked of a descriptor that opens nothing (O_PATH), and only then is the
 * object opened, by the kernel's own name of that descriptor: so no swap between lets another one through, and what must
 * not be opened is not, not even for a moment.  Opening is an effect by itself: it lets a FIFO's writer go on, it arms a
 * watchdog.
 *
 * Refused wherever a mount shows them: the kernel's own file systems (a procfs is pal-run's own: its memory, its
 * environment), device nodes, FIFOs in read-only mounts.  A set-user-id or set-group-id bit and file capabilities are
 * taken off before a file is opened for writing: through a shared mapping a guest could else give such a program other
 * contents, which then run with the owner's rights.
 *
 * Trees of the system's own (`plain`), which only the host's root can change, are opened without that: they hold no such
 * objects, and most opens are of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "loader/mounts/mounts.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define CAPABILITIES "security.capability"

static int proc_descriptors = -1; /* /proc/self/fd, of a true procfs */
static uid_t user;                /* pal-run's */
static dev_t host_devices;        /* the device of /dev; 0: it is no file system of its own */
static dev_t host_root;           /* the device of / */

/* ---- The kernel's names ------------------------------------------------------------------------------------------ */

void objects_prepare(void)
{
    struct statfs system;
    struct stat devices, root;
    user = geteuid();
    proc_descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_descriptors >= 0 && (fstatfs(proc_descriptors, &system) < 0 || system.f_type != PROC_SUPER_MAGIC)) {
        close(proc_descriptors); /* plain directories, which a guest may be let to write */
        proc_descriptors = -1;
    }
    if (stat("/", &root) == 0)
        host_root = root.st_dev;
    if (stat("/dev", &devices) == 0 && devices.st_dev != host_root)
        host_devices = devices.st_dev; /* a devtmpfs can't be told from a tmpfs otherwise */
}

bool object_is_ours(uid_t owner)
{
    return !user || owner == user;
}

struct fd_name fd_name(int fd)
{
    struct fd_name name = {""};
    if (proc_descriptors >= 0)
        snprintf(name.path, sizeof name.path, "/proc/self/fd/%d", fd);
    return name;
}

/* ---- File systems ------------------------------------------------------------------------------------------------ */

bool object_is_kernels(int fd, dev_t device)
{
    static const uint32_t magics[] = {
        PROC_SUPER_MAGIC, SYSFS_MAGIC,       DEVPTS_SUPER_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, TRACEFS_MAGIC,
        DEBUGFS_MAGIC,    SECURITYFS_MAGIC,  BPF_FS_MAGIC,       SELINUX_MAGIC,      SMACK_MAGIC,         EFIVARFS_MAGIC,
        PSTOREFS_MAGIC,   BINFMTFS_MAGIC,    NSFS_MAGIC,         RDTGROUP_SUPER_MAGIC, XENFS_SUPER_MAGIC,   USBDEVICE_SUPER_MAGIC,
        OPENPROM_SUPER_MAGIC, ANON_INODE_FS_MAGIC, SOCKFS_MAGIC, PIPEFS_MAGIC,       BINDERFS_SUPER_MAGIC,
        0x62656570, /* configfs */ 0x19800202, /* mqueue */ 0x65735543, /* fusectl */ AAFS_MAGIC,
        0x6e667364, /* nfsd */     0x67596969, /* rpc_pipefs */
    };
    struct statfs system;
    if (device && device == host_devices)
        return true;
    if (device && device == host_root) /* holds the host's programs: none of those */
        return false;
    if (fstatfs(fd, &system) < 0)
        return true;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if ((uint32_t)system.f_type == magics[i])
            return true;
    return false;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static int open_beneath(int directory, const char *path, const struct open_how *how, uint64_t resolve)
{
    struct open_how beneath = *how;
    beneath.flags |= O_CLOEXEC;
    beneath.resolve = BENEATH | resolve;
    long fd = syscall(SYS_openat2, directory, path, &beneath, sizeof beneath);
    return fd < 0 ? -errno : (int)fd;
}

/* Beyond a mount point of the host's lies another file system. */
int object_find(int directory, const char *path, uint64_t flags)
{
    const struct open_how how = {.flags = O_PATH | flags};
    struct stat status;
    int fd = open_beneath(directory, path, &how, RESOLVE_NO_XDEV);
    if (fd != -EXDEV)
        return fd;
    fd = open_beneath(directory, path, &how, 0);
    if (fd >= 0 && (fstat(fd, &status) < 0 || object_is_kernels(fd, status.st_dev))) {
        close(fd);
        return OBJECT_REFUSED;
    }
    return fd;
}

static bool has_capabilities(int object)
{
    return getxattr(fd_name(object).path, CAPABILITIES, NULL, 0) >= 0 || errno == ERANGE;
}

static bool gives_rights(int object, mode_t mode)
{
    return mode & (S_ISUID | S_ISGID) || (mode & 0111 && has_capabilities(object));
}

int object_take_rights(int object, mode_t mode)
{
    struct stat after;
    if (!gives_rights(object, mode))
        return 0;
    /* A change of owner, to the same one, takes them all. */
    if (fchownat(object, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0 || fstat(object, &after) < 0 ||
        gives_rights(object, after.st_mode))
        return OBJECT_REFUSED;
    return 0;
}

int open_untimed(int directory, const char *name, int flags)
{
    int fd = openat(directory, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(directory, name, flags) : fd;
}

static int open_file(int object, int flags, const struct statx *status)
{
    bool untimed = S_ISREG(status->stx_mode) && object_is_ours(status->stx_uid);
    char name[16];
    snprintf(name, sizeof name, "%d", object);
    int fd = untimed ? open_untimed(proc_descriptors, name, flags) : openat(proc_descriptors, name, flags);
    return fd < 0 ? -errno : fd;
}

int object_open(const struct mount *mount, int object, const struct open_how *how, struct object_status *before)
{
    struct statx *status = &before->status;
    bool writes = (how->flags & O_ACCMODE) != O_RDONLY || how->flags & O_TRUNC;
    if (statx(object, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, status) < 0)
        return -errno;
    if (S_ISDIR(status->stx_mode))
        return how->flags & O_CREAT ? -EISDIR : open_beneath(object, ".", how, RESOLVE_NO_XDEV);
    if (how->flags & O_DIRECTORY)
        return -ENOTDIR;
    if (S_ISLNK(status->stx_mode))
        return -ELOOP;
    if (S_ISSOCK(status->stx_mode))
        return -ENXIO;
    if (writes && !mount->writable)
        return -EROFS;
    bool regular = S_ISREG(status->stx_mode);
    if (!regular && !(S_ISFIFO(status->stx_mode) && mount->writable))
        return OBJECT_REFUSED;
    int error = writes && regular ? object_take_rights(object, status->stx_mode)
                : mount->image && regular ? image_fill(mount, object, status->stx_ino) : 0;
    if (error)
        return error;
    before->valid = regular && !writes;
    int flags = (int)how->flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL | (before->valid ? O_NONBLOCK : 0));
    return open_file(object, flags | O_CLOEXEC, status);
}

/* Whatever is there may be opened so, or can't be: a FIFO of a writable mount is a guest's, and nodev is the kernel's. */
static bool is_harmless(const struct mount *mount, uint64_t flags)
{
    const uint64_t exclusive = O_CREAT | O_EXCL;
    bool reads = (flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC);
    return flags & O_DIRECTORY || (flags & exclusive) == exclusive || mount->plain || proc_descriptors < 0 ||
           (reads && mount->writable && mount->no_devices);
}

int object_open_at(const struct mount *mount, int directory, const char *path, const struct open_how *how,
                   struct object_status *before)
{
    before->valid = false;
    if (how->flags & O_PATH)
        return object_find(directory, path, how->flags);
    if (!mount->writable && (how->flags & O_ACCMODE || how->flags & (O_TRUNC | O_CREAT)))
        return -EROFS;
    int fd = is_harmless(mount, how->flags) ? open_beneath(directory, path, how, RESOLVE_NO_XDEV) : -EXDEV;
    if (fd != -EXDEV || (how->flags & O_TMPFILE) == O_TMPFILE || proc_descriptors < 0)
        return fd;
    int object = object_find(directory, path, how->flags & (O_NOFOLLOW | O_DIRECTORY));
    if (object == -ENOENT && how->flags & O_CREAT) {
        struct open_how fresh = *how;
        fresh.flags |= O_EXCL;
        fd = open_beneath(directory, path, &fresh, RESOLVE_NO_XDEV);
        return fd == -EEXIST ? -EAGAIN : fd; /* it came meanwhile */
    }
    if (object < 0)
        return object;
    fd = object_open(mount, object, how, before);
    close(object);
    return fd;
}
