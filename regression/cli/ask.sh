#!/bin/bash
# SPDX-License-Identifier: MIT
# --ask: answers at a terminal and on a socket; what was kept of the answer before; the rest of the sandbox goes on.
set -eu
home=$(mktemp -d /var/tmp/pal-ask.XXXXXX)
trap 'rm -rf "$home"' EXIT
export HOME=$home XDG_CACHE_HOME=$home/.cache PYTHONDONTWRITEBYTECODE=1
B=$(realpath "$B")
asking=$(realpath "$(dirname "$0")")
cd "$home"
python3 - "$B" "$asking" <<'END'
import os, socket, struct, subprocess, sys, threading
sys.path.insert(0, sys.argv[2])
from asking import Embedder, Terminal, limit, same

PAL = sys.argv[1] + "/pal-run"
HOME = os.environ["HOME"]
limit(250)

def file(name, text="text\n"):
    path = os.path.join(HOME, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)
    return path

lib = file("proj/shared/lib", "hello\n")
file("proj/shared/more", "more\n")
file(".ssh/id_rsa")
file("work/.git/config", "[core]\n")
os.makedirs(HOME + "/app")
os.chdir(HOME + "/app")

def terminal(walls):
    options = [PAL, walls, "--ask"]
    # For the run: the file's directory, and nothing more is asked.
    run = Terminal(*options, "/bin/sh", "-c", "cat %s %s/proj/shared/more; ls -1 %s/proj/shared" % (lib, HOME, HOME))
    run.answer("run", "read ~/proj/shared/lib$")
    same("run", run.end(), ("run\r\nhello\r\nmore\r\nlib\r\nmore\r\n", 0))
    # Once: this file, looked at and opened; the second opening is another question.
    run = Terminal(*options, "/bin/sh", "-c", "[ -r %s ] && cat %s; cat %s" % (lib, lib, lib))
    run.answer("once", "read ~/proj/shared/lib$")
    run.answer("n", "read ~/proj/shared/lib$")
    text, status = run.end()
    same("once, then never", (text.startswith("n\r\n") and "No such file" in text, status), (True, 1))
    # Never is remembered; a line that is no answer is not one; three of them are a no.
    run = Terminal(*options, "/bin/sh", "-c", "cat %s; cat %s; echo end" % (lib, HOME + "/proj/shared/more"))
    run.answer("yes please", "read ~/proj/shared/lib$")
    run.expect("answer with one of these words, or its first letter: ")
    run.type("\033[?1;2crun\n") # as a terminal answers what a program asks it
    run.expect("answer with one of these words, or its first letter: ")
    run.type("\n")
    text, status = run.end()
    same("no answer", (text.count("No such file"), "end" in text, status), (2, True, 0))
    # Quiet: nothing more.
    run = Terminal(*options, "/bin/sh", "-c", "cat %s; echo x >out; echo end" % lib)
    run.answer("quiet", "read ~/proj/shared/lib$")
    text, status = run.end()
    same("quiet", ("Read-only" in text, "end" in text), (True, True))
    # Writing where reading was allowed already, and a program that asks first whether it may.
    run = Terminal(*options, "/bin/sh", "-c", "[ -w . ] && echo x >out && cat out && mkdir d && mv out d/out && ls d")
    run.answer("run", r"write \./out$")
    same("write", run.end()[0], "run\r\nx\r\nout\r\n")
    same("on the host", open(HOME + "/app/d/out").read(), "x\n")
    os.system("rm -r %s/app/d" % HOME)
    run = Terminal(*options, "/bin/sh", "-c", "mkdir d && rmdir d && mkdir d")
    run.answer("once", r"write \./d$")
    run.answer("never", r"write \./d$")
    same("once", "Read-only" in run.end()[0], True)
    same("once made", os.listdir("."), ["d"])
    os.rmdir("d")
    # No time is left.
    run = Terminal(PAL, walls, "--ask=1", "/bin/sh", "-c", "cat %s; echo end" % lib)
    run.expect("answer: ")
    run.expect("pal-run: no answer: never")
    same("time", "end" in run.end()[0], True)
    # ^C is a no, and the program's as well.
    run = Terminal(*options, "/bin/sh", "-c", "trap 'echo caught' INT; cat %s; echo end" % lib)
    run.expect("answer: ")
    run.type("\003")
    text, status = run.end()
    same("interrupted", ("caught" in text, "end" in text), (True, True))
    run = Terminal(*options, "/bin/cat", lib)
    run.expect("answer: ")
    run.type("\003")
    same("killed by it", run.end()[1], 130)

def unasked(walls):
    """Secrets, rules, what the host has not, symlinks that guests made, and guards behind a yes."""
    run = Terminal(PAL, walls, "--ask", "--hide", "**/hidden", "--rw", HOME + "/app", "/bin/sh", "-c",
                   "cat ~/.ssh/id_rsa ~/none ~/proj/hidden /etc/shadow; ln -s %s/proj/shared/lib link; cat link; "
                   "echo x >%s/work/.git/config; echo end" % (HOME, HOME))
    run.answer("never", "read ~/proj/shared/lib$") # by the link: it is the guest's name for that
    same("unasked", "end" in run.end()[0], True)
    os.unlink("link")
    run = Terminal(PAL, walls, "--ask", "/bin/sh", "-c", "echo x >%s/work/new; echo x >%s/work/.git/config; mkdir ~/work/.vscode; echo end" % (HOME, HOME))
    run.answer("run", "write ~/work/new$")
    text, _ = run.end()
    same("guards %r" % text, text.count("Read-only"), 2)
    same("guarded", open(HOME + "/work/.git/config").read(), "[core]\n")
    os.unlink(HOME + "/work/new")
    # A directory that the guest may write: what it puts there leads nowhere.
    os.makedirs(HOME + "/open/in", exist_ok=True)
    run = Terminal(PAL, walls, "--ask", "--rw", HOME + "/app=%s/open" % HOME, "/bin/sh", "-c",
                   "ln -s %s/proj/shared %s/app/x; cat %s/open/x/lib; echo end" % (HOME, HOME, HOME))
    same("through a guest's symlink", "end" in run.end()[0], True)
    os.unlink(HOME + "/open/x")

def embedded(walls):
    # While a question stands, others are served; one that waits can be killed; what it waited for is not held.
    code = ("import os, signal, subprocess, sys\n"
            "lib = sys.argv[1]\n"
            "child = subprocess.Popen(['/bin/cat', lib])\n"
            "sys.stdin.readline()\n"
            "print(open('/etc/os-release').read() != '', len(os.listdir('/usr')) > 3, flush=True)\n"
            "child.kill(); print(child.wait(), flush=True)\n"
            "print(open(lib).read(), end='', flush=True)\n")
    run = Embedder(PAL, walls, "/usr/bin/python3", "-c", code, lib, stdin=subprocess.PIPE)
    question = run.question()
    same("question", {k: question[k] for k in ("access", "name", "grants", "host", "answers")},
         {"access": "read", "name": lib, "grants": HOME + "/proj/shared", "host": HOME + "/proj/shared", "answers": ["once", "run", "never"]})
    run.process.stdin.write("go\n")
    run.process.stdin.flush()
    same("others", run.process.stdout.readline(), "True True\n")
    same("killed", run.process.stdout.readline(), "-9\n")
    run.reply(question, "run")
    same("after", run.end()[::2], ("hello\n", 0))
    # A signal comes first: the handler runs, and the call goes on waiting.
    code = ("import os, signal, sys\n"
            "signal.signal(signal.SIGALRM, lambda *_: print('alarm', flush=True)); signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
            "print(open(sys.argv[1]).read(), end='', flush=True)\n")
    run = Embedder(PAL, walls, "/usr/bin/python3", "-c", code, lib)
    question = run.question()
    same("signal", run.process.stdout.readline(), "alarm\n")
    run.reply(question, "once")
    same("went on", run.end()[0], "hello\n")
    # The wall limit ends it while it waits.
    run = Embedder(PAL, walls, "--timeout", "1", "/bin/cat", lib)
    run.question()
    same("limit", run.end()[2], 124)
    # Nonsense, another's number, and nobody there: no.
    for line in ("run\n", '{"ask": 77, "answer": "run"}\n', '{"ask": 1, "answer": "always"}\n', None):
        run = Embedder(PAL, walls, "/bin/cat", lib)
        run.question()
        if line:
            run.lines.write(line)
            run.lines.flush()
        else:
            run.lines.close()
            run.ours.close()
        same("nonsense %r" % line, run.end()[2], 1)
    # Names that were not there 64 times, and a listing, are looked at anew after a yes.
    code = ("import os, sys\n"
            "directory = sys.argv[1]\n"
            "def there(name):\n"
            "    try: return bool(os.stat(directory + name))\n"
            "    except OSError: return False\n"
            "print(sum(there('/none') for i in range(64)), there('/name'), flush=True)\n"
            "print(there('/name'), sorted(os.listdir(directory)), flush=True)\n"
            "sys.stdin.readline()\n"
            "print(there('/none'), sorted(os.listdir(directory)), flush=True)\n")
    os.system("rm -rf %s/late" % HOME)
    file("late/name")
    run = Embedder(PAL, walls, "/usr/bin/python3", "-c", code, HOME + "/late", stdin=subprocess.PIPE)
    run.reply(run.question(), "run")
    same("before", run.process.stdout.readline(), "0 True\n")
    same("listed", run.process.stdout.readline(), "True ['name']\n")
    file("late/none")
    run.process.stdin.write("go\n")
    run.process.stdin.flush()
    same("anew", run.end()[0], "True ['name', 'none']\n")

def nobody():
    out = os.popen("setsid -w %s --ask /bin/cat %s 2>&1 </dev/null" % (PAL, lib)).read()
    same("no terminal", out.count("--ask: there is no terminal"), 1)

def always():
    keep = HOME + "/keep.toml"
    run = Terminal(PAL, "--ask", "--ask-keep", keep, "/bin/cat", lib)
    run.answer("always", "read ~/proj/shared/lib$")
    same("always", run.end()[0], "always\r\nhello\r\n")
    run = Terminal(PAL, "--ask", "--ask-keep", keep, "/bin/sh", "-c", "cat %s; echo x >%s/work/kept" % (lib, HOME))
    run.answer("a", "write ~/work/kept$")
    same("kept", run.end()[0], "a\r\n")
    same("without questions", os.popen("%s --ask-keep %s /bin/cat %s %s/work/kept" % (PAL, keep, lib, HOME)).read(), "hello\nx\n")
    # In the run's own manifest.
    manifest = file("job.toml", "# mine\nprogram = '/bin/cat'\n[[mounts]]\nat = '/usr'\n[[mounts]]\nat = '/lib64'\n[[mounts]]\nat = '/bin'\n[[mounts]]\nat = '/lib'\n[[mounts]]\nat = '/etc'\n")
    run = Terminal(PAL, "--ask", "-m", manifest, "--", "/bin/cat", lib)
    run.answer("always", "read ~/proj/shared/lib$")
    run.end()
    same("manifest", os.popen("%s -m %s -- /bin/cat %s" % (PAL, manifest, lib)).read(), "hello\n")
    same("it stays", open(manifest).read().startswith("# mine\nprogram"), True)
    # A file that the guest may write grants nothing.
    same("guest's", os.system("%s --ask-keep %s/app/k.toml --rw %s/app /bin/true 2>/dev/null" % (PAL, HOME, HOME)) >> 8, 125)

def network():
    own = os.popen("hostname -I 2>/dev/null").read().split()
    own = [address for address in own if "." in address][:1]
    if not own: # the sandbox's loopback is its own: only another address leads to the host
        return
    own = own[0]
    web = socket.create_server((own, 0))
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", 0))
    def serve_web():
        while True:
            peer, _ = web.accept()
            peer.sendall(b"reached")
            peer.close()
    asked = []
    def serve_dns():
        while True:
            q, peer = dns.recvfrom(4096)
            at = 12
            while q[at]:
                at += 1 + q[at]
            kind = struct.unpack(">H", q[at + 1:at + 3])[0]
            asked.append(kind)
            body = q[12:at + 5] + (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(own) if kind == 1 else b"")
            dns.sendto(q[:2] + struct.pack(">HHHHH", 0x8180, 1, kind == 1, 0, 0) + body, peer)
    for serve in (serve_web, serve_dns):
        threading.Thread(target=serve, daemon=True).start()
    port = web.getsockname()[1]
    code = ("import socket, sys\n"
            "for i in range(2):\n"
            "    try: print(socket.create_connection(('far.test', int(sys.argv[1]))).recv(64).decode())\n"
            "    except OSError as error: print(type(error).__name__)\n")
    manifest = file("net.toml", "[network]\nmode = 'rules'\ndns = '127.0.0.1:%d'\n[[mounts]]\nat = '/usr'\n[[mounts]]\nat = '/lib64'\n"
                    "[[mounts]]\nat = '/lib'\n[[mounts]]\nat = '/etc'\n" % dns.getsockname()[1])
    for answers, wanted in ((("never",), "PermissionError\nPermissionError\n"), (("run", "run"), "reached\nreached\n"),
                            (("run", "never"), "PermissionError\nPermissionError\n"), (("once", "once"), "reached\nPermissionError\n")):
        del asked[:]
        run = Embedder(PAL, "-m", manifest, "/usr/bin/python3", "-c", code, str(port))
        for i, word in enumerate(answers):
            question = run.question()
            same("access", question["access"], "connect")
            # Its address is private: that is a question of its own.
            same("name", question["name"], "far.test:%d" % port if i == 0 else "%s:%d" % (own, port))
            if i == 0:
                same("asked upstream", asked, [])
            run.reply(question, word)
        if answers[0] == "once": # the second time it is a name without a rule again
            run.reply(run.question(), "never")
        same("network %r" % (answers,), run.end()[0], wanted)

for walls in ("--walls=view", "--walls=monitor"):
    terminal(walls)
    unasked(walls)
    embedded(walls)
nobody()
always()
network()
END
