// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// The server of tests/support/services.py in Node: streams, pipes and their backpressure.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const readline = require('readline');

const [address, port, file] = process.argv.slice(2);

function sink(socket) {
  const hash = crypto.createHash('sha256');
  let count = 0;
  socket.on('data', (chunk) => {
    hash.update(chunk);
    count += chunk.length;
  });
  socket.on('end', () => socket.end(`${count} ${hash.digest('hex')}\n`));
}

function tick(socket, count, interval) {
  let turn = 0;
  let open = 2;
  const done = () => --open === 0 && socket.end();
  const timer = setInterval(() => {
    socket.write(`tick ${turn++}\n`);
    if (turn === count) {
      clearInterval(timer);
      done();
    }
  }, interval);
  socket.on('close', () => clearInterval(timer));
  readline.createInterface({ input: socket, crlfDelay: Infinity })
    .on('line', (line) => socket.write(`${line}\n`))
    .on('close', done);
}

const services = {
  echo: (socket) => socket.pipe(socket),
  sink,
  file: (socket) => fs.createReadStream(file).pipe(socket),
  tick: (socket, count, interval) => tick(socket, Number(count), Number(interval)),
  reset: (socket) => socket.write('last words\n', () => socket.resetAndDestroy()),
};

function greet(socket) {
  let head = Buffer.alloc(0);
  const onData = (chunk) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(10);
    if (end < 0) return;
    socket.removeListener('data', onData);
    socket.pause();
    if (end + 1 < head.length) socket.unshift(head.subarray(end + 1));
    const [name, ...words] = head.toString('latin1', 0, end).split(' ');
    services[name](socket, ...words);
    socket.resume();
  };
  socket.on('error', (error) => console.log(`error ${error.code}`));
  socket.on('data', onData);
  socket.write('ready\n');
}

net.createServer({ allowHalfOpen: true }, greet).listen({ host: address, port: Number(port), backlog: 1024 });
process.on('SIGTERM', () => process.exit(0));
