# SPDX-License-Identifier: MIT
# Descriptors above 2 that arguments name are the program's: pipes and plain files, by their numbers, and nothing else.
. "$(dirname "$0")/lib.sh.inc"
chmod 755 "$work"
echo text >"$work/file"
export HOME=/nonexistent
for how in --trap=sud --trap=seccomp --walls=view --walls=monitor; do
    pal() { "$PAL" "$how" "$@" </dev/null 2>"$work/err"; }
    [ "$(pal /bin/cat <(echo one) <(echo two))" = "one
two" ] || say "$how: <(...): $(cat "$work/err")"
    pal /bin/sh -c 'echo out >"$1"' sh >(sed s/^/twice:/ >"$work/out")
    for _ in $(seq 600); do [ -s "$work/out" ] && break; sleep 0.1; done
    [ "$(cat "$work/out")" = twice:out ] || say "$how: >(...): $(cat "$work/out" "$work/err")"
    rm "$work/out"
    exec 7<"$work/file" 8</usr 6</dev/null
    [ "$(pal /bin/sh -c 'read x <&7; echo $x; cat --show-ends /dev/fd/7' sh --file=/dev/fd/7)" = 'text
text$' ] || say "$how: a file: $(cat "$work/err")"
    # Not named: not there.  A directory leads to names, a device is the host's.
    got=$(pal /bin/sh -c 'ls /proc/self/fd; cat /dev/fd/8 && echo bad' sh /dev/fd/8 /dev/fd/6 /dev/fd/7x /dev/fd/ /dev/fd/99999 | tr '\n' ' ')
    [ "$got" = "0 1 2 3 " ] || say "$how: passed: $got"
    exec 6<&- 7<&- 8<&-
    # None of pal-run's own, whatever number is given.
    # shellcheck disable=SC2046
    got=$(pal /bin/sh -c 'exec ls /proc/self/fd' sh $(seq -f /dev/fd/%.0f 3 60) | tr '\n' ' ')
    [ "$got" = "0 1 2 3 " ] || say "$how: of pal-run's own: $got"
    # Its other end sees when the program closes it: nobody else keeps it.
    rm -f "$work/fifo" "$work/eof" "$work/got"
    mkfifo "$work/fifo"
    (cat "$work/fifo" >"$work/got"; : >"$work/eof") &
    (exec 9>"$work/fifo"; exec "$PAL" "$how" /bin/sh -c 'echo x >&9; exec 9>&-; exec sleep 60' sh /dev/fd/9) </dev/null 2>"$work/err" & run=$!
    for _ in $(seq 400); do [ -e "$work/eof" ] && break; sleep 0.1; done
    kill -0 $run 2>/dev/null && [ -e "$work/eof" ] && [ "$(cat "$work/got")" = x ] || say "$how: the other end: $(cat "$work/got" "$work/err")"
    kill $run
    wait
done
if [ "$(id -u)" = 0 ]; then
    setpriv --reuid 65534 --regid 65534 --clear-groups env B="$(realpath "$B")" bash "$0" || say "as another user"
fi
exit $bad
