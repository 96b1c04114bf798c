/* SPDX-License-Identifier: MIT */
/*
 * What a program asks first when it starts is nearly always the same: its ld.so, the cache of libraries, the libraries.
 * shared->starts remembers it for the sandbox's programs, and each later start has the answers come with the program
 * (MONITOR_START).
 *
 * They belong to the thread that starts the program: nobody else may take one, as a fork in between would leave two
 * with one descriptor.  A bare fork gives them to the child; whatever the thread does next ends them.  They hold for a
 * short time only: the sandbox can't change what they tell, but the host can.
 */
#include <stdbool.h>

#include "pal/linux/linux.h"
#include "pal/hash.h"

#define PREFETCH_EXEC_CYCLES 250000000u /* about a tenth of a second */

struct prefetched_answer {
    const char *item; /* in prefetched.items; NULL: taken, and the handle is somebody's own now */
    pal_handle_t handle;
    int32_t result;
    struct pal_attributes attributes;
};

static struct {
    struct pal_tcb *owner; /* NULL: no exec in progress.  Only the owner looks at the rest */
    uint64_t program, begun;
    bool learns; /* what is asked now is remembered for later starts */
    uint32_t count;
    struct prefetched_answer answers[MONITOR_PREFETCH_MAX];
    char items[sizeof((struct linux_start *)0)->prefetched];
} prefetched;

static uint64_t hash(const char *bytes, uint32_t size) /* not 0 */
{
    uint64_t value = hash_bytes(bytes, size);
    return value ? value : 1;
}

static uint32_t text_size(const char *text)
{
    uint32_t size = 0;
    while (text[size])
        size++;
    return size;
}

static struct linux_start *start_of(uint64_t program)
{
    return (struct linux_start *)shared->starts + program % LINUX_STARTS;
}

static bool is_item(const char *item, uint32_t kind, const struct pal_name *name)
{
    return item[0] == (char)kind && text_size(item + 1) == name->size && !memcmp(item + 1, name->path, name->size);
}

/* ---- What is known of a program ---------------------------------------------------------------------------------- */

/* Copies its list: returns the size, 0 where nothing is known. */
static uint32_t copy_list(uint64_t program)
{
    struct linux_start *start = start_of(program);
    uint32_t size = 0;
    linux_lock(&shared->channel);
    if (start->program == program && start->size && start->size <= sizeof prefetched.items) {
        size = start->size;
        start->learnt = 1;
        memcpy(prefetched.items, start->prefetched, size);
        prefetched.items[size - 1] = 0;
    }
    linux_unlock(&shared->channel);
    return size;
}

/* The same without what is in a view by now. */
static uint32_t read_list(uint64_t program)
{
    uint32_t size = copy_list(program), used = 0;
    for (uint32_t at = 0, item; at < size; at += item) {
        item = text_size(prefetched.items + at) + 1;
        if (item > 2 && view_shows(prefetched.items + at + 1, item - 2))
            continue;
        for (uint32_t i = 0; i < item; i++) /* forward: they overlap */
            prefetched.items[used++] = prefetched.items[at + i];
    }
    return used;
}

/* True at a program's first start.  Another program's place is taken over. */
static bool begin_list(uint64_t program)
{
    struct linux_start *start = start_of(program);
    linux_lock(&shared->channel);
    if (start->program != program) {
        start->program = program;
        start->size = start->learnt = 0;
    }
    bool first = !start->learnt;
    linux_unlock(&shared->channel);
    return first;
}

/* Where the list has the item, or the list's end. */
static uint32_t find(const struct linux_start *start, uint32_t kind, const struct pal_name *name, uint32_t *count)
{
    uint32_t at = 0;
    for (*count = 0; at < start->size && !is_item(start->prefetched + at, kind, name); ++*count)
        at += text_size(start->prefetched + at) + 1;
    return at;
}

static void learn(uint32_t kind, const struct pal_name *name)
{
    struct linux_start *start = start_of(prefetched.program);
    uint32_t count, size = name->size + 2;
    linux_lock(&shared->channel);
    if (start->program == prefetched.program && !start->learnt && start->size <= sizeof start->prefetched) {
        uint32_t at = find(start, kind, name, &count);
        if (at == start->size && count < MONITOR_PREFETCH_MAX && size <= sizeof start->prefetched - at) {
            start->prefetched[at] = (char)kind;
            memcpy(start->prefetched + at + 1, name->path, name->size);
            start->prefetched[at + size - 1] = 0;
            start->size = at + size;
        }
    }
    linux_unlock(&shared->channel);
}

static void unlearn(const char *item)
{
    struct linux_start *start = start_of(prefetched.program);
    const struct pal_name name = {.path = item + 1, .size = text_size(item + 1)};
    uint32_t count, size = name.size + 2;
    linux_lock(&shared->channel);
    if (start->program == prefetched.program && start->size <= sizeof start->prefetched) {
        uint32_t at = find(start, (uint32_t)item[0], &name, &count);
        for (uint32_t i = at; i + size < start->size; i++)
            start->prefetched[i] = start->prefetched[i + size];
        if (at < start->size)
            start->size -= size;
    }
    linux_unlock(&shared->channel);
}

/* ---- Owners of answers ------------------------------------------------------------------------------------------- */

static bool is_mine(void)
{
    return __atomic_load_n(&prefetched.owner, __ATOMIC_RELAXED) == current_tcb();
}

static bool in_time(void)
{
    return __builtin_ia32_rdtsc() - prefetched.begun < PREFETCH_EXEC_CYCLES;
}

/* Closes what is left; if it should have been used by now, it is not prefetched again. */
static void drop(bool unwanted)
{
    for (uint32_t i = 0; i < prefetched.count; i++) {
        struct prefetched_answer *answer = &prefetched.answers[i];
        const char *item = answer->item;
        if (!item || answer->handle < 0)
            continue;
        __atomic_store_n(&answer->item, NULL, __ATOMIC_RELEASE); /* the number may be another's before a fork is done */
        host_call(close, answer->handle);
        if (unwanted && in_time())
            unlearn(item);
    }
    prefetched.count = 0;
    __atomic_store_n(&prefetched.owner, NULL, __ATOMIC_RELEASE);
}

static bool begin(void)
{
    struct pal_tcb *nobody = NULL;
    if (is_mine())
        drop(true);
    return __atomic_compare_exchange_n(&prefetched.owner, &nobody, current_tcb(), 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void prefetch_exec_leave(uint32_t bare)
{
    if (is_mine())
        drop(!bare);
}

void prefetch_exec_fork_child(void)
{
    if (prefetched.owner && !is_mine())
        drop(false); /* another thread's, which is not here */
}

/* ---- The answers ------------------------------------------------------------------------------------------------- */

static void keep(const struct pal_path_buffer *text, const pal_handle_t *handles)
{
    struct monitor_prefetch told;
    const char *item = prefetched.items;
    for (uint32_t at = 0; at + sizeof told <= text->size; at += sizeof told, item += text_size(item) + 1) {
        memcpy(&told, text->bytes + at, sizeof told);
        if (told.result == MONITOR_NOT_PREFETCHED)
            unlearn(item);
        else
            prefetched.answers[prefetched.count++] = (struct prefetched_answer){
                .item = item,
                .handle = told.result ? PAL_NO_HANDLE : *handles++,
                .result = told.result,
                .attributes = told.attributes};
    }
}

int64_t prefetch_exec_open(const struct pal_name *name, uint32_t flags, pal_handle_t *out,
                     struct pal_attributes *out_attributes, struct pal_path_buffer *escape)
{
    struct monitor_request request = {.flags = flags};
    struct monitor_reply reply;
    pal_handle_t handles[MONITOR_DESCRIPTORS];
    struct pal_name list = {.path = prefetched.items};
    bool mine = name_is_path(name) && begin();
    if (mine) {
        prefetched.program = hash(name->path, name->size);
        prefetched.begun = __builtin_ia32_rdtsc();
        list.size = read_list(prefetched.program);
        prefetched.learns = false;
    }
    int64_t result = -EMFILE;
    if (list.size) {
        request.op = MONITOR_START;
        result = monitor_call(&request, name, &list, &reply, escape, handles);
    }
    if (result == -EMFILE) { /* perhaps there is room for the program */
        list.size = request.other_size = 0;
        request.op = MONITOR_OPEN;
        result = monitor_call(&request, name, NULL, &reply, escape, handles);
    }
    if (result < 0) {
        prefetch_exec_leave(0);
        return result;
    }
    if (list.size && reply.attributes.type == PAL_TYPE_FILE) {
        keep(escape, handles + 1);
        escape->size = 0;
    } else if (mine) {
        prefetched.learns = begin_list(prefetched.program);
    }
    *out = handles[0];
    if (out_attributes)
        *out_attributes = reply.attributes;
    return 0;
}

int prefetch_exec_take(const struct pal_name *name, uint32_t kind, pal_handle_t *out,
                       struct pal_attributes *out_attributes, int64_t *result)
{
    if (!is_mine() || !prefetched.count)
        return 0;
    if (!in_time()) {
        drop(false);
        return 0;
    }
    for (uint32_t i = 0; i < prefetched.count; i++) {
        struct prefetched_answer *answer = &prefetched.answers[i];
        if (!answer->item || !is_item(answer->item, kind, name))
            continue;
        __atomic_store_n(&answer->item, NULL, __ATOMIC_RELEASE); /* a fork by another thread must not close it */
        if (!answer->result)
            *out = answer->handle;
        if (out_attributes && !answer->result)
            *out_attributes = answer->attributes;
        *result = answer->result;
        return 1;
    }
    return 0;
}

void prefetch_exec_note(const struct pal_name *name, uint32_t kind, int64_t result)
{
    if (is_mine() && prefetched.learns && in_time() && (result == 0 || result == -ENOENT))
        learn(kind, name);
}
