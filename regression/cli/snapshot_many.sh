# SPDX-License-Identifier: MIT
# AT_ONCE clones at once and IN_ROW one after another, of their own and out of a pool: none fails, nothing stays
# behind, and what serves them has as many processes and descriptors, and as much memory, in the end as after the first ones.
. "$(dirname "$0")/lib.sh.inc"
at_once=${AT_ONCE:-100} in_row=${IN_ROW:-200}
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME" && mkdir -m 700 "$work/run"
cat >"$work/tool.c" <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    char *table = malloc(1 << 20);
    memset(table, 't', 1 << 20);
    int ready = open("/proc/pal/ready", O_WRONLY), made, byte;
    if (write(ready, "1", 1) != 1)
        return 2;
    if (fork())
        return wait(NULL) < 0;
    made = open("/tmp/mine", O_WRONLY | O_CREAT | O_EXCL, 0600); /* nobody else has been in this folder */
    table[getpid() % (1 << 20)] = 'c';
    if (made < 0 || write(made, table, 4096) != 4096)
        return 3;
    byte = getchar(); /* an end of file: now all are there */
    printf("%d\n", byte);
    return 0;
}
C
gcc -O1 -w "$work/tool.c" -o "$work/tool" || exit 1
export XDG_RUNTIME_DIR=$work/run # private folders of the sandboxes lie here
"$PAL" snapshot make tool -- "$work/tool" 2>"$work/err" || say "make: $(cat "$work/err")"
cat >"$work/many.py" <<'P'
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: who is left comes here
at_once, in_row, server, command = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
bad = 0
MORE = 512  # KiB that the server may come to have: what its allocator keeps
def entries(path):
    try:
        return len(os.listdir(path))
    except OSError:
        return 0
def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid)) as names:
        return names.read().split()
def used():
    """Of the server: descriptors, members, KiB of its own; of the machine: what a sandbox could leave."""
    if not server:
        return (0, 0, 0, entries('/dev/shm'))
    with open('/proc/%d/statm' % server) as sizes:
        pages = sizes.read().split()
    return (entries('/proc/%d/fd' % server), len(children(server)), (int(pages[1]) - int(pages[2])) * 4, entries('/dev/shm'))
def settled(than):
    """What is used once it is no more than that: members that end or begin are waited for."""
    for _ in range(100):
        now = used()
        if all(n <= t for n, t in zip(now, than)):
            break
        time.sleep(0.1)
    return now
held, hold = os.pipe()
os.set_inheritable(hold, False)
running = [subprocess.Popen(command, stdin=held, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(at_once)]
os.close(held)
os.close(hold)
for process in running:
    said = process.communicate()[0]
    if process.returncode or said != b'-1\n':
        bad += 1
        bad < 4 and print('of %d at once: status %d, %r' % (at_once, process.returncode, said))
first = None
for turn in range(in_row):
    if turn == min(100, in_row // 2):
        time.sleep(0.5)
        now = used()
        first = (now[0] + 8, now[1] + 4, now[2] + MORE, now[3] + 16)  # members come and go; others use the machine, too
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ended.returncode or ended.stdout != b'-1\n':
        bad += 1
        bad < 4 and print('in a row: status %d, %r' % (ended.returncode, ended.stdout))
last = settled(first) if first else ()
if any(n > t for n, t in zip(last, first or ())):
    bad += 1
    print('descriptors, members, KiB and shared files of the server: %s, not up to %s' % (last, first))
left = children(os.getpid())
left and print('processes are left:', *left)
sys.exit(bool(bad or left))
P
folders() { find "$XDG_RUNTIME_DIR" -mindepth 1 -maxdepth 1 | wc -l; }
python3 "$work/many.py" "$at_once" "$in_row" 0 "$PAL" snapshot run tool || say "clones"
[ "$(folders)" = 0 ] || say "private folders are left: $(ls -lR "$XDG_RUNTIME_DIR")"
"$PAL" serve tool --socket "$work/socket" --pool 8 --most 32 2>"$work/served" &
server=$!
for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.05; done
# At most 32 run: each reads its input's end at once, and makes way for the next.
python3 "$work/many.py" "$at_once" "$in_row" $server "$PAL" snapshot run --pool "$work/socket" || say "a pool's clones: $(cat "$work/served")"
kill $server
wait $server || say "the server: $(cat "$work/served")"
for _ in $(seq 50); do [ "$(folders)" = 0 ] && break; sleep 0.1; done
[ "$(folders)" = 0 ] || say "private folders are left by the pool: $(ls -lR "$XDG_RUNTIME_DIR")"
"$PAL" snapshot rm tool
exit $bad
