# SPDX-License-Identifier: MIT
# sqlite_kill.py DIRECTORY ROUNDS: four processes write one database in WAL mode and are killed at random moments; each time
# it passes its integrity check, and holds what was there.
import os, random, signal, sqlite3, subprocess, sys, time

path = sys.argv[1] + "/x.db"


def write(seed):
    chance = random.Random(seed)
    db = sqlite3.connect(path, timeout=30)
    while True:
        with db:
            db.execute("insert into t values (?, ?)", (seed, os.urandom(chance.randrange(2000))))


def ask(question):
    db = sqlite3.connect(path, timeout=30)
    answer = db.execute(question).fetchone()[0]
    db.close()
    return answer


def count():
    return ask("select count(*) from t")


def check():
    return ask("pragma integrity_check"), count()


def await_writing(rows):
    for _ in range(600):
        if count() > rows:
            return
        time.sleep(0.05)
    sys.exit("nobody has written anything")


if len(sys.argv) > 3:
    write(int(sys.argv[3]))
db = sqlite3.connect(path)
db.execute("pragma journal_mode = wal")
db.execute("create table if not exists t (a, b)")
db.commit()
db.close()
chance, rows = random.Random(1), 0
for turn in range(int(sys.argv[2])):
    writers = [subprocess.Popen([sys.executable, __file__, sys.argv[1], "0", str(i)]) for i in range(4)]
    await_writing(rows)
    time.sleep(chance.random() * 0.2)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        time.sleep(chance.random() * 0.02)
    for writer in writers:
        writer.wait()
    good, now = check()
    if good != "ok" or now < rows:
        sys.exit(f"round {turn}: {good}, {now} rows after {rows}")
    rows = now
