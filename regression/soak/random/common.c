/* SPDX-License-Identifier: MIT */
/* Random numbers, actors, waiting: see random.h. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>

#include "random.h"

struct family *family;
static struct actor nobody;
_Thread_local struct actor *actor = &nobody;
const char *self_path;
static _Thread_local unsigned state;

void failed(const char *file, int line, const char *what)
{
    int error = errno;
    fprintf(stderr, "%s:%d: game %s: %s (errno %d)\n", file, line, family ? family->game : "", what, error);
    _exit(1);
}

void random_seed(unsigned seed)
{
    state = seed;
}

unsigned below(unsigned limit)
{
    state = state * 1103515245u + 12345u;
    return (state >> 16) % limit;
}

void nap(void)
{
    struct timespec time = {0, below(NAP) * 1000};
    if (below(3))
        nanosleep(&time, NULL);
}

void appear(void)
{
    int tid = (int)syscall(SYS_gettid);
    unsigned number = atomic_fetch_add(&family->next_actor, 1); /* the first is the family's own and stays */
    actor = &family->actors[number ? 1 + number % (ACTORS - 1) : 0];
    atomic_store(&actor->line, 0);
    atomic_store(&actor->pid, getpid());
    atomic_store(&actor->tid, tid);
    state ^= (unsigned)tid * 2654435761u;
}

pid_t child(void)
{
    pid_t parent = getpid();
    MUST(true);
    below(2);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        appear();
    }
    return pid;
}

int reap_any(pid_t pid)
{
    int status;
    MUST(RETRY(waitpid(pid, &status, 0)) == pid);
    return status;
}

void reap(pid_t pid, int expected)
{
    int status = reap_any(pid);
    if (status != expected)
        fprintf(stderr, "child %d: status %x, not %x\n", pid, status, expected);
    MUST(status == expected);
}

long futex(_Atomic unsigned *word, int operation, unsigned value, unsigned long count, _Atomic unsigned *word2,
           unsigned value3)
{
    return syscall(SYS_futex, word, operation, value, count, word2, value3);
}

static void readable_epoll(int fd)
{
    static const unsigned ways[] = {0, EPOLLONESHOT, EPOLLET};
    struct epoll_event event = {.events = EPOLLIN | ways[below(3)]};
    int inner = epoll_create1(EPOLL_CLOEXEC), outer = inner;
    MUST(inner >= 0 && !epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event));
    if (below(2)) { /* nested */
        struct epoll_event nested = {.events = EPOLLIN};
        MUST((outer = epoll_create1(0)) >= 0 && !epoll_ctl(outer, EPOLL_CTL_ADD, inner, &nested));
    }
    MUST(RETRY(epoll_wait(outer, &event, 1, -1)) == 1);
    if (outer != inner)
        close(outer);
    close(inner);
}

static void readable_select(int fd)
{
    fd_set set;
    long count;
    do {
        AT();
        FD_ZERO(&set);
        FD_SET(fd, &set);
        count = select(fd + 1, &set, NULL, NULL, below(2) ? NULL : &(struct timeval){0, below(20000)});
    } while (count == 0 || (count == -1 && errno == EINTR));
    MUST(count == 1 && FD_ISSET(fd, &set));
}

void readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    struct timespec soon = {0, below(NAP) * 1000};
    sigset_t none;
    long count;
    switch (below(5)) {
    case 0: MUST(RETRY(poll(&one, 1, -1)) == 1); break;
    case 1: readable_epoll(fd); break;
    case 2: readable_select(fd); break;
    case 3:
        sigfillset(&none);
        while ((count = ppoll(&one, 1, &soon, below(2) ? &none : NULL)) == 0 || (count == -1 && errno == EINTR))
            AT();
        MUST(count == 1);
        break;
    default: break;
    }
}
