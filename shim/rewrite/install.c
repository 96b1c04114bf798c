/* SPDX-License-Identifier: MIT */
/* From a plan to a live site, and back.  plan.h says why it is safe, patch.c how threads get across. */
#include "shim/rewrite/install.h"
#include "shim/rewrite/scan.h"
#include "shim/rewrite/trampoline_pool.h"

#include <stddef.h>

#define SYSCALL_SIZE 2
#define SHORT_JUMP 0xeb
#define PAGE 4096ul
#define NOP 0x90
#define NEAR 64    /* sites that may lie within a window of one: none is shorter than seven bytes */

/* ---- The sites nearby -------------------------------------------------------------------------------------------- */

/* In text that had no sites before they come in order, and the last few are all that can be near. */
static struct site *fresh[NEAR];
static uint32_t fresh_count;
static bool in_fresh;

void install_fresh(bool begins)
{
    in_fresh = begins;
    fresh_count = 0;
}

/* The next site that may be near, or NULL.  *i starts at 0. */
static struct site *next_near(uint32_t *i)
{
    if (in_fresh)
        return *i < fresh_count && *i < NEAR ? fresh[(fresh_count - ++*i) % NEAR] : NULL;
    while (++*i < site_table_limit())
        if (site_table_at(*i))
            return site_table_at(*i);
    return NULL;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

/* Puts the program's own bytes back into the window. */
static void window_restore(struct text_window *text)
{
    uint64_t base = text->syscall - text->at;
    const struct site *site;
    for (uint32_t i = 0; (site = next_near(&i));) {
        if (site->end + WINDOW_BEFORE < base || site->start > base + text->size + WINDOW_BEFORE)
            continue;
        for (uint32_t p = 0; p < site->patch_count; p++)
            for (uint32_t k = 0; k < site->patches[p].size; k++) {
                uint64_t index = site->patches[p].at + k - base;
                if (index < text->size)
                    text->bytes[index] = site->patches[p].old[k];
            }
    }
}

/* Whether another site has a claim on [start, end). */
static bool is_claimed(uint64_t start, uint64_t end, const struct site *except)
{
    const struct site *site;
    for (uint32_t i = 0; (site = next_near(&i));) {
        if (site == except || site->retired)
            continue;
        if ((start < site->end && site->start < end) ||
            (site->hole && start < site->hole + JUMP_SIZE && site->hole < end))
            return true;
    }
    return false;
}

static void add_patch(struct site *site, const struct text_window *text, uint64_t at, uint32_t size)
{
    struct patch *patch = &site->patches[site->patch_count++];
    patch->at = at;
    patch->size = (uint8_t)size;
    for (uint32_t i = 0; i < size; i++)
        patch->old[i] = text->all[at - text->start + i];
}

/* Makes the patched addresses lead to the site, before any thread can fault there. */
static bool add_keys(const struct site_host *host, const struct site *site)
{
    bool ok = !site->hole || site_table_key(host, site->hole, site->index);
    for (uint32_t i = 0; i < site->point_count; i++) {
        uint64_t address = site->syscall + (uint64_t)(int64_t)site->points[i].guest;
        if (address < site->end)
            ok = ok && site_table_key(host, address, site->index);
    }
    return ok;
}

void install_unmap(const struct site_host *host, const struct site *site)
{
    if (site->hole)
        site_table_key(host, site->hole, 0);
    for (uint32_t i = 0; i < site->point_count; i++) {
        uint64_t address = site->syscall + (uint64_t)(int64_t)site->points[i].guest;
        if (address < site->end)
            site_table_key(host, address, 0);
    }
}

/* Whether the pages between a site's patches from `first` on could be made writable, or protected again. */
static bool pages_writable(const struct site_host *host, const struct site *site, uint32_t first, int on)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (uint32_t i = first; i < site->patch_count; i++) {
        const struct patch *patch = &site->patches[i];
        low = patch->at < low ? patch->at : low;
        high = patch->at + patch->size > high ? patch->at + patch->size : high;
    }
    low &= -PAGE;
    high = (high + PAGE - 1) & -PAGE;
    return host->code_writable(low, high - low, on) >= 0;
}

/* The jump through padding at site->hole, to `target`; then the syscall instruction, a short jump there. */
static bool publish_hole(const struct site_host *host, struct site *site, const struct text_window *text,
                         uint32_t first, uint64_t target)
{
    uint8_t jump[JUMP_SIZE];
    uint8_t short_jump[SYSCALL_SIZE] = {SHORT_JUMP, (uint8_t)(site->hole - (site->syscall + SYSCALL_SIZE))};
    add_patch(site, text, site->hole, JUMP_SIZE);
    add_patch(site, text, site->syscall, SYSCALL_SIZE);
    if (!jump_encode(site->hole, target, jump) || !pages_writable(host, site, first, 1))
        return false;
    patch_publish(host, site->hole, jump, JUMP_SIZE);
    host->sync_cores();
    patch_publish(host, site->syscall, short_jump, SYSCALL_SIZE);
    pages_writable(host, site, first, 0);
    return true;
}

static bool publish_jump(const struct site_host *host, struct site *site, const struct text_window *text,
                         uint64_t at)
{
    uint8_t jump[JUMP_SIZE];
    add_patch(site, text, at, JUMP_SIZE);
    if (!jump_encode(at, site->trampoline, jump) || !pages_writable(host, site, 0, 1))
        return false;
    patch_publish(host, at, jump, JUMP_SIZE);
    pages_writable(host, site, 0, 0);
    return true;
}

/* The syscall instruction becomes one that faults there: site_fault sends arriving threads to the trampoline. */
static bool publish_fault(const struct site_host *host, struct site *site, const struct text_window *text)
{
    static const uint8_t bytes[SYSCALL_SIZE] = {PATCH_FAULT, NOP};
    uint32_t first = site->patch_count;
    add_patch(site, text, site->syscall, SYSCALL_SIZE);
    if (!pages_writable(host, site, first, 1))
        return false;
    patch_publish(host, site->syscall, bytes, SYSCALL_SIZE);
    pages_writable(host, site, first, 0);
    return true;
}

static bool publish(const struct site_host *host, struct site *site, const struct text_window *text, uint64_t from)
{
    if (site->kind == SITE_FAULT)
        return publish_fault(host, site, text);
    return site->hole ? publish_hole(host, site, text, 0, site->trampoline) : publish_jump(host, site, text, from);
}

static void fill(struct site *site, const struct plan *plan, const struct text_window *text,
                 const struct trampoline *trampoline)
{
    int end = SYSCALL_SIZE;
    if (plan->kind != SITE_HOLE && plan->kind != SITE_FAULT && plan->patch + JUMP_SIZE > end)
        end = plan->patch + JUMP_SIZE;
    site_table_write_begin(site);
    site->kind = plan->kind;
    site->retired = site->second = false;
    site->syscall = text->syscall;
    site->trampoline_size = trampoline->size;
    site->start = text->syscall + (uint64_t)(int64_t)plan->patch;
    site->end = text->syscall + (uint64_t)(plan->resume > end ? plan->resume : end);
    site->hole = plan->kind == SITE_HOLE ? text->syscall + (uint64_t)(int64_t)plan->hole : 0;
    site->patch_count = 0;
    site->point_count = trampoline->count;
    for (uint32_t i = 0; i < trampoline->count; i++)
        site->points[i] = trampoline->points[i];
    site_table_write_end(site);
}

/* From a plan to a live site. */
static enum site_refusal install(const struct site_host *host, const struct plan *plan, const struct text_window *text)
{
    struct trampoline trampoline;
    uint64_t slot, from = text->syscall + (uint64_t)(int64_t)(plan->kind == SITE_HOLE ? plan->hole : plan->patch);
    uint32_t room = trampoline_size(plan);
    struct site *site = site_table_new(host);
    enum site_refusal refusal = SITE_REFUSED_ROOM;
    if (!site)
        return refusal;
    site->trampoline =
        room > TRAMPOLINE_SIZE_MAX ? 0 : pool_place(host, from, plan->trap_bytes, room, site->index, &slot);
    if (site->trampoline == 0)
        goto no_place;
    if (!trampoline_build(plan, text, site->trampoline, slot, site->index, &trampoline))
        goto no_trampoline;
    fill(site, plan, text, &trampoline);
    site->trampoline_size = room;
    refusal = SITE_REFUSED_ENTERED;
    if (is_claimed(site->start, site->end, site) ||
        (site->hole && is_claimed(site->hole, site->hole + JUMP_SIZE, site)))
        goto no_trampoline;
    refusal = SITE_REFUSED_HOST;
    if (!pool_write(host, site->trampoline, trampoline.bytes, trampoline.size) || !add_keys(host, site))
        goto no_keys;
    host->sync_cores();
    if (!publish(host, site, text, from))
        goto no_keys;
    if (in_fresh)
        fresh[fresh_count++ % NEAR] = site;
    return SITE_REFUSED_NOT;
no_keys:
    install_unmap(host, site);
no_trampoline:
    pool_release(site->trampoline, room);
no_place:
    site_table_free(site);
    return refusal;
}

/* The site is jumped to past the rewritten instructions before it: gives it a second way in, if there is padding. */
static bool install_second(const struct site_host *host, struct site *site, const struct text_window *text)
{
    struct planner planner;
    struct plan plan;
    uint32_t first = site->patch_count;
    plan_begin(&planner, text);
    site->second = true;
    if (!plan_hole(&planner, &plan))
        return false;
    uint64_t hole = text->syscall + (uint64_t)(int64_t)plan.hole, target = 0;
    if (is_claimed(hole, hole + JUMP_SIZE, site))
        return false;
    for (uint32_t i = 0; i < site->point_count; i++)
        if (site->points[i].guest == 0)
            target = site->trampoline + site->points[i].trampoline;
    site_table_write_begin(site);
    site->hole = hole;
    site_table_write_end(site);
    if (add_keys(host, site) && publish_hole(host, site, text, first, target))
        return true;
    site_table_key(host, hole, 0);
    site_table_write_begin(site);
    site->patch_count = (uint8_t)first;
    site->hole = 0;
    site_table_write_end(site);
    return false;
}

/* Without a trap nothing may arrive at the syscall instruction: it goes where the jump left it. */
static bool close_syscall(const struct site_host *host, const struct text_window *text)
{
    struct site found, *site;
    const uint8_t *now = text->all + (text->syscall - text->start);
    if (now[0] != 0x0f || now[1] != 0x05)
        return true;
    if (!site_table_find(text->syscall, &found))
        return false;
    site = site_table_at(found.index);
    return install_second(host, site, text) || publish_fault(host, site, text);
}

static enum site_refusal installed(const struct site_host *host, const struct plan *plan, struct text_window *text,
                                   struct site_statistics *statistics)
{
    enum site_refusal refusal = install(host, plan, text);
    if (refusal == SITE_REFUSED_NOT)
        statistics->by_kind[plan->kind]++;
    if (refusal == SITE_REFUSED_NOT && host->no_trap && !close_syscall(host, text))
        return SITE_REFUSED_HOST;
    return refusal;
}

static uint64_t window_hash(const struct text_window *text)
{
    typedef uint64_t unaligned64 __attribute__((aligned(1), may_alias));
    uint64_t hash = (uint64_t)text->at << 32 | text->size;
    uint32_t i = 0;
    for (; i + 8 <= text->size; i += 8) {
        hash = (hash ^ *(const unaligned64 *)(text->bytes + i)) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    for (; i < text->size; i++)
        hash = (hash ^ text->bytes[i]) * 0x9e3779b97f4a7c15ull;
    return hash;
}

bool install_record(const struct text_window *text, struct site_record *out)
{
    struct planner planner;
    plan_begin(&planner, text);
    *out = (struct site_record){.at = (uint32_t)(text->syscall - text->start), .hash = window_hash(text)};
    return plan_next(&planner, &out->plan);
}

/* What becomes of the site, or has become of it. */
static bool hint_plan(const struct text_window *text, struct site_hint *out)
{
    struct planner planner;
    struct plan plan;
    struct site site;
    if (site_table_find(text->syscall, &site) && !site.retired) {
        out->hole = site.kind == SITE_HOLE ? (int16_t)(site.hole - site.syscall) : 0;
        out->patch = (int8_t)(site.start - site.syscall);
        return site.kind != SITE_FAULT;
    }
    plan_begin(&planner, text);
    if (!plan_next(&planner, &plan))
        return false;
    out->hole = plan.hole;
    out->patch = plan.patch;
    return true;
}

bool install_hint(struct text_window *text, struct site_hint *out)
{
    window_read(text);
    window_restore(text);
    *out = (struct site_hint){.at = (uint32_t)(text->syscall - text->start), .hash = window_hash(text), .proved = true};
    return !plan_is_sigreturn(text) && hint_plan(text, out);
}

/* That padding is never executed can't be proved as cheaply. */
static bool is_proved(const struct text_window *text, const struct site_hint *hint, uint64_t known)
{
    return hint->proved || (!hint->hole && scan_proves(text, hint->patch, known));
}

bool install_hinted(const struct site_host *host, const struct site_hint *hint, struct text_window *text, uint64_t *known,
                    struct site_statistics *statistics)
{
    struct planner planner;
    struct plan plan;
    const uint8_t *now = text->all + (text->syscall - text->start);
    window_read(text);
    window_restore(text);
    if (!plan_is_site(now) || (plan_is_cpuid(text) && !host->entry_cpuid) || window_hash(text) != hint->hash ||
        !is_proved(text, hint, *known) || !plan_again(&planner, text, hint->patch, hint->hole, &plan))
        return false;
    *known = plan.hole || !plan.resume ? 0 : text->syscall + (uint64_t)plan.resume;
    return installed(host, &plan, text, statistics) == SITE_REFUSED_NOT;
}

bool install_known(const struct site_host *host, const struct site_record *record, struct text_window *text,
                   struct site_statistics *statistics)
{
    const uint8_t *now = text->all + (text->syscall - text->start);
    window_read(text);
    window_restore(text);
    return now[0] == 0x0f && now[1] == 0x05 && record->plan.kind != SITE_TRAP && window_hash(text) == record->hash &&
           installed(host, &record->plan, text, statistics) == SITE_REFUSED_NOT;
}

enum site_refusal install_site(const struct site_host *host, struct text_window *text,
                               struct site_statistics *statistics)
{
    struct planner planner;
    struct plan plan;
    struct site old;
    const uint8_t *now = text->all + (text->syscall - text->start);
    if (text->end - text->syscall < SYSCALL_SIZE)
        return SITE_REFUSED_TEXT;
    /* Trapped before another thread rewrote it, or on a syscall instruction that stayed. */
    bool known = site_table_find(text->syscall, &old);
    if (known && (now[0] != 0x0f || now[1] != 0x05))
        return SITE_REFUSED_NOT;
    window_read(text);
    window_restore(text);
    if (known) {
        if (!old.second)
            statistics->second += install_second(host, site_table_at(old.index), text);
        return SITE_REFUSED_NOT;
    }
    enum site_refusal refusal = SITE_REFUSED_NOT;
    plan_begin(&planner, text);
    while (plan_next(&planner, &plan)) {
        refusal = installed(host, &plan, text, statistics);
        if (refusal == SITE_REFUSED_NOT)
            return refusal;
    }
    if (refusal == SITE_REFUSED_NOT)
        refusal = planner.refusal;
    plan_fault(&plan);
    if (host->no_trap && refusal != SITE_REFUSED_TEXT &&
        installed(host, &plan, text, statistics) == SITE_REFUSED_NOT)
        return SITE_REFUSED_NOT;
    statistics->by_kind[SITE_TRAP]++;
    statistics->by_refusal[refusal]++;
    return refusal;
}

bool install_undo(const struct site_host *host, struct site *site)
{
    if (site->patch_count == 0 || !pages_writable(host, site, 0, 1))
        return false;
    for (uint32_t i = site->patch_count; i-- > 0;) {
        patch_withdraw(host, site->patches[i].at, site->patches[i].old, site->patches[i].size);
        host->sync_cores();
    }
    pages_writable(host, site, 0, 0);
    return true;
}
