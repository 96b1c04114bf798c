/* SPDX-License-Identifier: MIT */
/*
 * All that the monitor does with a request, by libFuzzer: packets of a member process that has descriptors of a dozen
 * kinds, on a read-only, a writable, a private and a copy mount.  After each, what it answered is taken: no descriptor leads out
 * of the mounts, none of the read-only mount can be written, and what lies there or outside is as it was.
 *
 * An input is a row of packets: either bytes as they are, or (first byte odd) choices of operations, names and descriptors
 * that have a meaning.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "loader/monitor/monitor.h"

#define PACKETS 24 /* of one input, at most */
#define MEMBER_FIRST 3
#define MEMBER_COUNT 12
#define REPLIES_MAX 64
#define FILE_MOST (16u << 20)
#define RENEWED 4096 /* runs, after which the member and the writable mount are made anew */

static char base[64], inside_ro[80], inside_rw[80], inside_low[80];
static struct policy policy;
static struct monitor monitor = {.policy = &policy, .terminals.own = -1, .terminals.input = -1};
static int guest; /* the other end of the channel */
static pid_t member;
static const char *const kept_names[] = {"outside/secret", "ro/file", "ro/directory", "low", "low/file", "low/directory", "low/directory/a"};
#define KEPT (sizeof kept_names / sizeof *kept_names)
static struct stat kept[KEPT];

static const char *at(const char *name)
{
    static char path[2][128];
    static int turn;
    snprintf(path[turn ^= 1], sizeof *path, "%s/%s", base, name);
    return path[turn];
}

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void look(struct stat out[KEPT])
{
    for (size_t i = 0; i < KEPT; i++) {
        assert(lstat(at(kept_names[i]), &out[i]) == 0);
        out[i].st_atim = (struct timespec){0, 0};
    }
}

/* A guest's process: its descriptors, and nothing that it does. */
static void be_member(void)
{
    int fds[MEMBER_COUNT], pair[2], pipes[2];
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(LINUX_INTERRUPT_SIGNAL, SIG_IGN);
    fds[0] = open(at("ro/file"), O_RDONLY);
    fds[1] = open(at("rw/file"), O_RDWR);
    fds[2] = open(at("ro"), O_RDONLY | O_DIRECTORY);
    fds[3] = open(at("rw"), O_RDONLY | O_DIRECTORY);
    fds[4] = open(at("rw/directory"), O_PATH);
    fds[5] = pipe(pipes) ? -1 : pipes[0];
    fds[6] = pipes[1];
    fds[7] = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -1 : pair[0];
    fds[8] = pair[1];
    fds[9] = memfd_create("section", 0);
    fds[10] = eventfd(0, 0);
    fds[11] = open(at("outside"), O_RDONLY | O_DIRECTORY); /* as if another program had passed it on */
    for (int i = 0; i < MEMBER_COUNT; i++)
        if (fds[i] < 0 || dup2(fds[i], 100 + i) < 0)
            _exit(1); /* which its parent sees; an abort would be told by libFuzzer's own handler, here */
    close_range(MEMBER_FIRST, 99, 0);
    for (int i = 0; i < MEMBER_COUNT; i++)
        dup2(100 + i, MEMBER_FIRST + i);
    close_range(100, ~0u, 0);
    for (;;)
        pause();
}

static int drop(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind;
    return where->level ? remove(path) : 0;
}

/* As it was at first, whatever requests have made of it. */
static void renew_writable(void)
{
    nftw(inside_rw, drop, 16, FTW_DEPTH | FTW_PHYS);
    assert(chmod(inside_rw, 0755) == 0 && mkdir(at("rw/directory"), 0755) == 0 && symlink("../../outside", at("rw/up")) == 0);
    put("rw/file", "writable", 0644);
}

static bool is_alive(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return pid && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid;
}

static void revive_member(void)
{
    static unsigned runs;
    if (is_alive(member) && ++runs % RENEWED)
        return;
    if (member) {
        kill(member, SIGKILL);
        waitpid(member, NULL, 0);
    }
    renew_writable();
    int ready[2];
    char end;
    assert(pipe2(ready, O_CLOEXEC) == 0 && (member = fork()) >= 0);
    if (member == 0)
        be_member();
    close(ready[1]);
    assert(read(ready[0], &end, 1) == 0); /* it has closed all that is not its own */
    close(ready[0]);
    assert(is_alive(member));
    monitor.objects.session = monitor.first = member;
}

static void end(void)
{
    kill(member, SIGKILL);
    scratch_end(&policy.mounts.scratch);
    nftw(base, drop, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(base);
}

static void begin(void)
{
    const struct rlimit room = {FILE_MOST, FILE_MOST}; /* requests allocate: not all of the disk */
    int ends[2];
    signal(SIGXFSZ, SIG_IGN);
    assert(setrlimit(RLIMIT_FSIZE, &room) == 0);
    strcpy(base, "/tmp/pal-fuzz.XXXXXX");
    assert(mkdtemp(base));
    umask(0);
    assert(mkdir(at("outside"), 0755) == 0 && mkdir(at("ro"), 0755) == 0 && mkdir(at("rw"), 0755) == 0);
    assert(mkdir(at("ro/directory"), 0755) == 0);
    put("outside/secret", "secret", 0644);
    put("ro/file", "read only", 0644);
    assert(symlink(at("outside/secret"), at("ro/link")) == 0);
    assert(mkdir(at("low"), 0755) == 0 && mkdir(at("low/directory"), 0755) == 0 && symlink("directory", at("low/link")) == 0);
    put("low/file", "copied", 0644);
    put("low/directory/a", "beneath", 0644);
    strcpy(inside_low, at("low"));
    strcpy(inside_ro, at("ro"));
    strcpy(inside_rw, at("rw"));
    mount_table_init(&policy.mounts);
    assert(mount_table_add(&policy.mounts, MOUNT_HOST, "/ro", inside_ro, false));
    assert(mount_table_add(&policy.mounts, MOUNT_HOST, "/rw", inside_rw, true));
    assert(mount_table_add(&policy.mounts, MOUNT_COPY, "/copy", inside_low, true));
    assert(mount_table_add(&policy.mounts, MOUNT_SCRATCH, "/tmp", NULL, true));
    mounts_open(&policy.mounts);
    assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    monitor.channel = ends[0];
    guest = ends[1];
    for (size_t i = 0; i < TERMINALS_MAX; i++)
        monitor.terminals.inner[i].name = -1;
    monitor.uv = uv_default_loop();
    monitor.inets.network = &policy.network;
    monitor.outbound.network = &policy.network;
    monitor.outbound.denials = &policy.mounts.denials;
    monitor.outbound.changes = -1;
    atexit(end);
    look(kept);
}

/* ---- What the guest has got -------------------------------------------------------------------------------------- */

static void check_descriptor(int fd)
{
    char name[64], path[256];
    struct stat status;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof path - 1);
    assert(size > 0 && fstat(fd, &status) == 0);
    path[size] = 0;
    assert(status.st_dev != kept[0].st_dev || status.st_ino != kept[0].st_ino);
    assert(!S_ISBLK(status.st_mode));
    if (path[0] != '/')
        return; /* pipe:, socket:, anon_inode: */
    bool ro = !strncmp(path, inside_ro, strlen(inside_ro)), rw = !strncmp(path, inside_rw, strlen(inside_rw));
    bool low = !strncmp(path, inside_low, strlen(inside_low));
    bool private = strstr(path, SCRATCH_PREFIX), section = !strncmp(path, "/memfd:", 7);
    assert(ro || rw || low || private || section || !strncmp(path, "/dev/pt", 7));
    assert(!(ro || low) || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
}

static void take_replies(void)
{
    static char bytes[MONITOR_REPLY_MAX];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } control;
    for (int i = 0; i < REPLIES_MAX; i++) {
        struct iovec part = {bytes, sizeof bytes};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t size = recvmsg(guest, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (size <= 0)
            return;
        struct monitor_reply reply;
        assert((size_t)size >= sizeof reply);
        memcpy(&reply, bytes, sizeof reply);
        assert((size_t)size == sizeof reply + reply.text_size);
        assert(reply.result <= MONITOR_MORE && reply.result > -4096);
        size_t count = 0;
        if (message.msg_controllen)
            count = (control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
        assert(count == reply.descriptors);
        for (size_t j = 0; j < count; j++) {
            int fd;
            memcpy(&fd, CMSG_DATA(&control.header) + j * sizeof fd, sizeof fd);
            check_descriptor(fd);
            close(fd);
        }
    }
}

/* ---- Packets ----------------------------------------------------------------------------------------------------- */

struct bytes {
    const uint8_t *at, *end;
};

static uint8_t pick(struct bytes *from)
{
    return from->at < from->end ? *from->at++ : 0;
}

static uint64_t pick_number(struct bytes *from)
{
    static const uint64_t numbers[] = {0, 1, 2, 3, 4096, 1u << 16, 1ull << 32, ~0ull, 0644, 04755, 100, 0x7fffffff};
    uint8_t byte = pick(from);
    if (byte < 24)
        return numbers[byte % 12];
    if (byte < 128)
        return MEMBER_FIRST + byte % MEMBER_COUNT;
    if (byte < 160)
        return (uint64_t)(MEMBER_FIRST + byte % MEMBER_COUNT) << 32 | (MEMBER_FIRST + pick(from) % MEMBER_COUNT);
    if (byte < 170)
        return (uint64_t)member;
    uint64_t value = 0;
    for (int i = byte % 8; i >= 0; i--)
        value = value << 8 | pick(from);
    return value;
}

static size_t pick_name(struct bytes *from, bool absolute, char *out)
{
    static const char *const parts[] = {"ro",  "rw",   "copy",     "tmp",       "file",      "directory", "link", "up", "..",
                                        ".",   "",     "new",      "a",         "b",         "proc", "dev", "outside",
                                        "secret", ".pal-run.", "self", "fd",      "user.x",    "sock", "..", "x/../y"};
    size_t size = 0;
    for (int i = pick(from) % 6; i >= 0; i--) {
        if (absolute || size)
            out[size++] = '/';
        absolute = true;
        const char *part = parts[pick(from) % (sizeof parts / sizeof *parts)];
        memcpy(out + size, part, strlen(part));
        size += strlen(part);
    }
    return size;
}

static void pick_base(struct bytes *from, struct monitor_base *out)
{
    uint8_t byte = pick(from);
    if (byte < 128)
        return;
    out->descriptor = 1 + MEMBER_FIRST + byte % MEMBER_COUNT;
    out->device = pick(from) % 2 ? kept[2].st_dev : 0;
    out->inode = pick(from) % 2 ? kept[2].st_ino : 0;
}

static size_t make_packet(struct bytes *from, char *out)
{
    static char path[256], other[256];
    struct monitor_request request = {.op = pick(from) % (MONITOR_OPS + 1), .sequence = pick(from)};
    request.flags = (uint32_t)pick_number(from) | (uint32_t)pick(from) << 24;
    request.mode = (uint32_t)pick_number(from);
    pick_base(from, &request.from);
    pick_base(from, &request.other_from);
    request.arguments[0] = pick_number(from);
    request.arguments[1] = pick_number(from);
    request.path_size = (uint32_t)pick_name(from, !request.from.descriptor, path);
    request.other_size = pick(from) % 2 ? (uint32_t)pick_name(from, !request.other_from.descriptor, other) : 0;
    if (pick(from) % 4 == 0)
        request.path_size = 0;
    if (request.op == MONITOR_SET || request.op == MONITOR_SET_OPENED || request.op == MONITOR_ALLOCATE)
        for (size_t i = 0; i < sizeof request.values / 8; i++)
            ((uint64_t *)(void *)&request.values)[i] = pick_number(from) & (i % 2 ? ~0ull : 0xfffffffffull);
    memcpy(out, &request, sizeof request);
    memcpy(out + sizeof request, path, request.path_size);
    memcpy(out + sizeof request + request.path_size, other, request.other_size);
    return sizeof request + request.path_size + request.other_size;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char packet[sizeof(struct monitor_request) + 1024];
    struct bytes from = {bytes, bytes + size};
    struct stat now[KEPT];
    if (!base[0])
        begin();
    revive_member();
    bool meant = pick(&from) & 1;
    for (int i = 0; i < PACKETS && from.at < from.end; i++) {
        size_t length = meant ? make_packet(&from, packet) : (size_t)pick(&from) | (size_t)pick(&from) << 8;
        if (!meant && length > (size_t)(from.end - from.at))
            length = (size_t)(from.end - from.at);
        uint8_t *own = malloc(length ? length : 1); /* of just that size: an access beyond is seen */
        memcpy(own, meant ? (const void *)packet : from.at, length);
        from.at += meant ? 0 : length;
        monitor_serve(&monitor, own, length, member);
        free(own);
        take_replies();
        uv_run(monitor.uv, UV_RUN_NOWAIT);
    }
    look(now);
    for (size_t i = 0; i < KEPT; i++)
        assert(now[i].st_ino == kept[i].st_ino && now[i].st_mode == kept[i].st_mode && now[i].st_size == kept[i].st_size &&
               now[i].st_mtim.tv_nsec == kept[i].st_mtim.tv_nsec && now[i].st_ctim.tv_nsec == kept[i].st_ctim.tv_nsec &&
               now[i].st_uid == kept[i].st_uid && now[i].st_nlink == kept[i].st_nlink);
    return 0;
}
