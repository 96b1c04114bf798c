#!/bin/bash
# SPDX-License-Identifier: MIT
# The user's terminal: keys meant for others, modes and flags after every kind of end; through pseudoterminals.
set -eu
exec python3 - "$B" <<'END'
import fcntl, os, pty, re, select, signal, socket, subprocess, sys, tempfile, termios, time

PAL_RUN, KEYS = sys.argv[1] + "/pal-run", sys.argv[1] + "/hostile/keys"
SECRET = "sudo-password-4711"
LIMIT = 30

class Terminal:
    """A program on a terminal of its own; we keep its inner side, too."""

    def __init__(self, *command, user=None):
        self.seen = ""
        self.outer, self.inner = pty.openpty()
        if user is not None:
            os.fchown(self.inner, user, user)
        self.before = termios.tcgetattr(self.inner)
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            fcntl.ioctl(self.inner, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.inner, fd)
            os.closerange(3, 64)
            os.environ.update(PS1="<prompt> ", TERM="dumb", HISTFILE="/dev/null")
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                os.environ["HOME"] = "/nonexistent"
            os.execvp(command[0], command)

    def type(self, text):
        os.write(self.outer, text.encode())

    def expect(self, pattern):
        end = time.time() + LIMIT
        while True:
            found = re.search(pattern, self.seen)
            if found:
                text, self.seen = self.seen[:found.end()], self.seen[found.end():]
                return text
            if not select.select([self.outer], [], [], max(0, end - time.time()))[0]:
                sys.exit("waited in vain for %r: %r" % (pattern, self.seen))
            self.seen += os.read(self.outer, 4096).decode(errors="replace")

    def modes_are_back(self, what):
        end = time.time() + LIMIT
        while termios.tcgetattr(self.inner) != self.before:
            if time.time() > end:
                sys.exit("modes were not put back: " + what)
            time.sleep(0.01)

    def end(self):
        os.waitpid(self.pid, 0)
        os.close(self.outer)
        os.close(self.inner)

def background(user, options, redirection):
    """The shell reads a password while the job looks for it."""
    shell = Terminal("/bin/bash", "--norc", "--noediting", "-i", user=user)
    shell.expect("<prompt> ")
    shell.type("%s %s %s steal 1 %s &\n" % (PAL_RUN, options, KEYS, redirection))
    shell.expect("<prompt> ")
    shell.type("read -rs password; echo \"it is <$password>\"\n")
    time.sleep(0.5)
    shell.type(SECRET + "\n")
    text = shell.expect("it is <.*>")
    text += shell.expect("nothing more")
    if "STOLEN" in text or "it is <%s>" % SECRET not in text:
        sys.exit("keys were read in the background: %r" % text)
    shell.type("\n%s %s %s modes background\n" % (PAL_RUN, options, KEYS))
    shell.expect("CHANGED|refused") # in front: as it likes
    shell.type("\n(%s %s %s modes background) & wait\n" % (PAL_RUN, options, KEYS))
    if "CHANGED" in shell.expect("CHANGED|refused"):
        sys.exit("modes were changed in the background")
    shell.type("\nexit\n")
    shell.end()

def in_front(user, options):
    """What is typed for it, it gets: asked past its libOS, and by a plain program on any stream."""
    program = Terminal(PAL_RUN, *options.split(), KEYS, "steal", "1", user=user)
    program.type("a line\n")
    program.expect("STOLEN by request: a line")
    program.end()
    for command in ("read x; echo got $x", "read x <&2; echo got $x", "read x </dev/tty; echo got $x",
                    "exec </dev/null; read x <&1; echo got $x"):
        program = Terminal(PAL_RUN, *options.split(), "/bin/sh", "-c", command, user=user)
        program.type("a line\n")
        program.expect("got a line")
        program.end()

def ends(user, options):
    for how in ("exit", "killed", "SIGTERM", "SIGKILL", "SIGHUP"):
        for redirection in ("", "</dev/null"):
            stays = how.startswith("SIG")
            program = Terminal("/bin/sh", "-c", "exec %s %s %s modes %s %s" % (
                PAL_RUN, options, KEYS, "stay" if stays else how, redirection), user=user)
            program.expect("changed")
            if stays:
                os.kill(program.pid, getattr(signal, how))
            program.modes_are_back("%s %s" % (how, redirection))
            program.end()

def flags(options):
    """Of descriptions that others have, too."""
    sockets, log = socket.socketpair(), tempfile.NamedTemporaryFile()
    log = open(log.name, "ab")
    for how in ("pipe", "socket", "terminal"):
        if how == "pipe":
            ends = os.pipe()
            fds = (os.pipe()[0], ends[1], ends[1])
        elif how == "socket":
            fds = tuple(end.fileno() for end in sockets) + (log.fileno(),)
        else:
            terminal = pty.openpty()
            fds = (terminal[1],) * 3
        before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]
        for end in (0, signal.SIGKILL):
            command = [PAL_RUN, *options.split(), KEYS, "flags"] + (["stay"] if end else [])
            program = subprocess.Popen(command, stdin=fds[0], stdout=fds[1], stderr=fds[2])
            if end:
                time.sleep(0.5)
                program.send_signal(end)
            program.wait()
            limit = time.time() + LIMIT
            while before != [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]:
                if time.time() > limit:
                    sys.exit("flags of a %s were not put back" % how)

signal.alarm(250)
for options in ("", "--trap=seccomp"):
    for user in (None, 65534) if os.getuid() == 0 else (None,):
        for redirection in ("", "</dev/null"):
            background(user, options, redirection)
        in_front(user, options)
        ends(user, options)
    flags(options)
END
