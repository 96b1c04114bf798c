# SPDX-License-Identifier: MIT
# The program as process 1: init's rules as Linux has them, every signal one to one, and pal-run as process 1 of a container.
. "$(dirname "$0")/lib.sh.inc"
chmod 755 "$work"
cat >"$work/rules.py" <<'P'
import ctypes, os, signal, sys, time
def child(f):
    pid = os.fork()
    if not pid:
        try:
            f()
        finally:
            os._exit(0)
    return pid
def status(pid):
    return os.waitpid(pid, 0)[1]
print("ids", os.getpid(), os.getppid())
def orphan():
    child(lambda: (time.sleep(0.1), print("orphan of", os.getppid(), flush=True), os._exit(5)))
status(child(orphan))
print("reaped", status(-1))
for n in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(n, signal.SIG_DFL)
ends = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGABRT, signal.SIGRTMIN)
print("from a child", status(child(lambda: [os.kill(1, n) for n in ends])))
[os.kill(1, n) for n in ends]
print("from itself")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(1, signal.SIGTERM)
print("pending", signal.SIGTERM in signal.sigpending())
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
print("and let in")
got = []
signal.signal(signal.SIGUSR2, lambda n, f: got.append(n))
status(child(lambda: os.kill(1, signal.SIGUSR2)))
while not got:
    time.sleep(0.01)
print("handled", got)
r, w = os.pipe()
os.close(r)
try:
    os.write(w, b"x")
except BrokenPipeError:
    print("no reader")
sleeper = child(lambda: time.sleep(9))
status(child(lambda: os.kill(-1, signal.SIGKILL)))
print("all but init", status(sleeper))
print("a child is not init", status(child(lambda: os.kill(os.getpid(), signal.SIGTERM))))
print("nor is a program's", os.system("kill -TERM $$"))
open("/proc/1/status").read().index("Pid:\t1\nPPid:\t0\n")
sys.stdout.flush()
if len(sys.argv) > 1:
    ctypes.string_at(0)
child(lambda: time.sleep(99)) # its end is everybody's
os._exit(9)
P
want='ids 1 0
orphan of 1
reaped 1280
from a child 0
from itself
pending True
and let in
handled [12]
no reader
all but init 9
a child is not init 15
nor is a program'"'"'s 15'
rules() { # NAME STATUS COMMAND...
    local name=$1 status=$2 got
    shift 2
    got=$(timeout -s KILL 30 "$@" 2>"$work/err"; echo $?)
    [ "$got" = "$want
$status" ] || say "$name:" "$(diff <(echo "$want"; echo "$status") <(echo "$got"))" "$(head -3 "$work/err")"
}
python=(/usr/bin/python3 "$work/rules.py")
for trap in sud seccomp; do
    rules "--init, $trap" 9 "$PAL" --trap=$trap --init --ro "$work" -- "${python[@]}"
    rules "--init, a fault, $trap" 139 "$PAL" --trap=$trap --init --ro "$work" -- "${python[@]}" fault
done
own=(unshare --user --map-root-user --pid --fork --mount-proc)
[ "$(id -u)" = 0 ] && own=(unshare --pid --fork --mount-proc)
if "${own[@]}" true 2>/dev/null; then
    rules natively 9 "${own[@]}" "${python[@]}"
    rules "process 1" 9 "${own[@]}" "$PAL" --ro "$work" -- "${python[@]}"
else
    own=()
fi

# From outside: each signal, and each of several in real time; two SIGTERMs are two.
cat >"$work/signals.py" <<'P'
import os, resource, signal, sys
got = []
every = [n for n in range(1, 65) if n not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)]
signal.pthread_sigmask(signal.SIG_BLOCK, every)
open(sys.argv[1], "w").close()
while got.count(signal.SIGTERM) < 2 or got.count(40) < 3 or len(got) < len(every) + 3:
    taken = signal.sigtimedwait(every, 20)
    assert taken, sorted(got)
    got.append(taken.si_signo)
    if got[-1] == signal.SIGCONT:
        open(sys.argv[1] + ".goes-on", "w").close()
assert set(got) == set(every) and len(got) == len(every) + 3, (set(every) - set(got), got)
assert os.umask(0) == 0o27 and resource.getrlimit(resource.RLIMIT_FSIZE) == (1 << 30, 1 << 31)
os._exit(17)
P
cat >"$work/send.py" <<'P'
import os, resource, signal, subprocess, sys, time
os.umask(0o27)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 31))
p = subprocess.Popen(sys.argv[2:])
while not os.path.exists(sys.argv[1]):
    assert p.poll() is None, p.returncode
    time.sleep(0.01)
for n in [n for n in range(1, 65) if n not in (signal.SIGKILL, signal.SIGSTOP, 32, 33)] + [40, 40, signal.SIGTERM]:
    time.sleep(0.2 if n == signal.SIGTERM else 0)
    os.kill(p.pid, n)
    while n == signal.SIGCONT and not os.path.exists(sys.argv[1] + ".goes-on"): # one that waits ends when a stop signal comes
        assert p.poll() is None, p.returncode
        time.sleep(0.01)
sys.exit(p.wait(30))
P
mkdir "$work/shared"
timeout -s KILL 30 /usr/bin/python3 "$work/send.py" "$work/shared/up" "$PAL" --init --ro "$work" --rw "$work/shared" -- /usr/bin/python3 "$work/signals.py" "$work/shared/up"
got=$?
[ $got = 17 ] || say "signals from outside: $got"

# As process 1 it takes in the orphans of others in its container, and all is over with it.
if [ ${#own[@]} != 0 ] && [ "$(id -u)" = 0 ]; then
    "${own[@]}" "$PAL" -- sleep 60 2>/dev/null &
    for ((i = 0; i < 100; i++)); do one=$(pgrep -P $!) && pgrep -P "$one" -f picoprocess >/dev/null && break; sleep 0.05; done
    nsenter --pid="/proc/$one/ns/pid" sh -c 'sleep 0.1 & sleep 0.2 & exit 0'
    sleep 0.5
    [ -z "$(ps -o stat= --ppid "$one" | grep Z)" ] || say "orphans were left: $(ps -o pid,stat,args --ppid "$one")"
    nsenter --pid="/proc/$one/ns/pid" sleep 55 2>/dev/null &
    other=$!
    sleep 0.2
    kill -KILL "$one"
    { wait $other; } 2>/dev/null
    [ $? = 137 ] || say "its death was not the end"
fi
exit $bad
