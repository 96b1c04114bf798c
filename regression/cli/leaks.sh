# SPDX-License-Identifier: MIT
# 1,000 starts in a row, 200 at once, 1,000 forks in one picoprocess; an end by SIGKILL: nothing stays behind.
. regression/cli/lib.sh.inc
mkdir -m 700 "$work/run" && export XDG_RUNTIME_DIR=$work/run # private folders of the sandboxes lie here
free_kib() { awk '/^(MemFree|Buffers|Cached|SReclaimable):/ { n += $2 } END { print n }' /proc/meminfo; }
files() { find "$work/run" -mindepth 1 -maxdepth 1 | wc -l; }
descendants() { # of a process: pids
    local child
    for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}
alive() { # how many of these pids are more than zombies
    local pid n=0
    for pid in "$@"; do grep -qs '^State:.[^ZX]' "/proc/$pid/status" && n=$((n + 1)); done
    echo $n
}
"$PAL" /bin/true
sync
before=$(free_kib)
for _ in $(seq 1000); do "$PAL" /bin/true || say "start failed"; done
pids=()
for _ in $(seq 200); do "$PAL" /bin/sh -c 'echo x >/tmp/x; sleep 0.2' & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || say "one of 200 at once failed: $?"; done
"$PAL" /bin/bash -c 'for i in {1..1000}; do (exit 3); [ $? = 3 ] || exit 1; done; ls /proc/self/fd | wc -l' >"$work/fds" || say "1,000 forks: $?"
[ "$(cat "$work/fds")" -le 6 ] || say "descriptors left after 1,000 forks: $(cat "$work/fds")"
# Where nobody waits for orphans, as a container's first process may not.
python3 - "$PAL" <<'END' || say "zombies are left to process 1"
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
for arguments in [["/bin/true"]] * 30 + [["/bin/sh", "-c", "echo x >/tmp/x; sleep 0.05"]] * 10 + [["/nothing"]] * 5:
    subprocess.run([sys.argv[1], *arguments], stderr=subprocess.DEVNULL)
with open("/proc/%d/task/%d/children" % (os.getpid(), os.getpid())) as children:
    sys.exit(bool(children.read().strip()))
END
# pal-run is killed outright, with children of the guest running.
"$PAL" /bin/sh -c 'echo x >/tmp/x; sleep 60 & sleep 60 & echo up; wait' >"$work/up" &
victim=$!
for _ in $(seq 1200); do [ -s "$work/up" ] && break; sleep 0.05; done
mapfile -t left < <(descendants $victim)
[ ${#left[@]} -ge 3 ] || say "only ${#left[@]} processes below pal-run: nothing to see"
kill -KILL $victim
wait $victim 2>/dev/null
for _ in $(seq 600); do [ "$(alive "${left[@]}")" = 0 ] && [ "$(files)" = 0 ] && break; sleep 0.1; done
[ "$(alive "${left[@]}")" = 0 ] || say "processes left after pal-run was killed: $(alive "${left[@]}") of ${#left[@]}"
[ "$(files)" = 0 ] || say "private folders left: $(files)"
lost=$(((before - $(free_kib)) / 1024))
[ $lost -lt 200 ] || say "$lost MiB of memory gone"
exit $bad
