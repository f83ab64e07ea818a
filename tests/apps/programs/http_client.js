// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// The client of http_server.js: ADDRESS PORT REQUESTS SOCKETS. Prints a line for each thing that it tries.
'use strict';

const crypto = require('crypto');
const http = require('http');
const { frame, frames } = require('./http_server.js');

const [host, port, requests, sockets] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 40 });
const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

function fetch(path, options = {}, body = undefined) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, agent, ...options }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function count(promises) {
  const results = await Promise.all(promises);
  return results.filter((right) => right).length;
}

const get = async (number) => `${await fetch(`/${number}`)}` === `you asked for /${number}`;

async function post(number) {
  const body = crypto.randomBytes(number * 3001);
  return `${await fetch('/sum', { method: 'POST' }, body)}` === sha(body);
}

// Frames of many sizes, sent without waiting, while ticks come between those that come back.
function talk(number) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, headers: { Connection: 'Upgrade', Upgrade: 'frames' } });
    request.on('error', reject);
    request.on('upgrade', (response, socket, head) => {
      const sent = Array.from({ length: 60 }, (_, turn) => crypto.randomBytes((turn * turn * (number + 1)) % 70000));
      const sums = [];
      let ticks = 0;
      socket.on('error', reject);
      socket.on('end', () => resolve(sums.join() === sent.map(sha).join() && ticks > 0));
      frames(socket, head, (payload) => {
        if (payload.length === 4 && `${payload}` === 'tick') {
          ticks++;
        } else {
          sums.push(sha(payload));
        }
        if (sums.length === sent.length && ticks > 0) socket.end();
      });
      sent.forEach((payload) => socket.write(frame(payload)));
    });
    request.end();
  });
}

async function main() {
  const numbers = (length) => Array.from({ length: Number(length) }, (_, number) => number);
  console.log(`get ${await count(numbers(requests).map(get))}`);
  console.log(`post ${await count(numbers(60).map(post))}`);
  console.log(`file ${sha(await fetch('/file'))}`);
  console.log(`drip ${`${await fetch('/drip')}`.split('\n').length}`);
  console.log(`abort ${await fetch('/abort').catch((error) => error.code)}`);
  console.log(`talk ${await count(numbers(sockets).map(talk))}`);
  agent.destroy();
}

main();
