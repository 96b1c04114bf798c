/* SPDX-License-Identifier: MIT */
/*
 * pal-run's side of its supervisor: begins it, tells it, waits for it.  supervisor_for and supervisor_collect may run before
 * libc's start.
 *
 * There are two.  The first shares pal-run's memory, which costs little.  It begins when there is something that it must
 * know, or before there is a second picoprocess (alone.c).  The second is forked where a sandbox lives longer than the
 * shortest programs: what ends pal-run by its memory, the OOM killer above all, does not end that one.  It is told anew
 * what the first knows.  Both do the same; so pal-run and either of them may die at the same moment.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/uio.h>
#include <time.h>

#include "loader/loader.h"
#include "loader/supervise/supervise.h"
#include "loader/supervise/protocol.h"
#include "pal/linux/syscall.h"

static struct supervisor {
    pid_t pid;   /* 0: there is none */
    int channel; /* our end */
    struct supervision supervision;
} supervisors[2];
static char stack[32768] __attribute__((aligned(16)));

static struct told {
    struct words words;
    int descriptor, times;
} told[WORDS];

static void supervise_sharing(void)
{
    supervise(&supervisors[0].supervision);
}

static int64_t begin(struct supervisor *supervisor)
{
    struct supervision *supervision = &supervisor->supervision;
    int ends[2];
    int64_t pidfd = host_call(pidfd_open, supervision->first, 0);
    if (pidfd < 0)
        return pidfd;
    int64_t result = host_call(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (result >= 0) {
        supervision->words = ends[0];
        supervision->first_pidfd = (int)pidfd;
        if (!supervision->own_memory)
            result = clone_sharing(stack + sizeof stack, supervise_sharing);
        else if ((result = host_call(clone, SIGCHLD, 0, 0, 0, 0)) == 0)
            supervise(supervision);
        host_call(close, ends[0]);
        if (result < 0)
            host_call(close, ends[1]);
    }
    host_call(close, pidfd);
    if (result < 0)
        return result;
    supervisor->channel = ends[1];
    supervisor->pid = (pid_t)result;
    return 0;
}

void supervisor_for(pid_t first, char *const *argv)
{
    supervisors[0].supervision =
        (struct supervision){.pal_run = (int)host_call(getpid), .first = first, .argv = argv};
    for (int word = 0; word < WORDS; word++)
        told[word].times = 0;
}

/* No signal of pal-run's is handled in the child's copy of this moment; and a SIGTERM's handler begins one, too. */
int64_t supervisor_begin(void)
{
    static const uint64_t all = ~0ull;
    uint64_t before;
    int64_t result = 0;
    host_call(rt_sigprocmask, SIG_SETMASK, &all, &before, MASK_SIZE);
    if (!supervisors[0].pid)
        result = supervisors[0].supervision.first ? begin(&supervisors[0]) : -ESRCH;
    host_call(rt_sigprocmask, SIG_SETMASK, &before, NULL, MASK_SIZE);
    return result;
}

/* None is ever busy, so there is room, once others have taken what is on its way to them (see send_rights).  False: it has
 * ended. */
static bool pass(const struct supervisor *supervisor, const struct told *what)
{
    union rights rights;
    struct iovec part = {(void *)&what->words, sizeof what->words};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (!supervisor->pid)
        return false;
    if (what->descriptor >= 0) {
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(sizeof what->descriptor);
        *(int *)(void *)CMSG_DATA(&rights.header) = what->descriptor;
        message.msg_control = &rights;
        message.msg_controllen = sizeof rights;
    }
    static const struct timespec moment = {.tv_nsec = 1000000};
    int64_t sent = -EAGAIN;
    for (int i = 0; i < RIGHTS_PATIENCE; i++) {
        sent = host_call(sendmsg, supervisor->channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != -ETOOMANYREFS)
            break;
        host_call(nanosleep, &moment, NULL);
    }
    return sent == sizeof what->words;
}

int64_t supervisor_settle(void)
{
    static const uint64_t all = ~0ull;
    uint64_t before;
    int64_t result = supervisor_begin();
    if (result < 0 || supervisors[1].pid)
        return result;
    host_call(rt_sigprocmask, SIG_SETMASK, &all, &before, MASK_SIZE); /* a SIGTERM's handler tells, too */
    supervisors[1].supervision = supervisors[0].supervision;
    supervisors[1].supervision.own_memory = true;
    result = begin(&supervisors[1]);
    for (int word = 0; word < WORDS; word++)
        for (int i = 0; i < told[word].times; i++)
            pass(&supervisors[1], &told[word]);
    host_call(rt_sigprocmask, SIG_SETMASK, &before, NULL, MASK_SIZE);
    return result;
}

bool supervisor_is(pid_t child)
{
    return child == supervisors[0].pid || child == supervisors[1].pid;
}

static bool tell(enum word word, int64_t value, const char *name, int descriptor)
{
    struct told *what = &told[word];
    if (supervisor_begin() < 0)
        return false;
    what->words.word = word;
    what->words.value = value;
    what->descriptor = descriptor;
    /* cppcheck-suppress arrayIndexOutOfBoundsCond ; a name ends before its array does */
    for (size_t i = 0; name && i < WORD_NAME_ROOM - 1 && name[i]; i++)
        what->words.name[i] = name[i];
    what->times++;
    bool first = pass(&supervisors[0], what), second = pass(&supervisors[1], what);
    return first || second;
}

bool supervisor_limit(uint64_t seconds)
{
    struct timespec now;
    host_call(clock_gettime, CLOCK_MONOTONIC, &now);
    return seconds >= INT64_MAX / 2000 ||
           tell(WORD_LIMIT, (now.tv_sec + (int64_t)seconds) * 1000 + now.tv_nsec / 1000000 + 1, NULL, -1); /* never early */
}

bool supervisor_scratch(int base, const char *name)
{
    return tell(WORD_SCRATCH, 0, name, base);
}

void supervisor_termination(void)
{
    tell(WORD_TERMINATION, 0, NULL, -1);
}

void supervisor_sandbox_empty(void)
{
    tell(WORD_EMPTY, 0, NULL, -1);
}

void supervisor_stream(int number, const struct stream *stream)
{
    enum word word = (enum word)(WORD_STREAM_0 + number);
    told[word].words.stream = *stream;
    told[word].times = 0; /* it replaces what was told before */
    tell(word, 0, "", number);
}

void supervisor_collect(void)
{
    for (int i = 0; i < 2; i++)
        if (supervisors[i].pid)
            host_call(close, supervisors[i].channel);
    for (int i = 0; i < 2; i++) {
        while (supervisors[i].pid && host_call(wait4, supervisors[i].pid, NULL, 0, NULL) == -EINTR)
            ;
        supervisors[i].pid = 0;
    }
    supervisors[0].supervision.first = 0;
}
