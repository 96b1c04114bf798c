/* SPDX-License-Identifier: MIT */
/*
 * NUMA policies (numa(7), set_mempolicy(2), mbind(2)) of a machine with one node: they are checked, kept and told; pages have
 * only one place to be.  A process's policy is its threads', too.
 */
#include "libos/syscalls.h"
#include "libos/mm/vma.h"
#include "libos/task/table.h"
#include "libos/task/task.h"

enum policy { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY, POLICIES };
#define STATIC_NODES 0x8000u
#define RELATIVE_NODES 0x4000u
#define BALANCING 0x2000u
#define MODE_FLAGS (STATIC_NODES | RELATIVE_NODES | BALANCING)
#define GET_NODE 1u /* MPOL_F_* */
#define GET_ADDRESS 2u
#define GET_ALLOWED 4u
#define MOVE_STRICT 1u /* MPOL_MF_* */
#define MOVE 2u
#define MOVE_ALL 4u
#define NODE_BITS 64u
#define MASK_BITS_MAX (PAGE_SIZE * 8)

/* ---- Sets of nodes ------------------------------------------------------------------------------------------------- */

/* `count` is one more than the bits that are there.  Nodes that no machine of this size has are -EINVAL. */
static int64_t nodes_from_guest(guest_t from, uint64_t count, uint64_t *out)
{
    *out = 0;
    if (count-- <= 1 || !from)
        return 0;
    if (count > MASK_BITS_MAX)
        return -EINVAL;
    for (uint64_t bit = 0; bit < count; bit += NODE_BITS) {
        uint64_t word;
        if (copy_in(&word, from + bit / 8, sizeof word) < 0)
            return -EFAULT;
        if (count - bit < NODE_BITS)
            word &= (1ull << (count - bit)) - 1;
        if (bit && word)
            return -EINVAL;
        *out |= word;
    }
    return 0;
}

static int64_t nodes_to_guest(guest_t to, uint64_t count, uint64_t nodes)
{
    const uint64_t none = 0;
    uint64_t size = (count - 1 + NODE_BITS - 1) / NODE_BITS * 8;
    if (size > PAGE_SIZE)
        return -EINVAL;
    for (uint64_t at = 0; at < size; at += sizeof nodes)
        if (copy_out(to + at, at ? &none : &nodes, sizeof nodes) < 0)
            return -EFAULT;
    return 0;
}

/* ---- Policies ------------------------------------------------------------------------------------------------------ */

/* mode with its flags, checked with its nodes: what is kept of it. */
static int64_t policy_of(uint32_t mode, uint64_t nodes, uint32_t *kept)
{
    uint32_t flags = mode & MODE_FLAGS;
    mode &= ~MODE_FLAGS;
    if (mode >= POLICIES || (flags & (STATIC_NODES | RELATIVE_NODES)) == (STATIC_NODES | RELATIVE_NODES) ||
        (flags & BALANCING && mode != BIND))
        return -EINVAL;
    if (mode == PREFERRED && !nodes)
        mode = flags ? POLICIES : LOCAL;
    if (mode == POLICIES || (mode == LOCAL && flags))
        return -EINVAL;
    if (mode == DEFAULT || mode == LOCAL) {
        if (nodes)
            return -EINVAL;
    } else if (!(flags & RELATIVE_NODES ? nodes : nodes & 1)) {
        return -EINVAL;
    }
    *kept = mode | (mode == DEFAULT ? 0 : flags);
    return 0;
}

static uint64_t nodes_of(uint32_t policy)
{
    uint32_t mode = policy & ~MODE_FLAGS;
    return mode == DEFAULT || mode == LOCAL ? 0 : 1;
}

int64_t sys_set_mempolicy(uint32_t mode, guest_t nodes, uint64_t count)
{
    uint64_t set;
    uint32_t policy;
    int64_t error = nodes_from_guest(nodes, count, &set);
    if (error == 0)
        error = policy_of(mode, set, &policy);
    if (error == 0)
        settings()->memory_policy = policy;
    return error;
}

/* In vma.flags: the mode, and one bit for each flag. */
static uint32_t pack(uint32_t policy)
{
    return (policy & 7) * VMA_POLICY_MODE | (policy & STATIC_NODES ? VMA_POLICY_STATIC : 0) |
           (policy & RELATIVE_NODES ? VMA_POLICY_RELATIVE : 0);
}

static uint32_t unpack(uint32_t flags)
{
    return (flags / VMA_POLICY_MODE & 7) | (flags & VMA_POLICY_STATIC ? STATIC_NODES : 0) |
           (flags & VMA_POLICY_RELATIVE ? RELATIVE_NODES : 0);
}

static bool set_policy(struct vma *vma, void *argument)
{
    vma->flags = (vma->flags & ~VMA_POLICY) | *(uint32_t *)argument;
    return true;
}

/* Caller holds mm.lock. */
static int64_t apply(guest_t start, guest_t end, uint32_t policy)
{
    uint32_t packed = pack(policy);
    for (guest_t at = start; at < end;) {
        const struct vma_node *node = vma_at(at);
        if (!node || node->vma.start > at || node->vma.flags & VMA_HIDDEN)
            return -EFAULT;
        at = node->vma.end;
    }
    int64_t error = vma_prepare();
    if (error == 0)
        vma_take(start, end, set_policy, &packed);
    return error;
}

int64_t sys_mbind(guest_t start, uint64_t size, uint32_t mode, guest_t nodes, uint64_t count, uint32_t flags)
{
    uint64_t set;
    uint32_t policy;
    int64_t error = nodes_from_guest(nodes, count, &set);
    if (error < 0)
        return error;
    if (flags & ~(MOVE_STRICT | MOVE | MOVE_ALL))
        return -EINVAL;
    if (flags & MOVE_ALL && current_process()->euid != 0)
        return -EPERM;
    guest_t end = start + PAGE_UP(size);
    if (start & PAGE_MASK || end < start)
        return -EINVAL;
    if (end == start)
        return 0;
    error = policy_of(mode, set, &policy);
    if (error < 0)
        return error;
    mm_lock();
    error = apply(start, end, policy);
    mm_unlock();
    return error;
}

int64_t sys_get_mempolicy(guest_t policy, guest_t nodes, uint64_t count, guest_t address, uint32_t flags)
{
    uint32_t found = settings()->memory_policy;
    struct vma vma;
    if (flags & ~(GET_NODE | GET_ADDRESS | GET_ALLOWED) || (nodes && !count))
        return -EINVAL;
    if (flags & GET_ALLOWED) {
        if (flags & (GET_NODE | GET_ADDRESS))
            return -EINVAL;
        if (policy && guest_store32(policy, 0) < 0)
            return -EFAULT;
        return nodes ? nodes_to_guest(nodes, count, 1) : 0;
    }
    if (!(flags & GET_ADDRESS) && address)
        return -EINVAL;
    if (flags & GET_ADDRESS) {
        if (!mm_find(address, &vma) || vma.flags & VMA_HIDDEN)
            return -EFAULT;
        found = vma.flags & VMA_POLICY ? unpack(vma.flags) : found;
        if (flags & GET_NODE && guest_load32(address) < 0) /* which node its page is on: it is made, if there is none */
            return -EFAULT;
    } else if (flags & GET_NODE && (found & ~MODE_FLAGS) != INTERLEAVE) {
        return -EINVAL;
    }
    if (policy && guest_store32(policy, flags & GET_NODE ? 0 : found) < 0)
        return -EFAULT;
    return nodes ? nodes_to_guest(nodes, count, nodes_of(found)) : 0;
}

int64_t sys_set_mempolicy_home_node(guest_t start, uint64_t size, uint64_t node, uint64_t flags)
{
    guest_t end = start + PAGE_UP(size);
    if (start & PAGE_MASK || flags || node || end < start)
        return -EINVAL;
    mm_lock();
    int64_t result = end == start ? 0 : -ENOENT;
    for (guest_t at = start; at < end;) {
        const struct vma_node *found = vma_at(at);
        if (!found || found->vma.start >= end)
            break;
        uint32_t mode = unpack(found->vma.flags) & 7;
        if (mode != DEFAULT && mode != BIND && mode != PREFERRED_MANY) {
            result = -EOPNOTSUPP;
            break;
        }
        result = mode == DEFAULT ? result : 0;
        at = found->vma.end;
    }
    mm_unlock();
    return result;
}

/* ---- Moving pages -------------------------------------------------------------------------------------------------- */

/* The process that is meant, and that the caller may change: 0, or -errno. */
static int64_t check_process(int32_t pid)
{
    const struct process *self = current_process();
    if (pid == 0)
        return 0;
    shared_lock();
    const struct shared_process *slot = shared_find(shared_id_process(pid));
    bool same = slot && (slot == self->shared || !self->euid || self->euid == slot->suid || self->euid == slot->uid ||
                         self->uid == slot->suid || self->uid == slot->uid);
    shared_unlock();
    return !slot ? -ESRCH : same ? 0 : -EPERM;
}

int64_t sys_migrate_pages(int32_t pid, uint64_t count, guest_t from, guest_t to)
{
    uint64_t old = 0, new = 0;
    int64_t error = nodes_from_guest(from, count, &old);
    if (error == 0)
        error = nodes_from_guest(to, count, &new);
    if (error == 0)
        error = check_process(pid);
    if (error < 0)
        return error;
    if (new & ~1ull && current_process()->euid != 0)
        return -EPERM;
    return new & 1 ? 0 : -EINVAL;
}

/* Where one page is, or why it can't be told: of the caller's own memory. */
static int32_t page_status(guest_t at)
{
    struct vma vma;
    if (!mm_find(PAGE_DOWN(at), &vma) || vma.flags & VMA_HIDDEN)
        return -EFAULT;
    return guest_load32(PAGE_DOWN(at)) < 0 ? -ENOENT : 0;
}

int64_t sys_move_pages(int32_t pid, uint64_t count, guest_t pages, guest_t nodes, guest_t status, uint32_t flags)
{
    if (flags & ~(MOVE | MOVE_ALL))
        return -EINVAL;
    if (flags & MOVE_ALL && current_process()->euid != 0)
        return -EPERM;
    int64_t error = check_process(pid);
    if (error < 0)
        return error;
    if (pid && pid != current_process()->pid)
        return -EPERM; /* nobody reaches another's memory */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page;
        int32_t node = 0;
        if (copy_in(&page, pages + i * sizeof page, sizeof page) < 0 ||
            (nodes && copy_in(&node, nodes + i * sizeof node, sizeof node) < 0))
            return -EFAULT;
        if (node != 0)
            return -ENODEV;
        if (guest_store32(status + i * sizeof node, (uint32_t)page_status(page)) < 0)
            return -EFAULT;
    }
    return 0;
}
