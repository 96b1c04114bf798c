/* SPDX-License-Identifier: MIT */
/* Linux's signal structures on x86-64: asm/sigcontext.h, asm/siginfo.h, asm/ucontext.h, arch/x86/kernel/signal.c. */
#ifndef LIBOS_ABI_SIGNAL_H
#define LIBOS_ABI_SIGNAL_H
#include <stddef.h>
#include <stdint.h>

#define SIG_DFL 0u
#define SIG_IGN 1u
#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

#define SA_NOCLDSTOP 1u
#define SA_NOCLDWAIT 2u
#define SA_SIGINFO 4u
#define SA_UNSUPPORTED 0x400u
#define SA_EXPOSE_TAGBITS 0x800u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u
#define SA_KNOWN \
    (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND)

#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM 0x80000000u
#define MINSIGSTKSZ 2048u

/* si_code: <= 0 from a process, > 0 from the kernel. */
#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_MESGQ (-3)
#define SI_ASYNCIO (-4)
#define SI_SIGIO (-5)
#define SI_TKILL (-6)
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRERR 2
#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_DUMPED 3
#define CLD_TRAPPED 4
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD 2
#define SIGEV_THREAD_ID 4

/* What Linux keeps of siginfo_t (its kernel_siginfo); the guest's has 80 bytes of zeros more. */
struct siginfo {
    int32_t signo, error, code, pad;
    union {
        struct { int32_t pid; uint32_t uid; uint64_t value; } user; /* kill, tgkill, sigqueue */
        struct { int32_t id, overrun; uint64_t value; } timer;
        struct { int32_t pid; uint32_t uid; int32_t status, pad; int64_t utime, stime; } child; /* times: ticks */
        struct { uint64_t address; uint64_t more[3]; } fault;
        struct { int64_t band; int32_t fd, pad; } poll;
        uint64_t words[4];
    };
};
#define SIGINFO_SIZE 128u /* the guest's */
_Static_assert(sizeof(struct siginfo) == 48 && offsetof(struct siginfo, words) == 16, "ABI");
_Static_assert(offsetof(struct siginfo, child.status) == 24 && offsetof(struct siginfo, child.utime) == 32, "ABI");

struct sigaction { uint64_t handler, flags, restorer, mask; };
_Static_assert(sizeof(struct sigaction) == 32, "ABI");

struct signal_stack { uint64_t base; uint32_t flags, pad; uint64_t size; }; /* stack_t */
_Static_assert(sizeof(struct signal_stack) == 24 && offsetof(struct signal_stack, size) == 16, "ABI");

struct sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, oldmask, cr2;
    uint64_t fpstate; /* guest address of an XSAVE area, or 0 */
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct sigcontext) == 256 && offsetof(struct sigcontext, fpstate) == 184, "ABI");

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u
struct ucontext {
    uint64_t flags, link;
    struct signal_stack stack;
    struct sigcontext context;
    uint64_t mask;
};
_Static_assert(sizeof(struct ucontext) == 304 && offsetof(struct ucontext, context) == 40, "ABI");

struct signal_frame { /* struct rt_sigframe */
    uint64_t return_address;
    struct ucontext ucontext;
    struct siginfo info;
    uint8_t info_rest[SIGINFO_SIZE - sizeof(struct siginfo)];
};
_Static_assert(sizeof(struct signal_frame) == 440 && offsetof(struct signal_frame, info) == 312, "ABI");

/* The last 48 bytes of the FXSAVE area say what follows it. */
#define FP_MAGIC1 0x46505853u
#define FP_MAGIC2 0x46505845u
#define FP_SOFTWARE_OFFSET 464u
#define FP_LEGACY_SIZE 512u
#define FP_HEADER_SIZE 64u
struct fp_software_bytes { uint32_t magic1, extended_size; uint64_t xfeatures; uint32_t xstate_size, pad[7]; };
_Static_assert(sizeof(struct fp_software_bytes) == 48, "ABI");

struct sigevent { uint64_t value; int32_t signo, notify; int32_t thread, pad[11]; };
_Static_assert(sizeof(struct sigevent) == 64 && offsetof(struct sigevent, thread) == 16, "ABI");
#endif
