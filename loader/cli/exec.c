/* SPDX-License-Identifier: MIT */
/*
 * `pal-run exec`: another program in a running sandbox, with this process's standard streams.  What is a terminal here is one of
 * the sandbox's own there, and this process carries keys and output between the two, as ssh does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "loader/cli/cli.h"

#define USAGE "usage: pal-run exec [--env NAME[=VALUE]] [--cwd DIR] [--user UID[:GID[,GID...]]] NAME|PID [--] PROGRAM [ARG...]"
#define VARIABLES_MAX 4096
#define WAIT_TRIES 1000 /* 10 ms apart: --wait */
#define QUIET_MS 200    /* how often a terminal that nobody there has open is looked at */

static struct {
    const char *cwd;
    const char *variables[VARIABLES_MAX];
    size_t variable_count;
    bool own_environment, waits; /* for pal-oci: the variables are this process's, and the sandbox may just be starting */
    struct pal_join record;
} wanted;

static int control = -1, outer = -1, user = -1; /* outer, user: where there is a terminal: its outer side; the user's */
static struct termios user_modes;
static bool is_raw;

/* ---- The command line -------------------------------------------------------------------------------------------- */

static uint32_t read_id(char **at, char behind)
{
    char *end;
    unsigned long value = strtoul(*at, &end, 10);
    if (end == *at || value >= UINT32_MAX || (*end && *end != behind && *end != ','))
        fail(EXIT_OWN_FAILURE, "exec: --user: expected UID[:GID[,GID...]], as numbers");
    *at = *end ? end + 1 : end;
    return (uint32_t)value;
}

static void take_user(char *value)
{
    struct pal_join *record = &wanted.record;
    record->flags |= PAL_JOIN_IDS;
    record->uid = record->gid = read_id(&value, ':');
    if (*value)
        record->gid = read_id(&value, ',');
    while (*value && record->group_count < PAL_JOIN_GROUPS)
        record->groups[record->group_count++] = read_id(&value, ',');
}

static void take_variable(const char *value)
{
    const char *own = strchr(value, '=') ? NULL : getenv(value);
    if (wanted.variable_count == VARIABLES_MAX)
        fail(EXIT_OWN_FAILURE, "exec: too many variables");
    if (own)
        value = must_print("%s=%s", value, own);
    if (strchr(value, '='))
        wanted.variables[wanted.variable_count++] = value;
}

/* Returns where NAME stands. */
static char **take_options(char **at)
{
    for (; *at && (*at)[0] == '-'; at++) {
        bool takes = !strcmp(*at, "--env") || !strcmp(*at, "--cwd") || !strcmp(*at, "--user");
        if (takes && !at[1])
            fail(EXIT_OWN_FAILURE, "exec: %s needs a value", *at);
        if (!strcmp(*at, "--env"))
            take_variable(*++at);
        else if (!strcmp(*at, "--cwd"))
            wanted.cwd = *++at;
        else if (!strcmp(*at, "--user"))
            take_user(*++at);
        else if (!strcmp(*at, "--own-env"))
            wanted.own_environment = true;
        else if (!strcmp(*at, "--wait"))
            wanted.waits = true;
        else
            fail(EXIT_OWN_FAILURE, "exec: unknown option %s; " USAGE, *at);
    }
    return at;
}

/* ---- The sandbox ------------------------------------------------------------------------------------------------- */

/* Of this very user's: names are anybody's to take. */
static bool connect_to(const char *name, pid_t pid)
{
    struct sockaddr_un address;
    struct ucred peer;
    socklen_t size = join_address(&address, name, pid), peer_size = sizeof peer;
    control = size ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) : -1;
    if (control >= 0 && connect(control, (struct sockaddr *)&address, size) == 0 &&
        getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0 && peer.uid == geteuid())
        return true;
    if (control >= 0)
        close(control);
    return false;
}

static void find_sandbox(const char *name)
{
    char *end;
    long pid = strtol(name, &end, 10);
    for (int tries = wanted.waits ? WAIT_TRIES : 1; tries; tries--) {
        if (connect_to(name, 0) || (!*end && end != name && pid > 0 && connect_to(NULL, (pid_t)pid)))
            return;
        if (wanted.waits)
            usleep(10000);
    }
    fail(EXIT_OWN_FAILURE, "exec: you have no running sandbox named %s: see pal-run ps", name);
}

static bool receive(struct join_answer *answer, int *descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } rights;
    struct iovec part = {answer, sizeof *answer};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t size = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (size == sizeof *answer && descriptor && header && header->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return size == sizeof *answer;
}

static void request(enum join_requests what, int value, const int *descriptors, size_t count)
{
    struct join_request packet = {.what = what, .value = value};
    struct winsize size;
    if (user >= 0 && ioctl(user, TIOCGWINSZ, &size) == 0) {
        packet.rows = size.ws_row;
        packet.columns = size.ws_col;
    }
    const struct iovec part = {&packet, sizeof packet};
    send_rights(control, &part, 1, descriptors, count, RIGHTS_PATIENCE);
}

static void pass_signal(int number, bool from_keys)
{
    const struct join_request packet = {.what = JOIN_SIGNAL, .value = number, .from_keys = from_keys};
    send_with(control, &packet, sizeof packet, NULL, 0);
}

/* ---- The terminal ------------------------------------------------------------------------------------------------ */

/* Keys are the sandbox's from here on, those that are signals, too. */
static void make_raw(void)
{
    struct termios raw = user_modes;
    if (user != STDIN_FILENO)
        return; /* output alone */
    cfmakeraw(&raw);
    is_raw = tcsetattr(user, TCSADRAIN, &raw) == 0;
}

static void restore(void)
{
    if (is_raw)
        tcsetattr(user, TCSADRAIN, &user_modes);
    is_raw = false;
}

static void make_terminal(void)
{
    struct join_answer answer;
    request(JOIN_TERMINAL, 0, NULL, 0);
    if (!receive(&answer, &outer) || answer.what != JOIN_IS_TERMINAL || outer < 0)
        fail(EXIT_OWN_FAILURE, "exec: the sandbox can't make a terminal");
    wanted.record.terminal = (uint32_t)answer.value;
    tcgetattr(user, &user_modes);
    tcsetattr(outer, TCSANOW, &user_modes);
    fcntl(outer, F_SETFL, fcntl(outer, F_GETFL) | O_NONBLOCK);
}

static void resize(void)
{
    struct winsize size;
    if (user < 0 || ioctl(user, TIOCGWINSZ, &size) < 0)
        return;
    ioctl(outer, TIOCSWINSZ, &size);
    pass_signal(SIGWINCH, true);
}

/* Which signal a key means there, or 0: for the kernel the terminal is nobody's, so it sends none (Linux's n_tty). */
static int key_signal(const struct termios *modes, unsigned char byte)
{
    static bool quoted;
    bool quotes = (modes->c_lflag & (ICANON | IEXTEN)) == (ICANON | IEXTEN) && byte == modes->c_cc[VLNEXT];
    if (quoted || byte == _POSIX_VDISABLE) {
        quoted = false;
        return 0;
    }
    if (modes->c_lflag & ISIG) {
        if (byte == modes->c_cc[VINTR])
            return SIGINT;
        if (byte == modes->c_cc[VQUIT])
            return SIGQUIT;
        if (byte == modes->c_cc[VSUSP])
            return SIGTSTP;
    }
    quoted = quotes;
    return 0;
}

static char keys[4096];
static size_t key_count;

/* What has room goes; false: the rest waits. */
static void type(void)
{
    struct termios modes;
    bool known = tcgetattr(outer, &modes) == 0;
    ssize_t done = write(outer, keys, key_count);
    if (done < 0)
        done = errno == EAGAIN || errno == EINTR ? 0 : (ssize_t)key_count; /* nobody reads there */
    for (ssize_t i = 0; known && i < done; i++) {
        int number = key_signal(&modes, (unsigned char)keys[i]);
        if (number)
            pass_signal(number, true);
    }
    memmove(keys, keys + done, key_count - (size_t)done);
    key_count -= (size_t)done;
}

static bool read_keys(void)
{
    ssize_t size = read(STDIN_FILENO, keys, sizeof keys);
    if (size <= 0)
        return size < 0 && (errno == EINTR || errno == EAGAIN);
    key_count = (size_t)size;
    type();
    return true;
}

/* False: nothing more now; *open: and nobody has it open there. */
static bool show_output(bool *open)
{
    char bytes[4096];
    ssize_t size = read(outer, bytes, sizeof bytes), done = 0;
    *open = size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
    while (done < size) {
        ssize_t n = write(wanted.record.terminals & 2 ? STDOUT_FILENO : user, bytes + done, (size_t)(size - done));
        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? n : 0;
    }
    return size > 0;
}

/* ---- The record -------------------------------------------------------------------------------------------------- */

static void put(FILE *file, const char *text)
{
    fwrite(text, strlen(text) + 1, 1, file);
}

/* Nobody can change it any more: SEALS of monitor/join.c. */
static int make_record(char **command)
{
    struct pal_join *record = &wanted.record;
    int fd = memfd_create("join", MFD_CLOEXEC | MFD_ALLOW_SEALING), own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = own < 0 ? NULL : fdopen(own, "w");
    if (!file)
        fail(EXIT_OWN_FAILURE, "exec: %s", strerror(errno));
    char **variables = wanted.own_environment ? environ : (char **)wanted.variables;
    while (command[record->argc])
        record->argc++;
    while (variables[record->envc])
        record->envc++;
    record->flags |= wanted.own_environment ? 0 : PAL_JOIN_INHERITS;
    record->umask = umask(0);
    fwrite(record, sizeof *record, 1, file);
    put(file, wanted.cwd ? wanted.cwd : "");
    for (uint32_t i = 0; i < record->argc; i++)
        put(file, command[i]);
    for (uint32_t i = 0; i < record->envc; i++)
        put(file, variables[i]);
    if (fclose(file) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        fail(EXIT_OWN_FAILURE, "exec: can't pass the arguments: %s", strerror(errno));
    return fd;
}

/* A descriptor that tells of signals: from before the terminal's size is asked for, so that no change of it is missed. */
static int take_signals(void)
{
    sigset_t set;
    sigfillset(&set);
    if (user == STDIN_FILENO) { /* as any job of a shell */
        sigdelset(&set, SIGTTIN);
        sigdelset(&set, SIGTTOU);
        sigdelset(&set, SIGTSTP);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int begin(char **command)
{
    int descriptors[JOIN_DESCRIPTORS];
    size_t count = 1;
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (isatty(fd)) {
            wanted.record.terminals |= 1u << fd;
            user = user < 0 ? fd : user;
        } else if (fcntl(fd, F_GETFD) >= 0) {
            wanted.record.streams |= 1u << fd;
            descriptors[count++] = fd;
        }
    }
    int signals = take_signals();
    if (user >= 0) {
        make_terminal();
        if (!wanted.own_environment && getenv("TERM"))
            take_variable("TERM");
    }
    descriptors[0] = make_record(command);
    request(JOIN_BEGIN, (int)wanted.record.streams, descriptors, count);
    for (size_t i = 0; i < count; i++)
        close(descriptors[i]); /* a pipe's end is that program's alone */
    return signals;
}

/* ---- Until its end ----------------------------------------------------------------------------------------------- */

static void pass_signals(int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCONT && is_raw)
            make_raw();
        if (info.ssi_signo == SIGWINCH && user >= 0)
            resize();
        else if (info.ssi_signo != SIGPIPE || info.ssi_pid != (uint32_t)getpid())
            pass_signal((int)info.ssi_signo, info.ssi_code == SI_KERNEL);
    }
}

static int end_of(const struct join_answer *answer)
{
    bool open;
    while (outer >= 0 && show_output(&open))
        ;
    restore();
    if (answer->what == JOIN_FAILED)
        fail(EXIT_OWN_FAILURE, "exec: %.*s: %s", (int)sizeof answer->text, answer->text, strerror(answer->value));
    return WIFEXITED(answer->value) ? WEXITSTATUS(answer->value) : 128 + WTERMSIG(answer->value);
}

static int serve(int signals)
{
    enum { CONTROL, SIGNALS, KEYS, OUTPUT, WATCHED };
    struct pollfd watched[WATCHED] = {{.fd = control, .events = POLLIN}, {.fd = signals, .events = POLLIN}, {.fd = -1}, {.fd = -1}};
    struct join_answer answer = {.what = JOIN_ENDED, .value = SIGKILL}; /* where the sandbox ends */
    bool open = outer >= 0, keys_end = user != STDIN_FILENO;
    if (outer >= 0)
        make_raw();
    for (;;) {
        watched[KEYS] = (struct pollfd){.fd = keys_end || key_count ? -1 : STDIN_FILENO, .events = POLLIN};
        watched[OUTPUT] = (struct pollfd){.fd = open ? outer : -1, .events = (short)(POLLIN | (key_count ? POLLOUT : 0))};
        int ready = poll(watched, WATCHED, outer >= 0 && !open ? QUIET_MS : -1);
        if (!ready)
            open = true;
        if (watched[SIGNALS].revents)
            pass_signals(watched[SIGNALS].fd);
        if (watched[KEYS].revents)
            keys_end = !read_keys();
        if (watched[OUTPUT].revents & POLLOUT)
            type();
        if (watched[OUTPUT].revents & (POLLIN | POLLHUP))
            show_output(&open);
        if (watched[CONTROL].revents) {
            receive(&answer, NULL);
            return end_of(&answer);
        }
    }
}

int exec_main(int argc, char **argv)
{
    (void)argc;
    char **at = take_options(argv + 1);
    const char *name = *at;
    if (name)
        at++;
    if (*at && !strcmp(*at, "--"))
        at++;
    if (!name || !*at)
        fail(EXIT_OWN_FAILURE, USAGE);
    find_sandbox(name);
    return serve(begin(at));
}
