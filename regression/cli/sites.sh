# SPDX-License-Identifier: MIT
# Call sites that a program's earlier runs met are rewritten before they trap; and what a profile says of them is trusted by nobody.
. "$(dirname "$0")/lib.sh.inc"
export XDG_CACHE_HOME="$work/cache"
mkdir -m 700 "$XDG_CACHE_HOME"

traps() { # COMMAND...: of warm-up, all processes
    timeout 60 "$PAL" --stats "$@" 2>&1 >/dev/null </dev/null | sed -n 's/.* but for \([0-9]*\) traps of warm-up.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'
}
profile() { grep -l "^p $1\$" "$XDG_CACHE_HOME/pal-run/"* | head -1; }
sites() { grep -c '^t' "$(profile "$1")"; }
run() { timeout 60 "$PAL" -- "$@" >"$work/out" 2>"$work/err" </dev/null || say "$*: status $?: $(head -2 "$work/err")"; }

python='import hashlib, json, os; print(json.dumps([os.getpid() > 0, hashlib.md5(b"x").hexdigest(), len(os.listdir("/usr"))]))'
first=$(traps -- /usr/bin/python3 -c "$python")
run /usr/bin/python3 -c "$python"
known=$(sites /usr/bin/python3)
[ "$known" -gt 4 ] || say "python3: $known sites are kept"
later=$(traps -- /usr/bin/python3 -c "$python")
[ $((later * 2)) -lt "$first" ] || say "python3: $later traps, $first in its first run"
cold=$(traps --no-profile -- /usr/bin/python3 -c "$python")
[ "$cold" -gt "$later" ] || say "python3 --no-profile: $cold traps, no more than $later"
cp "$work/out" "$work/right"

# A program that is run by the first one is kept, too.
run /bin/sh -c '/bin/true; exec /bin/ls /'
[ "$(grep -c '^k' "$(profile /bin/sh)")" -ge 2 ] || say "sh: only its own sites are kept"

# Lines that are made up: the program does as ever, and the numbers mean nothing but themselves.
file=$(profile /usr/bin/python3)
cp "$file" "$work/kept"
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    awk -v round=$round '
        BEGIN { srand(round); split("0 1 -1 -5 5 127 -128 32767 -32768 99999999999 -7 x", odd, " ") }
        function any() { return odd[int(rand() * 12) + 1] }
        $1 != "t" { print; next }
        round == 1 { $7 = any() }   round == 2 { $6 = any() }   round == 3 { $5 = sprintf("%x", rand() * 200000) }
        round == 4 { $5 = "ffffffff" }   round == 5 { $2 = any() }   round == 6 { $4 = "0" }
        round == 7 { $3 = "ffffffff" }   round == 8 { print; print; print }   round == 9 { print "k 1 2 3" }
        round == 10 { $6 = any(); $7 = any(); $5 = sprintf("%x", rand() * 400000) }   round == 11 { print "t"; print "t 1 2"; next }
        round == 12 { print "k 1 2 3 4 5" }
        { print }' "$work/kept" >"$file"
    run /usr/bin/python3 -c "$python"
    cmp -s "$work/out" "$work/right" || say "round $round: $(cat "$work/out")"
done

# What is not there any more is found anew.
awk '$1 == "t" { $4 = "123" } { print }' "$work/kept" >"$file"
run /usr/bin/python3 -c "$python" # forgets
run /usr/bin/python3 -c "$python" # finds
grep -q '^t .* 123 ' "$file" && say "sites that are not there are kept"
[ "$(traps -- /usr/bin/python3 -c "$python")" -le $((later + 4)) ] || say "they are not found anew"

# What ld.so asks the processor is answered from what is kept, where that is quicker: as the processor does, but for leaf 1's
# EBX, in which is the number of the one that is asked.
loader=/lib64/ld-linux-x86-64.so.2 answers="$XDG_CACHE_HOME/pal-run/cpuid"
asked() { "$@" --list-diagnostics | grep -E '^(x86|dl_hwcap|dl_platform)' | grep -v 'features.0x0..cpuid.0x1.='; }
asked $loader >"$work/native"
for round in 1 2 3 4; do
    asked "$PAL" $loader >"$work/asked" || say "$loader: status $?"
    diff "$work/native" "$work/asked" >"$work/diff" || say "$loader, round $round: $(head -4 "$work/diff")"
done
[ -s "$answers" ] || say "nothing is kept of cpuid, not even that it is quick"
if [ "$(od -An -t u4 -j 80 -N 4 "$answers")" -gt 0 ]; then
    cp "$answers" "$work/answers"
    python3 - "$answers" <<'FORGE' # the user's own file: that it is read, and no longer once the host or the processor is another
import struct, sys
data = bytearray(open(sys.argv[1], 'rb').read())
for at in range(88, len(data) - 23, 24):
    if struct.unpack_from("I", data, at)[0] in (1, 7, 0xd, 0x19, 0x80000001, 0x80000007, 0x80000008):
        data[at + 20] ^= 0x10 # a bit of EDX
open(sys.argv[1], 'wb').write(data)
FORGE
    asked "$PAL" $loader >"$work/asked"
    cmp -s "$work/native" "$work/asked" && say "what is kept of cpuid is not used"
    printf '\377' | dd of="$answers" bs=1 seek=24 conv=notrunc status=none # another boot's
    asked "$PAL" $loader >"$work/asked"
    cmp -s "$work/native" "$work/asked" || say "another boot's answers are used"
    cmp -s -n 56 "$answers" "$work/answers" || say "they are not asked anew"
    for size in 0 1 87 88 1000; do
        truncate -s $size "$answers"
        asked "$PAL" $loader | cmp -s - "$work/native" || say "$size bytes of answers are used"
    done
else
    echo "# cpuid is quick here: its sites stay"
fi

# The guest that forges them (hostile/sites), for later runs of the same program.
cp "$B/hostile/sites" "$work/sites"
cd "$work" || exit 1
for round in 1 2 3; do
    run ./sites
    "$PAL" ./sites child </dev/null || say "after forgeries, round $round: status $?"
done
exit $bad
