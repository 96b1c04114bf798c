/* SPDX-License-Identifier: MIT */
/* Interrupts: each [blocks] call sees them, none is lost, and the guest is brought out of its code. */
#include "regression/pal/suite.h"

#define ROUNDS 3000u
#define PAST_ROUNDS UINT32_MAX

/* ---- Every call that blocks ------------------------------------------------------------------------------------ */

static pal_handle_t ends[2], set, pair[2];
static uint32_t never;

static int64_t block_wait(void) { return PAL->wait((uint64_t)&never, 0, PAL_FOREVER, 0); }
static int64_t block_read(void) { char byte; return get(ends[0], &byte, 1); }
static int64_t send_byte(void)
{
    const struct pal_vector vector = {(uint64_t) "x", 1};
    return PAL->socket_send(pair[0], &(struct pal_message){.vector = &vector, .count = 1}, 0);
}
static int64_t block_receive(void)
{
    char byte;
    const struct pal_vector vector = {(uint64_t)&byte, 1};
    return PAL->socket_receive(pair[0], &(struct pal_message){.vector = &vector, .count = 1}, 0);
}
static int64_t block_poll_set(void)
{
    struct pal_poll_event event;
    return PAL->poll_set_wait(set, &event, 1, PAL_FOREVER);
}
static int64_t block_poll(void)
{
    struct pal_poll entry = {ends[0], 1, 0};
    return PAL->poll(&entry, 1, PAL_FOREVER);
}
static int64_t block_poll_deadline(void)
{
    struct pal_poll entry = {ends[0], 1, 0};
    return PAL->poll(&entry, 1, now() + 3600ull * 1000 * MS);
}

static int64_t (*const blocking[])(void) = {block_wait, block_read,     block_receive,
                                            block_poll, block_poll_set, block_poll_deadline};

static int open_all(void)
{
    struct pal_poll_event event = {1, 0};
    return PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) || PAL->object_create(PAL_OBJECT_POLL_SET, 0, 0, &set) ||
           PAL->object_create(PAL_OBJECT_STREAM_PAIR, 0, 0, pair) ||
           PAL->poll_set_update(set, PAL_POLL_ADD, ends[0], &event);
}

static int close_all(void)
{
    return PAL->handle_close(ends[0]) || PAL->handle_close(ends[1]) || PAL->handle_close(set) ||
           PAL->handle_close(pair[0]) || PAL->handle_close(pair[1]);
}

static int flag_is_seen(void)
{
    struct pal_child ended;
    CHECK(open_all() == 0);
    CHECK(PAL->thread_interrupt(tcb()) == 0 && tcb()->interrupted);
    for (size_t i = 0; i < COUNT_OF(blocking); i++)
        CHECK(blocking[i]() == -EINTR);
    CHECK(put(ends[1], "x", 1) == -EINTR && send_byte() == -EINTR);
    CHECK(PAL->process_wait(0, 0, &ended) == -EINTR);
    CHECK(tcb()->interrupted); /* only the libOS clears it */
    tcb()->interrupted = 0;
    CHECK(put(ends[1], "x", 1) == 1);
    CHECK(close_all() == 0);
    return 0;
}

/* ---- None is lost ---------------------------------------------------------------------------------------------- */

static uint32_t round_begun; /* the worker's: it is about to block for the n-th time */
static int64_t wrong;

static void block_again(void *argument)
{
    int64_t (*call)(void) = (int64_t(*)(void))argument;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        tcb()->interrupted = 0;
        __atomic_store_n(&round_begun, round, __ATOMIC_SEQ_CST);
        int64_t result = call();
        if (result != -EINTR)
            wrong = result ? result : 1;
    }
    __atomic_store_n(&round_begun, PAST_ROUNDS, __ATOMIC_SEQ_CST);
    worker_leave();
}

/* One interrupt a round, at a moment that wanders over the steps into the call.  A lost one leaves the worker
 * blocked. */
static int interrupt_rounds(int64_t (*call)(void))
{
    wrong = round_begun = 0;
    CHECK(worker_start(0, block_again, (void *)call) == 0);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint64_t limit = now() + PATIENCE;
        while (__atomic_load_n(&round_begun, __ATOMIC_SEQ_CST) < round) {
            PAL->thread_yield();
            CHECK(now() < limit);
        }
        for (uint32_t spin = 0; spin < round % 97 * 4; spin++)
            __builtin_ia32_pause();
        CHECK(PAL->thread_interrupt(worker_tcb(0)) == 0);
    }
    CHECK(worker_join(0) == 0);
    CHECK(wrong == 0);
    return 0;
}

static int none_is_lost(void)
{
    CHECK(open_all() == 0);
    for (size_t i = 0; i < COUNT_OF(blocking); i++) {
        int failed = interrupt_rounds(blocking[i]);
        if (failed)
            return failed;
    }
    CHECK(close_all() == 0);
    return 0;
}

/* ---- The guest ------------------------------------------------------------------------------------------------- */

static uint64_t guest_ended, guest_r15;
static uint32_t guest_was_interrupted;
static struct pal_tcb *guest_block; /* gone when its thread is, on a host that has it elsewhere than it was given */

static void spin_in_guest(void *argument)
{
    (void)argument;
    guest_block = tcb();
    guest_ended = guest_call(guest_spin);
    guest_was_interrupted = tcb()->interrupted;
    guest_r15 = tcb()->saved.r15;
    worker_leave();
}

static int guest_is_interrupted(void)
{
    for (int i = 0; i < 100; i++) {
        guest_spinning = 0;
        guest_ended = 0;
        CHECK(worker_start(0, spin_in_guest, NULL) == 0);
        while (!guest_spinning)
            PAL->thread_yield();
        CHECK(PAL->thread_interrupt(worker_tcb(0)) == 0);
        CHECK(worker_join(0) == 0);
        CHECK(classified == guest_block); /* whichever thread asks */
        CHECK(guest_ended == 3 && guest_was_interrupted && guest_r15 == 4242);
    }
    return 0;
}

/* ---- Children and other picoprocesses -------------------------------------------------------------------------- */

static int child_ends(void)
{
    for (int i = 0; i < 100; i++) {
        tcb()->interrupted = 0;
        int64_t child = PAL->process_fork(0);
        CHECK(child >= 0);
        if (child == 0)
            PAL->process_exit(0);
        CHECK(PAL->wait((uint64_t)&never, 0, now() + PATIENCE, 0) == -EINTR && tcb()->interrupted);
        CHECK(reap(child) == 0);
    }
    return 0;
}

static int other_process(void)
{
    uint32_t *stop = (uint32_t *)SHARED_SCRATCH;
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) { /* the interrupt makes wait return; then it says so */
        int64_t result = PAL->wait((uint64_t)&never, 0, now() + PATIENCE, 0);
        __atomic_store_n(stop, 1, __ATOMIC_RELEASE);
        PAL->process_exit(result == -EINTR && tcb()->interrupted ? 0 : 1);
    }
    CHECK(PAL->process_interrupt((uint64_t)child, 0) == 0);
    CHECK(reap(child) == 0 && *stop);
    CHECK(PAL->process_interrupt(1ull << 22, 0) < 0);
    return 0;
}

/* An interrupt that a thread took, and did not act on before it left, is another thread's. */
static void leave_interrupted(void *argument)
{
    while (!__atomic_load_n((uint32_t *)argument, __ATOMIC_ACQUIRE))
        PAL->thread_yield();
    sleep_until(now() + 5 * MS);
    PAL->thread_interrupt(tcb());
    worker_leave();
}

static int passed_on(void)
{
    for (int i = 0; i < 10; i++) {
        uint32_t go = 1;
        tcb()->interrupted = 0;
        CHECK(worker_start(0, leave_interrupted, &go) == 0);
        CHECK(PAL->wait((uint64_t)&never, 0, now() + PATIENCE, 0) == -EINTR && tcb()->interrupted);
        tcb()->interrupted = 0;
        CHECK(worker_join(0) == 0);
    }
    return 0;
}

/* Ends of children fall on threads that are just beginning or leaving. */
static void do_nothing(void *argument)
{
    (void)argument;
    worker_leave();
}

static int in_thread_storm(void)
{
    for (int i = 0; i < 200; i++) {
        int64_t child = PAL->process_fork(0);
        CHECK(child >= 0);
        if (child == 0)
            PAL->process_exit(0);
        for (uint32_t w = 0; w < WORKERS; w++)
            CHECK(worker_start(w, do_nothing, NULL) == 0);
        for (uint32_t w = 0; w < WORKERS; w++)
            CHECK(worker_join(w) == 0);
        CHECK(reap(child) == 0);
    }
    return 0;
}

const struct test interrupt_tests[] = {
    {"while the flag is set, calls that block return -EINTR", flag_is_seen},
    {"no interrupt is lost on the way into a call", none_is_lost},
    {"the guest is interrupted", guest_is_interrupted},
    {"a child's end interrupts", child_ends},
    {"another picoprocess is interrupted", other_process},
    {"an interrupt outlives the thread that took it", passed_on},
    {"interrupts while threads come and go", in_thread_storm},
    {NULL, NULL},
};
