/* SPDX-License-Identifier: MIT */
/*
 * Call-site rewriting: after a syscall instruction has trapped, its site is changed to jump to a trampoline, which
 * enters the libOS as a function call.
 *
 * A trampoline ends at site_host.entry with R11 = guest address after the syscall instruction, or at entry_tail with
 * R11 = the trampoline's tail, behind four bytes that tell how far that address is from there; EAX = the number, RCX
 * undefined, all else (flags, stack, vectors) the guest's.  The entry sets RCX = that address, R11 = RFLAGS, and goes
 * on at the former R11.
 *
 * What the caller must do:
 *  - after a trap: site_rewrite(address after the instruction), on the libOS's stack (about 8 KiB of it are used);
 *  - wherever a guest address becomes the place to go on (a trap's return, sigreturn, restart): site_resume();
 *  - wherever an interrupted RIP becomes guest-visible: site_guest();
 *  - at a fault (SIGSEGV, SIGILL) with RIP outside the libOS, before all else: site_fault();
 *  - before text is unmapped, replaced or made writable: site_forget(); after exec: site_forget_all();
 *  - around fork: site_lock(), site_unlock() on both sides.
 * Lookups take no lock and may be called anywhere, also in upcalls.  Lock order: what text_pin takes, then the
 * sites' own.
 */
#ifndef SHIM_REWRITE_H
#define SHIM_REWRITE_H

#include "shim/rewrite/plan.h"

struct site_host {
    /* Keeps the mapping at `address` as it is until text_unpin, and tells its bounds: 1.  0: it isn't private,
     * file-backed, readable, executable and not writable.  -1: not just now.  The bounds don't go past the file's
     * last page. */
    int (*text_pin)(uint64_t address, uint64_t *start, uint64_t *end);
    void (*text_unpin)(void);
    /* Makes pages of text or of a trampoline pool read-write-execute, or read-execute again.  Threads may be
     * executing them.  Called with the text pinned. */
    int64_t (*code_writable)(uint64_t page, uint64_t size, int on);
    /* When it returns, every other thread of the process has executed a serialising instruction.  May do nothing while
     * there is one thread. */
    void (*sync_cores)(void);
    /* A fresh read-execute private mapping of `size` bytes, aligned to size, within [low, high), or 0.  It lives until
     * exec, and guest mappings never replace it.  Called with the text pinned. */
    uint64_t (*trampoline_pool)(uint64_t low, uint64_t high, uint64_t size);
    void *(*alloc)(uint64_t size); /* zeroed; never freed; NULL: none left */
    void (*yield)(void);
    uint64_t entry, entry_tail;
    uint64_t entry_cpuid; /* for cpuid instructions of hints, with the site's index in GS:TCB_CPUID and all registers the guest's; 0:
                             they stay */
    bool no_trap; /* the host does not bring syscall instructions to the libOS: none may stay that is known of */
    uint32_t patience; /* rewrite at this trap of a site; 0 and 1: at the first */
};

void site_init(const struct site_host *host); /* keeps the pointer */

/* `after`: RIP after a syscall instruction that trapped.  Cheap where the site is known not to be rewritable. */
void site_rewrite(uint64_t after);

/*
 * Text that is about to become executable: private, readable, not writable, and nobody executes it yet.  It is the
 * caller's until the call returns.  Where its sites are, and what can become of them, is found once for each file and
 * kept: a record is checked against the text before it is used.
 */
struct site_record {
    uint64_t hash;    /* of the window that the plan was made from */
    uint32_t at;      /* the syscall instruction, from the text's start */
    struct plan plan; /* SITE_TRAP: none was found */
};
/* All sites of [start, end): how many there are, of which `room` are written. */
uint32_t site_find_all(uint64_t start, uint64_t end, struct site_record *out, uint32_t room);
/* Rewrites those sites of [start, end).  Records are in the order of `at`. */
void site_rewrite_known(uint64_t start, uint64_t end, const struct site_record *records, uint32_t count);

/*
 * What other processes that run the same should have rewritten at once: the sites of this one that trapped and those that
 * were rewritten, in the order of their addresses.  A hint is the little that planning comes to for one of them.  It is
 * not trusted: what it says is decoded again in the text that it is used for, whose bytes must be the same.  Still it can
 * choose where an instruction begins.  Where nobody has `proved` that yet, it is: scan.h.
 */
struct site_hot { uint64_t syscall; uint32_t traps; };
struct site_hint {
    uint64_t hash; /* of the window */
    uint32_t at;   /* the syscall instruction, from the text's start */
    int16_t hole;  /* plan.h: the padding that takes the jump, or 0 */
    int8_t patch;  /* ... where the jump goes */
    uint8_t proved;
};
uint32_t site_hot(struct site_hot *out, uint32_t room);
/* The next cpuid instruction in [from, end) of the text [start, end) that is one beyond doubt, or `end`. */
uint64_t site_next_cpuid(uint64_t start, uint64_t end, uint64_t from);
/* Where the instruction of the site of that index lies; 0: it is no site any more. */
uint64_t site_instruction(uint32_t index);
bool site_hint(uint64_t start, uint64_t end, uint64_t syscall, struct site_hint *out); /* [start, end): a text */
/* Rewrites those of [start, end), text that is about to become executable: how many.  Hints are in the order of `at`;
 * those that serve are proved then. */
uint32_t site_rewrite_hinted(uint64_t start, uint64_t end, struct site_hint *hints, uint32_t count);

/* Text is made writable in such blocks, as far as it reaches: libos/mm/text.c has the reason. */
#define SITE_BLOCK (32 * 1024ul)

/* Where to go on when the guest is to go on at `guest`: mostly there; the trampoline, where the site's bytes were
 * replaced. */
uint64_t site_resume(uint64_t guest);

/* The guest address that an interrupted `address` stands for; `address` itself where it is no trampoline.  Between a
 * trampoline's start and the entry, R11 may be something else; all else is exact. */
uint64_t site_guest(uint64_t address);

/* Single-stepping came to `address` without a step of the guest's own: inside a trampoline where no instruction of
 * the guest begins, or at its start, or at a jump in padding.  Go on there. */
bool site_between(uint64_t address);

/* Where to go on after a fault at `rip` that rewriting caused, or 0: the fault is the guest's. */
uint64_t site_fault(uint64_t rip);

/* `bytes` were read at `address`: where sites changed them, the program's own take their place. */
void site_peek(uint64_t address, uint8_t *bytes, uint64_t size);

/* [start, end) loses its sites.  restore: the text stays, so the program's own bytes are put back first (the caller has
 * the text pinned); else it is about to go. */
void site_forget(uint64_t start, uint64_t end, bool restore);
/* The address space is gone, trampoline pools and all, and the caller is the only thread. */
void site_forget_all(void);

/* Moves with each of these.  While it stays, and in a fork's child that has the same,
 * an address means the same text. */
uint32_t site_epoch(void);

void site_lock(void);
void site_unlock(void);

struct site_statistics {
    uint64_t by_kind[SITE_KINDS];       /* [SITE_TRAP]: refused */
    uint64_t by_refusal[SITE_REFUSALS]; /* a site may be refused again after a while */
    uint64_t warming;                   /* traps that were waited for: site_host.patience */
    uint64_t faults;                    /* arrivals inside a rewritten site, sent to the trampoline */
    uint64_t second;                    /* sites that got a way in for jumps onto the syscall instruction */
    uint64_t trampoline_bytes, pools;
};
void site_statistics(struct site_statistics *out);
extern const char *const site_kind_names[SITE_KINDS];
extern const char *const site_refusal_names[SITE_REFUSALS];

#endif
