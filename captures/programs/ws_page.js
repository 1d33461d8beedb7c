// A page with a WebSocket, and the `ws` server behind it. Ends when the page has reported "done".
// Usage: node ws_page.js PORT [KEY CERTIFICATE]    (NODE_PATH names the folder that holds the package
// ws; with a key and a certificate the page is https and its WebSocket wss)
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const page = `<!doctype html><title>chat</title><script>
const socket = new WebSocket(location.origin.replace('http', 'ws') + '/chat?room=7', ['chat.v2', 'chat.v1']);
socket.binaryType = 'arraybuffer';
let seen = 0;
socket.onopen = () => {
  socket.send('hello from the page');
  socket.send('a line that repeats itself, '.repeat(200));
  socket.send(new Uint8Array([0, 1, 2, 253, 254, 255]).buffer);
  socket.send('');
  socket.send('gr\\u00fc\\u00dfe \\u{1f44b}');
};
socket.onmessage = () => { if (++seen === 6) socket.close(1000, 'that was all'); };
socket.onclose = () => fetch('/done');
</script>`;

const [port, key, cert] = process.argv.slice(2);
const tls = key ? { key: fs.readFileSync(key), cert: fs.readFileSync(cert) } : null;
const server = (tls ? https : http).createServer(tls || {}, (request, response) => {
  if (request.url === '/done') setTimeout(() => process.exit(0), 300);
  response.setHeader('Content-Type', 'text/html');
  response.end(request.url === '/' ? page : 'ok');
});
const sockets = new WebSocketServer({
  server, path: '/chat', perMessageDeflate: { threshold: 64 },
  handleProtocols: (offered) => (offered.has('chat.v2') ? 'chat.v2' : false),
});
sockets.on('connection', (socket) => {
  socket.ping('are you there');
  socket.send(JSON.stringify({ welcome: 'to room 7', members: Array(40).fill('somebody') }));
  socket.on('message', (data, binary) => socket.send(data, { binary }));
});
server.listen(Number(port), '127.0.0.1');
