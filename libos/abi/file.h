/* SPDX-License-Identifier: MIT */
/* Linux's constants and structures for files on x86-64 (asm-generic/fcntl.h, asm/stat.h, linux/stat.h). */
#ifndef LIBOS_ABI_FILE_H
#define LIBOS_ABI_FILE_H
#include <stddef.h>
#include <stdint.h>

/* open(2) */
#define O_ACCMODE 3u
#define O_RDONLY 0u
#define O_WRONLY 1u
#define O_RDWR 2u
#define O_CREAT 0100u
#define O_EXCL 0200u
#define O_NOCTTY 0400u
#define O_TRUNC 01000u
#define O_APPEND 02000u
#define O_NONBLOCK 04000u
#define O_DSYNC 010000u
#define O_ASYNC 020000u
#define O_DIRECT 040000u
#define O_LARGEFILE 0100000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW 0400000u
#define O_NOATIME 01000000u
#define O_CLOEXEC 02000000u
#define O_SYNC 04010000u
#define O_PATH 010000000u
#define O_TMPFILE 020200000u
#define O_NOTIFICATION_PIPE O_EXCL /* pipe2(2) */

#define AT_FDCWD (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EACCESS 0x200u
#define AT_REMOVEDIR 0x200u
#define AT_SYMLINK_FOLLOW 0x400u
#define AT_NO_AUTOMOUNT 0x800u
#define AT_EMPTY_PATH 0x1000u
#define AT_STATX_SYNC_TYPE 0x6000u

/* openat2(2) */
struct open_how { uint64_t flags, mode, resolve; };
#define RESOLVE_NO_XDEV 1u
#define RESOLVE_NO_MAGICLINKS 2u
#define RESOLVE_NO_SYMLINKS 4u
#define RESOLVE_BENEATH 8u
#define RESOLVE_IN_ROOT 0x10u
#define RESOLVE_CACHED 0x20u

/* stat(2) */
#define S_IFMT 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK 0120000u
#define S_IFREG 0100000u
#define S_IFBLK 0060000u
#define S_IFDIR 0040000u
#define S_IFCHR 0020000u
#define S_IFIFO 0010000u
#define S_IRWXUGO 0777u
#define S_ISUID 04000u
#define S_ISGID 02000u
#define S_ISVTX 01000u
#define S_IXGRP 010u
#define S_IALLUGO 07777u

struct linux_timespec { int64_t seconds, nanoseconds; };
struct linux_timeval { int64_t seconds, microseconds; };

struct linux_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    struct linux_timespec atime, mtime, ctime;
    int64_t reserved[3];
};
_Static_assert(sizeof(struct linux_stat) == 144 && offsetof(struct linux_stat, atime) == 72, "struct stat");

struct linux_statx_time { int64_t seconds; uint32_t nanoseconds; int32_t pad; };
struct linux_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask;
    struct linux_statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mount_id;
    uint64_t reserved[13];
};
_Static_assert(sizeof(struct linux_statx) == 256 && offsetof(struct linux_statx, rdev_major) == 128, "struct statx");
#define STATX_BASIC_STATS 0x7ffu
#define STATX_BTIME 0x800u
#define STATX_MNT_ID 0x1000u
#define STATX_RESERVED 0x80000000u

struct linux_statfs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    int32_t fsid[2];
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "struct statfs");
#define ST_RDONLY 1
#define ST_VALID 0x20
#define ST_NOATIME 0x400
#define PROC_SUPER_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define TMPFS_MAGIC 0x01021994
#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534f434b
#define ANON_INODE_FS_MAGIC 0x09041934
#define EXT4_SUPER_MAGIC 0xef53

/* access(2) */
#define F_OK 0u
#define X_OK 1u
#define W_OK 2u
#define R_OK 4u

/* utimensat(2) */
#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

/* getdents64(2), getdents(2): records of the same size for the same name. */
struct linux_dirent64 { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[]; };
struct linux_dirent { uint64_t ino; int64_t off; uint16_t reclen; char name[]; /* type: last byte of the record */ };
#define DT_UNKNOWN 0
#define DT_FIFO 1
#define DT_CHR 2
#define DT_DIR 4
#define DT_BLK 6
#define DT_REG 8
#define DT_LNK 10
#define DT_SOCK 12

/* lseek(2) */
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define SEEK_DATA 3
#define SEEK_HOLE 4

/* readv(2), preadv2(2) */
#define IOV_MAX 1024u
#define MAX_RW_COUNT 0x7ffff000ull
#define RWF_HIPRI 1u
#define RWF_DSYNC 2u
#define RWF_SYNC 4u

#define FALLOC_FL_KEEP_SIZE 1u
#define FALLOC_FL_PUNCH_HOLE 2u
#define FALLOC_FL_COLLAPSE_RANGE 8u
#define FALLOC_FL_ZERO_RANGE 16u
#define FALLOC_FL_INSERT_RANGE 32u
#define FALLOC_FL_UNSHARE_RANGE 64u
#define POSIX_FADV_WILLNEED 3u
#define POSIX_FADV_NOREUSE 5u
#define SYNC_FILE_RANGE_WAIT_BEFORE 1u
#define SYNC_FILE_RANGE_WRITE 2u
#define SYNC_FILE_RANGE_WAIT_AFTER 4u

/* fcntl(2) */
#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_SETOWN 8
#define F_GETOWN 9
#define F_SETSIG 10
#define F_GETSIG 11
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_SETLEASE 1024
#define F_GETLEASE 1025
#define F_NOTIFY 1026
#define F_DUPFD_CLOEXEC 1030
#define F_SETPIPE_SZ 1031
#define F_NOTIFY 1026
#define DN_MULTISHOT 0x80000000u
#define F_GETPIPE_SZ 1032
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define FD_CLOEXEC 1u
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

struct linux_flock { int16_t type, whence; int32_t pad; int64_t start, len; int32_t pid, pad2; };
_Static_assert(sizeof(struct linux_flock) == 32, "struct flock");

/* flock(2) */
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

/* renameat2(2) */
#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE 2u

/* close_range(2) */
#define CLOSE_RANGE_UNSHARE 2u
#define CLOSE_RANGE_CLOEXEC 4u

/* memfd_create(2) */
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u

/* ioctl(2) */
#define TCGETS 0x5401u
#define TCSETS 0x5402u
#define TCSETSW 0x5403u
#define TCSETSF 0x5404u
#define TCSBRK 0x5409u
#define TCFLSH 0x540bu
#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD 0x541bu
#define FIONBIO 0x5421u
#define TIOCNOTTY 0x5422u
#define TIOCGSID 0x5429u
#define FIONCLEX 0x5450u
#define FIOCLEX 0x5451u
#define FIOASYNC 0x5452u
#define FIOSETOWN 0x8901u
#define SIOCSPGRP 0x8902u
#define FIOGETOWN 0x8903u
#define SIOCGPGRP 0x8904u
#define FIGETBSZ 2u
#define FIOQSIZE 0x5460u

struct linux_termios { uint32_t iflag, oflag, cflag, lflag; uint8_t line, cc[19]; };
_Static_assert(sizeof(struct linux_termios) == 36, "the kernel's struct termios");
struct linux_termios2 { struct linux_termios modes; uint32_t input_speed, output_speed; };
struct linux_termio { uint16_t iflag, oflag, cflag, lflag; uint8_t line, cc[8]; };
_Static_assert(sizeof(struct linux_termios2) == 44 && sizeof(struct linux_termio) == 18, "the kernel's");

/* xattr(7) */
#define XATTR_NAME_MAX 255u
#define XATTR_SIZE_MAX 65536u

/* <poll.h> */
#define POLLIN 0x001u
#define POLLPRI 0x002u
#define POLLOUT 0x004u
#define POLLERR 0x008u
#define POLLHUP 0x010u
#define POLLNVAL 0x020u
#define POLLRDNORM 0x040u
#define POLLRDBAND 0x080u
#define POLLWRNORM 0x100u
#define POLLWRBAND 0x200u
#define POLLRDHUP 0x2000u
#endif
