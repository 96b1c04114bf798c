/* SPDX-License-Identifier: MIT */
/* pal-run's entry, before libc's own: see picoprocess.c. */
#include <asm/unistd.h>

#define CLONE_VM 0x100
#define SIGCHLD 17
/* "picoprocess", 0 */
#define NAME_START 0x636f72706f636970
#define NAME_END 0x00737365

    .text

/* From the kernel: RSP = argc, argv, environment, auxiliary vector; RDX is for libc's entry.  Both are left as they
 * are. */
    .weak picoprocess_entry /* unit tests have no picoprocess in them */
    .globl launch_entry
    .type launch_entry, @function
launch_entry:
    .cfi_startproc
    .cfi_undefined rip
    /* The file holds a second program, which pal-run starts by this name: the picoprocess's. */
    mov 8(%rsp), %rax
    test %rax, %rax
    jz 1f
    movabs $NAME_START, %rcx
    cmp %rcx, (%rax)
    jne 1f
    cmpl $NAME_END, 8(%rax)
    jne 1f
    movabs $picoprocess_entry, %rax
    jmp *%rax
1:  mov %rsp, %rdi
    mov %rdx, %rbx
    xor %ebp, %ebp
    call launch_first
    mov %rbx, %rdx
    jmp _start
    .cfi_endproc
    .size launch_entry, . - launch_entry

/* long launch_clone(void *stack_top, void (*child)(void)): a child in the same memory, on a stack of its own.  pid
 * or -errno. */
    .globl launch_clone
    .type launch_clone, @function
launch_clone:
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
    .size launch_clone, . - launch_clone

    .section .note.GNU-stack, "", @progbits
