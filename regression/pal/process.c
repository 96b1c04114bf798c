/* SPDX-License-Identifier: MIT */
/* Picoprocesses: fork, wait, exit, and passing handles. */
#include "regression/pal/suite.h"

/* The answer at once, whatever child's end has interrupted. */
static int64_t look(uint64_t process)
{
    struct pal_child ended;
    int64_t result;
    while ((result = PAL->process_wait(process, 1, &ended)) == -EINTR)
        tcb()->interrupted = 0;
    return result;
}

static int exit_status(void)
{
    static const uint32_t status[] = {0, 1, 77, 255};
    struct pal_child ended;
    CHECK(PAL->process_wait(0, 0, &ended) == -ECHILD && PAL->process_wait(0, 1, &ended) == -ECHILD);
    for (size_t i = 0; i < COUNT_OF(status); i++) {
        int64_t child = PAL->process_fork(0);
        CHECK(child >= 0);
        if (child == 0)
            PAL->process_exit(status[i]);
        CHECK((uint64_t)child != boot->host_process);
        CHECK(look((uint64_t)child + 1) == -ECHILD);
        CHECK(reap(child) == status[i]);
    }
    CHECK(look(1ull << 40) == -ECHILD);
    return 0;
}

/* What others use so far: state, memory, and none of that of what is not of the sandbox. */
static int looked_at(void)
{
    struct pal_child other;
    CHECK(PAL->process_wait(boot->host_process, PAL_WAIT_LOOK, &other) == 1);
    CHECK(other.status == 'R' || other.status == 'S');
    CHECK(other.memory.anonymous > 0 && other.used.max_rss > 0);
    CHECK(PAL->process_wait(1, PAL_WAIT_LOOK, &other) < 0);
    CHECK(PAL->process_wait(1ull << 40, PAL_WAIT_LOOK, &other) < 0);
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0)
        PAL->process_exit(3);
    int64_t result;
    do
        result = PAL->process_wait((uint64_t)child, PAL_WAIT_LOOK, &other);
    while (result == -EINTR || (result == 1 && other.status != 'Z'));
    CHECK(result == 1 && other.status == 'Z');
    CHECK(reap(child) == 3);
    return 0;
}

/* nohang tells that a child is there; killing it ends it; any child is found. */
static int killed(void)
{
    struct pal_child ended;
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0)
        sleep_until(PAL_FOREVER);
    CHECK(look(0) == 0);
    CHECK(PAL->process_interrupt((uint64_t)child, 1) == 0);
    int64_t result;
    while ((result = PAL->process_wait(0, 0, &ended)) == -EINTR)
        tcb()->interrupted = 0;
    CHECK(result == 1 && ended.process == (uint64_t)child && (ended.status & 0x7f) == 9);
    return 0;
}

/* Both sides of a fork use one description: offsets move together, pipes connect them. */
static int handles_are_shared(void)
{
    pal_handle_t section, ends[2];
    char byte;
    CHECK(PAL->object_create(PAL_OBJECT_SECTION, 0, 100, &section) == 0);
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    CHECK(put(section, "abc", 3) == 3);
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0)
        PAL->process_exit(put(section, "defg", 4) == 4 && put(ends[1], "!", 1) == 1 ? 0 : 1);
    CHECK(get(ends[0], &byte, 1) == 1 || (tcb()->interrupted = 0, get(ends[0], &byte, 1)) == 1);
    CHECK(byte == '!' && reap(child) == 0);
    struct pal_seek seek = {.offset = 0, .whence = 1};
    CHECK(PAL->stream_control(section, PAL_CTL_SEEK, &seek, sizeof seek) == 0 && seek.offset == 7);
    CHECK(PAL->handle_close(section) == 0 && PAL->handle_close(ends[0]) == 0 && PAL->handle_close(ends[1]) == 0);
    return 0;
}

/* The child has threads, upcalls, locks and children of its own. */
static void leave(void *argument)
{
    *(uint32_t *)argument = 5;
    worker_leave();
}

static uint32_t whole_child(void)
{
    uint32_t word = 0;
    if (boot->capabilities & PAL_CAN_TRAP && guest_call(guest_syscall) != 4711)
        return 1;
    if (guest_call(guest_load) != 2)
        return 2;
    if (worker_start(0, leave, &word) || worker_join(0) || word != 5)
        return 3;
    if (PAL->lock((struct pal_mutex *)SHARED_SCRATCH))
        return 4;
    PAL->unlock((struct pal_mutex *)SHARED_SCRATCH);
    int64_t child = PAL->process_fork(0);
    if (child == 0)
        PAL->process_exit(9);
    return reap(child) == 9 ? 0 : 5;
}

static int child_is_whole(void)
{
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0)
        PAL->process_exit(whole_child());
    CHECK(reap(child) == 0);
    return 0;
}

/* fork by a thread that is not the first: it goes on alone in the child. */
static int64_t forked_result;

static void fork_in_thread(void *argument)
{
    (void)argument;
    int64_t child = PAL->process_fork(0);
    if (child == 0)
        PAL->process_exit(whole_child());
    forked_result = child < 0 ? child : reap(child);
    worker_leave();
}

static void idle(void *argument)
{
    while (!__atomic_load_n((uint32_t *)argument, __ATOMIC_ACQUIRE))
        PAL->wait((uint64_t)argument, 0, PAL_FOREVER, 0);
    worker_leave();
}

static int fork_by_thread(void)
{
    uint32_t stop = 0;
    CHECK(worker_start(1, idle, &stop) == 0 && worker_start(2, fork_in_thread, NULL) == 0);
    CHECK(worker_join(2) == 0 && forked_result == 0);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    PAL->wake((uint64_t)&stop, 1, 0);
    CHECK(worker_join(1) == 0);
    return 0;
}

static int handle_passing(void)
{
    pal_handle_t ends[2], copy;
    uint64_t *token = (uint64_t *)SHARED_SCRATCH, dropped;
    char byte;
    CHECK(PAL->handle_export(999, &dropped) == -EBADF);
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        while (!__atomic_load_n(token, __ATOMIC_ACQUIRE))
            PAL->thread_yield();
        if (PAL->handle_import(*token, &copy))
            PAL->process_exit(1);
        PAL->process_exit(put(copy, "?", 1) == 1 ? 0 : 2);
    }
    CHECK(PAL->object_create(PAL_OBJECT_PIPE, 0, 0, ends) == 0);
    uint64_t fresh;
    CHECK(PAL->handle_export(ends[1], &fresh) == 0 && PAL->handle_close(ends[1]) == 0);
    __atomic_store_n(token, fresh, __ATOMIC_RELEASE);
    CHECK(reap(child) == 0 && (tcb()->interrupted = 0, get(ends[0], &byte, 1)) == 1 && byte == '?');
    CHECK(get(ends[0], &byte, 1) == 0); /* no copy is left */
    CHECK(PAL->handle_import(fresh, &copy) < 0);
    CHECK(PAL->handle_export(ends[0], &dropped) == 0 && PAL->handle_import(dropped, NULL) == 0);
    CHECK(PAL->handle_import(dropped, &copy) < 0);
    CHECK(PAL->handle_close(ends[0]) == 0);
    return 0;
}

/* All threads of a picoprocess end with it. */
static int exit_with_threads(void)
{
    uint32_t never = 0;
    int64_t child = PAL->process_fork(0);
    CHECK(child >= 0);
    if (child == 0) {
        worker_start(0, idle, &never);
        PAL->process_exit(3);
    }
    CHECK(reap(child) == 3);
    return 0;
}

const struct test process_tests[] = {
    {"exit statuses", exit_status},
    {"a child that is killed", killed},
    {"what a picoprocess uses", looked_at},
    {"handles are shared across fork", handles_are_shared},
    {"a forked child is whole", child_is_whole},
    {"a thread forks", fork_by_thread},
    {"handles are passed on", handle_passing},
    {"exit ends all threads", exit_with_threads},
    {NULL, NULL},
};
