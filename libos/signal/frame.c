/* SPDX-License-Identifier: MIT */
/*
 * Signal frames as Linux builds and undoes them (arch/x86/kernel/signal_64.c, fpu/signal.c): programs read and
 * edit them, unwind through them, and jump out of them.  The libOS never touches vector registers, so at this
 * point they hold the guest's values, and XSAVE moves them straight to the guest's stack.
 */
#include "libos/abi/ptrace.h"
#include "libos/syscalls.h"
#include "libos/signal/signal.h"

#define RED_ZONE 128u
#define XFEATURE_SSE 2u
#define XFEATURE_FP_SSE 3u
#define XFEATURE_AVX 4u
#define XFEATURE_AVX512 0xe0u /* opmask, the upper halves of ZMM0-15, ZMM16-31 */
#define XFEATURE_KEYS (1ull << 9) /* there are no protection keys: not worth the time that loading PKRU takes */
#define XFEATURE_TILE_DATA (1ull << 18) /* not for a process that has not asked: Linux leaves it out as well */
#define XSAVE_FIRST_EXTENDED 2u
#define MXCSR_OFFSET 24u
#define MXCSR_DEFAULT 0x1f80u
#define FCW_DEFAULT 0x37fu
/* The flags that sigreturn may change: AC OF DF TF SF ZF AF PF CF RF. */
#define FLAGS_RESTORED 0x50dd5ull
#define FLAGS_CLEARED_IN_HANDLER 0x10500ull /* RF DF TF */

/* What the processor saves; found once, and the same in every picoprocess. */
static uint64_t xfeatures;
static uint32_t xstate_size;

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *eax, uint32_t *ebx)
{
    uint32_t ecx = subleaf, edx;
    __asm__ volatile("cpuid" : "=a"(*eax), "=b"(*ebx), "+c"(ecx), "=d"(edx) : "0"(leaf));
}

static void find_xstate(void)
{
    uint32_t low, high, size, offset;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    uint64_t features = low | (uint64_t)high << 32;
    uint32_t total = FP_LEGACY_SIZE + FP_HEADER_SIZE;
    features &= ~XFEATURE_TILE_DATA;
    for (uint32_t i = XSAVE_FIRST_EXTENDED; i < 63; i++) {
        if (features >> i & 1) {
            cpuid(0xd, i, &size, &offset);
            total = MAX(total, offset + size);
        }
    }
    xfeatures = features;
    atomic_set(&xstate_size, total);
}

/* An XSAVE area in which every component is in its initial state: as new programs and handlers find them. */
static const uint8_t initial_state[FP_LEGACY_SIZE + FP_HEADER_SIZE] __attribute__((aligned(64))) = {
    [0] = FCW_DEFAULT & 0xff, [1] = FCW_DEFAULT >> 8, /* FCW */
    [MXCSR_OFFSET] = MXCSR_DEFAULT & 0xff, [MXCSR_OFFSET + 1] = MXCSR_DEFAULT >> 8
};

uint32_t vector_state_size(uint64_t *out_features)
{
    if (UNLIKELY(!atomic_get(&xstate_size)))
        find_xstate();
    *out_features = xfeatures;
    return xstate_size;
}

/* The bytes that Linux leaves to software tell what there is room for. */
int64_t vector_state_get(void *to, uint64_t size, uint64_t features)
{
    memset(to, 0, size);
    int64_t error = shim_xsave((guest_t)(uintptr_t)to, features);
    memset((uint8_t *)to + XSTATE_XCR0_OFFSET, 0, FP_LEGACY_SIZE - XSTATE_XCR0_OFFSET);
    memcpy((uint8_t *)to + XSTATE_XCR0_OFFSET, &features, sizeof features);
    return error;
}

/* Keys stay as they are: their initial state would open what Linux keeps shut. */
void vector_state_reset(void)
{
    shim_xrstor((uint64_t)(uintptr_t)initial_state, ~XFEATURE_KEYS);
}

/* The same for a handler: `used` is what XSAVE has just found not to be in its initial state. */
static void reset_used(uint32_t used)
{
    const uint64_t cheap = XFEATURE_SSE | XFEATURE_AVX | XFEATURE_AVX512 | XFEATURE_KEYS;
    if (LIKELY(xfeatures & XFEATURE_AVX && !(xfeatures >> 32) && !(used & ~cheap)))
        shim_vector_clear(used & XFEATURE_AVX512);
    else
        vector_state_reset();
}

/* ---- Alternate stacks ------------------------------------------------------------------------------------------ */

static bool is_within_altstack(const struct thread *thread, guest_t stack_pointer)
{
    return stack_pointer > thread->altstack_base && stack_pointer - thread->altstack_base <= thread->altstack_size;
}

static bool on_altstack(const struct thread *thread, guest_t stack_pointer)
{
    return !(thread->altstack_flags & SS_AUTODISARM) && is_within_altstack(thread, stack_pointer);
}

static void altstack_get(const struct thread *thread, struct signal_stack *out, guest_t stack_pointer)
{
    uint32_t state = !thread->altstack_size ? SS_DISABLE : on_altstack(thread, stack_pointer) ? SS_ONSTACK : 0;
    *out = (struct signal_stack){.base = thread->altstack_base,
                                 .size = thread->altstack_size,
                                 .flags = state | (thread->altstack_flags & SS_AUTODISARM)};
}

static int64_t altstack_set(struct thread *thread, const struct signal_stack *stack, guest_t stack_pointer,
                            uint64_t least)
{
    uint32_t mode = stack->flags & ~SS_AUTODISARM;
    if (on_altstack(thread, stack_pointer))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode != SS_DISABLE && stack->size < least)
        return -ENOMEM;
    thread->altstack_base = mode == SS_DISABLE ? 0 : stack->base;
    thread->altstack_size = mode == SS_DISABLE ? 0 : stack->size;
    thread->altstack_flags = stack->flags;
    return 0;
}

int64_t sys_sigaltstack(guest_t stack, guest_t old)
{
    struct thread *thread = current();
    guest_t stack_pointer = current_frame()->regs.rsp;
    struct signal_stack new, before;
    altstack_get(thread, &before, stack_pointer);
    if (stack) {
        if (copy_in(&new, stack, sizeof(new)) < 0)
            return -EFAULT;
        int64_t error = altstack_set(thread, &new, stack_pointer, MINSIGSTKSZ);
        if (error < 0)
            return error;
    }
    return old ? copy_out(old, &before, sizeof(before)) : 0;
}

/* ---- Building -------------------------------------------------------------------------------------------------- */

/* *out_used: the components that were not in their initial state. */
static bool save_vector_state(guest_t area, uint32_t *out_used)
{
    /* XSAVE leaves the software bytes alone, and of the header behind them all but the first word. */
    const struct { struct fp_software_bytes software; uint8_t header[FP_HEADER_SIZE]; } marks = {
        .software = {.magic1 = FP_MAGIC1,
                     .extended_size = xstate_size + sizeof(uint32_t),
                     .xfeatures = xfeatures,
                     .xstate_size = xstate_size}};
    guest_t header = area + FP_LEGACY_SIZE;
    if (!guest_range_ok(area, xstate_size + sizeof(uint32_t)) ||
        copy_out(area + FP_SOFTWARE_OFFSET, &marks, sizeof(marks)) < 0 || shim_xsave(area, xfeatures) < 0)
        return false;
    /* Handlers edit x87 and SSE state without a look at the header: so it says that both are there. */
    int64_t present = guest_load32(header);
    *out_used = (uint32_t)present;
    return present >= 0 && guest_store32(header, (uint32_t)present | XFEATURE_FP_SSE) == 0 &&
           guest_store32(area + xstate_size, FP_MAGIC2) == 0;
}

static void save_registers(struct sigcontext *to, const struct pal_context *from)
{
    *to = (struct sigcontext){
        .r8 = from->r8, .r9 = from->r9, .r10 = from->r10, .r11 = from->r11, .r12 = from->r12, .r13 = from->r13,
        .r14 = from->r14, .r15 = from->r15, .rdi = from->rdi, .rsi = from->rsi, .rbp = from->rbp, .rbx = from->rbx,
        .rdx = from->rdx, .rax = from->rax, .rcx = from->rcx, .rsp = from->rsp, .rip = from->rip,
        .eflags = from->rflags, .cs = USER_CODE_SEGMENT, .ss = USER_STACK_SEGMENT,
    };
}

/* Addresses of a frame and of its XSAVE area, or 0 where the stack has no room. */
static guest_t place(const struct thread *thread, guest_t stack_pointer, const struct sigaction *action,
                     guest_t *out_area)
{
    guest_t at = stack_pointer - RED_ZONE;
    bool nested = on_altstack(thread, stack_pointer), entering = false;
    if (action->flags & SA_ONSTACK && thread->altstack_size && !on_altstack(thread, at)) {
        at = thread->altstack_base + thread->altstack_size;
        entering = true;
    }
    *out_area = at = (at - xstate_size - sizeof(uint32_t)) & ~63ull;
    at = ((at - sizeof(struct signal_frame)) & ~15ull) - 8;
    if ((nested || entering) && !is_within_altstack(thread, at))
        return 0;
    return at;
}

bool frame_push(struct frame *frame, const struct sigaction *action, const struct siginfo *info, sigset_t saved_mask)
{
    struct thread *thread = current();
    struct signal_frame out = {.info = *info};
    guest_t area;
    uint32_t used;
    if (UNLIKELY(!atomic_get(&xstate_size)))
        find_xstate();
    guest_t at = place(thread, frame->regs.rsp, action, &area);
    if (!at || !(action->flags & SA_RESTORER) || !save_vector_state(area, &used))
        return false;
    out.return_address = action->restorer;
    out.ucontext.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    out.ucontext.stack = (struct signal_stack){
        .base = thread->altstack_base,
        .size = thread->altstack_size,
        .flags = thread->altstack_size ? thread->altstack_flags : SS_DISABLE};
    out.ucontext.mask = saved_mask;
    struct sigcontext *context = &out.ucontext.context;
    save_registers(context, &frame->regs);
    context->trap = thread->fault_trap;
    context->error = thread->fault_error;
    context->cr2 = thread->fault_address;
    context->oldmask = saved_mask;
    context->fpstate = area;
    if (copy_out(at, &out, sizeof(out)) < 0)
        return false;
    reset_used(used);
    if (thread->altstack_flags & SS_AUTODISARM)
        thread->altstack_base = thread->altstack_size = thread->altstack_flags = 0;
    frame->regs.rdi = (uint64_t)info->signo;
    frame->regs.rsi = at + offsetof(struct signal_frame, info);
    frame->regs.rdx = at + offsetof(struct signal_frame, ucontext);
    frame->regs.rax = 0;
    frame->regs.rsp = at;
    frame->regs.rflags &= ~FLAGS_CLEARED_IN_HANDLER;
    frame_set_rip(frame, action->handler);
    return true;
}

/* ---- Undoing --------------------------------------------------------------------------------------------------- */

/* Bytes of state in the area, and which features; only x87 and SSE where the frame's marks are not ours. */
static int64_t examine_area(guest_t area, uint64_t *out_features)
{
    struct fp_software_bytes software;
    if (copy_in(&software, area + FP_SOFTWARE_OFFSET, sizeof(software)) < 0)
        return -EFAULT;
    *out_features = XFEATURE_FP_SSE;
    if (software.magic1 != FP_MAGIC1 || software.xstate_size < FP_LEGACY_SIZE + FP_HEADER_SIZE ||
        software.xstate_size > xstate_size || software.xstate_size > software.extended_size)
        return FP_LEGACY_SIZE;
    int64_t magic2 = guest_load32(area + software.xstate_size);
    if (magic2 != FP_MAGIC2)
        return magic2 < 0 ? magic2 : FP_LEGACY_SIZE;
    *out_features = software.xfeatures & xfeatures;
    return software.xstate_size;
}

/* Through an aligned copy of our own, whose header takes `features` at most; area 0: the initial state. */
static int64_t restore_from_copy(guest_t area, uint64_t size, uint64_t features)
{
    uint64_t rounded = xstate_size + 64;
    uint8_t *memory = alloc_zero(rounded);
    if (!memory)
        return -ENOMEM;
    uint8_t *copy = (uint8_t *)(((uint64_t)(uintptr_t)memory + 63) & ~63ull);
    uint64_t *header = (uint64_t *)(void *)(copy + FP_LEGACY_SIZE);
    int64_t error = 0;
    *(uint16_t *)(void *)copy = FCW_DEFAULT;
    *(uint32_t *)(void *)(copy + MXCSR_OFFSET) = MXCSR_DEFAULT;
    if (area) {
        error = copy_in(copy, area, size);
        header[0] = size == FP_LEGACY_SIZE ? XFEATURE_FP_SSE : header[0] & features;
    }
    if (error == 0)
        error = shim_xrstor((uint64_t)(uintptr_t)copy, xfeatures);
    release(memory);
    return error;
}

static int64_t restore_vector_state(guest_t area)
{
    uint64_t features;
    if (!area)
        return restore_from_copy(0, 0, 0);
    int64_t size = examine_area(area, &features);
    if (size < 0)
        return size;
    /* A handler cannot have put more into its frame than it could load itself: what is malformed faults. */
    if (LIKELY(!(area & 63) && size == xstate_size && features == xfeatures && guest_range_ok(area, xstate_size)))
        return shim_xrstor(area, xfeatures & ~XFEATURE_KEYS);
    return restore_from_copy(area, (uint64_t)size, features);
}

static void restore_registers(struct frame *frame, const struct sigcontext *from)
{
    struct pal_context *to = &frame->regs;
    to->r8 = from->r8, to->r9 = from->r9, to->r10 = from->r10, to->r11 = from->r11, to->r12 = from->r12;
    to->r13 = from->r13, to->r14 = from->r14, to->r15 = from->r15, to->rdi = from->rdi, to->rsi = from->rsi;
    to->rbp = from->rbp, to->rbx = from->rbx, to->rdx = from->rdx, to->rax = from->rax, to->rcx = from->rcx;
    to->rsp = from->rsp;
    to->rflags = (to->rflags & ~FLAGS_RESTORED) | (from->eflags & FLAGS_RESTORED);
    frame_set_rip(frame, from->rip);
}

int64_t sys_rt_sigreturn(void)
{
    struct frame *frame = current_frame();
    struct ucontext ucontext;
    guest_t at = frame->regs.rsp - sizeof(uint64_t); /* the handler's `ret` took the return address off */
    if (UNLIKELY(!atomic_get(&xstate_size)))
        find_xstate();
    if (copy_in(&ucontext, at + offsetof(struct signal_frame, ucontext), sizeof(ucontext)) < 0 ||
        restore_vector_state(ucontext.context.fpstate) < 0) {
        signal_force(SIGSEGV, SI_KERNEL, 0, 0, 0);
        return FRAME_REPLACED;
    }
    restore_registers(frame, &ucontext.context);
    signal_set_blocked(ucontext.mask);
    altstack_set(current(), &ucontext.stack, frame->regs.rsp, MINSIGSTKSZ);
    return FRAME_REPLACED;
}
