# SPDX-License-Identifier: MIT
import json, multiprocessing, os, re, sqlite3, subprocess, sys, tempfile, threading, hashlib, time, signal, socket, select

def square(x):
    return x * x

def child(q, n):
    q.put((n, os.getpid() != os.getppid()))

def main():
    print(json.dumps({"a": [1, 2.5, None], "b": "\u00e9"}, sort_keys=True))
    print(re.sub(r"(\w+)@(\w+)", r"\2 at \1", "user@host"))
    db = sqlite3.connect(":memory:")
    db.execute("create table t(a, b)")
    db.executemany("insert into t values(?, ?)", [(i, str(i)) for i in range(1000)])
    print(db.execute("select sum(a), count(b) from t").fetchone())
    print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout)
    print(subprocess.run("exit 7", shell=True).returncode)
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError as e:
        print("missing:", e.filename)
    p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(p.communicate(b"x" * 200000)[0] == b"x" * 200000)
    total, lock = [0], threading.Lock()
    def work():
        for _ in range(1000):
            with lock:
                total[0] += 1
    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print(total)
    with multiprocessing.Pool(3) as pool:
        print(sum(pool.map(square, range(100))))
    q = multiprocessing.Queue()
    ps = [multiprocessing.Process(target=child, args=(q, i)) for i in range(4)]
    [p.start() for p in ps]
    print(sorted(q.get() for _ in ps))
    [p.join() for p in ps]
    print([p.exitcode for p in ps])
    a, b = multiprocessing.Pipe()
    a.send({"x": 1}); print(b.recv())
    value = multiprocessing.Value("i", 0)
    def bump():
        for _ in range(100):
            with value.get_lock():
                value.value += 1
    ps = [multiprocessing.Process(target=bump) for _ in range(3)]
    [p.start() for p in ps]; [p.join() for p in ps]
    print(value.value)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "f")
        with open(path, "w") as f:
            f.write("hello\n")
        os.rename(path, path + "2")
        print(os.listdir(d), os.stat(path + "2").st_size, open(path + "2").read())
    got = []
    signal.signal(signal.SIGUSR1, lambda s, f: got.append(s))
    os.kill(os.getpid(), signal.SIGUSR1)
    print(got)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(w, b"from child"); os._exit(5)
    print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    s1, s2 = socket.socketpair()
    s1.sendall(b"abc"); print(select.select([s2], [], [], 1)[0] == [s2], s2.recv(10))
    print(hashlib.sha256(open(sys.executable, "rb").read()).hexdigest() != "")
    start = time.monotonic(); time.sleep(0.02); print(time.monotonic() - start >= 0.02)
    print(os.getcwd() == os.path.realpath("."), sys.stdin.read() == "")

if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
