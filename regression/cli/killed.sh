# SPDX-License-Identifier: MIT
# The host kills picoprocesses: an orphan, one with a child, both at once.  They end in the sandbox's table, too.
. regression/cli/lib.sh.inc
mkdir "$work/shared"
chmod 777 "$work" "$work/shared"
cat >"$work/shared/guest" <<'EOF'
family() { (sleep 1000 & echo $! >"$1.child"; echo ready >"$1.ready"; wait) & echo $! >"$1.parent"; }
gone() { for i in $(seq 100); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done; echo "$1 ($2) lives on"; exit 1; }
cd "$1" || exit 1
(family orphan)
(family single)
(family both)
while ! [ -e orphan.ready -a -e single.ready -a -e both.ready ]; do sleep 0.02; done
echo >ready
while ! [ -e killed ]; do sleep 0.02; done
gone $(cat orphan.parent) "parent, killed"
gone $(cat both.parent) "parent, killed with its child"
gone $(cat both.child) "child, killed with its parent"
gone $(cat single.child) "killed child"
gone $(cat single.parent) "whose child was killed"
kill -0 $(cat orphan.child) || exit 1
kill $(cat orphan.child)
gone $(cat orphan.child) "orphan of one that was killed"
echo fine
EOF
"$PAL" --rw "$work/shared" /bin/bash "$work/shared/guest" "$work/shared" >"$work/out" 2>&1 &
pal=$!
for i in $(seq 200); do [ -e "$work/shared/ready" ] && break; sleep 0.05; done
# pal-run's children by age: the first process, then the families' parents, as they were orphaned.
parents=$(pgrep -P $pal | grep -vxF "$(pgrep -P $pal -x pal-supervisor)" | sort -n | tail -3)
set -- $parents
kill -KILL "$1"
kill -KILL $(pgrep -P "$2")
both=$(pgrep -P "$3")
kill -STOP "$3" # so that it can't wait for its child
kill -KILL $both
kill -KILL "$3"
echo >"$work/shared/killed"
wait $pal || say "the guest says: $(cat "$work/out")"
exit $bad
