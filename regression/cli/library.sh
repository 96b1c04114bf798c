# SPDX-License-Identifier: MIT
# libpalrun and its Python module, installed: the examples of docs/library.md, linked to the shared and the static library.
. "$(dirname "$0")/lib.sh.inc"
root=$work/root
make --no-print-directory -s install-library B="$B" DESTDIR="$root" PREFIX=/usr >"$work/log" 2>&1 || say "install-library: $(tail -3 "$work/log")"
mkdir -p "$root/usr/bin" "$work/project"
chmod -R a+rX "$work"
cp "$PAL" "$root/usr/bin/pal-run" # the library finds it beside itself: in ../bin
block() { awk -v "want=\`\`\`$1" '$0 == want { on = 1; next } /^```$/ { on = 0 } on' docs/library.md; }
block c >"$work/agent.c"
block python >"$work/agent.py"
[ "$(wc -l <"$work/agent.c")" -le 36 ] || say "the example has $(wc -l <"$work/agent.c") lines"
export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_SYSTEM_INCLUDE_PATH=/none
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror "$work/agent.c" -o "$work/shared" $(pkg-config --cflags --libs palrun) 2>"$work/log" || say "shared: $(head -5 "$work/log")"
# shellcheck disable=SC2046
gcc -Wall -Wextra -Werror "$work/agent.c" -o "$work/static" $(pkg-config --cflags palrun) "$root/usr/lib/libpalrun.a" -ljansson -lpthread 2>"$work/log" ||
    say "static: $(head -5 "$work/log")"
echo '#include <palrun.h>' | g++ -Wall -Wextra -Werror -fsyntax-only -I"$root/usr/include" -x c++ - || say "palrun.h is no C++"

cd "$work/project" || exit 1
echo key >"$work/key"
tried='cat '"$work/key"'; echo made >made; (exec 3<>/dev/tcp/192.0.2.1/80); exit 3'
check() { # WHAT COMMAND...: it ends with 3, wrote, and tells of the key and the connection
    local what=$1 got
    shift
    rm -f made
    "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got = 3 ] || say "$what: status $got: $(tail -3 "$work/out" "$work/err" 2>&1)"
    [ -e made ] || say "$what: nothing was written"
    grep -q '[dD]enied: connect.* 192.0.2.1:80' "$work/out" || say "$what: the connection is not told of: $(cat "$work/out")"
}
LD_LIBRARY_PATH=$root/usr/lib check shared "$work/shared" /bin/bash -c "$tried"
PATH=$root/usr/bin:$PATH check static "$work/static" /bin/bash -c "$tried"
expect 125 "it can't be started: No such file" env PATH=/nonexistent "$work/static" /bin/true
[ -s "$work/out" ] && say "it ran all the same"
export PYTHONPATH=$root/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
check python python3 "$work/agent.py" "exec /bin/bash -c '$tried'" "$work/project"

python3 - "$work" <<'P' || say "python: see above"
import os, sys, palrun, signal, time
work = sys.argv[1]
text = '[[mounts]]\nat = "/usr"\n[[mounts]]\nat = "/bin"\n[[mounts]]\nat = "/lib"\n[[mounts]]\nat = "/lib64"\n[limits]\ntimeout = "%s"\n'
# Arguments arrive as they are; a manifest as text; the status is the program's; streams are apart.
result = palrun.run(["/bin/sh", "-c", 'printf "<%s>" "$@"; echo error >&2; exit 9', "sh", "a b", "$(id)", "", "--rw=/"],
                    manifest_text=text % "1m", capture_output=True)
assert (result.status, result.stdout, result.stderr[:6]) == (9, b"<a b><$(id)><><--rw=/>", b"error\n"), vars(result)
assert [event["status"] for event in result.events if event["event"] == "ended"] == [9], result.events
# pal-run's own refusal; the line is the fault's.
result = palrun.run(["/bin/true"], manifest_text="nothing = 1\n", capture_output=True)
assert result.status == 125 and b":1: unknown key 'nothing'" in result.stderr, result.stderr
# A write to the host is told of; what is not allowed is not done.
result = palrun.run(["/bin/sh", "-c", "echo x >yes; echo x >../no"], options=["--rw=" + os.getcwd()], capture_output=True)
assert os.path.exists("yes") and not os.path.exists("../no")
assert any(event["event"] == "wrote" and event["name"].endswith("/yes") for event in result.events), result.events
# A callback decides about what policy refuses: by what it is told; what goes wrong in it is no yes.
asked = []
def decide(question):
    asked.append((question["access"], question["name"], question["grants"]))
    return "run" if question["access"] == "write" else {}["wrong"] if question["name"].endswith("/key") else "never"
os.makedirs(work + "/asked/in")
open(work + "/asked/in/a", "w").close()
result = palrun.run(["/bin/sh", "-c", "cat %s/asked/in/a; echo 1 >%s/asked/new && echo 2 >%s/asked/new; cat %s/key" % (work, work, work, work)],
                    ask=decide, capture_output=True)
assert asked == [("read", work + "/asked/in/a", work + "/asked/in"), ("write", work + "/asked/new", work + "/asked"),
                 ("read", work + "/key", work + "/key")] and open(work + "/asked/new").read() == "2\n", (asked, vars(result))
with palrun.Sandbox(["/bin/cat", work + "/asked/in/a"], ask=lambda question: time.sleep(0.2) or True) as sandbox:
    assert sandbox.wait(20) == 0
with palrun.Sandbox(["/bin/cat", work + "/asked/in/a"], ask=lambda question: time.sleep(1) or True):
    pass  # closed while it waits
# Limits, time, ends.
result = palrun.run(["/bin/sleep", "60"], manifest_text=text % "1s", capture_output=True)
assert result.status == 124 and any(event["event"] == "limit" for event in result.events), result.events
try:
    palrun.run(["/bin/sleep", "60"], timeout=0.3)
    raise SystemExit("no TimeoutError")
except TimeoutError:
    pass
with palrun.Sandbox(["/bin/sleep", "60"]) as sandbox:
    time.sleep(0.3)
    sandbox.kill(signal.SIGTERM)
    assert sandbox.wait() == 128 + signal.SIGTERM
for wrong, error in (("ls -l", TypeError), (["a\0b"], ValueError)):
    try:
        palrun.run(wrong)
        raise SystemExit("no error for %r" % (wrong,))
    except error:
        pass
P
exit $bad
