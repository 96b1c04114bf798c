#!/bin/bash
# SPDX-License-Identifier: MIT
# The user's terminal: an interactive bash under pal-run, and pal-run under one, driven through a pseudoterminal.
set -eu
exec python3 - "$B/pal-run" <<'END'
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

PAL_RUN = sys.argv[1]
LIMIT = 20

class Terminal:
    """A program on a terminal of its own, as a terminal emulator starts one."""

    def __init__(self, *command):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(PS1="<prompt> ", TERM="dumb", HISTFILE="/dev/null")
            os.execvp(command[0], command)
        self.resize(24, 80)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Waits for it in what comes after the last match."""
        end = time.time() + LIMIT
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if not select.select([self.fd], [], [], max(0, end - time.time()))[0]:
                sys.exit("waited in vain for %r: %r" % (pattern, self.seen))
            try:
                part = os.read(self.fd, 4096)
            except OSError:
                part = b""
            if not part:
                sys.exit("ended before %r: %r" % (pattern, self.seen))
            self.seen += part.decode(errors="replace")

    def run(self, command, pattern):
        self.type(command + "\n")
        self.expect(re.escape(command) + r"\r\n")
        found = self.expect(pattern)
        self.expect("<prompt> ")
        return found

    def until_idle(self):
        """Waits till pal-run's first process sleeps.  What bash 5.2 draws is no sign that it waits for keys already,
        and a signal between the two has no effect before the next key: so it is natively, too."""
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as file:
            first = file.read().split()[0]
        end = time.time() + LIMIT
        while True:
            with open("/proc/%s/stat" % first) as file:
                if file.read().rpartition(")")[2].split()[0] == "S":
                    return
            if time.time() > end:
                sys.exit("the shell never waits for keys")
            time.sleep(0.001)

    def status(self):
        while True:
            try:
                if not os.read(self.fd, 4096):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

def guest_shell():
    """bash is the first process: jobs stop, resume and die alone, and bash stays."""
    shell = Terminal(PAL_RUN, "--env", "PS1", "/bin/bash", "--norc", "-i")
    shell.expect("<prompt> ")
    assert "no job control" not in shell.seen
    shell.run("tty; test -t 0 && echo it is", r"/dev/pts/\d+\r\nit is")
    shell.run("stty size", "24 80")
    shell.resize(40, 132)
    shell.run("stty size", "40 132")
    shell.run("echo $LINES $COLUMNS", "40 132")
    shell.type("sleep 100\n")
    time.sleep(0.3)
    shell.type("\x1a")
    shell.expect(r"\^Z[^<]*Stopped +sleep 100")
    shell.expect("<prompt> ")
    shell.run("jobs", r"\[1\]\+  Stopped +sleep 100")
    shell.type("fg\n")
    shell.expect("sleep 100\r\n")
    time.sleep(0.3)
    shell.type("\x03")
    shell.expect("<prompt> ")
    shell.run("echo status=$?", "status=130")
    shell.run("cat & sleep 0.3; jobs", r"\[1\]\+  Stopped +cat")
    shell.run("kill %1; wait; echo gone", "gone")
    shell.type("sleep 100 | cat\n")
    time.sleep(0.3)
    shell.type("\x1c")
    shell.expect("<prompt> ")
    shell.run("echo ${PIPESTATUS[*]}", "131 131")
    shell.run("trap 'echo resized' WINCH; :", "")
    shell.until_idle()
    shell.resize(30, 90)
    shell.expect("resized")
    shell.type("\n")
    shell.expect("<prompt> ")
    shell.type("half a line")
    shell.expect("half a line")
    shell.until_idle()
    shell.type("\x03")
    shell.expect("<prompt> ")
    shell.run("echo still here > /dev/tty", "still here")
    shell.type("exit 7\n")
    assert shell.status() == 7

def interrupted_program():
    """A program alone: keys end it, and pal-run tells by which signal."""
    for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)):
        program = Terminal(PAL_RUN, "/bin/sh", "-c", "echo ready; exec sleep 100")
        program.expect("ready")
        time.sleep(0.2)
        program.type(key)
        assert program.status() == 128 + number

def job_of_the_user():
    """pal-run is a job of the user's shell: ^Z gives the terminal back, fg goes on."""
    shell = Terminal("/bin/bash", "--norc", "-i")
    shell.expect("<prompt> ")
    shell.type(PAL_RUN + " /bin/sh -c 'echo begun; read line; echo got $line'\n")
    shell.expect("\nbegun")
    time.sleep(0.3)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("<prompt> ")
    shell.type("fg\n")
    time.sleep(0.5)
    shell.type("more\n")
    shell.expect("got more")
    shell.expect("<prompt> ")
    shell.run(PAL_RUN + " /bin/cat & sleep 1; jobs", "Stopped")
    shell.type("kill -9 %1\nexit\nexit\n") # the first exit may still find it stopped
    shell.status()

signal.alarm(100)
guest_shell()
interrupted_program()
job_of_the_user()
END
