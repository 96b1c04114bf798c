# SPDX-License-Identifier: MIT
# `pal-run exec`: another program in a running sandbox shares all but its streams, environment, directory, ids and status.
. "$(dirname "$0")/lib.sh.inc"
chmod 755 "$work"
mkdir "$work/rw"
cat >"$work/main.py" <<'P'
import os, signal, socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", 7007))
os.environ["OF"] = "main"
child = os.fork()
if not child:
    time.sleep(99)
def serve():
    while True:
        connection = listener.accept()[0]
        connection.sendall(b"from main")
        connection.close()
threading.Thread(target=serve, daemon=True).start()
signal.signal(signal.SIGUSR1, lambda n, f: open(sys.argv[1] + "/got", "w").close())
def busy():
    while True:
        pass
threading.Thread(target=busy, daemon=True).start()
open(sys.argv[1] + "/up", "w").close()
signal.pause()
while True:
    time.sleep(1)
P
begin() { # OPTION...
    rm -f "$work"/rw/*
    SECRET=1 "$PAL" "$@" --name "test-$$" --env BASE=base --ro "$work" --rw "$work/rw" --cwd "$work" -- /usr/bin/python3 "$work/main.py" "$work/rw" 2>/dev/null &
    main=$!
    for ((i = 0; i < 1200; i++)); do [ -e "$work/rw/up" ] && break; sleep 0.05; done
    [ -e "$work/rw/up" ] || say "$*: it does not start"
}
end() {
    kill -KILL $main
    { wait $main; } 2>/dev/null
}
inside() { timeout -s KILL 100 "$PAL" exec "$@"; }
is() { # WANT COMMAND...: what it says, and its status
    local want=$1 got
    shift
    got=$(inside "$@" 2>&1; echo $?)
    [ "$got" = "$want" ] || say "exec $*: $got, not $want"
}
name=test-$$
for way in "" --trap=seccomp --walls=monitor --init; do
    begin $way
    is "base
$work
7" $name sh -c 'echo $BASE$SECRET$OF; pwd; exit 7'
    is "new own /usr 027
0" --env BASE=new --env OWN=own --cwd /usr $name -- sh -c 'umask 027; echo $BASE $OWN $(pwd) $(umask | tail -c 4)'
    is "uid=5 gid=6 groups=6,8,7
0" --user 5:6,8,7 $name python3 -c 'import os; print("uid=%d gid=%d groups=6,%s" % (os.getuid(), os.getgid(), ",".join(map(str, sorted(os.getgroups(), reverse=True)))))'
    is 143 $name sh -c 'kill $$'
    is "pal-run: exec: nothing: not found in the sandbox
127" $name nothing
    is "pal-run: exec: /etc/passwd: permission denied
126" $name /etc/passwd
    is "pal-run: exec: /no/where: not found in the sandbox
127" --cwd /no/where $name true
    got=$(echo input | inside $name cat; inside $name sh -c 'echo one; echo two >&2' 2>/dev/null)
    [ "$got" = "input
one" ] || say "$way: streams: $got"
    is "from main
0" $name python3 -c 'import socket; print(socket.create_connection(("127.0.0.1", 7007)).recv(99).decode())'
    is "[0, 1, 2] 0 True
0" $name python3 -c 'import os
fds = []
for fd in range(99):
    try:
        os.fstat(fd); fds.append(fd)
    except OSError: pass
print(fds, os.getppid(), os.getsid(0) == os.getpgrp() == os.getpid())' </dev/null
    # Processes see each other, and wait for nobody else's.
    is "0" $name sh -c 'kill -USR1 $(pgrep -o -f main.py); i=0; while [ $i -lt 300 ]; do [ -e '"$work"'/rw/got ] && exit 0; sleep 0.2; i=$((i + 1)); done; exit 1'
    inside $name sleep 77 &
    other=$!
    for ((i = 0; i < 1200; i++)); do inside $name pgrep -f 'sleep 77$' >/dev/null && break; sleep 0.05; done
    is "0" $name sh -c 'kill -INT $(pgrep -f "sleep 77\$")'
    wait $other
    [ $? = 130 ] || say "$way: ended from within: $?"
    # Its signals reach it, and its death is that process's.
    inside $name sh -c 'trap "echo term; exit 5" TERM; echo ready; while :; do sleep 0.05; done' >"$work/out" 2>&1 &
    other=$!
    for ((i = 0; i < 1200; i++)); do grep -q ready "$work/out" && break; sleep 0.05; done
    kill -TERM "$(pgrep -P $other)"
    wait $other
    [ $? = 5 ] && grep -q term "$work/out" || say "$way: a signal: $(cat "$work/out")"
    "$PAL" exec $name sleep 78 &
    other=$!
    for ((i = 0; i < 1200; i++)); do inside $name pgrep -f 'sleep 78$' >/dev/null && break; sleep 0.05; done
    kill -KILL $other
    { wait $other; } 2>/dev/null
    for ((i = 0; i < 1200; i++)); do inside $name pgrep -f 'sleep 78$' >/dev/null || break; sleep 0.05; done
    inside $name pgrep -f 'sleep 78$' >/dev/null && say "$way: it lives on without its exec"
    # Several at once, and the end of all.
    pids=()
    for n in 1 2 3 4 5 6 7 8; do
        inside $name sh -c "exit $n" &
        pids+=($!)
    done
    sum=0
    for pid in "${pids[@]}"; do
        wait "$pid"
        sum=$((sum + $?))
    done
    [ $sum = 36 ] || say "$way: eight at once: $sum"
    # The first process is interrupted for the next ones while it forks for this one.
    for n in 1 2 3 4 5 6; do
        (for turn in 1 2 3 4 5 6 7 8 9 10; do [ "$(inside $name sh -c 'pwd; echo $BASE' 2>&1)" = "$work
base" ] || echo lost; done) >"$work/many.$n" &
        pids+=($!)
    done
    wait "${pids[@]}"
    cat "$work"/many.* | grep -q lost && say "$way: many at once: $(cat "$work"/many.* | wc -l) of 60 were not what was asked for"
    inside $name sleep 79 &
    other=$!
    for ((i = 0; i < 1200; i++)); do inside $name pgrep -f 'sleep 79$' >/dev/null && break; sleep 0.05; done
    end
    wait $other
    [ $? = 137 ] || say "$way: the end of the sandbox"
    for ((i = 0; i < 1200; i++)); do pgrep -f "python3 $work/main.py" >/dev/null || break; sleep 0.05; done
    [ -z "$(pgrep -f "python3 $work/main.py")" ] || say "$way: something was left"
done
begin
[ "$("$PAL" ps | awk -v pid=$main '$1 == pid { print $5 }')" = $name ] || say "ps: $("$PAL" ps)"
is "by pid
0" $main echo by pid
expect 125 'a running sandbox has that name' "$PAL" --name $name -- true
end
expect 125 'you have no running sandbox named' "$PAL" exec $name true
expect 125 'at most 80 letters' "$PAL" --name a/b -- true
expect 125 'usage: pal-run exec' "$PAL" exec $name

# A terminal: job control, keys, size.
begin
/usr/bin/python3 - "$PAL" $name <<'P' || bad=1
import fcntl, os, pty, re, select, struct, sys, termios, time
pid, fd = pty.fork()
if not pid:
    # Before bash is there: its readline asks for the size and sets what it was told, over one that comes between.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    os.environ["TERM"] = "dumb"
    os.execv(sys.argv[1], [sys.argv[1], "exec", "--env", "PS1=<$ ", sys.argv[2], "bash", "--norc"])
seen = ""
def expect(pattern):
    global seen
    end = time.time() + 60
    while not (found := re.search(pattern, seen)):
        if not select.select([fd], [], [], max(0, end - time.time()))[0]:
            sys.exit("waited in vain for %r: %r" % (pattern, seen))
        try:
            seen += os.read(fd, 4096).decode()
        except OSError:
            sys.exit("its end came before %r: %r" % (pattern, seen))
    seen = seen[found.end():]
def type(text):
    os.write(fd, text.encode())
expect("<. ")
type("tty; stty size; echo $TERM\r")
expect(r"/dev/pts/\d+\r\n33 101\r\ndumb\r\n<. ")
type("sh -c 'trap \"echo now; stty size\" WINCH; echo ready; while :; do sleep 0.1; done'\r")
expect(r"\r\nready\r\n")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 90, 0, 0))
expect("now\r\n44 90")
type("\x03")
expect(r"\^C\r\n")
type("echo after $?\r")
expect("after 130")
expect("<. ")
type("sh -c 'echo ready; exec cat'\r")
expect(r"\r\nready\r\n")
type("word\r")
expect("word\r\nword\r\n")
type("\x1a")
expect("Stopped")
expect("<. ")
type("jobs; kill %1; fg\r")
expect(r"fg\r\n[^<]*cat[^<]*<. ")
type("exit 9\r")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
P
end
exit $bad
