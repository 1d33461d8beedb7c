// A page with a WebSocket, and the `ws` server behind it. Ends when the page has reported "done".
// Usage: node ws_page.js PORT    (NODE_PATH names the folder that holds the package ws)
const http = require('http');
const { WebSocketServer } = require('ws');

const page = `<!doctype html><title>chat</title><script>
const socket = new WebSocket('ws://' + location.host + '/chat?room=7', ['chat.v2', 'chat.v1']);
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

const server = http.createServer((request, response) => {
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
server.listen(Number(process.argv[2]), '127.0.0.1');
