# SPDX-License-Identifier: MIT
# pal-run is stopped, continued, resized and terminated at random moments of a sandbox's first and last 100 ms: it ends as
# it would have, or by the signal, never hangs and leaves nothing.  EARLY is how many sandboxes, SEED what to repeat.
set -u
# shellcheck disable=SC2154
. regression/hostile/lib.sh.inc
moments() {
    as python3 - "$B/pal-run" "$work/run" "$1" "${SEED:-$RANDOM}" <<'END'
import os, random, signal, subprocess, sys, threading, time

PAL_RUN, RUN, COUNT, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
HARMLESS = [signal.SIGCONT, signal.SIGWINCH]
LIMIT = 30
failures, lock = [], threading.Lock()

def send(process, number):
    try:
        os.kill(process.pid, number)  # not waited for yet: the pid is its own
    except ProcessLookupError:
        pass

def one(pick):
    lasts = pick.choice(["0", "0.02", "0.06"])
    script = f"echo one >/tmp/x; sleep {lasts}; cat /tmp/x; exit 7"
    terminates = pick.random() < 0.3
    process = subprocess.Popen([PAL_RUN, "/bin/sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    sent = []
    for _ in range(pick.randint(1, 4)):
        time.sleep(pick.random() * 0.1 / 2)
        number = signal.SIGTERM if terminates and not sent else pick.choice(HARMLESS + [signal.SIGSTOP])
        sent.append(number.name)
        send(process, number)
        if number == signal.SIGSTOP:
            time.sleep(pick.random() * 0.02)
            send(process, signal.SIGCONT)
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"hangs after {sent}"
    if process.returncode == 7 and out == "one\n" and not err:
        return None
    if terminates and process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM):
        return None
    return f"status {process.returncode}, {out!r}, {err!r} after {sent}"

def some(seed, count):
    pick = random.Random(seed)
    for _ in range(count):
        failure = one(pick)
        if failure:
            with lock:
                failures.append(failure)

threads = [threading.Thread(target=some, args=(SEED + i, COUNT // 4)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
end = time.time() + LIMIT
while os.listdir(RUN) and time.time() < end:  # by the supervisors of those that SIGTERM killed outright
    time.sleep(0.05)
if os.listdir(RUN):
    failures.append(f"private folders are left: {len(os.listdir(RUN))}")
for failure in failures[:5]:
    print(failure)
if failures:
    sys.exit(f"{len(failures)} of {COUNT}, SEED={SEED}")
END
}
early() { moments "$((${EARLY:-400} / 4))" || say "signals at early moments"; }
each early
exit $bad
