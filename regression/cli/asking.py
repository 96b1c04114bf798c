# SPDX-License-Identifier: MIT
"""For ask.sh, here and beside hostile programs: pal-run --ask at a terminal, and --ask-fd."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time

LIMIT = 30


class Terminal:
    """pal-run on a terminal of its own.  What it printed since the last match is `seen`."""

    def __init__(self, *command, **environment):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update({"TERM": "xterm", **environment})
            os.execvp(command[0], command)

    def expect(self, pattern):
        end = time.time() + LIMIT
        while True:
            found = re.search(pattern, self.seen)
            if found:
                before, self.seen = self.seen[:found.start()], self.seen[found.end():]
                self.before, self.found = before, found
                return found
            if not select.select([self.fd], [], [], max(0, end - time.time()))[0]:
                sys.exit("waited in vain for %r: %r" % (pattern, self.seen))
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                part = b""
            if not part:
                sys.exit("ended before %r: %r" % (pattern, self.seen))
            self.seen += part.decode(errors="replace")

    def answer(self, word, asked):
        """The next question is about `asked`: a pattern."""
        self.expect(r"pal-run: \S+ wants to ([^\r\n]*)\r\n")
        if not re.search(asked, self.found[1]):
            sys.exit("asked for %r, not %r" % (self.found[1], asked))
        self.expect("answer: ")
        self.type(word + "\n")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The rest of what it prints, and its status."""
        while True:
            try:
                part = os.read(self.fd, 65536)
            except OSError:
                break
            if not part:
                break
            self.seen += part.decode(errors="replace")
        rest, self.seen = self.seen, ""
        if "wants to" in rest:
            sys.exit("one more question: %r" % rest)
        return rest, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Embedder:
    """pal-run with --ask-fd: questions are read and answered by hand."""

    def __init__(self, *command, **more):
        self.ours, theirs = socket.socketpair()
        number = theirs.fileno()
        at = [i for i, word in enumerate(command) if word.endswith("/pal-run")][0] + 1
        self.process = subprocess.Popen([*command[:at], "--ask-fd", str(number), *command[at:]], pass_fds=[number],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        theirs.close()
        self.ours.settimeout(LIMIT)
        self.lines = self.ours.makefile("rw")

    def question(self):
        return json.loads(self.lines.readline())

    def reply(self, question, word):
        self.lines.write(json.dumps({"ask": question["ask"], "answer": word}) + "\n")
        self.lines.flush()

    def is_silent(self):
        return not select.select([self.ours], [], [], 0.3)[0]

    def end(self):
        out, err = self.process.communicate(timeout=LIMIT)
        return out, err, self.process.returncode


def same(what, got, wanted):
    if got != wanted:
        sys.exit("%s: %r, not %r" % (what, got, wanted))


def limit(seconds):
    signal.alarm(seconds)
