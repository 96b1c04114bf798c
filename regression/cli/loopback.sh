# SPDX-License-Identifier: MIT
# Two sandboxes at once serve the same port, each for itself; neither reaches the host's loopback, nor the other.
set -u
B=$(realpath "$B")
folder=$(mktemp -d /var/tmp/pal-loopback.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cat >"$folder/serve.py" <<'PY'
import http.server, os, socket, sys, threading, time, urllib.request
word, host_port = sys.argv[1], int(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(word.encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("", 80), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
open("ready." + word, "w").close()
other = "ready." + ("b" if word == "a" else "a")
while not os.path.exists(other):
    time.sleep(0.01)
for _ in range(20):
    assert urllib.request.urlopen("http://127.0.0.1/").read() == word.encode()
    assert urllib.request.urlopen("http://localhost:80/").read() == word.encode()
try:
    socket.create_connection(("127.0.0.1", host_port))
    sys.exit("a port of the host was reached")
except ConnectionRefusedError:
    pass
open("done." + word, "w").close()
while not os.path.exists("done." + ("b" if word == "a" else "a")):
    time.sleep(0.01)
PY
cat >"$folder/host.py" <<'PY'
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.settimeout(60)
sys.stdin.read()
listener.setblocking(False)
try:
    listener.accept()
    sys.exit("the host's listener was reached")
except BlockingIOError:
    pass
PY
mkfifo "$folder/end" "$folder/port"
python3 "$folder/host.py" <"$folder/end" >"$folder/port" &
host=$!
exec 3>"$folder/end"
read -r port <"$folder/port"
mkdir -m 777 "$folder/work"
cd "$folder/work" || exit 1
"$B/pal-run" --ro "$folder" --rw "$folder/work" -- /usr/bin/python3 "$folder/serve.py" a "$port" 3>&- &
first=$!
"$B/pal-run" --ro "$folder" --rw "$folder/work" -- /usr/bin/python3 "$folder/serve.py" b "$port" 3>&- || exit 1
wait $first || exit 1
exec 3>&-
wait $host
