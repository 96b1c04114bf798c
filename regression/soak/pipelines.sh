#!/bin/bash
# SPDX-License-Identifier: MIT
# pipelines.sh COUNT [SEED]: three-stage pipelines that random signals hit, in the way of a shell with job control.  All
# end, with a status of their program or that of a signal that hit the last stage, and no fork fails.  Runs natively and
# under pal-run.  (bash's wait says 128, or a stop's 147, once in some thousand rounds, natively too; that stops and
# continuations keep their order is tested by guests/stop_continue.c.)
set -um
count=$1
RANDOM=${2:-1}
signals=(HUP INT QUIT KILL USR1 USR2 PIPE ALRM TERM STOP CONT CHLD WINCH URG)
any() { echo "${signals[RANDOM % ${#signals[@]}]}"; }
errors=$(mktemp) || exit 1
bad=0
for ((i = 0; i < count; i++)); do
    case $((RANDOM % 4)) in
    0) seq 2000 | cat | while read -r _; do :; done & ;;
    1) { echo one; echo two; } | { read -r a; read -r b; echo "$b$a"; } | { read -r c; [ "$c" = twoone ]; } & ;;
    2) yes | head -n 500 | wc -l >/dev/null & ;;
    3) /bin/true | (exit 3) | /bin/true & ;;
    esac
    last=$!
    group=$(jobs -p %+)
    for ((hits = RANDOM % 4; hits > 0; hits--)); do
        kill -"$(any)" -- "-$group"
        ((RANDOM % 3)) || kill -"$(any)" "$last"
    done
    kill -CONT -- "-$group" # whatever was stopped goes on
    wait "$last"
    status=$?
    [ $status -le 1 ] || [ $status -ge 128 ] || { echo "pipeline $i: status $status"; bad=1; }
done 2>"$errors"
wait
# What bash says of ended jobs and of kills that come late is expected.
grep -E 'fork|[Rr]esource|[Cc]annot|memory' "$errors" && bad=1
rm -f "$errors"
exit $bad
