# SPDX-License-Identifier: MIT
# Redis over a Unix socket: BGSAVE (a fork that writes the whole database) while a benchmark changes it.
# Prints the same each time; run by regression/apps/same, natively and under pal-run.
set -u
command -v redis-server >/dev/null || { echo "redis-server is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cli() { redis-cli -s "$work/sock" "$@"; }
field() { cli info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
saved() { for _ in $(seq 100); do [ "$(field rdb_bgsave_in_progress)" = 0 ] && return; sleep 0.1; done; echo "BGSAVE goes on and on"; }

redis-server --port 0 --unixsocket "$work/sock" --dir "$work" --save '' --logfile "$work/log" &
server=$!
for _ in $(seq 100); do [ "$(cli ping 2>/dev/null)" = PONG ] && break; sleep 0.1; done
redis-benchmark -s "$work/sock" -c 20 -n 20000 -r 10000 -t set,get,incr,lpush,sadd -q >"$work/bench" 2>&1 &
bench=$!
for _ in 1 2 3; do
    cli bgsave
    saved
done
wait $bench
echo "benchmark: $?, $(tr '\r' '\n' <"$work/bench" | grep -c 'requests per second, p50') kinds of request"
echo "saves: $(field rdb_saves), the last $(field rdb_last_bgsave_status)"
cli flushall
cli eval 'for i = 1, 5000 do redis.call("set", "key" .. i, string.rep("x", i)) end' 0
cli bgsave
saved
redis-check-rdb "$work/dump.rdb" | grep 'keys read'
cli shutdown nosave
wait $server
echo "server: $?"
