/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: a process that guarantees the sandbox's end, whatever becomes of pal-run.  It does no work for guests,
 * so it is never busy, and it shares no memory with pal-run, so that nothing that ends one (the OOM killer above all)
 * ends the other.  It waits, and kills all processes of the sandbox when
 *
 *   - pal-run has ended, by whatever death: the channel between them is at its end;
 *   - the first picoprocess has ended;
 *   - the time limit is over;
 *   - a second SIGTERM has come to pal-run.
 *
 * In the last three pal-run sees the end, too, and tidies up; one that hangs instead is killed.  What
 * pal-run then can't do any more, the removal of private directories, the supervisor does.
 *
 * All processes of the sandbox are in the first one's process group, which no admitted call leaves, and a pidfd names
 * that group for as long as it is held: nothing else can be hit.  Where the kernel can't signal a group by pidfd (before
 * 6.9) the group's number is used while the first process has not been waited for.
 *
 * Start-up time is felt by users, and a fork costs more than a tenth of what a short program takes.  So for its first
 * moments it is a process in pal-run's memory, begun before libc is; where the sandbox lives on, one with memory of its
 * own joins it (see client.c).  No libc function is called here: see rules.mk.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "loader/supervise/supervise.h"
#include "loader/supervise/protocol.h"
#include "pal/linux/syscall.h"

#define PIDFD_GROUP 4u /* PIDFD_SIGNAL_PROCESS_GROUP */
#define GRACE_MS 500   /* for pal-run to end in order, once the sandbox is dead */
#define LOOK_MS 250    /* then pal-run is looked at so often */
#define LOOKS_MAX 40   /* and ended, whatever it does: ten seconds */
#define NEVER INT64_MAX
enum { STAT_STATE = 3, STAT_UTIME = 14, STAT_STIME = 15 }; /* fields, proc(5) */

enum { FD_WORDS = 0, FD_FIRST = 1, FD_PAL_RUN = 2 }; /* all that it holds */

static const struct supervision *of;
static struct {
    int64_t limit, grace; /* when they are over, in ms of CLOCK_MONOTONIC, or NEVER */
    int terminations;
    bool empty; /* nothing of the sandbox is left */
    int looks;  /* at pal-run, since grace was over first */
    struct seen { /* the last of them */
        char state;
        uint64_t digits; /* of its processor time, in the user's and the kernel's code: they move with it */
    } seen;
    int base; /* where the private directory lies, if it has a name */
    char scratch[WORD_NAME_ROOM];
    struct kept { /* standard streams that the guest may have changed */
        struct stream as;
        int fd; /* + 1: 0 is none */
    } streams[SUPERVISOR_STREAMS];
} mine;
_Static_assert(sizeof(struct termios) == sizeof((struct stream){0}.modes), "the kernel's");

static int64_t now_ms(void)
{
    struct timespec now;
    host_call(clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void kill_sandbox(void)
{
    int64_t result = host_call(pidfd_send_signal, FD_FIRST, SIGKILL, 0, PIDFD_GROUP);
    if (result == 0)
        return;
    if (result == -EINVAL && host_call(pidfd_send_signal, FD_FIRST, 0, 0, 0) == 0)
        host_call(kill, -(int64_t)of->first, SIGKILL);
    host_call(pidfd_send_signal, FD_FIRST, SIGKILL, 0, 0); /* it may not have made its session yet */
}

/* pal-run as /proc has it; state 0: it can't be told. */
static struct seen look(void)
{
    static const char prefix[] = "/proc/";
    char path[32], text[256], digits[12];
    unsigned at = 0, count = 0;
    struct seen seen = {0, 0};
    for (unsigned rest = (unsigned)of->pal_run; rest; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    for (; prefix[at]; at++)
        path[at] = prefix[at];
    while (count)
        path[at++] = digits[--count];
    for (unsigned i = 0; i < sizeof "/stat"; i++)
        path[at++] = "/stat"[i];
    int64_t file = host_call(open, path, O_RDONLY | O_CLOEXEC);
    int64_t size = file < 0 ? 0 : host_call(read, file, text, sizeof text), end = size;
    if (file >= 0)
        host_call(close, file);
    while (end > 0 && text[end - 1] != ')') /* "PID (NAME) STATE ..." */
        end--;
    if (!end || end + 1 >= size)
        return seen;
    seen.state = text[end + 1];
    for (int64_t i = end + 1, field = STAT_STATE; i < size && field <= STAT_STIME; i++) {
        field += text[i] == ' ';
        if ((field == STAT_UTIME || field == STAT_STIME) && text[i] != ' ')
            seen.digits = seen.digits * 10 + (uint64_t)(text[i] - '0');
    }
    return seen;
}

/* The sandbox has come to its end, and pal-run should see so by itself. */
static void end_sandbox(void)
{
    if (!mine.empty)
        kill_sandbox();
    mine.limit = NEVER;
    mine.grace = now_ms() + GRACE_MS;
    mine.looks = 0;
}

static bool listen_once(void);

/*
 * Grace is over.  pal-run hangs if it sleeps and does nothing, or if it runs and does not come to an end; it does not
 * hang while it waits for a processor, which on a busy machine may take as long.  One that somebody has stopped goes on
 * where it was, one day.
 */
static void end_pal_run(void)
{
    while (listen_once())
        ;
    struct seen now = look();
    bool moves = now.state == 'R' || now.state == 'D' || now.digits != mine.seen.digits;
    mine.grace = now_ms() + LOOK_MS;
    if (now.state == 'T' || now.state == 't') {
        if (mine.scratch[0] && remove_directory(mine.base, mine.scratch) == 0)
            mine.scratch[0] = 0;
    } else if ((mine.looks && !moves) || mine.looks > LOOKS_MAX) {
        host_call(pidfd_send_signal, FD_PAL_RUN, SIGKILL, 0, 0);
    }
    mine.looks++;
    mine.seen = now;
}

static void leave(void) __attribute__((noreturn));
static void leave(void)
{
    for (;;)
        host_call(exit_group, 0);
}

/* As pal-run does at its orderly end, after which there is nothing to do here.  Without waiting for what was written. */
static void restore_streams(void)
{
    for (int i = 0; i < SUPERVISOR_STREAMS; i++) {
        const struct kept *kept = &mine.streams[i];
        if (!kept->fd)
            continue;
        if (kept->as.has_modes)
            host_call(ioctl, kept->fd - 1, TCSETS, &kept->as.modes);
        if (host_call(fcntl, kept->fd - 1, F_GETFL) != kept->as.flags)
            host_call(fcntl, kept->fd - 1, F_SETFL, kept->as.flags);
    }
}

static bool keeps_streams(void)
{
    for (int i = 0; i < SUPERVISOR_STREAMS; i++)
        if (mine.streams[i].fd)
            return true;
    return false;
}

/* pal-run is gone, or has no need of it any more. */
static void finish(void) __attribute__((noreturn));
static void finish(void)
{
    if (!mine.empty)
        kill_sandbox();
    restore_streams();
    /* What was killed may be at its last call yet, and make another name. */
    for (int tries = 0; mine.scratch[0] && remove_directory(mine.base, mine.scratch) < 0 && tries < 100; tries++) {
        const struct timespec pause = {.tv_nsec = 10000000};
        host_call(nanosleep, &pause, NULL);
    }
    leave();
}

static void keep_stream(int number, const struct stream *stream, int descriptor)
{
    struct kept *kept = &mine.streams[number];
    if (kept->fd)
        host_call(close, kept->fd - 1);
    kept->as = *stream;
    kept->fd = descriptor + 1;
}

static void listen_to(const struct words *words, int descriptor)
{
    switch ((enum word)words->word) {
    case WORD_LIMIT:
        mine.limit = words->value;
        break;
    case WORD_SCRATCH:
        mine.base = descriptor;
        for (size_t i = 0; i < WORD_NAME_ROOM; i++)
            mine.scratch[i] = words->name[i];
        break;
    case WORD_TERMINATION:
        if (++mine.terminations >= 2)
            end_sandbox();
        break;
    case WORD_EMPTY:
        mine.empty = true;
        mine.limit = mine.grace = NEVER;
        break;
    case WORD_STREAM_0:
    case WORD_STREAM_1:
    case WORD_STREAM_2:
        keep_stream((int)(words->word - WORD_STREAM_0), &words->stream, descriptor);
        break;
    case WORDS:
        break;
    }
}

/* One word, if there is one. */
static bool listen_once(void)
{
    struct words words;
    union rights rights;
    struct iovec part = {&words, sizeof words};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    int64_t size = host_call(recvmsg, FD_WORDS, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size == 0)
        finish();
    if (size == sizeof words)
        listen_to(&words, message.msg_controllen ? *(const int *)(const void *)CMSG_DATA(&rights.header) : -1);
    return size == sizeof words;
}

/* The last that the OOM killer takes.  An ordinary user may go down to where a privileged process has set it, which is
 * not told. */
static void take_oom_score(void)
{
    int64_t file = host_call(open, "/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    int refused = -1001, had = 1000;
    char text[8] = "0";
    if (host_call(write, file, "-1000", 5) < 0 && host_call(pread64, file, text, sizeof text, 0) > 0 && text[0] != '-' &&
        text[0] != '0') /* as few ever have: it was raised */
        while (had - refused > 1) {
            int middle = refused + (had - refused) / 2;
            unsigned rest = (unsigned)(middle < 0 ? -middle : middle);
            char *at = text + sizeof text;
            do
                *--at = (char)('0' + rest % 10);
            while (rest /= 10);
            if (middle < 0)
                *--at = '-';
            if (host_call(write, file, at, text + sizeof text - at) > 0)
                had = middle;
            else
                refused = middle;
        }
    host_call(close, file);
}

/* As most sandboxes end.  Where no directory is to be removed nothing is left to be guaranteed: pal-run, which waits for
 * this process, need not tell it to go. */
static void first_ended(void)
{
    bool hurried = mine.grace != NEVER;
    if (!mine.empty && !hurried)
        kill_sandbox();
    while (listen_once())
        ;
    if (!mine.scratch[0] && !keeps_streams() && !hurried)
        leave();
    if (!mine.empty && !hurried)
        end_sandbox();
}

/* How long to wait for something to happen, for poll(2). */
static int64_t patience(void)
{
    int64_t next = mine.limit < mine.grace ? mine.limit : mine.grace;
    if (next == NEVER)
        return -1;
    int64_t left = next - now_ms();
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : left;
}

static void wait_for_the_end(void) __attribute__((noreturn));
static void wait_for_the_end(void)
{
    struct pollfd watched[2] = {{.fd = FD_WORDS, .events = POLLIN}, {.fd = FD_FIRST, .events = POLLIN}};
    for (;;) {
        host_call(poll, watched, 2, patience());
        if (watched[0].revents)
            listen_once();
        if (watched[1].revents) {
            watched[1].fd = -1;
            watched[1].revents = 0;
            first_ended();
        }
        if (mine.limit == NEVER && mine.grace == NEVER)
            continue;
        int64_t now = now_ms();
        if (now >= mine.limit)
            end_sandbox();
        if (now >= mine.grace)
            end_pal_run();
    }
}

/* A name of its own: what is sent to all that are called pal-run is not meant for it.  The strings of argv lie one behind
 * the other. */
static void take_name(char *const *argv)
{
    static const char name[] = "pal-supervisor";
    host_call(prctl, PR_SET_NAME, name, 0, 0, 0);
    char *at = argv ? argv[0] : NULL, *end = at;
    for (; argv && *argv; argv++)
        for (end = *argv; *end; end++)
            ;
    for (size_t i = 0; at < end; i++)
        *at++ = i < sizeof name ? name[i] : 0;
}

void supervise(const struct supervision *supervision)
{
    static const uint64_t all = ~0ull;
    of = supervision;
    host_call(rt_sigprocmask, SIG_SETMASK, &all, NULL, MASK_SIZE);
    host_call(setsid); /* a terminal's or a group's signals are not meant for it */
    int64_t parent = host_call(pidfd_open, of->pal_run, 0);
    if (host_call(getppid) != of->pal_run)
        parent = -1; /* the channel's end tells */
    /* All three are above 2, where something is open: see open_standard_streams. */
    host_call(dup2, of->words, FD_WORDS);
    host_call(dup2, of->first_pidfd, FD_FIRST);
    host_call(close, FD_PAL_RUN);
    if (parent >= 0)
        host_call(dup2, parent, FD_PAL_RUN);
    host_call(close_range, FD_PAL_RUN + 1, ~0u, 0);
    host_call(chdir, "/");
    mine.limit = mine.grace = NEVER;
    mine.terminations = 0;
    mine.empty = false;
    mine.scratch[0] = 0;
    for (int i = 0; i < SUPERVISOR_STREAMS; i++)
        mine.streams[i].fd = 0;
    take_name(of->own_memory ? of->argv : NULL);
    if (of->own_memory) /* the score is the memory's */
        take_oom_score();
    wait_for_the_end();
}
