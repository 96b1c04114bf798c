# SPDX-License-Identifier: MIT
# A tmpfs holds no more than its limit, whoever writes; nobody else sees it; nothing leads out of it; it goes with the sandbox.
set -u
. regression/hostile/lib.sh.inc

# Eight that write, append, map and allocate at once.
limit() {
    got=$(pal --tmpfs /m:4M /usr/bin/python3 -c '
import mmap, os
def fill(n):
    made = 0
    while True:
        fd = os.open("/m/%d.%d" % (n, made), os.O_RDWR | os.O_CREAT)
        made += 1
        try:
            if n % 4 == 0: os.posix_fallocate(fd, 0, 65536)
            elif n % 4 == 1: os.ftruncate(fd, 1 << 30); os.pwrite(fd, b"x" * 65536, 1 << 20)
            elif n % 4 == 2: os.sendfile(fd, os.open("/usr/bin/python3", os.O_RDONLY), 0, 65536)
            else:
                while os.write(fd, b"x" * 8192) == 8192 and os.fstat(fd).st_size < 65536: pass
        except OSError as error:
            os._exit(error.errno)
pids = [os.fork() or fill(n) for n in range(8)]
print(sorted(set(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)), sum(os.stat("/m/" + n).st_blocks for n in os.listdir("/m")) * 512 <= 4 << 20,
      os.statvfs("/m").f_bfree)')
    [ "$got" = "[28] True 0" ] || say "the limit: $got"
}

# No other sandbox of the same user finds it, whatever it is shown; the host has no mount of it.
private() {
    mkfifo "$work/ready"
    chmod 666 "$work/ready"
    pal --tmpfs /m:1M /bin/sh -c 'echo secret >/m/secret-of-one; echo; exec sleep 20' >"$work/ready" &
    read -r _ <"$work/ready"
    [ -z "$(grep ' /m ' /proc/mounts)" ] || say "the host has a mount of it"
    got=$(pal --rw /tmp --ro /var --tmpfs /m:1M /bin/sh -c 'find / -name "secret-of-*" 2>/dev/null; ls -A /m')
    [ -z "$got" ] || say "another sandbox found $got"
    pkill -P $! 2>/dev/null
    kill -9 $!
    wait $! 2>/dev/null
}

# Up from a directory in it, renamed, removed or not; the private name of its root is nobody's.
out() {
    got=$(pal --tmpfs /m:1M --cwd /m /bin/sh -c 'mkdir -p a/b/c; cd a/b/c; mv /m/a /m/z; ls /m/z/b; ls -A ../../..; rm -r /m/z
        ls ../../../.. ; cat ../../../../etc/shadow ../../../etc/shadow; cd /m; ls -A ..; readlink /proc/self/cwd; ls /.pal-run.* /m/.pal-run.*' 2>/dev/null | paste -sd' ')
    case $got in "c z "*) ;; *) say "out of it: $got" ;; esac
    case $got in *root:* | *.pal-run*) say "out of it: $got" ;; esac
    pal --tmpfs /m:1M /bin/sh -c 'mknod /m/null c 1 3 || mknod /m/disk b 254 0' 2>/dev/null && say "a device was made"
}

each limit
each private
each out
exit $bad
