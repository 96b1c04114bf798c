/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, as struct user_regs_struct has them and as its frame does. */
#include "libos/trace/trace.h"
#include "shim/gs.h"

/* What a tracer may change: CF PF AF ZF SF TF DF OF NT RF AC (Linux's FLAG_MASK). */
#define FLAGS_CHANGED 0x54dd5ull

static uint64_t fs_base_now(void)
{
    uint64_t base;
    __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

void trace_registers(struct user_regs *out, const struct frame *frame, bool stepping)
{
    const struct pal_context *from = &frame->regs;
    *out = (struct user_regs){
        .r15 = from->r15, .r14 = from->r14, .r13 = from->r13, .r12 = from->r12, .rbp = from->rbp, .rbx = from->rbx,
        .r11 = from->r11, .r10 = from->r10, .r9 = from->r9, .r8 = from->r8, .rax = from->rax, .rcx = from->rcx,
        .rdx = from->rdx, .rsi = from->rsi, .rdi = from->rdi, .orig_rax = frame->number, .rip = from->rip,
        .cs = USER_CODE_SEGMENT, .eflags = from->rflags & ~(stepping ? (uint64_t)FLAG_TRAP : 0), .rsp = from->rsp,
        .ss = USER_STACK_SEGMENT, .fs_base = fs_base_now(), .gs_base = tcb()->has_guest_gs ? tcb()->guest_gs : 0,
    };
}

void trace_publish(struct trace *trace, const struct frame *frame, bool stepping)
{
    trace_registers(&trace->regs, frame, stepping);
}

void trace_load(const struct user_regs *regs, struct frame *frame)
{
    struct pal_context *to = &frame->regs;
    to->r15 = regs->r15, to->r14 = regs->r14, to->r13 = regs->r13, to->r12 = regs->r12, to->rbp = regs->rbp;
    to->rbx = regs->rbx, to->r11 = regs->r11, to->r10 = regs->r10, to->r9 = regs->r9, to->r8 = regs->r8;
    to->rax = regs->rax, to->rcx = regs->rcx, to->rdx = regs->rdx, to->rsi = regs->rsi, to->rdi = regs->rdi;
    to->rsp = regs->rsp;
    to->rflags = regs->eflags;
    current()->stepped = 0; /* a trap flag in there is the tracer's own */
    frame->number = regs->orig_rax;
    frame_set_rip(frame, regs->rip);
    if (regs->fs_base != fs_base_now()) {
        gs_forget(tcb());
        PAL->thread_set(PAL_THREAD_POINTER, regs->fs_base, 0, 0);
    }
    if (regs->gs_base != (tcb()->has_guest_gs ? tcb()->guest_gs : 0)) {
        tcb()->guest_gs = regs->gs_base;
        tcb()->has_guest_gs = 1;
    }
}

int64_t trace_registers_set(struct user_regs *regs, const struct user_regs *wanted)
{
    uint64_t flags = (regs->eflags & ~FLAGS_CHANGED) | (wanted->eflags & FLAGS_CHANGED);
    if (wanted->fs_base >= TASK_END || wanted->gs_base >= TASK_END)
        return -EIO;
    if (wanted->cs != regs->cs || wanted->ss != regs->ss)
        return -EIO; /* no other segments here */
    *regs = *wanted;
    regs->eflags = flags;
    regs->ds = regs->es = regs->fs = regs->gs = 0;
    return 0;
}
