/* SPDX-License-Identifier: MIT */
/*
 * The address space is as large as Linux's: where sanitizers, virtual machines and emulators want their fixed places,
 * these are free, and huge reservations fit.  What is not free, /proc/self/maps tells.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define TIB (1ul << 40)
#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* Some line of the maps overlaps it. */
static int is_told(uint64_t start, uint64_t size)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long from, to;
    int found = 0;
    CHECK(maps);
    while (fgets(line, sizeof(line), maps))
        found |= sscanf(line, "%lx-%lx", &from, &to) == 2 && from < start + size && to > start;
    fclose(maps);
    return found;
}

/* True: it was mapped, and is no longer. */
static int maps_at(uint64_t start, uint64_t size, int protection)
{
    void *want = (void *)start, *got = mmap(want, size, protection, FLAGS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return 0;
    CHECK(got == want);
    if (protection & PROT_WRITE) {
        *(volatile char *)want = 1;
        *((volatile char *)want + size - 1) = 1;
    }
    CHECK(munmap(got, size) == 0);
    return 1;
}

/* Fixed places of ASan's shadow and heap, MSan's and TSan's shadows and heaps, Go's race detector and a Java heap. */
static void fixed_places(void)
{
    static const struct { uint64_t start, size; } places[] = {
        {0x00007fff8000, 0x00010007000},   {0x02008fff7000, 0xdfff0001000}, {0x600000000000, 4 * TIB},
        {0x010000000000, 15 * TIB},        {0x110000000000, 15 * TIB},      {0x200000000000, 16 * TIB},
        {0x300000000000, 16 * TIB},        {0x700000000000, 4 * TIB},       {0x7b0000000000, TIB},
        {0x568000000000, 0x247fffff0000},  {0x7c0000000000, 0x027fffff0000}, {0x00c000000000, 0x2000000000},
        {0x040000000000, 0x40000000000},   {0x7e8000000000, TIB / 8},
    };
    for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++)
        CHECK(maps_at(places[i].start, places[i].size, PROT_NONE) || is_told(places[i].start, places[i].size));
    CHECK(maps_at(0x600000000000, 4 * TIB, PROT_NONE));
    CHECK(maps_at(0x7b0000000000, TIB, PROT_READ | PROT_WRITE));
    CHECK(maps_at(0x700000000000, 4 * TIB, PROT_READ | PROT_WRITE));
    CHECK(maps_at(0x568000000000, 0x247fffff0000, PROT_NONE));
}

/* Page by page near the end: free, or told. */
static void the_top(void)
{
    for (uint64_t at = 0x7ff000000000; at < 0x7ffffffff000; at += 0x3fff000)
        CHECK(maps_at(at, 4096, PROT_READ | PROT_WRITE) || is_told(at, 4096));
    CHECK_FAILS(mmap((void *)0x7ffffffff000, 4096, PROT_READ, FLAGS | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_FAILS(mmap((void *)0x800000000000, 4096, PROT_READ, FLAGS | MAP_FIXED, -1, 0), ENOMEM);
    void *near = mmap((void *)0x7fff00000000, 4096, PROT_READ | PROT_WRITE, FLAGS, -1, 0);
    CHECK(near != MAP_FAILED && munmap(near, 4096) == 0);
}

static void reservations(void)
{
    char *all = mmap(NULL, 64 * TIB, PROT_NONE, FLAGS, -1, 0);
    CHECK(all != MAP_FAILED);
    CHECK(mprotect(all + 33 * TIB, 65536, PROT_READ | PROT_WRITE) == 0);
    all[33 * TIB] = 1;
    CHECK(munmap(all, 64 * TIB) == 0);
    CHECK_FAILS(mmap(NULL, 128 * TIB, PROT_NONE, FLAGS, -1, 0), ENOMEM);
}

/* Mappings without a place begin just below the stack. */
static void from_the_top(void)
{
    int local;
    void *at = mmap(NULL, 64 << 20, PROT_NONE, FLAGS, -1, 0);
    CHECK((uint64_t)&local >> 40 == 0x7f && (uint64_t)at >> 32 >= 0x7e80);
    munmap(at, 64 << 20);
}

int main(void)
{
    fixed_places();
    the_top();
    reservations();
    from_the_top();
    return 0;
}
