/* SPDX-License-Identifier: MIT */
/* Faults as signals: number, si_code, si_addr; blocked or ignored ones kill. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf back;
static volatile siginfo_t last;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    last = *info;
    siglongjmp(back, signal);
}

#define FAULT(statement) (sigsetjmp(back, 1) == 0 ? ({ statement; 0; }) : last.si_signo)

static int dies_by(int how)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        sigset_t set;
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, how == 1 ? SIG_IGN : SIG_DFL);
        if (how == 2) {
            struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
            sigaction(SIGSEGV, &action, NULL);
            sigemptyset(&set);
            sigaddset(&set, SIGSEGV);
            sigprocmask(SIG_BLOCK, &set, NULL);
        }
        *(volatile int *)8 = 1;
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    for (const int *signal = (int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, 0}; *signal; signal++)
        CHECK(sigaction(*signal, &action, NULL) == 0);
    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(page + 4096, 4096) == 0);

    for (int i = 0; i < 50; i++) {
        CHECK(FAULT(*(volatile char *)(page + 8) = 1) == SIGSEGV);
        CHECK(last.si_code == SEGV_ACCERR && last.si_addr == page + 8);
        CHECK(FAULT(*(volatile char *)(page + 4100)) == SIGSEGV);
        CHECK(last.si_code == SEGV_MAPERR && last.si_addr == page + 4100);
    }
    CHECK(FAULT(((void (*)(void))page)()) == SIGSEGV && last.si_code == SEGV_ACCERR && last.si_addr == page);
    CHECK(FAULT(((void (*)(void))16)()) == SIGSEGV && last.si_addr == (void *)16);
    CHECK(FAULT(*(volatile char *)0x8000000000000000) == SIGSEGV && last.si_code == SI_KERNEL && last.si_addr == NULL);
    CHECK(FAULT(__asm__ volatile("hlt")) == SIGSEGV && last.si_code == SI_KERNEL);
    CHECK(FAULT(__asm__ volatile("ud2")) == SIGILL && last.si_code == ILL_ILLOPN);
    CHECK(FAULT(__asm__ volatile("int3")) == SIGTRAP && last.si_code == SI_KERNEL);
    volatile int zero = 0, one = 1;
    CHECK(FAULT(one = one / zero) == SIGFPE && last.si_code == FPE_INTDIV);
    unsigned mxcsr = 0x1d80; /* division by zero unmasked */
    volatile double none = 0, result;
    CHECK(FAULT(__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr)); result = 1.0 / none) == SIGFPE && last.si_code == FPE_FLTDIV);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    (void)result;

    char name[] = "/tmp/signal_fault_XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0 && unlink(name) == 0);
    char *file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(file != MAP_FAILED && FAULT(*(volatile char *)(file + 1)) == SIGBUS);
    CHECK(last.si_code == BUS_ADRERR && last.si_addr == file + 1);

    CHECK(dies_by(0) == SIGSEGV && dies_by(1) == SIGSEGV && dies_by(2) == SIGSEGV);
    return 0;
}
