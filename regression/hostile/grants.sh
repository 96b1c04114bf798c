# SPDX-License-Identifier: MIT
# What is granted is fixed before the guest runs: sources that overlap, that an earlier run left as symlinks, that are
# swapped beneath the guest; descriptors that lie in a mount that nobody looked into.
set -u
. regression/hostile/lib.sh.inc
guest=$B/hostile/grants
cp "$guest" "$top/guest" || exit 1

setup() {
    as sh -c 'cd "$0"/host && mkdir -p work/data work/in secret && echo "the secret is 4711" >secret/file &&
        echo plain >work/data/file && echo plain >work/cfg' "$work"
    h=$work/host
}

manifest() { # AT FROM ACCESS...
    printf 'program = "/bin/guest"\n[[mounts]]\nat = "/bin"\nfrom = "%s"\n' "$top"
    while [ $# -ge 3 ]; do
        printf '[[mounts]]\nat = "%s"\nfrom = "%s"\naccess = "%s"\n' "$1" "$2" "$3"
        shift 3
    done
}

# The guest swaps another mount's source for a symlink.
swapped() {
    setup
    pal --rw /w="$h/work" --ro /data="$h/work/data" "$guest" swap /w/data "$h/secret" /data/file 2>/dev/null || say "a swapped source"
    as rm -rf "$h/work"
    setup
    pal --rw /w="$h/work" --rw /data="$h/work/data" "$guest" swap /w/data / "/data$h/secret/file" 2>/dev/null || say "a swapped writable source"
    as rm -rf "$h/work"
    setup
    pal --rw /w="$h/work" --ro /cfg="$h/work/cfg" "$guest" swap /w/cfg "$h/secret/file" /cfg 2>/dev/null || say "a source of one file"
    as rm -rf "$h/work"
    setup
    manifest /w "$h/work" rw /data "$h/work/data" ro | as tee "$h/m.toml" >/dev/null
    pal -m "$h/m.toml" /bin/guest swap /w/data "$h/secret" /data/file 2>/dev/null || say "a swapped source of a manifest"
    as rm -rf "$h/work"
    setup # the built-in mount of the current directory
    (cd "$h/work/data" && pal --rw /w="$h/work" "$guest" swap /w/data "$h/secret" "$h/work/data/file" "./file" 2>/dev/null) || say "the current directory"
    as rm -rf "$h/work"
    setup # and of the program's
    as cp "$guest" "$h/work/in/guest"
    pal --rw /w="$h/work" "$h/work/in/guest" swap /w/in "$h/secret" "$h/work/in/file" 2>/dev/null || say "the program's directory"
    as rm -rf "$h/work"
}

# A symlink that an earlier run left: refused, whatever way leads to it, and whether a name or a bind shows it.
left() {
    setup
    pal --rw /w="$h/work" "$guest" swap /w/data "$h/secret" /none || say "the first run"
    pal --rw /w="$h/work" --ro /data="$h/work/data" "$guest" look /data/file 2>"$h/err"
    [ $? = 125 ] && grep -q 'passes through a symlink' "$h/err" || say "a symlink as source: $(cat "$h/err")"
    as ln -s "$h/work" "$h/way"
    pal --rw /w="$h/work" --ro /data="$h/way/data" "$guest" look /data/file 2>/dev/null
    [ $? = 125 ] || say "a symlink as source, by another symlink"
    as ln -s "$h/work/data/sub" "$h/through"
    as mkdir "$h/secret/sub"
    as cp "$h/secret/file" "$h/secret/sub/file"
    pal --rw /w="$h/work" --ro /data="$h/through" "$guest" look /data/file 2>/dev/null
    [ $? = 125 ] || say "a source that passes through a symlink in the middle"
    manifest /w "$h/work" rw /data "$h/work/data" ro | as tee "$h/m.toml" >/dev/null
    pal -m "$h/m.toml" /bin/guest look /data/file 2>/dev/null
    [ $? = 125 ] || say "a symlink as source in a manifest"
    as ln -s "$h/work" "$h/alias" # honest: a symlink that the guest can't change
    pal --rw /w="$h/work" --ro /in="$h/alias/in" "$guest" look /in 2>"$h/err" || say "an honest symlink"
    grep -q 'lies in .* which the guest can write' "$h/err" || say "no warning: $(cat "$h/err")"
}

# Descriptors go by the mount they lie in, though nobody looked into that.
descriptors() {
    setup
    as sh -c 'mkdir -p "$0/work/ro" && echo "long enough" >"$0/work/ro/f" && chmod 600 "$0/work/ro/f"' "$h"
    (cd / && as sh -c '"$@" <>"$0"' "$h/work/ro/f" "$B/pal-run" $trap_option --rw "$h/work" --ro "$h/work/ro" "$guest" change "$h/work/data") >"$h/out"
    [ "$(stat -c %a "$h/work/ro/f")" = 600 ] || say "the mode of a file in a read-only mount: $(cat "$h/out")"
    [ "$(stat -c %Y "$h/work/ro/f")" -gt 1 ] || say "the times of a file in a read-only mount: $(cat "$h/out")"
}

# What is granted counts before what is implied.
implied() {
    setup
    as cp "$guest" "$h/work/in/guest"
    (cd "$h/work/data" && pal --rw "$h/work" "$h/work/in/guest" write "$h/work/data/new") || say "the current directory in a writable mount is not"
    pal --rw "$h/work" "$h/work/in/guest" write "$h/work/in/new" || say "the program's directory in a writable mount is not"
    (cd "$h/work/data" && pal --ro "$h/work" "$h/work/in/guest" write "$h/work/data/other") && say "a read-only mount was written"
    (cd "$h/work/data" && pal --rw "$h/work" --ro "$h/work/data" "$h/work/in/guest" write "$h/work/data/other") && say "an inner read-only mount was written"
}

# A native program swaps names while the guest opens them.
raced() {
    setup
    as "$guest" flip "$h/work/in" "$h/secret" &
    local flipper=$!
    pal --rw /w="$h/work" "$guest" hammer 3000 /w/in/x/file /w/in/y/file "/w/in/x/../../secret/file" /w/in/x/../file \
        "/w/in/links$h/secret/file" "/w/in/x$h/secret/file" /w/in/../../secret/file || say "a race was won"
    kill $flipper
    wait $flipper 2>/dev/null
}

each swapped
each left
each descriptors
each implied
each raced
exit $bad
