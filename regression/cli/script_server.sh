# SPDX-License-Identifier: MIT
# A server that answers each request, a Python script of a stranger's, in a fresh clone with a folder of its own; REQUESTS of them.
# With TRANSCRIPT=FILE it writes what was done, and a table of latencies beside fork and cold starts; nothing is asserted of times.
. "$(dirname "$0")/lib.sh.inc"
requests=${REQUESTS:-150}
export XDG_DATA_HOME=$work/data PALRUN_LIBRARY=$(realpath "$B/libpalrun.so.0")
mkdir "$XDG_DATA_HOME" "$work/scripts"
cat >"$work/scripts/worker.py" <<'P'
# One script from standard input, in a folder in /tmp, which is this clone's alone.
import os, sys
import asyncio, csv, ctypes, datetime, decimal, email, hashlib, http.client, http.server, json, logging, re, sqlite3, ssl
import subprocess, tempfile, threading, urllib.request, uuid, xml.dom.minidom

def answer(source):
    try:
        exec(compile(source, 'request', 'exec'), {'__name__': 'request'})
        status = 0
    except SystemExit as leaves:
        status = leaves.code if isinstance(leaves.code, int) else 1
    except BaseException as error:
        print(type(error).__name__, error)
        status = 1
    sys.stdout.flush()
    os._exit(status)

if __name__ == '__main__':
    try:
        with open('/proc/pal/ready', 'w') as ready:
            ready.write('1')
        if child := os.fork():
            os.waitpid(child, 0)
            os._exit(0)
    except OSError:
        pass                                    # a cold start
    os.makedirs('/tmp/folder')                  # where /tmp shows nothing of the host's
    os.chdir('/tmp/folder')
    answer(sys.stdin.read())
P
cat >"$work/server.py" <<'P'
import os, statistics, subprocess, sys, threading, time
sys.path.insert(0, 'loader/library')
import palrun
pal, work, requests, transcript = sys.argv[1:5]
requests = int(requests)
pool = palrun.Pool(work + '/socket')
devnull = os.open('/dev/null', os.O_RDWR)

def ask(start, script):
    """What it printed, its status, and the milliseconds to its end."""
    give, take = os.pipe()
    reader, writer = os.pipe()
    os.write(take, script.encode())
    os.close(take)
    begin = time.perf_counter()
    wait = start(give, writer)
    os.close(give)
    os.close(writer)
    said = b''
    while part := os.read(reader, 65536):
        said += part
    took = (time.perf_counter() - begin) * 1000
    os.close(reader)
    return said.decode(), wait(), took

def by_pool(give, writer):
    clone = pool.take(stdin=give, stdout=writer, stderr=writer)
    def wait():
        with clone:
            return clone.wait(20)
    return wait

def by_command(*command):
    def start(give, writer):
        return subprocess.Popen(command, stdin=give, stdout=writer, stderr=writer).wait
    return start

worker = None
def by_fork(give, writer):
    """A worker that has its imports forks for each: no wall, no folder."""
    child = os.fork()
    if child:
        return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(give, 0), os.dup2(writer, 1), os.dup2(writer, 2)
    os.close(give), os.close(writer)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, 'w', closefd=False)
    os.chdir(work + '/folder')
    worker.answer(sys.stdin.read())

script = """
import os
assert os.listdir('.') == [], os.listdir('.')
open('mine', 'w').write('%d')
print(%d * 7, sorted(os.listdir('.')))
"""
bad, times, lock, left = [], [], threading.Lock(), list(range(requests))
def client():
    while True:
        with lock:
            if not left:
                return
            number = left.pop()
        said, status, took = ask(by_pool, script % (number, number))
        with lock:
            times.append(took)
            if (said, status) != ("%d ['mine']\n" % (number * 7), 0):
                bad.append((number, said, status))
threads = [threading.Thread(target=client) for _ in range(4)]
begin = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
elapsed = time.perf_counter() - begin

strangers = [
    ('reads a secret', "print(open('/etc/shadow').read())"),
    ('reads keys', "import os; print(os.listdir(os.path.expanduser('~/.ssh')))"),
    ('changes its own program', "open(%r, 'a').write('x')" % (work + '/scripts/worker.py')),
    ('phones home', "import socket; socket.create_connection(('192.0.2.1', 443), 2)"),
    ('stays', "import subprocess; subprocess.Popen(['sleep', '60']); print('started one')"),
    ('does not end', "while True: pass"),
    ('takes memory', "x = bytearray(1 << 33)"),
]
lines = []
for what, source in strangers:
    said, status, _ = ask(by_pool, source)
    lines.append('| %s | %d | `%s` |' % (what, status, said.strip().replace(work, '~')[:90]))
    if what != 'stays' and status == 0 or 'root:' in said:
        bad.append((what, said, status))
said, status, _ = ask(by_pool, script % (1, 1))
if status:
    bad.append(('after all of them', said, status))
for fault in bad[:5]:
    print(*fault)
if transcript:
    os.mkdir(work + '/folder')
    sys.path.insert(0, work + '/scripts')
    import worker as loaded
    worker = loaded
    plain = "print(6 * 7)"
    ways = [('a clone of the pool', by_pool), ('a clone, started for it', by_command(pal, 'snapshot', 'run', 'worker')),
            ('fork of a warm server, natively', by_fork), ('python3, cold, natively', by_command('/usr/bin/python3', work + '/scripts/worker.py')),
            ('python3, cold, under pal-run', by_command(pal, '--ro', work + '/scripts', '/usr/bin/python3', work + '/scripts/worker.py'))]
    taken = {name: [] for name, _ in ways}
    for round in range(60):
        for name, way in ways:
            taken[name].append(ask(way, plain)[2])
        time.sleep(0.05)
    with open(transcript, 'w') as out:
        times.sort()
        print('%d requests by 4 clients at a time, each in a clone with a folder of its own, in %.1f s: all were answered rightly;' %
              (requests, elapsed), file=out)
        print('median %.1f ms, 99 of 100 within %.1f ms. What strangers got:\n' % (statistics.median(times), times[len(times) * 99 // 100]), file=out)
        print('| a request that | status | printed |\n|---|---:|---|', *lines, sep='\n', file=out)
        print('\nOne request after another, in turn (`print(6 * 7)`; milliseconds to the end of its answer):\n', file=out)
        print('| each request in | median | least | 9 of 10 within |\n|---|---:|---:|---:|', file=out)
        for name, all_times in taken.items():
            all_times.sort()
            print('| %s | %.2f | %.2f | %.2f |' % (name, statistics.median(all_times), all_times[0], all_times[len(all_times) * 9 // 10]), file=out)
sys.exit(bool(bad))
P
"$PAL" snapshot make worker --ro "$work/scripts" -- /usr/bin/python3 "$work/scripts/worker.py" 2>"$work/err" </dev/null || say "make: $(cat "$work/err")"
"$PAL" serve worker --socket "$work/socket" --pool 6 --timeout 2 --memory 1G --pids 16 2>"$work/served" &
server=$!
for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.05; done
python3 "$work/server.py" "$PAL" "$work" "$requests" "${TRANSCRIPT:-}" || say "the server's answers: $(tail -3 "$work/served")"
kill $server
wait $server || say "the pool: $(cat "$work/served")"
exit $bad
