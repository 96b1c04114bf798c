/* SPDX-License-Identifier: MIT */
/* Who is killed lets go of all it holds, wherever it was, and everybody else goes on. */
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "random.h"

enum { WORKERS = 3 };

void game_killed_writer(void)
{
    int ends[2];
    char byte;
    MUST(!(below(2) ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends)));
    pid_t pid = child();
    if (!pid) {
        close(ends[0]);
        for (;;)
            if (write(ends[1], "x", 1) == 1)
                nap();
    }
    close(ends[1]);
    nap();
    MUST(!kill(pid, SIGKILL));
    long got;
    while ((got = RETRY(read(ends[0], &byte, 1))) == 1)
        ;
    MUST(!got);
    close(ends[0]);
    reap(pid, SIGKILL);
}

/* ---- A lock's holder is killed ----------------------------------------------------------------------------------- */

enum way { ROBUST, ROBUST_INHERITS, UNDO, FLOCK, RECORD, OPEN_RECORD, WAYS };

static enum way way;
static int lock_id;
static char lock_name[64];

static void lock(int fd)
{
    struct sembuf down = {0, -1, SEM_UNDO};
    struct flock all = {.l_type = F_WRLCK};
    pthread_mutex_t *mutex = &family->mutexes[way == ROBUST_INHERITS];
    int error;
    switch (way) {
    case ROBUST:
    case ROBUST_INHERITS:
        MUST(!(error = pthread_mutex_lock(mutex)) || error == EOWNERDEAD);
        MUST(!error || !pthread_mutex_consistent(mutex));
        break;
    case UNDO: MUST(!RETRY(semop(lock_id, &down, 1))); break;
    case FLOCK: MUST(!RETRY(flock(fd, LOCK_EX))); break;
    default: MUST(!RETRY(fcntl(fd, way == RECORD ? F_SETLKW : F_OFD_SETLKW, &all))); break;
    }
}

static void unlock(int fd)
{
    struct sembuf up = {0, 1, SEM_UNDO};
    struct flock all = {.l_type = F_UNLCK};
    switch (way) {
    case ROBUST:
    case ROBUST_INHERITS: MUST(!pthread_mutex_unlock(&family->mutexes[way == ROBUST_INHERITS])); break;
    case UNDO: MUST(!RETRY(semop(lock_id, &up, 1))); break;
    case FLOCK: MUST(!RETRY(flock(fd, LOCK_UN))); break;
    default: MUST(!RETRY(fcntl(fd, way == RECORD ? F_SETLK : F_OFD_SETLK, &all))); break;
    }
}

/* Counter 0 is who is inside, 1 how often somebody was: whoever was killed inside is there no more. */
static void visit(int fd)
{
    lock(fd);
    long self = syscall(SYS_gettid);
    family->counters[0] = self;
    if (!below(4))
        nap();
    MUST(family->counters[0] == self);
    family->counters[1]++;
    unlock(fd);
}

static pid_t visitor(void)
{
    pid_t pid = child();
    if (!pid) {
        int fd = open(lock_name, O_RDWR);
        MUST(fd >= 0);
        for (;;)
            visit(fd);
    }
    return pid;
}

void game_killed_holder(void)
{
    pid_t pids[WORKERS];
    family->way = way = below(WAYS);
    family->counters[1] = 0;
    snprintf(lock_name, sizeof lock_name, "/tmp/random.%d", getpid());
    int fd = open(lock_name, O_RDWR | O_CREAT | O_EXCL, 0600);
    MUST(fd >= 0);
    if (way == UNDO)
        MUST((lock_id = semget(IPC_PRIVATE, 1, 0600)) >= 0 && !semctl(lock_id, 0, SETVAL, 1));
    for (int i = 0; i < WORKERS; i++)
        pids[i] = visitor();
    for (unsigned rounds = below(10); rounds; rounds--) {
        int i = (int)below(WORKERS);
        nap();
        MUST(!kill(pids[i], SIGKILL));
        reap(pids[i], SIGKILL);
        pids[i] = visitor();
        visit(fd);
    }
    for (int i = 0; i < WORKERS; i++)
        MUST(!kill(pids[i], SIGKILL));
    for (int i = 0; i < WORKERS; i++)
        reap(pids[i], SIGKILL);
    visit(fd);
    MUST(way != UNDO || (semctl(lock_id, 0, GETVAL) == 1 && !semctl(lock_id, 0, IPC_RMID)));
    MUST(!close(fd) && !unlink(lock_name));
}

/* ---- Killed within calls that concern the whole sandbox ---------------------------------------------------------- */

static struct { int semaphores, messages, segment; mqd_t queue; } ids;

static void call_somehow(void)
{
    struct { long type; char text[100]; } message = {.type = 1 + below(3)};
    struct sembuf operations[2] = {{0, 1, SEM_UNDO | IPC_NOWAIT}, {1, -1, SEM_UNDO | IPC_NOWAIT}};
    pid_t pid;
    void *at;
    switch (below(9)) {
    case 0:
        if ((pid = fork()) == 0)
            _exit(0);
        MUST(pid > 0);
        reap(pid, 0);
        break;
    case 1: operations[0].sem_op = below(2) ? 1 : -1; semop(ids.semaphores, operations, 1 + below(2)); break;
    case 2: msgsnd(ids.messages, &message, 1 + below(100), IPC_NOWAIT); break;
    case 3: msgrcv(ids.messages, &message, 100, -(long)below(4), IPC_NOWAIT | MSG_NOERROR); break;
    case 4: mq_send(ids.queue, message.text, below(100), below(3)); break;
    case 5: mq_receive(ids.queue, message.text, 100, NULL); break;
    case 6:
        MUST((at = shmat(ids.segment, NULL, 0)) != (void *)-1);
        ++*(volatile char *)at;
        MUST(!shmdt(at));
        break;
    case 7: MUST(!sigqueue(getppid(), QUEUED_FIRST, (union sigval){0})); break;
    default: MUST(!setpgid(0, 0) || errno == EPERM); break;
    }
}

static pid_t caller(void)
{
    pid_t pid = child();
    while (!pid)
        call_somehow();
    return pid;
}

static void open_ids(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 100};
    char name[64];
    snprintf(name, sizeof name, "/random.%d", getpid());
    MUST((ids.semaphores = semget(IPC_PRIVATE, 2, 0600)) >= 0 && (ids.messages = msgget(IPC_PRIVATE, 0600)) >= 0);
    MUST((ids.segment = shmget(IPC_PRIVATE, 4096, 0600)) >= 0);
    MUST((ids.queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes)) >= 0);
    MUST(!mq_unlink(name));
}

void game_killed_caller(void)
{
    pid_t pids[WORKERS];
    sigset_t set;
    struct shmid_ds status;
    sigemptyset(&set);
    sigaddset(&set, QUEUED_FIRST);
    open_ids();
    for (int i = 0; i < WORKERS; i++)
        pids[i] = caller();
    for (unsigned rounds = 1 + below(10); rounds; rounds--) {
        int i = (int)below(WORKERS);
        nap();
        MUST(!kill(pids[i], SIGKILL));
        if (below(2))
            kill(pids[i], SIGKILL);
        reap(pids[i], SIGKILL);
        pids[i] = caller();
        while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) > 0)
            ;
    }
    for (int i = 0; i < WORKERS; i++) {
        MUST(!kill(pids[i], SIGKILL));
        reap(pids[i], SIGKILL);
    }
    while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) > 0)
        ;
    MUST(!shmctl(ids.segment, IPC_STAT, &status) && !status.shm_nattch);
    MUST(!semctl(ids.semaphores, 0, IPC_RMID) && !msgctl(ids.messages, IPC_RMID, NULL));
    MUST(!shmctl(ids.segment, IPC_RMID, NULL) && !mq_close(ids.queue));
}
