/* SPDX-License-Identifier: MIT */
/* Runs the tests one by one and prints TAP. */
#include "regression/pal/suite.h"

const struct pal_api *PAL;
const struct pal_boot *boot;

static const struct test *const groups[] = {
    memory_tests, upcall_tests, thread_tests,    lock_tests, stream_tests,
    object_tests, process_tests, interrupt_tests, name_tests,
};

uint64_t now(void)
{
    uint64_t ns = 0;
    PAL->clock_get(PAL_CLOCK_MONOTONIC, &ns);
    return ns;
}

void sleep_until(uint64_t deadline)
{
    uint32_t word = 0;
    while (PAL->wait((uint64_t)&word, 0, deadline, 0) != -ETIMEDOUT)
        tcb()->interrupted = 0;
}

int64_t put(pal_handle_t handle, const void *bytes, uint64_t size)
{
    return PAL->stream_write(handle, (uint64_t)bytes, size, -1);
}

int64_t get(pal_handle_t handle, void *bytes, uint64_t size)
{
    return PAL->stream_read(handle, (uint64_t)bytes, size, -1);
}

int64_t reap(int64_t child)
{
    struct pal_child ended;
    int64_t result;
    while ((result = PAL->process_wait((uint64_t)child, 0, &ended)) == -EINTR)
        tcb()->interrupted = 0;
    tcb()->interrupted = 0; /* its end was an interrupt, too */
    if (result != 1 || (ended.status & 0x7f))
        return result < 0 ? result : -EIO;
    return ended.status >> 8 & 0xff;
}

void *memset(void *to, int byte, size_t size)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return result;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *x = a, *y = b;
    for (; size > 0; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

/* ---- Output ---------------------------------------------------------------------------------------------------- */

struct line {
    char bytes[160];
    uint32_t size;
};

static void add(struct line *line, const char *text)
{
    while (*text && line->size < sizeof line->bytes)
        line->bytes[line->size++] = *text++;
}

static void add_number(struct line *line, uint64_t value)
{
    char digits[21], *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    add(line, at);
}

static void tell(uint64_t number, const char *name, int result)
{
    struct line line = {.size = 0};
    tcb()->interrupted = 0; /* or the line would not be written */
    add(&line, result > 0 ? "not ok " : "ok ");
    add_number(&line, number);
    add(&line, " - ");
    add(&line, name);
    if (result == SKIP)
        add(&line, " # SKIP");
    if (result > 0) {
        add(&line, " # line ");
        add_number(&line, (uint64_t)result);
    }
    add(&line, "\n");
    put(boot->standard[PAL_STDOUT], line.bytes, line.size);
}

struct pal_tcb *classified;

/* Tells the image's text from the guest's, and mends the one copy that may fault. */
uint32_t suite_classify(struct pal_context *context, struct pal_tcb *block, uint32_t is_exception)
{
    if (context->rip >= (uint64_t)guest_begin && context->rip < (uint64_t)guest_end) {
        classified = block;
        return PAL_IN_GUEST;
    }
    if (is_exception && context->rip == (uint64_t)copy_from) {
        context->rip = (uint64_t)copy_failed;
        return PAL_FIXED;
    }
    return PAL_IN_LIBOS;
}

void suite_start(const struct pal_api *api, const struct pal_boot *facts)
{
    uint64_t number = 0, failed = 0;
    PAL = api;
    boot = facts;
    for (size_t g = 0; g < COUNT_OF(groups); g++)
        for (const struct test *test = groups[g]; test->name; test++) {
            memset((void *)SHARED_SCRATCH, 0, 65536);
            tcb()->interrupted = 0;
            int result = test->run();
            failed += result > 0;
            tell(++number, test->name, result);
        }
    struct line plan = {.size = 0};
    add(&plan, "1..");
    add_number(&plan, number);
    add(&plan, "\n");
    put(boot->standard[PAL_STDOUT], plan.bytes, plan.size);
    PAL->process_exit(failed ? 1 : 0);
}
