# SPDX-License-Identifier: MIT
# Two clones never share randomness that a fork's child would not: each generator was used before the point, and each clone draws
# something else, by itself and out of a pool.  What they do share is what docs/snapshots.md says.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
clones=16

cat >"$work/draws.py" <<'P'
import ctypes, os, random, secrets, ssl, sys, tempfile, uuid
crypto = ctypes.CDLL('libcrypto.so.3')
libc = ctypes.CDLL(None)
libc.arc4random.restype = ctypes.c_uint32
def openssl(name):
    room = ctypes.create_string_buffer(16)
    assert getattr(crypto, name)(room, 16) == 1
    return room.raw.hex()
def device(path):
    with open(path, 'rb') as source:
        return source.read(16).hex()
drawn = {
    'random': random.random, 'getrandbits': lambda: random.getrandbits(128), 'shuffle': lambda: random.sample(range(1 << 40), 4),
    'SystemRandom': lambda: random.SystemRandom().getrandbits(128), 'secrets': secrets.token_hex, 'uuid4': uuid.uuid4, 'uuid1': uuid.uuid1,
    'urandom': lambda: os.urandom(16).hex(), 'getrandom': lambda: os.getrandom(16).hex(), 'ssl': lambda: ssl.RAND_bytes(16).hex(),
    'RAND_bytes': lambda: openssl('RAND_bytes'), 'RAND_priv_bytes': lambda: openssl('RAND_priv_bytes'),
    'arc4random': lambda: (libc.arc4random(), libc.arc4random()), 'mktemp': lambda: tempfile.mktemp(),
    'NamedTemporaryFile': lambda: tempfile.NamedTemporaryFile().name, '/dev/urandom': lambda: device('/dev/urandom'),
    '/dev/random': lambda: device('/dev/random'), 'boot_id and pid': lambda: os.getpid(),
}
shared = {'hash': lambda: hash('a word'), 'rand': libc.rand, 'layout': lambda: id(sys)}
for draw in list(drawn.values()) + list(shared.values()):
    draw()
open('/proc/pal/ready', 'w').write('1')
if os.fork():
    os.wait()
    os._exit(0)
for sort, draws in (('differs', drawn), ('same', shared)):
    for name, draw in draws.items():
        print(sort, name.replace(' ', '-'), str(draw()).replace(' ', ''))
sys.stdout.flush()
os._exit(0)
P
cat >"$work/draws.c" <<'C'
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    unsigned char bytes[16];
    uint32_t word;
    char name[] = "/tmp/XXXXXX", other[] = "/tmp/XXXXXX";
    srand(7), rand(), arc4random(), close(mkstemp(other)), getrandom(bytes, sizeof bytes, 0), arc4random_buf(bytes, sizeof bytes);
    int ready = open("/proc/pal/ready", O_WRONLY);
    if (write(ready, "1", 1) != 1)
        return 2;
    if (fork())
        return wait(NULL) < 0;
    printf("differs arc4random %u-%u\n", arc4random(), arc4random_uniform(1u << 31));
    arc4random_buf(bytes, sizeof bytes), memcpy(&word, bytes, 4), printf("differs arc4random_buf %u\n", word);
    getrandom(bytes, sizeof bytes, 0), memcpy(&word, bytes, 4), printf("differs getrandom %u\n", word);
    getentropy(bytes, sizeof bytes), memcpy(&word, bytes, 4), printf("differs getentropy %u\n", word);
    printf("differs mkstemp %s\n", mkstemp(name) >= 0 ? name : "");
    printf("same rand %d\n", rand());
    memcpy(&word, (void *)getauxval(AT_RANDOM), 4), printf("same AT_RANDOM %u\n", word);
    return 0;
}
C
gcc -O1 -w "$work/draws.c" -o "$work/draws" || exit 1
# Names are as many as there are clones' lines; "differs" all distinct, "same" all equal.
check() { # NAME FILE
    local all
    all=$(awk '{ n[$1 " " $2]++; if (!seen[$1 " " $2 " " $3]++) distinct[$1 " " $2]++ }
        END { for (k in n) { split(k, w, " "); want = w[1] == "differs" ? n[k] : 1
              if (n[k] != '$clones' || distinct[k] != want) print k ": " distinct[k] " of " n[k] } }' "$2")
    [ -z "$all" ] || say "$1:" "$all"
    [ "$(awk '{print $2}' "$2" | sort -u | wc -l)" -ge 7 ] || say "$1: clones drew nothing: $(head -3 "$2")"
}
for program in c python; do
    command=("$work/draws")
    [ $program = c ] || command=(/usr/bin/python3 "$work/draws.py")
    "$PAL" snapshot make $program --ro "$work" -- "${command[@]}" 2>"$work/err" || say "$program: $(cat "$work/err")"
    for _ in $(seq $clones); do "$PAL" snapshot run $program; done >"$work/$program.drawn" 2>&1 </dev/null
    check "clones of $program" "$work/$program.drawn"
    "$PAL" serve $program --pool 4 --socket "$work/socket" 2>"$work/served" &
    server=$!
    for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.05; done
    for _ in $(seq $clones); do "$PAL" snapshot run --pool "$work/socket"; done >"$work/$program.pool" 2>&1 </dev/null
    kill $server
    wait $server
    check "a pool's clones of $program" "$work/$program.pool"
done
# Variants share less.
"$PAL" snapshot make several --variants 4 --ro "$work" -- /usr/bin/python3 "$work/draws.py" 2>"$work/err" || say "variants: $(cat "$work/err")"
for _ in $(seq $clones); do "$PAL" snapshot run several; done 2>&1 </dev/null | grep -E '^same (hash|layout)' | sort -u >"$work/several"
[ "$(wc -l <"$work/several")" -ge 4 ] || say "variants share seeds and layout: $(cat "$work/several")"
# A program that never forks has threads, and is no snapshot yet.
if command -v node >/dev/null; then
    "$PAL" snapshot make node --at after=0.2 -- "$(command -v node)" -e 'setInterval(() => {}, 50); setTimeout(() => process.exit(0), 1500)' \
        >/dev/null 2>"$work/err" && say "node was saved without its threads"
    grep -q 'runs several threads at this point' "$work/err" || say "node: $(cat "$work/err")"
fi
exit $bad
