/* SPDX-License-Identifier: MIT */
/* Threads of one process wait for each other, while the process is hit by signals and forks. */
#include <linux/futex.h>

#include "random.h"

enum { MAX = 6 };

/* ---- A turn goes round ------------------------------------------------------------------------------------------- */

static struct { pthread_mutex_t mutex; pthread_cond_t changed; int turn, count, threads; } ring;

static void *ring_thread(void *place)
{
    appear();
    for (int i = 0; i < ring.count; i++) {
        MUST(!pthread_mutex_lock(&ring.mutex));
        while (ring.turn % ring.threads != (int)(long)place)
            MUST(!pthread_cond_wait(&ring.changed, &ring.mutex));
        ring.turn++;
        MUST(!pthread_cond_broadcast(&ring.changed));
        MUST(!pthread_mutex_unlock(&ring.mutex));
    }
    return place;
}

static void ring_init(void)
{
    static const int protocols[] = {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT};
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, below(2) ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE);
    pthread_mutexattr_setrobust(&attributes, below(2) ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
    MUST(!pthread_mutexattr_setprotocol(&attributes, protocols[below(2)]));
    MUST(!pthread_mutex_init(&ring.mutex, &attributes) && !pthread_cond_init(&ring.changed, NULL));
    ring.threads = 2 + (int)below(MAX - 1);
    ring.count = 1 + (int)below(30);
    ring.turn = 0;
}

void game_ring(void)
{
    pthread_t threads[MAX];
    ring_init();
    for (long i = 0; i < ring.threads; i++)
        MUST(!pthread_create(&threads[i], NULL, ring_thread, (void *)i));
    pid_t pid = below(2) ? child() : -1; /* a fork amid threads */
    if (!pid)
        _exit(0);
    for (long i = 0; i < ring.threads; i++) {
        void *place;
        MUST(!pthread_join(threads[i], &place) && place == (void *)i);
    }
    MUST(ring.turn == ring.threads * ring.count);
    if (pid > 0)
        reap(pid, 0);
    MUST(!pthread_mutex_destroy(&ring.mutex) && !pthread_cond_destroy(&ring.changed));
}

/* ---- Work handed out by a semaphore, done under locks, gathered at a barrier ------------------------------------- */

static struct {
    pthread_rwlock_t readers;
    pthread_barrier_t end;
    sem_t jobs, done;
    int total, sum, left;
} pool;

static void *leaf(void *argument)
{
    appear();
    return argument;
}

static void *pool_thread(void *argument)
{
    appear();
    for (;;) {
        MUST(!RETRY(sem_wait(&pool.jobs)));
        MUST(!pthread_rwlock_wrlock(&pool.readers));
        int job = pool.left ? pool.left-- : 0;
        pool.sum += job;
        MUST(!pthread_rwlock_unlock(&pool.readers));
        if (!job)
            break;
        pthread_t thread;
        void *result;
        if (!below(8))
            MUST(!pthread_create(&thread, NULL, leaf, &pool) && !pthread_join(thread, &result) && result == &pool);
        MUST(!pthread_rwlock_rdlock(&pool.readers));
        MUST(pool.sum >= job);
        MUST(!pthread_rwlock_unlock(&pool.readers));
        MUST(!sem_post(&pool.done));
    }
    int last = pthread_barrier_wait(&pool.end);
    MUST(!last || last == PTHREAD_BARRIER_SERIAL_THREAD);
    return argument;
}

void game_pool(void)
{
    pthread_t threads[MAX];
    unsigned count = 1 + below(MAX);
    pool.total = pool.left = (int)below(40);
    pool.sum = 0;
    MUST(!pthread_rwlock_init(&pool.readers, NULL) && !pthread_barrier_init(&pool.end, NULL, count + 1));
    MUST(!sem_init(&pool.jobs, 0, 0) && !sem_init(&pool.done, 0, 0));
    for (unsigned i = 0; i < count; i++)
        MUST(!pthread_create(&threads[i], NULL, pool_thread, NULL));
    for (int i = 0; i < pool.total; i++)
        MUST(!sem_post(&pool.jobs));
    for (int i = 0; i < pool.total; i++)
        MUST(!RETRY(sem_wait(&pool.done)));
    MUST(pool.sum == pool.total * (pool.total + 1) / 2);
    for (unsigned i = 0; i < count; i++)
        MUST(!sem_post(&pool.jobs));
    pthread_barrier_wait(&pool.end);
    for (unsigned i = 0; i < count; i++)
        MUST(!pthread_join(threads[i], NULL));
    MUST(!pthread_barrier_destroy(&pool.end) && !pthread_rwlock_destroy(&pool.readers));
}

/* ---- Waiters are moved from one word to another ------------------------------------------------------------------ */

static struct { _Atomic unsigned gate, exit; int private, threads; } queue;

static void *requeue_thread(void *argument)
{
    appear();
    for (AT(); !queue.gate; AT())
        futex(&queue.gate, FUTEX_WAIT | queue.private, 0, 0, NULL, 0);
    /* Moved or woken: now the other word, whose one wake-up wakes the next. */
    for (AT(); !queue.exit; AT())
        futex(&queue.exit, FUTEX_WAIT_BITSET | queue.private, 0, 0, NULL, 1);
    futex(&queue.exit, FUTEX_WAKE | queue.private, 1, 0, NULL, 0);
    return argument;
}

void game_requeue(void)
{
    pthread_t threads[MAX];
    queue.gate = queue.exit = 0;
    queue.private = below(2) ? FUTEX_PRIVATE_FLAG : 0;
    queue.threads = 1 + (int)below(MAX);
    for (long i = 0; i < queue.threads; i++)
        MUST(!pthread_create(&threads[i], NULL, requeue_thread, NULL));
    nap();
    queue.gate = 1;
    long moved = futex(&queue.gate, FUTEX_CMP_REQUEUE | queue.private, 1, 1000, &queue.exit, 1);
    MUST(moved >= 0 && moved <= queue.threads);
    nap();
    queue.exit = 1;
    if (below(2)) { /* FUTEX_OP_SET: stores 1 again, compares with what was there */
        MUST(futex(&queue.gate, FUTEX_WAKE_OP | queue.private, 1, 1, &queue.exit,
                   (unsigned)FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 1)) >= 0);
    } else {
        MUST(futex(&queue.exit, FUTEX_WAKE_BITSET | queue.private, 1, 0, NULL, 1) >= 0);
    }
    for (long i = 0; i < queue.threads; i++)
        MUST(!pthread_join(threads[i], NULL));
}

/* ---- Threads are ended by others, wherever they wait ------------------------------------------------------------- */

static struct {
    int ends[2];
    sem_t semaphore;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    _Atomic int ended;
} cancel;

static void on_end(void *mutex)
{
    if (mutex)
        MUST(!pthread_mutex_unlock(mutex));
    cancel.ended++;
}

static void *canceled_thread(void *way)
{
    char byte;
    bool locks = (long)way == 0;
    appear();
    if (locks)
        MUST(!pthread_mutex_lock(&cancel.mutex));
    pthread_cleanup_push(on_end, locks ? &cancel.mutex : NULL);
    for (;;) {
        AT();
        if (locks)
            pthread_cond_wait(&cancel.changed, &cancel.mutex);
        else if ((long)way == 1)
            RETRY(read(cancel.ends[0], &byte, 1));
        else if ((long)way == 2)
            RETRY(sem_wait(&cancel.semaphore));
        else
            pause();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

void game_cancel(void)
{
    pthread_t threads[MAX];
    int count = 1 + (int)below(MAX);
    cancel.ended = 0;
    MUST(!pipe(cancel.ends) && !sem_init(&cancel.semaphore, 0, 0));
    MUST(!pthread_mutex_init(&cancel.mutex, NULL) && !pthread_cond_init(&cancel.changed, NULL));
    for (int i = 0; i < count; i++)
        MUST(!pthread_create(&threads[i], NULL, canceled_thread, (void *)(long)below(4)));
    nap();
    for (int i = 0; i < count; i++)
        MUST(!pthread_cancel(threads[i]));
    for (int i = 0; i < count; i++) {
        void *result;
        MUST(!pthread_join(threads[i], &result) && result == PTHREAD_CANCELED);
    }
    MUST(cancel.ended <= count && !pthread_mutex_destroy(&cancel.mutex));
    MUST(!close(cancel.ends[0]) && !close(cancel.ends[1]));
}
