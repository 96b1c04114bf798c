/* SPDX-License-Identifier: MIT */
/*
 * What libc's start is told of the processor.  It asks by 50 CPUID instructions, each an exit to the host where pal-run is in a virtual
 * machine, and together a seventh of a start.  pal-run has no use for the answers: it copies nothing large, so the plain variants of
 * libc's string functions serve.  The build puts these functions in the place of libc's own (loader/launch/gen/redirect), and tries
 * what came of it.  Called before libc is there: see picoprocess.c.
 */
#include <unistd.h>

#include "loader/launch/launch.h"

/* SIZE, ASSOCIATIVITY and LINESIZE of each level follow each other, as sysconf(3)'s names do.  Sizes of no processor in
   particular: what they decide is from which size on a copy goes past the caches. */
long cache_size(int name)
{
    static const long sizes[] = {32 << 10, 8, 64, 32 << 10, 8, 64, 512 << 10, 8, 64, 16 << 20, 16, 64};
    unsigned at = (unsigned)(name - _SC_LEVEL1_ICACHE_SIZE);
    return at < sizeof sizes / sizeof *sizes ? sizes[at] : 0;
}

void no_features(unsigned *family, unsigned *model, unsigned *extended_model, unsigned *stepping)
{
    if (family)
        *family = *model = *extended_model = *stepping = 0;
}

void no_more_features(void)
{
}
