/* SPDX-License-Identifier: MIT */
/* The guest's address space.  There is one mm in a picoprocess. */
#ifndef LIBOS_MM_H
#define LIBOS_MM_H

#include "libos/lib/lib.h"

struct shared_process;

/* <sys/mman.h> */
#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u
#define PROT_GROWSDOWN 0x01000000u
#define PROT_GROWSUP 0x02000000u
#define MAP_SHARED 1u
#define MAP_PRIVATE 2u
#define MAP_SHARED_VALIDATE 3u
#define MAP_TYPE 0xfu
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_32BIT 0x40u
#define MAP_GROWSDOWN 0x100u
#define MAP_DENYWRITE 0x800u
#define MAP_LOCKED 0x2000u
#define MAP_NORESERVE 0x4000u
#define MAP_POPULATE 0x8000u
#define MAP_NONBLOCK 0x10000u
#define MAP_STACK 0x20000u
#define MAP_HUGETLB 0x40000u
#define MAP_SYNC 0x80000u
#define MAP_FIXED_NOREPLACE 0x100000u
#define MREMAP_MAYMOVE 1u
#define MREMAP_FIXED 2u
#define MREMAP_DONTUNMAP 4u
/* Of the libOS's own, in vma.flags: what a fork child does with it (madvise(2)); trampolines of rewritten call sites.
 * */
#define VMA_HIDDEN 0x80000000u
#define VMA_DONTFORK 0x40000000u
#define VMA_WIPEONFORK 0x20000000u
#define VMA_HUGE 0x10000000u  /* MADV_HUGEPAGE, MADV_NOHUGEPAGE: they part mappings, as on Linux */
#define VMA_SMALL 0x08000000u
/* mbind(2)'s: a mode in three bits, and its flags.  MAP_* has other bits. */
#define VMA_POLICY_MODE 0x00200000u
#define VMA_POLICY_STATIC 0x01000000u
#define VMA_POLICY_RELATIVE 0x02000000u
#define VMA_POLICY 0x03e00000u
#define VMA_IMAGE 0x04000000u /* the host has some of its pages from a snapshot's image: image.c */

struct vma {
    guest_t start, end;
    uint32_t protection, flags; /* PROT_*, MAP_SHARED or MAP_PRIVATE, MAP_GROWSDOWN, ... */
    uint64_t offset;            /* in the file */
    struct file *file;          /* a reference, or NULL */
    const char *name;           /* "[heap]", "[stack]", "[vdso]" or NULL */
};

/* ---- mmap.c, mprotect.c, mremap.c, madvise.c --------------------------------------------------------------------- */

void mm_init(void);
/* Kernel-side mmap(2) with a file already looked up (a reference is taken if kept).  Address or -errno. */
int64_t mm_map(guest_t address, uint64_t size, uint32_t protection, uint32_t flags, struct file *file, uint64_t offset,
               const char *name);
int64_t mm_unmap(guest_t address, uint64_t size);
void mm_reset(void);              /* exec: everything of the guest's goes */
void mm_fork_lock(void);          /* around process_fork, in the parent: nobody else is halfway through a change */
void mm_fork_unlock(void);
/* Instead of mm_fork_unlock in the child: locks anew, DONTFORK and WIPEONFORK done.  bare: mm_reset follows. */
void mm_fork_child(bool bare);
/* Calls visit for each vma in order, under the lock: it must not touch guest memory or mm.  Nonzero stops. */
int64_t mm_for_each(int64_t (*visit)(const struct vma *vma, void *argument), void *argument);
bool mm_next(guest_t address, struct vma *out); /* the first that ends after address */
bool mm_find(guest_t address, struct vma *out); /* a copy; the file pointer is only good for comparing */
struct mm_facts {
    guest_t brk_start, brk_end, stack_top, arg_start, arg_end, env_start, env_end, auxv, code_start, code_end;
    uint64_t total_bytes, auxv_size;
};
void mm_facts_get(struct mm_facts *out);
void mm_facts_set(const struct mm_facts *facts); /* exec: all but total_bytes */
void mm_layout_set(guest_t mmap_base);           /* exec: mappings without a hint lie below it, top-down */
/* The start of a free range for exec to map into with MAP_FIXED, or 0.  align is a power of two. */
guest_t mm_free_range(uint64_t size, uint64_t align);
guest_t mm_end(void); /* of what guests have: the host may have taken the top of their range */
extern bool mm_no_randomize; /* personality(2)'s ADDR_NO_RANDOMIZE: from the next exec on */
/* A fault of the guest at `address`: true if it was the stack growing, and the guest can go on. */
bool mm_fault_grows_stack(guest_t address, guest_t stack_pointer);

/* ---- exe.c ------------------------------------------------------------------------------------------------------- */

/* The running program, for /proc/self/exe: a reference, or NULL. */
struct file *exec_file(void);
/* exec: the process has one thread, perhaps forked while others ran. */
void exec_file_set(struct file *file);

/* ---- image.c: the guest's pages in a snapshot -------------------------------------------------------------------- */

/* While a process is written, and then ends: signals that somebody sends it are no clone's. */
#define UNDISTURBED(call)                                                                                            \
    ({                                                                                                               \
        int64_t undisturbed;                                                                                         \
        do                                                                                                           \
            atomic_set(&tcb()->interrupted, 0u);                                                                     \
        while ((undisturbed = (call)) == -EINTR || undisturbed == -ERESTARTNOINTR || undisturbed == -ERESTARTSYS);   \
        undisturbed;                                                                                                 \
    })

/* Pages that are not what mapping anew would give.  At `offset` of the image. */
struct mm_run { guest_t start; uint64_t size, offset; };
struct mm_image {
    pal_handle_t handle;
    uint64_t end;          /* of what is in the image so far; page-aligned */
    struct mm_run *runs;   /* by address; alloc'ed */
    uint32_t count, room;
};
/* Writes them all.  The process has one thread, and does nothing with its memory afterwards. */
int64_t mm_image_save(struct mm_image *image);
/* The address space as it was: nothing is mapped yet, and files have their handles. */
int64_t mm_image_map(const struct mm_image *image);
/* What is going to be used soon, if it is; stack: where the guest's is. */
void mm_image_touch(guest_t stack);
void mm_image_touch_written(struct pal_snapshot_range range); /* and what is going to be written */

/* ---- peek.c: a debugger's ---------------------------------------------------------------------------------------- */

/* How much could be reached.  Caller holds no lock. */
size_t mm_peek(void *to, guest_t from, size_t size);
size_t mm_poke(guest_t to, const void *from, size_t size);
extern bool text_poked; /* text is not what its file has: no site of this program is rewritten any more */

/* ---- process_vm.c: of any process of the sandbox ------------------------------------------------------------------ */

/* The process with this number, or with a thread of this number, if the caller may touch its memory: *out is its pid, 0 for the caller
 * itself; or -errno. */
int64_t process_memory_check(int pid, int *out);
/* As mm_peek and mm_poke, between there and the caller's vectors: how much, or -errno; -EIO where there is nothing. */
int64_t process_memory(int pid, guest_t at, const struct pal_vector *vector, uint32_t count, bool writes);

/* ---- text.c: call sites are rewritten ---------------------------------------------------------------------------- */

void rewrite_init(void);
extern bool rewriting; /* sites that trap are rewritten */
extern bool rewriting_ahead; /* text is rewritten before it runs */
void rewrite_trapped(uint64_t after); /* a site trapped: RIP behind it */
void rewrite_before_fork(struct shared_process *self); /* caller holds nothing */
void rewrite_fork_child(struct shared_process *parent_slot);

/* ---- ahead.c: before text runs ----------------------------------------------------------------------------------- */

uint64_t ahead_init(uint64_t at, uint64_t end); /* a part of the segment */
/* [start, end) may hold text that has just become executable.  Caller holds mm.lock. */
void rewrite_ahead(guest_t start, guest_t end);

/* ---- warm.c: sites that other processes met ---------------------------------------------------------------------- */

uint64_t warm_init(uint64_t at, uint64_t end); /* a part of the segment */
extern bool rewriting_warm; /* sites of what this process runs may be known */
/* exec is about to map it, and its interpreter or NULL; the old one's text has had its last call */
void warm_program(const struct file *file, const struct file *interpreter);
void warm_tell(void); /* before a program ends, or becomes another.  Its text is still there; caller holds nothing */
void warm_fork_child(void);
void warm_note_cpuid(guest_t at); /* one that was rewritten, and is executed */
void rewrite_warm(guest_t start); /* a mapping that begins there has just become executable.  Caller holds mm.lock */

#endif
