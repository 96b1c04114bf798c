/* SPDX-License-Identifier: MIT */
/*
 * What is written of a process that dies by a signal with a core action, where somebody outside wants it: an ELF core, as
 * core(5) has it.  With PAL_CORE_STACK its memory is the stack that it dies on, enough to tell where that was; with
 * PAL_CORE_ALL all its threads and what could not be read from files again.
 *
 * It is a guest's word, as its memory is: only a confined reader, or a debugger of the user's choice, believes it.
 */
#include "libos/abi/core.h"
#include "libos/abi/elf.h"
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/process/process.h"
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define DUMPING                                                                                                       \
    (BIT(SIGQUIT) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGABRT) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGSEGV) |           \
     BIT(SIGXCPU) | BIT(SIGXFSZ) | BIT(SIGSYS))
#define PIECE 65536u
#define MAPPINGS_MAX 65000u     /* segments that an ELF header can count, and the notes */
#define STACK_MAX (8ull << 20)  /* of PAL_CORE_STACK */
#define RED_ZONE 128u
#define CONSTANTS_MAX (16ull << 20) /* private mappings of files that can't be written now, but may have been */
#define ALL_MAX (16ull << 30)   /* address space that is looked through */
#define AUXV_MAX 1024u
/* x87, SSE and AVX, which lie where they do on all processors; where others lie gdb has to guess. */
#define XSAVE_AVX 7u
#define XSAVE_SSE_SIZE 576u
#define XSAVE_AVX_SIZE 832u
#define THREADS_MORE 64u        /* made meanwhile */
#define THREADS_PATIENCE 10000000000ull /* ns */

struct mapping {
    guest_t start, end;
    uint64_t offset, contents, name; /* contents: bytes from the start that are written; name: where, in the names; 0: none */
    uint32_t flags;                  /* PF_* */
};

struct core_thread {
    int tid;
    uint64_t held, pending;
    struct user_regs regs;
};

struct core {
    pal_handle_t handle;
    int32_t signal;
    const struct siginfo *info;
    bool all;
    /* The first is the one that dies.  Those that leave take places, and count themselves when theirs is filled.  Atomic. */
    struct core_thread *threads;
    uint8_t *vectors; /* an XSAVE area for each */
    uint64_t vectors_size, features;
    uint32_t places, taken, told;
    guest_t stack;
    struct mapping *mappings;
    uint32_t count, room, files;
    char *names; /* the first byte is none's */
    uint64_t names_size, names_room;
    uint64_t looked, most; /* most: bytes of the file, RLIMIT_FSIZE */
    uint8_t *notes;
    uint64_t notes_size;
    int64_t error;
};

/* ---- Mappings ---------------------------------------------------------------------------------------------------- */

/* A file's first page tells which file it was. */
static uint64_t first_page(const struct vma *vma)
{
    return vma->file && !vma->offset && vma->protection & PROT_READ ? PAGE_SIZE : 0;
}

static uint64_t contents_of_stack(const struct core *core, const struct vma *vma, guest_t *start)
{
    if (core->stack < vma->end && core->stack + PAGE_SIZE > vma->start) {
        *start = MAX(vma->start, PAGE_DOWN(core->stack - RED_ZONE));
        return MIN(vma->end - *start, STACK_MAX);
    }
    return vma->name && !strcmp(vma->name, "[vdso]") ? vma->end - vma->start : first_page(vma);
}

/* What Linux writes by default: no text and no shared pages of files, which are there to be read, but their first page. */
static uint64_t contents_of_all(struct core *core, const struct vma *vma)
{
    uint64_t size = vma->end - vma->start;
    uint64_t first = first_page(vma);
    if (!(vma->protection & PROT_READ))
        return 0;
    if (vma->file && (vma->flags & MAP_TYPE) != MAP_PRIVATE)
        return first;
    if (vma->file && !(vma->protection & PROT_WRITE) && (vma->protection & PROT_EXEC || size > CONSTANTS_MAX))
        return first;
    if (size > ALL_MAX - core->looked)
        return first;
    core->looked += size;
    return size;
}

static uint64_t name_add(struct core *core, const char *path)
{
    uint64_t at = core->names_size, size = strlen(path) + 1;
    if (size > core->names_room - at)
        return 0;
    memcpy(core->names + at, path, size);
    core->names_size += size;
    core->files++;
    return at;
}

static int64_t count_mapping(const struct vma *vma, void *argument)
{
    struct core *core = argument;
    core->room++;
    core->names_room += vma->file && vma->file->path ? strlen(vma->file->path) + 1 : 0;
    return 0;
}

static int64_t add_mapping(const struct vma *vma, void *argument)
{
    struct core *core = argument;
    if (core->count == core->room)
        return 1;
    guest_t start = vma->start;
    uint64_t contents = core->all ? contents_of_all(core, vma) : contents_of_stack(core, vma, &start);
    uint32_t p = vma->protection;
    core->mappings[core->count++] = (struct mapping){
        .start = start, .end = vma->end, .offset = vma->offset + (start - vma->start), .contents = contents,
        .name = vma->file && vma->file->path ? name_add(core, vma->file->path) : 0,
        .flags = (p & PROT_READ ? PF_R : 0) | (p & PROT_WRITE ? PF_W : 0) | (p & PROT_EXEC ? PF_X : 0)};
    return 0;
}

/* Other threads may still be changing them: what has come since the first look is left out. */
static bool find_mappings(struct core *core)
{
    core->names_room = core->names_size = 1;
    mm_for_each(count_mapping, core);
    core->room = MIN(core->room, MAPPINGS_MAX);
    core->mappings = alloc(core->room * sizeof *core->mappings);
    core->names = alloc_zero(core->names_room);
    if (!core->mappings || !core->names)
        return false;
    mm_for_each(add_mapping, core);
    return true;
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static void tell(struct core *core)
{
    struct thread *thread = current();
    uint32_t place = atomic_add(&core->taken, 1u) - 1;
    if (place < core->places) {
        struct core_thread *to = &core->threads[place];
        to->held = thread->blocked;
        to->pending = atomic_get(&thread->pending);
        trace_registers(&to->regs, current_frame(), thread->stepped);
        vector_state_get(core->vectors + place * core->vectors_size, core->vectors_size, core->features);
        atomic_set(&to->tid, thread->tid);
    }
    atomic_add(&core->told, 1u);
}

/* Its memory is written next: it does nothing any more, and ends with its picoprocess. */
void core_thread_waits(struct core *core)
{
    uint32_t never = 0;
    tell(core);
    PAL->wake((uint64_t)(uintptr_t)&core->told, 1, 0);
    for (;;) {
        PAL->wait((uint64_t)(uintptr_t)&never, 0, PAL_FOREVER, 0);
        atomic_set(&tcb()->interrupted, 0u);
    }
}

static bool threads_waited(const struct process *process, struct core *core, uint64_t until)
{
    uint32_t told = atomic_get(&core->told);
    if (told >= atomic_get(&process->thread_count))
        return true;
    int64_t error = PAL->wait((uint64_t)(uintptr_t)&core->told, told, until, 0);
    atomic_set(&tcb()->interrupted, 0u);
    return error == -ETIMEDOUT; /* some thread does not come: the host keeps it somewhere */
}

/* All threads but those of virtual children, whose parents' play them. */
static void await_threads(struct core *core)
{
    struct process *process = current_process();
    uint64_t until = time_now(PAL_CLOCK_MONOTONIC) + THREADS_PATIENCE;
    mutex_lock(&process->lock);
    for (struct thread *thread = process->threads; thread; thread = thread->next)
        if (thread != current() && thread->tcb)
            PAL->thread_interrupt(thread->tcb);
    mutex_unlock(&process->lock);
    while (!threads_waited(process, core, until))
        ;
}

/* ---- Notes ------------------------------------------------------------------------------------------------------- */

/* Room for a note's contents, which are zeros.  What Linux alone has is named by it. */
static void *note_add(struct core *core, uint32_t type, uint64_t size)
{
    struct elf_note note = {.name_size = 5, .size = (uint32_t)size, .type = type, .name = "CORE"};
    if (type == NT_X86_XSTATE)
        memcpy(note.name, "LINUX", note.name_size = 6);
    uint8_t *at = core->notes + core->notes_size;
    memcpy(at, &note, sizeof note);
    core->notes_size += sizeof note + (size + 3) / 4 * 4;
    return at + sizeof note;
}

#define NOTE_SIZE(size) (sizeof(struct elf_note) + ((size) + 3) / 4 * 4)

static uint64_t file_note_size(const struct core *core)
{
    return (2 + 3 * (uint64_t)core->files) * sizeof(uint64_t) + core->names_size;
}

/* What a reader takes at any address has the alignment of a byte. */
static void put_status(struct core *core, const struct core_thread *thread)
{
    struct shared_process *slot = current_process()->shared;
    struct prstatus status = {
        .signo = core->signal, .code = core->info->code, .error = core->info->error, .current = (int16_t)core->signal,
        .pending = thread->pending, .held = thread->held, .pid = thread->tid, .ppid = (int32_t)slot->ppid,
        .pgrp = (int32_t)slot->pgid, .sid = (int32_t)slot->sid, .regs = thread->regs, .fp_valid = 1};
    memcpy(note_add(core, NT_PRSTATUS, sizeof status), &status, sizeof status);
}

static void put_process(struct core *core)
{
    const struct process *process = current_process();
    struct mm_facts mm;
    struct prpsinfo info = {
        .sname = 'R', .uid = process->uid, .gid = process->gid, .pid = process->pid, .ppid = (int32_t)process->shared->ppid,
        .pgrp = (int32_t)process->shared->pgid, .sid = (int32_t)process->shared->sid};
    memcpy(info.fname, current()->name, sizeof info.fname);
    mm_facts_get(&mm);
    uint64_t size = mm.arg_end > mm.arg_start ? MIN(mm.arg_end - mm.arg_start, sizeof info.arguments - 1) : 0;
    size = copy_in_some(info.arguments, mm.arg_start, size);
    for (uint64_t i = 0; i + 1 < size; i++)
        if (!info.arguments[i])
            info.arguments[i] = ' ';
    memcpy(note_add(core, NT_PRPSINFO, sizeof info), &info, sizeof info);
    memcpy(note_add(core, NT_SIGINFO, SIGINFO_SIZE), core->info, sizeof *core->info);
    uint64_t auxv = MIN(mm.auxv_size, AUXV_MAX);
    copy_in_some(note_add(core, NT_AUXV, auxv), mm.auxv, auxv);
}

static void put_files(struct core *core)
{
    const uint64_t head[2] = {core->files, PAGE_SIZE};
    uint8_t *at = note_add(core, NT_FILE, file_note_size(core) - 1);
    memcpy(at, head, sizeof head);
    at += sizeof head;
    for (uint32_t i = 0; i < core->count; i++) {
        const struct mapping *mapping = &core->mappings[i];
        if (!mapping->name)
            continue;
        struct core_file file = {mapping->start, mapping->end, mapping->offset / PAGE_SIZE};
        memcpy(at, &file, sizeof file);
        at += sizeof file;
    }
    memcpy(at, core->names + 1, core->names_size - 1); /* in the order of the mappings */
}

static bool put_notes(struct core *core)
{
    uint64_t each = NOTE_SIZE(sizeof(struct prstatus)) + NOTE_SIZE(USER_FP_SIZE) + NOTE_SIZE(core->vectors_size);
    core->notes = alloc_zero(core->places * each + NOTE_SIZE(sizeof(struct prpsinfo)) + NOTE_SIZE(SIGINFO_SIZE) +
                             NOTE_SIZE(AUXV_MAX) + NOTE_SIZE(file_note_size(core)));
    if (!core->notes)
        return false;
    for (uint32_t i = 0; i < core->places; i++) {
        const struct core_thread *thread = &core->threads[i];
        if (!atomic_get(&thread->tid))
            continue; /* nobody's, or it has not come in time */
        put_status(core, thread);
        if (i == 0)
            put_process(core);
        if (i == 0)
            put_files(core);
        const uint8_t *vectors = core->vectors + i * core->vectors_size;
        uint8_t *legacy = note_add(core, NT_PRFPREG, USER_FP_SIZE);
        memcpy(legacy, vectors, XSTATE_XCR0_OFFSET);
        memcpy(note_add(core, NT_X86_XSTATE, core->vectors_size), vectors, core->vectors_size);
    }
    return true;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* A write behind the limit would be its end by another signal: the file ends there instead. */
static void put(struct core *core, const void *from, uint64_t size, uint64_t offset)
{
    if (offset + size > core->most)
        core->error = -EFBIG;
    for (uint64_t done = 0; done < size && core->error >= 0;) {
        int64_t n = UNDISTURBED(PAL->stream_write(core->handle, (uint64_t)(uintptr_t)from + done, size - done,
                                                  (int64_t)(offset + done)));
        core->error = n > 0 ? 0 : n < 0 ? n : -ENOSPC;
        done += n > 0 ? (uint64_t)n : 0;
    }
}

static void put_header(struct core *core)
{
    struct elf_header header = {
        .ident = {0x7f, 'E', 'L', 'F', 2, 1, 1}, .type = ET_CORE, .machine = EM_X86_64, .version = 1,
        .phoff = sizeof header, .ehsize = sizeof header, .phentsize = sizeof(struct elf_segment),
        .phnum = (uint16_t)(1 + core->count)};
    put(core, &header, sizeof header, 0);
}

/* By words: there may be gigabytes of them. */
static bool is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page, any = words[0] | words[PAGE_SIZE / 16];
    for (uint32_t i = 0; !any && i < PAGE_SIZE / 8; i++)
        if (words[i])
            return false;
    return !any;
}

/* Pages that are zeros, or can't be read, stay holes. */
static void put_piece(struct core *core, const uint8_t *bytes, uint64_t have, uint64_t offset)
{
    for (uint64_t from = 0, to; from < have; from = to) {
        while (from < have && is_zero(bytes + from))
            from += PAGE_SIZE;
        for (to = from; to < have && !is_zero(bytes + to); to += PAGE_SIZE)
            ;
        put(core, bytes + from, to - from, offset + from);
    }
}

static void put_contents(struct core *core, const struct mapping *mapping, uint8_t *buffer, uint64_t offset)
{
    for (uint64_t at = 0, size; at < mapping->contents && core->error >= 0; at += size) {
        size = MIN(PIECE, mapping->contents - at);
        uint64_t have = copy_in_some(buffer, mapping->start + at, size);
        memset(buffer + have, 0, PAGE_UP(have) - have);
        put_piece(core, buffer, PAGE_UP(have), offset + at);
    }
}

/* Headers, notes, and from the next page on contents. */
static void put_all(struct core *core, uint8_t *buffer)
{
    uint64_t segments = sizeof(struct elf_header), notes = segments + (1 + core->count) * sizeof(struct elf_segment);
    uint64_t end = PAGE_UP(notes + core->notes_size);
    put_header(core);
    struct elf_segment segment = {.type = PT_NOTE, .offset = notes, .filesz = core->notes_size, .align = 4};
    put(core, &segment, sizeof segment, segments);
    put(core, core->notes, core->notes_size, notes);
    for (uint32_t i = 0; i < core->count && core->error >= 0; i++) {
        const struct mapping *mapping = &core->mappings[i];
        segments += sizeof segment;
        segment = (struct elf_segment){.type = PT_LOAD, .flags = mapping->flags, .offset = end, .vaddr = mapping->start,
                                       .filesz = mapping->contents, .memsz = mapping->end - mapping->start, .align = PAGE_SIZE};
        put(core, &segment, sizeof segment, segments);
        put_contents(core, mapping, buffer, end);
        end += mapping->contents;
    }
    put(core, "", 1, end); /* behind the last hole, too, the file has all that is told of */
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct process *process, int signal)
{
    return boot->core != PAL_CORE_NONE && BIT(signal) & DUMPING && !process->vfork_parent && settings()->dumpable == 1;
}

struct core *core_begin(int signal, const struct siginfo *info)
{
    const struct process *process = current_process();
    pal_handle_t handle;
    if (!is_wanted(process, signal) || PAL->handle_import(PAL_CORE_TOKEN, &handle) < 0)
        return NULL;
    bool all = boot->core == PAL_CORE_ALL;
    uint32_t places = all ? atomic_get(&process->thread_count) + THREADS_MORE : 1;
    struct core *core = alloc_zero(sizeof *core);
    struct core_thread *threads = alloc_zero(places * sizeof *threads);
    uint64_t features, size = vector_state_size(&features) < XSAVE_AVX_SIZE ? XSAVE_SSE_SIZE : XSAVE_AVX_SIZE;
    uint8_t *vectors = alloc_pages(PAGE_UP(places * size));
    if (!core || !threads || !vectors) {
        release(core);
        release(threads);
        return NULL; /* pages go with the process */
    }
    *core = (struct core){.handle = handle, .signal = signal, .info = info, .all = all, .threads = threads, .places = places,
                          .vectors = vectors, .vectors_size = size, .features = features & XSAVE_AVX,
                          .stack = current_frame()->regs.rsp};
    uint64_t hard;
    limit_get(RLIMIT_FSIZE, &core->most, &hard);
    core->most = MIN(core->most, boot->limits[RLIMIT_FSIZE].soft);
    tell(core);
    return core;
}

void core_write(struct core *core)
{
    uint8_t *buffer = alloc_pages(PIECE);
    if (core->all)
        await_threads(core);
    if (buffer && find_mappings(core) && put_notes(core))
        put_all(core, buffer);
    PAL->handle_close(core->handle);
}
