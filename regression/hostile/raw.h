/* SPDX-License-Identifier: MIT */
/* For hostile programs: host calls from the guest's own code, from fresh memory, and by the PAL's own instruction with
 * dispatch switched off, so that nothing but the filter is left. */
#ifndef REGRESSION_HOSTILE_RAW_H
#define REGRESSION_HOSTILE_RAW_H

#include <errno.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "regression/hostile/instruction.h"

enum { SURVIVED = 42, NO_CALL = 600 };

static uint64_t instruction; /* by which the next calls are made */
extern char own_instruction[];
__asm__("own_instruction: syscall\n ret\n");

enum way { OWN_CODE, FRESH_MEMORY, PAL_INSTRUCTION, WAYS };
__attribute__((unused)) static const char *const way_names[] = {"own code", "fresh memory", "the PAL's instruction"};
static uint64_t instructions[WAYS];

struct arguments {
    long number, a[6];
};

static long raw_call(long number, long a, long b, long c, long d, long e, long f)
{
    return through(instruction, number, a, b, c, d, e, f);
}

static long make(enum way way, const struct arguments *x)
{
    instruction = instructions[way];
    long result = raw_call(x->number, x->a[0], x->a[1], x->a[2], x->a[3], x->a[4], x->a[5]);
    instruction = instructions[PAL_INSTRUCTION];
    return result;
}

static void dispatch_off(void)
{
    instruction = instructions[PAL_INSTRUCTION];
    raw_call(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
}

/* In a child of its own, without dispatch: what its wait status is.  It ends by SURVIVED where the call came back,
 * but for the error that is told apart. */
static int attempt(enum way way, const struct arguments *x, long told_apart)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        dispatch_off();
        raw_call(SYS_exit_group, make(way, x) == told_apart ? 0 : SURVIVED, 0, 0, 0, 0, 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return status;
}

__attribute__((unused)) static int survived(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED;
}

/* With the trap by seccomp there is nothing to switch off: the libOS goes on serving the guest's own instructions.
 * Then only the PAL's one is left to try.  Negative: this is no picoprocess. */
__attribute__((unused)) static int ways_begin(void)
{
    const struct arguments no_call = {NO_CALL, {0}};
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    instructions[PAL_INSTRUCTION] = memory == MAP_FAILED ? 0 : find_pal_instruction();
    if (!instructions[PAL_INSTRUCTION]) {
        printf("no PAL here: this program is for pal-run\n");
        return -1;
    }
    memcpy(memory, "\x0f\x05\xc3", 3);
    instructions[OWN_CODE] = (uint64_t)own_instruction;
    instructions[FRESH_MEMORY] = (uint64_t)memory;
    int status = attempt(OWN_CODE, &no_call, -ENOSYS); /* no such call: the filter kills, the libOS answers */
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PAL_INSTRUCTION : OWN_CODE;
}

#endif
