#!/bin/bash
# SPDX-License-Identifier: MIT
# Guests against --ask: floods of questions, escape sequences in names, drawing on the prompt and typing into it, and what is
# asked about being swapped while the question stands.
set -eu
home=$(mktemp -d /var/tmp/pal-ask.XXXXXX)
trap 'chmod -R u+rwX "$home"; rm -rf "$home"' EXIT
export PYTHONDONTWRITEBYTECODE=1
B=$(realpath "$B")
asking=$(realpath "$(dirname "$0")/../cli")
cd "$home"
python3 - "$B" "$asking" "$home" <<'END'
import json, os, select, shutil, sys, time
sys.path.insert(0, sys.argv[2])
from asking import Embedder, Terminal, limit, same

B, HOME = sys.argv[1], sys.argv[3]
ASK = B + "/hostile/ask"
limit(280)

def fresh(user):
    os.chdir(HOME)
    for name in os.listdir(HOME):
        shutil.rmtree(os.path.join(HOME, name))
    for name in ("home/.ssh", "home/open/in", "home/app", "home/.cache", "data"):
        os.makedirs(os.path.join(HOME, name))
    for n in range(300):
        os.makedirs("%s/data/u%d" % (HOME, n))
        open("%s/data/u%d/f" % (HOME, n), "w").close()
    for name in ("home/.ssh/lib", "home/open/in/lib", "home/lib"):
        with open(os.path.join(HOME, name), "w") as out:
            out.write("the secret\n")
    os.environ.update(HOME=HOME + "/home", XDG_CACHE_HOME=HOME + "/home/.cache")
    if user:
        os.system("chown -R %d:%d %s; chmod 755 %s" % (user, user, HOME, HOME))
    os.chdir(HOME + "/home/app")

def quiet_for(terminal, seconds):
    end, seen = time.time() + seconds, ""
    while time.time() < end:
        if select.select([terminal.fd], [], [], 0.1)[0]:
            seen += os.read(terminal.fd, 65536).decode(errors="replace")
    return seen

def flood(pal):
    run = Embedder(*pal, ASK, "flood", HOME + "/data", "300")
    count, names = 0, set()
    while True:
        line = run.lines.readline()
        if not line:
            break
        question = json.loads(line)
        count += 1
        names.add(question["grants"])
        run.reply(question, "never")
    out, err, status = run.end()
    same("flood", (out, status, count <= 64, len(names) == count), ("refused\n", 0, True, True))
    same("said once", err.count("questions were asked"), 1 if count == 64 else 0)
    # At the terminal one word ends it, and nobody who is away is asked more than three times.
    run = Terminal(*pal, "--ask", ASK, "flood", HOME + "/data", "300")
    run.answer("quiet", "read .*/data/u")
    same("quiet", run.end(), ("quiet\r\nrefused\r\n", 0))
    run = Terminal(*pal, "--ask=1", ASK, "flood", HOME + "/data", "300")
    text = ""
    while True:
        try:
            part = os.read(run.fd, 65536)
        except OSError:
            break
        text += part.decode()
    os.waitpid(run.pid, 0)
    same("away", (text.count("wants to"), "and nothing more is asked" in text, "refused" in text), (3, True, True))

def names(pal):
    odd = "a\033[2J\033]0;x\007\nb\rpal-run: yes\x9b2J\\x"
    with open(os.path.join(HOME, "data", "u0", odd), "wb"):
        pass
    run = Terminal(*pal, "--ask", "/bin/cat", os.path.join(HOME, "data", "u0", odd))
    run.answer("never", r"/u0/a\\x1b\[2J\\x1b\]0;x\\x07\\x0ab\\x0dpal-run: yes\\xc2\\x9b2J\\x5cx$")
    run.end()
    # What can't be shown whole is not asked about.
    long = os.path.join(HOME, "data", "u0", "\033" * 120)
    open(long, "w").close()
    run = Terminal(*pal, "--ask", "/bin/cat", long)
    same("long", run.end()[1], 1)

def draws(pal, how):
    run = Terminal(*pal, "--ask", "--walls=monitor", ASK, how, HOME + "/home/lib")
    run.expect("wants to read ~/lib\r\n")
    run.expect("answer: ")
    same("%s: on the prompt" % how, run.seen + quiet_for(run, 1), "")
    run.type("never\n")
    text, status = run.end()
    same("%s: refused" % how, ("refused" in text, "OPENED" in text, status), (True, False, 0))

def swaps(pal):
    for word in ("run", "once"):
        shutil.rmtree(HOME + "/home/open")
        os.makedirs(HOME + "/home/open/in")
        shutil.copy(HOME + "/home/lib", HOME + "/home/open/in/lib")
        os.system("chmod -R a+rwX %s/home/open" % HOME)
        run = Embedder(*pal, "--rw", "/srv/w=%s/home/open" % HOME, ASK, "swap", HOME + "/home/open/in/lib", "/srv/w/in",
                       HOME + "/home/.ssh")
        question = run.question()
        same("swap: asked", question["host"].startswith(HOME + "/home/open/in"), True)
        time.sleep(1)
        run.reply(question, word)
        same("swap, then %s" % word, run.end()[0], "swapped refused\n")

for user in (0, 65534) if os.getuid() == 0 else (0,):
    prefix = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"] if user else []
    for options in ([], ["--trap=seccomp"]):
        fresh(user)
        pal = prefix + [B + "/pal-run"] + options
        if not user or not options:
            names(pal)
        draws(pal, "draw")
        draws(pal, "type")
        if not options:
            embed = pal
            flood(embed)
            swaps(embed)
END
