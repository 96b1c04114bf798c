/* SPDX-License-Identifier: MIT */
/*
 * Attaching to processes and threads that run, PTRACE_SEIZE, INTERRUPT and LISTEN, stops of whole processes, events of fork,
 * vfork, clone, exec and exit, ends of threads, a tracer that is not the parent, and a tracer's end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define STOPPED_BY(status, signal) ((status) == ((signal) << 8 | 0x7f))
#define STOPPED_FOR(status, signal, event) ((status) == (((signal) | (event) << 8) << 8 | 0x7f))

static struct shared {
    volatile int count, tid, pid, go, ready;
} *shared;

static int wait_status(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, __WALL) == pid);
    return status;
}

static void await(volatile int *word)
{
    while (!*word)
        usleep(1000);
}

static pid_t start(void (*run)(void))
{
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        _exit(0);
    }
    CHECK(pid > 0);
    return pid;
}

static void kills(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0);
    int status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static unsigned long message(pid_t pid)
{
    unsigned long result = 0;
    CHECK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &result) == 0);
    return result;
}

/* ---- Attaching ----------------------------------------------------------------------------------------------------- */

static void counts(void)
{
    for (;;) {
        shared->count++;
        usleep(500);
    }
}

static void attaches(void)
{
    siginfo_t info;
    pid_t pid = start(counts);
    await(&shared->count);
    for (int i = 0; i < 5; i++) {
        CHECK(ptrace(PTRACE_ATTACH, pid, 0, 0) == 0);
        CHECK_FAILS(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
        CHECK(STOPPED_BY(wait_status(pid), SIGSTOP));
        CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_signo == SIGSTOP);
        int count = shared->count;
        usleep(3000);
        CHECK(shared->count == count);
        CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
        while (shared->count == count)
            usleep(500);
    }
    kills(pid);
    CHECK_FAILS(waitpid(-1, NULL, __WALL), ECHILD);
}

static void *count_too(void *argument)
{
    (void)argument;
    shared->tid = gettid();
    counts();
    return NULL;
}

static void two_threads(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, count_too, NULL) == 0);
    for (;;)
        pause();
}

static void attaches_to_thread(void)
{
    pid_t pid = start(two_threads);
    await(&shared->count);
    int tid = shared->tid;
    CHECK(ptrace(PTRACE_ATTACH, tid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(tid), SIGSTOP));
    CHECK(waitpid(pid, NULL, WNOHANG) == 0); /* the other goes on */
    int count = shared->count;
    CHECK(ptrace(PTRACE_ATTACH, pid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGSTOP));
    struct user_regs_struct regs, other;
    CHECK(ptrace(PTRACE_GETREGS, tid, 0, &regs) == 0 && ptrace(PTRACE_GETREGS, pid, 0, &other) == 0);
    CHECK(regs.fs_base != other.fs_base && regs.rsp != other.rsp);
    CHECK(shared->count == count);
    CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
    CHECK(ptrace(PTRACE_CONT, tid, 0, 0) == 0);
    while (shared->count == count)
        usleep(500);
    CHECK(syscall(SYS_tgkill, pid, tid, SIGURG) == 0); /* ignored, but told */
    CHECK(STOPPED_BY(wait_status(tid), SIGURG));
    CHECK(ptrace(PTRACE_DETACH, tid, 0, 0) == 0);
    kills(pid);
}

/* ---- PTRACE_SEIZE --------------------------------------------------------------------------------------------------- */

static void seizes(void)
{
    siginfo_t info;
    pid_t pid = start(counts);
    await(&shared->count);
    CHECK_FAILS(ptrace(PTRACE_SEIZE, pid, 1, 0), EIO);
    CHECK_FAILS(ptrace(PTRACE_SEIZE, pid, 0, 0x8000), EIO);
    CHECK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    CHECK(waitpid(pid, NULL, WNOHANG | __WALL) == 0);
    CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    /* The process stops, and is told to go on. */
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGSTOP));
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGSTOP) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGSTOP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_code >> 8 == PTRACE_EVENT_STOP);
    CHECK(ptrace(PTRACE_LISTEN, pid, 0, 0) == 0);
    CHECK_FAILS(ptrace(PTRACE_PEEKUSER, pid, 0, 0), ESRCH);
    int count = shared->count;
    usleep(3000);
    CHECK(shared->count == count && waitpid(pid, NULL, WNOHANG | __WALL) == 0);
    CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGSTOP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_LISTEN, pid, 0, 0) == 0);
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGCONT));
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGCONT) == 0);
    while (shared->count == count)
        usleep(500);
    CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
    kills(pid);
}

/* Without SEIZE: a stop of the process has no siginfo, and ends when the tracer says so. */
static void group_stop(void)
{
    siginfo_t info;
    pid_t pid = start(counts);
    await(&shared->count);
    CHECK(ptrace(PTRACE_ATTACH, pid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGSTOP));
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGSTOP) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGSTOP));
    CHECK_FAILS(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), EINVAL);
    int count = shared->count;
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    while (shared->count == count)
        usleep(500);
    CHECK_FAILS(ptrace(PTRACE_INTERRUPT, pid, 0, 0), EIO);
    kills(pid);
}

/* ---- Events --------------------------------------------------------------------------------------------------------- */

static void forks(void)
{
    raise(SIGSTOP);
    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0)
        _exit(6);
    waitpid(pid, NULL, 0);
    _exit(7);
}

/* A stopped child that is traced, with these options. */
static pid_t traced(void (*run)(void), long options)
{
    pid_t pid = start(run);
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && STOPPED_BY(status, SIGSTOP));
    CHECK(ptrace(PTRACE_SEIZE, pid, 0, options) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGSTOP, PTRACE_EVENT_STOP));
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGCONT));
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    return pid;
}

/* The child of an event, which has begun with a stop; it goes on and ends. */
static void ends_alone(pid_t child, int code)
{
    CHECK(STOPPED_FOR(wait_status(child), SIGTRAP, PTRACE_EVENT_STOP));
    CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
    int status = wait_status(child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void sigchld(pid_t pid)
{
    CHECK(STOPPED_BY(wait_status(pid), SIGCHLD));
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGCHLD) == 0);
}

static void fork_events(void)
{
    pid_t pid = traced(forks, PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_FORK));
    pid_t child = (pid_t)message(pid);
    ends_alone(child, 5); /* its parent has not been told yet: it is stopped */
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    sigchld(pid);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_VFORK));
    pid_t vchild = (pid_t)message(pid);
    CHECK(vchild != child);
    ends_alone(vchild, 6);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    int status = wait_status(pid);
    if (STOPPED_BY(status, SIGCHLD)) { /* before or after */
        CHECK(ptrace(PTRACE_CONT, pid, 0, SIGCHLD) == 0);
        status = wait_status(pid);
    }
    CHECK(STOPPED_FOR(status, SIGTRAP, PTRACE_EVENT_VFORK_DONE) && (pid_t)message(pid) == vchild);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    while (WIFSTOPPED(status = wait_status(pid))) {
        CHECK(STOPPED_BY(status, SIGCHLD));
        CHECK(ptrace(PTRACE_CONT, pid, 0, SIGCHLD) == 0);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void *short_thread(void *argument)
{
    (void)argument;
    return NULL;
}

static void *exec_thread(void *argument)
{
    (void)argument;
    shared->tid = gettid();
    execl("/proc/self/exe", "ptrace_events", "new", NULL);
    return NULL;
}

static void clones(void)
{
    pthread_t thread;
    raise(SIGSTOP);
    CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, exec_thread, NULL) == 0);
    for (;;)
        pause();
}

static pid_t new_thread(pid_t pid)
{
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_CLONE));
    pid_t tid = (pid_t)message(pid);
    CHECK(STOPPED_FOR(wait_status(tid), SIGTRAP, PTRACE_EVENT_STOP));
    return tid;
}

static void thread_events(void)
{
    pid_t pid = traced(clones, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
    pid_t tid = new_thread(pid);
    CHECK(ptrace(PTRACE_CONT, tid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(tid), SIGTRAP, PTRACE_EVENT_EXIT) && message(tid) == 0);
    CHECK(ptrace(PTRACE_CONT, tid, 0, 0) == 0);
    int status = wait_status(tid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_FAILS(waitpid(tid, &status, __WALL), ECHILD);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    /* exec by a thread: it is the process's first then. */
    tid = new_thread(pid);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(ptrace(PTRACE_CONT, tid, 0, 0) == 0);
    status = wait_status(pid);
    if (STOPPED_FOR(status, SIGTRAP, PTRACE_EVENT_EXIT)) { /* the first thread goes */
        CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
        status = wait_status(pid);
    }
    CHECK(STOPPED_FOR(status, SIGTRAP, PTRACE_EVENT_EXEC) && (pid_t)message(pid) == tid);
    CHECK_FAILS(ptrace(PTRACE_CONT, tid, 0, 0), ESRCH);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_EXIT) && message(pid) == 11 << 8);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    status = wait_status(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 11);
}

static void *ends_process(void *argument)
{
    (void)argument;
    await(&shared->go);
    _exit(9);
}

static void threads_end(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ends_process, NULL) == 0);
    shared->tid = 1;
    for (;;)
        pause();
}

/* Each traced thread of a process that ends is told of, the first one last. */
static void all_threads_end(void)
{
    pid_t pid = start(threads_end);
    int status, seen = 0;
    await(&shared->tid);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d", pid, pid);
    CHECK(access(path, F_OK) == 0);
    CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
    shared->go = 1;
    status = wait_status(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);

    pid = start(threads_end);
    await(&shared->tid);
    CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
    int other = 0;
    for (int tid = pid + 1; tid < pid + 200 && !other; tid++) {
        snprintf(path, sizeof path, "/proc/%d/task/%d", pid, tid);
        other = access(path, F_OK) == 0 ? tid : 0;
    }
    CHECK(other && ptrace(PTRACE_SEIZE, other, 0, 0) == 0);
    shared->go = 1;
    for (pid_t ended; (ended = waitpid(-1, &status, __WALL)) > 0; seen++) {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
        CHECK(ended == (seen ? pid : other));
    }
    CHECK(seen == 2 && errno == ECHILD);
}

/* ---- A tracer that is not the parent ------------------------------------------------------------------------------- */

static volatile pid_t target;

static void traces_sibling(void)
{
    int status;
    CHECK(ptrace(PTRACE_ATTACH, target, 0, 0) == 0);
    CHECK(waitpid(target, &status, 0) == target && STOPPED_BY(status, SIGSTOP));
    CHECK(ptrace(PTRACE_CONT, target, 0, 0) == 0);
    shared->ready = 1;
    siginfo_t info;
    CHECK(waitid(P_PID, target, &info, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_KILLED);
    shared->go = 1;
    CHECK(waitpid(target, &status, 0) == target && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_FAILS(waitpid(target, &status, 0), ECHILD);
}

static void sleeps(void)
{
    for (;;)
        pause();
}

static void other_tracer(void)
{
    int status;
    target = start(sleeps);
    pid_t pid = target, tracer = start(traces_sibling);
    await(&shared->ready);
    CHECK_FAILS(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(shared->go); /* its tracer was the first to know */
    CHECK(waitpid(tracer, &status, 0) == tracer && status == 0);
}

static void attaches_and_dies(void)
{
    int status;
    CHECK(ptrace(PTRACE_SEIZE, target, 0, shared->pid ? PTRACE_O_EXITKILL : 0) == 0);
    CHECK(ptrace(PTRACE_INTERRUPT, target, 0, 0) == 0);
    CHECK(waitpid(target, &status, __WALL) == target);
    if (shared->tid)
        raise(SIGKILL);
}

/* Its tracees go on, or die with it. */
static void tracer_ends(int killed, int exit_kill)
{
    int status;
    pid_t pid = start(counts);
    await(&shared->count);
    target = pid;
    pid_t tracer = fork();
    if (tracer == 0) {
        shared->tid = killed;
        shared->pid = exit_kill;
        attaches_and_dies();
        _exit(0);
    }
    CHECK(waitpid(tracer, &status, 0) == tracer && (killed ? WTERMSIG(status) == SIGKILL : status == 0));
    if (exit_kill) {
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        return;
    }
    int count = shared->count;
    while (shared->count == count)
        usleep(500);
    kills(pid);
}

/* ---- Memory, signals that wait -------------------------------------------------------------------------------------- */

static volatile long word = 4711;

static void blocks_signals(void)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    union sigval value = {.sival_int = 5};
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
    value.sival_int = 6;
    CHECK(sigqueue(getpid(), SIGRTMIN + 1, value) == 0);
    raise(SIGUSR1);
    shared->count = 1;
    sleeps();
}

static void memory(void)
{
    char path[64];
    long value = 0;
    pid_t pid = start(blocks_signals);
    await(&shared->count);
    CHECK(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 && ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    CHECK(STOPPED_FOR(wait_status(pid), SIGTRAP, PTRACE_EVENT_STOP));
    struct iovec here = {&value, sizeof value}, there = {(void *)&word, sizeof word};
    CHECK(process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof value && value == 4711);
    value = 4712;
    CHECK(process_vm_writev(pid, &here, 1, &there, 1, 0) == sizeof value);
    CHECK(ptrace(PTRACE_PEEKDATA, pid, &word, 0) == 4712);
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    CHECK(pread(fd, &value, sizeof value, (off_t)(uintptr_t)&word) == sizeof value && value == 4712);
    value = 4713;
    CHECK(pwrite(fd, &value, sizeof value, (off_t)(uintptr_t)&word) == sizeof value);
    CHECK(ptrace(PTRACE_PEEKDATA, pid, &word, 0) == 4713);
    CHECK_FAILS(pread(fd, &value, sizeof value, 16), EIO);
    /* Text, which is not writable. */
    long text = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)sleeps, 0);
    CHECK(pwrite(fd, &text, sizeof text, (off_t)(uintptr_t)sleeps) == sizeof text);
    CHECK(lseek(fd, (off_t)(uintptr_t)&word, SEEK_SET) == (off_t)(uintptr_t)&word);
    CHECK(read(fd, &value, sizeof value) == sizeof value && value == 4713);
    close(fd);

    siginfo_t infos[8];
    struct __ptrace_peeksiginfo_args asked = {.off = 0, .flags = PTRACE_PEEKSIGINFO_SHARED, .nr = 8};
    CHECK(ptrace(PTRACE_PEEKSIGINFO, pid, &asked, infos) == 2);
    CHECK(infos[0].si_signo == SIGRTMIN + 1 && infos[0].si_value.sival_int == 5 && infos[1].si_value.sival_int == 6);
    asked.off = 1;
    CHECK(ptrace(PTRACE_PEEKSIGINFO, pid, &asked, infos) == 1 && infos[0].si_value.sival_int == 6);
    asked.off = asked.flags = 0;
    CHECK(ptrace(PTRACE_PEEKSIGINFO, pid, &asked, infos) == 1 && infos[0].si_signo == SIGUSR1);
    asked.flags = 2;
    CHECK_FAILS(ptrace(PTRACE_PEEKSIGINFO, pid, &asked, infos), EINVAL);
    uint64_t mask = 0;
    CHECK(ptrace(PTRACE_GETSIGMASK, pid, 8, &mask) == 0 && mask & 1 << (SIGUSR1 - 1) && !(mask & 1 << (SIGKILL - 1)));
    mask = ~(1ull << (SIGUSR1 - 1));
    CHECK(ptrace(PTRACE_SETSIGMASK, pid, 8, &mask) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(STOPPED_BY(wait_status(pid), SIGUSR1));
    siginfo_t info;
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_pid == pid);
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGTERM) == 0); /* blocked: it waits */
    usleep(2000);
    CHECK(waitpid(pid, NULL, WNOHANG) == 0);
    kills(pid);
}

/* ---- A process that traces the threads of the process that it shares memory with, as LeakSanitizer's ----------------- */

static char stack[65536] __attribute__((aligned(16)));
static volatile int traced_threads[2], tracer_result;

static int traces_sharer(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        int status;
        struct user_regs_struct regs;
        if (ptrace(PTRACE_ATTACH, traced_threads[i], 0, 0) || waitpid(traced_threads[i], &status, __WALL) != traced_threads[i] ||
            !STOPPED_BY(status, SIGSTOP) || ptrace(PTRACE_GETREGS, traced_threads[i], 0, &regs) || !regs.rsp)
            return 1;
    }
    int count = shared->count;
    usleep(3000);
    if (shared->count != count)
        return 2;
    for (int i = 0; i < 2; i++)
        if (ptrace(PTRACE_DETACH, traced_threads[i], 0, 0))
            return 3;
    return 0;
}

static void sharer(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, count_too, NULL) == 0);
    await(&shared->count);
    traced_threads[0] = getpid();
    traced_threads[1] = shared->tid;
    int status, pid = clone(traces_sharer, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, NULL);
    CHECK(pid > 0);
    CHECK(waitpid(pid, &status, __WALL) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    int count = shared->count;
    while (shared->count == count)
        usleep(500);
}

static void shares_memory(void)
{
    int status = wait_status(start(sharer));
    CHECK(status == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "new") ? 1 : 11;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    attaches();
    attaches_to_thread();
    seizes();
    group_stop();
    fork_events();
    thread_events();
    all_threads_end();
    other_tracer();
    for (int i = 0; i < 4; i++)
        tracer_ends(i & 1, i & 2);
    memory();
    shares_memory();
    puts("events");
    return 0;
}
