# SPDX-License-Identifier: MIT
# Listeners that pal-run was started with are the program's, as sd_listen_fds(3) has it; nothing else that is open is.
set -u
B=$(realpath "$B")
folder=$(mktemp -d /var/tmp/pal-listen.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cat >"$folder/serve.py" <<'PY'
import os, socket, sys
assert os.environ["LISTEN_FDS"] == "2" and int(os.environ["LISTEN_PID"]) == os.getpid(), os.environ
assert os.environ["LISTEN_FDNAMES"] == "web:admin"
for fd, family, word in ((3, socket.AF_INET, b"first"), (4, socket.AF_INET6, b"second")):
    s = socket.socket(fileno=fd)
    assert s.family == family and s.type == socket.SOCK_STREAM and s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    s.listen(5)
    c, peer = s.accept()
    assert c.recv(100) == b"port %d" % s.getsockname()[1]
    c.sendall(word)
for fd in range(5, 64):
    try:
        os.fstat(fd)
        assert fd in (c.fileno(), s.fileno()), fd
    except OSError:
        pass
PY
cat >"$folder/start.py" <<'PY'
import os, socket, sys
listeners = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)]
other = socket.create_server(("127.0.0.1", 0))
def start(fds, **environment):
    child = os.fork()
    if not child:
        kept = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(kept):
            os.dup2(fd, 3 + i)
            os.close(fd)
        os.environ.update(environment, LISTEN_PID=str(os.getpid()))
        os.execv(sys.argv[1], sys.argv[1:])
    return child
child = start([s.fileno() for s in listeners] + [other.fileno()], LISTEN_FDS="2", LISTEN_FDNAMES="web:admin")
for s, word in zip(listeners, (b"first", b"second")):
    c = socket.create_connection(s.getsockname()[:2], 20)
    c.sendall(b"port %d" % s.getsockname()[1])
    assert c.recv(100) == word
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
# what is no listener, or not for this process
read, _ = os.pipe()
assert os.waitstatus_to_exitcode(os.waitpid(start([read], LISTEN_FDS="1"), 0)[1]) == 125
assert os.waitstatus_to_exitcode(os.waitpid(start([], LISTEN_FDS="0"), 0)[1]) == 125
PY
for option in --trap=sud --trap=seccomp --init; do
    /usr/bin/python3 "$folder/start.py" "$B/pal-run" "$option" --listen-fds --ro "$folder" -- /usr/bin/python3 "$folder/serve.py" 2>"$folder/log" ||
        { cat "$folder/log"; exit 1; }
done
grep -q "descriptor 3 is not a TCP listener" "$folder/log" || { cat "$folder/log"; exit 1; }
