/* SPDX-License-Identifier: MIT */
/*
 * Between the guest's registers and the libOS's C: the frame that every way in leaves on the thread's libOS stack, and
 * the layout of the libOS's part of the per-thread block.  Included by C and by assembly.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

/* Offsets into struct pal_tcb (GS:0). */
#define TCB_INTERRUPTED 8
#define TCB_HAS_GUEST_GS 12 /* one comparison tells of both */
#define TCB_LIBOS_STACK 16
#define TCB_GUEST_GS 48
#define TCB_THREAD 64    /* libos[0]: struct thread * */
#define TCB_GUEST_RSP 72 /* libos[1]: scratch of the entry code */
#define TCB_RESUME 80    /* libos[2]: scratch of the exit code */
#define TCB_MARK 88      /* libos[3]: GS_MARK */
#define TCB_CPUID 96     /* libos[4]: which site's cpuid, from its trampoline */
#define TCB_SAVED 192

/* What no guest's memory holds by chance where GS:TCB_MARK would be: GS is at the block.  A guest that puts it there
 * harms itself. */
#define GS_MARK 0x5b1c73e9

#define FRAME_SIZE 176
#define FRAME_R15 0 /* as in struct pal_context */
#define FRAME_R14 8
#define FRAME_R13 16
#define FRAME_R12 24
#define FRAME_RBP 32
#define FRAME_RBX 40
#define FRAME_R11 48
#define FRAME_R10 56
#define FRAME_R9 64
#define FRAME_R8 72
#define FRAME_RAX 80
#define FRAME_RCX 88
#define FRAME_RDX 96
#define FRAME_RSI 104
#define FRAME_RDI 112
#define FRAME_RIP 120
#define FRAME_RFLAGS 128
#define FRAME_RSP 136
#define FRAME_RESUME 144
#define FRAME_NUMBER 152
#define FRAME_HOW 160
#define FRAME_ARITHMETIC 168

#define FLAG_TRAP 0x100 /* RFLAGS: single-stepping */
#define FLAG_NESTED 0x4000
#define USER_CODE_SEGMENT 0x33
#define USER_STACK_SEGMENT 0x2b
#define FLAGS_ARITHMETIC 0x8d5 /* CF PF AF ZF SF OF */
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
 * it.  Code that changes regs.rip calls frame_set_rip.
 */
struct frame {
    struct pal_context regs;
    uint64_t resume;
    uint64_t number; /* RAX as the guest passed it */
    uint64_t how;
    uint64_t arithmetic; /* entry.S's: AH and AL as LAHF and SETO give them */
};
_Static_assert(sizeof(struct frame) == FRAME_SIZE && offsetof(struct frame, resume) == FRAME_RESUME, "assembly");
_Static_assert(offsetof(struct frame, number) == FRAME_NUMBER && offsetof(struct frame, how) == FRAME_HOW, "assembly");
_Static_assert(offsetof(struct frame, regs.r15) == FRAME_R15 && offsetof(struct frame, regs.r14) == FRAME_R14 &&
                   offsetof(struct frame, regs.r13) == FRAME_R13 && offsetof(struct frame, regs.r12) == FRAME_R12 &&
                   offsetof(struct frame, regs.rbp) == FRAME_RBP && offsetof(struct frame, regs.rbx) == FRAME_RBX &&
                   offsetof(struct frame, regs.r11) == FRAME_R11 && offsetof(struct frame, regs.r10) == FRAME_R10 &&
                   offsetof(struct frame, regs.r9) == FRAME_R9 && offsetof(struct frame, regs.r8) == FRAME_R8 &&
                   offsetof(struct frame, regs.rax) == FRAME_RAX && offsetof(struct frame, regs.rcx) == FRAME_RCX &&
                   offsetof(struct frame, regs.rdx) == FRAME_RDX && offsetof(struct frame, regs.rsi) == FRAME_RSI &&
                   offsetof(struct frame, regs.rdi) == FRAME_RDI && offsetof(struct frame, regs.rip) == FRAME_RIP &&
                   offsetof(struct frame, regs.rflags) == FRAME_RFLAGS && offsetof(struct frame, regs.rsp) == FRAME_RSP &&
                   offsetof(struct frame, arithmetic) == FRAME_ARITHMETIC,
               "assembly");
_Static_assert(offsetof(struct pal_tcb, interrupted) == TCB_INTERRUPTED, "assembly");
_Static_assert(offsetof(struct pal_tcb, libos_stack) == TCB_LIBOS_STACK, "assembly");
_Static_assert(offsetof(struct pal_tcb, has_guest_gs) == TCB_HAS_GUEST_GS, "assembly");
_Static_assert(offsetof(struct pal_tcb, guest_gs) == TCB_GUEST_GS, "assembly");
_Static_assert(offsetof(struct pal_tcb, saved) == TCB_SAVED, "assembly");

/* In entry.S.  Leaves the libOS for the guest through the frame at the top of this thread's libOS stack. */
void frame_enter_guest(void) __attribute__((noreturn));
/* Where stubs jump to: EAX = number, everything else, flags included, the guest's, but for RCX, which is free, and R11.
 * _call: R11 = guest address after the syscall instruction.  _tail: R11 = where to go on, the stub's tail; the signed
 * 32 bits before that, added to R11, give the guest address. */
extern char shim_syscall_call[], shim_syscall_tail[], shim_cpuid[];

/* XSAVE area of the live vector state to / from guest memory; 0 or -EFAULT.  Size: shim_xsave_size(). */
int64_t shim_xsave(uint64_t address, uint64_t mask);
int64_t shim_xrstor(uint64_t address, uint64_t mask);
/* The initial state of SSE and AVX, and, if told so, of AVX-512.  For processors that have them. */
void shim_vector_clear(uint32_t wide); /* wide: not 0 */
#endif
#endif
