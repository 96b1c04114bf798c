/* SPDX-License-Identifier: MIT */
/*
 * A system call from the frame to its function and back, and the other ways in: interrupts, exceptions, classification
 * of an address for the PAL's handlers.
 */
#include "libos/syscalls.h"
#include "libos/entry/fastpath.h"
#include "libos/fs/fd.h"
#include "libos/task/task.h"
#include "shim/rewrite/rewrite.h"
#include "libos/signal/signal.h"
#include "libos/mm/mm.h"
#include "libos/entry/entry.h"
#include "libos/process/process.h"
#include "libos/snapshot/snapshot.h"
#include "libos/trace/trace.h"

/* entry.S hands reads and writes to the host by itself: see fastpath.h. */
_Static_assert(offsetof(struct thread, process) == THREAD_PROCESS && offsetof(struct process, files) == PROCESS_FILES &&
                   offsetof(struct process, runners) == PROCESS_RUNNERS &&
                   offsetof(struct process, vfork_parent) == PROCESS_VFORK_PARENT &&
                   offsetof(struct files, capacity) == FILES_CAPACITY && offsetof(struct files, slots) == FILES_SLOTS &&
                   offsetof(struct file, handle) == FILE_HANDLE && offsetof(struct file, direct) == FILE_DIRECT &&
                   offsetof(struct pal_api, stream_read) == API_STREAM_READ &&
                   offsetof(struct pal_api, stream_write) == API_STREAM_READ + 8 && GUEST_END == PAL_GUEST_END &&
                   NUMBER_READ == NR_read && NUMBER_WRITE == NR_write && NUMBER_PREAD64 == NR_pread64 &&
                   NUMBER_PWRITE64 == NR_pwrite64,
               "assembly");

typedef int64_t (*call_function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static int64_t call_none(void)
{
    return -ENOSYS;
}

static int64_t refuse_EPERM(void) { return -EPERM; }
static int64_t refuse_EACCES(void) { return -EACCES; }
static int64_t refuse_EINVAL(void) { return -EINVAL; }
static int64_t refuse_EOPNOTSUPP(void) { return -EOPNOTSUPP; }

/* Fewer parameters than six are no matter in this calling convention: surplus registers are not looked at. */
const call_function libos_calls[LIBOS_CALLS] = {
#define CALL0(number, name, note) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL1(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL2(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL3(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL4(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL5(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define CALL6(number, name, note, ...) [number] = (call_function)(void (*)(void))sys_##name,
#define NONE(number, name, why) [number] = (call_function)(void (*)(void))call_none,
#define REFUSED(number, name, error, why) [number] = (call_function)(void (*)(void))refuse_##error,
#include "libos/syscalls.def"
};

#define TRAP_DEBUG 1 /* the CPU's vectors */
#define TRAP_BREAKPOINT 3

static int64_t call(const struct frame *frame)
{
    uint32_t number = (uint32_t)frame->number;
    if (UNLIKELY(number >= LIBOS_CALLS || !libos_calls[number]))
        return -ENOSYS;
    const struct pal_context *regs = &frame->regs;
    return libos_calls[number](regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9);
}

static int64_t call_traced(struct frame *frame)
{
    int64_t result;
    if (trace_call_begins(frame))
        result = rw_settle((uint32_t)frame->number, (int32_t)frame->regs.rdi, call(frame)); /* the tracer sees that */
    else
        result = (int64_t)frame->regs.rax;
    return trace_call_ends(frame, result);
}

/* Results from -520 to -512 are no errno: the call was interrupted, or has replaced the registers. */
static bool is_special(int64_t result)
{
    return (uint64_t)(result + 520) <= 8;
}

void libos_failed(struct frame *frame, int64_t result)
{
    struct thread *thread = current();
    for (;;) {
        result = rw_settle((uint32_t)frame->number, (int32_t)frame->regs.rdi, result);
        if (!is_special(result)) {
            frame->regs.rax = (uint64_t)result;
            break;
        }
        if (result == FRAME_REPLACED || !signal_work(frame, result))
            break;
        thread->deadline_valid = 1; /* the time that has passed counts */
        result = UNLIKELY(thread->trace != NULL) ? call_traced(frame) : call(frame);
    }
    thread->deadline_valid = 0;
    signal_mask_done(result); /* of a call that failed before it got to its mask a second time */
}

/* Between the trap and the call, so that a call which changes the text or forks finds the sites at rest. */
static void rewrite(struct frame *frame)
{
    rewrite_trapped(frame->regs.rip);
    frame->resume = site_resume(frame->regs.rip); /* the bytes behind the call may be the site's now */
}

/* The calls that entry.S does not send straight to their functions: --trace, --stats, a trap, a number without one. */
int64_t libos_syscall(struct frame *frame)
{
    if (frame->how == FRAME_TRAPPED && rewriting)
        rewrite(frame);
    bool logged = libos_dispatch_slowly & SLOW_LOGGED;
    if (logged)
        trace_before(frame);
    if (UNLIKELY(snapshot_waits))
        snapshot_point(frame);
    int64_t result = UNLIKELY(current()->trace != NULL) ? call_traced(frame) : call(frame);
    if (logged)
        trace_call(frame, result);
    return result;
}

/* No call of the libOS leaves the guest a restart block: a restart without a handler happens in finish(). */
int64_t sys_restart_syscall(void)
{
    return -EINTR;
}

static void frame_from_saved(struct frame *frame)
{
    frame->regs = tcb()->saved;
    frame->number = UINT64_MAX;
    frame->how = FRAME_UPCALL;
    frame_set_rip(frame, site_guest(frame->regs.rip));
}

void libos_work(struct frame *frame)
{
    signal_work(frame, 0);
}

void libos_interrupt(struct frame *frame)
{
    frame_from_saved(frame);
    signal_work(frame, 0);
}

void libos_exception(struct frame *frame)
{
    struct pal_exception exception = tcb()->exception;
    uint64_t rip = tcb()->saved.rip;
    bool stepped = exception.trap == TRAP_DEBUG;
    /* The guest met a site that is being, or has been, rewritten; or it steps, but not yet past an instruction. */
    uint64_t retry = exception.trap == TRAP_BREAKPOINT ? 0 : !stepped ? site_fault(rip) : site_between(rip) ? rip : 0;
    frame_from_saved(frame);
    if (retry)
        frame->resume = retry;
    else
        signal_exception(&exception);
}

/* A cpuid of the guest's, in ld.so: see mm/warm.c.  What the loader has not told of, the processor says. */
void libos_cpuid(struct frame *frame, uint32_t site)
{
    struct pal_context *regs = &frame->regs;
    const struct pal_cpuid *told = (const struct pal_cpuid *)(uintptr_t)boot->cpuid;
    uint32_t leaf = (uint32_t)regs->rax, subleaf = (uint32_t)regs->rcx, i = 0;
    uint64_t at = site_instruction(site);
    while (i < boot->cpuid_count && (told[i].leaf != leaf || (told[i].subleaf != subleaf && told[i].subleaf != PAL_CPUID_ANY)))
        i++;
    struct pal_cpuid now = {leaf, subleaf, leaf, 0, subleaf, 0};
    if (i < boot->cpuid_count)
        now = told[i];
    else
        __asm__ volatile("cpuid" : "+a"(now.eax), "=b"(now.ebx), "+c"(now.ecx), "=d"(now.edx));
    regs->rax = now.eax;
    regs->rbx = now.ebx;
    regs->rcx = now.ecx;
    regs->rdx = now.edx;
    frame->number = UINT64_MAX;
    frame->how = FRAME_UPCALL;
    warm_note_cpuid(at);
    frame_set_rip(frame, at ? at + 2 : 0); /* unmapped meanwhile by another thread: it ends there */
}

static bool is_between(uint64_t rip, const char *start, const char *end)
{
    return rip >= (uint64_t)(uintptr_t)start && rip < (uint64_t)(uintptr_t)end;
}

/* entry.S's direct calls leave in the frame what a function may change.  The rest is still the guest's. */
static void frame_complete(struct frame *frame, const struct pal_context *now, uint64_t resume)
{
    struct pal_context *regs = &frame->regs;
    regs->r15 = now->r15;
    regs->r14 = now->r14;
    regs->r13 = now->r13;
    regs->r12 = now->r12;
    regs->rbp = now->rbp;
    regs->rbx = now->rbx;
    regs->rcx = regs->rip;
    regs->rflags = (now->rflags & ~(uint64_t)FLAGS_ARITHMETIC) | (frame->arithmetic >> 8 & 0xff & FLAGS_ARITHMETIC) |
                   (frame->arithmetic & 1) << 11;
    regs->r11 = regs->rflags;
    frame->resume = resume;
}

/* A step out of a stub; or GS is the guest's: the entry has not found the block, or has read where nothing is. */
static bool fix_entry(struct pal_context *context, const struct pal_tcb *tcb)
{
    extern const char shim_tail_ours[], shim_call_ours[], shim_stepped_tail[], shim_stepped_call[];
    extern const char shim_tail_trap[], shim_call_trap[], shim_stepped_cpuid[];
    uint64_t rip = context->rip;
    if (rip == (uint64_t)(uintptr_t)shim_cpuid && context->rflags & FLAG_TRAP) {
        context->rip = (uint64_t)(uintptr_t)shim_stepped_cpuid;
        context->rflags &= ~(uint64_t)FLAG_TRAP;
        return true;
    }
    bool asks_tail = rip == (uint64_t)(uintptr_t)shim_tail_trap, asks_call = rip == (uint64_t)(uintptr_t)shim_call_trap;
    bool tail = asks_tail || is_between(rip, shim_syscall_tail, shim_tail_ours);
    if (!tail && !asks_call && !is_between(rip, shim_syscall_call, shim_call_ours))
        return false;
    if (asks_tail || asks_call)
        gs_note(tcb, fs_base());
    const char *ours = tail ? shim_tail_ours : shim_call_ours, *stepped = tail ? shim_stepped_tail : shim_stepped_call;
    context->rip = (uint64_t)(uintptr_t)(context->rflags & FLAG_TRAP ? stepped : ours);
    context->rflags &= ~(uint64_t)FLAG_TRAP;
    return true;
}

/* In the PAL's handlers: no locks, no calls. */
uint32_t libos_classify(struct pal_context *context, struct pal_tcb *tcb, uint32_t is_exception)
{
    extern const char image_text_end[], shim_way_out[], shim_way_out_end[], shim_leave_out[], shim_leave_out_end[];
    extern const char shim_plain_out[], shim_plain_out_end[], shim_at_out[], shim_at_out_end[];
    extern const uint64_t image_fixups[][2], image_fixups_end[][2];
    uint64_t rip = context->rip;
    if (rip < PAL_IMAGE_BASE || rip >= (uint64_t)(uintptr_t)image_text_end)
        return PAL_IN_GUEST;
    struct frame *frame = (struct frame *)(tcb->libos_stack - FRAME_SIZE);
    bool direct = is_between(rip, shim_plain_out, shim_plain_out_end) || is_between(rip, shim_at_out, shim_at_out_end);
    if (direct)
        frame_complete(frame, context, tcb->libos[2]);
    if (direct || is_between(rip, shim_way_out, shim_way_out_end) || is_between(rip, shim_leave_out, shim_leave_out_end)) {
        *context = frame->regs; /* whole until the very end: the guest is as good as there */
        if (!is_exception)
            return PAL_IN_GUEST;
        context->rip = frame->resume; /* it single-steps, but has made no step yet: the host resumes it */
        return PAL_FIXED;
    }
    if (is_exception && fix_entry(context, tcb))
        return PAL_FIXED;
    if (is_exception) {
        for (const uint64_t(*fixup)[2] = image_fixups; fixup < image_fixups_end; fixup++) {
            if ((*fixup)[0] == rip) {
                context->rip = (*fixup)[1];
                return PAL_FIXED;
            }
        }
    }
    return PAL_IN_LIBOS;
}
