/* SPDX-License-Identifier: MIT */
/*
 * Guest memory.  A guest address becomes bytes here only, by the copy routines of shim/entry.S, whose faults come back
 * as a count.  The range check keeps a guest from having the libOS read or write its own arena for it: no boundary (the
 * guest could do so itself), but EFAULT is what Linux gives.
 */
#include "libos/lib/lib.h"

uint64_t shim_copy(void *to, const void *from, uint64_t size);
uint64_t shim_zero(void *to, uint64_t size);
int64_t shim_copy_string(char *to, const char *from, uint64_t size);
int64_t shim_load32(const uint32_t *from);
int64_t shim_store32(uint32_t *to, uint32_t value);
int64_t shim_exchange32(uint32_t *at, uint32_t expected, uint32_t value);

#define AT(address) ((void *)(uintptr_t)(address))

/* A copying call lends its buffer to the files that it reads and writes. */
static bool is_lent(guest_t at, uint64_t size)
{
    const guest_t lent = tcb()->libos[LENT];
    return lent && at >= lent && at - lent <= COPY_BUFFER && size <= COPY_BUFFER - (at - lent);
}

static bool reachable(guest_t at, uint64_t size)
{
    return LIKELY(guest_range_ok(at, size)) || is_lent(at, size);
}

size_t copy_in_some(void *to, guest_t from, size_t size)
{
    return reachable(from, size) ? size - shim_copy(to, AT(from), size) : 0;
}

size_t copy_out_some(guest_t to, const void *from, size_t size)
{
    return reachable(to, size) ? size - shim_copy(AT(to), from, size) : 0;
}

int64_t copy_in(void *to, guest_t from, size_t size)
{
    return copy_in_some(to, from, size) == size ? 0 : -EFAULT;
}

int64_t copy_out(guest_t to, const void *from, size_t size)
{
    return copy_out_some(to, from, size) == size ? 0 : -EFAULT;
}

int64_t zero_out(guest_t to, size_t size)
{
    return reachable(to, size) && shim_zero(AT(to), size) == 0 ? 0 : -EFAULT;
}

int64_t copy_in_string(char *to, guest_t from, size_t size)
{
    if (from >= PAL_GUEST_END)
        return -EFAULT;
    int64_t n = shim_copy_string(to, AT(from), MIN(size, PAL_GUEST_END - from));
    return n == (int64_t)size ? -ENAMETOOLONG : n;
}

int64_t guest_load32(guest_t at)
{
    return guest_range_ok(at, 4) ? shim_load32(AT(at)) : -EFAULT;
}

int64_t guest_store32(guest_t at, uint32_t value)
{
    return guest_range_ok(at, 4) ? shim_store32(AT(at), value) : -EFAULT;
}

int64_t guest_exchange32(guest_t at, uint32_t expected, uint32_t value)
{
    return guest_range_ok(at, 4) ? shim_exchange32(AT(at), expected, value) : -EFAULT;
}
