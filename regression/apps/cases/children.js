// SPDX-License-Identifier: MIT
// Child processes in all of node's ways, some started by worker threads: exec, spawn, fork with messages and a handle.
const { exec, execSync, fork, spawn, spawnSync } = require('child_process');
const { Worker, isMainThread, parentPort } = require('worker_threads');
const net = require('net');
const os = require('os');
const path = require('path');

const ended = (child) => new Promise((resolve) => child.on('close', (code, signal) => resolve(signal || code)));

function forked() {
    let sum = 0;
    process.on('message', (message, handle) => {
        if (message === 'end')
            process.exit(sum % 100);
        if (handle)
            handle.end('written by the child\n');
        else
            process.send({ square: message * message, sum: sum += message });
    });
}

async function inWorker() {
    const child = spawn('/bin/sh', ['-c', 'read line; echo "$line"; exit 3']);
    let text = '';
    child.stdout.on('data', (chunk) => { text += chunk; });
    child.stdin.end('by a worker\n');
    const status = await ended(child);
    parentPort.postMessage([status, text.trim(), spawnSync('/bin/echo', ['also']).stdout.toString().trim()]);
}

async function messages() {
    const child = fork(__filename, ['forked']);
    const answers = [];
    const all = new Promise((resolve) => child.on('message', (answer) => answers.push(answer) === 100 && resolve()));
    for (let i = 0; i < 100; i++)
        child.send(i);
    await all;
    console.log('forked:', answers[99], answers.every((answer, i) => answer.square === i * i));

    const name = path.join(os.tmpdir(), `children.${process.pid}`);
    const server = net.createServer((socket) => child.send('socket', socket)).listen(name);
    await new Promise((resolve) => server.on('listening', resolve));
    let text = '';
    for await (const chunk of net.connect(name))
        text += chunk;
    console.log('handle:', text.trim());
    server.close();
    child.send('end');
    console.log('ended:', await ended(child));
}

async function main() {
    const workers = Array.from({ length: 4 }, () => new Worker(__filename));
    const said = await Promise.all(workers.map((worker) => new Promise((resolve) => worker.on('message', resolve))));
    console.log('workers:', said.join(' '));
    console.log('exec:', await new Promise((resolve) => exec('echo out; echo err >&2; exit 5', (error, out, err) =>
        resolve([error.code, out.trim(), err.trim()]))));
    console.log('shell:', execSync('seq 1000 | sort -n | tail -1').toString().trim());
    const killed = Array.from({ length: 10 }, () => spawn('/bin/sleep', ['100']));
    const signals = killed.map(ended);
    killed.forEach((child, i) => child.kill(i & 1 ? 'SIGKILL' : 'SIGTERM'));
    console.log('killed:', (await Promise.all(signals)).join(' '));
    const missing = spawn('/no/such/program');
    console.log('missing:', await new Promise((resolve) => missing.on('error', (error) => resolve(error.code))));
    await messages();
}

if (!isMainThread)
    inWorker();
else if (process.argv[2] === 'forked')
    forked();
else
    main();
