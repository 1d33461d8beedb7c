// A WebSocket inside a CONNECT tunnel: asks the proxy for HOST:PORT and speaks through it.
// Usage: node tunnel_client.js PROXY-PORT HOST PORT    (NODE_PATH holds the package ws)
const http = require('http');
const WebSocket = require('ws');

const [, , proxy, host, port] = process.argv;
const request = http.request({
  host: '127.0.0.1', port: Number(proxy), method: 'CONNECT', path: `${host}:${port}`,
  headers: { Host: `${host}:${port}` },
});
request.on('connect', (response, tunnel) => {
  const socket = new WebSocket(`ws://${host}:${port}/echo`, ['echo'],
    { createConnection: () => tunnel });
  let seen = 0;
  socket.on('open', () => {
    socket.ping('ping data');
    socket.send('through the tunnel');
    socket.send('compress me well, '.repeat(100));
    socket.send(Buffer.alloc(300, 7));
  });
  socket.on('message', () => { if (++seen === 3) socket.close(1000, 'done'); });
});
request.end();
