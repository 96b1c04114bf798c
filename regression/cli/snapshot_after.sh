# SPDX-License-Identifier: MIT
# What programs do after the point, in clones: threads, children, imports, TLS, event loops and pools that were made before it, signals,
# exec; Python, Perl, Ruby and PHP, by the helper of docs/snapshots.md or their own fork.
. "$(dirname "$0")/lib.sh.inc"
export XDG_DATA_HOME=$work/data
mkdir "$XDG_DATA_HOME"
both() { # NAME WANTED COMMAND...: a clone, and a pool's
    local name=$1 wanted=$2 got
    shift 2
    "$PAL" snapshot make "$name" --ro "$work" -- "$@" >"$work/out" 2>"$work/err" </dev/null || say "$name: make: $(cat "$work/out" "$work/err")"
    for option in '' --trap=seccomp --walls=monitor; do
        got=$("$PAL" snapshot run $option --ro "$work" "$name" one 'two three' 2>&1 </dev/null)
        [ "$got" = "$wanted" ] || say "$name $option:" "$(diff <(echo "$got") <(echo "$wanted"))"
    done
    "$PAL" serve "$name" --pool 1 --socket "$work/socket" 2>"$work/served" &
    local server=$!
    for _ in $(seq 100); do [ -S "$work/socket" ] && break; sleep 0.05; done
    got=$("$PAL" snapshot run --pool "$work/socket" one 'two three' 2>&1 </dev/null)
    [ "$got" = "$wanted" ] || say "$name out of a pool:" "$(diff <(echo "$got") <(echo "$wanted"))" "$(cat "$work/served")"
    kill $server
    wait $server
}
{
    echo 'import asyncio, multiprocessing, selectors, signal, socket, ssl, subprocess, threading, time'
    echo 'import os, sys'
    sed -n '/^def snapshot_point/,/^```/p' docs/snapshots.md | grep -v '^```'
    cat <<'P'
loop = asyncio.new_event_loop()                      # has an epoll set and a socket pair
selector = selectors.DefaultSelector()
ours, theirs = socket.socketpair()
selector.register(ours, selectors.EVENT_READ, 'ours')
context = ssl.create_default_context()
lock, event = threading.Lock(), threading.Event()
local = threading.local()
local.value = 'of the main thread'
def later(number, frame):
    print('signal', signal.Signals(number).name)
signal.signal(signal.SIGALRM, later)
snapshot_point()

print(sys.argv[1:])
def work():
    with lock:
        print('thread', getattr(local, 'value', None), flush=True)
    event.set()
thread = threading.Thread(target=work)
thread.start()
print('event', event.wait(10), local.value)
thread.join()
async def both():
    first = asyncio.create_task(asyncio.sleep(0.01, 'slept'))
    second = loop.run_in_executor(None, lambda: 'in a thread')
    return await first, await second
print('loop', loop.run_until_complete(both()))
theirs.send(b'x')
print('selector', [key.data for key, _ in selector.select(10)], ours.recv(10))
print('child', subprocess.run(['/bin/echo', 'of a clone'], capture_output=True, text=True).stdout.strip())
import fractions, wave, zoneinfo
print('imports', fractions.Fraction(1, 3) + 1)
server, client = ssl.MemoryBIO(), ssl.MemoryBIO()
session = context.wrap_bio(server, client, server_hostname='example.org')
try:
    session.do_handshake()
except ssl.SSLWantReadError:
    print('tls', client.pending > 100)
if __name__ == '__main__':
    with multiprocessing.get_context('fork').Pool(2) as pool:
        print('pool', pool.map(abs, range(-3, 3)))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.1)
large = bytearray(50 << 20)
print('large', large.count(0))
sys.stdout.flush()
os.execv('/bin/echo', ['echo', 'another program'])
P
} >"$work/after.py"
both python "['one', 'two three']
thread None
event True of the main thread
loop ('slept', 'in a thread')
selector ['ours'] b'x'
child of a clone
imports 4/3
tls True
pool [3, 2, 1, 0, 1, 2]
signal SIGALRM
large 52428800
another program" /usr/bin/python3 "$work/after.py"

cat >"$work/after.pl" <<'P'
use POSIX; use Data::Dumper; use File::Temp; use IO::Select;
$| = 1;
pipe(my $read, my $write);
my $select = IO::Select->new($read);
if (open(my $ready, '>', '/proc/pal/ready')) {
    print $ready 1; close $ready;
    if (my $child = fork) { waitpid $child, 0; POSIX::_exit(0) }
    open(my $start, '<', '/proc/pal/start');
    local $/;
    my @words = split /\0/, <$start>;
    @ARGV = @words[2 .. $words[0]];
}
print "@ARGV\n";
syswrite $write, 'piped';
print scalar($select->can_read(10)), " ready\n";
print `echo a child`;
$SIG{ALRM} = sub { print "alarm\n" };
alarm 1; sleep 5;
require Text::Wrap;
my ($file, $name) = File::Temp::tempfile();
print -e $name ? "a file\n" : "no file\n";
exec '/bin/echo', 'another program';
P
command -v perl >/dev/null && both perl 'one two three
1 ready
a child
alarm
a file
another program' /usr/bin/perl "$work/after.pl"

cat >"$work/after.rb" <<'R'
require 'json'; require 'set'; require 'tempfile'
if (File.write('/proc/pal/ready', '1') rescue nil)
  if (child = fork)
    Process.wait(child); exit!(0)
  end
  words = File.binread('/proc/pal/start').split("\0")
  ARGV.replace(words[2..words[0].to_i])
end
STDOUT.sync = true
puts ARGV.inspect
puts Thread.new { 'thread' }.value
puts `echo a child`
puts JSON.generate(a: [1, 2])
require 'digest'
puts Digest::SHA256.hexdigest('x')[0, 8]
exec '/bin/echo', 'another program'
R
command -v ruby >/dev/null && both ruby '["one", "two three"]
thread
a child
{"a":[1,2]}
2d711642
another program' "$(command -v ruby)" "$work/after.rb"

cat >"$work/after.php" <<'H'
<?php
if (@file_put_contents('/proc/pal/ready', '1')) {
    if ($child = pcntl_fork()) { pcntl_waitpid($child, $status); exit(0); }
    $words = explode("\0", file_get_contents('/proc/pal/start'));
    $argv = array_slice($words, 1, (int)$words[0]);
}
echo implode(' ', array_slice($argv, 1)), "\n";
echo shell_exec('echo a child');
echo json_encode(['a' => [1, 2]]), "\n";
echo strlen(random_bytes(8)), "\n";
H
command -v php >/dev/null && php -m | grep -q pcntl && both php 'one two three
a child
{"a":[1,2]}
8' "$(command -v php)" "$work/after.php"
exit $bad
