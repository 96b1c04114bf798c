/* SPDX-License-Identifier: MIT */
/*
 * The tree of mappings: a treap, cut and joined by address.  It knows nothing of the host.  Callers hold mm.lock.
 */
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"

#define NODES_FOR_A_CHANGE 3u /* two cuts and a new mapping */
#define SPARE_MAX 64u

struct mm mm;

/* ---- Nodes ---- */

int64_t vma_prepare(void)
{
    while (mm.spare_count < NODES_FOR_A_CHANGE) {
        struct vma_node *node = alloc(sizeof *node);
        if (!node)
            return -ENOMEM;
        node->right = mm.spare;
        mm.spare = node;
        mm.spare_count++;
    }
    return 0;
}

static struct vma_node *node_new(const struct vma *vma)
{
    static uint64_t count; /* of .bss, whose page is written anyway */
    uint64_t priority = ++count * 0x9e3779b97f4a7c15;
    struct vma_node *node = mm.spare;
    mm.spare = node->right;
    mm.spare_count--;
    priority ^= priority >> 32; /* splitmix64's, but for its last step */
    priority *= 0xbf58476d1ce4e5b9;
    priority ^= priority >> 29;
    *node = (struct vma_node){.vma = *vma, .low = vma->start, .high = vma->end, .priority = priority};
    return node;
}

static void node_free(struct vma_node *node)
{
    if (node->vma.file) {
        node->right = mm.dead;
        mm.dead = node;
    } else if (mm.spare_count < SPARE_MAX) {
        node->right = mm.spare;
        mm.spare = node;
        mm.spare_count++;
    } else {
        release(node);
    }
}

/* ---- The treap ---- */

static void update(struct vma_node *n)
{
    n->low = n->vma.start;
    n->high = n->vma.end;
    n->gap = 0;
    if (n->left) {
        n->low = n->left->low;
        n->gap = MAX(n->left->gap, n->vma.start - n->left->high);
    }
    if (n->right) {
        n->high = n->right->high;
        n->gap = MAX(n->gap, MAX(n->right->gap, n->right->low - n->vma.end));
    }
}

/* *left gets what starts before address, *right the rest. */
static void split(struct vma_node *n, guest_t address, struct vma_node **left, struct vma_node **right)
{
    if (!n) {
        *left = *right = NULL;
    } else if (n->vma.start < address) {
        split(n->right, address, &n->right, right);
        *left = n;
        update(n);
    } else {
        split(n->left, address, left, &n->left);
        *right = n;
        update(n);
    }
}

static struct vma_node *join(struct vma_node *left, struct vma_node *right)
{
    if (!left || !right)
        return left ? left : right;
    if (left->priority > right->priority) {
        left->right = join(left->right, right);
        update(left);
        return left;
    }
    right->left = join(left, right->left);
    update(right);
    return right;
}

static struct vma_node *insert(struct vma_node *n, struct vma_node *new)
{
    if (!n)
        return new;
    if (new->priority > n->priority) {
        split(n, new->vma.start, &new->left, &new->right);
        update(new);
        return new;
    }
    if (new->vma.start < n->vma.start)
        n->left = insert(n->left, new);
    else
        n->right = insert(n->right, new);
    update(n);
    return n;
}

/* After the mapping that starts at `start` has changed its size. */
static void refresh(struct vma_node *n, guest_t start)
{
    if (start < n->vma.start)
        refresh(n->left, start);
    else if (start > n->vma.start)
        refresh(n->right, start);
    update(n);
}

struct vma_node *vma_at(guest_t address)
{
    struct vma_node *found = NULL;
    for (struct vma_node *n = mm.root; n;) {
        if (n->vma.end > address) {
            found = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return found;
}

struct vma_node *vma_below(guest_t address)
{
    struct vma_node *found = NULL;
    for (struct vma_node *n = mm.root; n;) {
        if (n->vma.start < address) {
            found = n;
            n = n->right;
        } else {
            n = n->left;
        }
    }
    return found;
}

bool vma_is_free(guest_t start, guest_t end)
{
    const struct vma_node *node = vma_at(start);
    return !node || node->vma.start >= end;
}

int64_t vma_each(struct vma_node *node, int64_t (*visit)(const struct vma *vma, void *argument), void *argument)
{
    for (; node; node = node->right) {
        int64_t result = vma_each(node->left, visit, argument);
        if (!result)
            result = visit(&node->vma, argument);
        if (result)
            return result;
    }
    return 0;
}

/* ---- Changes ---- */

static void count_in(const struct vma *vma)
{
    mm.count++;
    mm.bytes += vma->flags & VMA_HIDDEN ? 0 : vma->end - vma->start;
    mm.hidden += (vma->flags & VMA_HIDDEN) != 0;
    mm.locked += vma->flags & MAP_LOCKED ? vma->end - vma->start : 0;
    mm.data += vma_is_data(vma) ? vma->end - vma->start : 0;
}

static void count_out(const struct vma *vma)
{
    mm.count--;
    mm.bytes -= vma->flags & VMA_HIDDEN ? 0 : vma->end - vma->start;
    mm.hidden -= (vma->flags & VMA_HIDDEN) != 0;
    mm.locked -= vma->flags & MAP_LOCKED ? vma->end - vma->start : 0;
    mm.data -= vma_is_data(vma) ? vma->end - vma->start : 0;
}

/* As the host merges its own: so that a mapping made in pieces can be moved as one. */
static bool can_merge(const struct vma *a, const struct vma *b)
{
    if (a->end != b->start || a->protection != b->protection || a->flags != b->flags || a->file != b->file ||
        a->name != b->name || (a->flags & (MAP_GROWSDOWN | VMA_HIDDEN)))
        return false;
    if (a->file)
        return a->offset + (a->end - a->start) == b->offset;
    return !(a->flags & MAP_SHARED);
}

static void remove_one(struct vma_node *node)
{
    struct vma_node *left, *middle, *right;
    split(mm.root, node->vma.start, &left, &middle);
    split(middle, node->vma.end, &middle, &right);
    mm.root = join(left, right);
    count_out(&node->vma);
    node_free(node);
}

void vma_add(const struct vma *vma)
{
    struct vma_node *before = vma_below(vma->start), *after = vma_at(vma->end);
    bool with_before = before && can_merge(&before->vma, vma), with_after = after && can_merge(vma, &after->vma);
    if (!with_before && !with_after) {
        mm.root = insert(mm.root, node_new(vma));
        count_in(vma);
        return;
    }
    struct vma whole = *vma;
    if (with_after) {
        whole.end = after->vma.end;
        remove_one(after);
    }
    if (with_before) {
        count_out(&before->vma);
        before->vma.end = whole.end;
        count_in(&before->vma);
        refresh(mm.root, before->vma.start);
        if (vma->file) /* never the last: `before` has one */
            file_put(vma->file);
    } else {
        mm.root = insert(mm.root, node_new(&whole));
        count_in(&whole);
    }
}

static void cut(guest_t address)
{
    struct vma_node *node = vma_below(address);
    if (!node || node->vma.end <= address)
        return;
    struct vma rest = node->vma;
    rest.start = address;
    if (rest.file) {
        rest.offset += address - node->vma.start;
        file_ref(rest.file);
    }
    count_out(&node->vma);
    node->vma.end = address;
    count_in(&node->vma);
    refresh(mm.root, node->vma.start);
    mm.root = insert(mm.root, node_new(&rest));
    count_in(&rest);
}

static void put_back(struct vma_node *node, bool (*visit)(struct vma *vma, void *argument), void *argument)
{
    while (node) {
        struct vma_node *next = node->right;
        put_back(node->left, visit, argument);
        struct vma vma = node->vma;
        if (visit && visit(&vma, argument)) {
            node->vma.file = NULL; /* the reference moves */
            node_free(node);
            vma_add(&vma);
        } else {
            node_free(node);
        }
        node = next;
    }
}

static int64_t count_out_each(const struct vma *vma, void *argument)
{
    (void)argument;
    count_out(vma);
    return 0;
}

void vma_take(guest_t start, guest_t end, bool (*visit)(struct vma *vma, void *argument), void *argument)
{
    struct vma_node *left, *middle, *right;
    cut(start);
    cut(end);
    split(mm.root, start, &left, &middle);
    split(middle, end, &middle, &right);
    mm.root = join(left, right);
    vma_each(middle, count_out_each, NULL);
    put_back(middle, visit, argument);
}

void vma_clear(void)
{
    vma_take(0, UINT64_MAX, NULL, NULL);
}

/* ---- Free ranges ---- */

/* Free space in [low, high), of which only this subtree's mappings take any. */
static bool may_hold(const struct vma_node *n, guest_t low, guest_t high, uint64_t size)
{
    return n->gap >= size || (n->low > low && n->low - low >= size) || (high > n->high && high - n->high >= size);
}

static guest_t highest(const struct vma_node *n, guest_t low, guest_t high, uint64_t size)
{
    if (high <= low || high - low < size)
        return 0;
    if (!n)
        return high - size;
    if (!may_hold(n, low, high, size))
        return 0;
    guest_t found = highest(n->right, MAX(low, n->vma.end), high, size);
    return found ? found : highest(n->left, low, MIN(high, n->vma.start), size);
}

static guest_t lowest(const struct vma_node *n, guest_t low, guest_t high, uint64_t size)
{
    if (high <= low || high - low < size)
        return 0;
    if (!n)
        return low;
    if (!may_hold(n, low, high, size))
        return 0;
    guest_t found = lowest(n->left, low, MIN(high, n->vma.start), size);
    return found ? found : lowest(n->right, MAX(low, n->vma.end), high, size);
}

guest_t vma_highest_gap(guest_t low, guest_t high, uint64_t size)
{
    return highest(mm.root, low, high, size);
}

guest_t vma_lowest_gap(guest_t low, guest_t high, uint64_t size)
{
    return lowest(mm.root, low, high, size);
}
