/* SPDX-License-Identifier: MIT */
/* Children begin and end in all ways there are, and each is waited for, once, in all ways there are. */
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "random.h"

enum { MAX = 8 };
static const int ends[] = {SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGALRM};

/* ---- Beginnings -------------------------------------------------------------------------------------------------- */

static void *end_process(void *code)
{
    appear();
    exit((int)(long)code);
}

/* The new program has no handler: what still hits must find it closed. */
static void close_to_hits(sigset_t *old)
{
    sigset_t hits;
    sigemptyset(&hits);
    sigaddset(&hits, SIGUSR1);
    MUST(!pthread_sigmask(SIG_BLOCK, &hits, old));
}

static void *exec_process(void *text)
{
    appear();
    close_to_hits(NULL);
    execl(self_path, self_path, "exit", text, NULL);
    _exit(99);
}

/* Ends in `code`, by this or another thread, by this or another program. */
static void end_somehow(int code)
{
    pthread_t thread;
    char text[8];
    snprintf(text, sizeof text, "%d", code);
    switch (below(4)) {
    case 0: _exit(code);
    case 1: MUST(!pthread_create(&thread, NULL, end_process, (void *)(long)code)); break;
    case 2: MUST(!pthread_create(&thread, NULL, exec_process, text)); break;
    default: exec_process(text);
    }
    for (;;)
        pause();
}

static pid_t spawned(int code)
{
    pid_t pid;
    char text[8];
    char *arguments[] = {(char *)self_path, "exit", text, NULL};
    sigset_t old;
    snprintf(text, sizeof text, "%d", code);
    close_to_hits(&old);
    if (below(2)) {
        MUST(!posix_spawn(&pid, self_path, NULL, NULL, arguments, NULL));
    } else {
        AT();
        pid = vfork();
        if (!pid) {
            if (code & 1)
                execv(self_path, arguments);
            _exit(code);
        }
        MUST(pid > 0);
    }
    MUST(!sigprocmask(SIG_SETMASK, &old, NULL));
    return pid;
}

/* A child; the status that it will have. */
static pid_t begin(int *expected)
{
    unsigned kind = below(5);
    int code = (int)below(200), end = ends[below(5)];
    *expected = kind == 1 || kind == 2 ? end : code << 8;
    if (kind == 4)
        return spawned(code);
    pid_t pid = child();
    if (!pid) {
        if (kind == 0)
            _exit(code);
        if (kind == 3)
            end_somehow(code);
        if (kind == 1)
            kill(getpid(), end);
        for (;;)
            pause();
    }
    if (kind == 2) {
        nap();
        MUST(!kill(pid, end));
    }
    return pid;
}

/* ---- Waits: each gives a pid and its status, sooner or later ----------------------------------------------------- */

static sigset_t child_signal;
static volatile sig_atomic_t news;

static void note(int signal)
{
    (void)signal;
    news = 1;
}

static pid_t wait_any(const pid_t *pids, int count, int *status)
{
    (void)pids, (void)count;
    return (pid_t)RETRY(waitpid(-1, status, 0));
}

static pid_t wait_peeking(const pid_t *pids, int count, int *status)
{
    siginfo_t info, again;
    (void)pids, (void)count;
    MUST(!RETRY(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT)));
    MUST(!RETRY(waitid(P_PID, (id_t)info.si_pid, &again, WEXITED | WNOWAIT)) && again.si_status == info.si_status);
    return waitpid(info.si_pid, status, WNOHANG);
}

static pid_t wait_polling(const pid_t *pids, int count, int *status)
{
    pid_t pid;
    (void)pids, (void)count;
    while (!(pid = waitpid(-1, status, WNOHANG)))
        poll(NULL, 0, 1);
    return pid;
}

static pid_t wait_by_pidfd(const pid_t *pids, int count, int *status)
{
    int fd = -1;
    for (int i = 0; fd < 0 && i < count; i++)
        if (pids[i])
            MUST((fd = (int)syscall(SYS_pidfd_open, pids[i], 0)) >= 0);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    siginfo_t info;
    MUST(RETRY(poll(&one, 1, -1)) == 1);
    MUST(!RETRY(waitid(P_PIDFD, (id_t)fd, &info, WEXITED)));
    close(fd);
    *status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    return info.si_pid;
}

/* Only SIGCHLD says when to look.  One may stand for several, so all are asked for first. */
static pid_t wait_by_signal(const pid_t *pids, int count, int *status)
{
    pid_t pid;
    siginfo_t info;
    (void)pids, (void)count;
    while (!(pid = waitpid(-1, status, WNOHANG)))
        MUST(RETRY(sigwaitinfo(&child_signal, &info)) == SIGCHLD);
    return pid;
}

static pid_t wait_by_signalfd(const pid_t *pids, int count, int *status)
{
    pid_t pid;
    struct signalfd_siginfo info;
    int fd = signalfd(-1, &child_signal, 0);
    (void)pids, (void)count;
    while (!(pid = waitpid(-1, status, WNOHANG))) {
        readable(fd);
        MUST(RETRY(read(fd, &info, sizeof info)) == sizeof info && info.ssi_signo == SIGCHLD);
    }
    close(fd);
    return pid;
}

static pid_t wait_by_handler(const pid_t *pids, int count, int *status)
{
    pid_t pid;
    sigset_t open;
    (void)pids, (void)count;
    sigprocmask(SIG_BLOCK, NULL, &open);
    sigdelset(&open, SIGCHLD);
    while (!(pid = waitpid(-1, status, WNOHANG))) {
        while (!news) {
            AT();
            sigsuspend(&open);
        }
        news = 0;
    }
    return pid;
}

typedef pid_t wait_way(const pid_t *pids, int count, int *status);
static wait_way *const ways[] = {wait_any,       wait_peeking,     wait_polling,   wait_by_pidfd,
                                 wait_by_signal, wait_by_signalfd, wait_by_handler};

void game_children(void)
{
    pid_t pids[MAX];
    int expected[MAX], count = 1 + (int)below(MAX);
    wait_way *way = ways[below(sizeof ways / sizeof *ways)];
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    MUST(!sigaction(SIGCHLD, &(struct sigaction){.sa_handler = note}, NULL));
    MUST(!sigprocmask(SIG_BLOCK, &child_signal, NULL));
    news = 1;
    for (int i = 0; i < count; i++)
        pids[i] = begin(&expected[i]);
    for (int left = count; left; left--) {
        int status, i = 0;
        pid_t pid = way(pids, count, &status);
        while (i < count && pids[i] != pid)
            i++;
        MUST(i < count);
        if (status != expected[i])
            fprintf(stderr, "child %d: status %x, not %x\n", pid, status, expected[i]);
        MUST(status == expected[i]);
        pids[i] = 0;
    }
    MUST(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    MUST(!sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, NULL));
    MUST(!sigprocmask(SIG_UNBLOCK, &child_signal, NULL));
}

/* ---- Orphans come to the subreaper ------------------------------------------------------------------------------- */

void game_orphans(void)
{
    int count = 1 + (int)below(MAX), got = 0, status;
    pid_t pid;
    family->counters[0] = 0;
    MUST(!prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t parent = child();
    if (!parent) {
        for (int i = 0; i < count; i++) {
            pid = fork();
            MUST(pid >= 0);
            if (pid)
                continue;
            appear();
            nap();
            family->counters[0] += 1;
            _exit(5);
        }
        if (below(2))
            nap();
        kill(getpid(), ends[below(2)]);
        for (;;)
            pause();
    }
    while ((pid = (pid_t)RETRY(waitpid(-1, &status, 0))) > 0) {
        MUST(pid == parent ? WIFSIGNALED(status) : status == 5 << 8);
        got += pid != parent;
    }
    MUST(errno == ECHILD && got == count && family->counters[0] == count);
    MUST(!prctl(PR_SET_CHILD_SUBREAPER, 0));
}

/* ---- Stop, go on, stop ... --------------------------------------------------------------------------------------- */

static void await_change(pid_t pid, int option, int code, int signal)
{
    siginfo_t info;
    int status;
    if (below(2)) {
        MUST(!RETRY(waitid(P_PID, (id_t)pid, &info, option)));
        MUST(info.si_pid == pid && info.si_code == code && info.si_status == signal);
    } else {
        MUST(RETRY(waitpid(pid, &status, option)) == pid);
        MUST(code == CLD_STOPPED ? WIFSTOPPED(status) && WSTOPSIG(status) == signal : WIFCONTINUED(status));
    }
}

void game_stops(void)
{
    static const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    _Atomic long *counter = &family->counters[0];
    pid_t pid = child();
    if (!pid) {
        setpgid(0, 0); /* in a group whose parent is in another one of the session: terminal stops count */
        *counter = 1;
        for (;;) {
            ++*counter;
            if (below(2))
                nap();
        }
    }
    MUST(!setpgid(pid, pid));
    for (int i = 0, times = (int)below(6); i < times; i++) {
        int stop = stops[below(4)];
        nap();
        MUST(!(below(2) ? kill(pid, stop) : kill(-pid, stop)));
        await_change(pid, WUNTRACED, CLD_STOPPED, stop);
        long before = *counter;
        nap();
        MUST(*counter == before);
        MUST(!kill(pid, SIGCONT));
        await_change(pid, WCONTINUED, CLD_CONTINUED, SIGCONT);
        for (AT(); *counter == before;)
            nap();
    }
    if (below(2))
        MUST(!kill(pid, SIGSTOP));
    MUST(!kill(pid, SIGKILL));
    reap(pid, SIGKILL);
}

/* ---- exec amid threads and signals: what is pending and blocked goes along --------------------------------------- */

static void *spin(void *argument)
{
    appear();
    for (;;)
        nap();
    return argument;
}

void game_exec(void)
{
    pid_t pid = child();
    if (!pid) {
        pthread_t thread;
        for (unsigned i = below(4); i; i--)
            MUST(!pthread_create(&thread, NULL, spin, NULL));
        nap();
        if (below(2))
            exec_process("42");
        MUST(!pthread_create(&thread, NULL, exec_process, "42"));
        for (;;)
            pause();
    }
    for (unsigned i = below(10); i; i--) {
        kill(pid, SIGCONT); /* does nothing but interrupt */
        nap();
    }
    reap(pid, 42 << 8);
}
