/* SPDX-License-Identifier: MIT */
/* rseq(2): what is refused, the processor's number, critical sections that signals abort; threads, fork, exec. */
#include <errno.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SIZE = 32, OTHER_SIGNATURE = 0x12345678 };

static struct rseq own __attribute__((aligned(SIZE)));

static long call(void *area, unsigned size, int flags, unsigned signature)
{
    return syscall(SYS_rseq, area, size, flags, signature);
}

static struct rseq *libc_area(void)
{
    return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void knows_the_processor(const struct rseq *area)
{
    unsigned number = *(volatile unsigned *)&area->cpu_id;
    CHECK(number < (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}

static void refuses(void)
{
    struct rseq *area = libc_area();
    CHECK_FAILS(call(area, SIZE, 0, RSEQ_SIG), EBUSY);
    CHECK_FAILS(call(area, SIZE, 0, OTHER_SIGNATURE), EPERM);
    CHECK_FAILS(call(&own, SIZE, 0, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call(area, SIZE, 4, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call(&own, SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call(area, 2 * SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call(area, SIZE, RSEQ_FLAG_UNREGISTER, OTHER_SIGNATURE), EPERM);
    CHECK(call(area, SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0 && (int)area->cpu_id == RSEQ_CPU_ID_UNINITIALIZED);
    CHECK_FAILS(call(area, SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call((char *)&own + 8, SIZE, 0, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call(&own, SIZE - 1, 0, RSEQ_SIG), EINVAL);
    CHECK_FAILS(call((void *)-4096l, SIZE, 0, RSEQ_SIG), EFAULT);
    CHECK(call(&own, SIZE, 0, RSEQ_SIG) == 0);
    knows_the_processor(&own);
    CHECK(call(&own, SIZE, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0 && call(area, SIZE, 0, RSEQ_SIG) == 0);
}

/* A section that never ends by itself: 1 when it was aborted. */
static int aborted(struct rseq *area)
{
    int result = 0;
    __asm__ volatile(".pushsection .data\n"
                     ".balign 32\n"
                     "9: .long 0, 0\n"
                     ".quad 1f, 2f - 1f, 3f\n"
                     ".popsection\n"
                     "lea 9b(%%rip), %%rax\n"
                     "mov %%rax, %[section]\n"
                     "1: pause\n"
                     "jmp 1b\n"
                     "2: jmp 4f\n"
                     ".byte 0x0f, 0xb9, 0x3d\n" /* ud1: nobody gets here by mistake */
                     ".long %c[signature]\n"
                     "3: mov $1, %[result]\n"
                     "4:\n"
                     : [result] "+r"(result), [section] "=m"(area->rseq_cs)
                     : [signature] "i"(RSEQ_SIG)
                     : "rax", "memory", "cc");
    return result;
}

static volatile int ticks;

static void tick(int signal)
{
    (void)signal;
    ticks++;
}

static void is_aborted(void)
{
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    signal(SIGALRM, tick);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 20; i++)
        CHECK(aborted(libc_area()) == 1);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

static void *in_thread(void *unused)
{
    knows_the_processor(libc_area());
    CHECK_FAILS(call(libc_area(), SIZE, 0, RSEQ_SIG), EBUSY);
    return unused;
}

/* Their areas go with their stacks, at once. */
static void threads(void)
{
    const size_t size = 256 << 10;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != MAP_FAILED && pthread_attr_init(&attributes) == 0);
        CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
        CHECK(pthread_create(&thread, &attributes, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
        CHECK(munmap(stack, size) == 0);
    }
}

static void ends_well(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void processes(char *self)
{
    char *arguments[] = {self, "again", NULL}, *environment[] = {NULL};
    pid_t child = fork();
    if (!child) {
        CHECK_FAILS(call(libc_area(), SIZE, 0, RSEQ_SIG), EBUSY); /* inherited */
        is_aborted();
        _exit(0);
    }
    ends_well(child);
    for (int i = 0; i < 3; i++) {
        CHECK(posix_spawn(&child, self, NULL, NULL, arguments, environment) == 0);
        ends_well(child);
        is_aborted(); /* the parent's goes on */
    }
    if (!(child = fork())) {
        execve(self, arguments, environment);
        _exit(1);
    }
    ends_well(child);
}

/* getcpu(2) agrees with it, on whichever processor. */
static void *agrees(void *argument)
{
    int seen = 0;
    (void)argument;
    for (int tries = 0; seen < 200 && tries < 1000000; tries++) {
        unsigned told;
        int before = sched_getcpu();
        CHECK(syscall(SYS_getcpu, &told, NULL, NULL) == 0);
        if (before >= 0 && before == sched_getcpu()) {
            CHECK((int)told == before);
            seen++;
        }
    }
    CHECK(seen == 200);
    return NULL;
}

static void processors(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, agrees, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    if (!__rseq_size) {
        puts("the host's kernel has no rseq");
        return 77;
    }
    processors();
    knows_the_processor(libc_area());
    is_aborted();
    if (argc > 1)
        return 0;
    refuses();
    is_aborted();
    threads();
    processes(argv[0]);
    return 0;
}
