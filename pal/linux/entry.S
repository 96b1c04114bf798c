/* SPDX-License-Identifier: MIT */
/*
 * What can't be said in C: the entry from exec, the interruptible host call, the first and the last instructions of a
 * thread, and the return from signal handlers.
 */
#include <asm/unistd.h>
#include <asm-generic/errno-base.h>

#define FUTEX_WAKE 1 /* <linux/futex.h> is for C only */
#define TCB_INTERRUPTED 8
#define TCB_LIBOS_STACK 16
#define TCB_RETURNS_LOST 32 /* host[HOST_RETURNS_LOST] */

    .macro function name
    .globl \name
    .hidden \name
    .type \name, @function
    .balign 16
\name:
    .cfi_startproc
    .endm
    .macro end name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .text

/* From the kernel: RSP = argc, argv, environment, auxiliary vector. */
function linux_entry
    .cfi_undefined rip
    xor %ebp, %ebp
    mov %rsp, %rdi
    and $-16, %rsp
    call linux_start
    hlt
end linux_entry

/* void linux_enter_image(api, boot, start, stack): never comes back. */
function linux_enter_image
    .cfi_undefined rip
    mov %rcx, %rsp
    xor %ebp, %ebp
    call *%rdx
    hlt
end linux_enter_image

/*
 * The interruptible host calls.
 *
 * An interrupt that is handled while RIP is in [linux_blocking_begin, linux_blocking_end) came after the check or just
 * before it, and before the call: its handler sets RIP to linux_blocking_cancel.  At linux_blocking_end the kernel has
 * given the call's result, -EINTR where the signal cut it short.
 */

/* int64_t linux_blocking(number, a, b, c, d, e, f), f at 8(%rsp). */
function linux_blocking
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    jmp linux_blocking_begin
end linux_blocking

/*
 * int64_t linux_stream_read(handle, buffer, size, offset), linux_stream_write: of pal.h.  Nothing is between the caller
 * and the kernel that need not be: what these two cost, each read and write of the guest does.
 */
    .balign 64
    .skip 48                    /* what follows linux_stream_read is one line of the processor's cache */
function linux_stream_read
    xor %eax, %eax              /* __NR_read */
    mov $__NR_pread64, %r8d
    jmp 1f
end linux_stream_read

function linux_stream_write
    mov $__NR_write, %eax
    mov $__NR_pwrite64, %r8d
1:  mov %rcx, %r10
    cmp $-1, %rcx
    cmovne %r8d, %eax
    movslq %edi, %rdi
    .cfi_endproc                /* goes on into the next */
    .size linux_stream_write, . - linux_stream_write

    .globl linux_blocking_begin, linux_blocking_end, linux_blocking_cancel
    .hidden linux_blocking_begin, linux_blocking_end, linux_blocking_cancel
    .type linux_blocking_begin, @function
linux_blocking_begin:
    .cfi_startproc
    cmpl $0, %gs:TCB_INTERRUPTED
    jne linux_blocking_cancel
    syscall
linux_blocking_end:
    cmpl $0, %gs:TCB_RETURNS_LOST
    je 1f
    pop %rcx                    /* a jump is predicted where a return is not: that costs as much as a dozen others */
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp *%rcx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rip, -8
linux_blocking_cancel:
    mov $-EINTR, %rax
1:  ret
end linux_blocking_begin

/*
 * int64_t linux_clone_thread(flags, tcb, tid, entry, argument)
 *
 * In [linux_clone_child_begin, linux_clone_child_end) with RAX = 0 a new thread runs whose GS is still its creator's:
 * the interrupt handler then finds its block in R12.
 */
function linux_clone_thread
    push %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    push %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    push %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    mov %rsi, %r12              /* tcb */
    mov %rcx, %r13              /* entry */
    mov %r8, %r14               /* argument */
    mov TCB_LIBOS_STACK(%rsi), %rsi
    mov %rdx, %r10              /* child tid: rdi = flags, rdx = parent tid, the same word */
    xor %r8d, %r8d
    mov $__NR_clone, %eax
    syscall
    .globl linux_clone_child_begin, linux_clone_child_end
    .hidden linux_clone_child_begin, linux_clone_child_end
linux_clone_child_begin:
    test %eax, %eax
    jnz 1f
    wrgsbase %r12
linux_clone_child_end:
    xor %ebp, %ebp
    wrfsbase %rbp
    call thread_begin
    mov %r14, %rdi
    call *%r13
    hlt
1:  pop %r14
    .cfi_adjust_cfa_offset -8
    pop %r13
    .cfi_adjust_cfa_offset -8
    pop %r12
    .cfi_adjust_cfa_offset -8
    ret
end linux_clone_thread

/*
 * void linux_thread_tail(uint32_t *word, uint64_t wake): the last steps of a thread, all signals blocked.  From the
 * store on, stack and block may be gone: registers only.
 */
function linux_thread_tail
    .cfi_undefined rip
    test %rdi, %rdi
    jz 1f
    movl $0, (%rdi)
1:  mov %rsi, %rdi
    test %rdi, %rdi
    jz 2f
    mov $FUTEX_WAKE, %esi
    mov $0x7fffffff, %edx
    mov $__NR_futex, %eax
    syscall
2:  xor %edi, %edi
    mov $__NR_exit, %eax
    syscall
    hlt
end linux_thread_tail

/* void linux_load_frame(ucontext): rt_sigreturn takes what RSP points to. */
function linux_load_frame
    .cfi_undefined rip
    mov %rdi, %rsp
    mov $__NR_rt_sigreturn, %eax
    syscall
    hlt
end linux_load_frame

/* Where the kernel makes signal handlers return to. */
    nop                         /* unwinders look up the address before */
function linux_restorer
    .cfi_undefined rip
    mov $__NR_rt_sigreturn, %eax
    syscall
    hlt
end linux_restorer

    .section .note.GNU-stack, "", @progbits
