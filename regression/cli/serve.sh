# SPDX-License-Identifier: MIT
# A pool of clones: each is used once, by the same user, with streams, arguments and environment of the client's; what dies is
# replaced, what is refused is told, and nothing is left.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
chmod 755 "$work"
cat >"$work/tool.py" <<'P'
import os, random, signal, sys, time, uuid
def snapshot_point():
    open('/proc/pal/ready', 'w').write('1')
    if child := os.fork():
        os.waitpid(child, 0)
        os._exit(0)
    words = open('/proc/pal/start', 'rb').read().split(b'\0')
    count = int(words[0])
    sys.argv = [os.fsdecode(word) for word in words[1:1 + count]]
    os.environb.clear()
    for word in words[1 + count:-1]:
        name, _, value = word.partition(b'=')
        os.environb[name] = value
snapshot_point()
what = sys.argv[1] if len(sys.argv) > 1 else ''
if what == 'show':
    print(sys.argv[2:], os.environ.get('OF_CLIENT'), os.environ.get('OF_SERVER'), sys.stdin.read().strip(), flush=True)
    print('to standard error', file=sys.stderr)
elif what == 'random':
    os.write(1, ('%d %r %s\n' % (os.getpid(), random.random(), uuid.uuid4())).encode())
elif what == 'policy':
    for path in sys.argv[2:]:
        try:
            print(open(path, 'a').name, 'was opened')
        except OSError as error:
            print(type(error).__name__)
elif what == 'status':
    sys.exit(int(sys.argv[2]))
elif what == 'flags':
    import fcntl
    os.write(1, b'clone\n')
    fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) & ~os.O_APPEND | os.O_NONBLOCK)
    os.lseek(1, 0, 0)
elif what == 'sleep':
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(33))
    os.write(1, b'sleeps\n')
    time.sleep(60)
P
"$PAL" snapshot make tool --ro "$work" -- /usr/bin/python3 "$work/tool.py" 2>"$work/err" || say "make: $(cat "$work/err")"
serve() { # OPTIONS...: in the background; its process is $server
    OF_SERVER=yes "$PAL" serve tool --socket "$work/socket" "$@" 2>"$work/served" &
    server=$!
    for _ in $(seq 100); do
        [ -S "$work/socket" ] && return
        sleep 0.05
    done
    say "no socket: $(cat "$work/served")"
}
client=("$PAL" snapshot run --pool "$work/socket")
client() { "${client[@]}" "$@"; }
stop() {
    kill "$server"
    wait "$server" || say "the server ended with status $?: $(cat "$work/served")"
    [ -e "$work/socket" ] && say "the socket's name is left"
}
# Who waits for the socket's name may connect as soon as it is there: the name comes after listen(), however slow that is.
strace -f -o "$work/calls" -e trace=listen -e inject=listen:delay_enter=300000 "$PAL" serve tool --socket "$work/socket" --pool 1 2>"$work/served" &
server=$!
for _ in $(seq 1000); do [ -S "$work/socket" ] && break; sleep 0.01; done
got=$("$PAL" snapshot run --pool "$work/socket" show early </dev/null 2>&1)
[[ "$got" = *"['early']"* ]] || say "the name was there before the server: $got"
grep -q 'listen(.*INJECTED\|listen(.*DELAYED' "$work/calls" || say "listen was not slow: $(cat "$work/calls")"
kill "$(pgrep -P $server -x pal-run)"
wait $server
waiting() { pgrep -P "$server" -c; }

serve --pool 3 --env OF_SERVER
[ "$(stat -c %a "$work/socket")" = 600 ] || say "others may connect"
got=$(echo input | OF_CLIENT=yes client --env OF_CLIENT show a 'b c' 2>"$work/err")
[ "$got" = "['a', 'b c'] yes yes input" ] || say "a clone printed: $got"
[ "$(cat "$work/err")" = "to standard error" ] || say "a clone's errors: $(cat "$work/err")"
[ "$(client --env OF_SERVER=no show </dev/null 2>/dev/null)" = "[] None no " ] || say "the environment can't be changed"
client status 7 </dev/null
[ $? = 7 ] || say "a status is lost"
# Each client has a clone of its own, at once or as they become free.
for _ in $(seq 30); do client random </dev/null & done >"$work/out" 2>"$work/err"
wait $(jobs -p | grep -vx "$server")
[ "$(wc -l <"$work/out")" = 30 ] && [ ! -s "$work/err" ] || say "30 clients: $(cat "$work/err")"
[ "$(cut -d' ' -f1 "$work/out" | sort -u | wc -l)" -ge 20 ] || say "clones share their numbers: $(cat "$work/out")" # drawn by chance, from few
for field in 2 3; do
    [ "$(cut -d' ' -f$field "$work/out" | sort -u | wc -l)" = 30 ] || say "two clones share field $field: $(cat "$work/out")"
done
# No wider than the server's policy.
client policy "$work/tool.py" /etc/shadow "$work/new" </dev/null >"$work/out"
[ "$(grep -c Error "$work/out")" = 3 ] || say "policy: $(cat "$work/out")"
expect 125 "a pool's policy is its server's" "${client[@]}" --rw / status 0
expect 125 'the pool refuses: a stream is a directory' bash -c "exec '$PAL' snapshot run --pool '$work/socket' status 0 <'$work'"
"${client[@]}" "$(head -c 70000 /dev/zero | tr '\0' a)" 2>"$work/err" && say "too many arguments are taken"
grep -q 'at most 65536 bytes' "$work/err" || say "too many arguments: $(head -c 300 "$work/err")"
python3 - "$work/socket" <<'P' || say "what no client says"
import array, os, socket, struct, sys
MAGIC = 0x314c4f4f50
def ask(bytes, fds):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(sys.argv[1])
        s.sendmsg([bytes], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])
        return s.recv(512)
null = os.open('/dev/null', os.O_RDWR)
place = os.open('/', os.O_PATH)
listener = socket.socket(); listener.bind(('127.0.0.1', 0)); listener.listen()
local, other = socket.socketpair()
head = struct.pack('<QII', MAGIC, 1, 0)
status0 = struct.pack('<QII', MAGIC, 2, 0) + b'status\0' + b'5\0'
assert ask(status0, [null] * 3) == struct.pack('<i', 5), 'an honest one'
for bytes, fds, why in [
    (b'x', [null] * 3, b'something else'),
    (head[::-1] + b'a\0', [null] * 3, b'something else'),
    (head + b'a\0', [null] * 2, b'no three standard streams'),
    (head + b'a\0', [null] * 4, b'three standard streams'),
    (head + b'a\0', [null] * 9, b'too large'),
    (head + b'a\0', [], b'no three standard streams'),
    (struct.pack('<QII', MAGIC, 4000000000, 0) + b'a\0', [null] * 3, b'not as many'),
    (struct.pack('<QII', MAGIC, 0, 9) + b'a\0', [null] * 3, b'not as much'),
    (head + b'a' * 65537, [null] * 3, b'too large'),
    (head + b'a\0', [null, place, null], b"can't be looked at"),
    (head + b'a\0', [null, null, listener.fileno()], b'no connected one'),
    (head + b'a\0', [null, local.fileno(), null], b''),  # a local socket: by the walls
]:
    reply = ask(bytes, fds)
    assert len(reply) >= 4 and why in reply, (bytes[:40], fds, why, reply)
assert ask(status0, [null] * 3) == struct.pack('<i', 5), 'an honest one afterwards'
# A client that says nothing, or goes: nobody is kept waiting for long.
silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
silent.connect(sys.argv[1])
assert ask(status0, [null] * 3) == struct.pack('<i', 5), 'beside a silent one'
P
# Flags of a file that the client appends to stay its own.
echo first >"$work/log"
exec 7>>"$work/log"
"${client[@]}" flags </dev/null >&7
echo last >&7
exec 7>&-
[ "$(cat "$work/log")" = "$(printf 'first\nclone\nlast')" ] || say "a log: $(cat "$work/log")"
# From within programs.
cat >"$work/embeds.py" <<'P'
import os, signal, subprocess, sys
sys.path.insert(0, 'loader/library')
import palrun
pool = palrun.Pool(sys.argv[1])
result = pool.run(['show', 'a b'], env={'OF_CLIENT': 'python'}, stdin=palrun.DEVNULL, capture_output=True)
assert (result.status, result.stdout) == (0, b"['a b'] python yes \n"), (result.status, result.stdout)
assert result.stderr == b'to standard error\n', result.stderr
assert pool.run(['status', '9'], stdin=palrun.DEVNULL).status == 9
reader, writer = os.pipe()
with pool.take(['sleep'], stdin=palrun.DEVNULL, stdout=writer) as clone:
    os.close(writer)
    assert os.read(reader, 100) == b'sleeps\n'
    try:
        clone.wait(0.05)
        raise SystemExit('a clone that sleeps has ended')
    except TimeoutError:
        pass
    clone.kill(signal.SIGUSR1)
    assert clone.wait(10) == 33
    assert clone.wait() == 33
with pool.take(['sleep'], stdin=palrun.DEVNULL, stdout=palrun.DEVNULL) as clone:
    clone.kill()
    assert clone.wait(10) == 137
place = os.open('/', os.O_RDONLY)
assert pool.run(['status', '0'], stdin=place).status == 125
try:
    palrun.Pool(sys.argv[1] + 'x').run(['status', '0'])
    raise SystemExit('a pool where nobody serves')
except FileNotFoundError:
    pass
P
PALRUN_LIBRARY=$(realpath "$B/libpalrun.so.0") python3 "$work/embeds.py" "$work/socket" || say "libpalrun"
# Another user.
if [ "$(id -u)" = 0 ]; then
    chmod 666 "$work/socket"
    chmod 755 "$work"
    setpriv --reuid 65534 --regid 65534 --clear-groups "$PAL" snapshot run --pool "$work/socket" status 0 </dev/null 2>"$work/err"
    [ $? = 125 ] && grep -q 'another user' "$work/err" || say "another user: $(cat "$work/err")"
fi
# Signals, and a client that goes.
"${client[@]}" sleep </dev/null >"$work/out" & sleeper=$!
for _ in $(seq 100); do grep -q sleeps "$work/out" && break; sleep 0.05; done
kill -USR1 $sleeper
wait $sleeper
[ $? = 33 ] || say "a signal does not come through"
"${client[@]}" sleep </dev/null >"$work/out" & sleeper=$!
for _ in $(seq 100); do grep -q sleeps "$work/out" && break; sleep 0.05; done
for _ in $(seq 100); do [ "$(waiting)" = 4 ] && break; sleep 0.05; done
kill -KILL $sleeper
for _ in $(seq 100); do [ "$(waiting)" = 3 ] && break; sleep 0.05; done
[ "$(waiting)" = 3 ] || say "a clone goes on without its client"
# What dies while it waits is replaced.
kill -KILL $(pgrep -P "$server")
[ "$(echo again | client show 2>/dev/null)" = "[] None yes again" ] || say "after all members were killed: $(cat "$work/served")"
expect 125 'another server answers there already' "$PAL" serve tool --socket "$work/socket"
stop

# Limits: while as many run as may, clients wait.
serve --pool 1 --most 1 --timeout 1
begin=$(date +%s%N)
client sleep </dev/null >/dev/null 2>&1 &
sleep 0.3
client status 5 </dev/null
[ $? = 5 ] || say "a client that waited"
wait $!
[ $? = 124 ] || say "the time limit begins when a clone is taken: status $?"
[ $((($(date +%s%N) - begin) / 1000000)) -ge 900 ] || say "--most 1 let two run"
sleep 1.2 # longer than the limit: those that wait have none
client status 6 </dev/null
status=$?
[ $status = 6 ] || say "a clone does not wait for longer than its limit: $status, $(cat "$work/served")"
stop

# It ends when nobody comes; it says why it can't go on; the last server's name is no matter.
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$work/socket"
chmod 700 "$work/socket"
timeout 20 "$PAL" serve tool --pool 1 --socket "$work/socket" --idle 1s 2>"$work/err" || say "--idle: status $?: $(cat "$work/err")"
[ -e "$work/socket" ] && say "--idle leaves its socket"
cp "$(command -v dash)" "$work/dash"
"$PAL" snapshot make old --at fork -- "$work/dash" -c '(echo one)' 2>/dev/null
touch "$work/dash"
timeout 20 "$PAL" serve old --pool 1 --socket "$work/socket" 2>"$work/err"
[ $? = 125 ] && grep -q '3 clones in a row ended before they were ready' "$work/err" || say "a pool without clones: $(cat "$work/err")"
expect 125 'no server answers there' "${client[@]}" status 0
expect 125 'no such snapshot' "$PAL" serve none --socket "$work/socket"
expect 125 'usage: pal-run serve' "$PAL" serve tool
expect 125 'is more than --most' "$PAL" serve tool --socket "$work/socket" --pool 3 --most 2
exit $bad
