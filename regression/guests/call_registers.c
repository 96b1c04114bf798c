/* SPDX-License-Identifier: MIT */
/*
 * What a call leaves as it was: all registers but RAX, RCX and R11, the flags, x87, SSE, AVX, AVX-512 and mask
 * state, the red zone; and that RCX and R11 hold what `syscall` puts there.  For every call of the table with arguments
 * that fail, for many with good ones, a signal on the way and a fork; from sites that trap and from sites of several
 * shapes that are used so often that they get rewritten.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, FLAGS, REGISTERS };
static const char *const register_names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                                             "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "flags"};

/* What the assembly below works on. */
uint64_t state_in[REGISTERS], state_out[REGISTERS], state_target, state_mask, state_stack;
unsigned char *state_vectors_in, *state_vectors_out;
static unsigned char scratch[65536] __attribute__((aligned(4096)));

/*
 * issue: loads everything from state_in, jumps to state_target; after the call sites go on at issue_after, which stores
 * everything in state_out.  Sites, each with the address behind its syscall instruction.
 */
void issue(void);
extern const char site_fresh[], site_single[], site_single_after[], site_forward[], site_forward_after[];
extern const char site_backward[], site_backward_after[], site_mov[], site_mov_syscall[], site_mov_after[];
enum { FRESH = 600, FRESH_SIZE = 7 };
__asm__(".text\n"
        "issue:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, state_stack(%rip)\n"
        "  mov state_vectors_in(%rip), %rdi\n"
        "  mov state_mask(%rip), %eax; mov state_mask+4(%rip), %edx\n"
        "  xrstor64 (%rdi)\n"
        "  push state_in+16*8(%rip); popfq\n"
        "  mov state_in+0*8(%rip), %rax; mov state_in+1*8(%rip), %rbx; mov state_in+2*8(%rip), %rcx\n"
        "  mov state_in+3*8(%rip), %rdx; mov state_in+4*8(%rip), %rsi; mov state_in+5*8(%rip), %rdi\n"
        "  mov state_in+6*8(%rip), %rbp; mov state_in+7*8(%rip), %rsp; mov state_in+8*8(%rip), %r8\n"
        "  mov state_in+9*8(%rip), %r9; mov state_in+10*8(%rip), %r10; mov state_in+11*8(%rip), %r11\n"
        "  mov state_in+12*8(%rip), %r12; mov state_in+13*8(%rip), %r13; mov state_in+14*8(%rip), %r14\n"
        "  mov state_in+15*8(%rip), %r15\n"
        "  jmp *state_target(%rip)\n"
        "issue_after:\n"
        "  mov %rsp, state_out+7*8(%rip); mov state_stack(%rip), %rsp\n"
        "  pushfq; pop state_out+16*8(%rip); cld\n"
        "  mov %rax, state_out+0*8(%rip); mov %rbx, state_out+1*8(%rip); mov %rcx, state_out+2*8(%rip)\n"
        "  mov %rdx, state_out+3*8(%rip); mov %rsi, state_out+4*8(%rip); mov %rdi, state_out+5*8(%rip)\n"
        "  mov %rbp, state_out+6*8(%rip); mov %r8, state_out+8*8(%rip); mov %r9, state_out+9*8(%rip)\n"
        "  mov %r10, state_out+10*8(%rip); mov %r11, state_out+11*8(%rip); mov %r12, state_out+12*8(%rip)\n"
        "  mov %r13, state_out+13*8(%rip); mov %r14, state_out+14*8(%rip); mov %r15, state_out+15*8(%rip)\n"
        "  mov state_vectors_out(%rip), %rdi\n"
        "  mov state_mask(%rip), %eax; mov state_mask+4(%rip), %edx\n"
        "  xsave64 (%rdi)\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n"
        "site_fresh:\n"
        "  .rept 600\n  syscall\n  .byte 0xe9\n  .long issue_after - . - 4\n  .endr\n"
        "  .balign 64\n  .skip 64, 0x90\n"
        "site_single: mov state_in(%rip), %rax\n  syscall\n"
        "site_single_after: .byte 0xe9\n  .long issue_after - . - 4\n"
        "  .skip 128, 0x58\n"
        "site_forward: syscall\n"
        "site_forward_after: cmp $-4095, %rax\n  jmp issue_after\n"
        "  .skip 128, 0x58\n"
        "site_backward: mov %r8, %r8\n  mov %r9, %r9\n  mov %r10, %r10\n  syscall\n"
        "site_backward_after: jmp issue_after\n"
        "  .skip 128, 0x58\n"
        "site_mov: mov $39, %eax\n"
        "site_mov_syscall: syscall\n"
        "site_mov_after: .byte 0xe9\n  .long issue_after - . - 4\n"
        "  .balign 64\n  .skip 64, 0xcc\n");

static const struct site {
    const char *name, *entry, *after;
    int compares; /* the flags are then not the call's */
} warm[] = {
    {"single", site_single, site_single_after, 0},
    {"forward", site_forward, site_forward_after, 1},
    {"backward", site_backward, site_backward_after, 0},
    {"onto the syscall behind a mov", site_mov_syscall, site_mov_after, 0},
};

/* ---- Patterns and comparison ------------------------------------------------------------------------------------- */

#define DEAD_STACK 32768 /* where the call's stack pointer is in scratch */
#define RED_ZONE 128
static struct { uint32_t offset, size; } components[32];
static uint32_t vectors_size;

static void vectors_prepare(void)
{
    uint32_t a, b, c, d;
    CHECK(__get_cpuid_count(0xd, 0, &a, &b, &c, &d));
    vectors_size = (b + 4095) & ~4095u;
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    state_mask = low & (1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7);
    for (uint32_t i = 2; i < 8; i++)
        if (state_mask >> i & 1) {
            __get_cpuid_count(0xd, i, &components[i].size, &components[i].offset, &c, &d);
            CHECK(components[i].offset + components[i].size <= vectors_size);
        }
    components[1].offset = 160;
    components[1].size = 256;
    CHECK(posix_memalign((void **)&state_vectors_in, 4096, vectors_size) == 0);
    CHECK(posix_memalign((void **)&state_vectors_out, 4096, vectors_size) == 0);
}

static void vectors_fill(uint32_t seed)
{
    memset(state_vectors_in, 0, vectors_size);
    *(uint16_t *)(state_vectors_in + 0) = 0x027f;  /* FCW: double precision, nothing raised */
    *(uint16_t *)(state_vectors_in + 2) = 0x3000;  /* FSW: top of stack 6 */
    state_vectors_in[4] = 0xff;                    /* all in use */
    *(uint32_t *)(state_vectors_in + 24) = 0x9fc0; /* MXCSR: flush to zero, denormals are zero */
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t j = 0; j < 10; j++)
            state_vectors_in[32 + 16 * i + j] = (unsigned char)(seed * 7 + i * 16 + j + 1);
    for (uint32_t c = 1; c < 8; c++)
        for (uint32_t j = 0; j < components[c].size; j++)
            state_vectors_in[components[c].offset + j] = (unsigned char)(seed * 13 + c * 31 + j * 3 + 1);
    *(uint64_t *)(state_vectors_in + 512) = state_mask;
}

static int vectors_same(void)
{
    const unsigned char *in = state_vectors_in, *out = state_vectors_out;
    int same = !memcmp(in, out, 5) && !memcmp(in + 24, out + 24, 4);
    for (int i = 0; i < 8; i++)
        same &= !memcmp(in + 32 + 16 * i, out + 32 + 16 * i, 10);
    for (int c = 1; c < 8; c++)
        same &= !memcmp(in + components[c].offset, out + components[c].offset, components[c].size);
    return same;
}

#define SOME_FLAGS 0x200cd5u /* ID, OF, DF, SF, ZF, AF, PF, CF */
#define FIXED_FLAGS 0x202u

static int failures;
static void complain(const char *site, long number, const char *what, uint64_t got, uint64_t wanted)
{
    fprintf(stderr, "call %ld from site %s: %s is %#lx, not %#lx\n", number, site, what, got, wanted);
    failures++;
}

static void compare(const char *name, const char *after, int compares, long number)
{
    for (int i = 0; i < REGISTERS; i++) {
        uint64_t wanted = i == RCX ? (uint64_t)after : i == R11 ? state_in[FLAGS] : state_in[i];
        if (i == RAX || (i == FLAGS && compares))
            continue;
        if (state_out[i] != wanted)
            complain(name, number, register_names[i], state_out[i], wanted);
    }
    if (!vectors_same())
        complain(name, number, "vector state", 0, 1);
    for (int i = 0; i < RED_ZONE; i++)
        if (scratch[DEAD_STACK - RED_ZONE + i] != (unsigned char)(0x5a + i)) {
            complain(name, number, "red zone", scratch[DEAD_STACK - RED_ZONE + i], (unsigned char)(0x5a + i));
            break;
        }
}

static int64_t call_at(const char *name, const char *entry, const char *after, int compares, long number,
                       const uint64_t *arguments)
{
    static uint32_t seed;
    static const int argument_registers[6] = {RDI, RSI, RDX, R10, R8, R9};
    seed++;
    for (int i = 0; i < REGISTERS; i++)
        state_in[i] = 0x1111111111111111u * (uint64_t)(i + 1) ^ seed;
    for (int i = 0; i < 6; i++)
        state_in[argument_registers[i]] = arguments[i];
    state_in[RAX] = (uint64_t)number;
    state_in[RSP] = (uint64_t)scratch + DEAD_STACK;
    state_in[FLAGS] = FIXED_FLAGS | (seed & 1 ? SOME_FLAGS : 0);
    for (int i = 0; i < RED_ZONE; i++)
        scratch[DEAD_STACK - RED_ZONE + i] = (unsigned char)(0x5a + i);
    vectors_fill(seed);
    state_target = (uint64_t)entry;
    issue();
    compare(name, after, compares, number);
    return (int64_t)state_out[RAX];
}

static int64_t warm_call(const struct site *site, long number, const uint64_t *arguments)
{
    return call_at(site->name, site->entry, site->after, site->compares, number, arguments);
}

/* From a site that has hardly been used, and from each that has. */
static void call(long number, const uint64_t *arguments)
{
    static int next;
    const char *fresh = site_fresh + FRESH_SIZE * (next++ % FRESH);
    call_at("fresh", fresh, fresh + 2, 0, number, arguments);
    for (size_t i = 0; i < sizeof warm / sizeof *warm; i++)
        warm_call(&warm[i], number, arguments);
}

static void warm_up(void)
{
    static const uint64_t none[6];
    for (size_t i = 0; i < sizeof warm / sizeof *warm; i++)
        for (int n = 0; n < 20; n++)
            CHECK(warm_call(&warm[i], SYS_getppid, none) == getppid());
    for (int n = 0; n < 40; n++) /* the number in the instruction, whatever RAX was; then, in turn, the one in RAX */
        CHECK(call_at("mov", n & 1 ? site_mov : site_mov_syscall, site_mov_after, 0, SYS_getppid, none) ==
              (n & 1 ? getpid() : getppid()));
}

/* ---- What is called ---------------------------------------------------------------------------------------------- */

/* Arguments that make each call fail, natively and as root, too: no such descriptor, process, address, flag. */
enum kind { FD, INT, UINT, LONG, SIZE, FLAGS_, MODE, SIG, PID, PTR, PATH, STR, IN, OUT, NO_SUCH };
static const uint64_t failing[] = {
    [FD] = 9999, [INT] = 0x7ffffff0, [UINT] = 0x7ffffff0, [LONG] = 0x7ffffff0, [SIZE] = UINT64_MAX,
    [FLAGS_] = 0x7ff00000, [MODE] = 0, [SIG] = 0, [PID] = 0x7ffffff0, [PTR] = 16, [PATH] = 16, [STR] = 16, [IN] = 16,
    [OUT] = 16,
    [NO_SUCH] = 0x7ffffff0,
};
#define FLAGS FLAGS_ /* as the table calls it */
static const struct { int number; uint64_t arguments[6]; } bad[] = {
#define NONE(number, name, why) {number, {0x7ffffff0, 0x7ffffff0, 0x7ffffff0, 0x7ffffff0, 0x7ffffff0, 0x7ffffff0}},
#define REFUSED(number, name, error, why) NONE(number, name, why)
#define CALL0(number, name, note) {number, {0}},
#define CALL1(number, name, note, k0, a0) {number, {k0}},
#define CALL2(number, name, note, k0, a0, k1, a1) {number, {k0, k1}},
#define CALL3(number, name, note, k0, a0, k1, a1, k2, a2) {number, {k0, k1, k2}},
#define CALL4(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3) {number, {k0, k1, k2, k3}},
#define CALL5(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4) {number, {k0, k1, k2, k3, k4}},
#define CALL6(number, name, note, k0, a0, k1, a1, k2, a2, k3, a3, k4, a4, k5, a5) {number, {k0, k1, k2, k3, k4, k5}},
#include "../../libos/syscalls.def"
};
#undef FLAGS

static int excluded(int number)
{
    switch (number) {
    case SYS_exit: case SYS_exit_group: case SYS_rt_sigreturn: case SYS_pause: /* don't come back */
    case SYS_fork: case SYS_vfork: case SYS_clone:
    case SYS_sync: case SYS_vhangup: case SYS_personality: case SYS_reboot: /* would do what they say */
        return 1;
    }
    return 0;
}

static void all_failing(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t arguments[6];
        for (int a = 0; a < 6; a++)
            arguments[a] = bad[i].arguments[a] <= NO_SUCH ? failing[bad[i].arguments[a]] : bad[i].arguments[a];
        if (!excluded(bad[i].number))
            call(bad[i].number, arguments);
    }
    static const long none[] = {600, 999, 0x3fffffff};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        call(none[i], (uint64_t[6]){0});
        if ((int64_t)state_out[RAX] != -ENOSYS)
            complain("-", none[i], "rax", state_out[RAX], -(uint64_t)ENOSYS);
    }
}

static volatile int signals;
static void handler(int signal)
{
    (void)signal;
    signals++;
    double x = signals; /* vector state of its own */
    __asm__ volatile("fninit; pxor %%xmm7, %%xmm7; movsd %0, %%xmm15" : : "m"(x) : "xmm7", "xmm15");
}

#define CALL(number, ...) call(number, (uint64_t[6]){__VA_ARGS__})
#define A(x) (uint64_t)(uintptr_t)(x)
static void many_good(void)
{
    char name[] = "/tmp/call_registers.XXXXXX";
    static unsigned char buffer[8192];
    static struct timespec brief = {0, 1000}, zero;
    static uint32_t word;
    int file = mkstemp(name), pair[2], pipes[2];
    CHECK(file >= 0 && write(file, buffer, sizeof buffer) == sizeof buffer);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(pipes) == 0);
    struct pollfd ready = {pair[1], POLLIN, 0};
    int set = epoll_create1(0);
    void *pages = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL(SYS_getpid, 0);
    CALL(SYS_gettid, 0);
    CALL(SYS_brk, 0);
    CALL(SYS_pread64, A(file), A(buffer), 100, 7);
    CALL(SYS_read, A(file), A(buffer), 100);
    CALL(SYS_lseek, A(file), 0, SEEK_SET);
    CALL(SYS_write, A(file), A(buffer), 100);
    CALL(SYS_fstat, A(file), A(buffer));
    CALL(SYS_newfstatat, (uint64_t)AT_FDCWD, A("/etc"), A(buffer), 0);
    CALL(SYS_openat, (uint64_t)AT_FDCWD, A("/etc/passwd"), O_RDONLY);
    CALL(SYS_openat, (uint64_t)AT_FDCWD, A("/no/such/file"), O_RDONLY);
    CALL(SYS_readlink, A("/proc/self/exe"), A(buffer), 100);
    CALL(SYS_getcwd, A(buffer), sizeof buffer);
    CALL(SYS_fcntl, A(file), F_GETFL);
    CALL(SYS_sendto, A(pair[0]), A(buffer), 10, 0, 0, 0);
    CALL(SYS_poll, A(&ready), 1, 0);
    CALL(SYS_recvfrom, A(pair[1]), A(buffer), 10, 0, 0, 0);
    CALL(SYS_write, A(pipes[1]), A(buffer), 10);
    CALL(SYS_read, A(pipes[0]), A(buffer), 10);
    CALL(SYS_epoll_wait, A(set), A(buffer), 1, 0);
    CALL(SYS_mmap, 0, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0);
    CALL(SYS_mprotect, A(pages), 4096, PROT_READ);
    CALL(SYS_madvise, A(pages), 65536, MADV_DONTNEED);
    CALL(SYS_munmap, A(pages), 65536);
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, 0, A(buffer), 8);
    CALL(SYS_rt_sigaction, SIGUSR2, 0, A(buffer), 8);
    CALL(SYS_clock_gettime, CLOCK_MONOTONIC, A(buffer));
    CALL(SYS_nanosleep, A(&brief), 0);
    CALL(SYS_futex, A(&word), 1 /* FUTEX_WAKE */, 1);
    CALL(SYS_futex, A(&word), 0 /* FUTEX_WAIT */, 0, A(&zero));
    CALL(SYS_sched_yield, 0);
    CALL(SYS_uname, A(buffer));
    CALL(SYS_getrandom, A(buffer), 16, 0);
    CALL(SYS_prctl, PR_GET_NAME, A(buffer));
    CALL(SYS_getdents64, A(open("/proc/self", O_RDONLY | O_DIRECTORY)), A(buffer), sizeof buffer);
    CALL(SYS_unlink, A(name));
    CALL(SYS_wait4, UINT64_MAX, 0, WNOHANG, 0);
    signal(SIGUSR1, handler);
    signals = 0;
    CALL(SYS_kill, A(getpid()), SIGUSR1); /* the handler runs before the call returns, and sigreturn puts all back */
    CALL(SYS_tgkill, A(getpid()), A(gettid()), SIGUSR1);
    CHECK(signals == 2 * (1 + sizeof warm / sizeof *warm));
}

static void forks(void)
{
    for (size_t i = 0; i < sizeof warm / sizeof *warm; i++) {
        int status;
        int64_t child = warm_call(&warm[i], SYS_fork, (uint64_t[6]){0});
        CHECK(child >= 0);
        if (child == 0)
            _exit(failures != 0);
        CHECK(waitpid((pid_t)child, &status, 0) == child && status == 0);
    }
}

int main(void)
{
    vectors_prepare();
    warm_up();
    many_good();
    forks();
    all_failing();
    return failures != 0;
}
