/* SPDX-License-Identifier: MIT */
/*
 * One question at a time, in the shared segment.  The asker puts it there and interrupts the picoprocess; a thread of the
 * process that is asked finds it when it deals with interrupts, and writes the answer beside it.  Either may die at any
 * moment: the asker waits for a limited time, and the place of a dead asker is taken over.
 */
#include "libos/signal/remote.h"
#include "libos/task/table.h"
#include "libos/signal/signal.h"

#define PATIENCE_NS 400000000ull /* for a process that gets no processor, or is in a call that nothing interrupts */
#define TURN_NS 20000000ull      /* how often the place's owner is checked to be alive */

enum question_state { QUESTION_NONE, QUESTION_ASKED, QUESTION_BEING_ANSWERED, QUESTION_ANSWERED };

struct question {
    uint32_t asker; /* pid; 0: free.  Waited on.  Atomic */
    uint32_t state; /* waited on.  Atomic */
    uint32_t pid;   /* of the process that is asked */
    uint32_t input_size, output_size, reserved;
    uint64_t function;
    int64_t result;
    uint8_t input[ASK_INPUT];
    char output[ASK_OUTPUT];
};

static struct question *question(void)
{
    return (struct question *)(uintptr_t)*shared_question();
}

uint64_t ask_init(uint64_t at, uint64_t end)
{
    (void)end;
    *shared_question() = at;
    return at + sizeof(struct question);
}

static bool is_alive(int pid)
{
    shared_lock();
    const struct shared_process *slot = shared_find(pid);
    bool alive = slot && slot->state < SHARED_EXITING;
    shared_unlock();
    return alive;
}

/* A waiting thread answers questions itself: two processes that ask each other can't deadlock. */
static void wait_on(uint32_t *word, uint32_t value, uint64_t until, uint32_t *noted)
{
    if (PAL->wait((uint64_t)(uintptr_t)word, value, until, 1) != -EINTR)
        return;
    *noted |= atomic_swap(&tcb()->interrupted, 0u);
    process_answer();
}

/* The place, or false: somebody else keeps it. */
static bool place_take(struct question *place, uint32_t self, uint64_t deadline, uint32_t *noted)
{
    for (;;) {
        uint32_t asker = atomic_get(&place->asker);
        if ((!asker || !is_alive((int)asker)) && atomic_replace32(&place->asker, asker, self))
            return true;
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (now >= deadline)
            return false;
        if (asker)
            wait_on(&place->asker, asker, MIN(deadline, now + TURN_NS), noted);
    }
}

static void place_leave(struct question *place)
{
    atomic_set(&place->state, QUESTION_NONE);
    atomic_set(&place->asker, 0u);
    PAL->wake((uint64_t)(uintptr_t)&place->asker, 1, 1);
}

/* False: there was none in time. */
static bool await_answer(struct question *place, int pid, uint64_t deadline, uint32_t *noted)
{
    for (;;) {
        uint32_t state = atomic_get(&place->state);
        uint64_t now = time_now(PAL_CLOCK_MONOTONIC);
        if (state == QUESTION_ANSWERED)
            return true;
        bool late = now >= deadline || !is_alive(pid);
        if (late && state == QUESTION_ASKED && atomic_replace32(&place->state, QUESTION_ASKED, QUESTION_NONE))
            return false;
        if (late && state == QUESTION_BEING_ANSWERED && (!is_alive(pid) || now >= deadline + PATIENCE_NS))
            return false;
        wait_on(&place->state, state, now + TURN_NS, noted);
    }
}

int64_t process_ask(int pid, answer_function function, const void *input, size_t size, char *out, size_t *out_size)
{
    struct question *place = question();
    uint64_t deadline = time_now(PAL_CLOCK_MONOTONIC) + PATIENCE_NS;
    uint32_t noted = 0;
    int64_t result = -EAGAIN;
    *out_size = 0;
    if (size > ASK_INPUT || !is_alive(pid))
        return -ESRCH;
    if (place_take(place, (uint32_t)current_process()->pid, deadline, &noted)) {
        place->pid = (uint32_t)pid;
        place->function = (uint64_t)(uintptr_t)function;
        place->input_size = (uint32_t)size;
        place->output_size = 0;
        memcpy(place->input, input, size);
        atomic_set(&place->state, QUESTION_ASKED);
        shared_lock();
        struct shared_process *slot = shared_find(pid);
        if (slot)
            slot->asked_at = time_now(PAL_CLOCK_MONOTONIC);
        shared_unlock();
        if (slot)
            process_notify(slot);
        if (await_answer(place, pid, deadline, &noted)) {
            result = place->result;
            *out_size = MIN(place->output_size, ASK_OUTPUT);
            memcpy(out, place->output, *out_size);
        }
        place_leave(place);
    }
    if (noted)
        atomic_set(&tcb()->interrupted, 1u);
    return result;
}

/* The interrupt hit a thread of another process in the same memory: a thread of the one that is asked does it. */
static void pass_on(struct process *process)
{
    mutex_lock(&process->lock);
    for (struct thread *thread = process->threads; thread; thread = thread->next) {
        if (thread->tcb) {
            signal_interrupt(thread);
            break;
        }
    }
    mutex_unlock(&process->lock);
    process_put(process);
}

void process_answer(void)
{
    struct question *place = question();
    if (LIKELY(atomic_get(&place->state) != QUESTION_ASKED))
        return;
    int pid = (int)place->pid;
    if (pid != current_process()->pid) {
        struct process *other = process_local_get(pid);
        if (other)
            pass_on(other);
        return;
    }
    if (!atomic_replace32(&place->state, QUESTION_ASKED, QUESTION_BEING_ANSWERED))
        return;
    uint8_t input[ASK_INPUT];
    size_t size = MIN(place->input_size, ASK_INPUT), out_size = 0;
    memcpy(input, place->input, size);
    int64_t result = ((answer_function)(uintptr_t)place->function)(input, size, place->output, &out_size);
    place->result = result;
    place->output_size = (uint32_t)MIN(out_size, ASK_OUTPUT);
    if (atomic_replace32(&place->state, QUESTION_BEING_ANSWERED, QUESTION_ANSWERED))
        PAL->wake((uint64_t)(uintptr_t)&place->state, 1, 1);
    signal_came_from_outside();
}
