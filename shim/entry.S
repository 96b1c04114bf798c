/* SPDX-License-Identifier: MIT */
/*
 * The ways into the libOS and the one way out.
 *
 * The guest's stack is never touched: below its RSP may lie a red zone.  The frame is built on the thread's libOS stack
 * (GS:TCB_LIBOS_STACK), lowest address first: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi rip rflags rsp
 * resume number how arithmetic.  libOS code uses general registers only, so the guest's vector state stays where it is.
 *
 * An interrupt between `way_out` and `way_out_end` finds the frame still whole, one between a direct call's `out` and
 * `out_end` what a function may change: libos_classify takes the guest's registers from there.  One before that finds
 * RIP in the image: it is left to the check at `leave`, or behind the direct call.
 */
#include "libos/entry/fastpath.h"
#include "shim/gs.h"
#include "shim/shim.h"

#define IRET_SIZE 40 /* rip, cs, rflags, rsp, ss */

    .cfi_sections .debug_frame /* for debuggers: nothing unwinds at run time */
/* The operand of the instruction before lies in the per-thread block; `tail` bytes of the instruction follow it.  A host where
 * GS is its own adds to each of these: see pal_image_header. */
    .macro gs_site tail=0
.Lgs_site\@:
    .pushsection .gs_sites, "a", @progbits
    .long .Lgs_site\@ - 4 - \tail - .
    .popsection
    .endm

    .macro saved register, offset /* on the stack, from RSP */
    .cfi_escape 0x10, \register, 3, 0x77, (\offset & 0x7f) | 0x80, \offset >> 7
    .endm

    /* The same for a stack pointer `below` bytes under the frame, which stays there. */
    .macro load_general_below below:req
    mov \below + FRAME_R15(%rsp), %r15
    mov \below + FRAME_R14(%rsp), %r14
    mov \below + FRAME_R13(%rsp), %r13
    mov \below + FRAME_R12(%rsp), %r12
    mov \below + FRAME_RBP(%rsp), %rbp
    mov \below + FRAME_RBX(%rsp), %rbx
    mov \below + FRAME_R11(%rsp), %r11
    mov \below + FRAME_R10(%rsp), %r10
    mov \below + FRAME_R9(%rsp), %r9
    mov \below + FRAME_R8(%rsp), %r8
    mov \below + FRAME_RAX(%rsp), %rax
    mov \below + FRAME_RCX(%rsp), %rcx
    mov \below + FRAME_RDX(%rsp), %rdx
    mov \below + FRAME_RSI(%rsp), %rsi
    mov \below + FRAME_RDI(%rsp), %rdi
    .endm

    .macro load_general
    mov FRAME_RESUME(%rsp), %rax
    mov %rax, %gs:TCB_RESUME
    gs_site
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

    /* From the guest's stack to the frame.  No register is free here. */
    .macro to_frame
    mov %rsp, %gs:TCB_GUEST_RSP
    gs_site
    mov %gs:TCB_LIBOS_STACK, %rsp
    gs_site
    lea -FRAME_SIZE(%rsp), %rsp
    mov %rcx, FRAME_RIP(%rsp)
    mov %gs:TCB_GUEST_RSP, %rcx
    gs_site
    mov %rcx, FRAME_RSP(%rsp)
    .endm

    /*
     * Here RCX is.  A guest that has GS elsewhere is found out without a change of flags, and `foreign` goes on at `ours`,
     * GS at the block; or the read faults, and libos_classify does.
     */
    .macro to_frame_checked ours:req, foreign:req
    mov %gs:TCB_MARK, %rcx
    gs_site
    lea -GS_MARK(%rcx), %rcx
    jrcxz \ours
    jmp \foreign
\ours:
    mov %gs:TCB_LIBOS_STACK, %rcx
    gs_site
    mov %rsp, FRAME_RSP - FRAME_SIZE(%rcx)
    lea -FRAME_SIZE(%rcx), %rsp
    .endm

    /* R11 = the stub's tail: sets RCX to the guest's address after its syscall instruction. */
    .macro after_by_tail
    movslq -4(%r11), %rcx
    lea (%r11,%rcx), %rcx
    .endm

    /*
     * A call, in the frame already: stack pointer, address after it.  What a function may change goes into the frame,
     * and of the flags those that arithmetic sets.  Leaves ECX the number, and changes RAX.
     */
    .macro begin_call resume:req
    mov \resume, %gs:TCB_RESUME
    gs_site
    mov %rdi, FRAME_RDI(%rsp)
    mov %rsi, FRAME_RSI(%rsp)
    mov %rdx, FRAME_RDX(%rsp)
    mov %r8, FRAME_R8(%rsp)
    mov %r9, FRAME_R9(%rsp)
    mov %r10, FRAME_R10(%rsp)
    mov %rax, FRAME_NUMBER(%rsp)
    mov %eax, %ecx
    lahf
    seto %al
    mov %eax, FRAME_ARITHMETIC(%rsp)
    .endm

    /* AL, AH: FRAME_ARITHMETIC's.  The addition sets the overflow flag, sahf the others. */
    .macro load_arithmetic
    add $0x7f, %al
    sahf
    .endm

    /* All the rest.  Leaves RAX the number. */
    .macro make_whole how:req
    mov FRAME_ARITHMETIC(%rsp), %eax
    load_arithmetic
    pushfq
    pop %rax
    mov %rax, FRAME_RFLAGS(%rsp)
    mov %rax, FRAME_R11(%rsp)   /* as `syscall` leaves it */
    mov FRAME_RIP(%rsp), %rax
    mov %rax, FRAME_RCX(%rsp)
    mov %gs:TCB_RESUME, %rax
    gs_site
    mov %rax, FRAME_RESUME(%rsp)
    movq $\how, FRAME_HOW(%rsp)
    mov %rbx, FRAME_RBX(%rsp)
    mov %rbp, FRAME_RBP(%rsp)
    mov %r12, FRAME_R12(%rsp)
    mov %r13, FRAME_R13(%rsp)
    mov %r14, FRAME_R14(%rsp)
    mov %r15, FRAME_R15(%rsp)
    mov FRAME_NUMBER(%rsp), %rax
    mov %rax, FRAME_RAX(%rsp)
    cld
    .endm

    /*
     * ECX = 0 to read, 1 to write.  A process of one thread has nobody who could close the descriptor meanwhile: it takes
     * no reference.  Nothing is between the guest and the kernel that need not be, and no jump is taken that need not be:
     * after a host call each costs as much as a dozen instructions.  PAL_KEEPS_FLAGS: the host's call leaves the guest's
     * flags in R11, but for the arithmetic ones.
     */
    .macro direct at:req, name:req, pad:req
    .nops \pad
    mov %gs:TCB_THREAD, %r11
    gs_site
    mov THREAD_PROCESS(%r11), %r11
    cmpq $1, PROCESS_RUNNERS(%r11)
    jne whole
    cmpq $0, PROCESS_VFORK_PARENT(%r11)
    jne whole
    mov PROCESS_FILES(%r11), %r11
    cmp FILES_CAPACITY(%r11), %edi
    jae whole
    mov FILES_SLOTS(%r11), %r11
    mov %edi, %eax
    mov (%r11,%rax,8), %r11
    test %r11, %r11
    jz whole
    mov FILE_DIRECT(%r11), %eax
    .if \at
    shr $2, %eax
    .endif
    bt %ecx, %eax
    jnc whole
    .if \at
    test %r10, %r10
    js whole
    .endif
    mov $GUEST_END, %rax
    sub %rsi, %rax
    jb whole
    cmp %rdx, %rax
    jb whole
    mov PAL(%rip), %rax
    mov API_STREAM_READ(%rax,%rcx,8), %rax
    mov FILE_HANDLE(%r11), %edi
    .if \at
    mov %r10, %rcx
    .else
    mov $-1, %rcx
    .endif
    call *%rax
    .globl shim_\name\()_result
shim_\name\()_result:
    cmp $-4095, %rax            /* an errno */
    jae whole_after
    mov %rax, FRAME_RAX(%rsp)
    cmpq $0, %gs:TCB_INTERRUPTED
    gs_site 1
    .globl shim_\name\()_out, shim_\name\()_out_end
shim_\name\()_out:                /* from here on: an interrupt just before this jump would be seen by nobody */
    jne whole_after
    movzwl FRAME_ARITHMETIC(%rsp), %eax
    and $~FLAGS_ARITHMETIC, %r11
    movzbl %ah, %edx
    movzbl %al, %ecx
    shl $11, %ecx
    or %rdx, %r11
    or %rcx, %r11               /* as `syscall` leaves it */
    load_arithmetic
    mov FRAME_RAX(%rsp), %rax
    mov FRAME_RIP(%rsp), %rcx
    mov FRAME_RDI(%rsp), %rdi
    mov FRAME_RSI(%rsp), %rsi
    mov FRAME_RDX(%rsp), %rdx
    mov FRAME_R8(%rsp), %r8
    mov FRAME_R9(%rsp), %r9
    mov FRAME_R10(%rsp), %r10
    mov FRAME_RSP(%rsp), %rsp
    jmp *%gs:TCB_RESUME
    gs_site
shim_\name\()_out_end:
    .endm

    .section .text.entry, "ax"

/* In: EAX number, RCX address after the syscall instruction, R11 flags, RSP the guest's. */
    .globl shim_syscall_trap
    .type shim_syscall_trap, @function
shim_syscall_trap:
    .cfi_startproc
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    to_frame
    mov FRAME_RIP(%rsp), %rcx
    begin_call %rcx             /* the guest's own address */
    make_whole FRAME_TRAPPED
    mov %r11, FRAME_RFLAGS(%rsp)
    mov %r11, FRAME_R11(%rsp)
    jmp 4f
    .cfi_endproc
    .size shim_syscall_trap, . - shim_syscall_trap

/*
 * In: EAX number, R11 as shim.h says, flags live, RSP the guest's, GS as the guest left it.
 *
 * What begin_call saves does for reads and writes which the host takes as they are.  For all else the frame is made
 * whole.
 */
    .globl shim_syscall_tail, shim_tail_ours, shim_syscall_call, shim_call_ours
    .type shim_syscall_tail, @function
    .type shim_syscall_call, @function
    .balign 64
shim_syscall_tail:
    .cfi_startproc
    .cfi_signal_frame           /* the stacks' order says nothing */
    .cfi_undefined rip
    to_frame_checked shim_tail_ours, foreign_tail
    after_by_tail
    mov %rcx, FRAME_RIP(%rsp)
    jmp 6f
    .balign 64
shim_syscall_call:
    to_frame_checked shim_call_ours, foreign_call
    mov %r11, FRAME_RIP(%rsp)
6:  begin_call %r11
    /* RSP = frame, 16-byte aligned; the canonical frame address is the guest's, found in the frame. */
    .cfi_escape 0x0f, 4, 0x77, 0x88, 0x01, 0x06   /* CFA = *(rsp + 136) */
    saved 0, FRAME_NUMBER       /* rax rdx rcx rsi rdi, by their DWARF numbers */
    saved 1, FRAME_RDX
    saved 2, FRAME_RIP
    saved 4, FRAME_RSI
    saved 5, FRAME_RDI
    saved 8, FRAME_R8
    saved 9, FRAME_R9
    saved 10, FRAME_R10
    saved 16, FRAME_RIP
    cmp $1, %ecx
    ja 1f
    direct 0, plain, 3
    .balign 64
1:  sub $NUMBER_PREAD64, %ecx
    cmp $1, %ecx
    ja whole
    direct 1, at, 36
    .balign 64
whole_after:                    /* RAX: the call's result */
    mov %rax, %rdi
    make_whole FRAME_CALLED
    mov %rdi, %rax
    jmp 5f
whole:
    make_whole FRAME_CALLED
0:  saved 3, FRAME_RBX
    saved 6, FRAME_RBP
    saved 11, FRAME_R11
    saved 12, FRAME_R12
    saved 13, FRAME_R13
    saved 14, FRAME_R14
    saved 15, FRAME_R15
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
    cmpq $0, %gs:TCB_INTERRUPTED
    gs_site 1
    .globl shim_way_out, shim_way_out_end
shim_way_out:
    jne leave
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
    load_arithmetic
    load_general
    lea 16(%rsp), %rsp          /* rip, flags */
    mov (%rsp), %rsp
    jmp *%gs:TCB_RESUME
    gs_site
way_out_whole:
    load_general
    lea 8(%rsp), %rsp           /* rip */
    popfq
    mov (%rsp), %rsp
    jmp *%gs:TCB_RESUME
    gs_site
way_out_with_gs:                /* no slot of the block can be jumped through any more: what iretq takes lies below */
    mov FRAME_RESUME(%rsp), %rax
    mov FRAME_RFLAGS(%rsp), %rcx
    mov FRAME_RSP(%rsp), %rdx
    lea -IRET_SIZE(%rsp), %rsp
    mov %rax, (%rsp)
    movq $USER_CODE_SEGMENT, 8(%rsp)
    mov %rcx, 16(%rsp)
    mov %rdx, 24(%rsp)
    movq $USER_STACK_SEGMENT, 32(%rsp)
    test $FLAG_NESTED, %ecx
    jnz 8f
7:  mov %gs:0, %rcx
    gs_site
    mov %gs:TCB_GUEST_GS, %rax
    gs_site
    wrgsbase %rax
    movl $0, TCB_HAS_GUEST_GS(%rcx) /* the handlers set it again if they find the guest's GS from here on */
    load_general_below IRET_SIZE
    iretq
8:  pushfq                      /* iretq takes no nested task, but may make one */
    andl $~FLAG_NESTED, (%rsp)
    popfq
    jmp 7b
shim_way_out_end:
leave:
    cmpl $0, %gs:TCB_INTERRUPTED
    gs_site 1
    .globl shim_leave_out, shim_leave_out_end
shim_leave_out:
    jne 2f
    cmpl $0, %gs:TCB_HAS_GUEST_GS
    gs_site 1
    je way_out_whole
    jmp way_out_with_gs
shim_leave_out_end:
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

/*
 * The block of a thread whose GS is elsewhere, by its FS (shim/gs.h).  There is one free register, so the others are put
 * where all threads of the process could: a lock, for a few instructions.  What the table has not, ud2 asks for:
 * libos_classify finds the block as the PAL does, notes it, and goes on at `ours`.
 */
    .macro foreign ours:req, trap:req
1:  mov $1, %ecx
    xchg %rcx, shim_gs+GS_LOCK(%rip)
    jrcxz 2f
    pause
    jmp 1b
2:  mov %rax, shim_gs+GS_RAX(%rip)
    mov %rdx, shim_gs+GS_RDX(%rip)
    lahf
    seto %al
    mov %rax, shim_gs+GS_FLAGS(%rip)
    rdfsbase %rcx
    mov %rcx, %rax
    mov %rcx, %rdx
    shr $GS_SHIFT1, %rax
    shr $GS_SHIFT2, %rdx
    xor %rdx, %rax
    and $GS_ROWS - 1, %eax
    shl $4, %eax
    lea shim_gs+GS_TABLE(%rip), %rdx
    add %rax, %rdx
    cmp %rcx, (%rdx)
    mov 8(%rdx), %rcx
    jne 3f
    rdgsbase %rax
    wrgsbase %rcx               /* first: a handler that finds the guest's GS here puts it back, and takes the flag */
    mov %rax, TCB_GUEST_GS(%rcx)
    movl $1, TCB_HAS_GUEST_GS(%rcx)
    foreign_end
    jmp \ours
3:  foreign_end
    .globl \trap
\trap:
    ud2
    .endm
    .macro foreign_end
    mov shim_gs+GS_FLAGS(%rip), %rax
    load_arithmetic
    mov shim_gs+GS_RAX(%rip), %rax
    mov shim_gs+GS_RDX(%rip), %rdx
    movq $0, shim_gs+GS_LOCK(%rip)
    .endm

    .type foreign_tail, @function
foreign_tail:
    .cfi_startproc
    .cfi_undefined rip
    foreign shim_tail_ours, shim_tail_trap
foreign_call:
    foreign shim_call_ours, shim_call_trap
    .cfi_endproc
    .size foreign_tail, . - foreign_tail

/* As shim_syscall_tail and shim_syscall_call, for a guest that single-steps: the trap flag was taken off, and goes back
 * into the frame.  GS is at the block. */
    .globl shim_stepped_tail, shim_stepped_call
    .type shim_stepped_tail, @function
shim_stepped_tail:
    .cfi_startproc
    .cfi_undefined rip
    after_by_tail
    jmp 9f
shim_stepped_call:
    mov %r11, %rcx
9:  to_frame
    begin_call %r11
    make_whole FRAME_CALLED
    orq $FLAG_TRAP, FRAME_RFLAGS(%rsp)
    orq $FLAG_TRAP, FRAME_R11(%rsp)
    jmp 0b
    .cfi_endproc
    .size shim_stepped_tail, . - shim_stepped_tail

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
/* In: GS:TCB_CPUID, all else the guest's, at a cpuid instruction.  `flags` goes into the frame's. */
    .macro cpuid name, flags
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc
    .cfi_undefined rip
    mov %rsp, %gs:TCB_GUEST_RSP
    gs_site
    mov %gs:TCB_LIBOS_STACK, %rsp
    gs_site
    lea -FRAME_SIZE(%rsp), %rsp
    mov %r15, FRAME_R15(%rsp)
    mov %r14, FRAME_R14(%rsp)
    mov %r13, FRAME_R13(%rsp)
    mov %r12, FRAME_R12(%rsp)
    mov %rbp, FRAME_RBP(%rsp)
    mov %rbx, FRAME_RBX(%rsp)
    mov %r11, FRAME_R11(%rsp)
    mov %r10, FRAME_R10(%rsp)
    mov %r9, FRAME_R9(%rsp)
    mov %r8, FRAME_R8(%rsp)
    mov %rax, FRAME_RAX(%rsp)
    mov %rcx, FRAME_RCX(%rsp)
    mov %rdx, FRAME_RDX(%rsp)
    mov %rsi, FRAME_RSI(%rsp)
    mov %rdi, FRAME_RDI(%rsp)
    pushfq
    pop %rax
    .if \flags
    or $\flags, %rax
    .endif
    mov %rax, FRAME_RFLAGS(%rsp)
    mov %gs:TCB_GUEST_RSP, %rax
    gs_site
    mov %rax, FRAME_RSP(%rsp)
    cld
    mov %rsp, %rdi
    mov %gs:TCB_CPUID, %esi
    gs_site
    call libos_cpuid
    jmp leave
    .cfi_endproc
    .size \name, . - \name
    .endm
    cpuid shim_cpuid, 0
    cpuid shim_stepped_cpuid, FLAG_TRAP /* of a guest that single-steps, as above */

    upcall shim_exception, libos_exception
    upcall shim_interrupt, libos_interrupt

/* Leaves for the guest through the frame at the top of the libOS stack; what lies below is given up. */
    .globl frame_enter_guest
    .type frame_enter_guest, @function
frame_enter_guest:
    .cfi_startproc
    .cfi_undefined rip
    mov %gs:TCB_LIBOS_STACK, %rsp
    gs_site
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

/* void shim_vector_clear(uint32_t wide): the initial state of SSE and AVX; wide: of AVX-512, too.  Of the processor's ways the
 * cheap one: XRSTOR takes some 250 cycles whatever it loads. */
    .globl shim_vector_clear
    .type shim_vector_clear, @function
shim_vector_clear:
    .cfi_startproc
    vzeroall
    ldmxcsr initial_mxcsr(%rip)
    test %edi, %edi
    jz 1f
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vpxorq %zmm\n, %zmm\n, %zmm\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kxorw %k\n, %k\n, %k\n
    .endr
1:  ret
    .cfi_endproc
    .size shim_vector_clear, . - shim_vector_clear
    .pushsection .rodata
    .balign 4
initial_mxcsr: .long 0x1f80
    .popsection

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
