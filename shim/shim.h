/* SPDX-License-Identifier: MIT */
/*
 * Between the guest's registers and the libOS's C: the frame that every way in leaves on the thread's libOS stack, and
 * the layout of the libOS's part of the per-thread block.  Included by C and by assembly.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

/* Offsets into struct pal_tcb (GS:0). */
#define TCB_INTERRUPTED 8
#define TCB_LIBOS_STACK 16
#define TCB_THREAD 64    /* libos[0]: struct thread * */
#define TCB_GUEST_RSP 72 /* libos[1]: scratch of the entry code */
#define TCB_RESUME 80    /* libos[2]: scratch of the exit code */
#define TCB_SAVED 192

#define FRAME_SIZE 176
#define FRAME_RAX 80
#define FRAME_RFLAGS 128
#define FRAME_RESUME 144
#define FRAME_NUMBER 152
#define FRAME_HOW 160

#define FLAG_TRAP 0x100 /* RFLAGS: single-stepping */
#define FLAGS_BY_POPFQ 0x244500 /* ID, AC, NT, direction, trap: no arithmetic sets them */

/* How the guest came in. */
#define FRAME_TRAPPED 1  /* its own syscall instruction trapped: a candidate for rewriting */
#define FRAME_CALLED 2   /* through a stub */
#define FRAME_UPCALL 3   /* exception or interrupt: there is no call */

#define LIBOS_CALLS 512 /* entries of libos_calls: from here on numbers are x32's */

#ifndef __ASSEMBLER__
#include "pal/pal.h"

/*
 * Lies at tcb.libos_stack - FRAME_SIZE.  On the way out every register is loaded from `regs`, and the guest goes on at
 * `resume`: the guest's own address (regs.rip) or, where that lies inside a rewritten site, the stub that stands for
 * it.  Whoever changes regs.rip calls frame_set_rip.
 */
struct frame {
    struct pal_context regs;
    uint64_t resume;
    uint64_t number; /* RAX as the guest passed it */
    uint64_t how;
    uint64_t pad;
};
_Static_assert(sizeof(struct frame) == FRAME_SIZE && offsetof(struct frame, resume) == FRAME_RESUME, "assembly");
_Static_assert(offsetof(struct frame, number) == FRAME_NUMBER && offsetof(struct frame, how) == FRAME_HOW, "assembly");
_Static_assert(offsetof(struct frame, regs.rax) == FRAME_RAX, "assembly");
_Static_assert(offsetof(struct frame, regs.rflags) == FRAME_RFLAGS, "assembly");
_Static_assert(offsetof(struct pal_tcb, interrupted) == TCB_INTERRUPTED, "assembly");
_Static_assert(offsetof(struct pal_tcb, libos_stack) == TCB_LIBOS_STACK, "assembly");
_Static_assert(offsetof(struct pal_tcb, saved) == TCB_SAVED, "assembly");

/* In entry.S.  Leaves the libOS for the guest through the frame at the top of this thread's libOS stack. */
void frame_enter_guest(void) __attribute__((noreturn));
/* Address that stubs jump to: RCX = guest address after the syscall instruction, R11 = where to go on (the stub's
 * tail), EAX = number, everything else, flags included, the guest's. */
extern char shim_syscall_call[];

/* XSAVE area of the live vector state to / from guest memory; 0 or -EFAULT.  Size: shim_xsave_size(). */
int64_t shim_xsave(uint64_t address, uint64_t mask);
int64_t shim_xrstor(uint64_t address, uint64_t mask);
#endif
#endif
