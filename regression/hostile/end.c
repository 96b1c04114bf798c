/* SPDX-License-Identifier: MIT */
/*
 * A guest that does not want to end: a family of processes that ignore all signals, with a private file, while others keep
 * the monitor busy, make it sleep on a terminal, or stop pal-run.  It ends by being killed only.  /out/ready appears when
 * everything is under way.
 *
 *   end quiet | flood | slow | flow | forged-flow | stop | eat | orphans | fork
 */
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>

#define HOSTCALL(...)
#define HOSTCALL_VIEW(...)
#define HOSTCALL_IF(...)
#define HOSTCALL_VIEW_IF(...)
#define HOSTCALL_UDP_IF(...)
#define HOSTCALL_IF2(...)
#include "pal/linux/hostcalls.def"
#include "pal/linux/monitor.h"
#include "regression/hostile/raw.h"

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void ready(void)
{
    close(open("/out/ready", O_CREAT | O_WRONLY, 0644));
}

static void live_on(void) __attribute__((noreturn));
static void live_on(void)
{
    for (;;)
        sleep_ms(1000);
}

/* Children, and orphans whose parents are dead. */
static void family(void)
{
    for (int signal_number = 1; signal_number < 32; signal_number++)
        if (signal_number != SIGCHLD)
            signal(signal_number, SIG_IGN);
    close(open("/tmp/private", O_CREAT | O_WRONLY, 0600));
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            if (fork() == 0 || i == 2)
                live_on();
            _exit(0);
        }
        if (i != 2)
            waitpid(pid, NULL, 0);
    }
}

struct packet {
    struct monitor_request request;
    char path[4000];
};

static void send_raw(const struct packet *packet, size_t size)
{
    raw_call(SYS_write, LINUX_FD_CHANNEL, (long)packet, (long)(sizeof packet->request + size), 0, 0, 0);
}

/* Requests without end, from processes that never take an answer. */
static void flood(const char *step, int count)
{
    static struct packet packet = {.request = {.op = MONITOR_STAT}};
    size_t size = 0;
    strcpy(packet.path, "/usr");
    for (size = 4; size + strlen(step) < sizeof packet.path; size += strlen(step))
        strcpy(packet.path + size, step);
    packet.request.path_size = (uint32_t)size;
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            dispatch_off();
            for (;;)
                send_raw(&packet, size);
        }
}

static int terminal[2];

static void *fill(void *unused)
{
    static const char bytes[65536];
    (void)unused;
    while (write(terminal[1], bytes, sizeof bytes) > 0)
        ;
    return NULL;
}

static void *suspend(void *unused)
{
    (void)unused;
    tcflow(terminal[1], TCIOFF);
    return NULL;
}

/* A line that nobody reads is full: to send STOP there would take for ever. */
static void flow(int forged)
{
    pthread_t thread;
    struct termios modes;
    if (openpty(&terminal[0], &terminal[1], NULL, NULL, NULL) < 0)
        exit(1);
    tcgetattr(terminal[1], &modes);
    cfmakeraw(&modes);
    tcsetattr(terminal[1], TCSANOW, &modes);
    if (fork() == 0)
        fill(NULL);
    sleep_ms(200);
    if (!forged) {
        pthread_create(&thread, NULL, suspend, NULL);
    } else if (fork() == 0) {
        dispatch_off();
        for (uint64_t fd = 0; fd < 64; fd++) /* whatever the host's number is */
            for (uint64_t action = 0; action < 4; action++) {
                struct packet packet = {
                    .request = {.op = MONITOR_TERMINAL,
                                .arguments = {(uint64_t)MONITOR_TERMINAL_FLOW << 32 | fd, (action + 2) % 4}}};
                send_raw(&packet, 0);
            }
        for (;;)
            raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    sleep_ms(200);
    ready();
}

static void stop_pal_run(void)
{
    ready();
    if (fork() == 0) {
        static const int signals[] = {SIGSTOP, SIGTTIN, SIGTSTP, SIGTTOU};
        dispatch_off();
        for (unsigned i = 0;; i++) {
            struct packet packet = {.request = {.op = MONITOR_TERMINAL,
                                                .arguments = {(uint64_t)MONITOR_TERMINAL_STOP << 32,
                                                              (uint64_t)signals[i % 4]}}};
            send_raw(&packet, 0);
        }
    }
}

/* Memory that counts for no process, then for this one. */
static void eat(void)
{
    static char page[65536];
    int section = memfd_create("eaten", 0);
    memset(page, 1, sizeof page);
    ready();
    for (int i = 0; i < 1024; i++)
        if (write(section, page, sizeof page) < 0)
            break;
    for (;;)
        memset(malloc(1 << 20), 1, 1 << 20);
}

/* Orphans that are killed while pal-run is starting yet. */
static void orphans(void)
{
    int ends[2];
    if (pipe(ends) < 0)
        exit(1);
    for (int i = 0; i < 12; i++) {
        pid_t child = fork(), orphan = 0;
        if (child == 0) {
            orphan = fork();
            if (orphan == 0)
                live_on();
            _exit(write(ends[1], &orphan, sizeof orphan) != sizeof orphan);
        }
        waitpid(child, NULL, 0);
        if (read(ends[0], &orphan, sizeof orphan) != sizeof orphan)
            exit(1);
        kill(orphan, SIGKILL);
    }
}

/* A second process before anybody was asked for it: told is what came of that. */
static void alone(void)
{
    static const char refused[] = "refused\n", made[] = "made\n";
    static uint32_t number;
    instruction = instructions[PAL_INSTRUCTION] = find_pal_instruction();
    dispatch_off();
    long result = raw_call(SYS_clone, LINUX_CLONE_FORK, 0, 0, (long)&number, 0, 0);
    if (result == -EAGAIN)
        raw_call(SYS_write, 1, (long)refused, sizeof refused - 1, 0, 0, 0);
    else if (result > 0)
        raw_call(SYS_write, 1, (long)made, sizeof made - 1, 0, 0, 0);
    for (;;)
        raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    if (!strcmp(way, "fork"))
        alone();
    if (ways_begin() < 0) /* forks */
        return 1;
    instruction = instructions[PAL_INSTRUCTION];
    if (!strcmp(way, "orphans")) {
        orphans();
        return 0;
    }
    family();
    if (!strcmp(way, "flood") || !strcmp(way, "slow"))
        ready(); /* later there is no getting through */
    if (!strcmp(way, "flood"))
        flood("/lib/..", 3);
    else if (!strcmp(way, "slow"))
        flood("/share/../lib/x86_64-linux-gnu/../..", 2);
    else if (!strcmp(way, "flow"))
        flow(0);
    else if (!strcmp(way, "forged-flow"))
        flow(1);
    else if (!strcmp(way, "stop"))
        stop_pal_run();
    else if (!strcmp(way, "eat"))
        eat();
    else
        ready();
    live_on();
}
