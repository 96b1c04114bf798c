/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants out by host calls.  It issues every number from 0 to 600 in three ways - from its own code, from a copy
 * of `syscall; ret` in fresh memory, and by jumping onto the PAL's own instruction with dispatch switched off - each in a
 * child of its own, and counts what the host let through.  Anything that is not in the table of admitted calls, and any
 * admitted call with arguments that the table does not admit, must kill the caller.
 *
 * Exit: 0 if so; else the offenders are printed.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pal/pal.h"

enum { HIGHEST = 600, SURVIVED = 42 };

/* The kernel lets these past any filter (seccomp_uprobe_exception): outside a probe that it placed itself they do nothing. */
enum { URETPROBE = 335, UPROBE = 336 };

static const char *admitted_name[HIGHEST + 1];

static void read_table(void)
{
#define HOSTCALL(name, reason) admitted_name[SYS_##name] = #name;
#define HOSTCALL_IF(name, argument, mask, value, reason) admitted_name[SYS_##name] = #name;
#define HOSTCALL_IF2(name, a, ma, va, b, mb, vb, reason) admitted_name[SYS_##name] = #name;
#include "pal/linux/hostcalls.def"
}

typedef long (*raw_call)(long number, long a, long b, long c, long d, long e, long f);

/* Loads the registers as the kernel wants them and calls `instruction`, which holds `syscall; ret`. */
__attribute__((used)) static uint64_t instruction;
long through(long number, long a, long b, long c, long d, long e, long f);
__asm__("through: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n mov %r9, %r8\n"
        "mov 8(%rsp), %r9\n jmp *instruction(%rip)\n");

static uint64_t find_pal_instruction(void)
{
    const unsigned char *text = (const unsigned char *)PAL_HOST_BASE;
    for (int i = 0; i < 1 << 16; i++)
        if (text[i] == 0x0f && text[i + 1] == 0x05 && text[i + 2] == 0xc3)
            return (uint64_t)(text + i);
    return 0;
}

struct arguments {
    long number, a[6];
};

/* What a curious but harmless caller would pass. */
static struct arguments benign(int number)
{
    struct arguments x = {number, {-1, -1, -1, -1, -1, -1}};
    switch (number) {
    case SYS_fcntl: x.a[1] = F_GETFL; break;
    case SYS_ioctl: x.a[1] = TCGETS; break;
    case SYS_sendto: x.a[3] = x.a[4] = 0; break;
    case SYS_prctl: x.a[0] = PR_SET_SYSCALL_USER_DISPATCH; break;
    case SYS_clone: x.a[0] = CLONE_CHILD_SETTID | SIGCHLD; x.a[1] = 0; break;
    default: break;
    }
    return x;
}

enum way { OWN_CODE, FRESH_MEMORY, PAL_INSTRUCTION, WAYS };
static const char *const way_names[] = {"own code", "fresh memory", "the PAL's instruction"};
static uint64_t pal_instruction, fresh;
static int first_way;

extern char own_instruction[];
__asm__("own_instruction: syscall\n ret\n");

/* True if the host let the call through.  `off`: dispatch is switched off first, so that nothing but the filter is left. */
static int let_through(enum way way, const struct arguments *x, int off)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (off) {
            instruction = pal_instruction;
            through(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
        }
        instruction = way == OWN_CODE ? (uint64_t)own_instruction : way == FRESH_MEMORY ? fresh : pal_instruction;
        long result = through(x->number, x->a[0], x->a[1], x->a[2], x->a[3], x->a[4], x->a[5]);
        int mark = result == -ENOSYS && !admitted_name[x->number] ? 0 : SURVIVED;
        instruction = pal_instruction;
        through(SYS_exit_group, mark, 0, 0, 0, 0, 0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (x->number == SYS_exit || x->number == SYS_exit_group)
        return WIFEXITED(status) && WEXITSTATUS(status) == 255;
    if (x->number == SYS_rt_sigreturn) /* admitted: dies of a senseless frame, not of the filter */
        return WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS;
    return WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED;
}

/* With the trap by seccomp there is nothing to switch off: the libOS goes on serving the guest's own instructions. */
static int served_by_libos(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        instruction = pal_instruction;
        through(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
        instruction = (uint64_t)own_instruction;
        long result = through(HIGHEST, 0, 0, 0, 0, 0, 0); /* no such call: the filter kills, the libOS answers */
        instruction = pal_instruction;
        through(SYS_exit_group, result == -ENOSYS ? SURVIVED : 0, 0, 0, 0, 0, 0);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED;
}

static int check_way(enum way way)
{
    int admitted = 0, bad = 0;
    for (int number = 0; number <= HIGHEST; number++) {
        if (number == URETPROBE || number == UPROBE)
            continue;
        struct arguments x = benign(number);
        int through_it = let_through(way, &x, 1);
        if (through_it < 0) {
            printf("fork failed at %d\n", number);
            return 1;
        }
        admitted += through_it;
        if (through_it && !admitted_name[number]) {
            printf("%s: call %d went through\n", way_names[way], number);
            bad = 1;
        }
    }
    printf("%s: %d host calls admitted\n", way_names[way], admitted);
    return bad || admitted > 45 || admitted == 0;
}

/* Admitted calls with what the table does not admit. */
static int check_arguments(void)
{
    static const char secret[] = "/etc/shadow";
    const struct sockaddr address = {.sa_family = AF_UNIX};
    const struct msghdr message = {.msg_name = (void *)&address, .msg_namelen = sizeof address};
    const struct { const char *what; struct arguments x; } cases[] = {
        {"clone with CLONE_NEWUSER", {SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"clone with CLONE_PARENT", {SYS_clone, {CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"clone with high bits", {SYS_clone, {(1l << 32) | CLONE_CHILD_SETTID | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"fcntl F_SETOWN", {SYS_fcntl, {0, F_SETOWN, 1, 0, 0, 0}}},
        {"fcntl F_SETSIG", {SYS_fcntl, {0, F_SETSIG, 9, 0, 0, 0}}},
        {"fcntl F_DUPFD", {SYS_fcntl, {0, F_DUPFD, 100, 0, 0, 0}}},
        {"fcntl F_SETFL O_ASYNC", {SYS_fcntl, {0, F_SETFL, O_ASYNC, 0, 0, 0}}},
        {"ioctl TIOCSTI", {SYS_ioctl, {0, TIOCSTI, (long)secret, 0, 0, 0}}},
        {"ioctl TIOCLINUX", {SYS_ioctl, {0, TIOCLINUX, (long)secret, 0, 0, 0}}},
        {"ioctl TIOCSTI, high bits", {SYS_ioctl, {0, (1l << 32) | TIOCSTI, (long)secret, 0, 0, 0}}},
        {"sendto with an address", {SYS_sendto, {3, (long)secret, 1, 0, (long)&address, sizeof address}}},
        {"sendto with an address, high bits", {SYS_sendto, {3, (long)secret, 1, 0, 1l << 40, sizeof address}}},
        {"sendto MSG_FASTOPEN", {SYS_sendto, {3, (long)secret, 1, MSG_FASTOPEN, 0, 0}}},
        {"sendto MSG_FASTOPEN, high bits", {SYS_sendto, {3, (long)secret, 1, (1l << 32) | MSG_FASTOPEN, 0, 0}}},
        {"sendmsg", {SYS_sendmsg, {3, (long)&message, 0, 0, 0, 0}}},
        {"sendmmsg", {SYS_sendmmsg, {3, (long)&message, 1, 0, 0, 0}}},
        {"prctl PR_SET_DUMPABLE", {SYS_prctl, {PR_SET_DUMPABLE, 0, 0, 0, 0, 0}}},
        {"prctl PR_SET_PDEATHSIG", {SYS_prctl, {PR_SET_PDEATHSIG, 0, 0, 0, 0, 0}}},
        {"prctl PR_SET_MM", {SYS_prctl, {PR_SET_MM, 0, 0, 0, 0, 0}}},
        {"x32 read", {0x40000000 | SYS_read, {0, 0, 0, 0, 0, 0}}},
    };
    int bad = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int way = first_way; way < WAYS; way++) {
            pid_t pid = fork();
            if (pid == 0) {
                instruction = pal_instruction;
                through(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0, 0);
                const struct arguments *x = &cases[i].x;
                instruction = way == OWN_CODE ? (uint64_t)own_instruction : way == FRESH_MEMORY ? fresh : pal_instruction;
                long result = through(x->number, x->a[0], x->a[1], x->a[2], x->a[3], x->a[4], x->a[5]);
                instruction = pal_instruction;
                through(SYS_exit_group, result == -ENOSYS ? 0 : SURVIVED, 0, 0, 0, 0, 0);
            }
            int status;
            if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED)) {
                printf("%s went through by %s\n", cases[i].what, way_names[way]);
                bad = 1;
            }
        }
    }
    return bad;
}

int main(void)
{
    read_table();
    setvbuf(stdout, NULL, _IONBF, 0);
    pal_instruction = find_pal_instruction();
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!pal_instruction || memory == MAP_FAILED) {
        printf("no PAL here: this program is for pal-run\n");
        return 2;
    }
    memcpy(memory, "\x0f\x05\xc3", 3);
    fresh = (uint64_t)memory;
    int bad = 0;
    first_way = served_by_libos() ? PAL_INSTRUCTION : OWN_CODE;
    if (first_way == PAL_INSTRUCTION)
        printf("own code, fresh memory: every call traps, whatever the guest does: none reaches the host\n");
    for (int way = first_way; way < WAYS; way++)
        bad |= check_way(way);
    return check_arguments() || bad;
}
