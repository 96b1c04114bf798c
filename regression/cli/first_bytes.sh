# SPDX-License-Identifier: MIT
# What is sent first at port 80 or 443 has to name a host that the rule has (SNI, Host): others at the same address are not
# reached, however it is written, cut or hidden; and what is right goes on as ever.  In a network of the test's own.
set -u
if [ -z "${FIRST_INSIDE:-}" ]; then
    B=$(realpath "$B")
    own=(unshare --net)
    [ "$(id -u)" = 0 ] || own=(unshare --user --map-root-user --net)
    "${own[@]}" true 2>/dev/null || { echo "there is no network namespace to be had"; exit 0; }
    FIRST_INSIDE=1 B=$B exec "${own[@]}" bash "$0" "$@"
fi
folder=$(mktemp -d /var/tmp/pal-first.XXXXXX) || exit 1
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
ip link set lo up
for n in 1 2 3; do ip addr add 10.77.0.$n/32 dev lo; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shared.test -days 9 \
    -addext "subjectAltName=DNS:*.test" -keyout "$folder/key" -out "$folder/crt" 2>/dev/null || exit 1
cat >"$folder/host.py" <<'PY'
import socket, ssl, struct, sys, threading
seen = open("seen", "wb", buffering=0)
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("127.0.0.1", 5353))
addresses = {"good.test": "10.77.0.1", "wide.good.test": "10.77.0.1", "other.test": "10.77.0.1", "dead.test": "10.77.0.2", "raw.test": "10.77.0.3"}
def serve_dns():
    while True:
        q, peer = dns.recvfrom(4096)
        at, labels = 12, []
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode("latin1"))
            at += 1 + q[at]
        kind, name = struct.unpack(">H", q[at + 1:at + 3])[0], ".".join(labels)
        address = addresses.get(name) if kind == 1 else None
        body = q[12:at + 5] + (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if address else b"")
        dns.sendto(q[:2] + struct.pack(">HHHHH", 0x8180 if name in addresses else 0x8183, 1, bool(address), 0, 0) + body, peer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("crt", "key")
def answer(c, tls):
    try:
        if tls: # everything that reaches this port is noted
            first = c.recv(65536, socket.MSG_PEEK)
            seen.write(first)
            c = context.wrap_socket(c, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            more = c.recv(65536)
            if not more:
                return
            if not tls:
                seen.write(more)
            head += more
        size, got = 0, len(head.split(b"\r\n\r\n", 1)[1])
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        while got < size:
            got += len(c.recv(1 << 20))
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n%03d" % (got % 1000))
        c.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        c.close()
def serve(address, port, tls):
    listener = socket.create_server((address, port), backlog=512)
    def loop():
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0], tls), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
def speak_first():
    listener = socket.create_server(("10.77.0.3", 443))
    while True:
        c, _ = listener.accept()
        c.sendall(b"SSH-2.0-first\r\n")
        c.close()
serve("10.77.0.1", 80, False)
serve("10.77.0.1", 443, True)
short = socket.create_server(("10.77.0.1", 8080))
for f in serve_dns, speak_first:
    threading.Thread(target=f, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
PY
cat >"$folder/guest.py" <<'PY'
import array, asyncio, errno, os, select, selectors, socket, ssl, struct, sys, threading, time
def connect(port, name="good.test"):
    return socket.create_connection((name, port), 20)
def request(host, line="GET / HTTP/1.1", more=""):
    return f"{line}\r\nHost: {host}\r\n{more}\r\n".encode()
def read_all(c):
    out = b""
    while more := c.recv(65536):
        out += more
    return out
def good(c, what):
    out = read_all(c)
    assert b" 200 OK" in out, (what, out)
    c.close()
def refused(port, pieces, what):
    c = connect(port)
    try:
        for piece in pieces:
            c.sendall(piece)
        c.settimeout(30)
        got = c.recv(1)
        sys.exit(f"{what}: answered with {got}")
    except PermissionError:
        pass
    except TimeoutError:
        sys.exit(f"{what}: neither sent nor refused")
    try:  # and it stays so
        c.send(b"x")
        sys.exit(f"{what}: and then sent")
    except PermissionError:
        pass
    c.close()

# ---- HTTP
socket.gethostbyname("wide.good.test") # leads there, too
for host in "good.test", "GOOD.test", "good.test.", "good.test:80", "wide.good.test":
    c = connect(80)
    c.sendall(request(host))
    good(c, host)
c = connect(80)
for byte in request("good.test", more="X-A: b\r\n"):
    c.send(bytes([byte]))
good(c, "in single bytes")
c = connect(80)
c.sendmsg([b"GET http://good.", b"", b"test/x HTTP/1.1\r\n", b"Host:good.test\r\n\r\n"])
good(c, "several vectors, an absolute target")
c = connect(80)
c.sendall(request("good.test", "POST / HTTP/1.1", "Content-Length: 3000007\r\n") + b"x" * 3000007)
assert read_all(c).endswith(b"007"), "a long body"
bad = {
    "another name": request("other.test"), "no name": b"GET / HTTP/1.1\r\n\r\n", "an address": request("10.77.0.1"),
    "twice": request("good.test", more="Host: other.test\r\n"), "twice, the other one first": request("other.test", more="Host: good.test\r\n"),
    "lone line feeds": b"GET / HTTP/1.1\nHost: good.test\n\n", "a lone line feed": b"GET / HTTP/1.1\r\nHost: good.test\nHost: other.test\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nX: a\r\n Host: other.test\r\nHost: good.test\r\n\r\n", "a space": b"GET / HTTP/1.1\r\nHost : other.test\r\nHost: good.test\r\n\r\n",
    "another target": request("good.test", "GET http://other.test/ HTTP/1.1"), "a tunnel": request("good.test", "CONNECT other.test:443 HTTP/1.1"),
    "a user": request("good.test", "GET http://good.test@other.test/ HTTP/1.1"), "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"SSH-2.0-x\r\n", "bytes": bytes(range(256)), "a NUL": b"GET / HTTP/1.1\r\nHost: good.test\0.other.test\r\n\r\n",
    "no end": b"GET / HTTP/1.1\r\nHost: good.test\r\n" + b"X: " + b"y" * 20000, "a long line": b"GET /" + b"y" * 20000,
    "beneath a name without *": request("x.good.test"), "a tab": b"GET\t/\tHTTP/1.1\r\nHost: good.test\r\n\r\n",
}
for what, bytes_ in bad.items():
    refused(80, [bytes_], what)
    refused(80, [bytes_[:20], bytes_[20:]], what + ", in two")
refused(443, [request("other.test")], "HTTP at 443")

# ---- TLS
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def hello(name):
    out = ssl.MemoryBIO()
    t = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        t.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()
def with_extension(hello, kind, body=b"\0" * 8):
    message = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack(">H", message[at:at + 2])[0]
    at += 1 + message[at]
    extensions = message[at + 2:] + struct.pack(">HH", kind, len(body)) + body
    message = message[:at] + struct.pack(">H", len(extensions)) + extensions
    message[1:4] = struct.pack(">I", len(message) - 4)[1:]
    return hello[:3] + struct.pack(">H", len(message)) + bytes(message)
def in_records(hello, size):
    body = hello[5:]
    return b"".join(hello[:3] + struct.pack(">H", len(p)) + p for p in (body[i:i + size] for i in range(0, len(body), size)))
with context.wrap_socket(connect(443), server_hostname="good.test") as t:
    t.sendall(request("good.test"))
    good(t, "TLS")
def replies(pieces, what):
    c = connect(443)
    for piece in pieces:
        c.sendall(piece)
    assert c.recv(1) in (b"\x16", b"\x15"), what
    c.close()
right, wrong = hello("good.test"), hello("other.test")
replies([bytes([b]) for b in right], "a hello in single bytes")
replies([in_records(right, 7)], "a hello in many records")
replies([with_extension(right, 0xfafa)], "an unknown extension")
other_record = right[:3] + struct.pack(">H", 40) + right[5:45] + b"\x17\x03\x03" + struct.pack(">H", len(right) - 45) + right[45:]
sni = struct.pack(">HBH", 13, 0, 10) + b"other.test"
for what, h in {"another SNI": wrong, "no SNI": hello(None), "ECH": with_extension(right, 0xfe0d), "ESNI": with_extension(right, 0xffce),
                "SNI twice": with_extension(right, 0, sni), "SNI twice, the right one last": with_extension(wrong, 0, struct.pack(">HBH", 12, 0, 9) + b"good.test"),
                "a huge hello": with_extension(right, 0xfafa, b"\0" * 16000), "no hello": b"\x16\x03\x01\x00\x04\x02\0\0\0",
                "an empty record": b"\x16\x03\x01\0\0", "SSL 2": b"\x80\x2e\x01\x03\x01" + b"\0" * 41, "another record within": other_record}.items():
    refused(443, [h], what)
    if len(h) > 60:
        refused(443, [h[:50], h[50:]], what + ", in two")
        refused(443, [in_records(h, 100)] if h != other_record else [h], what + ", in records")

# ---- As programs do it
def nonblocking(epoll, port, name="good.test"):
    c = socket.socket()
    c.setblocking(False)
    epoll.register(c, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
    epoll.register(d := c.dup(), select.EPOLLIN) # once more
    assert c.connect_ex((name, port)) == errno.EINPROGRESS
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    until = time.monotonic() + 20
    while not any(fd == c.fileno() and what & select.EPOLLOUT for fd, what in epoll.poll(1)):
        assert time.monotonic() < until, "never writable"
    return c, d
with select.epoll() as epoll:
    c, d = nonblocking(epoll, 80)
    assert c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and c.getpeername() == ("10.77.0.1", 80)
    try:
        c.recv(1)
        sys.exit("something to read")
    except BlockingIOError:
        pass
    assert not [fd for fd, what in epoll.poll(0.05) if what & select.EPOLLIN], "something to read is told"
    c.send(request("good.test"))
    got = set()
    until = time.monotonic() + 20
    while got != {c.fileno(), d.fileno()}:
        assert time.monotonic() < until, got
        got |= {fd for fd, what in epoll.poll(1) if what & select.EPOLLIN}
    assert c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) and c.getblocking() == False
    c.setblocking(True)
    good(c, "non-blocking")
    c, d = nonblocking(epoll, 80, "dead.test")
    assert c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
try:
    connect(80, "dead.test")
    sys.exit("a port that nobody serves")
except ConnectionRefusedError:
    pass
async def fetch():
    reader, writer = await asyncio.open_connection("good.test", 443, ssl=context, server_hostname="good.test")
    writer.write(request("good.test"))
    assert b" 200 OK" in await reader.read()
    writer.close()
async def many():
    await asyncio.gather(*(fetch() for _ in range(30)))
asyncio.run(many())
c = connect(80)
got = []
reader = threading.Thread(target=lambda: got.append(read_all(c)))
reader.start()
time.sleep(0.05)
c.sendall(request("good.test"))
reader.join(20)
assert got and b" 200 OK" in got[0], "a thread that reads before"
c = connect(80)
if not os.fork():
    c.sendall(request("good.test"))
    os._exit(0)
good(c, "another process writes")
os.wait()
c = connect(80)
c.setblocking(True)
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [c.fileno()])
c.close()
d = socket.socket(fileno=socket.recv_fds(b, 1, 1)[1][0])
d.sendall(request("good.test"))
good(d, "passed on")
c = connect(443, "raw.test")
assert read_all(c) == b"SSH-2.0-first\r\n"
c = connect(80)
c.shutdown(socket.SHUT_WR)
assert c.recv(1) == b""
open_ones = [connect(80) for _ in range(60)] # and left
for c in open_ones[::2]:
    c.sendall(request("good.test"))
for c in open_ones[::2]:
    good(c, "one of many")
PY
cat >"$folder/policy.toml" <<TOML
[network]
dns = "127.0.0.1:5353"
allow = ["good.test private", "wide.good.test private", "other.test:8080 private", "dead.test private", "raw.test:443 private raw"]
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
mkfifo "$folder/end" "$folder/ready"
(cd "$folder" && exec python3 host.py <"$folder/end" >"$folder/ready") &
host=$!
exec 3>"$folder/end"
read -r _ <"$folder/ready"
for option in --trap=sud --trap=seccomp; do
    timeout 100 "$B/pal-run" $option --report -m "$folder/policy.toml" /usr/bin/python3 "$folder/guest.py" 2>"$folder/log" 3>&- || { cat "$folder/log"; exit 1; }
    for told in 'denied: other.test:80 (network: a connection names this host' 'denied: 10.77.0.1:443 (network: TLS hides' 'denied: 10.77.0.1:80 (network: what it sends first'; do
        grep -qF "$told" "$folder/log" || { echo "not reported: $told"; cat "$folder/log"; exit 1; }
    done
done
if grep -a -q 'other\.test\|SSH-2' "$folder/seen"; then
    echo "what was refused was sent"
    exit 1
fi
grep -a -q good.test "$folder/seen" || { echo "nothing was seen"; exit 1; }
out=$("$B/pal-run" -m "$folder/policy.toml" bash -c 'exec 5<>/dev/tcp/good.test/80; (printf "GET / HTTP/1.0\r\nHost: good.test\r\n\r\n" >&5); cat <&5' 3>&-)
[[ $out == *"200 OK"* ]] || { echo "bash: $out"; exit 1; }
exec 3>&-
wait $host
