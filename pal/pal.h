/* SPDX-License-Identifier: MIT */
/*
 * The platform adaptation layer: everything the libOS asks of a host, and nothing else.
 *
 * The contract, stated once:
 *  - The libOS reaches the host only through `struct pal_api`, handed to it at start.  Calls use the System V x86-64
 *    convention and fixed-width integers, so that one libOS image runs on every host.
 *  - A call returns >= 0 on success (0, or a count where stated) and a negative error code otherwise.  The codes are
 *    Linux's errno numbers (errno(3), asm-generic/errno.h), negated; another host maps its own to them, once, here.
 *    There is no global error.  Out-parameters are written on success only.
 *  - Sizes are bytes, times are nanoseconds, deadlines are absolute on PAL_CLOCK_MONOTONIC; PAL_FOREVER waits for ever.
 *  - Addresses are uint64_t where they name guest memory that the PAL must not trust, pointers where the libOS owns it.
 *    A buffer that faults gives -EFAULT, never a crash, so guest buffers may be passed straight through.
 *  - Calls marked [blocks] return -EINTR when the thread is interrupted (thread_interrupt, process_interrupt or the end
 *    of a child).  An interrupt that comes just before the call is not lost: while `pal_tcb.interrupted` is set, every
 *    [blocks] call returns -EINTR at once.  Only the libOS clears it.
 *  - A handle is a small non-negative number of this picoprocess.  fork duplicates all handles under the same numbers,
 *    and both sides then share the object (a file's offset and flags, a pipe's bytes, a poll set's members).
 *  - Vector state (x87, MXCSR, XMM to ZMM, masks) is the guest's and stays live in the registers: no call changes any of it.
 *  - The PAL holds no mutable state that matters after a call except its handles and the per-thread block: a process is
 *    its arena, its guest pages and its handle table.
 *
 * What a host may lack is a capability bit in pal_boot; the libOS tests it and does without.
 */
#ifndef PAL_PAL_H
#define PAL_PAL_H

#include <stddef.h>
#include <stdint.h>

#define PAL_ABI_VERSION 4u

/* ---- The address map: the same in every picoprocess of every sandbox ------------------------------------------- */

/* The guest has nearly all of what user programs have on Linux: programs want to be at fixed places anywhere below, and
 * their libraries right there.  Host, image and what of the arena is used most lie within 2 MiB, and the segment begins in the same GiB: a fork
 * copies or fills one page table for the former and one for the latter, and one directory for both. */
#define PAL_GUEST_BASE 0x000000010000ull  /* lowest address a guest mapping may have (mmap_min_addr) */
#define PAL_GUEST_END 0x7fefc0000000ull   /* first address past the guest's space */
#define PAL_HOST_BASE 0x7ff000000000ull   /* text and data of the PAL's host half */
#define PAL_IMAGE_BASE 0x7ff000040000ull  /* the libOS image: header, text, read-only data */
#define PAL_ARENA_BASE 0x7ff000140000ull  /* all mutable libOS state: .data, .bss, then the heap */
#define PAL_ARENA_SIZE 0x00003e000000ull  /* reserved, not committed */
#define PAL_SHARED_BASE 0x7ff03fe00000ull /* the segment that all picoprocesses of a sandbox share */
#define PAL_PAGE_SIZE 4096u
_Static_assert(PAL_ARENA_BASE + PAL_ARENA_SIZE <= PAL_SHARED_BASE, "the arena ends before the segment");

#define PAL_FOREVER UINT64_MAX
#define PAL_NO_HANDLE (-1)
typedef int32_t pal_handle_t;

/* ---- Guest registers, and the block that GS points to ----------------------------------------------------------- */

/* Every integer register of a guest thread.  FS base is in the block; vector state stays live. */
struct pal_context {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t rip, rflags, rsp;
};
_Static_assert(sizeof(struct pal_context) == 144, "assembly knows this size");

enum pal_exception_kind { PAL_EXCEPTION_FAULT = 1, PAL_EXCEPTION_DIVIDE, PAL_EXCEPTION_ILLEGAL, PAL_EXCEPTION_TRAP };

/* A synchronous fault of guest code.  Numbers follow signal(7), sigaction(2) and the CPU's trap numbers. */
struct pal_exception {
    int32_t signal;     /* SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP or SIGSYS as the host classified it */
    int32_t code;       /* si_code */
    uint64_t address;   /* si_addr */
    uint64_t trap;      /* x86 vector, REG_TRAPNO */
    uint64_t error;     /* REG_ERR */
};

/*
 * The per-thread block, at GS:0 for libOS and PAL.  The first group is the PAL's; `saved` and `exception` are filled by
 * the PAL before an exception or interrupt upcall; the last group belongs to libOS and shim, who lay it out in
 * shim/shim.h.
 *
 * GS is the guest's, too: where a guest has set its base, upcalls and syscall_trap find guest_gs filled, has_guest_gs
 * set and GS at the block.  The libOS puts the base back on its way to the guest, and clears the flag behind that.
 */
enum pal_interrupted {
    PAL_INTERRUPTED = 1,
    PAL_INTERRUPTED_PIPE = 2, /* by the thread's own write to a pipe, perhaps in part, as nobody reads there any more */
};

struct pal_tcb {
    uint64_t self;                  /* 0: address of this block */
    uint32_t interrupted;           /* 8: enum pal_interrupted, set by an interrupt; see the contract above */
    uint32_t has_guest_gs;          /* 12: the guest goes on with guest_gs; else with GS as it is */
    uint64_t libos_stack;           /* 16: top of the thread's libOS stack, 16-byte aligned, used from upcalls */
    uint64_t host[2];               /* 24: the PAL's own: thread id, interrupt timer, ... */
    uint64_t fs_base;               /* 40: the last that thread_set was given, 0 at first: see PAL_KEEPS_POINTER */
    uint64_t guest_gs;              /* 48 */
    uint32_t in_host;               /* 56: the PAL is inside host code (the host's vDSO): not guest code */
    uint32_t reserved;
    uint64_t libos[16];             /* 64: the libOS's and the shim's own */
    struct pal_context saved;       /* 192: guest registers at an exception or interrupt */
    struct pal_exception exception; /* 336 */
};
_Static_assert(offsetof(struct pal_tcb, libos) == 64 && offsetof(struct pal_tcb, saved) == 192, "assembly knows these");

/* ---- The libOS image -------------------------------------------------------------------------------------------- */

#define PAL_IMAGE_MAGIC 0x31534f62694cull /* "LibOS1" */

/* What `classify` says of registers found at an exception or interrupt while `rip` was not in the PAL's own text. */
enum pal_where {
    PAL_IN_GUEST = 0, /* *context is the guest's (perhaps mended: a stub's address mapped back): make the upcall */
    PAL_IN_LIBOS = 1, /* interrupt: do nothing more, `interrupted` will be seen.  exception: a libOS bug, die */
    PAL_FIXED = 2,    /* exception in a guest-memory copy: *context now continues at the recovery address: resume */
};

struct pal_api;
struct pal_boot;

/*
 * Lies at PAL_IMAGE_BASE.  Entry points other than `start` and `thread_start` are jumped to, not called:
 *   syscall_trap: as if by the guest's `call`: every register as the guest had it at its syscall instruction, but
 *       RCX = the address after that instruction and R11 = RFLAGS; the stack pointer is still the guest's.
 *   exception, interrupt: on the thread's libOS stack (RSP = tcb.libos_stack), guest registers in tcb.saved, vector
 *       state still the guest's; tcb.exception is filled for `exception`.
 */
struct pal_image_header {
    uint64_t magic;
    uint32_t abi_version, reserved;
    uint64_t text_end;  /* [PAL_IMAGE_BASE, text_end) holds the image's code */
    uint64_t arena_end; /* end of .bss: the arena's heap begins at the next page */
    __attribute__((noreturn)) void (*start)(const struct pal_api *api, const struct pal_boot *boot);
    uint64_t syscall_trap, exception, interrupt;
    /* int32_t each: from where it lies to a displacement of 32 bits in the image's text, which says where in the per-thread block
     * an instruction's operand lies.  A host whose threads have GS for themselves, and so the block at another place, adds the
     * distance to each before it makes the text executable. */
    uint64_t gs_sites, gs_sites_end;
    /* Called by the PAL from its signal handlers, with the block of the thread that was interrupted: async-signal-safe,
     * touches only *context, the block and that thread's libOS stack. */
    uint32_t (*classify)(struct pal_context *context, struct pal_tcb *tcb, uint32_t is_exception);
};

/* ---- What the libOS is told at start ----------------------------------------------------------------------------- */

enum pal_capability {
    PAL_CAN_TRAP = 1u << 0,          /* a guest's own syscall instruction reaches syscall_trap.  Without: sites are rewritten
                                        before they run */
    PAL_CAN_SYNC_CODE = 1u << 1,     /* code_sync.  Without: text that may be running is not rewritten */
    /* The FS base stays what thread_set, or an instruction of the guest, made it: RDFSBASE tells.  Without: the host may lose
     * it, and puts fs_base of the block back; hwcap2 does not tell guests that they may set it themselves. */
    PAL_KEEPS_POINTER = 1u << 2,
    /* stream_read and stream_write can be called with any flags, and return with the caller's in R11, all but those that
     * arithmetic sets: what Linux's `syscall` does.  -EINTR may leave R11 undefined. */
    PAL_KEEPS_FLAGS = 1u << 3,
};

enum pal_standard_stream { PAL_STDIN, PAL_STDOUT, PAL_STDERR, PAL_STANDARD_STREAMS };

/* One guest path prefix that the monitor answers for.  Longest prefix wins; "/" may be one. */
struct pal_mount {
    const char *at;      /* absolute guest path, no trailing slash but for "/" */
    uint32_t writable;
    uint32_t scratch;    /* private to the sandbox: nobody outside changes it */
    uint64_t memory;     /* not 0: a tmpfs of so many bytes, whose room PAL_CTL_SPACE tells */
};

/* Parts of the guest's range that the host has taken before it begins.  memory_release leaves them as they are, so that all of
 * the guest's range can be given back at once; no other call is made there. */
#define PAL_TAKEN 8
struct pal_range { uint64_t start, end; };

/* pal_boot.trace: classes of system calls. */
enum pal_trace {
    PAL_TRACE_ALL = 1, PAL_TRACE_FILE = 2, PAL_TRACE_DESC = 4, PAL_TRACE_PROCESS = 8, PAL_TRACE_SIGNAL = 16,
    PAL_TRACE_MEMORY = 32, PAL_TRACE_NETWORK = 64, PAL_TRACE_IPC = 128,
};

/* When the guest's syscall instructions are made jumps.  Without PAL_CAN_TRAP it is ahead. */
enum pal_rewrite {
    PAL_REWRITE_TRAPPED, /* those that have trapped often */
    PAL_REWRITE_AHEAD,   /* all, when text becomes executable */
    PAL_REWRITE_NEVER,
};

enum pal_network {
    PAL_NETWORK_DATAGRAMS = 1, /* datagrams can leave the sandbox's loopback */
    PAL_NETWORK_OUTSIDE = 2,   /* there are rules that let connections leave it, or all may */
    PAL_NETWORK_6 = 4,         /* by IPv6, too */
};
#define PAL_LIMITS 16
#define PAL_REAL_TIME_FIRST 34
#define PAL_REAL_TIME 31 /* signals from that on */

/* All strings and arrays live in the shared segment's boot area and stay valid. */
#define PAL_PASSED 16
struct pal_boot {
    uint32_t abi_version;
    uint32_t capabilities;
    uint64_t granularity;             /* of memory_reserve; inside a reservation it is PAL_PAGE_SIZE */
    uint64_t shared_size;             /* bytes at PAL_SHARED_BASE, of which the first shared_used hold the boot area */
    uint64_t shared_used;
    uint64_t cpu_count;
    uint64_t host_process;            /* this picoprocess, as process_fork would have named it */
    uint64_t clock_gettime, gettimeofday, time, getcpu; /* host vDSO functions, C signatures as in vdso(7); 0 = none */
    uint64_t hwcap, hwcap2, platform; /* AT_HWCAP, AT_HWCAP2; platform is 0 or a string */
    uint64_t minimum_signal_stack;    /* AT_MINSIGSTKSZ of the CPU's state */
    uint64_t memory_limit;            /* bytes, UINT64_MAX = none; likewise below */
    uint64_t process_limit, file_limit, cpu_limit;
    struct { uint64_t soft, hard; } limits[PAL_LIMITS]; /* of pal-run's caller, by Linux's numbers */
    uint32_t uid, gid, umask, trace;  /* the guest's ids; trace: which calls are logged to `log` */
    uint32_t stats, fault_nth;        /* --stats; test builds: the n-th PAL call fails (0 = none) */
    uint32_t rewrite, mount_count;    /* enum pal_rewrite */
    uint32_t network, listeners;      /* pal_network; sockets for the program's descriptors from 3 on: PAL_INET_LISTENER */
    uint64_t signals_ignored, signals_blocked; /* as pal-run's caller left them, bit n-1: signal n */
    uint32_t argc, envc;
    const char *program;              /* guest path of the program */
    const char *cwd, *home, *hostname;
    const char *const *argv, *const *envp; /* NULL-terminated */
    const struct pal_mount *mounts;
    struct pal_range taken[PAL_TAKEN]; /* ascending; those not used are zero */
    struct pal_range views; /* not zero: shared mappings go here, address and offset alike modulo granularity, and each with
                               pieces of that size for itself */
    pal_handle_t standard[PAL_STANDARD_STREAMS];
    struct { uint32_t number; pal_handle_t handle; } passed[PAL_PASSED]; /* more of the first program's descriptors */
    uint64_t passed_count;
    pal_handle_t log;                 /* for trace, statistics and the libOS's own errors */
    pal_handle_t snapshot;            /* the image of a snapshot; only where it has a use */
    pal_handle_t snapshot_channel;    /* packets, to and from the program that started the sandbox; only with a flag that says so */
    uint32_t snapshot_use, snapshot_flags; /* enum pal_snapshot_use, pal_snapshot_flags */
    uint32_t snapshot_point, init;    /* enum pal_snapshot_point; init: the first process is number 1, with init's rules:
                                         pid_namespaces(7) */
    uint32_t group_count, core;       /* core: enum pal_core */
    const uint32_t *groups;           /* supplementary ones; group_count 0: none */
    uint64_t snapshot_after;          /* PAL_SNAPSHOT_AFTER: ns from the start */
    uint64_t snapshot_identity[4];    /* of build and processor: an image is good for the same ones only */
    uint64_t host_signals; /* address of this picoprocess's struct pal_host_signals; 0 = none */
    uint64_t cpuid;        /* address of `cpuid_count` answers of this processor's that need not be asked for; 0 = none */
    uint64_t cpuid_count;
    uint64_t sites;        /* address of PAL_SITE_PROGRAMS pages in the segment: struct pal_sites; 0 = none */
};
/* A leaf that each of the processors answers alike, but for whose number the answer is.  Under a hypervisor each question is an
 * exit to it, which may take microseconds. */
#define PAL_CPUIDS 120
#define PAL_CPUID_ANY UINT32_MAX /* the leaf has one answer, whatever ECX is */
struct pal_cpuid { uint32_t leaf, subleaf, eax, ebx, ecx, edx; };
/*
 * Call sites of the programs that a sandbox runs first, as one run tells the next of them: pages of the segment, which the
 * loader fills from the profile, where the libOS keeps sites as it does for all programs (libos/mm/warm.c), and which the
 * loader reads at the end.  Guests can write them: nobody relies on what they say.
 */
struct pal_site {
    uint32_t page, pages; /* of the text, in its file; pages 0: of no use, as it turned out */
    uint64_t hash;        /* of the bytes around the site */
    uint32_t at;          /* the syscall instruction, from the text's start */
    int16_t hole;         /* what was found there: shim/rewrite/rewrite.h */
    int8_t patch;
    uint8_t proved;       /* 0 from the loader */
};

#define PAL_SITES 168
#define PAL_SITE_PROGRAMS 8u
enum pal_site_state { PAL_SITES_FREE, PAL_SITES_BEING_WRITTEN, PAL_SITES_READY, PAL_SITES_CHANGED /* likewise, and not as it was given */ };
/* A page; those that are free come last. */
struct pal_sites {
    uint64_t program[5];               /* which file: device, inode, size, times of its last changes */
    uint32_t state, runs, told, count; /* runs, told: the libOS's.  count: of `sites` */
    struct pal_site sites[PAL_SITES];
    uint32_t before, stale; /* how many are of earlier runs; of those, how many were not there any more */
};
_Static_assert(sizeof(struct pal_sites) == 4096, "a page");

/* What has come from outside; to be looked at after an interrupt, each word exchanged with 0. */
struct pal_host_signals {
    uint64_t set; /* bit n-1: the user's terminal sent signal n to the sandbox; bit n+31: somebody sent it to the first
                     process; or PAL_HOST_* */
    uint32_t real_time[PAL_REAL_TIME]; /* likewise to the first process, signals 34 to 64: how often */
    uint32_t joins; /* how many ask to join the sandbox: struct pal_join */
};
/* A picoprocess whose host parent has gone was killed, not by us: process_interrupt of it gives -ESRCH. */
#define PAL_HOST_KILLED (1ull << 31)
#define PAL_HOST_COUNTED (1ull << 63) /* some of real_time is not 0 */

/*
 * Somebody outside wants a process of its own in the running sandbox.  The first process makes a child for each that
 * pal_host_signals.joins counts, whose own child, which the host has for its own then, imports PAL_JOIN_RECORD, and the
 * streams that the record names.  The first process's own import of it (out NULL) tells that there is no room.
 * Strings follow, with a NUL behind each: the directory, or nothing; argv; envp.
 */
enum pal_join_token { PAL_JOIN_RECORD = 1, PAL_JOIN_STREAM /* to PAL_JOIN_STREAM + 2 */ };
/* Imported by a process that dies by a signal with a core action, where pal_boot.core says so: what it is to write of itself
 * to, as core(5) has it.  -ENOENT: nobody wants it of this one. */
#define PAL_CORE_TOKEN (PAL_JOIN_STREAM + PAL_STANDARD_STREAMS)
enum pal_core {
    PAL_CORE_NONE,
    PAL_CORE_STACK, /* of its memory, the stack that it dies on */
    PAL_CORE_ALL,
};
enum pal_join_flags {
    PAL_JOIN_INHERITS = 1, /* of the first process's variables those that have no namesake here */
    PAL_JOIN_IDS = 2,      /* else as the first process */
};
#define PAL_JOIN_GROUPS 64
struct pal_join {
    uint32_t flags, umask, argc, envc;
    uint32_t streams;            /* bit n: standard stream n is to be imported */
    uint32_t terminals;          /* bit n: it is the inner side of pseudoterminal number `terminal`; else it is closed */
    uint32_t terminal;
    uint32_t uid, gid, group_count, groups[PAL_JOIN_GROUPS];
};

/* What pal_boot.snapshot is for. */
enum pal_snapshot_use { PAL_SNAPSHOT_NONE, PAL_SNAPSHOT_MAKE, PAL_SNAPSHOT_RUN };
/* Where one is made: at a fork after /proc/pal/ready was written; at the first fork; before standard input is read, or a call
 * is made so long after the start. */
enum pal_snapshot_point { PAL_SNAPSHOT_READY, PAL_SNAPSHOT_FORK, PAL_SNAPSHOT_STDIN, PAL_SNAPSHOT_AFTER };
/* What the channel is for: to tell PAL_SNAPSHOT_STALE before the end; to tell PAL_SNAPSHOT_RESTORED, and wait for a packet
 * with three standard streams, whose bytes are /proc/pal/start's; to tell PAL_SNAPSHOT_ENDS and wait for any packet before its
 * memory goes. */
enum pal_snapshot_flags { PAL_SNAPSHOT_TELLS = 1, PAL_SNAPSHOT_WAITS = 2, PAL_SNAPSHOT_LEARNS = 4 };
/* Before, with PAL_SNAPSHOT_WAITS, there is a packet of pal_snapshot_range: what clones mostly write. */
struct pal_snapshot_range { uint64_t start, size; };
#define PAL_SNAPSHOT_STALE 's'
#define PAL_SNAPSHOT_RESTORED 'r'
#define PAL_SNAPSHOT_ENDS 'e'
#define PAL_SNAPSHOT_START_MAX 131072u /* bytes */

/* ---- Types of the calls ------------------------------------------------------------------------------------------ */

enum pal_protection { PAL_READ = 1, PAL_WRITE = 2, PAL_EXEC = 4 };

enum pal_map_flags {
    PAL_MAP_SHARED = 1,   /* writes reach the object, and other picoprocesses; commit: shared across fork */
    PAL_MAP_NORESERVE = 2,
    PAL_MAP_GROWSDOWN = 4,
    PAL_MAP_POPULATE = 8,
};

/* bare: the child releases the guest's whole range before it uses any of it, so nothing there need be copied.  Nobody
 * else changes the parent's mappings meanwhile. */
enum pal_fork_flags { PAL_FORK_BARE = 1 };

enum pal_decommit {
    PAL_DECOMMIT_ZERO = 0, PAL_DECOMMIT_LAZY = 1, PAL_DECOMMIT_UNSHARE = 2, /* punch a hole */
    PAL_PREFER_HUGE = 3, PAL_PREFER_SMALL = 4 /* drop nothing: what pages to use.  -EINVAL: there is no choice */
};

enum pal_file_type {
    PAL_TYPE_FILE = 1, PAL_TYPE_DIRECTORY, PAL_TYPE_SYMLINK, PAL_TYPE_CHARACTER, PAL_TYPE_BLOCK, PAL_TYPE_FIFO,
    PAL_TYPE_SOCKET, PAL_TYPE_OTHER,
};

/* stat(2)'s fields. */
struct pal_attributes {
    uint64_t device, inode, rdevice, size, blocks;
    uint32_t mode, links, uid, gid, block_size, type; /* mode holds permission bits and S_IF*; type is pal_file_type */
    int64_t atime, mtime, ctime, btime;               /* nanoseconds since the epoch; btime 0 = unknown */
    uint32_t shown, reserved; /* 1: device and inode are not those that the handle itself tells */
};

/* open(2)'s flags, host-independent. */
enum pal_open_flags {
    PAL_OPEN_READ = 1, PAL_OPEN_WRITE = 2, PAL_OPEN_CREATE = 4, PAL_OPEN_EXCLUSIVE = 8, PAL_OPEN_TRUNCATE = 16,
    PAL_OPEN_APPEND = 32, PAL_OPEN_DIRECTORY = 64, PAL_OPEN_NOFOLLOW = 128, PAL_OPEN_NONBLOCK = 256,
    PAL_OPEN_PATH = 512,     /* a place, not the bytes: the handle serves attributes, and names begin at it.  It is
                                PAL_NO_HANDLE of what lies on no mount */
    PAL_OPEN_TEMPORARY = 1024, /* O_TMPFILE in the directory */
    PAL_OPEN_SYNC = 2048, PAL_OPEN_EXECUTE = 4096, /* for exec: x permission is required */
    PAL_OPEN_START = 8192    /* a hint: with EXECUTE, this thread is about to become the program, or fork it bare */
};

/*
 * A name in the sandbox's namespace: an absolute guest path, resolved by the host's trusted side against the mounts,
 * symlinks included.  Where a symlink leads to a place that no mount covers (/proc, /dev, /sys are the libOS's own) the
 * call gives -EREMOTE with the path to go on with in *escape, if the caller gave one.
 */
struct pal_name {
    const char *path;
    uint32_t size;     /* without the NUL behind it; at most PAL_PATH_MAX - 1 */
    uint32_t nofollow; /* a final symlink is the object itself */
    struct pal_validity *validity; /* attributes_get, name_read: not NULL asks that the answer can be kept */
    /*
     * Not NULL: the name is path[base, size), beginning at an open directory, whatever that is called by now;
     * path[0, base) is what it was called once, or nothing.  An empty name is the open object itself, of any type:
     * stream_open opens it anew, name_change links it, name_read tells its path, or its contents if it is a symlink.
     */
    const struct pal_base *from;
    uint32_t base, reserved;
};
/* An open object that names begin at.  Its device and inode save the host a look at the handle. */
struct pal_base {
    pal_handle_t handle;
    uint32_t reserved;
    uint64_t device, inode;
};
/*
 * What an answer about a name depends on.  It is written with the answer, errors included; name_revalidate then tells, at
 * any time and in any picoprocess, whether the host would still give that answer.
 */
struct pal_validity {
    uint64_t epoch; /* the host's own */
    uint64_t parts; /* in: PAL_VALID_LATER or 0.  Out: the host's own, and pal_validity_parts.  Without
                       PAL_VALID: the answer can't be kept */
};
enum pal_validity_parts {
    PAL_VALID = 1ull << 63,
    PAL_VALID_WRITABLE = 1ull << 62, /* a file that the sandbox may write: what it writes through a shared mapping
                                          changes times and blocks, and name_revalidate doesn't tell of it */
    PAL_VALID_LATER = 1ull << 61,    /* in: an answer that can't be kept, but costs little now, will do.
                                          Out: it did */
};
#define PAL_PATH_MAX 4096u
struct pal_path_buffer { uint32_t size; char bytes[PAL_PATH_MAX]; };

enum pal_change_op {
    PAL_MKDIR, PAL_RMDIR, PAL_UNLINK, PAL_RENAME, PAL_LINK, PAL_SYMLINK, PAL_MKFIFO, PAL_MKSOCKET,
    PAL_CHANGE_COUNT,
};
enum pal_rename_flags { PAL_RENAME_NOREPLACE = 1, PAL_RENAME_EXCHANGE = 2 }; /* renameat2(2) */

enum pal_set_attribute {
    PAL_SET_MODE = 1, PAL_SET_OWNER = 2, PAL_SET_GROUP = 4, PAL_SET_ATIME = 8, PAL_SET_MTIME = 16,
    PAL_SET_SIZE = 32, PAL_SET_ATIME_NOW = 64, PAL_SET_MTIME_NOW = 128,
};

/* wait's and wake's `how`.  Above bit 32: a mask, 0 = all bits; a wake leaves those alone whose mask has none of its. */
enum pal_wait { PAL_WAIT_SHARED = 1, PAL_WAKE_MOVE = 2 };
#define PAL_WAIT_MASK 32
/* With PAL_WAKE_MOVE wake's `word` is the address of this, in the libOS's memory, and up to `move` more that wait at
 * word wait at `to` from then on, as one step: futex(2)'s requeue.  compare: only if *word is `expected`, else -EAGAIN;
 * both that woke and that moved are counted. */
struct pal_wake_move { uint64_t word, to; uint32_t move, compare, expected, reserved; };

struct pal_vector { uint64_t base, size; }; /* struct iovec */
enum pal_vectors { PAL_VECTORS_READ, PAL_VECTORS_WRITE };

/* What the calling thread has of its own with the host. */
enum pal_thread_setting {
    PAL_THREAD_POINTER,   /* address: the FS base */
    PAL_THREAD_SEQUENCES, /* rseq(2): the host keeps the area at `address` and watches the critical sections that it
                             names, until size 0 ends that, or a fork that is bare, in its child; a thread ends it
                             before the area goes.  A fork's child has it as well.  -ENOSYS: the host can't */
    PAL_THREAD_COUNT,
};

/* An address and port, in the host's byte order. */
struct pal_inet {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port, flags; /* pal_inet_flags: of the socket, when it is bound */
    uint32_t scope;
};
enum pal_inet_flags {
    PAL_INET_6 = 1, PAL_INET_ONLY_6 = 2, PAL_INET_REUSE_ADDRESS = 4, PAL_INET_REUSE_PORT = 8,
    PAL_INET_HOST = 16, /* told: the socket is one of the host's network */
    PAL_INET_LISTENER = 128, /* asked at socket_bind: `port` is the number of a listener that the sandbox was started with */
    PAL_INET_TOKENS = 64, /* asked, and told: a stream within the sandbox whose handles have the least buffers: one byte leaves
                             room for another, two leave none.  -EOPNOTSUPP: the host can't say so */
    PAL_INET_LOOK = 32, /* asked: a refusal is nothing to report yet */
    PAL_INET_ANY = 512, /* told: a datagram socket that has no peer: each message names one (pal_message.peer) */
    PAL_INET_ANY_6 = 1024, /* told besides at socket_bind: it is for IPv6, else for IPv4 */
    PAL_INET_FIRST = 256, /* told, in a struct pal_inet_first: *out stands for a connection whose first bytes are looked at, and
                             takes them when it is there; an int32 may be peeked from it: 0 when they were found right, or
                             the errno that the connection failed with.  Asked, with the number as the address: the
                             connection itself, or -EAGAIN: more bytes are needed */
};
struct pal_inet_first { struct pal_inet own; uint64_t number; };
/* stream_control's operations: argument and meaning. */
enum pal_control {
    PAL_CTL_SEEK,          /* struct pal_seek: lseek(2); returns 0, new offset in it */
    PAL_CTL_FLAGS_GET,     /* uint32_t: PAL_OPEN_APPEND | PAL_OPEN_NONBLOCK and the access mode */
    PAL_CTL_FLAGS_SET,     /* uint32_t: APPEND and NONBLOCK, on the shared description */
    PAL_CTL_FLUSH,         /* uint32_t: 1 = data only.  fsync(2) */
    PAL_CTL_ALLOCATE,      /* struct pal_allocate: fallocate(2).  -EREMOTE: memory without a limit, to be touched by a mapping */
    PAL_CTL_AVAILABLE,     /* uint32_t: FIONREAD */
    PAL_CTL_LOCK,          /* [blocks] struct pal_lock: fcntl(2) record locks */
    PAL_CTL_FLOCK,         /* [blocks] uint32_t: flock(2)'s operation */
    PAL_CTL_TERMINAL_GET,  /* struct pal_terminal; -ENOTTY where it is none */
    PAL_CTL_TERMINAL_SET,  /* struct pal_terminal; -EIO: the user's, and another job has it */
    PAL_CTL_WINDOW_GET,    /* struct pal_window */
    PAL_CTL_PIPE_SIZE_GET, /* uint32_t */
    PAL_CTL_PIPE_SIZE_SET, /* uint32_t */
    PAL_CTL_SEALS_GET,     /* uint32_t: F_GET_SEALS */
    PAL_CTL_SEALS_ADD,     /* uint32_t */
    PAL_CTL_SHUTDOWN,      /* uint32_t: shutdown(2)'s how */
    PAL_CTL_ADVISE,        /* struct pal_allocate, mode = POSIX_FADV_*; may do nothing */
    PAL_CTL_LISTEN,        /* struct pal_listen, on what socket_bind gave */
    /* Of PAL_OBJECT_TERMINAL and its inner side; -EPERM for the user's own terminal. */
    PAL_CTL_WINDOW_SET,      /* struct pal_window */
    PAL_CTL_TERMINAL_FLUSH,  /* uint32_t: tcflush(3)'s queue */
    PAL_CTL_TERMINAL_FLOW,   /* uint32_t: tcflow(3)'s action */
    PAL_CTL_TERMINAL_PACKET, /* uint32_t: TIOCPKT of ioctl_tty(2), of the outer side only */
    /* Of the user's own terminal. */
    PAL_CTL_TERMINAL_READ,   /* struct pal_path_buffer: its size, at most, is read without waiting, into it.  -EAGAIN;
                                -EIO: another job has the terminal.  What stream_read tells by -EBADF */
    PAL_CTL_TERMINAL_FRONT,  /* uint32_t: is the sandbox in its foreground, as the host sees it? */
    PAL_CTL_TERMINAL_STOP,   /* uint32_t: the first process stopped by this signal: the user may have the terminal */
    /* Of PAL_OBJECT_NOTIFY. */
    PAL_CTL_NOTIFY_ADD,      /* struct pal_notify */
    PAL_CTL_NOTIFY_END,      /* uint32_t: a number that it told */
    PAL_CTL_EXTENDED,        /* struct pal_extended: also of a name, with PAL_NO_HANDLE */
    PAL_CTL_TEE,             /* struct pal_tee, of two pipes: tee(2) without waiting */
    /* Of PAL_INET_HOST sockets. */
    PAL_CTL_ACCEPT,          /* [blocks] struct pal_accept: accept(2) */
    PAL_CTL_OPTION,          /* struct pal_option: setsockopt(2); -ENOPROTOOPT for those that the host doesn't leave to guests */
    /* With PAL_NO_HANDLE. */
    PAL_CTL_SPACE,           /* struct pal_space: the room of one of pal_boot.mounts; -ENOENT: it is none in memory */
    PAL_CTL_COUNT,
};
struct pal_accept { struct pal_inet peer; pal_handle_t out; uint32_t nonblock; };
struct pal_option { int32_t level, option; uint32_t size; uint8_t value[16]; };
struct pal_space { uint64_t blocks, free, names, free_names; uint32_t mount, block_size; }; /* mount: its number */
struct pal_tee { uint64_t size; pal_handle_t to; uint32_t reserved; }; /* size: at most; then how many bytes it was */
struct pal_seek { int64_t offset; uint32_t whence, reserved; };
struct pal_allocate { uint64_t offset, size; uint32_t mode, reserved; };
struct pal_lock { /* struct flock, with the command: 0 get, 1 set, 2 set and wait; ofd: owned by the description */
    uint32_t command, ofd;
    int32_t type, whence; /* F_RDLCK, F_WRLCK, F_UNLCK; SEEK_* */
    int64_t start, size;
    uint64_t owner;       /* get: the host process that holds it, UINT64_MAX for a description lock */
};
/* A file's extended attributes, xattr(7): those in the namespace "user." */
enum pal_extended_op { PAL_EXTENDED_GET, PAL_EXTENDED_SET, PAL_EXTENDED_REMOVE, PAL_EXTENDED_LIST };
struct pal_extended {
    const struct pal_name *name;  /* NULL: the handle's file */
    struct pal_path_buffer *text; /* GET: the value; LIST: names, a NUL behind each; else -EREMOTE's path */
    const char *attribute;        /* not for LIST */
    const void *value;            /* SET */
    uint32_t op, flags;           /* flags: XATTR_CREATE, XATTR_REPLACE */
    uint32_t attribute_size, value_size;
};
/* Adds a name to what an object tells of; `number` becomes what its events bear.  mask: inotify(7)'s. */
struct pal_notify {
    const struct pal_name *name;
    struct pal_path_buffer *escape;
    uint32_t mask, number;
};
/* when: 0 now, 1 drain, 2 flush */
struct pal_terminal { uint32_t iflag, oflag, cflag, lflag, when; uint8_t line, cc[19]; };
struct pal_window { uint16_t rows, columns, xpixel, ypixel; };

/*
 * Sockets with names.  Local ones (unix(7)) are private to the sandbox, and so is the loopback of the internet's: its
 * addresses lead to sockets of this sandbox.  A bound name has a queue: connections arrive there as messages with one
 * handle, datagrams as what was sent; one from the host's network that a port is published to may bring a handle, the
 * datagram socket that is connected to its sender, which further ones come to.  `info` is up to the libOS: the connecting side is given the listener's, and the
 * bytes of a connection's message are the connector's.
 */
enum pal_socket_kind { PAL_SOCKET_STREAM = 1, PAL_SOCKET_PACKET, PAL_SOCKET_DATAGRAM };
#define PAL_SOCKET_INFO 256u
enum pal_name_space {
    PAL_SPACE_PATH,     /* struct pal_name, of a PAL_MKSOCKET object */
    PAL_SPACE_ABSTRACT, /* any bytes; none at socket_bind: the host picks some */
    PAL_SPACE_INET,     /* struct pal_inet; port 0 at socket_bind: the host picks one, an odd one.  STREAM is TCP,
                           DATAGRAM is UDP */
};
struct pal_socket_name {
    const void *bytes;
    uint32_t size;
    uint32_t kind;      /* pal_socket_kind */
    uint32_t space;     /* pal_name_space */
    uint32_t info_size; /* at most PAL_SOCKET_INFO */
    const void *info;
};
struct pal_listen {
    uint64_t name; /* as socket_bind told */
    const void *info;
    uint32_t info_size, backlog; /* a further connection gives -EAGAIN */
};

/* A message on a socket: bytes, and on a local one handles that go with them (unix(7), SCM_RIGHTS). */
struct pal_message {
    const struct pal_vector *vector;
    uint32_t count;        /* of vectors, at most 1024; send: with handles at most one */
    uint32_t handle_count; /* at most PAL_MESSAGE_HANDLES; receive: room (else they are lost), then how many came */
    pal_handle_t *handles;
    uint32_t flags;        /* receive: MSG_TRUNC, MSG_CTRUNC of recvmsg(2) */
    struct pal_inet *peer; /* of a PAL_INET_ANY socket: whom it is for (one vector at most), who sent it; else NULL */
};
#define PAL_MESSAGE_HANDLES 253u
#define PAL_MESSAGE_WITH_HANDLES 65536u /* bytes that handles can go with, at most: -EMSGSIZE */

enum pal_object {
    PAL_OBJECT_PIPE,       /* two handles: [0] reads, [1] writes; PAL_OBJ_PACKET = O_DIRECT */
    PAL_OBJECT_EVENT,      /* one: eventfd(2); value = start */
    PAL_OBJECT_SECTION,    /* one: memory object of `value` bytes, for memory_map; stream calls work on it too */
    PAL_OBJECT_STREAM_PAIR,/* two connected local sockets, stream */
    PAL_OBJECT_PACKET_PAIR,/* two, keeping message boundaries */
    PAL_OBJECT_POLL_SET,   /* one: see poll_set_update */
    PAL_OBJECT_TERMINAL,   /* one: a pseudoterminal's outer side, pty(7)'s master; the call returns its number.  The
                              host does the line discipline, but takes it for nobody's controlling terminal: no
                              signals */
    PAL_OBJECT_TERMINAL_INNER, /* one: the inner side of terminal `value`, opened anew.  out NULL: only tells, 0 or
                              -EIO: the outer side has been closed by all */
    PAL_OBJECT_NOTIFY,      /* one: tells of changes of files; read as inotify(7) has it */
    PAL_OBJECT_COUNT,
};
enum pal_object_flags { PAL_OBJ_NONBLOCK = 1, PAL_OBJ_PACKET = 2, PAL_OBJ_SEMAPHORE = 4, PAL_OBJ_SEALABLE = 8 };

/* poll(2)'s event bits are used as they are; EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE in poll sets. */
struct pal_poll { pal_handle_t handle; int16_t events, revents; };
struct pal_poll_event { uint32_t events; uint64_t data; } __attribute__((packed)); /* struct epoll_event */
enum pal_poll_op { PAL_POLL_ADD = 1, PAL_POLL_REMOVE = 2, PAL_POLL_CHANGE = 3 };

enum pal_clock { /* clock_gettime(2)'s ids */
    PAL_CLOCK_REALTIME = 0, PAL_CLOCK_MONOTONIC = 1, PAL_CLOCK_PROCESS_CPU = 2, PAL_CLOCK_THREAD_CPU = 3,
    PAL_CLOCK_MONOTONIC_RAW = 4, PAL_CLOCK_REALTIME_COARSE = 5, PAL_CLOCK_MONOTONIC_COARSE = 6, PAL_CLOCK_BOOT = 7,
    PAL_CLOCK_TAI = 11,
    PAL_CLOCK_PROCESS_USER = 32, PAL_CLOCK_THREAD_USER = 33, /* the part of the CPU clocks that is not the host's */
};

/* A child that ended, and what it has used, with its own children that it waited for; max_rss in KiB. */
struct pal_usage {
    uint64_t user_ns, system_ns, max_rss, minor_faults, major_faults, blocks_in, blocks_out, voluntary_switches,
        involuntary_switches;
};
struct pal_memory { uint64_t anonymous, file, shared; }; /* pages in memory, in bytes */
struct pal_child {
    uint64_t process;
    int32_t status;
    int32_t reserved;
    struct pal_usage used;
    struct pal_memory memory; /* PAL_WAIT_LOOK */
};
enum pal_child_wait { PAL_WAIT_END, PAL_WAIT_NOHANG, PAL_WAIT_LOOK };

/* A lock in memory shared between picoprocesses: see lock.  Zeroed = free.  16 bytes, 8-byte aligned. */
struct pal_mutex {
    uint64_t next; /* the host's: list of the locks a thread holds */
    uint32_t word;
    uint32_t reserved;
};

/* ---- The calls: 45, with 92 operations in all; see the end ------------------------------------------------------- */

struct pal_api {
    uint32_t abi_version, count;

    /* Memory.  Ranges are page-aligned; they lie in [PAL_GUEST_BASE, PAL_GUEST_END) or in the arena's heap. */
    /* Claims a range that is free.  No access until commit or map.  -EEXIST where something is there. */
    int64_t (*memory_reserve)(uint64_t address, uint64_t size);
    /* Gives reservations and all they hold back to the host. */
    int64_t (*memory_release)(uint64_t address, uint64_t size);
    /* Zero-filled pages at a reserved range, replacing what was there.  flags: pal_map_flags.
     * mmap(2) MAP_ANONYMOUS. */
    int64_t (*memory_commit)(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags);
    /* Drops contents and memory, keeps range and protection.  UNSHARE works on the shared segment, too.  madvise(2)
     * DONTNEED, FREE, REMOVE, HUGEPAGE, NOHUGEPAGE. */
    int64_t (*memory_decommit)(uint64_t address, uint64_t size, uint32_t how);
    int64_t (*memory_protect)(uint64_t address, uint64_t size, uint32_t protection);
    /* Maps a file or section at a reserved range, replacing what was there. */
    int64_t (*memory_map)(uint64_t address, uint64_t size, uint32_t protection, uint32_t flags, pal_handle_t handle,
                          uint64_t offset);
    /* Moves or resizes pages, contents and sharing kept; target == source resizes in place.  mremap(2) with
     * MAYMOVE|FIXED.  source size 0 duplicates a shared mapping: also of pages of the shared segment, which keep their
     * protection (read and write) until memory_protect. */
    int64_t (*memory_move)(uint64_t source, uint64_t source_size, uint64_t target, uint64_t target_size);
    /* When it returns, every other thread has executed a serialising instruction: it sees code bytes changed before. */
    int64_t (*code_sync)(uint32_t all); /* all: a memory barrier in every thread of the sandbox, no more; slow */

    /* Threads.  `tcb` is the new thread's block, zeroed but for libos_stack, libos[] and the guest's GS; it begins in
     * `entry(argument)` on tcb->libos_stack, FS base 0.  The caller owns the memory until the thread has left: see thread_exit. */
    int64_t (*thread_create)(struct pal_tcb *tcb, void (*entry)(void *argument), void *argument, pal_handle_t *out_id);
    /* Ends the thread.  When it no longer uses its stack, *word (if not NULL) becomes 0, and then a thread that waits on the
     * word at `wake` (if not 0; shared waiters) is woken. */
    __attribute__((noreturn)) void (*thread_exit)(uint32_t *word, uint64_t wake);
    void (*thread_yield)(void);
    /* Interrupts another thread of this picoprocess: see the contract above.  `tcb` must still be alive. */
    int64_t (*thread_interrupt)(struct pal_tcb *tcb);
    int64_t (*thread_set)(uint32_t what, uint64_t address, uint32_t size, uint32_t signature); /* pal_thread_setting */

    /* Waits while *word == expected.  [blocks]  0 woken (or spuriously), -EAGAIN value differed, -ETIMEDOUT.  The word
     * may lie in memory shared between picoprocesses: `how` tells (pal_wait).  futex(2). */
    int64_t (*wait)(uint64_t word, uint32_t expected, uint64_t deadline, uint64_t how);
    /* Wakes up to count waiters (a host may wake more); returns how many, or 0 where it can't tell. */
    int64_t (*wake)(uint64_t word, uint32_t count, uint64_t how);

    /* A lock that survives its holder's death at any instruction: 0 taken; -EOWNERDEAD taken from a dead holder, so
     * what it guards must be made whole.  Not recursive; a thread may hold several.  Never returns without the lock. */
    int64_t (*lock)(struct pal_mutex *mutex);
    void (*unlock)(struct pal_mutex *mutex);

    /* Streams.  Whatever takes a name may give -EINTR, where the host asks somebody whether it may be.  open: out_attributes
     * may be NULL; escape see pal_name; where a directory was opened it holds that one's
     * path without symlinks and "..", or size 0: the name was that. */
    int64_t (*stream_open)(const struct pal_name *name, uint32_t flags, uint32_t mode, pal_handle_t *out,
                           struct pal_attributes *out_attributes, struct pal_path_buffer *escape);
    int64_t (*handle_close)(pal_handle_t handle);
    /* [blocks] Return bytes moved, at most 0x7ffff000; offset -1 uses and moves the object's own.  vectors: 1 to 1024
     * of them, all read or (PAL_VECTORS_WRITE) all written. */
    int64_t (*stream_read)(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset);
    int64_t (*stream_write)(pal_handle_t handle, uint64_t buffer, uint64_t size, int64_t offset);
    int64_t (*stream_vectors)(pal_handle_t handle, const struct pal_vector *vectors, uint32_t count, int64_t offset,
                              uint32_t direction);
    /* Directory entries as getdents64(2) lays them out; 0 at the end.  Returns bytes. */
    int64_t (*stream_list)(pal_handle_t handle, uint64_t buffer, uint64_t size);
    int64_t (*stream_control)(pal_handle_t handle, uint32_t op, void *argument, uint64_t size); /* pal_control */
    /* By handle, or by name where handle is PAL_NO_HANDLE.  set: -EPERM where an object without a name has no such. */
    int64_t (*attributes_get)(pal_handle_t handle, const struct pal_name *name, struct pal_attributes *out,
                              struct pal_path_buffer *escape);
    int64_t (*attributes_set)(pal_handle_t handle, const struct pal_name *name, const struct pal_attributes *values,
                              uint32_t mask, struct pal_path_buffer *escape);
    /* pal_change_op; `other` is the target of RENAME and LINK, the contents of SYMLINK.
     * mode: permission bits, or rename flags. */
    int64_t (*name_change)(uint32_t op, const struct pal_name *name, const struct pal_name *other, uint32_t mode,
                           struct pal_path_buffer *escape);
    /* A symlink's contents: returns its size.  With nofollow 0: the canonical guest path of the object instead. */
    int64_t (*name_read)(const struct pal_name *name, struct pal_path_buffer *out);
    /* 1: a kept answer is right: nothing that it depends on was changed by a call, of anybody on the host, that has
     * returned.  0: ask again.  What it can't tell of: see docs/architecture.md. */
    int64_t (*name_revalidate)(const struct pal_validity *validity);

    /* Pipes, events, sections, local sockets, poll sets.  out has room for two. */
    int64_t (*object_create)(uint32_t object, uint32_t flags, uint64_t value, pal_handle_t *out);
    /* [blocks] Bytes moved.  MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_TRUNC, MSG_NOSIGNAL of send(2), recv(2).  send:
     * -EOPNOTSUPP where the host can't send several vectors with such flags: gather them. */
    int64_t (*socket_send)(pal_handle_t handle, const struct pal_message *message, uint32_t flags);
    int64_t (*socket_receive)(pal_handle_t handle, struct pal_message *message, uint32_t flags);
    /* Binds a name: *out is its queue, which lasts as long as handles to it; *out_name tells PAL_CTL_LISTEN which one.
     * *text is the name that the host picked (INET: as bound), or the path of -EREMOTE.  out has room for two: the second
     * is PAL_NO_HANDLE, or a listener of the host's network that leads to this name as well (PAL_INET_HOST is told).  -EADDRINUSE; -EADDRNOTAVAIL;
     * -ECONNREFUSED: no PAL_MKSOCKET object.  With PAL_SOCKET_DATAGRAM the queue may be read at once. */
    int64_t (*socket_bind)(const struct pal_socket_name *local, pal_handle_t *out, uint64_t *out_name,
                          struct pal_path_buffer *text);
    /* *out is a connected socket, or with PAL_SOCKET_DATAGRAM the queue's other end; *text the listener's info, or the
     * path of -EREMOTE; or a struct pal_inet: the own name of a socket of the host's network (PAL_INET_HOST), whose
     * connection may still be in progress, and which does not wait; of a datagram socket that is connected to this address.
     * Its info may be a pal_handle_t, another such of the same program's socket: it gets the same port.  -ECONNREFUSED: nobody has that name, or does not listen; -EPROTOTYPE: of another kind;
     * -EAGAIN: the backlog is full; -EACCES: policy. */
    int64_t (*socket_connect)(const struct pal_socket_name *local, pal_handle_t *out, struct pal_path_buffer *text);

    /* [blocks] Return the number of ready entries, 0 at the deadline.  With deadline 0 they only look, and do so while
     * interrupts are noted, too. */
    int64_t (*poll)(struct pal_poll *entries, uint32_t count, uint64_t deadline);
    int64_t (*poll_set_update)(pal_handle_t set, uint32_t op, pal_handle_t handle, const struct pal_poll_event *event);
    int64_t (*poll_set_wait)(pal_handle_t set, struct pal_poll_event *events, uint32_t count, uint64_t deadline);

    /* Processes.  fork: only the calling thread goes on in the child; returns 0 there and here the child's name, > 0.
     * flags: pal_fork_flags. */
    int64_t (*process_fork)(uint32_t flags);
    /* The end of a child: [blocks] unless how is PAL_WAIT_NOHANG.  process 0 = any.  1 = *out filled, 0 = none yet,
     * -ECHILD.  status as wait(2).
     * PAL_WAIT_LOOK: of any picoprocess of the sandbox, or thread (by thread_create's number), what it has used so far; status
     * is its state as a letter: R, S, D, T, Z.  1, or -ESRCH. */
    int64_t (*process_wait)(uint64_t process, uint32_t how, struct pal_child *out);
    /* Ends the picoprocess, all threads.  status 0..255, or 256 + N to die as by signal N. */
    __attribute__((noreturn)) void (*process_exit)(uint32_t status);
    /* Interrupts some thread of another picoprocess of this sandbox, or kills it outright.  -ESRCH: it has ended. */
    int64_t (*process_interrupt)(uint64_t process, uint32_t kill);

    /* Handle passing: a token is good for one import by any picoprocess of the sandbox, or for a drop (out NULL). */
    int64_t (*handle_export)(pal_handle_t handle, uint64_t *out_token);
    int64_t (*handle_import)(uint64_t token, pal_handle_t *out);

    int64_t (*clock_get)(uint32_t clock, uint64_t *out_ns);
    int64_t (*random)(uint64_t buffer, uint64_t size);
};
#define PAL_CALL_COUNT ((sizeof(struct pal_api) - 8) / sizeof(void *))
_Static_assert(PAL_CALL_COUNT <= 45, "the PAL has at most 45 calls");

/* What a new host has to write.  Four calls are many in one: for stream_control, object_create, name_change and
 * thread_set the operations count, not the call.  A host may refuse what its capability bits don't promise. */
#define PAL_OPERATION_COUNT                                                                                           \
    (PAL_CALL_COUNT - 4 + PAL_CTL_COUNT + PAL_OBJECT_COUNT + PAL_CHANGE_COUNT + PAL_THREAD_COUNT)
_Static_assert(PAL_OPERATION_COUNT == 92, "45 calls: 41, and 32 + 9 + 8 + 2 operations");

#endif
