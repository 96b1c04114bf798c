/* SPDX-License-Identifier: MIT */
/* Processes that use System V IPC are killed at random moments: everything goes on, and nothing of theirs is left. */
#include <mqueue.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define WORKERS 3
#define ROUNDS 120

static int semaphores, messages, segment;
static mqd_t queue;

static void operate(int count, struct sembuf *operations)
{
    while (semop(semaphores, operations, (size_t)count) < 0)
        if (errno != EINTR)
            _exit(1);
}

/* Semaphore 0 is a lock, 1 and 2 move in opposite directions: all three together, or not at all. */
static void work(void)
{
    struct sembuf take[] = {{0, -1, SEM_UNDO}, {1, -1, SEM_UNDO}, {2, 1, SEM_UNDO}};
    struct sembuf give[] = {{2, -1, SEM_UNDO}, {1, 1, SEM_UNDO}, {0, 1, SEM_UNDO}};
    struct { long type; char text[300]; } message = {.type = 1};
    for (;;) {
        operate(3, take);
        volatile int *at = shmat(segment, NULL, 0);
        if (at == (void *)-1)
            _exit(2);
        ++*at;
        shmdt((void *)at);
        operate(3, give);
        if (msgsnd(messages, &message, sizeof message.text, 0) ||
            msgrcv(messages, &message, sizeof message.text, 1, 0) < 0)
            _exit(3);
        if (mq_send(queue, message.text, 100, 1) || mq_receive(queue, message.text, 300, NULL) < 0)
            _exit(4);
    }
}

static pid_t start(void)
{
    pid_t child = fork();
    if (child == 0)
        work();
    CHECK(child > 0);
    return child;
}

int main(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 300};
    char name[64];
    pid_t workers[WORKERS];
    snprintf(name, sizeof name, "/ipc_killed.%d", (int)getpid());
    semaphores = semget(IPC_PRIVATE, 3, 0600);
    messages = msgget(IPC_PRIVATE, 0600);
    segment = shmget(IPC_PRIVATE, 4096, 0600);
    queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
    CHECK(semaphores >= 0 && messages >= 0 && segment >= 0 && queue >= 0 && mq_unlink(name) == 0);
    CHECK(semctl(semaphores, 0, SETVAL, 1) == 0 && semctl(semaphores, 1, SETVAL, 1) == 0);
    srand(7);
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start();
    for (int round = 0; round < ROUNDS; round++) {
        int result, i = rand() % WORKERS;
        usleep((useconds_t)(rand() % 3000));
        kill(workers[i], SIGKILL);
        kill(workers[i], SIGKILL); /* pal-run's first may let it end by itself; this one does not */
        CHECK(waitpid(workers[i], &result, 0) == workers[i] && result == SIGKILL);
        /* A message that it had taken out is lost, one that it had sent is left: room for all that comes. */
        char text[300];
        struct { long type; char text[300]; } message;
        struct timespec now = {0, 0};
        while (round % 8 == 0 && msgrcv(messages, &message, sizeof message.text, 0, IPC_NOWAIT) >= 0)
            ;
        while (round % 8 == 0 && mq_timedreceive(queue, text, 300, NULL, &now) >= 0)
            ;
        for (int j = 0; j < 2; j++) { /* who waits for one that we took gets it back */
            message.type = 1;
            msgsnd(messages, &message, sizeof message.text, IPC_NOWAIT);
            mq_timedsend(queue, text, 100, 1, &now);
        }
        workers[i] = start();
    }
    for (int i = 0; i < WORKERS; i++) {
        kill(workers[i], SIGKILL);
        CHECK(waitpid(workers[i], NULL, 0) == workers[i]);
    }
    for (int i = 0; i < 3; i++)
        CHECK(semctl(semaphores, i, GETVAL) == (i < 2));
    CHECK(semctl(semaphores, 0, GETNCNT) == 0);
    struct shmid_ds status;
    CHECK(shmctl(segment, IPC_STAT, &status) == 0 && status.shm_nattch == 0);
    CHECK(semctl(semaphores, 0, IPC_RMID) == 0 && msgctl(messages, IPC_RMID, NULL) == 0 &&
          shmctl(segment, IPC_RMID, NULL) == 0 && mq_close(queue) == 0);
    return 0;
}
