/* SPDX-License-Identifier: MIT */
/*
 * GS is the program's: its base, set by arch_prctl or by wrgsbase, stays through calls that are served in every way,
 * through signals, threads and fork, and ends with exec.
 */
#include <asm/prctl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define TASK_END 0x7ffffffff000ul
#define HWCAP2_FSGSBASE 2
#define FLAG_TRAP 0x100
#define FLAG_NESTED 0x4000

static uint64_t block[64], other[64];
static volatile sig_atomic_t signals, wrong;

static uint64_t at_8(void)
{
    uint64_t value;
    __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
    return value;
}

static uint64_t read_base(void)
{
    uint64_t value;
    __asm__ volatile("rdgsbase %0" : "=r"(value));
    return value;
}

static void write_base(uint64_t value)
{
    __asm__ volatile("wrgsbase %0" : : "r"(value));
}

static void set(uint64_t value)
{
    CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, value) == 0);
}

static uint64_t get(void)
{
    uint64_t value = 1;
    CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &value) == 0);
    return value;
}

static void arguments(void)
{
    CHECK(get() == 0);
    CHECK_FAILS(syscall(SYS_arch_prctl, ARCH_GET_GS, 8), EFAULT);
    CHECK_FAILS(syscall(SYS_arch_prctl, ARCH_SET_GS, TASK_END), EPERM);
    CHECK_FAILS(syscall(SYS_arch_prctl, ARCH_SET_GS, -1ul), EPERM);
    set(TASK_END - 1);
    CHECK(get() == TASK_END - 1 && read_base() == TASK_END - 1);
    set(0);
    CHECK(get() == 0);
    set((uint64_t)block);
    CHECK(get() == (uint64_t)block && at_8() == 42);
}

/* Short calls, calls on descriptors, calls that wait: many times each, so that their sites are rewritten. */
static void calls(uint64_t base)
{
    int zero = open("/dev/zero", O_RDONLY), file = open("/proc/self/exe", O_RDONLY), ends[2];
    char byte = 1;
    CHECK(zero >= 0 && file >= 0 && pipe(ends) == 0);
    for (int i = 0; i < 300; i++) {
        CHECK(getppid() > 0 && read_base() == base);
        CHECK(read(zero, &byte, 1) == 1 && read_base() == base);
        CHECK(pread(file, &byte, 1, 1) == 1 && byte == 'E' && read_base() == base);
        CHECK(write(ends[1], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 && read_base() == base);
        CHECK(usleep(1) == 0 && read_base() == base);
    }
    close(zero), close(file), close(ends[0]), close(ends[1]);
}

/* Bases that the libOS can read at, and such that it can't. */
static void by_instruction(void)
{
    const uint64_t bases[] = {(uint64_t)other, (uint64_t)block, 0, 1, 0x7fff00000000, TASK_END, 0xffff800000000000,
                              (uint64_t)other};
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        return;
    for (unsigned i = 0; i < sizeof(bases) / sizeof(*bases); i++) {
        write_base(bases[i]);
        CHECK(read_base() == bases[i]);
        CHECK(get() == bases[i] && read_base() == bases[i]);
        calls(bases[i]);
    }
    for (unsigned i = 0; i < 64; i++)
        CHECK(other[i] == (i == 1 ? 99 : 0) && block[i] == (i == 1 ? 42 : 0)); /* nobody wrote there */
    set((uint64_t)block);
}

static void handler(int signal)
{
    (void)signal;
    wrong += at_8() != 42;
    wrong += getppid() <= 0;
    signals++;
}

static void in_signals(void)
{
    struct itimerval often = {{0, 300}, {0, 300}}, never = {0};
    struct sigaction action = {.sa_handler = handler};
    int zero = open("/dev/zero", O_RDONLY);
    char byte;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; signals < 300; i++) {
        CHECK(at_8() == 42);
        if (i & 1)
            CHECK(getppid() > 0);
        else
            CHECK(read(zero, &byte, 1) == 1);
        for (volatile int spin = 0; spin < (i & 63); spin++)
            ;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    close(zero);
    CHECK(wrong == 0);
}

/* A handler may set it: no frame holds it, so it stays. */
static void setter(int signal)
{
    (void)signal;
    set((uint64_t)other);
}

static void in_handler(void)
{
    signal(SIGUSR1, setter);
    raise(SIGUSR1);
    CHECK(at_8() == 99 && get() == (uint64_t)other);
    set((uint64_t)block);
}

static void fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    wrong += at_8() != 42;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* mov (%rax), %eax */
}

static void in_faults(void)
{
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 10; i++)
        __asm__ volatile("mov (%%rax), %%eax" : : "a"(64) : "memory");
    CHECK(wrong == 0 && at_8() == 42);
    action.sa_handler = SIG_DFL;
    sigaction(SIGSEGV, &action, NULL);
}

static volatile uint64_t steps;

static void step(int signal)
{
    (void)signal;
    steps++;
    wrong += at_8() != 42;
}

/* A call with flags: the trap flag steps over it, nested task stays as it is. */
static long call_with(uint64_t flags, uint64_t *out)
{
    long result;
    __asm__ volatile("lea -128(%%rsp), %%rsp\n push %2\n popfq\n mov $110, %%eax\n syscall\n pushfq\n pop %1\n"
                     "push $0x202\n popfq\n lea 128(%%rsp), %%rsp\n"
                     : "=&a"(result), "=&r"(*out) : "r"(flags) : "rcx", "r11", "memory", "cc");
    return result;
}

static void flags(void)
{
    uint64_t after;
    signal(SIGTRAP, step);
    for (int i = 0; i < 200; i++) {
        CHECK(call_with(0x202, &after) == getppid());
        CHECK(call_with(0x202 | FLAG_NESTED, &after) == getppid() && after & FLAG_NESTED);
        steps = 0;
        CHECK(call_with(0x202 | FLAG_TRAP, &after) == getppid() && steps >= 4);
        CHECK(at_8() == 42);
    }
    CHECK(wrong == 0);
}

static void *thread(void *argument)
{
    uint64_t mine[4] = {0, (uint64_t)argument, 0, 0};
    CHECK(at_8() == 42); /* as its creator's was */
    set((uint64_t)mine);
    calls((uint64_t)mine);
    CHECK(at_8() == (uint64_t)argument);
    return NULL;
}

static void in_threads(void)
{
    pthread_t threads[4];
    for (uint64_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, (void *)(i + 100)) == 0);
    for (int i = 0; i < 2000; i++)
        CHECK(at_8() == 42 && getppid() > 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(at_8() == 42);
}

static void in_children(char *program)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        calls((uint64_t)block);
        set((uint64_t)other);
        execl(program, "gs_base", "fresh", NULL);
        _exit(2);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0 && at_8() == 42);
    child = vfork();
    if (child == 0) {
        set((uint64_t)other);
        execl(program, "gs_base", "fresh", NULL);
        _exit(2);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0 && at_8() == 42);
}

int main(int argc, char **argv)
{
    block[1] = 42;
    other[1] = 99;
    if (argc > 1) {
        CHECK(get() == 0);
        return 0;
    }
    arguments();
    calls((uint64_t)block);
    by_instruction();
    in_signals();
    in_handler();
    in_faults();
    flags();
    in_threads();
    in_children(argv[0]);
    return 0;
}
