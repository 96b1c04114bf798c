# SPDX-License-Identifier: MIT
# Names: what rules allow is asked for upstream and reached; what they don't never goes there, and fails at once.
set -u
B=$(realpath "$B")
folder=$(mktemp -d /var/tmp/pal-names.XXXXXX) || exit 1
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
own=$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -m1 '^[0-9.]*$')
cat >"$folder/host.py" <<'PY'
import socket, struct, sys, threading
own = sys.argv[1]
web = socket.create_server(("0.0.0.0", 0))
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("127.0.0.1", 0))
print(dns.getsockname()[1], web.getsockname()[1], flush=True)
def serve_web():
    while True:
        c, _ = web.accept()
        c.sendall(b"host")
        c.close()
addresses = {"web.allowed.test": own, "public.allowed.test": own, "loop.allowed.test": "127.0.0.1",
             "meta.allowed.test": "169.254.169.254", "marked.allowed.test": "198.18.1.1", "db.corp.test": own}
asked = open("asked", "w", buffering=1)
def serve_dns():
    while True:
        q, peer = dns.recvfrom(4096)
        at, labels = 12, []
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode("latin1"))
            at += 1 + q[at]
        kind = struct.unpack(">H", q[at + 1:at + 3])[0]
        name = ".".join(labels)
        print(name, file=asked)
        address = addresses.get(name) if kind == 1 else None
        cname = name == "alias.allowed.test" and kind == 1
        many = 60 if name == "many.allowed.test" and kind == 1 else 0
        if name == "tcp.allowed.test": # by TCP alone
            dns.sendto(q[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + q[12:at + 5], peer)
            continue
        if kind == 65 and name == "web.allowed.test":
            hint = socket.inet_aton(own)
            data = b"\0\1\0" + struct.pack(">HH", 1, 6) + b"\2h3\2h2" + struct.pack(">HH", 4, 4) + hint + struct.pack(">HH", 5, 3) + b"ECH"
            elsewhere = b"\0\1\3cdn\4test\0"
            body = q[12:at + 5] + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 65, 1, 60, len(d)) + d for d in (data, elsewhere))
            dns.sendto(q[:2] + struct.pack(">HHHHH", 0x8180, 1, 2, 0, 0) + body, peer)
            continue
        if many:
            body = q[12:at + 5]
            for i in range(many):
                body += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([198, 51, 100, i])
            dns.sendto(q[:2] + struct.pack(">HHHHH", 0x8180, 1, many, 0, 0) + body, peer)
            continue
        head = q[:2] + struct.pack(">HHHHH", 0x8180 if name in addresses or cname else 0x8183, 1, 2 if cname else 1 if address else 0, 0, 0)
        body = q[12:at + 5]
        if cname:  # to a name that no rule has, whose address is told as well
            target = b"\x07refused\x04test\x00"
            body += b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, len(target)) + target
            body += target + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(own)
        elif address:
            body += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        dns.sendto(head + body, peer)
def serve_tcp():
    listener = socket.create_server(dns.getsockname())
    while True:
        c, _ = listener.accept()
        q = c.recv(struct.unpack(">H", c.recv(2, socket.MSG_WAITALL))[0], socket.MSG_WAITALL)
        end = q.index(b"\0", 12) + 5
        answer = q[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + q[12:end]
        answer += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 77])
        c.sendall(struct.pack(">H", len(answer)) + answer)
for f in serve_web, serve_dns, serve_tcp:
    threading.Thread(target=f, daemon=True).start()
sys.stdin.read()
PY
cat >"$folder/guest.py" <<'PY'
import errno, socket, sys, time
port, own = int(sys.argv[1]), sys.argv[2]
def refused(name, p=port):
    since = time.monotonic()
    try:
        socket.create_connection((name, p)).close()
        sys.exit(f"{name} was reached")
    except OSError as e:
        if e.errno not in (errno.EACCES, errno.ECONNREFUSED):
            sys.exit(f"{name}: {e}")
    if time.monotonic() - since > 5:
        sys.exit(f"{name}: slow")
if own != "-":
    refused("public.allowed.test")  # a private address, and its rule doesn't say so
    for name in "web.allowed.test", "WEB.allowed.test.", "alias.allowed.test":
        c = socket.create_connection((name, port))
        assert c.recv(9) == b"host", name
    refused("web.allowed.test", 1)  # no rule has the port
refused("loop.allowed.test")  # the sandbox's own
refused("meta.allowed.test")
refused("marked.allowed.test")
refused("tunnel.refused.test")
refused("secret.data.refused.test")
try:
    socket.getaddrinfo("nothing.allowed.test", 80)
    sys.exit("a name that is not there")
except socket.gaierror as e:
    assert e.errno == socket.EAI_NONAME, e
assert socket.getaddrinfo("localhost", 80)
assert [n for _, n in socket.if_nameindex()] == ["lo", "eth0"]
if own != "-": # there is an address besides the loopback's
    assert socket.getaddrinfo("web.allowed.test", 80, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
with open("/proc/net/route") as f:
    assert "eth0\t00000000\t0202000A" in f.read()

# as a resolver of its own would ask: by UDP with and without EDNS, by TCP
import struct
def question(name, kind, edns=0):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    q = struct.pack(">HHHHHH", 4711, 0x0100, 1, 0, 0, bool(edns)) + labels + b"\0" + struct.pack(">HH", kind, 1)
    return q + (b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b"")
def by_udp(*q):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.sendto(question(*q), ("127.0.0.53", 53))
    return s.recv(65536)
counts = lambda answer: (struct.unpack(">H", answer[6:8])[0], struct.unpack(">H", answer[10:12])[0], bool(answer[2] & 2))
plain, extended, small = by_udp("many.allowed.test", 1), by_udp("many.allowed.test", 1, 4096), by_udp("many.allowed.test", 1, 600)
assert len(plain) <= 512 and counts(plain)[2] and counts(plain)[0] > 20, counts(plain)
assert counts(extended) == (60, 1, False), counts(extended)
assert len(small) <= 600 and counts(small)[1:] == (1, True), counts(small)
assert socket.gethostbyname("tcp.allowed.test") == "192.0.2.77"
s = socket.create_connection(("127.0.0.53", 53), 10)
for turn in range(3): # several on one connection, in pieces
    q = question("many.allowed.test", 1)
    for byte in struct.pack(">H", len(q)) + q:
        s.sendall(bytes([byte]))
    size = struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0]
    assert counts(s.recv(size, socket.MSG_WAITALL)) == (60, 0, False)
s.sendall(b"\xff\xff")
assert s.recv(1) == b"", "what is no question ends the connection"
if own != "-":
    https = by_udp("web.allowed.test", 65, 1400) # without what can't be used or hides names
    assert counts(https) == (1, 1, False) and b"\2h2" in https and socket.inet_aton(own) in https, https
    assert b"ECH" not in https and b"h3" not in https and b"cdn" not in https
    assert counts(by_udp("web.allowed.test", 64))[0] == 0 and counts(by_udp("refused.test", 65))[0] == 0
    socket.gethostbyname("web.allowed.test")
    assert socket.gethostbyaddr(own)[0] in ("web.allowed.test", "alias.allowed.test", "public.allowed.test"), socket.gethostbyaddr(own)
    c = socket.create_connection(("db", port)) # by the host's search list
    assert c.recv(9) == b"host"
    host = socket.gethostname()
    assert counts(by_udp(host, 1))[0] >= int(sys.argv[3]), "of the host's /etc/hosts"
assert by_udp("8.8.8.8.in-addr.arpa", 12)[3] & 15 == 3 and by_udp("1.0.0.127.in-addr.arpa", 12)[3] & 15 == 0
PY
mkfifo "$folder/end" "$folder/ports"
(cd "$folder" && exec python3 host.py "${own:-127.0.0.1}" <"$folder/end" >"$folder/ports") &
host=$!
exec 3>"$folder/end"
read -r dns web <"$folder/ports"
cat >"$folder/policy.toml" <<TOML
[network]
dns = "127.0.0.1:$dns"
allow = ["web.allowed.test:$web private", "alias.allowed.test:$web private", "*.allowed.test:$web", "db:$web private", "$(hostname):$web private"]
[[mounts]]
at = "/usr"
[[mounts]]
at = "/lib"
[[mounts]]
at = "/lib64"
[[mounts]]
at = "/etc"
[[mounts]]
at = "$folder"
TOML
hosts=$(awk -v name="$(hostname)" '$1 ~ /^[0-9.]+$/ { for (i = 2; i <= NF; i++) if ($i == name) { print 1; exit } }' /etc/hosts)
LOCALDOMAIN=corp.test "$B/pal-run" --report -m "$folder/policy.toml" /usr/bin/python3 "$folder/guest.py" "$web" "${own:--}" "${hosts:-0}" 2>"$folder/log" 3>&- || { cat "$folder/log"; exit 1; }
grep -q "denied: tunnel.refused.test:$web (network: no rule has this name" "$folder/log" || { echo "not reported:"; cat "$folder/log"; exit 1; }
if grep -q refused.test "$folder/asked"; then
    echo "a refused name went upstream"
    exit 1
fi
exec 3>&-
wait $host
