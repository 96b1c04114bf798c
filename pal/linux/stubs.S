/* SPDX-License-Identifier: MIT */
/* The stubs of fault.c: each counts, and goes on to the real call with all its arguments, or to linux_fault_error. */

    .text
    .globl linux_fault_stubs
    .hidden linux_fault_stubs
    .balign 16
/* In: as for the PAL call.  RAX, R10 and R11 are free by the calling convention; RAX = index into struct pal_api. */
linux_fault_stubs:
    .cfi_startproc
    .set index, 0
    .rept 48
    .balign 16
    mov $index, %eax
    jmp 1f
    .set index, index + 1
    .endr
1:  lock decl linux_fault_left(%rip)
    jz 2f
    mov linux_fault_real(%rip), %r11
    jmp *(%r11,%rax,8)
2:  mov %rax, %rdi
    jmp linux_fault_error
    .cfi_endproc

    .section .rodata
    .globl linux_fault_stub_size
    .hidden linux_fault_stub_size
    .balign 4
linux_fault_stub_size:
    .long 16

    .section .note.GNU-stack, "", @progbits
