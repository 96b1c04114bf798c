#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bundles.py BUNDLE FOLDER: no bundle that was changed runs, cut, flipped or forged; each is one line.  Sourced by pack.sh.

A forged one has a digest that is right: anybody can make that, as it is not signed."""
import errno
import hashlib
import os
import re
import struct
import subprocess
import sys
import time

whole = open(sys.argv[1], "rb").read()
form = "<16sII5Q"
END, DIGEST = 96, 32
names = ["magic", "version", "reserved", "program", "image", "image_size", "policy", "policy_size"]
end = dict(zip(names, struct.unpack(form, whole[-END:-DIGEST])))
image, size = end["image"], len(whole)
file = os.path.join(sys.argv[2], "changed")
bad = 0


def opened():
    """Processes of the last one may be about to end: till then it can't be written."""
    while True:
        try:
            return open(file, "r+b" if os.path.exists(file) else "wb")
        except OSError as error:
            if error.errno != errno.ETXTBSY:
                raise
            time.sleep(0.005)


def run(what, data, status, pattern):
    global bad
    with opened() as out:  # the same file each time: only its times tell
        out.write(data)
        out.truncate()
    os.chmod(file, 0o755)
    done = subprocess.run([file], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    lines = done.stderr.splitlines()
    if done.returncode not in status or len(lines) != 1 or not re.search(pattern, lines[0]) or "hello" in done.stdout:
        print(f"{what}: status {done.returncode}: {done.stderr[:300]} {done.stdout[:100]}")
        bad = 1


def flip(at):
    data = bytearray(whole)
    data[at] ^= 1 << at % 8
    run(f"byte {at}", bytes(data), [125], "changed: not run: it ")


def forge(what, status, pattern, text=None, at=0, piece=b"", **fields):
    data, changed = bytearray(whole), dict(end, **fields)
    data[image + at : image + at + len(piece)] = piece
    if text is not None:
        data[end["policy"] : size - END] = text
        changed["policy_size"] = len(text)
        data[-END:] = bytes(END)
    data[-END:-DIGEST] = struct.pack(form, *changed.values())
    data[-DIGEST:] = hashlib.sha256(data[:-DIGEST]).digest()
    run(what, bytes(data), status, pattern)


run_whole = subprocess.run([sys.argv[1]], capture_output=True, text=True)
assert "hello" in run_whole.stdout
# The mark in the ELF header, the padding, the squashfs, the policy, each field of the end.
for at in [9, 15, image - 1, image, (image + size) // 2, end["policy"], size - END - 1, size - 96, size - 80, size - 60, size - 40, size - 1]:
    flip(at)
for cut in [1, END, size - image, size // 2 - 4096 * 500]:
    run(f"cut by {cut}", whole[:-cut], [125], "changed: not run: it ")
run("something behind", whole + b"x", [125], "changed: not run: it has no end")
for field in names[3:]:
    for value in [0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFF0]:
        forge(f"{field} {value}", [125], "changed: not run: it is damaged", **{field: value})
forge("version", [125], "another form", version=2)
forge("no TOML", [125], "changed:1: ", text=b'program = "/bin/sh')
forge("extends", [125], "its policy is not whole", text=b'extends = "/etc/passwd"')
forge("no program", [125], "its policy is not whole", text=b"")
forge("long", [125], "it is damaged", text=b"#" * 40000)
forge("a mount of what is not there", [125], "is missing on the host", text=b'program = "/x"\n[[mounts]]\nat = "/x"\nfrom = "/nonexistent/x"\n')
# The squashfs is read by the helper alone: whatever is in it, pal-run says what is wrong.
for at, piece in [(0, b"\0\0\0\0"), (12, b"\xff" * 4), (20, b"\x63\0"), (32, b"\xff" * 7 + b"\x7f"), (64, b"\0" * 8), (72, b"\xff" * 8)]:
    forge(f"squashfs at {at}", [125, 126, 127], "pal-run: ", at=at, piece=piece)
sys.exit(bad)
