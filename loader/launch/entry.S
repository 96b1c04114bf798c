/* SPDX-License-Identifier: MIT */
/* pal-run's entry, before libc's own: see picoprocess.c. */
#include <asm/unistd.h>

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

    .section .note.GNU-stack, "", @progbits
