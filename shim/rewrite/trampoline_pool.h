/* SPDX-License-Identifier: MIT */
/*
 * Where trampolines lie: pools of 64 KiB near text.  Each begins with the slots that its trampolines jump through. 
 * Callers hold the sites' lock, but for pool_owner.
 */
#ifndef SHIM_TRAMPOLINE_POOL_H
#define SHIM_TRAMPOLINE_POOL_H

#include "shim/rewrite/rewrite.h"

#define POOL_SIZE 0x10000u /* and aligned to it */
#define POOLS_MAX 128
#define SLOT_TAIL 8 /* from the first slot to that of trampolines with a tail */
#define SLOT_CPUID 16

/* Whether executing this byte always faults, whatever follows it. */
bool pool_traps(uint8_t byte);

/* Room for a trampoline of `size` bytes for a jump at `from`, so that the bytes of its displacement marked in
 * trap_bytes trap. Marks it as owner's (not 0).  Returns its address and the slot's; 0: none. */
uint64_t pool_place(const struct site_host *host, uint64_t from, uint8_t trap_bytes, uint32_t size, uint16_t owner,
                    uint64_t *out_slot);
void pool_release(uint64_t trampoline, uint32_t size);
/* Copies a trampoline to its place. */
bool pool_write(const struct site_host *host, uint64_t trampoline, const uint8_t *bytes, uint32_t size);
/* The site whose trampoline `address` lies in; 0: none.  Takes no lock. */
uint16_t pool_owner(uint64_t address);
void pool_forget_all(void);
uint64_t pool_count(void);

#endif
