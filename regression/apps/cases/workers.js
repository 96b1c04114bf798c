// SPDX-License-Identifier: MIT
// Worker threads that share memory and wait for each other, child processes, asynchronous files, an exception's stack.
const { Worker, isMainThread, workerData } = require('worker_threads');
const { execFileSync, spawn } = require('child_process');
const fs = require('fs');

if (!isMainThread) {
    const cells = new Int32Array(workerData);
    for (let i = 0; i < 1000; i++) {
        Atomics.add(cells, 0, 1);
        fs.statSync('/etc/passwd');
    }
    Atomics.add(cells, 1, 1);
    Atomics.notify(cells, 1);
    process.exit(0);
}

async function main() {
    const shared = new SharedArrayBuffer(8);
    const ends = [];
    for (let i = 0; i < 4; i++) {
        const worker = new Worker(__filename, { workerData: shared });
        ends.push(new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject)));
    }
    console.log('workers:', await Promise.all(ends), Array.from(new Int32Array(shared)));
    console.log('child:', execFileSync('/bin/sh', ['-c', 'echo from a child; exit 0']).toString().trim());
    const cat = spawn('/bin/cat');
    cat.stdin.end('through a pipe\n');
    let text = '';
    for await (const chunk of cat.stdout)
        text += chunk;
    console.log('cat:', text.trim());
    const killed = spawn('/bin/sleep', ['100']);
    setTimeout(() => killed.kill('SIGTERM'), 20);
    console.log('killed:', await new Promise((resolve) => killed.on('exit', (code, signal) => resolve(signal))));
    const read = () => fs.promises.readFile('/etc/passwd').then((bytes) => bytes.length);
    const sizes = await Promise.all(Array.from({ length: 200 }, read));
    console.log('files:', new Set(sizes).size, sizes.length);
    const slept = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 30));
    console.log('slept:', Date.now() - slept >= 29);
    function thrower(n) {
        if (n === 0)
            throw new Error('deep');
        thrower(n - 1);
    }
    try {
        thrower(5);
    } catch (error) {
        console.log('stack:', error.stack.split('\n').filter((line) => line.includes('thrower')).length);
    }
}
main();
