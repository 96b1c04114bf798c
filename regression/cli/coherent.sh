# SPDX-License-Identifier: MIT
# What the host changes, the guest sees: at once where it is told of it by the host, however often it has looked before.
. regression/cli/lib.sh.inc
tree=$work/tree
mkdir -p "$tree/a/b" && echo 1 >"$tree/a/b/f"
cat >"$work/look.py" <<'EOF'
import os, sys
def look(path):
    try:
        s = os.stat(path)
        return "%o %d %d %d" % (s.st_mode & 0o7777, s.st_size, s.st_nlink, s.st_mtime)
    except OSError as e:
        return e.strerror
def link(path):
    try:
        return os.readlink(path)
    except OSError as e:
        return e.strerror
def text(path):
    try:
        with open(path) as f:
            return f.read(20).replace("\0", "").strip().replace("\n", " ") or "empty"
    except OSError as e:
        return "none"
for line in sys.stdin:  # PATH: told what is there, 60 times alike, so that it is kept
    path = line.rstrip("\n")
    seen = {(look(path), link(path), text(path)) for i in range(60)}
    print(len(seen), *seen.pop(), flush=True)
EOF
stat_of() { stat -L -c '%a %s %h %Y' "$1" 2>/dev/null || echo 'No such file or directory'; }
link_of() { readlink "$1" || { [ -e "$1" ] && echo 'Invalid argument' || echo 'No such file or directory'; }; }
text_of() {
    local text=none
    [ ! -f "$1" ] || text=$(head -c 20 "$1" | tr -d '\0' | paste -sd' ')
    echo "${text:-empty}"
}
try() { # MOUNT-OPTION ROUNDS
    local path change
    coproc LOOK { exec timeout 100 "$PAL" --stats "$1" "$tree" --ro "$work/look.py" -- /usr/bin/python3 "$work/look.py" 2>"$work/err"; }
    look() {
        local said is
        echo "$1" >&"${LOOK[1]}"
        read -r -t 20 said <&"${LOOK[0]}"
        is="1 $(stat_of "$1") $(link_of "$1") $(text_of "$1")"
        [ "$said" = "$is" ] || say "$2, then $1: guest: $said; host: $is"
    }
    for _ in $(seq "$2"); do
        for change in 'echo 22 >>a/b/f' 'chmod 600 a/b/f' 'chmod 644 a/b/f' 'touch -d @1000 a/b/f' 'ln a/b/f other' 'rm other' \
            'truncate -s 1000 a/b/f' 'mv a/b/f a/b/g' 'mv a/b/g a/b/f' 'mv a c' 'mkdir -p a/b && echo 55555 >a/b/f' \
            'rm -r a' 'ln -s c a' 'rm a; mv c a' 'echo 1 >new && mv new a/b/f' 'ln -s f a/b/l' 'ln -sfn ../../x a/b/l' \
            'rm a/b/l' 'rm a/b/f' 'echo 1 >a/b/f'; do
            (cd "$tree" && eval "$change")
            for path in a/b/f a a/b a/b/l c/b/f; do look "$tree/$path" "$change"; done
        done
    done
    eval "exec ${LOOK[1]}>&-"
    wait "$LOOK_PID" 2>/dev/null || say "the guest: status $?: $(head -3 "$work/err")"
    # Otherwise all of this says nothing.
    [ "$(awk '/PAL calls: name_revalidate/ { n += $2 } END { print n + 0 }' "$work/err")" -gt 1000 ] || say "$1: nothing was kept"
}
try --ro 2
try --rw 1
exit $bad
