/* SPDX-License-Identifier: MIT */
/* poll, ppoll, select, pselect6: one host wait for all that have a handle; the rest is asked here (readiness.h). */
#include "libos/syscalls.h"
#include "libos/poll/readiness.h"
#include "libos/signal/signal.h"

#define FEW 32u
#define STICKY_TIMEOUTS 0x4000000u /* personality(2) */
#define SECOND_NS 1000000000ull

struct guest_poll { int32_t fd; int16_t events, revents; };

/* Files to wait for, and what the host is asked: entry i is file i's, PAL_NO_HANDLE where the host has no part. */
struct poll_set {
    uint32_t count;
    bool own; /* some file has `ready` */
    struct file **files;
    struct pal_poll *entries;
    struct file *few_files[FEW];
    struct pal_poll few_entries[FEW];
};

static int64_t set_init(struct poll_set *set, uint32_t count)
{
    set->count = count;
    set->own = false;
    set->files = set->few_files;
    set->entries = set->few_entries;
    if (count > FEW) {
        set->files = alloc(count * sizeof *set->files);
        set->entries = alloc(count * sizeof *set->entries);
    }
    if (set->files && set->entries) {
        memset(set->files, 0, count * sizeof *set->files);
        return 0;
    }
    release(set->files);
    release(set->entries);
    return -ENOMEM;
}

static void set_done(struct poll_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->files[i])
            file_put(set->files[i]);
    if (set->files != set->few_files) {
        release(set->files);
        release(set->entries);
    }
}

/* Takes the reference; file may be NULL. */
static void set_put(struct poll_set *set, uint32_t i, struct file *file, uint32_t events)
{
    set->files[i] = file;
    set->entries[i] = (struct pal_poll){file ? file->handle : PAL_NO_HANDLE, (int16_t)events, 0};
    if (file && file->ops->ready)
        set->own = true;
}

/* What file i has now without asking the host. */
static uint32_t local_ready(const struct poll_set *set, uint32_t i)
{
    struct file *file = set->files[i];
    uint32_t wanted = (uint16_t)set->entries[i].events | POLLERR | POLLHUP;
    if (!file)
        return 0;
    if (file->ops->ready)
        return file->ops->ready(file) & wanted;
    return file->handle == PAL_NO_HANDLE ? POLL_ALWAYS & wanted : 0;
}

static bool any_ready(const struct poll_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (local_ready(set, i))
            return true;
    return false;
}

static uint32_t merge_ready(struct poll_set *set)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        set->entries[i].revents = (int16_t)((uint16_t)set->entries[i].revents | local_ready(set, i));
        ready += set->entries[i].revents != 0;
    }
    return ready;
}

/* What is ready is told though a signal is pending: a mask that is for the call only may let it through, and what it
 * lets through then is left pending. */
static int64_t host_wait(struct poll_set *set, uint64_t deadline)
{
    int64_t result = atomic_get(&tcb()->interrupted) ? -EINTR : 0;
    if (deadline && (result = PAL->poll(set->entries, set->count, deadline)) != -EINTR)
        return result;
    int64_t ready = PAL->poll(set->entries, set->count, 0);
    return ready ? ready : result;
}

/* The number of entries with revents; -EINTR.  revents are set. */
static int64_t set_wait(struct poll_set *set, uint64_t deadline)
{
    for (;;) {
        uint64_t until = deadline;
        for (uint32_t i = 0; set->own && i < set->count; i++)
            if (set->files[i])
                until = MIN(until, wait_deadline(set->files[i]));
        if (any_ready(set))
            until = 0;
        int64_t result = host_wait(set, until);
        if (result < 0 && (result != -EINTR || !set->own || !any_ready(set)))
            return result;
        for (uint32_t i = 0; result == -EINTR && i < set->count; i++)
            set->entries[i].revents = 0; /* a signal that some signalfd reads: that alone is ready */
        uint32_t ready = merge_ready(set);
        if (ready || until >= deadline)
            return ready;
    }
}

static int64_t set_wait_local(struct poll_set *set, uint64_t deadline)
{
    struct waiter waiter;
    sigset_t signals = 0;
    if (!set->own)
        return set_wait(set, deadline);
    for (uint32_t i = 0; i < set->count; i++)
        if (set->files[i])
            signals |= wait_signals(set->files[i]);
    wait_begin(&waiter, signals);
    int64_t result = set_wait(set, deadline);
    wait_end(&waiter);
    return result;
}

/* A timeout of 0 looks once, and asks no clock. */
static uint64_t deadline_of(uint64_t timeout_ns)
{
    return timeout_ns ? call_deadline(timeout_ns) : 0;
}

/* Linux writes back what is left, also when interrupted; a place that can't be written is no error. */
static void write_remaining(guest_t to, uint64_t deadline, uint64_t unit_ns)
{
    int64_t out[2] = {0, 0};
    if (!to || deadline == PAL_FOREVER || settings()->persona & STICKY_TIMEOUTS)
        return;
    uint64_t now = deadline ? time_now(PAL_CLOCK_MONOTONIC) : 0;
    uint64_t left = deadline > now ? deadline - now : 0;
    out[0] = (int64_t)(left / SECOND_NS);
    out[1] = (int64_t)(left % SECOND_NS / unit_ns);
    (void)!copy_out(to, out, sizeof out);
}

/* ---- poll -------------------------------------------------------------------------------------------------------- */

static int64_t poll_set_files(struct poll_set *set, const struct guest_poll *from)
{
    int64_t invalid = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        struct file *file = from[i].fd < 0 ? NULL : file_get_io(from[i].fd);
        set_put(set, i, file, (uint16_t)from[i].events);
        invalid += from[i].fd >= 0 && !file;
    }
    return invalid;
}

static int64_t poll_with(struct poll_set *set, struct guest_poll *items, guest_t entries, uint64_t deadline)
{
    uint32_t count = set->count;
    if (copy_in(items, entries, count * sizeof *items))
        return -EFAULT;
    int64_t invalid = poll_set_files(set, items);
    int64_t ready = set_wait_local(set, invalid ? 0 : deadline);
    if (ready < 0)
        return ready;
    for (uint32_t i = 0; i < count; i++) {
        bool bad = items[i].fd >= 0 && !set->files[i];
        items[i].revents = bad ? (int16_t)POLLNVAL : set->entries[i].revents;
    }
    return copy_out(entries, items, count * sizeof *items) ? -EFAULT : ready + invalid;
}

static int64_t poll_guest(guest_t entries, uint32_t count, uint64_t deadline)
{
    struct poll_set set;
    struct guest_poll few[FEW], *items = few;
    if (count > fd_limit())
        return -EINVAL;
    int64_t result = set_init(&set, count);
    if (result)
        return result;
    if (count > FEW)
        items = alloc(count * sizeof *items);
    result = items ? poll_with(&set, items, entries, deadline) : -ENOMEM;
    if (items != few)
        release(items);
    set_done(&set);
    return result;
}

int64_t sys_poll(guest_t entries, uint32_t count, int32_t timeout)
{
    uint64_t deadline = deadline_of(timeout < 0 ? UINT64_MAX : (uint64_t)timeout * 1000000u);
    int64_t result = poll_guest(entries, count, deadline);
    return result == -EINTR ? -ERESTART_RESTARTBLOCK : result;
}

int64_t sys_ppoll(guest_t entries, uint32_t count, guest_t timeout, guest_t mask, uint64_t size)
{
    uint64_t timeout_ns;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (!result)
        result = signal_mask_for_call(mask, size);
    if (result)
        return result;
    uint64_t deadline = deadline_of(timeout_ns);
    result = poll_guest(entries, count, deadline);
    write_remaining(timeout, deadline, 1);
    return signal_mask_done(result == -EINTR ? -ERESTARTNOHAND : result);
}

/* ---- select ------------------------------------------------------------------------------------------------------ */

#define READ_BITS (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define WRITE_BITS (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define EXCEPT_BITS POLLPRI
static const uint32_t select_bits[3] = {READ_BITS, WRITE_BITS, EXCEPT_BITS};

/* The three descriptor sets of a select, in one block: [3][words]. */
struct select_sets {
    guest_t at[3];
    uint32_t descriptors, words;
    uint64_t *bits;
};

static uint64_t *select_word(const struct select_sets *sets, int which, uint32_t fd)
{
    return &sets->bits[(uint32_t)which * sets->words + fd / 64];
}

static uint32_t select_wanted(const struct select_sets *sets, uint32_t fd)
{
    uint32_t wanted = 0;
    for (int k = 0; k < 3; k++)
        if (*select_word(sets, k, fd) >> fd % 64 & 1)
            wanted |= select_bits[k];
    return wanted;
}

static int64_t select_in(struct select_sets *sets)
{
    for (int k = 0; k < 3; k++) {
        uint64_t *words = select_word(sets, k, 0);
        if (!sets->at[k])
            memset(words, 0, sets->words * 8u);
        else if (copy_in(words, sets->at[k], sets->words * 8u))
            return -EFAULT;
        if (sets->descriptors % 64)
            words[sets->words - 1] &= (1ull << sets->descriptors % 64) - 1;
    }
    return 0;
}

static int64_t select_out(struct select_sets *sets, const struct poll_set *set)
{
    int64_t ready = 0;
    uint32_t i = 0;
    for (uint32_t fd = 0; fd < sets->descriptors; fd++) {
        if (!select_wanted(sets, fd))
            continue;
        uint32_t found = (uint16_t)set->entries[i++].revents;
        for (int k = 0; k < 3; k++) {
            uint64_t *word = select_word(sets, k, fd), bit = 1ull << fd % 64;
            if (*word & bit && found & select_bits[k])
                ready++;
            else
                *word &= ~bit;
        }
    }
    for (int k = 0; k < 3; k++)
        if (sets->at[k] && copy_out(sets->at[k], select_word(sets, k, 0), sets->words * 8u))
            return -EFAULT;
    return ready;
}

static int64_t select_wait(struct select_sets *sets, uint64_t deadline)
{
    struct poll_set set;
    uint32_t count = 0;
    for (uint32_t fd = 0; fd < sets->descriptors; fd++)
        count += select_wanted(sets, fd) != 0;
    int64_t result = set_init(&set, count);
    if (result)
        return result;
    uint32_t i = 0;
    for (uint32_t fd = 0; fd < sets->descriptors && !result; fd++) {
        uint32_t wanted = select_wanted(sets, fd);
        if (!wanted)
            continue;
        struct file *file = file_get_io((int)fd);
        set_put(&set, i++, file, wanted);
        result = file ? 0 : -EBADF;
    }
    if (!result)
        result = set_wait_local(&set, deadline);
    if (result >= 0)
        result = select_out(sets, &set);
    set_done(&set);
    return result;
}

static int64_t select_guest(int32_t count, guest_t readable, guest_t writable, guest_t except, uint64_t deadline)
{
    uint64_t few[3 * 16];
    struct select_sets sets = {.at = {readable, writable, except}, .bits = few};
    if (count < 0)
        return -EINVAL;
    int highest = files_highest(current_process()->files);
    sets.descriptors = (uint32_t)MIN(count, MAX((highest + 64) & ~63, 64)); /* as Linux: the table's size */
    sets.words = (sets.descriptors + 63) / 64;
    if (sets.words * 3 > COUNT_OF(few))
        sets.bits = alloc(sets.words * 3 * 8u);
    if (!sets.bits)
        return -ENOMEM;
    int64_t result = sets.descriptors ? select_in(&sets) : 0;
    if (!result)
        result = select_wait(&sets, deadline);
    if (sets.bits != few)
        release(sets.bits);
    return result;
}

int64_t sys_select(int32_t count, guest_t readable, guest_t writable, guest_t except, guest_t timeout)
{
    uint64_t timeout_ns;
    int64_t result = time_from_guest_timeval(timeout, &timeout_ns);
    if (result)
        return result;
    uint64_t deadline = deadline_of(timeout_ns);
    result = select_guest(count, readable, writable, except, deadline);
    write_remaining(timeout, deadline, 1000);
    return result == -EINTR ? -ERESTARTNOHAND : result;
}

int64_t sys_pselect6(int32_t count, guest_t readable, guest_t writable, guest_t except, guest_t timeout, guest_t mask)
{
    struct { guest_t set; uint64_t size; } signals = {0, 0};
    uint64_t timeout_ns;
    if (mask && copy_in(&signals, mask, sizeof signals))
        return -EFAULT;
    int64_t result = time_from_guest(timeout, &timeout_ns);
    if (!result)
        result = signal_mask_for_call(signals.set, signals.size);
    if (result)
        return result;
    uint64_t deadline = deadline_of(timeout_ns);
    result = select_guest(count, readable, writable, except, deadline);
    write_remaining(timeout, deadline, 1);
    return signal_mask_done(result == -EINTR ? -ERESTARTNOHAND : result);
}
