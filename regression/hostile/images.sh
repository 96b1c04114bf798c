# SPDX-License-Identifier: MIT
# Images of snapshots that somebody has changed: an error, or a fault of their own picoprocess; never a hang, never more than
# the run's policy.  ROUNDS: how many are tried.
. "$(dirname "$0")/../cli/lib.sh.inc"
rounds=${ROUNDS:-60}
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
cat >"$work/warm.c" <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int ready = open("/proc/pal/ready", O_WRONLY), secret, ends[4], set = epoll_create1(0), memory = memfd_create("words", 0);
    char text[64] = "", *large = malloc(1 << 20);
    pipe(ends), socketpair(AF_UNIX, SOCK_STREAM, 0, ends + 2);
    write(ends[1], "piped", 5), write(ends[2], "paired", 6), write(memory, "memory", 6);
    epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &(struct epoll_event){EPOLLIN});
    epoll_ctl(set, EPOLL_CTL_ADD, timerfd_create(CLOCK_MONOTONIC, 0), &(struct epoll_event){EPOLLIN});
    epoll_ctl(set, EPOLL_CTL_ADD, eventfd(1, 0), &(struct epoll_event){EPOLLIN});
    memset(large, 'l', 1 << 20);
    if (write(ready, "1", 1) != 1)
        return 2;
    if (fork())
        return wait(NULL) < 0;
    if (read(0, text, 5) == 5 && !strncmp(text, "sleep", 5))
        sleep(1);
    for (int i = 0; i < 1 << 20; i += 4096)
        if (large[i] != 'l')
            return 9;
    secret = open("/etc/shadow", O_RDONLY);
    printf("%d %s\n", secret, secret >= 0 && read(secret, text, sizeof text - 1) > 0 ? text : "nothing");
    return 0;
}
C
gcc -O1 -w "$work/warm.c" -o "$work/warm" || exit 1
"$PAL" snapshot make warm -- "$work/warm" 2>"$work/err" || { cat "$work/err"; exit 1; }
image=$XDG_DATA_HOME/pal-run/snapshots/warm.image
[ "$("$PAL" snapshot run warm </dev/null)" = "-1 nothing" ] || say "a clone, as it was made: $("$PAL" snapshot run warm)"
cp "$image" "$work/good"
chmod u+w "$image"
change() { "$B/hostile/images" mutate "$work/good" "$1" >"$image"; }
workers=$((rounds < 1000 ? 2 : 4 * $(nproc))) # one that a clone keeps waiting keeps no processor busy
for ((worker = 0; worker < workers; worker++)); do
    mkdir "$work/data.$worker"
    cp -r "$XDG_DATA_HOME/pal-run" "$work/data.$worker/"
    "$B/hostile/images" run "$PAL" "$work/good" "$work/data.$worker" "$worker" "$rounds" "$workers" >"$work/found.$worker" 2>&1 &
done
wait
ran=0 failed=0 late=0
for ((worker = 0; worker < workers; worker++)); do
    grep -v '^[0-9 ]*$' "$work/found.$worker" && bad=1
    read -r a b c < <(grep '^[0-9 ]*$' "$work/found.$worker") || say "a worker ended: $(cat "$work/found.$worker")"
    ran=$((ran + a)) failed=$((failed + b)) late=$((late + c))
done
[ $((ran + failed)) = "$rounds" ] || say "$((ran + failed)) of $rounds images were run"
# In a pool, whose server ends members that never come to wait: clients are answered or refused, the server ends when it is told to, and its members with it.
for ((seed = 0; seed < (rounds < 60 ? 4 : rounds < 8000 ? 8 : 200); seed++)); do
    change "$seed"
    "$PAL" serve warm --socket "$work/socket" --pool 2 --timeout 2 >"$work/served" 2>&1 &
    server=$!
    for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.02; done
    timeout -s KILL 120 "$PAL" snapshot run --pool "$work/socket" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    grep -q ':' "$work/out" && say "seed $seed in a pool: a secret: $(head -c 200 "$work/out")"
    [ $status = 137 ] && say "seed $seed in a pool: its client hangs: $(head -3 "$work/served")"
    members=$(pgrep -P $server)
    kill $server 2>/dev/null
    wait $server
    status=$?
    [ $status = 0 ] || [ $status = 125 ] || say "seed $seed in a pool: the server ended with status $status: $(head -3 "$work/served")"
    for member in $members; do [ -d "/proc/$member" ] && [ "$(cut -d' ' -f3 "/proc/$member/stat" 2>/dev/null)" != Z ] && say "seed $seed in a pool: a member is left"; done
done
# An image that is swapped, grows or is cut off under a clone is that clone's own affair.
put() { cat "$work/good" >"$image"; }
clone() { # STATUS WHAT: one that sleeps while $change is done
    put
    (sleep 0.3; eval "$change") &
    echo sleep | timeout -s KILL 20 "$PAL" snapshot run --timeout 5 warm >"$work/out" 2>"$work/err"
    local status=$?
    wait
    [[ " $1 " == *" $status "* ]] || say "$2: status $status: $(cat "$work/out" "$work/err")"
}
change='cp "$work/good" "$image.new"; chmod 600 "$image.new"; mv -f "$image.new" "$image"' clone 0 'swapped for another'
change='head -c 100000 /dev/urandom >>"$image"' clone 0 'it grows'
change='truncate -s 4096 "$image"' clone '135 139' 'cut off while it is mapped'
put
head -c 1000000 /dev/urandom >>"$image"
[ "$("$PAL" snapshot run warm </dev/null)" = "-1 nothing" ] || say "with bytes behind its end: $("$PAL" snapshot run warm </dev/null)"
# Of other users, or no file.
refused() { "$PAL" snapshot run warm </dev/null >"$work/out" 2>"$work/err"; [ $? = 125 ] && grep -q "can't be opened" "$work/err" || say "$1: $(cat "$work/err")"; }
if [ "$(id -u)" = 0 ]; then
    chown 65534 "$image" && refused "another user's"
    chown 0 "$image"
fi
mv "$image" "$work/elsewhere"
ln -s "$work/elsewhere" "$image" && refused 'a symlink'
rm "$image"
mkfifo "$image" && refused 'a FIFO'
rm "$image"
echo "$rounds images: $ran ran, $failed failed, $late of these by the time limit"
[ $failed -gt 0 ] && [ $ran -gt 0 ] && [ "$late" -le $((rounds / 10)) ] || say "changed images are as good as others"
exit $bad
