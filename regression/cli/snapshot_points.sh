# SPDX-License-Identifier: MIT
# Where a snapshot is made: at the first fork, before standard input is read, some time after the start; its variants; and made
# anew when what it was made from has changed.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
images=$XDG_DATA_HOME/pal-run/snapshots
cp "$(command -v dash)" "$work/dash"

"$PAL" snapshot make first --at fork -- "$work/dash" -c 'echo begin; (echo "a child"; exit 3); echo "then $?"' >"$work/out" 2>"$work/err" ||
    say "--at fork: $(cat "$work/err")"
[ "$(cat "$work/out")" = "begin
then 0" ] || say "--at fork: the template printed $(cat "$work/out")"
[ "$("$PAL" snapshot run first)" = "a child" ] || say "--at fork: a clone printed $("$PAL" snapshot run first)"
"$PAL" snapshot run first >/dev/null
[ $? = 3 ] || say "--at fork: not the child's status"

cat >"$work/reads.py" <<'P'
import os, select, sys
print('begin', flush=True)
select.select([0], [], [], 0)
line = sys.stdin.readline()
print('read', line.strip(), os.getpid(), flush=True)
P
echo template | "$PAL" snapshot make reads --at=stdin --ro "$work" -- /usr/bin/python3 "$work/reads.py" >"$work/out" 2>"$work/err" ||
    say "--at stdin: status $?"
[ "$(cat "$work/out")" = begin ] || say "--at stdin: the template printed $(cat "$work/out")"
grep -q 'the same in all clones' "$work/err" || say "--at stdin does not warn: $(cat "$work/err")"
one=$(echo one | "$PAL" snapshot run --trap=seccomp reads) two=$(echo two | "$PAL" snapshot run reads)
case "$one/$two" in "read one "[0-9]*"/read two "[0-9]*) ;; *) say "--at stdin: clones printed $one, $two" ;; esac
[ "${one##* }" != "${two##* }" ] || say "two clones have the same number"

# After some time, in several images.
"$PAL" snapshot make late --at after=0.1 --variants 3 -- /usr/bin/python3 -c '
import time
here = hex(id(time))
for _ in range(200):
    time.sleep(0.01)
print(here)' >"$work/out" 2>"$work/err" || say "--at after: $(cat "$work/err")"
[ "$(ls "$images" | grep -c '^late.image')" = 3 ] || say "--variants 3: $(ls "$images")"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do "$PAL" snapshot run late & done >"$work/out" 2>"$work/err"
wait
[ "$(wc -l <"$work/out")" = 12 ] || say "--at after: clones printed $(cat "$work/out" "$work/err")"
[ "$(sort -u "$work/out" | wc -l)" -ge 2 ] || say "all variants have one layout"
"$PAL" snapshot make late --at after=9 -- /bin/true 2>/dev/null && say "a program that makes no call is a snapshot"
"$PAL" snapshot make late --at fork -- "$work/dash" -c '(echo one)' 2>/dev/null
[ "$(ls "$images" | grep -c '^late.image')" = 1 ] || say "old variants are left: $(ls "$images")"

# Signals that the child gets while it is written disturb nothing.
cat >"$work/signals.py" <<'P'
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: print('a signal of the template', flush=True))
large = bytearray(os.urandom(1 << 20)) * 24
child = os.fork()
if child:
    for _ in range(300):
        try:
            os.kill(child, signal.SIGUSR1)
        except ProcessLookupError:
            break
        time.sleep(0.0005)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print('a clone', len(large), flush=True)
os._exit(0)
P
"$PAL" snapshot make signals --at fork --ro "$work" -- /usr/bin/python3 "$work/signals.py" >"$work/out" 2>&1 || say "signals: $(cat "$work/out")"
[ "$("$PAL" snapshot run signals)" = "a clone $((24 << 20))" ] || say "signals: a clone printed $("$PAL" snapshot run signals 2>&1)"

# Threads of the program's stop no snapshot but one that would lose them.
cat >"$work/threads.py" <<'P'
import sys, threading, time
threading.Thread(target=time.sleep, args=(0.5,)).start()
sys.stdin.readline()
P
echo | "$PAL" snapshot make threads --at stdin --ro "$work" -- /usr/bin/python3 "$work/threads.py" 2>"$work/err" && say "threads were lost"
grep -q 'runs several threads at this point' "$work/err" || say "threads: $(cat "$work/err")"

# Nor children; and the point is the program's, not a child's.
cat >"$work/children.py" <<'P'
import os, subprocess, sys
if sys.argv[1] == 'waits':
    child = os.fork()
    if not child:
        sys.stdin.readline()
        os._exit(3)
    print('a child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
elif sys.argv[1] == 'loses':
    child = subprocess.Popen(['/bin/sleep', '0'])
sys.stdin.readline()
print('forks', subprocess.run(['/bin/sh', '-c', 'exit 4']).returncode, flush=True)
child = os.fork()
child or os._exit(5)
print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
P
echo | "$PAL" snapshot make children --at stdin --ro "$work" -- /usr/bin/python3 "$work/children.py" loses >/dev/null 2>"$work/err" && say "a child was lost"
grep -q 'has children at this point' "$work/err" || say "children: $(cat "$work/err")"
echo | "$PAL" snapshot make children --at stdin --ro "$work" -- /usr/bin/python3 "$work/children.py" waits >"$work/out" 2>"$work/err"
[ "$(cat "$work/out")" = "a child 3" ] || say "the point was a child's: $(cat "$work/out" "$work/err")"
echo | "$PAL" snapshot run children >"$work/out" 2>&1
[ "$(cat "$work/out")" = "forks 4
child 5" ] || say "a clone's own children: $(cat "$work/out")"
expect 125 'ready, fork, stdin or after=SECONDS' "$PAL" snapshot make x --at noon -- /bin/true
expect 125 'a number from 1 to 64' "$PAL" snapshot make x --variants 65 -- /bin/true

# What it was made from has changed.
touch "$work/dash"
expect 125 'has changed since the snapshot was made' "$PAL" snapshot run first
"$PAL" snapshot run --remake first >"$work/out" 2>"$work/err"
[ $? = 3 ] && grep -q '^a child$' "$work/out" || say "--remake: $(cat "$work/out" "$work/err")"
[ "$("$PAL" snapshot run first)" = "a child" ] || say "--remake has not made it anew"
# One that holds is only run, whatever its status is.
[ "$("$PAL" snapshot run --remake first)" = "a child" ] || say "--remake of one that holds: $("$PAL" snapshot run --remake first)"
sed -i 's/"identity": "..../"identity": "0000/' "$images/reads.json"
echo three | "$PAL" snapshot run --remake reads >"$work/out" 2>"$work/err"
grep -q 'read three' "$work/out" || say "--remake keeps no --at: $(cat "$work/out" "$work/err")"
"$PAL" snapshot rm first reads late signals children
[ -z "$(ls "$images")" ] || say "rm left $(ls "$images")"
exit $bad
