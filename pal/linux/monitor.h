/* SPDX-License-Identifier: MIT */
/*
 * What a picoprocess of the Linux host and its monitor (loader/) say to each other, and how the first one is started.
 *
 * The channel is one AF_UNIX SOCK_SEQPACKET pair for the whole sandbox, inherited by fork.  A request is one packet;
 * the reply is one packet, with a descriptor (SCM_RIGHTS) where the reply says so.  Picoprocesses take turns under
 * `linux_shared.channel`; a reply whose sequence is not the request's is left over from a dead sender: drop it, close
 * its descriptor, read on.
 *
 * Trust: the monitor takes every byte of a request as hostile, and decodes (all checks, no side effect) before it acts.
 * The sender is the pid that the kernel attached (SO_PASSCRED), never a field.  The monitor reads nothing from the
 * shared segment once the first picoprocess runs.
 */
#ifndef PAL_LINUX_MONITOR_H
#define PAL_LINUX_MONITOR_H

#include "pal/pal.h"

#define MONITOR_VERSION 1u

/* Descriptors of the first picoprocess at its exec; no others are open. */
enum linux_start_fd {
    LINUX_FD_CHANNEL = 3,
    LINUX_FD_SHARED = 4,
    LINUX_FD_LOG = 5,
    LINUX_FD_PREFETCHED = 6,
    /* Files that it could open by no name, or nothing; closed before those are there. */
    LINUX_FD_SCORE = 6,  /* its oom_score_adj */
    LINUX_FD_STACK = 7,  /* what the kernel says of spec_rstack_overflow */
    LINUX_FD_PROGRAM = 8 /* closed by its exec */
};

/* Which side resolves names of the host. */
enum linux_names {
    LINUX_NAMES_MONITOR, /* the monitor alone: no call that takes a path is admitted */
    LINUX_NAMES_VIEW,    /* the picoprocess as well, once there is a view (MONITOR_VIEW) */
    LINUX_NAMES_MAPPED,  /* likewise, in a user namespace that has its own ids alone: others show as LINUX_NOBODY */
};
#define LINUX_NOBODY 65534u

/* The host signal that interrupts a thread.  SIGRTMIN of the kernel (32): free in a process without a libc.  Queued by
 * pal-run with a value it brings something from outside: bit n-1 of pal_host_signals.set for n up to 63, then: */
#define LINUX_INTERRUPT_SIGNAL 32
#define LINUX_NUMBER_KILLED 32 /* the value for PAL_HOST_KILLED: as a signal it is none of the terminal's */
#define LINUX_NUMBER_REAL_TIME 64 /* of pal_host_signals.real_time, the first */
#define LINUX_NUMBER_JOIN (LINUX_NUMBER_REAL_TIME + PAL_REAL_TIME) /* of pal_host_signals.joins */

/* Syscall numbers of the op field. */
enum monitor_op {
    MONITOR_OPEN = 1,  /* path; flags = pal_open_flags, mode.       reply: descriptor (unless OPEN_PATH), attributes;
                          value = monitor_shown_flags where it is a directory in the view */
    MONITOR_STAT,      /* path; flags = MONITOR_NOFOLLOW.           reply: attributes */
    MONITOR_INVALIDATOR, /* reply: the invalidator's descriptor, see below */
    MONITOR_SET,       /* path; flags = MONITOR_NOFOLLOW, mode = pal_set_attribute mask, values */
    MONITOR_CHANGE,    /* path, other; flags = pal_change_op | MONITOR_NOFOLLOW, mode */
    MONITOR_READLINK,  /* path.                                     reply: text = contents */
    MONITOR_CANONICAL, /* path.   reply: text = guest path without symlinks; of an object whose name is gone, with
                          " (deleted)" behind */
    MONITOR_INTERRUPT, /* arguments[0] = pid, [1] = 1: kill.  The pid must belong to this sandbox, else -ESRCH */
    MONITOR_EXPORT,    /* arguments[0] = descriptor number of the sender.  reply: value = token */
    MONITOR_IMPORT,    /* arguments[0] = token, [1] = 1: drop it.   reply: descriptor.  PAL_CORE_TOKEN: to be written to by a
                          process that dies; what it is can't be seen to */
    MONITOR_CREATE,    /* mode = pal_object (an event, section, pair, poll set or watch), flags = pal_object_flags,
                          arguments[0] = value.             reply: one or two descriptors */
    MONITOR_BIND,      /* path = where or what; flags = pal_local_kind | MONITOR_ABSTRACT or MONITOR_INET.
                          reply: descriptor of the queue (and of the host's listener where the port is published), value = the name's number, text = a name that was picked */
    MONITOR_LISTEN,    /* arguments[0] = the name's number, [1] = backlog; other = info */
    MONITOR_CONNECT,   /* path, flags as for BIND; other = info.    reply: descriptor, text = the listener's info */
    MONITOR_PTY,       /* a pseudoterminal.                   reply: value = number, descriptor of the outer side */
    MONITOR_PTY_INNER, /* arguments[0] = number, [1] = 1: only tell.
                          reply: descriptor of the inner side; -EIO: hung up */
    MONITOR_TERMINAL,  /* arguments[0] = monitor_terminal << 32 | descriptor of the sender, [1] = value */
    MONITOR_SET_OPENED, /* arguments[0] = descriptor of the sender; mode, values as for SET.  Policy goes by where the
                          object lies now, or lay when its last name went */
    MONITOR_START,     /* path = a program's; flags as for OPEN; other = answers to prefetch: what it is known to ask first,
                          each one a monitor_kind and an absolute path with its NUL.
                          reply: as for OPEN; of a file, text = struct monitor_prefetch[], their descriptors follow */
    MONITOR_NOTIFY,    /* path, flags = MONITOR_NOFOLLOW; arguments[0] = descriptor of the sender, of
                          PAL_OBJECT_NOTIFY, [1] = inotify(7)'s mask.  reply: value = watch descriptor */
    MONITOR_NOTIFY_END, /* arguments[0] = descriptor of the sender, [1] = watch descriptor */
    MONITOR_EXTENDED,  /* path, or (where it is empty) arguments[0] = descriptor of the sender; mode = pal_extended_op |
                          flags << 4, flags = MONITOR_NOFOLLOW; other = attribute, for SET a NUL and the value behind.
                          reply: text */
    MONITOR_TEE,       /* arguments[0] = descriptors of the sender, of two pipes: from << 32 | to, [1] = bytes, at most.
                          reply: value = bytes */
    MONITOR_SHUTDOWN,  /* arguments[0] = descriptor of the sender, [1] = shutdown(2)'s how */
    MONITOR_SEND,      /* a message with descriptors, without waiting.  arguments[0] = descriptor of the sender, of a local
                          socket; path = int32_t[], more such: what goes with it; other = its bytes, at most
                          MONITOR_SEND_MAX.  reply: value = bytes sent */
    MONITOR_OPTION,    /* setsockopt(2) on an internet socket: arguments[0] = descriptor of the sender, [1] = level << 32 |
                          option; other = its value */
    MONITOR_ALLOCATE,  /* fallocate(2): arguments[0] = descriptor of the sender; mode; values.blocks = offset, size */
    MONITOR_LOOK,      /* arguments[0] = pid of a picoprocess, or number of a thread, of this sandbox, else -ESRCH.
                          reply: text = struct pal_child */
    MONITOR_SETTLE,    /* nothing: the reply means that the monitor has closed its copies of what it gave before */
    MONITOR_VIEW,      /* reply: descriptors of roots; text = struct monitor_shown[], of pal_boot.mounts in their order; value =
                          device of what the view itself consists of.  -ENOENT: there is none */
    MONITOR_MULTIPLY,  /* nothing: after the reply there may be more processes and threads than the first.  -EAGAIN: not */
    MONITOR_LIST,      /* arguments[0] = descriptor of the sender, of a listing: filled (anew) */
    MONITOR_UNCHANGED, /* path, of a directory.  reply: text = its path without symlinks; value = 1: it lies in a copy mount,
                          and it and all beneath it is as the lower layer has it, at the same path */
    MONITOR_SPACE,     /* arguments[0] = number of one of pal_boot.mounts.  reply: text = struct pal_space */
    MONITOR_OPS
};

/*
 * How to find what a mount shows in the view: `rest`, which follows, beneath the root `root`, or (MONITOR_NOT_SHOWN) not.
 * PLAIN: a tree of the system's own, without FIFOs, whose files are root's where they are nobody's that has an id here.
 * COPY: the lower layer of a copy mount, which shows what there is only beneath directories that are unchanged; of a
 * directory that was opened: it is unchanged, and was opened there.
 * LISTING: the directory is not in the view, and was given as a listing.
 * PROGRAMS: what all may execute is started without asking: nothing in it is noexec, and nobody here has it open for writing.
 */
#define MONITOR_NOT_SHOWN 255u
enum monitor_shown_flags { MONITOR_SHOWN_PLAIN = 1, MONITOR_SHOWN_WRITABLE = 2, MONITOR_SHOWN_PROGRAMS = 4,
                           MONITOR_SHOWN_COPY = 8, MONITOR_SHOWN_SCRATCH = 0x10, MONITOR_LISTING = 0x40, MONITOR_SHOWN = 0x80 };
struct monitor_shown {
    uint8_t root, flags;
    uint16_t rest_size;
};

/*
 * A directory that is not in the view.  A picoprocess with name calls must not have a descriptor of it, from which it could
 * climb to the host's root: it is given an empty file of its own instead, of this mode, which stands for the directory
 * wherever a request names it, and into which MONITOR_LIST puts the entries, as getdents64(2) has them.
 */
#define LINUX_LISTING_MODE (0100000u | 01600u)

/* What changes a terminal.  The first four: only pseudoterminals that the monitor made.  MODES: such a one, or the user's
 * while pal-run is in front.  The others are about the terminal that pal-run itself has. */
enum monitor_terminal {
    MONITOR_TERMINAL_SIZE,   /* value = struct pal_window */
    MONITOR_TERMINAL_FLUSH,  /* TCFLSH */
    MONITOR_TERMINAL_FLOW,   /* TCXONC */
    MONITOR_TERMINAL_PACKET, /* TIOCPKT */
    MONITOR_TERMINAL_MODES,  /* other = struct pal_terminal.  -EIO: of the user's, in the background */
    MONITOR_TERMINAL_READ,   /* value = size at most; reply: text, value = its size.  Never waits: -EAGAIN; -EIO: another
                                job has the terminal */
    MONITOR_TERMINAL_FRONT,  /* reply: value = 1: pal-run is in its foreground group */
    MONITOR_TERMINAL_STOP,   /* pal-run stops by signal `value` (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU) */
    MONITOR_TERMINAL_OPS
};

#define MONITOR_NOFOLLOW 0x80000000u
#define MONITOR_VALIDITY 0x40000000u /* STAT, READLINK, CANONICAL: reply.value = parts, or 0 */
/* fallocate's, but for FALLOC_FL_NO_HIDE_STALE, which bares what lay there before: KEEP_SIZE, PUNCH_HOLE, COLLAPSE_,
 * ZERO_, INSERT_ and UNSHARE_RANGE. */
#define MONITOR_ALLOCATE_MODES 0x7bu
#define MONITOR_ABSTRACT 0x80000000u
#define MONITOR_INET 0x40000000u /* path = struct pal_inet */

enum monitor_kind { MONITOR_READS = 'r', MONITOR_EXECUTES = 'x' }; /* OPEN with READ, and with EXECUTE */
#define MONITOR_PREFETCH_MAX 32
struct monitor_prefetch {
    int32_t result; /* 0: a descriptor has come; -ENOENT; MONITOR_NOT_PREFETCHED: ask when it is wanted */
    uint32_t reserved;
    struct pal_attributes attributes;
};
#define MONITOR_NOT_PREFETCHED 1
_Static_assert(MONITOR_PREFETCH_MAX * sizeof(struct monitor_prefetch) < PAL_PATH_MAX, "they fit into a reply");

/*
 * Where a name begins: a descriptor of the sender, plus 1; 0: the name is an absolute path.  The directory's device and
 * inode find it among those that the monitor knows already; it believes neither, but what it has checked.
 */
struct monitor_base {
    uint32_t descriptor, reserved;
    uint64_t device, inode;
};

/* Packed by hand: no padding.  `path` then `other` follow, without NULs; the packet ends there. */
struct monitor_request {
    uint32_t op, sequence, flags, mode;
    uint32_t path_size, other_size; /* each < PAL_PATH_MAX; of SEND see there */
    uint64_t arguments[2];
    struct monitor_base from, other_from; /* of path, and of other where that is a name */
    struct pal_attributes values;   /* MONITOR_SET, MONITOR_SET_OPENED */
};

/* `text` follows: for -EREMOTE the path to go on with; for an opened directory its path without symlinks where that is
 * another; else as the op says. */
struct monitor_reply {
    uint32_t sequence;
    int32_t result; /* 0 or a negative errno */
    uint32_t text_size, descriptors; /* SCM_RIGHTS entries that come with it */
    uint64_t value;
    uint32_t view, reserved; /* 1: there is a view */
    struct pal_attributes attributes;
};
/* A reply with this result has descriptors only; the answer is the next packet, sent when the monitor has closed its
 * own: so the last close of a socket's descriptor is the guest's. */
#define MONITOR_MORE 1
/* Somebody is asked whether this may be.  A descriptor comes with it: once that hangs up, the request is made again.  The
 * monitor holds nothing of it meanwhile, and serves others. */
#define MONITOR_ASKED 2
#define MONITOR_SEND_MAX PAL_MESSAGE_WITH_HANDLES
#define MONITOR_REQUEST_MAX (sizeof(struct monitor_request) + PAL_PATH_MAX + MONITOR_SEND_MAX)
#define MONITOR_REPLY_MAX (sizeof(struct monitor_reply) + PAL_PATH_MAX)

/*
 * An answer sent ahead: what this program is known to ask at its start.  The descriptor (or -errno) serves the first
 * matching open for reading; the attributes serve any attributes_get until `linux_shared.generation` moves.
 */
struct linux_prefetched {
    uint64_t path;      /* address of bytes in the boot area */
    uint32_t path_size;
    int32_t descriptor; /* >= LINUX_FD_PREFETCHED, or -errno, or -1000: attributes only */
    struct pal_attributes attributes;
};

/*
 * The invalidator: one inotify instance for the sandbox, to which the monitor adds what kept answers depend on, and
 * which only picoprocesses read.  The kernel queues an event before the call that changed something returns; an empty
 * queue means that all kept answers are right, but for those that events read before have ended.  Watch
 * descriptor n is part n % LINUX_REVALIDATE_PARTS; changed[part] is the epoch of its last event.  While the epoch is
 * odd, events have been read that are not all marked yet.
 *
 * A guest that reads events away, or forges epochs, deceives its own sandbox alone: the monitor reads neither.
 */
#define LINUX_REVALIDATE_PARTS 61u
#define LINUX_REVALIDATE_MASK ((1ull << LINUX_REVALIDATE_PARTS) - 1)
struct linux_revalidate {
    struct pal_mutex lock; /* guards reading, and the following but for looking at it */
    uint64_t kept;         /* 1: there is an invalidator, and an answer that is kept */
    uint64_t epoch;
    uint64_t changed[LINUX_REVALIDATE_PARTS];
};

/*
 * What is known of directories in copy mounts, by path: a hash, a state, and a number: `copies` and that of the path's
 * class, added.  The monitor moves one of them, by 2, before anything shows that could end it: the class's where that one
 * directory alone changes, else `copies`.  Both only grow, so the sum is what it was only if both are.  The lowest bit
 * tells that files with several names may have copies.
 */
#define LINUX_COPIES_LINKED 1u
#define LINUX_COPIES_MAX 0x1ffffffu /* above: nothing is known any more */
#define LINUX_COPY_SLOTS 4096 /* whole pages */
#define LINUX_COPY_CLASSES 4096u
static inline uint32_t linux_copy_class(uint64_t hash) /* by its upper bits: a slot has no others */
{
    return (uint32_t)(hash >> 40 ^ hash >> 52) % LINUX_COPY_CLASSES;
}

/*
 * What a program asked when it was first started in this sandbox: what its later starts are told with it.  Guarded by
 * `channel`, which is nobody's but the guest's: a forged list asks the monitor for what could be asked anyway.
 */
#define LINUX_STARTS 32
struct linux_start {
    uint64_t program;      /* a hash of its path; 0: nothing is known */
    uint32_t size, learnt; /* bytes in `prefetched`; learnt: it has been started again, only what is not wanted goes */
    char prefetched[2032]; /* as in MONITOR_START */
};
_Static_assert(LINUX_STARTS * sizeof(struct linux_start) % PAL_PAGE_SIZE == 0, "whole pages of the segment");

/* How a guest's own syscall instruction reaches the libOS.  NONE is for tests: there is no way, as on a host that has
 * none; the picoprocess ends at the first. */
enum linux_trap { LINUX_TRAP_DISPATCH, LINUX_TRAP_SECCOMP, LINUX_TRAP_NONE };

/* Classes of host calls (hostcalls.def), a bit each.  BASE has none: nothing runs without it. */
enum linux_class {
    LINUX_CLASS_BASE = 0, LINUX_CLASS_THREADS = 1, LINUX_CLASS_PROCESSES = 2, LINUX_CLASS_FILES = 4, LINUX_CLASS_LOCKS = 8,
    LINUX_CLASS_PIPES = 16, LINUX_CLASS_SOCKETS = 32, LINUX_CLASS_POLLS = 64, LINUX_CLASS_SECTIONS = 128,
    LINUX_CLASSES = 255,
};
#define LINUX_CLASS_NAMES {"threads", "processes", "files", "locks", "pipes", "sockets", "polls", "sections"}
enum { LINUX_CLASS_COUNT = 8, LINUX_CLASS_MAY_SHIFT = 16 };

/*
 * Offset 0 of the shared segment, mapped at PAL_SHARED_BASE.  The loader fills it before the first picoprocess starts:
 * boot's pointers are addresses in the segment; the PAL fills in boot's host facts (clocks, cpu_count, hwcap, ...).
 */
struct linux_shared {
    uint64_t magic; /* PAL_IMAGE_MAGIC */
    uint32_t version, trap;            /* enum linux_trap */
    struct pal_mutex channel;          /* guards the channel: send + receive */
    uint32_t sequence;                 /* of the next request; guarded by channel */
    uint32_t unsettled;                /* 1: the last reply brought descriptors, which the monitor may have, too, for a
                                          moment more; written under channel */
    uint32_t terminals;                /* bit N: descriptor N is a terminal that is read by MONITOR_TERMINAL_READ */
    uint32_t generation;               /* moves when a name or attribute that the monitor told may have changed */
    uint32_t names;                    /* enum linux_names */
    uint32_t view;                     /* 1: some picoprocess has been told of the view */
    struct linux_filter {
        uint64_t program, count; /* address and length of the seccomp program (struct sock_filter) */
    } filter, view_filter;             /* without and with name calls: by `names` */
    struct linux_filter refusal;       /* a bundle's, before that: ENOSYS for classes of calls; count 0: there is none */
    uint64_t prefetched, prefetched_count; /* struct linux_prefetched[] */
    uint64_t starts;                   /* address of struct linux_start[LINUX_STARTS], at first zero */
    struct pal_boot boot;
    struct linux_revalidate revalidate;
    uint32_t copies;       /* 0: nothing of copy mounts is in a view.  Written by the monitor */
    uint32_t used_classes; /* of host calls: what was wanted so far, and << LINUX_CLASS_MAY_SHIFT what may be; a note, no more */
    uint64_t copy_slots; /* address of uint64_t[LINUX_COPY_SLOTS], at first zero */
    uint64_t copy_classes; /* address of uint32_t[LINUX_COPY_CLASSES], likewise.  Written by the monitor */
};

#endif
