# SPDX-License-Identifier: MIT
# Pipelines, here-documents, subshells, background jobs and wait, traps, process substitution.
set -o pipefail
seq 1 1000 | grep 7 | sort -rn | head -5
cat <<EOF | tr a-z A-Z
here document: $((2 ** 10))
EOF
(cd /usr && pwd; exit 3); echo "subshell $?"
false | true; echo "pipefail $? ${PIPESTATUS[*]}"
for i in 1 2 3; do (sleep 0.0$i; exit "$i") & pids[i]=$!; done
for i in 3 1 2; do wait "${pids[i]}"; echo "job $i: $?"; done
sleep 0.05 & wait; echo "wait all $?"
trap 'echo "usr1"' USR1
kill -USR1 $$
(kill -TERM $BASHPID); echo "killed $?"
diff <(seq 1 5) <(seq 1 6); echo "diff $?"
f() { local x=$1; echo "f $x ${FUNCNAME[0]}"; }
f one
declare -A map=([a]=1 [b]=2); echo "${map[b]} ${#map[@]}"
mapfile -t lines < <(printf 'x\ny\n'); echo "${lines[@]}"
exec 5<<<"string on five"; read -r -u 5 line; echo "$line"; exec 5<&-
coproc cat; echo through >&"${COPROC[1]}"; read -r answer <&"${COPROC[0]}"; echo "$answer"; kill "$COPROC_PID"; wait 2>/dev/null
echo "$(echo nested "$(echo deeper)")"
timeout 0.1 sleep 5; echo "timeout $?"
/nonexistent/program 2>/dev/null; echo "missing $?"
/etc/passwd 2>/dev/null; echo "not executable $?"
ulimit -n >/dev/null; umask; umask 027; umask
echo a{b,c}d *.nothing ~root
yes | head -c 100000 | wc -c
