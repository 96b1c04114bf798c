/* SPDX-License-Identifier: MIT */
/*
 * The first picoprocess: a fresh image with an empty environment, only the descriptors it needs, its own session, and
 * nothing it could gain or keep: no new privileges, no capabilities, limits, and under root an unused user id of its
 * own.
 *
 * It is started before anything else, libc's own start included: on some machines that takes longer (CPUID under a
 * hypervisor) than all that pal-run does, and so both run side by side.  The picoprocess gets ready up to where it must
 * be told something, and waits for start_go's packet.
 *
 * Therefore: this file calls no libc function and has no stack protector (there is no TLS yet; see rules.mk).  The
 * child shares pal-run's memory until its exec, on a stack of its own; what it can't do it says in `launched`.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/auxvec.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <sched.h>
#include <linux/personality.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "loader/launch/launch.h"
#include "loader/supervise/supervise.h"
#include "pal/linux/syscall.h"

/* User ids far above what distributions give out.  The pid is in it, so no two sandboxes share one; another container's
 * sandbox may have the same pid: random bits. */
#define UNUSED_IDS 0x40000000u
#define PID_BITS 22
#define RANDOM_IDS 128u
#define DECISION_PAUSE_NS 2000000 /* then it is looked whether the child is alive */
#define FD_ASIDE 40            /* descriptors wait here until their place is free; the kernel's first table has 64 */
#define MASK_SIZE 8            /* the kernel's sigset_t */

struct launched launched;

/* For the child, which starts with an empty stack. */
static const char *file_of_ours;    /* what pal-run was executed as */
static char *const *arguments;      /* its argv */
static const char *chosen;          /* --picoprocess */
static bool asked_strict;           /* PAL_RUN_WALLS=monitor */
static int logged_to;
static char child_stack[4096] __attribute__((aligned(16)));

/* ---- In the child ------------------------------------------------------------------------------------------------ */

void launch_decide(void)
{
    launched.decided = 1;
    host_call(futex, &launched.decided, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void launch_leave(const char *failed, int64_t error)
{
    launched.error = (int)-error;
    launched.failed = failed;
    launch_decide();
    for (;;)
        host_call(exit_group, EXIT_OWN_FAILURE);
}

void launch_must(int64_t result, const char *failed)
{
    if (result < 0)
        launch_leave(failed, result);
}

static uint64_t hard_limit(int resource)
{
    struct rlimit64 value = {0, 0};
    launch_must(host_call(prlimit64, 0, resource, NULL, &value), "can't read resource limits");
    return value.rlim_max;
}

static void limit(int resource, uint64_t most)
{
    const struct rlimit64 value = {most, most};
    launch_must(host_call(prlimit64, 0, resource, &value, NULL), "can't set resource limits");
}

/* No file has room in one byte, and a program that takes cores is not even run: see core(5). */
static void limit_cores(void)
{
    limit(RLIMIT_CORE, hard_limit(RLIMIT_CORE) ? 1 : 0);
}

/* Timers and queued signals count for the user, whose other programs need some, too. */
static void limit_pending(void)
{
    uint64_t most = hard_limit(RLIMIT_SIGPENDING);
    limit(RLIMIT_SIGPENDING, most - most / 4 * 3);
}

/*
 * Root's own user id would own root's files, if ever a descriptor led to one.  Where ids can't be changed (a container
 * without CAP_SETUID) having no capability must do.  The bounding set is left: under no_new_privs no exec gives
 * anything.
 */
static void drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (host_call(geteuid) == 0) {
        uint64_t id = UNUSED_IDS + (launched.random % RANDOM_IDS << PID_BITS) + (uint64_t)host_call(getpid);
        launched.id = (uint32_t)id;
        if (host_call(setgroups, 0, NULL) < 0 || host_call(setresgid, id, id, id) < 0 || host_call(setresuid, id, id, id) < 0) {
            launched.id = 0;
            monitor_names("root can't change its user id here");
        }
    }
    host_call(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    launch_must(host_call(capset, &header, none), "can't drop capabilities");
    launch_must(host_call(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "the host refuses no_new_privs");
}

static const uint64_t interrupts = 1ull << (LINUX_INTERRUPT_SIGNAL - 1);

/* All signals as a new program expects them; interrupts wait until the PAL has a handler for them. */
static void reset_signals(void)
{
    host_call(rt_sigprocmask, SIG_SETMASK, &interrupts, NULL, MASK_SIZE);
}

/*
 * A terminal that could be read would be read in the background, too: this session is not the terminal's, so the kernel
 * does not ask which job is in front.  Opened anew for writing only; keys are the monitor's to give (monitor/terminal.c).
 *
 * Pipes are opened anew, too, so that O_NONBLOCK is the guest's own affair.  One opening for all streams that are the same
 * object, since they share flags.  What can't be opened (another user's, no /proc) stays as it is.
 */
static void reopen_streams(void)
{
    static struct stat status[3];
    static bool anew[3];
    static char name[] = "/proc/self/fd/0";
    for (int fd = 0; fd <= 2; fd++) {
        int same = 0;
        bool terminal = launched.terminals & 1u << fd;
        anew[fd] = false;
        if ((!terminal && !S_ISFIFO(launched.streams[fd])) || host_call(fstat, fd, &status[fd]) < 0)
            continue;
        int64_t flags = host_call(fcntl, fd, F_GETFL), access = terminal ? O_WRONLY : flags & O_ACCMODE;
        while (same < fd && !(anew[same] && status[same].st_ino == status[fd].st_ino &&
                              status[same].st_dev == status[fd].st_dev &&
                              (host_call(fcntl, same, F_GETFL) & O_ACCMODE) == access))
            same++;
        name[sizeof name - 2] = (char)('0' + fd);
        int64_t opened = same < fd ? same : host_call(open, name, access | O_NOCTTY | O_NONBLOCK);
        if (opened < 0)
            continue;
        anew[fd] = true;
        host_call(dup2, opened, fd);
        if (same == fd)
            host_call(close, opened);
        host_call(fcntl, fd, F_SETFL, flags);
    }
}

/* What the picoprocess is to have, and could open by no name. */
struct opened {
    int64_t program, score, stack;
};

static void place_descriptors(const struct opened *opened)
{
    int64_t fds[] = {launched.inner, launched.segment, logged_to, opened->score, opened->stack, opened->program};
    const int count = sizeof fds / sizeof *fds;
    for (int i = 0; i < count; i++) {
        fds[i] = host_call(fcntl, fds[i], F_DUPFD_CLOEXEC, FD_ASIDE);
        if (fds[i] < 0 && LINUX_FD_CHANNEL + i != LINUX_FD_SCORE && LINUX_FD_CHANNEL + i != LINUX_FD_STACK)
            launch_leave("can't place descriptors", fds[i]);
    }
    host_call(close, LINUX_FD_SCORE);
    host_call(close, LINUX_FD_STACK);
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0)
            launch_must(host_call(dup3, fds[i], LINUX_FD_CHANNEL + i, i == count - 1 ? O_CLOEXEC : 0), "can't place descriptors");
    launch_must(host_call(close_range, LINUX_FD_PROGRAM + 1, ~0u, 0), "can't close descriptors (Linux 5.9 or later can)");
}

/* pal-run's own file holds the picoprocess's program, too: entry.S goes by the name in argv.  No other file is looked for,
 * so there is none that a guest could plant.  Only a host without /proc is asked by the name pal-run was called by. */
static int64_t open_program(void)
{
    int64_t fd = host_call(open, chosen ? chosen : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd != -ENOENT || chosen || !file_of_ours)
        return fd;
    monitor_names("the host has no /proc");
    return host_call(open, file_of_ours, O_RDONLY | O_CLOEXEC);
}

/* What is opened by name: there are none for it afterwards. */
static void open_all(struct opened *opened)
{
    opened->program = open_program();
    if (opened->program < 0)
        launch_leave(chosen ? chosen : "pal-run's own file", opened->program);
    opened->score = host_call(open, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    opened->stack = host_call(open, "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", O_RDONLY | O_CLOEXEC);
}

static void execute(void)
{
    /* The second word tells it to wait: see pal/linux/start.c. */
    static const char *const argv[] = {"picoprocess", "wait", NULL}, *const environment[] = {NULL};
    launch_leave(chosen ? chosen : "pal-run's own file",
          host_call(execveat, LINUX_FD_PROGRAM, "", argv, environment, AT_EMPTY_PATH));
}

static void child(void)
{
    struct opened opened;
    reset_signals();
    /* The host's vDSO then lies at the top, where it can stay: to move it costs a tenth of a millisecond.  What is at fixed
     * places is the host's part alone; guests get places of their own from the libOS.  May be refused (a container's
     * filter): then the PAL moves it. */
    host_call(personality, ADDR_NO_RANDOMIZE);
    launch_must(host_call(setsid), "can't make a session");
    limit_cores();
    limit_pending();
    reopen_streams();
    open_all(&opened);
    wall_in_names();
    drop_privileges();
    check_walls();
    /* After the ids, whose change takes it back.  pal-run may be gone already. */
    launch_must(host_call(prctl, PR_SET_PDEATHSIG, SIGKILL), "can't bind its life to pal-run's");
    if (host_call(getppid) != launched.parent)
        launch_leave("pal-run is gone", 0);
    place_descriptors(&opened);
    execute();
}

/* ---- In pal-run -------------------------------------------------------------------------------------------------- */

/* 0, 1 and 2 must be something, or what is opened next would become the guest's standard streams. */
static int64_t open_standard_streams(void)
{
    struct stat status;
    for (int fd = 0; fd <= 2; fd++) {
        if (host_call(fstat, fd, &status) == -EBADF &&
            (host_call(open, "/dev/null", fd ? O_WRONLY : O_RDONLY) != fd || host_call(fstat, fd, &status) < 0))
            return -EBADF;
        launched.streams[fd] = status.st_mode;
    }
    return 0;
}

/* Those that can be read: see reopen_streams. */
static void find_terminals(void)
{
    struct termios modes;
    launched.terminals = 0;
    for (int fd = 0; fd <= 2; fd++)
        if (S_ISCHR(launched.streams[fd]) && host_call(ioctl, fd, TCGETS, &modes) == 0 &&
            (host_call(fcntl, fd, F_GETFL) & O_ACCMODE) == O_RDWR)
            launched.terminals |= 1u << fd;
}

/* What it needs to confine itself.  The rest of the segment follows, by segment_fill. */
static int64_t begin_segment(uint32_t trap)
{
    static struct linux_shared shared;
    size_t count, view_count, refusal_count;
    const struct sock_filter *filter = filter_program(trap == LINUX_TRAP_SECCOMP, false, &count);
    const struct sock_filter *view_filter = filter_program(trap == LINUX_TRAP_SECCOMP, true, &view_count);
    const struct sock_filter *refusal = filter_refusal(launched.refused, &refusal_count);
    shared.magic = PAL_IMAGE_MAGIC;
    shared.version = MONITOR_VERSION;
    shared.trap = trap;
    shared.names = launched.names;
    shared.filter = (struct linux_filter){PAL_SHARED_BASE + sizeof shared, count};
    shared.view_filter = (struct linux_filter){shared.filter.program + count * sizeof *filter, view_count};
    shared.refusal = (struct linux_filter){shared.view_filter.program + view_count * sizeof *filter, refusal_count};
    const struct iovec parts[4] = {{&shared, sizeof shared},
                                   {(void *)filter, count * sizeof *filter},
                                   {(void *)view_filter, view_count * sizeof *filter},
                                   {(void *)refusal, refusal_count * sizeof *filter}};
    int64_t fd = host_call(memfd_create, "pal-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING), result;
    if (fd < 0)
        return fd;
    if ((result = host_call(ftruncate, fd, launched.segment_size)) < 0 || (result = host_call(pwritev, fd, parts, 4, 0, 0)) < 0)
        return result;
    /* Its size is what every picoprocess maps: none may change it under the others. */
    result = host_call(fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return result < 0 ? result : fd;
}

static int64_t make_channel(void)
{
    int ends[2] = {-1, -1}, one = 1;
    int64_t result = host_call(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (result < 0)
        return result;
    launched.channel = ends[0];
    launched.inner = ends[1];
    return host_call(setsockopt, ends[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
}

void launch(const char *picoprocess, uint32_t trap, int log, const char *strict)
{
    int64_t result = open_standard_streams();
    launched.failed = NULL;
    launched.again = false;
    launched.decided = 0;
    if (!strict && asked_strict)
        strict = "PAL_RUN_WALLS=monitor";
    if (!strict)
        strict = streams_against_names();
    launched.names = strict ? LINUX_NAMES_MONITOR : LINUX_NAMES_VIEW;
    launched.why = strict;
    launched.segment_size = caller_limits();
    chosen = picoprocess;
    logged_to = log;
    find_terminals();
    if (result == 0)
        result = make_channel();
    if (result >= 0)
        result = launched.segment = (int)begin_segment(trap);
    launched.parent = (int)host_call(getpid);
    /* The child has it from its first moment.  pal-run itself has no use for that signal. */
    host_call(rt_sigprocmask, SIG_BLOCK, &interrupts, NULL, MASK_SIZE);
    if (result >= 0)
        result = clone_sharing(child_stack + sizeof child_stack, child);
    if (result < 0) {
        launched.error = (int)-result;
        launched.failed = "no resources for it";
        return;
    }
    launched.pid = (int)result;
    supervisor_for(launched.pid, arguments);
}

void launch_abandon(void)
{
    if (!launched.pid)
        return;
    host_call(kill, launched.pid, SIGKILL);
    while (host_call(wait4, launched.pid, NULL, 0, NULL) == -EINTR)
        ;
    launched.pid = 0;
    host_call(close, launched.channel);
    host_call(close, launched.inner);
    host_call(close, launched.segment);
    supervisor_collect();
}

bool launch_decided(void)
{
    static const struct timespec pause = {.tv_nsec = DECISION_PAUSE_NS};
    siginfo_t info;
    while (launched.pid && !launched.decided && !launched.failed) {
        info.si_pid = 0;
        if (host_call(waitid, P_PID, launched.pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) < 0 || info.si_pid)
            break; /* killed: that is seen later */
        host_call(futex, &launched.decided, FUTEX_WAIT, 0, &pause, NULL, 0);
    }
    return !launched.again;
}

static bool is_same_text(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static bool is_called(const char *name, const char *wanted)
{
    const char *last = name;
    for (const char *at = name; *at; at++)
        if (*at == '/')
            last = at + 1;
    return is_same_text(last, wanted);
}

extern const Elf64_Ehdr header __asm__("__ehdr_start"); /* pal-run's own */

bool launch_is_bundle(void)
{
    uint8_t any = 0;
    for (int i = EI_PAD; i < EI_NIDENT; i++)
        any |= header.e_ident[i]; /* a byte that was changed makes no other program of it */
    return any != 0;
}

/* What stands where the ELF header has flags, of which this machine has none.  pack wrote it; the bundle's digest is of it, too. */
static uint32_t bundle_refuses(void)
{
    return launch_is_bundle() ? header.e_flags & LINUX_CLASSES : 0;
}

/* pal-oci's calls, and commands that take or keep clones, or are for a sandbox that runs. */
static bool runs_none(const uint64_t *stack)
{
    const char *const *words = (const char *const *)(stack + 1);
    if (stack[0] && is_called(words[0], "pal-oci"))
        return true;
    if (stack[0] > 1 && (is_same_text(words[1], "serve") || is_same_text(words[1], "exec")))
        return true;
    return stack[0] > 3 && is_same_text(words[1], "snapshot") && is_same_text(words[2], "run") && is_same_text(words[3], "--pool");
}

extern char _edata[]; /* the linker's: here what is zero at first begins */
#define DATA_BEFORE 0x8000u
#define DATA_BEHIND 0x11000u

/* Small variables: nearly all their pages are written in a start, and in one call that costs less than in a fault each.
 * Large ones lie behind. */
static void touch_data(void)
{
    uint64_t begin = ((uint64_t)_edata - DATA_BEFORE) & ~(PAL_PAGE_SIZE - 1);
    host_call(madvise, begin, DATA_BEFORE + DATA_BEHIND, MADV_POPULATE_WRITE);
}

/* Called by entry.S.  stack: argc, argv, environment, auxiliary vector. */
void launch_first(const uint64_t *stack)
{
    const uint64_t *at = stack + 1 + stack[0] + 1;
    touch_data();
    if (stack[0])
        arguments = (char *const *)(stack + 1);
    for (; *at; at++)
        asked_strict |= is_same_text((const char *)*at, "PAL_RUN_WALLS=monitor");
    at++;
    launched.refused = bundle_refuses();
    for (; at[0] != AT_NULL; at += 2) {
        if (at[0] == AT_EXECFN)
            file_of_ours = (const char *)at[1];
        if (at[0] == AT_RANDOM)
            launched.random = *(const uint64_t *)at[1];
    }
    if (!launch_is_bundle() && runs_none(stack))
        open_standard_streams();
    else
        launch(NULL, LINUX_TRAP_DISPATCH, 2, NULL);
}
