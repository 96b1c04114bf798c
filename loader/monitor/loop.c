/* SPDX-License-Identifier: MIT */
/*
 * The monitor: one loop that serves requests, passes signals on to the guest, and sees the sandbox's end.
 *
 * A round trip in which both sides sleep costs ten times one in which neither does.  So after an answer the monitor
 * looks for the next request for a while before it sleeps, as long as that pays: an idle sandbox costs nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"
#include "loader/supervise/supervise.h"

#define SPIN_MOST_NS 150000
#define SPIN_LEAST_NS 2000
#define CREDIT_MAX 16
#define SETTLED_MS 20  /* a sandbox that lives on is worth a supervisor that costs more */
#define STARTED_MS 250 /* what was needed for the start is not any more */
#define VIEW_WORTH 48   /* requests that a view costs, and more */
#define VIEW_LIKELY 16  /* ... where the program's last start came to as many: this one is such a start */
#define SEND_PATIENCE 10 /* ms */
#define TURN_NS 1000000 /* how long requests may keep signals and timers waiting */
#define SIGNAL_STATUS 128
#define ALONE 32 /* see LINUX_INTERRUPT_SIGNAL */

/* The guest is told as if it had got the signal itself: the PAL and the libOS pass it on. */
void monitor_tell(pid_t member, int number)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = LINUX_INTERRUPT_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = number;
    /* A child that was not waited for yet: the pid is its own. */
    syscall(SYS_rt_sigqueueinfo, member, LINUX_INTERRUPT_SIGNAL, &info);
}

static void pass_on(const struct monitor *monitor, int number)
{
    monitor_tell(monitor->first, number);
}

/* pal-run is a job that stops.  So does all of the sandbox: what its user believes to be stopped must not run on. */
static void stop_together(struct monitor *monitor)
{
    kill(-monitor->first, SIGSTOP);
    terminals_stop(&monitor->terminals);
    kill(-monitor->first, SIGCONT);
    pass_on(monitor, SIGCONT);
}

/* ---- One request ------------------------------------------------------------------------------------------------- */

int monitor_dispatch(struct monitor *monitor, const struct request *request, struct reply *reply)
{
    struct mount_table *table = &monitor->policy->mounts;
    switch ((enum monitor_op)request->op) {
    case MONITOR_OPEN: return serve_open(table, request, reply);
    case MONITOR_STAT: return serve_stat(table, request, reply);
    case MONITOR_INVALIDATOR: return serve_invalidator(&table->invalidator, reply);
    case MONITOR_SET: return serve_set(table, request, reply);
    case MONITOR_SET_OPENED: return serve_set_opened(table, &monitor->objects, request);
    case MONITOR_NOTIFY: return serve_notify(table, &monitor->objects, request, reply);
    case MONITOR_NOTIFY_END: return serve_notify_end(&monitor->objects, request);
    case MONITOR_EXTENDED: return serve_extended(table, &monitor->objects, request, reply);
    case MONITOR_CHANGE: return serve_change(table, request, reply);
    case MONITOR_READLINK: return serve_readlink(table, request, reply);
    case MONITOR_CANONICAL: return serve_canonical(table, request, reply);
    case MONITOR_INTERRUPT: return serve_interrupt(&monitor->objects, request);
    case MONITOR_LOOK: return serve_look(&monitor->objects, request, reply);
    case MONITOR_EXPORT: return serve_export(&monitor->objects, request, reply);
    case MONITOR_IMPORT:
        if (request->arguments[0] == PAL_CORE_TOKEN)
            return serve_core(&monitor->deaths, request, request->sender == monitor->first, reply);
        return request->arguments[0] - PAL_JOIN_RECORD < JOIN_DESCRIPTORS ? serve_join(request, reply)
                                                                          : serve_import(&monitor->objects, request, reply);
    case MONITOR_CREATE: return serve_create(&monitor->objects, request, reply);
    case MONITOR_TEE: return serve_tee(&monitor->objects, request, reply);
    case MONITOR_SHUTDOWN: return serve_shutdown(&monitor->objects, request);
    case MONITOR_ALLOCATE: return serve_allocate(&monitor->objects, request);
    case MONITOR_OPTION: return serve_option(&monitor->objects, request);
    case MONITOR_SEND: return serve_send(table, &monitor->objects, request, reply);
    case MONITOR_VIEW: return serve_view(table, reply);
    case MONITOR_UNCHANGED: return serve_unchanged(table, request, reply);
    case MONITOR_SPACE: return serve_space(table, request, reply);
    case MONITOR_LIST: return serve_list(&monitor->policy->mounts, &monitor->objects, request);
    case MONITOR_BIND:
        return request->flags & MONITOR_INET ? inet_bind(monitor, request, reply)
                                             : serve_bind(table, &monitor->unix_names, request, reply);
    case MONITOR_LISTEN:
        return request->arguments[0] & INET_NUMBER ? inet_listen(&monitor->inets, &monitor->outbound, request)
                                                   : serve_listen(&monitor->unix_names, request);
    case MONITOR_CONNECT:
        return request->flags & MONITOR_INET ? inet_connect(monitor, request, reply)
                                             : serve_connect(table, &monitor->unix_names, request, reply);
    case MONITOR_PTY: return serve_pty(&monitor->terminals, reply);
    case MONITOR_PTY_INNER: return serve_pty_inner(&monitor->terminals, request, reply);
    case MONITOR_TERMINAL: return serve_terminal(&monitor->terminals, &monitor->objects, request, reply);
    case MONITOR_START: return serve_start(table, request, reply);
    case MONITOR_SETTLE: return 0;
    case MONITOR_MULTIPLY: return alone_end() < 0 ? -EAGAIN : 0;
    case MONITOR_OPS: break;
    }
    return -ENOSYS;
}

int send_with(int socket, const void *bytes, size_t size, const int *descriptors, size_t count)
{
    const struct iovec part = {(void *)bytes, size};
    return send_rights(socket, &part, 1, descriptors, count, SEND_PATIENCE);
}

/*
 * A guest that does not take its answers can't stop the monitor: an answer that has no room waits in `last`, and is given up
 * for the next one.  So only forged requests go without: an honest picoprocess asks when the one before has its answer,
 * and reads on until its own comes.
 */
static struct reply last;
static bool last_waits;

static void drop_descriptors(void)
{
    for (size_t i = 0; i < last.packet.descriptors; i++)
        close(last.descriptors[i]);
    last.packet.descriptors = 0;
}

/*
 * What an end of means something to: see MONITOR_MORE.  Of an opened file only inotify(7) tells, once a guest uses it,
 * and locks do: MONITOR_SETTLE.
 */
static bool is_end(const struct monitor *monitor, const struct request *request, const struct reply *reply)
{
    switch ((enum monitor_op)request->op) {
    case MONITOR_CREATE: return reply->packet.descriptors > 1 || request->mode == PAL_OBJECT_EVENT;
    case MONITOR_OPEN: return reply->packet.attributes.type == PAL_TYPE_FIFO || monitor->served[MONITOR_NOTIFY];
    case MONITOR_START: return monitor->served[MONITOR_NOTIFY];
    case MONITOR_CONNECT: case MONITOR_BIND: case MONITOR_IMPORT: case MONITOR_PTY: case MONITOR_PTY_INNER: return true;
    default: return false;
    }
}

static void send_descriptors_first(int channel)
{
    struct monitor_reply more = {
        .sequence = last.packet.sequence, .result = MONITOR_MORE, .descriptors = last.packet.descriptors};
    if (send_with(channel, &more, sizeof more, last.descriptors, last.packet.descriptors) == 0)
        drop_descriptors();
}

/* Too many descriptors are on their way, others' among them: it tries again, the loop's other work between, but not for ever. */
static bool try_again(int error)
{
    static unsigned tries;
    tries = error == -ETOOMANYREFS ? tries + 1 : 0;
    return tries && tries < RIGHTS_PATIENCE / SEND_PATIENCE;
}

static void send_last(int channel)
{
    const struct iovec parts[2] = {{&last.packet, sizeof last.packet}, {last.text.bytes, last.packet.text_size}};
    size_t count = last.packet.text_size ? 2 : 1;
    int error = send_rights(channel, parts, count, last.descriptors, last.packet.descriptors, SEND_PATIENCE);
    bool again = try_again(error);
    if (!again && (error == -ETOOMANYREFS || error == -ENOMEM)) {
        drop_descriptors();
        last.packet.result = -EMFILE;
        error = send_rights(channel, parts, count, NULL, 0, 0);
    }
    last_waits = again || error == -EAGAIN;
    if (!last_waits)
        drop_descriptors();
}

/* Names become absolute paths.  What lies on no mount can only be opened anew. */
static int begin_names(struct monitor *monitor, struct request *request, struct absolute_name *name,
                       struct absolute_name *other)
{
    struct mount_table *table = &monitor->policy->mounts;
    name->path = request->path;
    name->size = request->path_size;
    other->path = request->other;
    other->size = request->other_size;
    name->from = other->from = NULL;
    other->own = -1;
    int error = anchor_begin(&monitor->anchors, table, &monitor->objects, request->sender, &request->from_base, name);
    if (!error)
        error = anchor_begin(&monitor->anchors, table, &monitor->objects, request->sender, &request->other_base, other);
    bool looks = request->op == MONITOR_OPEN || /* its owner may not have an id in the picoprocess's namespace */
                 (request->op == MONITOR_STAT && !(request->flags & MONITOR_VALIDITY) && name->from && !name->from->directory) ||
                 (request->op == MONITOR_CHANGE && (request->flags & ~MONITOR_NOFOLLOW) == PAL_LINK); /* its new name comes first */
    if (!error && name->from && !name->from->mount && !looks)
        error = request->op == MONITOR_CHANGE ? -EXDEV : request->op == MONITOR_CANONICAL ? -ENOENT : -EACCES;
    request->path = name->path;
    request->path_size = name->size;
    request->from = name->from;
    request->other = other->path;
    request->other_size = other->size;
    request->other_from = other->from;
    if (error) {
        anchor_end(name);
        anchor_end(other);
    }
    return error;
}

/* ---- The view ---------------------------------------------------------------------------------------------------- */

/* It has told what it made, or was killed: the rest is its end. */
static void collect_maker(struct view *view)
{
    if (view->maker)
        waitpid(view->maker, NULL, __WCLONE);
    view->maker = 0;
}

static void on_maker_end(uv_poll_t *poll, int status, int events)
{
    int process;
    (void)status, (void)events;
    uv_fileno((const uv_handle_t *)poll, &process);
    uv_poll_stop(poll);
    close(process);
    collect_maker(poll->data);
}

static void on_view(uv_poll_t *poll, int status, int events)
{
    static uv_poll_t maker;
    struct monitor *monitor = poll->data;
    struct mount_table *table = &monitor->policy->mounts;
    int end;
    (void)status, (void)events;
    uv_fileno((const uv_handle_t *)poll, &end);
    uv_poll_stop(poll);
    view_take(table, end);
    close(end);
    maker.data = &table->view;
    int process = (int)syscall(SYS_pidfd_open, table->view.maker, 0);
    if (process < 0 || uv_poll_init(monitor->uv, &maker, process) < 0 || uv_poll_start(&maker, UV_READABLE, on_maker_end) < 0)
        collect_maker(&table->view);
}

static uint32_t view_worth(const struct monitor *monitor)
{
    return monitor->view_at_once ? 1 : prefetch_profile_had_view() ? VIEW_LIKELY : VIEW_WORTH;
}

/* Names were asked for often enough: from now on picoprocesses are to find them by themselves. */
static void view_want(struct monitor *monitor, const struct request *request)
{
    static uv_poll_t poll;
    struct mount_table *table = &monitor->policy->mounts;
    bool looks = request->op == MONITOR_OPEN || request->op == MONITOR_STAT || request->op == MONITOR_READLINK ||
                 request->op == MONITOR_START;
    if (!looks || !monitor->objects.walled || table->view.begun || !monitor->uv ||
        ++monitor->names_asked < view_worth(monitor))
        return;
    if (!monitor->view_at_once)
        prefetch_profile_note_view();
    int end = view_begin(table);
    poll.data = monitor;
    if (end >= 0 && (uv_poll_init(monitor->uv, &poll, end) < 0 || uv_poll_start(&poll, UV_READABLE, on_view) < 0))
        close(end);
}

void monitor_serve(struct monitor *monitor, const void *packet, size_t size, pid_t sender)
{
    static struct absolute_name name, other;
    struct request request;
    int error = request_decode(packet, size, &request);
    if (error == -EBADMSG)
        return;
    request.sender = sender;
    if (!error)
        error = begin_names(monitor, &request, &name, &other);
    drop_descriptors();
    memset(&last.packet, 0, sizeof last.packet);
    last.text.size = 0;
    if (!error) {
        monitor->served[request.op]++;
        error = decision_serve(monitor, &request, &last);
        prefetch_profile_note(&monitor->policy->mounts, &request, error);
        uint64_t shown = 0;
        int refused = view_admit(&monitor->policy->mounts, &monitor->objects, last.descriptors, last.packet.descriptors,
                                 &shown);
        if (request.op == MONITOR_OPEN && monitor->objects.walled)
            last.packet.value = shown;
        if (refused) {
            drop_descriptors();
            error = refused;
        }
        anchor_end(&name);
        anchor_end(&other);
    }
    last.packet.result = error;
    last.packet.sequence = request.sequence;
    last.packet.view = monitor->policy->mounts.view.top >= 0;
    last.packet.text_size = error && error != -EREMOTE ? 0 : last.text.size;
    if (last.packet.descriptors && error != MONITOR_ASKED && is_end(monitor, &request, &last))
        send_descriptors_first(monitor->channel);
    send_last(monitor->channel);
    if (!last_waits) /* the view's maker has a copy of all that is open here */
        view_want(monitor, &request);
    if (monitor->terminals.stop)
        stop_together(monitor);
}

/* ---- The channel ------------------------------------------------------------------------------------------------- */

/* The last request was for a connection: both ends' processes want the processors now, and none asks soon. */
static bool unhurried;

static bool is_connection(const void *packet, size_t size)
{
    struct monitor_request request;
    if (size < sizeof request)
        return false;
    memcpy(&request, packet, sizeof request);
    return request.op == MONITOR_CONNECT;
}

/* One packet, if there is one: > 0.  0: none now.  -1: nobody is left who could send. */
static int receive(struct monitor *monitor)
{
    static char packet[MONITOR_REQUEST_MAX + 1];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {packet, sizeof packet};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(monitor->channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (size == 0 && !message.msg_controllen)
        return -1;
    struct ucred sender = {.pid = 0};
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(&sender, CMSG_DATA(header), sizeof sender);
    if (sender.pid && sender.pid != monitor->pid) /* a guest can have MONITOR_SEND send here */
        monitor_serve(monitor, packet, (size_t)size, sender.pid);
    unhurried = is_connection(packet, (size_t)size);
    return 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/*
 * How long to look for the next request.  Looking in vain costs credit (the guest thinks for long, or waits for this
 * very processor), finding one earns it; without credit, now and then a request that came soon after the last does.
 */
static struct { int credit, soon; int64_t last; } spin = {.credit = CREDIT_MAX / 2};

static int64_t patience(void)
{
    if (spin.credit <= 0 && now_ns() - spin.last < SPIN_MOST_NS && ++spin.soon % 8 == 0)
        spin.credit = 1;
    return spin.credit > 0 ? SPIN_MOST_NS : SPIN_LEAST_NS;
}

static void spin_settle(int served)
{
    if (served > 1)
        spin.credit = spin.credit + served < CREDIT_MAX ? spin.credit + served : CREDIT_MAX;
    else if (spin.credit > 0)
        spin.credit--;
    spin.last = now_ns();
}

struct loop {
    struct monitor *monitor;
    uv_loop_t uv;
    uv_poll_t channel, signals;
    uv_timer_t wall, settle, start;
    int64_t wall_ns; /* when the time limit is over */
    int terminations, status;
    bool ended;
};

static void on_request(uv_poll_t *poll, int status, int events)
{
    static int watched = UV_READABLE;
    struct loop *loop = poll->data;
    struct monitor *monitor = loop->monitor;
    int64_t most = patience(), begin = now_ns(), since = begin;
    int got = 1, served = 0;
    (void)status, (void)events;
    while (got >= 0 && since - begin < TURN_NS) { /* a guest that never stops asking comes again, after the others */
        if (last_waits)
            send_last(monitor->channel);
        got = receive(monitor);
        if (got > 0) {
            served += !unhurried;
            since = now_ns();
            continue;
        }
        if (unhurried || now_ns() - since > most)
            break;
        for (int i = 0; i < 32; i++)
            __builtin_ia32_pause();
    }
    if (served || !unhurried)
        spin_settle(served);
    invalidate_on_mounts(&monitor->policy->mounts.invalidator, &loop->uv);
    int wanted = UV_READABLE | (last_waits ? UV_WRITABLE : 0);
    if (got < 0)
        uv_poll_stop(poll);
    else if (watched != wanted)
        uv_poll_start(poll, watched = wanted, on_request);
}

/* ---- Signals and the end ----------------------------------------------------------------------------------------- */

static bool passes_all; /* signals, one to one: a second SIGTERM means nothing more than the first */

/*
 * SIGTERM has a handler instead: it must get through to the supervisor where the monitor hangs.  But not where all are
 * passed on: then those are left out that glibc keeps for itself, and what pal-run's own faults bring can't be blocked.
 */
static void handled_signals(sigset_t *set)
{
    static const int signals[] = {SIGCHLD, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGCONT, SIGUSR1, SIGUSR2};
    if (passes_all) {
        sigfillset(set);
        return;
    }
    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(set, signals[i]);
}

static volatile sig_atomic_t terminations;

static void on_termination(int number)
{
    int error = errno;
    (void)number;
    terminations = terminations + 1;
    supervisor_termination();
    if (terminations > 2) /* which has heeded the second by itself, if the loop did not */
        _exit(SIGNAL_STATUS + SIGTERM);
    kill(getpid(), SIGCHLD); /* the loop looks for both */
    errno = error;
}

void monitor_block_signals(bool all)
{
    sigset_t set;
    passes_all = all;
    struct sigaction action = {.sa_handler = on_termination, .sa_flags = SA_RESTART};
    handled_signals(&set);
    signal(SIGCHLD, SIG_DFL); /* ignored, as pal-run's caller may have it, children would leave no status */
    signal(SIGPIPE, SIG_IGN); /* the reader of pal-run's output, or its supervisor, may be gone */
    signal(SIGXFSZ, SIG_IGN); /* for a guest a file may become too large */
    signal(SIGIO, SIG_IGN);   /* somebody was about to write what a guest was about to run: check_executable */
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (!passes_all)
        sigaction(SIGTERM, &action, NULL);
}

static void finish(struct loop *loop, int status)
{
    loop->ended = true;
    loop->status = status;
    uv_stop(&loop->uv);
}

static void on_wall_limit(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    warn("time limit (%llu s) exceeded: program killed",
         (unsigned long long)loop->monitor->policy->limits.wall_seconds);
    event_limit("wall_seconds", loop->monitor->policy->limits.wall_seconds);
    end_all(loop->monitor);
    finish(loop, EXIT_TIME_LIMIT);
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

/* Orphans of the sandbox become pal-run's children.  The first picoprocess is left for end_all: its pid must stay
 * its own. */
static void collect(struct loop *loop)
{
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid)
            return; /* children, all alive */
        if (!info.si_pid || info.si_pid == loop->monitor->first)
            break;
        if (supervisor_is(info.si_pid)) {
            if (has_ended(loop->monitor->first))
                break;
            supervisor_collect();
            warn("the supervisor was killed, so the program is killed too: nothing else guarantees its end");
            end_all(loop->monitor);
            finish(loop, EXIT_OWN_FAILURE);
            return;
        }
        int status = 0;
        if (waitpid(info.si_pid, &status, WNOHANG) == info.si_pid && join_ended(info.si_pid, status))
            uv_timer_start(&loop->start, idle_drop_text, STARTED_MS, 0);
        if (info.si_code != CLD_EXITED) /* so it can't have told anybody */
            pass_on(loop->monitor, LINUX_NUMBER_KILLED);
    }
    if (loop->wall_ns && now_ns() >= loop->wall_ns) { /* the supervisor was faster */
        on_wall_limit(&loop->wall);
        return;
    }
    int status = end_all(loop->monitor);
    loop->monitor->exited = WIFEXITED(status);
    finish(loop, end_status(status, &loop->monitor->policy->limits));
}

static void on_settled(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    int64_t error = alone_end();
    if (error >= 0)
        error = supervisor_settle();
    join_watch_pid();
    if (error >= 0 || has_ended(loop->monitor->first))
        return;
    warn("the supervisor can't be started, so the program was killed: %s", strerror((int)-error));
    end_all(loop->monitor);
    finish(loop, EXIT_OWN_FAILURE);
}

static void heed_terminations(struct loop *loop)
{
    int count = terminations;
    if (count > loop->terminations)
        decision_on_signal(loop->monitor, SIGTERM);
    if (count >= 2) {
        end_all(loop->monitor);
        finish(loop, SIGNAL_STATUS + SIGTERM);
    } else if (count > loop->terminations) {
        pass_on(loop->monitor, SIGTERM + ALONE);
    }
    loop->terminations = count;
}

/* Of a child, or what a call of pal-run's own brought: see monitor_block_signals. */
static bool is_own(const struct signalfd_siginfo *info)
{
    bool from_kernel = info->ssi_code > 0, by_call = info->ssi_signo == SIGPIPE || info->ssi_signo == SIGXFSZ;
    return (info->ssi_signo == SIGCHLD && (from_kernel || !passes_all)) || (info->ssi_signo == SIGIO && from_kernel) ||
           (by_call && info->ssi_pid == (uint32_t)getpid());
}

/* The terminal's are for its foreground group; what somebody sends is for the program alone. */
int signal_number(int number, bool from_keys)
{
    if (number >= PAL_REAL_TIME_FIRST)
        return LINUX_NUMBER_REAL_TIME + number - PAL_REAL_TIME_FIRST;
    return number + (from_keys ? 0 : ALONE);
}

static void on_signal(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    struct signalfd_siginfo info;
    int fd;
    (void)status, (void)events;
    uv_fileno((const uv_handle_t *)poll, &fd);
    while (!loop->ended && read(fd, &info, sizeof info) == sizeof info) {
        if (!is_own(&info)) {
            decision_on_signal(loop->monitor, (int)info.ssi_signo);
            pass_on(loop->monitor, signal_number((int)info.ssi_signo, info.ssi_code == SI_KERNEL));
        }
        if (info.ssi_signo != SIGCHLD)
            continue;
        heed_terminations(loop);
        if (!loop->ended)
            collect(loop);
    }
}

static void watch(struct loop *loop, uv_poll_t *poll, int fd, uv_poll_cb callback, void *data)
{
    poll->data = data;
    if (fd < 0 || uv_poll_init(&loop->uv, poll, fd) < 0 || uv_poll_start(poll, UV_READABLE, callback) < 0)
        fail(EXIT_OWN_FAILURE, "can't watch a descriptor: %s", strerror(errno));
}

static struct loop loop;

static void begin_limit(void)
{
    uint64_t seconds = loop.monitor->policy->limits.wall_seconds;
    if (seconds >= INT64_MAX / 2000000000)
        return;
    loop.wall.data = &loop;
    uv_timer_init(&loop.uv, &loop.wall);
    uv_timer_start(&loop.wall, on_wall_limit, seconds * 1000, 0);
    loop.wall_ns = now_ns() + (int64_t)seconds * 1000000000;
    if (!supervisor_limit(seconds))
        fail(EXIT_OWN_FAILURE, "can't start the supervisor that keeps the time limit: %s", strerror(EAGAIN));
}

void monitor_taken(struct monitor *monitor)
{
    uv_update_time(monitor->uv); /* it has waited beside the loop */
    begin_limit();
}

void monitor_signal(struct monitor *monitor, int number)
{
    static const int passed[] = {SIGINT, SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
    if (number == SIGKILL) {
        end_all(monitor);
        finish(&loop, SIGNAL_STATUS + SIGKILL);
    }
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (number == passed[i])
            pass_on(monitor, number + ALONE);
}

int monitor_run(struct monitor *monitor, const struct options *options)
{
    sigset_t set;
    loop.monitor = monitor;
    monitor->pid = getpid();
    handled_signals(&set);
    if (uv_loop_init(&loop.uv) < 0)
        fail(EXIT_OWN_FAILURE, "can't make an event loop: raise the limit of open files");
    monitor->uv = &loop.uv;
    join_watch(monitor);
    decision_begin(monitor, options);
    watch(&loop, &loop.channel, monitor->channel, on_request, &loop);
    int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    watch(&loop, &loop.signals, signals, on_signal, &loop);
    loop.settle.data = &loop;
    uv_timer_init(&loop.uv, &loop.settle);
    uv_timer_start(&loop.settle, on_settled, SETTLED_MS, 0);
    uv_timer_init(&loop.uv, &loop.start);
    uv_timer_start(&loop.start, idle_drop_text, STARTED_MS, 0);
    if (monitor->waiting.waits)
        waiting_begin(monitor, signals);
    else
        begin_limit();
    collect(&loop); /* it may have ended before its signal was waited for */
    while (!loop.ended)
        uv_run(&loop.uv, UV_RUN_DEFAULT);
    decision_end(monitor);
    struct view *view = &monitor->policy->mounts.view;
    if (view->maker)
        kill(view->maker, SIGKILL);
    collect_maker(view);
    return loop.status;
}
