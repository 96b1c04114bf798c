/* SPDX-License-Identifier: MIT */
/* When a site is rewritten, how one is found, how it is forgotten.  rewrite.h has the rules. */
#include "shim/rewrite/rewrite.h"
#include "shim/rewrite/trampoline_pool.h"
#include "shim/rewrite/install.h"
#include "shim/rewrite/scan.h"
#include "shim/rewrite/ahead.h"

#include <stddef.h>

#define SYSCALL_SIZE 2
#define TRIED 256u        /* power of two */
#define TRIED_WAYS 4u
#define TRIED_NEVER 0xffu /* not to be rewritten */
#define SIGRETURN_PATIENCE 8 /* times as much as for other sites */
#define RESTORED 32u
#define RESTORED_RETRIES 64 /* as many threads may be on their way through a fault at once */

const char *const site_kind_names[SITE_KINDS] = {"trap", "mov", "single", "hole", "forward", "backward", "fault"};
const char *const site_refusal_names[SITE_REFUSALS] = {
    "-", "text not rewritable", "unknown instructions", "entered by a branch", "no room", "host refused"};

static const struct site_host *host;
static struct site_statistics statistics;
static uint32_t locked;

/* The sites that trapped of late: address << 8 | traps so far, or TRIED_NEVER.  A cache: sites that share their ways
 * displace the one among them that trapped least. */
static uint64_t tried[TRIED] __attribute__((aligned(4096))); /* a fork's child that execs writes it */
static uint64_t tried_low, tried_high; /* all of them lie in [low, high]; 0, 0: there are none.  Atomic */

/* Addresses whose own bytes have come back, where a thread may just be faulting on what was there before. */
static struct { uint64_t address; uint32_t retries; } restored[RESTORED];
static uint32_t restored_next;

static uint32_t epoch; /* atomic */

/* Text that has, or had, sites: so that what happens elsewhere costs no walk through all of them. */
#define REGIONS 32
static struct { uint64_t start, end; } regions[REGIONS];
static uint32_t region_count;

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

/* ---- Where sites may be ------------------------------------------------------------------------------------------ */

static bool region_met(uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < region_count; i++)
        if (regions[i].start < end && start < regions[i].end)
            return true;
    return false;
}

/* Caller holds the sites' lock.  The last one grows where there is no room. */
static void region_add(uint64_t start, uint64_t end)
{
    uint32_t i = 0;
    while (i < region_count && !(regions[i].start <= start && end <= regions[i].end))
        i++;
    if (i < region_count)
        return;
    if (region_count < REGIONS) {
        regions[region_count].start = start;
        regions[region_count].end = end;
        __atomic_store_n(&region_count, region_count + 1, __ATOMIC_RELEASE);
        return;
    }
    regions[REGIONS - 1].start = start < regions[REGIONS - 1].start ? start : regions[REGIONS - 1].start;
    regions[REGIONS - 1].end = end > regions[REGIONS - 1].end ? end : regions[REGIONS - 1].end;
}

/* Those that have gone as a whole. */
static void region_drop(uint64_t start, uint64_t end)
{
    for (uint32_t i = region_count; i-- > 0;)
        if (regions[i].start >= start && regions[i].end <= end)
            regions[i] = regions[--region_count];
}

/* ---- What has been tried ----------------------------------------------------------------------------------------- */

/* The site's entry, or the one that it would displace. */
static uint64_t *tried_entry(uint64_t address)
{
    uint64_t *ways = &tried[(address * 0x9e3779b97f4a7c15ul >> 40) & (TRIED - TRIED_WAYS)], *least = ways;
    for (uint32_t i = 0; i < TRIED_WAYS; i++) {
        uint64_t entry = __atomic_load_n(&ways[i], __ATOMIC_RELAXED);
        if (entry >> 8 == address)
            return &ways[i];
        if ((entry & 0xff) < (*least & 0xff))
            least = &ways[i];
    }
    return least;
}

static void tried_widen(uint64_t address)
{
    uint64_t low = __atomic_load_n(&tried_low, __ATOMIC_RELAXED), high = __atomic_load_n(&tried_high, __ATOMIC_RELAXED);
    while ((low == 0 || address < low) &&
           !__atomic_compare_exchange_n(&tried_low, &low, address, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    while (address > high &&
           !__atomic_compare_exchange_n(&tried_high, &high, address, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void tried_set(uint64_t address, uint64_t traps)
{
    tried_widen(address);
    __atomic_store_n(tried_entry(address), address << 8 | traps, __ATOMIC_RELAXED);
}

/* Counts this trap: how many there were, or 0 where the site is not to be rewritten. */
static uint64_t tried_count(uint64_t address)
{
    uint64_t entry = __atomic_load_n(tried_entry(address), __ATOMIC_RELAXED);
    uint64_t traps = entry >> 8 == address ? entry & 0xff : 0;
    if (traps == TRIED_NEVER)
        return 0;
    statistics.warming++;
    if (traps + 1 < TRIED_NEVER)
        tried_set(address, traps + 1);
    return traps + 1;
}

static void tried_forget(uint64_t start, uint64_t end)
{
    if (__atomic_load_n(&tried_high, __ATOMIC_RELAXED) < start || __atomic_load_n(&tried_low, __ATOMIC_RELAXED) >= end)
        return;
    for (uint32_t i = 0; i < TRIED; i++) {
        uint64_t address = tried[i] >> 8;
        if (address >= start && address < end)
            __atomic_store_n(&tried[i], 0, __ATOMIC_RELAXED);
    }
}

/* ---- Rewriting --------------------------------------------------------------------------------------------------- */

void site_rewrite(uint64_t after)
{
    struct text_window text = {.syscall = after - SYSCALL_SIZE};
    struct site site;
    uint64_t traps = tried_count(text.syscall);
    if (traps == 0 || traps < host->patience)
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
    text.all = (const uint8_t *)text.start;
    window_read(&text);
    if ((traps >= SIGRETURN_PATIENCE * (uint64_t)host->patience || !plan_is_sigreturn(&text)) && try_lock()) {
        region_add(text.start, text.end);
        bool final = install_site(host, &text, &statistics) != SITE_REFUSED_NOT ||
                     (site_table_find(text.syscall, &site) && site.second);
        tried_set(text.syscall, final ? TRIED_NEVER : 0);
        site_unlock();
    }
    host->text_unpin();
}

/* ---- Ahead of time ----------------------------------------------------------------------------------------------- */

uint32_t site_find_all(uint64_t start, uint64_t end, struct site_record *out, uint32_t room)
{
    return ahead_find(host, start, end, out, room);
}

void site_rewrite_known(uint64_t start, uint64_t end, const struct site_record *records, uint32_t count)
{
    if (count == 0)
        return;
    site_lock();
    install_fresh(!region_met(start, end));
    if (ahead_rewrite(host, start, end, records, count, &statistics))
        region_add(start, end);
    install_fresh(false);
    site_unlock();
}

/* ---- For other processes ----------------------------------------------------------------------------------------- */

static uint32_t hot_add(struct site_hot *out, uint32_t count, uint32_t room, uint64_t syscall, uint32_t traps)
{
    if (count == room)
        return count;
    uint32_t i = count;
    for (; i > 0 && out[i - 1].syscall > syscall; i--)
        out[i] = out[i - 1];
    out[i] = (struct site_hot){syscall, traps};
    return count + 1;
}

uint32_t site_hot(struct site_hot *out, uint32_t room)
{
    uint32_t count = 0;
    site_lock();
    for (uint32_t i = 0; tried_high && i < TRIED; i++) {
        uint32_t traps = (uint32_t)(tried[i] & 0xff);
        if (traps && traps != TRIED_NEVER)
            count = hot_add(out, count, room, tried[i] >> 8, traps);
    }
    for (uint32_t i = 1; i < site_table_limit(); i++) {
        const struct site *site = site_table_at(i);
        if (site && !site->retired)
            count = hot_add(out, count, room, site->syscall, host->patience);
    }
    site_unlock();
    return count;
}

bool site_hint(uint64_t start, uint64_t end, uint64_t syscall, struct site_hint *out)
{
    struct text_window text = {.syscall = syscall, .all = (const uint8_t *)start, .start = start, .end = end};
    site_lock();
    bool found = install_hint(&text, out);
    site_unlock();
    return found;
}

uint64_t site_next_cpuid(uint64_t start, uint64_t end, uint64_t from)
{
    struct text_window text = {.all = (const uint8_t *)start, .start = start, .end = end};
    for (; (from = scan_next_cpuid(from, end)) < end; from++) {
        text.syscall = from;
        window_read(&text);
        if (scan_proves(&text, 0, 0))
            break;
    }
    return from;
}

uint64_t site_instruction(uint32_t index)
{
    struct site site;
    return site_table_read((uint16_t)index, &site) ? site.syscall : 0;
}

uint32_t site_rewrite_hinted(uint64_t start, uint64_t end, struct site_hint *hints, uint32_t count)
{
    uint32_t rewritten = 0;
    if (count == 0)
        return 0;
    site_lock();
    install_fresh(!region_met(start, end));
    if (ahead_rewrite_hinted(host, start, end, hints, count, &rewritten, &statistics))
        region_add(start, end);
    install_fresh(false);
    site_unlock();
    return rewritten;
}

/* ---- Lookups ----------------------------------------------------------------------------------------------------- */

uint64_t site_resume(uint64_t guest)
{
    struct site site;
    if (!site_table_find(guest, &site))
        return guest;
    for (uint32_t i = 0; i < site.point_count; i++)
        if (site.syscall + (uint64_t)(int64_t)site.points[i].guest == guest)
            return site.trampoline + site.points[i].trampoline;
    return guest;
}

uint64_t site_guest(uint64_t address)
{
    struct site site;
    uint16_t owner = pool_owner(address);
    if (owner == 0)
        return site_table_find(address, &site) && site.hole == address ? site.syscall : address;
    if (!site_table_read(owner, &site))
        return address;
    uint64_t guest = address;
    for (uint32_t i = 0; i < site.point_count; i++)
        if (site.trampoline + site.points[i].trampoline <= address)
            guest = site.syscall + (uint64_t)(int64_t)site.points[i].guest;
    return guest;
}

bool site_between(uint64_t address)
{
    struct site site;
    uint16_t owner = pool_owner(address);
    if (owner == 0)
        return site_table_find(address, &site) && site.hole == address;
    if (!site_table_read(owner, &site))
        return false;
    for (uint32_t i = 0; i < site.point_count; i++)
        if (site.trampoline + site.points[i].trampoline == address)
            return address == site.trampoline;
    return true;
}

uint64_t site_fault(uint64_t rip)
{
    uint64_t trampoline = site_resume(rip);
    if (trampoline != rip) {
        __atomic_fetch_add(&statistics.faults, 1, __ATOMIC_RELAXED);
        return trampoline;
    }
    for (uint32_t i = 0; i < RESTORED; i++)
        if (restored[i].address == rip && restored[i].retries &&
            __atomic_fetch_sub(&restored[i].retries, 1, __ATOMIC_RELAXED) > 0)
            return rip;
    return 0;
}

static void show_own(const struct site *site, uint64_t address, uint8_t *bytes, uint64_t size)
{
    for (uint32_t p = site->patch_count; p-- > 0;)
        for (uint32_t i = 0; i < site->patches[p].size; i++)
            if (site->patches[p].at + i - address < size)
                bytes[site->patches[p].at + i - address] = site->patches[p].old[i];
}

void site_peek(uint64_t address, uint8_t *bytes, uint64_t size)
{
    if (region_count == 0) /* most programs have not a site yet */
        return;
    site_lock();
    for (uint32_t i = 1; i < site_table_limit(); i++) {
        const struct site *site = site_table_at(i);
        if (site && !site->retired)
            show_own(site, address, bytes, size);
    }
    site_unlock();
}

/* ---- Forgetting -------------------------------------------------------------------------------------------------- */

static void note_restored(const struct site *site)
{
    for (uint32_t i = 0; i < site->point_count; i++) {
        uint32_t next = restored_next++ % RESTORED;
        restored[next].retries = 0;
        restored[next].address = site->syscall + (uint64_t)(int64_t)site->points[i].guest;
        __atomic_store_n(&restored[next].retries, RESTORED_RETRIES, __ATOMIC_RELEASE);
    }
}

static void forget(struct site *site, bool text_stays)
{
    if (text_stays && site->retired)
        return;
    if (text_stays && install_undo(host, site))
        note_restored(site);
    if (!site->retired)
        install_unmap(host, site);
    if (text_stays) {
        site_table_write_begin(site);
        site->retired = true;
        site->patch_count = 0;
        site->hole = 0;
        site_table_write_end(site);
        return;
    }
    pool_release(site->trampoline, site->trampoline_size);
    site_table_free(site);
}

uint32_t site_epoch(void)
{
    return __atomic_load_n(&epoch, __ATOMIC_RELAXED);
}

void site_forget(uint64_t start, uint64_t end, bool text_stays)
{
    __atomic_fetch_add(&epoch, 1, __ATOMIC_RELAXED);
    if (tried_high == 0 && region_count == 0)
        return;
    site_lock();
    tried_forget(start, end);
    for (uint32_t i = 1; region_met(start, end) && i < site_table_limit(); i++) {
        struct site *site = site_table_at(i);
        bool touched = site && ((site->start < end && start < site->end) ||
                                  (site->hole && site->hole < end && start < site->hole + JUMP_SIZE));
        if (touched)
            forget(site, text_stays);
    }
    region_drop(start, end);
    site_unlock();
}

void site_forget_all(void)
{
    epoch++;
    locked = 0;
    site_table_forget_all();
    pool_forget_all();
    region_count = 0;
    tried_forget(0, UINT64_MAX);
    tried_low = tried_high = 0;
}

void site_statistics(struct site_statistics *out)
{
    *out = statistics;
    out->pools = pool_count();
    out->trampoline_bytes = 0;
    for (uint32_t i = 1; i < site_table_limit(); i++)
        if (site_table_at(i))
            out->trampoline_bytes += site_table_at(i)->trampoline_size;
}
