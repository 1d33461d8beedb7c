// A Docker-style exec: POST with `Upgrade: tcp`, then a terminal session of two commands.
// Usage: node exec_client.js PORT
const http = require('http');

const body = JSON.stringify({ Detach: false, Tty: true });
const request = http.request({
  host: '127.0.0.1', port: Number(process.argv[2]), method: 'POST',
  path: '/exec/4f66ad9a0b2e/start',
  headers: {
    'Content-Type': 'application/json', 'Content-Length': body.length,
    Connection: 'Upgrade', Upgrade: 'tcp', 'User-Agent': 'exec-client/1.0',
  },
});
request.on('upgrade', (response, socket) => {
  socket.on('data', () => {});
  setTimeout(() => socket.write('ls\r'), 50);
  setTimeout(() => socket.write('exit\r'), 100);
  socket.on('end', () => socket.end());
});
request.end(body);
