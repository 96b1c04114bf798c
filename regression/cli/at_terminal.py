# SPDX-License-Identifier: MIT
"""at_terminal.py WANTED COMMAND: runs it on a terminal, where the answers that WANTED has after "answer: " are typed."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(__file__))
from asking import Terminal

signal.alarm(60)
os.environ["TERM"] = "dumb"
answers = re.findall("^pal-run: answer: (.*)", open(sys.argv[1]).read(), re.M)
terminal = Terminal("/bin/bash", "-c", sys.argv[2], TERM="dumb")
text, seen = "", 0
while True:
    try:
        part = os.read(terminal.fd, 4096).decode(errors="replace")
    except OSError:
        break
    text += part
    if text.find("answer: ", seen) >= 0 and answers:
        seen = text.find("answer: ", seen) + 8
        os.write(terminal.fd, (answers.pop(0) + "\n").encode())
sys.stdout.write(text.replace("\r\n", "\n").replace("\x18", ""))
