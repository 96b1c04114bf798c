# SPDX-License-Identifier: MIT
# 1,000 starts in a row, 200 at once, 1,000 forks in one picoprocess; an end by SIGKILL: nothing stays behind.
. regression/cli/lib.sh.inc
processes() { pgrep -c -f "^picoprocess" || true; }
free_kib() { awk '/^(MemFree|Buffers|Cached|SReclaimable):/ { n += $2 } END { print n }' /proc/meminfo; }
files() { find /tmp /dev/shm "${XDG_RUNTIME_DIR:-/nonexistent}" -maxdepth 1 -name 'pal-run*' 2>/dev/null | wc -l; }
before_processes=$(processes) before_files=$(files)
"$PAL" /bin/true
sync
before=$(free_kib)
for _ in $(seq 1000); do "$PAL" /bin/true || say "start failed"; done
pids=()
for _ in $(seq 200); do "$PAL" /bin/sh -c 'echo x >/tmp/x; sleep 0.2' & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || say "one of 200 at once failed: $?"; done
"$PAL" /bin/bash -c 'for i in {1..1000}; do (exit 3); [ $? = 3 ] || exit 1; done; ls /proc/self/fd | wc -l' >"$work/fds" || say "1,000 forks: $?"
[ "$(cat "$work/fds")" -le 6 ] || say "descriptors left after 1,000 forks: $(cat "$work/fds")"
# pal-run is killed outright, with children of the guest running.
"$PAL" /bin/sh -c 'echo x >/tmp/x; sleep 60 & sleep 60 & wait' &
victim=$!
sleep 0.5
kill -KILL $victim
wait $victim 2>/dev/null
for _ in $(seq 50); do [ "$(processes)" = "$before_processes" ] && [ "$(files)" = "$before_files" ] && break; sleep 0.1; done
[ "$(processes)" = "$before_processes" ] || say "picoprocesses left: $(processes), were $before_processes"
[ "$(files)" = "$before_files" ] || say "files left: $(files), were $before_files"
lost=$(((before - $(free_kib)) / 1024))
[ $lost -lt 200 ] || say "$lost MiB of memory gone"
exit $bad
