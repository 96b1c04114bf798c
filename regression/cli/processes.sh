# SPDX-License-Identifier: MIT
# ps, top, pgrep, pkill, lsof, fuser and pwdx inside: they see the sandbox's processes, and find them by their arguments.
. regression/cli/lib.sh.inc
cat >"$work/look.sh" <<'END'
cd /usr
sleep 7654 </usr/bin/env &
sleeper=$!
sh -c 'while :; do :; done' &
busy=$!
sleep 0.3
[ "$(ps -o args= -p $sleeper)" = 'sleep 7654' ] || echo "ps: $(ps -o args= -p $sleeper)"
[ "$(ps -o args= -p $busy)" = 'sh -c while :; do :; done' ] || echo "ps: $(ps -o args= -p $busy)"
case $(ps -o stat= -p $sleeper) in S*) ;; *) echo "ps: $(ps -o stat= -p $sleeper)" ;; esac
case $(ps -o stat= -p $busy) in R*) ;; *) echo "ps: $(ps -o stat= -p $busy)" ;; esac
[ "$(pgrep -f 'sleep 7654$')" = $sleeper ] || echo "pgrep: $(pgrep -f 'sleep 7654$')"
top -bn1 | grep -q ' sleep$' || echo top
[ "$(pwdx $sleeper)" = "$sleeper: /usr" ] || echo pwdx
if command -v lsof >/dev/null; then lsof -p $sleeper 2>/dev/null | grep -q ' 0[ru] .* /usr/bin/env$' || echo lsof; fi
if command -v fuser >/dev/null; then fuser /usr/bin/env 2>/dev/null | grep -qw $sleeper || echo fuser; fi
[ "$(ps -o pid= -p 1 | tr -d ' ')" = 1 ] || echo init
pkill -f 'sleep 7654$'
wait $sleeper
[ $? = 143 ] || echo pkill
kill $busy
END
said=$(timeout 60 "$PAL" --ro "$work" -- sh "$work/look.sh" 2>/dev/null)
[ -z "$said" ] || say "$said"
exit $bad
