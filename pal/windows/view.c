/* SPDX-License-Identifier: MIT */
/*
 * Memory that processes share: views of sections and files.  A view lies at a multiple of 64 KiB, of an object's part that begins at such
 * a one, and goes as a whole; so they have a part of the guest's range for themselves (pal_boot.views), where the image puts each into
 * places of 64 KiB of its own.  The table has a row for each run of pages that are still the guest's; the last of a view unmaps it.
 *
 * Callers hold the lock of memory.c, but for those that only look.
 */
#include "pal/windows/windows.h"

#define MOST_VIEWS 2048u
#define OBJECT_BIT 0x80000000u /* of an owner of words (word.c): processes have smaller numbers */

struct view {
    uint64_t start, end;  /* the guest's */
    uint64_t base, size;  /* of the view */
    uint64_t offset;      /* of its first byte in the object */
    HANDLE section;       /* inherited; NULL: the row is free */
    uint32_t object, writable;
};
static struct { uint64_t high; struct view rows[MOST_VIEWS]; } table; /* rows from high on were never used */
static struct view *const views = table.rows;

#define views_end (views + table.high)

static struct view *row_free(void)
{
    for (struct view *view = views; view < views_end; view++)
        if (!view->section)
            return view;
    return table.high < MOST_VIEWS ? &views[table.high++] : NULL;
}

static const struct view *find(uint64_t address)
{
    for (uint32_t i = 0; i < table.high; i++)
        if (views[i].section && address >= views[i].start && address < views[i].end)
            return &views[i];
    return NULL;
}

int view_overlaps(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < table.high; i++)
        if (views[i].section && views[i].start < end && views[i].end > start)
            return 1;
    return 0;
}

int view_has(uint64_t address)
{
    return find(address) != NULL;
}

int view_word(uint64_t address, uint64_t *offset, uint32_t *object)
{
    const struct view *view = address >= boot->views.start && address < boot->views.end ? find(address) : NULL;
    if (!view)
        return 0;
    *offset = view->offset + (address - view->base);
    *object = view->object;
    return 1;
}

/* ---- New ones ---------------------------------------------------------------------------------------------------- */

static int is_used(uint64_t base)
{
    for (uint32_t i = 0; i < table.high; i++)
        if (views[i].section && views[i].base == base)
            return 1;
    return 0;
}

static int64_t put_in_place(const struct view *view)
{
    if (!view->size)
        return 0;
    DWORD access = view->writable ? FILE_MAP_READ | FILE_MAP_WRITE : FILE_MAP_READ;
    void *at = MapViewOfFileEx(view->section, access, (DWORD)(view->offset >> 32), (DWORD)view->offset, view->size, (void *)view->base);
    return at ? 0 : GetLastError() == ERROR_NOT_ENOUGH_MEMORY ? -ENOMEM : -ENODEV;
}

static DWORD protection_bits(uint32_t protection, uint32_t writable)
{
    if (!(protection & (PAL_READ | PAL_WRITE | PAL_EXEC)))
        return PAGE_NOACCESS;
    return protection & PAL_WRITE && writable ? PAGE_READWRITE : PAGE_READONLY;
}

/* Behind the end of a file there is nothing to protect. */
static int64_t protect_part(const struct view *view, uint64_t start, uint64_t end, DWORD protection)
{
    DWORD old;
    start = MAX(start, view->start);
    end = MIN(MIN(end, view->end), view->base + view->size);
    return start >= end || VirtualProtect((void *)start, end - start, protection, &old) ? 0 : last_error();
}

/* What the view has beside the guest's part stays closed. */
static void protect_all(const struct view *view, uint32_t protection)
{
    DWORD old;
    if (view->size)
        VirtualProtect((void *)view->base, view->size, PAGE_NOACCESS, &old);
    protect_part(view, view->start, view->end, protection_bits(protection, view->writable));
}

static int64_t add(const struct view *view, uint32_t protection)
{
    struct view *row = row_free();
    int64_t error = row ? put_in_place(view) : -ENOMEM;
    if (error < 0) {
        CloseHandle(view->section);
        return error;
    }
    *row = *view;
    protect_all(row, protection);
    return 0;
}

int64_t view_commit(uint64_t address, uint64_t size, uint32_t protection)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    if (address % VIEW_GRANULARITY || view_overlaps(address, address + size))
        return -ENODEV;
    struct view view = {.start = address, .end = address + size, .base = address, .size = size, .writable = 1,
                        .object = OBJECT_BIT | word_object()};
    view.section = CreateFileMappingW(INVALID_HANDLE_VALUE, &inherited, PAGE_READWRITE, (DWORD)(size >> 32), (DWORD)size, NULL);
    return view.section ? add(&view, protection) : -ENOMEM;
}

static uint32_t object_of(HANDLE file)
{
    BY_HANDLE_FILE_INFORMATION info = {0};
    GetFileInformationByHandle(file, &info);
    return OBJECT_BIT | ((info.nFileIndexLow ^ info.nFileIndexHigh * 31 ^ info.dwVolumeSerialNumber * 17) + 1);
}

/* The file's section; of a part that is all behind its end, nothing but a handle for the row. */
static HANDLE file_section(const struct view *view, HANDLE file)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    if (!view->size)
        return CreateEventW(&inherited, FALSE, FALSE, NULL);
    return CreateFileMappingW(file, &inherited, view->writable ? PAGE_READWRITE : PAGE_READONLY, 0, 0, NULL);
}

/* Of what the file holds now: behind that there is nothing, also when it grows. */
int64_t view_file(uint64_t address, uint64_t size, uint32_t protection, const struct windows_handle *file, uint64_t offset)
{
    LARGE_INTEGER length;
    uint64_t before = offset % VIEW_GRANULARITY, from = offset - before;
    if ((address - before) % VIEW_GRANULARITY || view_overlaps(address, address + size) || !GetFileSizeEx(file->host, &length))
        return -ENODEV;
    uint64_t left = (uint64_t)length.QuadPart > from ? (uint64_t)length.QuadPart - from : 0;
    struct view view = {.start = address, .end = address + size, .base = address - before, .size = MIN(before + size, left),
                        .offset = from, .object = object_of(file->host), .writable = (file->flags & PAL_OPEN_WRITE) != 0};
    view.section = file_section(&view, file->host);
    return view.section ? add(&view, protection) : last_error();
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* The row's pages of [start, end) are no longer the guest's; with a hole in the middle it becomes two. */
static int64_t cut(struct view *view, uint64_t start, uint64_t end)
{
    struct view old = *view, *rest = NULL;
    if (start > old.start && end < old.end && !(rest = row_free()))
        return -ENOMEM;
    if (rest) {
        *rest = old;
        rest->start = end;
    }
    if (start > old.start)
        view->end = start;
    else if (end < old.end)
        view->start = end;
    else
        view->section = NULL;
    if (is_used(old.base))
        return protect_part(&old, start, end, PAGE_NOACCESS);
    if (old.size)
        UnmapViewOfFile((void *)old.base);
    CloseHandle(old.section);
    return 0;
}

int64_t view_release(uint64_t start, uint64_t end)
{
    int64_t error = 0;
    for (uint32_t i = 0; i < table.high && error == 0; i++)
        if (views[i].section && views[i].start < end && views[i].end > start)
            error = cut(&views[i], MAX(start, views[i].start), MIN(end, views[i].end));
    return error;
}

int64_t view_protect(uint64_t start, uint64_t end, uint32_t protection)
{
    int64_t error = 0;
    for (uint32_t i = 0; i < table.high && error == 0; i++) {
        if (views[i].section)
            error = protect_part(&views[i], start, end, protection_bits(protection, views[i].writable));
    }
    return error;
}

/* Their contents go, for all that share them. */
int64_t view_clear(uint64_t start, uint64_t end)
{
    const struct view *view = find(start);
    if (!view || end > view->end || !view->writable)
        return -EINVAL;
    end = MIN(end, view->base + view->size);
    DWORD old;
    if (start < end && VirtualProtect((void *)start, end - start, PAGE_READWRITE, &old)) {
        memset((void *)start, 0, end - start);
        VirtualProtect((void *)start, end - start, old, &old);
    }
    return 0;
}

/* ---- Forks ------------------------------------------------------------------------------------------------------- */

void view_each_bytes(void (*tell)(uint64_t start, uint64_t end))
{
    if (table.high)
        tell((uint64_t)&table, (uint64_t)views_end);
}

/* Each view once, by the first row that has it. */
static int is_first(const struct view *view)
{
    for (const struct view *other = views; other < view; other++)
        if (other->section && other->base == view->base)
            return 0;
    return view->section != NULL;
}

void view_each_part(int64_t (*step)(const MEMORY_BASIC_INFORMATION *, DWORD))
{
    MEMORY_BASIC_INFORMATION part;
    for (const struct view *view = views; view < views_end; view++)
        for (uint64_t at = view->base, end = at + view->size; is_first(view) && at < end && VirtualQuery((void *)at, &part, sizeof part);
             at = (uint64_t)part.BaseAddress + part.RegionSize)
            step(&part, 0);
}

/* In the child: the table is a copy, the sections' handles are inherited. */
int64_t view_restore(int bare)
{
    int64_t error = 0;
    for (struct view *view = views; view < views_end && error == 0 && !bare; view++)
        if (is_first(view))
            error = put_in_place(view);
    for (struct view *view = views_end; view-- > views && bare;)
        if (is_first(view))
            CloseHandle(view->section);
    if (bare)
        table.high = 0;
    return error;
}
