/* SPDX-License-Identifier: MIT */
/*
 * The suite's image header and upcall entries.  What a test calls the guest is a few instructions here, between
 * guest_begin and guest_end: classify tells them from the image's other text by address.
 */
    .section .image_header, "a"
    .quad 0x31534f62694c        /* PAL_IMAGE_MAGIC */
    .long 4, 0                  /* PAL_ABI_VERSION */
    .quad image_text_end, image_arena_end
    .quad suite_start, suite_syscall_trap, suite_exception, suite_interrupt
    .quad image_gs_sites, image_gs_sites_end
    .quad suite_classify

    .text
    .macro function name
    .globl \name
    .type \name, @function
    .balign 16
\name:
    .cfi_startproc
    .endm
    .macro end name
    .cfi_endproc
    .size \name, . - \name
    .endm

/* The operand of the instruction before lies in the per-thread block: see pal_image_header. */
    .macro gs_site
.Lgs_site\@:
    .pushsection .gs_sites, "a", @progbits
    .long .Lgs_site\@ - 4 - .
    .popsection
    .endm

#define TCB_LIBOS_STACK 16
#define TCB_RETURN_RSP 72       /* libos[1]: stack of the C code that called the guest */

/*
 * A guest's system call.  Records what the PAL promises (RCX, R11, RAX and the vector state), then goes back to the
 * guest with RAX = 4711.
 */
function suite_syscall_trap
    mov %rcx, trap_rcx(%rip)
    mov %r11, trap_r11(%rip)
    mov %rax, trap_rax(%rip)
    mov %rsp, trap_rsp(%rip)
    movdqu %xmm7, trap_xmm7(%rip)
    pushfq
    pop trap_flags(%rip)
    mov $4711, %eax
    push %r11
    popfq
    jmp *%rcx
end suite_syscall_trap

/* Upcalls abandon the guest and return from guest_call, with what the upcall was. */
function suite_exception
    mov %rsp, upcall_rsp(%rip)
    mov $2, %eax
    jmp guest_return
end suite_exception
function suite_interrupt
    mov %rsp, upcall_rsp(%rip)
    mov $3, %eax
    jmp guest_return
end suite_interrupt

/* uint64_t guest_call(void (*code)(void)): 2 or 3 when an upcall ended it, else what the guest left in RAX. */
function guest_call
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %gs:TCB_RETURN_RSP
    gs_site
    call *%rdi
guest_return:
    mov %gs:TCB_RETURN_RSP, %rsp
    gs_site
    movdqu %xmm7, seen_xmm7(%rip)
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
end guest_call

/* int64_t copy_byte(uint8_t *to, const uint8_t *from): 0, or -14 by the fixup. */
function copy_byte
    .globl copy_from, copy_failed
copy_from:
    mov (%rsi), %al
    mov %al, (%rdi)
    xor %eax, %eax
    ret
copy_failed:
    mov $-14, %rax
    ret
end copy_byte

    .globl guest_begin, guest_end
    .balign 16
guest_begin:
function guest_syscall
    mov $0x1234567887654321, %rcx
    movq %rcx, %xmm7
    pxor %xmm6, %xmm6
    std
    mov $39, %eax
    syscall
    .globl guest_syscall_after
guest_syscall_after:
    pushfq
    pop %rdx
    mov %rdx, guest_flags_after(%rip)
    cld
    ret
end guest_syscall
function guest_int80
    mov $20, %eax
    int $0x80
    ret
end guest_int80
function guest_load
    mov $0x1234567887654321, %rcx
    movq %rcx, %xmm7
    mov $0x20dead0, %esi
    .globl guest_load_at
guest_load_at:
    mov (%rsi), %rax
    ret
end guest_load
function guest_divide
    xor %ecx, %ecx
    xor %edx, %edx
    mov $1, %eax
    div %ecx
    ret
end guest_divide
function guest_illegal
    ud2
end guest_illegal
function guest_trap
    int3
    .globl guest_trap_after
guest_trap_after:
    ret
end guest_trap
function guest_spin
    mov $4242, %r15d
1:  movl $1, guest_spinning(%rip)
    pause
    jmp 1b
end guest_spin
guest_end:

    .bss
    .balign 16
    .globl trap_rcx, trap_r11, trap_rax, trap_rsp, trap_flags, trap_xmm7, seen_xmm7, upcall_rsp, guest_flags_after
    .globl guest_spinning
trap_xmm7: .skip 16
seen_xmm7: .skip 16
trap_rcx: .skip 8
trap_r11: .skip 8
trap_rax: .skip 8
trap_rsp: .skip 8
trap_flags: .skip 8
upcall_rsp: .skip 8
guest_flags_after: .skip 8
guest_spinning: .skip 4

    .section .note.GNU-stack, "", @progbits
