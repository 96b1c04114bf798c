/* SPDX-License-Identifier: MIT */
/* What a tracer asks of a tracee that is stopped: of its record, or through it of the thread that waits there. */
#include "libos/signal/signal.h"
#include "libos/trace/trace.h"

#define TURN_NS 20000000ull /* so often it is looked whether the tracee still lives */

/* ---- Asking -------------------------------------------------------------------------------------------------------- */

static bool lives(const struct trace *trace, uint32_t tid)
{
    shared_lock();
    bool result = trace->tid == tid && trace->tracer && trace->state != TRACE_ENDED;
    shared_unlock();
    return result;
}

/* The answer's result; -ESRCH where the tracee is killed meanwhile. */
static int64_t ask(struct trace *trace, enum trace_request what, guest_t address, uint64_t size)
{
    uint32_t tid = trace->tid, answered = atomic_get(&trace->answered), noted = 0;
    bool lost = false;
    trace->address = address;
    trace->size = size;
    atomic_set(&trace->asked, (uint32_t)what);
    atomic_add(&trace->word, 1u);
    PAL->wake((uint64_t)(uintptr_t)&trace->word, 1, 1);
    while (!lost && atomic_get(&trace->answered) == answered) {
        int64_t result = PAL->wait((uint64_t)(uintptr_t)&trace->answered, answered,
                                   time_now(PAL_CLOCK_MONOTONIC) + TURN_NS, 1);
        if (result == -EINTR)
            noted |= atomic_swap(&tcb()->interrupted, 0u);
        else if (result == -ETIMEDOUT)
            lost = !lives(trace, tid);
    }
    if (noted)
        atomic_set(&tcb()->interrupted, noted);
    return lost ? -ESRCH : trace->result;
}

/* ---- Memory -------------------------------------------------------------------------------------------------------- */

int64_t trace_memory(struct trace *trace, guest_t at, void *to, const void *from, uint64_t size)
{
    uint64_t done = 0;
    while (done < size) {
        uint64_t part = MIN(size - done, TRACE_BYTES);
        if (from)
            memcpy(trace->bytes, (const char *)from + done, part);
        int64_t result = ask(trace, from ? TRACE_WRITE_MEMORY : TRACE_READ_MEMORY, at + done, part);
        if (result < 0)
            return done ? (int64_t)done : result;
        if (to)
            memcpy((char *)to + done, trace->bytes, (size_t)result);
        done += (uint64_t)result;
        if ((uint64_t)result < part)
            break;
    }
    return (int64_t)done;
}

static int64_t peek(struct trace *trace, guest_t address, guest_t data)
{
    uint64_t word;
    int64_t done = trace_memory(trace, address, &word, NULL, sizeof word);
    return done < 0 ? done : done < (int64_t)sizeof word ? -EIO : copy_out(data, &word, sizeof word);
}

static int64_t poke(struct trace *trace, guest_t address, uint64_t word)
{
    int64_t done = trace_memory(trace, address, NULL, &word, sizeof word);
    return done < 0 ? done : done < (int64_t)sizeof word ? -EIO : 0;
}

/* ---- Registers ----------------------------------------------------------------------------------------------------- */

static int64_t set_registers(struct trace *trace, const struct user_regs *wanted)
{
    int64_t error = trace_registers_set(&trace->regs, wanted);
    if (error == 0)
        trace->regs_changed = 1;
    return error;
}

static bool is_debug_register(guest_t at)
{
    return at >= USER_DEBUG_REGS && at < USER_DEBUG_REGS_END;
}

/* There are no hardware breakpoints: those registers are 0, and stay so. */
static int64_t peek_user(const struct trace *trace, guest_t at, guest_t data)
{
    uint64_t word = 0;
    if (at & 7 || at >= USER_SIZE)
        return -EIO;
    if (at < sizeof trace->regs)
        memcpy(&word, (const char *)&trace->regs + at, sizeof word);
    return copy_out(data, &word, sizeof word);
}

static int64_t poke_user(struct trace *trace, guest_t at, uint64_t word)
{
    struct user_regs regs = trace->regs;
    if (at & 7 || at >= USER_SIZE)
        return -EIO;
    if (is_debug_register(at))
        return word ? -EINVAL : 0;
    if (at >= sizeof regs)
        return -EIO;
    memcpy((char *)&regs + at, &word, sizeof word);
    return set_registers(trace, &regs);
}

static int64_t registers_from(struct trace *trace, guest_t from, uint64_t size)
{
    struct user_regs regs = trace->regs;
    if (copy_in(&regs, from, size) < 0)
        return -EFAULT;
    return set_registers(trace, &regs);
}

/* `most` bytes of the vector state at least: what there is, or -errno. */
static int64_t vectors_out(struct trace *trace, guest_t to, uint64_t most, bool legacy)
{
    int64_t size = ask(trace, TRACE_GET_VECTORS, 0, 0);
    if (size < 0)
        return size;
    if (legacy) {
        size = USER_FP_SIZE;
        memset(trace->bytes + XSTATE_XCR0_OFFSET, 0, USER_FP_SIZE - XSTATE_XCR0_OFFSET);
    }
    size = MIN(size, (int64_t)most);
    return copy_out(to, trace->bytes, (size_t)size) < 0 ? -EFAULT : size;
}

static int64_t vectors_in(struct trace *trace, guest_t from, uint64_t size)
{
    if (size > TRACE_BYTES)
        return -EINVAL;
    if (copy_in(trace->bytes, from, size) < 0)
        return -EFAULT;
    return ask(trace, TRACE_SET_VECTORS, 0, size);
}

/* NT_*: how many bytes were moved, or -errno. */
static int64_t register_set(struct trace *trace, uint64_t type, guest_t base, uint64_t size, bool sets)
{
    if (size % sizeof(uint64_t))
        return -EINVAL;
    switch (type) {
    case NT_PRSTATUS:
        size = MIN(size, sizeof trace->regs);
        if (sets)
            return registers_from(trace, base, size) < 0 ? -EIO : (int64_t)size;
        return copy_out(base, &trace->regs, size) < 0 ? -EFAULT : (int64_t)size;
    case NT_PRFPREG:
        size = MIN(size, USER_FP_SIZE);
        if (sets && size != USER_FP_SIZE)
            return -EINVAL;
        break;
    case NT_X86_XSTATE:
        break;
    default:
        return -EINVAL;
    }
    if (!sets)
        return vectors_out(trace, base, size, type == NT_PRFPREG);
    int64_t error = vectors_in(trace, base, size);
    return error < 0 ? error : (int64_t)size;
}

static int64_t register_set_vector(struct trace *trace, uint64_t type, guest_t at, bool sets)
{
    struct pal_vector vector;
    if (copy_in(&vector, at, sizeof vector) < 0)
        return -EFAULT;
    int64_t moved = register_set(trace, type, vector.base, vector.size, sets);
    if (moved < 0)
        return moved;
    vector.size = (uint64_t)moved;
    return copy_out(at + offsetof(struct pal_vector, size), &vector.size, sizeof vector.size);
}

/* ---- What it stopped for ------------------------------------------------------------------------------------------- */

static int64_t info_out(guest_t at, const struct siginfo *info)
{
    if (copy_out(at, info, sizeof *info) < 0)
        return -EFAULT;
    return zero_out(at + sizeof *info, SIGINFO_SIZE - sizeof *info);
}

static int64_t set_info(struct trace *trace, guest_t from)
{
    struct siginfo info;
    if (copy_in(&info, from, sizeof info) < 0)
        return -EFAULT;
    if (!trace->has_info)
        return -EINVAL;
    trace->info = info;
    trace->info_changed = 1;
    return 0;
}

static int64_t peek_queue(struct trace *trace, guest_t arguments, guest_t to)
{
    struct ptrace_peeksiginfo asked;
    int64_t i = 0, got = 0;
    if (copy_in(&asked, arguments, sizeof asked) < 0)
        return -EFAULT;
    if (asked.flags & ~PTRACE_PEEKSIGINFO_SHARED || asked.count < 0)
        return -EINVAL;
    trace->bytes[0] = (uint8_t)asked.flags;
    if (asked.offset <= UINT32_MAX)
        got = ask(trace, TRACE_READ_QUEUE, asked.offset, (uint64_t)asked.count);
    const struct siginfo *infos = (const struct siginfo *)(const void *)trace->bytes;
    for (; i < got; i++)
        if (info_out(to + (uint64_t)i * SIGINFO_SIZE, &infos[i]) < 0)
            return i ? i : -EFAULT;
    return got;
}

static int64_t signal_mask(struct trace *trace, uint64_t size, guest_t at, bool sets)
{
    sigset_t mask;
    if (size != sizeof mask)
        return -EINVAL;
    if (!sets)
        return copy_out(at, &trace->mask, sizeof mask);
    if (copy_in(&mask, at, sizeof mask) < 0)
        return -EFAULT;
    trace->mask = mask & ~UNBLOCKABLE;
    trace->mask_changed = 1;
    return 0;
}

/* Only a tracer that asked for PTRACE_O_TRACESYSGOOD is told of calls. */
static int64_t call_info(const struct trace *trace, uint64_t room, guest_t to)
{
    const struct user_regs *regs = &trace->regs;
    struct ptrace_syscall_info info = {.arch = PTRACE_ARCH, .rip = regs->rip, .rsp = regs->rsp};
    uint64_t size = offsetof(struct ptrace_syscall_info, entry);
    bool call = trace->has_info && trace->info.code == (SIGTRAP | 0x80);
    if (call && trace->message == PTRACE_EVENTMSG_SYSCALL_ENTRY) {
        const uint64_t arguments[6] = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9};
        info.op = PTRACE_SYSCALL_INFO_ENTRY;
        info.entry.number = regs->orig_rax;
        memcpy(info.entry.arguments, arguments, sizeof arguments);
        size += sizeof info.entry;
    } else if (call && trace->message == PTRACE_EVENTMSG_SYSCALL_EXIT) {
        info.op = PTRACE_SYSCALL_INFO_EXIT;
        info.exit.result = (int64_t)regs->rax;
        info.exit.is_error = regs->rax >= (uint64_t)-4095;
        size += sizeof(int64_t) + 1;
    }
    return copy_out(to, &info, MIN(size, room)) < 0 ? -EFAULT : (int64_t)size;
}

static int64_t thread_pointer(struct trace *trace, uint64_t option, guest_t at)
{
    struct user_regs regs = trace->regs;
    switch (option) {
    case 0x1001: /* ARCH_SET_GS, ARCH_SET_FS */
        regs.gs_base = at;
        return set_registers(trace, &regs) < 0 ? -EPERM : 0;
    case 0x1002:
        regs.fs_base = at;
        return set_registers(trace, &regs) < 0 ? -EPERM : 0;
    case 0x1003: /* ARCH_GET_FS, ARCH_GET_GS */
        return copy_out(at, &regs.fs_base, sizeof regs.fs_base);
    case 0x1004:
        return copy_out(at, &regs.gs_base, sizeof regs.gs_base);
    default:
        return -EINVAL;
    }
}

/* ---- By number ----------------------------------------------------------------------------------------------------- */

int64_t trace_request(struct trace *trace, int64_t request, guest_t address, guest_t data)
{
    switch (request) {
    case PTRACE_PEEKTEXT:
    case PTRACE_PEEKDATA:
        return peek(trace, address, data);
    case PTRACE_POKETEXT:
    case PTRACE_POKEDATA:
        return poke(trace, address, data);
    case PTRACE_PEEKUSER:
        return peek_user(trace, address, data);
    case PTRACE_POKEUSER:
        return poke_user(trace, address, data);
    case PTRACE_GETREGS:
        return copy_out(data, &trace->regs, sizeof trace->regs);
    case PTRACE_SETREGS:
        return registers_from(trace, data, sizeof trace->regs);
    case PTRACE_GETFPREGS:
        return MIN(vectors_out(trace, data, USER_FP_SIZE, true), 0);
    case PTRACE_SETFPREGS:
        return vectors_in(trace, data, USER_FP_SIZE);
    case PTRACE_GETREGSET:
    case PTRACE_SETREGSET:
        return register_set_vector(trace, address, data, request == PTRACE_SETREGSET);
    case PTRACE_ARCH_PRCTL:
        return thread_pointer(trace, data, address);
    case PTRACE_GETEVENTMSG:
        return copy_out(data, &trace->message, sizeof trace->message);
    case PTRACE_GETSIGINFO:
        return trace->has_info ? info_out(data, &trace->info) : -EINVAL;
    case PTRACE_SETSIGINFO:
        return set_info(trace, data);
    case PTRACE_PEEKSIGINFO:
        return peek_queue(trace, address, data);
    case PTRACE_GETSIGMASK:
    case PTRACE_SETSIGMASK:
        return signal_mask(trace, address, data, request == PTRACE_SETSIGMASK);
    case PTRACE_GET_SYSCALL_INFO:
        return call_info(trace, address, data);
    default:
        return -EIO;
    }
}
