/* SPDX-License-Identifier: MIT */
/*
 * Call sites as compilers and C libraries write them, position-independent, to be copied and called.  In: RDI, RSI,
 * RDX, R8, R9, R10 anything, RAX a small number; RBP = 0 or, where a snippet has a second way in, its selector.
 * Each ends in `ret`.  Registers and flags afterwards must not depend on how the system call got to its handler.
 */
    .macro snippet name
    .pushsection .rodata.names, "a"
9:  .asciz "\name"
    .popsection
    .pushsection .data.rel.ro.snippets, "aw"
    .quad 9b, 7f, 8f - 7f
    .popsection
    .text
7:
    .endm
    .macro end
8:
    .endm

    .section .data.rel.ro.snippets, "aw"
    .globl snippets, snippets_end
    .balign 8
snippets:

    snippet glibc
    endbr64
    mov $39, %eax
    syscall
    cmp $-4095, %rax
    jae 1f
    ret
1:  neg %eax
    mov $-1, %rax
    ret
    end

    snippet glibc_error
    mov $-2000, %rax
    mov $0, %edi
    mov $-700, %eax
    syscall
    cmp $-4095, %rax
    ja 1f
    ret
1:  neg %eax
    ret
    end

    snippet glibc_syscall
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    cmp $-4095, %rax
    jae 1f
    ret
1:  mov $-1, %eax
    ret
    end

    snippet movq
    mov $15, %esi
    mov $16, %rax
    syscall
    nopl 0(%rax)
    ret
    end

    snippet go
    mov %r8, %rdx
    mov %r9, %rsi
    syscall
    cmp $-4095, %rax
    jbe 1f
    neg %rax
    mov %rax, %rcx
    mov $-1, %rax
    xor %ebx, %ebx
    ret
1:  mov %rdx, %rbx
    xor %ecx, %ecx
    ret
    end

    snippet musl
    mov %rsi, %r11
    mov %rdx, %rsi
    syscall
    ret
    .balign 16, 0xcc
    end

    snippet musl_nops
    mov %r8, %rdx
    mov %r9, %r8
    syscall
    ret
    .balign 32
    end

    snippet cancellable
    mov %rdi, %r11
    mov %rsi, %rax
    mov %rdx, %rdi
    mov %r11, -8(%rsp)
    mov %r10, -128(%rsp)
    syscall
    mov -8(%rsp), %rbx
    mov -128(%rsp), %r12
    ret
    end

    snippet vfork
    pop %r14
    mov $58, %eax
    syscall
    push %r14
    cmp $-4095, %rax
    jae 1f
    ret
1:  xor %eax, %eax
    ret
    end

    snippet pop_push
    mov %esi, %eax
    pop %r14
    syscall
    push %r14
    cmp $-4095, %rax
    jae 1f
    ret
1:  xor %eax, %eax
    ret
    end

    snippet test_js
    mov %esi, %eax
    syscall
    test %eax, %eax
    js 1f
    add %rdi, %rdi
    ret
1:  sub %rdi, %rdi
    ret
    end

    snippet xor_call
    xor %eax, %eax
    syscall
    call 1f
    ret
1:  ret
    end

    snippet before_three
    mov %r8, %rdx
    mov %r9, %r8
    xor %eax, %eax
    syscall
    call 1f
    ret
1:  ret
    end

    snippet long_before
    mov $8, %r10d
    syscall
    call 1f
    ret
1:  ret
    end

    snippet jumped_to
    test %ebp, %ebp
    jnz 1f
    mov $100, %eax
1:  syscall
    call 2f
    ret
2:  ret
    end

    snippet hole
    test %ebp, %ebp
    jnz 1f
    mov $100, %eax
1:  syscall
    call 2f
    ret
2:  ret
    .balign 16
    .skip 17, 0x51
    .skip 17, 0x59
    jmp 2b
    .balign 16
    end

    snippet entered_after
    test %ebp, %ebp
    mov %esi, %eax
    lea 1f(%rip), %rbx
    jz 2f
    xor %ebx, %ebx
    lea 1f(%rip), %rcx
    xor %r11d, %r11d
    jmp *%rcx
2:  syscall
1:  cmp $-4095, %rax
    mov $0, %ebx
    mov $0, %ecx
    jae 3f
    ret
3:  neg %rax
    ret
    end

    snippet entered_twice
    test %ebp, %ebp
    mov %esi, %eax
    jz 2f
    lea 1f(%rip), %rcx
    lea 4f(%rip), %r11
    cmp $2, %ebp
    cmove %r11, %rcx
    xor %r11d, %r11d
    jmp *%rcx
2:  syscall
1:  mov %eax, %edx
4:  mov %edx, %ebx
    mov $0, %ecx
    ret
    end

    snippet rip_relative
    mov %esi, %eax
    syscall
    mov 1f(%rip), %rbx
    lea 1f(%rip), %r12
    mov (%r12), %r12
    add %rax, %rbx
    ret
1:  .quad 0x1122334455667788
    end

    snippet rip_before
    mov %esi, %eax
    mov 1f(%rip), %rdi
    syscall
    call 2f
    ret
2:  ret
1:  .quad 0x1234
    end

    .section .data.rel.ro.snippets, "aw"
snippets_end:

/* void run(struct registers *in_out (RDI), void *code (RSI)): calls code with these registers and keeps what it
 * leaves. */
    .text
    .globl run
    .type run, @function
run:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, %fs:run_registers@tpoff
    mov %rsi, %fs:run_code@tpoff
    push $77                    /* what a snippet finds at 8(%rsp) */
    push 120(%rdi)
    popfq
    mov 0(%rdi), %rax
    mov 8(%rdi), %rbx
    mov 16(%rdi), %rcx
    mov 24(%rdi), %rdx
    mov 32(%rdi), %rsi
    mov 48(%rdi), %rbp
    mov 56(%rdi), %r8
    mov 64(%rdi), %r9
    mov 72(%rdi), %r10
    mov 80(%rdi), %r11
    mov 88(%rdi), %r12
    mov 96(%rdi), %r13
    mov 104(%rdi), %r14
    mov 112(%rdi), %r15
    mov 40(%rdi), %rdi
    call *%fs:run_code@tpoff
    mov %rax, %fs:run_code@tpoff
    mov %fs:run_registers@tpoff, %rax
    mov %rbx, 8(%rax)
    mov %rcx, 16(%rax)
    mov %rdx, 24(%rax)
    mov %rsi, 32(%rax)
    mov %rdi, 40(%rax)
    mov %rbp, 48(%rax)
    mov %r8, 56(%rax)
    mov %r9, 64(%rax)
    mov %r10, 72(%rax)
    mov %r11, 80(%rax)
    mov %r12, 88(%rax)
    mov %r13, 96(%rax)
    mov %r14, 104(%rax)
    mov %r15, 112(%rax)
    pushfq
    pop 120(%rax)
    mov %fs:run_code@tpoff, %rcx
    mov %rcx, 0(%rax)
    pop %rcx
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size run, . - run

/* What stubs enter: the call's result is 3 * RAX + RDI.  R11: where to go on. */
    .globl entry, entry_tail
    .type entry, @function
entry_tail:
    movslq -4(%r11), %rcx
    lea (%r11,%rcx), %rcx
    jmp 1f
entry:
    mov %r11, %rcx
1:  mov %rsp, %fs:entry_rsp@tpoff
    mov %r11, %fs:entry_resume@tpoff
    mov %fs:entry_stack@tpoff, %rsp
    pushfq
    incq %fs:entry_calls@tpoff
    mov (%rsp), %r11
    popfq
    lea (%rax,%rax,2), %rax
    lea (%rdi,%rax), %rax
    mov %fs:entry_rsp@tpoff, %rsp
    jmp *%fs:entry_resume@tpoff
    .size entry, . - entry
    .section .note.GNU-stack, "", @progbits
