# SPDX-License-Identifier: MIT
# nginx over a Unix socket: a master, two workers, a reload that changes the answer and the workers, an orderly end.
# Prints the same each time; run by regression/apps/same, natively and under pal-run.
set -u
PATH=$PATH:/usr/sbin
for program in nginx curl pgrep; do command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }; done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/html"
seq 20000 >"$work/html/numbers"
cat >"$work/conf" <<CONF
daemon off;
worker_processes 2;
error_log $work/error.log;
pid $work/pid;
events { worker_connections 64; }
http {
    access_log $work/access.log;
    client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3; uwsgi_temp_path $work/4; scgi_temp_path $work/5;
    server { listen unix:$work/sock; root $work/html; location /version { return 200 "one\n"; } }
}
CONF
get() { curl -sS --max-time 10 --unix-socket "$work/sock" "http://localhost/$1"; }
workers() { pgrep -P $server | sort -n | xargs; }

nginx -p "$work" -c "$work/conf" -e "$work/error.log" &
server=$!
for _ in $(seq 100); do get version >/dev/null 2>&1 && break; sleep 0.1; done
get version
before=$(workers)
echo "workers: $(wc -w <<<"$before")"
for _ in $(seq 20); do get numbers | cksum; done | uniq -c
for _ in $(seq 8); do (for _ in $(seq 5); do get numbers | cksum; done) & done | sort | uniq -c
sed -i 's/one/two/' "$work/conf"
kill -HUP $server
for _ in $(seq 100); do [ "$(get version)" = two ] && [ "$(workers | wc -w)" = 2 ] && break; sleep 0.1; done
get version
after=$(workers)
echo "workers: $(wc -w <<<"$after"), $([ "$before" = "$after" ] && echo the same || echo others)"
kill -QUIT $server
wait $server
echo "server: $?, requests: $(grep -c 'GET /numbers HTTP/1.1" 200' "$work/access.log")"
cat "$work/error.log"
