/* SPDX-License-Identifier: MIT */
/* System V semaphores: all-or-nothing, blocking, undo, removal, deaths. */
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

union semun { int val; struct semid_ds *buf; unsigned short *array; };

static int operate(int id, int number, int amount, int flags)
{
    struct sembuf operation = {(unsigned short)number, (short)amount, (short)flags};
    return semop(id, &operation, 1);
}

static int value(int id, int number) { return semctl(id, number, GETVAL); }

static void await_waiters(int id, int command, int count)
{
    for (int i = 0; i < 5000 && semctl(id, 0, command) != count; i++)
        usleep(1000);
    CHECK(semctl(id, 0, command) == count);
}

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static void basics(int id)
{
    unsigned short values[3] = {1, 2, 3}, got[3];
    struct semid_ds status;
    CHECK_FAILS(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    CHECK_FAILS(semget(IPC_PRIVATE, -1, 0600), EINVAL);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}) == 0 && status.sem_nsems == 3);
    CHECK(status.sem_otime == 0);
    CHECK(semctl(id, 0, SETALL, (union semun){.array = values}) == 0);
    CHECK(semctl(id, 0, GETALL, (union semun){.array = got}) == 0 && !memcmp(values, got, sizeof got));
    struct sembuf both[2] = {{0, -1, IPC_NOWAIT}, {1, -3, IPC_NOWAIT}};
    CHECK_FAILS(semop(id, both, 2), EAGAIN);
    CHECK(value(id, 0) == 1 && value(id, 1) == 2);
    both[1].sem_op = -2;
    CHECK(semop(id, both, 2) == 0 && value(id, 0) == 0 && value(id, 1) == 0 && semctl(id, 0, GETPID) == getpid());
    struct sembuf same[3] = {{0, 2, 0}, {0, -1, 0}, {0, -1, 0}};
    CHECK(semop(id, same, 3) == 0 && value(id, 0) == 0);
    CHECK(operate(id, 0, 0, 0) == 0);
    CHECK_FAILS(operate(id, 2, 0, IPC_NOWAIT), EAGAIN);
    CHECK_FAILS(operate(id, 3, 1, 0), EFBIG);
    CHECK_FAILS(semop(id, both, 0), EINVAL);
    CHECK_FAILS(semop(id, both, 100000), E2BIG);
    CHECK_FAILS(operate(id, 2, 32767, 0), ERANGE);
    CHECK_FAILS(semctl(id, 0, SETVAL, (union semun){.val = 32768}), ERANGE);
    CHECK_FAILS(semctl(id, 3, GETVAL), EINVAL);
    struct timespec short_time = {0, 20000000};
    struct sembuf take = {0, -1, 0};
    CHECK_FAILS(semtimedop(id, &take, 1, &short_time), EAGAIN);
    CHECK(semctl(id, 0, IPC_STAT, (union semun){.buf = &status}) == 0 && status.sem_otime != 0);
}

static void *poster(void *argument)
{
    for (int i = 0; i < 200; i++)
        if (operate(*(int *)argument, 0, 1, 0) || operate(*(int *)argument, 1, -1, 0))
            return (void *)1;
    return NULL;
}

static void blocking(int id)
{
    pthread_t thread;
    void *failed;
    CHECK(pthread_create(&thread, NULL, poster, &id) == 0);
    for (int i = 0; i < 200; i++)
        CHECK(operate(id, 0, -1, 0) == 0 && operate(id, 1, 1, 0) == 0);
    CHECK(pthread_join(thread, &failed) == 0 && !failed);
    pid_t child = fork();
    if (child == 0)
        _exit(operate(id, 0, -3, 0) || operate(id, 2, 0, 0) ? 1 : 0);
    await_waiters(id, GETNCNT, 1);
    CHECK(operate(id, 0, 2, 0) == 0);
    usleep(10000);
    CHECK(value(id, 0) == 2 && operate(id, 0, 1, 0) == 0);
    usleep(10000);
    CHECK(operate(id, 2, -value(id, 2), 0) == 0);
    ended(child, 0);
    CHECK(value(id, 0) == 0);
}

static void handler(int number) { (void)number; }

static void interrupted(int id)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        while (semctl(id, 0, GETNCNT) != 1)
            usleep(1000);
        usleep(5000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    CHECK_FAILS(operate(id, 0, -1, 0), EINTR);
    ended(child, 0);
    CHECK(semctl(id, 0, GETNCNT) == 0);
}

static void undo(int id)
{
    CHECK(semctl(id, 0, SETVAL, (union semun){.val = 5}) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(operate(id, 0, -3, SEM_UNDO) || operate(id, 0, -1, SEM_UNDO) || value(id, 0) != 1);
    ended(child, 0);
    CHECK(value(id, 0) == 5);
    child = fork();
    if (child == 0) {
        struct sembuf two[2] = {{0, -5, SEM_UNDO}, {1, 2, SEM_UNDO}};
        semop(id, two, 2);
        for (;;)
            pause();
    }
    while (value(id, 1) != 2)
        usleep(1000);
    CHECK(value(id, 0) == 0);
    kill(child, SIGKILL);
    CHECK(operate(id, 0, -5, 0) == 0); /* the undo wakes us */
    ended(child, SIGKILL);
    CHECK(value(id, 0) == 0 && value(id, 1) == 0);
    /* A waiter that is killed no longer counts. */
    child = fork();
    if (child == 0)
        _exit(operate(id, 0, -1, 0));
    await_waiters(id, GETNCNT, 1);
    kill(child, SIGKILL);
    ended(child, SIGKILL);
    CHECK(semctl(id, 0, GETNCNT) == 0);
}

static void removal(int id)
{
    pid_t child = fork();
    if (child == 0)
        _exit(operate(id, 0, -1, 0) == -1 && errno == EIDRM ? 0 : 1);
    await_waiters(id, GETNCNT, 1);
    CHECK(semctl(id, 0, IPC_RMID) == 0);
    ended(child, 0);
    CHECK_FAILS(operate(id, 0, 1, 0), EINVAL);
}

int main(void)
{
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    CHECK(id >= 0);
    basics(id);
    blocking(id);
    interrupted(id);
    undo(id);
    removal(id);
    return 0;
}
