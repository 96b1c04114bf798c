/* SPDX-License-Identifier: MIT */
/* sendfile, copy_file_range, splice, vmsplice: what may be copied to what, what is refused and how, room in pipes. */
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { FILE_RW, FILE_READ, FILE_WRITE, APPEND, FOLDER, FULL_PIPE, EMPTY_PIPE, PIPE_IN, PIPE_STUFFED, PIPE_BROKEN,
            SOCKET, NULL_DEVICE, ZERO_DEVICE, EVENT, MEMORY, KINDS };

static int kept[2]; /* the other ends */

static int file(int flags)
{
    char name[] = "/tmp/files_copy.XXXXXX";
    int made = mkstemp(name), fd;
    CHECK(made >= 0 && write(made, "hello world", 11) == 11);
    fd = open(name, flags);
    CHECK(fd >= 0 && close(made) == 0 && unlink(name) == 0);
    return fd;
}

static int pipe_end(int which, const char *bytes)
{
    int fds[2];
    CHECK(pipe2(fds, O_NONBLOCK) == 0 && write(fds[1], bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
    CHECK((kept[which] = dup(fds[!which])) >= 0 && close(fds[!which]) == 0);
    return fds[which];
}

static int make(enum kind kind)
{
    static char block[65536];
    int fd, pair[2];
    switch (kind) {
    case FILE_RW: return file(O_RDWR);
    case FILE_READ: return file(O_RDONLY);
    case FILE_WRITE: return file(O_WRONLY);
    case APPEND: return file(O_RDWR | O_APPEND);
    case FOLDER: return open("/tmp", O_RDONLY | O_DIRECTORY);
    case FULL_PIPE: return pipe_end(0, "pipe bytes");
    case EMPTY_PIPE: return pipe_end(0, "");
    case PIPE_IN: return pipe_end(1, "");
    case PIPE_STUFFED:
        fd = pipe_end(1, "");
        while (write(fd, block, sizeof block) > 0)
            ;
        return fd;
    case PIPE_BROKEN:
        fd = pipe_end(1, "");
        close(kept[1]);
        kept[1] = -1;
        return fd;
    case SOCKET:
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0 && write(pair[1], "socket bytes", 12) == 12);
        kept[0] = pair[1];
        return pair[0];
    case NULL_DEVICE: return open("/dev/null", O_RDWR);
    case ZERO_DEVICE: return open("/dev/zero", O_RDWR);
    case EVENT: return eventfd(0, EFD_NONBLOCK);
    case MEMORY:
        fd = memfd_create("copied", 0);
        CHECK(write(fd, "memory", 6) == 6 && lseek(fd, 0, SEEK_SET) == 0);
        return fd;
    case KINDS: break;
    }
    return -1;
}

enum call { SENDFILE, RANGE, SPLICE };
static const struct { enum call call; enum kind from, to; int result; int in_offset, out_offset; } cases[] = {
    {SENDFILE, FILE_READ, FILE_RW, 6, 0, 0}, {SENDFILE, FILE_READ, FILE_RW, 6, 1, 0},
    {SENDFILE, FILE_READ, SOCKET, 6, 0, 0}, {SENDFILE, FILE_READ, PIPE_IN, 6, 1, 0},
    {SENDFILE, FILE_READ, NULL_DEVICE, 6, 0, 0}, {SENDFILE, FILE_READ, APPEND, -EINVAL, 0, 0},
    {SENDFILE, FILE_READ, FILE_READ, -EBADF, 0, 0}, {SENDFILE, FILE_WRITE, FILE_RW, -EBADF, 0, 0},
    {SENDFILE, FILE_READ, PIPE_STUFFED, -EAGAIN, 0, 0}, {SENDFILE, FILE_READ, PIPE_BROKEN, -EPIPE, 0, 0},
    {SENDFILE, FILE_READ, EVENT, -EINVAL, 0, 0}, {SENDFILE, FULL_PIPE, FILE_RW, -EINVAL, 0, 0},
    {SENDFILE, FULL_PIPE, FILE_RW, -ESPIPE, 1, 0}, {SENDFILE, SOCKET, FILE_RW, -EINVAL, 0, 0},
    {SENDFILE, ZERO_DEVICE, FILE_RW, 6, 0, 0}, {SENDFILE, MEMORY, FILE_RW, 6, 0, 0},
    {SENDFILE, FOLDER, FILE_RW, -EINVAL, 0, 0}, {SENDFILE, EVENT, FILE_READ, -ESPIPE, 1, 0},
    {RANGE, FILE_READ, FILE_RW, 6, 1, 1}, {RANGE, FILE_READ, FILE_RW, 6, 0, 0}, {RANGE, FILE_READ, APPEND, -EBADF, 0, 0},
    {RANGE, FILE_READ, FILE_READ, -EBADF, 0, 0}, {RANGE, FOLDER, FILE_READ, -EISDIR, 0, 0},
    {RANGE, FILE_READ, FULL_PIPE, -EINVAL, 0, 0}, {RANGE, FILE_WRITE, NULL_DEVICE, -EINVAL, 0, 0},
    {RANGE, MEMORY, FILE_RW, -EXDEV, 0, 0}, {RANGE, MEMORY, MEMORY, 6, 0, 0},
    {SPLICE, FULL_PIPE, FILE_RW, 6, 0, 1}, {SPLICE, FULL_PIPE, APPEND, -EINVAL, 0, 0}, {SPLICE, FULL_PIPE, SOCKET, 6, 0, 0},
    {SPLICE, FULL_PIPE, SOCKET, -EINVAL, 0, 1}, {SPLICE, FULL_PIPE, NULL_DEVICE, 6, 0, 0},
    {SPLICE, FULL_PIPE, PIPE_IN, 6, 0, 0}, {SPLICE, FULL_PIPE, PIPE_STUFFED, -EAGAIN, 0, 0},
    {SPLICE, FULL_PIPE, PIPE_BROKEN, -EPIPE, 0, 0}, {SPLICE, FULL_PIPE, FULL_PIPE, -EBADF, 0, 0},
    {SPLICE, FULL_PIPE, PIPE_IN, -ESPIPE, 0, 1}, {SPLICE, EMPTY_PIPE, FILE_RW, -EAGAIN, 0, 0},
    {SPLICE, EMPTY_PIPE, FILE_READ, -ESPIPE, 1, 0}, {SPLICE, SOCKET, PIPE_IN, 6, 0, 0},
    {SPLICE, SOCKET, PIPE_IN, -EINVAL, 1, 0}, {SPLICE, SOCKET, SOCKET, -EINVAL, 0, 0},
    {SPLICE, FILE_READ, PIPE_IN, 6, 1, 0}, {SPLICE, ZERO_DEVICE, PIPE_IN, 6, 0, 0},
    {SPLICE, EVENT, PIPE_IN, -EINVAL, 0, 0}, {SPLICE, FILE_READ, FILE_RW, -EINVAL, 0, 0},
    {SPLICE, FILE_READ, PIPE_STUFFED, -EAGAIN, 0, 0}, {SPLICE, FOLDER, PIPE_BROKEN, -EPIPE, 0, 0},
};

static long run(enum call call, int in, off_t *in_at, int out, off_t *out_at)
{
    switch (call) {
    case SENDFILE: return sendfile(out, in, in_at, 6);
    case RANGE: return copy_file_range(in, in_at, out, out_at, 6, 0);
    case SPLICE: return splice(in, in_at, out, out_at, 6, 0);
    }
    return -1;
}

static void combinations(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kept[0] = kept[1] = -1;
        int in = make(cases[i].from), ends[2] = {kept[0], kept[1]}, out = make(cases[i].to);
        off_t in_at = 1, out_at = 3, before = lseek(in, 0, SEEK_CUR);
        CHECK(in >= 0 && out >= 0);
        long result = run(cases[i].call, in, cases[i].in_offset ? &in_at : NULL, out, cases[i].out_offset ? &out_at : NULL);
        if ((result < 0 ? -errno : result) != cases[i].result) {
            fprintf(stderr, "case %zu: %ld (%s)\n", i, result, result < 0 ? strerror(errno) : "");
            exit(1);
        }
        off_t moved = cases[i].from == ZERO_DEVICE || result < 0 ? 0 : 6;
        CHECK(in_at == 1 + (cases[i].in_offset ? moved : 0) && out_at == 3 + (cases[i].out_offset ? moved : 0));
        if (before >= 0)
            CHECK(lseek(in, 0, SEEK_CUR) == before + (cases[i].in_offset ? 0 : moved));
        for (int j = 0; j < 2; j++) {
            close(ends[j]);
            close(kept[j]);
        }
        close(in);
        close(out);
    }
}

/* Who fills a pipe and then empties it must not wait for himself. */
static void room(void)
{
    enum { SIZE = 200000 };
    static char bytes[SIZE], back[SIZE];
    int fds[2], in = memfd_create("in", 0), out = memfd_create("out", 0), size;
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    CHECK(write(in, bytes, SIZE) == SIZE && pipe(fds) == 0);
    CHECK((size = fcntl(fds[0], F_GETPIPE_SZ)) >= 4096 && write(fds[1], "12345", 5) == 5 && lseek(in, 0, SEEK_SET) == 0);
    long part = splice(in, NULL, fds[1], NULL, SIZE, 0);
    CHECK(part > 0 && part < SIZE && read(fds[0], back, 5) == 5);
    for (long done = 0; done < SIZE; part = splice(in, NULL, fds[1], NULL, SIZE, 0)) {
        CHECK(part > 0);
        for (long put, left = part; left > 0; left -= put, done += put)
            CHECK((put = splice(fds[0], NULL, out, NULL, (size_t)left, 0)) > 0);
    }
    CHECK(part == 0 && pread(out, back, SIZE, 0) == SIZE && !memcmp(bytes, back, SIZE));
    CHECK(write(fds[1], "12345", 5) == 5);
    off_t at = 0;
    part = sendfile(fds[1], in, &at, SIZE);
    CHECK(part > 0 && part < SIZE && at == part && read(fds[0], back, 5) == 5);
    for (long got, done = 0; done < part; done += got)
        CHECK((got = read(fds[0], back, SIZE)) > 0);
    struct iovec all = {bytes, SIZE};
    part = vmsplice(fds[1], &all, 1, 0);
    CHECK(part > 0 && part < SIZE);
    CHECK_FAILS(vmsplice(fds[1], &all, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK(read(fds[0], back, SIZE) > 0 && !memcmp(bytes, back, 4096));
    at = -1;
    CHECK_FAILS(sendfile(out, in, &at, 1), EINVAL);
    CHECK_FAILS(sendfile(out, in, (off_t *)16, 1), EFAULT);
    CHECK_FAILS(splice(in, (off_t *)16, fds[1], NULL, 1, 0), EFAULT);
    CHECK_FAILS(splice(in, NULL, fds[1], NULL, 1, 64), EINVAL);
    CHECK(splice(in, NULL, -1, NULL, 0, 64) == 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    combinations();
    room();
    return 0;
}
