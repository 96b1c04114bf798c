// SPDX-License-Identifier: MIT
// Unwinding through system calls and signal frames: a thread cancelled in read() runs its destructors; exceptions thrown
// by signal handlers arrive in the code that was interrupted.  Many rounds, so that call sites and sigreturn's get
// rewritten.  Built with -fnon-call-exceptions -fasynchronous-unwind-tables.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <execinfo.h>
#include <pthread.h>
#include <csignal>
#include <stdexcept>
#include <string>
#include <unistd.h>

static int destroyed, cleaned, caught, frames;
static volatile int ignored;

struct Guard {
    ~Guard() { destroyed++; }
};

static void *blocked(void *argument)
{
    Guard guard;
    char byte;
    pthread_cleanup_push([](void *) { cleaned++; }, nullptr);
    if (read(*static_cast<int *>(argument), &byte, 1) != 0) // blocks until the thread is cancelled
        std::puts("read came back");
    pthread_cleanup_pop(0);
    return nullptr;
}

static void cancel_rounds(int rounds)
{
    int ends[2];
    if (pipe(ends))
        std::abort();
    for (int i = 0; i < rounds; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, nullptr, blocked, &ends[0]);
        if (i % 3 == 0)
            usleep(1000); // now it is in read, for sure
        pthread_cancel(thread);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED)
            std::puts("not cancelled");
    }
    std::printf("cancelled: %d destructors, %d cleanups\n", destroyed, cleaned);
}

static void throwing(int signal, siginfo_t *info, void *)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    throw std::runtime_error("address " + std::to_string(reinterpret_cast<uintptr_t>(info->si_addr)));
}

__attribute__((noinline)) static int fault(volatile int *at)
{
    Guard guard;
    return *at;
}

static void counting(int)
{
    void *addresses[64];
    int count = backtrace(addresses, 64); // libgcc's unwinder, through the signal frame and the interrupted call
    if (frames == 0 || count < frames)
        frames = count;
    ignored++;
}

static void throw_rounds(int rounds)
{
    struct sigaction action = {};
    std::string last;
    action.sa_sigaction = throwing;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    destroyed = 0;
    for (int i = 0; i < rounds; i++) {
        try {
            fault(reinterpret_cast<volatile int *>(0x1230));
        } catch (const std::runtime_error &error) {
            caught++;
            last = error.what();
        }
    }
    std::printf("thrown: %d caught, %d destructors, last %s\n", caught, destroyed, last.c_str());
}

__attribute__((noinline)) static void deep(int levels)
{
    Guard guard;
    if (levels)
        deep(levels - 1);
    else
        raise(SIGUSR1);
    destroyed++;
}

int main()
{
    signal(SIGUSR1, counting);
    for (int i = 0; i < 300; i++)
        deep(10);
    std::printf("signals: %d, at least %s frames each\n", ignored, frames >= 14 ? "14" : "too few");
    destroyed = 0;
    cancel_rounds(100);
    throw_rounds(200);
    for (int i = 0; i < 20; i++)
        deep(10);
    return 0;
}
