/* SPDX-License-Identifier: MIT */
/*
 * Cache sizes for libc's memcpy.  Its start asks the processor for each, by 30 CPUID instructions that it forgets in between; in a
 * virtual machine each is an exit to the host, and together they were 6 % of a start.  The build puts this in the place of libc's
 * two functions (loader/launch/gen/redirect).  Called before libc is there: see picoprocess.c.
 */
#include <unistd.h>

#include "loader/launch/launch.h"

/* SIZE, ASSOCIATIVITY and LINESIZE of each level follow each other, as sysconf(3)'s names do.  Sizes of no processor in
   particular: what they decide is from which size on a copy goes past the caches, and pal-run copies nothing so large. */
long cache_size(int name)
{
    static const long sizes[] = {32 << 10, 8, 64, 32 << 10, 8, 64, 512 << 10, 8, 64, 16 << 20, 16, 64};
    unsigned at = (unsigned)(name - _SC_LEVEL1_ICACHE_SIZE);
    return at < sizeof sizes / sizeof *sizes ? sizes[at] : 0;
}
