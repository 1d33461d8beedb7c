// A WebSocket handshake by hand over TLS 1.3, one masked text, the echo, a close.
// Usage: node --tls-keylog=FILE tls_client.js PORT
const tls = require('tls');

const socket = tls.connect({ port: Number(process.argv[2]), host: '127.0.0.1', servername: 'localhost',
                             rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
const masked = (opcode, body) => {
  const key = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | body.length]), key,
                        Buffer.from(body.map((byte, i) => byte ^ key[i % 4]))]);
};
let state = 0;
socket.on('secureConnect', () => socket.write('GET /echo HTTP/1.1\r\nHost: localhost:' + process.argv[2] +
  '\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n'));
socket.on('data', () => {
  if (state === 0) socket.write(masked(1, Buffer.from('over TLS')));
  else if (state === 1) socket.write(masked(8, Buffer.from([3, 232])));
  else socket.end();
  state++;
});
