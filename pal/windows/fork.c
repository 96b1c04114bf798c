/* SPDX-License-Identifier: MIT */
/*
 * A fork by copying.  The parent writes what its child begins with into a section: block, handles, ranges, and all pages that are
 * not zero.  The child is this program again; it inherits the host's handles under their numbers, puts the rest in place,
 * and returns from process_fork with 0: all that its image is lies in the arena, the first stack and the guest's pages.
 */
#include "pal/windows/windows.h"

#define RECORD_PLACE 0x7ff100000000ull /* where both map the section, unless something is there */
#define VECTORS 8192u

/* What a record of the section says: header, then these, each with its bytes behind it. */
enum record_kind { RECORD_END, RECORD_RANGE, RECORD_PAGES, RECORD_BYTES, RECORD_VIEW };
struct record {
    uint64_t start, size;
    uint32_t kind, protection;
};

struct header {
    uint8_t vectors[VECTORS];
    struct pal_tcb tcb;
    uint64_t image_rsp, lot, bare;
    HANDLE segment;
    struct windows_handle handles[MOST_HANDLES];
    struct windows_root root;
    struct record first __attribute__((aligned(8)));
};

static char *at; /* in the section */

static void *put(uint64_t size)
{
    void *place = at;
    at += (size + 7) & ~7ull;
    return place;
}

static void put_record(uint32_t kind, uint64_t start, uint64_t size, uint32_t protection)
{
    *(struct record *)put(sizeof(struct record)) = (struct record){start, size, kind, protection};
}

/* ---- The parent -------------------------------------------------------------------------------------------------- */

static int is_zero(const uint64_t *page)
{
    for (uint32_t i = 0; i < PAL_PAGE_SIZE / sizeof *page; i += 4)
        if (page[i] | page[i + 1] | page[i + 2] | page[i + 3])
            return 0;
    return 1;
}

static void put_bytes(uint64_t start, uint64_t end)
{
    put_record(RECORD_BYTES, start, end - start, 0);
    memcpy(put(end - start), (const void *)start, end - start);
}

/* Runs of pages that are not zero. */
static void put_pages(uint64_t start, uint64_t end)
{
    for (uint64_t page = start, run; page < end; page += PAL_PAGE_SIZE) {
        if (is_zero((const uint64_t *)page))
            continue;
        for (run = page; page < end && !is_zero((const uint64_t *)page); page += PAL_PAGE_SIZE)
            ;
        put_bytes(run, page);
    }
}

static int64_t put_part(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    uint64_t start = (uint64_t)part->BaseAddress;
    DWORD old;
    (void)value;
    if (part->State != MEM_COMMIT)
        return 0;
    put_record(RECORD_PAGES, start, part->RegionSize, part->Protect);
    int hidden = part->Protect == PAGE_NOACCESS && VirtualProtect(part->BaseAddress, part->RegionSize, PAGE_READONLY, &old);
    put_pages(start, start + part->RegionSize);
    if (hidden)
        VirtualProtect(part->BaseAddress, part->RegionSize, PAGE_NOACCESS, &old);
    return 0;
}

static int64_t put_view(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    (void)value;
    if (part->State == MEM_COMMIT)
        put_record(RECORD_VIEW, (uint64_t)part->BaseAddress, part->RegionSize, part->Protect);
    return 0;
}

static int64_t count_view(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    (void)part, (void)value;
    put(sizeof(struct record));
    return 0;
}

static void count_bytes(uint64_t start, uint64_t end)
{
    put(sizeof(struct record));
    put(end - start);
}

static int64_t count_part(const MEMORY_BASIC_INFORMATION *part, DWORD value)
{
    (void)value;
    at += part->State == MEM_COMMIT ? part->RegionSize + 2 * sizeof(struct record) : 0;
    return 0;
}

/* Between two runs lies a page that is not written: so there are fewer records than pages, and room is always enough. */
static uint64_t size_of_all(int bare)
{
    at = NULL;
    memory_each_range(bare, count_part);
    memory_each_stack(count_part);
    view_each_bytes(count_bytes);
    view_each_part(count_view);
    return (uint64_t)at + sizeof(struct header) + memory_range_count() * sizeof(struct record) + PAL_PAGE_SIZE;
}

static void put_range(uint64_t start, uint64_t end)
{
    put_record(RECORD_RANGE, start, end - start, 0);
}

static void put_all(struct header *header, int bare)
{
    const struct windows_thread *thread = thread_of(current_tcb());
    header->tcb = *current_tcb();
    header->image_rsp = thread->image_rsp;
    header->lot = word_place();
    header->bare = (uint64_t)bare;
    header->segment = segment;
    header->root = path_root_get();
    handle_copy(header->handles);
    memcpy(header->vectors, (const void *)thread->vectors, MIN(thread->vector_size, VECTORS));
    at = (char *)&header->first;
    memory_ranges(bare, put_range);
    memory_each_range(bare, put_part);
    memory_each_stack(put_part);
    view_each_bytes(put_bytes);
    if (!bare)
        view_each_part(put_view);
    put_record(RECORD_END, 0, 0, 0);
}

static void *map_section(HANDLE section)
{
    void *place = MapViewOfFileEx(section, FILE_MAP_ALL_ACCESS, 0, 0, 0, (void *)RECORD_PLACE);
    return place ? place : MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 0);
}

/* Caller holds the locks of memory and handles, here and below. */
HANDLE fork_section(int bare)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    uint64_t size = size_of_all(bare);
    return CreateFileMappingW(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE, (DWORD)(size >> 32), (DWORD)size, NULL);
}

int64_t fork_copy(HANDLE section, int bare)
{
    struct header *header = map_section(section);
    if (!header)
        return -ENOMEM;
    threads_stop();
    put_all(header, bare);
    threads_go_on();
    UnmapViewOfFile(header);
    return 0;
}

/* ---- The child --------------------------------------------------------------------------------------------------- */

static void restore(const struct record *record, const char *bytes)
{
    switch (record->kind) {
    case RECORD_RANGE:
        if (memory_claim(record->start, record->start + record->size) < 0)
            die(EXIT_OWN_FAILURE, "a fork's child can't have its parent's memory", record->start);
        return;
    case RECORD_PAGES:
        if (!VirtualAlloc((void *)record->start, record->size, MEM_COMMIT, PAGE_READWRITE))
            die(EXIT_OWN_FAILURE, "no memory for a fork's child", record->start);
        return;
    case RECORD_BYTES:
        memcpy((void *)record->start, bytes, record->size);
        return;
    }
}

/* Once all bytes are there. */
static void protect(const struct record *record)
{
    DWORD old;
    if ((record->kind == RECORD_PAGES || record->kind == RECORD_VIEW) && record->protection != PAGE_READWRITE)
        VirtualProtect((void *)record->start, record->size, record->protection, &old);
}

static void for_all(struct header *header, int protecting)
{
    at = (char *)&header->first;
    for (struct record *record = put(sizeof *record); record->kind != RECORD_END; record = put(sizeof *record)) {
        const char *bytes = at;
        if (record->kind == RECORD_BYTES)
            put(record->size);
        if (protecting)
            protect(record);
        else
            restore(record, bytes);
    }
}

void fork_begin(HANDLE section)
{
    struct header *header = map_section(section);
    if (!header)
        die(EXIT_OWN_FAILURE, "a fork's child finds nothing of its parent", GetLastError());
    segment_map(header->segment);
    path_root_set(&header->root);
    handle_restore(header->handles);
    word_init(header->lot);
    for_all(header, 0);
    if (view_restore(header->bare != 0) < 0)
        die(EXIT_OWN_FAILURE, "a fork's child can't have its parent's shared memory", GetLastError());
    for_all(header, 1);
    thread_start_first(&header->tcb);
    struct windows_thread *thread = thread_of(current_tcb());
    current_tcb()->fs_base = header->tcb.fs_base;
    current_tcb()->interrupted = 0;
    thread->image_rsp = header->image_rsp;
    memcpy((void *)thread->vectors, header->vectors, MIN(thread->vector_size, VECTORS));
    UnmapViewOfFile(header);
    CloseHandle(section);
}
