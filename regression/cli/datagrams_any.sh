# SPDX-License-Identifier: MIT
# udp = "any": one socket for all peers, however many, asked for and unasked, from one port; a published server of hundreds of clients.
# Connections are still refused, and the sandbox's own loopback is its own.  In a network of the test's own.
set -u
if [ -z "${ANY_INSIDE:-}" ]; then
    B=$(realpath "$B")
    own=(unshare --net)
    [ "$(id -u)" = 0 ] || own=(unshare --user --map-root-user --net)
    "${own[@]}" true 2>/dev/null || { echo "there is no network namespace to be had"; exit 0; }
    ANY_INSIDE=1 B=$B exec "${own[@]}" bash "$0" "$@"
fi
folder=$(mktemp -d /var/tmp/pal-any.XXXXXX) || exit 1
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
ip link set lo up
ip route add local 10.77.0.0/16 dev lo
ip -6 addr add fd77::1/128 dev lo nodad
cat >"$folder/host.py" <<'PY'
import select, socket, struct, sys
four, six = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
four.setsockopt(socket.IPPROTO_IP, 8, 1) # IP_PKTINFO
four.bind(("0.0.0.0", 7000))
six.bind(("fd77::1", 7000))
tcp = socket.create_server(("10.77.0.1", 7001))
stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stranger.bind(("10.77.9.9", 0))
print("ready", flush=True)
while True: # echoes, from the address that was asked, with the port that was seen
    ready = select.select([four, six, sys.stdin], [], [])[0]
    if sys.stdin in ready:
        break
    for s in ready:
        bytes_, control, _, peer = s.recvmsg(65536, 100)
        out = b"%d " % peer[1] + bytes_
        if s is six:
            s.sendto(out, peer)
            continue
        at = struct.unpack("I4s4s", control[0][2])[2]
        s.sendmsg([out], [(socket.IPPROTO_IP, 8, struct.pack("I4s4s", 0, at, bytes(4)))], 0, peer)
        if bytes_ == b"stranger":
            stranger.sendto(b"unasked", peer)
PY
cat >"$folder/guest.py" <<'PY'
import errno, os, select, socket, sys, threading
def udp(family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(20)
    return s
s = udp()
ports = set()
for i in range(300): # each answer before the next question
    peer = (f"10.77.{i % 7}.{i % 250 + 1}", 7000)
    s.sendto(b"%d" % i, peer)
    answer, who = s.recvfrom(100)
    port, number = answer.split()
    assert who == peer and int(number) == i, (who, answer)
    ports.add(port)
assert len(ports) == 1, ports
s.sendto(b"stranger", ("10.77.0.1", 7000))
got = {s.recvfrom(100)[1][0] for _ in range(2)}
assert got == {"10.77.0.1", "10.77.9.9"}, got
s.sendto(b"x" * 60000, ("10.77.0.2", 7000))
assert len(s.recv(65536)) > 60000
s.sendmsg([b"a", b"", b"b"], [], 0, ("10.77.0.3", 7000))
assert s.recv(9).endswith(b" ab")
six = udp(socket.AF_INET6)
for peer in ("fd77::1", "::ffff:10.77.0.4", "fd77::1"):
    six.sendto(b"six", (peer, 7000))
    assert six.recvfrom(100)[1][0] == peer
c = udp()
c.connect(("10.77.0.5", 7000))
c.send(b"connected")
assert c.recv(99).endswith(b"connected") and c.getpeername() == ("10.77.0.5", 7000)
with select.epoll() as e: # a set that had it before it was bound
    n = udp()
    n.setblocking(False)
    e.register(n, select.EPOLLIN)
    n.sendto(b"polled", ("10.77.0.6", 7000))
    assert e.poll(20) and n.recvfrom(99)[1][0] == "10.77.0.6"
    try:
        n.recv(1)
        sys.exit("more came")
    except BlockingIOError:
        pass
if not (pid := os.fork()):
    s.sendto(b"forked", ("10.77.0.7", 7000))
    os._exit(not s.recv(99).endswith(b"forked"))
assert os.waitpid(pid, 0)[1] == 0
# the sandbox's own
a, b = udp(), udp()
a.bind(("127.0.0.1", 0))
b.sendto(b"own", a.getsockname())
assert a.recvfrom(9)[0] == b"own"
b.sendto(b"own", ("127.0.0.1", 7000)) # nobody of the sandbox's is there, and the host's is not asked
b.settimeout(0.05)
try:
    sys.exit(f"the host's loopback answered: {b.recv(99)}")
except TimeoutError:
    pass
assert socket.socket().connect_ex(("10.77.0.1", 7001)) == errno.EACCES
try:
    udp().sendto(b"x", ("198.18.0.1", 7000)) # a refused name's
    sys.exit("a marker was sent to")
except PermissionError:
    pass
# a published server
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5300))
print("serves", flush=True)
while True:
    bytes_, who = server.recvfrom(1000)
    if bytes_ == b"end":
        break
    server.sendto(bytes_ + b" %d" % who[1], who)
PY
cat >"$folder/clients.py" <<'PY'
import socket
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(300)]
for turn in range(3):
    for at in range(0, len(sockets), 50): # no more at once than a queue holds
        for i, s in enumerate(sockets[at:at + 50]):
            s.settimeout(20)
            s.sendto(b"%d" % i, ("127.0.0.1", 5300))
        for i, s in enumerate(sockets[at:at + 50]):
            assert s.recv(99) == b"%d %d" % (i, s.getsockname()[1])
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(("10.77.3.3", 0))
sockets[0].sendto(b"end", ("127.0.0.1", 5300))
PY
mkfifo "$folder/end" "$folder/ready" "$folder/serves"
python3 "$folder/host.py" <"$folder/end" >"$folder/ready" &
host=$!
exec 3>"$folder/end"
read -r _ <"$folder/ready"
printf '[network]\nudp = "any"\npublish = ["udp://5300:5300"]\n[[mounts]]\nat = "/usr"\n[[mounts]]\nat = "/lib"\n[[mounts]]\nat = "/lib64"\n[[mounts]]\nat = "%s"\n' "$folder" >"$folder/policy.toml"
for option in --trap=sud --trap=seccomp; do
    timeout 100 "$B/pal-run" $option -m "$folder/policy.toml" /usr/bin/python3 "$folder/guest.py" >"$folder/serves" 2>"$folder/log" 3>&- &
    guest=$!
    read -r said <"$folder/serves"
    [ "$said" = serves ] || { cat "$folder/log"; exit 1; }
    python3 "$folder/clients.py" || exit 1
    wait $guest || { cat "$folder/log"; exit 1; }
done
exec 3>&-
wait $host
