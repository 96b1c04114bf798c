/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants out by the arguments of host calls that are admitted: operations, clocks, flags and pids that the
 * PAL never passes.  Each value is tried in a child of its own: it must be killed by the filter.  Those that the PAL
 * does pass must come back, or nothing were tried here.
 *
 * Then it looks for processes and threads outside.  Its arguments are pids and tids of the host; all numbers up to
 * 65536 are tried, too.  A call that names one must be killed whether it is there or not, or must answer the same for
 * all but the caller's own.
 *
 * Exit: 0 if so; else the offenders are printed.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "regression/hostile/raw.h"

#define HIGH (1l << 32)
#define LOW 0xffffffffl
#define PER_PROCESS_CLOCK(pid, kind) (long)(~(uint32_t)(pid) << 3 | (kind))
enum { LINUX_SPECIFIC = 1024, CHANNEL = 3, PIDS_MAX = 65536 };

static enum way first_way;
static int traps, bad;

static void offend(const char *what, long value, const char *how)
{
    printf("%s %#lx: %s\n", what, value, how);
    bad = 1;
}

/* Killed by the filter: by the kernel, or where that traps by the PAL, which takes its own refused call for a fault. */
static int refused(int status)
{
    return (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
           (traps && WIFEXITED(status) && !survived(status));
}

static void expect(const char *what, const struct arguments *x, long value, int admitted)
{
    for (int way = first_way; way < WAYS; way++) {
        int status = attempt(way, x, NO_CALL);
        if (admitted ? !survived(status) : !refused(status))
            offend(what, value, admitted ? "does not work" : survived(status) ? "went through" : "ended strangely");
    }
}

/* ---- Single values ----------------------------------------------------------------------------------------------- */

static uint32_t word = 1;

static void check_single(void)
{
    static const char text[] = "/etc/shadow";
    static const struct sockaddr address = {.sa_family = AF_UNIX};
    static const struct msghdr message = {.msg_name = (void *)&address, .msg_namelen = sizeof address};
    const struct { const char *what; struct arguments x; } cases[] = {
        {"clone with CLONE_NEWUSER", {SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"clone with CLONE_PARENT", {SYS_clone, {CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"clone with CLONE_PIDFD", {SYS_clone, {CLONE_PIDFD | CLONE_CHILD_SETTID | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"clone with high bits", {SYS_clone, {HIGH | CLONE_CHILD_SETTID | SIGCHLD, 0, 0, 0, 0, 0}}},
        {"fcntl F_SETFL O_ASYNC", {SYS_fcntl, {0, F_SETFL, O_ASYNC, 0, 0, 0}}},
        {"ioctl TIOCSTI, high bits", {SYS_ioctl, {0, HIGH | TIOCSTI, (long)text, 0, 0, 0}}},
        {"sendto with an address", {SYS_sendto, {CHANNEL, (long)text, 1, 0, (long)&address, sizeof address}}},
        {"sendto with an address, high bits", {SYS_sendto, {CHANNEL, (long)text, 1, 0, 1l << 40, sizeof address}}},
        {"sendto MSG_FASTOPEN, high bits", {SYS_sendto, {CHANNEL, (long)text, 1, HIGH | MSG_FASTOPEN, 0, 0}}},
        {"sendmsg", {SYS_sendmsg, {CHANNEL, (long)&message, 0, 0, 0, 0}}},
        {"sendmmsg", {SYS_sendmmsg, {CHANNEL, (long)&message, 1, 0, 0, 0}}},
        {"membarrier with flags", {SYS_membarrier, {MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 1, 0, 0, 0, 0}}},
        {"mmap MAP_HUGETLB", {SYS_mmap, {0, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0}}},
        {"mmap with other protection", {SYS_mmap, {0, 4096, 8, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}}},
        {"timer_settime TIMER_ABSTIME", {SYS_timer_settime, {0, TIMER_ABSTIME, 0, 0, 0, 0}}},
        {"x32 read", {0x40000000 | SYS_read, {0, 0, 0, 0, 0, 0}}},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].what, &cases[i].x, 0, 0);
}

/* ---- All values of one argument ---------------------------------------------------------------------------------- */

struct range {
    const char *what;
    struct arguments x; /* harmless but for argument `which` */
    unsigned which;
    long highest; /* 0 to it, each of 32 bits alone, and its complement, are tried */
    long admitted[16];
    unsigned count;
};

static int is_admitted(const struct range *range, long value)
{
    for (unsigned i = 0; i < range->count; i++)
        if (range->admitted[i] == (value & LOW))
            return 1;
    return 0;
}

static void try(const struct range *range, long value)
{
    struct arguments x = range->x;
    x.a[range->which] = value;
    expect(range->what, &x, value, is_admitted(range, value));
}

static void check_range(const struct range *range)
{
    for (long value = 0; value <= range->highest; value++)
        try(range, value);
    for (int bit = 0; bit < 32; bit++)
        if (1l << bit > range->highest) {
            try(range, 1l << bit);
            try(range, ~(1l << bit) & LOW);
        }
    for (unsigned i = 0; i < range->count; i++)
        try(range, HIGH | range->admitted[i]); /* the kernel takes an int: as without them */
}

/* Sets of flags: all subsets of a mask are admitted, no other bit is. */
static void check_flags(const char *what, struct arguments x, unsigned which, long mask)
{
    for (int bit = 0; bit < 32; bit++) {
        x.a[which] = 1l << bit;
        expect(what, &x, 1l << bit, (1l << bit & mask) != 0);
        if (1l << bit & mask)
            continue;
        x.a[which] = mask | 1l << bit;
        expect(what, &x, mask | 1l << bit, 0);
    }
    x.a[which] = mask;
    expect(what, &x, mask, 1);
    x.a[which] = 0;
    expect(what, &x, 0, 1);
}

static void check_operations(void)
{
    static const struct range ranges[] = {
        {"futex", {SYS_futex, {(long)&word, 0, 0, 0, 0, 0}}, 1, 15 | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
         {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE,
          FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE, FUTEX_WAKE_BITSET_PRIVATE,
          FUTEX_REQUEUE_PRIVATE, FUTEX_CMP_REQUEUE_PRIVATE},
         12},
        {"madvise", {SYS_madvise, {1, 4096, 0, 0, 0, 0}}, 2, 128,
         {MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE}, 7},
        {"membarrier", {SYS_membarrier, {0, 0, 0, 0, 0, 0}}, 0, 0,
         {MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
          MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE}, 3},
        {"timer_create", {SYS_timer_create, {0, 0, 0, 0, 0, 0}}, 0, 63, {CLOCK_MONOTONIC}, 1},
        {"clock_gettime", {SYS_clock_gettime, {0, 0, 0, 0, 0, 0}}, 0, 63,
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 16},
        {"prctl", {SYS_prctl, {0, 7, 0, 0, 0, 0}}, 0, 90, {PR_SET_SYSCALL_USER_DISPATCH}, 1},
        {"fcntl", {SYS_fcntl, {-1, 0, 0, 0, 0, 0}}, 1, 40,
         {F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_GETPIPE_SZ,
          F_SETPIPE_SZ, F_GET_SEALS, F_ADD_SEALS}, 12},
        {"ioctl", {SYS_ioctl, {-1, 0, 0, 0, 0, 0}}, 1, 0, {TCGETS, TIOCGWINSZ, FIONREAD}, 3},
    };
    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++)
        check_range(&ranges[i]);
    for (long number = LINUX_SPECIFIC; number < LINUX_SPECIFIC + 24; number++)
        if (!is_admitted(&ranges[6], number))
            try(&ranges[6], number);
    for (long number = 0x5400; number < 0x5500; number++) /* terminals', and FIOASYNC */
        if (!is_admitted(&ranges[7], number))
            try(&ranges[7], number);
    for (unsigned kind = 0; kind < 8; kind++) { /* the caller's own: the PAL names two of each process and thread */
        struct arguments x = {SYS_clock_gettime, {PER_PROCESS_CLOCK(0, kind) & LOW, 0, 0, 0, 0, 0}};
        expect("own clock", &x, kind, (kind & 3) < 2);
    }
}

static void check_all_flags(void)
{
    check_flags("preadv2", (struct arguments){SYS_preadv2, {-1, 0, 0, 0, 0, 0}}, 5, 0);
    check_flags("pwritev2", (struct arguments){SYS_pwritev2, {-1, 0, 0, 0, 0, 0}}, 5, RWF_NOWAIT);
    check_flags("mremap", (struct arguments){SYS_mremap, {1, 0, 0, 0, 1, 0}}, 3, MREMAP_MAYMOVE | MREMAP_FIXED);
    check_flags("mmap's protection", (struct arguments){SYS_mmap, {0, 0, 0, MAP_PRIVATE, -1, 0}}, 2,
                PROT_READ | PROT_WRITE | PROT_EXEC);
    check_flags("mmap", (struct arguments){SYS_mmap, {1, 0, 0, 0, -1, 0}}, 3,
                MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE | MAP_POPULATE);
    check_flags("pipe2", (struct arguments){SYS_pipe2, {0, 0, 0, 0, 0, 0}}, 1, O_NONBLOCK | O_DIRECT);
    check_flags("sendto", (struct arguments){SYS_sendto, {-1, 0, 0, 0, 0, 0}}, 3, MSG_DONTWAIT | MSG_NOSIGNAL);
    check_flags("accept4", (struct arguments){SYS_accept4, {-1, 0, 0, 0, 0, 0}}, 3, SOCK_NONBLOCK);
    check_flags("recvmsg", (struct arguments){SYS_recvmsg, {-1, 0, 0, 0, 0, 0}}, 2,
                MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL);
    check_flags("wait4", (struct arguments){SYS_wait4, {-1, 0, 0, 0, 0, 0}}, 2, WNOHANG);
    check_flags("timer_settime", (struct arguments){SYS_timer_settime, {99, 0, 0, 0, 0, 0}}, 1, 0);
    check_flags("getrandom", (struct arguments){SYS_getrandom, {0, 0, 0, 0, 0, 0}}, 2, 0);
    check_flags("rseq", (struct arguments){SYS_rseq, {1, 0, 0, 0, 0, 0}}, 2, RSEQ_FLAG_UNREGISTER);
}

/* ---- Processes and threads outside ------------------------------------------------------------------------------- */

/* Named by a clock or a PI futex: each attempt is the caller's last. */
static void check_named(long pid)
{
    for (unsigned kind = 0; kind < 8; kind++) {
        long clock = PER_PROCESS_CLOCK(pid, kind) & LOW;
        int timer;
        expect("clock_gettime of a pid", &(struct arguments){SYS_clock_gettime, {clock, 0, 0, 0, 0, 0}}, pid, 0);
        expect("timer_create of a pid", &(struct arguments){SYS_timer_create, {clock, 0, (long)&timer, 0, 0, 0}}, pid, 0);
    }
    word = (uint32_t)pid;
    for (int op = FUTEX_LOCK_PI; op <= FUTEX_TRYLOCK_PI; op++)
        expect("PI futex", &(struct arguments){SYS_futex, {(long)&word, op, 0, 0, 0, 0}}, pid, 0);
}

static long wait_for(long pid)
{
    return make(PAL_INSTRUCTION, &(struct arguments){SYS_wait4, {pid, 0, WNOHANG, 0, 0, 0}});
}

static long signal_by_timer(long tid)
{
    struct sigevent event = {.sigev_signo = SIGURG, .sigev_notify = SIGEV_THREAD_ID};
    int timer;
    event._sigev_un._tid = (int)tid;
    long result = make(PAL_INSTRUCTION,
                       &(struct arguments){SYS_timer_create, {CLOCK_MONOTONIC, (long)&event, (long)&timer, 0, 0, 0}});
    if (result == 0)
        make(PAL_INSTRUCTION, &(struct arguments){SYS_timer_delete, {timer, 0, 0, 0, 0, 0}});
    return result;
}

/* Calls that come back: the same must be said of all. */
static const struct { const char *what; long (*ask)(long pid); long answer; int own; } questions[] = {
    {"wait4", wait_for, -ECHILD, 0},
    {"timer's signal", signal_by_timer, -EINVAL, 1},
};

static int find_all(char **more)
{
    int found = 0;
    for (unsigned i = 0; i < sizeof questions / sizeof *questions; i++) {
        int others = 0;
        for (long pid = 1; pid < PIDS_MAX; pid++)
            others += questions[i].ask(pid) != questions[i].answer;
        for (char **at = more; *at; at++)
            if (atol(*at) >= PIDS_MAX)
                others += questions[i].ask(atol(*at)) != questions[i].answer;
        found |= (others != questions[i].own) << i;
    }
    return found;
}

static void check_found(char **more)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        dispatch_off();
        raw_call(SYS_exit_group, find_all(more), 0, 0, 0, 0, 0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        offend("looking for processes", status, "ended strangely");
    for (unsigned i = 0; i < sizeof questions / sizeof *questions; i++)
        if (WIFEXITED(status) && WEXITSTATUS(status) & 1 << i)
            offend(questions[i].what, 0, "found more than its own");
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IONBF, 0);
    int way = ways_begin();
    if (way < 0)
        return 2;
    traps = way == PAL_INSTRUCTION;
    first_way = (enum way)way;
    check_single();
    first_way = PAL_INSTRUCTION; /* the filter does not look at where a call comes from: calls.c has seen that */
    check_operations();
    check_all_flags();
    for (char **at = argv + 1; *at && at - argv <= 40; at++)
        check_named(atol(*at));
    check_found(argv + 1);
    return bad;
}
