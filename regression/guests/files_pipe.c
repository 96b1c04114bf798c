/* SPDX-License-Identifier: MIT */
/* Pipes: bytes, ends, blocking, signals, between processes. */
#include "files.h"
#include <signal.h>
#include <sys/ioctl.h>

static volatile sig_atomic_t signals;

static void count(int signal)
{
    (void)signal;
    signals++;
}

static void basics(void)
{
    int fds[2], available;
    char bytes[16];
    CHECK(pipe(fds) == 0 && fds[0] == 3 && fds[1] == 4);
    CHECK((fcntl(fds[0], F_GETFL) & O_ACCMODE) == O_RDONLY && (fcntl(fds[1], F_GETFL) & O_ACCMODE) == O_WRONLY);
    CHECK(write(fds[1], "abc", 3) == 3);
    CHECK(ioctl(fds[0], FIONREAD, &available) == 0 && available == 3);
    CHECK(read(fds[0], bytes, 2) == 2 && read(fds[0], bytes, 16) == 1 && bytes[0] == 'c');
    FAILS(read(fds[1], bytes, 1), EBADF);
    FAILS(write(fds[0], bytes, 1), EBADF);
    FAILS(lseek(fds[0], 0, SEEK_CUR), ESPIPE);
    FAILS(pread(fds[0], bytes, 1, 0), ESPIPE);
    struct stat st;
    CHECK(fstat(fds[0], &st) == 0 && S_ISFIFO(st.st_mode));
    CHECK(!isatty(fds[0]) && errno == ENOTTY);
    CHECK(close(fds[1]) == 0 && read(fds[0], bytes, 1) == 0);
    close(fds[0]);
    FAILS(pipe(nowhere), EFAULT);
    CHECK(dup(0) == 3);
    close(3);
    FAILS(pipe2(fds, 1 << 30), EINVAL);
}

static void nonblocking(void)
{
    int fds[2], on = 0;
    char bytes[4096] = "";
    CHECK(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0 && fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    FAILS(read(fds[0], bytes, 1), EAGAIN);
    int size = fcntl(fds[1], F_GETPIPE_SZ), written = 0;
    CHECK(size >= 4096);
    for (ssize_t got; (got = write(fds[1], bytes, sizeof(bytes))) > 0;)
        written += (int)got;
    CHECK(errno == EAGAIN || written == size);
    CHECK(written == size);
    CHECK(fcntl(fds[1], F_SETPIPE_SZ, 2 * size) >= 2 * size);
    CHECK(write(fds[1], bytes, 1) == 1);
    CHECK(ioctl(fds[0], FIONBIO, &on) == 0 && !(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
    on = 1;
    CHECK(ioctl(fds[0], FIONBIO, &on) == 0 && fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    FAILS(fcntl(fds[0], F_SETPIPE_SZ, -1), EINVAL);
    close(fds[0]);
    close(fds[1]);
}

static void no_readers(void)
{
    int fds[2];
    struct sigaction action = {.sa_handler = count};
    CHECK(pipe(fds) == 0 && close(fds[0]) == 0);
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    FAILS(write(fds[1], "x", 1), EPIPE);
    CHECK(signals == 1);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(fds[1], "x", 1), EPIPE);
    CHECK(signals == 1);
    close(fds[1]);
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (pipe(fds) < 0 || close(fds[0]) < 0)
            _exit(9);
        if (write(fds[1], "x", 1) < 0)
            _exit(8);
        _exit(7);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

static void interrupted(void)
{
    int fds[2];
    char byte;
    struct sigaction action = {.sa_handler = count};
    CHECK(pipe(fds) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    signals = 0;
    alarm(1);
    FAILS(read(fds[0], &byte, 1), EINTR);
    CHECK(signals == 1);
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    alarm(1); /* before there is a child, which writes later than that */
    pid_t child = fork();
    if (child == 0) {
        usleep(1500000);
        _exit(write(fds[1], "r", 1) == 1 ? 0 : 1);
    }
    CHECK(read(fds[0], &byte, 1) == 1 && byte == 'r' && signals == 2);
    CHECK(waitpid(child, NULL, 0) == child);
    close(fds[0]);
    close(fds[1]);
}

static void between_processes(void)
{
    int to[2], from[2], status;
    enum { TOTAL = 1000000 };
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    pid_t child = fork();
    if (child == 0) {
        char bytes[8192];
        close(to[1]);
        close(from[0]);
        for (ssize_t got; (got = read(to[0], bytes, sizeof(bytes))) > 0;)
            for (ssize_t at = 0; at < got;) {
                ssize_t put = write(from[1], bytes + at, (size_t)(got - at));
                if (put < 0)
                    _exit(1);
                at += put;
            }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    pid_t writer = fork();
    if (writer == 0) {
        close(from[0]);
        for (int i = 0; i < TOTAL / 4; i++)
            if (write(to[1], &i, 4) != 4)
                _exit(1);
        _exit(0);
    }
    close(to[1]);
    FILE *stream = fdopen(from[0], "r");
    for (int i = 0, value; i < TOTAL / 4; i++)
        CHECK(fread(&value, 4, 1, stream) == 1 && value == i);
    CHECK(fgetc(stream) == EOF);
    fclose(stream);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(waitpid(writer, &status, 0) == writer && status == 0);
}

int main(void)
{
    basics();
    nonblocking();
    no_readers();
    interrupted();
    between_processes();
    return 0;
}
