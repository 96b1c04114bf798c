/* SPDX-License-Identifier: MIT */
/* Linux's constants and structures of ptrace(2) on x86-64: linux/ptrace.h, asm/ptrace-abi.h, sys/user.h. */
#ifndef LIBOS_ABI_PTRACE_H
#define LIBOS_ABI_PTRACE_H
#include <stddef.h>
#include <stdint.h>

#define PTRACE_TRACEME 0
#define PTRACE_PEEKTEXT 1
#define PTRACE_PEEKDATA 2
#define PTRACE_PEEKUSER 3
#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_POKEUSER 6
#define PTRACE_CONT 7
#define PTRACE_KILL 8
#define PTRACE_SINGLESTEP 9
#define PTRACE_GETREGS 12
#define PTRACE_SETREGS 13
#define PTRACE_GETFPREGS 14
#define PTRACE_SETFPREGS 15
#define PTRACE_ATTACH 16
#define PTRACE_DETACH 17
#define PTRACE_SYSCALL 24
#define PTRACE_ARCH_PRCTL 30
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#define PTRACE_SETOPTIONS 0x4200
#define PTRACE_GETEVENTMSG 0x4201
#define PTRACE_GETSIGINFO 0x4202
#define PTRACE_SETSIGINFO 0x4203
#define PTRACE_GETREGSET 0x4204
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206
#define PTRACE_INTERRUPT 0x4207
#define PTRACE_LISTEN 0x4208
#define PTRACE_PEEKSIGINFO 0x4209
#define PTRACE_GETSIGMASK 0x420a
#define PTRACE_SETSIGMASK 0x420b
#define PTRACE_GET_SYSCALL_INFO 0x420e

#define PTRACE_EVENT_FORK 1
#define PTRACE_EVENT_VFORK 2
#define PTRACE_EVENT_CLONE 3
#define PTRACE_EVENT_EXEC 4
#define PTRACE_EVENT_VFORK_DONE 5
#define PTRACE_EVENT_EXIT 6
#define PTRACE_EVENT_STOP 128

#define PTRACE_O_TRACESYSGOOD 1u
#define PTRACE_O_EVENT(event) (1u << (event)) /* PTRACE_O_TRACEFORK and so on */
#define PTRACE_O_EXITKILL (1u << 20)
#define PTRACE_O_KNOWN (0xffu | PTRACE_O_EXITKILL)

#define PTRACE_EVENTMSG_SYSCALL_ENTRY 1
#define PTRACE_EVENTMSG_SYSCALL_EXIT 2
#define PTRACE_PEEKSIGINFO_SHARED 1u

#define NT_PRSTATUS 1
#define NT_PRFPREG 2
#define NT_X86_XSTATE 0x202

struct user_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};
_Static_assert(sizeof(struct user_regs) == 27 * 8, "ABI");
#define USER_SIZE 928u        /* struct user, as the kernel has it */
#define USER_DEBUG_REGS 848u  /* u_debugreg[8] */
#define USER_DEBUG_REGS_END 912u
#define USER_FP_SIZE 512u     /* struct user_fpregs_struct */
#define XSTATE_XCR0_OFFSET 464u /* in an NT_X86_XSTATE: the features that it has room for */

struct ptrace_syscall_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t rip, rsp;
    union {
        struct { uint64_t number, arguments[6]; } entry;
        struct { int64_t result; uint8_t is_error; } exit;
        uint64_t words[8];
    };
};
_Static_assert(sizeof(struct ptrace_syscall_info) == 88, "ABI");
#define PTRACE_SYSCALL_INFO_NONE 0
#define PTRACE_SYSCALL_INFO_ENTRY 1
#define PTRACE_SYSCALL_INFO_EXIT 2
#define PTRACE_ARCH 0xc000003eu /* AUDIT_ARCH_X86_64 */

struct ptrace_peeksiginfo { uint64_t offset; uint32_t flags; int32_t count; };
#endif
