/* SPDX-License-Identifier: MIT */
/*
 * What policy refuses, somebody may be asked about (loader/ask).  Every request is decided here, by the same functions as
 * ever: a refusal that is worth a question is answered by MONITOR_ASKED and a pipe, and the picoprocess makes its request
 * again when the pipe hangs up.  Nothing is held for it here, so it may be killed meanwhile, and others are served.
 *
 * A yes changes the policy by the rules of a start (mount_grant, network_add_rule); then the request is decided as any other.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loader/ask/ask.h"
#include "loader/monitor/monitor.h"

#define STOP_TRIES 5000 /* a millisecond apart: a guest that gets no processor does not stop */

static struct ask ask;
static size_t rules[QUESTIONS_MAX]; /* of the network, that a question was given */

/* ---- Guests are held while a question stands at their terminal --------------------------------------------------- */

/* All threads of a process of this session; others count as stopped. */
static bool process_is_stopped(const char *process, pid_t session, bool *seen)
{
    char path[300];
    struct process_state its;
    snprintf(path, sizeof path, "/proc/%.20s/stat", process);
    if (!process_state(path, &its) || its.session != session)
        return true;
    *seen = true;
    snprintf(path, sizeof path, "/proc/%.20s/task", process);
    DIR *tasks = opendir(path);
    bool all = true;
    for (struct dirent *task; tasks && all && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%.20s/task/%.20s/stat", process, task->d_name);
        all = task->d_name[0] == '.' || !process_state(path, &its) || its.stopped;
    }
    if (tasks)
        closedir(tasks);
    return all;
}

static bool all_stopped(pid_t session)
{
    DIR *processes = opendir("/proc");
    bool all = true, seen = false;
    for (struct dirent *process; processes && all && (process = readdir(processes));)
        if (process->d_name[0] >= '1' && process->d_name[0] <= '9')
            all = process_is_stopped(process->d_name, session, &seen);
    if (processes)
        closedir(processes);
    return all && seen;
}

/* Only guests that have the terminal could draw on it. */
bool guests_hold(const struct monitor *monitor, bool stop)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    if (!terminal_is_shared())
        return true;
    kill(-monitor->first, stop ? SIGSTOP : SIGCONT);
    for (int i = 0; stop && i < STOP_TRIES; i++) {
        if (all_stopped(monitor->first))
            return true;
        nanosleep(&pause, NULL);
    }
    if (stop)
        kill(-monitor->first, SIGCONT);
    return !stop;
}

static enum hold hold(void *context, bool stop)
{
    const struct monitor *monitor = context;
    if (stop && !terminals_in_front(&monitor->terminals))
        return HOLD_NO;
    int error = stop ? fellows_hold(monitor->terminals.own) : 0;
    if (error)
        return error == -EBUSY ? HOLD_LATER : HOLD_NO;
    bool done = guests_hold(monitor, stop);
    if (!stop || !done)
        fellows_release();
    return done ? HOLD_YES : HOLD_NO;
}

/* ---- A yes ------------------------------------------------------------------------------------------------------- */

/* The object that was asked about, not what has come to its place.  What mount_grant says, or a negative errno. */
static int give_path(struct mount_table *table, const char *at, const char *expected, bool writes)
{
    char real[PAL_PATH_MAX];
    int fd = mount_source(table, at, real);
    if (fd < 0)
        return fd;
    if (strcmp(real, expected) != 0) {
        close(fd);
        return -ESTALE;
    }
    return mount_grant(table, at, expected, writes, fd);
}

/* A marker's name has its address now, or none. */
static void on_address(struct monitor *monitor, uint32_t number, uint8_t (*addresses)[16], uint32_t count)
{
    struct question *question = &ask.list[number % QUESTIONS_MAX];
    const char *name = monitor->policy->network.rules[rules[number % QUESTIONS_MAX]].name;
    if (question->released || !name)
        return;
    if (count)
        outbound_grant(&monitor->outbound, name, addresses[0]);
    else if (number < QUESTIONS_MAX && names_ask(monitor, name, true, number + QUESTIONS_MAX, on_address))
        return; /* of the other family */
    ask_release(&ask, question);
}

/* False: it is given later, or not at all; then the question is released. */
static bool give_rule(struct monitor *monitor, struct question *question)
{
    struct network *network = &monitor->policy->network;
    size_t rule = network->rule_count;
    uint32_t number = (uint32_t)(question - ask.list);
    if (network_add_rule(network, question->grants))
        return true;
    rules[number] = rule;
    return !network->rules[rule].name || !names_ask(monitor, network->rules[rule].name, false, number, on_address);
}

static void answered(void *context, struct question *question)
{
    struct monitor *monitor = context;
    struct mount_table *table = &monitor->policy->mounts;
    bool path = question->kind != DENIED_NETWORK, lasts = question->answer == ANSWER_RUN || question->answer == ANSWER_ALWAYS;
    bool done = true;
    int error = 0;
    if (path && lasts)
        error = give_path(table, question->grants, question->real, question->kind == DENIED_WRITE);
    else if (!path && question->answer != ANSWER_NEVER)
        done = give_rule(monitor, question);
    if (error < 0)
        warn("%s can't be shown: %s", question->grants, strerror(-error));
    const char *wrong = question->answer == ANSWER_ALWAYS && error >= 0 ? keep_add(monitor->policy, ask.keep, question) : NULL;
    if (wrong)
        warn("%s: the answer is not kept: %s", ask.keep, wrong);
    if (done)
        ask_release(&ask, question);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static bool looks(const struct request *request)
{
    return request->op == MONITOR_STAT || request->op == MONITOR_READLINK || request->op == MONITOR_CANONICAL;
}

/* Its name alone, and for this request; to make a name is to change the directory. */
static int serve_once(struct monitor *monitor, const struct request *request, struct reply *reply, struct question *question)
{
    struct mount_table *table = &monitor->policy->mounts;
    char real[PAL_PATH_MAX], *at = must_copy(question->name);
    bool writes = question->kind == DENIED_WRITE;
    int fd = mount_source(table, at, real);
    if (fd == -ENOENT && writes && strrchr(at, '/') != at) {
        *strrchr(at, '/') = 0;
        fd = mount_source(table, at, real);
    }
    char *from = must_copy(fd < 0 ? "" : real);
    int given = fd < 0 ? fd : mount_grant(table, at, from, writes, fd), result = -EACCES;
    if (given >= 0) {
        result = monitor_dispatch(monitor, request, reply);
        reply->mount = NULL;
        mount_revoke(table, at, given);
        question->used = result == 0 && !looks(request);
    }
    free(at);
    free(from);
    return result;
}

int decision_serve(struct monitor *monitor, const struct request *request, struct reply *reply)
{
    struct denials *denials = &monitor->policy->mounts.denials;
    struct question *question;
    denials->refusal.reason = NULL;
    int result = monitor_dispatch(monitor, request, reply);
    if (!denials->asking || !denials->refusal.reason)
        return result;
    enum verdict verdict = result < 0 ? ask_about(&ask, &denials->refusal, &question) : VERDICT_NO;
    if (verdict == VERDICT_ONCE) {
        reply->packet.descriptors = 0;
        reply->text.size = 0;
        denials->refusal.reason = NULL;
        result = serve_once(monitor, request, reply, question);
    } else if (verdict == VERDICT_WAIT) {
        int waiting = fcntl(question->waiting, F_DUPFD_CLOEXEC, 0);
        if (waiting >= 0) {
            reply->descriptors[0] = waiting;
            reply->packet.descriptors = 1;
            reply->text.size = 0;
            return MONITOR_ASKED;
        }
    }
    denials_settle(denials);
    return result;
}

/* A rule that was given for one connection. */
void decision_spend(struct monitor *monitor, const struct pal_inet *to, bool udp)
{
    for (size_t i = 0; i < ask.count; i++) {
        struct question *question = &ask.list[i];
        if (question->kind != DENIED_NETWORK || question->answer != ANSWER_ONCE || question->used || !question->released ||
            !outbound_is_by(&monitor->outbound, rules[i], to->address, udp, to->port))
            continue;
        struct net_rule *rule = &monitor->policy->network.rules[rules[i]];
        rule->tcp = rule->udp = false;
        question->used = true;
    }
}

/* ---- Begin and end ----------------------------------------------------------------------------------------------- */

void decision_begin(struct monitor *monitor, const struct options *options)
{
    if (!options->ask && !options->ask_fd)
        return;
    ask.policy = monitor->policy;
    ask.uv = monitor->uv;
    ask.keep = options->ask_keep ? options->ask_keep : options->manifest;
    ask.is_terminal = !options->ask_fd;
    ask.fd = options->ask_fd ? fcntl(options->ask_fd, F_DUPFD_CLOEXEC, 3) : monitor->terminals.own;
    ask.seconds = options->ask_seconds ? (unsigned)options->ask_seconds : 60;
    ask.hold = hold;
    ask.answered = answered;
    ask.context = monitor;
    if (ask.fd < 0 && options->ask_fd)
        fail(EXIT_OWN_FAILURE, "--ask-fd %d: %s: expected the number of an open socket", options->ask_fd, strerror(errno));
    if (ask.fd < 0)
        warn("--ask: there is no terminal to ask at: requests are refused without asking");
    ask_begin(&ask);
    monitor->policy->mounts.denials.asking = true;
}

void decision_on_signal(const struct monitor *monitor, int number)
{
    if (!monitor->policy->mounts.denials.asking || !ask.standing || !ask.is_terminal)
        return;
    if (number == SIGTSTP)
        ask_withdraw(&ask);
    else if (number == SIGINT || number == SIGQUIT || number == SIGHUP || number == SIGTERM)
        ask_answer(&ask, ANSWER_NEVER);
}

void decision_end(const struct monitor *monitor)
{
    if (monitor->policy->mounts.denials.asking && ask.fd >= 0)
        ask_end(&ask);
}
