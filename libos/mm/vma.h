/* SPDX-License-Identifier: MIT */
/*
 * The tree of mappings, and the mm's state: for the files of this directory only.
 *
 * The tree and the host's mappings change together, under mm.lock.  Nodes for a change are laid by beforehand
 * (vma_prepare), so that once the host has been asked nothing can fail.
 */
#ifndef LIBOS_VMA_H
#define LIBOS_VMA_H
#include "libos/abi/process.h"
#include "libos/mm/mm.h"

/* A treap by start address.  low, high and gap describe the subtree, so that a free range is found in O(log n). */
struct vma_node {
    struct vma vma; /* first: see mm_for_each */
    struct vma_node *left, *right;
    guest_t low, high; /* first start, last end */
    uint64_t gap;      /* the largest free space between two neighbours */
    uint64_t priority;
};

#define MAP_COUNT_MAX 65530u /* vm.max_map_count */
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

struct mm {
    struct mutex lock; /* guards everything here */
    struct vma_node *root;
    struct vma_node *spare; /* linked by right */
    struct vma_node *dead;  /* taken out of the tree, still with a file to be put: by mm_unlock, without the lock */
    uint32_t count, spare_count;
    uint32_t hidden;        /* how many are VMA_HIDDEN */
    uint32_t images;        /* some mapping may be VMA_IMAGE */
    uint32_t fork_flags;    /* VMA_DONTFORK and VMA_WIPEONFORK that some mapping may have */
    uint64_t bytes;
    uint64_t locked, data;  /* bytes of MAP_LOCKED; of what RLIMIT_DATA limits */
    bool lock_future;       /* MCL_FUTURE: each new mapping is locked */
    guest_t mmap_base;
    struct mm_facts facts;
};
extern struct mm mm;

/* mmap.c */
void mm_lock(void);
void mm_unlock(void);
/* Caller holds mm.lock in all that follow. */
int64_t mm_map_at(guest_t at, uint64_t size, const struct vma *like); /* anew, with its file, offset and flags */
int64_t mm_place(guest_t address, uint64_t size, uint32_t flags); /* where a mapping goes: address or -errno */
int64_t mm_release(guest_t start, guest_t end); /* tree and host; hidden areas stay */
/* A read-execute area of `size` bytes (a power of two), aligned to it, within [low, high), that the guest's own calls
 * leave alone, for the stubs of rewritten call sites; mm_reset drops it with the rest.  0: no room. */
uint64_t mm_trampoline_pool(uint64_t low, uint64_t high, uint64_t size);
bool mm_range_hidden(guest_t start, guest_t end); /* some of it is the libOS's own */
/* What RLIMIT_DATA counts: what is the process's own to write, but for stacks. */
static inline bool vma_is_data(const struct vma *vma)
{
    return vma->protection & PROT_WRITE && !(vma->flags & (MAP_SHARED | MAP_GROWSDOWN | VMA_HIDDEN));
}
/* Soft limits, to be asked for without mm.lock, which lies further in; and whether more fits in, under the lock. */
struct mm_limits { uint64_t space, data, locked; };
struct mm_limits mm_limits(void);
int64_t mm_check_limits(const struct mm_limits *limits, const struct vma *more);
uint64_t mm_limit(uint32_t resource); /* a soft limit: to be asked without mm.lock, which lies further in */

/* madvise.c: touches pages, as mlock(2) and MADV_POPULATE_* do.  Without mm.lock. */
int64_t mm_populate(guest_t start, guest_t end, bool writes);
/* mprotect.c: all locks go. */
void mm_unlock_all(void);
/* image.c.  Caller holds mm.lock; the range lies in mappings. */
int64_t image_drop(guest_t start, guest_t end); /* its pages become what mapping anew gives */
/* Before the host is to move or to grow [start, end) of one mapping: pages of its own hold what an image held. */
int64_t image_leave(guest_t start, guest_t end);
int64_t map_on_host(guest_t at, uint64_t size, uint32_t protection, uint32_t flags, struct file *file,
                    uint64_t offset); /* mmap.c */

/* text.c: where a mapping's file ends in it; pages behind fault. */
guest_t text_end(const struct vma *vma);

/* vma.c */
int64_t vma_prepare(void); /* nodes for the next change: 0, or -ENOMEM */
struct vma_node *vma_at(guest_t address);    /* the first that ends after address, or NULL */
struct vma_node *vma_below(guest_t address); /* the last that starts before address, or NULL */
bool vma_is_free(guest_t start, guest_t end);
/* Adds a mapping, as one with its neighbours where Linux would merge them.  The reference to file is the tree's now. */
void vma_add(const struct vma *vma);
/* Takes [start, end) out, cutting mappings at its ends; for each, in order, calls visit, which may change it and then
 * returns true: it is added again.  NULL: all go.  At most one vma_take and vma_add for one vma_prepare. */
void vma_take(guest_t start, guest_t end, bool (*visit)(struct vma *vma, void *argument), void *argument);
void vma_clear(void);
int64_t vma_each(struct vma_node *node, int64_t (*visit)(const struct vma *vma, void *argument), void *argument);
/* The highest or lowest free range of `size` in [low, high): its start, or 0. */
guest_t vma_highest_gap(guest_t low, guest_t high, uint64_t size);
guest_t vma_lowest_gap(guest_t low, guest_t high, uint64_t size);
#endif
