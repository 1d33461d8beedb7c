// Answers on /upgrade with 101 when the Upgrade field says websocket and with 400 otherwise, and
// says a few frames; /exec/ID/start is a Docker-style attach: 101 UPGRADED for `Upgrade: tcp`, then
// raw bytes both ways. Usage: node upgrade_server.js PORT
const http = require('http');
const crypto = require('crypto');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const server = http.createServer((request, response) => {
  response.statusCode = request.url === '/upgrade' ? 400 : 404;
  response.end(http.STATUS_CODES[response.statusCode] + '\n');
});
server.on('upgrade', (request, socket) => {
  const wanted = (request.headers.upgrade || '').toLowerCase();
  if (request.url === '/upgrade' && wanted === 'websocket') {
    const accept = crypto.createHash('sha1')
      .update(request.headers['sec-websocket-key'] + GUID).digest('base64');
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
      `Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.write(Buffer.from('\x81\x07welcome', 'latin1'));
    socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
  } else if (request.url.startsWith('/exec/') && wanted === 'tcp') {
    socket.write('HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n' +
      'Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    socket.write('/ # ');
    socket.on('data', (data) => {
      socket.write(data);
      if (data.toString().startsWith('exit')) socket.end('\r\n');
      else socket.write('bin   etc   usr\r\n/ # ');
    });
  } else {
    socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 12\r\nConnection: close\r\n\r\n' +
      'Bad Request\n');
  }
  socket.on('error', () => {});
});
server.listen(Number(process.argv[2]), '127.0.0.1');
