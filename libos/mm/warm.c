/* SPDX-License-Identifier: MIT */
/*
 * Call sites that trapped in processes of the sandbox are rewritten at once in later ones that run the same program, so that
 * what ends soon need not warm up.
 *
 * The second process of a program, and a few after it, tell before they end which sites they met: planning for one costs as
 * much as some traps, so it must be a program that runs often.  They write into the program's page of the shared segment,
 * where nothing changes any more once it counts.  A process that is killed while it writes leaves the page as it is.
 *
 * The pages of some programs come from an earlier run and go to the next: struct pal_sites.  Their first processes tell, then.
 *
 * Nothing relies on what is there: any process of the sandbox can write it.  A hint is copied first; it is of use only for
 * text with the same bytes, and where the jump may lie is decoded anew: shim/rewrite/rewrite.h.  What is told from run to run
 * is proved there first: what one of them chose must not change another's program.
 */
#include "libos/fs/vfs.h"
#include "libos/mm/vma.h"
#include "libos/task/task.h"
#include "shim/rewrite/rewrite.h"

#define PROGRAMS 256u   /* a power of two */
#define PLACES 4u       /* where a program may be found */
#define FIRST_TO_TELL 2u
#define LAST_TO_TELL 6u
#define MET_MAX 192u
#define ASKED_MAX 64u
#define STARTS_IN_MAX (256 * 1024ul) /* larger text is not searched */
#define CPUID_SECOND 0xa2
#define WORTH 2u        /* traps that rewriting must spare on a page: the page becomes the process's own */

struct text_place { uint32_t page, pages; }; /* in its file */
struct kept_site { struct text_place text; struct site_hint hint; };
struct program_key { uint64_t device, inode, size, mtime, ctime; };
#define SITES PAL_SITES

struct kept_program {
    struct program_key key;
    uint32_t state, runs, told, count; /* atomic.  told: by whom sites are being written.  count: of those that stay */
    struct kept_site sites[SITES];
    uint32_t before, stale;
};
_Static_assert(sizeof(struct kept_program) == sizeof(struct pal_sites) && sizeof(struct kept_site) == sizeof(struct pal_site) &&
                   offsetof(struct kept_program, before) == offsetof(struct pal_sites, before), "as pal.h has it");

static struct kept_program *programs;
static struct kept_program *program; /* what this process runs; NULL: nothing is kept of it */
static const struct file *starts;    /* what it begins in */
static guest_t asked[ASKED_MAX];     /* its cpuid instructions that were executed */
static uint32_t asked_count;
static uint32_t run;                 /* which process of the program this is; 0: one that tells nothing */

bool rewriting_warm;

uint64_t warm_init(uint64_t at, uint64_t end)
{
    uint64_t size = PROGRAMS * sizeof *programs;
    if (size > (end - at) / 2)
        return at;
    programs = (struct kept_program *)(uintptr_t)at;
    return at + size;
}

/* ---- Programs ---------------------------------------------------------------------------------------------------- */

static bool outlasts_run(const struct kept_program *one)
{
    return boot->sites && (uint64_t)(uintptr_t)one - boot->sites < PAL_SITE_PROGRAMS * sizeof *one;
}

/* Whether that page is the program's, or becomes it. */
static bool is_of(struct kept_program *one, const struct program_key *key)
{
    if (atomic_get(&one->state) == PAL_SITES_FREE && atomic_replace32(&one->state, PAL_SITES_FREE, PAL_SITES_BEING_WRITTEN)) {
        one->key = *key;
        atomic_set(&one->state, PAL_SITES_READY);
        return true;
    }
    return atomic_get(&one->state) >= PAL_SITES_READY && !memcmp(&one->key, key, sizeof *key);
}

static struct kept_program *find(const struct program_key *key)
{
    uint32_t at = (uint32_t)((key->inode ^ key->device) * 0x9e3779b97f4a7c15ull >> 32);
    for (uint32_t i = 0; boot->sites && i < PAL_SITE_PROGRAMS; i++) {
        struct kept_program *one = (struct kept_program *)(uintptr_t)boot->sites + i;
        if (is_of(one, key))
            return one;
    }
    for (uint32_t i = 0; i < PLACES; i++)
        if (is_of(&programs[(at + i) & (PROGRAMS - 1)], key))
            return &programs[(at + i) & (PROGRAMS - 1)];
    return NULL;
}

void warm_program(const struct file *file, const struct file *interpreter)
{
    struct pal_attributes attributes;
    starts = interpreter ? interpreter : file;
    asked_count = 0;
    program = NULL;
    rewriting_warm = false;
    run = 0;
    if (!programs || !rewriting || rewriting_ahead || file->handle < 0 ||
        PAL->attributes_get(file->handle, NULL, &attributes, NULL) < 0)
        return;
    program = find(&(struct program_key){attributes.device, attributes.inode, attributes.size, (uint64_t)attributes.mtime,
                                         (uint64_t)attributes.ctime});
    if (!program)
        return;
    run = atomic_get(&program->runs) > LAST_TO_TELL ? 0 : atomic_add(&program->runs, 1u);
    rewriting_warm = atomic_get(&program->count) != 0;
}

void warm_fork_child(void)
{
    run = 0; /* its program's other processes begin with exec */
}

/* ---- Using ------------------------------------------------------------------------------------------------------- */

static struct text_place place_of(const struct vma *vma)
{
    return (struct text_place){(uint32_t)(vma->offset / PAGE_SIZE), (uint32_t)((vma->end - vma->start) / PAGE_SIZE)};
}

static bool is_at(const struct kept_site *site, struct text_place text)
{
    return site->text.page == text.page && site->text.pages == text.pages;
}

static uint32_t insert(struct site_hint *hints, uint32_t count, const struct site_hint *one)
{
    uint32_t i = count;
    for (; i > 0 && hints[i - 1].at > one->at; i--)
        hints[i] = hints[i - 1];
    hints[i] = *one;
    return count + 1;
}

/* Whether the bytes around a site can be read: a file may be shorter than its mapping. */
static bool is_there(const struct vma *vma, uint32_t at)
{
    uint8_t byte;
    guest_t site = vma->start + at;
    return site + 2 <= vma->end && copy_in(&byte, MAX(site, vma->start + WINDOW_BEFORE) - WINDOW_BEFORE, 1) == 0 &&
           copy_in(&byte, MIN(site + WINDOW_AFTER, vma->end) - 1, 1) == 0;
}

/*
 * ld.so's start, or a static program's, asks the processor some thirty times what it can do, by cpuid.  What is asked there is
 * the same on each processor.  Under a hypervisor that may be a third of a short program's time, so these are
 * rewritten, too, where the loader knows the answers: they are sites like others, which don't trap.
 */
static bool starts_in(const struct vma *vma)
{
    return vma->file == starts && vma->end - vma->start <= STARTS_IN_MAX;
}

/* As the file has it: the site may have been rewritten. */
static bool is_cpuid(const struct vma *vma, uint32_t at)
{
    uint8_t bytes[2] = {0};
    if (copy_in(bytes, vma->start + at, sizeof bytes) == 0)
        site_peek(vma->start + at, bytes, sizeof bytes);
    return bytes[1] == CPUID_SECOND;
}

static bool is_wanted(const struct vma *vma, uint32_t at)
{
    return starts_in(vma) || !is_cpuid(vma, at);
}

/* So that the sandbox's later processes need not prove it again. */
static void note_proved(struct text_place text, const struct site_hint *hints, uint32_t count)
{
    for (uint32_t i = 0; i < program->before && i < SITES; i++)
        for (uint32_t k = 0; is_at(&program->sites[i], text) && k < count; k++)
            if (hints[k].at == program->sites[i].hint.at && hints[k].proved)
                program->sites[i].hint.proved = true;
}

void rewrite_warm(guest_t start)
{
    struct site_hint hints[SITES];
    const struct vma vma = vma_at(start)->vma; /* trampolines are mapped meanwhile */
    uint32_t kept = MIN(atomic_get(&program->count), (uint32_t)SITES), count = 0;
    if (text_poked || !vma.file || (vma.flags & (MAP_TYPE | VMA_HIDDEN)) != MAP_PRIVATE || vma.protection != (PROT_READ | PROT_EXEC))
        return;
    for (uint32_t i = 0; i < kept; i++) {
        const struct kept_site site = program->sites[i];
        if (is_at(&site, place_of(&vma)) && is_there(&vma, site.hint.at) && is_wanted(&vma, site.hint.at))
            count = insert(hints, count, &site.hint);
    }
    uint32_t rewritten = site_rewrite_hinted(vma.start, vma.end, hints, count);
    if (outlasts_run(program) && program->before && run == 1) {
        program->stale += rewritten ? 0 : count; /* some are never proved */
        if (program->stale > program->before / 2)
            atomic_set(&program->state, PAL_SITES_CHANGED);
        note_proved(place_of(&vma), hints, count);
    }
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

static bool is_kept(struct text_place text, uint32_t at)
{
    for (uint32_t i = 0; i < program->count && i < SITES; i++)
        if (is_at(&program->sites[i], text) && program->sites[i].hint.at == at)
            return true;
    return false;
}

static bool is_worth(const struct site_hot *met, uint32_t count, uint32_t i)
{
    uint32_t traps = 0;
    for (uint32_t k = 0; k < count; k++)
        if (PAGE_DOWN(met[k].syscall) == PAGE_DOWN(met[i].syscall))
            traps += met[k].traps;
    return traps >= WORTH;
}

static void keep(const struct vma *vma, guest_t syscall)
{
    uint32_t count = atomic_get(&program->count);
    struct kept_site site = {.text = place_of(vma)};
    if (count >= SITES || is_kept(site.text, (uint32_t)(syscall - vma->start)))
        return;
    guest_t end = text_end(vma); /* planning looks around in the text */
    if (syscall + 2 > end || !site_hint(vma->start, end, syscall, &site.hint))
        return;
    program->sites[count] = site;
    atomic_set(&program->count, count + 1);
    atomic_set(&program->state, PAL_SITES_CHANGED);
}

void warm_note_cpuid(guest_t at)
{
    for (uint32_t i = 0; i < asked_count; i++)
        if (asked[i] == at)
            return;
    if (asked_count < ASKED_MAX)
        asked[asked_count++] = at;
}

static bool was_asked(const struct vma *vma, uint32_t at)
{
    for (uint32_t i = 0; i < asked_count; i++)
        if (asked[i] == vma->start + at)
            return true;
    return false;
}

/* Those of other processors' kinds are never executed. */
static int64_t drop_cpuids(const struct vma *vma, void *argument)
{
    (void)argument;
    for (uint32_t i = 0; starts_in(vma) && asked_count && i < program->before && i < SITES; i++) {
        struct kept_site *site = &program->sites[i];
        if (!is_at(site, place_of(vma)) || !is_cpuid(vma, site->hint.at) || was_asked(vma, site->hint.at))
            continue;
        site->text.pages = 0;
        atomic_set(&program->state, PAL_SITES_CHANGED);
    }
    return 0;
}

static int64_t keep_cpuids(const struct vma *vma, void *argument)
{
    (void)argument;
    if (!starts_in(vma) || vma->protection != (PROT_READ | PROT_EXEC) || (vma->flags & MAP_TYPE) != MAP_PRIVATE)
        return 0;
    guest_t end = text_end(vma), at = vma->start;
    for (; (at = site_next_cpuid(vma->start, end, at)) < end; at++)
        keep(vma, at);
    return 0;
}

/* Caller holds mm.lock. */
static void tell(void)
{
    struct site_hot met[MET_MAX];
    uint32_t count = site_hot(met, MET_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct vma_node *node = vma_at(met[i].syscall);
        if (node && node->vma.start <= met[i].syscall && node->vma.file && met[i].syscall - node->vma.start < 1ull << 32 &&
            (node->vma.flags & MAP_TYPE) == MAP_PRIVATE && node->vma.protection == (PROT_READ | PROT_EXEC) &&
            is_worth(met, count, i))
            keep(&node->vma, met[i].syscall);
    }
    if (boot->cpuid_count && outlasts_run(program))
        vma_each(mm.root, program->before ? drop_cpuids : keep_cpuids, NULL);
}

void warm_tell(void)
{
    if (run < (outlasts_run(program) ? 1 : FIRST_TO_TELL) || run > LAST_TO_TELL || !atomic_replace32(&program->told, 0u, 1u))
        return;
    mm_lock();
    tell();
    mm_unlock();
    atomic_set(&program->told, 0u);
    run = 0;
}
