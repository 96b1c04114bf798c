# SPDX-License-Identifier: MIT
# A published port takes connections while somebody in the sandbox listens there, and no longer; what was refused is
# reported with its port.
set -u
B=$(realpath "$B")
folder=$(mktemp -d /var/tmp/pal-published.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cat >"$folder/serve.py" <<'PY'
import os, socket, sys
def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", 8080))
    s.listen(5)
    return s
def step(word):
    print(word, flush=True)
    sys.stdin.readline()
step("not yet")
s = listen()
step("listens")
worker = os.fork()
if not worker:
    s.accept() # the first look at it
    s.accept()[0].sendall(b"worker")
    os._exit(0)
s.close()
step("the worker listens")
os.waitpid(worker, 0)
step("closed")
s = listen()
step("listens again")
s.shutdown(socket.SHUT_RD)
step("shut down")
s.close()
shared = []
for i in range(2):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("", 8080))
    s.listen(5)
    shared.append(s)
shared.pop().close()
step("one of two listens")
shared.pop().close()
step("none of two")
PY
cat >"$folder/drive.py" <<'PY'
import socket, subprocess, sys, time
free = socket.create_server(("127.0.0.1", 0))
port = free.getsockname()[1]
free.close()
guest = subprocess.Popen(sys.argv[1:2] + ["--publish", f"{port}:8080", *sys.argv[2:]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
def reached():
    try:
        c = socket.create_connection(("127.0.0.1", port), 5)
    except ConnectionError: # it may be reset, if the listener goes in this moment
        return False
    c.settimeout(5)
    return c
def expect(word, takes):
    line = guest.stdout.readline().strip()
    assert line == word, line
    end = time.monotonic() + 10
    while bool(got := reached()) != takes: # closing is told a moment later
        assert time.monotonic() < end, f"{word}: {'refused' if takes else 'taken'}"
        time.sleep(0.01)
    if word == "the worker listens":
        assert got.recv(10) == b"worker"
    guest.stdin.write("\n")
    guest.stdin.flush()
expect("not yet", False)
expect("listens", True)
expect("the worker listens", True)
expect("closed", False)
expect("listens again", True)
expect("shut down", False)
expect("one of two listens", True)
expect("none of two", False)
assert guest.wait() == 0
PY
for option in --trap=sud --trap=seccomp; do
    python3 "$folder/drive.py" "$B/pal-run" "$option" --ro "$folder" -- /usr/bin/python3 "$folder/serve.py" || exit 1
done

cat >"$folder/names.py" <<'PY'
import errno, socket
for name, port in (("registry.example", 443), ("registry.example", 22), ("db.example", 5432)):
    s = socket.socket()
    assert s.connect_ex((name, port)) == errno.EACCES, (name, port)
socket.gethostbyname("asked.example")
PY
"$B/pal-run" --net other.example --report --ro "$folder" -- /usr/bin/python3 "$folder/names.py" 2>"$folder/log" || exit 1
for told in registry.example:443 registry.example:22 db.example:5432 asked.example; do
    grep -q "denied: $told (network: no rule has this name" "$folder/log" || { echo "$told is not reported:"; cat "$folder/log"; exit 1; }
done
grep -q "denied: registry.example (" "$folder/log" && { echo "told twice"; exit 1; }
exit 0
