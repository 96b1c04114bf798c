/* SPDX-License-Identifier: MIT */
/* mprotect: what the faults say, splitting and holes, code made at run time. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul

static sigjmp_buf trapped;
static siginfo_t last;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    last = *info;
    siglongjmp(trapped, signal);
}

static int reads(volatile char *at)
{
    int signal = sigsetjmp(trapped, 1);
    if (signal == 0)
        (void)*at;
    return signal;
}

static int writes(volatile char *at)
{
    int signal = sigsetjmp(trapped, 1);
    if (signal == 0)
        *at = 1;
    return signal;
}

static void faults(char *at)
{
    CHECK(mprotect(at + PAGE, PAGE, PROT_READ) == 0);
    CHECK(mprotect(at + 2 * PAGE, PAGE, PROT_NONE) == 0);
    CHECK(writes(at) == 0 && reads(at + PAGE) == 0);
    CHECK(writes(at + PAGE + 5) == SIGSEGV && last.si_code == SEGV_ACCERR && last.si_addr == at + PAGE + 5);
    CHECK(reads(at + 2 * PAGE) == SIGSEGV && last.si_code == SEGV_ACCERR && last.si_addr == at + 2 * PAGE);
    CHECK(munmap(at + 3 * PAGE, PAGE) == 0);
    CHECK(reads(at + 3 * PAGE) == SIGSEGV && last.si_code == SEGV_MAPERR && last.si_addr == at + 3 * PAGE);
}

static void errors(char *at)
{
    CHECK_FAILS(mprotect(at + 1, PAGE, PROT_READ), EINVAL);
    CHECK_FAILS(mprotect(at, PAGE, 0x40), EINVAL);
    CHECK(mprotect(at, 0, PROT_READ) == 0);
    CHECK_FAILS(mprotect(at, SIZE_MAX - PAGE + 2, PROT_READ), ENOMEM);
    /* Across a hole: what comes before it changes. */
    CHECK(mprotect(at, 3 * PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK_FAILS(mprotect(at, 8 * PAGE, PROT_READ), ENOMEM);
    CHECK(writes(at) == SIGSEGV && writes(at + 2 * PAGE) == SIGSEGV && writes(at + 4 * PAGE) == 0);
    CHECK_FAILS(mprotect(at + 3 * PAGE, PAGE, PROT_READ), ENOMEM);
    CHECK_FAILS(mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL);
    CHECK_FAILS(mprotect(at, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
}

/* mov $number, %eax; ret */
static void code(void)
{
    unsigned char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    for (int i = 1; i < 4; i++) {
        unsigned char bytes[] = {0xb8, (unsigned char)i, 0, 0, 0, 0xc3};
        CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
        memcpy(at, bytes, sizeof bytes);
        CHECK(mprotect(at, PAGE, PROT_READ | PROT_EXEC) == 0);
        CHECK(((int (*)(void))(uintptr_t)at)() == i);
    }
    CHECK(munmap(at, PAGE) == 0);
}

static void alternating(void)
{
    enum { PAGES = 512 };
    char *at = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(at != MAP_FAILED);
    for (int i = 0; i < PAGES; i += 2)
        CHECK(mprotect(at + i * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    for (int i = 0; i < PAGES; i++)
        CHECK(writes(at + i * PAGE) == (i & 1 ? SIGSEGV : 0));
    CHECK(mprotect(at, PAGES * PAGE, PROT_READ) == 0);
    CHECK(at[0] == 1 && at[PAGE] == 0 && writes(at) == SIGSEGV);
    CHECK(munmap(at, PAGES * PAGE) == 0);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    char *at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    faults(at);
    errors(at);
    code();
    alternating();
    return 0;
}
