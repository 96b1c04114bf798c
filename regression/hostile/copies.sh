# SPDX-License-Identifier: MIT
# A copy mount leaves the host's files as they are, whatever a guest does; nothing of it is left at the end.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/copies
cp "$guest" "$top/guest" || exit 1

look() { find "$1" -printf '%P %y %m %s %n %T@ %C@ %l\n' | sort; find "$1" -type f -exec cat {} + | cksum; }

changes() {
    h=$work/host
    as sh -c 'cd "$0" && mkdir -p low/sub other && echo file >low/file && echo second >low/second && echo inner >low/sub/inner &&
        ln low/second low/twin && ln -s sub low/way && mkfifo low/fifo && echo theirs >other/theirs' "$h"
    look "$h" >"$work/before"
    pal --cow "$h/low" --rw "$h/other" --ro "$top" "$top/guest" "$h/low" "$h/other" || say "status $?"
    look "$h" | diff "$work/before" - || say "the host's files have changed"
    find "$work/run" "$h" /tmp -maxdepth 1 -name '.pal-run.*' -newer "$work/before" -user "$who" 2>/dev/null | grep -q "$work" && say "something is left"
    return 0
}

# A file with several names is one, by whichever it is written; a read-only mount beside shows the host's.
names() {
    h=$work/host
    as sh -c 'cd "$0" && mkdir low && echo one >low/a && ln low/a low/b && mkdir low/d && ln low/a low/d/c' "$h"
    got=$(pal --cow "$h/low" --ro /theirs="$h/low" /bin/sh -c 'cd "$0"; echo two >>b; cat a d/c; rm a; echo three >>d/c; cat b; cat /theirs/a; mv d e; cat e/c' "$h/low" | paste -sd' ')
    [ "$got" = "one two one two one two three one one two three" ] || say "several names: $got"
    [ "$(cat "$h/low/a" "$h/low/d/c" | paste -sd' ')" = "one one" ] || say "several names: the host's files have changed"
}

# A kept run is out of reach of a sandbox that is shown the very directory, and another's can't be made up.
kept() {
    h=$work/host
    as sh -c 'cd "$0" && mkdir -p low state && echo one >low/a' "$h"
    as env XDG_STATE_HOME="$h/state" "$B/pal-run" $trap_option --cow "$h/low" --keep mine /bin/sh -c 'echo two >"$0"/a' "$h/low" || say "--keep"
    own=$h/state/pal-run/runs/mine/.pal-run.kept-changes-00
    [ -d "$own/0.control" ] && [ "$(stat -c %a "${own%/*}")" = 700 ] || say "no run was kept"
    pal --rw "$h" /bin/sh -c 'ls "$0" || cat "$0"/mounts || cat "$0"/0.upper/a || echo x >"$0"/mounts || mv "$0" "$1" || rm -r "$0" ||
        (mkdir -p "$1"/state/pal-run/runs/forged && mkdir "$1"/state/pal-run/runs/forged/.pal-run.kept-changes-00) ||
        (cd "${0%/*}" && cd .pal-run.kept-changes-00)' "$own" "$h" >"$work/out" 2>/dev/null && say "a kept run was reached: $(cat "$work/out")"
    as ln -s mine "$h/state/pal-run/runs/way"
    as env XDG_STATE_HOME="$h/state" "$B/pal-run" diff way >/dev/null 2>&1 && say "a symlink for a run"
    as env XDG_STATE_HOME="$h/state" "$B/pal-run" diff mine | grep -q '^changed .*/low/a$' || say "the run is not as it was"
}

each changes
each kept
each names
exit $bad
