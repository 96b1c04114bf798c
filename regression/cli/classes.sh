# SPDX-License-Identifier: MIT
# Bundles with only those classes of host calls that their programs need.  Each class is enough for what it is for, and without it that
# fails with ENOSYS, and nothing else does; a trial run finds what a program needs.
. "$(dirname "$0")/lib.sh.inc"
export XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$work/cache"
cat >"$work/uses.c" <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
static void *nothing(void *argument) { return argument; }
static int threads(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    errno = error;
    return error ? -1 : pthread_join(thread, NULL);
}
static int processes(void)
{
    pid_t pid = fork();
    if (!pid)
        _exit(0);
    return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}
static int file(void) { return open("/tmp/file", O_RDWR | O_CREAT, 0600); }
static int files(void)
{
    int fd = file();
    return fd < 0 || write(fd, "xyz", 3) != 3 || ftruncate(fd, 1) || fsync(fd) ? -1 : 0;
}
static int locks(void) { return flock(file(), LOCK_EX | LOCK_NB); }
static int pipes(void)
{
    int fds[2];
    char byte;
    return pipe(fds) || write(fds[1], "x", 1) != 1 || read(fds[0], &byte, 1) != 1 ? -1 : 0;
}
static int sockets(void)
{
    int fds[2];
    char byte;
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) || send(fds[0], "x", 1, 0) != 1 || recv(fds[1], &byte, 1, 0) != 1 ? -1 : 0;
}
static int polls(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int set = epoll_create1(0), ready = eventfd(1, 0);
    return ready < 0 || epoll_ctl(set, EPOLL_CTL_ADD, ready, &event) || epoll_wait(set, &event, 1, 1000) != 1 ? -1 : 0;
}
static int sections(void)
{
    int fd = memfd_create("x", MFD_ALLOW_SEALING);
    return fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) ? -1 : 0;
}
static const struct { const char *name; int (*use)(void); } all[] = {
    {"threads", threads}, {"processes", processes}, {"files", files}, {"locks", locks}, {"pipes", pipes}, {"sockets", sockets},
    {"polls", polls}, {"sections", sections},
};
int main(int argc, char **argv)
{
    char text[200] = "";
    for (int i = 1; i < argc; i++)
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            if (!strcmp(all[j].name, argv[i]) && all[j].use() < 0)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s: %s\n", argv[i], errno == ENOSYS ? "ENOSYS" : strerror(errno));
    write(1, text, strlen(text)); /* stdio asks whether it is a terminal */
    return text[0] != 0;
}
C
gcc -O1 -static "$work/uses.c" -o "$work/uses" -pthread || exit 1
all="threads processes files locks pipes sockets polls sections"
# Of each class alone the uses of it work, and those of no other do.  (A class is a number in the header: see hostile/classes.sh.)
"$PAL" pack -o "$work/uses.pal" --calls none "$work/uses" >"$work/out" 2>&1 || say "pack: $(cat "$work/out")"
[ "$("$work/uses.pal" 2>&1)" = "" ] || say "no class is none too few: $("$work/uses.pal" 2>&1)"
# shellcheck disable=SC2086
python3 - "$work/uses.pal" $all <<'P' || say "variants"
import hashlib, os, struct, sys
path, names = sys.argv[1], sys.argv[2:]
data = bytearray(open(path, "rb").read())
for i, name in enumerate(names):
    struct.pack_into("<I", data, 48, 2 ** len(names) - 1 & ~(1 << i))
    data[-32:] = hashlib.sha256(data[:-32]).digest()
    with open(f"{os.path.dirname(path)}/{name}", "wb") as out:
        os.chmod(out.fileno(), 0o755)
        out.write(data)
P
refused() { # CLASS: as fork(2) fails where there can be no more processes
    [ "$1" = processes ] && echo "$1: Resource temporarily unavailable" || echo "$1: ENOSYS"
}
for class in $all; do
    # shellcheck disable=SC2086
    got=$("$work/$class" $all 2>"$work/err")
    want=$(for other in $all; do [ "$other" = "$class" ] || refused "$other"; done)
    [ "$got" = "$want" ] || say "$class alone: $got $(cat "$work/err")"
    grep -qE '^pal-run: it wanted host calls that it was packed without \([a-z,]*\)' "$work/err" && ! grep -q "[(,]$class[,)]" "$work/err" || say "$class alone: told $(cat "$work/err")"
    [ "$("$work/uses.pal" "$class" 2>"$work/err")" = "$(refused "$class")" ] && grep -q "without (.*$class" "$work/err" || say "no $class: $(cat "$work/err")"
done
# What a trial run sees is enough for another, and no more than a few more are there.
learn() { # WHAT MOST PROGRAM...
    local what=$1 most=$2 status
    shift 2
    "$PAL" pack -o "$work/learnt" --learn "$@" >"$work/out" 2>&1 || say "pack $what: $(cat "$work/out")"
    [ "$(sed -n 's/.*; \([0-9]*\) of 48 host calls$/\1/p' "$work/out")" -le "$most" ] || say "$what: $(head -1 "$work/out")"
    "$work/learnt" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status = 0 ] && [ ! -s "$work/err" ] || say "$what: status $status $(cat "$work/out" "$work/err")"
}
learn nothing 40 "$work/uses"
# shellcheck disable=SC2086
learn everything 48 "$work/uses" $all
learn 'a shell' 44 /bin/sh -c 'echo x | cat; (exit 0); cat </etc/hostname >/tmp/x'
for guest in threads_basic signal_basic files_basic; do
    [ ! -x "$B/guests/$guest" ] || learn "$guest" 48 "$B/guests/$guest"
done
expect 125 'foo: no class of host calls' "$PAL" pack -o "$work/x.pal" --calls threads,foo /bin/true
exit $bad
