# SPDX-License-Identifier: MIT
# numpy as a snapshot: clones by themselves and of a pool compute what it computes natively, also with the threads of its linear
# algebra, which are begun anew; generators made in a clone differ, what any fork shares is the same; and what a clone has to itself.
. "$(dirname "$0")/../cli/lib.sh.inc"
python=/usr/bin/python3
$python -c 'import numpy' 2>"$work/err" || { echo "no numpy: $(tail -1 "$work/err")"; exit 77; }
most=1536 clones=${CLONES:-50} # KiB
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/tool.py" <<'P'
import os, sys
import numpy as np
np.random.random(), np.random.default_rng().random()
warm = np.ones((200, 200)) @ np.ones((200, 200))  # the threads of its library run
try:
    with open('/proc/pal/ready', 'w') as ready:
        ready.write('1')
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    sys.argv[1:] = [os.fsdecode(word) for word in open('/proc/pal/start', 'rb').read().split(b'\0')[2:3]]
except OSError:
    pass
if sys.argv[1] == 'idle':
    os.write(1, b'x\n')
    os.read(0, 1)
    os._exit(0)
if sys.argv[1] == 'draw':
    print(np.random.default_rng().random(), np.random.random(), flush=True)
    os._exit(0)
n = int(sys.argv[1])
a = np.arange(n * n, dtype=float).reshape(n, n) % 17 + np.eye(n)
b = np.fft.fft(a[0])
print((a @ a).sum(), round(float(np.linalg.det(a / 8)), 6), np.allclose(np.linalg.inv(a) @ a, np.eye(n)), np.allclose(np.fft.ifft(b).real, a[0]),
      warm.sum(), np.sort(a, axis=None)[::n].tolist(), a.astype('<u2').tobytes()[:64].hex(), flush=True)
import numpy.ma, numpy.polynomial  # more of it, and its files, after the point
print(numpy.polynomial.Polynomial([1, 2, 3])(n), numpy.ma.masked_less(a, 9).count(), flush=True)
os._exit(0)
P
"$PAL" snapshot make numpy --ro "$work" -- $python "$work/tool.py" 2>"$work/err" || say "make: $(cat "$work/err")"
"$PAL" serve numpy --socket "$work/socket" --pool 2 2>"$work/served" &
server=$!
for _ in $(seq 600); do [ -S "$work/socket" ] && break; sleep 0.1; done
for n in 3 20 150 400; do
    want=$($python "$work/tool.py" $n)
    [ -n "$want" ] || say "natively nothing is printed"
    for how in numpy "--trap=seccomp --ro $work numpy" "--pool $work/socket"; do
        # shellcheck disable=SC2086
        got=$("$PAL" snapshot run $how $n 2>"$work/err")
        [ "$got" = "$want" ] || say "$n, $how: $got, not $want: $(cat "$work/err" "$work/served")"
    done
done
for _ in $(seq "$clones"); do "$PAL" snapshot run numpy draw || say "a clone"; done >"$work/drawn"
[ "$(cut -d' ' -f1 "$work/drawn" | sort -u | wc -l)" = "$clones" ] || say "clones' own generators are the same: $(head -3 "$work/drawn")"
[ "$(cut -d' ' -f2 "$work/drawn" | sort -u | wc -l)" = 1 ] || say "numpy's global generator is not as in a fork's child: $(head -3 "$work/drawn")"

mkfifo "$work/hold" "$work/said"
exec 7<>"$work/hold" 8<>"$work/said"
for _ in 1 2; do
    "$PAL" snapshot run numpy idle <"$work/hold" >"$work/said" 2>"$work/err" &
    clone=$!
    read -r -t 60 _ <&8 || say "no clone: $(cat "$work/err")"
done
for _ in $(seq 100); do
    kib=$(for pid in $clone $(cat /proc/$clone/task/*/children); do cat "/proc/$pid/smaps_rollup"; done | awk '/^Private_/ { sum += $2 } END { print sum + 0 }')
    [ "$kib" -le $most ] && break
    sleep 0.1
done
[ "$kib" -gt 256 ] && [ "$kib" -le $most ] || say "an idle clone has $kib KiB to itself"
echo "an idle clone has $kib KiB to itself"
echo >&7
echo >&7
kill $server
wait || say "the server: $(cat "$work/served")"
"$PAL" snapshot rm numpy
exit $bad
