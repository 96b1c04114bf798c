/* SPDX-License-Identifier: MIT */
/* Rewriting a site, finding one, forgetting one.  site.h has the rules, plan.h why it is safe. */
#include "shim/site.h"
#include "shim/area.h"
#include "shim/record.h"

#include <stddef.h>

#define SYSCALL_SIZE 2
#define SHORT_JUMP 0xeb
#define PAGE 4096ul
#define TRIED 1024u       /* power of two */
#define TRIED_NEVER 0xffu /* not to be rewritten */
#define RESTORED 32u
#define RESTORED_RETRIES 64 /* as many threads may be on their way through a fault at once */

const char *const site_kind_names[SITE_KINDS] = {"trap", "mov", "single", "hole", "forward", "backward"};
const char *const site_refusal_names[SITE_REFUSALS] = {
    "-", "text not rewritable", "sigreturn", "unknown instructions", "entered by a branch", "no room", "host refused"};

static const struct site_host *host;
static struct site_statistics statistics;
static uint32_t locked;

/* The sites that trapped of late: address << 8 | traps so far, or TRIED_NEVER.  A cache: entries displace each other. */
static uint64_t tried[TRIED];
static bool any_tried;

/* Addresses whose own bytes have come back, where a thread may just be faulting on what was there before. */
static struct { uint64_t address; uint32_t retries; } restored[RESTORED];
static uint32_t restored_next;

void site_init(const struct site_host *given)
{
    host = given;
}

static bool try_lock(void)
{
    return __atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE) == 0;
}

void site_lock(void)
{
    while (!try_lock())
        host->yield();
}

void site_unlock(void)
{
    __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

/* ---- What has been tried ----------------------------------------------------------------------------------------- */

static uint64_t *tried_entry(uint64_t address)
{
    return &tried[(address * 0x9e3779b97f4a7c15ul >> 40) & (TRIED - 1)];
}

static void tried_set(uint64_t address, uint64_t traps)
{
    __atomic_store_n(tried_entry(address), address << 8 | traps, __ATOMIC_RELAXED);
    any_tried = true;
}

/* Counts this trap; whether it is time to rewrite. */
static bool tried_enough(uint64_t address)
{
    uint64_t entry = __atomic_load_n(tried_entry(address), __ATOMIC_RELAXED);
    uint64_t traps = entry >> 8 == address ? entry & 0xff : 0;
    if (traps == TRIED_NEVER)
        return false;
    if (traps + 1 >= host->patience)
        return true;
    tried_set(address, traps + 1);
    return false;
}

static void tried_forget(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; any_tried && i < TRIED; i++) {
        uint64_t address = tried[i] >> 8;
        if (address >= start && address < end)
            __atomic_store_n(&tried[i], 0, __ATOMIC_RELAXED);
    }
}

/* ---- Rewriting --------------------------------------------------------------------------------------------------- */

/* Puts the program's own bytes back into the window. */
static void window_restore(struct text_window *text)
{
    uint64_t base = text->syscall - text->at;
    for (uint32_t i = 1; i < record_limit(); i++) {
        struct record *record = record_at(i);
        if (!record || record->end + WINDOW_BEFORE < base || record->start > base + text->size + WINDOW_BEFORE)
            continue;
        for (uint32_t p = 0; p < record->patch_count; p++)
            for (uint32_t k = 0; k < record->patches[p].size; k++) {
                uint64_t index = record->patches[p].at + k - base;
                if (index < text->size)
                    text->bytes[index] = record->patches[p].old[k];
            }
    }
}

/* Whether another record has a claim on [start, end). */
static bool is_claimed(uint64_t start, uint64_t end, const struct record *except)
{
    for (uint32_t i = 1; i < record_limit(); i++) {
        struct record *record = record_at(i);
        if (!record || record == except || record->retired)
            continue;
        if ((start < record->end && record->start < end) ||
            (record->hole && start < record->hole + JUMP_SIZE && record->hole < end))
            return true;
    }
    return false;
}

static void add_patch(struct record *record, const struct text_window *text, uint64_t at, uint32_t size)
{
    struct patch *patch = &record->patches[record->patch_count++];
    patch->at = at;
    patch->size = (uint8_t)size;
    for (uint32_t i = 0; i < size; i++)
        patch->old[i] = text->all[at - text->start + i];
}

/* Makes the patched addresses lead to the record, before any thread can fault there. */
static bool add_keys(const struct record *record)
{
    bool ok = !record->hole || record_key(host, record->hole, record->index);
    for (uint32_t i = 0; i < record->point_count; i++) {
        uint64_t address = record->syscall + (uint64_t)(int64_t)record->points[i].guest;
        if (address < record->end)
            ok = ok && record_key(host, address, record->index);
    }
    return ok;
}

static void remove_keys(const struct record *record)
{
    if (record->hole)
        record_key(host, record->hole, 0);
    for (uint32_t i = 0; i < record->point_count; i++) {
        uint64_t address = record->syscall + (uint64_t)(int64_t)record->points[i].guest;
        if (address < record->end)
            record_key(host, address, 0);
    }
}

/* Whether the pages between a record's patches from `first` on could be made writable, or protected again. */
static bool pages_writable(const struct record *record, uint32_t first, int on)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (uint32_t i = first; i < record->patch_count; i++) {
        const struct patch *patch = &record->patches[i];
        low = patch->at < low ? patch->at : low;
        high = patch->at + patch->size > high ? patch->at + patch->size : high;
    }
    low &= -PAGE;
    high = (high + PAGE - 1) & -PAGE;
    return host->code_writable(low, high - low, on) >= 0;
}

/* The jump through padding at record->hole, to `target`; then the syscall instruction, a short jump there. */
static bool publish_hole(struct record *record, const struct text_window *text, uint32_t first, uint64_t target)
{
    uint8_t jump[JUMP_SIZE];
    uint8_t short_jump[SYSCALL_SIZE] = {SHORT_JUMP, (uint8_t)(record->hole - (record->syscall + SYSCALL_SIZE))};
    add_patch(record, text, record->hole, JUMP_SIZE);
    add_patch(record, text, record->syscall, SYSCALL_SIZE);
    if (!jump_encode(record->hole, target, jump) || !pages_writable(record, first, 1))
        return false;
    patch_publish(host, record->hole, jump, JUMP_SIZE);
    host->sync_cores();
    patch_publish(host, record->syscall, short_jump, SYSCALL_SIZE);
    pages_writable(record, first, 0);
    return true;
}

static bool publish_jump(struct record *record, const struct text_window *text, uint64_t at)
{
    uint8_t jump[JUMP_SIZE];
    add_patch(record, text, at, JUMP_SIZE);
    if (!jump_encode(at, record->stub, jump) || !pages_writable(record, 0, 1))
        return false;
    patch_publish(host, at, jump, JUMP_SIZE);
    pages_writable(record, 0, 0);
    return true;
}

static void fill(struct record *record, const struct plan *plan, const struct text_window *text, const struct stub *stub)
{
    int end = plan->patch + JUMP_SIZE > SYSCALL_SIZE && plan->kind != SITE_HOLE ? plan->patch + JUMP_SIZE : SYSCALL_SIZE;
    record_write_begin(record);
    record->kind = plan->kind;
    record->retired = record->second = false;
    record->syscall = text->syscall;
    record->stub_size = stub->size;
    record->start = text->syscall + (uint64_t)(int64_t)plan->patch;
    record->end = text->syscall + (uint64_t)(plan->resume > end ? plan->resume : end);
    record->hole = plan->kind == SITE_HOLE ? text->syscall + (uint64_t)(int64_t)plan->hole : 0;
    record->patch_count = 0;
    record->point_count = stub->count;
    for (uint32_t i = 0; i < stub->count; i++)
        record->points[i] = stub->points[i];
    record_write_end(record);
}

/* From a plan to a live site. */
static enum site_refusal install(const struct plan *plan, const struct text_window *text)
{
    struct stub stub;
    uint64_t slot, from = text->syscall + (uint64_t)(int64_t)(plan->kind == SITE_HOLE ? plan->hole : plan->patch);
    uint32_t room = stub_size(plan);
    struct record *record = record_new(host);
    enum site_refusal refusal = SITE_REFUSED_ROOM;
    if (!record)
        return refusal;
    record->stub = room > STUB_SIZE_MAX ? 0 : area_place(host, from, plan->trap_bytes, room, record->index, &slot);
    if (record->stub == 0)
        goto no_place;
    if (!stub_build(plan, text, record->stub, slot, &stub))
        goto no_stub;
    fill(record, plan, text, &stub);
    record->stub_size = room;
    refusal = SITE_REFUSED_ENTERED;
    if (is_claimed(record->start, record->end, record) ||
        (record->hole && is_claimed(record->hole, record->hole + JUMP_SIZE, record)))
        goto no_stub;
    refusal = SITE_REFUSED_HOST;
    if (!area_write(host, record->stub, stub.bytes, stub.size) || !add_keys(record))
        goto no_keys;
    host->sync_cores();
    if (!(record->hole ? publish_hole(record, text, 0, record->stub) : publish_jump(record, text, from)))
        goto no_keys;
    return SITE_REFUSED_NOT;
no_keys:
    remove_keys(record);
no_stub:
    area_release(record->stub, room);
no_place:
    record_free(record);
    return refusal;
}

/* The site is jumped to past the rewritten instructions before it: gives it a second way in, if there is padding. */
static void install_second(struct record *record, const struct text_window *text)
{
    struct planner planner;
    struct plan plan;
    uint32_t first = record->patch_count;
    plan_begin(&planner, text);
    record->second = true;
    if (!plan_hole(&planner, &plan))
        return;
    uint64_t hole = text->syscall + (uint64_t)(int64_t)plan.hole, target = 0;
    if (is_claimed(hole, hole + JUMP_SIZE, record))
        return;
    for (uint32_t i = 0; i < record->point_count; i++)
        if (record->points[i].guest == 0)
            target = record->stub + record->points[i].stub;
    record_write_begin(record);
    record->hole = hole;
    record_write_end(record);
    if (add_keys(record) && publish_hole(record, text, first, target)) {
        statistics.second++;
        return;
    }
    record_key(host, hole, 0);
    record_write_begin(record);
    record->patch_count = (uint8_t)first;
    record->hole = 0;
    record_write_end(record);
}

static enum site_refusal rewrite(struct text_window *text)
{
    struct planner planner;
    struct plan plan;
    struct record old;
    const uint8_t *now = text->all + (text->syscall - text->start);
    if (text->end - text->syscall < SYSCALL_SIZE)
        return SITE_REFUSED_TEXT;
    /* Trapped before another thread rewrote it, or on a syscall instruction that stayed. */
    bool known = record_find(text->syscall, &old);
    if (known && (now[0] != 0x0f || now[1] != 0x05))
        return SITE_REFUSED_NOT;
    window_read(text);
    window_restore(text);
    if (known) {
        if (!old.second)
            install_second(record_at(old.index), text);
        return SITE_REFUSED_NOT;
    }
    enum site_refusal refusal = SITE_REFUSED_NOT;
    plan_begin(&planner, text);
    while (plan_next(&planner, &plan)) {
        refusal = install(&plan, text);
        if (refusal == SITE_REFUSED_NOT) {
            statistics.by_kind[plan.kind]++;
            return refusal;
        }
    }
    if (refusal == SITE_REFUSED_NOT)
        refusal = planner.refusal;
    statistics.by_kind[SITE_TRAP]++;
    statistics.by_refusal[refusal]++;
    return refusal;
}

void site_rewrite(uint64_t after)
{
    struct text_window text = {.syscall = after - SYSCALL_SIZE};
    struct record record;
    if (!tried_enough(text.syscall))
        return;
    int pinned = host->text_pin(text.syscall, &text.start, &text.end);
    if (pinned < 0)
        return;
    if (pinned == 0) {
        statistics.by_refusal[SITE_REFUSED_TEXT]++;
        statistics.by_kind[SITE_TRAP]++;
        tried_set(text.syscall, TRIED_NEVER);
        return;
    }
    if (try_lock()) {
        text.all = (const uint8_t *)text.start;
        bool final = rewrite(&text) != SITE_REFUSED_NOT || (record_find(text.syscall, &record) && record.second);
        tried_set(text.syscall, final ? TRIED_NEVER : 0);
        site_unlock();
    }
    host->text_unpin();
}

/* ---- Lookups ----------------------------------------------------------------------------------------------------- */

uint64_t site_resume(uint64_t guest)
{
    struct record record;
    if (!record_find(guest, &record))
        return guest;
    for (uint32_t i = 0; i < record.point_count; i++)
        if (record.syscall + (uint64_t)(int64_t)record.points[i].guest == guest)
            return record.stub + record.points[i].stub;
    return guest;
}

uint64_t site_guest(uint64_t address)
{
    struct record record;
    uint16_t owner = area_owner(address);
    if (owner == 0)
        return record_find(address, &record) && record.hole == address ? record.syscall : address;
    if (!record_read(owner, &record))
        return address;
    uint64_t guest = address;
    for (uint32_t i = 0; i < record.point_count; i++)
        if (record.stub + record.points[i].stub <= address)
            guest = record.syscall + (uint64_t)(int64_t)record.points[i].guest;
    return guest;
}

uint64_t site_fault(uint64_t rip)
{
    uint64_t stub = site_resume(rip);
    if (stub != rip) {
        __atomic_fetch_add(&statistics.faults, 1, __ATOMIC_RELAXED);
        return stub;
    }
    for (uint32_t i = 0; i < RESTORED; i++)
        if (restored[i].address == rip && restored[i].retries &&
            __atomic_fetch_sub(&restored[i].retries, 1, __ATOMIC_RELAXED) > 0)
            return rip;
    return 0;
}

/* ---- Forgetting -------------------------------------------------------------------------------------------------- */

static void restore(struct record *record)
{
    if (record->patch_count == 0 || !pages_writable(record, 0, 1))
        return;
    for (uint32_t i = record->patch_count; i-- > 0;) {
        patch_withdraw(host, record->patches[i].at, record->patches[i].old, record->patches[i].size);
        host->sync_cores();
    }
    pages_writable(record, 0, 0);
    for (uint32_t i = 0; i < record->point_count; i++) {
        uint32_t next = restored_next++ % RESTORED;
        restored[next].retries = 0;
        restored[next].address = record->syscall + (uint64_t)(int64_t)record->points[i].guest;
        __atomic_store_n(&restored[next].retries, RESTORED_RETRIES, __ATOMIC_RELEASE);
    }
}

static void forget(struct record *record, bool text_stays)
{
    if (text_stays && record->retired)
        return;
    if (text_stays)
        restore(record);
    if (!record->retired)
        remove_keys(record);
    if (text_stays) {
        record_write_begin(record);
        record->retired = true;
        record->patch_count = 0;
        record->hole = 0;
        record_write_end(record);
        return;
    }
    area_release(record->stub, record->stub_size);
    record_free(record);
}

void site_forget(uint64_t start, uint64_t end, bool text_stays)
{
    if (!any_tried)
        return;
    site_lock();
    tried_forget(start, end);
    for (uint32_t i = 1; i < record_limit(); i++) {
        struct record *record = record_at(i);
        bool touched = record && ((record->start < end && start < record->end) ||
                                  (record->hole && record->hole < end && start < record->hole + JUMP_SIZE));
        if (touched)
            forget(record, text_stays);
    }
    site_unlock();
}

void site_forget_all(void)
{
    locked = 0;
    record_forget_all();
    area_forget_all();
    tried_forget(0, UINT64_MAX);
}

void site_statistics(struct site_statistics *out)
{
    *out = statistics;
    out->areas = area_count();
    out->stub_bytes = 0;
    for (uint32_t i = 1; i < record_limit(); i++)
        if (record_at(i))
            out->stub_bytes += record_at(i)->stub_size;
}
