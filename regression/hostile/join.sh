# SPDX-License-Identifier: MIT
# Nobody but the same user reaches a sandbox's control socket, no guest does, and who joins brings no more than streams.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/join

guests() {
    local name=hostile-$$ status
    pal "$guest" ask || say "a join that nobody wanted was given"
    pal --name $name "$guest" connect "pal-run/$who/name/$name" 2>/dev/null
    status=$?
    [ $status = 159 ] || [ "$trap_option $status" = '--trap=seccomp 125' ] || say "the control socket was reached: $status"
    # shellcheck disable=SC2086
    as timeout -s KILL 8 "$B/pal-run" $trap_option --name $name "$guest" steal 3 &
    local main=$! n
    sleep 0.3
    for n in 1 2 3 4 5; do as timeout -s KILL 0.5 "$B/pal-run" exec $name true >/dev/null 2>&1 </dev/null; done
    wait $main
    status=$?
    # It takes its own libOS's answers, too, and may so hang itself.
    [ $status = 0 ] || [ $status = 137 ] || say "stealing: status $status"
}

joiners() {
    local name=hostile-$$ main
    pal --name $name /bin/sleep 30 &
    main=$!
    sleep 0.4
    as /usr/bin/python3 - "$name" "$who" <<'P' || say "a joiner was heard"
import array, fcntl, os, socket, struct, sys
name = "\0pal-run/%s/name/%s" % (sys.argv[2], sys.argv[1])
BEGIN, FAILED = 1, 2
def record(sealed=True):
    fd = os.memfd_create("r", os.MFD_ALLOW_SEALING)
    os.write(fd, struct.pack("<10I", 1, 0, 1, 0, 0, 0, 0, 0, 0, 0) + bytes(256) + b"\0/bin/true\0")
    if sealed:
        fcntl.fcntl(fd, 1033, 14)
    return fd
def ask(packet, fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    s.connect(name)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    s.sendmsg([packet], rights)
    return s.recv(999)
def begin(streams, fds):
    return ask(struct.pack("<iiHHI", BEGIN, streams, 0, 0, 0), fds)
def refused(answer):
    return not answer or struct.unpack("<i", answer[:4])[0] == FAILED
r, w = os.pipe()
a, b = socket.socketpair()
directory, place = os.open("/", os.O_RDONLY), os.open("/etc/passwd", os.O_PATH)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener = socket.create_server(("127.0.0.1", 0))
assert refused(begin(0, [])) and refused(begin(0, [record(False)])) and refused(begin(0, [r]))
for bad in (directory, place, a.fileno(), udp.fileno(), listener.fileno(), os.eventfd(0), os.pidfd_open(os.getpid())):
    for stream in (1, 2, 4):
        assert refused(begin(stream, [record(), bad])), bad
assert refused(begin(1, [record(), r, w])) and refused(begin(7, [record(), r])) and refused(begin(8, [record(), r]))
assert refused(begin(7, [record(), r, w, w, r])) and refused(begin(0, [record(), r]))
assert refused(ask(b"", [])) and refused(ask(b"x" * 15, [])) and refused(ask(b"x" * 17, [])) and refused(ask(b"x" * 60000, []))
for _ in range(300): # none is kept
    assert refused(begin(1, [record(), directory]))
idle = []
for _ in range(80): # more than it takes: those are dropped
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(name)
    idle.append(s)
del idle, s
r2, w2 = os.pipe()
status = struct.unpack("<ii", begin(2, [record(), w2])[:8])
assert status == (1, 0), status
P
    if [ "$(id -u)" = 0 ]; then # another user, who knows the name
        setpriv --reuid 12345 --regid 12345 --clear-groups /usr/bin/python3 - "$name" "$who" <<'P' || say "another user was heard"
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect("\0pal-run/%s/name/%s" % (sys.argv[2], sys.argv[1]))
try:
    s.send(struct.pack("<iiHHI", 3, 0, 0, 0, 0))
    sys.exit(s.recv(999) != b"")
except (BrokenPipeError, ConnectionResetError):
    pass
P
    fi
    as "$B/pal-run" exec $name true || say "the sandbox does not go on"
    kill -KILL "$(pgrep -P $main)"
    { wait $main; } 2>/dev/null
}

each guests
each joiners
exit $bad
