/* SPDX-License-Identifier: MIT */
/* The table of blocks by FS base: see gs.h. */
#include "shim/gs.h"

struct shim_gs shim_gs __attribute__((aligned(64)));

/* entry.S holds it for some instructions, and never when it traps: so handlers may take it. */
static void lock(void)
{
    while (__atomic_exchange_n(&shim_gs.lock, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void unlock(void)
{
    __atomic_store_n(&shim_gs.lock, 0, __ATOMIC_RELEASE);
}

/* Caller holds the lock.  tcb NULL: all. */
static void drop(const struct pal_tcb *tcb)
{
    for (uint32_t i = 0; i < GS_ROWS; i++)
        if (shim_gs.rows[i].fs && (!tcb || shim_gs.rows[i].block == (uint64_t)tcb))
            shim_gs.rows[i].fs = shim_gs.rows[i].block = 0;
}

void gs_note(const struct pal_tcb *tcb, uint64_t fs)
{
    if (!fs || shim_gs.off)
        return;
    lock();
    drop(tcb);
    uint64_t row = (fs >> GS_SHIFT1 ^ fs >> GS_SHIFT2) & (GS_ROWS - 1);
    if (!shim_gs.off) {
        shim_gs.rows[row].fs = fs;
        shim_gs.rows[row].block = (uint64_t)tcb;
        shim_gs.used = 1;
    }
    unlock();
}

void gs_forget(const struct pal_tcb *tcb)
{
    if (__builtin_expect(!__atomic_load_n(&shim_gs.used, __ATOMIC_ACQUIRE), 1))
        return;
    lock();
    drop(tcb);
    unlock();
}

void gs_share(void)
{
    if (__atomic_load_n(&shim_gs.off, __ATOMIC_ACQUIRE))
        return;
    lock();
    shim_gs.off = 1;
    drop((void *)0);
    unlock();
}

void gs_reset(void)
{
    if (!shim_gs.used && !shim_gs.off && !shim_gs.lock)
        return; /* a page that need not be copied */
    drop((void *)0);
    shim_gs.used = shim_gs.off = 0;
    unlock();
}
