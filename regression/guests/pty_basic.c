/* SPDX-License-Identifier: MIT */
/* Pseudoterminals as files: names, locks, modes, echo and line editing, both ends' closes, window size,
 * non-blocking. */
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char buffer[256];

static void expect(int fd, const char *text)
{
    size_t size = strlen(text), got = 0;
    while (got < size) {
        ssize_t part = read(fd, buffer + got, size - got);
        CHECK(part > 0);
        got += (size_t)part;
    }
    CHECK(!memcmp(buffer, text, size));
}

static void say(int fd, const char *text)
{
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void names(void)
{
    int number, locked;
    struct stat by_name, by_fd;
    int outer = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(outer >= 0 && isatty(outer));
    CHECK(ioctl(outer, TIOCGPTN, &number) == 0);
    char name[32], path[64];
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CHECK(ptsname(outer) && !strcmp(ptsname(outer), name));
    CHECK(ioctl(outer, TIOCGPTLCK, &locked) == 0 && locked == 1);
    CHECK_FAILS(open(name, O_RDWR | O_NOCTTY), EIO);
    CHECK(grantpt(outer) == 0 && unlockpt(outer) == 0);
    CHECK(ioctl(outer, TIOCGPTLCK, &locked) == 0 && locked == 0);
    int inner = open(name, O_RDWR | O_NOCTTY);
    CHECK(inner >= 0 && isatty(inner));
    CHECK(stat(name, &by_name) == 0 && fstat(inner, &by_fd) == 0);
    CHECK(S_ISCHR(by_fd.st_mode) && by_fd.st_rdev == by_name.st_rdev && by_fd.st_ino == by_name.st_ino &&
          by_fd.st_dev == by_name.st_dev);
    CHECK(major(by_fd.st_rdev) == 136 && (int)minor(by_fd.st_rdev) == number);
    CHECK(ttyname(inner) && !strcmp(ttyname(inner), name));
    CHECK(fstat(outer, &by_fd) == 0 && by_fd.st_rdev == makedev(5, 2));
    snprintf(path, sizeof path, "/proc/self/fd/%d", inner);
    ssize_t size = readlink(path, buffer, sizeof buffer);
    CHECK(size == (ssize_t)strlen(name) && !memcmp(buffer, name, (size_t)size));
    bool found = false;
    DIR *directory = opendir("/dev/pts");
    CHECK(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        found |= !strcmp(entry->d_name, strrchr(name, '/') + 1);
    closedir(directory);
    CHECK(found);
    int peer = ioctl(outer, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    CHECK(peer >= 0 && isatty(peer));
    CHECK_FAILS(lseek(inner, 0, SEEK_SET), ESPIPE);
    close(peer);
    close(inner);
    close(outer);
    int again;
    for (int i = 0; i < 500 && (again = open(name, O_RDWR | O_NOCTTY)) >= 0; i++) { /* some other program's, now */
        close(again);
        usleep(10000);
    }
    CHECK_FAILS(open(name, O_RDWR | O_NOCTTY), ENOENT);
}

static void line_discipline(int outer, int inner)
{
    struct termios modes, raw;
    CHECK(tcgetattr(inner, &modes) == 0 && modes.c_lflag & ICANON && modes.c_lflag & ECHO);
    say(outer, "abd\177c\n");
    expect(outer, "abd\b \bc\r\n");
    CHECK(read(inner, buffer, sizeof buffer) == 4 && !memcmp(buffer, "abc\n", 4));
    say(inner, "one\n");
    expect(outer, "one\r\n");
    say(outer, "\004");
    CHECK(read(inner, buffer, sizeof buffer) == 0);

    raw = modes;
    cfmakeraw(&raw);
    CHECK(tcsetattr(inner, TCSANOW, &raw) == 0);
    CHECK(tcgetattr(outer, &modes) == 0 && !(modes.c_lflag & (ICANON | ECHO | ISIG)));
    say(outer, "\003x");
    CHECK(read(inner, buffer, sizeof buffer) == 2 && !memcmp(buffer, "\003x", 2));
    say(outer, "dropped");
    CHECK(tcflush(inner, TCIFLUSH) == 0);
    int available = -1;
    CHECK(ioctl(inner, FIONREAD, &available) == 0 && available == 0);
    CHECK_FAILS(tcflush(inner, 77), EINVAL);
    CHECK(tcdrain(inner) == 0);
}

static void readiness(int outer, int inner)
{
    struct pollfd ready = {.fd = inner, .events = POLLIN};
    CHECK(poll(&ready, 1, 0) == 0);
    say(outer, "x");
    CHECK(poll(&ready, 1, 30000) == 1 && ready.revents == POLLIN);
    CHECK(read(inner, buffer, 1) == 1);
    int flags = fcntl(inner, F_GETFL);
    CHECK(fcntl(inner, F_SETFL, flags | O_NONBLOCK) == 0);
    CHECK_FAILS(read(inner, buffer, 1), EAGAIN);
    CHECK(fcntl(inner, F_SETFL, flags) == 0);
}

static void window(int outer, int inner)
{
    struct winsize size = {.ws_row = 33, .ws_col = 99}, seen;
    CHECK(ioctl(outer, TIOCSWINSZ, &size) == 0);
    CHECK(ioctl(inner, TIOCGWINSZ, &seen) == 0 && seen.ws_row == 33 && seen.ws_col == 99);
    size.ws_col = 80;
    CHECK(ioctl(inner, TIOCSWINSZ, &size) == 0);
    CHECK(ioctl(outer, TIOCGWINSZ, &seen) == 0 && seen.ws_row == 33 && seen.ws_col == 80);
}

static void closes(void)
{
    int outer, inner;
    CHECK(openpty(&outer, &inner, NULL, NULL, NULL) == 0);
    say(inner, "last");
    close(inner);
    expect(outer, "last");
    CHECK_FAILS(read(outer, buffer, 1), EIO);
    inner = open(ptsname(outer), O_RDWR | O_NOCTTY);
    CHECK(inner >= 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) { /* has the outer side for a while longer */
        usleep(50000);
        _exit(0);
    }
    close(outer);
    ssize_t size = read(inner, buffer, 1); /* until the child has ended */
    CHECK(size == 0 || (size < 0 && errno == EIO));
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(read(inner, buffer, 1) == 0);
    CHECK_FAILS(write(inner, "x", 1), EIO);
    close(inner);
}

/* struct termios2 and struct termio: Linux's headers of these don't go with the C library's. */
struct modes2 { unsigned iflag, oflag, cflag, lflag; unsigned char line, cc[19]; unsigned input, output; };
struct modes1 { unsigned short iflag, oflag, cflag, lflag; unsigned char line, cc[8]; };
#define GET2 _IOR('T', 0x2a, struct modes2)
#define SET2 _IOW('T', 0x2b, struct modes2)
#define OTHER_SPEED 0010000u

static void forms(int inner)
{
    struct modes2 two, read_back;
    struct modes1 one;
    struct termios plain;
    CHECK(ioctl(inner, GET2, &two) == 0 && tcgetattr(inner, &plain) == 0 && ioctl(inner, TCGETA, &one) == 0);
    CHECK(two.iflag == plain.c_iflag && two.cflag == plain.c_cflag && !memcmp(two.cc, plain.c_cc, sizeof two.cc));
    CHECK(one.lflag == (plain.c_lflag & 0xffff) && !memcmp(one.cc, two.cc, sizeof one.cc));
    CHECK(two.input == 38400 && two.output == 38400);
    struct modes2 odd = two;
    odd.cflag = (odd.cflag & ~0010017u) | OTHER_SPEED;
    odd.input = odd.output = 12345;
    CHECK(ioctl(inner, SET2, &odd) == 0 && ioctl(inner, GET2, &read_back) == 0);
    CHECK(read_back.output == 12345 && read_back.input == 12345 && read_back.cflag & OTHER_SPEED);
    CHECK(cfsetspeed(&plain, B115200) == 0 && tcsetattr(inner, TCSANOW, &plain) == 0);
    CHECK(ioctl(inner, GET2, &read_back) == 0 && read_back.output == 115200 && read_back.input == 115200);
    one.lflag &= (unsigned short)~ECHO;
    CHECK(ioctl(inner, TCSETA, &one) == 0 && tcgetattr(inner, &plain) == 0 && !(plain.c_lflag & ECHO));
    CHECK(plain.c_cc[VLNEXT] == two.cc[VLNEXT]); /* the old form does not have it */
    CHECK(ioctl(inner, SET2, &two) == 0);
    CHECK_FAILS(ioctl(inner, SET2, (void *)8), EFAULT);
    CHECK_FAILS(ioctl(inner, TCSETA, (void *)8), EFAULT);
}

static void requests(int outer, int inner)
{
    int value = -1, on = 1, off = 0, other = 13;
    struct stat status;
    CHECK(ioctl(outer, TIOCGPKT, &value) == 0 && value == 0);
    CHECK(ioctl(outer, TIOCPKT, &on) == 0 && ioctl(outer, TIOCGPKT, &value) == 0 && value == 1);
    CHECK(ioctl(outer, TIOCPKT, &off) == 0 && ioctl(outer, TIOCGPKT, &value) == 0 && value == 0);
    CHECK_FAILS(ioctl(inner, TIOCGPKT, &value), ENOTTY);
    CHECK(ioctl(inner, TIOCSETD, &off) == 0 && ioctl(inner, TIOCGETD, &value) == 0 && value == 0);
    CHECK_FAILS(ioctl(inner, TIOCSETD, &other), EINVAL);
    value = -1;
    CHECK(ioctl(inner, TIOCOUTQ, &value) == 0 && value == 0);
    CHECK(ioctl(inner, TIOCSBRK) == 0 && ioctl(inner, TIOCCBRK) == 0);
    CHECK(ioctl(inner, TIOCGSOFTCAR, &value) == 0 && value == 0);
    CHECK(ioctl(inner, TIOCSSOFTCAR, &on) == 0 && ioctl(inner, TIOCGSOFTCAR, &value) == 0 && value == 1);
    CHECK(ioctl(inner, TIOCSSOFTCAR, &off) == 0);
    CHECK(fstat(inner, &status) == 0 && ioctl(outer, TIOCGDEV, &value) == 0 && (dev_t)value == status.st_rdev);
    CHECK_FAILS(ioctl(outer, TIOCSIG, SIGHUP), EINVAL);
    CHECK_FAILS(ioctl(inner, TIOCSIG, SIGINT), ENOTTY);
    CHECK(ioctl(outer, TIOCSIG, SIGINT) == 0); /* in nobody's foreground */
}

static void exclusive(int outer, int inner)
{
    int value;
    CHECK(ioctl(inner, TIOCGEXCL, &value) == 0 && value == 0);
    CHECK(ioctl(inner, TIOCEXCL) == 0 && ioctl(inner, TIOCGEXCL, &value) == 0 && value == 1);
    if (geteuid())
        CHECK_FAILS(open(ptsname(outer), O_RDWR | O_NOCTTY), EBUSY);
    CHECK(ioctl(inner, TIOCNXCL) == 0 && ioctl(inner, TIOCGEXCL, &value) == 0 && value == 0);
    int again = open(ptsname(outer), O_RDWR | O_NOCTTY);
    CHECK(again >= 0);
    close(again);
}

int main(void)
{
    int outer, inner;
    names();
    CHECK(openpty(&outer, &inner, NULL, NULL, NULL) == 0);
    line_discipline(outer, inner);
    readiness(outer, inner);
    window(outer, inner);
    close(outer);
    close(inner);
    CHECK(openpty(&outer, &inner, NULL, NULL, NULL) == 0);
    forms(inner);
    requests(outer, inner);
    exclusive(outer, inner);
    close(outer);
    close(inner);
    closes();
    return 0;
}
