/* SPDX-License-Identifier: MIT */
/*
 * The ways into the libOS and the one way out.
 *
 * The guest's stack is never touched: below its RSP may lie a red zone.  The frame is built on the thread's libOS stack
 * (GS:TCB_LIBOS_STACK), lowest address first: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi rip rflags rsp
 * resume number how pad.  libOS code uses general registers only, so the guest's vector state stays where it is.
 *
 * An interrupt between `way_out` and `way_out_end` finds the frame still whole: shim_classify takes the guest's
 * registers from there.  One before the frame is whole finds RIP in the image: it is left to the check at `leave`.
 */
#include "shim/shim.h"

    .cfi_sections .debug_frame /* for debuggers: nothing unwinds at run time */
    .macro saved register, offset /* on the stack, from RSP */
    .cfi_escape 0x10, \register, 3, 0x77, (\offset & 0x7f) | 0x80, \offset >> 7
    .endm

    /* None of these changes flags. */
    .macro begin_frame how, resume
    mov %rsp, %gs:TCB_GUEST_RSP
    mov %gs:TCB_LIBOS_STACK, %rsp
    push $0
    push $\how
    push %rax
    push \resume
    push %gs:TCB_GUEST_RSP
    .endm

    .macro save_general
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

    .macro load_general
    mov FRAME_RESUME(%rsp), %rax
    mov %rax, %gs:TCB_RESUME
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rax
    pop %rcx
    pop %rdx
    pop %rsi
    pop %rdi
    .endm

    .section .text.entry, "ax"

/* In: EAX number, RCX address after the syscall instruction, R11 flags, RSP the guest's. */
    .globl shim_syscall_trap
    .type shim_syscall_trap, @function
shim_syscall_trap:
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    begin_frame FRAME_TRAPPED, %rcx /* the guest's own address */
    push %r11
    push %rcx
    save_general
    jmp 4f
    .cfi_endproc
    .size shim_syscall_trap, . - shim_syscall_trap

/* In: EAX number, RCX guest address after the syscall instruction, R11 where to go on, flags live, RSP the guest's. */
    .globl shim_syscall_call
    .type shim_syscall_call, @function
    .balign 64
shim_syscall_call:
    .cfi_startproc
    .cfi_signal_frame           /* the stacks' order says nothing */
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    begin_frame FRAME_CALLED, %r11
    pushfq
    push %rcx
0:  mov 8(%rsp), %r11           /* as `syscall` leaves it */
    cld
    save_general
    /* RSP = frame, 16-byte aligned; the canonical frame address is the guest's, found in the frame. */
    .cfi_escape 0x0f, 4, 0x77, 0x88, 0x01, 0x06   /* CFA = *(rsp + 136) */
    saved 0, 80                 /* rax rdx rcx rbx rsi rdi rbp, by their DWARF numbers */
    saved 1, 96
    saved 2, 88
    saved 3, 40
    saved 4, 104
    saved 5, 112
    saved 6, 32
    saved 8, 72                 /* r8 to r15, rip */
    saved 9, 64
    saved 10, 56
    saved 11, 48
    saved 12, 24
    saved 13, 16
    saved 14, 8
    saved 15, 0
    saved 16, 120
    cmpb $0, libos_dispatch_slowly(%rip)
    jne 4f
    mov %eax, %eax
    cmp $LIBOS_CALLS, %eax
    jae 4f
    lea libos_calls(%rip), %rcx
    mov (%rcx,%rax,8), %rax
    test %rax, %rax
    jz 4f
    mov %r10, %rcx              /* where C has its fourth argument; the others are in their places */
    call *%rax
5:  cmp $-4095, %rax            /* an errno, or one of the libOS's own results */
    jae 3f
    mov %rax, FRAME_RAX(%rsp)
    cmpl $0, %gs:TCB_INTERRUPTED
    jne 2f
    .globl shim_way_out, shim_way_out_end
shim_way_out:
    /* The straight way: the flags are those of the entry, so popfq, a third of a short call's cost, can be left out
     * where only arithmetic ones need to be put back.  sahf sets all of these but the overflow, which the addition
     * does. */
    mov FRAME_RFLAGS(%rsp), %eax
    test $FLAGS_BY_POPFQ, %eax
    jnz way_out_whole
    mov %eax, %edx
    shr $11, %edx
    and $1, %edx
    mov %al, %ah
    mov %dl, %al
    add $0x7f, %al
    sahf
    load_general
    lea 16(%rsp), %rsp          /* rip, flags */
    mov (%rsp), %rsp
    jmp *%gs:TCB_RESUME
way_out_whole:
    load_general
    lea 8(%rsp), %rsp           /* rip */
    popfq
    mov (%rsp), %rsp
    jmp *%gs:TCB_RESUME
shim_way_out_end:
leave:
    cmpl $0, %gs:TCB_INTERRUPTED
    je way_out_whole
2:  mov %rsp, %rdi
    call libos_work
    jmp leave
3:  mov %rsp, %rdi
    mov %rax, %rsi
    call libos_failed
    jmp leave
4:  mov %rsp, %rdi
    call libos_syscall
    jmp 5b
    .cfi_endproc
    .size shim_syscall_call, . - shim_syscall_call

/* As shim_syscall_call, for a guest that single-steps: the trap flag was taken off, and goes back into the frame. */
    .globl shim_syscall_stepped
    .type shim_syscall_stepped, @function
shim_syscall_stepped:
    .cfi_startproc
    .cfi_undefined rip
    begin_frame FRAME_CALLED, %r11
    pushfq
    orq $FLAG_TRAP, (%rsp)
    push %rcx
    jmp 0b
    .cfi_endproc
    .size shim_syscall_stepped, . - shim_syscall_stepped

/* In: on the libOS stack's top; guest registers in GS:TCB_SAVED, which C copies into the frame. */
    .macro upcall name, handler
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
    .cfi_undefined rip
    sub $FRAME_SIZE, %rsp
    mov %rsp, %rdi
    call \handler
    jmp leave
    .cfi_endproc
    .size \name, . - \name
    .endm
    upcall shim_exception, libos_exception
    upcall shim_interrupt, libos_interrupt

/* Leaves for the guest through the frame at the top of the libOS stack; what lies below is given up. */
    .globl frame_enter_guest
    .type frame_enter_guest, @function
frame_enter_guest:
    .cfi_startproc
    .cfi_undefined rip
    mov %gs:TCB_LIBOS_STACK, %rsp
    sub $FRAME_SIZE, %rsp
    jmp leave
    .cfi_endproc
    .size frame_enter_guest, . - frame_enter_guest

/* A fixup row: a fault at `from` goes on at `to`. */
    .macro fixup from, to
    .pushsection .fixups, "a"
    .quad \from, \to
    .popsection
    .endm

/* int64_t shim_xsave(uint64_t address, uint64_t mask): 64-byte aligned guest memory; XSAVE so that the layout is the
 * standard one, as signal frames have it. */
    .globl shim_xsave, shim_xrstor
    .type shim_xsave, @function
shim_xsave:
    .cfi_startproc
    mov %rsi, %rdx
    mov %esi, %eax
    shr $32, %rdx
10: xsave64 (%rdi)
    xor %eax, %eax
    ret
    fixup 10b, shim_fault
    .cfi_endproc
    .size shim_xsave, . - shim_xsave

    .type shim_xrstor, @function
shim_xrstor:
    .cfi_startproc
    mov %rsi, %rdx
    mov %esi, %eax
    shr $32, %rdx
11: xrstor64 (%rdi)
    xor %eax, %eax
    ret
    fixup 11b, shim_fault
    .cfi_endproc
    .size shim_xrstor, . - shim_xrstor

    .type shim_fault, @function
shim_fault:
    .cfi_startproc
    mov $-14, %rax              /* -EFAULT */
    ret
    .cfi_endproc
    .size shim_fault, . - shim_fault

/*
 * Guest memory.  These are the only instructions of the libOS that touch it.  They return what could not be moved.
 * uint64_t shim_copy(void *to, const void *from, uint64_t size): bytes left over.
 */
    .globl shim_copy, shim_copy_string, shim_load32, shim_store32, shim_exchange32, shim_zero
    .type shim_copy, @function
shim_copy:
    .cfi_startproc
    mov %rdx, %rcx
    cmp $16, %rdx
    jb 13f
12: rep movsb
    fixup 12b, 14f
    mov %rcx, %rax
    ret
13: test %rcx, %rcx             /* short: rep's start-up would be most of the cost */
    jz 14f
15: mov (%rsi), %al
    fixup 15b, 14f
16: mov %al, (%rdi)
    fixup 16b, 14f
    inc %rsi
    inc %rdi
    dec %rcx
    jnz 15b
14: mov %rcx, %rax
    ret
    .cfi_endproc
    .size shim_copy, . - shim_copy

/* uint64_t shim_zero(void *to, uint64_t size): bytes left over. */
    .type shim_zero, @function
shim_zero:
    .cfi_startproc
    mov %rsi, %rcx
    xor %eax, %eax
17: rep stosb
    fixup 17b, 18f
18: mov %rcx, %rax
    ret
    .cfi_endproc
    .size shim_zero, . - shim_zero

/* int64_t shim_copy_string(char *to, const char *from, uint64_t size): length without the NUL,
 * size if none, or -EFAULT. */
    .type shim_copy_string, @function
shim_copy_string:
    .cfi_startproc
    xor %eax, %eax
20: cmp %rdx, %rax
    je 22f
21: mov (%rsi,%rax), %cl
    fixup 21b, shim_fault
    mov %cl, (%rdi,%rax)
    test %cl, %cl
    jz 22f
    inc %rax
    jmp 20b
22: ret
    .cfi_endproc
    .size shim_copy_string, . - shim_copy_string

/* int64_t shim_load32(uint32_t *from): the value, or -EFAULT. */
    .type shim_load32, @function
shim_load32:
    .cfi_startproc
23: mov (%rdi), %eax
    fixup 23b, shim_fault
    ret
    .cfi_endproc
    .size shim_load32, . - shim_load32

/* int64_t shim_store32(uint32_t *to, uint32_t value): 0 or -EFAULT. */
    .type shim_store32, @function
shim_store32:
    .cfi_startproc
24: mov %esi, (%rdi)
    fixup 24b, shim_fault
    xor %eax, %eax
    ret
    .cfi_endproc
    .size shim_store32, . - shim_store32

/* int64_t shim_exchange32(uint32_t *at, uint32_t expected, uint32_t value): what was there (value stored if it was
 * `expected`), or -EFAULT. */
    .type shim_exchange32, @function
shim_exchange32:
    .cfi_startproc
    mov %esi, %eax
25: lock cmpxchg %edx, (%rdi)
    fixup 25b, shim_fault
    mov %eax, %eax
    ret
    .cfi_endproc
    .size shim_exchange32, . - shim_exchange32

    .section .note.GNU-stack, "", @progbits
