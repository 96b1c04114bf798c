#!/bin/bash
# SPDX-License-Identifier: MIT
# --ask at a terminal that other sandboxes draw on: they stand still while a question does, begin after it, and go on in any case.
set -eu
home=$(mktemp -d /var/tmp/pal-ask.XXXXXX)
trap 'rm -rf "$home"' EXIT
export HOME=$home XDG_CACHE_HOME=$home/.cache PYTHONDONTWRITEBYTECODE=1
B=$(realpath "$B")
asking=$(realpath "$(dirname "$0")")
cd "$home"
python3 - "$B" "$asking" <<'END'
import os, re, select, signal, subprocess, sys, time
sys.path.insert(0, sys.argv[2])
from asking import Terminal, limit

PAL = sys.argv[1] + "/pal-run"
HOME = os.environ["HOME"]
limit(120)
for name in ("proj/a", "proj/b", "more/c"):
    os.makedirs(os.path.dirname(HOME + "/" + name), exist_ok=True)
    open(HOME + "/" + name, "w").write(name + "\n")
os.mkdir(HOME + "/app")
os.chdir(HOME + "/app")
DRAWS = PAL + " /bin/sh -c 'while :; do echo drawn; sleep 0.02; done'"

def asks(name):
    return PAL + " --ask /bin/sh -c 'read line </dev/tty; cat %s/%s'" % (HOME, name)

def silent(terminal, seconds=0.4):
    """While a question stands nothing else is drawn."""
    end = time.time() + seconds
    while select.select([terminal.fd], [], [], max(0, end - time.time()))[0]:
        sys.exit("something is drawn on a question: %r" % os.read(terminal.fd, 4096))
    if terminal.seen.strip():
        sys.exit("something is drawn behind a question: %r" % terminal.seen)

def end(terminal):
    """With all of its session: what runs in the background, or in jobs of its own, would go on."""
    subprocess.run(["pkill", "-KILL", "-s", str(terminal.pid)])
    os.close(terminal.fd)
    os.waitpid(terminal.pid, 0)

# One that is there already, in a pipeline's other process or in another job.
for mode in ("", "set -m; "):
    t = Terminal("/bin/bash", "-c", mode + DRAWS + " & " + asks("proj/a") + "; wait")
    t.expect("drawn")
    t.type("go\n")
    t.answer("once", "read .*proj/a")
    t.expect("proj/a")
    t.expect("drawn")
    end(t)
t = Terminal("/bin/bash", "-c", asks("proj/a") + " & echo asker $!; " + DRAWS)
t.expect(r"asker (\d+)")
asker = int(t.found[1])
t.expect("drawn")
t.type("go\n")
t.expect("wants to read .*proj/a")
t.expect("answer: ")
silent(t)
os.kill(asker, signal.SIGKILL)
t.expect("drawn")
end(t)

# One that comes while the question stands.
t = Terminal("/bin/bash", "-c", "(while [ ! -e go ]; do sleep 0.02; done; exec %s) & %s; wait" % (DRAWS, asks("proj/a")))
t.type("go\n")
t.expect("wants to read .*proj/a")
t.expect("answer: ")
open("go", "w")
silent(t)
t.type("never\n")
t.expect("drawn")
end(t)

# Two that ask: one question after the other, and nobody's is lost; nor is it while one has its turn but does not listen yet.
SLOW = "strace -qq -o /dev/null -e trace=listen -e inject=listen:delay_enter=700000:when=2 "
for slow in ("", SLOW):
    t = Terminal("/bin/bash", "-c", "%s --ask /bin/cat %s/proj/a & %s %s --ask /bin/cat %s/more/c; wait" %
                 (slow + PAL, HOME, "sleep 0.4;" if slow else "", PAL, HOME))
    said = ""
    for _ in range(2):
        t.expect("wants to read .*(proj/a|more/c)")
        said += t.before # what the first one shows may come behind the second question
        t.expect("answer: ")
        silent(t)
        t.type("once\n")
    said += t.end()[0]
    for name in ("proj/a", "more/c"):
        if not re.search(r"^%s\r?$" % name, said, re.M):
            sys.exit("%s was not shown: %r" % (name, said))
END
