# SPDX-License-Identifier: MIT
# Clients and servers on the loopback: curl, wget, git, pip, npm, Python and OpenSSL over TLS, nginx with two workers that
# share a port, redis.  Prints the same each time; run by regression/apps/same, natively and under pal-run.
set -u
PATH=$PATH:/usr/sbin
python=/usr/bin/python3
for program in curl wget git openssl npm nginx redis-server $python; do command -v $program >/dev/null || { echo "$program is not installed"; exit 77; }; done
work=$(mktemp -d) || exit 1
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
export HOME=$work no_proxy='*' GIT_CONFIG_NOSYSTEM=1
cd "$work" || exit 1
free_port() { $python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
await() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "nobody at the port"; }
shown() { sed "s/:$port\b/:PORT/g; s|$work|WORK|g"; }

mkdir files
seq 200000 >files/numbers
head -c 3000000 /dev/zero >files/zeros
port=$(free_port)
$python -m http.server --bind 127.0.0.1 --directory files "$port" >/dev/null 2>&1 &
servers+=($!)
await "$port"
curl -sS "http://127.0.0.1:$port/numbers" | cksum
curl -sS "http://localhost:$port/none" -o /dev/null -w '%{http_code}\n'
curl -sS --parallel --remote-name-all "http://127.0.0.1:$port/numbers" "http://127.0.0.1:$port/zeros" "http://[::ffff:127.0.0.1]:$port/numbers" 2>/dev/null
cksum numbers zeros
wget -q -O - "http://localhost:$port/zeros" | cksum
curl -sS http://127.0.0.1:1/ 2>&1 | sed 's/ after .*:/:/'
wget -q -t 1 http://127.0.0.1:1/; echo "wget: $?"

# git: a clone over HTTP, the plain files
git init -q -b main repository
git -C repository -c user.name=a -c user.email=a@b commit -q --allow-empty --date '2020-01-01T00:00:00Z' -m first
git clone -q --bare repository files/repository.git
git -C files/repository.git update-server-info
git clone -q "http://127.0.0.1:$port/repository.git" clone 2>&1 | shown
git -C clone log --format=%s

# pip and npm: an index and a registry of one package each
mkdir -p package/one files/simple/one
printf 'from setuptools import setup\nsetup(name="one", version="1.0", py_modules=["one"])\n' >package/setup.py
$python - <<'PY'
import zipfile
with zipfile.ZipFile("files/simple/one/one-1.0-py3-none-any.whl", "w") as w:
    w.writestr("one.py", "print('one is here')\n")
    w.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    w.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    w.writestr("one-1.0.dist-info/RECORD", "one.py,,\none-1.0.dist-info/METADATA,,\none-1.0.dist-info/WHEEL,,\none-1.0.dist-info/RECORD,,\n")
PY
echo '<a href="one-1.0-py3-none-any.whl">one-1.0-py3-none-any.whl</a>' >files/simple/one/index.html
if $python -m pip --version >/dev/null 2>&1; then
    $python -m pip install -q --disable-pip-version-check --no-cache-dir --root-user-action ignore --target site \
        --index-url "http://127.0.0.1:$port/simple/" one 2>&1 | shown
    PYTHONPATH=site $python -c 'import one'
fi
mkdir -p npm/package files/two
echo '{"name": "two", "version": "1.0.0", "main": "index.js"}' >npm/package/package.json
echo 'console.log("two is here")' >npm/package/index.js
tar -C npm -czf files/two/two-1.0.0.tgz package
cat >registry.js <<'JS'
const http = require('http'), fs = require('fs');
const server = http.createServer((q, s) => {
    if (q.url.endsWith('.tgz')) return s.end(fs.readFileSync('files/two/two-1.0.0.tgz'));
    if (q.url !== '/two') { s.statusCode = 404; return s.end('{}'); }
    const tarball = 'http://127.0.0.1:' + server.address().port + '/two-1.0.0.tgz';
    s.setHeader('content-type', 'application/json');
    s.end(JSON.stringify({name: 'two', 'dist-tags': {latest: '1.0.0'}, versions: {'1.0.0': {name: 'two', version: '1.0.0', main: 'index.js', dist: {tarball}}}}));
});
server.listen(+process.argv[2], '127.0.0.1');
JS
registry=$(free_port)
node registry.js "$registry" &
servers+=($!)
await "$registry"
mkdir project
(cd project && npm install --silent --no-audit --no-fund --no-update-notifier --registry "http://127.0.0.1:$registry/" two >log 2>&1 || cat log)
(cd project && node -e 'require("two")')

# TLS
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
secure=$(free_port)
openssl s_server -quiet -accept "127.0.0.1:$secure" -key key.pem -cert cert.pem -WWW >/dev/null 2>&1 &
servers+=($!)
await "$secure"
echo hello >page
curl -sS --cacert cert.pem "https://localhost:$secure/page"
$python - "$secure" <<'PY'
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="cert.pem")
print(urllib.request.urlopen(f"https://localhost:{sys.argv[1]}/page", context=context).read())
try:
    urllib.request.urlopen(f"https://127.0.0.1:{sys.argv[1]}/page", context=context)
except OSError as e:
    print(type(e.reason).__name__)
PY

# nginx: two workers, each with a listener of its own
web=$(free_port)
cat >conf <<CONF
daemon off;
worker_processes 2;
error_log $work/error.log;
pid $work/pid;
events { worker_connections 256; }
http {
    access_log off; sendfile on; tcp_nopush on;
    client_body_temp_path $work/1; proxy_temp_path $work/2; fastcgi_temp_path $work/3; uwsgi_temp_path $work/4; scgi_temp_path $work/5;
    server { listen 127.0.0.1:$web reuseport; root $work/files; }
    server { listen [::1]:$web; location / { proxy_pass http://127.0.0.1:$web; } }
}
CONF
nginx -p "$work" -c "$work/conf" -e "$work/error.log" &
servers+=($!)
await "$web"
for _ in $(seq 20); do curl -sS "http://127.0.0.1:$web/numbers" | cksum & done | sort | uniq -c
curl -sS -g "http://[::1]:$web/zeros" | cksum
curl -sS -r 100-299 "http://127.0.0.1:$web/numbers" | cksum
cat error.log

# redis, by its own benchmark
store=$(free_port)
redis-server --port "$store" --bind 127.0.0.1 ::1 --save '' --daemonize no --dir "$work" >/dev/null &
servers+=($!)
await "$store"
redis-benchmark -p "$store" -n 2000 -c 20 -P 4 -q -t set,get,lrange_100 2>&1 | tr '\r' '\n' | grep -c 'requests per second, p50'
redis-cli -h ::1 -p "$store" set a b
redis-cli -h localhost -p "$store" get a
redis-cli -p "$store" shutdown nosave
