/* SPDX-License-Identifier: MIT */
/*
 * --stats.  Without it nothing here runs: calls are counted on dispatch's slow path, PAL calls by stubs (shim/count.S)
 * that the libOS then has in place of the PAL's table.  Increments that threads lose are no matter.
 */
#include "libos/lib/lib.h"
#include "shim/rewrite/rewrite.h"

#define NUMBERS 512 /* more than the call table has rows; the last is for all that are beyond */
#define PAL_INDEX(call) (offsetof(struct pal_api, call) / sizeof(uint64_t))

extern char shim_count_stubs[]; /* count.S: one a PAL call, 16 bytes apart */
extern uint64_t shim_pal_counts[];
extern const struct pal_api *shim_pal_real;

static const char *const call_names[NUMBERS] = {
#define CALL0(number, name, ...) [number] = #name,
#define CALL1 CALL0
#define CALL2 CALL0
#define CALL3 CALL0
#define CALL4 CALL0
#define CALL5 CALL0
#define CALL6 CALL0
#define NONE(number, name, why) [number] = #name " (not served)",
#define REFUSED(number, name, error, why) [number] = #name " (" #error ")",
#include "libos/syscalls.def"
    [NUMBERS - 1] = "no such call",
};

static const char *const pal_names[] = {
#define NAME(call) [PAL_INDEX(call)] = #call,
    NAME(memory_reserve) NAME(memory_release) NAME(memory_commit) NAME(memory_decommit) NAME(memory_protect)
    NAME(memory_map) NAME(memory_move) NAME(code_sync) NAME(thread_create) NAME(thread_exit) NAME(thread_yield)
    NAME(thread_interrupt) NAME(thread_set) NAME(wait) NAME(wake) NAME(lock) NAME(unlock) NAME(stream_open)
    NAME(handle_close) NAME(stream_read) NAME(stream_write) NAME(stream_vectors) NAME(stream_list)
    NAME(stream_control) NAME(attributes_get)
    NAME(attributes_set) NAME(name_change) NAME(name_read) NAME(name_revalidate) NAME(object_create) NAME(socket_send)
    NAME(socket_receive) NAME(socket_bind) NAME(socket_connect) NAME(poll) NAME(poll_set_update) NAME(poll_set_wait)
    NAME(process_fork) NAME(process_wait) NAME(process_exit) NAME(process_interrupt)
    NAME(handle_export) NAME(handle_import) NAME(clock_get) NAME(random)
#undef NAME
};
#define PAL_CALLS COUNT_OF(pal_names)
_Static_assert(PAL_CALLS == PAL_CALL_COUNT + 1, "a name for each PAL call");

static struct { uint64_t called, trapped; } counts[NUMBERS];
static struct site_statistics sites_before; /* what the program before this one, or the parent, had done */
static union {
    struct pal_api api;
    uint64_t calls[PAL_CALLS];
} counting;

const struct pal_api *stats_wrap(const struct pal_api *api)
{
    if (!boot->stats)
        return api;
    shim_pal_real = api;
    counting.api = *api;
    for (size_t i = 1; i < PAL_CALLS; i++)
        counting.calls[i] = (uint64_t)(uintptr_t)shim_count_stubs + i * 16;
    return &counting.api;
}

void stats_count(const struct frame *frame)
{
    uint32_t number = MIN((uint32_t)frame->number, NUMBERS - 1u);
    *(frame->how == FRAME_CALLED ? &counts[number].called : &counts[number].trapped) += 1;
}

void stats_begin(void)
{
    memset(counts, 0, sizeof counts);
    memset(shim_pal_counts, 0, PAL_CALLS * sizeof *shim_pal_counts);
    site_statistics(&sites_before);
}

/* In tenths of a percent. */
static unsigned long permille(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned long)(part * 1000 / whole) : 0;
}

static void report_number(uint64_t number, const char *what, const char *which)
{
    if (number)
        log_line("pal-run: %10lu %s%s", (unsigned long)number, what, which);
}

static void report_sites(const struct site_statistics *sites)
{
    for (uint32_t i = SITE_TRAP + 1; i < SITE_KINDS; i++)
        report_number(sites->by_kind[i] - sites_before.by_kind[i], "sites rewritten: ", site_kind_names[i]);
    for (uint32_t i = 0; i < SITE_REFUSALS; i++)
        report_number(sites->by_refusal[i] - sites_before.by_refusal[i], "sites refused: ", site_refusal_names[i]);
    report_number(sites->faults - sites_before.faults, "arrivals inside a rewritten site", "");
    report_number(sites->trampoline_bytes, "bytes of trampolines", "");
}

/* Warm-up: a site's traps until it has shown that it is used (site_host.patience). */
static void report_sum(int pid, const char *name, uint64_t called, uint64_t trapped, uint64_t pal_calls, const struct site_statistics *sites)
{
    uint64_t warming = MIN(sites->warming - sites_before.warming, trapped);
    unsigned long all = permille(called, called + trapped), warm = permille(called, called + trapped - warming);
    log_line("pal-run: process %d (%s): %lu calls, %lu.%lu %% through rewritten sites (%lu.%lu %% but for %lu traps of "
             "warm-up), %lu PAL calls", pid, name, (unsigned long)(called + trapped),
             all / 10, all % 10, warm / 10, warm % 10, (unsigned long)warming, (unsigned long)pal_calls);
}

void stats_report(int pid, const char *name)
{
    static uint64_t pal[PAL_CALLS]; /* the report's own calls don't count */
    struct site_statistics sites;
    uint64_t called = 0, trapped = 0, pal_calls = 0;
    if (!boot->stats)
        return;
    memcpy(pal, shim_pal_counts, sizeof pal);
    site_statistics(&sites);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        called += counts[i].called;
        trapped += counts[i].trapped;
    }
    for (uint32_t i = 0; i < PAL_CALLS; i++)
        pal_calls += pal[i];
    if (called + trapped == 0) /* a vfork child execs: it has called through its parent */
        return;
    report_sum(pid, name, called, trapped, pal_calls, &sites);
    log_line("pal-run:  rewritten    trapped");
    for (uint32_t i = 0; i < NUMBERS; i++)
        if (counts[i].called + counts[i].trapped)
            log_line("pal-run: %10lu %10lu %s", (unsigned long)counts[i].called, (unsigned long)counts[i].trapped,
                     call_names[i] ? call_names[i] : "no such call");
    for (uint32_t i = 1; i < PAL_CALLS; i++)
        report_number(pal[i], "PAL calls: ", pal_names[i]);
    report_sites(&sites);
    stats_begin();
}
