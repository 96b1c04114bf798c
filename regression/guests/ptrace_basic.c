/* SPDX-License-Identifier: MIT */
/*
 * A parent traces its child: stops at signals, exec and system calls, registers and memory read and changed, signals held
 * back and put in, breakpoints, steps; and what is refused.
 */
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile long word = 0x1122334455667788;
static volatile int handled;

static void handler(int signal)
{
    handled += signal;
}

__attribute__((noinline)) static long broken(long a)
{
    __asm__ volatile("" ::: "memory");
    return a + 1;
}

/* A child that is traced and has stopped at its first SIGSTOP. */
static pid_t child(int (*run)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
        CHECK_FAILS(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
        raise(SIGSTOP);
        _exit(run());
    }
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    return pid;
}

static int wait_status(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static void ends(pid_t pid, int code)
{
    int status = wait_status(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
    CHECK_FAILS(ptrace(PTRACE_CONT, pid, 0, 0), ESRCH);
}

static struct user_regs_struct registers(pid_t pid)
{
    struct user_regs_struct regs;
    CHECK(ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0);
    return regs;
}

/* ---- Memory and registers ---------------------------------------------------------------------------------------- */

static int returns_word(void)
{
    return word == 0x0102030405060708 ? 7 : 8;
}

static void memory(void)
{
    pid_t pid = child(returns_word);
    long got, text = 0;
    errno = 0;
    CHECK(ptrace(PTRACE_PEEKDATA, pid, &word, 0) == 0x1122334455667788 && errno == 0);
    CHECK(syscall(SYS_ptrace, PTRACE_PEEKTEXT, pid, (long)broken, &got) == 0);
    memcpy(&text, (const void *)(uintptr_t)broken, sizeof text);
    CHECK(got == text);
    CHECK_FAILS(ptrace(PTRACE_PEEKDATA, pid, 16, 0), EIO);
    CHECK_FAILS(ptrace(PTRACE_POKEDATA, pid, 16, 0), EIO);
    CHECK(ptrace(PTRACE_POKEDATA, pid, &word, 0x0102030405060708) == 0);
    CHECK(ptrace(PTRACE_POKETEXT, pid, broken, text) == 0);
    CHECK(word == 0x1122334455667788);

    struct user_regs_struct regs = registers(pid), set;
    CHECK(regs.cs == 0x33 && regs.ss == 0x2b && regs.rsp && regs.fs_base && regs.rax == 0);
    CHECK(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 0) == (long)regs.rip);
    CHECK_FAILS(ptrace(PTRACE_PEEKUSER, pid, 1, 0), EIO);
    CHECK_FAILS(ptrace(PTRACE_PEEKUSER, pid, sizeof(struct user) + 64, 0), EIO);
    errno = 0;
    ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), 0);
    CHECK(errno == 0);
    struct iovec vector = {&set, sizeof set};
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector) == 0 && vector.iov_len == sizeof set);
    CHECK(memcmp(&regs, &set, sizeof set) == 0);
    vector.iov_len = 16;
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector) == 0 && vector.iov_len == 16);
    vector.iov_len = 17;
    CHECK_FAILS(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector), EINVAL);
    set = regs;
    set.fs_base = -1;
    CHECK_FAILS(ptrace(PTRACE_SETREGS, pid, 0, &set), EIO);
    CHECK(ptrace(PTRACE_SETREGS, pid, 0, &regs) == 0);

    struct user_fpregs_struct fp, again;
    CHECK(ptrace(PTRACE_GETFPREGS, pid, 0, &fp) == 0 && fp.cwd == 0x37f && fp.mxcsr == 0x1f80);
    fp.xmm_space[60] = 77;
    CHECK(ptrace(PTRACE_SETFPREGS, pid, 0, &fp) == 0);
    CHECK(ptrace(PTRACE_GETFPREGS, pid, 0, &again) == 0 && again.xmm_space[60] == 77);
    unsigned char area[8192] = {0};
    vector = (struct iovec){area, sizeof area};
    CHECK(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &vector) == 0 && vector.iov_len >= 576);
    CHECK((area[464] & 3) == 3);
    CHECK(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector) == 0);

    uint64_t mask = 0;
    CHECK(syscall(SYS_ptrace, PTRACE_GETSIGMASK, pid, 8, &mask) == 0 && mask == 0);
    CHECK(syscall(SYS_ptrace, PTRACE_GETSIGMASK, pid, 4, &mask) == -1 && errno == EINVAL);
    CHECK_FAILS(ptrace(PTRACE_CONT, pid, 0, 65), EIO);
    CHECK_FAILS(syscall(SYS_ptrace, 4711, pid, 0, 0), EIO);
    CHECK_FAILS(syscall(SYS_ptrace, PTRACE_LISTEN, pid, 0, 0), EIO);
    CHECK_FAILS(ptrace(PTRACE_SETOPTIONS, pid, 0, 0x8000), EINVAL);
    CHECK_FAILS(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    ends(pid, 7);
}

/* ---- Signals ------------------------------------------------------------------------------------------------------- */

static int takes_signals(void)
{
    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    raise(SIGUSR1); /* held back */
    CHECK(handled == 0);
    raise(SIGUSR1); /* changed */
    CHECK(handled == SIGUSR2);
    raise(SIGCHLD); /* told, although it is ignored */
    raise(SIGTERM); /* held back */
    raise(SIGUSR1);
    CHECK(handled == SIGUSR2 + SIGUSR1);
    *(volatile int *)8 = 1;
    return 0;
}

static void stops_with(pid_t pid, int signal, int code)
{
    siginfo_t info;
    int status = wait_status(pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == signal && status >> 16 == 0);
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_signo == signal && info.si_code == code);
}

static void signals(void)
{
    pid_t pid = child(takes_signals);
    siginfo_t info;
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGUSR1, SI_TKILL);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGUSR1, SI_TKILL);
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGUSR2) == 0);
    stops_with(pid, SIGCHLD, SI_TKILL);
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGCHLD) == 0);
    CHECK(waitid(P_PID, pid, &info, WEXITED | WSTOPPED) == 0);
    CHECK(info.si_signo == SIGCHLD && info.si_code == CLD_TRAPPED && info.si_status == SIGTERM && info.si_pid == pid);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGUSR1, SI_TKILL);
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGUSR1) == 0);
    stops_with(pid, SIGSEGV, SEGV_MAPERR);
    CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_addr == (void *)8);
    CHECK(ptrace(PTRACE_CONT, pid, 0, SIGSEGV) == 0);
    int status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- Calls --------------------------------------------------------------------------------------------------------- */

static int calls(void)
{
    CHECK(syscall(SYS_getppid) == 4711); /* the result was changed */
    CHECK(syscall(SYS_getuid) == syscall(SYS_gettid)); /* another was made */
    CHECK_FAILS(syscall(SYS_close, 4712), EBADF);
    CHECK_FAILS(syscall(SYS_getegid), ENOSYS); /* none was made */
    return 9;
}

/* Goes on to the next stop at a call. */
static struct __ptrace_syscall_info next_call(pid_t pid, int op)
{
    struct __ptrace_syscall_info info;
    CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    int status = wait_status(pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
    long size = syscall(SYS_ptrace, PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    CHECK(info.op == op && info.arch == 0xc000003e);
    CHECK(size == (op == PTRACE_SYSCALL_INFO_ENTRY ? 80 : 33));
    return info;
}

/* At the entry of the next call of that number. */
static struct __ptrace_syscall_info enters(pid_t pid, unsigned long number)
{
    struct __ptrace_syscall_info info;
    while ((info = next_call(pid, PTRACE_SYSCALL_INFO_ENTRY)).entry.nr != number)
        next_call(pid, PTRACE_SYSCALL_INFO_EXIT);
    return info;
}

static void system_calls(void)
{
    pid_t pid = child(calls);
    unsigned long message;
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    enters(pid, SYS_getppid);
    struct user_regs_struct regs = registers(pid);
    CHECK(regs.orig_rax == SYS_getppid && (long)regs.rax == -ENOSYS);
    CHECK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && message == 1);
    unsigned long rip = regs.rip;
    CHECK((ptrace(PTRACE_PEEKTEXT, pid, rip - 2, 0) & 0xffff) == 0x050f);
    struct __ptrace_syscall_info info = next_call(pid, PTRACE_SYSCALL_INFO_EXIT);
    CHECK(info.exit.rval == getpid() && !info.exit.is_error);
    regs = registers(pid);
    CHECK(regs.orig_rax == SYS_getppid && (long)regs.rax == getpid() && regs.rip == rip && regs.rcx == rip);
    regs.rax = 4711;
    CHECK(ptrace(PTRACE_SETREGS, pid, 0, &regs) == 0);

    enters(pid, SYS_getuid);
    CHECK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), SYS_gettid) == 0);
    CHECK(next_call(pid, PTRACE_SYSCALL_INFO_EXIT).exit.rval == pid);

    info = enters(pid, SYS_close);
    CHECK(info.entry.args[0] == 4712);
    info = next_call(pid, PTRACE_SYSCALL_INFO_EXIT);
    CHECK(info.exit.rval == -EBADF && info.exit.is_error);

    enters(pid, SYS_getegid);
    CHECK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1) == 0);
    CHECK(next_call(pid, PTRACE_SYSCALL_INFO_EXIT).exit.rval == -ENOSYS);
    enters(pid, SYS_exit_group);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    ends(pid, 9);
}

/* A call that a signal interrupts is made again, or not. */
static int interrupted(void)
{
    char byte;
    int ends[2];
    CHECK(pipe(ends) == 0);
    signal(SIGUSR1, handler); /* SA_RESTART */
    long got = syscall(SYS_read, ends[0], &byte, 1);
    CHECK(got == 4713 && handled == SIGUSR1);
    return 10;
}

static void restarts(void)
{
    pid_t pid = child(interrupted);
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    enters(pid, SYS_read);
    CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    usleep(20000);
    CHECK(kill(pid, SIGUSR1) == 0);
    int status = wait_status(pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
    CHECK((long)registers(pid).rax == -512); /* ERESTARTSYS */
    CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    status = wait_status(pid);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
    struct user_regs_struct regs = registers(pid);
    CHECK(regs.orig_rax == SYS_read && (long)regs.rax == -512);
    CHECK(ptrace(PTRACE_SYSCALL, pid, 0, SIGUSR1) == 0);
    status = wait_status(pid); /* the handler's sigreturn */
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) && registers(pid).orig_rax == SYS_rt_sigreturn);
    next_call(pid, PTRACE_SYSCALL_INFO_EXIT);
    CHECK(next_call(pid, PTRACE_SYSCALL_INFO_ENTRY).entry.nr == SYS_read);
    CHECK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1) == 0);
    CHECK(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), 4713) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    ends(pid, 10);
}

/* ---- Breakpoints and steps ---------------------------------------------------------------------------------------- */

static int breaks(void)
{
    for (int i = 0; i < 50; i++) /* its site is often used, and so it is rewritten */
        syscall(SYS_getppid);
    raise(SIGSTOP);
    return (int)broken(20) + (syscall(SYS_getppid) == getppid());
}

static void breakpoints(void)
{
    pid_t pid = child(breaks);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGSTOP, SI_TKILL);
    long text = ptrace(PTRACE_PEEKTEXT, pid, broken, 0);
    CHECK(ptrace(PTRACE_POKETEXT, pid, broken, (text & ~0xffl) | 0xcc) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGTRAP, SI_KERNEL);
    struct user_regs_struct regs = registers(pid);
    CHECK(regs.rip == (unsigned long)broken + 1 && regs.rdi == 20);
    CHECK(ptrace(PTRACE_POKETEXT, pid, broken, text) == 0);
    regs.rip--;
    regs.rdi = 30;
    CHECK(ptrace(PTRACE_SETREGS, pid, 0, &regs) == 0);
    int steps = 0, calls = 0;
    /* To the end of the call of getppid, an instruction at a time. */
    for (unsigned long before = 0; steps < 2000 && !calls; steps++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
        int status = wait_status(pid);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
        regs = registers(pid);
        CHECK(regs.rip != before && !(regs.eflags & 0x100));
        before = regs.rip;
        long code = ptrace(PTRACE_PEEKTEXT, pid, regs.rip, 0);
        if ((code & 0xffff) == 0x050f && regs.rax == SYS_getppid) {
            CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
            CHECK(WIFSTOPPED(wait_status(pid)));
            regs = registers(pid);
            CHECK(regs.rip == before + 2 && (long)regs.rax == getpid());
            calls++;
        }
    }
    CHECK(calls == 1);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    ends(pid, 32);
}

/* ---- exec, detaching, dying ------------------------------------------------------------------------------------------ */

static int execs(void)
{
    execl("/proc/self/exe", "ptrace_basic", "new", NULL);
    return 1;
}

static void exec_stops(void)
{
    pid_t pid = child(execs);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    stops_with(pid, SIGTRAP, SI_USER);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    ends(pid, 11);
    pid = child(execs);
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT) == 0);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    int status = wait_status(pid);
    unsigned long message;
    CHECK(status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8));
    CHECK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && (pid_t)message == pid);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    status = wait_status(pid);
    CHECK(status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8));
    CHECK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && message == 11 << 8);
    CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
    CHECK_FAILS(ptrace(PTRACE_CONT, pid, 0, 0), ESRCH);
    ends(pid, 11);
}

static int sleeps(void)
{
    for (;;)
        pause();
    return 0;
}

static void tracer_of(pid_t pid, int wanted)
{
    char path[64], line[128];
    int tracer = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    CHECK(file);
    while (fgets(line, sizeof line, file))
        sscanf(line, "TracerPid: %d", &tracer);
    fclose(file);
    CHECK(tracer == wanted);
}

static void endings(void)
{
    pid_t pid = child(sleeps);
    tracer_of(pid, getpid());
    CHECK(kill(pid, SIGKILL) == 0);
    int status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    pid = child(sleeps);
    CHECK(ptrace(PTRACE_KILL, pid, 0, 0) == 0);
    status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

    pid = child(sleeps); /* detached with a signal */
    CHECK(ptrace(PTRACE_DETACH, pid, 0, SIGTERM) == 0);
    status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    pid = child(sleeps);
    CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK_FAILS(ptrace(PTRACE_PEEKUSER, pid, 0, 0), ESRCH); /* it runs */
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    CHECK(kill(pid, SIGKILL) == 0);
    wait_status(pid);
    CHECK_FAILS(ptrace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
    CHECK_FAILS(ptrace(PTRACE_ATTACH, 4000000, 0, 0), ESRCH);
    CHECK_FAILS(ptrace(PTRACE_CONT, getppid(), 0, 0), ESRCH);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "new") ? 1 : 11;
    memory();
    signals();
    system_calls();
    restarts();
    breakpoints();
    exec_stops();
    endings();
    puts("traced");
    return 0;
}
