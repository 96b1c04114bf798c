/* SPDX-License-Identifier: MIT */
/*
 * The vDSO that guests find by AT_SYSINFO_EHDR (vdso(7)): a whole ELF image, laid out here by hand because its
 * users are few and strict (the C libraries' and Go's symbol lookups, unwinders, debuggers), and one page holds
 * it.  Addresses in it are offsets from its start.  vdso.c copies it into the guest and fills in the slots.
 */
#define AT(label) (label - vdso_image)
#define ELF_HASH_LINUX_2_6 0x3ae75f6
#define ELF_HASH_SONAME 0xdeebfa1
/* The clocks that a host's function can read without a system call of its own: PAL_CLOCK_REALTIME, MONOTONIC,
 * MONOTONIC_RAW, REALTIME_COARSE, MONOTONIC_COARSE, BOOT, TAI.  Their numbers are below CLOCKS. */
#define CLOCKS 12
#define CLOCKS_OF_HOST 0x8f3

    .section .rodata.vdso, "a"
    .balign 64
    .globl vdso_image, vdso_image_end, vdso_slots
vdso_image:
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0       /* 64 bits, little-endian, version 1, System V */
    .quad 0
    .short 3, 62                                /* ET_DYN, EM_X86_64 */
    .long 1
    .quad 0, AT(segments), 0                    /* e_entry, e_phoff, e_shoff */
    .long 0
    .short 64, 56, 3, 64, 0, 0                  /* header, segment and section entry sizes and counts */

segments:
    .long 1, 5                                  /* PT_LOAD, R + X */
    .quad 0, 0, 0, AT(vdso_image_end), AT(vdso_image_end), 4096
    .long 2, 4                                  /* PT_DYNAMIC, R */
    .quad AT(dynamic), AT(dynamic), AT(dynamic), AT(dynamic_end) - AT(dynamic), AT(dynamic_end) - AT(dynamic), 8
    .long 0x6474e550, 4                         /* PT_GNU_EH_FRAME, R */
    .quad AT(frame_header), AT(frame_header), AT(frame_header), 8, 8, 4

dynamic:
    .quad 14, soname - strings                  /* DT_SONAME */
    .quad 4, AT(hash)                           /* DT_HASH */
    .quad 5, AT(strings)                        /* DT_STRTAB */
    .quad 6, AT(symbols)                        /* DT_SYMTAB */
    .quad 10, strings_end - strings             /* DT_STRSZ */
    .quad 11, 24                                /* DT_SYMENT */
    .quad 0x6ffffff0, AT(versions)              /* DT_VERSYM */
    .quad 0x6ffffffc, AT(definitions)           /* DT_VERDEF */
    .quad 0x6ffffffd, 2                         /* DT_VERDEFNUM */
    .quad 0, 0
dynamic_end:

    .macro symbol name, code
    .long \name - strings
    .byte 0x12, 0                               /* STB_GLOBAL, STT_FUNC; default visibility */
    .short 1                                    /* defined: in no section that is shown */
    .quad AT(\code), \code\()_end - \code
    .endm
symbols:
    .quad 0, 0, 0
    symbol name_clock_gettime, clock_gettime
    symbol name_gettimeofday, gettimeofday
    symbol name_time, time
    symbol name_getcpu, getcpu

hash:                                           /* one bucket, one chain */
    .long 1, 5, 1, 0, 2, 3, 4, 0

    .balign 2
versions:
    .short 0, 2, 2, 2, 2
    .balign 4
definitions:
    .short 1, 1, 1, 1                           /* version 1, VER_FLG_BASE, index 1, one name */
    .long ELF_HASH_SONAME, 20, 28, soname - strings, 0
    .short 1, 0, 2, 1                           /* index 2 */
    .long ELF_HASH_LINUX_2_6, 20, 0, version - strings, 0

strings:
    .byte 0
soname: .asciz "linux-vdso.so.1"
version: .asciz "LINUX_2.6"
name_clock_gettime: .asciz "__vdso_clock_gettime"
name_gettimeofday: .asciz "__vdso_gettimeofday"
name_time: .asciz "__vdso_time"
name_getcpu: .asciz "__vdso_getcpu"
strings_end:

/* No search table: one entry needs none. */
    .balign 4
frame_header:
    .byte 1, 0x1b, 0xff, 0xff                   /* version; pc-relative sdata4; no count, no table */
    .long frames - .
    .balign 8
frames:
    .long 1f - 0f                               /* CIE */
0:  .long 0
    .byte 1
    .asciz "zR"
    .uleb128 1
    .sleb128 -8
    .uleb128 16                                 /* return address column: rip */
    .uleb128 1
    .byte 0x1b                                  /* FDE addresses: pc-relative sdata4 */
    .byte 0x0c, 7, 8                            /* DW_CFA_def_cfa rsp, 8 */
    .byte 0x80 + 16, 1                          /* DW_CFA_offset rip, 1 * -8 */
    .balign 8, 0
1:  .long 3f - 2f                               /* FDE: the stack never moves, so one covers all functions */
2:  .long 2b - frames
    .long text - .
    .long text_end - text
    .uleb128 0
    .balign 8, 0
3:  .long 0                                     /* end */

    .balign 8
vdso_slots:                                     /* addresses of the host's functions; 0: it has none */
slot_clock_gettime: .quad 0
slot_gettimeofday: .quad 0
slot_time: .quad 0
slot_getcpu: .quad 0
slot_entry: .quad 0                             /* the libOS's, as trampolines jump to it: rewrite.h */

/* In: as C calls it.  The host's function takes the same, and returns to the caller.  Where it can't serve, the call goes
 * to the libOS as from a trampoline: a syscall instruction would trap; it stands there for programs that look for one. */
    .macro function name, number
    .balign 16
\name:
    .ifc \name, clock_gettime
    cmp $CLOCKS, %edi
    jae 1f
    mov $CLOCKS_OF_HOST, %eax
    bt %edi, %eax
    jnc 1f
    .endif
    mov slot_\name(%rip), %rax
    test %rax, %rax
    jz 1f
    jmp *%rax
1:  mov $\number, %eax
    lea 2f(%rip), %r11
    jmp *slot_entry(%rip)
    syscall
2:  ret
\name\()_end:
    .endm
    .balign 16
text:
    function clock_gettime, 228
    function gettimeofday, 96
    function time, 201
    function getcpu, 309
text_end:
vdso_image_end:
    .section .note.GNU-stack, "", @progbits
