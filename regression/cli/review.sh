# SPDX-License-Identifier: MIT
# Kept runs: what they changed is shown, applied in parts, refused where it should be, dropped.  ROUNDS: how often an apply of
# 2,000 changes is killed at a random moment.
set -u
. regression/cli/lib.sh.inc
export XDG_STATE_HOME=$work/state HOME=$work/home
mkdir "$work/state" "$work/home"
p=$work/project
pal() { "$PAL" "$@" 2>>"$work/errors"; }
fresh() {
    rm -rf "$p"
    mkdir -p "$p"/src/deep "$p"/old/inner "$p"/.git/hooks
    cd "$p" || exit 1
    echo a >a; echo b >src/b; echo c >src/deep/c; echo d >old/inner/d; echo e >old/e; ln -s src/b link; echo gone >gone; echo m >mode
    cd - >/dev/null || exit 1
}
tree() { (cd "$1" && find . -printf '%P %y %m %l\n' | sort && find . -type f | sort | xargs cat | cksum); }

# One process has seen that a name is not there, another makes it: then it is there for a third, in both forms.
for walls in view monitor; do
    fresh
    [ "$(pal --walls=$walls --cow "$p" --cwd "$p" --keep absent sh -c '/bin/ls made src/made 2>/dev/null; echo x >made; echo y >src/made
        /bin/ls made src/made')" = "made
src/made" ] || say "$walls: what was made is not there"
    pal drop absent >/dev/null || say "$walls: drop"
done

# A session: edits, builds, deletes; diff shows it; some of it is applied, and then the folder is as it should be.
fresh
tree "$p" >"$work/before"
session='echo more >>src/b; rm gone; rm -r old; mkdir old; echo new >old/n; mv src moved; chmod 600 mode; ln -sf a link
    ln -s /etc/passwd out; echo hook >.git/hooks/pre-commit; mkdir -p fresh/x; echo f >fresh/x/f'
pal --cow "$p" --cwd "$p" --keep one sh -c "$session" || say "the session"
tree "$p" | diff "$work/before" - || say "the host's files have changed"
pal diff one | sed "s|$p/||" >"$work/diff"
diff - "$work/diff" <<END || say "diff"
deleted  gone
deleted  old/
deleted  src/
added    .git/hooks/pre-commit  (not applied unasked: other programs act on such a file)
added    fresh/
added    fresh/x/
added    fresh/x/f
link     link
mode     mode  0644 -> 0600
added    moved/
added    moved/b
added    moved/deep/
added    moved/deep/c
added    old/
added    old/n
added    out  (not applied unasked: it leads out of what was shown)
END
pal diff --json one | python3 -c 'import json, sys; d = json.load(sys.stdin); assert d["run"] == "one" and len(d["changes"]) == 16, d' || say "--json"
pal diff --text | grep -qx '+more' || say "--text"
[ "$(pal --cow "$p" --cwd "$p" --keep one sh -c 'cat moved/b old/n; ls')" = "b
more
new
a
fresh
link
mode
moved
old
out" ] || say "a second run goes on"
pal apply one "$p/fresh" "$p/mode" | grep -qx '4 applied' || say "apply of parts"
[ "$(cat "$p/fresh/x/f"; stat -c %a "$p/mode"; cat "$p/gone")" = "f
600
gone" ] || say "parts"
pal apply >"$work/out"
[ $? = 1 ] && grep -q '10 applied, 2 left' "$work/out" || say "apply: $(cat "$work/out")"
[ "$(cd "$p" && cat moved/b moved/deep/c old/n && find . -path ./.git -prune -o -print | sort | paste -sd' ')" = "b
more
c
new
. ./a ./fresh ./fresh/x ./fresh/x/f ./link ./mode ./moved ./moved/b ./moved/deep ./moved/deep/c ./old ./old/n" ] || say "after apply"
[ "$(pal diff one | wc -l)" = 2 ] || say "what is applied is no change any more"
pal apply one "$p/.git/hooks/pre-commit" | grep -qx '1 applied' || say "a hook that is named"
pal drop one && [ -z "$(pal runs)" ] && [ -z "$(ls -A "$work/state/pal-run/runs")" ] || say "drop"

# A second writer: nothing is lost, and it is told.
fresh
pal --cow "$p" --cwd "$p" --keep two sh -c 'echo run >>a; rm gone; rm -r old; echo run >both; chmod 600 mode'
echo host >>"$p/a"; echo host >>"$p/gone"; echo host >"$p/old/inner/theirs"; echo host >"$p/both"; echo host >"$p/theirs"
pal apply two >"$work/out"
[ $? = 1 ] && [ "$(grep -c 'the host has' "$work/out")" = 4 ] && grep -q '1 applied, 4 left' "$work/out" || say "conflicts: $(cat "$work/out")"
[ "$(cat "$p/a" "$p/gone" "$p/old/inner/theirs" "$p/both" "$p/theirs" | paste -sd' ')" = "a host gone host host host host" ] || say "a second writer's files"
pal apply --force two >"$work/out" || say "--force: $(cat "$work/out")"
[ "$(cat "$p/a" "$p/both" "$p/theirs" | paste -sd' ')" = "a run run host" ] && [ ! -e "$p/gone" ] && [ ! -e "$p/old" ] || say "--force"
pal drop two

# In use; names; errors.
mkfifo "$work/hold"
exec 5<>"$work/hold"
pal --cow "$p" --keep three sh -c 'echo up; read x' <&5 >"$work/up" &
for _ in $(seq 1200); do [ -s "$work/up" ] && break; sleep 0.05; done
expect 125 'in use' "$PAL" diff three
expect 125 'in use' "$PAL" --cow "$p" --keep three true
expect 125 'in use' "$PAL" drop three
echo >&5
wait
exec 5>&-
expect 125 'no such run' "$PAL" diff nothing
expect 125 'a name of letters' "$PAL" --cow "$p" --keep ../up true
expect 125 'no copy mount' "$PAL" --keep x true
expect 125 'usage' "$PAL" diff --colour

# Killed at random moments: each file is old or new, and an apply that is repeated finishes.
rm -rf "$p"
mkdir "$p"
(cd "$p" && for d in 1 2 3 4 5 6 7 8 9 10; do mkdir $d; for f in {1..150}; do echo "old $d $f" >$d/$f; done; done)
pal --cow "$p" --cwd "$p" --keep kills sh -c 'for d in 1 2 3 4 5 6 7 8 9 10; do i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo "new $d $i" >$d/$i; rm $d/$((i + 50)) 2>/dev/null
    echo "added $d $i" >$d/a$i; done; done; mv 3 moved; rm -r 4; mkdir 4; echo 4 >4/4'
pal --cow "$p" --cwd "$p" --keep kills sh -c 'find . -printf "%P %y %m\n" | sort; find . -type f | sort | xargs cat | cksum' >"$work/wanted"
for ((round = 0; round < ${ROUNDS:-20}; round++)); do
    "$PAL" apply kills >/dev/null 2>&1 &
    sleep 0.$(printf %03d $((RANDOM % 200)))
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    find "$p" -name '[0-9a]*' -type f -exec cat {} + | grep -vxE '(old|new|added) [0-9]+ [0-9]+|4' && say "half a file"
done
pal apply kills >"$work/out" || say "the last apply: $(tail -3 "$work/out")"
(cd "$p" && find . -printf "%P %y %m\n" | sort; find . -type f | sort | xargs cat | cksum) | diff "$work/wanted" - | head -5 | grep . && say "after the kills"
[ -z "$(pal diff kills)" ] || say "changes are left after the kills"
exit $bad
