// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// An HTTP server, ADDRESS PORT FILE, whose connections may be upgraded to a stream of frames in the manner of WebSocket:
// masked, four bytes of length, four of mask. Each frame comes back, behind the frames that a timer sends.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const [address, port, file] = process.argv.slice(2);

function answer(request, response) {
  if (request.method === 'POST') {
    const hash = crypto.createHash('sha256');
    request.on('data', (chunk) => hash.update(chunk));
    request.on('end', () => response.end(hash.digest('hex')));
  } else if (request.url === '/file') {
    fs.createReadStream(file).pipe(response); // chunked
  } else if (request.url === '/drip') {
    let count = 0;
    const timer = setInterval(() => {
      response.write(`drop ${count++}\n`);
      if (count === 10) {
        clearInterval(timer);
        response.end();
      }
    }, 5);
  } else if (request.url === '/abort') {
    response.writeHead(200, { 'Content-Length': 1000000 });
    response.write('a beginning', () => request.socket.resetAndDestroy());
  } else {
    response.end(`you asked for ${request.url}`);
  }
}

function frame(payload) {
  const head = crypto.randomBytes(8);
  head.writeUInt32BE(payload.length);
  return Buffer.concat([head, payload.map((byte, index) => byte ^ head[4 + (index & 3)])]);
}

// Calls take(payload) for each whole frame.
function frames(socket, head, take) {
  let bytes = head;
  const step = () => {
    while (bytes.length >= 8 && bytes.length >= 8 + bytes.readUInt32BE(0)) {
      const length = bytes.readUInt32BE(0);
      const mask = bytes.subarray(4, 8);
      take(bytes.subarray(8, 8 + length).map((byte, index) => byte ^ mask[index & 3]));
      bytes = bytes.subarray(8 + length);
    }
  };
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    step();
  });
  step();
}

function upgrade(request, socket, head) {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: frames\r\n\r\n');
  const timer = setInterval(() => socket.write(frame(Buffer.from('tick'))), 10);
  socket.on('error', (error) => console.log(`error ${error.code}`));
  socket.on('close', () => clearInterval(timer));
  socket.on('end', () => socket.end());
  frames(socket, head, (payload) => {
    if (!socket.write(frame(payload))) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
}

if (require.main === module) {
  http.createServer(answer).on('upgrade', upgrade).listen({ host: address, port: Number(port), backlog: 1024 });
  process.on('SIGTERM', () => process.exit(0));
}

module.exports = { frame, frames };
