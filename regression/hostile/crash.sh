# SPDX-License-Identifier: MIT
# A crash report of what a hostile program left: forged records, loops, gigantic sizes, damaged files with its names.  The
# status is the program's, what is printed is plain and short, and pal-run lives.
# ROUNDS: how many damaged ones are tried.
. "$(dirname "$0")/../cli/lib.sh.inc"
mkdir -p "$work/in"
cat >"$work/victim.c" <<'C'
__attribute__((noinline)) int faults(volatile int *at) { return *at + 1; }
__attribute__((noinline)) int calls(volatile int *at) { return faults(at) + 2; }
/* Its frame's address never comes; and it is its own caller. */
__attribute__((naked)) int endless(void)
{
    __asm__(".cfi_escape 0x0f, 3, 0x2f, 0xfd, 0xff\nmov 16, %rax\nret");
}
__attribute__((naked)) int itself(void)
{
    __asm__(".cfi_def_cfa rsp, 0\n.cfi_escape 0x16, 16, 9, 0x03\n.quad itself + 4\n.cfi_same_value rsp\nmov 16, %rax\nret");
}
int main(int argc, char **argv)
{
    (void)argv;
    return argc == 2 ? endless() : argc == 3 ? itself() : calls((int *)16);
}
C
sed -i 's/\\n.quad itself + 4//; s/9, 0x03/2, 0x80, 0/' "$work/victim.c" # DW_OP_breg16 0: what it is now
gcc -g -O1 -w -static -fno-optimize-sibling-calls "$work/victim.c" -o "$work/in/victim" || exit 1
objcopy --redefine-sym "faults=$(printf 'fa\033[31m\nults')" "$work/in/victim" "$work/in/named"
mkfifo "$work/in/fifo"
cat >"$work/lies.py" <<'P'
import os, random, re, struct, subprocess, sys
pal, tool, work, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
bad = 0
symbols = dict((w[2], int(w[0], 16)) for w in (line.split() for line in subprocess.check_output(["nm", work + "/in/victim"], text=True).splitlines()) if len(w) == 3)
BASE = 0x400000

def note(kind, desc, size=None):
    return struct.pack("<III", 5, len(desc) if size is None else size, kind) + b"CORE\0\0\0\0" + desc + bytes(-len(desc) % 4)
def status(rip, rsp=0x7000, rbp=0x7000):
    regs = [0] * 27
    regs[16], regs[19], regs[4] = rip, rsp, rbp
    return note(1, bytes(112) + struct.pack("<27Q", *regs) + bytes(8))
def info(number=11, code=1, address=16):
    return note(0x53494749, struct.pack("<iiiiQ", number, 0, code, 0, address) + bytes(104))
def files(entries, count=None):
    return note(0x46494c45, struct.pack("<QQ", len(entries) if count is None else count, 4096) +
                b"".join(struct.pack("<QQQ", *e[:3]) for e in entries) + b"".join(e[3] + b"\0" for e in entries))
def core(notes=b"", loads=(), phnum=None, phoff=64, note_size=None):
    """loads: (address, bytes), or (address, bytes, offset, size) as they are told."""
    count = 1 + len(loads)
    at = 64 + 56 * count
    out = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, phoff, 0, 0, 64, 56, count if phnum is None else phnum, 0, 0, 0)
    out += struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(notes) if note_size is None else note_size, 0, 4)
    at += len(notes)
    for load in loads:
        offset, size = load[2:] if len(load) > 2 else (at, len(load[1]))
        out += struct.pack("<IIQQQQQQ", 1, 6, offset, load[0], 0, size, size, 4096)
        at += len(load[1])
    return out + notes + b"".join(load[1] for load in loads)
def of(name, path=None, stack=None):
    mapped = [(BASE, BASE + 0x400000, 0, path or (work + "/in/victim").encode())]
    stack = stack or struct.pack("<Q", symbols["main"] + 4) * 512
    return core(status(symbols[name] + 4) + info() + files(mapped), [(0x7000, stack)])

def run(what, *words, status=139, says=None):
    global bad
    try:
        got = subprocess.run([pal, "--rw", work + "/in", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
    except subprocess.TimeoutExpired:
        print(what, "takes too long")
        bad = 1
        return
    text = got.stderr.decode("latin1")
    lines = text.splitlines()
    plain = all(" " <= c <= "~" or c == "\n" for c in text) and len(lines) <= 40 and all(len(line) <= 300 for line in lines)
    if got.returncode != status or not plain or (says is not None and not re.search(says, text)):
        print(what, "status", got.returncode, lines[:4])
        bad = 1
def forge(what, record, says=None, number=139):
    open(work + "/in/record", "wb").write(record)
    run(what, tool, "forge", work + "/in/record", str(number), status=number, says=says)

rip = symbols["faults"] + 4
forge("an honest one", of("faults"), r"^pal-run: .*crash died of SIGSEGV: nothing is mapped at 0x10\n    #0  faults  victim.c:1 ")
forge("another status", of("faults"), "^$", number=3)
forge("another signal's", of("faults"), "^pal-run: .*SIGABRT", number=134)
forge("nothing", b"", "^$")
forge("noise", os.urandom(65536), "^$")
forge("a header", core()[:64])
forge("many segments", core(status(rip), phnum=65535))
forge("segments nowhere", core(status(rip), phoff=2**63 - 8))
for size in (2**64 - 1, 2**63, 2**40, 16 << 20):
    forge("notes of %d" % size, core(status(rip), note_size=size))
forge("a note that is too long", core(note(1, bytes(64), 2**32 - 1) + status(rip)))
forge("a status that is too short", core(note(1, bytes(64))))
for count in (2**64 - 1, 2**60, 2**32, 65536):
    forge("%d files" % count, core(status(rip) + files([(BASE, BASE * 2, 0, b"/x")], count)))
for offset, size in ((2**64 - 8, 2**63), (2**63 - 1, 2**64 - 1), (0, 2**64 - 1), (2**62, 2**62)):
    forge("memory at %x of %x" % (offset, size), core(status(rip) + info(), [(0, b"", offset, size), (2**64 - 4096, b"", offset, size)]))
forge("files over files", core(status(rip) + info() + files([(BASE + i, BASE + 0x400000, 0, (work + "/in/victim").encode()) for i in range(2000)])))
forge("many files", core(status(0) + info() + b"".join(files([(i << 12, (i + 1) << 12, 0, b"/%d" % i) for i in range(60000)]) for _ in range(2))))
for address in (0, 1, 2**47, 2**63, 2**64 - 1):
    forge("at %x" % address, core(status(address, address, address) + info()), "#0  0x")
for signal in (-1, 0, 65, 2**31 - 1):
    forge("signal %d" % signal, core(status(rip) + info(signal, -2**31)))
# Of names that it gives, none is opened but as the guest could, and nothing but files.
for name in (b"/etc/shadow", work.encode() + b"/in/fifo", b"/proc/self/mem", b"/dev/zero", work.encode() + b"/in", b"../../etc/passwd", b"",
             b"/" + b"x" * 5000, b"/\033[31m\n", work.encode() + b"/in/record", work.encode() + b"/lies.py"):
    forge(name[:40], core(status(rip) + info() + files([(BASE, BASE * 2, 0, name)])), r"#0  (\?\?|0x)")
# Stacks that lead back to themselves, and tables that never end.
forge("a loop", of("faults", stack=struct.pack("<QQ", 0x7000, rip) * 256), "died")
forge("no address of a frame", of("endless"), "died of .*\n    #0  endless")
forge("its own caller", of("itself"), "died of .*\n    #0  itself")
run("no address of a frame, by itself", work + "/in/victim", "1", says="#0  endless")
run("its own caller, by itself", work + "/in/victim", "1", "2", says="#0  itself")
forge("a name that acts on a terminal", of("faults", (work + "/in/named").encode()), r"#0  fa\\x1b\[31m\\x0aults")
vdso = note(6, struct.pack("<QQ", 33, 0x9000))
whole = open(work + "/in/victim", "rb").read()
forge("a vDSO", core(status(0x9100) + info() + vdso, [(0x9000, os.urandom(8192))]))
forge("a program for a vDSO", core(status(0x9100) + info() + vdso, [(0x9000, whole[:65536])]))
# By --core it is the user's file that is written to: nothing else is, and nobody believes it either.
for record in (os.urandom(5000), of("faults"), core(status(rip), phnum=65535)):
    open(work + "/in/record", "wb").write(record)
    run("a core", "--core", work + "/core", tool, "forge", work + "/in/record", "139", says="a core file is in .*/core$")
    if open(work + "/core", "rb").read() != record:
        print("the core is not what was written")
        bad = 1
run("alive with a core", "--core", work + "/core", tool, "lives", work + "/in/record", status=0, says="^pal-run: a core file is in .*/core$")
run("alive", tool, "lives", work + "/in/record", status=0, says="^$")

# Damaged: the record, or the file with its names.
good = of("faults")
spots = [i for i in range(0, len(whole), 16) if any(whole[i:i + 16])]
debug = [i for i in spots if i > len(whole) * 3 // 4]
for seed in range(rounds):
    r = random.Random(seed)
    if seed % 3 == 0:
        record = bytearray(good)
        for _ in range(r.choice([1, 4, 32])):
            record[r.randrange(min(len(record), 900))] = r.choice([0, 255, 127, 128, r.randrange(256)])
        forge("record %d" % seed, record)
        continue
    image = bytearray(whole)
    for _ in range(r.choice([4, 64, 1024])):
        at = (r.choice(spots[:64]) if r.random() < 0.1 else r.choice(debug)) + r.randrange(16)
        if at < len(image) - 4:
            image[at:at + 4] = r.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(r.randrange(256) for _ in range(4))])
    if r.random() < 0.2:
        image = image[:r.randrange(len(image))]
    open(work + "/in/damaged", "wb").write(image)
    forge("file %d" % seed, of(r.choice(["faults", "calls", "endless"]), (work + "/in/damaged").encode()))
sys.exit(bad)
P
python3 "$work/lies.py" "$PAL" "$(realpath "$B/hostile/crash")" "$work" "${ROUNDS:-15}" || bad=1
exit $bad
