# SPDX-License-Identifier: MIT
# PostgreSQL over a Unix socket and TCP: initdb, eight clients, a backend killed while others work, recovery, nothing lost.
# Prints the same each time; run by regression/apps/same as an ordinary user, natively and under pal-run.
set -u
for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done
command -v initdb >/dev/null || { echo "postgresql is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
PGPORT=$(/usr/bin/python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
export LC_ALL=C.UTF-8 PGPORT PGHOST=$work PGUSER=pal PGDATABASE=postgres
query() { psql -Atc "$1"; }
up() { for _ in $(seq 200); do query 'select 1' >/dev/null 2>&1 && return; sleep 0.1; done; echo "no answer"; tail "$work/log"; exit 1; }
bench() { pgbench "$@" 2>&1 | grep -E 'actually processed|number of failed|error|abort'; }

initdb -D "$work/data" -U pal -A trust >"$work/initdb" 2>&1 || { cat "$work/initdb"; exit 1; }
postgres -D "$work/data" -c listen_addresses=localhost -c "unix_socket_directories=$work" >"$work/log" 2>&1 &
server=$!
up
pgbench -i -s 1 -q >/dev/null 2>&1 || echo "pgbench -i: $?"
bench -c 8 -j 2 -t 100
query 'select count(*) from pgbench_history'
query 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)'

query 'select pg_sleep(60)' >"$work/sleep" 2>&1 &
sleeper=$!
find_victim="select pid from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
for _ in $(seq 100); do victim=$(query "$find_victim"); [ -n "$victim" ] && break; sleep 0.1; done
kill -KILL "$victim"
wait $sleeper
head -1 "$work/sleep"
for _ in $(seq 100); do grep -q 'redo done\|redo is not required' "$work/log" && break; sleep 0.1; done
up
query 'select count(*) from pgbench_history'
query 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)'
bench -c 8 -j 2 -t 20
PGHOST=127.0.0.1 bench -c 8 -j 2 -t 100
PGHOST=localhost query "select host(inet_server_addr()) in ('127.0.0.1', '::1'), repeat('x', 100000)" | cksum
grep -oE 'terminated by signal 9: Killed|automatic recovery in progress' "$work/log"
kill -INT $server
wait $server
echo "server: $?"
