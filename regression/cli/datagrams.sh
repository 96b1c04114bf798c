# SPDX-License-Identifier: MIT
# UDP beyond the loopback: connected sockets, one socket with several peers, a published port; and who is not reached.
set -u
B=$(realpath "$B")
folder=$(mktemp -d /var/tmp/pal-datagrams.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cat >"$folder/guest.py" <<'PY'
import array, errno, os, select, socket, sys
a, b, forbidden = (("127.0.0.1", int(port)) for port in sys.argv[1:4])
closed = ("127.0.0.1", int(sys.argv[4]))
def udp(**options):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    return s

# connected: the host's own socket
s = udp()
s.connect(a)
assert s.getpeername() == a and s.getsockname()[1]
for size in (0, 1, 1400, 9000, 60000):
    s.send(b"x" * size)
    assert s.recv(65536) == b"a" + b"x" * size
s.setblocking(True)
assert os.write(s.fileno(), b"written") == 7 and os.read(s.fileno(), 100) == b"awritten"
s.settimeout(10)
s.sendmsg([b"in ", b"two ", b"parts"])
data, _, flags, name = s.recvmsg(100)
assert (data, flags, name) == (b"ain two parts", 0, a), (data, flags, name)
s.send(b"peeked")
assert s.recvfrom(3, socket.MSG_PEEK) == (b"ape", a) and s.recv(100) == b"apeeked"
s.sendto(b"to another", b) # its answer is not for this socket, which is connected
s.send(b"again")
assert s.recv(100) == b"aagain"
e = select.epoll()
e.register(s, select.EPOLLIN)
assert e.poll(0) == []
s.send(b"polled")
assert e.poll(10) == [(s.fileno(), select.EPOLLIN)] and s.recv(100) == b"apolled"
s.setblocking(False)
try:
    s.recv(1)
    sys.exit("there was something")
except BlockingIOError:
    pass
s.connect(b)
s.send(b"moved")
assert select.select([s], [], [], 10)[0] and s.recvfrom(100) == (b"bmoved", b)

# what nobody has: ECONNREFUSED, once
s = udp()
s.connect(closed)
try:
    s.send(b"x")
    s.recv(1)
    sys.exit("a closed port answered")
except ConnectionRefusedError:
    pass

# not connected: several peers, one of them on the loopback, and waiting for all
for bound in (False, True):
    s = udp()
    if bound:
        s.bind(("0.0.0.0", 5000))
    inner = udp()
    inner.bind(("127.0.0.1", 0))
    poll = select.poll()
    poll.register(s, select.POLLIN)
    e = select.epoll()
    e.register(s, select.EPOLLIN)
    for _ in range(3):
        assert s.sendto(b"one", a) == 3 and s.sendto(b"two", b) == 3 and s.sendto(b"three", inner.getsockname()) == 5
        data, name = inner.recvfrom(100)
        assert data == b"three" and name == ("127.0.0.1", s.getsockname()[1])
        inner.sendto(b"inner", name)
        got = set()
        while len(got) < 3:
            assert poll.poll(10000) == [(s.fileno(), select.POLLIN)]
            assert [f for f, _ in e.poll(10)] == [s.fileno()]
            if bound:
                size = array.array("i", [0])
                import fcntl
                fcntl.ioctl(s, 0x541b, size)
                assert size[0] in (4, 5), size
            got.add(s.recvfrom(100))
        assert got == {(b"aone", a), (b"btwo", b), (b"inner", inner.getsockname())}, got
        assert poll.poll(0) == [] and e.poll(0) == []
    assert select.select([], [s], [], 0)[1]
    child = os.fork()
    if not child:
        s.sendto(b"child", a)
        assert s.recvfrom(100) == (b"achild", a)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.fstat(s.fileno()).st_mode & 0o170000 == 0o140000
    s.connect(b) # of what comes only this peer's is for it now
    s.send(b"connected")
    assert s.recvfrom(100) == (b"bconnected", b)
    s.close()

# the forbidden one
for connected in (False, True):
    s = udp()
    try:
        if connected:
            s.connect(("10.255.255.254", 9))
            s.send(b"x")
        else:
            s.sendto(b"x", ("10.255.255.254", 9))
        sys.exit("it was sent")
    except PermissionError:
        pass
s = udp()
s.connect(forbidden)
try:
    s.send(b"forbidden")
    s.recv(1)
    sys.exit("the forbidden port was reached")
except ConnectionRefusedError:
    pass

# a published port: whoever sends is answered, in turn and for long
s = udp()
s.bind(("", 5353))
print("serves", flush=True)
count = 0
while True:
    data, peer = s.recvfrom(65536)
    if data == b"end":
        break
    s.sendto(b"to " + data, peer)
    count += 1
assert count == 300, count
PY
cat >"$folder/host.py" <<'PY'
import select, socket, subprocess, sys, threading
def bound():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s
def echo(s, word):
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(word + data, peer)
a, b, forbidden, free, closed = (bound() for _ in range(5))
for s, word in ((a, b"a"), (b, b"b")):
    threading.Thread(target=echo, args=(s, word), daemon=True).start()
port = lambda s: str(s.getsockname()[1])
published, unused = int(port(free)), port(closed)
free.close()
closed.close()
guest = subprocess.Popen([*sys.argv[1:3], "--host-port", "udp://" + port(a), "--host-port", "udp://" + port(b),
                          "--host-port", "udp://" + unused, "--publish", f"udp://{published}:5353", *sys.argv[3:],
                          port(a), port(b), port(forbidden), unused], stdout=subprocess.PIPE, text=True)
line = guest.stdout.readline()
assert line == "serves\n", line
clients = [bound() for _ in range(100)] # more than a socket has peers at once
for turn in range(3):
    for i, c in enumerate(clients):
        c.settimeout(10)
        c.sendto(b"%d" % i, ("127.0.0.1", published))
        assert c.recvfrom(100) == (b"to %d" % i, ("127.0.0.1", published))
clients[0].sendto(b"end", ("127.0.0.1", published))
assert guest.wait() == 0
assert not select.select([forbidden], [], [], 0)[0], "the forbidden port was reached"
PY
for option in --trap=sud --trap=seccomp; do
    python3 "$folder/host.py" "$B/pal-run" "$option" --ro "$folder" -- /usr/bin/python3 "$folder/guest.py" || exit 1
done
