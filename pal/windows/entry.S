/* SPDX-License-Identifier: MIT */
/*
 * Between the image (System V convention, the thread's libOS stack, the guest's FS and vector state) and the host's C (Win32's
 * convention, the thread's own stack, the host's FS).
 */
#include "pal/windows/windows.h"

    .macro function name
    .globl \name
    .balign 16
\name:
    .endm

    .text
    .altmacro
    .macro stub index
    .balign 16
    mov $\index, %eax
    jmp call_host
    .endm

/* One for each call of struct pal_api.  EAX = its index. */
function windows_stubs
    .set index, 0
    .rept STUBS
    stub %index
    .set index, index + 1
    .endr
    .globl windows_stubs_end
windows_stubs_end:

/*
 * In: as for a call of the PAL, EAX = its index.  The image's callee-saved registers stay on its stack: what a fork's child
 * returns by is then all in memory that it has a copy of.
 */
    .balign 16
call_host:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    movl $1, %gs:BLOCK+TCB_IN_HOST
    mov %gs:BLOCK+TCB_HOST, %r12
    mov %rsp, THREAD_IMAGE_RSP(%r12)
    mov THREAD_HOST_STACK(%r12), %rsp
    mov THREAD_HOST_FS(%r12), %r10
    wrfsbase %r10
    sub $64, %rsp               /* room for four registers, two arguments, and 16 that keep it aligned */
    mov %r8, 32(%rsp)
    mov %r9, 40(%rsp)
    mov %rcx, %r9
    mov %rdx, %r8
    mov %eax, %r10d
    mov THREAD_VECTORS(%r12), %rbx
    mov THREAD_VECTOR_MASK(%r12), %eax
    xor %edx, %edx
    xsave64 (%rbx)
    mov %rdi, %rcx
    mov %rsi, %rdx
    lea windows_calls(%rip), %rax
    call *(%rax,%r10,8)
    mov %rax, %r13
return_to_image:                /* R12 = struct windows_thread, R13 = the result */
    mov THREAD_VECTORS(%r12), %rbx
    mov THREAD_VECTOR_MASK(%r12), %eax
    xor %edx, %edx
    xrstor64 (%rbx)
    mov %gs:BLOCK+TCB_FS_BASE, %rax
    wrfsbase %rax
    mov THREAD_IMAGE_RSP(%r12), %rsp
    mov %r13, %rax
    movl $0, %gs:BLOCK+TCB_IN_HOST
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* void windows_return_from_fork(void): in the child, whose memory is a copy. */
function windows_return_from_fork
    call take_stack
    mov %gs:BLOCK+TCB_HOST, %r12
    xor %r13d, %r13d
    jmp return_to_image

/* Where the host's C begins from now on, and the host's FS. */
take_stack:
    mov %gs:BLOCK+TCB_HOST, %r11
    lea -256(%rsp), %rax
    and $-64, %rax
    mov %rax, THREAD_HOST_STACK(%r11)
    rdfsbase %rax
    mov %rax, THREAD_HOST_FS(%r11)
    ret

/* void windows_enter_image(first, second, entry): RCX, RDX, R8. */
function windows_enter_image
    call take_stack
    mov %rcx, %rdi
    mov %rdx, %rsi
    mov %gs:BLOCK+TCB_LIBOS_STACK, %rsp
    xor %ebp, %ebp
    wrfsbase %rbp
    movl $0, %gs:BLOCK+TCB_IN_HOST
    call *%r8
    hlt

/*
 * Where exception_handle lets guest or image go on: all registers theirs but FS, and where to in the block.  From
 * windows_resume_live on RAX is theirs again.
 */
function windows_resume
    mov %rax, %gs:BLOCK+BLOCK_SCRATCH
    mov %gs:BLOCK+TCB_FS_BASE, %rax
    wrfsbase %rax
    mov %gs:BLOCK+BLOCK_SCRATCH, %rax
    .globl windows_resume_live, windows_resume_end
windows_resume_live:
    jmp *%gs:BLOCK+BLOCK_RESUME
windows_resume_end:

/* The vectored handler, RCX = EXCEPTION_POINTERS.  In image or guest it goes on on the host's stack: theirs may be short. */
function windows_exception_entry
    mov %gs:BLOCK+TCB_HOST, %r11
    test %r11, %r11
    jz 1f
    cmpl $0, %gs:BLOCK+TCB_IN_HOST
    jne 1f
    movl $1, %gs:BLOCK+TCB_IN_HOST
    mov THREAD_HOST_FS(%r11), %rax
    wrfsbase %rax
    mov %rsp, %rax
    mov THREAD_HOST_STACK(%r11), %rsp
    sub $48, %rsp
    mov %rax, 32(%rsp)
    call exception_handle
    mov 32(%rsp), %rsp
    movl $0, %gs:BLOCK+TCB_IN_HOST
    ret
1:  sub $40, %rsp
    call exception_in_host
    add $40, %rsp
    ret

/* uint32_t windows_classify(context, tcb, is_exception): RCX, RDX, R8; the image keeps neither RSI nor RDI, and no vector register is
 * touched by it. */
function windows_classify
    push %rdi
    push %rsi
    sub $8, %rsp
    mov %rcx, %rdi
    mov %rdx, %rsi
    mov %r8d, %edx
    movabs $PAL_IMAGE_CLASSIFY, %rax
    call *(%rax)
    add $8, %rsp
    pop %rsi
    pop %rdi
    ret

/* uint64_t windows_copy(to, from, size): RCX, RDX, R8. */
function windows_copy
    push %rdi
    push %rsi
    mov %rcx, %rdi
    mov %rdx, %rsi
    mov %r8, %rcx
    .globl windows_copy_begin, windows_copy_end, windows_copy_failed
windows_copy_begin:
    rep movsb
windows_copy_end:
windows_copy_failed:
    mov %rcx, %rax
    pop %rsi
    pop %rdi
    ret

    .section .rdata, "dr"
    .balign 4
    .globl windows_stub_size
windows_stub_size:
    .long 16
