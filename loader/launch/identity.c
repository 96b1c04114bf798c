/* SPDX-License-Identifier: MIT */
/* What must be as it was for a snapshot's image to hold: the libOS that wrote it, and the processor that its programs have
 * looked at (functions chosen by CPUID stay chosen). */
#include <string.h>
#include <sys/platform/x86.h>

#include "loader/launch/launch.h"
#include "pal/hash.h"

extern const uint8_t picoprocess_digest[32] __attribute__((weak)); /* SHA-256; unit tests have none */

void snapshot_identity(uint64_t identity[4])
{
    /* As libc has read them at its start.  Those that can be used: the rest tells which core it was, too. */
    unsigned features[CPUID_INDEX_19 + 1][sizeof((struct cpuid_feature *)NULL)->active_array / sizeof(unsigned)];
    for (unsigned i = 0; i <= CPUID_INDEX_19; i++)
        memcpy(features[i], __x86_get_cpuid_feature_leaf(i)->active_array, sizeof features[i]);
    memset(identity, 0, 4 * sizeof *identity);
    if (picoprocess_digest)
        memcpy(identity, picoprocess_digest, sizeof picoprocess_digest);
    identity[0] ^= hash_bytes((const char *)features, sizeof features);
}
