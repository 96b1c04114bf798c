# SPDX-License-Identifier: MIT
# Images that were cut, changed, or made to hold themselves: an error or what is left of them, in time, and pal-run lives.
# ROUNDS: how many of each are tried.
. "$(dirname "$0")/../cli/lib.sh.inc"
PATH=$PATH:/sbin:/usr/sbin
rounds=${ROUNDS:-40}
t=$work/tree
mkdir -p "$t/sub/deep"
for i in $(seq 40); do seq "$i" 400 >"$t/sub/deep/f$i"; done
ln -s sub/deep/f1 "$t/link"
ln -s "$(printf 'x%.0s' {1..100})" "$t/long"
mksquashfs "$t" "$work/squashfs" -quiet -no-progress >/dev/null || exit 1
mksquashfs "$t" "$work/xz" -comp xz -quiet -no-progress >/dev/null
mke2fs -q -t ext4 -d "$t" "$work/ext4" 2M >/dev/null 2>&1
mke2fs -q -t ext2 -O ^metadata_csum -d "$t" "$work/ext2" 2M >/dev/null 2>&1
mke2fs -q -t ext4 -O ^metadata_csum,inline_data -I 256 -d "$t" "$work/inline" 2M >/dev/null 2>&1
truncate -s 4M "$work/gpt" && printf 'label: gpt\nsize=1MiB\nsize=1MiB\n' | sfdisk -q "$work/gpt" 2>/dev/null
truncate -s 4M "$work/mbr" && printf 'label: dos\nsize=1MiB\nsize=1MiB, type=5\n' | sfdisk -q "$work/mbr" 2>/dev/null

cat >"$work/mutate.py" <<'P'
import os, random, shutil, subprocess, sys
pal, work, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
bad = 0
def run(what, *words):
    global bad
    try:
        # 30 s: a helper has 10 for a request, and is ended then.
        got = subprocess.run([pal, "image", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
        lines = got.stderr.decode(errors="replace").splitlines()
        if got.returncode not in (0, 125) or (got.returncode == 125) != (len(lines) == 1 and lines[0].startswith("pal-run: ")):
            print(what, words, "status", got.returncode, lines[:3])
            bad = 1
    except subprocess.TimeoutExpired:
        print(what, words, "takes too long")
        bad = 1
for name in ["squashfs", "xz", "ext4", "ext2", "inline", "gpt", "mbr"]:
    whole = open(work + "/" + name, "rb").read()
    interesting = [i for i in range(0, len(whole), 16) if any(whole[i:i + 16])]
    for seed in range(rounds):
        r = random.Random(seed * 7919 + len(name))
        image = bytearray(whole)
        if seed % 6 == 0:
            image = image[:r.randrange(len(image))]
        else:
            for _ in range(r.choice([1, 2, 8, 64])):
                at = (r.choice(interesting[:256]) if r.random() < 0.6 else r.choice(interesting)) + r.randrange(16)
                if r.random() < 0.5:
                    image[at] ^= 1 << r.randrange(8)
                else:
                    image[at:at + 4] = r.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(r.randrange(256) for _ in range(4))])
        open(work + "/image", "wb").write(image)
        if name in ("gpt", "mbr"):
            run((name, seed), "info", work + "/image")
            run((name, seed), "ls", work + "/image:1")
            continue
        run((name, seed), "cp", work + "/image", "/", work + "/copy")
        subprocess.run(["chmod", "-R", "u+rwX", work + "/copy"], stderr=subprocess.DEVNULL)
        shutil.rmtree(work + "/copy", ignore_errors=True)
sys.exit(bad)
P
python3 "$work/mutate.py" "$PAL" "$work" "$rounds" || bad=1

# A directory that holds itself, by a name of its own.
cp "$work/ext2" "$work/loop"
debugfs -w -R 'link sub sub/deep/again' "$work/loop" >/dev/null 2>&1
expect 125 'damaged' "$PAL" image cp "$work/loop" / "$work/copy"
expect 125 'damaged' "$PAL" --image "/m=$work/loop" true

# Mounted: an image that is changed either does not start, or the sandbox lives, whatever is read from it.
cat >"$work/mounted.py" <<'P'
import random, subprocess, sys
pal, work, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
bad = 0
for name in ["squashfs", "ext2"]:
    whole = open(work + "/" + name, "rb").read()
    interesting = [i for i in range(0, len(whole), 16) if any(whole[i:i + 16])]
    for seed in range(rounds):
        r = random.Random(seed * 104729 + len(name))
        image = bytearray(whole)
        for _ in range(r.choice([1, 4, 32])):
            image[r.choice(interesting) + r.randrange(16)] ^= 1 << r.randrange(8)
        open(work + "/image", "wb").write(image)
        got = subprocess.run([pal, "--image", "/m=" + work + "/image", "/bin/sh", "-c", "cat $(find /m -type f) >/dev/null 2>&1; echo alive"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        if got.stdout != b"alive\n" and (got.returncode != 125 or got.stderr.count(b"\n") != 1):
            print("mounted", name, seed, got.returncode, got.stdout[:100], got.stderr[:300])
            bad = 1
sys.exit(bad)
P
python3 "$work/mounted.py" "$PAL" "$work" "$rounds" || bad=1

# Without its helper what was read is there, and what was not is an error; the sandbox goes on.
mkdir "$work/meet"
mkfifo "$work/meet/ready" "$work/meet/go"
"$PAL" --image "/m=$work/squashfs" --rw "$work/meet" sh -c 'cat /m/sub/deep/f1 >/dev/null; echo >"$0"/ready; read x <"$0"/go
    cat /m/sub/deep/f1 | wc -l; cat /m/sub/deep/f2; echo alive' "$work/meet" >"$work/out" 2>"$work/err" &
run=$!
timeout 20 cat "$work/meet/ready" >/dev/null
helper=$(pgrep -P $run -x pal-image)
[ "$(awk '/^NoNewPrivs|^Seccomp:|^CapPrm/ { print $2 + 0 }' "/proc/$helper/status" | paste -sd' ')" = "0 1 2" ] || say "the helper has no walls"
[ "$(find "/proc/$helper/fd" -type l | wc -l)" -le 2 ] || say "the helper has descriptors: $(ls -l "/proc/$helper/fd")"
kill -9 "$helper"
timeout 20 sh -c "echo >$work/meet/go"
wait $run
[ "$(paste -sd' ' "$work/out")" = "400 alive" ] && grep -q 'f2: Input/output error' "$work/err" || say "without a helper: $(paste -sd' ' "$work/out" "$work/err")"
exit $bad
