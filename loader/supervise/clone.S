/* SPDX-License-Identifier: MIT */
#include <asm/unistd.h>

#define CLONE_VM 0x100
#define SIGCHLD 17

    .text

/* long clone_sharing(void *stack_top, void (*child)(void)): a child in the same memory, on a stack of its own.  pid
 * or -errno. */
    .globl clone_sharing
    .type clone_sharing, @function
clone_sharing:
    .cfi_startproc
    mov %rsi, %r9
    mov %rdi, %rsi
    mov $(CLONE_VM | SIGCHLD), %edi
    xor %edx, %edx
    xor %r10d, %r10d
    xor %r8d, %r8d
    mov $__NR_clone, %eax
    syscall
    test %eax, %eax
    jz 1f
    ret
1:  .cfi_undefined rip
    xor %ebp, %ebp
    call *%r9
    hlt
    .cfi_endproc
    .size clone_sharing, . - clone_sharing

    .section .note.GNU-stack, "", @progbits
