/* SPDX-License-Identifier: MIT */
/*
 * What the processor answers to cpuid.  Under some hypervisors each question costs microseconds, and ld.so asks thirty at each
 * start; so the answers are kept beside the profiles, for as long as the host runs and the processor is of the same kind,
 * and the libOS gives them (libos/mm/warm.c).  Where cpuid is fast none are kept.
 *
 * Left out is what differs between processors (topology), or is the hypervisor's own.  Of leaf 1 one byte is the number of the
 * processor that answered, which no libc's start uses.
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <linux/magic.h>

#include "loader/explain/explain.h"
#include "loader/launch/launch.h"

#define FILE_NAME "cpuid"
#define WORTH_NS 2500 /* to rewrite one costs the libOS some 1500 at each start */
#define BASIC_MOST 0x20u
#define EXTENDED 0x80000000u
#define EXTENDED_MOST 0x80000028u
#define SUBLEAVES_MOST 6u

static struct answers {
    struct { uint64_t version, device, inode, seconds, nanoseconds, hwcap, hwcap2; } boot; /* which run of the host */
    struct pal_cpuid first; /* leaf 1: the kind of processor */
    uint32_t count, reserved;
    struct pal_cpuid list[PAL_CPUIDS];
} kept;

static struct pal_cpuid ask(uint32_t leaf, uint32_t subleaf)
{
    struct pal_cpuid answer = {.leaf = leaf, .subleaf = subleaf};
    __cpuid_count(leaf, subleaf == PAL_CPUID_ANY ? 0 : subleaf, answer.eax, answer.ebx, answer.ecx, answer.edx);
    return answer;
}

static void add(uint32_t leaf, uint32_t subleaf)
{
    if (kept.count < PAL_CPUIDS)
        kept.list[kept.count++] = ask(leaf, subleaf);
}

/* Other leaves say the same whatever ECX is, and libcs leave in it what was there. */
static bool has_subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4: case 7: case 0xd: case 0xf: case 0x10: case 0x12: case 0x14: case 0x17: case 0x18: case 0x1a: case 0x1b: case 0x1d: case 0x1e:
    case 0x20: case 0x8000001d: case 0x80000020:
        return true;
    default: return false;
    }
}

static bool differs(uint32_t leaf)
{
    return leaf == 0xb || leaf == 0x1f || leaf == 0x8000001e || leaf == 0x80000026;
}

static void add_leaves(uint32_t first, uint32_t most)
{
    uint32_t last = ask(first, PAL_CPUID_ANY).eax;
    for (uint32_t leaf = first; leaf <= last && leaf <= most; leaf++)
        if (differs(leaf))
            continue;
        else if (!has_subleaves(leaf))
            add(leaf, PAL_CPUID_ANY);
        else
            for (uint32_t subleaf = 0; subleaf < SUBLEAVES_MOST; subleaf++)
                add(leaf, subleaf);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Which run of the host this is; the kind of processor as leaf 1 has it, without its number. */
static bool identify(struct answers *out)
{
    struct stat status;
    struct statfs system;
    if (statfs("/sys", &system) < 0 || system.f_type != SYSFS_MAGIC || stat("/sys", &status) < 0)
        return false;
    out->boot.version = MONITOR_VERSION;
    out->boot.device = status.st_dev;
    out->boot.inode = status.st_ino;
    out->boot.seconds = (uint64_t)status.st_ctim.tv_sec;
    out->boot.nanoseconds = (uint64_t)status.st_ctim.tv_nsec;
    out->boot.hwcap = getauxval(AT_HWCAP);
    out->boot.hwcap2 = getauxval(AT_HWCAP2);
    out->first = ask(1, PAL_CPUID_ANY);
    out->first.ebx = 0;
    return true;
}

const struct pal_cpuid *cpuid_answers(size_t *count)
{
    struct answers here = {.count = 0};
    *count = 0;
    if (!store_is_open() || !identify(&here))
        return NULL;
    if (store_read(FILE_NAME, (char *)&kept, sizeof kept) != sizeof kept || memcmp(&kept.boot, &here.boot, sizeof here.boot) != 0 ||
        memcmp(&kept.first, &here.first, sizeof here.first) != 0 || kept.count > PAL_CPUIDS) {
        uint64_t begun = now();
        memset(&kept, 0, sizeof kept);
        add_leaves(0, BASIC_MOST);
        add_leaves(EXTENDED, EXTENDED_MOST);
        kept.count = now() - begun > kept.count * (uint64_t)WORTH_NS ? kept.count : 0;
        kept.boot = here.boot;
        kept.first = here.first;
        store_write(FILE_NAME, (const char *)&kept, sizeof kept, false);
    }
    *count = kept.count;
    return kept.list;
}
