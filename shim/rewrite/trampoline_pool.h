/* SPDX-License-Identifier: MIT */
/*
 * Where stubs lie: areas of 64 KiB near text.  Each begins with the slots that its stubs jump through.  Callers hold the
 * sites' lock, but for area_owner.
 */
#ifndef SHIM_AREA_H
#define SHIM_AREA_H

#include "shim/rewrite/rewrite.h"

#define SLOT_TAIL 8 /* from the first slot to that of stubs with a tail */

/* Whether executing this byte always faults, whatever follows it. */
bool area_traps(uint8_t byte);

/* Room for a stub of `size` bytes for a jump at `from`, so that the bytes of its displacement marked in trap_bytes
 * trap. Marks it as owner's (not 0).  Returns its address and the slot's; 0: none. */
uint64_t area_place(const struct site_host *host, uint64_t from, uint8_t trap_bytes, uint32_t size, uint16_t owner,
                    uint64_t *out_slot);
void area_release(uint64_t stub, uint32_t size);
/* Copies a stub to its place. */
bool area_write(const struct site_host *host, uint64_t stub, const uint8_t *bytes, uint32_t size);
/* Whose stub `address` lies in; 0: nobody's.  Takes no lock. */
uint16_t area_owner(uint64_t address);
void area_forget_all(void);
uint64_t area_count(void);

#endif
