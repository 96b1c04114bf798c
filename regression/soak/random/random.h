/* SPDX-License-Identifier: MIT */
/*
 * What the games of main.c share.  A game begins and ends with one process of one thread and no children; each actor
 * checks its own part with MUST, which also tells the watchdog where it is.
 */
#ifndef RANDOM_H
#define RANDOM_H
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { ACTORS = 64, NAP = 300 /* us */ };

struct actor {
    _Atomic int pid, tid, line;
    const char *_Atomic file;
};

/* Shared by all processes of a family, and with the watchdog. */
struct family {
    _Atomic unsigned rounds;
    const char *_Atomic game;
    _Atomic int way; /* in which the game is played */
    _Atomic unsigned next_actor;
    struct actor actors[ACTORS]; /* the last who came; who has gone is told by its tid */
    /* For the game that is on: */
    _Atomic unsigned words[4];   /* futexes */
    _Atomic long counters[8];
    sem_t semaphores[2];
    pthread_mutex_t mutexes[2]; /* robust; the second one inherits priorities */
};

extern struct family *family;
extern _Thread_local struct actor *actor;
extern const char *self_path; /* to be run again: "exit N" */

void failed(const char *file, int line, const char *what) __attribute__((noreturn));
#define AT() (atomic_store(&actor->file, __FILE__), atomic_store(&actor->line, __LINE__))
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        AT();                                                                                                          \
        if (!(condition))                                                                                              \
            failed(__FILE__, __LINE__, #condition);                                                                    \
    } while (0)
/* Signals hit everybody at any time. */
#define RETRY(call)                                                                                                    \
    ({                                                                                                                 \
        long retry_;                                                                                                   \
        do                                                                                                             \
            retry_ = (call);                                                                                           \
        while (retry_ == -1 && errno == EINTR);                                                                        \
        retry_;                                                                                                        \
    })

unsigned below(unsigned limit); /* a random number, of this thread */
void random_seed(unsigned seed);
void nap(void);                 /* or not */
void appear(void);              /* a new thread is an actor */
pid_t child(void);              /* fork: the child is an actor, and does not outlive its parent */
void reap(pid_t pid, int expected);
int reap_any(pid_t pid); /* the status */
long futex(_Atomic unsigned *word, int operation, unsigned value, unsigned long count, _Atomic unsigned *word2,
           unsigned value3);
/* Waits until fd is readable, in any of the ways there are, or not at all. */
void readable(int fd);

/* Signals that are always blocked, and the games' own. */
#define QUEUED_FIRST (SIGRTMIN + 1)
#define QUEUED_LAST (SIGRTMIN + 4)

void game_token(void);    /* token.c */
void game_ring(void);     /* threads.c */
void game_pool(void);
void game_requeue(void);
void game_cancel(void);
void game_children(void); /* children.c */
void game_orphans(void);
void game_stops(void);
void game_exec(void);
void game_queued(void); /* signals.c */
void game_threads_hit(void);
void game_timers(void);
void game_killed_writer(void); /* killed.c */
void game_killed_holder(void);
void game_killed_caller(void);
void game_messages(void); /* messages.c */
void game_spliced(void);
void game_rights(void);
void game_connect(void); /* connect.c */
void game_crowd(void); /* waiting.c */
void game_ticks(void);
#endif
