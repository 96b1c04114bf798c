# SPDX-License-Identifier: MIT
# Images of snapshots that somebody has changed: an error, or a fault of their own picoprocess; never a hang, never more than
# the run's policy.  ROUNDS: how many are tried.
. "$(dirname "$0")/../cli/lib.sh.inc"
rounds=${ROUNDS:-60}
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/warm.c" <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int ready = open("/proc/pal/ready", O_WRONLY), secret;
    char text[64] = "";
    if (write(ready, "1", 1) != 1)
        return 2;
    if (fork())
        return wait(NULL) < 0;
    secret = open("/etc/shadow", O_RDONLY);
    printf("%d %s\n", secret, secret >= 0 && read(secret, text, sizeof text - 1) > 0 ? text : "nothing");
    return 0;
}
C
gcc -O1 -w "$work/warm.c" -o "$work/warm" || exit 1
"$PAL" snapshot make warm -- "$work/warm" 2>"$work/err" || { cat "$work/err"; exit 1; }
image=$XDG_DATA_HOME/pal-run/snapshots/warm.image
[ "$("$PAL" snapshot run warm)" = "-1 nothing" ] || say "a clone, as it was made: $("$PAL" snapshot run warm)"
cat >"$work/change.py" <<'P'
import random, struct, sys
image, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
data = bytearray(open(image, 'rb').read())
arena = struct.unpack_from('<Q', data, 40)[0]
kind = seed % 5
if kind == 0:                                   # anything
    for _ in range(200):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
elif kind == 1:                                 # the header
    data[random.randrange(8, 56)] = random.randrange(256)
elif kind == 2:                                 # the libOS's state, words of it
    for _ in range(20):
        at = arena + 8 * random.randrange((len(data) - arena) // 8)
        struct.pack_into('<Q', data, at, random.choice([0, 1, 2**64 - 1, 0x7ff000000000, 0x10000, random.getrandbits(64)]))
elif kind == 3:                                 # its first pages: variables
    for _ in range(60):
        data[arena + random.randrange(64 * 1024)] = random.randrange(256)
else:                                           # cut off
    del data[random.randrange(4096, len(data)):]
sys.stdout.buffer.write(data)
P
cp "$image" "$work/good"
chmod u+w "$image"
ran=0 failed=0
for ((seed = 0; seed < rounds; seed++)); do
    python3 "$work/change.py" "$work/good" "$seed" >"$image"
    timeout -s KILL 20 "$PAL" snapshot run --timeout 5 warm >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status = 137 ] && ! grep -q . "$work/err" && [ ! -s "$work/out" ] && pgrep -f "$PAL snapshot run" >/dev/null && say "seed $seed hangs"
    [ $status = 124 ] && late=$((${late:-0} + 1))
    [ $status = 0 ] && ran=$((ran + 1)) || failed=$((failed + 1))
    grep -q ':' "$work/out" && say "seed $seed: a secret: $(head -c 200 "$work/out")"
done
echo "$rounds images: $ran ran, $failed failed, ${late:-0} of these by the time limit"
[ $failed -gt 0 ] && [ "${late:-0}" -le $((rounds / 10)) ] || say "changed images are as good as others"
exit $bad
