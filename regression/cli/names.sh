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
             "meta.allowed.test": "169.254.169.254", "marked.allowed.test": "198.18.1.1"}
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
        head = q[:2] + struct.pack(">HHHHH", 0x8180 if name in addresses or cname else 0x8183, 1, 2 if cname else 1 if address else 0, 0, 0)
        body = q[12:at + 5]
        if cname:  # to a name that no rule has, whose address is told as well
            target = b"\x07refused\x04test\x00"
            body += b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, len(target)) + target
            body += target + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(own)
        elif address:
            body += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        dns.sendto(head + body, peer)
for f in serve_web, serve_dns:
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
PY
mkfifo "$folder/end" "$folder/ports"
(cd "$folder" && exec python3 host.py "${own:-127.0.0.1}" <"$folder/end" >"$folder/ports") &
host=$!
exec 3>"$folder/end"
read -r dns web <"$folder/ports"
cat >"$folder/policy.toml" <<TOML
[network]
dns = "127.0.0.1:$dns"
allow = ["web.allowed.test:$web private", "alias.allowed.test:$web private", "*.allowed.test:$web"]
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
"$B/pal-run" --report -m "$folder/policy.toml" /usr/bin/python3 "$folder/guest.py" "$web" "${own:--}" 2>"$folder/log" 3>&- || { cat "$folder/log"; exit 1; }
grep -q 'denied: tunnel.refused.test (network: no rule has this name' "$folder/log" || { echo "not reported:"; cat "$folder/log"; exit 1; }
if grep -q refused.test "$folder/asked"; then
    echo "a refused name went upstream"
    exit 1
fi
exec 3>&-
wait $host
