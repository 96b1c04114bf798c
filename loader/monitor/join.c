/* SPDX-License-Identifier: MIT */
/*
 * The control socket: by it `pal-run exec` puts another program into the running sandbox.
 *
 * Its name is abstract, so nothing is left behind by any death, and it works where no file system can be written.  Anybody in
 * the network namespace can connect; a peer of another user, or outside of this pid namespace, is dropped unheard.  A guest
 * can't: no admitted call makes or connects a socket, and names of guests' sockets are the monitor's own (unix_names.c).
 *
 * A joining pal-run brings a sealed record, which only the libOS reads, and standard streams, which have to be such as a sandbox
 * could have been started with.  Both are given, once, to the process that the libOS makes for it: a member of the
 * sandbox by the kernel's word.  What asks without being asked gets nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"

#define JOINS_MAX 64
#define PATIENCE_MS 10000 /* with a first process that gets no processor */
#define OVERFLOW_ID 65534u
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

enum joined_state { JOINED_GREETS, JOINED_WAITS, JOINED_ASKED, JOINED_RUNS, JOINED_HOLDS };
static struct joined {
    uv_poll_t *poll; /* NULL: free */
    enum joined_state state;
    int socket, process;      /* process: a pidfd; -1: none */
    int descriptors[JOIN_DESCRIPTORS]; /* the record, then streams; -1: none */
    pid_t pid;
    uint64_t turn; /* in the queue */
} joins[JOINS_MAX];
static uint64_t turns;
static unsigned holds; /* how many hold the guests */
static struct monitor *of;
static uv_timer_t patience;
static const char *own_name;

static void ask_next(void);

/* ---- Connections ------------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

static void leave(struct joined *joined)
{
    bool asked = joined->state == JOINED_ASKED;
    if (joined->state == JOINED_HOLDS && --holds == 0)
        guests_hold(of, false);
    uv_poll_stop(joined->poll);
    uv_close((uv_handle_t *)joined->poll, on_closed);
    joined->poll = NULL;
    drop(&joined->socket);
    drop(&joined->process);
    for (size_t i = 0; i < JOIN_DESCRIPTORS; i++)
        drop(&joined->descriptors[i]);
    if (asked)
        ask_next();
}

static void answer(const struct joined *joined, enum join_answers what, int value, const char *text, int descriptor)
{
    struct join_answer packet = {.what = what, .value = value};
    snprintf(packet.text, sizeof packet.text, "%s", text);
    send_with(joined->socket, &packet, sizeof packet, &descriptor, descriptor >= 0);
}

static void refuse(struct joined *joined, int error, const char *why)
{
    answer(joined, JOIN_FAILED, error, why, -1);
    leave(joined);
}

/* It is gone: so is what it started.  That is waited for as others' orphans are. */
static void left_alone(struct joined *joined)
{
    if (joined->state == JOINED_RUNS)
        syscall(SYS_pidfd_send_signal, joined->process, SIGKILL, NULL, 0);
    leave(joined);
}

/* ---- What it wants ----------------------------------------------------------------------------------------------- */

/* As check_standard_streams of palrun.c; a directory, or what could bring one, would lead a picoprocess with name calls
 * out of its view. */
static const char *check_stream(int fd)
{
    struct stat status;
    int flags = fcntl(fd, F_GETFL), domain = 0, type = 0;
    socklen_t size = sizeof domain;
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    if (flags < 0 || flags & O_PATH || fstat(fd, &status) < 0)
        return "a standard stream is no open file";
    if (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode))
        return NULL;
    if (S_ISCHR(status.st_mode))
        return isatty(fd) ? "a standard stream is a terminal of its own" : NULL;
    if (!S_ISSOCK(status.st_mode))
        return "a standard stream is a directory or an unknown object";
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
    if (type != SOCK_STREAM || (domain != AF_INET && domain != AF_INET6) || getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0)
        return "a standard stream is a socket, but no connected stream of TCP";
    return NULL;
}

static const char *check_all(const int *descriptors)
{
    int seals = descriptors[0] < 0 ? -1 : fcntl(descriptors[0], F_GET_SEALS);
    const char *wrong = seals < 0 || (seals & SEALS) != SEALS ? "its record is not sealed" : NULL;
    for (size_t i = 1; i < JOIN_DESCRIPTORS && !wrong; i++)
        wrong = descriptors[i] < 0 ? NULL : check_stream(descriptors[i]);
    return wrong;
}

static void on_patience_end(uv_timer_t *timer)
{
    (void)timer;
    for (size_t i = 0; i < JOINS_MAX; i++)
        if (joins[i].poll && joins[i].state == JOINED_ASKED) {
            refuse(&joins[i], ETIMEDOUT, "the program does not answer");
            return;
        }
}

/* One at a time: so the process that comes for it can be told apart. */
static void ask_next(void)
{
    struct joined *next = NULL;
    for (size_t i = 0; i < JOINS_MAX; i++) {
        if (!joins[i].poll)
            continue;
        if (joins[i].state == JOINED_ASKED)
            return;
        if (joins[i].state == JOINED_WAITS && (!next || joins[i].turn < next->turn))
            next = &joins[i];
    }
    if (!next) {
        uv_timer_stop(&patience);
        return;
    }
    next->state = JOINED_ASKED;
    monitor_tell(of->first, LINUX_NUMBER_JOIN);
    uv_timer_start(&patience, on_patience_end, PATIENCE_MS, 0);
}

/* streams: bit n: the next descriptor is stream n. */
static void begin(struct joined *joined, int streams, const int *descriptors, size_t count)
{
    size_t at = 0, wanted = 1 + (size_t)__builtin_popcount((unsigned)streams);
    for (size_t i = 0; i < JOIN_DESCRIPTORS; i++)
        joined->descriptors[i] = (i == 0 || streams >> (i - 1) & 1) && at < count ? fcntl(descriptors[at++], F_DUPFD_CLOEXEC, 0) : -1;
    const char *wrong = joined->state != JOINED_GREETS || at != count || count != wanted ? "it asks for something strange" : check_all(joined->descriptors);
    if (wrong) {
        refuse(joined, EINVAL, wrong);
        return;
    }
    for (size_t i = 1; i < JOIN_DESCRIPTORS; i++)
        if (joined->descriptors[i] >= 0)
            stream_open_anew(&joined->descriptors[i]);
    joined->state = JOINED_WAITS;
    joined->turn = ++turns;
    ask_next();
}

static void make_terminal(struct joined *joined, const struct join_request *request)
{
    static struct reply reply;
    const struct winsize size = {.ws_row = request->rows, .ws_col = request->columns};
    memset(&reply.packet, 0, sizeof reply.packet);
    int error = joined->state == JOINED_GREETS ? serve_pty(&of->terminals, &reply) : -EINVAL;
    if (error) {
        refuse(joined, -error, "no terminal can be made");
        return;
    }
    ioctl(reply.descriptors[0], TIOCSWINSZ, &size);
    answer(joined, JOIN_IS_TERMINAL, (int)reply.packet.value, "", reply.descriptors[0]);
    close(reply.descriptors[0]);
}

/* As on_signal of loop.c has it: the keys', or somebody's. */
static void pass_signal(const struct joined *joined, const struct join_request *request)
{
    siginfo_t info;
    int number = request->value;
    if (joined->state != JOINED_RUNS || number < 1 || number > SIGRTMAX || (number >= 32 && number < PAL_REAL_TIME_FIRST))
        return;
    memset(&info, 0, sizeof info);
    info.si_signo = LINUX_INTERRUPT_SIGNAL;
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = signal_number(number, request->from_keys);
    syscall(SYS_pidfd_send_signal, joined->process, LINUX_INTERRUPT_SIGNAL, &info, 0);
}

/* A question of another sandbox's is about to be drawn at the terminal. */
static void hold_guests(struct joined *joined)
{
    if (joined->state != JOINED_GREETS || !guests_hold(of, true)) {
        refuse(joined, EAGAIN, "guests can't be held");
        return;
    }
    holds++;
    joined->state = JOINED_HOLDS;
    answer(joined, JOIN_HELD, 0, "", -1);
}

static void heed(struct joined *joined, const struct join_request *request, const int *descriptors, size_t count)
{
    switch ((enum join_requests)request->what) {
    case JOIN_TERMINAL: make_terminal(joined, request); break;
    case JOIN_BEGIN: begin(joined, request->value, descriptors, count); break;
    case JOIN_SIGNAL: pass_signal(joined, request); break;
    case JOIN_HOLD: hold_guests(joined); break;
    case JOIN_ABOUT: answer(joined, JOIN_NAMED, 0, own_name ? own_name : "", -1); break;
    }
}

static void on_packet(uv_poll_t *poll, int status, int events)
{
    struct joined *joined = poll->data;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(JOIN_DESCRIPTORS * sizeof(int))];
    } control;
    struct join_request request;
    struct iovec part = {&request, sizeof request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int descriptors[JOIN_DESCRIPTORS];
    size_t count = 0;
    (void)status, (void)events;
    ssize_t size = recvmsg(joined->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    const struct cmsghdr *header = size < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    }
    if (size != sizeof request || message.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
        left_alone(joined);
    else
        heed(joined, &request, descriptors, count);
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]);
}

/* ---- The socket -------------------------------------------------------------------------------------------------- */

static uint64_t namespace_of(const char *process, const char *kind)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%s/ns/%s", process, kind);
    return stat(path, &status) < 0 ? 0 : status.st_ino;
}

/* Ids of other user namespaces show as one that is somebody's here, too. */
static bool is_trusted(const struct ucred *peer)
{
    char process[16];
    if (peer->uid != geteuid() || !peer->pid)
        return false;
    if (peer->uid != OVERFLOW_ID)
        return true;
    snprintf(process, sizeof process, "%d", (int)peer->pid);
    uint64_t theirs = namespace_of(process, "user");
    return theirs && theirs == namespace_of("self", "user");
}

static void on_connection(uv_poll_t *listener, int status, int events)
{
    int own, socket;
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    (void)status, (void)events;
    uv_fileno((const uv_handle_t *)listener, &own);
    socket = accept4(own, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0)
        return;
    struct joined *joined = joins;
    while (joined < joins + JOINS_MAX && joined->poll)
        joined++;
    uv_poll_t *poll = NULL;
    if (joined == joins + JOINS_MAX || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || !is_trusted(&peer) ||
        !(poll = malloc(sizeof *poll)) || uv_poll_init(of->uv, poll, socket) < 0) {
        free(poll);
        close(socket);
        return;
    }
    *joined = (struct joined){.poll = poll, .socket = socket, .process = -1, .descriptors = {-1, -1, -1, -1}};
    poll->data = joined;
    uv_poll_start(poll, UV_READABLE, on_packet);
}

unsigned join_address(struct sockaddr_un *address, const char *name, pid_t pid)
{
    int size;
    char *path = address->sun_path + 1; /* behind a NUL: abstract */
    const size_t room = sizeof address->sun_path - 1;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (name)
        size = snprintf(path, room, "pal-run/%u/name/%s", geteuid(), name);
    else
        size = snprintf(path, room, "pal-run/%u/pid/%llx/%d", geteuid(), (unsigned long long)namespace_of("self", "pid"), (int)pid);
    return size < 0 || (size_t)size >= room ? 0 : (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
}

/* A listener, or -1 with errno. */
static int listen_at(const char *name, pid_t pid)
{
    struct sockaddr_un address;
    socklen_t size = join_address(&address, name, pid);
    int listener = size ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (listener >= 0 && (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, JOINS_MAX) < 0)) {
        int error = errno;
        close(listener);
        errno = error;
        return -1;
    }
    return listener;
}

static void watch(int listener)
{
    uv_poll_t *poll = listener < 0 ? NULL : malloc(sizeof *poll);
    if (poll && uv_poll_init(of->uv, poll, listener) == 0)
        uv_poll_start(poll, UV_READABLE, on_connection);
}

static int named_listener = -1, pid_listener = -1;

void join_name(const char *name)
{
    own_name = name;
    named_listener = listen_at(name, 0);
    if (named_listener < 0)
        fail(EXIT_OWN_FAILURE, "--name %s: %s", name, errno == EADDRINUSE ? "a running sandbox has that name" : strerror(errno));
}

void join_watch(struct monitor *monitor)
{
    of = monitor;
    uv_timer_init(monitor->uv, &patience);
    watch(named_listener);
    watch(pid_listener);
}

/* Not at once: what ends soon is not joined.  One in another pid namespace, but in this network, may be called so: then this is
 * reached by its name alone. */
void join_watch_pid(void)
{
    if (pid_listener >= 0)
        return; /* at a terminal it was there at once */
    pid_listener = listen_at(NULL, getpid());
    watch(pid_listener);
}

void join_listen_pid(void)
{
    pid_listener = listen_at(NULL, getpid());
}

void join_unlisten_pid(void)
{
    if (pid_listener >= 0)
        close(pid_listener);
    pid_listener = -1;
}

/* ---- What members ask, and the end ------------------------------------------------------------------------------- */

static struct joined *find(enum joined_state state, pid_t pid)
{
    for (size_t i = 0; i < JOINS_MAX; i++)
        if (joins[i].poll && joins[i].state == state && (state != JOINED_RUNS || joins[i].pid == pid))
            return &joins[i];
    return NULL;
}

static int give(struct joined *joined, size_t which, struct reply *reply)
{
    if (joined->descriptors[which] < 0)
        return -ENOENT;
    reply->descriptors[0] = joined->descriptors[which]; /* closed after it was sent */
    reply->packet.descriptors = 1;
    joined->descriptors[which] = -1;
    return 0;
}

static int give_record(struct joined *joined, const struct request *request, struct reply *reply)
{
    if (request->sender == of->first || request->arguments[1]) {
        refuse(joined, EAGAIN, "there is no room for another process");
        return -ENOENT;
    }
    joined->process = (int)syscall(SYS_pidfd_open, request->sender, 0);
    if (joined->process < 0 || getsid(request->sender) != of->objects.session)
        return -ESRCH;
    joined->pid = request->sender;
    joined->state = JOINED_RUNS;
    ask_next();
    return give(joined, 0, reply);
}

int serve_join(const struct request *request, struct reply *reply)
{
    struct joined *asked = find(JOINED_ASKED, 0), *runs = find(JOINED_RUNS, request->sender);
    if (request->arguments[0] == PAL_JOIN_RECORD)
        return asked && !runs ? give_record(asked, request, reply) : -ENOENT;
    return runs && !request->arguments[1] ? give(runs, request->arguments[0] - PAL_JOIN_RECORD, reply) : -ENOENT;
}

bool join_ended(pid_t pid, int status)
{
    struct joined *joined = find(JOINED_RUNS, pid);
    if (!joined)
        return false;
    answer(joined, JOIN_ENDED, status, "", -1);
    leave(joined);
    return true;
}
