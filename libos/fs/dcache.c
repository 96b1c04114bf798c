/* SPDX-License-Identifier: MIT */
/*
 * The lookup cache: attributes, "no such file", contents of symlinks, paths without symlinks.
 *
 * They lie in the shared segment, for all processes of the sandbox.  An answer is asked for `WORTH` times before the
 * host is told to watch what it depends on, which costs several plain requests; one that didn't hold needs more the
 * next time.  At each use the host says whether the answer still is right: nothing here goes by time or by trust.
 *
 * No locks: an entry's sequence is odd while it is written, and a reader looks twice.  A writer that dies leaves its
 * entry odd for ever, which costs that entry.
 */
#include "libos/syscalls.h"
#include "libos/fs/vfs.h"
#include "libos/task/table.h"

#define WAYS 4u
#define WORTH 8u
#define REFUSED 15u    /* asked for in vain: it can't be kept */
#define LOST_MAX 3u   /* then an answer is worth keeping after WORTH << LOST_MAX requests */
#define ADMITTED 8u    /* one in so many replaces an answer that still is right: else a long round would keep none */

struct dentry {
    uint32_t sequence, hash;
    uint32_t waits; /* requests until it is worth keeping again */
    uint16_t path_size, text_size;
    int16_t result;
    uint8_t kind, lost; /* lost: how often it turned out not to hold */
    struct pal_validity validity;
    struct pal_attributes attributes;
    uint64_t device, inode; /* of the directory that the name begins at; 0: a path */
    char bytes[512 - 40 - sizeof(struct pal_validity) - sizeof(struct pal_attributes)]; /* name, text */
};
_Static_assert(sizeof(struct dentry) == 512, "entries don't share cache lines");

/* What was asked. */
enum { KIND_NOFOLLOW = 1, KIND_READ = 2 };
struct question {
    const struct name *name;
    const char *bytes; /* the name alone: what it begins at may be called otherwise by now.  Of an object itself, what
                          it was called: a file may have several names */
    uint32_t size, kind, hash;
    uint64_t device, inode;
};

static struct dentry *entries; /* DCACHE_SETS * WAYS */
static struct dcache_state *state;

uint64_t dcache_init(uint64_t at, uint64_t end)
{
    (void)end;
    entries = (struct dentry *)(uintptr_t)at;
    state = shared_dcache();
    return at + DCACHE_SETS * WAYS * sizeof *entries;
}

void dcache_mapped(void)
{
    if (!atomic_get(&state->mapped))
        atomic_set(&state->mapped, 1u);
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const char *bytes, size_t size, uint64_t kind)
{
    uint64_t hash = kind + 1, word = 0;
    for (; size >= 8; size -= 8, bytes += 8) {
        __builtin_memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    for (word = 0; size; size--)
        word = word << 8 | (uint8_t)bytes[size - 1];
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

static struct question question_of(const struct name *name, bool reads)
{
    uint32_t base = name->base && !name_is_base(name) ? name->base_size : 0;
    struct question question = {.name = name,
                                .bytes = name->path.bytes + base,
                                .size = name->path.size - base,
                                .kind = (name->nofollow ? KIND_NOFOLLOW : 0) | (reads ? KIND_READ : 0)};
    if (name->base) {
        question.device = name->from.device;
        question.inode = name->from.inode;
    }
    question.hash = hash_of(question.bytes, question.size, question.kind ^ question.inode << 8 ^ question.device << 40);
    return question;
}

/* An object that is known neither by a name nor by its inode. */
static bool is_anybodys(const struct question *question) { return !question->size && !question->inode; }

static struct dentry *set_of(const struct question *question)
{
    return &entries[question->hash % DCACHE_SETS * WAYS];
}

/* Most programs keep little: so the entries' pages are touched only where there is something. */
static uint64_t *used_word(const struct question *question)
{
    return &state->used[question->hash % DCACHE_SETS / 64];
}

static uint64_t used_bit(const struct question *question)
{
    return 1ull << question->hash % 64;
}

static bool is_same(const struct dentry *entry, const struct question *question)
{
    const char *a = entry->bytes, *b = question->bytes;
    uint32_t size = question->size;
    if (entry->hash != question->hash || entry->kind != question->kind || entry->path_size != size ||
        size > sizeof entry->bytes || entry->inode != question->inode || entry->device != question->device)
        return false;
    for (; size >= 8; size -= 8, a += 8, b += 8) {
        uint64_t x, y;
        __builtin_memcpy(&x, a, 8);
        __builtin_memcpy(&y, b, 8);
        if (x != y)
            return false;
    }
    return memcmp(a, b, size) == 0;
}

/* ---- Looking up -------------------------------------------------------------------------------------------------- */

static bool still_holds(const struct pal_validity *validity, uint32_t type)
{
    if (validity->parts & PAL_VALID_WRITABLE && type == PAL_TYPE_FILE && atomic_get(&state->mapped))
        return false;
    return validity->parts && PAL->name_revalidate(validity) == 1;
}

/* It didn't hold: it is not asked about again until it is kept anew. */
static void lose(struct dentry *entry, uint32_t sequence)
{
    if (!atomic_replace32(&entry->sequence, sequence, sequence + 1))
        return;
    if (entry->validity.parts && entry->lost < LOST_MAX)
        entry->lost++;
    entry->validity.parts = 0;
    entry->waits = WORTH << entry->lost;
    atomic_set(&entry->sequence, sequence + 2);
}

/* The answer's result, copied out whole, or DCACHE_MISS. */
static int64_t look_up(const struct question *question, struct pal_attributes *attributes, struct pal_path_buffer *text)
{
    struct dentry *set = set_of(question);
    if (is_anybodys(question) || !(atomic_get(used_word(question)) & used_bit(question)))
        return DCACHE_MISS;
    for (uint32_t way = 0; way < WAYS; way++) {
        struct dentry *entry = &set[way];
        uint32_t sequence = atomic_get(&entry->sequence);
        if (sequence & 1 || !is_same(entry, question))
            continue;
        struct pal_validity validity = entry->validity;
        int64_t result = entry->result;
        if (attributes)
            *attributes = entry->attributes;
        if (text) {
            text->size = MIN(entry->text_size, sizeof entry->bytes - question->size);
            memcpy(text->bytes, entry->bytes + question->size, text->size);
            text->bytes[text->size] = 0;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (atomic_get(&entry->sequence) != sequence || !validity.parts)
            return DCACHE_MISS;
        if (LIKELY(still_holds(&validity, attributes && !result ? attributes->type : 0)))
            return result;
        lose(entry, sequence);
        break;
    }
    return DCACHE_MISS;
}

/* ---- Keeping ----------------------------------------------------------------------------------------------------- */

/*
 * Counts requests for a name.  One that comes between takes the place of another: so a long round of names, each looked
 * at now and then, costs no more than the requests.
 */
static uint16_t *cell_of(const struct question *question, uint16_t *tag)
{
    *tag = (uint16_t)(question->hash >> 16 & 0xfff0);
    return &state->asked[question->hash % DCACHE_ASKED];
}

static uint32_t count_request(const struct question *question)
{
    uint16_t tag, *cell = cell_of(question, &tag), was = __atomic_load_n(cell, __ATOMIC_RELAXED);
    uint32_t count = (was & 0xfff0) == tag ? was & 0xf : 0;
    if (count == REFUSED)
        return 0;
    count = MIN(count + 1, REFUSED - 1);
    __atomic_store_n(cell, (uint16_t)(tag | count), __ATOMIC_RELAXED); /* a lost update does no harm */
    return count;
}

static void refuse(const struct question *question)
{
    uint16_t tag, *cell = cell_of(question, &tag);
    __atomic_store_n(cell, (uint16_t)(tag | REFUSED), __ATOMIC_RELAXED);
}

/* Where an answer could be kept, once it has been asked for often enough; else NULL. */
static struct dentry *room_for(const struct question *question)
{
    struct dentry *set = set_of(question), *free = NULL;
    if (LIKELY(count_request(question) < WORTH) || question->size > sizeof set->bytes || is_anybodys(question))
        return NULL;
    for (uint32_t way = 0; way < WAYS; way++) {
        struct dentry *entry = &set[way];
        if (atomic_get(&entry->sequence) & 1)
            continue;
        if (is_same(entry, question)) {
            if (!entry->waits)
                return entry;
            entry->waits--;
            return NULL;
        }
        if (!entry->validity.parts)
            free = entry;
    }
    for (uint32_t way = 0; way < WAYS && !free; way++)
        if (!(atomic_get(&set[way].sequence) & 1) && PAL->name_revalidate(&set[way].validity) != 1)
            free = &set[way];
    if (!free && __atomic_fetch_add(&state->turn, 1, __ATOMIC_RELAXED) % ADMITTED == 0)
        free = &set[question->hash / DCACHE_SETS % WAYS];
    return free;
}

static void keep(struct dentry *entry, const struct question *question, int64_t result,
                 const struct pal_validity *validity, const struct pal_attributes *attributes, const struct pal_path_buffer *text)
{
    uint32_t path_size = question->size, text_size = text && result >= 0 ? text->size : 0;
    uint32_t sequence = atomic_get(&entry->sequence);
    if (validity->parts == PAL_VALID_LATER)
        return;
    if (!(validity->parts & PAL_VALID) || path_size + text_size > sizeof entry->bytes) {
        refuse(question);
        return;
    }
    if (sequence & 1 || !atomic_replace32(&entry->sequence, sequence, sequence + 1))
        return;
    if (!is_same(entry, question))
        entry->lost = 0;
    entry->waits = 0;
    entry->hash = question->hash;
    entry->kind = (uint8_t)question->kind;
    entry->device = question->device;
    entry->inode = question->inode;
    entry->path_size = (uint16_t)path_size;
    entry->text_size = (uint16_t)text_size;
    entry->result = (int16_t)result;
    entry->validity = *validity;
    if (attributes && result >= 0)
        entry->attributes = *attributes;
    memcpy(entry->bytes, question->bytes, path_size);
    if (text_size)
        memcpy(entry->bytes + path_size, text->bytes, text_size);
    atomic_set(&entry->sequence, sequence + 2);
    if (!(atomic_get(used_word(question)) & used_bit(question)))
        atomic_or(used_word(question), used_bit(question));
}

/* ---- What others ask --------------------------------------------------------------------------------------------- */

static int64_t ask_attributes(const struct question *question, struct dentry *room, uint64_t later,
                              struct pal_attributes *out, struct pal_path_buffer *escape)
{
    struct pal_validity validity = {.parts = later};
    struct pal_name asked = name_asked(question->name);
    asked.validity = room ? &validity : NULL;
    int64_t result = PAL->attributes_get(PAL_NO_HANDLE, &asked, out, escape);
    if (room)
        keep(room, question, result, &validity, out, NULL);
    return result;
}

int64_t host_name_attributes(struct name *name, struct pal_attributes *out, struct pal_path_buffer *escape)
{
    struct question question = question_of(name, false);
    int64_t result = look_up(&question, out, NULL);
    if (LIKELY(result != DCACHE_MISS))
        return result;
    struct dentry *room = room_for(&question);
    if (name_is_base(name) && (!room || name->base->type != PAL_TYPE_DIRECTORY))
        return file_attributes(name->base, out); /* its handle tells, without the monitor */
    return ask_attributes(&question, room, PAL_VALID_LATER, out, escape);
}

int64_t dcache_attributes(const struct name *name, struct pal_attributes *out)
{
    if (UNLIKELY(name_is_base(name)))
        return DCACHE_MISS;
    struct question question = question_of(name, false);
    return look_up(&question, out, NULL);
}

int64_t dcache_attributes_ask(const struct name *name, struct pal_attributes *out)
{
    if (UNLIKELY(name_is_base(name)))
        return DCACHE_MISS;
    struct question question = question_of(name, false);
    struct dentry *room = room_for(&question);
    return room ? ask_attributes(&question, room, 0, out, NULL) : DCACHE_MISS;
}

int64_t host_name_read(struct name *name, struct pal_path_buffer *out)
{
    struct question question = question_of(name, true);
    int64_t result = look_up(&question, NULL, out);
    if (result != DCACHE_MISS)
        return result;
    struct pal_validity validity = {.parts = 0};
    struct dentry *room = room_for(&question);
    struct pal_name asked = name_asked(name);
    asked.validity = room ? &validity : NULL;
    result = PAL->name_read(&asked, out);
    if (room)
        keep(room, &question, result, &validity, NULL, out);
    return result;
}
