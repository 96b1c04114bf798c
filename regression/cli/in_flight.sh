# SPDX-License-Identifier: MIT
# Descriptors on their way count for all processes of a user (ETOOMANYREFS): starts, answers and connections wait for others' to be
# received; where that never comes, one line tells.
. regression/cli/lib.sh.inc
cat >"$work/in_flight.py" <<'EOS'
import os, resource, socket, subprocess, sys, time
pal, patience = sys.argv[1], sys.argv[2]
LIMIT = 100
pairs = []
def hold():  # more than the limit: each packet may pass it by what it holds
    try:
        while True:
            pair = socket.socketpair()
            socket.send_fds(pair[0], [b"x"], [0] * 60)
            pairs.append(pair)
            assert len(pairs) < 50
    except OSError as error:
        assert error.errno == 109, error
        pair[0].close(), pair[1].close()
def release():
    while pairs:
        ends = pairs.pop()
        ends[0].close(), ends[1].close()
def start(*command):
    return subprocess.Popen([pal, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
try:
    hold()
except AssertionError:
    print("this user may have any number of descriptors on their way")
    sys.exit(77)
if patience == "short":
    run = start("/bin/echo", "started")
    time.sleep(0.5)
    release()
    assert run.communicate() == ("started\n", ""), run.returncode
    run = start("/usr/bin/python3", "-c", """
import socket
print("up", flush=True)
input()
print(open("/etc/debian_version").read() != "", flush=True)
ends = socket.socketpair(), socket.create_server(("127.0.0.1", 7000))
socket.create_connection(("127.0.0.1", 7000))
import subprocess
print(subprocess.run(["/bin/echo", "child"], capture_output=True).stdout)""")
    assert run.stdout.readline() == "up\n"
    hold()
    run.stdin.write("on\n")
    run.stdin.flush()
    time.sleep(0.5)
    release()
    assert run.communicate() == ("True\nb'child\\n'\n", ""), run.returncode
else:
    run = start("/bin/echo", "started")
    out, error = run.communicate()
    assert run.returncode == 125 and not out and "more descriptors on their way" in error and error.count("\n") == 1, (out, error)
EOS
chmod -R a+rX "$work"
user=()
[ "$(id -u)" != 0 ] || user=(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent) # root may have any number
timeout 100 "${user[@]}" python3 "$work/in_flight.py" "$PAL" "${1:-short}" >"$work/said" 2>&1
status=$?
cat "$work/said"
[ $status = 77 ] && exit 77
[ $status = 0 ] || say "status $status"
exit $bad
