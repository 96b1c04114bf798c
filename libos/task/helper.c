/* SPDX-License-Identifier: MIT */
/* Threads of the libOS's own, beside the guest's: they take no signals, and no process lists them. */
#include "libos/task/task.h"

#define HELPER_STACK_SIZE 16384u

static struct helper *helpers; /* those that run: never taken off, but in a fork child */

bool helpers_hold(void)
{
    for (struct helper *each = atomic_get(&helpers); each; each = each->next)
        if (atomic_get(&each->block->libos[MUTEXES_HELD]))
            return true;
    return false;
}

void helpers_fork_child(void)
{
    for (; helpers; helpers = helpers->next)
        helpers->runs = false;
}

int64_t helper_start(struct helper *helper, void (*entry)(void *), void *argument)
{
    pal_handle_t id;
    if (helper->runs)
        return 0;
    if (!helper->stack)
        helper->stack = alloc_pages(HELPER_STACK_SIZE);
    if (!helper->block)
        helper->block = alloc(sizeof *helper->block);
    if (!helper->stack || !helper->block)
        return -ENOMEM;
    helper->thread = (struct thread){.process = process_real(), .tcb = helper->block, .blocked = ~0ull};
    memset(helper->block, 0, sizeof *helper->block);
    helper->block->libos_stack = (uint64_t)(uintptr_t)helper->stack + HELPER_STACK_SIZE;
    helper->block->libos[0] = (uint64_t)(uintptr_t)&helper->thread;
    int64_t error = PAL->thread_create(helper->block, entry, argument, &id);
    if (error < 0)
        return error;
    helper->runs = true;
    helper->next = atomic_get(&helpers);
    while (!__atomic_compare_exchange_n(&helpers, &helper->next, helper, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        continue;
    return 0;
}
