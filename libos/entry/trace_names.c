/* SPDX-License-Identifier: MIT */
/*
 * The names that --trace prints for flags, operations and errors, and which argument of which call they belong to.
 * Values are Linux's, of x86-64.
 */
#include "libos/entry/entry.h"
#include "libos/lib/lib.h"

struct named {
    const char *name;
    uint32_t value;
};

static const struct named open_flags[] = {
    {"O_WRONLY", 0x1}, {"O_RDWR", 0x2}, {"O_CREAT", 0x40}, {"O_EXCL", 0x80}, {"O_NOCTTY", 0x100}, {"O_TRUNC", 0x200},
    {"O_APPEND", 0x400}, {"O_NONBLOCK", 0x800}, {"O_DSYNC", 0x1000}, {"FASYNC", 0x2000}, {"O_DIRECT", 0x4000},
    {"O_LARGEFILE", 0100000}, {"O_DIRECTORY", 0x10000}, {"O_NOFOLLOW", 0x20000}, {"O_NOATIME", 0x40000},
    {"O_CLOEXEC", 0x80000}, {"O_PATH", 0x200000}, {"__O_TMPFILE", 020000000},
    {0},
};
static const struct named prot_flags[] = {
    {"PROT_READ", 0x1}, {"PROT_WRITE", 0x2}, {"PROT_EXEC", 0x4}, {"PROT_GROWSDOWN", 0x1000000},
    {0},
};
static const struct named map_flags[] = {
    {"MAP_SHARED", 0x1}, {"MAP_PRIVATE", 0x2}, {"MAP_FIXED", 0x10}, {"MAP_ANONYMOUS", 0x20},
    {"MAP_GROWSDOWN", 0x100}, {"MAP_LOCKED", 0x2000}, {"MAP_NORESERVE", 0x4000}, {"MAP_POPULATE", 0x8000},
    {"MAP_NONBLOCK", 0x10000}, {"MAP_STACK", 0x20000}, {"MAP_HUGETLB", 0x40000}, {"MAP_FIXED_NOREPLACE", 0x100000},
    {0},
};
static const struct named at_flags[] = {
    {"AT_SYMLINK_NOFOLLOW", 0x100}, {"AT_REMOVEDIR", 0x200}, {"AT_SYMLINK_FOLLOW", 0x400},
    {"AT_NO_AUTOMOUNT", 0x800}, {"AT_EMPTY_PATH", 0x1000},
    {0},
};
static const struct named clone_flags[] = {
    {"CLONE_VM", 0x100}, {"CLONE_FS", 0x200}, {"CLONE_FILES", 0x400}, {"CLONE_SIGHAND", 0x800},
    {"CLONE_PIDFD", 0x1000}, {"CLONE_PTRACE", 0x2000}, {"CLONE_VFORK", 0x4000}, {"CLONE_PARENT", 0x8000},
    {"CLONE_THREAD", 0x10000}, {"CLONE_NEWNS", 0x20000}, {"CLONE_SYSVSEM", 0x40000}, {"CLONE_SETTLS", 0x80000},
    {"CLONE_PARENT_SETTID", 0x100000}, {"CLONE_CHILD_CLEARTID", 0x200000}, {"CLONE_UNTRACED", 0x800000},
    {"CLONE_CHILD_SETTID", 0x1000000}, {"CLONE_NEWCGROUP", 0x2000000}, {"CLONE_NEWUTS", 0x4000000},
    {"CLONE_NEWIPC", 0x8000000}, {"CLONE_NEWUSER", 0x10000000}, {"CLONE_NEWPID", 0x20000000},
    {"CLONE_NEWNET", 0x40000000}, {"CLONE_IO", 0x80000000},
    {0},
};
static const struct named wait_flags[] = {
    {"WNOHANG", 0x1}, {"WUNTRACED", 0x2}, {"WEXITED", 0x4}, {"WCONTINUED", 0x8}, {"WNOWAIT", 0x1000000},
    {0},
};
static const struct named msg_flags[] = {
    {"MSG_OOB", 0x1}, {"MSG_PEEK", 0x2}, {"MSG_DONTROUTE", 0x4}, {"MSG_CTRUNC", 0x8}, {"MSG_TRUNC", 0x20},
    {"MSG_DONTWAIT", 0x40}, {"MSG_EOR", 0x80}, {"MSG_WAITALL", 0x100}, {"MSG_NOSIGNAL", 0x4000},
    {"MSG_MORE", 0x8000}, {"MSG_CMSG_CLOEXEC", 0x40000000},
    {0},
};
static const struct named epoll_flags[] = {
    {"EPOLL_CLOEXEC", 0x80000},
    {0},
};
static const struct named pipe_flags[] = {
    {"O_NONBLOCK", 0x800}, {"O_CLOEXEC", 0x80000}, {"O_DIRECT", 0x4000},
    {0},
};
static const struct named accept_flags[] = {
    {"SOCK_NONBLOCK", 0x800}, {"SOCK_CLOEXEC", 0x80000},
    {0},
};
static const struct named mremap_flags[] = {
    {"MREMAP_MAYMOVE", 0x1}, {"MREMAP_FIXED", 0x2}, {"MREMAP_DONTUNMAP", 0x4},
    {0},
};
static const struct named msync_flags[] = {
    {"MS_ASYNC", 0x1}, {"MS_INVALIDATE", 0x2}, {"MS_SYNC", 0x4},
    {0},
};
static const struct named access_flags[] = {
    {"X_OK", 0x1}, {"W_OK", 0x2}, {"R_OK", 0x4},
    {0},
};
static const struct named domain_names[] = {
    {"AF_UNIX", 0x1}, {"AF_INET", 0x2}, {"AF_INET6", 0xa}, {"AF_NETLINK", 0x10}, {"AF_PACKET", 0x11},
    {0},
};
static const struct named whence_names[] = {
    {"SEEK_SET", 0x0}, {"SEEK_CUR", 0x1}, {"SEEK_END", 0x2}, {"SEEK_DATA", 0x3}, {"SEEK_HOLE", 0x4},
    {0},
};
static const struct named advice_names[] = {
    {"MADV_NORMAL", 0x0}, {"MADV_RANDOM", 0x1}, {"MADV_SEQUENTIAL", 0x2}, {"MADV_WILLNEED", 0x3},
    {"MADV_DONTNEED", 0x4}, {"MADV_FREE", 0x8}, {"MADV_REMOVE", 0x9}, {"MADV_DONTFORK", 0xa}, {"MADV_DOFORK", 0xb},
    {"MADV_HUGEPAGE", 0xe}, {"MADV_NOHUGEPAGE", 0xf}, {"MADV_DONTDUMP", 0x10}, {"MADV_DODUMP", 0x11},
    {"MADV_WIPEONFORK", 0x12}, {"MADV_KEEPONFORK", 0x13}, {"MADV_POPULATE_READ", 0x16},
    {"MADV_POPULATE_WRITE", 0x17},
    {0},
};
static const struct named fcntl_names[] = {
    {"F_DUPFD", 0x0}, {"F_GETFD", 0x1}, {"F_SETFD", 0x2}, {"F_GETFL", 0x3}, {"F_SETFL", 0x4}, {"F_GETLK", 0x5},
    {"F_SETLK", 0x6}, {"F_SETLKW", 0x7}, {"F_SETOWN", 0x8}, {"F_GETOWN", 0x9}, {"F_SETSIG", 0xa}, {"F_GETSIG", 0xb},
    {"F_SETOWN_EX", 0xf}, {"F_GETOWN_EX", 0x10}, {"F_OFD_GETLK", 0x24}, {"F_OFD_SETLK", 0x25},
    {"F_OFD_SETLKW", 0x26}, {"F_SETLEASE", 0x400}, {"F_GETLEASE", 0x401}, {"F_NOTIFY", 0x402},
    {"F_DUPFD_CLOEXEC", 0x406}, {"F_SETPIPE_SZ", 0x407}, {"F_GETPIPE_SZ", 0x408}, {"F_ADD_SEALS", 0x409},
    {"F_GET_SEALS", 0x40a},
    {0},
};
static const struct named how_names[] = {
    {"SIG_BLOCK", 0x0}, {"SIG_UNBLOCK", 0x1}, {"SIG_SETMASK", 0x2},
    {0},
};
static const struct named epoll_op_names[] = {
    {"EPOLL_CTL_ADD", 0x1}, {"EPOLL_CTL_DEL", 0x2}, {"EPOLL_CTL_MOD", 0x3},
    {0},
};
static const struct named clock_names[] = {
    {"CLOCK_REALTIME", 0x0}, {"CLOCK_MONOTONIC", 0x1}, {"CLOCK_PROCESS_CPUTIME_ID", 0x2},
    {"CLOCK_THREAD_CPUTIME_ID", 0x3}, {"CLOCK_MONOTONIC_RAW", 0x4}, {"CLOCK_REALTIME_COARSE", 0x5},
    {"CLOCK_MONOTONIC_COARSE", 0x6}, {"CLOCK_BOOTTIME", 0x7}, {"CLOCK_TAI", 0xb},
    {0},
};
static const struct named shut_names[] = {
    {"SHUT_RD", 0x0}, {"SHUT_WR", 0x1}, {"SHUT_RDWR", 0x2},
    {0},
};
static const struct named level_names[] = {
    {"SOL_SOCKET", 0x1}, {"IPPROTO_TCP", 0x6}, {"IPPROTO_UDP", 0x11}, {"IPPROTO_IPV6", 0x29},
    {0},
};
static const struct named arch_names[] = {
    {"ARCH_SET_GS", 0x1001}, {"ARCH_SET_FS", 0x1002}, {"ARCH_GET_FS", 0x1003}, {"ARCH_GET_GS", 0x1004},
    {0},
};
static const struct named flock_names[] = {
    {"LOCK_SH", 0x1}, {"LOCK_EX", 0x2}, {"LOCK_UN", 0x8},
    {0},
};
static const struct named rlimit_names[] = {
    {"RLIMIT_CPU", 0x0}, {"RLIMIT_FSIZE", 0x1}, {"RLIMIT_DATA", 0x2}, {"RLIMIT_STACK", 0x3}, {"RLIMIT_CORE", 0x4},
    {"RLIMIT_RSS", 0x5}, {"RLIMIT_NPROC", 0x6}, {"RLIMIT_NOFILE", 0x7}, {"RLIMIT_MEMLOCK", 0x8}, {"RLIMIT_AS", 0x9},
    {"RLIMIT_LOCKS", 0xa}, {"RLIMIT_SIGPENDING", 0xb}, {"RLIMIT_MSGQUEUE", 0xc}, {"RLIMIT_NICE", 0xd},
    {"RLIMIT_RTPRIO", 0xe}, {"RLIMIT_RTTIME", 0xf},
    {0},
};
static const struct named ioctl_names[] = {
    {"TCGETS", 0x5401}, {"TCSETS", 0x5402}, {"TCSETSW", 0x5403}, {"TCSETSF", 0x5404}, {"TIOCSCTTY", 0x540e},
    {"TIOCGPGRP", 0x540f}, {"TIOCSPGRP", 0x5410}, {"TIOCGWINSZ", 0x5413}, {"TIOCSWINSZ", 0x5414},
    {"FIONREAD", 0x541b}, {"TIOCNOTTY", 0x5422}, {"TIOCGSID", 0x5429}, {"TIOCGPTN", 0x80045430},
    {"TIOCSPTLCK", 0x40045431}, {"FIONBIO", 0x5421}, {"FIOCLEX", 0x5451}, {"FIONCLEX", 0x5450}, {"FIOASYNC", 0x5452},
    {0},
};
static const struct named prctl_names[] = {
    {"PR_SET_PDEATHSIG", 0x1}, {"PR_GET_PDEATHSIG", 0x2}, {"PR_GET_DUMPABLE", 0x3}, {"PR_SET_DUMPABLE", 0x4},
    {"PR_SET_NAME", 0xf}, {"PR_GET_NAME", 0x10}, {"PR_GET_SECCOMP", 0x15}, {"PR_SET_SECCOMP", 0x16},
    {"PR_CAPBSET_READ", 0x17}, {"PR_CAPBSET_DROP", 0x18}, {"PR_SET_NO_NEW_PRIVS", 0x26},
    {"PR_GET_NO_NEW_PRIVS", 0x27}, {"PR_SET_CHILD_SUBREAPER", 0x24}, {"PR_GET_CHILD_SUBREAPER", 0x25},
    {"PR_SET_VMA", 0x53564d41}, {"PR_CAP_AMBIENT", 0x2f},
    {0},
};
static const struct named sig_names[] = {
    {"SIGHUP", 0x1}, {"SIGINT", 0x2}, {"SIGQUIT", 0x3}, {"SIGILL", 0x4}, {"SIGTRAP", 0x5}, {"SIGABRT", 0x6},
    {"SIGBUS", 0x7}, {"SIGFPE", 0x8}, {"SIGKILL", 0x9}, {"SIGUSR1", 0xa}, {"SIGSEGV", 0xb}, {"SIGUSR2", 0xc},
    {"SIGPIPE", 0xd}, {"SIGALRM", 0xe}, {"SIGTERM", 0xf}, {"SIGSTKFLT", 0x10}, {"SIGCHLD", 0x11}, {"SIGCONT", 0x12},
    {"SIGSTOP", 0x13}, {"SIGTSTP", 0x14}, {"SIGTTIN", 0x15}, {"SIGTTOU", 0x16}, {"SIGURG", 0x17}, {"SIGXCPU", 0x18},
    {"SIGXFSZ", 0x19}, {"SIGVTALRM", 0x1a}, {"SIGPROF", 0x1b}, {"SIGWINCH", 0x1c}, {"SIGIO", 0x1d}, {"SIGPWR", 0x1e},
    {"SIGSYS", 0x1f},
    {0},
};
static const struct {
    const char *name, *text;
    uint32_t value;
} errors[] = {
    {"EPERM", "Operation not permitted", 1}, {"ENOENT", "No such file or directory", 2},
    {"ESRCH", "No such process", 3}, {"EINTR", "Interrupted system call", 4}, {"EIO", "Input/output error", 5},
    {"ENXIO", "No such device or address", 6}, {"E2BIG", "Argument list too long", 7},
    {"ENOEXEC", "Exec format error", 8}, {"EBADF", "Bad file descriptor", 9}, {"ECHILD", "No child processes", 10},
    {"EAGAIN", "Resource temporarily unavailable", 11}, {"ENOMEM", "Cannot allocate memory", 12},
    {"EACCES", "Permission denied", 13}, {"EFAULT", "Bad address", 14}, {"ENOTBLK", "Block device required", 15},
    {"EBUSY", "Device or resource busy", 16}, {"EEXIST", "File exists", 17},
    {"EXDEV", "Invalid cross-device link", 18}, {"ENODEV", "No such device", 19}, {"ENOTDIR", "Not a directory", 20},
    {"EISDIR", "Is a directory", 21}, {"EINVAL", "Invalid argument", 22},
    {"ENFILE", "Too many open files in system", 23}, {"EMFILE", "Too many open files", 24},
    {"ENOTTY", "Inappropriate ioctl for device", 25}, {"ETXTBSY", "Text file busy", 26},
    {"EFBIG", "File too large", 27}, {"ENOSPC", "No space left on device", 28}, {"ESPIPE", "Illegal seek", 29},
    {"EROFS", "Read-only file system", 30}, {"EMLINK", "Too many links", 31}, {"EPIPE", "Broken pipe", 32},
    {"EDOM", "Numerical argument out of domain", 33}, {"ERANGE", "Numerical result out of range", 34},
    {"EDEADLK", "Resource deadlock avoided", 35}, {"ENAMETOOLONG", "File name too long", 36},
    {"ENOLCK", "No locks available", 37}, {"ENOSYS", "Function not implemented", 38},
    {"ENOTEMPTY", "Directory not empty", 39}, {"ELOOP", "Too many levels of symbolic links", 40},
    {"ENOMSG", "No message of desired type", 42}, {"EIDRM", "Identifier removed", 43},
    {"ECHRNG", "Channel number out of range", 44}, {"EL2NSYNC", "Level 2 not synchronized", 45},
    {"EL3HLT", "Level 3 halted", 46}, {"EL3RST", "Level 3 reset", 47}, {"ELNRNG", "Link number out of range", 48},
    {"EUNATCH", "Protocol driver not attached", 49}, {"ENOCSI", "No CSI structure available", 50},
    {"EL2HLT", "Level 2 halted", 51}, {"EBADE", "Invalid exchange", 52}, {"EBADR", "Invalid request descriptor", 53},
    {"EXFULL", "Exchange full", 54}, {"ENOANO", "No anode", 55}, {"EBADRQC", "Invalid request code", 56},
    {"EBADSLT", "Invalid slot", 57}, {"EBFONT", "Bad font file format", 59}, {"ENOSTR", "Device not a stream", 60},
    {"ENODATA", "No data available", 61}, {"ETIME", "Timer expired", 62}, {"ENOSR", "Out of streams resources", 63},
    {"ENONET", "Machine is not on the network", 64}, {"ENOPKG", "Package not installed", 65},
    {"EREMOTE", "Object is remote", 66}, {"ENOLINK", "Link has been severed", 67}, {"EADV", "Advertise error", 68},
    {"ESRMNT", "Srmount error", 69}, {"ECOMM", "Communication error on send", 70}, {"EPROTO", "Protocol error", 71},
    {"EMULTIHOP", "Multihop attempted", 72}, {"EDOTDOT", "RFS specific error", 73}, {"EBADMSG", "Bad message", 74},
    {"EOVERFLOW", "Value too large for defined data type", 75}, {"ENOTUNIQ", "Name not unique on network", 76},
    {"EBADFD", "File descriptor in bad state", 77}, {"EREMCHG", "Remote address changed", 78},
    {"ELIBACC", "Can not access a needed shared library", 79},
    {"ELIBBAD", "Accessing a corrupted shared library", 80}, {"ELIBSCN", ".lib section in a.out corrupted", 81},
    {"ELIBMAX", "Attempting to link in too many shared libraries", 82},
    {"ELIBEXEC", "Cannot exec a shared library directly", 83},
    {"EILSEQ", "Invalid or incomplete multibyte or wide character", 84},
    {"ERESTART", "Interrupted system call should be restarted", 85}, {"ESTRPIPE", "Streams pipe error", 86},
    {"EUSERS", "Too many users", 87}, {"ENOTSOCK", "Socket operation on non-socket", 88},
    {"EDESTADDRREQ", "Destination address required", 89}, {"EMSGSIZE", "Message too long", 90},
    {"EPROTOTYPE", "Protocol wrong type for socket", 91}, {"ENOPROTOOPT", "Protocol not available", 92},
    {"EPROTONOSUPPORT", "Protocol not supported", 93}, {"ESOCKTNOSUPPORT", "Socket type not supported", 94},
    {"EOPNOTSUPP", "Operation not supported", 95}, {"EPFNOSUPPORT", "Protocol family not supported", 96},
    {"EAFNOSUPPORT", "Address family not supported by protocol", 97}, {"EADDRINUSE", "Address already in use", 98},
    {"EADDRNOTAVAIL", "Cannot assign requested address", 99}, {"ENETDOWN", "Network is down", 100},
    {"ENETUNREACH", "Network is unreachable", 101}, {"ENETRESET", "Network dropped connection on reset", 102},
    {"ECONNABORTED", "Software caused connection abort", 103}, {"ECONNRESET", "Connection reset by peer", 104},
    {"ENOBUFS", "No buffer space available", 105}, {"EISCONN", "Transport endpoint is already connected", 106},
    {"ENOTCONN", "Transport endpoint is not connected", 107},
    {"ESHUTDOWN", "Cannot send after transport endpoint shutdown", 108},
    {"ETOOMANYREFS", "Too many references: cannot splice", 109}, {"ETIMEDOUT", "Connection timed out", 110},
    {"ECONNREFUSED", "Connection refused", 111}, {"EHOSTDOWN", "Host is down", 112},
    {"EHOSTUNREACH", "No route to host", 113}, {"EALREADY", "Operation already in progress", 114},
    {"EINPROGRESS", "Operation now in progress", 115}, {"ESTALE", "Stale file handle", 116},
    {"EUCLEAN", "Structure needs cleaning", 117}, {"ENOTNAM", "Not a XENIX named type file", 118},
    {"ENAVAIL", "No XENIX semaphores available", 119}, {"EISNAM", "Is a named type file", 120},
    {"EREMOTEIO", "Remote I/O error", 121}, {"EDQUOT", "Disk quota exceeded", 122},
    {"ENOMEDIUM", "No medium found", 123}, {"EMEDIUMTYPE", "Wrong medium type", 124},
    {"ECANCELED", "Operation canceled", 125}, {"ENOKEY", "Required key not available", 126},
    {"EKEYEXPIRED", "Key has expired", 127}, {"EKEYREVOKED", "Key has been revoked", 128},
    {"EKEYREJECTED", "Key was rejected by service", 129}, {"EOWNERDEAD", "Owner died", 130},
    {"ENOTRECOVERABLE", "State not recoverable", 131}, {"ERFKILL", "Operation not possible due to RF-kill", 132},
};

static const struct use {
    uint16_t number;
    uint8_t argument, is_set; /* is_set: names are or-ed */
    const struct named *names;
    const char *zero; /* of a set; NULL: 0 */
} uses[] = {
    {2 /* open */, 1, 1, open_flags, "O_RDONLY"},
    {257 /* openat */, 2, 1, open_flags, "O_RDONLY"},
    {9 /* mmap */, 2, 1, prot_flags, "PROT_NONE"},
    {9 /* mmap */, 3, 1, map_flags, NULL},
    {10 /* mprotect */, 2, 1, prot_flags, "PROT_NONE"},
    {262 /* newfstatat */, 3, 1, at_flags, NULL},
    {263 /* unlinkat */, 2, 1, at_flags, NULL},
    {265 /* linkat */, 4, 1, at_flags, NULL},
    {260 /* fchownat */, 4, 1, at_flags, NULL},
    {280 /* utimensat */, 3, 1, at_flags, NULL},
    {439 /* faccessat2 */, 3, 1, at_flags, NULL},
    {332 /* statx */, 2, 1, at_flags, NULL},
    {322 /* execveat */, 4, 1, at_flags, NULL},
    {21 /* access */, 1, 1, access_flags, "F_OK"},
    {269 /* faccessat */, 2, 1, access_flags, "F_OK"},
    {439 /* faccessat2 */, 2, 1, access_flags, "F_OK"},
    {56 /* clone */, 0, 1, clone_flags, NULL},
    {272 /* unshare */, 0, 1, clone_flags, NULL},
    {61 /* wait4 */, 2, 1, wait_flags, NULL},
    {247 /* waitid */, 3, 1, wait_flags, NULL},
    {44 /* sendto */, 3, 1, msg_flags, NULL},
    {45 /* recvfrom */, 3, 1, msg_flags, NULL},
    {46 /* sendmsg */, 2, 1, msg_flags, NULL},
    {47 /* recvmsg */, 2, 1, msg_flags, NULL},
    {307 /* sendmmsg */, 3, 1, msg_flags, NULL},
    {299 /* recvmmsg */, 3, 1, msg_flags, NULL},
    {291 /* epoll_create1 */, 0, 1, epoll_flags, NULL},
    {293 /* pipe2 */, 1, 1, pipe_flags, NULL},
    {292 /* dup3 */, 2, 1, pipe_flags, NULL},
    {288 /* accept4 */, 3, 1, accept_flags, NULL},
    {25 /* mremap */, 3, 1, mremap_flags, NULL},
    {26 /* msync */, 2, 1, msync_flags, NULL},
    {41 /* socket */, 0, 0, domain_names, NULL},
    {53 /* socketpair */, 0, 0, domain_names, NULL},
    {8 /* lseek */, 2, 0, whence_names, NULL},
    {28 /* madvise */, 2, 0, advice_names, NULL},
    {72 /* fcntl */, 1, 0, fcntl_names, NULL},
    {14 /* rt_sigprocmask */, 0, 0, how_names, NULL},
    {233 /* epoll_ctl */, 1, 0, epoll_op_names, NULL},
    {228 /* clock_gettime */, 0, 0, clock_names, NULL},
    {230 /* clock_nanosleep */, 0, 0, clock_names, NULL},
    {229 /* clock_getres */, 0, 0, clock_names, NULL},
    {222 /* timer_create */, 0, 0, clock_names, NULL},
    {283 /* timerfd_create */, 0, 0, clock_names, NULL},
    {48 /* shutdown */, 1, 0, shut_names, NULL},
    {54 /* setsockopt */, 1, 0, level_names, NULL},
    {55 /* getsockopt */, 1, 0, level_names, NULL},
    {158 /* arch_prctl */, 0, 0, arch_names, NULL},
    {97 /* getrlimit */, 0, 0, rlimit_names, NULL},
    {160 /* setrlimit */, 0, 0, rlimit_names, NULL},
    {302 /* prlimit64 */, 1, 0, rlimit_names, NULL},
    {16 /* ioctl */, 1, 0, ioctl_names, NULL},
    {157 /* prctl */, 0, 0, prctl_names, NULL},
    {73 /* flock */, 1, 0, flock_names, NULL},
};

static const char *name_of(const struct named *names, uint32_t value)
{
    for (; names->name; names++)
        if (names->value == value)
            return names->name;
    return NULL;
}

/* O_SYNC holds O_DSYNC, and AF_UNIX is 1: sets go by whole masks, in the table's order. */
static size_t put_set(char *to, size_t size, const struct use *use, uint32_t value)
{
    size_t used = 0;
    const char *bar = "";
    if (use->zero && (use->names != open_flags ? !value : !(value & 3))) {
        used = MIN((size_t)format(to, size, "%s", use->zero), size - 1);
        bar = "|";
    }
    for (const struct named *flag = use->names; flag->name; flag++)
        if (value & flag->value && (value & flag->value) == flag->value) {
            used = MIN(used + (size_t)format(to + used, size - used, "%s%s", bar, flag->name), size - 1);
            value &= ~flag->value;
            bar = "|";
        }
    if (value || !*bar)
        used += (size_t)format(to + used, size - used, value ? "%s0x%x" : "%s0", bar, value);
    return used;
}

size_t trace_put_named(char *to, size_t size, uint32_t number, unsigned argument, uint64_t value)
{
    for (size_t i = 0; i < COUNT_OF(uses); i++) {
        if (uses[i].number != number || uses[i].argument != argument)
            continue;
        if (uses[i].is_set)
            return put_set(to, size, &uses[i], (uint32_t)value);
        const char *name = name_of(uses[i].names, (uint32_t)value);
        return name ? (size_t)format(to, size, "%s", name) : 0;
    }
    return 0;
}

size_t trace_put_error(char *to, size_t size, int error)
{
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (errors[i].value == (uint32_t)error)
            return (size_t)format(to, size, "-1 %s (%s)", errors[i].name, errors[i].text);
    return (size_t)format(to, size, "-1 (error %d)", error);
}

const char *trace_signal_name(int signal)
{
    return name_of(sig_names, (uint32_t)signal);
}
