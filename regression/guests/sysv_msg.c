/* SPDX-License-Identifier: MIT */
/* System V message queues: order, types, blocking, limits, removal. */
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

struct message { long type; char text[8192]; };

static int send(int id, long type, const char *text)
{
    struct message message = {.type = type};
    strcpy(message.text, text);
    return msgsnd(id, &message, strlen(text), IPC_NOWAIT);
}

/* Receives and compares. */
static int get(int id, long type, int flags, const char *text)
{
    struct message message;
    memset(&message, 0, sizeof message);
    ssize_t size = msgrcv(id, &message, sizeof message.text, type, flags | IPC_NOWAIT);
    return size == (ssize_t)strlen(text) && !memcmp(message.text, text, (size_t)size);
}

static void ended(pid_t child, int expected)
{
    int result;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(result == expected);
}

static void order(int id)
{
    struct message message;
    struct msqid_ds status;
    CHECK_FAILS(msgrcv(id, &message, 1, 0, IPC_NOWAIT), ENOMSG);
    CHECK_FAILS(send(id, 0, "x"), EINVAL);
    CHECK(!send(id, 3, "three") && !send(id, 1, "one") && !send(id, 2, "two") && !send(id, 1, "uno") &&
          !send(id, 9, ""));
    CHECK(msgctl(id, IPC_STAT, &status) == 0 && status.msg_qnum == 5 && status.msg_lspid == getpid());
    CHECK(get(id, 1, MSG_COPY, "one"));
    CHECK(get(id, -2, 0, "one") && get(id, 2, 0, "two") && get(id, -2, 0, "uno"));
    CHECK_FAILS(msgrcv(id, &message, 10, 1, IPC_NOWAIT), ENOMSG);
    CHECK_FAILS(msgrcv(id, &message, 2, 3, IPC_NOWAIT), E2BIG);
    CHECK(get(id, 3, MSG_EXCEPT, ""));
    CHECK(msgrcv(id, &message, 2, 0, MSG_NOERROR) == 2 && message.type == 3 && !memcmp(message.text, "th", 2));
    CHECK(msgctl(id, IPC_STAT, &status) == 0 && status.msg_qnum == 0 && status.msg_lrpid == getpid());
}

static void limits(int id)
{
    static struct message message = {.type = 1};
    for (int i = 0; i < 8192; i++)
        message.text[i] = (char)(i * 7);
    CHECK_FAILS(msgsnd(id, &message, 100000, IPC_NOWAIT), EINVAL);
    CHECK(msgsnd(id, &message, 8192, IPC_NOWAIT) == 0 && msgsnd(id, &message, 8192, IPC_NOWAIT) == 0);
    CHECK_FAILS(msgsnd(id, &message, 1, IPC_NOWAIT), EAGAIN);
    pid_t child = fork();
    if (child == 0)
        _exit(msgsnd(id, &message, 100, 0) ? 1 : 0);
    usleep(20000);
    static struct message got;
    CHECK(msgrcv(id, &got, 8192, 0, 0) == 8192 && !memcmp(got.text, message.text, 8192));
    ended(child, 0);
    CHECK(msgrcv(id, &got, 8192, 0, 0) == 8192 && msgrcv(id, &got, 8192, 0, 0) == 100);
}

static void exchange(int id)
{
    struct { long type; int number; } message;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 2000; i++) {
            if (msgrcv(id, &message, sizeof(int), 1, 0) != sizeof(int) || message.number != i)
                _exit(1);
            message.type = 2;
            if (i % 4 == 0 && msgsnd(id, &message, sizeof(int), 0))
                _exit(2);
        }
        _exit(0);
    }
    for (int i = 0; i < 2000; i++) {
        message.type = 1;
        message.number = i;
        CHECK(msgsnd(id, &message, sizeof(int), 0) == 0);
        if (i % 4 == 0)
            CHECK(msgrcv(id, &message, sizeof(int), 2, 0) == sizeof(int) && message.number == i);
    }
    ended(child, 0);
}

static void handler(int number) { (void)number; }

static void ends(int id)
{
    struct message message;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
    CHECK_FAILS(msgrcv(id, &message, 10, 0, 0), EINTR);
    int ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(write(ready[1], "", 1) == 1);
        _exit(msgrcv(id, &message, 10, 0, 0) == -1 && errno == EIDRM ? 0 : 1);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    usleep(100000); /* it waits by now */
    CHECK(msgctl(id, IPC_RMID, NULL) == 0);
    ended(child, 0);
    CHECK_FAILS(msgctl(id, IPC_RMID, NULL), EINVAL);
}

int main(void)
{
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    CHECK(id >= 0);
    order(id);
    limits(id);
    exchange(id);
    ends(id);
    return 0;
}
