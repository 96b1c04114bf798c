# SPDX-License-Identifier: MIT
# Bundles that are packed without classes of host calls: each row of the table answers ENOSYS or goes through, by its class and no other;
# what no filter admits kills as ever.
. "$(dirname "$0")/../cli/lib.sh.inc"
export XDG_CACHE_HOME=$work/cache
mkdir -m 700 "$work/cache"
names="threads processes files locks pipes sockets polls sections"
all=${names// /,}
run() { # FILE OPTION CLASSES [NUMBER]
    local file=$1 want=0
    shift
    [ -z "${3:-}" ] || want=159
    "$file" "$@" >"$work/out" 2>&1
    got=$?
    [ $got = $want ] || say "$*: status $got: $(tail -3 "$work/out")"
}
"$PAL" pack -o "$work/none" --calls none "$B/hostile/classes" >"$work/out" 2>&1 || say "pack: $(cat "$work/out")"
grep -q '; 38 of 48 host calls$' "$work/out" || say "pack says: $(cat "$work/out")"
"$PAL" pack -o "$work/two" --calls locks,polls "$B/hostile/classes" >"$work/out" 2>&1 || say "pack: $(cat "$work/out")"
for option in --pal-report --pal-strict; do
    run "$work/none" $option none
    run "$work/two" $option locks,polls
done
for number in 41 62 101 425; do run "$work/none" --pal-report none $number; done # socket, kill, ptrace, io_uring_setup
# As pack would make them: the classes that are left out, and the digest.
# shellcheck disable=SC2086
python3 - "$work/none" $names <<'P' || say "variants"
import hashlib, os, struct, sys
path, names = sys.argv[1], sys.argv[2:]
data = bytearray(open(path, "rb").read())
assert struct.unpack_from("<I", data, 48)[0] == 2 ** len(names) - 1
for name in names + ["no-" + name for name in names] + ["all"]:
    left_out = 0 if name == "all" else 1 << names.index(name[3:]) if name.startswith("no-") else 2 ** len(names) - 1 & ~(1 << names.index(name))
    struct.pack_into("<I", data, 48, left_out)
    data[-32:] = hashlib.sha256(data[:-32]).digest()
    with open(f"{os.path.dirname(path)}/{name}", "wb") as out:
        os.chmod(out.fileno(), 0o755)
        out.write(data)
P
run "$work/all" --pal-report "$all"
for name in $names; do
    run "$work/$name" --pal-report "$name"
    run "$work/no-$name" --pal-report "$(tr , '\n' <<<"$all" | grep -vx "$name" | paste -sd,)"
done
exit $bad
