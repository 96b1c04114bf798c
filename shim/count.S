/* SPDX-License-Identifier: MIT */
/*
 * Stubs that stand for PAL calls where --stats was given: each counts, and goes on to the real call with all its
 * arguments.  The calling convention leaves RAX and R11 free.
 */
    .text
    .globl shim_count_stubs, shim_pal_counts, shim_pal_real
    .hidden shim_count_stubs, shim_pal_counts, shim_pal_real
    .balign 16
shim_count_stubs: /* RAX = index into struct pal_api, in words */
    .cfi_startproc
    .set index, 0
    .rept 48
    .balign 16
    mov $index, %eax
    jmp 1f
    .set index, index + 1
    .endr
1:  lea shim_pal_counts(%rip), %r11
    lock incq (%r11,%rax,8)
    mov shim_pal_real(%rip), %r11
    jmp *(%r11,%rax,8)
    .cfi_endproc

    .bss
    .balign 8
shim_pal_counts:
    .skip 48 * 8
shim_pal_real:
    .skip 8

    .section .note.GNU-stack, "", @progbits
