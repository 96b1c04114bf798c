/* SPDX-License-Identifier: MIT */
/* Memory calls: states of a page, sharing across fork, and the ranges that a host must refuse. */
#include "regression/pal/suite.h"

#define PAGE ((uint64_t)PAL_PAGE_SIZE)
#define SIZE (16 * PAGE)

static int readable(uint64_t address)
{
    uint8_t byte;
    return copy_byte(&byte, (const uint8_t *)address) == 0;
}

static volatile uint64_t *at(uint64_t address)
{
    return (volatile uint64_t *)address;
}

static int states(void)
{
    CHECK(PAL->memory_reserve(SCRATCH, SIZE) == 0);
    CHECK(!readable(SCRATCH));
    CHECK(PAL->memory_commit(SCRATCH, SIZE, PAL_READ | PAL_WRITE, 0) == 0);
    CHECK(*at(SCRATCH) == 0);
    *at(SCRATCH + PAGE) = 5;
    CHECK(PAL->memory_commit(SCRATCH + PAGE, PAGE, PAL_READ | PAL_WRITE, PAL_MAP_POPULATE) == 0);
    CHECK(*at(SCRATCH + PAGE) == 0); /* commit replaces */
    *at(SCRATCH) = 6;
    CHECK(PAL->memory_decommit(SCRATCH, PAGE, PAL_DECOMMIT_ZERO) == 0 && *at(SCRATCH) == 0);
    CHECK(PAL->memory_decommit(SCRATCH, PAGE, PAL_DECOMMIT_LAZY) == 0);
    CHECK(PAL->memory_protect(SCRATCH, PAGE, 0) == 0 && !readable(SCRATCH) && readable(SCRATCH + PAGE));
    CHECK(PAL->memory_protect(SCRATCH, PAGE, PAL_READ) == 0 && readable(SCRATCH));
    CHECK(PAL->memory_release(SCRATCH, SIZE) == 0 && !readable(SCRATCH) && !readable(SCRATCH + SIZE - PAGE));
    return 0;
}

static int code(void)
{
    CHECK(PAL->memory_commit(SCRATCH, PAGE, PAL_READ | PAL_WRITE, 0) == 0);
    *at(SCRATCH) = 0xc300000007b8; /* mov $7, %eax; ret */
    CHECK(PAL->memory_protect(SCRATCH, PAGE, PAL_READ | PAL_EXEC) == 0);
    CHECK(boot->capabilities & PAL_CAN_SYNC_CODE ? PAL->code_sync(0) == 0 : PAL->code_sync(0) < 0);
    CHECK(((int (*)(void))SCRATCH)() == 7);
    CHECK(PAL->memory_release(SCRATCH, PAGE) == 0);
    return 0;
}

static int move(void)
{
    uint64_t target = SCRATCH + 64 * PAGE;
    CHECK(PAL->memory_commit(SCRATCH, 2 * PAGE, PAL_READ | PAL_WRITE, 0) == 0);
    *at(SCRATCH + PAGE) = 99;
    CHECK(PAL->memory_move(SCRATCH, 2 * PAGE, target, 4 * PAGE) == 0);
    CHECK(!readable(SCRATCH) && *at(target + PAGE) == 99 && *at(target + 3 * PAGE) == 0);
    CHECK(PAL->memory_move(target, 4 * PAGE, target, PAGE) == 0);
    CHECK(readable(target) && !readable(target + PAGE));
    CHECK(PAL->memory_release(target, 4 * PAGE) == 0);
    return 0;
}

static int sections(void)
{
    pal_handle_t section;
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, SIZE, &section) == 0);
    CHECK(PAL->memory_map(SCRATCH, SIZE, PAL_READ | PAL_WRITE, PAL_MAP_SHARED, section, 0) == 0);
    CHECK(PAL->memory_map(SCRATCH + SIZE, PAGE, PAL_READ | PAL_WRITE, PAL_MAP_SHARED, section, PAGE) == 0);
    CHECK(PAL->memory_map(SCRATCH + SIZE + PAGE, PAGE, PAL_READ | PAL_WRITE, 0, section, PAGE) == 0);
    *at(SCRATCH + PAGE) = 31;
    CHECK(*at(SCRATCH + SIZE) == 31);
    *at(SCRATCH + SIZE + PAGE) = 32; /* private */
    CHECK(*at(SCRATCH + PAGE) == 31);
    CHECK(PAL->memory_decommit(SCRATCH, SIZE, PAL_DECOMMIT_UNSHARE) == 0 && *at(SCRATCH + SIZE) == 0);
    CHECK(PAL->memory_map(SCRATCH, PAGE, PAL_READ, PAL_MAP_SHARED, 999, 0) == -EBADF);
    CHECK(PAL->memory_release(SCRATCH, SIZE + 2 * PAGE) == 0);
    CHECK(PAL->handle_close(section) == 0);
    return 0;
}

/* Private pages are copied by fork, shared ones are not. */
static int forked(void)
{
    CHECK(PAL->memory_commit(SCRATCH, PAGE, PAL_READ | PAL_WRITE, 0) == 0);
    CHECK(PAL->memory_commit(SCRATCH + PAGE, PAGE, PAL_READ | PAL_WRITE, PAL_MAP_SHARED) == 0);
    *at(SCRATCH) = 1;
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        *at(SCRATCH + PAGE) = *at(SCRATCH) + 41;
        *at(SCRATCH) = 2;
        PAL->process_exit(0);
    }
    CHECK(reap(child) == 0);
    CHECK(*at(SCRATCH) == 1 && *at(SCRATCH + PAGE) == 42);
    CHECK(PAL->memory_release(SCRATCH, 2 * PAGE) == 0);
    return 0;
}

/* A bare child may find nothing of the guest's range; its parent keeps all, and later children find it. */
static int forked_bare(void)
{
    CHECK(PAL->memory_commit(SCRATCH, PAGE, PAL_READ | PAL_WRITE, 0) == 0);
    CHECK(PAL->memory_commit(SCRATCH + 2 * PAGE, PAGE, PAL_READ | PAL_WRITE, PAL_MAP_SHARED) == 0);
    *at(SCRATCH) = 1;
    int64_t child = PAL->process_fork(PAL_FORK_BARE);
    CHECK(child >= 0);
    if (child == 0) {
        int fresh = PAL->memory_release(PAL_GUEST_BASE, PAL_GUEST_END - PAL_GUEST_BASE) == 0 &&
                    PAL->memory_commit(SCRATCH, PAGE, PAL_READ | PAL_WRITE, 0) == 0 && *at(SCRATCH) == 0;
        *at(SCRATCH) = 2;
        PAL->process_exit(fresh ? 0 : 1);
    }
    CHECK(reap(child) == 0 && *at(SCRATCH) == 1);
    child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        *at(SCRATCH + 2 * PAGE) = *at(SCRATCH) + 41;
        PAL->process_exit(0);
    }
    CHECK(reap(child) == 0 && *at(SCRATCH + 2 * PAGE) == 42);
    CHECK(PAL->memory_release(SCRATCH, 3 * PAGE) == 0);
    return 0;
}

/* Pages of the shared segment, at a second address and given back. */
static int shared_pages(void)
{
    uint64_t end = PAL_SHARED_BASE + boot->shared_size, pages = end - 2 * PAGE;
    CHECK(PAL->memory_reserve(SCRATCH, 2 * PAGE) == 0);
    CHECK(PAL->memory_move(pages, 0, SCRATCH, 2 * PAGE) == 0);
    *at(pages + PAGE) = 7;
    CHECK(*at(SCRATCH + PAGE) == 7);
    CHECK(PAL->memory_protect(SCRATCH, 2 * PAGE, PAL_READ) == 0 && PAL->memory_release(SCRATCH, 2 * PAGE) == 0);
    CHECK(*at(pages + PAGE) == 7 && PAL->memory_decommit(pages, 2 * PAGE, PAL_DECOMMIT_UNSHARE) == 0);
    CHECK(*at(pages + PAGE) == 0);
    CHECK(PAL->memory_move(pages, 0, SCRATCH, 3 * PAGE) == -EINVAL);
    CHECK(PAL->memory_move(pages, PAGE, SCRATCH, PAGE) == -EINVAL);
    CHECK(PAL->memory_decommit(pages, 3 * PAGE, PAL_DECOMMIT_UNSHARE) == -EINVAL);
    CHECK(PAL->memory_decommit(pages, PAGE, PAL_DECOMMIT_ZERO) == -EINVAL);
    return 0;
}

/* Taken ranges lie in the guest's, in order; what is around them can be used, and all of it given back at once. */
static int taken(void)
{
    uint64_t end = PAL_GUEST_BASE;
    for (uint32_t i = 0; i < PAL_TAKEN && boot->taken[i].end; i++) {
        const struct pal_range *range = &boot->taken[i];
        CHECK(range->start >= end && range->end > range->start && (range->start | range->end) % PAGE == 0);
        end = range->end;
    }
    CHECK(end <= PAL_GUEST_END);
    if (end == PAL_GUEST_BASE)
        return SKIP;
    CHECK(PAL->memory_commit(boot->taken[0].end, PAGE, PAL_READ | PAL_WRITE, 0) == 0);
    *at(boot->taken[0].end) = 5;
    uint8_t was = (uint8_t)readable(boot->taken[0].start);
    CHECK(PAL->memory_release(PAL_GUEST_BASE, PAL_GUEST_END - PAL_GUEST_BASE) == 0);
    CHECK(!readable(boot->taken[0].end) && readable(boot->taken[0].start) == was);
    CHECK(PAL->memory_release(boot->taken[0].start, PAGE) == 0 && readable(boot->taken[0].start) == was);
    return 0;
}

static int arena(void)
{
    const struct pal_image_header *image = (const struct pal_image_header *)PAL_IMAGE_BASE;
    uint64_t heap = (image->arena_end + PAGE - 1) & ~(PAGE - 1);
    CHECK(!readable(heap));
    CHECK(PAL->memory_commit(heap, SIZE, PAL_READ | PAL_WRITE, 0) == 0 && *at(heap) == 0);
    CHECK(PAL->memory_release(heap, SIZE) == 0);
    CHECK(PAL->memory_commit(heap - PAGE, SIZE, PAL_READ | PAL_WRITE, 0) == -EINVAL);
    CHECK(PAL->memory_commit(PAL_ARENA_BASE + PAL_ARENA_SIZE, PAGE, PAL_READ, 0) == -EINVAL);
    return 0;
}

/* Wrong ranges: each call, each kind. */
static int refusals(void)
{
    static const struct pal_vector wrong[] = {
        {SCRATCH + 1, PAGE},       {SCRATCH, PAGE + 1},         {SCRATCH, 0},
        {0, PAGE},                 {PAL_HOST_BASE, PAGE},       {PAL_IMAGE_BASE, PAGE},
        {PAL_ARENA_BASE, PAGE},    {PAL_SHARED_BASE, PAGE},     {PAL_GUEST_END - PAGE, 2 * PAGE},
        {SCRATCH, 0ull - SCRATCH}, {0x7ffff0000000ull, PAGE},   {~0ull << 47, PAGE},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint64_t address = wrong[i].base, size = wrong[i].size;
        CHECK(PAL->memory_reserve(address, size) == -EINVAL);
        CHECK(PAL->memory_release(address, size) == -EINVAL);
        CHECK(PAL->memory_commit(address, size, PAL_READ, 0) == -EINVAL);
        CHECK(PAL->memory_decommit(address, size, PAL_DECOMMIT_ZERO) == -EINVAL);
        CHECK(PAL->memory_protect(address, size, PAL_READ) == -EINVAL);
        CHECK(PAL->memory_map(address, size, PAL_READ, 0, 0, 0) == -EINVAL);
        CHECK(PAL->memory_move(SCRATCH, PAGE, address, size) == -EINVAL);
        if (size)
            CHECK(PAL->memory_move(address, size, SCRATCH, PAGE) == -EINVAL);
    }
    CHECK(PAL->memory_decommit(SCRATCH, PAGE, 17) == -EINVAL);
    return 0;
}

const struct test memory_tests[] = {
    {"reserve, commit, decommit, protect, release", states},
    {"changed code runs", code},
    {"move and resize", move},
    {"sections: shared and private mappings", sections},
    {"fork copies private pages and shares shared ones", forked},
    {"a bare fork leaves the guest's pages out, that one time", forked_bare},
    {"pages of the shared segment at a second address", shared_pages},
    {"the arena's heap", arena},
    {"what the host has taken of the guest's range stays", taken},
    {"ranges that are not the libOS's are refused", refusals},
    {NULL, NULL},
};
