/* SPDX-License-Identifier: MIT */
/* From a plan to a live site, and back.  plan.h says why it is safe, patch.c how threads get across. */
#include "shim/rewrite/install.h"
#include "shim/rewrite/trampoline_pool.h"

#include <stddef.h>

#define SYSCALL_SIZE 2
#define SHORT_JUMP 0xeb
#define PAGE 4096ul

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
static bool add_keys(const struct site_host *host, const struct record *record)
{
    bool ok = !record->hole || record_key(host, record->hole, record->index);
    for (uint32_t i = 0; i < record->point_count; i++) {
        uint64_t address = record->syscall + (uint64_t)(int64_t)record->points[i].guest;
        if (address < record->end)
            ok = ok && record_key(host, address, record->index);
    }
    return ok;
}

void install_unmap(const struct site_host *host, const struct record *record)
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
static bool pages_writable(const struct site_host *host, const struct record *record, uint32_t first, int on)
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
static bool publish_hole(const struct site_host *host, struct record *record, const struct text_window *text,
                         uint32_t first, uint64_t target)
{
    uint8_t jump[JUMP_SIZE];
    uint8_t short_jump[SYSCALL_SIZE] = {SHORT_JUMP, (uint8_t)(record->hole - (record->syscall + SYSCALL_SIZE))};
    add_patch(record, text, record->hole, JUMP_SIZE);
    add_patch(record, text, record->syscall, SYSCALL_SIZE);
    if (!jump_encode(record->hole, target, jump) || !pages_writable(host, record, first, 1))
        return false;
    patch_publish(host, record->hole, jump, JUMP_SIZE);
    host->sync_cores();
    patch_publish(host, record->syscall, short_jump, SYSCALL_SIZE);
    pages_writable(host, record, first, 0);
    return true;
}

static bool publish_jump(const struct site_host *host, struct record *record, const struct text_window *text,
                         uint64_t at)
{
    uint8_t jump[JUMP_SIZE];
    add_patch(record, text, at, JUMP_SIZE);
    if (!jump_encode(at, record->stub, jump) || !pages_writable(host, record, 0, 1))
        return false;
    patch_publish(host, at, jump, JUMP_SIZE);
    pages_writable(host, record, 0, 0);
    return true;
}

static void fill(struct record *record, const struct plan *plan, const struct text_window *text,
                 const struct stub *stub)
{
    int end = SYSCALL_SIZE;
    if (plan->kind != SITE_HOLE && plan->patch + JUMP_SIZE > end)
        end = plan->patch + JUMP_SIZE;
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
static enum site_refusal install(const struct site_host *host, const struct plan *plan, const struct text_window *text)
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
    if (!area_write(host, record->stub, stub.bytes, stub.size) || !add_keys(host, record))
        goto no_keys;
    host->sync_cores();
    if (!(record->hole ? publish_hole(host, record, text, 0, record->stub) : publish_jump(host, record, text, from)))
        goto no_keys;
    return SITE_REFUSED_NOT;
no_keys:
    install_unmap(host, record);
no_stub:
    area_release(record->stub, room);
no_place:
    record_free(record);
    return refusal;
}

/* The site is jumped to past the rewritten instructions before it: gives it a second way in, if there is padding. */
static bool install_second(const struct site_host *host, struct record *record, const struct text_window *text)
{
    struct planner planner;
    struct plan plan;
    uint32_t first = record->patch_count;
    plan_begin(&planner, text);
    record->second = true;
    if (!plan_hole(&planner, &plan))
        return false;
    uint64_t hole = text->syscall + (uint64_t)(int64_t)plan.hole, target = 0;
    if (is_claimed(hole, hole + JUMP_SIZE, record))
        return false;
    for (uint32_t i = 0; i < record->point_count; i++)
        if (record->points[i].guest == 0)
            target = record->stub + record->points[i].stub;
    record_write_begin(record);
    record->hole = hole;
    record_write_end(record);
    if (add_keys(host, record) && publish_hole(host, record, text, first, target))
        return true;
    record_key(host, hole, 0);
    record_write_begin(record);
    record->patch_count = (uint8_t)first;
    record->hole = 0;
    record_write_end(record);
    return false;
}

enum site_refusal install_site(const struct site_host *host, struct text_window *text,
                               struct site_statistics *statistics)
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
            statistics->second += install_second(host, record_at(old.index), text);
        return SITE_REFUSED_NOT;
    }
    enum site_refusal refusal = SITE_REFUSED_NOT;
    plan_begin(&planner, text);
    while (plan_next(&planner, &plan)) {
        refusal = install(host, &plan, text);
        if (refusal == SITE_REFUSED_NOT) {
            statistics->by_kind[plan.kind]++;
            return refusal;
        }
    }
    if (refusal == SITE_REFUSED_NOT)
        refusal = planner.refusal;
    statistics->by_kind[SITE_TRAP]++;
    statistics->by_refusal[refusal]++;
    return refusal;
}

bool install_undo(const struct site_host *host, struct record *record)
{
    if (record->patch_count == 0 || !pages_writable(host, record, 0, 1))
        return false;
    for (uint32_t i = record->patch_count; i-- > 0;) {
        patch_withdraw(host, record->patches[i].at, record->patches[i].old, record->patches[i].size);
        host->sync_cores();
    }
    pages_writable(host, record, 0, 0);
    return true;
}
