/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of guest and image: a vectored handler edits the registers that the host goes on with, which is always by
 * windows_resume: the host may have lost FS meanwhile.
 *
 * Windows pushes its records at the guest's RSP, below which a red zone may lie: so nothing that programs do as a matter of
 * course may end up here, and all call sites are rewritten ahead.
 */
#include "pal/windows/windows.h"

#define FLAG_TRAP 0x100u
#define FLAG_DIRECTION 0x400u
#define FLAG_ALIGNMENT 0x40000u

#define SIGILL 4
#define SIGTRAP 5
#define SIGBUS 7
#define SIGFPE 8
#define SIGSEGV 11
#define SI_KERNEL 0x80

/* Of x86's page faults. */
#define FAULT_PRESENT 1u
#define FAULT_WRITE 2u
#define FAULT_USER 4u
#define FAULT_FETCH 16u

struct pal_context context_of(const CONTEXT *c)
{
    return (struct pal_context){
        .r15 = c->R15, .r14 = c->R14, .r13 = c->R13, .r12 = c->R12, .rbp = c->Rbp, .rbx = c->Rbx,
        .r11 = c->R11, .r10 = c->R10, .r9 = c->R9, .r8 = c->R8, .rax = c->Rax, .rcx = c->Rcx,
        .rdx = c->Rdx, .rsi = c->Rsi, .rdi = c->Rdi, .rip = c->Rip, .rflags = c->EFlags, .rsp = c->Rsp,
    };
}

void context_set(CONTEXT *c, const struct pal_context *from)
{
    c->R15 = from->r15, c->R14 = from->r14, c->R13 = from->r13, c->R12 = from->r12, c->Rbp = from->rbp;
    c->Rbx = from->rbx, c->R11 = from->r11, c->R10 = from->r10, c->R9 = from->r9, c->R8 = from->r8;
    c->Rax = from->rax, c->Rcx = from->rcx, c->Rdx = from->rdx, c->Rsi = from->rsi, c->Rdi = from->rdi;
    c->Rip = from->rip, c->EFlags = (DWORD)from->rflags, c->Rsp = from->rsp;
}

void context_enter(CONTEXT *c, uint64_t rip)
{
    c->Rip = rip;
    c->EFlags &= ~(DWORD)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT);
}

static int between(uint64_t address, const char *begin, const char *end)
{
    return address >= (uint64_t)begin && address < (uint64_t)end;
}

/* A record's three kinds of access: reading, writing, executing. */
static struct pal_exception page_fault(const EXCEPTION_RECORD *record, int32_t signal)
{
    uint64_t kind = record->ExceptionInformation[0], address = record->ExceptionInformation[1];
    MEMORY_BASIC_INFORMATION page;
    uint32_t present = VirtualQuery((void *)address, &page, sizeof page) && page.State == MEM_COMMIT;
    if (address == UINT64_MAX) /* no canonical one: the processor does not tell which */
        return (struct pal_exception){signal, SI_KERNEL, 0, 13, 0};
    if (!present && view_has(address)) /* behind the end of a file */
        signal = SIGBUS;
    return (struct pal_exception){
        .signal = signal,
        .code = signal == SIGBUS || present ? 2 : 1, /* BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR */
        .address = address,
        .trap = 14,
        .error = FAULT_USER | (present ? FAULT_PRESENT : 0) | (kind == 1 ? FAULT_WRITE : kind == 8 ? FAULT_FETCH : 0),
    };
}

static struct pal_exception exception_of(const EXCEPTION_RECORD *record, uint64_t rip)
{
    switch (record->ExceptionCode) {
    case EXCEPTION_ACCESS_VIOLATION:
        return page_fault(record, SIGSEGV);
    case EXCEPTION_IN_PAGE_ERROR:
        return page_fault(record, SIGBUS);
    case EXCEPTION_ILLEGAL_INSTRUCTION:
        return (struct pal_exception){SIGILL, 2, rip, 6, 0}; /* ILL_ILLOPN */
    case EXCEPTION_INT_DIVIDE_BY_ZERO:
        return (struct pal_exception){SIGFPE, 1, rip, 0, 0};
    case EXCEPTION_INT_OVERFLOW:
        return (struct pal_exception){SIGFPE, 1, rip, 0, 0}; /* a quotient too large is FPE_INTDIV, too */
    case EXCEPTION_FLT_DIVIDE_BY_ZERO:
        return (struct pal_exception){SIGFPE, 3, rip, 19, 0};
    case EXCEPTION_FLT_OVERFLOW:
        return (struct pal_exception){SIGFPE, 4, rip, 19, 0};
    case EXCEPTION_FLT_UNDERFLOW:
        return (struct pal_exception){SIGFPE, 5, rip, 19, 0};
    case EXCEPTION_FLT_INEXACT_RESULT:
        return (struct pal_exception){SIGFPE, 6, rip, 19, 0};
    case EXCEPTION_FLT_INVALID_OPERATION:
        return (struct pal_exception){SIGFPE, 7, rip, 19, 0};
    case EXCEPTION_BREAKPOINT:
        return (struct pal_exception){SIGTRAP, SI_KERNEL, 0, 3, 0};
    case EXCEPTION_SINGLE_STEP:
        return (struct pal_exception){SIGTRAP, 2, rip, 1, 0};
    }
    return (struct pal_exception){SIGSEGV, SI_KERNEL, 0, 13, 0};
}

static LONG go_on(CONTEXT *context, uint64_t rip)
{
    *(uint64_t *)((uint64_t)current_tcb() + BLOCK_RESUME) = rip;
    context->Rip = (uint64_t)windows_resume;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static LONG upcall(struct pal_tcb *tcb, CONTEXT *context, const struct pal_context *guest, uint64_t entry)
{
    tcb->saved = *guest;
    context->Rsp = tcb->libos_stack;
    context_enter(context, entry);
    return go_on(context, entry);
}

/* An int3 leaves RIP behind itself, the host's record puts it back. */
static uint64_t behind_breakpoint(const EXCEPTION_RECORD *record, uint64_t rip)
{
    return record->ExceptionCode == EXCEPTION_BREAKPOINT && *(const uint8_t *)rip == 0xcc ? rip + 1 : rip;
}

/* Of image or guest; in_host is set, and the stack the host's. */
LONG exception_handle(EXCEPTION_POINTERS *pointers)
{
    CONTEXT *context = pointers->ContextRecord;
    struct pal_tcb *tcb = current_tcb();
    struct pal_context registers = context_of(context);
    if (between(registers.rip, windows_stubs, windows_stubs_end))
        return EXCEPTION_CONTINUE_SEARCH;
    switch (windows_classify(&registers, tcb, 1)) {
    case PAL_FIXED:
        context_set(context, &registers);
        return go_on(context, registers.rip);
    case PAL_IN_GUEST:
        tcb->exception = exception_of(pointers->ExceptionRecord, registers.rip);
        registers.rip = behind_breakpoint(pointers->ExceptionRecord, registers.rip);
        return upcall(tcb, context, &registers, image->exception);
    }
    die(139, "fault in the libOS", registers.rip);
}

/* In the host's C: only a copy of the guest's memory may fault. */
LONG exception_in_host(EXCEPTION_POINTERS *pointers)
{
    CONTEXT *context = pointers->ContextRecord;
    if (pointers->ExceptionRecord->ExceptionCode != EXCEPTION_ACCESS_VIOLATION ||
        !between(context->Rip, windows_copy_begin, windows_copy_end))
        return EXCEPTION_CONTINUE_SEARCH;
    context->Rip = (uint64_t)windows_copy_failed;
    return EXCEPTION_CONTINUE_EXECUTION;
}

void exception_init(void)
{
    if (!AddVectoredExceptionHandler(1, windows_exception_entry))
        die(EXIT_OWN_FAILURE, "no handler of exceptions", GetLastError());
}
